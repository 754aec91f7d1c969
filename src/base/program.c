#include "base/program.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Returns 0 if the path is a file that can be executed, or an errno value. */
static int check(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return errno;
    if (!S_ISREG(st.st_mode))
        return EACCES;
    return access(path, X_OK) == 0 ? 0 : errno;
}

/* Writes the path of a name in a directory. Returns false if it is too long. */
static bool join(const char *dir, size_t dir_len, const char *name, char path[PATH_MAX])
{
    return snprintf(path, PATH_MAX, "%.*s/%s", (int)dir_len, dir, name) < PATH_MAX;
}

int program_find(const char *name, char path[PATH_MAX])
{
    const char *dir = getenv("PATH"), *end;
    char candidate[PATH_MAX];
    int error, result = ENOENT;

    if (strchr(name, '/')) {
        if (strlen(name) >= PATH_MAX)
            return ENAMETOOLONG;
        error = check(name);
        if (error == 0)
            strcpy(path, name);
        return error;
    }
    if (!*name)
        return ENOENT;
    for (dir = dir ? dir : PROGRAM_DEFAULT_PATH; *dir; dir = *end ? end + 1 : end) {
        end = strchrnul(dir, ':');
        if (*dir != '/' || !join(dir, (size_t)(end - dir), name, candidate))
            continue;
        error = check(candidate);
        if (error == 0) {
            strcpy(path, candidate);
            return 0;
        }
        if (error == EACCES)
            result = EACCES;
    }
    return result;
}
