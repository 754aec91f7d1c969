/* tls/tls: no plaintext passes before the server is trusted, wherever the bytes are cut. */
#include "tls/tls.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "certs.h"
#include "channel.h"
#include "config/loader.h"
#include "help.h"
#include "trust/peerchain.h"

static void bytes_pass_both_ways_however_they_are_cut(void **state)
{
    static uint8_t data[100000];
    size_t v, c, i;

    (void)state;
    for (i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 31 + i / 251);
    for (v = 0; v < COUNT(channel_versions); v++) {
        for (c = 0; c < COUNT(channel_chunks); c++) {
            struct channel *w = channel_open(&(struct channel_setup){.version = channel_versions[v],
                                                                     .chunk = channel_chunks[c]});

            assert_string_equal(tls_version(w->tls), v ? "TLSv1.3" : "TLSv1.2");
            assert_non_null(tls_cipher(w->tls));
            assert_true(tls_verdict(w->tls)->trusted);
            assert_int_equal(tls_write(w->tls, data, sizeof(data)), TLS_OK);
            channel_carry(w);
            assert_int_equal(w->seen_len, sizeof(data));
            assert_memory_equal(w->seen, data, sizeof(data));
            assert_int_equal(SSL_write(w->server, data, sizeof(data)), sizeof(data));
            channel_pump(w);
            assert_int_equal(w->got_len, sizeof(data));
            assert_memory_equal(w->got, data, sizeof(data));
            /* nothing to write writes nothing */
            i = w->sent;
            assert_int_equal(tls_write(w->tls, data, 0), TLS_OK);
            channel_carry(w);
            assert_int_equal(w->sent, i);
            channel_free(w);
        }
    }
}

static void a_whole_turn_fits(void **state)
{
    uint8_t *data = calloc(1, TLS_TURN_SIZE);
    struct channel *w = channel_open(&(struct channel_setup){0});
    const uint8_t *bytes;

    (void)state;
    assert_non_null(data);
    assert_int_equal(tls_write(w->tls, data, TLS_TURN_SIZE), TLS_OK);
    assert_true(tls_take_records(w->tls, &bytes) > TLS_TURN_SIZE);
    free(data);
    channel_free(w);
}

/* The turns of a tunnel: as much each way as there is room for. */
static void a_megabyte_goes_each_way_in_whole_turns(void **state)
{
    const size_t size = 1 << 20;
    uint8_t *data = malloc(size), *got = malloc(size), *buf = malloc(TLS_PLAINTEXT_SIZE);
    uint32_t seed = 7;
    const uint8_t *bytes;
    size_t v, i, n, done;
    int moved;

    (void)state;
    assert_true(data && got && buf);
    for (i = 0; i < size; i++)
        data[i] = (uint8_t)random_next(&seed);
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct channel *w = channel_open(&(struct channel_setup){.version = channel_versions[v]});

        for (i = done = 0; i < size; i += n) {
            n = size - i < TLS_TURN_SIZE ? size - i : TLS_TURN_SIZE;
            assert_int_equal(tls_write(w->tls, data + i, n), TLS_OK);
            moved = (int)tls_take_records(w->tls, &bytes);
            assert_true((size_t)moved > n && (size_t)moved <= TLS_RECORDS_SIZE);
            assert_int_equal(BIO_write(w->to_server, bytes, moved), moved);
            while ((moved = SSL_read(w->server, got + done, (int)(size - done))) > 0)
                done += (size_t)moved;
        }
        assert_int_equal(done, size);
        assert_memory_equal(got, data, size);

        memset(got, 0, size);
        assert_int_equal(SSL_write(w->server, data, (int)size), size);
        for (done = 0; BIO_ctrl_pending(w->from_server) > 0;) {
            moved = BIO_read(w->from_server, buf, (int)TLS_TURN_SIZE);
            assert_true(moved > 0);
            uint8_t *copy = malloc((size_t)moved);
            assert_non_null(copy);
            memcpy(copy, buf, (size_t)moved);
            tls_put_records(w->tls, copy, (size_t)moved);
            /* all of it, at once: the caller's memory is free again */
            assert_int_equal(tls_read(w->tls, buf, TLS_PLAINTEXT_SIZE, &n), TLS_WANT_READ);
            assert_int_equal(tls_take_records(w->tls, &bytes), 0);
            free(copy);
            assert_true(n <= size - done);
            memcpy(got + done, buf, n);
            done += n;
        }
        assert_int_equal(done, size);
        assert_memory_equal(got, data, size);
        channel_free(w);
    }
    free(data);
    free(got);
    free(buf);
}

