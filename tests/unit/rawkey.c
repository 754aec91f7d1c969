/*
 * tls/rawkey: raw public keys in place of certificates. With a library before 3.2 only the first
 * test has something to test, and the others are left out.
 */
#include "tls/rawkey.h"

#include <openssl/ssl.h>
#include <string.h>

#include "certs.h"
#include "channel.h"
#include "config/loader.h"
#include "help.h"
#include "learning.h"
#include "tls/sessioncache.h"
#include "tls/tlsctx.h"
#include "trust/peerchain.h"

static void an_older_library_is_an_error_that_says_why(void **state)
{
    static const char text[] = "[a.example]\n"
                               "pin = sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=\n"
                               "raw_key = offer\n";
    struct diag_list diags = {0};
    struct config *c = config_parse("x.conf", text, strlen(text), &diags);
    SSL_CTX *ctx;

    (void)state;
    assert_int_equal(diags.count, 0);
    ctx = tlsctx_get(channel_contexts, c->sections[0], &diags);
    assert_int_equal(ctx != NULL, rawkey_is_supported());
    if (!ctx) {
        assert_int_equal(diags.count, 1);
        assert_int_equal(diags.items[0].line, 3);
        assert_contains(diags.items[0].text, "RFC 7250");
        assert_contains(diags.items[0].text, "3.2");
        assert_contains(diags.items[0].text, OpenSSL_version(OPENSSL_VERSION));
        diag_free(&diags);
    }
    config_free(c);
}

#ifdef TLSEXT_cert_type_rpk

static const char *const forms[] = {"raw_key = offer", "raw_key = require"};

static void expect_refused(const struct channel_setup *setup, enum reason reason, const char *part)
{
    struct channel *w = channel_new(setup, NULL);

    channel_start(w);
    assert_false(w->open);
    channel_expect_failure(w, reason, part);
    channel_expect_shut(w);
    assert_int_equal(w->seen_len, 0);
    channel_free(w);
}

static void a_pinned_key_opens_the_connection(void **state)
{
    static const char data[] = "220 hello\r\n";
    size_t v, c, f;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++)
        for (c = 0; c < COUNT(channel_chunks); c++)
            for (f = 0; f < COUNT(forms); f++) {
                struct channel *w = channel_open(&(struct channel_setup){
                    .version = channel_versions[v],
                    .chunk = channel_chunks[c],
                    .keys = forms[f],
                    .raw_key = true,
                });

                assert_true(peerchain_is_key(tls_verdict(w->tls), channel_certs.pinned.key));
                assert_null(peerchain_leaf(tls_verdict(w->tls)));
                assert_null(SSL_get_certificate(w->server));
                assert_int_equal(tls_write(w->tls, (const uint8_t *)data, sizeof(data)), TLS_OK);
                channel_carry(w);
                assert_memory_equal(w->seen, data, sizeof(data));
                assert_int_equal(SSL_write(w->server, data, sizeof(data)), sizeof(data));
                channel_pump(w);
                assert_int_equal(w->got_len, sizeof(data));
                channel_free(w);
            }
}

static void every_other_key_is_refused(void **state)
{
    char revoked[128];
    size_t v, f;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++)
        for (f = 0; f < COUNT(forms); f++) {
            struct channel_setup setup = {.version = channel_versions[v],
                                          .keys = forms[f],
                                          .raw_key = true,
                                          .server = &channel_certs.other};

            expect_refused(&setup, REASON_PIN_MISMATCH, "raw public key");
            setup.server = &channel_certs.weak;
            expect_refused(&setup, REASON_PIN_MISMATCH, "");
            snprintf(revoked, sizeof(revoked), "%s\nrevoked = %s", forms[f],
                     certs_key_pin(&channel_certs.pinned));
            setup.server = NULL;
            setup.keys = revoked;
            expect_refused(&setup, REASON_REVOKED, "revoked");
        }
}

static void a_weak_key_is_refused(void **state)
{
    char lines[256];
    size_t v;

    (void)state;
    snprintf(lines, sizeof(lines), "raw_key = require\npin = %s",
             certs_key_pin(&channel_certs.weak));
    for (v = 0; v < COUNT(channel_versions); v++)
        expect_refused(&(struct channel_setup){.version = channel_versions[v],
                                               .keys = lines,
                                               .unpinned = true,
                                               .raw_key = true,
                                               .server = &channel_certs.weak},
                       REASON_WEAK, "1024");
}

