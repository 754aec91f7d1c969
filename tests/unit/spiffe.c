/* base/spiffe: which SPIFFE IDs a configuration may name. */
#include "base/spiffe.h"

#include <stdlib.h>
#include <string.h>

#include "help.h"

static void ids_of_workloads_are_taken(void **state)
{
    static const char *const rows[] = {
        "spiffe://example.org/api",         "spiffe://a/b",
        "spiffe://example.org/ns/a/sa/b",   "spiffe://exa_mple-1.org/A_b-c.d",
        "spiffe://example.org/.../..a/a..", "spiffe://192.0.2.1/x",
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        assert_true(spiffe_is_meant(rows[i]));
        if (spiffe_check(rows[i]))
            fail_msg("%s %s", rows[i], spiffe_check(rows[i]));
    }
    assert_false(spiffe_is_meant("spiffe.example.org"));
    assert_false(spiffe_is_meant("example.org"));
}

static void every_other_spelling_is_an_error(void **state)
{
    static const struct {
        const char *id, *why;
    } rows[] = {
        {"spiffe:", "begin with"},
        {"spiffe:/example.org/a", "begin with"},
        {"SPIFFE://example.org/a", "lower case"},
        {"Spiffe://example.org/a", "lower case"},
        {"spiffe://", "no trust domain"},
        {"spiffe:///a", "no trust domain"},
        {"spiffe://Example.org/a", "upper-case"},
        {"spiffe://example.org:443/a", "port"},
        {"spiffe://user@example.org/a", "user"},
        {"spiffe://user:pw@example.org/a", "user"},
        {"spiffe://ex%61mple.org/a", "percent"},
        {"spiffe://b\xc3\xbc"
         "cher.example/a",
         "character"},
        {"spiffe://[::1]/a", "character"},
        {"spiffe://example.org", "no path"},
        {"spiffe://example.org?a", "no path"},
        {"spiffe://example.org/", "slash"},
        {"spiffe://example.org/a/", "slash"},
        {"spiffe://example.org//a", "empty segment"},
        {"spiffe://example.org/a//b", "empty segment"},
        {"spiffe://example.org/.", "'.'"},
        {"spiffe://example.org/./a", "'.'"},
        {"spiffe://example.org/a/..", "'..'"},
        {"spiffe://example.org/../a", "'..'"},
        {"spiffe://example.org/a?b=c", "query"},
        {"spiffe://example.org/a#b", "fragment"},
        {"spiffe://example.org/%61", "percent"},
        {"spiffe://example.org/a b", "character"},
        {"spiffe://example.org/a:b", "character"},
        {"spiffe://example.org/\xc3\xbc", "character"},
        {"spiffe://example.org/a\n", "character"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        assert_true(spiffe_is_meant(rows[i].id));
        if (!spiffe_check(rows[i].id))
            fail_msg("%s passes", rows[i].id);
        assert_contains(spiffe_check(rows[i].id), rows[i].why);
    }
}

static char *repeat(const char *head, char c, size_t n, const char *tail)
{
    const size_t before = strlen(head);
    char *text = malloc(before + n + strlen(tail) + 1);

    assert_non_null(text);
    memcpy(text, head, before);
    memset(text + before, c, n);
    strcpy(text + before + n, tail);
    return text;
}

static void lengths_are_bounded(void **state)
{
    const size_t head = strlen("spiffe://a/");
    char *rows[] = {repeat("spiffe://a/", 'x', SPIFFE_ID_MAX - head, ""),
                    repeat("spiffe://", 'x', SPIFFE_DOMAIN_MAX, "/a"),
                    repeat("spiffe://a/", 'x', SPIFFE_ID_MAX - head + 1, ""),
                    repeat("spiffe://", 'x', SPIFFE_DOMAIN_MAX + 1, "/a")};
    size_t i;

    (void)state;
    assert_null(spiffe_check(rows[0]));
    assert_null(spiffe_check(rows[1]));
    assert_contains(spiffe_check(rows[2]), "2048");
    assert_contains(spiffe_check(rows[3]), "255");
    for (i = 0; i < COUNT(rows); i++)
        free(rows[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_of_workloads_are_taken),
        cmocka_unit_test(every_other_spelling_is_an_error),
        cmocka_unit_test(lengths_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
