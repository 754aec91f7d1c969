/* A certificate: its description for logs and for the tool, and its digests. */
#ifndef PIN_CERT_H
#define PIN_CERT_H

#include <stdbool.h>
#include <stdint.h>

#define CERT_DIGEST_SIZE 32

struct x509_st;        /* OpenSSL's X509 */
struct evp_pkey_st;    /* OpenSSL's EVP_PKEY */
struct X509_name_st;   /* OpenSSL's X509_NAME */
struct asn1_string_st; /* OpenSSL's ASN1_TIME */

/*
 * The SHA-256 digests of a certificate, which pins are compared with (pin.h), or those of a raw
 * public key that a server presents in place of one (RFC 7250).
 */
struct cert_digests {
    uint8_t key[CERT_DIGEST_SIZE];  /* over the SubjectPublicKeyInfo (RFC 7469 section 2.4) */
    uint8_t cert[CERT_DIGEST_SIZE]; /* over the whole certificate */
    uint8_t ordinary_key[CERT_DIGEST_SIZE]; /* as key, of the ordinary form of the key (spki.h) */
    bool is_raw_key; /* no certificate was presented, so cert has no meaning */
};

/* A certificate, or a raw public key, which has no more than a type and the digests. */
struct cert_info {
    char *subject;      /* "CN=api.example.com,O=Example", in UTF-8 if the peer's is; not escaped */
    char *issuer;       /* in the same form */
    char *names;        /* subjectAltName: "api.example.com, 192.0.2.1", and URIs; "": none */
    char *key_type;     /* "EC P-256", "RSA 2048" */
    int64_t not_before; /* seconds since the epoch */
    int64_t not_after;
    bool is_ca;
    bool has_responder; /* it names an OCSP responder (RFC 5280 section 4.2.2.1) */
    struct cert_digests digests;
};

/*
 * Describes a certificate in *info, which the caller frees with cert_info_free(). Returns false,
 * with nothing to free, if its digests cannot be computed.
 */
bool cert_describe(const struct x509_st *cert, struct cert_info *info);

/* Does the same for a raw public key, whose texts are NULL, except the type of the key. */
bool cert_describe_key(const struct evp_pkey_st *key, struct cert_info *info);

/* Frees what cert_describe() has filled in. A zeroed *info is allowed. */
void cert_info_free(struct cert_info *info);

/* Returns a name as struct cert_info has it. The caller frees it. */
char *cert_format_name(const struct X509_name_st *name);

/* Returns a date in seconds since the epoch, or 0 for one that cannot be read. */
int64_t cert_date(const struct asn1_string_st *date);

/*
 * Returns whether issuer has issued cert, by name and signature. No other certificate has issued
 * one that has signed itself, not even one of the same name and key.
 */
bool cert_was_issued_by(struct x509_st *cert, struct x509_st *issuer);

/* Takes a reference to a certificate, and returns it. cert may be NULL. Returns NULL on failure. */
struct x509_st *cert_hold(struct x509_st *cert);

/* Drops a reference. cert may be NULL. */
void cert_release(struct x509_st *cert);

/* Computes the digests. Returns false, with *out undefined, only if memory is short. */
bool cert_compute_digests(const struct x509_st *cert, struct cert_digests *out);

/*
 * Computes the digests of the key alone, as it was presented and in its ordinary form (spki.h).
 * Returns false as cert_compute_digests() does.
 */
bool cert_key_digests(const struct x509_st *cert, uint8_t presented[CERT_DIGEST_SIZE],
                      uint8_t ordinary[CERT_DIGEST_SIZE]);

/* Computes the first of them alone. Returns false as cert_compute_digests() does. */
bool cert_key_digest(const struct x509_st *cert, uint8_t out[CERT_DIGEST_SIZE]);

/*
 * Computes the digests of a raw public key, over the SubjectPublicKeyInfo as OpenSSL writes it.
 * Returns false if it cannot write it, or if memory is short.
 */
bool cert_raw_key_digests(const struct evp_pkey_st *key, struct cert_digests *out);

/*
 * Stores the digests with a certificate that no other thread has yet, so that they are computed
 * only once. They are freed with the certificate.
 */
void cert_remember(struct x509_st *cert);

#endif
