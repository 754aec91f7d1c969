#include "pin/keyfile.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "pin/pem.h"

static const char encrypted[] =
    "contains an encrypted private key: write its public key to a file first, with 'openssl pkey -in "
    "FILE -pubout'";
static const char unknown[] = "contains neither a certificate, a CSR nor a key, in PEM or DER";

static struct keyfile_item *add_item(struct keyfile *out, enum keyfile_kind kind)
{
    struct keyfile_item *item;

    out->items = xrealloc(out->items, (out->count + 1) * sizeof(*out->items));
    item = &out->items[out->count++];
    memset(item, 0, sizeof(*item));
    item->kind = kind;
    return item;
}

static void free_items(struct keyfile *f)
{
    size_t i;

    for (i = 0; i < f->count; i++) {
        cert_info_free(&f->items[i].cert);
        OPENSSL_free(f->items[i].der);
    }
    free(f->items);
    f->items = NULL;
    f->count = 0;
}

static bool add_key(struct keyfile *out, enum keyfile_kind kind, const EVP_PKEY *key)
{
    unsigned char *der = NULL;
    int len = key ? i2d_PUBKEY(key, &der) : 0;
    bool ok = len > 0
              && EVP_Digest(der, (size_t)len, add_item(out, kind)->key, NULL, EVP_sha256(), NULL);

    OPENSSL_free(der);
    return ok;
}

static bool add_certificate(struct keyfile *out, const X509 *cert)
{
    struct keyfile_item *item = add_item(out, KEYFILE_CERTIFICATE);

    int len = i2d_X509(cert, &item->der);

    if (len <= 0 || !cert_describe(cert, &item->cert))
        return false;
    item->der_len = (size_t)len;
    memcpy(item->key, item->cert.digests.key, CERT_DIGEST_SIZE);
    return true;
}

/* The four kinds of DER. Each reads all of the bytes or fails. */
static bool take_certificate(struct keyfile *out, const unsigned char *der, long len)
{
    const unsigned char *p = der;
    X509 *cert = d2i_X509(NULL, &p, len);
    bool ok = cert && p == der + len && add_certificate(out, cert);

    X509_free(cert);
    return ok;
}

/* OpenSSL's own "TRUSTED CERTIFICATE" has trust settings behind the certificate. */
static bool take_trusted_certificate(struct keyfile *out, const unsigned char *der, long len)
{
    const unsigned char *p = der;
    X509 *cert = d2i_X509_AUX(NULL, &p, len);
    bool ok = cert && p == der + len && add_certificate(out, cert);

    X509_free(cert);
    return ok;
}

static bool take_request(struct keyfile *out, const unsigned char *der, long len)
{
    const unsigned char *p = der;
    X509_REQ *request = d2i_X509_REQ(NULL, &p, len);
    bool ok = request && p == der + len
              && add_key(out, KEYFILE_REQUEST, X509_REQ_get0_pubkey(request));

    X509_REQ_free(request);
    return ok;
}

static bool take_public_key(struct keyfile *out, const unsigned char *der, long len)
{
    const unsigned char *p = der;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, len);
    bool ok = key && p == der + len && add_key(out, KEYFILE_PUBLIC_KEY, key);

    EVP_PKEY_free(key);
    return ok;
}

static bool take_private_key(struct keyfile *out, const unsigned char *der, long len)
{
    const unsigned char *p = der;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &p, len);
    bool ok = key && p == der + len && add_key(out, KEYFILE_PRIVATE_KEY, key);

    EVP_PKEY_free(key);
    return ok;
}

typedef bool take_der(struct keyfile *out, const unsigned char *der, long len);

static const struct {
    const char *name; /* RFC 7468, and OpenSSL's older ones */
    take_der *take;   /* NULL: parameters, with nothing to pin */
} blocks[] = {
    {PEM_STRING_X509, take_certificate},
    {PEM_STRING_X509_OLD, take_certificate},
    {PEM_STRING_X509_TRUSTED, take_trusted_certificate},
    {PEM_STRING_X509_REQ, take_request},
    {PEM_STRING_X509_REQ_OLD, take_request},
    {PEM_STRING_PUBLIC, take_public_key},
    {PEM_STRING_PKCS8INF, take_private_key},
    {PEM_STRING_RSA, take_private_key},
    {PEM_STRING_DSA, take_private_key},
    {PEM_STRING_ECPRIVATEKEY, take_private_key},
    {PEM_STRING_ECPARAMETERS, NULL},
    {PEM_STRING_DHPARAMS, NULL},
};

