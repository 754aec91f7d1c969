/* tls/tls, tls/peer: the server of an open connection is judged again. */
#include "tls/tls.h"

#include <string.h>

#include "channel.h"
#include "config/loader.h"
#include "help.h"
#include "trust/trust.h"

static struct policy *make_policy(const char *pin, const char *more, struct config **config)
{
    struct diag_list diags = {0};
    struct policy *policy;
    char text[1024];

    snprintf(text, sizeof(text), "[a.example]\npin = %s\n%s\n", pin, more);
    *config = config_parse("again.conf", text, strlen(text), &diags);
    policy = policy_new((*config)->sections[0], channel_anchors, NULL, &diags);
    diag_print(&diags, stderr);
    assert_int_equal(diags.count, 0);
    return policy;
}

/* Expects that neither gate of an open connection works after this judgement. */
static void expect_refused(const char *pin, const char *more, int64_t now, enum reason reason)
{
    struct channel *w = channel_open(&(struct channel_setup){.version = 0});
    struct config *config;
    struct policy *policy = make_policy(pin, more, &config);
    uint8_t bytes[16];
    const char *detail;
    size_t n;

    SSL_write(w->server, "secret", 6);
    assert_int_equal(tls_judge_again(w->tls, policy, now), TLS_FAILED);
    assert_int_equal(tls_failure(w->tls, &detail), reason);
    assert_int_equal(tls_write(w->tls, (const uint8_t *)"secret", 6), TLS_FAILED);
    assert_int_equal(tls_read(w->tls, bytes, sizeof(bytes), &n), TLS_FAILED);
    assert_int_equal(n, 0);
    assert_int_equal(tls_judge_again(w->tls, w->policy, CERTS_NOW), TLS_FAILED);
    channel_carry(w);
    assert_int_equal(w->seen_len, 0);
    channel_free(w);
    policy_free(policy);
    config_free(config);
}

static void a_server_that_is_no_longer_trusted_gets_no_byte(void **state)
{
    const char *pin = certs_key_pin(&channel_certs.pinned);
    char text[256];

    (void)state;
    expect_refused(certs_key_pin(&channel_certs.other), "", CERTS_NOW, REASON_PIN_MISMATCH);
    snprintf(text, sizeof(text), "revoked = %s", pin);
    expect_refused(pin, text, CERTS_NOW, REASON_REVOKED);
    snprintf(text, sizeof(text), "%s until=2001-01-01", pin);
    expect_refused(text, "", CERTS_NOW, REASON_EXPIRED_PINS);
    expect_refused(pin, "also_check = dates", CERTS_NOW + INT64_C(86400) * 36500, REASON_DATES);
}

static void a_server_that_is_still_trusted_stays_usable(void **state)
{
    struct channel *w = channel_open(&(struct channel_setup){.version = 0});
    struct config *config;
    char pins[256];
    struct policy *policy;

    (void)state;
    snprintf(pins, sizeof(pins), "%s\n  %s name=now", certs_key_pin(&channel_certs.other),
             certs_key_pin(&channel_certs.pinned));
    policy = make_policy(pins, "", &config);
    assert_int_equal(tls_judge_again(w->tls, policy, CERTS_NOW), TLS_OK);
    policy_free(w->policy); /* it is not used any more */
    w->policy = NULL;
    assert_ptr_equal(tls_verdict(w->tls)->pin, &config->sections[0]->pins.items[1]);
    SSL_write(w->server, "hello", 5);
    channel_pump(w);
    assert_int_equal(w->got_len, 5);
    assert_int_equal(tls_write(w->tls, (const uint8_t *)"hello", 5), TLS_OK);
    channel_carry(w);
    assert_int_equal(w->seen_len, 5);
    channel_free(w);
    policy_free(policy);
    config_free(config);
}

static void a_connection_that_is_not_open_is_not_opened_by_it(void **state)
{
    struct channel *w = channel_new(&(struct channel_setup){.version = 0}, NULL);

    (void)state;
    channel_turn(w);
    assert_false(w->open);
    assert_int_equal(tls_judge_again(w->tls, w->policy, CERTS_NOW), TLS_FAILED);
    assert_int_equal(tls_write(w->tls, (const uint8_t *)"hello", 5), TLS_FAILED);
    channel_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_is_no_longer_trusted_gets_no_byte),
        cmocka_unit_test(a_server_that_is_still_trusted_stays_usable),
        cmocka_unit_test(a_connection_that_is_not_open_is_not_opened_by_it),
    };

    return cmocka_run_group_tests(tests, channel_group_setup, channel_group_teardown);
}