/* The same key, in the other form. */
static void
a_certificate_is_accepted_where_a_raw_key_is_offered_and_refused_where_it_is_required(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct channel *w = channel_open(
            &(struct channel_setup){.version = channel_versions[v], .keys = "raw_key = offer"});

        assert_true(peerchain_starts_with(tls_verdict(w->tls), channel_certs.pinned.x509));
        channel_free(w);
        expect_refused(
            &(struct channel_setup){.version = channel_versions[v], .keys = "raw_key = require"},
            REASON_RAW_KEY, "presented a certificate");
        expect_refused(&(struct channel_setup){.version = channel_versions[v],
                                               .keys = "raw_key = require",
                                               .server = &channel_certs.other},
                       REASON_PIN_MISMATCH, "");
    }
}

static void no_raw_key_is_asked_for_by_default(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct channel *w = channel_new(
            &(struct channel_setup){.version = channel_versions[v], .raw_key = true}, NULL);

        channel_start(w);
        assert_false(w->open);
        assert_int_equal(peerchain_length(tls_verdict(w->tls)), 0);
        channel_free(w);
    }
}

/*
 * Where OpenSSL continues after the refusal (CVE-2024-12797), the handshake ends all the same, and
 * nothing that the server sends behind its key is read.
 */
static void a_refusal_ends_the_handshake_whatever_openssl_does(void **state)
{
    size_t v, raw;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++)
        for (raw = 0; raw < 2; raw++) {
            struct channel *w = channel_new(&(struct channel_setup){.version = channel_versions[v],
                                                                    .keys = "raw_key = offer",
                                                                    .raw_key = raw != 0,
                                                                    .heedless = true,
                                                                    .server = &channel_certs.other},
                                            NULL);

            channel_start(w);
            channel_expect_failure(w, REASON_PIN_MISMATCH, "");
            assert_false(SSL_is_init_finished(w->server));
            channel_expect_shut(w);
            channel_free(w);
        }
}

static void a_flight_with_one_bit_changed_opens_nothing(void **state)
{
    uint8_t bytes[1 << 14];
    size_t v;
    int n, i;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        const struct channel_setup setup = {
            .version = channel_versions[v], .keys = "raw_key = offer", .raw_key = true};

        for (i = 0; i < 60; i++) {
            struct channel *w = channel_new(&setup, NULL);
            uint32_t seed = (uint32_t)i + 1;

            channel_turn(w);
            n = BIO_read(w->from_server, bytes, sizeof(bytes));
            assert_true(n > 200);
            bytes[((unsigned)n - 1) * (unsigned)i / 60] ^= (uint8_t)(1U << random_next(&seed) % 8);
            channel_put(w, bytes, (size_t)n);
            channel_pump(w);
            assert_false(w->open);
            if (!channel_is_over(w)) {
                tls_put_end(w->tls);
                channel_turn(w);
            }
            assert_int_equal(w->result, TLS_FAILED);
            channel_expect_shut(w);
            channel_free(w);
        }
    }
}

static void a_probe_sees_the_key_and_sends_no_plaintext(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct channel *w = channel_new(&(struct channel_setup){.probe_only = true,
                                                                .keys = "raw_key = offer",
                                                                .raw_key = true,
                                                                .version = channel_versions[v]},
                                        NULL);

        channel_start(w);
        assert_true(SSL_is_init_finished(w->server));
        channel_expect_failure(w, REASON_PROBE_ONLY, "");
        assert_true(peerchain_is_key(tls_verdict(w->tls), channel_certs.pinned.key));
        channel_expect_shut(w);
        channel_free(w);
    }
}

static void a_first_use_opens_nothing_until_the_key_is_stored(void **state)
{
    uint8_t key[CERT_DIGEST_SIZE];
    size_t v;

    (void)state;
    assert_true(cert_key_digest(channel_certs.pinned.x509, key));
    for (v = 0; v < COUNT(channel_versions); v++) {
        char *why = NULL;
        struct learned *l = learned_open(temp_path("first%zu", v), true, LEARNEDDIR_OWNER, &why);
        struct channel *w = channel_new(
            &(struct channel_setup){.version = channel_versions[v],
                                    .unpinned = true,
                                    .keys = "verify = tofu\nraw_key = require",
                                    .raw_key = true,
                                    .learned = l},
            NULL);

        assert_non_null(l);
        channel_start(w);
        channel_expect_waiting(w);
        assert_memory_equal(tls_verdict(w->tls)->server.key, key, sizeof(key));
        learn_key(l, "api.example.com", "api.example.com:443", key, CERTS_NOW);
        w->result = TLS_WANT_READ;
        channel_turn(w);
        assert_true(w->open);
        channel_free(w);
        learned_release(l);
    }
}

/* Resumption. */

static void share_tickets(SSL_CTX *server)
{
    unsigned char secret[80];

    memset(secret, 42, sizeof(secret));
    assert_int_equal(SSL_CTX_set_tlsext_ticket_keys(server, secret, sizeof(secret)), 1);
}

/* 23:30 on the last day of the pin. */
#define EVENING INT64_C(1800055800)

