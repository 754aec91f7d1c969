#include "pinproxy/adhoc.h"

#include <string.h>

#include "base/hostname.h"
#include "config/loader.h"
#include "config/options.h"

const char *adhoc_init(struct adhoc *o, const char *host_and_port)
{
    char host[HOSTNAME_MAX + 2] = "";
    uint16_t port = 443;
    const char *expected = addr_split(host_and_port, host, sizeof(host), &port);
    const bool url = strchr(host_and_port, '/');
    const char *why = expected ? NULL : hostname_check(host);

    memset(o, 0, sizeof(*o));
    o->config = config_new_adhoc(host, &o->section);
    o->section->port = port;
    if (url)
        return arena_printf(
            &o->config->arena,
            "'%s': expected HOST[:PORT], the host's name alone or with a port, and not a URL",
            host_and_port);
    if (expected)
        return arena_printf(&o->config->arena, "'%s': expected %s", host_and_port, expected);
    return why ? arena_printf(&o->config->arena, "host name '%s' %s", host, why) : NULL;
}

const char *adhoc_set(struct adhoc *o, const char *option, const char *value)
{
    const struct value_context ctx = {.arena = &o->config->arena,
                                      .where = {.file = "command line"}};

    return options_set(options_find(option, OPTION_HOST), o->section, &ctx, value);
}

const char *adhoc_set_via(struct adhoc *o, const char *value)
{
    const char *why = adhoc_set(o, "via", value);

    if (!why && o->section->via.scheme == VIA_SECTION)
        return arena_printf(&o->config->arena,
                            "via = %s: there is no section here: write both into a configuration, "
                            "and use 'pinproxy connect -c FILE SECTION' or 'pinproxy check --live'",
                            o->section->via.text);
    return why;
}

const char *adhoc_set_timeout(struct adhoc *o, const char *value)
{
    const char *why = adhoc_set(o, "connect_timeout", value);

    return why ? why : adhoc_set(o, "handshake_timeout", value);
}

static const struct section *ready(struct adhoc *o,
                                   struct snapshot *make(struct config *, struct diag_list *))
{
    struct diag_list diags = {0};

    config_complete(o->section, &o->config->arena);
    o->snapshot = make(o->config, &diags);
    o->config = NULL; /* the snapshot owns it, or has freed it */
    diag_print(&diags, stderr);
    diag_free(&diags);
    return o->snapshot ? &o->snapshot->sections[0] : NULL;
}

static struct snapshot *make_trusting(struct config *config, struct diag_list *diags)
{
    return snapshot_new(config, NULL, diags);
}

const struct section *adhoc_ready(struct adhoc *o)
{
    return ready(o, make_trusting);
}

const struct section *adhoc_probe(struct adhoc *o)
{
    return ready(o, snapshot_new_probe);
}

void adhoc_free(struct adhoc *o)
{
    snapshot_release(o->snapshot);
    config_free(o->config);
    memset(o, 0, sizeof(*o));
}