static const char *take_block(struct keyfile *out, const struct pem_block *block)
{
    const size_t before = out->count;
    size_t i;

    if (strcmp(block->label, PEM_STRING_PKCS8) == 0 || block->encrypted)
        return encrypted;
    for (i = 0; i < COUNT_OF(blocks); i++) {
        if (strcmp(block->label, blocks[i].name) != 0)
            continue;
        if (blocks[i].take && !blocks[i].take(out, block->der, (long)block->len))
            return "this PEM block is damaged: its content does not match its BEGIN line";
        if (before < out->count)
            out->items[before].line = block->line;
        return NULL;
    }
    return "this PEM block is neither a certificate, a CSR nor a key";
}

static const char *parse_pem(const char *data, size_t len, struct keyfile *out)
{
    struct pem_reader reader;
    struct pem_block block;
    const char *why;

    pem_start(&reader, data, len);
    while (!(why = pem_next(&reader, &block)) && block.der) {
        why = take_block(out, &block);
        reader.line = why ? block.line : reader.line;
        pem_block_free(&block);
        if (why)
            break;
    }
    ERR_clear_error();
    out->wrong_line = why ? reader.line : 0;
    return why;
}

static const char *parse_der(const char *data, size_t len, struct keyfile *out)
{
    static take_der *const kinds[] = {take_certificate, take_request, take_public_key,
                                      take_private_key};
    size_t i;

    for (i = 0; i < COUNT_OF(kinds); i++)
        if (kinds[i](out, (const unsigned char *)data, (long)len))
            break;
    ERR_clear_error();
    return i < COUNT_OF(kinds) ? NULL : unknown;
}

const char *keyfile_parse(const char *data, size_t len, struct keyfile *out)
{
    const char *why;

    memset(out, 0, sizeof(*out));
    if (len > FILE_SIZE_MAX)
        return "is too large";
    ERR_clear_error();
    why = pem_is_text(data, len) ? parse_pem(data, len, out) : parse_der(data, len, out);
    if (!why && out->count == 0)
        why = unknown;
    if (why)
        free_items(out);
    return why;
}

const char *keyfile_read(const char *path, enum file_origin origin, struct keyfile *out)
{
    const char *why;
    char *data;
    size_t len;

    memset(out, 0, sizeof(*out));
    why = file_read(path, origin, FILE_SIZE_MAX, &data, &len);
    if (why)
        return why;
    why = keyfile_parse(data, len, out);
    OPENSSL_cleanse(data, len);
    free(data);
    return why;
}

/* A certificate of a file that is searched for a chain. */
struct candidate {
    X509 *cert; /* NULL: no certificate, or one that cannot be read */
    bool is_self_signed;
};

/* Returns the index of a certificate that issued all[i], or that all[i] issued; or count. */
static size_t find_relative(const struct candidate *all, size_t count, size_t i, bool issuer)
{
    size_t k;

    for (k = 0; k < count; k++) {
        const struct candidate *cert = &all[issuer ? i : k], *ca = &all[issuer ? k : i];

        /*
         * is_self_signed was computed once for each certificate: a file may have many of one name,
         * and to verify a signature takes long
         */
        if (cert != ca && cert->cert && ca->cert && !cert->is_self_signed
            && cert_was_issued_by(cert->cert, ca->cert))
            break;
    }
    return k;
}

size_t keyfile_find_chain(const struct keyfile *f, size_t *issuer)
{
    struct candidate *all = xcalloc(f->count + 1, sizeof(*all));
    size_t found = f->count, i, k;

    for (i = 0; i < f->count; i++) {
        const unsigned char *p = f->items[i].der;

        all[i].cert = p ? d2i_X509(NULL, &p, (long)f->items[i].der_len) : NULL;
        all[i].is_self_signed = all[i].cert && X509_self_signed(all[i].cert, 1) == 1;
    }
    for (i = 0; i < f->count; i++) {
        k = find_relative(all, f->count, i, true);
        if (k == f->count)
            continue;
        found = i;
        *issuer = k;
        if (find_relative(all, f->count, i, false) == f->count)
            break;
    }
    for (i = 0; i < f->count; i++)
        X509_free(all[i].cert);
    free(all);
    ERR_clear_error();
    return found;
}

void keyfile_free(struct keyfile *f)
{
    free_items(f);
    f->wrong_line = 0;
}

const char *keyfile_kind_name(enum keyfile_kind kind)
{
    static const char *const names[] = {"certificate", "certificate request", "public key",
                                        "private key"};

    return names[kind];
}
