#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "config/inifile.h"
#include "pin/pin.h"
#include "pinproxy/adhoc.h"
#include "pinproxy/command.h"
#include "pinproxy/probe.h"
#include "pinproxy/renewal.h"
#include "pinproxy/report.h"

static const char usage[] =
    "usage: pinproxy fetch HOST[:PORT] [--via WAY] [--starttls PROTOCOL] [--sni NAME]\n"
    "                      [--raw-key] [--timeout TIME] [--ini|--json]\n"
    "\n"
    "Shows the certificates that a host presents now, and a section ready to paste. They are not\n"
    "trusted yet: confirm the pin in another way.\n"
    "\n"
    "  --via WAY        as in pinproxyd.conf(5): unix:PATH, socks5://HOST:PORT ... (default: tcp)\n"
    "  --starttls PROTOCOL\n"
    "                   ask for TLS in this protocol, one of\n"
    "                  " STARTTLS_NAMES "\n"
    "  --sni NAME       server name to send; 'off' sends none (default: HOST)\n"
    "  --raw-key        accept a raw public key in place of a certificate\n"
    "  --timeout TIME   maximum time to connect, and again for the handshake (default: 10s)\n"
    "  --ini            print only the section\n"
    "  --json           print JSON\n"
    "\n"
    "Exit status: 0 ok, 1 network or TLS failure, 2 usage.\n";

