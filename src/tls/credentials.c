#include "tls/credentials.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/util.h"
#include "pin/pem.h"

static const char needs_password[] = "is encrypted: set client_key_password = file:PATH";
static const char wrong_password[] = "cannot be decrypted, the password may be wrong";
static const char no_memory[] = "cannot be read: out of memory";
static const char unknown[] =
    "contains neither a certificate nor a private key, in PEM, PKCS#12 or DER";

/* A file while it is read. */
struct reading {
    unsigned wanted;
    struct password *password;
    struct credentials *out;
    char *text; /* CREDENTIALS_ERROR_SIZE */
};

const char *credentials_explain(const char *phrase, char text[CREDENTIALS_ERROR_SIZE])
{
    const char *data = "", *reason;
    int flags = 0;
    const unsigned long error = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);

    reason = ERR_reason_error_string(error);
    if (!(flags & ERR_TXT_STRING))
        data = "";
    snprintf(text, CREDENTIALS_ERROR_SIZE, "%s: %s%s%s%s", phrase, reason ? reason : "no reason",
             *data ? " (" : "", data, *data ? ")" : "");
    ERR_clear_error();
    return text;
}

bool credentials_add_cert(struct credentials *c, X509 *cert)
{
    if (!c->certs)
        c->certs = sk_X509_new_null();
    if (cert && c->certs && sk_X509_push(c->certs, cert) > 0)
        return true;
    X509_free(cert);
    return false;
}

const char *credentials_add_key(struct credentials *c, EVP_PKEY *key)
{
    if (key && c->key) {
        EVP_PKEY_free(key);
        return "has more than one private key: leave one";
    }
    c->key = key ? key : c->key;
    return NULL;
}

void credentials_clear(struct credentials *c)
{
    sk_X509_pop_free(c->certs, X509_free);
    EVP_PKEY_free(c->key);
    memset(c, 0, sizeof(*c));
}

/* Says why a key could not be read. asked: OpenSSL wanted the password. */
static const char *explain_key(const struct reading *r, bool asked)
{
    if (asked && !r->password->known)
        return needs_password;
    return credentials_explain(asked ? wrong_password : "has a private key that cannot be read",
                               r->text);
}

typedef EVP_PKEY *read_key(BIO *bio, EVP_PKEY **key, pem_password_cb *callback, void *password);

/* Reads a key from n bytes, PEM or DER. */
static const char *take_key(struct reading *r, read_key *read, const void *bytes, size_t n)
{
    BIO *bio = BIO_new_mem_buf(bytes, (int)n);
    const bool wanted = r->password->wanted;
    const char *why = NULL;
    EVP_PKEY *key;

    if (!bio)
        return no_memory;
    r->password->wanted = false;
    key = read(bio, NULL, password_callback, r->password);
    if (!key)
        why = explain_key(r, r->password->wanted);
    r->password->wanted = r->password->wanted || wanted;
    BIO_free(bio);
    return why ? why : credentials_add_key(r->out, key);
}

/* Reads a certificate. trusted: OpenSSL's own form, with trust settings behind it. */
static bool take_cert(struct reading *r, const unsigned char *der, size_t n, bool trusted)
{
    const unsigned char *p = der;
    X509 *cert = trusted ? d2i_X509_AUX(NULL, &p, (long)n) : d2i_X509(NULL, &p, (long)n);

    if (cert && p == der + n)
        return credentials_add_cert(r->out, cert);
    X509_free(cert);
    return false;
}

static const struct {
    const char *label; /* RFC 7468, and OpenSSL's older ones */
    unsigned kind;     /* 0: parameters */
} blocks[] = {
    {PEM_STRING_X509, CREDENTIALS_CERTS},
    {PEM_STRING_X509_OLD, CREDENTIALS_CERTS},
    {PEM_STRING_X509_TRUSTED, CREDENTIALS_CERTS},
    {PEM_STRING_PKCS8, CREDENTIALS_KEY},
    {PEM_STRING_PKCS8INF, CREDENTIALS_KEY},
    {PEM_STRING_RSA, CREDENTIALS_KEY},
    {PEM_STRING_DSA, CREDENTIALS_KEY},
    {PEM_STRING_ECPRIVATEKEY, CREDENTIALS_KEY},
    {PEM_STRING_ECPARAMETERS, 0},
    {PEM_STRING_DHPARAMS, 0},
};

/* pem: the block as it is in the file, with its BEGIN line. */
static const char *take_block(struct reading *r, const struct pem_block *block, const char *pem,
                              size_t n)
{
    size_t i = 0;

    while (i < COUNT_OF(blocks) && strcmp(block->label, blocks[i].label) != 0)
        i++;
    if (i == COUNT_OF(blocks))
        return "this PEM block is neither a certificate nor a private key";
    if (!(blocks[i].kind & r->wanted))
        return NULL;
    if (blocks[i].kind == CREDENTIALS_KEY)
        return take_key(r, PEM_read_bio_PrivateKey, pem, n);
    if (!take_cert(r, block->der, block->len, strcmp(block->label, PEM_STRING_X509_TRUSTED) == 0))
        return "this PEM block is damaged: its content does not match its BEGIN line";
    return NULL;
}

