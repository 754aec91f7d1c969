/*
 * Learned pins: keys that were seen first (verify = tofu) or announced by their host (pins_url), in
 * one file, $state_dir/learned, that people may read and edit:
 *
 *     # whatever stands behind a '#' is kept
 *     section host:port sha256//BASE64 2026-11-26 [from=tofu|pins_url] [until=DATE] [refused]
 * [via=PIN]
 *
 * The file is the truth. Every change is made under a lock that all processes respect: the file is
 * read again, changed, written whole to a temporary file, synced, and renamed; so a crash at any
 * moment leaves the old or the new file, and nobody's change is lost. What cannot be read is never
 * written over.
 *
 * In memory there is an image of the file, which learned_find() reads: a verdict touches no disk and
 * waits for none. A change that is made here is in the image when the call returns. What people and
 * other processes change is in it after learned_refresh(), which learnedwatch.h calls. Calls may
 * come from any thread; learned_refresh() and those that change the file wait for the disk.
 */
#ifndef LEARNED_LEARNED_H
#define LEARNED_LEARNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "learned/learneddir.h"
#include "learned/learnedkey.h"

struct learned;

/*
 * Opens the store in a directory and reads it. A file that is not there is an empty one. With
 * create the directory is made if it is missing (not its parents). Nobody but root and user may be
 * able to change the directory or what is in it (learneddir.h): the daemon passes its own user, the
 * tool cannot know whom the daemon runs as and passes LEARNEDDIR_OWNER. Returns NULL with *why,
 * which the caller frees: "FILE:LINE: what is wrong and what would be right".
 */
struct learned *learned_open(const char *dir, bool create, uid_t user, char **why);

struct learned *learned_hold(struct learned *l);
void learned_release(struct learned *l); /* l may be NULL */

const char *learned_dir(const struct learned *l);

/*
 * Reads the file if it is not the one that was read last. Returns true if its keys have changed. If
 * the file cannot be read, the keys stay as they were, and *why says why, once for each state of the
 * file; the caller frees it. It is NULL otherwise.
 */
bool learned_refresh(struct learned *l, char **why);

/* Returns a number that is another whenever the keys have changed, whoever has changed them. */
uint64_t learned_generation(const struct learned *l);

/*
 * Copies the keys of a section for a host to out, refused ones as well, as they were read last.
 * Returns their number. Reads no file.
 */
size_t learned_find(struct learned *l, const char *section, const char *hostport,
                    struct learned_key out[LEARNED_KEYS_MAX]);

/*
 * Returns every key, in the order of the file as it was read last, in an array that the caller
 * frees.
 */
struct learned_key *learned_list(struct learned *l, size_t *count);

/* First use: keeps a key, unless the section has one from tofu at that place. */
enum learned_result learned_add(struct learned *l, const struct learned_key *key, char **why);

/* Notes a key that was refused, in place of the one noted before for the section. */
enum learned_result learned_note_refused(struct learned *l, const struct learned_key *key,
                                         char **why);

/*
 * Coalesces refused keys (pending.h): one of a section is written at a time. Whoever gets true from
 * learned_begin_refused() calls learned_note_refused() and then learned_next_refused(), which
 * returns true, with the key in *key, if one more is to be noted. learned_abort_refused() is called
 * in their place if the key cannot be written.
 */
bool learned_begin_refused(struct learned *l, const struct learned_key *key);
bool learned_next_refused(struct learned *l, struct learned_key *key);
void learned_abort_refused(struct learned *l, const struct learned_key *key);

/*
 * What the host announced (pins_url) replaces what it announced before, and nothing else. Keys that
 * stay keep their first_seen. until counts by its day.
 */
enum learned_result learned_announce(struct learned *l, const struct learned_announcement *a,
                                     char **why);

/* Removes these very keys, those of them that the file has as they are here, in every field. */
enum learned_result learned_remove(struct learned *l, const struct learned_key *keys, size_t count,
                                   char **why);

/* Forgets every key of a section, at whichever place. */
enum learned_result learned_forget(struct learned *l, const char *section, char **why);

/*
 * Makes the refused key of a section the accepted one, if it is this very key, in place of those
 * from tofu that were accepted for the same host. now is in seconds. Returns LEARNED_DONE or
 * LEARNED_SAME (it is accepted already) with the key in *key, LEARNED_OTHER with the key that is
 * noted as refused in *key, LEARNED_NONE if none is, or LEARNED_FAILED.
 */
enum learned_result learned_accept(struct learned *l, const char *section,
                                   const uint8_t digest[CERT_DIGEST_SIZE], int64_t now,
                                   struct learned_key *key, char **why);

#endif
