#include "certs.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "certs: %s\n", what);
    abort();
}

/* Freed at the end, so that a leak checker sees the leaks of what is tested only. */
static struct {
    void *items[8192];
    void (*free[8192])(void *);
    size_t count;
} kept;

static void free_key(void *p)
{
    EVP_PKEY_free(p);
}

static void free_x509(void *p)
{
    X509_free(p);
}

static void free_all(void)
{
    while (kept.count) {
        kept.count--;
        kept.free[kept.count](kept.items[kept.count]);
    }
}

static void *keep(void *p, void (*destroy)(void *))
{
    need(p && kept.count < sizeof(kept.items) / sizeof(kept.items[0]), "out of memory");
    if (kept.count == 0)
        atexit(free_all);
    kept.items[kept.count] = p;
    kept.free[kept.count++] = destroy;
    return p;
}

EVP_PKEY *certs_ec_key(void)
{
    return keep(EVP_EC_gen("P-256"), free_key);
}

EVP_PKEY *certs_take_key(EVP_PKEY *key)
{
    return keep(key, free_key);
}

EVP_PKEY *certs_rsa_key(unsigned bits)
{
    return keep(EVP_RSA_gen(bits), free_key);
}

static void add_extension(X509 *x, const struct cert *issuer, int nid, const char *value)
{
    X509_EXTENSION *e;
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer ? issuer->x509 : x, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    need(e && X509_add_ext(x, e, -1) == 1, value);
    X509_EXTENSION_free(e);
}

static void add_dns(X509 *x, const char *name, size_t n)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();

    need(names && g && text && ASN1_STRING_set(text, name, (int)n) == 1, "DNS name");
    GENERAL_NAME_set0_value(g, GEN_DNS, text);
    sk_GENERAL_NAME_push(names, g);
    need(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1, "SAN");
    GENERAL_NAMES_free(names);
}

struct cert certs_make(const struct cert_order *o)
{
    static long serial = 1000;
    struct cert c = {.key = o->key ? o->key : certs_ec_key()};
    const EVP_MD *md = EVP_get_digestbyname(o->digest ? o->digest : "SHA256");
    time_t now = (time_t)CERTS_NOW;
    X509_NAME *name = X509_NAME_new();
    X509 *x = c.x509 = keep(X509_new(), free_x509);

    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_time_adj_ex(X509_getm_notBefore(x), o->from || o->to ? o->from : -1, 0, &now);
    X509_time_adj_ex(X509_getm_notAfter(x), o->from || o->to ? o->to : 100, 0, &now);
    if (o->cn)
        need(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)o->cn,
                                        o->cn_len ? (int)o->cn_len : -1, -1, 0)
                 == 1,
             "CN");
    need(X509_set_subject_name(x, name) == 1
             && X509_set_issuer_name(x, o->issuer ? X509_get_subject_name(o->issuer->x509) : name)
                    == 1
             && X509_set_pubkey(x, c.key) == 1,
         "certificate");
    X509_NAME_free(name);
    if (o->ca) {
        if (!o->basic || *o->basic)
            add_extension(x, o->issuer, NID_basic_constraints,
                          o->basic ? o->basic : "critical,CA:TRUE");
        add_extension(x, o->issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    }
    add_extension(x, o->issuer, NID_subject_key_identifier, "hash");
    if (o->issuer)
        add_extension(x, o->issuer, NID_authority_key_identifier, "keyid");
    if (o->san)
        add_extension(x, o->issuer, NID_subject_alt_name, o->san);
    if (o->dns_nul)
        add_dns(x, o->dns_nul, o->dns_nul_len);
    if (o->constraints)
        add_extension(x, o->issuer, NID_name_constraints, o->constraints);
    if (o->usage)
        add_extension(x, o->issuer, NID_key_usage, o->usage);
    if (o->eku)
        add_extension(x, o->issuer, NID_ext_key_usage, o->eku);
    need(md && X509_sign(x, o->issuer ? o->issuer->key : c.key, md) > 0, "signature");
    /* as if it had come over the wire: what is cached while it is made is gone */
    {
        const unsigned char *der, *p;
        size_t n = certs_der(x, &der);

        p = der;
        c.x509 = keep(d2i_X509(NULL, &p, (long)n), free_x509);
    }
    return c;
}

struct cert certs_ca(const char *cn)
{
    return certs_make(&(struct cert_order){.cn = cn, .ca = true});
}

struct cert certs_leaf(const char *san, const struct cert *issuer)
{
    return certs_make(&(struct cert_order){.cn = "leaf", .san = san, .issuer = issuer});
}

