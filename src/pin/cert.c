#include "pin/cert.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "pin/spki.h"

/* The index under which cert_remember() stores a struct cert_digests; -1: there is none yet. */
static int digests_index = -1;
static pthread_once_t digests_once = PTHREAD_ONCE_INIT;

static void free_digests(void *parent, void *p, CRYPTO_EX_DATA *data, int index, long number,
                         void *arg)
{
    (void)parent;
    (void)data;
    (void)index;
    (void)number;
    (void)arg;
    free(p);
}

static void make_index(void)
{
    digests_index = X509_get_ex_new_index(0, NULL, NULL, NULL, free_digests);
}

static const struct cert_digests *remembered(const X509 *cert)
{
    pthread_once(&digests_once, make_index);
    return digests_index < 0 ? NULL : X509_get_ex_data(cert, digests_index);
}

void cert_remember(X509 *cert)
{
    struct cert_digests *d;

    if (remembered(cert) || digests_index < 0)
        return;
    d = malloc(sizeof(*d));
    if (!d || !cert_compute_digests(cert, d) || X509_set_ex_data(cert, digests_index, d) != 1)
        free(d);
}

/*
 * Computes the digests of a key that was presented in these bytes. A key that OpenSSL cannot decode
 * (NULL) has no other form that anybody could use.
 */
static bool digest_key(const uint8_t *der, int len, const EVP_PKEY *key,
                       uint8_t presented[CERT_DIGEST_SIZE], uint8_t ordinary[CERT_DIGEST_SIZE])
{
    if (len <= 0 || EVP_Digest(der, (size_t)len, presented, NULL, EVP_sha256(), NULL) != 1)
        return false;
    if (key && !spki_is_ordinary(der, (size_t)len))
        return spki_ordinary_digest(key, ordinary);
    memcpy(ordinary, presented, CERT_DIGEST_SIZE);
    return true;
}

bool cert_key_digests(const X509 *cert, uint8_t presented[CERT_DIGEST_SIZE],
                      uint8_t ordinary[CERT_DIGEST_SIZE])
{
    const struct cert_digests *d = remembered(cert);
    unsigned char *der = NULL;
    bool ok;
    int len;

    if (d) {
        memcpy(presented, d->key, CERT_DIGEST_SIZE);
        memcpy(ordinary, d->ordinary_key, CERT_DIGEST_SIZE);
        return true;
    }
    len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    ok = digest_key(der, len, X509_get0_pubkey(cert), presented, ordinary);
    OPENSSL_free(der);
    return ok;
}

bool cert_key_digest(const X509 *cert, uint8_t out[CERT_DIGEST_SIZE])
{
    uint8_t ordinary[CERT_DIGEST_SIZE];

    return cert_key_digests(cert, out, ordinary);
}

bool cert_raw_key_digests(const EVP_PKEY *key, struct cert_digests *out)
{
    unsigned char *der = NULL;
    const int len = i2d_PUBKEY(key, &der);
    bool ok;

    memset(out, 0, sizeof(*out));
    out->is_raw_key = true;
    ok = digest_key(der, len, key, out->key, out->ordinary_key);
    OPENSSL_free(der);
    return ok;
}

bool cert_compute_digests(const X509 *cert, struct cert_digests *out)
{
    const struct cert_digests *d = remembered(cert);

    out->is_raw_key = false;
    if (!d)
        return cert_key_digests(cert, out->key, out->ordinary_key)
               && X509_digest(cert, EVP_sha256(), out->cert, NULL) == 1;
    *out = *d;
    return true;
}

static char *bio_text(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);

    return len > 0 ? xstrndup(data, (size_t)len) : xstrdup("");
}

/* The form of RFC 4514, with UTF-8 as it is and not in hex. */
char *cert_format_name(const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;

    if (!bio)
        return xstrdup("?");
    X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
    text = bio_text(bio);
    BIO_free(bio);
    return text;
}

