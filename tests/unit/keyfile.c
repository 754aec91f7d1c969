/* pin/keyfile: certificates, requests and keys. Nothing in a file is skipped. */
#include "pin/keyfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs.h"
#include "help.h"

static struct cert server, other;

static const char *parse(const char *text, struct keyfile *f)
{
    /* of the exact size, so that a sanitizer sees one byte too far */
    char *copy = malloc(strlen(text) + 1);
    const char *why;

    assert_non_null(copy);
    memcpy(copy, text, strlen(text));
    why = keyfile_parse(copy, strlen(text), f);
    free(copy);
    return why;
}

static void refuse(const char *text, const char *part)
{
    struct keyfile f;
    const char *why = parse(text, &f);

    if (!why) {
        keyfile_free(&f);
        fail_msg("something was taken from: %s", text);
    }
    assert_contains(why, part);
    assert_int_equal(f.count, 0);
    assert_null(f.items);
}

static void every_kind_is_recognized_by_its_content(void **state)
{
    const struct {
        const char *text;
        enum keyfile_kind kind;
        const char *name;
    } rows[] = {
        {certs_pem(server.x509), KEYFILE_CERTIFICATE, "certificate"},
        {certs_request_pem(server.key), KEYFILE_REQUEST, "certificate request"},
        {certs_public_pem(server.key), KEYFILE_PUBLIC_KEY, "public key"},
        {certs_private_pem(server.key, NULL), KEYFILE_PRIVATE_KEY, "private key"},
    };
    struct keyfile f, first;
    size_t i;

    (void)state;
    assert_null(parse(rows[0].text, &first));
    for (i = 0; i < COUNT(rows); i++) {
        assert_null(parse(rows[i].text, &f));
        assert_int_equal(f.count, 1);
        assert_int_equal(f.items[0].kind, rows[i].kind);
        assert_string_equal(keyfile_kind_name(f.items[0].kind), rows[i].name);
        assert_memory_equal(f.items[0].key, first.items[0].key, CERT_DIGEST_SIZE);
        keyfile_free(&f);
    }
    assert_string_equal(first.items[0].cert.subject, "CN=api.example.com");
    keyfile_free(&first);
    keyfile_free(&first);
}

static void text_around_the_blocks_does_no_harm(void **state)
{
    char text[8192];
    struct keyfile f;

    (void)state;
    snprintf(text, sizeof(text),
             "Certificate:\n    Data: -----\n%s\nmore text\n-----BEGIN EC PARAMETERS-----\n"
             "BggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n%s\nthe end",
             certs_pem(server.x509), certs_pem(other.x509));
    assert_null(parse(text, &f));
    assert_int_equal(f.count, 2);
    keyfile_free(&f);
}

static void a_block_that_cannot_be_read_is_not_skipped(void **state)
{
    const char *good = certs_pem(server.x509);
    char text[8192];

    (void)state;
    /* cut off, before and behind a good one */
    snprintf(text, sizeof(text), "%s-----BEGIN CERTIFICATE-----\nMIIB\n", good);
    refuse(text, "damaged");
    snprintf(text, sizeof(text), "-----BEGIN CERTIFICATE-----\nMIIB\n%s", good);
    refuse(text, "damaged");
    snprintf(text, sizeof(text), "%s-----BEGIN CERTIFICATE-----\n", good);
    refuse(text, "damaged");
    snprintf(text, sizeof(text), "%.*s", (int)strlen(good) - 40, good);
    refuse(text, "damaged");
    /* not base64, not DER, not the end that it began with */
    snprintf(text, sizeof(text), "%s-----BEGIN CERTIFICATE-----\n****\n-----END CERTIFICATE-----\n",
             good);
    refuse(text, "damaged");
    snprintf(text, sizeof(text), "%s-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
             good);
    refuse(text, "damaged");
    snprintf(text, sizeof(text), "%s-----BEGIN CERTIFICATE-----\nAAAA\n-----END PUBLIC KEY-----\n",
             good);
    refuse(text, "damaged");
    /* nothing that can be pinned */
    snprintf(text, sizeof(text), "%s-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
             good);
    refuse(text, "neither");
    snprintf(text, sizeof(text), "%s%s", good, certs_private_pem(server.key, "secret"));
    refuse(text, "encrypted");
    refuse("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
           "neither");
}

/* An indented block (pasted from YAML, say) is no PEM for OpenSSL: it must not vanish. */
static void a_block_that_is_indented_is_not_skipped(void **state)
{
    char text[8192];
    const char *p = certs_pem(other.x509);
    size_t n;

    (void)state;
    n = (size_t)snprintf(text, sizeof(text), "%s", certs_pem(server.x509));
    while (*p) {
        const char *end = strchr(p, '\n');

        n += (size_t)snprintf(text + n, sizeof(text) - n, "    %.*s\n", (int)(end - p), p);
        p = end + 1;
    }
    refuse(text, "");
}

