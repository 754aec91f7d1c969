/* base/mem: the arena. */
#include "base/mem.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "help.h"

static bool all_zero(const unsigned char *p, size_t n)
{
    while (n && *p == 0) {
        p++;
        n--;
    }
    return n == 0;
}

static void memory_is_zeroed_aligned_and_disjoint(void **state)
{
    static const size_t sizes[] = {1, 7, 8, 16, 17, 4096, 16384, 16385, 100000, 3, 16383, 0, 1};
    unsigned char *got[COUNT(sizes) * 5];
    struct arena a = {0};
    size_t i, n = 0;

    (void)state;
    for (i = 0; i < COUNT(got); i++, n++) {
        size_t size = sizes[i % COUNT(sizes)];

        got[i] = arena_alloc(&a, size);
        assert_int_equal((uintptr_t)got[i] % alignof(max_align_t), 0);
        assert_true(all_zero(got[i], size));
        memset(got[i], (int)i + 1, size);
    }
    for (i = 0; i < n; i++) {
        size_t size = sizes[i % COUNT(sizes)], j;

        for (j = 0; j < size; j++)
            assert_int_equal(got[i][j], (unsigned char)(i + 1));
    }
    arena_free(&a);
    assert_null(a.blocks);
}

static void a_growing_list_loses_nothing(void **state)
{
    struct arena a = {0};
    struct item {
        int number;
        char text[20];
    } *items = NULL;
    int *others = NULL;
    int i, j;

    (void)state;
    for (i = 0; i < 3000; i++) {
        items = arena_grow(&a, items, (size_t)i, sizeof(*items));
        items[i].number = i;
        others = arena_grow(&a, others, (size_t)i, sizeof(*others));
        others[i] = -i;
    }
    for (j = 0; j < i; j++) {
        assert_int_equal(items[j].number, j);
        assert_int_equal(others[j], -j);
    }
    arena_free(&a);
}

/* pinvalue_parse() takes back what it added before an error. */
static void a_list_that_shrank_grows_again(void **state)
{
    struct arena a = {0};
    int *items = NULL;
    size_t keep, i;

    (void)state;
    for (keep = 0; keep < 20; keep++) {
        items = NULL;
        for (i = 0; i < keep; i++) {
            items = arena_grow(&a, items, i, sizeof(*items));
            items[i] = (int)i;
        }
        for (i = keep; i < keep + 13; i++) {
            items = arena_grow(&a, items, i, sizeof(*items));
            items[i] = 1000;
        }
        for (i = keep; i < keep + 40; i++) {
            items = arena_grow(&a, items, i, sizeof(*items));
            items[i] = (int)i;
        }
        for (i = 0; i < keep + 40; i++)
            assert_int_equal(items[i], i);
    }
    arena_free(&a);
}

static void strings_are_copied_whole(void **state)
{
    const char unterminated[3] = {'a', 'b', 'c'};
    struct arena a = {0};
    char *big = xmalloc(50001), *copy;

    (void)state;
    memset(big, 'x', 50000);
    big[50000] = '\0';
    assert_string_equal(arena_strdup(&a, big), big);
    assert_string_equal(arena_strndup(&a, unterminated, 3), "abc");
    assert_string_equal(arena_strndup(&a, "abc", 0), "");
    assert_string_equal(arena_printf(&a, "%s%d", "n", 5), "n5");
    arena_free(&a);
    free(big);
    copy = xstrndup(unterminated, 2);
    assert_string_equal(copy, "ab");
    free(copy);
    copy = xasprintf("%05d", 42);
    assert_string_equal(copy, "00042");
    free(copy);
    free(xmalloc(0));
    free(xcalloc(0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_disjoint),
        cmocka_unit_test(a_growing_list_loses_nothing),
        cmocka_unit_test(a_list_that_shrank_grows_again),
        cmocka_unit_test(strings_are_copied_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
