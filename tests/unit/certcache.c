/*
 * tls/certcache: certificates that are shared. Whatever is put in another's place must be its
 * like.
 */
#include "tls/certcache.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "certs.h"
#include "help.h"

/* As it comes from the wire: parsed anew. */
static X509 *parse(const X509 *cert)
{
    const unsigned char *der;
    size_t len = certs_der(cert, &der);
    X509 *copy = d2i_X509(NULL, &der, (long)len);

    assert_non_null(copy);
    return copy;
}

static STACK_OF(X509) *chain(const X509 *leaf, const X509 *issuer)
{
    STACK_OF(X509) *list = sk_X509_new_null();

    sk_X509_push(list, parse(leaf));
    if (issuer)
        sk_X509_push(list, parse(issuer));
    return list;
}

static void drop(STACK_OF(X509) *list)
{
    sk_X509_pop_free(list, X509_free);
}

static void add(struct certcache *f, STACK_OF(X509) *list)
{
    int i;

    for (i = 0; i < sk_X509_num(list); i++)
        certcache_add(f, sk_X509_value(list, i));
}

static void nothing_is_shared_that_was_not_added(void **state)
{
    struct certcache *f = certcache_new();
    struct cert ca = certs_ca("CA"), leaf = certs_leaf("DNS:a.example", &ca);
    STACK_OF(X509) *first = chain(leaf.x509, ca.x509), *second = chain(leaf.x509, ca.x509);
    X509 *own = sk_X509_value(second, 0);

    (void)state;
    certcache_share(f, first);
    certcache_share(f, second);
    assert_int_equal(certcache_count(f), 0);
    assert_ptr_equal(sk_X509_value(second, 0), own);
    drop(first);
    drop(second);
    certcache_free(f);
}

static void equal_certificates_are_one(void **state)
{
    struct certcache *f = certcache_new();
    struct cert ca = certs_ca("CA"), leaf = certs_leaf("DNS:a.example", &ca);
    STACK_OF(X509) *first = chain(leaf.x509, ca.x509), *second = chain(leaf.x509, ca.x509);
    X509 *kept = sk_X509_value(first, 0);

    (void)state;
    add(f, first);
    add(f, first);
    add(f, second); /* its like is there */
    assert_int_equal(certcache_count(f), 2);
    certcache_share(f, second);
    assert_ptr_equal(sk_X509_value(second, 0), kept);
    assert_ptr_equal(sk_X509_value(second, 1), sk_X509_value(first, 1));
    drop(first);
    assert_int_equal(X509_cmp(sk_X509_value(second, 0), leaf.x509), 0);
    certcache_free(f);
    /* what is held outlives the table */
    assert_int_equal(X509_cmp(sk_X509_value(second, 0), leaf.x509), 0);
    drop(second);
}

/* The same but for one bit, wherever it is: in what was signed, in the key, in the signature. */
static void a_bit_makes_another_certificate(void **state)
{
    struct certcache *f = certcache_new();
    struct cert leaf = certs_make(&(struct cert_order){.cn = "a"});
    STACK_OF(X509) *known = chain(leaf.x509, NULL);
    const unsigned char *der;
    size_t len = certs_der(leaf.x509, &der), bit, parsed = 0;
    unsigned char *copy = malloc(len);

    (void)state;
    add(f, known);
    for (bit = 0; bit < len * 8; bit++) {
        const unsigned char *p = copy;
        STACK_OF(X509) *list = sk_X509_new_null();
        X509 *other;

        memcpy(copy, der, len);
        copy[bit / 8] ^= (unsigned char)(1 << bit % 8);
        other = d2i_X509(NULL, &p, (long)len);
        if (other && p == copy + len) {
            parsed++;
            sk_X509_push(list, other);
            certcache_share(f, list);
            assert_ptr_equal(sk_X509_value(list, 0), other);
        } else {
            X509_free(other);
        }
        drop(list);
    }
    assert_true(parsed > len);
    free(copy);
    drop(known);
    certcache_free(f);
}

/* However many certificates come, only so many are held, and the latest are among them. */
static void what_is_held_is_bounded(void **state)
{
    struct certcache *f = certcache_new();
    struct cert ca = certs_ca("CA");
    size_t i;

    (void)state;
    for (i = 0; i < 600; i++) {
        struct cert leaf = certs_make(&(struct cert_order){.cn = "a", .key = ca.key});
        STACK_OF(X509) *list = chain(leaf.x509, NULL), *again = chain(leaf.x509, NULL);

        add(f, list);
        certcache_share(f, again);
        assert_ptr_equal(sk_X509_value(again, 0), sk_X509_value(list, 0));
        drop(list);
        drop(again);
    }
    assert_between(certcache_count(f), 64, 256);
    certcache_free(f);
    certcache_free(NULL);
}

/* A certificate with so many names of 20 bytes. */
static struct cert large(const struct cert *issuer, int names)
{
    struct strbuf san = {0};
    struct cert c;
    int i;

    for (i = 0; i < names; i++)
        strbuf_addf(&san, "%sDNS:n%09d.example", i ? "," : "", i);
    c = certs_make(&(struct cert_order){.cn = "a", .san = strbuf_text(&san), .key = issuer->key});
    strbuf_free(&san);
    return c;
}

/* In bytes as well, for a certificate may be large. */
static void the_bytes_that_are_held_are_bounded(void **state)
{
    struct certcache *f = certcache_new();
    struct cert ca = certs_ca("CA");
    STACK_OF(X509) *list;
    size_t i;

    (void)state;
    list = chain(large(&ca, 1000).x509, NULL);
    add(f, list);
    assert_int_equal(certcache_count(f), 0); /* 21 KB */
    drop(list);
    for (i = 0; i < 400; i++) {
        list = chain(large(&ca, 300).x509, NULL); /* 6 KB */
        add(f, list);
        assert_between(certcache_bytes(f), 6000, 1 << 20);
        drop(list);
    }
    assert_between(certcache_count(f), 100, 128); /* two in each bucket */
    /* a small one finds its place beside a large one */
    add(f, list = chain(ca.x509, NULL));
    assert_between(certcache_bytes(f), 6000, 1 << 20);
    drop(list);
    certcache_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_shared_that_was_not_added),
        cmocka_unit_test(equal_certificates_are_one),
        cmocka_unit_test(a_bit_makes_another_certificate),
        cmocka_unit_test(what_is_held_is_bounded),
        cmocka_unit_test(the_bytes_that_are_held_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
