/*
 * A policy: whom a section trusts, made ready to judge by (trust.h). Built once from the
 * configuration, and never changed.
 */
#ifndef ENGINE_POLICY_H
#define ENGINE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "config/problems.h"
#include "engine/learned.h"

#define POLICY_FINGERPRINT_SIZE 32

struct anchors;
struct x509_store_st; /* OpenSSL's X509_STORE */

struct policy {
    const struct config_section *section;
    struct x509_store_st *store; /* a reference; NULL when only observing */
    struct learned *learned;     /* a reference; NULL: the section learns nothing */
    char *place;                 /* "host:port", which learned pins are for */
    bool observe;                /* trusts nobody */
    /* SHA-256 over all that shapes whom the section trusts and how it speaks to them */
    uint8_t fingerprint[POLICY_FINGERPRINT_SIZE];
};

/*
 * The policy of a section. The section must outlive it; the anchors need not. learned: the store of
 * learned pins; NULL only if the section learns none. NULL after adding to problems what cannot be
 * loaded.
 */
struct policy *policy_new(const struct config_section *section, struct anchors *anchors,
                          struct learned *learned, struct problems *problems);

/* A policy that trusts nobody: to look at a server's certificates. The section must outlive it. */
struct policy *policy_observe(const struct config_section *section);

void policy_free(struct policy *p);

/* Whether a server must staple a good OCSP response. */
bool policy_wants_staple(const struct policy *p);

/* The learned keys that this policy goes by now, without those refused. Returns how many. */
size_t policy_learned_keys(const struct policy *p, struct learned_key out[LEARNED_KEYS_MOST]);

#endif
