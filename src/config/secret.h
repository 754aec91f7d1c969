/* Secrets that a value names as `file:PATH`, so that the configuration does not have them itself. */
#ifndef CONFIG_SECRET_H
#define CONFIG_SECRET_H

#include <stdbool.h>

struct arena;

/* The maximum length of a secret, in bytes. */
#define SECRET_MAX 1024

/*
 * Returns a path as a value has it: "%d/NAME" is in the directory of systemd's credentials, any
 * other path is relative to dir. Returns NULL if this process has no credentials (systemd.exec(5)).
 * The text is in the arena.
 */
const char *secret_path(const char *path, const char *dir, struct arena *arena);

/* Returns whether a path, as secret_path() returns it, is in the directory of the credentials. */
bool secret_is_credential(const char *path);

/*
 * Reads the first line of a file, without its end. path is as secret_path() has it. Returns NULL
 * with *out in the arena, or what is wrong: a literal, or a text in the arena, which never has
 * anything of the file.
 */
const char *secret_read(const char *path, const char *dir, struct arena *arena, const char **out);

#endif
