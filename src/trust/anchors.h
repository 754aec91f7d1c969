/*
 * Trust anchors and revocation lists: what the PKI is asked with. Each set of files is loaded once,
 * however many sections name it.
 */
#ifndef TRUST_ANCHORS_H
#define TRUST_ANCHORS_H

#include <stdbool.h>
#include <stdint.h>

struct x509_store_st; /* OpenSSL's X509_STORE */
struct anchors;
struct config_section;
struct diag_list;

struct anchors *anchors_new(void);
void anchors_free(struct anchors *a);

/*
 * The store with a section's ca_file, ca_dir (the system's when it names none) and crl_file; it is
 * the set's, so whoever keeps it takes a reference. digest: SHA-256 over which files those are and
 * what was in them. NULL after adding to problems what cannot be loaded. The system's anchors are
 * not in the store of a section that goes by its pins alone.
 */
struct x509_store_st *anchors_find(struct anchors *a, const struct config_section *section,
                                   uint8_t digest[32], struct diag_list *diags);

/* Returns whether a section names anchors of its own (ca_file, ca_dir). */
bool anchors_are_named(const struct config_section *section);

/*
 * Returns a reference to the store by which to say what the PKI finds of a section's server,
 * whatever the section trusts: own, which anchors_find() has returned for it, or the system's where
 * it goes by its pins alone and names no anchors. The caller frees the reference. NULL: there are
 * none. May be called from any thread.
 */
struct x509_store_st *anchors_for(const struct config_section *section, struct x509_store_st *own);

#endif
