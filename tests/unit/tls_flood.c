/* tls/tls: limits on messages that carry no data. */
#include "tls/tls.h"

#include <openssl/ssl.h>
#include <string.h>

#include "certs.h"
#include "channel.h"
#include "help.h"

static void an_honest_key_update_is_answered(void **state)
{
    struct channel *w = channel_open(
        &(struct channel_setup){.version = TLS1_3_VERSION, .chunk = CHUNK_RANDOM});
    int i;

    (void)state;
    for (i = 0; i < 20; i++) {
        uint64_t before = w->sent;

        assert_int_equal(SSL_key_update(w->server, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_write(w->server, "data", 4), 4);
        channel_pump(w);
        assert_int_equal(w->result, TLS_WANT_READ);
        assert_int_equal(w->got_len, 4 * (i + 1));
        assert_int_equal(tls_write(w->tls, (const uint8_t *)"back", 4), TLS_OK);
        channel_carry(w);
        assert_true(w->sent > before);
        assert_int_equal(w->seen_len, 4 * (i + 1));
    }
    channel_free(w);
}

static void a_flood_of_key_updates_is_refused(void **state)
{
    size_t c;

    (void)state;
    for (c = 0; c < COUNT(channel_chunks); c++) {
        struct channel *w = channel_open(
            &(struct channel_setup){.version = TLS1_3_VERSION, .chunk = channel_chunks[c]});
        uint64_t before = w->sent;
        int i;

        for (i = 0; i < 5000 && !channel_is_over(w); i++) {
            SSL_key_update(w->server, SSL_KEY_UPDATE_REQUESTED);
            if (SSL_do_handshake(w->server) != 1)
                break;
            if (i % 50 == 49 || channel_chunks[c] != CHUNK_ALL)
                channel_pump(w);
        }
        channel_pump(w);
        channel_expect_failure(w, REASON_TLS, "flood");
        assert_true(w->sent - before < 64 * 1024);
        /* a failure is for good: to conclude the handshake once more must not open the gates */
        assert_int_equal(tls_handshake(w->tls, CERTS_NOW), TLS_FAILED);
        channel_expect_shut(w);
        channel_free(w);
    }
}

/* A long download may well change its keys more often than is free. */
static void key_updates_are_earned_by_data(void **state)
{
    static const uint8_t data[8192];
    struct channel *w = channel_open(&(struct channel_setup){.version = TLS1_3_VERSION});
    int i;

    (void)state;
    for (i = 0; i < 300; i++) {
        assert_int_equal(SSL_key_update(w->server, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_write(w->server, data, sizeof(data)), sizeof(data));
        w->got_len = 0;
        channel_pump(w);
        assert_int_equal(w->result, TLS_WANT_READ);
        assert_int_equal(w->got_len, sizeof(data));
    }
    channel_free(w);
}

/* A byte between two of them does not make a flood honest. */
static void a_flood_with_a_little_data_is_refused(void **state)
{
    size_t c;

    (void)state;
    for (c = 0; c < COUNT(channel_chunks); c++) {
        struct channel *w = channel_open(
            &(struct channel_setup){.version = TLS1_3_VERSION, .chunk = channel_chunks[c]});
        uint64_t before = w->sent;
        int i;

        for (i = 0; i < 3000; i++) {
            assert_int_equal(SSL_key_update(w->server, SSL_KEY_UPDATE_REQUESTED), 1);
            assert_int_equal(SSL_write(w->server, "x", 1), 1);
        }
        channel_pump(w);
        channel_expect_failure(w, REASON_TLS, "flood");
        assert_true(w->got_len < 100);
        assert_true(w->sent - before < 16 * 1024);
        channel_expect_shut(w);
        channel_free(w);
    }
}

static void a_flood_of_tickets_is_refused(void **state)
{
    struct channel *w = channel_open(&(struct channel_setup){.version = TLS1_3_VERSION});
    int i;

    (void)state;
    for (i = 0; i < 1000 && !channel_is_over(w); i++) {
        assert_int_equal(SSL_new_session_ticket(w->server), 1);
        assert_int_equal(SSL_do_handshake(w->server), 1);
        channel_pump(w);
    }
    channel_expect_failure(w, REASON_TLS, "flood");
    channel_expect_shut(w);
    channel_free(w);
}

/* A server that asks again and again, and does not listen to our no. */
static void a_request_to_renegotiate_is_refused(void **state)
{
    size_t c;

    (void)state;
    for (c = 0; c < COUNT(channel_chunks); c++) {
        struct channel *w = channel_open(&(struct channel_setup){.version = TLS1_2_VERSION});
        uint8_t bytes[1 << 14], buf[64];
        const uint8_t *out;
        size_t n, at, answered = 0;
        int i;

        for (i = 0; i < 3000 && w->result == TLS_WANT_READ; i++) {
            int got, from = 0;

            assert_int_equal(SSL_renegotiate(w->server), 1);
            assert_int_equal(SSL_do_handshake(w->server), 1);
            got = BIO_read(w->from_server, bytes, sizeof(bytes));
            assert_true(got > 0);
            while (from < got && w->result == TLS_WANT_READ) {
                int piece = channel_chunks[c] == 1 || channel_chunks[c] == 5
                                ? (int)channel_chunks[c]
                                : got - from;

                piece = piece < got - from ? piece : got - from;
                tls_put_records(w->tls, bytes + from, (size_t)piece);
                from += piece;
                w->result = tls_read(w->tls, buf, sizeof(buf), &n);
                assert_int_equal(n, 0);
                /* alerts at most: a handshake record would be our part in a second handshake */
                n = tls_take_records(w->tls, &out);
                answered += n;
                for (at = 0; at + 5 <= n; at += 5 + (size_t)(out[at + 3] << 8 | out[at + 4]))
                    assert_int_equal(out[at], SSL3_RT_ALERT);
                assert_int_equal(at, n);
            }
        }
        assert_true(i > 1);
        channel_expect_failure(w, REASON_TLS, "flood");
        assert_true(answered < 16 * 1024);
        channel_expect_shut(w);
        channel_free(w);
    }
}

/* OpenSSL itself passes over them, however many come, and takes records of one byte. */
static void a_flood_in_the_handshake_is_refused(void **state)
{
    static const struct {
        const char *record;
        size_t n;
    } rows[] = {
        {"\x16\x03\x03\x00\x04\0\0\0\0", 9},                              /* HelloRequest */
        {"\x16\x03\x03\x00\x08\0\0\0\0\0\0\0\0", 13},                     /* two of them */
        {"\x15\x03\x03\x00\x02\x01\x5a\x16\x03\x03\x00\x04\0\0\0\0", 16}, /* and an alert */
        {"\x16\x03\x03\x00\x01\x02", 6}, /* a message of 131,586 bytes, byte by byte */
    };
    uint8_t bytes[1 << 14];
    size_t i, n, c;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        for (c = 0; c < 2; c++) {
            struct channel *w = channel_new(&(struct channel_setup){0}, NULL);
            const size_t rest = c ? rows[i].n : sizeof(bytes) / rows[i].n * rows[i].n;

            for (n = 0; n < rest; n += rows[i].n)
                memcpy(bytes + n, rows[i].record, rows[i].n);
            channel_turn(w);
            for (n = 0; n < 100000 && !channel_is_over(w); n += rest)
                channel_put(w, bytes, rest);
            assert_int_equal(w->result, TLS_FAILED);
            if (i < 3)
                channel_expect_failure(w, REASON_TLS, "flood");
            channel_expect_shut(w);
            channel_free(w);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_key_update_is_answered),
        cmocka_unit_test(a_flood_of_key_updates_is_refused),
        cmocka_unit_test(key_updates_are_earned_by_data),
        cmocka_unit_test(a_flood_with_a_little_data_is_refused),
        cmocka_unit_test(a_flood_of_tickets_is_refused),
        cmocka_unit_test(a_request_to_renegotiate_is_refused),
        cmocka_unit_test(a_flood_in_the_handshake_is_refused),
    };

    return cmocka_run_group_tests(tests, channel_group_setup, channel_group_teardown);
}
