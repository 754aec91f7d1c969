#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "config/loader.h"
#include "config/section.h"
#include "learned/learned.h"
#include "pin/pin.h"
#include "pinproxy/command.h"
#include "pinproxy/report.h"

/* The learned pins may not be read: the status of monitoring plugins. */
#define EXITCODE_UNKNOWN 3

static const char usage[] =
    "usage: pinproxy learned list [-c FILE] [--json]\n"
    "       pinproxy learned forget SECTION [-c FILE]\n"
    "       pinproxy learned accept SECTION PIN [-c FILE]\n"
    "\n"
    "Manages keys that were seen first (verify = tofu) or announced by their host (pins_url).\n"
    "\n"
    "  list       print all keys, including those that were refused\n"
    "  forget     remove the keys of a section; its next connection is a first use again\n"
    "  accept     replace the key of a section with the refused key PIN, which list and the log show\n"
    "  -c FILE    configuration (default: " CONFIG_DEFAULT_PATH ")\n"
    "  --json     print JSON\n"
    "\n"
    "A running daemon applies the change within about a second.\n"
    "Exit status: 0 done, 1 failure or nothing to change, 2 usage, 3 the keys may not be read (list),\n"
    "78 configuration.\n";

static const struct option long_options[] = {
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void print_key(const struct learned_key *k)
{
    char *line = learnedkey_format(k);

    puts(line);
    free(line);
}

static json_t *key_json(const struct learned_key *k)
{
    char pin[PIN_KEY_TEXT_SIZE], day[UNITS_DATE_SIZE], via[PIN_TEXT_SIZE];
    json_t *o;

    pin_format_key(k->digest, pin);
    units_format_date(k->first_seen, day);
    o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "section", k->section, "place", k->hostport,
                  "pin", pin, "first_seen", day, "from", learnedkey_origin(k->from), "refused",
                  k->refused);
    if (k->until) {
        units_format_date(k->until, day);
        json_object_set_new(o, "until", json_string(day));
    }
    if (k->via.known) {
        pin_format(k->via.role, k->via.kind, k->via.digest, via);
        json_object_set_new(o, "via", json_string(via));
    }
    return o;
}

static int print_keys(struct learned *learned, bool json)
{
    size_t count, i;
    struct learned_key *keys = learned_list(learned, &count);
    json_t *all = json ? json_array() : NULL;

    for (i = 0; i < count; i++) {
        if (json)
            json_array_append_new(all, key_json(&keys[i]));
        else
            print_key(&keys[i]);
    }
    if (json)
        report_json(all);
    else if (count == 0)
        printf("no keys have been learned in %s\n", learned_dir(learned));
    free(keys);
    return EXITCODE_OK;
}

static int print_failure(char *why)
{
    fprintf(stderr, "pinproxy learned: %s\n", why);
    free(why);
    return EXITCODE_FAILURE;
}

static int forget_keys(struct learned *learned, const char *section)
{
    char *why = NULL;

    switch (learned_forget(learned, section, &why)) {
    case LEARNED_DONE:
        printf(
            "%s: forgotten; within about a second, a running daemon stores the next key that it sees\n",
            section);
        return EXITCODE_OK;
    case LEARNED_FAILED:
        return print_failure(why);
    case LEARNED_SAME:
    case LEARNED_OTHER:
    case LEARNED_NONE:
        break;
    }
    fprintf(stderr, "pinproxy learned: no key of [%s] has been learned in %s\n", section,
            learned_dir(learned));
    return EXITCODE_FAILURE;
}

static int accept_key(struct learned *learned, const char *section, const uint8_t *digest)
{
    char pin[PIN_KEY_TEXT_SIZE], other[PIN_KEY_TEXT_SIZE], *why = NULL;
    struct learned_key key;
    enum learned_result result = learned_accept(learned, section, digest, clock_now(), &key, &why);

    pin_format_key(digest, pin);
    switch (result) {
    case LEARNED_DONE:
        printf("%s: %s is accepted for %s\n", section, pin, key.hostport);
        return EXITCODE_OK;
    case LEARNED_FAILED:
        return print_failure(why);
    case LEARNED_SAME:
        fprintf(stderr, "pinproxy learned: %s of [%s] is already accepted\n", pin, section);
        break;
    case LEARNED_OTHER:
        pin_format_key(key.digest, other);
        fprintf(
            stderr,
            "pinproxy learned: %s is not accepted: the key of [%s] that was refused last is %s. "
            "Find out which one is right\n",
            pin, section, other);
        break;
    case LEARNED_NONE:
        fprintf(
            stderr,
            "pinproxy learned: no key of [%s] has been refused: the daemon stores a key when it "
            "refuses it\n",
            section);
        break;
    }
    return EXITCODE_FAILURE;
}

