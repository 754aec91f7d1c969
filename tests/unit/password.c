/* tls/password: the first line of a file, and who gets it. */
#include "tls/password.h"

#include <openssl/ui.h>
#include <string.h>

#include "help.h"

static void the_first_line_is_the_password(void **state)
{
    static const char *const rows[][2] = {
        {"secret", "secret"},           {"secret\n", "secret"},
        {"secret\r\nmore\n", "secret"}, {" with blanks \nx", " with blanks "},
        {"\xc3\xa9\n", "\xc3\xa9"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct password p = {.known = false};

        assert_null(password_read(temp_text("password", rows[i][0]), &p));
        assert_true(p.known);
        assert_string_equal(p.text, rows[i][1]);
        assert_int_equal(p.len, strlen(rows[i][1]));
        password_wipe(&p);
        assert_false(p.known);
        assert_int_equal(p.text[0], 0);
    }
}

static void a_line_that_is_no_password_is_refused(void **state)
{
    char text[PASSWORD_MAX + 2];
    struct password p = {.known = false};

    (void)state;
    assert_non_null(password_read(temp_text("password", ""), &p));
    assert_non_null(password_read(temp_text("password", "\nsecret"), &p));
    assert_non_null(password_read(temp_text("password", "\r\n"), &p));
    assert_non_null(password_read(temp_file("password", "a\0b", 3), &p));
    assert_non_null(password_read(temp_path("no-such-file"), &p));
    memset(text, 'x', sizeof(text));
    assert_non_null(password_read(temp_file("password", text, PASSWORD_MAX + 1), &p));
    assert_false(p.known);
    assert_null(password_read(temp_file("password", text, PASSWORD_MAX), &p));
    assert_int_equal(p.len, PASSWORD_MAX);
}

static void a_buffer_that_is_too_small_gets_nothing(void **state)
{
    struct password p = {.text = "secret", .len = 6, .known = true}, none = {.known = false};
    char buf[8] = "";

    (void)state;
    assert_int_equal(password_callback(buf, 5, 0, &p), -1);
    assert_int_equal(buf[0], 0);
    assert_int_equal(password_callback(buf, 6, 0, &p), 6);
    assert_memory_equal(buf, "secret", 6);
    assert_true(p.wanted);
    assert_int_equal(password_callback(buf, sizeof(buf), 0, &none), -1);
    assert_true(none.wanted);
}

/* Asks for a PIN as a token does. Returns the answer, or NULL if there is none. */
static const char *ask(UI_METHOD *method)
{
    static char answer[32];
    UI *ui = UI_new_method(method);
    int result;

    memset(answer, 0, sizeof(answer));
    assert_non_null(ui);
    assert_true(UI_add_input_string(ui, "PIN:", 0, answer, 1, sizeof(answer) - 1) >= 0);
    result = UI_process(ui);
    UI_free(ui);
    return result == 0 ? answer : NULL;
}

static void a_pin_is_given_only_while_it_is_set(void **state)
{
    struct password p = {.text = "1234", .len = 4, .known = true};

    (void)state;
    assert_non_null(password_ui());
    assert_null(ask(password_ui()));
    password_set_current(&p);
    assert_string_equal(ask(password_ui()), "1234");
    /* a provider that has no method of its own */
    assert_string_equal(ask(NULL), "1234");
    password_set_current(NULL);
    assert_null(ask(password_ui()));
    assert_null(ask(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_line_is_the_password),
        cmocka_unit_test(a_line_that_is_no_password_is_refused),
        cmocka_unit_test(a_buffer_that_is_too_small_gets_nothing),
        cmocka_unit_test(a_pin_is_given_only_while_it_is_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
