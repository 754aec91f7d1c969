/*
 * Trust anchors and revocation lists, which chains are verified with (chain.h). Each set of files
 * is loaded once, for all sections that name it.
 */
#ifndef TRUST_ANCHORS_H
#define TRUST_ANCHORS_H

#include <stdbool.h>
#include <stdint.h>

struct x509_store_st; /* OpenSSL's X509_STORE */
struct anchors;
struct config_section;
struct diag_list;

/* Makes an empty set of stores. The caller frees it. */
struct anchors *anchors_new(void);

/* Frees a set. A store that has other references outlives it. a may be NULL. */
void anchors_free(struct anchors *a);

/*
 * Returns the store with a section's ca_file, ca_dir and crl_file, and computes digest, SHA-256
 * over the names of those files and their contents. A section that asks the PKI and names no
 * anchors has the system's; one that uses its pins alone has none of them. The set owns the
 * store, so that a caller that stores it takes a reference. Returns NULL after adding to diags what
 * cannot be loaded.
 */
struct x509_store_st *anchors_find(struct anchors *a, const struct config_section *section,
                                   uint8_t digest[32], struct diag_list *diags);

/* Returns whether a section names anchors of its own (ca_file, ca_dir). */
bool anchors_are_named(const struct config_section *section);

/*
 * Returns a reference to the anchors that show what the PKI finds of a section's server, whatever
 * the section trusts: own, the store that anchors_find() has returned for it; or the system's, if
 * the section uses its pins alone and names no anchors. The caller frees the reference. Returns
 * NULL if there are none. May be called from any thread.
 */
struct x509_store_st *anchors_for(const struct config_section *section, struct x509_store_st *own);

#endif
