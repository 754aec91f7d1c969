#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/units.h"
#include "config/config.h"
#include "config/pin.h"
#include "engine/learned.h"
#include "pinproxy/command.h"
#include "pinproxy/report.h"

#define DEFAULT_CONFIG PINPROXY_SYSCONFDIR "/pinproxy/pinproxyd.conf"

static const char usage[] =
    "usage: pinproxy learned list [-c FILE] [--json]\n"
    "       pinproxy learned forget SECTION [-c FILE]\n"
    "       pinproxy learned accept SECTION [-c FILE]\n"
    "\n"
    "Keys that were seen first (verify = tofu) or announced by their host (pins_url).\n"
    "\n"
    "  list       all of them, those that were refused too\n"
    "  forget     those of a section: the next connection is a first one\n"
    "  accept     the key that was refused last becomes the section's\n"
    "  -c FILE    configuration (default: " DEFAULT_CONFIG ")\n"
    "  --json     as JSON\n"
    "\n"
    "A running daemon goes by the change from its next connection on. Exit status: 0 done, 1 nothing\n"
    "to do or it failed, 2 usage, 78 configuration.\n";

static const struct option words[] = {
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
    char pin[PIN_KEY_TEXT_SIZE], day[UNITS_DATE_SIZE];
    json_t *o;

    pin_format_key(k->digest, pin);
    units_format_date(k->first_seen, day);
    o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "section", k->section, "place", k->place, "pin",
                  pin, "first_seen", day, "from", learnedkey_origin(k->from), "refused",
                  k->refused);
    if (k->until) {
        units_format_date(k->until, day);
        json_object_set_new(o, "until", json_string(day));
    }
    return o;
}

static int list(struct learned *learned, bool json)
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

static int failed(char *why)
{
    fprintf(stderr, "pinproxy learned: %s\n", why);
    free(why);
    return EXITCODE_FAILURE;
}

static int forget(struct learned *learned, const char *section)
{
    char *why = NULL;

    switch (learned_forget(learned, section, &why)) {
    case LEARNED_DONE:
        printf("%s: forgotten; the next connection keeps the key that it then sees\n", section);
        return EXITCODE_OK;
    case LEARNED_FAILED:
        return failed(why);
    case LEARNED_SAME:
    case LEARNED_OTHER:
        break;
    }
    fprintf(stderr, "pinproxy learned: no key of [%s] has been learned in %s\n", section,
            learned_dir(learned));
    return EXITCODE_FAILURE;
}

static int accept_key(struct learned *learned, const char *section)
{
    char pin[PIN_KEY_TEXT_SIZE], *why = NULL;
    struct learned_key key;

    switch (learned_accept(learned, section, (int64_t)time(NULL), &key, &why)) {
    case LEARNED_DONE:
        pin_format_key(key.digest, pin);
        printf("%s: %s is accepted for %s\n", section, pin, key.place);
        return EXITCODE_OK;
    case LEARNED_FAILED:
        return failed(why);
    case LEARNED_SAME:
    case LEARNED_OTHER:
        break;
    }
    fprintf(stderr, "pinproxy learned: no key of [%s] has been refused\n", section);
    return EXITCODE_FAILURE;
}

/* The store that a configuration names; NULL after saying what is wrong. */
static struct learned *open_store(const char *path, int *status)
{
    struct problems problems = {0};
    struct config *config = config_load(path, FILE_ARGUMENT, &problems);
    struct learned *learned = NULL;
    char *why = NULL;

    problems_print(&problems, stderr);
    if (problems.count == 0)
        learned = learned_open(config->global.state_dir, false, &why);
    if (why)
        fprintf(stderr, "%s\n", why);
    *status = EXITCODE_CONFIG;
    free(why);
    problems_free(&problems);
    config_free(config);
    return learned;
}

static int act(const char *path, const char *action, const char *section, bool json)
{
    int status;
    struct learned *learned = open_store(path, &status);

    if (!learned)
        return status;
    if (strcmp(action, "list") == 0)
        status = list(learned, json);
    else if (strcmp(action, "forget") == 0)
        status = forget(learned, section);
    else
        status = accept_key(learned, section);
    learned_release(learned);
    return status;
}

static int run(int argc, char **argv)
{
    const char *path = DEFAULT_CONFIG, *action;
    bool json = false;
    int c, wanted;

    while ((c = getopt_long(argc, argv, "c:h", words, NULL)) != -1) {
        if (c == 'c')
            path = optarg;
        else if (c == 'j')
            json = true;
        else
            return command_option(&command_learned, c);
    }
    action = optind < argc ? argv[optind] : "";
    if (strcmp(action, "list") != 0 && strcmp(action, "forget") != 0
        && strcmp(action, "accept") != 0)
        return command_misused(&command_learned, "list, forget SECTION or accept SECTION?");
    wanted = strcmp(action, "list") == 0 ? 1 : 2;
    if (argc - optind != wanted)
        return command_misused(&command_learned, wanted == 1 ? "list takes no section"
                                                             : "which section? one SECTION");
    if (json && wanted == 2)
        return command_misused(&command_learned, "--json goes with list");
    return act(path, action, argv[optind + wanted - 1], json);
}

const struct command command_learned = {.name = "learned", .usage = usage, .run = run};
