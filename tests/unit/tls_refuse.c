/* tls/tls: servers that are refused, with which reason, and what is offered to them. */
#include "tls/tls.h"

#include <openssl/ssl.h>
#include <string.h>

#include "certs.h"
#include "channel.h"
#include "help.h"
#include "tls/certcache.h"
#include "tls/certmsg.h"
#include "trust/peerchain.h"

static void another_key_is_refused_with_an_alert(void **state)
{
    size_t v, c;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        for (c = 0; c < COUNT(channel_chunks); c++) {
            struct channel *w = channel_new(&(struct channel_setup){.version = channel_versions[v],
                                                                    .chunk = channel_chunks[c],
                                                                    .server = &channel_certs.other},
                                            NULL);

            channel_turn(w);
            assert_int_equal(w->result, TLS_WANT_READ);
            channel_pump(w);
            channel_expect_failure(w, REASON_PIN_MISMATCH, "");
            assert_false(w->open);
            /* an alert came out of the failed call: the server's log says why */
            assert_true(SSL_get_shutdown(w->server) & SSL_RECEIVED_SHUTDOWN);
            assert_false(SSL_is_init_finished(w->server));
            channel_expect_shut(w);
            assert_int_equal(peerchain_length(tls_verdict(w->tls)), 1);
            channel_free(w);
        }
    }
}

static void a_refusal_keeps_its_own_reason(void **state)
{
    static const struct {
        const char *keys;
        enum reason reason;
    } rows[] = {
        {"also_check = name\nverify_name = x.example", REASON_NAME},
        {"verify = pin+pki\nca_file = other.pem", REASON_PKI},
    };
    struct channel *w;
    char text[256];
    size_t i;

    (void)state;
    temp_text("other.pem", certs_pem(channel_certs.other.x509));
    for (i = 0; i < COUNT(rows); i++) {
        snprintf(text, sizeof(text), "%s", rows[i].keys);
        if (strstr(text, "other.pem"))
            snprintf(text, sizeof(text), "verify = pin+pki\nca_file = %s", temp_path("other.pem"));
        w = channel_new(&(struct channel_setup){.keys = text}, NULL);
        channel_start(w);
        channel_expect_failure(w, rows[i].reason, "");
        channel_expect_shut(w);
        channel_free(w);
    }
    /* the key is pinned, and yet too weak */
    for (i = 0; i < COUNT(channel_versions); i++) {
        snprintf(text, sizeof(text), "pin = %s", certs_key_pin(&channel_certs.weak));
        w = channel_new(&(struct channel_setup){.keys = text,
                                                .server = &channel_certs.weak,
                                                .version = channel_versions[i]},
                        NULL);
        channel_start(w);
        channel_expect_failure(w, REASON_WEAK, "1024 bits");
        channel_expect_shut(w);
        channel_free(w);
    }
}

/*
 * Trust without the key: the certificate is public, anyone can present it. The man in the middle
 * signs with a key of his own, which a verdict about the certificate alone does not see.
 */
static void a_certificate_without_its_key_is_refused(void **state)
{
    const unsigned char *right, *wrong;
    const size_t n = certs_der(channel_certs.pinned.x509, &right);
    struct cert impostor;
    uint8_t bytes[1 << 14], *at;
    struct channel *w;
    int got, tries;

    (void)state;
    /* of the same length, to be put in its place: signatures vary by a byte or two */
    for (tries = 0; tries < 1000; tries++) {
        impostor = certs_leaf("DNS:api.example.com", NULL);
        if (certs_der(impostor.x509, &wrong) == n)
            break;
    }
    w = channel_new(&(struct channel_setup){.server = &impostor, .version = TLS1_2_VERSION}, NULL);
    channel_turn(w);
    got = BIO_read(w->from_server, bytes, sizeof(bytes));
    assert_true(got > 0);
    at = memmem(bytes, (size_t)got, wrong, n);
    assert_non_null(at);
    memcpy(at, right, n);
    channel_put(w, bytes, (size_t)got);
    /* judged and found to be the pinned one: that is not enough */
    assert_true(tls_verdict(w->tls)->trusted);
    assert_false(w->open);
    channel_expect_failure(w, REASON_TLS, "signature");
    channel_expect_shut(w);
    /* nor does it leave anything in what the thread's connections share */
    assert_int_equal(certcache_count(w->thread->certs), 0);
    channel_free(w);
}

