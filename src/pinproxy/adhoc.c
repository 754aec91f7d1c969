#include "pinproxy/adhoc.h"

#include <string.h>

#include "base/hostname.h"
#include "config/options.h"

const char *oneoff_init(struct oneoff *o, const char *host_and_port)
{
    char host[HOSTNAME_MAX + 2] = "";
    uint16_t port = 443;
    const char *expected = addr_split(host_and_port, host, sizeof(host), &port);
    const bool url = strchr(host_and_port, '/');
    const char *why = expected ? NULL : hostname_check(host);

    memset(o, 0, sizeof(*o));
    o->config = config_single(host, &o->section);
    o->section->port = port;
    if (url)
        return arena_printf(
            &o->config->arena,
            "'%s': expected HOST[:PORT]: the host's name alone, perhaps with a port",
            host_and_port);
    if (expected)
        return arena_printf(&o->config->arena, "'%s': expected %s", host_and_port, expected);
    return why ? arena_printf(&o->config->arena, "host name '%s' %s", host, why) : NULL;
}

const char *oneoff_set(struct oneoff *o, const char *option, const char *value)
{
    const struct value_context ctx = {.arena = &o->config->arena,
                                      .where = {.file = "command line"}};

    return options_set(options_find(option, OPTION_HOST), o->section, &ctx, value);
}

const char *oneoff_set_timeout(struct oneoff *o, const char *value)
{
    const char *why = oneoff_set(o, "connect_timeout", value);

    return why ? why : oneoff_set(o, "handshake_timeout", value);
}

static const struct section *ready(struct oneoff *o,
                                   struct snapshot *make(struct config *, struct problems *))
{
    struct problems problems = {0};

    config_complete(o->section, &o->config->arena);
    o->snapshot = make(o->config, &problems);
    o->config = NULL; /* it is the snapshot's, or gone with it */
    problems_print(&problems, stderr);
    problems_free(&problems);
    return o->snapshot ? &o->snapshot->sections[0] : NULL;
}

static struct snapshot *make_trusting(struct config *config, struct problems *problems)
{
    return snapshot_new(config, NULL, problems);
}

const struct section *oneoff_ready(struct oneoff *o)
{
    return ready(o, make_trusting);
}

const struct section *oneoff_observe(struct oneoff *o)
{
    return ready(o, snapshot_observer);
}

void oneoff_free(struct oneoff *o)
{
    snapshot_release(o->snapshot);
    config_free(o->config);
    memset(o, 0, sizeof(*o));
}
