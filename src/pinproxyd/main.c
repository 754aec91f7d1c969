/* pinproxyd(8): reads the command line, loads the configuration, runs the daemon. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/exitcode.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/print.h"
#include "config/loader.h"
#include "config/options.h"
#include "pinproxyd/daemon.h"
#include "pinproxyd/preflight.h"
#include "pinproxyd/warnings.h"
#include "tls/tls.h"
#include "tls/tlsmem.h"

static const char usage[] =
    "usage: pinproxyd [-c FILE] [-t] [-V] [-h] [--help-config]\n"
    "\n"
    "A pinning TLS forward proxy. Runs in the foreground and logs to standard error.\n"
    "\n"
    "  -c FILE         read the configuration from FILE (default: " CONFIG_DEFAULT_PATH ")\n"
    "  -t              check the configuration and exit\n"
    "  -V, --version   print the version and exit\n"
    "  -h, --help      print this help and exit\n"
    "  --help-config   print every option of the configuration with its default and meaning\n"
    "\n"
    "SIGHUP reloads the configuration. SIGTERM stops after open tunnels have finished, or after\n"
    "drain_timeout. SIGUSR1 logs the status of every section.\n"
    "Exit status: 0 stopped, 1 failure at run time, 2 usage, 78 configuration.\n"
    "See pinproxyd(8), pinproxyd.conf(5), pinproxy(1).\n";

enum { OPTION_HELP_CONFIG = 256 };

static const struct option long_options[] = {
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {"help-config", no_argument, NULL, OPTION_HELP_CONFIG},
    {NULL, 0, NULL, 0},
};

static struct snapshot *load(const char *path)
{
    struct diag_list diags = {0};
    struct snapshot *snapshot = snapshot_load(path, NULL, &diags);

    if (!snapshot)
        diag_print(&diags, stderr);
    diag_free(&diags);
    return snapshot;
}

static int test_config(const char *path)
{
    struct snapshot *snapshot = load(path);

    if (!snapshot)
        return EXITCODE_CONFIG;
    warnings_print(snapshot, stderr);
    preflight_print(snapshot, stderr);
    print_line(stdout, "%s: ok, %zu section%s", path, snapshot->count,
               snapshot->count == 1 ? "" : "s");
    snapshot_release(snapshot);
    return EXITCODE_OK;
}

static int run(int argc, char **argv)
{
    const char *path = CONFIG_DEFAULT_PATH;
    bool only_test = false;
    struct snapshot *snapshot;
    int c;

    opterr = 0;
    while ((c = getopt_long(argc, argv, ":c:tVh", long_options, NULL)) != -1) {
        switch (c) {
        case 'c':
            path = optarg;
            break;
        case 't':
            only_test = true;
            break;
        case 'V':
            printf("pinproxyd %s (%s, libuv %s)\n", PACKAGE_VERSION, tls_library(),
                   uv_version_string());
            return EXITCODE_OK;
        case 'h':
            fputs(usage, stdout);
            return EXITCODE_OK;
        case OPTION_HELP_CONFIG:
            options_print(stdout);
            return EXITCODE_OK;
        default:
            print_wrong_option(stderr, "pinproxyd", c, argv);
            fputs("pinproxyd: 'pinproxyd --help' prints the usage\n", stderr);
            return EXITCODE_USAGE;
        }
    }
    if (optind < argc) {
        print_line(stderr, "pinproxyd: unexpected argument '%s': pass the configuration as -c FILE",
                   argv[optind]);
        return EXITCODE_USAGE;
    }
    if (only_test)
        return test_config(path);
    snapshot = load(path);
    return snapshot ? daemon_run(path, snapshot) : EXITCODE_CONFIG;
}

int main(int argc, char **argv)
{
    int status;

    if (!file_open_standard())
        return EXITCODE_FAILURE; /* there may be no descriptor to report it on */
    heap_trim_prepare();
    (void)tlsmem_install();
    status = run(argc, argv);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    /* half a report must not look like a whole one */
    fprintf(stderr, "pinproxyd: standard output: %s\n", strerror(errno));
    return EXITCODE_FAILURE;
}
