#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/print.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "pinproxy/command.h"
#include "pinproxy/probe.h"
#include "pinproxy/report.h"
#include "trust/policy.h"

#define DEFAULT_CONFIG PINPROXY_SYSCONFDIR "/pinproxy/pinproxyd.conf"
#define WARN_DAYS 14

static const char usage[] =
    "usage: pinproxy check [-c FILE] [--live] [--warn-days N] [--json] [SECTION...]\n"
    "\n"
    "Checks the configuration; with --live also what each section's host presents now.\n"
    "\n"
    "  -c FILE         configuration (default: " DEFAULT_CONFIG ")\n"
    "  --live          connect to every host and judge it as the daemon would\n"
    "  --warn-days N   warn of what ends within N days (14)\n"
    "  --json          as JSON\n"
    "\n"
    "Exit status, as monitoring plugins have it: 0 ok, 1 warning, 2 critical (a refusal, or the\n"
    "configuration), 3 unknown (could not connect, or may not read learned pins). Of several, 2\n"
    "comes before 3 before 1.\n";

static const struct option words[] = {
    {"live", no_argument, NULL, 'l'},
    {"warn-days", required_argument, NULL, 'w'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

enum level { LEVEL_OK, LEVEL_WARNING, LEVEL_CRITICAL, LEVEL_UNKNOWN };

static const char *const level_names[] = {"ok", "warning", "critical", "unknown"};

/* What was found out about one section. */
struct finding {
    enum level level;
    json_t *messages;          /* an array of strings */
    const struct probe *probe; /* with --live */
};

struct check {
    const char *path;
    bool live;
    bool json;
    long warn_days;
    struct snapshot *snapshot;
    const struct section **sections;
    struct probe *probes;
    struct finding *findings;
    size_t count;
};

/* Two levels meet: 2 before 3 before 1 before 0. */
static enum level worse(enum level a, enum level b)
{
    static const int weight[] = {0, 1, 3, 2};

    return weight[a] >= weight[b] ? a : b;
}

static void note(struct finding *f, enum level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void note(struct finding *f, enum level level, const char *format, ...)
{
    char *text, *safe;
    va_list ap;

    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        text = xstrdup("out of memory");
    va_end(ap);
    safe = report_safe(text);
    json_array_append_new(f->messages, json_string(safe));
    free(safe);
    free(text);
    f->level = worse(f->level, level);
}

/*
 * Whether a pin written as the server's own is that of a CA, by what the configuration's files or
 * the server have shown. No server ever proves that it holds such a key, so it is no backup.
 */
static bool is_of_ca(const struct config_section *s, const struct pin *pin, const struct probe *p)
{
    size_t i;

    if (pin->role != PIN_SERVER)
        return false;
    for (i = 0; p && i < p->chain_count; i++) {
        const struct cert_info *c = &p->chain[i];

        if (pin_matches(pin, PIN_SERVER, &c->digests) && (i == 0 || c->is_ca))
            return i > 0;
    }
    return pin_is_of_ca(&s->pins, pin);
}

/* What is wrong with the choice of a pin that is accepted. Returns whether it can be a backup. */
static bool check_choice(const struct config_section *s, const struct pin *pin, struct finding *f)
{
    const bool of_ca = is_of_ca(s, pin, f->probe);
    char text[TRUST_DETAIL_SIZE];

    if (of_ca) {
        pin_describe_misplaced(pin, NULL, text, sizeof(text));
        note(f, LEVEL_WARNING, "%s", text);
    }
    if (pin->role == PIN_ISSUER && pin->kind == PIN_KEY)
        note(
            f, LEVEL_OK,
            "pin %s binds the CA's key alone: its dates, name constraints and path length are those "
            "of whatever certificate is sent with that key; issuer-cert:FILE binds them too",
            pin_label(pin));
    return !of_ca;
}

/* What the configuration alone tells of a section's pins. */
static void check_pins(const struct check *check, const struct section *section, struct finding *f)
{
    const struct config_section *s = section->config;
    const int64_t now = clock_now();
    struct policy_pins pins;
    size_t live = 0, i;

    for (i = 0; i < s->pins.count; i++) {
        const struct pin *pin = &s->pins.items[i];
        char day[UNITS_DATE_SIZE], span[UNITS_SPAN_SIZE];

        units_format_date(pin->until, day);
        report_span(pin->until, span);
        if (pin_is_expired(pin, now)) {
            note(f, LEVEL_WARNING, "pin %s ended on %s: remove it", pin_label(pin), day);
            continue;
        }
        if (pin->kind == PIN_KEY && policy_is_revoked(s, pin->digest)) {
            note(f, LEVEL_WARNING, "pin %s is revoked: remove it", pin_label(pin));
            continue;
        }
        live += check_choice(s, pin, f);
        if (pin->until && report_days_left(pin->until) < check->warn_days)
            note(f, LEVEL_WARNING, "pin %s ends on %s, in %s", pin_label(pin), day, span);
    }
    if (config_is_reporting(s, now))
        note(f, LEVEL_WARNING,
             "enforce = report: a server whose pin does not match is LET THROUGH%s",
             s->enforce.until ? "" : ", without an end");
    if (s->verify == VERIFY_PKI || config_uses_tofu(s))
        return;
    /* a host may announce the key of its CA as well (RFC 7469), which is no server's key here */
    policy_pins(section->policy, &pins);
    for (i = s->pins.count; i < pins.count; i++) {
        const struct pin *pin = policy_pins_at(&pins, i);

        live += !pin_is_expired(pin, now) && check_choice(s, pin, f);
    }
    if (live == 0)
        note(f, LEVEL_CRITICAL, "no pin is left that a server can match: every server is refused");
    else if (live == 1)
        note(f, LEVEL_WARNING,
             "only one pin: with a second, of the next key, its renewal is no outage");
}

/*
 * A pin that the host announced is in use. It goes with the pin of the configuration that it goes
 * back to; or with the key of a first use, which nobody removes by mistake.
 */
static void check_announced(const struct probe *p, struct finding *f)
{
    if (p->pin->via)
        note(f, LEVEL_WARNING,
             "the pin in use is one that the host announced: pin %s vouches for it, and it goes "
             "with that one. Before you remove or replace that one, add to [%s]: pin = %s",
             pin_label(p->pin->via), p->section->config->name, p->pin->text);
}

/* The pin that matched, and what it tells of the others: they stand in the order of their use. */
static void check_match(const struct check *check, const struct probe *p, struct finding *f)
{
    const struct pin_list *pins = &p->section->config->pins;
    const int64_t now = clock_now();
    char day[UNITS_DATE_SIZE], span[UNITS_SPAN_SIZE];
    bool passed = false;
    size_t i;

    note(f, LEVEL_OK, "pin %s matches%s", pin_label(p->pin),
         p->pin == &p->learned ? ", which was learned" : "");
    if (p->pin->until) {
        units_format_date(p->pin->until, day);
        report_span(p->pin->until, span);
        note(f, report_days_left(p->pin->until) < check->warn_days ? LEVEL_WARNING : LEVEL_OK,
             "pin %s is good until %s, %s", pin_label(p->pin), day, span);
    }
    check_announced(p, f);
    for (i = 0; i < pins->count && p->pin != &p->learned; i++) {
        const struct pin *pin = &pins->items[i];

        passed = passed || pin == p->pin;
        if (pin == p->pin || pin->role != p->pin->role || pin_is_expired(pin, now)
            || is_of_ca(p->section->config, pin, p))
            continue;
        if (passed)
            note(f, LEVEL_OK, "backup pin %s: not seen yet", pin_label(pin));
        else
            note(f, LEVEL_OK, "the server already uses %s: pin %s can go", pin_label(p->pin),
                 pin_label(pin));
    }
}

/* A section that keeps the key seen first, and has seen none. */
static void check_first_use(const struct probe *p, struct finding *f)
{
    char key[PIN_KEY_TEXT_SIZE];

    pin_format_key(p->chain[0].digests.key, key);
    note(f, LEVEL_WARNING,
         "no key is kept yet: the first connection keeps the key that it then sees");
    note(f, LEVEL_OK, "presented: %s, issued by %s", p->chain[0].subject, p->chain[0].issuer);
    note(f, LEVEL_OK, "presented: %s", key);
}

static void check_server(const struct check *check, const struct probe *p, struct finding *f)
{
    char key[PIN_KEY_TEXT_SIZE], day[UNITS_DATE_SIZE], span[UNITS_SPAN_SIZE];
    const struct cert_info *leaf = p->chain_count ? &p->chain[0] : NULL;
    long days;

    f->probe = p;
    if (p->reason == REASON_FIRST_USE && leaf) {
        check_first_use(p, f);
        return;
    }
    if (p->reason != REASON_OK) {
        note(f, reason_is_trust(p->reason) ? LEVEL_CRITICAL : LEVEL_UNKNOWN, "%s: %s%s%s",
             reason_name(p->reason), reason_text(p->reason), *p->detail ? ": " : "", p->detail);
        if (!leaf || !reason_is_trust(p->reason))
            return;
        pin_format_key(leaf->digests.key, key);
        note(f, LEVEL_OK, "presented: %s, issued by %s", leaf->subject, leaf->issuer);
        note(f, LEVEL_OK, "presented: %s", key);
        note(f, LEVEL_OK, "the PKI says: %s", p->pki);
        if (p->reason == REASON_PKI && policy_wants_staple(p->section->policy)
            && !leaf->has_responder)
            note(f, LEVEL_CRITICAL,
                 "ocsp = staple can never succeed with this certificate, which names no OCSP "
                 "responder (nor do those of Let's Encrypt): use crl_file, or ocsp = off");
        return;
    }
    days = report_days_left(leaf->not_after);
    units_format_date(leaf->not_after, day);
    report_span(leaf->not_after, span);
    if (p->pin)
        check_match(check, p, f);
    if (p->reported != REASON_OK) {
        pin_format_key(leaf->digests.key, key);
        note(f, LEVEL_WARNING, "%s, which is only reported: presented %s", reason_text(p->reported),
             key);
    }
    note(f, days < check->warn_days ? LEVEL_WARNING : LEVEL_OK,
         days < 0 ? "the server's certificate expired on %s, %s ago"
                  : "the server's certificate is valid until %s, %s",
         day, span);
}

static void print_text(const struct check *check)
{
    size_t i, j;

    for (i = 0; i < check->count; i++) {
        const struct finding *f = &check->findings[i];

        print_line(stdout, "%s: %s", check->sections[i]->config->name, level_names[f->level]);
        for (j = 0; j < json_array_size(f->messages); j++)
            printf("    %s\n", json_string_value(json_array_get(f->messages, j)));
    }
}

static json_t *finding_json(const struct check *check, size_t i)
{
    const struct finding *f = &check->findings[i];
    char *name = report_safe(check->sections[i]->config->name);
    json_t *o = json_pack("{s:s, s:s, s:O}", "section", name, "status", level_names[f->level],
                          "messages", f->messages);

    free(name);
    if (!f->probe)
        return o;
    json_object_set_new(o, "reason", json_string(reason_name(f->probe->reason)));
    json_object_set_new(o, "upstream", json_string(f->probe->upstream));
    if (f->probe->pin)
        json_object_set_new(o, "pin", json_string(pin_label(f->probe->pin)));
    if (f->probe->chain_count)
        json_object_set_new(o, "certificate", report_cert_json(0, &f->probe->chain[0]));
    if (f->probe->pki)
        json_object_set_new(o, "pki", json_string(f->probe->pki));
    return o;
}

static void print_json(const struct check *check, enum level level)
{
    json_t *sections = json_array();
    char *path = report_safe(check->path);
    size_t i;

    for (i = 0; i < check->count; i++)
        json_array_append_new(sections, finding_json(check, i));
    report_json(json_pack("{s:s, s:s, s:o}", "configuration", path, "status", level_names[level],
                          "sections", sections));
    free(path);
}

/* Those that were named, or all. False after saying which one is not there. */
static bool choose_sections(struct check *check, char **names, int count)
{
    size_t i;
    int n;

    check->sections = xcalloc(check->snapshot->count + (size_t)count, sizeof(*check->sections));
    for (i = 0; count == 0 && i < check->snapshot->count; i++)
        check->sections[check->count++] = &check->snapshot->sections[i];
    for (n = 0; n < count; n++) {
        const struct section *s = snapshot_find(check->snapshot, names[n]);

        if (!s) {
            command_misused(&command_check, "%s has no section [%s]", check->path, names[n]);
            return false;
        }
        check->sections[check->count++] = s;
    }
    return true;
}

/* What the section has learned is for root and the daemon's user. */
static void note_denied(const struct check *check, struct finding *f)
{
    note(f, LEVEL_UNKNOWN,
         "unknown: %s/learned may not be read, run as root or as the daemon's user",
         check->snapshot->config->global.state_dir);
}

static enum level examine(struct check *check)
{
    enum level level = LEVEL_OK;
    size_t i;

    check->findings = xcalloc(check->count, sizeof(*check->findings));
    check->probes = xcalloc(check->count, sizeof(*check->probes));
    for (i = 0; i < check->count; i++) {
        check->findings[i].messages = json_array();
        check->probes[i].section = section_is_denied(check->sections[i]) ? NULL
                                                                         : check->sections[i];
    }
    if (check->live && probe_run(check->probes, check->count) != 0) {
        fputs("pinproxy check: no event loop\n", stderr);
        return LEVEL_UNKNOWN;
    }
    for (i = 0; i < check->count; i++) {
        const struct section *s = check->sections[i];

        if (section_is_denied(s))
            note_denied(check, &check->findings[i]);
        else if (check->live)
            check_server(check, &check->probes[i], &check->findings[i]);
        if (!section_is_denied(s))
            check_pins(check, s, &check->findings[i]);
        level = worse(level, check->findings[i].level);
    }
    return level;
}

static void clear(struct check *check)
{
    size_t i;

    for (i = 0; check->findings && i < check->count; i++) {
        json_decref(check->findings[i].messages);
        probe_clear(&check->probes[i]);
    }
    free(check->findings);
    free(check->probes);
    free(check->sections);
    snapshot_release(check->snapshot);
}

static int check_config(struct check *check, char **names, int count)
{
    struct diag_list diags = {0};
    enum level level;

    check->snapshot = snapshot_load_readable(check->path, &diags);
    diag_print(&diags, check->snapshot ? stdout : stderr);
    diag_free(&diags);
    if (!check->snapshot)
        return LEVEL_CRITICAL;
    if (!choose_sections(check, names, count)) {
        clear(check);
        return EXITCODE_USAGE;
    }
    level = examine(check);
    if (check->json)
        print_json(check, level);
    else
        print_text(check);
    clear(check);
    return (int)level;
}

static int run(int argc, char **argv)
{
    struct check check = {.path = DEFAULT_CONFIG, .warn_days = WARN_DAYS};
    int c;

    while ((c = getopt_long(argc, argv, ":c:h", words, NULL)) != -1) {
        if (c == 'c')
            check.path = optarg;
        else if (c == 'l')
            check.live = true;
        else if (c == 'j')
            check.json = true;
        else if (c == 'w' && units_number(optarg, 0, 36500, &check.warn_days))
            return command_misused(&command_check, "--warn-days takes a number of days");
        else if (c != 'w')
            return command_option(&command_check, c, argv);
    }
    return check_config(&check, argv + optind, argc - optind);
}

const struct command command_check = {.name = "check", .usage = usage, .run = run};