static const char *read_pem(struct reading *r, const char *data, size_t len)
{
    struct pem_reader reader;
    struct pem_block block;
    const char *why, *start;

    pem_start(&reader, data, len);
    for (;;) {
        start = reader.next;
        why = pem_next(&reader, &block);
        if (why || !block.der)
            break;
        why = take_block(r, &block, start, (size_t)(reader.next - start));
        if (why)
            reader.line = block.line;
        pem_block_free(&block);
        if (why)
            break;
    }
    r->out->wrong_line = why ? reader.line : 0;
    return why;
}

/* Moves the certificate that issued another one, or else any, from a list to the chain. */
static X509 *shift_issuer(STACK_OF(X509) *from, X509 *issued)
{
    int i, found = 0;

    for (i = 0; i < sk_X509_num(from); i++)
        if (X509_check_issued(sk_X509_value(from, i), issued) == X509_V_OK) {
            found = i;
            break;
        }
    return sk_X509_delete(from, found);
}

/* The certificates of a PKCS#12 file have no order. Takes ownership of the first. */
static bool take_chain(struct reading *r, X509 *first, STACK_OF(X509) *others)
{
    X509 *last = first;

    if (!credentials_add_cert(r->out, first))
        return false;
    while (sk_X509_num(others) > 0) {
        last = shift_issuer(others, last);
        if (!credentials_add_cert(r->out, last))
            return false;
    }
    return true;
}

static const char *explain_pkcs12(const struct reading *r, PKCS12 *p12, const char *password)
{
    const char *why;

    if (PKCS12_mac_present(p12) && !PKCS12_verify_mac(p12, password, -1))
        why = r->password->known ? wrong_password : needs_password;
    else
        return credentials_explain("is PKCS#12 that cannot be read ('openssl pkcs12 -legacy' and "
                                   "'openssl pkcs12 -export' convert old ones)",
                                   r->text);
    ERR_clear_error();
    return why;
}

static const char *read_pkcs12(struct reading *r, PKCS12 *p12)
{
    const char *password = r->password->known ? r->password->text : NULL, *why = NULL;
    STACK_OF(X509) *others = NULL;
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;

    r->password->wanted = true;
    ERR_clear_error();
    if (PKCS12_parse(p12, password, &key, &cert, &others) != 1)
        return explain_pkcs12(r, p12, password);
    if (cert && r->wanted & CREDENTIALS_CERTS) {
        why = take_chain(r, cert, others) ? NULL : no_memory;
        cert = NULL;
    }
    if (!why && r->wanted & CREDENTIALS_KEY) {
        why = credentials_add_key(r->out, key);
        key = NULL;
    }
    sk_X509_pop_free(others, X509_free);
    X509_free(cert);
    EVP_PKEY_free(key);
    return why;
}

/* A key in DER without a password has the form of a callback that is not called. */
static EVP_PKEY *read_plain_key(BIO *bio, EVP_PKEY **key, pem_password_cb *callback, void *password)
{
    (void)callback;
    (void)password;
    return d2i_PrivateKey_bio(bio, key);
}

static const char *read_der(struct reading *r, const char *data, size_t len)
{
    const unsigned char *der = (const unsigned char *)data, *p = der;
    PKCS12 *p12 = d2i_PKCS12(NULL, &p, (long)len);
    X509_SIG *encrypted;
    const char *why;

    if (p12) {
        why = read_pkcs12(r, p12);
        PKCS12_free(p12);
        return why;
    }
    if (take_cert(r, der, len, false))
        return NULL;
    why = take_key(r, read_plain_key, data, len);
    if (!why)
        return NULL;
    p = der;
    encrypted = d2i_X509_SIG(NULL, &p, (long)len);
    if (encrypted)
        why = take_key(r, d2i_PKCS8PrivateKey_bio, data, len);
    else
        why = unknown;
    X509_SIG_free(encrypted);
    return why;
}

const char *credentials_read(const char *path, unsigned wanted, struct password *password,
                             struct credentials *out, char text[CREDENTIALS_ERROR_SIZE])
{
    struct reading r = {.wanted = wanted, .password = password, .out = out, .text = text};
    const char *why;
    char *data;
    size_t len;

    why = file_read(path, FILE_CONFIGURED, FILE_SIZE_MAX, &data, &len);
    if (why)
        return why;
    ERR_clear_error();
    why = pem_is_text(data, len) ? read_pem(&r, data, len) : read_der(&r, data, len);
    ERR_clear_error();
    OPENSSL_cleanse(data, len);
    free(data);
    return why;
}
