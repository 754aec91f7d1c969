#include "proxy/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls/tlsctx.h"
#include "trust/anchors.h"

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
        policy_free(s->sections[i].trust);
        stats_release(s->sections[i].stats);
    }
    free(s->sections);
    tlsctx_set_free(s->contexts);
    learned_release(s->learned);
    config_free(s->config);
    free(s);
}

static struct stats *find_stats(const struct snapshot *old, const char *name)
{
    const struct section *before = old ? snapshot_find(old, name) : NULL;

    return before ? stats_hold(before->stats) : stats_new();
}

/* "FILE:LINE: text", as learned.h words it; the caller's until now. */
static void add_complaint(struct problems *problems, char *why)
{
    char *text = strstr(why, ": ");

    if (text)
        *text = '\0';
    problems_add(problems, (struct source){.file = why}, "%s", text ? text + 2 : "");
    free(why);
}

/* What a snapshot is for. */
enum use {
    USE_SERVE,   /* all of it is needed */
    USE_READ,    /* what this process may not read is left out */
    USE_OBSERVE, /* to look at a server; nobody is trusted */
};

/* Adds what is wrong with state_dir, in the line that names it, or with its file. Frees why. */
static void complain_of_state(const struct config *config, char *why, struct problems *problems)
{
    const struct config_global *g = &config->global;
    const size_t n = strlen(g->state_dir);

    if (g->state_dir_at.line == 0 || strncmp(why, g->state_dir, n) != 0 || why[n] != ':') {
        add_complaint(problems, why);
        return;
    }
    problems_add(problems, g->state_dir_at, "state_dir = %s", why);
    free(why);
}

/*
 * The store of learned pins, if a section wants it: the old snapshot's while the directory stays,
 * so that what was learned meanwhile is in both.
 */
static struct learned *open_learned(const struct config *config, const struct snapshot *old,
                                    enum use use, struct problems *problems)
{
    const char *dir = config->global.state_dir;
    struct learned *learned;
    char *why = NULL;
    size_t i;

    for (i = 0; i < config->count; i++)
        if (config_learns(config->sections[i]))
            break;
    if (i == config->count || use == USE_OBSERVE || (use == USE_READ && learneddir_is_denied(dir)))
        return NULL;
    learned = learned_open(dir, false, LEARNEDDIR_OWNER, &why);
    if (!learned) {
        complain_of_state(config, why, problems);
    } else if (old && old->learned && strcmp(learned_dir(old->learned), dir) == 0) {
        learned_release(learned);
        learned = learned_hold(old->learned);
    }
    return learned;
}

static struct snapshot *build(struct config *config, const struct snapshot *old, enum use use,
                              struct problems *problems)
{
    struct snapshot *s = xcalloc(1, sizeof(*s));
    struct anchors *anchors = anchors_new();
    const size_t before = problems->count;
    size_t i;

    atomic_init(&s->refs, 1);
    s->config = config;
    s->contexts = tlsctx_set_new();
    s->learned = open_learned(config, old, use, problems);
    s->sections = xcalloc(config->count, sizeof(*s->sections));
    for (i = 0; i < config->count; i++) {
        struct section *section = &s->sections[s->count++];

        section->config = config->sections[i];
        section->stats = find_stats(old, section->config->name);
        section->trust = use == USE_OBSERVE
                             ? policy_observe(section->config)
                             : policy_new(section->config, anchors, s->learned, problems);
        section->tls = tlsctx_get(s->contexts, &section->config->tls, problems);
    }
    anchors_free(anchors);
    if (problems->count == before)
        return s;
    snapshot_release(s);
    return NULL;
}

struct snapshot *snapshot_new(struct config *config, const struct snapshot *old,
                              struct problems *problems)
{
    return build(config, old, USE_SERVE, problems);
}

struct snapshot *snapshot_observer(struct config *config, struct problems *problems)
{
    return build(config, NULL, USE_OBSERVE, problems);
}

static struct snapshot *load(const char *path, const struct snapshot *old, enum use use,
                             struct problems *problems)
{
    const enum file_origin origin = old ? FILE_CONFIGURED : FILE_ARGUMENT;
    struct snapshot *s = build(config_load(path, origin, problems), old, use, problems);

    /* with a fault in the files it was built only to find the rest of the problems */
    if (s && problems->count) {
        snapshot_release(s);
        return NULL;
    }
    return s;
}

struct snapshot *snapshot_load(const char *path, const struct snapshot *old,
                               struct problems *problems)
{
    return load(path, old, USE_SERVE, problems);
}

struct snapshot *snapshot_load_readable(const char *path, struct problems *problems)
{
    return load(path, NULL, USE_READ, problems);
}

bool section_is_denied(const struct section *s)
{
    return config_learns(s->config) && !s->trust->learned;
}

struct section *snapshot_find(const struct snapshot *s, const char *name)
{
    size_t i = config_find(s->config, name);

    return i < s->count ? &s->sections[i] : NULL;
}

void snapshot_make_state(const struct snapshot *s, uid_t user, struct problems *problems)
{
    struct learned *learned;
    char *why = NULL;

    if (!s->learned)
        return;
    learned = learned_open(learned_dir(s->learned), true, user, &why);
    if (!learned)
        complain_of_state(s->config, why, problems);
    learned_release(learned);
}

enum reason snapshot_recheck(const struct snapshot *s, const struct section *before,
                             const struct trust_verdict *verdict, int64_t since,
                             char detail[TRUST_DETAIL_SIZE])
{
    const struct section *section = snapshot_find(s, before->config->name);

    if (section)
        return trust_recheck(section->trust, verdict, since, (int64_t)time(NULL), detail);
    snprintf(detail, TRUST_DETAIL_SIZE, "the section was taken away");
    return verdict->pin && before->config->on_pin_removed == PIN_REMOVED_CLOSE ? REASON_PIN_REMOVED
                                                                               : REASON_OK;
}
