/*
 * The file of learned pins as text: lines to keys and back. What is not changed is written as it
 * was read, comments and all. The grammar is that of learned.h; bytes in, bytes out, no file is
 * touched.
 */
#ifndef LEARNED_LEARNEDFILE_H
#define LEARNED_LEARNEDFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/strbuf.h"
#include "learned/learnedkey.h"

/* A file may be so large, in bytes. */
#define LEARNEDFILE_MAX ((size_t)4 * 1024 * 1024)

struct learnedfile_line {
    char *text;              /* as it stands, without its newline */
    struct learned_key *key; /* what it says; NULL: nothing, it is blank or a comment */
};

struct learnedfile {
    struct learnedfile_line *lines;
    size_t count, size;
};

/*
 * Reads a text. NULL with *f filled in, to be freed with learnedfile_free(); or what is wrong, and
 * in which line. The complaint is the caller's to free.
 */
char *learnedfile_parse(const char *text, size_t len, struct learnedfile *f, unsigned *line);

/* The text of all lines. */
void learnedfile_print(const struct learnedfile *f, struct strbuf *out);

void learnedfile_free(struct learnedfile *f);

/* Whether they say the same keys in the same order, whatever else stands between them. */
bool learnedfile_same_keys(const struct learnedfile *a, const struct learnedfile *b);

/*
 * The changes that learned.h has, made to the lines. LEARNED_FAILED: a section would have too many
 * keys. Days are whole ones: first_seen and until are midnights.
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
