/* pinproxy(1): finds the command and runs it. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/exitcode.h"
#include "base/file.h"
#include "base/log.h"
#include "base/print.h"
#include "base/util.h"
#include "net/child.h"
#include "pinproxy/command.h"
#include "tls/tls.h"

static const struct {
    const struct command *command;
    const char *help;
} commands[] = {
    {&command_fetch, "show the certificates that a host presents, and a section to paste"},
    {&command_hash, "print the pins of certificates, requests and keys"},
    {&command_check, "check the configuration, and with --live every host in it"},
    {&command_connect, "connect standard input and output to a pinned server"},
    {&command_learned, "list, forget or accept learned keys"},
};

#define COMMANDS COUNT_OF(commands)

static void print_usage(FILE *to)
{
    size_t i;

    fputs("usage: pinproxy COMMAND [ARGUMENTS]\n"
          "\n"
          "The administrator's tool for pinproxyd(8).\n"
          "\n",
          to);
    for (i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-10s %s\n", commands[i].command->name, commands[i].help);
    fputs("\n"
          "'pinproxy COMMAND --help' describes a command, and pinproxy(1) describes all of them.\n"
          "'pinproxy --version' prints the version.\n",
          to);
}

int command_misused(const struct command *c, const char *format, ...)
{
    char *text = NULL;
    va_list ap;

    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        text = NULL;
    va_end(ap);
    print_line(stderr, "pinproxy %s: %s", c->name, text ? text : "out of memory");
    free(text);
    fprintf(stderr, "'pinproxy %s --help' shows how to use it\n", c->name);
    return EXITCODE_USAGE;
}

int command_option(const struct command *c, int option, char *const *argv)
{
    char program[32];

    if (option == 'h') {
        fputs(c->usage, stdout);
        return EXITCODE_OK;
    }
    snprintf(program, sizeof(program), "pinproxy %s", c->name);
    print_wrong_option(stderr, program, option, argv);
    fprintf(stderr, "'pinproxy %s --help' shows how to use it\n", c->name);
    return EXITCODE_USAGE;
}

static int run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    size_t i;

    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_usage(stdout);
        return EXITCODE_OK;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("pinproxy %s (%s, libuv %s)\n", PACKAGE_VERSION, tls_library(), uv_version_string());
        return EXITCODE_OK;
    }
    for (i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i].command->name) == 0)
            return commands[i].command->run(argc - 1, argv + 1);
    if (*name)
        print_line(stderr, "pinproxy: unknown command '%s'", name);
    print_usage(stderr);
    return EXITCODE_USAGE;
}

int main(int argc, char **argv)
{
    int status;

    if (!file_open_standard())
        return EXITCODE_FAILURE; /* there may be no place to print why */
    /* if a peer goes away, write(2) fails and the process lives on */
    signal(SIGPIPE, SIG_IGN);
    /* each command prints what the daemon would log */
    log_setup(LOG_LEVEL_SILENT, LOG_FORMAT_TEXT);
    child_share_stderr();
    opterr = 0;
    status = run(argc, argv);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    /* an incomplete report must not look complete */
    fprintf(stderr, "pinproxy: standard output: %s\n", strerror(errno));
    return status == EXITCODE_OK ? EXITCODE_FAILURE : status;
}
