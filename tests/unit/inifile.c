/* config/inifile: what is written is what is read, or an error with its line; nothing between. */
#include "config/inifile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "entries.h"
#include "help.h"

static void expect(const char *text, const char *want)
{
    struct entries r;
    char *got;

    entries_parse(&r, text, strlen(text));
    if (r.diags.count)
        fail_msg("%s:%u: %s", text, r.diags.items[0].line, r.diags.items[0].text);
    got = entries_outline(&r.file);
    assert_string_equal(got, want);
    free(got);
    entries_done(&r);
}

static void refuse_bytes(const char *text, size_t n, unsigned line, const char *part)
{
    struct entries r;

    entries_parse(&r, text, n);
    if (r.diags.count == 0)
        fail_msg("taken: %s", text);
    assert_int_equal(r.diags.items[0].line, line);
    assert_string_equal(r.diags.items[0].file, "x.conf");
    assert_contains(r.diags.items[0].text, part);
    entries_done(&r);
}

static void refuse(const char *text, unsigned line, const char *part)
{
    refuse_bytes(text, strlen(text), line, part);
}

static void entries_come_with_their_lines(void **state)
{
    (void)state;
    expect("", "");
    expect("\n\n", "");
    expect("[a]\nk = v\n\n[b]\nk: w\n", "1[a] 2k=v 4[b] 5k=w");
    expect("[a]\nk=v", "1[a] 2k=v");
    expect("[a]\r\nk = v\r\n", "1[a] 2k=v");
    expect("\xef\xbb\xbf[a]\nk = v\n", "1[a] 2k=v");
    expect("\xef\xbb\xbf; comment\n[a]\nk = v\n", "2[a] 3k=v");
    expect("[a]\nk =\n", "1[a] 2k=");
    expect("[a]\nk = a = b : c\n", "1[a] 2k=a = b : c");
    expect("[ a b ]\nlong key = v\n", "1[a b] 2long key=v");
    expect("  [a]\nk = v\n", "1[a] 2k=v");
    expect("[empty]\n[other]\n", "1[empty] 2[other]");
    expect("[::1]\nk = v\n", "1[::1] 2k=v");
}

static void comments_are_not_values(void **state)
{
    (void)state;
    expect("; c\n# c\n[a] ; c\n  # c\n  ; c\nk = v ; c\n", "3[a] 6k=v");
    expect("[a] # c\nk = v\n", "1[a] 2k=v");
    expect("[a];c\nk = v\n", "1[a] 2k=v");
    expect("[a]\nk = v;w\n", "1[a] 2k=v;w");
    expect("[a]\nk = v # w\n", "1[a] 2k=v # w");
    expect("[a]\nk = v\t;c\n", "1[a] 2k=v");
    expect("[a]\nk = ; c\n", "1[a] 2k=");
    expect("[a]\nk = v\n  w ; c\n  ; c\n  # c\n  x;y\n", "1[a] 2k=v 3k+=w 6k+=x;y");
}

/* Only a semicolon with a space before it starts a comment. */
static void a_value_that_starts_with_a_semicolon_is_not_dropped(void **state)
{
    struct entries r;

    (void)state;
    entries_parse(&r, "[a]\nk =;v\n", 10);
    if (r.diags.count == 0) {
        assert_int_equal(r.file.count, 2);
        assert_string_equal(r.file.entries[1].value, ";v");
    }
    entries_done(&r);
}

static void indented_lines_go_on_with_the_key(void **state)
{
    (void)state;
    expect("[a]\nk = v\n  w\n\n\tx = y\n  [::1]\nl = 1\n  2\n  [::1]:1 ; c\n",
           "1[a] 2k=v 3k+=w 5k+=x = y 6k+=[::1] 7l=1 8l+=2 9l+=[::1]:1");
    expect("[a]\nk =\n  v\n", "1[a] 2k= 3k+=v");
    expect("[a]\r\nk = v\r\n  w\r\n", "1[a] 2k=v 3k+=w");
    /* a new section ends it */
    expect("[a]\nk = v\n[b]\nl = w\n  x\n", "1[a] 2k=v 3[b] 4l=w 5l+=x");
}

/* And is read all the same, for the rest of the file to be judged as it was meant. */
static void an_option_that_is_indented_by_mistake_is_reported(void **state)
{
    static const char text[] = "[a]\n\tk = v\n  w\n\t[b] ; c\nl = 1\n  [c]\n\t m = 2\n";
    struct entries r;
    char *got;
    size_t i;

    (void)state;
    refuse("[a]\n  k = v\n", 2, "this option is indented");
    refuse("[a]\nk = v\n\t[b]\n", 3, "this section header is indented");
    refuse("[a]\nk = v\n  [b]#\n", 3, "this section header is indented");
    entries_parse(&r, text, strlen(text));
    assert_int_equal(r.diags.count, 4);
    for (i = 0; i < r.diags.count; i++)
        assert_contains(r.diags.items[i].text, "is indented");
    got = entries_outline(&r.file);
    assert_string_equal(got, "1[a] 2k=v 3k+=w 4[b] 5l=1 6[c] 7m=2");
    free(got);
    entries_done(&r);
}

