/* The transport over TCP: a dial, and nothing more. */
#include <stdlib.h>

#include "base/util.h"
#include "net/dial.h"
#include "net/transport.h"

struct tcp {
    struct transport transport;
    struct dial dial;
};

static struct transport_owner *take_owner(struct tcp *t)
{
    struct transport_owner *owner = t->transport.owner;

    t->transport.owner = NULL;
    return owner;
}

/* The dial calls its owner last: t is not freed before closed() is called from the loop. */
static void on_connected(struct dial *d, const struct stream *stream)
{
    struct transport_owner *owner = take_owner(container_of(d, struct tcp, dial));

    owner->connected(owner, stream);
}

static void on_failed(struct dial *d, enum reason reason, const char *detail)
{
    struct transport_owner *owner = take_owner(container_of(d, struct tcp, dial));

    owner->failed(owner, reason, detail);
}

static void on_closed(struct dial *d)
{
    free(container_of(d, struct tcp, dial));
}

static const struct dial_ops dial_ops = {on_connected, on_failed, on_closed};

static struct transport *start(uv_loop_t *loop, struct resolver *resolver,
                               const struct config_section *section, struct transport_owner *owner)
{
    struct tcp *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->transport = (struct transport){.ops = &transport_tcp, .owner = owner};
    dial_start(&t->dial, loop, resolver, section, &dial_ops);
    return &t->transport;
}

static struct tcp *from_transport(struct transport *t)
{
    return container_of(t, struct tcp, transport);
}

static void set_section(struct transport *t, const struct config_section *section)
{
    dial_set_section(&from_transport(t)->dial, section);
}

static void cancel(struct transport *t)
{
    t->owner = NULL;
    dial_cancel(&from_transport(t)->dial);
}

const struct transport_ops transport_tcp = {start, set_section, cancel};
