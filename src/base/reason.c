#include "base/reason.h"

static const struct {
    const char *name;
    const char *text;
    enum reason_kind kind;
    enum reason_about about;
} reasons[] = {
#define X(id, name, kind, about, text) {name, text, REASON_KIND_##kind, REASON_ABOUT_##about},
    REASONS(X)
#undef X
};

/* The level says whose fault it is. */
static const struct {
    const char *event;
    enum log_level level;
} kinds[] = {
    [REASON_KIND_END] = {"tunnel_close", LOG_LEVEL_INFO},
    [REASON_KIND_UPSTREAM] = {"upstream_error", LOG_LEVEL_WARNING},
    [REASON_KIND_TRUNCATED] = {"truncated", LOG_LEVEL_WARNING},
    [REASON_KIND_MISMATCH] = {"pin_mismatch", LOG_LEVEL_ERROR},
    [REASON_KIND_REFUSED] = {"refused", LOG_LEVEL_WARNING},
    [REASON_KIND_LIMIT] = {"limit", LOG_LEVEL_WARNING},
};

const char *reason_name(enum reason r)
{
    return reasons[r].name;
}

const char *reason_text(enum reason r)
{
    return reasons[r].text;
}

enum reason_kind reason_kind(enum reason r)
{
    return reasons[r].kind;
}

const char *reason_event(enum reason r)
{
    return kinds[reasons[r].kind].event;
}

enum log_level reason_level(enum reason r)
{
    return kinds[reasons[r].kind].level;
}

bool reason_is_trust(enum reason r)
{
    return reasons[r].about == REASON_ABOUT_TRUST;
}
