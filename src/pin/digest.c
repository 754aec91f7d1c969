#include "pin/digest.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *store_digest(const uint8_t from[CERT_DIGEST_SIZE],
                                uint8_t digest[CERT_DIGEST_SIZE])
{
    static const uint8_t zero[CERT_DIGEST_SIZE];

    if (memcmp(from, zero, sizeof(zero)) == 0)
        return "no key and no certificate has an all-zero digest";
    memcpy(digest, from, CERT_DIGEST_SIZE);
    return NULL;
}

static bool is_base64(const char *text, size_t n)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t i;

    for (i = 0; i < n; i++)
        if (!text[i] || !strchr(alphabet, text[i]))
            return false;
    return true;
}

const char *digest_read_base64(const char *text, size_t n, uint8_t digest[CERT_DIGEST_SIZE])
{
    unsigned char raw[DIGEST_BASE64_LEN / 4 * 3];
    char again[DIGEST_BASE64_LEN + 1];

    /* the last character is the padding: the comparison below checks it */
    if (n != DIGEST_BASE64_LEN || !is_base64(text, n - 1))
        return "sha256// takes exactly 44 characters of base64 (A-Z a-z 0-9 + / and the padding "
               "'=')";
    /* the decoder accepts spare bits and text without padding: encode again, and compare */
    if (EVP_DecodeBlock(raw, (const unsigned char *)text, DIGEST_BASE64_LEN) == (int)sizeof(raw)) {
        digest_write_base64(raw, again);
        if (memcmp(again, text, DIGEST_BASE64_LEN) == 0)
            return store_digest(raw, digest);
    }
    return "sha256// takes the base64 of 32 bytes, with padding and no spare bits set";
}

/* Returns the value of a hex digit, or -1. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

const char *digest_read_hex(const char *text, size_t n, uint8_t digest[CERT_DIGEST_SIZE])
{
    static const char hint[] =
        "cert:sha256: takes 64 hex digits, with colons between all bytes or none";
    const size_t step = n == DIGEST_HEX_COLONS_LEN ? 3 : 2;
    uint8_t raw[CERT_DIGEST_SIZE];
    size_t i;

    if (n != DIGEST_HEX_LEN && n != DIGEST_HEX_COLONS_LEN)
        return hint;
    for (i = 0; i < CERT_DIGEST_SIZE; i++, text += step) {
        const int high = hex_value(text[0]), low = hex_value(text[1]);

        if (high < 0 || low < 0 || (step == 3 && i + 1 < CERT_DIGEST_SIZE && text[2] != ':'))
            return hint;
        raw[i] = (uint8_t)(high << 4 | low);
    }
    return store_digest(raw, digest);
}

void digest_write_base64(const uint8_t digest[CERT_DIGEST_SIZE], char out[DIGEST_BASE64_LEN + 1])
{
    EVP_EncodeBlock((unsigned char *)out, digest, CERT_DIGEST_SIZE);
}

void digest_write_hex(const uint8_t digest[CERT_DIGEST_SIZE], char out[DIGEST_HEX_LEN + 1])
{
    size_t i;

    for (i = 0; i < CERT_DIGEST_SIZE; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}
