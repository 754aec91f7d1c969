/*
 * The certificate that a section shows to servers that ask for one: `client_cert`, `client_key` and
 * `client_key_password`. It is loaded with the configuration.
 */
#ifndef TLS_CLIENTCERT_H
#define TLS_CLIENTCERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/diag.h"
#include "config/section.h"
#include "pin/cert.h"

/* The maximum number of certificates, and of their bytes together: servers take no more. */
#define CLIENTCERT_COUNT_MAX 10
#define CLIENTCERT_SIZE_MAX (64 * 1024)

#define CLIENTCERT_WARNINGS_MAX 4

struct ssl_ctx_st; /* OpenSSL's SSL_CTX */
struct evp_pkey_st;
struct stack_st_X509;

struct clientcert {
    struct stack_st_X509 *certs; /* its own first */
    struct evp_pkey_st *key;
    struct cert_info info;                   /* of its own */
    uint8_t digest[CERT_DIGEST_SIZE];        /* SHA-256 of all of them */
    char *warnings[CLIENTCERT_WARNINGS_MAX]; /* for people */
    size_t warning_count;
};

/*
 * Loads the certificate of a section, and checks that the key belongs to it. s->client_cert must be
 * set. Returns NULL after adding to diags what is wrong. The caller frees it.
 */
struct clientcert *clientcert_load(const struct config_tls_settings *s, struct diag_list *diags);

/* Frees it. c may be NULL. */
void clientcert_free(struct clientcert *c);

/*
 * Makes a context show the certificate. Returns true, or false with OpenSSL's reason in the error
 * queue.
 */
bool clientcert_use(const struct clientcert *c, struct ssl_ctx_st *ctx);

#endif
