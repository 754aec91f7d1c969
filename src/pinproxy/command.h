/*
 * The commands of pinproxy(1). Each has a file with one struct, and a line in the table of main.c.
 */
#ifndef PINPROXY_COMMAND_H
#define PINPROXY_COMMAND_H

struct command {
    const char *name;
    const char *usage; /* the whole text of --help */
    /* Runs the command; argv[0] is its name. Returns an exit status (base/exitcode.h). */
    int (*run)(int argc, char **argv);
};

extern const struct command command_check;
extern const struct command command_connect;
extern const struct command command_fetch;
extern const struct command command_hash;
extern const struct command command_learned;

/*
 * Prints to standard error, as printf(3) formats it, what is wrong with the arguments of a command,
 * and a hint to --help. Returns EXITCODE_USAGE.
 */
int command_misused(const struct command *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Handles the results of getopt_long(3) that are the same for every command: prints the usage for
 * 'h', and what is wrong for '?' and ':'. argv is the argument of that function. Returns the exit
 * status.
 */
int command_option(const struct command *c, int option, char *const *argv);

#endif
