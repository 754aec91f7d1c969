/* base/reason: the one table of endings. */
#include "base/reason.h"

#include <string.h>

#include "help.h"

static void two_reasons_never_share_a_name(void **state)
{
    int i, j;

    (void)state;
    for (i = 0; i < REASON_COUNT; i++)
        for (j = i + 1; j < REASON_COUNT; j++)
            assert_string_not_equal(reason_name((enum reason)i), reason_name((enum reason)j));
}

/* They are metric labels and exit texts. */
static void names_are_words_and_texts_are_phrases(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < REASON_COUNT; i++) {
        const char *name = reason_name((enum reason)i), *text = reason_text((enum reason)i);

        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
        assert_true(strlen(name) > 0 && strlen(text) > 0);
        assert_null(strpbrk(text, "\n\"\\"));
        assert_true(text[strlen(text) - 1] != '.');
    }
}

/* SPEC 6: whose fault it is decides the level. */
static void every_reason_has_the_event_and_level_of_its_kind(void **state)
{
    static const struct {
        enum reason reason;
        const char *event;
        enum log_level level;
    } rows[] = {
        {REASON_OK, "tunnel_close", LOG_LEVEL_INFO},
        {REASON_CLIENT_RESET, "tunnel_close", LOG_LEVEL_INFO},
        {REASON_RESOLVE, "upstream_error", LOG_LEVEL_WARNING},
        {REASON_LOOP, "upstream_error", LOG_LEVEL_WARNING},
        {REASON_TLS, "upstream_error", LOG_LEVEL_WARNING},
        {REASON_TRUNCATED, "truncated", LOG_LEVEL_WARNING},
        {REASON_PIN_MISMATCH, "pin_mismatch", LOG_LEVEL_ERROR},
        {REASON_REVOKED, "refused", LOG_LEVEL_WARNING},
        {REASON_TLS_FROM_CLIENT, "refused", LOG_LEVEL_WARNING},
        {REASON_FILES, "limit", LOG_LEVEL_WARNING},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        assert_string_equal(reason_event(rows[i].reason), rows[i].event);
        assert_int_equal(reason_level(rows[i].reason), rows[i].level);
    }
    for (i = 0; i < REASON_COUNT; i++) {
        assert_non_null(reason_event((enum reason)i));
        assert_true(reason_level((enum reason)i) >= LOG_LEVEL_ERROR);
    }
}

/* Exit status 3 is for verdicts about the server, and for all of them. */
static void only_verdicts_about_the_server_count_as_trust(void **state)
{
    static const enum reason trust[] = {
        REASON_PIN_MISMATCH, REASON_EXPIRED_PINS, REASON_REVOKED, REASON_PKI,
        REASON_WEAK,         REASON_NAME,         REASON_DATES,   REASON_PROBE_ONLY,
        REASON_TOFU_CHANGED, REASON_FIRST_USE,    REASON_UNSAVED, REASON_PIN_REMOVED,
        REASON_RAW_KEY,
    };
    size_t i, found = 0;

    (void)state;
    for (i = 0; i < COUNT(trust); i++)
        assert_true(reason_is_trust(trust[i]));
    for (i = 0; i < REASON_COUNT; i++)
        found += reason_is_trust((enum reason)i);
    assert_int_equal(found, COUNT(trust));
}

static void a_verdict_about_the_server_is_logged_as_a_refusal(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < REASON_COUNT; i++)
        if (reason_is_trust((enum reason)i))
            assert_true(reason_kind((enum reason)i) == REASON_KIND_MISMATCH
                        || reason_kind((enum reason)i) == REASON_KIND_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_reasons_never_share_a_name),
        cmocka_unit_test(names_are_words_and_texts_are_phrases),
        cmocka_unit_test(every_reason_has_the_event_and_level_of_its_kind),
        cmocka_unit_test(only_verdicts_about_the_server_count_as_trust),
        cmocka_unit_test(a_verdict_about_the_server_is_logged_as_a_refusal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