static void send_the_ca(SSL_CTX *server)
{
    assert_int_equal(SSL_CTX_add1_chain_cert(server, channel_certs.root.x509), 1);
    assert_int_equal(SSL_CTX_add1_chain_cert(server, channel_certs.other.x509), 1);
}

/* What else a server sends along is not kept for others. */
static void only_what_the_verdict_rests_on_is_shared(void **state)
{
    const struct cert leaf = certs_leaf("DNS:api.example.com", &channel_certs.root);
    char keys[256];
    struct channel_setup scenes[] = {
        {.prepare = send_the_ca},
        {.prepare = send_the_ca, .server = &leaf, .unpinned = true, .keys = keys},
    };
    size_t i, v;

    (void)state;
    snprintf(keys, sizeof(keys), "pin = issuer:%s", certs_key_pin(&channel_certs.root));
    for (v = 0; v < COUNT(channel_versions); v++) {
        for (i = 0; i < COUNT(scenes); i++) {
            struct channel *w;

            scenes[i].version = channel_versions[v];
            w = channel_open(&scenes[i]);
            assert_int_equal(peerchain_length(tls_verdict(w->tls)), 3);
            assert_int_equal(certcache_count(w->thread->certs),
                             1 + i); /* the server's own, and its CA */
            channel_free(w);
        }
    }
}

static void a_server_without_tls_is_reported_as_such(void **state)
{
    static const char *const rows[] = {
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "220 mail.example ESMTP\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "* OK IMAP4 ready\r\n",
    };
    size_t i, c;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        for (c = 0; c < 2; c++) {
            struct channel *w = channel_new(&(struct channel_setup){0}, NULL);
            size_t n;

            channel_turn(w);
            for (n = 0; n < strlen(rows[i]) && !channel_is_over(w); n += c ? 1 : strlen(rows[i]))
                channel_put(w, rows[i] + n, c ? 1 : strlen(rows[i]));
            channel_expect_failure(w, REASON_TLS, "does not speak TLS");
            channel_expect_shut(w);
            channel_free(w);
        }
    }
}

/* OpenSSL says what it could not parse in words of ASN.1, before it says that TLS failed for it. */
static void a_certificate_that_cannot_be_parsed_is_named_as_the_cause(void **state)
{
    const unsigned char *der;
    const size_t len = certs_der(channel_certs.pinned.x509, &der);
    uint8_t bytes[1 << 14], *at;
    size_t i, seen = 0;
    const char *detail;
    int n;

    (void)state;
    /* each byte of the certificate changed, one after the other, in the clear of TLS 1.2 */
    for (i = 0; i < len; i++) {
        struct channel *w = channel_new(&(struct channel_setup){.version = TLS1_2_VERSION}, NULL);

        channel_turn(w);
        n = BIO_read(w->from_server, bytes, sizeof(bytes));
        at = memmem(bytes, (size_t)n, der, len);
        assert_non_null(at);
        at[i] ^= 0x80;
        channel_put(w, bytes, (size_t)n);
        /* what is changed in the signature alone, a pinned certificate does not fail for */
        if (w->result == TLS_FAILED && tls_failure(w->tls, &detail) == REASON_TLS
            && peerchain_length(tls_verdict(w->tls)) == 0) {
            assert_contains(detail, "certificate");
            seen += strstr(detail, "the server's certificate cannot be read: ") != NULL;
        }
        channel_free(w);
    }
    assert_true(seen > 20);
}

