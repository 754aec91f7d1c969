#include "engine/learned.h"

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

#include "base/file.h"
#include "base/mem.h"
#include "engine/learnedfile.h"

#define FILE_MOST ((size_t)4 * 1024 * 1024)

/* How long to wait for another process that is changing the file, and how often to look. */
#define LOCK_WAIT_MS 5000
#define LOCK_POLL_MS 20

#define DAY 86400

/* Which file it was: rename(2) makes another, an editor changes this one. */
struct identity {
    bool exists;
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
};

struct learned {
    _Atomic unsigned refs;
    char *dir;
    char *path;

    pthread_mutex_t lock; /* for what follows; never held while waiting for the disk's sync */
    struct learnedfile file;
    struct identity identity; /* of what was read last, whether or not it could be */
    char *complaint;          /* that it could not be, until learned_refresh() has told */
    _Atomic uint64_t generation;
};

/* A change under way. */
struct change {
    struct learned *l;
    int lock; /* descriptor of the lock file */
    int dir;
    struct learnedfile file;
    char *why;
};

static struct identity identify(const char *path)
{
    struct identity id;
    struct stat st;

    memset(&id, 0, sizeof(id));
    if (stat(path, &st) != 0)
        return id;
    id.exists = true;
    id.dev = st.st_dev;
    id.ino = st.st_ino;
    id.size = st.st_size;
    id.mtime = st.st_mtim;
    id.ctime = st.st_ctim;
    return id;
}

static bool is_same(const struct identity *a, const struct identity *b)
{
    return a->exists == b->exists && a->dev == b->dev && a->ino == b->ino && a->size == b->size
           && a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec
           && a->ctime.tv_sec == b->ctime.tv_sec && a->ctime.tv_nsec == b->ctime.tv_nsec;
}

