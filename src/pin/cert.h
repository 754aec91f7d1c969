/* What there is to say about one certificate: for logs, for the tool, and its two digests. */
#ifndef PIN_CERT_H
#define PIN_CERT_H

#include <stdbool.h>
#include <stdint.h>

#define CERT_DIGEST_SIZE 32

struct x509_st;        /* OpenSSL's X509 */
struct X509_name_st;   /* OpenSSL's X509_NAME */
struct asn1_string_st; /* OpenSSL's ASN1_TIME */

/* The SHA-256 digests of a certificate, which pins are compared with (pin.h). */
struct cert_digests {
    uint8_t key[CERT_DIGEST_SIZE];  /* of the SubjectPublicKeyInfo (RFC 7469 section 2.4) */
    uint8_t cert[CERT_DIGEST_SIZE]; /* of the whole certificate */
};

struct cert_info {
    char *subject;  /* "CN=api.example.com,O=Example", UTF-8 as far as the peer's is; not escaped */
    char *issuer;   /* likewise */
    char *names;    /* "api.example.com, 192.0.2.1": the names that count; may be "" */
    char *key_type; /* "EC P-256", "RSA 2048" */
    int64_t not_before; /* seconds since the epoch */
    int64_t not_after;
    bool is_ca;
    bool has_responder; /* it names an OCSP responder (RFC 5280 section 4.2.2.1) */
    struct cert_digests digests;
};

/* Fills in *info, to be freed with cert_info_free(). False when a digest cannot be had. */
bool cert_describe(const struct x509_st *cert, struct cert_info *info);
void cert_info_free(struct cert_info *info);

/* Returns a name as struct cert_info has it. The caller frees it. */
char *cert_format_name(const struct X509_name_st *name);

/* Returns a date in seconds since the epoch, or 0 for one that cannot be read. */
int64_t cert_date(const struct asn1_string_st *date);

/*
 * Returns whether issuer has issued cert, by name and signature. A certificate that has signed
 * itself was issued by no other, not by one of the same name and key either.
 */
bool cert_was_issued_by(struct x509_st *cert, struct x509_st *issuer);

/* Holds the same certificate once more; NULL: none. cert_release(NULL) does nothing. */
struct x509_st *cert_hold(struct x509_st *cert);
void cert_release(struct x509_st *cert);

/* Computes the digests. Returns false, with *out unusable, only when memory is short. */
bool cert_compute_digests(const struct x509_st *cert, struct cert_digests *out);

/* Computes the digest of the key alone, and otherwise as cert_compute_digests(). */
bool cert_key_digest(const struct x509_st *cert, uint8_t out[CERT_DIGEST_SIZE]);

/*
 * Stores the digests with a certificate that no other thread knows yet, so that they are computed
 * once. They are freed with it.
 */
void cert_remember(struct x509_st *cert);

#endif