static void servers_without_a_certificate_are_refused(void **state)
{
    static const struct channel_setup rows[] = {
        {.version = TLS1_2_VERSION, .ciphers = "aNULL:@SECLEVEL=0"},
        {.version = TLS1_2_VERSION, .ciphers = "PSK:@SECLEVEL=0", .psk = true},
        {.version = TLS1_3_VERSION, .psk = true},
        {.version = TLS1_2_VERSION, .ciphers = "eNULL:@SECLEVEL=0"},
        {.version = TLS1_2_VERSION, .ciphers = "kRSA:@SECLEVEL=0"},
        {.version = TLS1_1_VERSION, .ciphers = "ALL:@SECLEVEL=0"},
        {.version = TLS1_VERSION, .ciphers = "ALL:@SECLEVEL=0"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct channel *w = channel_new(&rows[i], NULL);

        channel_start(w);
        if (!channel_is_over(w)) {
            tls_put_end(w->tls);
            channel_turn(w);
        }
        assert_int_equal(w->result, TLS_FAILED);
        assert_false(w->open);
        channel_expect_shut(w);
        channel_free(w);
    }
}

static void sign_with_sha1(SSL_CTX *server)
{
    assert_int_equal(SSL_CTX_set1_sigalgs_list(server, "RSA+SHA1"), 1);
}

/* A list that names SHA-1 is not taken at all: unit/tlsctx. */
static void a_handshake_signed_with_sha1_is_refused(void **state)
{
    const struct cert rsa = certs_make(&(struct cert_order){.key = certs_rsa_key(2048)});
    char text[256];
    struct channel *w;

    (void)state;
    snprintf(text, sizeof(text), "pin = %s", certs_key_pin(&rsa));
    w = channel_new(
        &(struct channel_setup){.keys = text, .server = &rsa, .version = TLS1_2_VERSION}, NULL);
    channel_start(w);
    assert_true(w->open); /* with SHA-256 */
    channel_free(w);
    w = channel_new(
        &(struct channel_setup){
            .keys = text, .server = &rsa, .version = TLS1_2_VERSION, .prepare = sign_with_sha1},
        NULL);
    channel_start(w);
    assert_int_equal(w->result, TLS_FAILED);
    assert_false(w->open);
    channel_expect_shut(w);
    channel_free(w);
}

static void add_certificates(SSL_CTX *server, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        assert_int_equal(SSL_CTX_add1_chain_cert(server, channel_certs.other.x509), 1);
}

static void send_many(SSL_CTX *server)
{
    add_certificates(server, CERTMSG_CERTIFICATES_MAX - 1);
}

static void send_too_many(SSL_CTX *server)
{
    add_certificates(server, CERTMSG_CERTIFICATES_MAX);
}

/* One certificate of 35 KB. */
static void add_large_certificate(SSL_CTX *server)
{
    struct strbuf san = {0};
    struct cert large;
    int i;

    for (i = 0; i < 1000; i++)
        strbuf_addf(&san, "%sDNS:a-name-of-thirty-and-two-bytes-%d", i ? "," : "", 1000 + i);
    large = certs_make(&(struct cert_order){.cn = "large", .san = strbuf_text(&san)});
    strbuf_free(&san);
    assert_int_equal(SSL_CTX_add1_chain_cert(server, large.x509), 1);
}

static void send_large(SSL_CTX *server)
{
    add_large_certificate(server);
}

static void send_too_large(SSL_CTX *server)
{
    add_large_certificate(server);
    add_large_certificate(server);
}

static void an_endless_certificate_list_is_refused(void **state)
{
    static const struct {
        void (*good)(SSL_CTX *server), (*bad)(SSL_CTX *server);
        size_t length;
        const char *detail;
    } rows[] = {
        {send_many, send_too_many, CERTMSG_CERTIFICATES_MAX, "more than 32 certificates"},
        {send_large, send_too_large, 2, "more than 64 KiB together"},
    };
    struct channel *w;
    size_t v, i;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        for (i = 0; i < COUNT(rows); i++) {
            w = channel_open(
                &(struct channel_setup){.version = channel_versions[v], .prepare = rows[i].good});
            assert_int_equal(peerchain_length(tls_verdict(w->tls)), rows[i].length);
            channel_free(w);
            w = channel_new(
                &(struct channel_setup){.version = channel_versions[v], .prepare = rows[i].bad},
                NULL);
            channel_start(w);
            channel_expect_failure(w, REASON_TLS, rows[i].detail);
            assert_false(w->open);
            /* OpenSSL has parsed none */
            assert_int_equal(peerchain_length(tls_verdict(w->tls)), 0);
            channel_expect_shut(w);
            channel_free(w);
        }
    }
}

