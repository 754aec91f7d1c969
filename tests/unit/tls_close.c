/* tls/tls: how a connection ends: close_notify, truncation, damage. */
#include "tls/tls.h"

#include <openssl/ssl.h>
#include <string.h>

#include "channel.h"
#include "help.h"

static void a_clean_end_is_distinguished_from_a_truncation(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct channel *w = channel_open(
            &(struct channel_setup){.version = channel_versions[v], .chunk = 1});

        SSL_write(w->server, "last", 4);
        SSL_shutdown(w->server);
        channel_pump(w);
        assert_int_equal(w->result, TLS_CLOSED);
        assert_int_equal(w->got_len, 4);
        /* the other direction goes on */
        assert_int_equal(tls_write(w->tls, (const uint8_t *)"more", 4), TLS_OK);
        channel_carry(w);
        tls_close_notify(w->tls);
        channel_carry(w);
        assert_true(SSL_get_shutdown(w->server) & SSL_RECEIVED_SHUTDOWN);
        channel_free(w);

        w = channel_open(&(struct channel_setup){.version = channel_versions[v]});
        SSL_write(w->server, "last", 4);
        channel_pump(w);
        assert_int_equal(w->got_len, 4);
        tls_put_end(w->tls);
        channel_turn(w);
        assert_int_equal(w->result, TLS_TRUNCATED);
        channel_free(w);
    }
}

/*
 * The server's last bytes are two records and a close_notify. They end after each byte. Whole records
 * are delivered, parts of one never are, and the end is clean only after the whole close_notify.
 */
static void every_end_before_close_notify_is_a_truncation(void **state)
{
    size_t v;
    int cut, n;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++)
        for (cut = 0, n = 0; cut <= n; cut++) {
            struct channel *w = channel_open(
                &(struct channel_setup){.version = channel_versions[v]});
            uint8_t bytes[4096];
            int first, second;

            SSL_write(w->server, "first", 5);
            first = (int)BIO_pending(w->from_server);
            SSL_write(w->server, "second", 6);
            second = (int)BIO_pending(w->from_server);
            SSL_shutdown(w->server);
            n = BIO_read(w->from_server, bytes, sizeof(bytes));
            assert_true(0 < first && first < second && second < n);
            tls_put_end(w->tls);
            channel_put(w, bytes, (size_t)cut);
            assert_int_equal(w->result, cut < n ? TLS_TRUNCATED : TLS_CLOSED);
            assert_int_equal(w->got_len, cut < first ? 0 : cut < second ? 5 : 11);
            channel_free(w);
        }
}

static void what_follows_close_notify_is_not_read(void **state)
{
    size_t v, n;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct channel *w = channel_open(&(struct channel_setup){.version = channel_versions[v]});
        uint8_t bytes[4096], late[4096], buf[64];
        int got, after;

        SSL_write(w->server, "late", 4);
        after = BIO_read(w->from_server, late, sizeof(late));
        SSL_shutdown(w->server);
        got = BIO_read(w->from_server, bytes, sizeof(bytes));
        assert_true(got > 0 && after > 0 && (size_t)(got + after) < sizeof(bytes));
        channel_put(w, late, (size_t)after);
        assert_int_equal(w->got_len, 4);
        memcpy(bytes + got, late, (size_t)after);
        tls_put_records(w->tls, bytes, (size_t)(got + after));
        assert_int_equal(tls_read(w->tls, buf, sizeof(buf), &n), TLS_CLOSED);
        assert_int_equal(n, 0);
        /* asked again, it says the same */
        assert_int_equal(tls_read(w->tls, buf, sizeof(buf), &n), TLS_CLOSED);
        assert_int_equal(n, 0);
        channel_free(w);
    }
}

static void close_notify_leaves_reading_possible(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct channel *w = channel_open(&(struct channel_setup){.version = channel_versions[v]});

        tls_close_notify(w->tls);
        channel_carry(w);
        assert_true(SSL_get_shutdown(w->server) & SSL_RECEIVED_SHUTDOWN);
        assert_int_equal(SSL_write(w->server, "answer", 6), 6);
        channel_pump(w);
        assert_int_equal(w->got_len, 6);
        SSL_shutdown(w->server);
        channel_pump(w);
        assert_int_equal(w->result, TLS_CLOSED);
        tls_close_notify(w->tls);
        channel_free(w);
    }
}

static void an_end_in_the_handshake_is_a_failure(void **state)
{
    size_t cut;

    (void)state;
    for (cut = 0; cut < 700; cut += 97) {
        struct channel *w = channel_new(&(struct channel_setup){0}, NULL);
        uint8_t bytes[1024];

        channel_turn(w);
        if (cut) {
            assert_int_equal(BIO_read(w->from_server, bytes, (int)cut), cut);
            channel_put(w, bytes, cut);
        }
        tls_put_end(w->tls);
        channel_turn(w);
        channel_expect_failure(w, REASON_TLS, "closed the connection during the handshake");
        /* to a ClientHello alone, this is what a server says that wants STARTTLS */
        assert_int_equal(strstr(tls_loss(w->tls, true), "STARTTLS") != NULL, cut == 0);
        if (cut == 0)
            channel_expect_failure(w, REASON_TLS, "STARTTLS");
        channel_expect_shut(w);
        channel_free(w);
    }
}

static void garbage_never_opens_anything(void **state)
{
    uint32_t seed = 5;
    int round;

    (void)state;
    for (round = 0; round < 200; round++) {
        struct channel *w = channel_new(&(struct channel_setup){0}, NULL);
        uint8_t bytes[300];
        size_t i;

        channel_turn(w);
        for (i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)random_next(&seed);
        if (round % 2) { /* with a record's head */
            bytes[0] = 20 + (uint8_t)(random_next(&seed) % 4);
            bytes[1] = 3;
            bytes[2] = 3;
            bytes[3] = 0;
            bytes[4] = 200;
        }
        channel_put(w, bytes, sizeof(bytes));
        if (!channel_is_over(w)) {
            tls_put_end(w->tls);
            channel_turn(w);
        }
        assert_int_equal(w->result, TLS_FAILED);
        channel_expect_shut(w);
        channel_free(w);
    }
}

static void damage_after_the_handshake_is_a_failure(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct channel *w = channel_open(&(struct channel_setup){.version = channel_versions[v]});
        uint8_t bytes[4096];
        int n;

        SSL_write(w->server, "first", 5);
        SSL_write(w->server, "damaged", 7);
        n = BIO_read(w->from_server, bytes, sizeof(bytes));
        bytes[n - 1] ^= 1;
        channel_put(w, bytes, (size_t)n);
        channel_expect_failure(w, REASON_TLS, "bad record mac");
        assert_int_equal(w->got_len, 5);
        channel_expect_shut(w);
        channel_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_end_is_distinguished_from_a_truncation),
        cmocka_unit_test(every_end_before_close_notify_is_a_truncation),
        cmocka_unit_test(what_follows_close_notify_is_not_read),
        cmocka_unit_test(close_notify_leaves_reading_possible),
        cmocka_unit_test(an_end_in_the_handshake_is_a_failure),
        cmocka_unit_test(garbage_never_opens_anything),
        cmocka_unit_test(damage_after_the_handshake_is_a_failure),
    };

    return cmocka_run_group_tests(tests, channel_group_setup, channel_group_teardown);
}
