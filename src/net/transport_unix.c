/*
 * The transport over a Unix socket. Both sides can finish sending on their own (shutdown(2)), and an
 * end without close_notify is a truncation. Neither side can send a reset. A peer that closes with
 * unread bytes is reported as one.
 */
#include "config/section.h"
#include "net/connector.h"

static struct transport *start(uv_loop_t *loop, struct resolver *resolver,
                               const struct config_section *section, struct transport_owner *owner)
{
    struct addr to;

    (void)resolver;
    (void)addr_from_unix(&to, section->via.path); /* the configuration has checked the length */
    return connector_start(&transport_unix, loop, &to, owner);
}

const struct transport_ops transport_unix = {start, connector_set_section, connector_cancel};
