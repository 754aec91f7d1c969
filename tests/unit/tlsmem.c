/* tls/tlsmem: the memory that a worker keeps for OpenSSL. */
#include "tls/tlsmem.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "help.h"

static int keep(void **state)
{
    (void)state;
    blocks_keep();
    return 0;
}

static int keep_no_more(void **state)
{
    (void)state;
    blocks_keep_no_more();
    return 0;
}

static void what_is_given_is_taken_again(void **state)
{
    void *p = blocks_take(104), *q;

    (void)state;
    assert_int_equal(blocks_kept(), 0);
    blocks_give(p);
    assert_in_range(blocks_kept(), 104, 200);
    q = blocks_take(104);
    assert_ptr_equal(p, q);
    assert_int_equal(blocks_kept(), 0);
    blocks_give(q);
}

/* Whatever size was asked for when a block was first had, it has room for what is asked for now. */
static void a_block_has_room_for_what_was_asked(void **state)
{
    void *some[64];
    size_t round, i;

    (void)state;
    for (round = 0; round < 400; round++) {
        for (i = 0; i < 64; i++) {
            const size_t size = (round * 53 + i * 7) % 21000;

            some[i] = blocks_take(size);
            assert_non_null(some[i]);
            assert_true(malloc_usable_size(some[i]) >= size);
            memset(some[i], (int)i, size);
        }
        for (i = 0; i < 64; i++)
            blocks_give(some[i]);
    }
}

static void blocks_of_malloc_may_be_given(void **state)
{
    size_t size;

    (void)state;
    for (size = 1; size < 25000; size++) {
        void *p = malloc(size), *q;

        blocks_give(p);
        q = blocks_take(size);
        assert_true(malloc_usable_size(q) >= size);
        free(q);
    }
    blocks_give(NULL);
}

static void what_is_resized_keeps_its_bytes(void **state)
{
    char *p = blocks_take(10);

    (void)state;
    memcpy(p, "some bytes", 10);
    p = blocks_resize(p, 30000);
    assert_memory_equal(p, "some bytes", 10);
    p = blocks_resize(p, 4);
    assert_memory_equal(p, "some", 4);
    blocks_give(p);
}

/* Of one size so many bytes, however many were freed; and of a large size one. */
static void what_is_kept_is_bounded(void **state)
{
    static void *many[4000];
    size_t i, before;

    (void)state;
    before = blocks_kept();
    for (i = 0; i < 4000; i++)
        many[i] = blocks_take(200);
    for (i = 0; i < 4000; i++)
        blocks_give(many[i]);
    assert_true(blocks_kept() > before + BLOCKS_KEPT_MOST / 2);
    assert_true(blocks_kept() <= before + BLOCKS_KEPT_MOST + 1024);
    before = blocks_kept();
    for (i = 0; i < 3; i++)
        many[i] = blocks_take(17000);
    for (i = 0; i < 3; i++)
        blocks_give(many[i]);
    assert_in_range(blocks_kept() - before, 17000, 17100);
    before = blocks_kept();
    blocks_give(blocks_take(100000));
    assert_int_equal(blocks_kept(), before);
}

static void *give(void *p)
{
    blocks_give(p);
    return (void *)(uintptr_t)blocks_kept();
}

/* A thread that has not asked for it keeps nothing: who would free it? */
static void other_threads_give_to_malloc(void **state)
{
    pthread_t thread;
    void *kept;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, give, blocks_take(100)), 0);
    assert_int_equal(pthread_join(thread, &kept), 0);
    assert_null(kept);
}

static void nothing_is_kept_in_the_end(void **state)
{
    (void)state;
    blocks_give(blocks_take(100));
    blocks_keep_no_more();
    assert_int_equal(blocks_kept(), 0);
    blocks_give(blocks_take(100));
    assert_int_equal(blocks_kept(), 0);
    blocks_keep();
}

static void what_is_given_twice_ends_the_program(void **state)
{
    const pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        void *p = blocks_take(100);

        signal(SIGABRT, SIG_DFL);
        blocks_give(p);
        blocks_give(p);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_given_is_taken_again, keep, keep_no_more),
        cmocka_unit_test_setup_teardown(a_block_has_room_for_what_was_asked, keep, keep_no_more),
        cmocka_unit_test_setup_teardown(blocks_of_malloc_may_be_given, keep, keep_no_more),
        cmocka_unit_test_setup_teardown(what_is_resized_keeps_its_bytes, keep, keep_no_more),
        cmocka_unit_test_setup_teardown(what_is_kept_is_bounded, keep, keep_no_more),
        cmocka_unit_test_setup_teardown(other_threads_give_to_malloc, keep, keep_no_more),
        cmocka_unit_test_setup_teardown(nothing_is_kept_in_the_end, keep, keep_no_more),
        cmocka_unit_test_setup_teardown(what_is_given_twice_ends_the_program, keep, keep_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