/* Reads the file. A file that is not there is empty; a directory that is not there has none. */
static char *read_file(const char *path, struct learnedfile *f)
{
    const char *failed;
    unsigned line;
    char *data, *why, *text;
    size_t len;

    memset(f, 0, sizeof(*f));
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return NULL;
    failed = file_read(path, FILE_MOST, &data, &len);
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

static bool same_keys(const struct learnedfile *a, const struct learnedfile *b)
{
    size_t i = 0, j = 0;

    for (;;) {
        while (i < a->count && !a->lines[i].is_key)
            i++;
        while (j < b->count && !b->lines[j].is_key)
            j++;
        if (i == a->count || j == b->count)
            return i == a->count && j == b->count;
        if (memcmp(&a->lines[i].key, &b->lines[j].key, sizeof(struct learned_key)) != 0)
            return false;
        i++;
        j++;
    }
}

/* Takes over what was read. Lock held. */
static bool adopt(struct learned *l, struct learnedfile *f, const struct identity *id)
{
    const bool changed = !same_keys(&l->file, f);

    learnedfile_free(&l->file);
    l->file = *f;
    memset(f, 0, sizeof(*f));
    l->identity = *id;
    free(l->complaint);
    l->complaint = NULL;
    if (changed)
        atomic_fetch_add(&l->generation, 1);
    return changed;
}

/* Reads anew if it is another file. Lock held. */
static bool refresh(struct learned *l)
{
    /* before reading: a change in between is then found the next time */
    const struct identity id = identify(l->path);
    struct learnedfile f;
    char *why;

    if (is_same(&id, &l->identity))
        return false;
    why = read_file(l->path, &f);
    if (!why)
        return adopt(l, &f, &id);
    l->identity = id;
    free(l->complaint);
    l->complaint = why;
    return false;
}

static char *check_dir(const char *dir, bool create)
{
    struct stat st;

    if (create && mkdir(dir, 0700) != 0 && errno != EEXIST)
        return xasprintf("%s: %s: make this directory, for the daemon to write to", dir,
                         strerror(errno));
    if (stat(dir, &st) != 0)
        return errno == ENOENT && !create ? NULL : xasprintf("%s: %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return xasprintf("%s: is not a directory", dir);
    return access(dir, X_OK) == 0 ? NULL : xasprintf("%s: %s", dir, strerror(errno));
}

struct learned *learned_open(const char *dir, bool create, char **why)
{
    struct learned *l;

    *why = check_dir(dir, create);
    if (*why)
        return NULL;
    l = xcalloc(1, sizeof(*l));
    atomic_init(&l->refs, 1);
    pthread_mutex_init(&l->lock, NULL);
    l->dir = xstrdup(dir);
    l->path = xasprintf("%s/learned", dir);
    (void)refresh(l);
    if (!l->complaint)
        return l;
    *why = l->complaint;
    l->complaint = NULL;
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
    learnedfile_free(&l->file);
    pthread_mutex_destroy(&l->lock);
    free(l->complaint);
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

    pthread_mutex_lock(&l->lock);
    changed = refresh(l);
    *why = l->complaint;
    l->complaint = NULL;
    pthread_mutex_unlock(&l->lock);
    return changed;
}

size_t learned_find(struct learned *l, const char *section, const char *place,
                    struct learned_key out[LEARNED_KEYS_MOST])
{
    size_t n = 0, i;

    pthread_mutex_lock(&l->lock);
    (void)refresh(l);
    for (i = 0; i < l->file.count && n < LEARNED_KEYS_MOST; i++) {
        const struct learnedfile_line *line = &l->file.lines[i];

        if (line->is_key && strcasecmp(line->key.section, section) == 0
            && strcasecmp(line->key.place, place) == 0)
            out[n++] = line->key;
    }
    pthread_mutex_unlock(&l->lock);
    return n;
}

struct learned_key *learned_list(struct learned *l, size_t *count)
{
    struct learned_key *keys;
    size_t i;

    pthread_mutex_lock(&l->lock);
    (void)refresh(l);
    keys = xcalloc(l->file.count + 1, sizeof(*keys));
    for (*count = 0, i = 0; i < l->file.count; i++)
        if (l->file.lines[i].is_key)
            keys[(*count)++] = l->file.lines[i].key;
    pthread_mutex_unlock(&l->lock);
    return keys;
}

/* Changes. */

/* What root makes belongs to whoever the directory belongs to: the service's own user. */
static bool give_to_owner(int dir, int fd)
{
    struct stat st;

    return geteuid() != 0 || (fstat(dir, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) == 0);
}

static bool complain(struct change *c, const char *name)
{
    c->why = xasprintf("%s%s%s: %s", c->l->dir, *name ? "/" : "", name, strerror(errno));
    return false;
}

static bool take_lock(struct change *c)
{
    const struct timespec pause = {.tv_nsec = LOCK_POLL_MS * 1000000L};
    int waited;

    c->lock = openat(c->dir, "learned.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (c->lock < 0 || !give_to_owner(c->dir, c->lock))
        return complain(c, "learned.lock");
    for (waited = 0; flock(c->lock, LOCK_EX | LOCK_NB) != 0; waited += LOCK_POLL_MS) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return complain(c, "learned.lock");
        if (waited >= LOCK_WAIT_MS) {
            c->why = xasprintf("%s/learned.lock: is locked by another process", c->l->dir);
            return false;
        }
        nanosleep(&pause, NULL);
    }
    return true;
}

/* Begins a change: the file as it is now, and nobody else changes it. End it in either case. */
static bool begin(struct change *c, struct learned *l)
{
    *c = (struct change){.l = l, .lock = -1};
    c->dir = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->dir < 0)
        return complain(c, "");
    if (!take_lock(c))
        return false;
    c->why = read_file(l->path, &c->file);
    return !c->why;
}

static bool write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        bytes += done;
        n -= (size_t)done;
    }
    return true;
}

