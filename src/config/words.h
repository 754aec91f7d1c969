/* Splits a command into words, as a shell does. */
#ifndef CONFIG_WORDS_H
#define CONFIG_WORDS_H

#include <stddef.h>

struct arena;

/* Words of a command. */
#define WORDS_MAX 64

/*
 * Splits text at blanks. Single quotes, double quotes and backslashes have their meaning of sh(1)
 * (POSIX.1, Shell Command Language, 2.2): nothing is special between single quotes, and between
 * double quotes a backslash quotes only $, `, " and itself. Nothing is expanded, so no other
 * character is special. Returns NULL after setting *argv to the words, with NULL behind the
 * last one, and *count; or what is wrong, a literal. The words are in the arena.
 */
const char *words_split(const char *text, struct arena *arena, const char ***argv, size_t *count);

#endif
