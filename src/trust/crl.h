/*
 * The revocation lists in a store of trust anchors, and how long they are valid: where every
 * certificate of a chain is checked against a list, a list that has expired refuses every server.
 */
#ifndef TRUST_CRL_H
#define TRUST_CRL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct X509_crl_st;   /* OpenSSL's X509_CRL */
struct x509_store_st; /* OpenSSL's X509_STORE */

struct crl_info {
    const struct X509_crl_st *crl; /* the store's */
    const char *issuer;            /* as in struct cert_info */
    const char *file;              /* that it was read from */
    int64_t this_update;           /* seconds since the epoch */
    int64_t next_update;           /* from then on it has expired; INT64_MAX: it has no such date */
};

/* Checks that a list can have an effect. Returns NULL, or what is wrong, a constant text. */
const char *crl_check(const struct X509_crl_st *crl);

/*
 * Adds a list to a store that only this thread uses yet, and its dates to crl_list(). OpenSSL takes
 * the one of several lists that is valid. So of lists of the same CA, key and scope, crl_list() has
 * only the one that expires last. file is copied. Returns false if OpenSSL refuses the list, with
 * its reason in the error queue, or if memory is short.
 */
bool crl_add(struct x509_store_st *store, struct X509_crl_st *crl, const char *file);

/*
 * Returns the lists of a store, and sets *count to their number: NULL and 0 for a store without
 * lists, or for NULL. They live as long as the store.
 */
const struct crl_info *crl_list(const struct x509_store_st *store, size_t *count);

#endif
