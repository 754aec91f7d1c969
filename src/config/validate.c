#include "config/validate.h"

#include <string.h>

#include "base/hostname.h"
#include "base/util.h"
#include "config/options.h"

void validate_name(const struct config_section *s, struct diag_list *diags)
{
    const char *why = hostname_check(s->name);

    if (why)
        diag_add(diags, s->where, "section name '%s' %s: give the host to connect to as 'host ='",
                 s->name, why);
}

void validate_twice(const struct config *c, struct diag_list *diags)
{
    size_t i;

    for (i = 1; i < c->count; i++)
        if (hostname_compare(c->sections[i - 1]->name, c->sections[i]->name) == 0)
            diag_add(diags, c->sections[i]->where,
                     "section [%s] appears twice: it is at %s:%u already", c->sections[i]->name,
                     c->sections[i - 1]->where.file, c->sections[i - 1]->where.line);
}

/*
 * Returns whether a list of suites is only for a version of TLS that the section excludes. One that
 * comes from [defaults] may serve other sections, unless [defaults] excludes the version as well.
 */
static bool is_useless(const struct config_string *suites, const struct config_string *inherited,
                       bool excluded, bool excluded_in_defaults)
{
    return suites->text && excluded && (suites->text != inherited->text || excluded_in_defaults);
}

void validate_tls(const struct config_section *s, const struct config_section *defaults,
                  struct diag_list *diags)
{
    const struct config_tls_settings *tls = &s->tls, *inherited = &defaults->tls;

    if (tls->max != CONFIG_TLS_ANY && tls->max < tls->min) {
        diag_add(diags, s->where, "[%s] has a tls_max below its tls_min", s->name);
        return;
    }
    if (is_useless(&tls->ciphers, &inherited->ciphers, tls->min == CONFIG_TLS_1_3,
                   inherited->min == CONFIG_TLS_1_3))
        diag_add(diags, tls->ciphers.where,
                 "ciphers = %s: it has no effect, for tls_min = 1.3 leaves out TLS 1.2: remove "
                 "one of the two",
                 tls->ciphers.text);
    if (is_useless(&tls->ciphersuites, &inherited->ciphersuites, tls->max == CONFIG_TLS_1_2,
                   inherited->max == CONFIG_TLS_1_2))
        diag_add(diags, tls->ciphersuites.where,
                 "ciphersuites = %s: it has no effect, for tls_max = 1.2 leaves out TLS 1.3: "
                 "remove one of the two",
                 tls->ciphersuites.text);
}

/* Whether a section's connections can have addresses of this family. */
static bool allows_family(const struct config_section *s, int family)
{
    const bool wanted = s->family == FAMILY_ANY
                        || (s->family == FAMILY_IPV4) == (family == AF_INET);

    return wanted && (s->bind.len == 0 || s->bind.sa.sa_family == family);
}

void validate_family(const struct config_section *s, struct diag_list *diags)
{
    struct addr a;

    if (!allows_family(s, AF_INET) && !allows_family(s, AF_INET6))
        diag_add(diags, s->where,
                 "[%s] has a 'bind' of another family than its 'family': no address is left",
                 s->name);
    else if (s->address.count == 0 && addr_from_ip(&a, s->host, 0)
             && !allows_family(s, a.sa.sa_family))
        diag_add(diags, s->where,
                 "[%s] is an address of another family than its 'family' or 'bind'", s->name);
}

void validate_privileges(const struct config *c, struct location where, struct diag_list *diags)
{
    if (c->global.group && !c->global.user)
        diag_add(diags, where, "group = %s: it has no effect without 'user': set both, or neither",
                 c->global.group);
}

/* Where a section gives a key itself; line 0 when it does not. */
static struct location given_at(const struct config_section *s, const unsigned *lines,
                                const char *key)
{
    return (struct location){.file = s->where.file,
                             .line = lines[options_find(key, OPTION_HOST) - options]};
}

/* The same, or the section's head when it does not. */
static struct location blame(const struct config_section *s, const unsigned *lines, const char *key)
{
    const struct location where = given_at(s, lines, key);

    return where.line ? where : s->where;
}

/* Keys that would count for nothing: to be let down by silence is worse than an error. */
static void check_idle_keys(const struct config_section *s, const unsigned *lines,
                            struct diag_list *diags)
{
    static const char *const pki_keys[] = {"crl_file", "ocsp"};
    struct location where;
    size_t i;

    for (i = 0; !config_uses_pki(s) && i < COUNT_OF(pki_keys); i++) {
        where = given_at(s, lines, pki_keys[i]);
        if (where.line && !(i == 1 && s->ocsp == OCSP_OFF))
            diag_add(diags, where,
                     "%s would count for nothing: it wants verify = pki, pin+pki or tofu+pki",
                     pki_keys[i]);
    }
    if (s->enforce.report && s->verify != VERIFY_PIN_PKI)
        diag_add(diags, blame(s, lines, "enforce"),
                 "[%s] has enforce = report without verify = pin+pki: nothing would hold the "
                 "server to anything",
                 s->name);
    if (s->pins_url && s->verify == VERIFY_PKI)
        diag_add(diags, blame(s, lines, "pins_url"),
                 "[%s] has a pins_url that verify = pki would ignore: say verify = pin+pki",
                 s->name);
}

/* A section's name stands in the file of learned pins, whose fields are separated by blanks. */
static void check_learning(const struct config_section *s, const unsigned *lines,
                           struct diag_list *diags)
{
    if (config_learns(s) && (strpbrk(s->name, " \t") || s->name[0] == '#'))
        diag_add(diags, s->where,
                 "[%s] learns pins, and the name stands in their file: it can have no blanks "
                 "and no '#' at its beginning",
                 s->name);
    if (config_uses_tofu(s) && pin_first(&s->pins, PIN_ISSUER))
        diag_add(diags, blame(s, lines, "verify"),
                 "[%s] keeps the server's key: with verify = tofu a pin is one known "
                 "beforehand, not an issuer's",
                 s->name);
}

void validate_trust(const struct config_section *s, const unsigned *lines, bool pins_known,
                    struct diag_list *diags)
{
    check_idle_keys(s, lines, diags);
    check_learning(s, lines, diags);
    if (s->verify == VERIFY_PKI && s->pins.count)
        diag_add(diags, s->where,
                 "[%s] has pins that verify = pki would ignore: say verify = pin+pki, or take "
                 "the pins away",
                 s->name);
    else if (s->verify != VERIFY_PKI && !config_uses_tofu(s) && s->pins.count == 0 && pins_known)
        diag_add(diags, s->where,
                 "[%s] has no pin: add one ('pinproxy fetch %s' shows what the host presents), "
                 "or say verify = tofu or pki",
                 s->name, s->host);
}