/* Whichever comes first, the one that issued none is the server's. */
static void a_chain_is_distinguished_from_a_list(void **state)
{
    struct cert root = certs_ca("Root"), sub, leaf, again;
    const struct cert *const orders[][3] = {
        {&leaf, &sub, &root}, {&root, &sub, &leaf}, {&sub, &leaf, &root}};
    struct keyfile f;
    size_t issuer, i, k;
    char text[16384];

    (void)state;
    sub = certs_make(&(struct cert_order){.cn = "Sub", .ca = true, .issuer = &root});
    leaf = certs_leaf("DNS:api.example.com", &sub);
    for (i = 0; i < COUNT(orders); i++) {
        snprintf(text, sizeof(text), "%s%s%s", certs_pem(orders[i][0]->x509),
                 certs_pem(orders[i][1]->x509), certs_pem(orders[i][2]->x509));
        assert_null(parse(text, &f));
        k = keyfile_find_chain(&f, &issuer);
        assert_true(k < 3);
        assert_ptr_equal(orders[i][k], &leaf);
        assert_ptr_equal(orders[i][issuer], &sub);
        assert_true(f.items[2].line > f.items[1].line && f.items[1].line > f.items[0].line);
        keyfile_free(&f);
    }
    /* the same name and key, each signed by itself; and one of another file's chain */
    again = certs_make(&(struct cert_order){.cn = "Root", .ca = true, .key = root.key});
    snprintf(text, sizeof(text), "%s%s%s%s", certs_pem(root.x509), certs_pem(again.x509),
             certs_pem(leaf.x509), certs_public_pem(server.key));
    assert_null(parse(text, &f));
    assert_int_equal(keyfile_find_chain(&f, &issuer), f.count);
    keyfile_free(&f);
}

static void bytes_after_der_are_an_error(void **state)
{
    const unsigned char *der;
    size_t n = certs_der(server.x509, &der);
    unsigned char *more = malloc(n + 1);
    struct keyfile f;

    (void)state;
    assert_non_null(more);
    memcpy(more, der, n);
    more[n] = 0;
    assert_null(keyfile_parse((const char *)more, n, &f));
    assert_int_equal(f.count, 1);
    assert_int_equal(f.items[0].kind, KEYFILE_CERTIFICATE);
    keyfile_free(&f);
    assert_non_null(keyfile_parse((const char *)more, n + 1, &f));
    assert_non_null(keyfile_parse((const char *)more, n - 1, &f));
    assert_int_equal(f.count, 0);
    free(more);
}

static void damaged_bytes_never_crash(void **state)
{
    const unsigned char *der;
    size_t n = certs_der(server.x509, &der), i;
    unsigned char *copy = malloc(n);
    uint32_t seed = 7;

    (void)state;
    assert_non_null(copy);
    for (i = 0; i < 3000; i++) {
        struct keyfile f;

        memcpy(copy, der, n);
        copy[random_next(&seed) % n] ^= (unsigned char)(1 + random_next(&seed) % 255);
        if (!keyfile_parse((const char *)copy, n, &f))
            assert_int_equal(f.count, 1);
        keyfile_free(&f);
    }
    free(copy);
    assert_int_equal(i, 3000);
}

static void files_are_read_and_errors_returned(void **state)
{
    struct keyfile f;

    (void)state;
    assert_null(keyfile_read(temp_text("a.pem", certs_pem(server.x509)), FILE_CONFIGURED, &f));
    assert_int_equal(f.count, 1);
    keyfile_free(&f);
    assert_string_equal(keyfile_read(temp_path("none"), FILE_CONFIGURED, &f),
                        "No such file or directory");
    assert_int_equal(f.count, 0);
    assert_string_equal(keyfile_read("/dev/zero", FILE_ARGUMENT, &f), "is too large");
    refuse("", "neither");
}

static int setup(void **state)
{
    (void)state;
    server = certs_make(&(struct cert_order){.cn = "api.example.com"});
    other = certs_make(&(struct cert_order){.cn = "other.example.com"});
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_recognized_by_its_content),
        cmocka_unit_test(text_around_the_blocks_does_no_harm),
        cmocka_unit_test(a_block_that_cannot_be_read_is_not_skipped),
        cmocka_unit_test(a_block_that_is_indented_is_not_skipped),
        cmocka_unit_test(a_chain_is_distinguished_from_a_list),
        cmocka_unit_test(bytes_after_der_are_an_error),
        cmocka_unit_test(damaged_bytes_never_crash),
        cmocka_unit_test(files_are_read_and_errors_returned),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
