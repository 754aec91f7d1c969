/* What the unit tests share: cmocka, a directory of their own, and what was written to stderr. */
#ifndef UNIT_HELP_H
#define UNIT_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* cmocka 2 defines a macro of this name, which several tests have for a function. */
#undef stop

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A directory that goes away with all that is in it when the program ends. */
const char *temp_dir(void);

/* A path in it, as printf would write it. Kept until the program ends. */
const char *temp_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Writes a file there; subdirectories of its name are made. Returns the path. */
const char *temp_file(const char *name, const void *bytes, size_t n);
const char *temp_text(const char *name, const char *text);

/* From now on stderr goes to a file; capture_end() brings it back and returns what was written. */
void capture_start(void);
char *capture_end(void);

/* Fails with a readable message unless text contains part. */
void assert_contains(const char *text, const char *part);

/* Fails with a readable message unless least <= value <= most. cmocka 2 deprecates its own macro. */
void assert_between(uintmax_t value, uintmax_t least, uintmax_t most);

/* Returns true under valgrind(1), which makes system calls of its own in the process. */
bool under_valgrind(void);

/* Pseudo-random numbers, the same in each run. */
uint32_t random_next(uint32_t *seed);

#endif
