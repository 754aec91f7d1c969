/* What a section says of itself: the parts of config.h that need no file and no option table. */
#include <string.h>
#include <strings.h>

#include "base/hostname.h"
#include "config/section.h"

bool config_is_reserved(const char *name)
{
    return strcasecmp(name, "global") == 0 || strcasecmp(name, "defaults") == 0
           || strcasecmp(name, "proxy") == 0;
}

const char *config_bare_name(struct arena *arena, const char *name)
{
    return arena_strndup(arena, name, hostname_length(name));
}

void config_complete(struct config_section *s, struct arena *arena)
{
    if (!s->host)
        s->host = config_bare_name(arena, s->name);
    if (!s->verify_name)
        s->verify_name = arena_strndup(arena, s->host, strcspn(s->host, "%"));
    if (s->sni && strcmp(s->sni, "off") == 0)
        s->sni = NULL;
    else if (!s->sni && !hostname_is_ip(s->host))
        s->sni = s->host;
}

bool config_uses_pki(const struct config_section *s)
{
    return s->verify == VERIFY_PKI || s->verify == VERIFY_PIN_PKI || s->verify == VERIFY_TOFU_PKI;
}

bool config_uses_tofu(const struct config_section *s)
{
    return s->verify == VERIFY_TOFU || s->verify == VERIFY_TOFU_PKI;
}

bool config_learns(const struct config_section *s)
{
    return config_uses_tofu(s) || s->pins_url;
}

bool config_is_reporting(const struct config_section *s, int64_t now)
{
    return s->enforce.report && (s->enforce.until == 0 || now < s->enforce.until);
}
