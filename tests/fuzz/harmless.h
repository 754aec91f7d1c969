/* Inputs whose file names lead nowhere: a fuzzer must not read /dev/zero, nor what is in /etc. */
#ifndef FUZZ_HARMLESS_H
#define FUZZ_HARMLESS_H

#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Relative names start here, and there is no such directory. */
#define HARMLESS_DIR "/nonexistent/pinproxy"

/*
 * A copy with a NUL behind it, to be freed: of the slashes only those remain that stand behind a
 * character of base64, so that no name is absolute.
 */
static inline char *harmless_copy(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);
    size_t i;

    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    copy[size] = '\0';
    for (i = 0; i < size; i++)
        if (copy[i] == '/'
            && (i == 0
                || (!isalnum((unsigned char)copy[i - 1]) && copy[i - 1] != '+'
                    && copy[i - 1] != '/')))
            copy[i] = '_';
    return copy;
}

#endif
