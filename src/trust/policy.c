#include "trust/policy.h"

#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "trust/anchors.h"
#include "trust/policyid.h"

struct policy *policy_new(const struct config_section *section, struct anchors *anchors,
                          struct learned *learned, struct diag_list *diags)
{
    uint8_t anchors_digest[32];
    X509_STORE *store = anchors_find(anchors, section, anchors_digest, diags);
    struct policy *p;

    if (!store)
        return NULL;
    p = xcalloc(1, sizeof(*p));
    p->section = section;
    X509_STORE_up_ref(store);
    p->store = store;
    p->hostport = xasprintf(strchr(section->host, ':') ? "[%s]:%ld" : "%s:%ld", section->host,
                            section->port);
    if (config_learns(section) && learned)
        p->learned = learned_hold(learned);
    if (policyid_section(section, anchors_digest, p->id))
        return p;
    diag_add(diags, section->where, "[%s]: out of memory", section->name);
    policy_free(p);
    return NULL;
}

struct policy *policy_new_probe(const struct config_section *section)
{
    struct policy *p = xcalloc(1, sizeof(*p));

    p->section = section;
    p->probe_only = true;
    return p;
}

void policy_free(struct policy *p)
{
    if (!p)
        return;
    X509_STORE_free(p->store);
    learned_release(p->learned);
    free(p->hostport);
    free(p);
}

bool policy_wants_staple(const struct policy *p)
{
    return p->section->ocsp == OCSP_STAPLE && config_uses_pki(p->section);
}

bool policy_is_revoked(const struct config_section *section, const uint8_t key[CERT_DIGEST_SIZE])
{
    size_t i;

    for (i = 0; i < section->revoked.count; i++)
        if (memcmp(section->revoked.items[i].digest, key, CERT_DIGEST_SIZE) == 0)
            return true;
    return false;
}

/* Learned keys. */

const struct pin *policy_find_pin(const struct config_section *section,
                                  const struct learned_via *via)
{
    size_t i;

    for (i = 0; via->known && i < section->pins.count; i++) {
        const struct pin *pin = &section->pins.items[i];

        if (pin->role == via->role && pin->kind == via->kind
            && memcmp(pin->digest, via->digest, CERT_DIGEST_SIZE) == 0)
            return pin;
    }
    return NULL;
}

bool policy_pins_key(const struct config_section *section, const uint8_t key[CERT_DIGEST_SIZE])
{
    struct learned_via via = {.known = true, .role = PIN_SERVER, .kind = PIN_KEY};

    memcpy(via.digest, key, CERT_DIGEST_SIZE);
    return policy_find_pin(section, &via) != NULL;
}

/* A key that the section would not learn today has no effect because it did once. */
static bool is_kept_key(const struct config_section *s, const struct learned_key *k)
{
    return k->from == LEARNED_TOFU && !k->refused && config_uses_tofu(s);
}

static bool has_kept_key(const struct config_section *s, const struct learned_key *keys, size_t n,
                         const uint8_t digest[CERT_DIGEST_SIZE])
{
    size_t i;

    for (i = 0; i < n; i++)
        if (is_kept_key(s, &keys[i]) && memcmp(keys[i].digest, digest, CERT_DIGEST_SIZE) == 0)
            return true;
    return false;
}

/*
 * Whether a key from pins_url is accepted, of all n that the file has. What the configuration pins
 * itself ends when the configuration says so, and not when the host does.
 */
static bool is_vouched_for(const struct config_section *s, const struct learned_key *k,
                           const struct learned_key *keys, size_t n)
{
    const struct learned_via *via = &k->via;

    if (!via->known || policy_pins_key(s, k->digest)
        || (via->kind == PIN_KEY && policy_is_revoked(s, via->digest)))
        return false;
    return policy_find_pin(s, via)
           || (via->role == PIN_SERVER && via->kind == PIN_KEY
               && has_kept_key(s, keys, n, via->digest));
}

static bool is_accepted(const struct config_section *s, const struct learned_key *k,
                        const struct learned_key *keys, size_t n)
{
    if (k->from == LEARNED_PINS_URL)
        return s->pins_url && is_vouched_for(s, k, keys, n);
    return is_kept_key(s, k);
}

size_t policy_learned_keys(const struct policy *p, struct learned_key out[LEARNED_KEYS_MAX])
{
    struct learned_key keys[LEARNED_KEYS_MAX];
    size_t n, i, count = 0;

    if (!p->learned)
        return 0;
    n = learned_find(p->learned, p->section->name, p->hostport, keys);
    for (i = 0; i < n; i++) {
        const struct pin *pin;

        if (!is_accepted(p->section, &keys[i], keys, n))
            continue;
        out[count] = keys[i];
        pin = policy_find_pin(p->section, &keys[i].via);
        if (pin && pin->until && (!out[count].until || pin->until < out[count].until))
            out[count].until = pin->until;
        count++;
    }
    return count;
}

size_t policy_stale_keys(const struct policy *p, struct learned_key out[LEARNED_KEYS_MAX])
{
    struct learned_key keys[LEARNED_KEYS_MAX];
    size_t n, i, count = 0;

    if (!p->learned || !p->section->pins_url)
        return 0;
    n = learned_find(p->learned, p->section->name, p->hostport, keys);
    for (i = 0; i < n; i++)
        if (keys[i].from == LEARNED_PINS_URL && !is_vouched_for(p->section, &keys[i], keys, n))
            out[count++] = keys[i];
    return count;
}

bool policy_trace_pin(const struct policy *p, const struct pin *pin, struct learned_via *via)
{
    struct learned_key keys[LEARNED_KEYS_MAX];
    const struct learned_key *found = NULL;
    size_t n, i;

    *via = (struct learned_via){.known = true, .role = pin->role, .kind = pin->kind};
    memcpy(via->digest, pin->digest, CERT_DIGEST_SIZE);
    if (policy_find_pin(p->section, via))
        return true;
    n = policy_learned_keys(p, keys);
    if (pin->role != PIN_SERVER || pin->kind != PIN_KEY)
        return false;
    if (has_kept_key(p->section, keys, n, pin->digest))
        return true;
    for (i = 0; i < n && !found; i++)
        if (memcmp(keys[i].digest, pin->digest, CERT_DIGEST_SIZE) == 0)
            found = &keys[i];
    if (found)
        *via = found->via;
    return found != NULL;
}

uint64_t policy_learned_generation(const struct policy *p)
{
    struct learned_key keys[LEARNED_KEYS_MAX];

    if (!p->learned)
        return 0;
    /* looks at the file first */
    (void)learned_find(p->learned, p->section->name, p->hostport, keys);
    return learned_generation(p->learned);
}
