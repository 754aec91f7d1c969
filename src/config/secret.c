#include "config/secret.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* Returns the directory of systemd's credentials, or NULL. */
static const char *find_credentials(void)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");

    return dir && *dir ? dir : NULL;
}

const char *secret_path(const char *path, const char *dir, struct arena *arena)
{
    if (strncmp(path, "%d/", 3) != 0)
        return file_resolve(arena, dir, path);
    dir = find_credentials();
    return dir ? arena_printf(arena, "%s%s", dir, path + 2) : NULL;
}

bool secret_is_credential(const char *path)
{
    const char *dir = find_credentials();
    const size_t n = dir ? strlen(dir) : 0;

    return dir && strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* Takes the first line of n bytes. */
static const char *take_line(const char *bytes, size_t n, struct arena *arena, const char **out)
{
    const char *newline = n ? memchr(bytes, '\n', n) : NULL;
    size_t len = newline ? (size_t)(newline - bytes) : n;

    if (len && bytes[len - 1] == '\r')
        len--;
    if (len == 0)
        return "its first line is empty: write the secret there";
    if (len > SECRET_MAX)
        return "its first line is longer than 1024 bytes";
    if (memchr(bytes, '\0', len))
        return "its first line has a NUL byte: write the secret as text";
    *out = arena_strndup(arena, bytes, len);
    return NULL;
}

const char *secret_read(const char *path, const char *dir, struct arena *arena, const char **out)
{
    const char *resolved, *why;
    char *bytes;
    size_t n;

    if (!*path)
        return "expected file:PATH";
    resolved = secret_path(path, dir, arena);
    if (!resolved)
        return "file:%d/NAME is a credential, and the service manager has passed none: set "
               "LoadCredential=NAME:PATH in the unit";
    why = file_read(resolved, FILE_CONFIGURED, FILE_SIZE_MAX, &bytes, &n);
    if (!why) {
        why = take_line(bytes, n, arena, out);
        explicit_bzero(bytes, n);
        free(bytes);
    }
    return why ? arena_printf(arena, "%s: %s", resolved, why) : NULL;
}
