/* Directories of certificates and revocation lists that openssl-rehash(1) has made. */
#ifndef TRUST_HASHDIR_H
#define TRUST_HASHDIR_H

#include <stdbool.h>
#include <stddef.h>

/* The files of a directory, with its path. */
struct hashdir {
    char **paths;
    size_t count;
};

/*
 * Lists the links to certificates in a directory ("HASH.N"), or those to revocation lists
 * ("HASH.rN"), sorted. Returns false with errno set if the directory cannot be read. The caller
 * frees the list with hashdir_free().
 */
bool hashdir_list(const char *path, bool crls, struct hashdir *out);

/* Frees the list, which is empty afterwards. */
void hashdir_free(struct hashdir *dir);

#endif
