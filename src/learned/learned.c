#include "learned/learned.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hostname.h"
#include "base/mem.h"
#include "learned/learneddir.h"
#include "learned/learnedfile.h"
#include "learned/pending.h"

/* How long to wait for another process that changes the file, and how often to try again. */
#define LOCK_WAIT_MS 5000
#define LOCK_POLL_MS 20

/* The file as it was read at one time. It never changes: a reference is enough to read it. */
struct image {
    _Atomic unsigned refs;
    struct learnedfile file;
};

struct learned {
    _Atomic unsigned refs;
    char *dir;
    char *path;
    uid_t user; /* who may change the directory besides root; or LEARNEDDIR_OWNER */
    struct pending pending;

    /* held from reading the file to publishing it, so that no older image comes later */
    pthread_mutex_t reading;
    struct stat identity; /* of the file that was read last, also if that failed; or all zero */
    bool failed;          /* it could not be read, which may end without a change to it */

    pthread_mutex_t lock; /* of the pointer. Never held while a file is read or written */
    struct image *image;  /* a reference: what is in force */
    _Atomic uint64_t generation;
};

/* A change that is being made. */
struct change {
    struct learned *l;
    int lock; /* descriptor of the lock file */
    int dir;
    struct learnedfile file;
    struct stat identity; /* of what was read, or of what was written */
    char *why;
};

/* Returns what stat(2) says, or all zero if there is nothing. */
static struct stat identify_file(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        memset(&st, 0, sizeof(st));
    return st;
}

/* Returns true for the same file in the same state. rename(2) makes another file. */
static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size
           && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec
           && a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Reads the file. Returns NULL, or a complaint. A missing file, or directory, is an empty file. */
static char *read_file(const char *path, struct learnedfile *f)
{
    const char *failed;
    unsigned line;
    char *data, *why, *text;
    struct stat st;
    size_t len;

    memset(f, 0, sizeof(*f));
    if (stat(path, &st) != 0)
        return errno == ENOENT ? NULL : xasprintf("%s: %s", path, strerror(errno));
    failed = file_read(path, FILE_CONFIGURED, LEARNEDFILE_MAX, &data, &len);
    if (failed)
        return xasprintf("%s: %s", path, failed);
    why = learnedfile_parse(data, len, f, &line);
    free(data);
    if (!why)
        return NULL;
    text = xasprintf("%s:%u: %s", path, line, why);
    free(why);
    return text;
}

static struct image *hold_image(struct learned *l)
{
    struct image *image;

    pthread_mutex_lock(&l->lock);
    image = l->image;
    atomic_fetch_add(&image->refs, 1);
    pthread_mutex_unlock(&l->lock);
    return image;
}

static void release_image(struct image *image)
{
    if (!image || atomic_fetch_sub(&image->refs, 1) != 1)
        return;
    learnedfile_free(&image->file);
    free(image);
}

/*
 * Puts a file in force, of which it takes ownership. With `reading` held. Returns true if the keys
 * have changed.
 */
static bool publish_image(struct learned *l, struct learnedfile *f, const struct stat *identity)
{
    struct image *image = xcalloc(1, sizeof(*image)), *before = l->image;
    const bool changed = !learnedfile_same_keys(&before->file, f);

    atomic_init(&image->refs, 1);
    image->file = *f;
    memset(f, 0, sizeof(*f));
    l->identity = *identity;
    l->failed = false;
    pthread_mutex_lock(&l->lock);
    l->image = image;
    /* after the keys: a thread that sees the new generation finds the new keys */
    if (changed)
        atomic_fetch_add(&l->generation, 1);
    pthread_mutex_unlock(&l->lock);
    release_image(before);
    return changed;
}

/* Reads the file if it is another one, or could not be read before. With `reading` held. */
static bool refresh_image(struct learned *l, char **why)
{
    /* before reading, so that a change in between is found the next time */
    const struct stat now = identify_file(l->path);
    const bool known = is_same_file(&now, &l->identity);
    struct learnedfile f;

    *why = NULL;
    if (known && !l->failed)
        return false;
    *why = learneddir_check(l->dir, l->user);
    if (!*why)
        *why = read_file(l->path, &f);
    if (!*why)
        return publish_image(l, &f, &now);
    l->identity = now;
    l->failed = true;
    if (known) { /* reported already */
        free(*why);
        *why = NULL;
    }
    return false;
}

struct learned *learned_open(const char *dir, bool create, uid_t user, char **why)
{
    struct learned *l;

