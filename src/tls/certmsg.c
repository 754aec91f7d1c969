#include "tls/certmsg.h"

#include <string.h>

#define HANDSHAKE_CERTIFICATE 11
#define HANDSHAKE_CERTIFICATE_REQUEST 13

#define STRINGIFY(x) #x
#define NUMBER(x) STRINGIFY(x)

/* Tags of DER (X.690). */
enum {
    TAG_INTEGER = 0x02,
    TAG_BIT_STRING = 0x03,
    TAG_OID = 0x06,
    TAG_SEQUENCE = 0x30,
    TAG_VERSION = 0xa0
};

/* Bytes not read yet. */
struct input {
    const uint8_t *at;
    size_t left;
};

static bool take(struct input *in, size_t n, struct input *out)
{
    if (n > in->left)
        return false;
    *out = (struct input){in->at, n};
    in->at += n;
    in->left -= n;
    return true;
}

/* Takes what follows a length of so many bytes, as TLS writes it. */
static bool take_vector(struct input *in, size_t length_bytes, struct input *out)
{
    struct input length;
    size_t n = 0, i;

    if (!take(in, length_bytes, &length))
        return false;
    for (i = 0; i < length_bytes; i++)
        n = n << 8 | length.at[i];
    return take(in, n, out);
}

static bool next_is(const struct input *in, uint8_t tag)
{
    return in->left > 0 && in->at[0] == tag;
}

/* Takes one element of DER with this tag. An indefinite length, which OpenSSL permits, is BER. */
static bool take_element(struct input *in, uint8_t tag, struct input *out)
{
    struct input head;

    if (!next_is(in, tag) || !take(in, 2, &head))
        return false;
    if (head.at[1] < 0x80)
        return take(in, head.at[1], out);
    return head.at[1] > 0x80 && head.at[1] <= 0x83 && take_vector(in, head.at[1] & 0x7f, out);
}

static bool equals(const struct input *in, const void *bytes, size_t n)
{
    return in->left == n && memcmp(in->at, bytes, n) == 0;
}

/* RFC 5480 section 2.1.1, and SM2. */
static bool is_elliptic(const struct input *algorithm)
{
    return equals(algorithm, "\x2a\x86\x48\xce\x3d\x02\x01", 7)
           || equals(algorithm, "\x2a\x81\x1c\xcf\x55\x01\x82\x2d", 8);
}

/*
 * The curves with a prime for which a square root is a single exponentiation: P-256, P-384, P-521.
 */
static bool has_fast_roots(const struct input *curve)
{
    return equals(curve, "\x2a\x86\x48\xce\x3d\x03\x01\x07", 8)
           || equals(curve, "\x2b\x81\x04\x00\x22", 5) || equals(curve, "\x2b\x81\x04\x00\x23", 5);
}

/* The content of a SubjectPublicKeyInfo (RFC 5280 section 4.1). Returns unreadable if it is none. */
static const char *check_key(struct input spki, const char *unreadable)
{
    struct input algorithm, id, curve, point;

    if (!take_element(&spki, TAG_SEQUENCE, &algorithm) || !take_element(&algorithm, TAG_OID, &id)
        || !take_element(&spki, TAG_BIT_STRING, &point))
        return unreadable;
    if (!is_elliptic(&id))
        return NULL;
    if (!take_element(&algorithm, TAG_OID, &curve))
        return "a certificate or raw public key has a curve without a name (RFC 5480 section 2.1.1)";
    /* one byte of unused bits, then the point: 4 is the uncompressed form (SEC 1 section 2.3.3) */
    if (point.left < 2)
        return unreadable;
    if (point.at[1] != 4 && !has_fast_roots(&curve))
        return "a certificate or raw public key has a point in compressed form, on another curve than P-256, P-384 or P-521";
    return NULL;
}

static const char *check_certificate(struct input der)
{
    struct input certificate, tbs, skipped, spki;

    if (!take_element(&der, TAG_SEQUENCE, &certificate)
        || !take_element(&certificate, TAG_SEQUENCE, &tbs)
        || (next_is(&tbs, TAG_VERSION) && !take_element(&tbs, TAG_VERSION, &skipped))
        || !take_element(&tbs, TAG_INTEGER, &skipped)  /* serialNumber */
        || !take_element(&tbs, TAG_SEQUENCE, &skipped) /* signature */
        || !take_element(&tbs, TAG_SEQUENCE, &skipped) /* issuer */
        || !take_element(&tbs, TAG_SEQUENCE, &skipped) /* validity */
        || !take_element(&tbs, TAG_SEQUENCE, &skipped) /* subject */
        || !take_element(&tbs, TAG_SEQUENCE, &spki))
        return "the server's certificate cannot be read: not DER";
    return check_key(spki, "the server's certificate cannot be read: its public key");
}

/* Checks the key, which in TLS 1.3 is an entry of a list with one entry (RFC 7250 section 3). */
static const char *check_raw_key(struct input list, bool is_tls13)
{
    static const char unreadable[] = "the server's raw public key cannot be read: not DER";
    struct input der = list, spki;

    if ((is_tls13 && !take_vector(&list, 3, &der)) || !take_element(&der, TAG_SEQUENCE, &spki))
        return unreadable;
    return check_key(spki, unreadable);
}

const char *certmsg_check(const uint8_t *message, size_t n, bool is_tls13, bool is_raw_key)
{
    struct input in = {message, n}, header, skipped, list, der;
    const char *why;
    int count = 0;

    if (n > CERTMSG_REQUEST_MAX && message[0] == HANDSHAKE_CERTIFICATE_REQUEST)
        return "the server's request for a client certificate is longer than 16 KiB";
    if (n == 0 || message[0] != HANDSHAKE_CERTIFICATE)
        return NULL;
    /* OpenSSL refuses wrong lengths, and parses nothing after them */
    if (!take(&in, 4, &header) || (is_tls13 && !take_vector(&in, 1, &skipped))
        || !take_vector(&in, 3, &list))
        return NULL;
    if (is_raw_key)
        return check_raw_key(list, is_tls13);
    while (take_vector(&list, 3, &der)) {
        if (++count > CERTMSG_CERTIFICATES_MAX)
            return "the server sent more than " NUMBER(CERTMSG_CERTIFICATES_MAX) " certificates";
        why = check_certificate(der);
        if (why)
            return why;
        if (is_tls13 && !take_vector(&list, 2, &skipped))
            break;
    }
    return NULL;
}
