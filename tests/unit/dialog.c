/* dialog/dialog: a list runs to its end whatever the pieces are, and nothing that came is lost. */
#include "dialog/dialog.h"

#include <string.h>

#include "config/section.h"
#include "dialogs.h"
#include "help.h"

static const struct config_section section = {.host = "a.example"};
static const struct dialog_list both = {{&dialog_ask, &dialog_greeting}, 2};

static enum dialog_result feed(struct dialog *d, const char *text)
{
    return dialog_feed(d, &section, (const uint8_t *)text, strlen(text));
}

static void assert_output(const struct dialog *d, const char *text)
{
    const uint8_t *bytes;
    size_t n;

    bytes = dialog_output(d, &n);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(bytes, text, n);
}

/* It is handed over once. */
static void assert_greeting(struct dialog *d, const char *text)
{
    struct strbuf greeting = dialog_take_greeting(d);

    assert_string_equal(strbuf_text(&greeting), text);
    strbuf_free(&greeting);
    greeting = dialog_take_greeting(d);
    assert_int_equal(greeting.len, 0);
}

static struct dialog *start(const struct dialog_list *list, const char *output)
{
    struct dialog *d = dialog_new(list);

    assert_non_null(d);
    assert_int_equal(dialog_feed(d, &section, NULL, 0), DIALOG_MORE);
    assert_output(d, output);
    return d;
}

static void a_dialog_may_speak_first(void **state)
{
    static const struct dialog_list list = {{&dialog_ask}, 1};
    struct dialog *d = start(&list, "ASK a.example\n");

    (void)state;
    assert_ptr_equal(dialog_current(d), &dialog_ask);
    assert_int_equal(feed(d, "OK\n"), DIALOG_DONE);
    assert_output(d, "");
    assert_int_equal(dialog_unread(d), 0);
    dialog_free(d);
}

static void a_dialog_may_wait_for_the_server(void **state)
{
    static const struct dialog_list list = {{&dialog_greeting}, 1};
    struct dialog *d = start(&list, "");

    (void)state;
    assert_int_equal(feed(d, "220 hello\n"), DIALOG_DONE);
    assert_output(d, "START\n");
    dialog_free(d);
}

static void a_list_runs_in_order(void **state)
{
    struct dialog *d = start(&both, "ASK a.example\n");

    (void)state;
    assert_int_equal(feed(d, "OK\n"), DIALOG_MORE);
    assert_output(d, "");
    assert_ptr_equal(dialog_current(d), &dialog_greeting);
    assert_int_equal(feed(d, "220\n"), DIALOG_DONE);
    assert_output(d, "START\n");
    assert_ptr_equal(dialog_current(d), &dialog_greeting);
    dialog_free(d);
}

static void a_server_that_has_sent_nothing_is_an_obstacle(void **state)
{
    static const struct dialog_list smtp = {{&dialog_smtp}, 1};
    struct dialog *d = start(&both, "ASK a.example\n");

    (void)state;
    assert_contains(dialog_obstacle(d), "the proxy has sent nothing");
    feed(d, "O");
    assert_null(dialog_obstacle(d));
    feed(d, "K\n");
    assert_non_null(dialog_obstacle(d));
    feed(d, "2");
    assert_null(dialog_obstacle(d));
    dialog_free(d);
    d = start(&smtp, "");
    assert_contains(dialog_obstacle(d), "remove 'starttls'");
    feed(d, "2");
    assert_null(dialog_obstacle(d));
    dialog_free(d);
}

