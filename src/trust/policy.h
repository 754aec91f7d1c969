/*
 * A policy: which servers a section trusts, in the form that verdicts need (trust.h). It is built
 * once from the configuration, and never changed.
 */
#ifndef TRUST_POLICY_H
#define TRUST_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "learned/learnedkey.h"
#include "pin/pin.h"

#define POLICY_ID_SIZE 32

struct anchors;
struct config_section;
struct diag_list;
struct learned;
struct x509_store_st; /* OpenSSL's X509_STORE */

struct policy {
    const struct config_section *section;
    struct x509_store_st *store; /* a reference; NULL if probe_only */
    struct learned *learned;     /* a reference; NULL: the section learns nothing */
    char *hostport;              /* "host:port", under which its pins are learned */
    bool probe_only;             /* it trusts no server */
    /* see policyid.h: a session is resumed only under the policy that it was made under */
    uint8_t id[POLICY_ID_SIZE];
};

/*
 * Makes the policy of a section. The section must outlive it; the anchors need not. learned: the
 * store of learned pins, which it takes a reference to; NULL only if the section learns none. The
 * caller frees the policy. Returns NULL after adding to diags what cannot be loaded.
 */
struct policy *policy_new(const struct config_section *section, struct anchors *anchors,
                          struct learned *learned, struct diag_list *diags);

/* Makes a policy that trusts no server, to see its certificates. The section must outlive it. */
struct policy *policy_new_probe(const struct config_section *section);

/*
 * Makes the policy's id cover a further digest, that of the client certificate. Must be called
 * before the policy is used. Returns false if memory is short.
 */
bool policy_extend_id(struct policy *p, const uint8_t digest[32]);

/* Frees a policy. p may be NULL. */
void policy_free(struct policy *p);

/* Returns whether a server must staple a good OCSP response. */
bool policy_wants_staple(const struct policy *p);

/* Returns whether the section's `revoked` names this key. */
bool policy_is_revoked(const struct config_section *section, const uint8_t key[CERT_DIGEST_SIZE]);

/* Returns whether the configuration itself pins this key of the server, with whatever date. */
bool policy_is_pinned(const struct config_section *section, const uint8_t key[CERT_DIGEST_SIZE]);

/* All pins of a policy. It has pointers into itself, so it must not be copied. */
struct policy_pins {
    size_t count;
    const struct pin_list *configured; /* the section's, which come first */
    struct pin learned[LEARNED_KEYS_MAX];
    char texts[LEARNED_KEYS_MAX][PIN_KEY_TEXT_SIZE];
};

/*
 * Lists the pins that a policy accepts now or has accepted until their date: those of the
 * configuration in their order, and then the learned ones, each with its origin. An announced key
 * is one of them only while the pin that it depends on is, and ends on that pin's date or before.
 * The pins are valid as long as *out and the policy.
 */
void policy_pins(const struct policy *p, struct policy_pins *out);

/* Returns one of the listed pins. index < pins->count. */
const struct pin *policy_pins_at(const struct policy_pins *pins, size_t index);

/*
 * Adds to *match the listed pins of the server that match its certificate at this time (seconds
 * since the epoch), up to the first live one.
 */
void policy_pins_match(const struct policy_pins *pins, const struct cert_digests *server,
                       int64_t now, struct pin_match *match);

/*
 * Fills in the keys from pins_url that this policy no longer accepts or needs, as the file has
 * them, and returns how many they are. A later configuration must not find them there.
 */
size_t policy_stale_keys(const struct policy *p, struct learned_key out[LEARNED_KEYS_MAX]);

/*
 * Finds the pin that keys depend on which the host announces on a connection. pin: the one that the
 * connection was accepted on. Returns true with *via, or false if pin was removed since.
 */
bool policy_trace_pin(const struct policy *p, const struct pin *pin, struct learned_via *via);

/* Returns a number that changes whenever learned keys may have changed; 0 if it learns none. */
uint64_t policy_learned_generation(const struct policy *p);

#endif
