#include "proxy/ways.h"

#include <stddef.h>

#include "config/section.h"
#include "filter/filter.h"
#include "net/child.h"
#include "net/transport.h"

static const struct transport_ops *const transports[] = {
    [VIA_TCP] = &transport_tcp,       [VIA_UNIX] = &transport_unix, [VIA_VSOCK] = &transport_vsock,
    [VIA_SOCKS5] = &transport_tcp,    [VIA_HTTP] = &transport_tcp,  [VIA_EXEC] = &transport_exec,
    [VIA_SERIAL] = &transport_serial, [VIA_SECTION] = NULL, /* proxy/outer.h */
};

static const struct dialog_ops *const parent_dialogs[] = {
    [VIA_TCP] = NULL,
    [VIA_SOCKS5] = &dialog_socks5,
    [VIA_HTTP] = &dialog_httpconnect,
    [VIA_SECTION] = &dialog_httpconnect,
};

static const struct dialog_ops *const starttls_dialogs[] = {[STARTTLS_OFF] = NULL,
#define X(id, name) [STARTTLS_##id] = &dialog_##name,
                                                            STARTTLS_PROTOCOLS(X)
#undef X
};

const struct transport_ops *ways_transport(const struct config_section *s)
{
    return transports[s->via.scheme];
}

size_t ways_files(const struct config_section *s)
{
    if (s->via.scheme == VIA_EXEC)
        return CHILD_FILES;
    return s->via.scheme == VIA_SERIAL ? 2 : 1; /* the stream, and the lock */
}

static void add_dialog(struct dialog_list *list, const struct dialog_ops *ops)
{
    if (ops)
        list->items[list->count++] = ops;
}

void ways_dialogs(const struct config_section *s, struct dialog_list *out)
{
    out->count = 0;
    add_dialog(out, parent_dialogs[s->via.scheme]);
    add_dialog(out, starttls_dialogs[s->starttls]);
}

const struct filter_ops *ways_filter(const struct config_section *s)
{
    if (config_client(s) == CLIENT_POSTGRES)
        return &filter_postgres;
    if (s->starttls == STARTTLS_MYSQL || s->starttls == STARTTLS_MYSQL_FOUND_ROWS)
        return &filter_mysql;
    return NULL;
}
