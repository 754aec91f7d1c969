/*
 * The store of learned pins: keys that were seen first (verify = tofu) or announced by their host
 * (pins_url), in one file, $state_dir/learned, which people may read and edit. A line:
 *
 *     section host:port sha256//BASE64 2026-11-26 [from=tofu|pins_url] [until=DATE] [refused]
 *         [via=PIN] # comments stay when the file is changed
 *
 * The file decides. Every change is made under a lock that all processes respect: the file is read
 * again, changed, written whole to a temporary file, synced and renamed. So a crash at any moment
 * leaves the old or the new file, and no change of another process is lost. A file that cannot be
 * read is never overwritten.
 *
 * In memory there is an image of the file, which learned_find() reads: a verdict touches no disk
 * and waits for none. A change that is made here is in the image when the call returns. Changes by
 * people and other processes are in it after learned_refresh(), which learnedwatch.h calls. Calls
 * may come from any thread; learned_refresh() and those that change the file wait for the disk.
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
 * Opens the store in a directory and reads it. A missing file is an empty one. With create, a
 * missing directory is made (but not its parents). Nobody but root and user may be able to change
 * the directory or what is in it (learneddir.h). The daemon passes its own user; the tool does not
 * know the daemon's, and passes LEARNEDDIR_OWNER. Returns a reference, or NULL with *why, which the
 * caller frees: "FILE:LINE: " and a text that says what is wrong and what is expected.
 */
struct learned *learned_open(const char *dir, bool create, uid_t user, char **why);

/* Takes a reference, and returns l. */
struct learned *learned_hold(struct learned *l);

/* Releases a reference. The last one frees the store. l may be NULL. */
void learned_release(struct learned *l);

/* Returns the directory. The text lives as long as the store. */
const char *learned_dir(const struct learned *l);

/*
 * Reads the file if it is not the one that was read last. Returns true if its keys have changed. If
 * the file cannot be read, the keys stay as they were, and *why says why, once for each state of
 * the file; the caller frees it. It is NULL otherwise.
 */
bool learned_refresh(struct learned *l, char **why);

/* Returns a number that differs whenever the keys have changed. */
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

/*
 * These change the file. They return LEARNED_FAILED with *why, which the caller frees and which
 * names the file; *why is NULL otherwise.
 */

/*
 * Stores the key of a first use. Returns LEARNED_DONE; or LEARNED_SAME or LEARNED_OTHER if its
 * section has this key or another one from tofu for that host already.
 */
enum learned_result learned_add(struct learned *l, const struct learned_key *key, char **why);

/*
 * Stores a key as refused, in place of the one that was stored for its section before. Returns
 * LEARNED_SAME if the file has this key, accepted or refused.
 */
enum learned_result learned_note_refused(struct learned *l, const struct learned_key *key,
                                         char **why);

/*
 * Coalesce refused keys (pending.h): one of a section is written at a time. After
 * learned_begin_refused() has returned true, the caller calls learned_note_refused() and then
 * learned_next_refused(), which returns true with the key in *key if one more is to be stored. If
 * the key cannot be written, it calls learned_abort_refused() in place of both.
 */
bool learned_begin_refused(struct learned *l, const struct learned_key *key);
bool learned_next_refused(struct learned *l, struct learned_key *key);
void learned_abort_refused(struct learned *l, const struct learned_key *key);

/*
 * Stores what a host announces (pins_url) in place of what it announced before. Nothing else
 * changes. Keys that stay keep their first_seen. The file has the day of until.
 */
enum learned_result learned_announce(struct learned *l, const struct learned_announcement *a,
                                     char **why);

/* Removes those of the keys that the file has with equal fields. */
enum learned_result learned_remove(struct learned *l, const struct learned_key *keys, size_t count,
                                   char **why);

/* Removes every key of a section, whatever the host. */
enum learned_result learned_forget(struct learned *l, const char *section, char **why);

/*
 * Accepts the refused key of a section if it has this digest, in place of those from tofu that were
 * accepted for the same host. now is in seconds since the epoch. Returns LEARNED_DONE or
 * LEARNED_SAME (it is accepted already) with the key in *key, LEARNED_OTHER with the key that is
 * stored as refused in *key, LEARNED_NONE if none is, or LEARNED_FAILED.
 */
enum learned_result learned_accept(struct learned *l, const char *section,
                                   const uint8_t digest[CERT_DIGEST_SIZE], int64_t now,
                                   struct learned_key *key, char **why);

#endif
