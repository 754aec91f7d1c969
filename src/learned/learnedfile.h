/*
 * The file of learned pins in memory: its lines, the keys in them, and changes to them. A line that
 * is not changed is written as it was read, with its comment. The grammar is that of learned.h.
 * Bytes in, bytes out: nothing is read or written here.
 */
#ifndef LEARNED_LEARNEDFILE_H
#define LEARNED_LEARNEDFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/strbuf.h"
#include "learned/learnedkey.h"

/* The maximum size of a file, in bytes. */
#define LEARNEDFILE_MAX ((size_t)4 * 1024 * 1024)

struct learnedfile_line {
    char *text;              /* without its newline */
    struct learned_key *key; /* NULL: the line is blank or a comment */
};

struct learnedfile {
    struct learnedfile_line *lines;
    size_t count, size;
};

/*
 * Parses the len bytes of a text. Returns NULL with *f filled in, which learnedfile_free() frees;
 * or what is wrong, which the caller frees, with its line in *line.
 */
char *learnedfile_parse(const char *text, size_t len, struct learnedfile *f, unsigned *line);

/* Appends the text of all lines. */
void learnedfile_print(const struct learnedfile *f, struct strbuf *out);

/* Frees what is in *f, and zeroes it. */
void learnedfile_free(struct learnedfile *f);

/*
 * Returns true if both have the same keys in the same order. Comments and blank lines do not
 * matter.
 */
bool learnedfile_same_keys(const struct learnedfile *a, const struct learnedfile *b);

/*
 * Make the changes of learned.h to the lines. They return LEARNED_FAILED if a section would have
 * too many keys; some lines may be changed then. first_seen and until must be midnights, for the
 * file has whole days.
 */
enum learned_result learnedfile_add(struct learnedfile *f, const struct learned_key *key);
enum learned_result learnedfile_refuse(struct learnedfile *f, const struct learned_key *key);
enum learned_result learnedfile_announce(struct learnedfile *f,
                                         const struct learned_announcement *a);
enum learned_result learnedfile_remove(struct learnedfile *f, const struct learned_key *keys,
                                       size_t count);
enum learned_result learnedfile_forget(struct learnedfile *f, const char *section);
enum learned_result learnedfile_accept(struct learnedfile *f, const char *section,
                                       const uint8_t digest[CERT_DIGEST_SIZE], int64_t today,
                                       struct learned_key *key);

#endif
