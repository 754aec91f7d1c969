/*
 * The certificates of servers that were trusted: one copy of each, shared by all connections of a
 * thread. Parsed, a certificate takes more than its connection otherwise does, and thousands of
 * tunnels to one server hold the same one.
 *
 * It is a matter of memory only. Nothing is concluded from a certificate's being here: each connection
 * judges what it is shown, and a copy is byte for byte the same.
 */
#ifndef ENGINE_FAMILIAR_H
#define ENGINE_FAMILIAR_H

#include <stddef.h>

struct x509_st;       /* OpenSSL's X509 */
struct stack_st_X509; /* and a list of them */
struct familiar;

/* NULL: no memory. */
struct familiar *familiar_new(void);
void familiar_free(struct familiar *f);

/* Puts the shared copy in the place of every certificate that has one. References are taken care of. */
void familiar_share(struct familiar *f, struct stack_st_X509 *certs);

/* Makes these the shared copies, where there are none; older ones have to go if it gets crowded. */
void familiar_add(struct familiar *f, struct stack_st_X509 *certs);

/* How many there are. */
size_t familiar_count(const struct familiar *f);

#endif
