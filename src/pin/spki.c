#include "pin/spki.h"

#include <openssl/evp.h>
#include <string.h>

bool spki_decode(const char *text, size_t n, uint8_t digest[CERT_DIGEST_SIZE])
{
    unsigned char raw[SPKI_BASE64_LEN / 4 * 3];
    char again[SPKI_BASE64_LEN + 1];

    if (n != SPKI_BASE64_LEN
        || EVP_DecodeBlock(raw, (const unsigned char *)text, SPKI_BASE64_LEN) != (int)sizeof(raw))
        return false;
    /* the decoder accepts spare bits, blanks, and text without padding */
    spki_encode(raw, again);
    if (memcmp(again, text, SPKI_BASE64_LEN) != 0)
        return false;
    memcpy(digest, raw, CERT_DIGEST_SIZE);
    return true;
}

void spki_encode(const uint8_t digest[CERT_DIGEST_SIZE], char out[SPKI_BASE64_LEN + 1])
{
    EVP_EncodeBlock((unsigned char *)out, digest, CERT_DIGEST_SIZE);
}
