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
    tlsmem_thread_init();
    return 0;
}

static int keep_no_more(void **state)
{
    (void)state;
    tlsmem_thread_exit();
    return 0;
}

static void what_is_given_is_taken_again(void **state)
{
    void *p = tlsmem_alloc(104), *q;

    (void)state;
    assert_int_equal(tlsmem_cached(), 0);
    tlsmem_free(p);
    assert_between(tlsmem_cached(), 104, 200);
    q = tlsmem_alloc(104);
    assert_ptr_equal(p, q);
    assert_int_equal(tlsmem_cached(), 0);
    tlsmem_free(q);
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

            some[i] = tlsmem_alloc(size);
            assert_non_null(some[i]);
            assert_true(malloc_usable_size(some[i]) >= size);
            memset(some[i], (int)i, size);
        }
        for (i = 0; i < 64; i++)
            tlsmem_free(some[i]);
    }
}

static void blocks_of_malloc_may_be_given(void **state)
{
    size_t size;

    (void)state;
    for (size = 1; size < 25000; size++) {
        void *p = malloc(size), *q;

        tlsmem_free(p);
        q = tlsmem_alloc(size);
        assert_true(malloc_usable_size(q) >= size);
        free(q);
    }
    tlsmem_free(NULL);
}

static void what_is_resized_keeps_its_bytes(void **state)
{
    char *p = tlsmem_alloc(10);

    (void)state;
    memcpy(p, "some bytes", 10);
    p = tlsmem_realloc(p, 30000);
    assert_memory_equal(p, "some bytes", 10);
    p = tlsmem_realloc(p, 4);
    assert_memory_equal(p, "some", 4);
    tlsmem_free(p);
}

/* Of one size so many bytes, however many were freed; and of a large size one. */
static void what_is_kept_is_bounded(void **state)
{
    static void *many[4000];
    size_t i, before;

    (void)state;
    before = tlsmem_cached();
    for (i = 0; i < 4000; i++)
        many[i] = tlsmem_alloc(200);
    for (i = 0; i < 4000; i++)
        tlsmem_free(many[i]);
    assert_true(tlsmem_cached() > before + TLSMEM_CACHED_MAX / 2);
    assert_true(tlsmem_cached() <= before + TLSMEM_CACHED_MAX + 1024);
    before = tlsmem_cached();
    for (i = 0; i < 3; i++)
        many[i] = tlsmem_alloc(17000);
    for (i = 0; i < 3; i++)
        tlsmem_free(many[i]);
    assert_between(tlsmem_cached() - before, 17000, 17100);
    before = tlsmem_cached();
    tlsmem_free(tlsmem_alloc(100000));
    assert_int_equal(tlsmem_cached(), before);
}

static void *give(void *p)
{
    tlsmem_free(p);
    return (void *)(uintptr_t)tlsmem_cached();
}

/* A thread that has not asked for it keeps nothing: who would free it? */
static void other_threads_give_to_malloc(void **state)
{
    pthread_t thread;
    void *kept;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, give, tlsmem_alloc(100)), 0);
    assert_int_equal(pthread_join(thread, &kept), 0);
    assert_null(kept);
}

static void nothing_is_cached_in_the_end(void **state)
{
    (void)state;
    tlsmem_free(tlsmem_alloc(100));
    tlsmem_thread_exit();
    assert_int_equal(tlsmem_cached(), 0);
    tlsmem_free(tlsmem_alloc(100));
    assert_int_equal(tlsmem_cached(), 0);
    tlsmem_thread_init();
}

static void what_is_given_twice_ends_the_program(void **state)
{
    const pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        void *p = tlsmem_alloc(100);

        signal(SIGABRT, SIG_DFL);
        tlsmem_free(p);
        tlsmem_free(p);
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
        cmocka_unit_test_setup_teardown(nothing_is_cached_in_the_end, keep, keep_no_more),
        cmocka_unit_test_setup_teardown(what_is_given_twice_ends_the_program, keep, keep_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
