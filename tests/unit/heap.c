/* base/heap: when memory is given back. */
#include "base/heap.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "help.h"

#define MIB ((uint64_t)1024 * 1024)

static void little_is_not_worth_it(void **state)
{
    struct heap_trim t = {0};

    (void)state;
    heap_trim_tick(&t, MIB / 4 - 1);
    heap_trim_tick(&t, 0);
    heap_trim_tick(&t, 0);
    assert_int_equal(t.peak, MIB / 4 - 1); /* a trim would have set it to 0 */
}

static void it_waits_until_half_has_gone(void **state)
{
    struct heap_trim t = {0};

    (void)state;
    heap_trim_tick(&t, 1000 * MIB);
    heap_trim_tick(&t, 501 * MIB);
    assert_int_equal(t.peak, 1000 * MIB);
    heap_trim_tick(&t, 500 * MIB);
    assert_int_equal(t.peak, 500 * MIB);
    heap_trim_tick(&t, 700 * MIB);
    heap_trim_tick(&t, 400 * MIB);
    assert_int_equal(t.peak, 700 * MIB);
    heap_trim_tick(&t, 10 * MIB);
    assert_int_equal(t.peak, 10 * MIB);
}

/* Many tunnels may come and go within a second. */
static void what_came_and_went_between_two_ticks_counts(void **state)
{
    struct heap_trim t = {0};

    (void)state;
    heap_trim_tick(&t, 1 * MIB);
    heap_trim_note(&t, 10 * MIB);
    heap_trim_note(&t, 9 * MIB);
    assert_int_equal(t.peak, 10 * MIB);
    heap_trim_tick(&t, 1 * MIB);
    assert_true(t.again);
    assert_int_equal(t.peak, 1 * MIB);
}

/* Once, when it has come to rest: a slow decline must not keep the heap busy. */
static void what_comes_late_goes_too(void **state)
{
    struct heap_trim t = {0};

    (void)state;
    heap_trim_tick(&t, 10 * MIB);
    heap_trim_tick(&t, 5 * MIB);
    assert_int_equal(t.peak, 5 * MIB);
    heap_trim_tick(&t, 4 * MIB);
    heap_trim_tick(&t, 3 * MIB);
    assert_int_equal(t.peak, 5 * MIB);
    heap_trim_tick(&t, 3 * MIB);
    assert_int_equal(t.peak, 3 * MIB);
    heap_trim_tick(&t, 2 * MIB);
    heap_trim_tick(&t, 2 * MIB);
    assert_int_equal(t.peak, 3 * MIB);
}

/* The second half may be less than is worth a trim of its own. */
static void a_rest_goes_when_it_has_come_to_rest(void **state)
{
    struct heap_trim t = {0};

    (void)state;
    heap_trim_tick(&t, 5 * MIB);
    heap_trim_tick(&t, 2 * MIB);
    heap_trim_tick(&t, 2 * MIB); /* it pauses */
    assert_false(t.again);
    heap_trim_tick(&t, MIB / 2);
    assert_int_equal(t.peak, 2 * MIB);
    heap_trim_tick(&t, MIB / 2);
    assert_int_equal(t.peak, MIB / 2);
    /* a few tunnels that come and go do not count */
    heap_trim_tick(&t, MIB / 2 + MIB / 4);
    heap_trim_tick(&t, MIB / 2);
    heap_trim_tick(&t, MIB / 2);
    assert_int_equal(t.peak, MIB / 2 + MIB / 4);
}

static void what_was_said_is_done_once(void **state)
{
    struct heap_trim t = {0};

    (void)state;
    heap_trim_soon(&t);
    heap_trim_tick(&t, 3);
    assert_false(t.due);
    assert_int_equal(t.peak, 3);
}

/* Pages in memory, of this process: proc(5). */
static long resident(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long pages = 0;

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
    fclose(f);
    return pages;
}

/* Every second block stays, and a last one keeps the heap from shrinking by itself. */
static void memory_really_goes_back(void **state)
{
    static void *blocks[2000];
    struct heap_trim t = {0};
    bool ours;
    long before;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(blocks); i++) {
        blocks[i] = malloc(16384);
        memset(blocks[i], 1, 16384);
    }
    /* a sanitizer's allocator, or valgrind's, knows nothing of malloc_trim() */
    ours = mallinfo2().uordblks >= COUNT(blocks) * 16384;
    for (i = 0; i < COUNT(blocks); i += 2)
        free(blocks[i]);
    heap_trim_tick(&t, 32 * MIB);
    before = resident();
    heap_trim_tick(&t, 0);
    assert_true(resident() < before - 2000 || !ours);
    for (i = 1; i < COUNT(blocks); i += 2)
        free(blocks[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_is_not_worth_it),
        cmocka_unit_test(it_waits_until_half_has_gone),
        cmocka_unit_test(what_comes_late_goes_too),
        cmocka_unit_test(a_rest_goes_when_it_has_come_to_rest),
        cmocka_unit_test(what_was_said_is_done_once),
        cmocka_unit_test(what_came_and_went_between_two_ticks_counts),
        cmocka_unit_test(memory_really_goes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
