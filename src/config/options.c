#include "config/options.h"

#include <string.h>
#include <strings.h>

#include "base/foreign.h"
#include "base/util.h"
#include "config/store.h"
#include "pin/pinvalue.h"

static const char *const family_words[] = {"any", "ipv4", "ipv6", NULL};
static const char *const send_proxy_words[] = {"off", "v1", "v2", NULL};
static const char *const truncation_words[] = {"reset", "allow", NULL};
static const char *const tls_words[] = {"none", "1.2", "1.3", NULL};
static const char *const log_level_words[] = {"silent", "error", "warning", "notice",
                                              "info",   "debug", NULL};

static const char *const verify_words[] = {"pin",      "pin+pki", "pki", "tofu",
                                           "tofu+pki", "!dane",   NULL};
static const char *const pin_removed_words[] = {"keep", "close", NULL};
static const char *const ocsp_words[] = {"off", "staple", NULL};
static const char *const client_words[] = {"", "raw", "!http", "postgres", NULL};
static const char *const starttls_words[] = {"off",
#define X(id, name) #name,
                                             STARTTLS_PROTOCOLS(X)
#undef X
                                                 NULL};
static const char *const raw_key_words[] = {"no", "offer", "require", NULL};
static const char *const log_format_words[] = {"auto", "text", "json", "!journal", NULL};

/* value_choice() and value_tls() write an int. */
_Static_assert(sizeof(enum log_level) == sizeof(int), "log_level is no int");
_Static_assert(sizeof(enum config_log_format) == sizeof(int), "log_format is no int");
_Static_assert(sizeof(enum config_family) == sizeof(int), "family is no int");
_Static_assert(sizeof(enum config_client) == sizeof(int), "client is no int");
_Static_assert(sizeof(enum starttls) == sizeof(int), "starttls is no int");
_Static_assert(sizeof(enum config_verify) == sizeof(int), "verify is no int");
_Static_assert(sizeof(enum config_pin_removed) == sizeof(int), "on_pin_removed is no int");
_Static_assert(sizeof(enum config_ocsp) == sizeof(int), "ocsp is no int");
_Static_assert(sizeof(enum config_raw_key) == sizeof(int), "raw_key is no int");
_Static_assert(sizeof(enum config_tls) == sizeof(int), "tls_min and tls_max are no int");
_Static_assert(sizeof(enum config_truncation) == sizeof(int), "truncation is no int");

#define GLOBAL(field)                                                                              \
    .offset = offsetof(struct config_global, field),                                               \
    .size = sizeof(((struct config_global *)0)->field)
#define SECTION(field)                                                                             \
    .offset = offsetof(struct config_section, field),                                              \
    .size = sizeof(((struct config_section *)0)->field)

