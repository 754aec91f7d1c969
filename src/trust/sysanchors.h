/*
 * The system's trust anchors, for the `pki` field in the log of a section that uses its pins
 * alone. They take a megabyte and 30 ms, so they are loaded once for the whole process, when they
 * are first needed.
 */
#ifndef TRUST_SYSANCHORS_H
#define TRUST_SYSANCHORS_H

struct x509_store_st; /* OpenSSL's X509_STORE */

/*
 * Returns a reference to the store of the system's anchors, which it loads if it is not loaded; the
 * caller frees the reference. Returns NULL if it cannot be loaded. May be called from any thread.
 */
struct x509_store_st *sysanchors_get(void);

/*
 * Drops the store, so that the next sysanchors_get() reads the files again. Each load of a
 * configuration does so. References that others have stay valid. May be called from any thread.
 */
void sysanchors_drop(void);

#endif