/* A caller that never takes the records gets an error, not a bigger buffer. */
static void records_that_nobody_takes_do_not_pile_up(void **state)
{
    uint8_t *data = calloc(1, TLS_TURN_SIZE);
    struct channel *w = channel_open(&(struct channel_setup){0});

    (void)state;
    assert_non_null(data);
    assert_int_equal(tls_write(w->tls, data, TLS_TURN_SIZE), TLS_OK);
    w->result = tls_write(w->tls, data, TLS_TURN_SIZE);
    channel_expect_failure(w, REASON_TLS, "more answers in one turn");
    channel_expect_shut(w);
    free(data);
    channel_free(w);
}

static void gates_are_shut_before_trust(void **state)
{
    static const uint8_t secret[] = "GET /secret";
    size_t v, when;

    (void)state;
    /* at each point of the handshake, one byte after the other */
    for (v = 0; v < COUNT(channel_versions); v++) {
        for (when = 0; when < 1500; when += 53) {
            struct channel *w = channel_new(
                &(struct channel_setup){.version = channel_versions[v], .chunk = 1}, NULL);
            uint8_t byte, buf[64];
            const uint8_t *bytes;
            size_t n, i;

            channel_turn(w);
            for (i = 0; i < when && !w->open && !channel_is_over(w); i++) {
                if (BIO_read(w->from_server, &byte, 1) != 1)
                    break;
                channel_put(w, &byte, 1);
            }
            if (w->open) {
                channel_free(w);
                break;
            }
            assert_int_equal(tls_take_records(w->tls, &bytes), 0);
            if (when % 2)
                assert_int_equal(tls_write(w->tls, secret, sizeof(secret)), TLS_FAILED);
            else
                assert_int_equal(tls_read(w->tls, buf, sizeof(buf), &n), TLS_FAILED);
            assert_int_equal(tls_take_records(w->tls, &bytes), 0);
            assert_int_equal(w->seen_len, 0);
            tls_close_notify(w->tls);
            assert_int_equal(tls_take_records(w->tls, &bytes), 0);
            channel_free(w);
        }
        assert_true(when > 100); /* or the handshake was over at once */
    }
}

/* OpenSSL would start the handshake by itself, and with early data say more than hello. */
static void gates_are_shut_before_the_handshake_starts(void **state)
{
    struct channel *w = channel_new(&(struct channel_setup){0}, NULL);

    (void)state;
    channel_expect_shut(w);
    channel_free(w);
}

