/* config/words: a command is split as a shell splits it, and nothing is expanded. */
#include "config/words.h"

#include <string.h>

#include "base/mem.h"
#include "help.h"

static void words_are_split_as_in_a_shell(void **state)
{
    static const struct {
        const char *text;
        const char *words[6];
    } rows[] = {
        {"a", {"a"}},
        {"  a \t b\n", {"a", "b"}},
        {"ssh -W db:5432 gate", {"ssh", "-W", "db:5432", "gate"}},
        {"'a b' c", {"a b", "c"}},
        {"\"a b\"c 'd'\\''e'", {"a bc", "d'e"}},
        {"a\\ b \\\\ \\'", {"a b", "\\", "'"}},
        {"\"\\\"\\\\\\$\\`\\n\"", {"\"\\$`\\n"}},
        {"'\\n\"'", {"\\n\""}},
        {"'' \"\" x", {"", "", "x"}},
        {"$HOME ~ * | > & ; `id` $(id) {a,b}", {"$HOME", "~", "*", "|", ">", "&"}},
        {"a'b\"c'd\"e'f\"", {"ab\"cde'f"}},
        {"#a", {"#a"}},
    };
    size_t i, k, count;
    const char **argv;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct arena arena = {0};
        const char *why = words_split(rows[i].text, &arena, &argv, &count);

        if (why)
            fail_msg("%s: %s", rows[i].text, why);
        for (k = 0; k < COUNT(rows[i].words) && rows[i].words[k]; k++)
            assert_string_equal(argv[k], rows[i].words[k]);
        if (k < COUNT(rows[i].words))
            assert_int_equal(count, k);
        assert_null(argv[count]);
        arena_free(&arena);
    }
}

static void nothing_is_no_word(void **state)
{
    struct arena arena = {0};
    const char **argv;
    size_t count;

    (void)state;
    assert_null(words_split("", &arena, &argv, &count));
    assert_int_equal(count, 0);
    assert_null(words_split(" \t ", &arena, &argv, &count));
    assert_int_equal(count, 0);
    assert_null(argv[0]);
    arena_free(&arena);
}

static void what_is_not_closed_is_an_error(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"a 'b", "quote"},    {"a \"b", "quote"},  {"a \"b\\\"", "quote"},
        {"a\\", "backslash"}, {"\\", "backslash"},
    };
    struct arena arena = {0};
    const char **argv;
    size_t i, count;

    (void)state;
    for (i = 0; i < COUNT(rows); i++)
        assert_contains(words_split(rows[i].text, &arena, &argv, &count), rows[i].why);
    arena_free(&arena);
}

static void the_number_of_words_has_a_limit(void **state)
{
    char text[2 * (WORDS_MAX + 1) + 1];
    struct arena arena = {0};
    const char **argv;
    size_t i, count;

    (void)state;
    for (i = 0; i < sizeof(text) - 1; i++)
        text[i] = i % 2 ? ' ' : 'a';
    text[2 * WORDS_MAX] = '\0';
    assert_null(words_split(text, &arena, &argv, &count));
    assert_int_equal(count, WORDS_MAX);
    text[2 * WORDS_MAX] = 'a';
    text[2 * WORDS_MAX + 1] = '\0';
    assert_contains(words_split(text, &arena, &argv, &count), "64");
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_split_as_in_a_shell),
        cmocka_unit_test(nothing_is_no_word),
        cmocka_unit_test(what_is_not_closed_is_an_error),
        cmocka_unit_test(the_number_of_words_has_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