static void input_may_come_in_any_pieces(void **state)
{
    static const char input[] = "OK\n220 hello\n";
    size_t first, second;
    struct dialog *d;
    char piece[sizeof(input)];

    (void)state;
    for (first = 1; first < sizeof(input) - 1; first++)
        for (second = first; second < sizeof(input) - 1; second++) {
            d = start(&both, "ASK a.example\n");
            memcpy(piece, input, first);
            piece[first] = '\0';
            assert_int_equal(feed(d, piece), DIALOG_MORE);
            memcpy(piece, input + first, second - first);
            piece[second - first] = '\0';
            if (second > first)
                assert_int_equal(feed(d, piece), DIALOG_MORE);
            assert_int_equal(feed(d, input + second), DIALOG_DONE);
            assert_output(d, "START\n");
            assert_greeting(d, "220 hello\n");
            assert_int_equal(dialog_unread(d), 0);
            dialog_free(d);
        }
}

static void what_one_dialog_leaves_is_the_next_ones(void **state)
{
    struct dialog *d = start(&both, "ASK a.example\n");

    (void)state;
    assert_int_equal(feed(d, "OK\n220 hello\n"), DIALOG_DONE);
    assert_output(d, "START\n");
    assert_int_equal(dialog_unread(d), 0);
    dialog_free(d);
}

static void each_dialog_begins_with_a_zeroed_state(void **state)
{
    static const struct dialog_list list = {{&dialog_ask, &dialog_ask}, 2};
    struct dialog *d = start(&list, "ASK a.example\n");

    (void)state;
    assert_int_equal(feed(d, "OK\n"), DIALOG_MORE);
    assert_output(d, "ASK a.example\n");
    assert_int_equal(feed(d, "OK\n"), DIALOG_DONE);
    assert_output(d, "");
    dialog_free(d);
    /* two answers at once: the output of all dialogs of a call is sent */
    d = start(&list, "ASK a.example\n");
    assert_int_equal(feed(d, "OK\nOK\n"), DIALOG_DONE);
    assert_output(d, "ASK a.example\n");
    dialog_free(d);
}

static void what_the_last_dialog_leaves_is_counted(void **state)
{
    struct dialog *d = start(&both, "ASK a.example\n");

    (void)state;
    assert_int_equal(feed(d, "OK\n220\nx"), DIALOG_DONE);
    assert_int_equal(dialog_unread(d), 1);
    dialog_free(d);
}

static void a_refusal_ends_the_list(void **state)
{
    struct dialog *d = start(&both, "ASK a.example\n");

    (void)state;
    assert_string_equal(dialog_detail(d), "");
    assert_int_equal(feed(d, "not you\n220\n"), DIALOG_FAILED);
    assert_string_equal(dialog_detail(d), "not you");
    assert_ptr_equal(dialog_current(d), &dialog_ask);
    assert_output(d, "");
    dialog_free(d);
}

static void too_many_bytes_are_a_failure(void **state)
{
    static const struct dialog_list list = {{&dialog_greeting}, 1};
    static uint8_t bytes[DIALOG_INPUT_MAX];
    struct dialog *d = start(&list, "");

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    /* bytes that were used count as well, or a server could send for as long as it likes */
    assert_int_equal(dialog_feed(d, &section, bytes, sizeof(bytes) - 1), DIALOG_MORE);
    assert_int_equal(dialog_unread(d), 0);
    assert_int_equal(dialog_feed(d, &section, bytes, 1), DIALOG_MORE);
    assert_int_equal(feed(d, "\n"), DIALOG_FAILED);
    assert_contains(dialog_detail(d), "more than 16384 bytes");
    assert_output(d, "");
    dialog_free(d);
    dialog_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dialog_may_speak_first),
        cmocka_unit_test(a_dialog_may_wait_for_the_server),
        cmocka_unit_test(a_list_runs_in_order),
        cmocka_unit_test(a_server_that_has_sent_nothing_is_an_obstacle),
        cmocka_unit_test(input_may_come_in_any_pieces),
        cmocka_unit_test(what_one_dialog_leaves_is_the_next_ones),
        cmocka_unit_test(each_dialog_begins_with_a_zeroed_state),
        cmocka_unit_test(what_the_last_dialog_leaves_is_counted),
        cmocka_unit_test(a_refusal_ends_the_list),
        cmocka_unit_test(too_many_bytes_are_a_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
