#include <getopt.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/print.h"
#include "base/units.h"
#include "config/loader.h"
#include "pinproxy/command.h"
#include "pinproxy/findings.h"
#include "pinproxy/probe.h"
#include "pinproxy/report.h"

static const char usage[] =
    "usage: pinproxy check [-c FILE] [--live] [--warn-days N] [--json] [SECTION...]\n"
    "\n"
    "Checks the configuration, and with --live also the server of each section.\n"
    "\n"
    "  -c FILE         configuration (default: " CONFIG_DEFAULT_PATH ")\n"
    "  --live          connect to every host and check it as the daemon does\n"
    "  --warn-days N   warn of pins, certificates and revocation lists that end within N days\n"
    "                  (default: 14 days, or the last third of a shorter life)\n"
    "  --json          print JSON\n"
    "\n"
    "The exit status is that of monitoring plugins: 0 ok, 1 warning, 2 critical (a server is refused,\n"
    "or the configuration is wrong), 3 unknown (a host could not be connected to, or learned pins may\n"
    "not be read). If several apply, 2 comes before 3, and 3 before 1.\n";

static const struct option long_options[] = {
    {"live", no_argument, NULL, 'l'},
    {"warn-days", required_argument, NULL, 'w'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct check {
    const char *path;
    bool live;
    bool json;
    long warn_days;
    struct snapshot *snapshot;
    const struct section **sections;
    struct probe *probes;
    struct findings *findings;
    size_t count;
};

static void print_lines(const json_t *lines, const char *prefix)
{
    size_t i;

    for (i = 0; i < json_array_size(lines); i++)
        printf("    %s%s\n", prefix, json_string_value(json_array_get(lines, i)));
}

static void print_text(const struct check *check)
{
    size_t i;

    for (i = 0; i < check->count; i++) {
        const struct findings *f = &check->findings[i];

        print_line(stdout, "%s: %s", f->section->config->name, finding_level_name(f->level));
        print_lines(f->messages, "");
        print_lines(f->renewal, "renewal: ");
    }
}

static void print_json(const struct check *check, enum finding_level level)
{
    json_t *sections = json_array();
    char *path = report_safe(check->path);
    size_t i;

    for (i = 0; i < check->count; i++)
        json_array_append_new(sections, findings_json(&check->findings[i]));
    report_json(json_pack("{s:s, s:s, s:o}", "configuration", path, "status",
                          finding_level_name(level), "sections", sections));
    free(path);
}

/* Chooses the sections that are named, or all. Returns false after printing which one is missing. */
static bool choose_sections(struct check *check, char **names, int count)
{
    size_t i;
    int n;

    check->sections = xcalloc(check->snapshot->count + (size_t)count, sizeof(*check->sections));
    for (n = 0; n < count; n++) {
        const struct section *s = snapshot_find(check->snapshot, names[n]);

        if (!s) {
            command_misused(&command_check, "%s has no section [%s]", check->path, names[n]);
            return false;
        }
        check->sections[check->count++] = s;
    }
    if (count > 0)
        return true;
    for (i = 0; i < check->snapshot->count; i++)
        check->sections[check->count++] = &check->snapshot->sections[i];
    return true;
}

/* Probes the server of every section, except of those whose learned pins may not be read. */
static bool probe_sections(struct check *check)
{
    size_t i;

    check->probes = xcalloc(check->count, sizeof(*check->probes));
    for (i = 0; i < check->count; i++)
        if (!section_is_denied(check->sections[i]))
            check->probes[i].section = check->sections[i];
    if (probe_run(check->probes, check->count) == 0)
        return true;
    fputs("pinproxy check: no event loop\n", stderr);
    return false;
}

static enum finding_level examine(struct check *check)
{
    enum finding_level level = FINDING_OK;
    size_t i;

    check->findings = xcalloc(check->count, sizeof(*check->findings));
    for (i = 0; i < check->count; i++) {
        struct findings *f = &check->findings[i];

        f->section = check->sections[i];
        f->probe = check->live ? &check->probes[i] : NULL;
        f->state_dir = check->snapshot->config->global.state_dir;
        f->now = clock_now();
        f->warn_days = check->warn_days;
        findings_collect(f);
        level = finding_level_worse(level, f->level);
    }
    return level;
}

static void check_clear(struct check *check)
{
    size_t i;

    if (check->findings)
        for (i = 0; i < check->count; i++)
            findings_clear(&check->findings[i]);
    if (check->probes)
        for (i = 0; i < check->count; i++)
            probe_clear(&check->probes[i]);
    free(check->findings);
    free(check->probes);
    free(check->sections);
    snapshot_release(check->snapshot);
}

static int check_config(struct check *check, char **names, int count)
{
    struct diag_list diags = {0};
    enum finding_level level;

    check->snapshot = snapshot_load_readable(check->path, &diags);
    diag_print(&diags, check->snapshot ? stdout : stderr);
    diag_free(&diags);
    if (!check->snapshot)
        return FINDING_CRITICAL;
    if (!choose_sections(check, names, count)) {
        check_clear(check);
        return EXITCODE_USAGE;
    }
    if (check->live && !probe_sections(check)) {
        check_clear(check);
        return FINDING_UNKNOWN;
    }
    level = examine(check);
    if (check->json)
        print_json(check, level);
    else
        print_text(check);
    check_clear(check);
    return (int)level;
}

static int run_check(int argc, char **argv)
{
    struct check check = {.path = CONFIG_DEFAULT_PATH, .warn_days = FINDINGS_WARN_DEFAULT};
    int c;

    while ((c = getopt_long(argc, argv, ":c:h", long_options, NULL)) != -1) {
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

const struct command command_check = {.name = "check", .usage = usage, .run = run_check};
