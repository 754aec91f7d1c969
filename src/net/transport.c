#include "net/transport.h"

struct transport *transport_start(const struct transport_ops *ops, uv_loop_t *loop,
                                  struct resolver *resolver, const struct config_section *section,
                                  struct transport_owner *owner)
{
    return ops->start(loop, resolver, section, owner);
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