static void use_dh(SSL_CTX *server, const char *group)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
    EVP_PKEY *dh = NULL;

    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_group_name(ctx, group), 1);
    assert_int_equal(EVP_PKEY_generate(ctx, &dh), 1);
    SSL_CTX_set_dh_auto(server, 0);
    assert_int_equal(SSL_CTX_set0_tmp_dh_pkey(server, dh), 1);
    EVP_PKEY_CTX_free(ctx);
}

static void use_ffdhe2048(SSL_CTX *server)
{
    assert_int_equal(SSL_CTX_set1_groups_list(server, "ffdhe2048"), 1);
    use_dh(server, "ffdhe2048");
}

static void use_ffdhe4096(SSL_CTX *server)
{
    use_dh(server, "ffdhe4096");
}

static void use_ffdhe6144(SSL_CTX *server)
{
    use_dh(server, "ffdhe6144");
}

/* The server chooses the group, and with it how long we compute, before it has proved anything. */
static void finite_field_diffie_hellman_is_only_for_those_who_name_it(void **state)
{
    const struct cert rsa = certs_make(&(struct cert_order){.key = certs_rsa_key(2048)});
    struct channel_setup setup = {.version = TLS1_3_VERSION, .prepare = use_ffdhe2048};
    struct channel *w;
    char keys[256];

    (void)state;
    w = channel_new(&setup, NULL);
    channel_start(w);
    assert_int_equal(w->result, TLS_FAILED);
    channel_free(w);
    setup.keys = "groups = X25519:ffdhe2048";
    channel_free(channel_open(&setup));

    setup = (struct channel_setup){.version = TLS1_2_VERSION,
                                   .server = &rsa,
                                   .ciphers = "kDHE:@SECLEVEL=0",
                                   .prepare = use_ffdhe4096};
    snprintf(keys, sizeof(keys), "pin = %s", certs_key_pin(&rsa));
    setup.keys = keys;
    w = channel_new(&setup, NULL);
    channel_start(w);
    assert_int_equal(w->result, TLS_FAILED);
    channel_free(w);
    snprintf(keys, sizeof(keys), "pin = %s\nciphers = DHE+AESGCM", certs_key_pin(&rsa));
    channel_free(channel_open(&setup));
    /* what the server makes of it has a bound even then */
    setup.prepare = use_ffdhe6144;
    w = channel_new(&setup, NULL);
    channel_start(w);
    channel_expect_failure(w, REASON_WEAK, "Diffie-Hellman group");
    channel_expect_shut(w);
    channel_free(w);
}

static void ask_for_a_certificate(SSL_CTX *server)
{
    SSL_CTX_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

/* With TLS 1.3 the server's no comes when the handshake is already over here. */
static void a_request_for_a_client_certificate_is_reported(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(channel_versions); v++) {
        struct channel *w = channel_new(&(struct channel_setup){.version = channel_versions[v],
                                                                .prepare = ask_for_a_certificate},
                                        NULL);

        channel_start(w);
        channel_expect_failure(w, REASON_CLIENT_CERT, "the server requires a client certificate");
        assert_true(tls_is_asked(w->tls));
        assert_int_equal(w->got_len, 0);
        channel_expect_shut(w);
        channel_free(w);
    }
}