static struct channel *resuming(struct sessioncache *sessions, int version, int64_t now)
{
    static char lines[256];

    snprintf(lines, sizeof(lines), "raw_key = offer\nresume = yes\npin = %s until=2027-01-16",
             certs_key_pin(&channel_certs.pinned));
    return channel_new(&(struct channel_setup){.version = version,
                                               .unpinned = true,
                                               .keys = lines,
                                               .raw_key = true,
                                               .sessions = sessions,
                                               .prepare = share_tickets,
                                               .now = now},
                       NULL);
}

/* In order: OpenSSL resumes no session of a connection that was broken off. */
static void leave(struct channel *w)
{
    tls_close_notify(w->tls);
    channel_free(w);
}

static struct sessioncache *with_a_session(int version)
{
    struct sessioncache *sessions = sessioncache_new();
    struct channel *w = resuming(sessions, version, EVENING);

    channel_start(w);
    assert_true(w->open);
    assert_false(tls_is_resumed(w->tls));
    leave(w);
    return sessions;
}

static void a_resumed_session_is_judged_by_the_key_of_its_full_handshake(void **state)
{
    size_t v, i;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct sessioncache *sessions = with_a_session(channel_versions[v]);

        for (i = 0; i < 2; i++) {
            struct channel *w = resuming(sessions, channel_versions[v], EVENING + 10);

            channel_start(w);
            assert_true(w->open);
            assert_true(tls_is_resumed(w->tls));
            assert_true(peerchain_is_key(tls_verdict(w->tls), channel_certs.pinned.key));
            assert_non_null(tls_verdict(w->tls)->pin);
            leave(w);
        }
        sessioncache_free(sessions);
    }
}

static void a_resumed_session_ends_with_its_pin(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct sessioncache *sessions = with_a_session(channel_versions[v]);
        struct channel *w = resuming(sessions, channel_versions[v], EVENING + 10);

        /* offered before midnight, resumed after it */
        channel_turn(w);
        w->setup.now = EVENING + 3000;
        channel_pump(w);
        assert_true(SSL_session_reused(w->server));
        channel_expect_failure(w, REASON_EXPIRED_PINS, "2027-01-16");
        channel_expect_shut(w);
        leave(w);
        sessioncache_free(sessions);
    }
}

/* A policy of another configuration for the same section. Both are to be freed. */
static struct policy *other_policy(const char *lines, struct config **config)
{
    struct diag_list diags = {0};
    struct policy *policy;
    char text[1024];

    snprintf(text, sizeof(text), "[api.example.com]\npin = %s\n%s\n",
             certs_key_pin(&channel_certs.pinned), lines);
    *config = config_parse("y.conf", text, strlen(text), &diags);
    assert_int_equal(diags.count, 0);
    policy = policy_new((*config)->sections[0], channel_anchors, NULL, &diags);
    assert_non_null(policy);
    return policy;
}

/* Begins a handshake, replaces its policy after so many bytes of the server, and lets it end. */
static bool replace_policy(struct channel *w, size_t at, const char *lines, enum reason reason)
{
    struct config *config;
    struct policy *policy = other_policy(lines, &config);
    bool in_time;
    uint8_t byte;

    channel_turn(w);
    while (at-- && !w->open && BIO_read(w->from_server, &byte, 1) == 1)
        channel_put(w, &byte, 1);
    in_time = !w->open;
    if (in_time) {
        tls_set_policy(w->tls, policy);
        channel_pump(w);
        assert_false(w->open);
        channel_expect_failure(w, reason, "");
        channel_expect_shut(w);
    }
    leave(w);
    policy_free(policy);
    config_free(config);
    return in_time;
}

static void a_policy_that_is_replaced_at_any_byte_judges_alone(void **state)
{
    char revoked[128];
    size_t v, at;

    (void)state;
    snprintf(revoked, sizeof(revoked), "raw_key = offer\nrevoked = %s",
             certs_key_pin(&channel_certs.pinned));
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct channel_setup setup = {
            .version = channel_versions[v], .chunk = 1, .keys = "raw_key = offer", .raw_key = true};

        for (at = 0; replace_policy(channel_new(&setup, NULL), at, revoked, REASON_REVOKED);
             at += 11)
            ;
        assert_true(at > 200);
        for (at = 0; replace_policy(channel_new(&setup, NULL), at, "raw_key = no", REASON_RAW_KEY);
             at += 23)
            ;
        setup.raw_key = false;
        for (at = 0;
             replace_policy(channel_new(&setup, NULL), at, "raw_key = require", REASON_RAW_KEY);
             at += 23)
            ;
    }
}

