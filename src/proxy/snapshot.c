#include "proxy/snapshot.h"

#include <stdlib.h>

#include "engine/tlsctx.h"

struct snapshot *snapshot_hold(struct snapshot *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void snapshot_release(struct snapshot *s)
{
    size_t i;

    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    for (i = 0; i < s->count; i++) {
        trust_policy_free(s->sections[i].trust);
        stats_release(s->sections[i].stats);
    }
    free(s->sections);
    tlsctx_set_free(s->contexts);
    config_free(s->config);
    free(s);
}

static struct stats *find_stats(const struct snapshot *old, const char *name)
{
    const struct section *before = old ? snapshot_find(old, name) : NULL;

    return before ? stats_hold(before->stats) : stats_new();
}

static struct snapshot *build(struct config *config, const struct snapshot *old, bool observe,
                              struct problems *problems)
{
    struct snapshot *s = xcalloc(1, sizeof(*s));
    struct trust_stores *stores = trust_stores_new();
    const size_t before = problems->count;
    size_t i;

    atomic_init(&s->refs, 1);
    s->config = config;
    s->contexts = tlsctx_set_new();
    s->sections = xcalloc(config->count, sizeof(*s->sections));
    for (i = 0; i < config->count; i++) {
        struct section *section = &s->sections[s->count++];

        section->config = config->sections[i];
        section->stats = find_stats(old, section->config->name);
        section->trust = observe ? trust_policy_observe(section->config)
                                 : trust_policy_new(section->config, stores, problems);
        section->tls = tlsctx_get(s->contexts, &section->config->tls, problems);
    }
    trust_stores_free(stores);
    if (problems->count == before)
        return s;
    snapshot_release(s);
    return NULL;
}

struct snapshot *snapshot_new(struct config *config, const struct snapshot *old,
                              struct problems *problems)
{
    return build(config, old, false, problems);
}

struct snapshot *snapshot_observer(struct config *config, struct problems *problems)
{
    return build(config, NULL, true, problems);
}

struct snapshot *snapshot_load(const char *path, const struct snapshot *old,
                               struct problems *problems)
{
    struct snapshot *s = snapshot_new(config_load(path, problems), old, problems);

    /* with a fault in the files it was built only to find the rest of the problems */
    if (s && problems->count) {
        snapshot_release(s);
        return NULL;
    }
    return s;
}

struct section *snapshot_find(const struct snapshot *s, const char *name)
{
    size_t i = config_find(s->config, name);

    return i < s->count ? &s->sections[i] : NULL;
}
