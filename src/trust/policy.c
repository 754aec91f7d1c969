#include "trust/policy.h"

#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/diag.h"
#include "config/section.h"
#include "learned/learned.h"
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

bool policy_extend_id(struct policy *p, const uint8_t digest[32])
{
    uint8_t both[POLICY_ID_SIZE + 32];

    memcpy(both, p->id, POLICY_ID_SIZE);
    memcpy(both + POLICY_ID_SIZE, digest, 32);
    return EVP_Digest(both, sizeof(both), p->id, NULL, EVP_sha256(), NULL) == 1;
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
        if (pin_is_of_key(&section->revoked.items[i], key))
            return true;
    return false;
}

/* Returns the configuration's own pin that is equal to another pin, or NULL. */
static const struct pin *find_configured(const struct config_section *section,
                                         const struct pin *pin)
{
    size_t i;

    for (i = 0; i < section->pins.count; i++)
        if (pin_equal(&section->pins.items[i], pin))
            return &section->pins.items[i];
    return NULL;
}

bool policy_is_pinned(const struct config_section *section, const uint8_t key[CERT_DIGEST_SIZE])
{
    const struct pin pin = pin_make(PIN_SERVER, PIN_KEY, key);

    return find_configured(section, &pin) != NULL;
}

/* Learned keys. */

/* Returns the pin of the configuration that a learned key depends on, or NULL. */
static const struct pin *find_via(const struct config_section *section,
                                  const struct learned_via *via)
{
    const struct pin pin = pin_make(via->role, via->kind, via->digest);

    return via->known ? find_configured(section, &pin) : NULL;
}

/* Returns whether a key from first use is accepted: only if the section would still learn it. */
static bool is_first_use(const struct config_section *s, const struct learned_key *k)
{
    return k->from == LEARNED_TOFU && !k->refused && config_uses_tofu(s);
}

static bool has_first_use(const struct config_section *s, const struct learned_key *keys, size_t n,
                          const uint8_t digest[CERT_DIGEST_SIZE])
{
    size_t i;

    for (i = 0; i < n; i++)
        if (is_first_use(s, &keys[i]) && memcmp(keys[i].digest, digest, CERT_DIGEST_SIZE) == 0)
            return true;
    return false;
}

/*
 * Returns whether a key from pins_url is accepted, of all n keys that the file has. A key that the
 * configuration pins itself is not: its last day is the configuration's, and not the host's.
 */
static bool is_vouched_for(const struct config_section *s, const struct learned_key *k,
                           const struct learned_key *keys, size_t n)
{
    const struct learned_via *via = &k->via;

    if (!via->known || policy_is_pinned(s, k->digest)
        || (via->kind == PIN_KEY && policy_is_revoked(s, via->digest)))
        return false;
    return find_via(s, via)
           || (via->role == PIN_SERVER && via->kind == PIN_KEY
               && has_first_use(s, keys, n, via->digest));
}

static bool is_accepted(const struct config_section *s, const struct learned_key *k,
                        const struct learned_key *keys, size_t n)
{
    if (k->from == LEARNED_PINS_URL)
        return s->pins_url && is_vouched_for(s, k, keys, n);
    return is_first_use(s, k);
}

/* Fills in the learned keys that the policy accepts, and returns how many they are. */
static size_t accepted_keys(const struct policy *p, struct learned_key out[LEARNED_KEYS_MAX])
{
    struct learned_key keys[LEARNED_KEYS_MAX];
    size_t n, i, count = 0;

    if (!p->learned)
        return 0;
    n = learned_find(p->learned, p->section->name, p->hostport, keys);
    for (i = 0; i < n; i++)
        if (is_accepted(p->section, &keys[i], keys, n))
            out[count++] = keys[i];
    return count;
}

/* Makes a pin of a learned key. text: where its text is to be stored. */
static struct pin learned_pin(const struct config_section *section, const struct learned_key *k,
                              char text[PIN_KEY_TEXT_SIZE])
{
    struct pin pin = pin_make(PIN_SERVER, PIN_KEY, k->digest);

    pin.origin = k->from == LEARNED_TOFU ? PIN_FIRST_USE : PIN_ANNOUNCED;
    pin.until = k->until;
    pin.first_seen = k->first_seen;
    pin.via = find_via(section, &k->via);
    if (pin.via && pin.via->until && (!pin.until || pin.via->until < pin.until))
        pin.until = pin.via->until;
    pin_format_key(k->digest, text);
    pin.text = text;
    return pin;
}

void policy_pins(const struct policy *p, struct policy_pins *out)
{
    struct learned_key keys[LEARNED_KEYS_MAX];
    size_t n = accepted_keys(p, keys), i;

    out->configured = &p->section->pins;
    out->count = out->configured->count + n;
    for (i = 0; i < n; i++)
        out->learned[i] = learned_pin(p->section, &keys[i], out->texts[i]);
}

const struct pin *policy_pins_at(const struct policy_pins *pins, size_t index)
{
    const size_t configured = pins->configured->count;

    return index < configured ? &pins->configured->items[index]
                              : &pins->learned[index - configured];
}

void policy_pins_match(const struct policy_pins *pins, const struct cert_digests *server,
                       int64_t now, struct pin_match *match)
{
    size_t i;

    for (i = 0; i < pins->count && !match->live; i++) {
        const struct pin *pin = policy_pins_at(pins, i);

        if (pin_matches(pin, PIN_SERVER, server))
            pin_match_add(match, pin, now);
    }
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
    const struct learned_key *announced = NULL;
    size_t n, i;

    *via = (struct learned_via){.known = true, .role = pin->role, .kind = pin->kind};
    memcpy(via->digest, pin->digest, CERT_DIGEST_SIZE);
    if (find_configured(p->section, pin))
        return true;
    n = accepted_keys(p, keys);
    for (i = 0; i < n; i++) {
        const struct pin key = pin_make(PIN_SERVER, PIN_KEY, keys[i].digest);

        if (!pin_equal(&key, pin))
            continue;
        if (keys[i].from == LEARNED_TOFU)
            return true;
        announced = announced ? announced : &keys[i];
    }
    if (announced)
        *via = announced->via;
    return announced != NULL;
}

uint64_t policy_learned_generation(const struct policy *p)
{
    return p->learned ? learned_generation(p->learned) : 0;
}
