/*
 * Trust anchors and revocation lists: what the PKI is asked with. Each set of files is loaded once,
 * however many sections name it.
 */
#ifndef TRUST_ANCHORS_H
#define TRUST_ANCHORS_H

#include <stdint.h>

#include "config/diag.h"
#include "config/section.h"

struct x509_store_st; /* OpenSSL's X509_STORE */
struct anchors;

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

/*
 * The system's anchors, a reference, for a look at what the PKI would say: loaded when first asked
 * for after an anchors_new(). May be called from any thread. NULL: there are none.
 */
struct x509_store_st *anchors_system(void);

#endif