/* A call of the command. */
struct learned_call {
    const char *path; /* of the configuration */
    const char *action;
    const char *section;              /* NULL for list */
    uint8_t digest[CERT_DIGEST_SIZE]; /* for accept */
    bool json;
};

/* Prints that the keys may not be read. Returns the exit status. */
static int print_denied(const char *dir, bool list)
{
    fprintf(stderr,
            "pinproxy learned: unknown: %s/learned may not be read, run as root or as the daemon's "
            "user\n",
            dir);
    return list ? EXITCODE_UNKNOWN : EXITCODE_FAILURE;
}

static int change_or_print(struct learned *learned, const struct learned_call *o)
{
    const char *dir = learned_dir(learned);

    if (strcmp(o->action, "list") == 0)
        return print_keys(learned, o->json);
    if (access(dir, F_OK) != 0 && errno == ENOENT) {
        fprintf(
            stderr,
            "pinproxy learned: no key of [%s] has been learned: the directory %s (state_dir) does "
            "not exist yet\n",
            o->section, dir);
        return EXITCODE_FAILURE;
    }
    return strcmp(o->action, "forget") == 0 ? forget_keys(learned, o->section)
                                            : accept_key(learned, o->section, o->digest);
}

/* Runs a call on the store that the configuration names. Returns the exit status. */
static int run_call(const struct learned_call *o)
{
    struct diag_list diags = {0};
    struct config *config = config_load(o->path, FILE_ARGUMENT, &diags);
    const char *dir = config->global.state_dir;
    int status = EXITCODE_CONFIG;
    struct learned *learned;
    char *why = NULL;

    diag_print(&diags, stderr);
    if (diags.count == 0 && learneddir_is_denied(dir)) {
        status = print_denied(dir, strcmp(o->action, "list") == 0);
    } else if (diags.count == 0) {
        learned = learned_open(dir, false, LEARNEDDIR_OWNER, &why);
        if (learned)
            status = change_or_print(learned, o);
        else
            fprintf(stderr, "%s\n", why);
        learned_release(learned);
        free(why);
    }
    diag_free(&diags);
    config_free(config);
    return status;
}

/* Parses the arguments behind the options. Returns NULL, or an error text. */
static const char *parse_call(struct learned_call *o, char **arguments, int count)
{
    o->action = count > 0 ? arguments[0] : "";
    o->section = count > 1 ? arguments[1] : NULL;
    if (strcmp(o->action, "list") == 0)
        return count == 1 ? NULL : "list takes no section";
    if (strcmp(o->action, "forget") != 0 && strcmp(o->action, "accept") != 0)
        return "expected list, forget SECTION or accept SECTION PIN";
    if (o->json)
        return "--json is for list only";
    if (strcmp(o->action, "forget") == 0)
        return count == 2 ? NULL : "forget takes one SECTION";
    if (count == 2)
        return "accept takes a SECTION and a PIN: the daemon's log has the whole command, and "
               "'pinproxy learned list' shows the key that was refused";
    return count == 3 ? learnedkey_parse_pin(arguments[2], o->digest)
                      : "accept takes one SECTION and one PIN";
}

static int run_learned(int argc, char **argv)
{
    struct learned_call call = {.path = CONFIG_DEFAULT_PATH};
    const char *why;
    int c;

    while ((c = getopt_long(argc, argv, ":c:h", long_options, NULL)) != -1) {
        if (c == 'c')
            call.path = optarg;
        else if (c == 'j')
            call.json = true;
        else
            return command_option(&command_learned, c, argv);
    }
    why = parse_call(&call, argv + optind, argc - optind);
    return why ? command_misused(&command_learned, "%s", why) : run_call(&call);
}

const struct command command_learned = {.name = "learned", .usage = usage, .run = run_learned};