/* A connection that was made ahead is judged by its raw key when it is used. */
static void an_open_connection_is_judged_again_by_its_raw_key(void **state)
{
    char revoked[128];
    const struct {
        const char *lines;
        enum reason reason;
    } rows[] = {{"raw_key = require", REASON_OK},
                {"raw_key = no", REASON_RAW_KEY},
                {revoked, REASON_REVOKED}};
    size_t v, i;

    (void)state;
    snprintf(revoked, sizeof(revoked), "raw_key = offer\nrevoked = %s",
             certs_key_pin(&channel_certs.pinned));
    for (v = 0; v < COUNT(channel_versions); v++)
        for (i = 0; i < COUNT(rows); i++) {
            struct channel *w = channel_open(&(struct channel_setup){
                .version = channel_versions[v], .keys = "raw_key = offer", .raw_key = true});
            struct config *config;
            struct policy *policy = other_policy(rows[i].lines, &config);

            w->result = tls_judge_again(w->tls, policy, CERTS_NOW);
            if (rows[i].reason == REASON_OK) {
                assert_int_equal(w->result, TLS_OK);
            } else {
                channel_expect_failure(w, rows[i].reason, "");
                channel_expect_shut(w);
            }
            leave(w);
            policy_free(policy);
            config_free(config);
        }
}

static void a_session_whose_key_is_revoked_is_not_resumed(void **state)
{
    char revoked[128];
    size_t v, at;

    (void)state;
    snprintf(revoked, sizeof(revoked), "raw_key = offer\nresume = yes\nrevoked = %s",
             certs_key_pin(&channel_certs.pinned));
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct sessioncache *sessions;
        bool in_time = true;

        /* it is revoked while the session is being resumed */
        for (at = 0; in_time; at += 17) {
            sessions = with_a_session(channel_versions[v]);
            in_time = replace_policy(resuming(sessions, channel_versions[v], EVENING + 10), at,
                                     revoked, REASON_REVOKED);
            sessioncache_free(sessions);
        }
        assert_true(at > 50);
    }
}

/* Even if the cache mixed the policies up: the session is not offered, a full handshake decides. */
static void a_session_of_a_revoked_key_is_not_offered(void **state)
{
    char revoked[128];
    size_t v;

    (void)state;
    snprintf(revoked, sizeof(revoked), "raw_key = offer\nresume = yes\nrevoked = %s",
             certs_key_pin(&channel_certs.pinned));
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct sessioncache *sessions = with_a_session(channel_versions[v]);
        struct channel *before = resuming(sessions, channel_versions[v], EVENING + 10);
        struct channel *w = channel_new(&(struct channel_setup){.version = channel_versions[v],
                                                                .keys = revoked,
                                                                .raw_key = true,
                                                                .sessions = sessions,
                                                                .prepare = share_tickets,
                                                                .now = EVENING + 10},
                                        NULL);
        struct sessioncache_item s;

        assert_true(sessioncache_take(sessions, before->policy, EVENING + 10, &s));
        assert_null(s.chain);
        assert_non_null(rawkey_of_session(s.tls));
        sessioncache_put(sessions, w->policy, &s);
        channel_start(w);
        assert_false(SSL_session_reused(w->server));
        channel_expect_failure(w, REASON_REVOKED, "revoked");
        channel_expect_shut(w);
        channel_free(w);
        channel_free(before);
        sessioncache_free(sessions);
    }
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_older_library_is_an_error_that_says_why),
#ifdef TLSEXT_cert_type_rpk
        cmocka_unit_test(a_pinned_key_opens_the_connection),
        cmocka_unit_test(every_other_key_is_refused),
        cmocka_unit_test(a_weak_key_is_refused),
        cmocka_unit_test(
            a_certificate_is_accepted_where_a_raw_key_is_offered_and_refused_where_it_is_required),
        cmocka_unit_test(no_raw_key_is_asked_for_by_default),
        cmocka_unit_test(a_refusal_ends_the_handshake_whatever_openssl_does),
        cmocka_unit_test(a_flight_with_one_bit_changed_opens_nothing),
        cmocka_unit_test(a_probe_sees_the_key_and_sends_no_plaintext),
        cmocka_unit_test(a_first_use_opens_nothing_until_the_key_is_stored),
        cmocka_unit_test(a_resumed_session_is_judged_by_the_key_of_its_full_handshake),
        cmocka_unit_test(a_resumed_session_ends_with_its_pin),
        cmocka_unit_test(a_policy_that_is_replaced_at_any_byte_judges_alone),
        cmocka_unit_test(an_open_connection_is_judged_again_by_its_raw_key),
        cmocka_unit_test(a_session_whose_key_is_revoked_is_not_resumed),
        cmocka_unit_test(a_session_of_a_revoked_key_is_not_offered),
#endif
    };

    return cmocka_run_group_tests(tests, channel_group_setup, channel_group_teardown);
}