/* clang-format off */
const struct option_row options[] = {
    {.name = "include", .scope = OPTION_GLOBAL, .flags = OPTION_LIST,
     .help = "further files to read: a path or a glob pattern"},
    {.name = "workers", .scope = OPTION_GLOBAL, .flags = OPTION_RESTART, .value = "auto",
     .kind = &value_workers, GLOBAL(workers),
     .help = "event-loop threads; auto: one per CPU that the process may use"},
    {.name = "user", .scope = OPTION_GLOBAL, .flags = OPTION_RESTART,
     .kind = &value_user, GLOBAL(user),
     .help = "user to become once the listeners are bound, when started as root"},
    {.name = "group", .scope = OPTION_GLOBAL, .flags = OPTION_RESTART,
     .kind = &value_group, GLOBAL(group),
     .help = "group to become together with user; default: the user's"},
    {.name = "log_level", .scope = OPTION_GLOBAL, .value = "info",
     .kind = &value_choice, GLOBAL(log_level), .range = {.words = log_level_words, .min = LOG_LEVEL_ERROR},
     .help = "error, warning, notice, info or debug"},
    {.name = "log_format", .scope = OPTION_GLOBAL, .value = "auto",
     .kind = &value_choice, GLOBAL(log_format), .range = {.words = log_format_words},
     .help = "auto (text), text (logfmt) or json, on standard error"},
    {.name = "control", .scope = OPTION_GLOBAL, .flags = OPTION_LATER, .value = "off",
     .help = "path of the control socket"},
    {.name = "metrics", .scope = OPTION_GLOBAL, .flags = OPTION_LATER, .value = "off",
     .help = "ADDR:PORT that answers Prometheus over HTTP"},
    {.name = "state_dir", .scope = OPTION_GLOBAL,
     .kind = &value_path, GLOBAL(state_dir),
     .help = "directory of the learned pins; default: " PINPROXY_LOCALSTATEDIR "/lib/pinproxy"},
    {.name = "max_connections", .scope = OPTION_GLOBAL, .value = "0",
     .kind = &value_number, GLOBAL(max_connections), .range = {.max = 10000000},
     .help = "maximum number of tunnels in all; further clients wait; 0: as many as RLIMIT_NOFILE allows"},
    {.name = "drain_timeout", .scope = OPTION_GLOBAL, .value = "30s",
     .kind = &value_delay, GLOBAL(drain_timeout),
     .help = "how long a stop waits for open tunnels to finish; 0: not at all"},
    {.name = "remote_clients", .scope = OPTION_GLOBAL, .value = "no",
     .kind = &value_bool, GLOBAL(remote_clients),
     .help = "allow listeners for plaintext on addresses other than loopback"},

    {.name = "watch", .scope = OPTION_GLOBAL, .flags = OPTION_LATER, .value = "no",
     .help = "reload when the configuration or a file that it names has changed"},

    {.name = "host", .scope = OPTION_HOST, .flags = OPTION_IDENTITY | OPTION_SERVER,
     .kind = &value_host, SECTION(host),
     .help = "host name or IP address; default: the section's name"},
    {.name = "port", .scope = OPTION_SECTION, .flags = OPTION_IDENTITY | OPTION_SERVER, .value = "443",
     .kind = &value_number, SECTION(port), .range = {.min = 1, .max = 65535},
     .help = "port of the host"},
    {.name = "address", .scope = OPTION_SECTION, .flags = OPTION_LIST | OPTION_IDENTITY | OPTION_SERVER,
     .kind = &value_target, SECTION(address),
     .help = "connect to IP[:PORT] or NAME[:PORT] instead of resolving the host; tried in order"},
    {.name = "family", .scope = OPTION_SECTION, .flags = OPTION_IDENTITY, .value = "any",
     .kind = &value_choice, SECTION(family), .range = {.words = family_words},
     .help = "addresses to use: any, ipv4 or ipv6"},
    {.name = "bind", .scope = OPTION_SECTION, .flags = OPTION_NO_IDENTITY,
     .kind = &value_ip, SECTION(bind),
     .help = "local address to connect from"},
    {.name = "via", .scope = OPTION_SECTION, .flags = OPTION_IDENTITY | OPTION_SERVER, .value = "tcp",
     .kind = &value_via, SECTION(via),
     .help = "way to the server, under TLS: tcp, unix:PATH, vsock:CID:PORT, exec:COMMAND, "
             "serial:DEVICE[,BAUD], or a parent proxy as socks5://[USER:PASSWORD@]HOST:PORT, "
             "http://[USER:PASSWORD@]HOST:PORT or section:[USER:PASSWORD@]NAME"},
    {.name = "send_proxy", .scope = OPTION_SECTION, .flags = OPTION_NO_IDENTITY, .value = "off",
     .kind = &value_choice, SECTION(send_proxy), .range = {.words = send_proxy_words},
     .help = "header of the PROXY protocol, inside TLS: off, v1 or v2"},
    {.name = "warm", .scope = OPTION_SECTION, .flags = OPTION_NO_IDENTITY, .value = "0",
     .kind = &value_number, SECTION(warm), .range = {.max = 1000},
     .help = "connections to make and verify ahead for each listener, so that no client waits"},
    {.name = "warm_lifetime", .scope = OPTION_SECTION, .flags = OPTION_NO_IDENTITY, .value = "60s",
     .kind = &value_deadline, SECTION(warm_lifetime),
     .help = "maximum age of such a connection when a client gets it"},
    {.name = "starttls", .scope = OPTION_SECTION, .flags = OPTION_IDENTITY, .value = "off",
     .kind = &value_choice, SECTION(starttls), .range = {.words = starttls_words},
     .help = "off, or the protocol in which the server is asked for TLS:" STARTTLS_NAMES},

    {.name = "listen", .scope = OPTION_HOST, .flags = OPTION_LIST | OPTION_NO_IDENTITY,
     .kind = &value_listen, SECTION(listen),
     .help = "ADDR:PORT, [IPV6]:PORT or unix:PATH[,mode=0660][,user=U][,group=G]"},
    {.name = "client", .scope = OPTION_SECTION, .flags = OPTION_NO_IDENTITY,
     .kind = &value_choice, SECTION(client), .range = {.words = client_words, .min = CLIENT_RAW},
     .help = "protocol of the clients: raw, or postgres, which is the default with starttls = "
             "postgres"},
    {.name = "set_header", .scope = OPTION_SECTION,
     .flags = OPTION_LIST | OPTION_LATER | OPTION_NO_IDENTITY,
     .help = "header fields of every HTTP request"},
    {.name = "http_hosts", .scope = OPTION_SECTION,
     .flags = OPTION_LIST | OPTION_LATER | OPTION_NO_IDENTITY,
     .help = "further names that an HTTP client may ask for"},
    {.name = "allow_user", .scope = OPTION_SECTION,
     .flags = OPTION_LIST | OPTION_LATER | OPTION_NO_IDENTITY,
     .help = "local users that may use the section"},
    {.name = "allow_group", .scope = OPTION_SECTION,
     .flags = OPTION_LIST | OPTION_LATER | OPTION_NO_IDENTITY,
     .help = "local groups that may use the section"},
    {.name = "max_connections", .scope = OPTION_SECTION, .flags = OPTION_NO_IDENTITY, .value = "0",
     .kind = &value_number, SECTION(max_connections), .range = {.max = 10000000},
     .help = "maximum number of tunnels of the section; further clients are refused; 0: no limit"},

    {.name = "verify", .scope = OPTION_SECTION, .flags = OPTION_IDENTITY, .value = "pin",
     .kind = &value_choice, SECTION(verify), .range = {.words = verify_words},
     .help = "pin (instead of the PKI), pin+pki (both), pki (no pins), tofu (the key that is seen "
             "first) or tofu+pki (both)"},
    {.name = "pin", .scope = OPTION_SECTION, .flags = OPTION_LIST | OPTION_IDENTITY,
     .kind = &value_pin, SECTION(pins),
     .help = "sha256//BASE64, cert:sha256:HEX, cert:FILE, key:FILE, issuer:sha256//BASE64, "
             "issuer-cert:sha256:HEX or issuer-cert:FILE [until=DATE] [name=WORD]"},
    {.name = "revoked", .scope = OPTION_SECTION, .flags = OPTION_LIST | OPTION_IDENTITY,
     .kind = &value_revoked, SECTION(revoked),
     .help = "keys that are never accepted, added to those of [defaults]: sha256//BASE64 or key:FILE"},
    {.name = "also_check", .scope = OPTION_SECTION, .flags = OPTION_LIST | OPTION_IDENTITY,
     .kind = &value_also_check, SECTION(also_check),
     .help = "name, dates: check them of a pinned certificate too"},
    {.name = "enforce", .scope = OPTION_SECTION, .flags = OPTION_IDENTITY, .value = "yes",
     .kind = &value_enforce, SECTION(enforce),
     .help = "yes, or report [until=DATE]: with pin+pki, a pin mismatch is logged and accepted"},
    {.name = "on_pin_removed", .scope = OPTION_SECTION, .flags = OPTION_NO_IDENTITY,
     .value = "keep",
     .kind = &value_choice, SECTION(on_pin_removed), .range = {.words = pin_removed_words},
     .help = "keep or close tunnels whose pin is removed or expires"},
    {.name = "pins_url", .scope = OPTION_SECTION, .flags = OPTION_IDENTITY,
     .kind = &value_url_path, SECTION(pins_url),
     .help = "path on the host whose Public-Key-Pins header adds pins, asked once a day"},
    {.name = "ca_file", .scope = OPTION_SECTION, .flags = OPTION_LIST | OPTION_IDENTITY,
     .kind = &value_paths, SECTION(ca_file),
     .help = "trust anchors in PEM; default: the system's"},
    {.name = "ca_dir", .scope = OPTION_SECTION, .flags = OPTION_LIST | OPTION_IDENTITY,
     .kind = &value_paths, SECTION(ca_dir),
     .help = "directory of trust anchors that openssl rehash has prepared"},
    {.name = "crl_file", .scope = OPTION_SECTION, .flags = OPTION_LIST | OPTION_IDENTITY,
     .kind = &value_paths, SECTION(crl_file),
     .help = "revocation lists that cover the whole chain, PEM or DER, for the PKI modes"},
    {.name = "ocsp", .scope = OPTION_SECTION, .flags = OPTION_IDENTITY, .value = "off",
     .kind = &value_choice, SECTION(ocsp), .range = {.words = ocsp_words},
     .help = "off, or staple: refuse without a good stapled OCSP response, in the PKI modes"},
    {.name = "verify_name", .scope = OPTION_SECTION, .flags = OPTION_IDENTITY,
     .kind = &value_verify_name, SECTION(verify_name),
     .help = "host name, IP address or spiffe://TRUST-DOMAIN/PATH of the certificate; default: the host"},

    {.name = "pins_from", .scope = OPTION_SECTION, .flags = OPTION_LATER | OPTION_IDENTITY,
     .help = "a signed list of further pins"},
    {.name = "pins_key", .scope = OPTION_SECTION, .flags = OPTION_LATER | OPTION_IDENTITY,
     .help = "the public key that signs it"},
    {.name = "raw_key", .scope = OPTION_SECTION, .flags = OPTION_TLS | OPTION_IDENTITY,
     .value = "no",
     .kind = &value_choice, SECTION(tls.raw_key), .range = {.words = raw_key_words},
     .help = "accept a raw public key in place of a certificate: no, offer or require"},

    {.name = "sni", .scope = OPTION_SECTION, .flags = OPTION_IDENTITY | OPTION_SERVER,
     .kind = &value_sni, SECTION(sni),
     .help = "server name to send, or off; default: the host, unless it is an IP address"},
    {.name = "tls_min", .scope = OPTION_SECTION, .flags = OPTION_TLS | OPTION_IDENTITY,
     .value = "1.2",
     .kind = &value_tls, SECTION(tls.min), .range = {.words = tls_words, .min = CONFIG_TLS_1_2},
     .help = "lowest TLS version: 1.2 or 1.3"},
    {.name = "tls_max", .scope = OPTION_SECTION, .flags = OPTION_TLS | OPTION_IDENTITY,
     .value = "none",
     .kind = &value_tls, SECTION(tls.max), .range = {.words = tls_words},
     .help = "highest TLS version: 1.2, 1.3 or none"},
    {.name = "ciphers", .scope = OPTION_SECTION, .flags = OPTION_TLS | OPTION_IDENTITY,
     .kind = &value_text, SECTION(tls.ciphers),
     .help = "ciphers of TLS 1.2, in OpenSSL's syntax"},
    {.name = "ciphersuites", .scope = OPTION_SECTION, .flags = OPTION_TLS | OPTION_IDENTITY,
     .kind = &value_text, SECTION(tls.ciphersuites),
     .help = "cipher suites of TLS 1.3, in OpenSSL's syntax"},
    {.name = "groups", .scope = OPTION_SECTION, .flags = OPTION_TLS | OPTION_IDENTITY,
     .kind = &value_text, SECTION(tls.groups),
     .help = "key exchange groups, in OpenSSL's syntax"},
    {.name = "sigalgs", .scope = OPTION_SECTION, .flags = OPTION_TLS | OPTION_IDENTITY,
     .kind = &value_text, SECTION(tls.sigalgs),
     .help = "signature algorithms, in OpenSSL's syntax"},
    {.name = "alpn", .scope = OPTION_SECTION, .flags = OPTION_LIST | OPTION_IDENTITY,
     .kind = &value_alpn, SECTION(alpn),
     .help = "application protocols to offer, in this order"},
    {.name = "resume", .scope = OPTION_SECTION, .flags = OPTION_TLS | OPTION_NO_IDENTITY,
     .value = "no",
     .kind = &value_bool, SECTION(tls.resume),
     .help = "resume TLS sessions, for at most an hour"},
    {.name = "truncation", .scope = OPTION_SECTION, .flags = OPTION_NO_IDENTITY, .value = "reset",
     .kind = &value_choice, SECTION(truncation), .range = {.words = truncation_words},
     .help = "a TCP end without close_notify: reset the client, or allow it as a clean end"},
    {.name = "client_cert", .scope = OPTION_SECTION, .flags = OPTION_TLS | OPTION_IDENTITY,
     .kind = &store_client_cert, SECTION(tls.client_cert),
     .help = "certificate, with its chain, to show to a server that asks for one: a path, %d/NAME, "
             "a URI such as pkcs11:..., or off"},
    {.name = "client_key", .scope = OPTION_SECTION, .flags = OPTION_TLS | OPTION_IDENTITY,
     .kind = &store_client_key, SECTION(tls.client_key),
     .help = "its private key, in the same forms; default: in the file of client_cert"},
    {.name = "client_key_password", .scope = OPTION_SECTION, .flags = OPTION_TLS | OPTION_IDENTITY,
     .kind = &store_password_file, SECTION(tls.client_key_password),
     .help = "file:PATH, whose first line is the password of the key"},

    {.name = "greeting_timeout", .scope = OPTION_SECTION,
     .flags = OPTION_LATER | OPTION_NO_IDENTITY,
     .help = "time for the request of a SOCKS or HTTP client"},
    {.name = "connect_timeout", .scope = OPTION_SECTION, .flags = OPTION_NO_IDENTITY,
     .value = "10s",
     .kind = &value_deadline, SECTION(connect_timeout),
     .help = "time to resolve, connect and ask for TLS (via, starttls), for all addresses together"},
    {.name = "handshake_timeout", .scope = OPTION_SECTION, .flags = OPTION_NO_IDENTITY,
     .value = "10s",
     .kind = &value_deadline, SECTION(handshake_timeout),
     .help = "time for the TLS handshake and the checks of trust"},
    {.name = "idle_timeout", .scope = OPTION_SECTION, .flags = OPTION_NO_IDENTITY, .value = "off",
     .kind = &value_duration, SECTION(idle_timeout),
     .help = "time without a byte in either direction"},
    {.name = "max_lifetime", .scope = OPTION_SECTION, .flags = OPTION_NO_IDENTITY, .value = "off",
     .kind = &value_duration, SECTION(max_lifetime),
     .help = "time from the opening of a tunnel to its end, at a pause of a second"},
    {.name = "half_close_timeout", .scope = OPTION_SECTION, .flags = OPTION_NO_IDENTITY,
     .value = "30s",
     .kind = &value_duration, SECTION(half_close_timeout),
     .help = "time without a byte after one side has finished sending"},
    {.name = "dns_ttl", .scope = OPTION_SECTION, .flags = OPTION_NO_IDENTITY, .value = "30s",
     .kind = &value_delay, SECTION(dns_ttl),
     .help = "how long a resolved address is used; 0: each connection looks it up"},
    {.name = "keepalive", .scope = OPTION_SECTION, .flags = OPTION_NO_IDENTITY, .value = "60s",
     .kind = &value_duration, SECTION(keepalive),
     .help = "silence after which TCP keepalive probes start, on both sides; off: no probes"},
};
/* clang-format on */