static void the_section_decides_what_is_offered(void **state)
{
    struct channel *w = channel_open(
        &(struct channel_setup){.keys = "sni = other.example\ntls_max = 1.2"});

    (void)state;
    assert_string_equal(SSL_get_servername(w->server, TLSEXT_NAMETYPE_host_name), "other.example");
    assert_string_equal(tls_version(w->tls), "TLSv1.2");
    channel_free(w);
    w = channel_open(&(struct channel_setup){.keys = "sni = off"});
    assert_null(SSL_get_servername(w->server, TLSEXT_NAMETYPE_host_name));
    channel_free(w);
    w = channel_open(&(struct channel_setup){0});
    assert_string_equal(SSL_get_servername(w->server, TLSEXT_NAMETYPE_host_name),
                        "api.example.com");
    channel_free(w);
    w = channel_new(&(struct channel_setup){.keys = "tls_min = 1.3", .version = TLS1_2_VERSION},
                    NULL);
    channel_start(w);
    assert_int_equal(w->result, TLS_FAILED);
    channel_expect_shut(w);
    channel_free(w);
}

static void a_connection_reports_its_cipher_and_its_pin(void **state)
{
    struct channel *w = channel_open(&(struct channel_setup){
        .version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"});

    (void)state;
    assert_string_equal(tls_version(w->tls), "TLSv1.2");
    assert_string_equal(tls_cipher(w->tls), "ECDHE-ECDSA-AES128-GCM-SHA256");
    assert_ptr_equal(tls_verdict(w->tls)->pin, &w->config->sections[0]->pins.items[0]);
    assert_int_equal(tls_verdict(w->tls)->reason, REASON_OK);
    channel_free(w);
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg)
{
    struct channel *w = arg;

    (void)ssl;
    memcpy(w->seen, in, in_len);
    w->seen[in_len] = 0;
    *out = in + 1;
    *out_len = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static void application_protocols_are_offered_in_order(void **state)
{
    struct channel *w = channel_new(&(struct channel_setup){.keys = "alpn = h2\n  http/1.1"}, NULL);

    (void)state;
    SSL_CTX_set_alpn_select_cb(w->server_ctx, choose_alpn, w);
    channel_start(w);
    assert_true(w->open);
    assert_string_equal((char *)w->seen, "\x02h2\x08http/1.1");
    channel_free(w);
}

static void an_alert_of_the_server_is_reported(void **state)
{
    /* no signature algorithm in common */
    struct channel *w = channel_new(&(struct channel_setup){.keys = "sigalgs = RSA-PSS+SHA256"},
                                    NULL);

    (void)state;
    channel_start(w);
    channel_expect_failure(w, REASON_TLS, "the server refused: ");
    channel_free(w);
    /* the end of the wire, seen in the same turn, does not hide it */
    w = channel_new(&(struct channel_setup){.keys = "sigalgs = RSA-PSS+SHA256"}, NULL);
    channel_turn(w);
    tls_put_end(w->tls);
    channel_pump(w);
    channel_expect_failure(w, REASON_TLS, "the server refused: ");
    channel_free(w);
    tls_free(NULL);
    assert_contains(tls_library(), "OpenSSL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_key_is_refused_with_an_alert),
        cmocka_unit_test(a_refusal_keeps_its_own_reason),
        cmocka_unit_test(a_certificate_without_its_key_is_refused),
        cmocka_unit_test(only_what_the_verdict_rests_on_is_shared),
        cmocka_unit_test(a_server_without_tls_is_reported_as_such),
        cmocka_unit_test(a_certificate_that_cannot_be_parsed_is_named_as_the_cause),
        cmocka_unit_test(servers_without_a_certificate_are_refused),
        cmocka_unit_test(a_handshake_signed_with_sha1_is_refused),
        cmocka_unit_test(an_endless_certificate_list_is_refused),
        cmocka_unit_test(finite_field_diffie_hellman_is_only_for_those_who_name_it),
        cmocka_unit_test(a_request_for_a_client_certificate_is_reported),
        cmocka_unit_test(the_section_decides_what_is_offered),
        cmocka_unit_test(a_connection_reports_its_cipher_and_its_pin),
        cmocka_unit_test(application_protocols_are_offered_in_order),
        cmocka_unit_test(an_alert_of_the_server_is_reported),
    };

    return cmocka_run_group_tests(tests, channel_group_setup, channel_group_teardown);
}
