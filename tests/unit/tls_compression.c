/* tls/tls: no server may compress its certificate (RFC 8879), so that certmsg.c sees all of it. */
#include <openssl/ssl.h>
#include <stdbool.h>

#include "channel.h"
#include "help.h"

#define EXTENSION_COMPRESS_CERTIFICATE 27
#define MESSAGE_COMPRESSED_CERTIFICATE 25

/* What the server has seen and sent. */
static struct {
    int hellos, offers, compressed;
    bool can_compress;
} noted;

static int on_hello(SSL *ssl, int *alert, void *arg)
{
    const unsigned char *bytes;
    size_t n;

    (void)alert;
    (void)arg;
    noted.hellos++;
    noted.offers += SSL_client_hello_get0_ext(ssl, EXTENSION_COMPRESS_CERTIFICATE, &bytes, &n);
    return SSL_CLIENT_HELLO_SUCCESS;
}

static void on_message(int is_sent, int version, int type, const void *bytes, size_t n, SSL *ssl,
                       void *arg)
{
    (void)version;
    (void)ssl;
    (void)arg;
    if (is_sent && type == SSL3_RT_HANDSHAKE && n > 0
        && *(const unsigned char *)bytes == MESSAGE_COMPRESSED_CERTIFICATE)
        noted.compressed++;
}

static void compress(SSL_CTX *server)
{
    SSL_CTX_set_client_hello_cb(server, on_hello, NULL);
    SSL_CTX_set_msg_callback(server, on_message);
#ifdef SSL_OP_NO_TX_CERTIFICATE_COMPRESSION /* OpenSSL 3.2 */
    noted.can_compress = SSL_CTX_compress_certs(server, 0) > 0;
#endif
}

/* A handshake with a client that OpenSSL alone configures. */
static void meet_an_ordinary_client(SSL_CTX *server_ctx)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *client = SSL_new(ctx), *server = SSL_new(server_ctx);
    BIO *here, *there;
    int i;

    assert_int_equal(BIO_new_bio_pair(&here, 1 << 16, &there, 1 << 16), 1);
    SSL_set_bio(client, here, here);
    SSL_set_bio(server, there, there);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    for (i = 0; i < 8 && !(SSL_is_init_finished(client) && SSL_is_init_finished(server)); i++) {
        (void)SSL_do_handshake(client);
        (void)SSL_do_handshake(server);
    }
    assert_true(SSL_is_init_finished(client) && SSL_is_init_finished(server));
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(ctx);
}

static void a_server_that_compresses_sends_its_certificate_as_it_is(void **state)
{
    /* names that are alike, so that compression pays */
    const struct cert cert = certs_make(&(struct cert_order){
        .cn = "api.example.com",
        .key = channel_certs.pinned.key,
        .san = "DNS:api.example.com,DNS:a.example.com,DNS:b.example.com,DNS:c.example.com,"
               "DNS:d.example.com,DNS:e.example.com,DNS:f.example.com,DNS:g.example.com",
    });
    struct channel *w = channel_open(
        &(struct channel_setup){.server = &cert, .version = TLS1_3_VERSION, .prepare = compress});

    (void)state;
    assert_int_equal(noted.hellos, 1);
    assert_int_equal(noted.offers, 0);
    assert_int_equal(noted.compressed, 0);
    if (noted.can_compress) {
        meet_an_ordinary_client(w->server_ctx);
        assert_int_equal(noted.hellos, 2);
        assert_int_equal(noted.offers, 1);
        assert_int_equal(noted.compressed, 1);
    }
    channel_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_compresses_sends_its_certificate_as_it_is),
    };

    return cmocka_run_group_tests(tests, channel_group_setup, channel_group_teardown);
}
