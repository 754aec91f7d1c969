#include "proxy/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "config/loader.h"
#include "learned/learned.h"
#include "proxy/ways.h"
#include "tls/clientcert.h"
#include "tls/tlsctx.h"
#include "trust/anchors.h"
#include "trust/policy.h"
#include "trust/recheck.h"
#include "trust/sysanchors.h"

const char *section_upstream(const struct section *s, const struct addr *peer,
                             char out[SECTION_UPSTREAM_SIZE])
{
    const struct config_via *via = &s->config->via;
    char text[ADDR_TEXT_SIZE];

    if (peer && peer->len)
        snprintf(out, SECTION_UPSTREAM_SIZE, "%s", addr_format(peer, text));
    else if (via->scheme == VIA_EXEC)
        snprintf(out, SECTION_UPSTREAM_SIZE, "exec:%s", via->argv[0]); /* arguments may be secret */
    else if (via->scheme == VIA_UNIX || via->scheme == VIA_VSOCK || via->scheme == VIA_SERIAL)
        snprintf(out, SECTION_UPSTREAM_SIZE, "%s", via->text);
    else
        snprintf(out, SECTION_UPSTREAM_SIZE, "%s:%ld", s->config->host, s->config->port);
    return out;
}

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
        policy_free(s->sections[i].policy);
        stats_release(s->sections[i].stats);
    }
    free(s->frontends);
    free(s->outers);
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

/* Adds "FILE:LINE: text", as learned_open() words it, and frees it. */
static void add_file_error(struct diag_list *diags, char *why)
{
    char *text = strstr(why, ": ");

    if (text)
        *text = '\0';
    diag_add(diags, (struct location){.file = why}, "%s", text ? text + 2 : "");
    free(why);
}

/* The use of a snapshot. */
enum use {
    USE_SERVE, /* all of it is needed */
    USE_READ,  /* learned pins that this process may not read are left out */
    USE_PROBE, /* a connection to a server that nobody trusts */
};

/* Adds an error of state_dir, at the line that names it, or of its file. Frees why. */
static void add_state_dir_error(const struct config *config, char *why, struct diag_list *diags)
{
    const struct config_global *g = &config->global;
    const struct location where = config_set_at(&g->lines, "state_dir");
    const size_t n = strlen(g->state_dir);

    if (where.line == 0 || strncmp(why, g->state_dir, n) != 0 || why[n] != ':') {
        add_file_error(diags, why);
        return;
    }
    diag_add(diags, where, "state_dir = %s", why);
    free(why);
}

/*
 * Opens the store of learned pins, if a section learns. While the directory stays, it is the old
 * snapshot's store, so that both have what is learned meanwhile.
 */
static struct learned *open_learned(const struct config *config, const struct snapshot *old,
                                    enum use use, struct diag_list *diags)
{
    const char *dir = config->global.state_dir;
    struct learned *learned;
    char *why = NULL;
    size_t i;

    for (i = 0; i < config->count; i++)
        if (config_learns(config->sections[i]))
            break;
    if (i == config->count || use == USE_PROBE || (use == USE_READ && learneddir_is_denied(dir)))
        return NULL;
    learned = learned_open(dir, false, LEARNEDDIR_OWNER, &why);
    if (!learned) {
        add_state_dir_error(config, why, diags);
    } else if (old && old->learned && strcmp(learned_dir(old->learned), dir) == 0) {
        learned_release(learned);
        learned = learned_hold(old->learned);
        /* an edit before the reload takes effect with it */
        (void)learned_refresh(learned, &why);
        if (why)
            add_state_dir_error(config, why, diags);
    }
    return learned;
}

static void make_frontend(struct snapshot *s, const struct section *section)
{
    s->frontends[s->frontend_count++] = (struct frontend){
        .name = section->config->name,
        .listen = &section->config->listen,
        .front = &front_raw,
        .section = section,
        .stats = section->stats,
        .max_connections = (uint64_t)section->config->max_connections,
        .keepalive = section->config->keepalive,
    };
}

/*
 * A server remembers the client of a session. So with another certificate, even one in the same
 * file, no session is resumed.
 */
static void bind_client_cert(struct section *s, struct diag_list *diags)
{
    const struct clientcert *c = s->ctx ? tlsctx_client_cert(s->ctx) : NULL;

    if (c && s->policy && !policy_extend_id(s->policy, c->digest))
        diag_add(diags, s->config->where, "[%s]: out of memory", s->config->name);
}

/* Bytes come in as they are, whatever the section's own clients speak. */
static void make_outer(struct snapshot *s, const struct section *section)
{
    s->outers[section - s->sections] = (struct frontend){
        .name = section->config->name,
        .front = &front_raw,
        .section = section,
        .stats = section->stats,
        .max_connections = (uint64_t)section->config->max_connections,
        .keepalive = section->config->keepalive,
        .is_outer = true,
    };
}