static void a_flight_with_one_bit_changed_opens_nothing(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct channel *w = channel_new(
            &(struct channel_setup){.version = channel_versions[v], .chunk = CHUNK_RANDOM}, NULL);
        uint8_t bytes[1 << 14];
        int n, i;

        /* each record of the server's flight with one bit changed: never does it open */
        channel_turn(w);
        n = BIO_read(w->from_server, bytes, sizeof(bytes));
        assert_true(n > 500);
        channel_free(w);
        for (i = 0; i < 60; i++) {
            uint32_t seed = (uint32_t)i + 1;

            w = channel_new(&(struct channel_setup){.version = channel_versions[v]}, NULL);
            channel_turn(w);
            n = BIO_read(w->from_server, bytes, sizeof(bytes));
            /* inside of the records, so that they are read; over all of the flight */
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

static void the_last_flight_and_the_first_data_in_one_read_are_both_taken(void **state)
{
    struct channel *w = channel_new(&(struct channel_setup){.version = TLS1_3_VERSION}, NULL);
    uint8_t bytes[1 << 14];
    const uint8_t *out;
    size_t sent;
    int n;

    (void)state;
    /* a TLS 1.3 server may write before it has heard the client's Finished */
    assert_int_equal(tls_handshake(w->tls, CERTS_NOW), TLS_WANT_READ);
    sent = tls_take_records(w->tls, &out);
    BIO_write(w->to_server, out, (int)sent);
    /* with no early data to read, this sends the server's whole flight */
    SSL_set_max_early_data(w->server, 1000);
    assert_int_equal(SSL_read_early_data(w->server, w->seen, sizeof(w->seen), &sent),
                     SSL_READ_EARLY_DATA_FINISH);
    assert_int_equal(SSL_write_early_data(w->server, "220 hello\r\n", 11, &sent), 1);
    n = BIO_read(w->from_server, bytes, sizeof(bytes));
    channel_put(w, bytes, (size_t)n);
    assert_true(w->open);
    assert_int_equal(w->result, TLS_WANT_READ);
    assert_int_equal(w->got_len, 11);
    assert_memory_equal(w->got, "220 hello\r\n", 11);
    channel_free(w);

    /* TLS 1.2: the server's Finished and its greeting at once */
    w = channel_new(&(struct channel_setup){.version = TLS1_2_VERSION}, NULL);
    channel_turn(w);
    n = BIO_read(w->from_server, bytes, sizeof(bytes));
    tls_put_records(w->tls, bytes, (size_t)n);
    assert_int_equal(tls_handshake(w->tls, CERTS_NOW), TLS_WANT_READ);
    sent = tls_take_records(w->tls, &out);
    BIO_write(w->to_server, out, (int)sent);
    assert_int_equal(SSL_accept(w->server), 1);
    assert_int_equal(SSL_write(w->server, "220 hello\r\n", 11), 11);
    n = BIO_read(w->from_server, bytes, sizeof(bytes));
    channel_put(w, bytes, (size_t)n);
    assert_true(w->open);
    assert_int_equal(w->got_len, 11);
    assert_memory_equal(w->got, "220 hello\r\n", 11);
    channel_free(w);
}

/*
 * The last line of defence: even with a context that offers such suites, where OpenSSL completes
 * the handshake without asking anyone, no certificate means no trust.
 */
static void a_complete_handshake_without_a_certificate_opens_nothing(void **state)
{
    static const struct channel_setup rows[] = {
        {.lax = true, .ciphers = "aNULL:@SECLEVEL=0"},
        {.lax = true, .ciphers = "kDHEPSK:kECDHEPSK:kPSK:@SECLEVEL=0", .psk = true},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct channel *w = channel_new(&rows[i], NULL);

        channel_start(w);
        /* or the test would show nothing */
        assert_true(SSL_is_init_finished(w->server));
        assert_null(tls_verdict(w->tls)->chain);
        assert_false(w->open);
        channel_expect_failure(w, REASON_TLS, "no certificate");
        channel_expect_shut(w);
        channel_free(w);
    }
}

static void a_probe_sends_no_plaintext(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct channel *w = channel_new(
            &(struct channel_setup){.probe_only = true, .version = channel_versions[v]}, NULL);

        channel_start(w);
        /* it has proved its key, so that what is shown is its own */
        assert_true(SSL_is_init_finished(w->server));
        channel_expect_failure(w, REASON_PROBE_ONLY, "");
        assert_false(w->open);
        assert_true(peerchain_starts_with(tls_verdict(w->tls), channel_certs.pinned.x509));
        channel_expect_shut(w);
        channel_free(w);
    }
}

/* The records of one connection must never go out on another. */
static void connections_of_one_thread_never_mix_their_records(void **state)
{
    struct tls_thread thread;
    struct channel *a, *b;
    const uint8_t *bytes;
    size_t n;

    (void)state;
    assert_true(tls_thread_init(&thread));
    a = channel_new(&(struct channel_setup){0}, &thread);
    b = channel_new(&(struct channel_setup){0}, &thread);
    channel_start(a);
    channel_start(b);
    assert_true(a->open && b->open);
    /* nobody takes what a wrote */
    assert_int_equal(tls_write(a->tls, (const uint8_t *)"of a", 4), TLS_OK);
    assert_int_equal(tls_take_records(b->tls, &bytes), 0);
    assert_int_equal(tls_write(b->tls, (const uint8_t *)"of b", 4), TLS_OK);
    n = tls_take_records(b->tls, &bytes);
    assert_true(n > 4 && n < 60);
    BIO_write(b->to_server, bytes, (int)n);
    channel_carry(b);
    assert_int_equal(b->seen_len, 4);
    assert_memory_equal(b->seen, "of b", 4);
    assert_int_equal(tls_take_records(a->tls, &bytes), 0);
    /* one that goes away leaves nothing to the next */
    assert_int_equal(tls_write(b->tls, (const uint8_t *)"left", 4), TLS_OK);
    channel_free(b);
    b = channel_new(&(struct channel_setup){0}, &thread);
    assert_int_equal(tls_take_records(b->tls, &bytes), 0);
    channel_start(b);
    assert_true(b->open);
    channel_free(a);
    channel_free(b);
    tls_thread_free(&thread);
}

/* A policy of another configuration for the same section. Both are to be freed. */
static struct policy *other_policy(const char *keys, struct config **config)
{
    struct diag_list diags = {0};
    struct policy *policy;
    char text[1024];

    snprintf(text, sizeof(text), "[api.example.com]\n%s\n", keys);
    *config = config_parse("y.conf", text, strlen(text), &diags);
    assert_int_equal(diags.count, 0);
    policy = policy_new((*config)->sections[0], channel_anchors, NULL, &diags);
    assert_non_null(policy);
    return policy;
}

/*
 * A handshake in which so many bytes are read under one policy, and the rest under that of these
 * keys. False: it was over before.
 */
static bool replace_policy(int version, size_t at, const char *keys, enum reason reason)
{
    struct channel *w = channel_new(&(struct channel_setup){.version = version, .chunk = 1}, NULL);
    struct config *config;
    struct policy *policy = other_policy(keys, &config);
    uint8_t byte;
    bool in_time;

    channel_turn(w);
    while (at-- && !w->open && BIO_read(w->from_server, &byte, 1) == 1)
        channel_put(w, &byte, 1);
    in_time = !w->open;
    if (in_time) {
        tls_set_policy(w->tls, policy);
        /* the old one is no longer looked at */
        policy_free(w->policy);
        w->policy = NULL;
        channel_pump(w);
        assert_int_equal(w->open, reason == REASON_OK);
        if (reason != REASON_OK) {
            channel_expect_failure(w, reason, "");
            channel_expect_shut(w);
        } else {
            assert_int_equal(w->result, TLS_WANT_READ);
            assert_ptr_equal(tls_verdict(w->tls)->pin, &config->sections[0]->pins.items[1]);
        }
    }
    channel_free(w);
    policy_free(policy);
    config_free(config);
    return in_time;
}

static void a_policy_that_is_replaced_at_any_byte_judges_alone(void **state)
{
    char keys[512];
    size_t v, at;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        snprintf(keys, sizeof(keys), "pin = %s", certs_key_pin(&channel_certs.other));
        for (at = 0; replace_policy(channel_versions[v], at, keys, REASON_PIN_MISMATCH); at += 11)
            ;
        assert_true(at > 500); /* a certificate has come in between */
        snprintf(keys, sizeof(keys), "pin = %s\nrevoked = %s", certs_key_pin(&channel_certs.pinned),
                 certs_key_pin(&channel_certs.pinned));
        for (at = 5; replace_policy(channel_versions[v], at, keys, REASON_REVOKED); at += 37)
            ;
        snprintf(keys, sizeof(keys), "pin = %s\n    %s", certs_key_pin(&channel_certs.other),
                 certs_key_pin(&channel_certs.pinned));
        for (at = 0; replace_policy(channel_versions[v], at, keys, REASON_OK); at += 11)
            ;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_pass_both_ways_however_they_are_cut),
        cmocka_unit_test(a_whole_turn_fits),
        cmocka_unit_test(a_megabyte_goes_each_way_in_whole_turns),
        cmocka_unit_test(records_that_nobody_takes_do_not_pile_up),
        cmocka_unit_test(gates_are_shut_before_trust),
        cmocka_unit_test(gates_are_shut_before_the_handshake_starts),
        cmocka_unit_test(a_flight_with_one_bit_changed_opens_nothing),
        cmocka_unit_test(the_last_flight_and_the_first_data_in_one_read_are_both_taken),
        cmocka_unit_test(a_complete_handshake_without_a_certificate_opens_nothing),
        cmocka_unit_test(a_probe_sends_no_plaintext),
        cmocka_unit_test(connections_of_one_thread_never_mix_their_records),
        cmocka_unit_test(a_policy_that_is_replaced_at_any_byte_judges_alone),
    };

    return cmocka_run_group_tests(tests, channel_group_setup, channel_group_teardown);
}
