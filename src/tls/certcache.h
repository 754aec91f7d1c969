/*
 * A cache of parsed certificates, shared by all connections of a thread. A parsed certificate takes
 * more memory than the rest of its connection, and thousands of tunnels to one server have the
 * same.
 *
 * This cache only saves memory; a hit implies no trust. Every connection judges its own chain, and
 * a cached certificate has the same DER encoding as the received one. Only certificates of a server
 * that has proved its key and is trusted are added, so no other server can fill the cache or
 * displace what is in it.
 */
#ifndef TLS_CERTCACHE_H
#define TLS_CERTCACHE_H

#include <stddef.h>

struct x509_st;       /* OpenSSL's X509 */
struct stack_st_X509; /* and a list of them */
struct certcache;

/* Returns an empty cache, or NULL if memory is short. */
struct certcache *certcache_new(void);
void certcache_free(struct certcache *f);

/*
 * Replaces each certificate in certs that is cached by the cached one, and adjusts the references.
 */
void certcache_share(struct certcache *f, struct stack_st_X509 *certs);

/*
 * Adds a certificate of a server that has proved its key and is trusted, unless it is cached
 * already. Takes a reference of its own. Older ones are dropped to make room. One over 16 KiB is
 * not added.
 */
void certcache_add(struct certcache *f, struct x509_st *cert);

/*
 * Adds the certificates in sent that the verdict rests on: the server's own, which is the first,
 * and those in the verified chain. verified is NULL if no chain was verified.
 */
void certcache_add_chain(struct certcache *f, const struct stack_st_X509 *sent,
                         const struct stack_st_X509 *verified);

/* Returns the number of certificates. */
size_t certcache_count(const struct certcache *f);

/* Returns their size in DER, in bytes. */
size_t certcache_bytes(const struct certcache *f);

#endif
