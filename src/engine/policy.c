#include "engine/policy.h"

#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/anchors.h"
#include "engine/fingerprint.h"

struct policy *policy_new(const struct config_section *section, struct anchors *anchors,
                          struct learned *learned, struct problems *problems)
{
    uint8_t anchors_digest[32];
    X509_STORE *store = anchors_find(anchors, section, anchors_digest, problems);
    struct policy *p;

    if (!store)
        return NULL;
    p = xcalloc(1, sizeof(*p));
    p->section = section;
    X509_STORE_up_ref(store);
    p->store = store;
    p->place = xasprintf(strchr(section->host, ':') ? "[%s]:%ld" : "%s:%ld", section->host,
                         section->port);
    if (config_learns(section) && learned)
        p->learned = learned_hold(learned);
    if (fingerprint_section(section, anchors_digest, p->fingerprint))
        return p;
    problems_add(problems, section->where, "[%s]: out of memory", section->name);
    policy_free(p);
    return NULL;
}

struct policy *policy_observe(const struct config_section *section)
{
    struct policy *p = xcalloc(1, sizeof(*p));

    p->section = section;
    p->observe = true;
    return p;
}

void policy_free(struct policy *p)
{
    if (!p)
        return;
    X509_STORE_free(p->store);
    learned_release(p->learned);
    free(p->place);
    free(p);
}

bool policy_wants_staple(const struct policy *p)
{
    return p->section->ocsp == OCSP_STAPLE && config_uses_pki(p->section);
}

/* A key that the section would not learn today must not count because it did once. */
static bool counts(const struct config_section *s, const struct learned_key *k)
{
    return !k->refused && (k->from == LEARNED_TOFU ? config_uses_tofu(s) : s->pins_url != NULL);
}

size_t policy_learned_keys(const struct policy *p, struct learned_key out[LEARNED_KEYS_MOST])
{
    size_t n, i, count = 0;

    if (!p->learned)
        return 0;
    n = learned_find(p->learned, p->section->name, p->place, out);
    for (i = 0; i < n; i++)
        if (counts(p->section, &out[i]))
            out[count++] = out[i];
    return count;
}