const size_t options_count = COUNT_OF(options);

_Static_assert(COUNT_OF(options) <= OPTIONS_MAX, "raise OPTIONS_MAX");

const struct option_row *options_find(const char *name, enum option_scope scope)
{
    size_t i;

    for (i = 0; i < options_count; i++) {
        const struct option_row *o = &options[i];

        if (o->name[0] == name[0]
            && (o->scope == scope || (scope == OPTION_HOST && o->scope == OPTION_SECTION))
            && strcmp(o->name, name) == 0)
            return o;
    }
    return NULL;
}

void options_set_defaults(void *target, enum option_scope scope, struct arena *arena)
{
    const struct value_context ctx = {.arena = arena, .where = {.file = "default"}};
    size_t i;

    for (i = 0; i < options_count; i++)
        if (options[i].scope == scope && options[i].value && options[i].size)
            (void)options[i].kind->parse(&ctx, &options[i].range,
                                         (char *)target + options[i].offset, options[i].value);
}

const char *options_shown(const struct option_row *o, const char *value, struct arena *arena)
{
    return o->kind && o->kind->conceal ? o->kind->conceal(value, arena) : value;
}

const char *options_set(const struct option_row *o, void *target, const struct value_context *ctx,
                        const char *value)
{
    const char *why = foreign_value(o->name, value);

    if (why)
        return arena_printf(ctx->arena, "%s = %s: %s", o->name, options_shown(o, value, ctx->arena),
                            why);
    if (o->flags & OPTION_LATER) {
        if (o->value && strcasecmp(value, o->value) == 0)
            return NULL;
        return arena_printf(ctx->arena, "%s = %s is not supported yet", o->name, value);
    }
    why = o->kind->parse(ctx, &o->range, (char *)target + o->offset, value);
    if (!why)
        return NULL;
    return arena_printf(ctx->arena, "%s = %s: %s", o->name, options_shown(o, value, ctx->arena),
                        why);
}

