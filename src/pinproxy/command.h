/* The commands of pinproxy(1): one struct in one file each, and one line in main.c's table. */
#ifndef PINPROXY_COMMAND_H
#define PINPROXY_COMMAND_H

struct command {
    const char *name;
    const char *usage; /* all that --help prints */
    /* argv[0] is the command's name. Returns an exit status: base/exitcode.h. */
    int (*run)(int argc, char **argv);
};

extern const struct command command_check;
extern const struct command command_connect;
extern const struct command command_fetch;
extern const struct command command_hash;
extern const struct command command_learned;

/*
 * Says what is wrong with a call and how it would be right, on standard error. Returns
 * EXITCODE_USAGE.
 */
int command_misused(const struct command *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * What every command does with a result of getopt_long(): '?', ':' or 'h'. argv is that function's
 * argument. Returns the exit status.
 */
int command_option(const struct command *c, int option, char *const *argv);

#endif
