#include "config/via.h"

#include <strings.h>

#include "base/mem.h"
#include "base/util.h"

static const char *const names[] = {
#define X(id, name) #name,
    VIA_TRANSPORTS(X)
#undef X
};

/* Transports that a later version will accept. */
static const char *const later[] = {
    "unix:", "socks5:", "http:", "vsock:", "exec:", "serial:", "section:"};

static const char *list_names(struct arena *arena)
{
    const char *list = names[0];
    size_t i;

    for (i = 1; i < COUNT_OF(names); i++)
        list = arena_printf(arena, "%s, %s", list, names[i]);
    return arena_printf(arena, "expected %s", list);
}

const char *via_parse(const char *value, struct arena *arena, enum via *out)
{
    size_t i;

    for (i = 0; i < COUNT_OF(names); i++) {
        if (strcasecmp(value, names[i]) == 0) {
            *out = (enum via)i;
            return NULL;
        }
    }
    for (i = 0; i < COUNT_OF(later); i++)
        if (strncasecmp(value, later[i], strlen(later[i])) == 0)
            return "not supported yet";
    return list_names(arena);
}
