/*
 * Certificate messages, with certificates or a raw public key. A key that OpenSSL decodes from a
 * message that passes is on a curve with a name: its parameters are not the server's.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tls/certmsg.h"

#define HANDSHAKE_CERTIFICATE 11

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes of the message that are not read yet. It is read as OpenSSL reads it. */
struct rest {
    const uint8_t *at;
    size_t left;
};

static void need(bool ok)
{
    if (!ok)
        abort();
}

/* Takes what follows a length of so many bytes. */
static bool take(struct rest *in, size_t length_bytes, struct rest *out)
{
    size_t n = 0, i;

    if (in->left < length_bytes)
        return false;
    for (i = 0; i < length_bytes; i++)
        n = n << 8 | in->at[i];
    if (n > in->left - length_bytes)
        return false;
    *out = (struct rest){in->at + length_bytes, n};
    in->at += length_bytes + n;
    in->left -= length_bytes + n;
    return true;
}

static void check_key(EVP_PKEY *key)
{
    char encoding[32];
    size_t len;

    if (!key || !EVP_PKEY_is_a(key, "EC"))
        return;
    need(EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, encoding,
                                        sizeof(encoding), &len)
         == 1);
    need(strcmp(encoding, "explicit") != 0);
}

static void check_raw_key(struct rest list, bool is_tls13)
{
    struct rest der = list;
    const uint8_t *p;
    EVP_PKEY *key;

    if (is_tls13 && !take(&list, 3, &der))
        return;
    p = der.at;
    key = d2i_PUBKEY(NULL, &p, (long)der.left);
    check_key(key);
    EVP_PKEY_free(key);
}

static void check_certificates(struct rest list, bool is_tls13)
{
    struct rest der, extensions;

    while (take(&list, 3, &der)) {
        const uint8_t *p = der.at;
        X509 *cert = d2i_X509(NULL, &p, (long)der.left);

        check_key(cert ? X509_get0_pubkey(cert) : NULL);
        X509_free(cert);
        if (is_tls13 && !take(&list, 2, &extensions))
            return;
    }
}

/* The first byte of the input has the version in bit 0, and in bit 1 what the server has chosen. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bool is_tls13 = size > 0 && data[0] & 1, is_raw_key = size > 0 && data[0] & 2;
    struct rest in, context, list;
    uint8_t *message;

    if (size < 2)
        return 0;
    /* of exactly that size, so that a sanitizer sees one byte too far */
    message = malloc(size - 1);
    need(message != NULL);
    memcpy(message, data + 1, size - 1);
    if (!certmsg_check(message, size - 1, is_tls13, is_raw_key)
        && message[0] == HANDSHAKE_CERTIFICATE && size > 5) {
        in = (struct rest){message + 4, size - 5};
        if ((!is_tls13 || take(&in, 1, &context)) && take(&in, 3, &list)) {
            if (is_raw_key)
                check_raw_key(list, is_tls13);
            else
                check_certificates(list, is_tls13);
        }
    }
    free(message);
    ERR_clear_error();
    return 0;
}
