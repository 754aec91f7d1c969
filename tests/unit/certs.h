/* Certificates made to order. Everything that is made lives until the program ends. */
#ifndef UNIT_CERTS_H
#define UNIT_CERTS_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "Today" in the tests: 2027-01-15 08:00:00 UTC. */
#define CERTS_NOW INT64_C(1800000000)

struct cert {
    X509 *x509;
    EVP_PKEY *key;
};

/* What a zeroed order leaves open: an EC P-256 key of its own, self-signed with SHA-256, valid from
 * a day before CERTS_NOW to 100 days after it. */
struct cert_order {
    const char *cn;      /* NULL: an empty subject */
    size_t cn_len;       /* 0: strlen(cn) */
    const char *san;     /* as openssl.cnf has it: "DNS:a.example,IP:192.0.2.1" */
    const char *dns_nul; /* one DNS name with bytes that openssl.cnf cannot have */
    size_t dns_nul_len;
    const char *eku;         /* "clientAuth" */
    const char *usage;       /* the key usage of one that is no CA: "critical,digitalSignature" */
    const char *constraints; /* "critical,excluded;DNS:bar.example" */
    const char *basic;       /* basic constraints other than those of ca; "" leaves them out */
    bool ca;
    int from, to;       /* days from CERTS_NOW */
    const char *digest; /* "SHA1" */
    EVP_PKEY *key;
    const struct cert *issuer;
};

struct cert certs_make(const struct cert_order *order);

EVP_PKEY *certs_ec_key(void);
EVP_PKEY *certs_rsa_key(unsigned bits);

/* Takes ownership of a key, and frees it at the end of the program as all others. */
EVP_PKEY *certs_take_key(EVP_PKEY *key);

/* A CA, and a certificate for a DNS name from it. */
struct cert certs_ca(const char *cn);
struct cert certs_leaf(const char *san, const struct cert *issuer);

/* A revocation list without entries. What a zeroed order leaves open: it has no nextUpdate. */
struct crl_order {
    const struct cert *ca;
    int64_t this_update, next_update; /* seconds since the epoch */
    const char *point;                /* "fullname:URI:http://a.example/1.crl": its scope */
    bool key_id;                      /* names the key of the CA */
};

X509_CRL *certs_crl(const struct crl_order *order);
const char *certs_crl_pem(const X509_CRL *crl);

/* Encoded; in memory that lives until the program ends. */
const char *certs_pem(const X509 *x509);
const char *certs_public_pem(const EVP_PKEY *key);
const char *certs_private_pem(const EVP_PKEY *key, const char *password); /* NULL: plain */
const char *certs_request_pem(EVP_PKEY *key);
size_t certs_der(const X509 *x509, const unsigned char **der);
size_t certs_request_der(EVP_PKEY *key, const unsigned char **der);

/* "sha256//..." of the key, "cert:sha256:..." of the certificate, computed apart from src/. */
const char *certs_key_pin(const struct cert *c);
const char *certs_cert_pin(const struct cert *c);

#endif
