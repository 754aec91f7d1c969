#include "config/validate.h"

#include <libgen.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hostname.h"
#include "base/util.h"
#include "config/nesting.h"
#include "config/rawcheck.h"

/* Returns true if an option's value could not be read. It is not reported as missing too. */
static bool is_wrong(const struct config_lines *lines, const char *option)
{
    const struct config_line *line = config_find_line(lines, option);

    return line && line->wrong;
}

/* One section. */

/* Checks that the section's name can be its host, if the section does not set `host`. */
static void check_name(const struct config_section *s, struct diag_list *diags)
{
    const char *why = hostname_check(s->name);

    if (why && !config_find_line(&s->lines, "host"))
        diag_add(diags, s->where,
                 "section name '%s' %s: set 'host = NAME' to the host to connect to", s->name, why);
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

/*
 * Checks that the TLS versions of a section leave one, and that its lists of suites are for one of
 * them.
 */
static void check_tls(const struct config_section *s, const struct config_section *defaults,
                      struct diag_list *diags)
{
    const struct config_tls_settings *tls = &s->tls, *inherited = &defaults->tls;

    if (tls->max != CONFIG_TLS_ANY && tls->max < tls->min) {
        diag_add(
            diags, s->where,
            "[%s] has a tls_max below its tls_min, so no TLS version is left: change one of them",
            s->name);
        return;
    }
    if (is_useless(&tls->ciphers, &inherited->ciphers, tls->min == CONFIG_TLS_1_3,
                   inherited->min == CONFIG_TLS_1_3))
        diag_add(diags, tls->ciphers.where,
                 "ciphers = %s: no effect, because tls_min = 1.3 excludes TLS 1.2: remove one of "
                 "the two",
                 tls->ciphers.text);
    if (is_useless(&tls->ciphersuites, &inherited->ciphersuites, tls->max == CONFIG_TLS_1_2,
                   inherited->max == CONFIG_TLS_1_2))
        diag_add(diags, tls->ciphersuites.where,
                 "ciphersuites = %s: no effect, because tls_max = 1.2 excludes TLS 1.3: remove one "
                 "of the two",
                 tls->ciphersuites.text);
}

/* Returns true if a section can connect to addresses of this family. */
static bool allows_family(const struct config_section *s, int family)
{
    const bool wanted = s->family == FAMILY_ANY
                        || (s->family == FAMILY_IPV4) == (family == AF_INET);

    return wanted && (s->bind.len == 0 || s->bind.sa.sa_family == family);
}

/* Returns the line that sets an option, or the section's head if it comes from [defaults]. */
static struct location culprit(const struct config_section *s, const char *option)
{
    const struct location where = config_set_at(&s->lines, option);

    return where.line ? where : s->where;
}

/* An IPv6 zone names an interface of this machine (RFC 4007 section 6). */
static void check_zones(const struct config_section *s, struct diag_list *diags)
{
    const char *host = s->address.count ? NULL : s->host;
    size_t i;

    for (i = 0; i < s->address.count && !host; i++)
        if (strchr(s->address.items[i].host, '%'))
            host = s->address.items[i].host;
    if ((s->via.scheme == VIA_SOCKS5 || s->via.scheme == VIA_HTTP || s->via.scheme == VIA_SECTION)
        && host && strchr(host, '%'))
        diag_add(diags, culprit(s, "via"),
                 "via = %s: a parent proxy does not know the IPv6 zone of %s: remove the '%%' and "
                 "the text after it",
                 s->via.text, host);
}

/* Checks that the addresses of a section can have the family of `bind` and that of `family`. */
static void check_family(const struct config_section *s, struct diag_list *diags)
{
    struct addr a;

    if (!allows_family(s, AF_INET) && !allows_family(s, AF_INET6))
        diag_add(
            diags, s->where,
            "[%s] has a 'bind' that its 'family' excludes, so no address is left: change one of "
            "them",
            s->name);
    else if (s->via.host && addr_from_ip(&a, s->via.host, 0) && !allows_family(s, a.sa.sa_family))
        diag_add(diags, culprit(s, "via"),
                 "via = %s: the parent's address is one that 'family' or 'bind' excludes: change "
                 "one of them",
                 s->via.text);
    else if (!s->via.host && s->address.count == 0 && addr_from_ip(&a, s->host, 0)
             && !allows_family(s, a.sa.sa_family))
        diag_add(diags, s->where,
                 "[%s] is an address that its 'family' or 'bind' excludes: change one of them",
                 s->name);
}

/* Reports an option of the PKI modes that the section sets in another mode. */
static void check_pki_option(const struct config_section *s, const char *option,
                             struct diag_list *diags)
{
    const struct location where = config_set_at(&s->lines, option);

    if (where.line)
        diag_add(diags, where,
                 "%s has no effect without verify = pki, pin+pki or tofu+pki: change 'verify' or "
                 "remove the line",
                 option);
}

/* A value of [defaults] is no mistake where it has no effect. */
static void check_warm(const struct config_section *s, struct diag_list *diags)
{
    const struct location where = config_set_at(&s->lines, "warm");

    if (where.line && s->warm && s->listen.count == 0)
        diag_add(diags, where,
                 "warm = %ld has no effect without 'listen': add a listener or remove the line",
                 s->warm);
    if (s->warm && s->via.scheme == VIA_SERIAL)
        diag_add(diags, culprit(s, "warm"),
                 "[%s] has warm = %ld, but a serial device carries one tunnel at a time: set "
                 "warm = 0",
                 s->name, s->warm);
}

/* Reports options without an effect, because an administrator would rely on them. */
static void check_ineffective_options(const struct config_section *s, struct diag_list *diags)
{
    if (!config_uses_pki(s)) {
        check_pki_option(s, "crl_file", diags);
        if (s->ocsp != OCSP_OFF)
            check_pki_option(s, "ocsp", diags);
    }
    if (s->enforce.report && s->verify != VERIFY_PIN_PKI)
        diag_add(
            diags, culprit(s, "enforce"),
            "[%s] has enforce = report without verify = pin+pki: any server would be accepted; "
            "set verify = pin+pki",
            s->name);
    check_warm(s, diags);
    if (s->pins_url && s->verify == VERIFY_PKI)
        diag_add(diags, culprit(s, "pins_url"),
                 "[%s] has a pins_url, which has no effect with verify = pki: set verify = pin+pki",
                 s->name);
}

/* Reports what belongs to a client certificate that the section does not have. */
static void check_client_cert(const struct config_section *s, struct diag_list *diags)
{
    static const char *const parts[] = {"client_key", "client_key_password"};
    size_t i;

    for (i = 0; !s->tls.client_cert.text && i < COUNT_OF(parts); i++) {
        const struct location where = config_set_at(&s->lines, parts[i]);

        if (where.line && !is_wrong(&s->lines, parts[i]) && !is_wrong(&s->lines, "client_cert"))
            diag_add(diags, where,
                     "%s has no effect without a certificate: set client_cert, or remove the line",
                     parts[i]);
    }
}

/* A section's name is a field in the file of learned pins, where blanks separate fields. */
static void check_learning(const struct config_section *s, struct diag_list *diags)
{
    if (config_learns(s) && (strpbrk(s->name, " \t") || s->name[0] == '#'))
        diag_add(
            diags, s->where,
            "[%s] learns pins, but its name cannot be stored in their file: use a name that has "
            "no blanks and does not begin with '#'",
            s->name);
    if (config_uses_tofu(s) && pin_first(&s->pins, PIN_ISSUER))
        diag_add(
            diags, culprit(s, "verify"),
            "[%s] has an issuer's pin, which has no effect with verify = tofu: pin the server's "
            "own key or certificate",
            s->name);
}

static void check_pins(const struct config_section *s, const struct config_section *defaults,
                       struct diag_list *diags)
{
    const bool pins_known = s->pins.count > 0
                            || !(is_wrong(&s->lines, "pin") || is_wrong(&defaults->lines, "pin"));

    if (s->verify == VERIFY_PKI && s->pins.count)
        diag_add(diags, s->where,
                 "[%s] has pins, which have no effect with verify = pki: set verify = pin+pki, or "
                 "remove the pins",
                 s->name);
    else if (s->verify != VERIFY_PKI && !config_uses_tofu(s) && s->pins.count == 0 && pins_known)
        diag_add(diags, s->where,
                 "[%s] has no pin: add one ('pinproxy fetch %s' prints those of the host), or set "
                 "verify = tofu or pki",
                 s->name, s->host);
}

/* Over FTP, files would pass by the proxy on connections of their own, and so by the pins. */
static void check_starttls(const struct config_section *s, struct diag_list *diags)
{
    if (s->starttls == STARTTLS_FTP && s->listen.count)
        diag_add(
            diags, culprit(s, "starttls"),
            "[%s] has starttls = ftp and a 'listen', but FTP's data connections would not pass "
            "through pinproxyd: remove one of them (without 'listen', 'pinproxy check' and "
            "'pinproxy connect' use the section)",
            s->name);
    if (s->starttls != STARTTLS_OFF && s->pins_url)
        diag_add(diags, culprit(s, "pins_url"),
                 "[%s] has a pins_url, but a server with 'starttls' does not speak HTTP on this "
                 "port: remove one of them",
                 s->name);
}

/* The server reads its protocol inside TLS, as it has begun before. */
static void check_send_proxy(const struct config_section *s, struct diag_list *diags)
{
    if (s->send_proxy != SEND_PROXY_OFF && s->starttls != STARTTLS_OFF)
        diag_add(diags, culprit(s, "send_proxy"),
                 "[%s] has starttls and send_proxy, but no server expects a PROXY protocol header "
                 "after STARTTLS: remove one of them, or set send_proxy = off",
                 s->name);
}

/* The filter of one protocol reads nothing of another. */
static void check_client(const struct config_section *s, struct diag_list *diags)
{
    if (config_client(s) == CLIENT_POSTGRES && s->starttls != STARTTLS_OFF
        && s->starttls != STARTTLS_POSTGRES)
        diag_add(diags, culprit(s, "client"),
                 "[%s] has client = postgres, but its starttls is another protocol: set starttls = "
                 "postgres or client = raw",
                 s->name);
}

void validate_section(const struct config_section *s, const struct config_section *defaults,
                      struct diag_list *diags)
{
    check_name(s, diags);
    check_ineffective_options(s, diags);
    check_learning(s, diags);
    check_pins(s, defaults, diags);
    rawcheck_section(s, diags);
    check_client_cert(s, diags);
    check_family(s, diags);
    check_zones(s, diags);
    check_tls(s, defaults, diags);
    check_starttls(s, diags);
    check_send_proxy(s, diags);
    check_client(s, diags);
}

/* Listeners. */

static void check_loopback(const struct config_section *s, struct diag_list *diags)
{
    size_t i;

    for (i = 0; i < s->listen.count; i++)
        if (!addr_is_loopback(&s->listen.items[i].addr))
            diag_add(
                diags, s->listen.items[i].where,
                "listen = %s: other machines could connect, in plaintext: listen on 127.0.0.1, "
                "[::1] or a Unix socket, or set remote_clients = yes in [global]",
                s->listen.items[i].text);
}

/* The identity of a listener. When sorted, those that clash are neighbours, a wildcard first. */
struct listen_place {
    int family;
    uint16_t port;
    bool wildcard;
    char *name; /* the address, or the file */
    const struct config_listen *listen;
};

/*
 * Returns a name of a socket file that is the same for each path that leads to it, whether or not
 * the directory is there yet. The caller frees it.
 */
static char *name_file(const char *path)
{
    char *one = xstrdup(path), *two = xstrdup(path), *above, *name;
    const char *last = basename(one), *parent = dirname(two);
    struct stat st;

    if (stat(parent, &st) == 0) {
        name = xasprintf("%jx:%jx/%s", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino, last);
    } else if (strcmp(parent, path) == 0) { /* "." or "/", which may not be searched */
        name = xstrdup(path);
    } else {
        above = name_file(parent);
        name = strcmp(last, ".") == 0 ? xstrdup(above) : xasprintf("%s/%s", above, last);
        free(above);
    }
    free(one);
    free(two);
    return name;
}

static struct listen_place make_place(const struct config_listen *listen)
{
    const struct addr *addr = &listen->addr;
    struct listen_place place = {.family = addr->sa.sa_family,
                                 .port = addr_port(addr),
                                 .wildcard = addr_is_wildcard(addr),
                                 .listen = listen};
    char text[ADDR_TEXT_SIZE];

    place.name = place.family == AF_UNIX ? name_file(addr->un.sun_path)
                                         : xstrdup(addr_format(addr, text));
    return place;
}

static int compare_places(const void *a, const void *b)
{
    const struct listen_place *x = a, *y = b;
    int n = x->family - y->family;

    if (n == 0)
        n = x->port - y->port;
    if (n == 0)
        n = y->wildcard - x->wildcard;
    if (n == 0)
        n = strcmp(x->name, y->name);
    if (n == 0)
        n = strcmp(x->listen->where.file, y->listen->where.file);
    if (n == 0)
        n = x->listen->where.line < y->listen->where.line ? -1 : 1;
    return n;
}

/* first is before place in their order. */
static void check_clash(const struct listen_place *first, const struct listen_place *place,
                        struct diag_list *diags)
{
    const struct location at = first->listen->where;

    if (first->family != place->family || first->port != place->port)
        return;
    if (strcmp(first->name, place->name) == 0)
        diag_add(diags, place->listen->where,
                 "listen = %s is already set at %s:%u: remove one of them", place->listen->text,
                 at.file, at.line);
    else if (first->wildcard)
        diag_add(diags, place->listen->where,
                 "listen = %s is already covered by listen = %s at %s:%u: remove one of them",
                 place->listen->text, first->listen->text, at.file, at.line);
}

/* Neighbours can clash, and a wildcard clashes with all that have its family and port. */
static void check_clashes(const struct listen_place *places, size_t count, struct diag_list *diags)
{
    const struct listen_place *first = places;
    size_t i;

    for (i = 1; i < count; i++) {
        check_clash(first, &places[i], diags);
        if (!first->wildcard || first->family != places[i].family || first->port != places[i].port)
            first = &places[i];
    }
}

static void check_listeners(const struct config *c, struct diag_list *diags)
{
    struct listen_place *places;
    size_t count = 0, i, j;

    for (i = 0; i < c->count; i++) {
        count += c->sections[i]->listen.count;
        if (!c->global.remote_clients)
            check_loopback(c->sections[i], diags);
    }
    places = xcalloc(count, sizeof(*places));
    count = 0;
    for (i = 0; i < c->count; i++) {
        const struct config_listens *list = &c->sections[i]->listen;

        for (j = 0; j < list->count; j++) {
            if (list->items[j].addr.sa.sa_family != AF_UNIX && addr_port(&list->items[j].addr) == 0)
                continue; /* the kernel chooses a free one each time */
            places[count++] = make_place(&list->items[j]);
        }
    }
    if (count)
        qsort(places, count, sizeof(*places), compare_places);
    check_clashes(places, count, diags);
    for (i = 0; i < count; i++)
        free(places[i].name);
    free(places);
}

/* All sections. */

/* The sections are sorted by name. */
static void check_twice(const struct config *c, struct diag_list *diags)
{
    size_t i;

    for (i = 1; i < c->count; i++)
        if (hostname_compare(c->sections[i - 1]->name, c->sections[i]->name) == 0)
            diag_add(diags, c->sections[i]->where,
                     "section [%s] is already defined at %s:%u: merge the two",
                     c->sections[i]->name, c->sections[i - 1]->where.file,
                     c->sections[i - 1]->where.line);
}

static void check_privileges(const struct config_global *g, struct diag_list *diags)
{
    if (g->group && !g->user)
        diag_add(diags, config_set_at(&g->lines, "group"),
                 "group = %s: no effect without 'user': set both or neither", g->group);
}

/* A daemon without any host would close every listener, so this must be a mistake. */
static void check_not_empty(const struct config *c, const struct config_string *unmatched,
                            struct diag_list *diags)
{
    const struct location where = {.file = c->path};

    if (c->count > 0 || diags->count > 0)
        return;
    if (unmatched)
        diag_add(
            diags, unmatched->where,
            "no host section, and no file matches '%s': add a section to such a file or to this "
            "one ('pinproxy fetch HOST --ini' prints one)",
            unmatched->text);
    else
        diag_add(diags, where, "no host section: add one ('pinproxy fetch HOST --ini' prints one)");
}

void validate_config(const struct config *c, const struct config_string *unmatched,
                     struct diag_list *diags)
{
    check_twice(c, diags);
    check_listeners(c, diags);
    nesting_check(c, diags);
    check_privileges(&c->global, diags);
    check_not_empty(c, unmatched, diags);
}