/* Whole, to a file beside it, synced, renamed: at any moment the old or the new one is there. */
static bool write_file(struct change *c)
{
    struct strbuf text = {0};
    int fd;
    bool ok;

    if (unlinkat(c->dir, "learned.new", 0) != 0 && errno != ENOENT)
        return complain(c, "learned.new");
    fd = openat(c->dir, "learned.new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return complain(c, "learned.new");
    learnedfile_print(&c->file, &text);
    ok = give_to_owner(c->dir, fd) && write_all(fd, strbuf_text(&text), text.len) && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    strbuf_free(&text);
    if (ok && renameat(c->dir, "learned.new", c->dir, "learned") == 0 && fsync(c->dir) == 0)
        return true;
    (void)complain(c, "learned.new");
    (void)unlinkat(c->dir, "learned.new", 0);
    return false;
}

/* Ends a change with what has come of it, and writes it down if it is one. */
static enum learned_result end(struct change *c, enum learned_result result, char **why)
{
    struct identity id;

    if (result == LEARNED_DONE && write_file(c)) {
        id = identify(c->l->path);
        pthread_mutex_lock(&c->l->lock);
        (void)adopt(c->l, &c->file, &id);
        pthread_mutex_unlock(&c->l->lock);
    }
    if (result == LEARNED_FAILED && !c->why)
        c->why = xasprintf("%s: the section has too many keys: 'pinproxy learned forget' helps",
                           c->l->path);
    *why = c->why;
    learnedfile_free(&c->file);
    if (c->lock >= 0)
        close(c->lock); /* and with it the lock goes */
    if (c->dir >= 0)
        close(c->dir);
    return *why ? LEARNED_FAILED : result;
}

/* Of the key's own memory every byte counts: keys are compared by it. */
static struct learned_key make_key(const char *section, const char *place,
                                   const uint8_t digest[CERT_DIGEST_SIZE], int64_t now)
{
    struct learned_key k;

    memset(&k, 0, sizeof(k));
    strncpy(k.section, section, sizeof(k.section) - 1);
    strncpy(k.place, place, sizeof(k.place) - 1);
    memcpy(k.digest, digest, CERT_DIGEST_SIZE);
    k.first_seen = now - now % DAY;
    return k;
}

enum learned_result learned_keep(struct learned *l, const char *section, const char *place,
                                 const uint8_t digest[CERT_DIGEST_SIZE], int64_t now, char **why)
{
    const struct learned_key key = make_key(section, place, digest, now);
    enum learned_result result = LEARNED_FAILED;
    struct change c;

    if (begin(&c, l))
        result = learnedfile_keep(&c.file, &key);
    return end(&c, result, why);
}

enum learned_result learned_note_refused(struct learned *l, const char *section, const char *place,
                                         const uint8_t digest[CERT_DIGEST_SIZE], int64_t now,
                                         char **why)
{
    const struct learned_key key = make_key(section, place, digest, now);
    enum learned_result result = LEARNED_FAILED;
    struct change c;

    if (begin(&c, l))
        result = learnedfile_refuse(&c.file, &key);
    return end(&c, result, why);
}

enum learned_result learned_announce(struct learned *l, const char *section, const char *place,
                                     const uint8_t (*digests)[CERT_DIGEST_SIZE], size_t count,
                                     int64_t until, int64_t now, char **why)
{
    enum learned_result result = LEARNED_FAILED;
    struct learned_key keys[LEARNED_KEYS_MOST];
    struct change c;
    size_t i;

    if (count > LEARNED_KEYS_MOST)
        count = LEARNED_KEYS_MOST;
    for (i = 0; i < count; i++) {
        keys[i] = make_key(section, place, digests[i], now);
        keys[i].from = LEARNED_PINS_URL;
        keys[i].until = until;
    }
    if (begin(&c, l))
        result = learnedfile_announce(&c.file, section, keys, count);
    return end(&c, result, why);
}

enum learned_result learned_forget(struct learned *l, const char *section, char **why)
{
    enum learned_result result = LEARNED_FAILED;
    struct change c;

    if (begin(&c, l))
        result = learnedfile_forget(&c.file, section);
    return end(&c, result, why);
}

enum learned_result learned_accept(struct learned *l, const char *section, int64_t now,
                                   struct learned_key *key, char **why)
{
    enum learned_result result = LEARNED_FAILED;
    struct change c;

    if (begin(&c, l))
        result = learnedfile_accept(&c.file, section, now - now % DAY, key);
    return end(&c, result, why);
}