/* What a list written on one line would lose. */
static void a_comment_comes_with_its_value(void **state)
{
    static const char *const want[] = {NULL, "; c ; d", NULL, "; e", ";", NULL, "; f"};
    static const char text[] = "[a] ; h\nk = v ; c ; d\nl = v;w\nk = v\t; e  \n"
                               "  w ;\nk = v\nk = \t; f\n";
    struct entries r;
    size_t i;

    (void)state;
    entries_parse(&r, text, strlen(text));
    assert_int_equal(r.diags.count, 0);
    assert_int_equal(r.file.count, COUNT(want));
    for (i = 0; i < COUNT(want); i++) {
        if (want[i])
            assert_string_equal(r.file.entries[i].comment, want[i]);
        else
            assert_null(r.file.entries[i].comment);
    }
    entries_done(&r);
}

static void what_is_no_line_is_an_error(void **state)
{
    (void)state;
    refuse("[a]\nk = v\nnonsense\n", 3, "expected 'OPTION = VALUE'");
    refuse("[a\nk = v\n", 1, "without ']'");
    refuse("[a] k = v\n", 1, "only a comment may follow");
    refuse("[a]]\n", 1, "only a comment may follow");
    refuse("[]\n", 1, "without a name");
    refuse("[  ]\n", 1, "without a name");
    refuse("[a]\n= v\n", 2, "no option name");
    refuse("[a]\n: v\n", 2, "no option name");
    refuse("k = v\n[a]\n", 1, "before the first");
    refuse("[a]\n[::\n", 2, "without ']'");
    refuse("[a]\n\n\nk ; = v\n", 4, "expected");
    refuse("[a]\nk = v\n\xef\xbb\xbfl = w\nnonsense\n", 4, "expected");
}

static void a_semicolon_inside_of_a_head_is_an_error(void **state)
{
    struct entries r;
    static const char text[] = "[a ;b]\nk = v\nnonsense\n";

    (void)state;
    refuse("\n[a ;b]\nk = v\n", 2, "");
    /* and it is told even when it is not the only fault */
    entries_parse(&r, text, strlen(text));
    assert_int_equal(r.diags.count, 2);
    entries_done(&r);
}

/* A bad head takes the keys below it with it: they belong to no other section. */
static void keys_below_a_bad_head_are_nobodys(void **state)
{
    static const char text[] = "[a]\nk = 1\n[b\nk = 2\n  3\nl = 4\n[c]\nm = 5\n";
    struct entries r;
    char *got;

    (void)state;
    entries_parse(&r, text, strlen(text));
    assert_int_equal(r.diags.count, 1);
    assert_int_equal(r.diags.items[0].line, 3);
    got = entries_outline(&r.file);
    assert_string_equal(got, "1[a] 2k=1 7[c] 8m=5");
    free(got);
    entries_done(&r);

    /* one fault is told once, also in the first section */
    entries_parse(&r, "[a\nk = 1\n", 9);
    assert_int_equal(r.diags.count, 1);
    entries_done(&r);
}

static void a_nul_byte_is_an_error(void **state)
{
    static const char first[] = "\0[a]\n", middle[] = "[a]\nk = v\0w\n", last[] = "[a]\nk = v\0";
    static const char comment[] = "[a]\n; x\0y\nk = v\n";

    (void)state;
    refuse_bytes(first, sizeof(first) - 1, 1, "NUL");
    refuse_bytes(middle, sizeof(middle) - 1, 2, "NUL");
    refuse_bytes(last, sizeof(last) - 1, 2, "NUL");
    refuse_bytes(comment, sizeof(comment) - 1, 2, "NUL");
}

/* What an editor shows as a line of its own must not be part of a comment, or of a value. */
static void a_carriage_return_ends_no_line(void **state)
{
    (void)state;
    expect("[a]\r\nk = v\r\n", "1[a] 2k=v");
    expect("[a]\r\r\nk = v \r", "1[a] 2k=v");
    refuse("; comment\r[a]\rk = v\r", 1, "carriage return");
    refuse("[a]\n; comment\rk = v\n", 2, "carriage return");
    refuse("[a]\nk = v ; comment\rl = w\n", 2, "carriage return");
    refuse("[a]\nk = v\rl = w\n", 2, "carriage return");
}

