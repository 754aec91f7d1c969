/*
 * A state_dir for each test, and the store of learned keys in it. A test file has TEST(name) in its
 * table for each of its tests.
 */
#ifndef UNIT_STATEDIR_H
#define UNIT_STATEDIR_H

#include <sys/types.h>

#include "help.h"
#include "keys.h"
#include "learned/learned.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, new_directory, drop_directory)

/* The directory of the test that runs. */
extern char *dir;

int new_directory(void **state);
int drop_directory(void **state);

/* Returns the path of a file in it. Kept until the program ends. */
const char *path_of(const char *name);

/* Writes the file of learned keys. */
void put(const char *text);
void put_bytes(const char *text, size_t n);

/* Returns what is in that file. It is overwritten by the next call. */
const char *get(void);

/* Returns true if there is a file of that name in the directory. */
bool exists(const char *name);

/* Opens the store, which must succeed. */
struct learned *store(void);

/* Expects a refusal to open a directory, with a part of the reason. */
void cannot_open(const char *path, bool create, const char *part);

/* Expects a failure with a part of the reason, which it frees. */
void failed(enum learned_result result, char *why, const char *part);

/* Change the store, and fail the test if that fails. NOW is the time. */
enum learned_result keep(struct learned *l, const char *section, const char *hostport,
                         const char *pin);
enum learned_result note_refused(struct learned *l, const char *section, const char *hostport,
                                 const char *pin);
enum learned_result forget(struct learned *l, const char *section);
enum learned_result announce(struct learned *l, const char *section, const char *hostport,
                             const char *const *pins, int64_t until); /* NULL-terminated */

/* Expects that the key C cannot be kept, with a part of the reason. */
void cannot_keep(struct learned *l, const char *section, const char *hostport, const char *part);

/* Stores a key as of NOW. Returns the result and *why of learned_add(). */
enum learned_result add_digest(struct learned *l, const char *section, const char *hostport,
                               const uint8_t *bytes, char **why);

/* Notes a key as refused, likewise. */
enum learned_result refuse_digest(struct learned *l, const char *section, const char *hostport,
                                  const uint8_t *bytes, char **why);

/* Has the host h:1 announce keys to the section a. Returns the result and *why. */
enum learned_result announce_digests(struct learned *l, const uint8_t (*digests)[CERT_DIGEST_SIZE],
                                     size_t count, int64_t until, char **why);

size_t count_keys(struct learned *l);

/* Refreshes, and expects no complaint. Returns true if the keys have changed. */
bool has_changed(struct learned *l);

/* Runs a function in a child process, which it ends. */
pid_t start(void (*child)(int), int argument);

#endif
