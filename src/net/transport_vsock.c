/*
 * The transport over vsock(7), between a virtual machine and its host. Both sides can finish sending
 * on their own, and an end without close_notify is a truncation. This side cannot send a reset.
 */
#include "config/section.h"
#include "net/connector.h"

static struct transport *start(uv_loop_t *loop, struct resolver *resolver,
                               const struct config_section *section, struct transport_owner *owner)
{
    struct addr to;

    (void)resolver;
    addr_from_vsock(&to, section->via.cid, section->via.vsock_port);
    return connector_start(&transport_vsock, loop, &to, owner);
}

const struct transport_ops transport_vsock = {start, connector_set_section, connector_cancel};
