#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/print.h"
#include "pin/keyfile.h"
#include "pin/pin.h"
#include "pinproxy/command.h"
#include "pinproxy/report.h"

static const char usage[] =
    "usage: pinproxy hash FILE... [--json]\n"
    "\n"
    "Prints the pins of certificates, certificate requests, public and private keys, in PEM or\n"
    "DER. '-' is the standard input. The pin of the next key is available before its certificate\n"
    "exists, from its request.\n"
    "\n"
    "  --json   print a JSON array\n"
    "\n"
    "Exit status: 0 ok, 1 a file could not be read, 2 usage.\n";

static const struct option long_options[] = {
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void print_item(const char *path, const struct keyfile_item *item)
{
    char key[PIN_KEY_TEXT_SIZE], cert[PIN_CERT_TEXT_SIZE];
    const char *subject = item->cert.subject ? item->cert.subject : "";

    pin_format_key(item->key, key);
    print_line(stdout, "%s  %s: key of the %s%s%s", key, path, keyfile_kind_name(item->kind),
               *subject ? " " : "", subject);
    if (item->kind == KEYFILE_CERTIFICATE) {
        pin_format_cert(item->cert.digests.cert, cert);
        print_line(stdout, "%s  %s: the certificate %s", cert, path, subject);
    }
    if (item->kind == KEYFILE_CERTIFICATE && item->cert.is_ca) {
        print_line(stdout, "issuer:%s  %s: the CA's key, for certificates that it issued", key,
                   path);
        print_line(stdout, "issuer-%s  %s: the CA's certificate, for certificates that it issued",
                   cert, path);
    }
}

static json_t *item_json(const char *path, const struct keyfile_item *item)
{
    char key[PIN_KEY_TEXT_SIZE], *file = report_safe(path);
    json_t *o;

    if (item->kind == KEYFILE_CERTIFICATE) {
        o = report_cert_json(0, &item->cert);
    } else {
        pin_format_key(item->key, key);
        o = json_pack("{s:s}", "pin", key);
    }
    json_object_set_new(o, "file", json_string(file)); /* JSON is UTF-8 */
    free(file);
    json_object_set_new(o, "kind", json_string(keyfile_kind_name(item->kind)));
    return o;
}

/* Prints the pins of a file, or adds them to all. Returns false after printing why it cannot. */
static bool hash_file(const char *path, json_t *all)
{
    struct keyfile f;
    const char *why = keyfile_read(path, FILE_ARGUMENT, &f);
    size_t i;

    if (why) {
        if (f.wrong_line)
            print_line(stderr, "pinproxy hash: %s:%u: %s", path, f.wrong_line, why);
        else
            print_line(stderr, "pinproxy hash: %s: %s", path, why);
        return false;
    }
    for (i = 0; i < f.count; i++) {
        if (all)
            json_array_append_new(all, item_json(path, &f.items[i]));
        else
            print_item(path, &f.items[i]);
    }
    keyfile_free(&f);
    return true;
}

static int run_hash(int argc, char **argv)
{
    int status = EXITCODE_OK, c, i;
    bool json = false;
    json_t *all;

    while ((c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
        if (c != 'j')
            return command_option(&command_hash, c, argv);
        json = true;
    }
    if (optind == argc)
        return command_misused(&command_hash, "expected a FILE ('-' is the standard input)");
    all = json ? json_array() : NULL;
    for (i = optind; i < argc; i++)
        if (!hash_file(argv[i], all))
            status = EXITCODE_FAILURE;
    if (all)
        report_json(all);
    return status;
}

const struct command command_hash = {.name = "hash", .usage = usage, .run = run_hash};