    *why = learneddir_open(dir, create, user);
    if (*why)
        return NULL;
    l = xcalloc(1, sizeof(*l));
    atomic_init(&l->refs, 1);
    pthread_mutex_init(&l->reading, NULL);
    pthread_mutex_init(&l->lock, NULL);
    pending_init(&l->pending);
    l->dir = xstrdup(dir);
    l->user = user;
    l->path = xasprintf("%s/learned", dir);
    l->image = xcalloc(1, sizeof(*l->image));
    atomic_init(&l->image->refs, 1);
    (void)refresh_image(l, why);
    if (!*why)
        return l;
    learned_release(l);
    return NULL;
}

struct learned *learned_hold(struct learned *l)
{
    atomic_fetch_add(&l->refs, 1);
    return l;
}

void learned_release(struct learned *l)
{
    if (!l || atomic_fetch_sub(&l->refs, 1) != 1)
        return;
    release_image(l->image);
    pthread_mutex_destroy(&l->reading);
    pthread_mutex_destroy(&l->lock);
    pending_destroy(&l->pending);
    free(l->path);
    free(l->dir);
    free(l);
}

const char *learned_dir(const struct learned *l)
{
    return l->dir;
}

uint64_t learned_generation(const struct learned *l)
{
    return atomic_load(&l->generation);
}

bool learned_refresh(struct learned *l, char **why)
{
    bool changed;

    pthread_mutex_lock(&l->reading);
    changed = refresh_image(l, why);
    pthread_mutex_unlock(&l->reading);
    return changed;
}

size_t learned_find(struct learned *l, const char *section, const char *hostport,
                    struct learned_key out[LEARNED_KEYS_MAX])
{
    struct image *image = hold_image(l);
    size_t n = 0, i;

    for (i = 0; i < image->file.count && n < LEARNED_KEYS_MAX; i++) {
        const struct learned_key *k = image->file.lines[i].key;

        if (k && hostname_compare(k->section, section) == 0
            && strcasecmp(k->hostport, hostport) == 0)
            out[n++] = *k;
    }
    release_image(image);
    return n;
}

struct learned_key *learned_list(struct learned *l, size_t *count)
{
    struct image *image = hold_image(l);
    struct learned_key *keys = xcalloc(image->file.count + 1, sizeof(*keys));
    size_t i;

    for (*count = 0, i = 0; i < image->file.count; i++)
        if (image->file.lines[i].key)
            keys[(*count)++] = *image->file.lines[i].key;
    release_image(image);
    return keys;
}

/* Changes. */

static bool change_complain(struct change *c, const char *name)
{
    c->why = xasprintf("%s%s%s: %s", c->l->dir, *name ? "/" : "", name, strerror(errno));
    return false;
}

static bool take_lock(struct change *c)
{
    const struct timespec pause = {.tv_nsec = LOCK_POLL_MS * 1000000L};
    int waited;

    c->lock = openat(c->dir, "learned.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (c->lock < 0 || !file_give_to_owner(c->dir, c->lock))
        return change_complain(c, "learned.lock");
    for (waited = 0; flock(c->lock, LOCK_EX | LOCK_NB) != 0; waited += LOCK_POLL_MS) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return change_complain(c, "learned.lock");
        if (waited >= LOCK_WAIT_MS) {
            c->why = xasprintf("%s/learned.lock: is locked by another process", c->l->dir);
            return false;
        }
        nanosleep(&pause, NULL);
    }
    return true;
}

/*
 * Begins a change: takes the lock and reads the file. Returns false with c->why. change_end()
 * follows in either case.
 */
static bool change_begin(struct change *c, struct learned *l)
{
    *c = (struct change){.l = l, .lock = -1, .dir = -1};
    c->why = learneddir_check(l->dir, l->user);
    if (c->why)
        return false;
    c->dir = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->dir < 0)
        return change_complain(c, "");
    if (!take_lock(c))
        return false;
    c->identity = identify_file(l->path);
    c->why = read_file(l->path, &c->file);
    return !c->why;
}

/*
 * Checks that the text reads back as what is meant. A name with a blank in it, a line that became
 * too long or a file that became too large would make the store unreadable, and the next start
 * fail.
 */
static bool check_readable(struct change *c, const struct strbuf *text)
{
    struct learnedfile again;
    unsigned line;
    char *why;

    why = learnedfile_parse(strbuf_text(text), text->len, &again, &line);
    if (why)
        c->why = xasprintf("%s: cannot be changed, since its line %u would then be wrong: %s",
                           c->l->path, line, why);
    else if (!learnedfile_same_keys(&c->file, &again))
        c->why = xasprintf(
            "%s: cannot be changed: a name or a day would not be read as it was written",
            c->l->path);
    if (!why)
        learnedfile_free(&again);
    free(why);
    return !c->why;
}

