/* tls/tls: first use, and resumed sessions, which are judged like new ones. */
#include "tls/tls.h"

#include <openssl/ssl.h>
#include <string.h>

#include "certs.h"
#include "channel.h"
#include "help.h"
#include "learning.h"
#include "tls/sessioncache.h"
#include "trust/trust.h"

static void a_first_use_opens_nothing_until_the_key_is_stored(void **state)
{
    static const char data[] = "sent right behind the handshake";
    uint8_t key[CERT_DIGEST_SIZE];
    size_t v;

    (void)state;
    assert_true(cert_key_digest(channel_certs.pinned.x509, key));
    for (v = 0; v < COUNT(channel_versions); v++) {
        char *why = NULL;
        struct learned *l = learned_open(temp_path("first%zu", v), true, LEARNEDDIR_OWNER, &why);
        struct channel *w = channel_new(&(struct channel_setup){.version = channel_versions[v],
                                                                .unpinned = true,
                                                                .keys = "verify = tofu",
                                                                .learned = l},
                                        NULL);

        assert_non_null(l);
        channel_turn(w);
        while (!channel_is_over(w)) {
            /* what follows the server's last flight comes with it, in one piece */
            if (SSL_is_init_finished(w->server))
                assert_int_equal(SSL_write(w->server, data, sizeof(data)), sizeof(data));
            channel_pump(w);
        }
        channel_expect_waiting(w);
        /* asking again is no proof */
        w->result = tls_handshake(w->tls, CERTS_NOW);
        channel_expect_waiting(w);
        learn_key(l, "api.example.com", "api.example.com:443", key, CERTS_NOW);
        w->result = TLS_WANT_READ;
        channel_turn(w);
        assert_true(w->open);
        if (w->got_len == 0) {
            assert_int_equal(SSL_write(w->server, data, sizeof(data)), sizeof(data));
            channel_pump(w);
        }
        assert_int_equal(w->got_len, sizeof(data));
        assert_memory_equal(w->got, data, sizeof(data));
        channel_free(w);
        learned_release(l);
    }
}

static void a_changed_key_is_reported_only_when_it_is_proved(void **state)
{
    uint8_t key[CERT_DIGEST_SIZE];
    size_t v;

    (void)state;
    assert_true(cert_key_digest(channel_certs.other.x509, key));
    for (v = 0; v < COUNT(channel_versions); v++) {
        char *why = NULL;
        struct learned *l = learned_open(temp_path("changed%zu", v), true, LEARNEDDIR_OWNER, &why);
        struct channel *w = channel_new(&(struct channel_setup){.version = channel_versions[v],
                                                                .unpinned = true,
                                                                .keys = "verify = tofu",
                                                                .learned = l},
                                        NULL);

        assert_non_null(l);
        learn_key(l, "api.example.com", "api.example.com:443", key, CERTS_NOW);
        channel_start(w);
        assert_true(SSL_is_init_finished(w->server));
        channel_expect_failure(w, REASON_TOFU_CHANGED, certs_key_pin(&channel_certs.other));
        channel_expect_shut(w);
        channel_free(w);
        learned_release(l);
    }
}

static void a_first_use_that_another_has_won_is_refused(void **state)
{
    char *why = NULL;
    struct learned *l = learned_open(temp_path("lost"), true, LEARNEDDIR_OWNER, &why);
    struct channel *w = channel_new(
        &(struct channel_setup){.unpinned = true, .keys = "verify = tofu", .learned = l}, NULL);
    uint8_t key[CERT_DIGEST_SIZE];

    (void)state;
    channel_start(w);
    channel_expect_waiting(w);
    assert_true(cert_key_digest(channel_certs.other.x509, key));
    learn_key(l, "api.example.com", "api.example.com:443", key, CERTS_NOW);
    w->result = tls_handshake(w->tls, CERTS_NOW);
    channel_expect_failure(w, REASON_TOFU_CHANGED, certs_key_pin(&channel_certs.other));
    channel_expect_shut(w);
    channel_free(w);
    learned_release(l);
}

/* Servers that can resume each other's sessions. */
static void share_tickets(SSL_CTX *server)
{
    unsigned char keys[80];

    memset(keys, 42, sizeof(keys));
    assert_int_equal(SSL_CTX_set_tlsext_ticket_keys(server, keys, sizeof(keys)), 1);
}

/* A connection on which a ticket has come. */
static struct channel *resume(struct sessioncache *sessions, int version, const char *keys,
                              int64_t now)
{
    struct channel *w = channel_new(&(struct channel_setup){.version = version,
                                                            .keys = keys,
                                                            .sessions = sessions,
                                                            .prepare = share_tickets,
                                                            .now = now},
                                    NULL);

    channel_start(w);
    return w;
}

