#include "net/transport.h"

#include "config/section.h"

static const struct transport_ops *const transports[VIA_COUNT] = {
#define X(id, name) [VIA_##id] = &transport_##name,
    VIA_TRANSPORTS(X)
#undef X
};

struct transport *transport_start(uv_loop_t *loop, struct resolver *resolver,
                                  const struct config_section *section,
                                  struct transport_owner *owner)
{
    return transports[section->via]->start(loop, resolver, section, owner);
}

void transport_set_section(struct transport *t, const struct config_section *section)
{
    t->ops->set_section(t, section);
}

void transport_cancel(struct transport *t)
{
    if (t)
        t->ops->cancel(t);
}
