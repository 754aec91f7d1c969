/*
 * The trust anchors of the system: the file and the directories that OpenSSL has by default, or
 * those that SSL_CERT_FILE and SSL_CERT_DIR name (openssl-env(7)).
 *
 * OpenSSL would read the directories when it needs a certificate, in the middle of a handshake, and
 * might wait for the disk. So everything is read at once.
 */
#ifndef TRUST_SYSANCHORS_H
#define TRUST_SYSANCHORS_H

struct x509_store_st; /* OpenSSL's X509_STORE */

/*
 * Loads the certificates and revocation lists of the system into a store, as far as they can be
 * read.
 */
void sysanchors_load(struct x509_store_st *store);

/*
 * Returns a reference to a store of the system's anchors, for the `pki` field in the log of a
 * section that uses its pins alone. They take a megabyte and 30 ms, so they are loaded once for the
 * whole process, when they are first needed; the directories only if the file has none. The caller
 * frees the reference. Returns NULL if memory is short. May be called from any thread.
 */
struct x509_store_st *sysanchors_get(void);

/*
 * Drops that store, so that the next sysanchors_get() reads the files again. Each load of a
 * configuration does so. References that others have stay valid. May be called from any thread.
 */
void sysanchors_drop(void);

#endif