/* In order: what is broken off, OpenSSL does not resume. */
static void leave(struct channel *w)
{
    tls_close_notify(w->tls);
    channel_free(w);
}

static void a_resumed_session_is_judged_again(void **state)
{
    static const char keys[] = "resume = yes\npin = sha256//"
                               "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
    size_t v, i;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct sessioncache *sessions = sessioncache_new();

        for (i = 0; i < 3; i++) {
            struct channel *w = resume(sessions, channel_versions[v], keys, 0);

            assert_true(w->open);
            assert_int_equal(tls_is_resumed(w->tls), i > 0);
            assert_int_equal(SSL_session_reused(w->server), i > 0);
            assert_true(tls_verdict(w->tls)->trusted);
            assert_non_null(tls_verdict(w->tls)->pin);
            leave(w);
        }
        sessioncache_free(sessions);
    }
}

/* A connection to a server whose pin ends at midnight. */
/* 23:30 on the last day of the pin. */
#define EVENING INT64_C(1800055800)

static struct channel *resume_before_midnight(struct sessioncache *sessions, int version,
                                              int64_t now)
{
    static char keys[256];

    snprintf(keys, sizeof(keys), "verify = pin\nresume = yes\npin = %s until=2027-01-16",
             certs_key_pin(&channel_certs.pinned));
    return channel_new(&(struct channel_setup){.version = version,
                                               .unpinned = true,
                                               .keys = keys,
                                               .sessions = sessions,
                                               .prepare = share_tickets,
                                               .now = now},
                       NULL);
}

/*
 * Offered before midnight, resumed after it: the verdict is on the moment at which bytes would
 * flow.
 */
static void a_resumed_session_ends_with_its_pin(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct sessioncache *sessions = sessioncache_new();
        struct channel *w = resume_before_midnight(sessions, channel_versions[v], EVENING);

        channel_start(w);
        assert_true(w->open);
        leave(w);
        w = resume_before_midnight(sessions, channel_versions[v], EVENING + 10);
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

/* What would not be trusted is not offered: a full handshake tells. */
static void a_session_past_its_pin_is_not_offered(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct sessioncache *sessions = sessioncache_new();
        struct channel *w = resume_before_midnight(sessions, channel_versions[v], EVENING);

        channel_start(w);
        assert_true(w->open);
        leave(w);
        w = resume_before_midnight(sessions, channel_versions[v], EVENING + 3000);
        channel_start(w);
        assert_false(SSL_session_reused(w->server));
        channel_expect_failure(w, REASON_EXPIRED_PINS, "2027-01-16");
        channel_expect_shut(w);
        leave(w);
        sessioncache_free(sessions);
    }
}

/* Should our cache ever mix sessions up, OpenSSL still tells them apart. */
static void a_session_of_another_policy_is_not_resumed(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct sessioncache *sessions = sessioncache_new();
        struct channel *w = resume(sessions, channel_versions[v], "resume = yes", 0);
        struct channel *asks = resume(NULL, channel_versions[v], "resume = yes\nalso_check = dates",
                                      0);
        struct sessioncache_item s;

        assert_true(w->open && asks->open);
        assert_true(sessioncache_take(sessions, w->policy, CERTS_NOW, &s));
        sessioncache_put(sessions, asks->policy, &s);
        leave(w);
        leave(asks);
        w = resume(sessions, channel_versions[v], "resume = yes\nalso_check = dates", 0);
        assert_false(w->open);
        assert_int_equal(w->result, TLS_FAILED);
        channel_expect_shut(w);
        leave(w);
        sessioncache_free(sessions);
    }
}

static void nothing_is_resumed_where_the_section_says_no(void **state)
{
    struct sessioncache *sessions = sessioncache_new();
    size_t v, i;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        for (i = 0; i < 2; i++) {
            struct channel *w = resume(sessions, channel_versions[v], "resume = no", 0);

            assert_true(w->open);
            assert_false(tls_is_resumed(w->tls));
            leave(w);
        }
    }
    sessioncache_free(sessions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_use_opens_nothing_until_the_key_is_stored),
        cmocka_unit_test(a_changed_key_is_reported_only_when_it_is_proved),
        cmocka_unit_test(a_first_use_that_another_has_won_is_refused),
        cmocka_unit_test(a_resumed_session_is_judged_again),
        cmocka_unit_test(a_resumed_session_ends_with_its_pin),
        cmocka_unit_test(a_session_past_its_pin_is_not_offered),
        cmocka_unit_test(a_session_of_another_policy_is_not_resumed),
        cmocka_unit_test(nothing_is_resumed_where_the_section_says_no),
    };

    return cmocka_run_group_tests(tests, channel_group_setup, channel_group_teardown);
}