/* Finds the outer section of each section that has one. The configuration was checked before. */
static void link_outers(struct snapshot *s, struct diag_list *diags)
{
    size_t i, j;

    for (i = 0; i < s->count; i++) {
        struct section *section = &s->sections[i];
        const char *name = section->config->via.section;

        if (!name)
            continue;
        j = config_find(s->config, name);
        if (j < s->count)
            section->outer = &s->outers[j];
        else
            diag_add(diags, section->config->where, "via = %s: there is no section [%s]",
                     section->config->via.text, name);
    }
}

static struct snapshot *build(struct config *config, const struct snapshot *old, enum use use,
                              struct diag_list *diags)
{
    struct snapshot *s = xcalloc(1, sizeof(*s));
    struct anchors *anchors = anchors_new();
    const size_t before = diags->count;
    size_t i;

    atomic_init(&s->refs, 1);
    s->config = config;
    s->contexts = tlsctx_set_new();
    s->learned = open_learned(config, old, use, diags);
    /* a reload reads the system's anchors again too */
    sysanchors_drop();
    s->sections = xcalloc(config->count, sizeof(*s->sections));
    s->frontends = xcalloc(config->count, sizeof(*s->frontends));
    s->outers = xcalloc(config->count, sizeof(*s->outers));
    for (i = 0; i < config->count; i++) {
        struct section *section = &s->sections[s->count++];

        section->config = config->sections[i];
        section->stats = find_stats(old, section->config->name);
        section->policy = use == USE_PROBE
                              ? policy_new_probe(section->config)
                              : policy_new(section->config, anchors, s->learned, diags);
        section->ctx = tlsctx_get(s->contexts, section->config, diags);
        bind_client_cert(section, diags);
        section->transport = ways_transport(section->config);
        ways_dialogs(section->config, &section->dialogs);
        section->filter = ways_filter(section->config);
        section->snapshot = s;
        make_frontend(s, section);
        make_outer(s, section);
    }
    if (diags->count == 0)
        link_outers(s, diags);
    anchors_free(anchors);
    if (diags->count == before)
        return s;
    snapshot_release(s);
    return NULL;
}

struct snapshot *snapshot_new(struct config *config, const struct snapshot *old,
                              struct diag_list *diags)
{
    return build(config, old, USE_SERVE, diags);
}

struct snapshot *snapshot_new_probe(struct config *config, struct diag_list *diags)
{
    return build(config, NULL, USE_PROBE, diags);
}

static struct snapshot *load(const char *path, const struct snapshot *old, enum use use,
                             struct diag_list *diags)
{
    const enum file_origin origin = old ? FILE_CONFIGURED : FILE_ARGUMENT;
    struct snapshot *s = build(config_load(path, origin, diags), old, use, diags);

    /* with a fault in the files it was built only to find the other errors */
    if (s && diags->count) {
        snapshot_release(s);
        return NULL;
    }
    return s;
}

struct snapshot *snapshot_load(const char *path, const struct snapshot *old,
                               struct diag_list *diags)
{
    return load(path, old, USE_SERVE, diags);
}

struct snapshot *snapshot_load_readable(const char *path, struct diag_list *diags)
{
    return load(path, NULL, USE_READ, diags);
}

bool section_is_denied(const struct section *s)
{
    return config_learns(s->config) && !s->policy->learned;
}

struct section *snapshot_find(const struct snapshot *s, const char *name)
{
    size_t i = config_find(s->config, name);

    return i < s->count ? &s->sections[i] : NULL;
}

const struct section *snapshot_route(const struct snapshot *s, const char *host, long port)
{
    size_t i;

    for (i = 0; i < s->count; i++)
        if (s->sections[i].config->port == port
            && hostname_compare(s->sections[i].config->host, host) == 0)
            return &s->sections[i];
    return NULL;
}

const struct frontend *snapshot_find_frontend(const struct snapshot *s, const char *name)
{
    size_t i = config_find(s->config, name);

    return i < s->frontend_count ? &s->frontends[i] : NULL;
}

const struct frontend *snapshot_same_frontend(const struct snapshot *s,
                                              const struct frontend *other)
{
    const size_t i = other->is_outer ? config_find(s->config, other->name) : 0;

    if (!other->is_outer)
        return snapshot_find_frontend(s, other->name);
    return i < s->count ? &s->outers[i] : NULL;
}

void snapshot_create_state_dir(const struct snapshot *s, uid_t user, struct diag_list *diags)
{
    struct learned *learned;
    char *why = NULL;

    if (!s->learned)
        return;
    learned = learned_open(learned_dir(s->learned), true, user, &why);
    if (!learned)
        add_state_dir_error(s->config, why, diags);
    learned_release(learned);
}

enum reason snapshot_recheck(const struct snapshot *s, const struct section *before,
                             const struct trust_verdict *verdict, int64_t since,
                             char detail[TRUST_DETAIL_SIZE])
{
    const struct section *section = snapshot_find(s, before->config->name);

    if (section)
        return recheck_verdict(section->policy, verdict, since, clock_now(), detail);
    snprintf(detail, TRUST_DETAIL_SIZE, "the section was taken away");
    return verdict->pin && before->config->on_pin_removed == PIN_REMOVED_CLOSE ? REASON_PIN_REMOVED
                                                                               : REASON_OK;
}
