/* proxy/connlog: each event has its fields, before there is a section or a server too. */
#include "proxy/connlog.h"

#include <stdlib.h>
#include <string.h>

#include "config/loader.h"
#include "help.h"

#define PIN "pin = sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=\n"

static struct snapshot *make(const char *text)
{
    struct diag_list diags = {0};
    struct config *c = config_parse(temp_path("test.conf"), text, strlen(text), &diags);
    struct snapshot *s = snapshot_new(c, NULL, &diags);

    assert_int_equal(diags.count, 0);
    assert_non_null(s);
    return s;
}

static struct addr address(const char *ip, uint16_t port)
{
    struct addr a;

    assert_true(addr_from_ip(&a, ip, port));
    return a;
}

static void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("'%s' is in: %s", part, text);
}

static void a_front_logs_a_refusal_before_there_is_a_section(void **state)
{
    const struct addr client = address("192.0.2.7", 1234);
    char *text;

    (void)state;
    capture_start();
    connlog_failed(&(struct connlog){.name = "proxy", .client = &client}, REASON_TLS_FROM_CLIENT,
                   "");
    text = capture_end();
    assert_contains(text, "event=refused");
    assert_contains(text, "section=proxy");
    assert_contains(text, "reason=tls_from_client");
    assert_contains(text, reason_text(REASON_TLS_FROM_CLIENT));
    assert_contains(text, "client=192.0.2.7:1234");
    assert_lacks(text, "upstream=");
    free(text);
}

static void the_upstream_is_the_host_until_there_is_an_address(void **state)
{
    struct snapshot *s = make("[a.example]\nport = 8443\n" PIN);
    struct addr peer = {0};
    struct connlog c = {.name = "a.example", .section = &s->sections[0], .peer = &peer};
    char *text;

    (void)state;
    capture_start();
    connlog_failed(&c, REASON_RESOLVE, "no such name");
    text = capture_end();
    assert_contains(text, "event=upstream_error");
    assert_contains(text, "upstream=a.example:8443");
    assert_contains(text, "detail=\"no such name\"");
    assert_lacks(text, "client=");
    free(text);

    peer = address("2001:db8::1", 443);
    capture_start();
    connlog_failed(&c, REASON_TLS, NULL);
    text = capture_end();
    assert_contains(text, "upstream=[2001:db8::1]:443");
    assert_lacks(text, "a.example:8443");
    free(text);
    snapshot_release(s);
}

static void an_ordinary_end_is_no_failure(void **state)
{
    static const enum reason ends[] = {REASON_OK, REASON_IDLE, REASON_DRAINED, REASON_CLIENT_RESET};
    char *text;
    size_t i;

    (void)state;
    capture_start();
    for (i = 0; i < COUNT(ends); i++)
        connlog_failed(&(struct connlog){.name = "a.example"}, ends[i], "words");
    text = capture_end();
    assert_string_equal(text, "");
    free(text);
}

static void a_tunnel_that_had_opened_shows_its_totals(void **state)
{
    const struct connlog_totals totals = {.sent = 11, .received = 22, .ms = 33};
    char *text;

    (void)state;
    capture_start();
    connlog_ended(&(struct connlog){.name = "a.example"}, true, REASON_DRAINED, "why", &totals);
    connlog_ended(&(struct connlog){.name = "b.example"}, true, REASON_TRUNCATED, "once", &totals);
    text = capture_end();
    assert_contains(text, "event=tunnel_close section=a.example sent=11 received=22 ms=33 "
                          "reason=drained detail=why");
    /* truncated has its own event, which has the detail */
    assert_contains(text, "event=truncated section=b.example detail=once");
    assert_contains(text, "section=b.example sent=11 received=22 ms=33 reason=truncated\n");
    free(text);
}

static void a_tunnel_that_never_opened_leaves_one_event(void **state)
{
    const struct connlog_totals totals = {.ms = 33};
    char *text;

    (void)state;
    capture_start();
    connlog_ended(&(struct connlog){.name = "a.example"}, false, REASON_CONNECT, "", &totals);
    connlog_ended(&(struct connlog){.name = "b.example"}, false, REASON_CLIENT_RESET, "", &totals);
    text = capture_end();
    assert_contains(text, "event=upstream_error section=a.example");
    assert_lacks(text, "event=tunnel_close section=a.example");
    assert_contains(text, "event=tunnel_close section=b.example");
    free(text);
}

static void a_limit_names_what_ran_out(void **state)
{
    char *text;

    (void)state;
    capture_start();
    connlog_limit("c.example", REASON_MEMORY, NULL);
    connlog_limit(NULL, REASON_FILES, "too few");
    text = capture_end();
    assert_contains(text, "level=warning event=limit section=c.example what=memory detail=");
    assert_contains(text, reason_text(REASON_MEMORY));
    assert_contains(text, "event=limit what=files detail=\"too few\"");
    free(text);
}

static void a_learned_key_is_shown_with_its_origin(void **state)
{
    const uint8_t digest[CERT_DIGEST_SIZE] = {1, 2, 3};
    char pin[PIN_KEY_TEXT_SIZE], *text;

    (void)state;
    pin_format_key(digest, pin);
    capture_start();
    connlog_learned("d.example", digest, LEARNED_TOFU, "d.example:443", 0);
    connlog_learned("e.example", digest, LEARNED_PINS_URL, NULL, INT64_C(1800057600));
    text = capture_end();
    assert_contains(text, "level=notice event=learned section=d.example");
    assert_contains(text, pin);
    assert_contains(text, "from=tofu place=d.example:443\n");
    assert_contains(text, "from=pins_url until=2027-01-16\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_front_logs_a_refusal_before_there_is_a_section),
        cmocka_unit_test(the_upstream_is_the_host_until_there_is_an_address),
        cmocka_unit_test(an_ordinary_end_is_no_failure),
        cmocka_unit_test(a_tunnel_that_had_opened_shows_its_totals),
        cmocka_unit_test(a_tunnel_that_never_opened_leaves_one_event),
        cmocka_unit_test(a_limit_names_what_ran_out),
        cmocka_unit_test(a_learned_key_is_shown_with_its_origin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