static const struct option long_options[] = {
    {"sni", required_argument, NULL, 's'},
    {"raw-key", no_argument, NULL, 'r'},
    {"timeout", required_argument, NULL, 't'},
    {"starttls", required_argument, NULL, 'S'},
    {"via", required_argument, NULL, 'v'},
    {"ini", no_argument, NULL, 'i'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/*
 * Prints the name of the section. If the host's name is too long for it, or has another meaning
 * there, the section gets a name from its beginning and a hash of all of it (FNV-1a).
 */
static void print_head(const char *host)
{
    uint32_t number = 2166136261U;
    const char *p;

    if (strlen(host) <= INIFILE_SECTION_MAX && !config_is_reserved(host)) {
        printf("[%s]\n", host);
        return;
    }
    for (p = host; *p; p++)
        number = (number ^ (uint32_t)tolower((unsigned char)*p)) * 16777619U;
    printf("[%.40s-%08" PRIx32 "]\nhost = %s\n", host, number, host);
}

static void print_listen(const struct config_section *s)
{
    if (s->starttls == STARTTLS_FTP) /* it would be an error */
        return;
    printf("listen = 127.0.0.1:%d   ; any free port\n",
           s->port == 443 ? 8443 : 8000 + (int)(s->port % 1000));
}

/* A password is not printed, unless it is the name of a file. */
static void print_via(const struct config_section *s, const char *via)
{
    const bool is_secret = s->via.password && !strstr(via, ":file:");

    if (s->via.scheme == VIA_TCP)
        return;
    if (is_secret)
        printf("; write the password, or file:PATH, in place of ***\n");
    if ((s->via.path && s->via.path[0] != '/') || strstr(via, ":file:"))
        printf("; a path without a slash at its beginning is relative to this file\n");
    printf("via = %s\n", is_secret ? s->via.text : via);
}

static void print_section(const struct probe *p, const char *via, const char *starttls,
                          const char *sni)
{
    const struct config_section *s = p->section->config;
    char pin[PIN_KEY_TEXT_SIZE], today[UNITS_DATE_SIZE];

    pin_format_key(p->chain[0].digests.key, pin);
    units_format_date(clock_now(), today);
    print_head(s->host);
    print_listen(s);
    if (s->port != 443)
        printf("port = %ld\n", s->port);
    print_via(s, via);
    if (s->starttls != STARTTLS_OFF)
        printf("starttls = %s\n", starttls);
    if (sni)
        printf("sni = %s\n", sni);
    if (p->asks)
        printf("; the server asks for a client certificate: client_cert = FILE\n");
    if (p->chain[0].digests.is_raw_key)
        printf("raw_key = offer\n");
    printf("; seen on %s, not confirmed\npin = %s\n", today, pin);
    printf(
        "; add the pin of the next key, so that a renewal is no outage: 'pinproxy hash NEXT.csr'\n");
}

static void print_renewal(const struct probe *p)
{
    json_t *notes = renewal_of_chain(p->chain, p->chain_count);
    size_t i;

    printf("About the next renewal:\n");
    for (i = 0; i < json_array_size(notes); i++)
        printf("  - %s\n", json_string_value(json_array_get(notes, i)));
    putchar('\n');
    json_decref(notes);
}

static void print_text(const struct probe *p, const char *via, const char *starttls,
                       const char *sni)
{
    const struct config_section *s = p->section->config;
    size_t i;

    printf("%s port %ld (%s) presents, over %s:\n\n", s->host, s->port, p->upstream, p->tls);
    for (i = 0; i < p->chain_count; i++) {
        report_cert(stdout, i, &p->chain[i]);
        putchar('\n');
    }
    print_renewal(p);
    if (p->asks)
        printf(
            "The server asks for a client certificate. It may refuse connections without one.\n\n");
    printf(
        "This is the server that answers here and now. It is NOT YET TRUSTED. Confirm the pin in\n"
        "another way: on the server 'pinproxy hash CERTIFICATE' prints it, or fetch it again from\n"
        "another network. Then this section can be used:\n\n");
    print_section(p, via, starttls, sni);
}

static void print_json(const struct probe *p)
{
    json_t *chain = json_array(), *o;
    size_t i;

    for (i = 0; i < p->chain_count; i++)
        json_array_append_new(chain, report_cert_json(i, &p->chain[i]));
    o = json_pack("{s:s, s:I, s:s, s:s, s:s, s:b, s:b, s:o, s:o}", "host", p->section->config->host,
                  "port", (json_int_t)p->section->config->port, "upstream", p->upstream, "tls",
                  p->tls, "cipher", p->cipher, "trusted", 0, "asks_client_cert", p->asks, "chain",
                  chain, "renewal", renewal_of_chain(p->chain, p->chain_count));
    report_json(o);
}

static int fetch(struct adhoc *o, const char *via, const char *starttls, const char *sni, bool ini,
                 bool json)
{
    struct probe p = {0};
    int status = EXITCODE_OK;

    p.section = adhoc_probe(o);
    if (!p.section || probe_run(&p, 1) != 0)
        return EXITCODE_FAILURE;
    if (p.reason != REASON_PROBE_ONLY || p.chain_count == 0) {
        report_refusal(stderr, o->section->host, p.reason, p.detail, o->section, NULL, NULL);
        status = EXITCODE_FAILURE;
    } else if (ini) {
        print_section(&p, via, starttls, sni);
    } else if (json) {
        print_json(&p);
    } else {
        print_text(&p, via, starttls, sni);
    }
    probe_clear(&p);
    return status;
}

static int run_fetch(int argc, char **argv)
{
    const char *via = NULL, *starttls = NULL, *sni = NULL, *timeout = NULL, *why;
    bool ini = false, json = false, raw_key = false;
    int status, c;
    struct adhoc o;

    while ((c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
        if (c == 'S')
            starttls = optarg;
        else if (c == 's')
            sni = optarg;
        else if (c == 't')
            timeout = optarg;
        else if (c == 'r')
            raw_key = true;
        else if (c == 'i')
            ini = true;
        else if (c == 'j')
            json = true;
        else if (c == 'v')
            via = optarg;
        else
            return command_option(&command_fetch, c, argv);
    }
    if (ini && json)
        return command_misused(&command_fetch, "--ini and --json cannot be used together");
    if (argc - optind != 1)
        return command_misused(&command_fetch, "expected one HOST[:PORT]");
    why = adhoc_init(&o, argv[optind]);
    if (!why && via)
        why = adhoc_set_via(&o, via);
    if (!why && starttls)
        why = adhoc_set(&o, "starttls", starttls);
    if (!why && sni)
        why = adhoc_set(&o, "sni", sni);
    if (!why && raw_key)
        why = adhoc_set(&o, "raw_key", "offer");
    if (!why && timeout)
        why = adhoc_set_timeout(&o, timeout);
    status = why ? command_misused(&command_fetch, "%s", why)
                 : fetch(&o, via, starttls, sni, ini, json);
    adhoc_free(&o);
    return status;
}

const struct command command_fetch = {.name = "fetch", .usage = usage, .run = run_fetch};