/* A line of n bytes, of one of several kinds, with an end. */
static void try_line(const char *start, size_t n, const char *end, bool fits)
{
    struct strbuf text = {0};
    struct entries r;
    size_t value = n - strlen(start);

    strbuf_add(&text, "[a]\nz = 1\n");
    strbuf_add(&text, start);
    while (text.len < 10 + n)
        strbuf_add(&text, "x");
    strbuf_add(&text, end);
    entries_parse(&r, text.data, text.len);
    if (fits) {
        assert_int_equal(r.diags.count, 0);
        assert_int_equal(r.file.count, 3);
        assert_int_equal(r.file.entries[2].where.line, 3);
        assert_int_equal(strlen(r.file.entries[2].value), value);
        assert_int_equal(strspn(r.file.entries[2].value, "x"), value);
    } else {
        assert_int_equal(r.diags.count, 1);
        assert_int_equal(r.diags.items[0].line, 3);
        assert_contains(r.diags.items[0].text, "the maximum is 199");
        assert_int_equal(r.file.count, 2);
    }
    entries_done(&r);
    strbuf_free(&text);
}

static void a_line_is_whole_up_to_199_bytes_and_an_error_beyond(void **state)
{
    static const char *const starts[] = {"k = ", "   ", "k="};
    size_t i, n;

    (void)state;
    for (i = 0; i < COUNT(starts); i++) {
        for (n = 190; n < 210; n++) {
            try_line(starts[i], n, "\n", n <= 199);
            try_line(starts[i], n, "", n <= 199);
            try_line(starts[i], n, "\r\n", n + 1 <= 199);
            try_line(starts[i], n, " ; c\n", n + 4 <= 199);
        }
        for (n = 390; n < 410; n++)
            try_line(starts[i], n, "\n", false);
    }
}

static void a_section_name_is_whole_up_to_49_bytes_and_an_error_beyond(void **state)
{
    size_t n;

    (void)state;
    for (n = 45; n < 54; n++) {
        char name[64] = {0}, text[128];
        struct entries r;

        memset(name, 'n', n);
        snprintf(text, sizeof(text), "[%s]\nk = v\n", name);
        entries_parse(&r, text, strlen(text));
        if (n <= 49) {
            assert_int_equal(r.diags.count, 0);
            assert_string_equal(r.file.entries[1].section, name);
        } else {
            assert_true(r.diags.count > 0);
            assert_int_equal(r.diags.items[0].line, 1);
            assert_contains(r.diags.items[0].text, "host = n");
            assert_int_equal(r.file.count, 0);
        }
        entries_done(&r);
    }
}

static void a_key_is_whole_up_to_49_bytes_and_an_error_beyond(void **state)
{
    size_t n;

    (void)state;
    for (n = 45; n < 54; n++) {
        char key[64] = {0}, text[128];
        struct entries r;

        memset(key, 'k', n);
        snprintf(text, sizeof(text), "[a]\n%s = v\n  w\n", key);
        entries_parse(&r, text, strlen(text));
        if (n <= 49) {
            assert_int_equal(r.diags.count, 0);
            assert_string_equal(r.file.entries[1].key, key);
            assert_string_equal(r.file.entries[2].key, key);
        } else {
            assert_true(r.diags.count > 0);
            assert_int_equal(r.diags.items[0].line, 2);
        }
        entries_done(&r);
    }
}

static void files_that_cannot_be_read_are_said(void **state)
{
    struct entries r = {0};

    (void)state;
    inifile_read(temp_path("none.conf"), FILE_CONFIGURED, &r.arena, &r.file, &r.diags);
    assert_int_equal(r.diags.count, 1);
    assert_string_equal(r.diags.items[0].file, temp_path("none.conf"));
    assert_int_equal(r.diags.items[0].line, 0);
    assert_contains(r.diags.items[0].text, "No such file");
    entries_done(&r);

    memset(&r, 0, sizeof(r));
    inifile_read(temp_text("x.conf", "[a]\nk = v\n"), FILE_CONFIGURED, &r.arena, &r.file, &r.diags);
    assert_int_equal(r.diags.count, 0);
    assert_int_equal(r.file.count, 2);
    entries_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_with_their_lines),
        cmocka_unit_test(comments_are_not_values),
        cmocka_unit_test(a_value_that_starts_with_a_semicolon_is_not_dropped),
        cmocka_unit_test(indented_lines_go_on_with_the_key),
        cmocka_unit_test(an_option_that_is_indented_by_mistake_is_reported),
        cmocka_unit_test(a_comment_comes_with_its_value),
        cmocka_unit_test(what_is_no_line_is_an_error),
        cmocka_unit_test(a_semicolon_inside_of_a_head_is_an_error),
        cmocka_unit_test(keys_below_a_bad_head_are_nobodys),
        cmocka_unit_test(a_nul_byte_is_an_error),
        cmocka_unit_test(a_carriage_return_ends_no_line),
        cmocka_unit_test(a_line_is_whole_up_to_199_bytes_and_an_error_beyond),
        cmocka_unit_test(a_section_name_is_whole_up_to_49_bytes_and_an_error_beyond),
        cmocka_unit_test(a_key_is_whole_up_to_49_bytes_and_an_error_beyond),
        cmocka_unit_test(files_that_cannot_be_read_are_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