static void add_ip(struct strbuf *out, const ASN1_OCTET_STRING *ip)
{
    struct addr a = {0};
    char text[ADDR_TEXT_SIZE];
    int len = ASN1_STRING_length(ip);

    if (len == 4) {
        a.in.sin_family = AF_INET;
        memcpy(&a.in.sin_addr, ASN1_STRING_get0_data(ip), 4);
        a.len = sizeof(a.in);
    } else if (len == 16) {
        a.in6.sin6_family = AF_INET6;
        memcpy(&a.in6.sin6_addr, ASN1_STRING_get0_data(ip), 16);
        a.len = sizeof(a.in6);
    } else {
        strbuf_add(out, "?");
        return;
    }
    addr_format_ip(&a, text);
    strbuf_add(out, text);
}

/* Adds a name that is text. */
static void add_text(struct strbuf *out, const ASN1_IA5STRING *text)
{
    strbuf_add_safe(out, (const char *)ASN1_STRING_get0_data(text),
                    (size_t)ASN1_STRING_length(text), 256);
}

static char *alternative_names(const X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    struct strbuf out = {0};
    int i;

    for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type != GEN_DNS && name->type != GEN_IPADD && name->type != GEN_URI)
            continue;
        if (out.len)
            strbuf_add(&out, ", ");
        if (name->type == GEN_IPADD)
            add_ip(&out, name->d.iPAddress);
        else
            add_text(&out,
                     name->type == GEN_DNS ? name->d.dNSName : name->d.uniformResourceIdentifier);
    }
    GENERAL_NAMES_free(names);
    return strbuf_detach(&out);
}

static char *key_type(const EVP_PKEY *key)
{
    char group[64];
    size_t len;

    if (!key)
        return xstrdup("?");
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC
        && EVP_PKEY_get_group_name(key, group, sizeof(group), &len)) {
        const char *nist = EC_curve_nid2nist(OBJ_sn2nid(group));

        return xasprintf("EC %s", nist ? nist : group);
    }
    return xasprintf("%s %d", EVP_PKEY_get0_type_name(key) ? EVP_PKEY_get0_type_name(key) : "?",
                     EVP_PKEY_get_bits(key));
}

int64_t cert_date(const ASN1_TIME *date)
{
    struct tm tm;

    return ASN1_TIME_to_tm(date, &tm) ? (int64_t)timegm(&tm) : 0;
}

static bool names_responder(const X509 *cert)
{
    STACK_OF(OPENSSL_STRING) *responders = X509_get1_ocsp((X509 *)cert);
    const bool found = sk_OPENSSL_STRING_num(responders) > 0;

    X509_email_free(responders);
    return found;
}

bool cert_was_issued_by(X509 *cert, X509 *issuer)
{
    const bool found = X509_check_issued(issuer, cert) == X509_V_OK
                       && X509_self_signed(cert, 1) != 1
                       && X509_verify(cert, X509_get0_pubkey(issuer)) == 1;

    ERR_clear_error();
    return found;
}

bool cert_describe(const X509 *cert, struct cert_info *info)
{
    memset(info, 0, sizeof(*info));
    if (!cert_compute_digests(cert, &info->digests))
        return false;
    info->subject = cert_format_name(X509_get_subject_name(cert));
    info->issuer = cert_format_name(X509_get_issuer_name(cert));
    info->names = alternative_names(cert);
    info->key_type = key_type(X509_get0_pubkey(cert));
    info->not_before = cert_date(X509_get0_notBefore(cert));
    info->not_after = cert_date(X509_get0_notAfter(cert));
    info->is_ca = X509_check_ca((X509 *)cert) != 0;
    info->has_responder = names_responder(cert);
    return true;
}

bool cert_describe_key(const EVP_PKEY *key, struct cert_info *info)
{
    memset(info, 0, sizeof(*info));
    if (!cert_raw_key_digests(key, &info->digests))
        return false;
    info->key_type = key_type(key);
    return true;
}

void cert_info_free(struct cert_info *info)
{
    free(info->subject);
    free(info->issuer);
    free(info->names);
    free(info->key_type);
    memset(info, 0, sizeof(*info));
}

X509 *cert_hold(X509 *cert)
{
    return cert && X509_up_ref(cert) == 1 ? cert : NULL;
}

void cert_release(X509 *cert)
{
    X509_free(cert);
}