static const char *text_of(BIO *bio)
{
    char *data, *copy;
    long n = BIO_get_mem_data(bio, &data);

    copy = keep(calloc((size_t)n + 1, 1), free);
    memcpy(copy, data, (size_t)n);
    BIO_free(bio);
    return copy;
}

const char *certs_pem(const X509 *x509)
{
    BIO *bio = BIO_new(BIO_s_mem());

    need(PEM_write_bio_X509(bio, x509) == 1, "PEM");
    return text_of(bio);
}

const char *certs_public_pem(const EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());

    need(PEM_write_bio_PUBKEY(bio, key) == 1, "PEM");
    return text_of(bio);
}

const char *certs_private_pem(const EVP_PKEY *key, const char *password)
{
    BIO *bio = BIO_new(BIO_s_mem());

    need(PEM_write_bio_PKCS8PrivateKey(bio, key, password ? EVP_aes_128_cbc() : NULL, password,
                                       password ? (int)strlen(password) : 0, NULL, NULL)
             == 1,
         "PEM");
    return text_of(bio);
}

static X509_REQ *request(EVP_PKEY *key)
{
    X509_REQ *req = X509_REQ_new();

    need(req && X509_REQ_set_pubkey(req, key) == 1 && X509_REQ_sign(req, key, EVP_sha256()) > 0,
         "request");
    return req;
}

const char *certs_request_pem(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    X509_REQ *req = request(key);

    need(PEM_write_bio_X509_REQ(bio, req) == 1, "PEM");
    X509_REQ_free(req);
    return text_of(bio);
}

static void free_openssl(void *p)
{
    OPENSSL_free(p);
}

size_t certs_der(const X509 *x509, const unsigned char **der)
{
    unsigned char *out = NULL;
    int n = i2d_X509(x509, &out);

    need(n > 0, "DER");
    *der = keep(out, free_openssl);
    return (size_t)n;
}

size_t certs_request_der(EVP_PKEY *key, const unsigned char **der)
{
    X509_REQ *req = request(key);
    unsigned char *out = NULL;
    int n = i2d_X509_REQ(req, &out);

    need(n > 0, "DER");
    X509_REQ_free(req);
    *der = keep(out, free_openssl);
    return (size_t)n;
}

const char *certs_key_pin(const struct cert *c)
{
    unsigned char *der = NULL, digest[32];
    char *out = keep(calloc(64, 1), free);
    int n = i2d_PUBKEY(c->key, &der);

    need(n > 0 && EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL) == 1, "digest");
    OPENSSL_free(der);
    memcpy(out, "sha256//", 8);
    EVP_EncodeBlock((unsigned char *)out + 8, digest, 32);
    return out;
}

const char *certs_cert_pin(const struct cert *c)
{
    const unsigned char *der;
    unsigned char digest[32];
    char *out = keep(calloc(80, 1), free);
    size_t n = certs_der(c->x509, &der);
    int i;

    need(EVP_Digest(der, n, digest, NULL, EVP_sha256(), NULL) == 1, "digest");
    memcpy(out, "cert:sha256:", 12);
    for (i = 0; i < 32; i++)
        snprintf(out + 12 + 2 * i, 3, "%02x", digest[i]);
    return out;
}

static void free_crl(void *p)
{
    X509_CRL_free(p);
}

static void add_crl_extension(X509_CRL *crl, const struct cert *ca, int nid, const char *value)
{
    X509_EXTENSION *e;
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, ca->x509, NULL, NULL, crl, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    need(e && X509_CRL_add_ext(crl, e, -1) == 1, value);
    X509_EXTENSION_free(e);
}

X509_CRL *certs_crl(const struct crl_order *order)
{
    X509_CRL *crl = keep(X509_CRL_new(), free_crl);
    ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)order->this_update);
    ASN1_TIME *to = ASN1_TIME_set(NULL, (time_t)order->next_update);

    need(X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1
             && X509_CRL_set_issuer_name(crl, X509_get_subject_name(order->ca->x509)) == 1
             && X509_CRL_set1_lastUpdate(crl, from) == 1,
         "a revocation list");
    if (order->next_update)
        need(X509_CRL_set1_nextUpdate(crl, to) == 1, "nextUpdate");
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    if (order->point)
        add_crl_extension(crl, order->ca, NID_issuing_distribution_point, order->point);
    if (order->key_id)
        add_crl_extension(crl, order->ca, NID_authority_key_identifier, "keyid:always");
    need(X509_CRL_sign(crl, order->ca->key, EVP_sha256()) > 0, "signature of a list");
    return crl;
}

const char *certs_crl_pem(const X509_CRL *crl)
{
    BIO *bio = BIO_new(BIO_s_mem());

    need(bio && PEM_write_bio_X509_CRL(bio, crl) == 1, "PEM of a list");
    return text_of(bio);
}