static bool write_file(struct change *c)
{
    struct strbuf text = {0};
    bool ok;

    learnedfile_print(&c->file, &text);
    ok = check_readable(c, &text)
         && (file_replace(c->dir, "learned", strbuf_text(&text), text.len, &c->identity)
             || change_complain(c, "learned.new"));
    strbuf_free(&text);
    return ok;
}

/* Returns true if c->file is what the file says now: as it was read, or as it was written. */
static bool change_is_written(struct change *c, enum learned_result result)
{
    return !c->why && result != LEARNED_FAILED && (result != LEARNED_DONE || write_file(c));
}

/*
 * Ends a change with its result, and writes the file if it is to be changed. What the file says is
 * in force before the lock is given up: a verdict that follows sees it, and no other change can
 * come between.
 */
static enum learned_result change_end(struct change *c, enum learned_result result, char **why)
{
    if (change_is_written(c, result)) {
        pthread_mutex_lock(&c->l->reading);
        (void)publish_image(c->l, &c->file, &c->identity);
        pthread_mutex_unlock(&c->l->reading);
    }
    if (result == LEARNED_FAILED && !c->why)
        c->why = xasprintf(
            "%s: the section has too many keys: remove some of them, for instance with "
            "'pinproxy learned forget'",
            c->l->path);
    *why = c->why;
    learnedfile_free(&c->file);
    if (c->lock >= 0)
        close(c->lock); /* which releases the lock */
    if (c->dir >= 0)
        close(c->dir);
    return *why ? LEARNED_FAILED : result;
}

enum learned_result learned_add(struct learned *l, const struct learned_key *key, char **why)
{
    enum learned_result result = LEARNED_FAILED;
    struct change c;

    if (change_begin(&c, l))
        result = learnedfile_add(&c.file, key);
    return change_end(&c, result, why);
}

enum learned_result learned_note_refused(struct learned *l, const struct learned_key *key,
                                         char **why)
{
    enum learned_result result = LEARNED_FAILED;
    struct change c;

    if (change_begin(&c, l))
        result = learnedfile_refuse(&c.file, key);
    return change_end(&c, result, why);
}

bool learned_begin_refused(struct learned *l, const struct learned_key *key)
{
    return pending_begin(&l->pending, key);
}

bool learned_next_refused(struct learned *l, struct learned_key *key)
{
    return pending_end(&l->pending, key);
}

void learned_abort_refused(struct learned *l, const struct learned_key *key)
{
    pending_abort(&l->pending, key);
}

enum learned_result learned_announce(struct learned *l, const struct learned_announcement *a,
                                     char **why)
{
    struct learned_announcement days = *a;
    enum learned_result result = LEARNED_FAILED;
    struct learned_key keys[LEARNED_KEYS_MAX];
    struct change c;
    size_t i;

    if (a->count > LEARNED_KEYS_MAX) {
        *why = xasprintf("%s: the host announces too many keys, the maximum is %d", l->path,
                         LEARNED_KEYS_MAX);
        return LEARNED_FAILED;
    }
    for (i = 0; i < a->count; i++) {
        keys[i] = a->keys[i];
        /* 0 is no end at all: the first day is long over */
        if (keys[i].until != 0)
            keys[i].until = learnedkey_day(keys[i].until < DAY_SECONDS ? DAY_SECONDS
                                                                       : keys[i].until);
    }
    days.keys = keys;
    if (change_begin(&c, l))
        result = learnedfile_announce(&c.file, &days);
    return change_end(&c, result, why);
}

enum learned_result learned_remove(struct learned *l, const struct learned_key *keys, size_t count,
                                   char **why)
{
    enum learned_result result = LEARNED_FAILED;
    struct change c;

    if (change_begin(&c, l))
        result = learnedfile_remove(&c.file, keys, count);
    return change_end(&c, result, why);
}

enum learned_result learned_forget(struct learned *l, const char *section, char **why)
{
    enum learned_result result = LEARNED_FAILED;
    struct change c;

    if (change_begin(&c, l))
        result = learnedfile_forget(&c.file, section);
    return change_end(&c, result, why);
}

enum learned_result learned_accept(struct learned *l, const char *section,
                                   const uint8_t digest[CERT_DIGEST_SIZE], int64_t now,
                                   struct learned_key *key, char **why)
{
    enum learned_result result = LEARNED_FAILED;
    struct learned_key accepted;
    struct change c;

    if (change_begin(&c, l))
        result = learnedfile_accept(&c.file, section, digest, learnedkey_day(now), &accepted);
    result = change_end(&c, result, why);
    if (result != LEARNED_FAILED && result != LEARNED_NONE)
        *key = accepted;
    return result;
}
