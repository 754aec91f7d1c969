/* config/diag: all faults of all files, each with its place, each once. */
#include "config/diag.h"

#include <stdlib.h>
#include <string.h>

#include "help.h"

static char *print(struct diag_list *p)
{
    char *text = NULL;
    size_t n;
    FILE *to = open_memstream(&text, &n);

    assert_non_null(to);
    diag_print(p, to);
    fclose(to);
    return text;
}

static void problems_are_printed_by_file_and_line(void **state)
{
    struct diag_list p = {0};
    char *text;

    (void)state;
    text = print(&p);
    assert_string_equal(text, "");
    free(text);
    diag_add(&p, (struct location){"b.conf", 2}, "second");
    diag_add(&p, (struct location){"a.conf", 9}, "ninth, %d", 1);
    diag_add(&p, (struct location){"a.conf", 0}, "whole");
    diag_add(&p, (struct location){"b.conf", 1}, "first");
    diag_add(&p, (struct location){"a.conf", 9}, "ninth, 2");
    text = print(&p);
    assert_string_equal(text, "a.conf: whole\na.conf:9: ninth, 1\na.conf:9: ninth, 2\n"
                              "b.conf:1: first\nb.conf:2: second\n");
    free(text);
    diag_free(&p);
    assert_int_equal(p.count, 0);
}

static void a_problem_that_many_sections_inherit_is_said_once(void **state)
{
    struct diag_list p = {0};
    int i;

    (void)state;
    for (i = 0; i < 5; i++)
        diag_add(&p, (struct location){"a.conf", 3}, "bad %s", "list");
    diag_add(&p, (struct location){"a.conf", 4}, "bad list");
    diag_add(&p, (struct location){"b.conf", 3}, "bad list");
    diag_add(&p, (struct location){"a.conf", 3}, "another");
    assert_int_equal(p.count, 4);
    diag_free(&p);
}

static void quoted_bytes_cannot_forge_a_line(void **state)
{
    struct diag_list p = {0};
    char *text;

    (void)state;
    diag_add(&p, (struct location){"a.conf", 1}, "unknown key '%s'", "x\nb.conf:1: y\x1b[m\xff");
    text = print(&p);
    assert_string_equal(text, "a.conf:1: unknown key 'x\\nb.conf:1: y\\x1b[m\\xff'\n");
    free(text);
    diag_free(&p);
}

/* As many as a file of junk makes, each known from the others. */
static void many_problems_are_each_said_once(void **state)
{
    struct diag_list p = {0};
    unsigned i;

    (void)state;
    for (i = 0; i < 60000; i++)
        diag_add(&p, (struct location){.file = "x.conf", .line = i / 3}, "%s", i % 3 ? "a" : "b");
    assert_int_equal(p.count, 40000);
    assert_int_equal(p.items[1].line, 0);
    assert_string_equal(p.items[1].text, "a");
    diag_free(&p);
    diag_add(&p, (struct location){.file = "x.conf", .line = 1}, "a");
    assert_int_equal(p.count, 1);
    diag_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(problems_are_printed_by_file_and_line),
        cmocka_unit_test(a_problem_that_many_sections_inherit_is_said_once),
        cmocka_unit_test(quoted_bytes_cannot_forge_a_line),
        cmocka_unit_test(many_problems_are_each_said_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
