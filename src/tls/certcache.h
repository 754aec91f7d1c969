/*
 * A cache of certificates: one copy of each, shared by all connections of a thread. Parsed, a
 * certificate takes more memory than its connection otherwise does, and thousands of tunnels to one
 * server have the same one.
 *
 * This cache only saves memory; a hit implies no trust. Every connection judges its own chain, and
 * a cached certificate has the same encoding in DER as the one that was received. What is added has
 * been proved and trusted first, so a server without the key can neither fill the cache nor push
 * anything out of it.
 */
#ifndef TLS_CERTCACHE_H
#define TLS_CERTCACHE_H

#include <stddef.h>

struct x509_st;       /* OpenSSL's X509 */
struct stack_st_X509; /* and a list of them */
struct certcache;

/* NULL: no memory. */
struct certcache *certcache_new(void);
void certcache_free(struct certcache *f);

/*
 * Puts the shared copy in the place of every certificate that has one. References are taken care
 * of.
 */
void certcache_share(struct certcache *f, struct stack_st_X509 *certs);

/*
 * Makes this certificate, of a server that has proved its key and was trusted, the shared copy,
 * unless there is one. Takes a reference. Older ones are dropped to make room; one over 16 KiB is
 * not shared.
 */
void certcache_add(struct certcache *f, struct x509_st *cert);

/*
 * Adds of all that such a server has sent what its verdict rests on: its own certificate, which is
 * the first, and those that are in its verified chain. verified: NULL if none was asked for.
 */
void certcache_add_chain(struct certcache *f, const struct stack_st_X509 *sent,
                         const struct stack_st_X509 *verified);

/* Returns how many there are. */
size_t certcache_count(const struct certcache *f);

/* Returns how many bytes they have, as they were sent. */
size_t certcache_bytes(const struct certcache *f);

#endif