static void append_canonical(const struct option_row *o, const void *target, struct strbuf *out)
{
    o->kind->canonical((const char *)target + o->offset, out);
}

/* Frees both. */
static bool are_equal(struct strbuf *x, struct strbuf *y)
{
    const bool equal = x->len == y->len && (x->len == 0 || memcmp(x->data, y->data, x->len) == 0);

    strbuf_free(x);
    strbuf_free(y);
    return equal;
}

bool options_equal(const struct option_row *o, const void *a, const void *b)
{
    struct strbuf x = {0}, y = {0};

    if (o->size) {
        append_canonical(o, a, &x);
        append_canonical(o, b, &y);
    }
    return are_equal(&x, &y);
}

static bool is_part(const struct option_row *o, unsigned part)
{
    if (!o->size || (o->scope != OPTION_SECTION && o->scope != OPTION_HOST))
        return false;
    return part == OPTION_IDENTITY ? !(o->flags & OPTION_NO_IDENTITY) : o->flags & part;
}

void options_canonical(const struct option_row *rows, size_t count, unsigned part,
                       const struct config_section *s, struct strbuf *out)
{
    size_t i;

    for (i = 0; i < count; i++)
        if (is_part(&rows[i], part))
            append_canonical(&rows[i], s, out);
}

bool options_agree(unsigned part, const struct config_section *a, const struct config_section *b)
{
    struct strbuf x = {0}, y = {0};

    options_canonical(options, options_count, part, a, &x);
    options_canonical(options, options_count, part, b, &y);
    return are_equal(&x, &y);
}

static void print_scope(FILE *to, const char *title, enum option_scope a, enum option_scope b)
{
    size_t i;

    fprintf(to, "%s\n", title);
    for (i = 0; i < options_count; i++) {
        const struct option_row *o = &options[i];
        char name[64];

        if (o->scope != a && o->scope != b)
            continue;
        snprintf(name, sizeof(name), "%s%s", o->name, o->flags & OPTION_LIST ? "*" : "");
        fprintf(to, "  %-20s %-6s %s%s%s\n", name, o->value ? o->value : "-", o->help,
                o->flags & OPTION_RESTART ? " (needs a restart)" : "",
                o->flags & OPTION_LATER ? " (not supported yet)" : "");
    }
}

void options_print(FILE *to)
{
    fputs(
        "Option, default (-: none), meaning. An option with a * may be set several times, or\n"
        "continue in indented lines. Durations: 500ms, 10s, 5m, 2h, 1d, off. See pinproxyd.conf(5).\n\n",
        to);
    print_scope(to, "[global]", OPTION_GLOBAL, OPTION_GLOBAL);
    fputs("\n", to);
    print_scope(to, "[HOST], and [defaults] for all but host and listen", OPTION_SECTION,
                OPTION_HOST);
}
