#include "statedir.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

char *dir;
static unsigned tests_run;

static const struct learned_via no_via;

int new_directory(void **state)
{
    (void)state;
    dir = xasprintf("%s/state%u", temp_dir(), tests_run++);
    return mkdir(dir, 0700);
}

int drop_directory(void **state)
{
    (void)state;
    free(dir);
    return 0;
}

const char *path_of(const char *name)
{
    return temp_path("%s/%s", dir + strlen(temp_dir()) + 1, name);
}

void put_bytes(const char *text, size_t n)
{
    temp_file(path_of("learned") + strlen(temp_dir()) + 1, text, n);
}

void put(const char *text)
{
    put_bytes(text, strlen(text));
}

const char *get(void)
{
    static char *text;
    const char *why;
    size_t n;

    free(text);
    text = NULL;
    why = file_read(path_of("learned"), FILE_CONFIGURED, (size_t)8 << 20, &text, &n);
    return why ? why : text;
}

bool exists(const char *name)
{
    struct stat st;

    return lstat(path_of(name), &st) == 0;
}

struct learned *store(void)
{
    char *why = NULL;
    struct learned *l = learned_open(dir, false, LEARNEDDIR_OWNER, &why);

    if (!l)
        fail_msg("%s", why);
    assert_null(why);
    return l;
}

void cannot_open(const char *path, bool create, const char *part)
{
    char *why = NULL;
    struct learned *l = learned_open(path, create, LEARNEDDIR_OWNER, &why);

    if (l)
        fail_msg("%s was opened", path);
    assert_contains(why, part);
    free(why);
}

static enum learned_result ok(enum learned_result result, char *why)
{
    if (result == LEARNED_FAILED)
        fail_msg("%s", why);
    assert_null(why);
    return result;
}

void failed(enum learned_result result, char *why, const char *part)
{
    assert_int_equal(result, LEARNED_FAILED);
    assert_contains(why, part);
    free(why);
}

enum learned_result add_digest(struct learned *l, const char *section, const char *hostport,
                               const uint8_t *bytes, char **why)
{
    const struct learned_key key = key_of(section, hostport, bytes);

    return learned_add(l, &key, why);
}

enum learned_result refuse_digest(struct learned *l, const char *section, const char *hostport,
                                  const uint8_t *bytes, char **why)
{
    const struct learned_key key = key_of(section, hostport, bytes);

    return learned_note_refused(l, &key, why);
}

enum learned_result keep(struct learned *l, const char *section, const char *hostport,
                         const char *pin)
{
    char *why = NULL;
    enum learned_result result = add_digest(l, section, hostport, digest(pin), &why);

    return ok(result, why);
}

void cannot_keep(struct learned *l, const char *section, const char *hostport, const char *part)
{
    char *why = NULL;
    enum learned_result result = add_digest(l, section, hostport, digest(C), &why);

    failed(result, why, part);
}

enum learned_result note_refused(struct learned *l, const char *section, const char *hostport,
                                 const char *pin)
{
    char *why = NULL;
    enum learned_result result = refuse_digest(l, section, hostport, digest(pin), &why);

    return ok(result, why);
}

enum learned_result announce_digests(struct learned *l, const uint8_t (*digests)[CERT_DIGEST_SIZE],
                                     size_t count, int64_t until, char **why)
{
    struct learned_key keys[LEARNED_KEYS_MAX + 1];
    const struct learned_announcement a = {"a", "h:1", keys, count};
    size_t i;

    for (i = 0; i < count; i++)
        keys[i] = announced_key("a", "h:1", digests[i], until, &no_via);
    return learned_announce(l, &a, why);
}

enum learned_result announce(struct learned *l, const char *section, const char *hostport,
                             const char *const *pins, int64_t until)
{
    struct learned_key keys[LEARNED_KEYS_MAX];
    struct learned_announcement a = {section, hostport, keys, 0};
    enum learned_result result;
    char *why = NULL;

    for (; pins[a.count]; a.count++)
        keys[a.count] = announced_key(section, hostport, digest(pins[a.count]), until, &no_via);
    result = learned_announce(l, &a, &why);
    return ok(result, why);
}

enum learned_result forget(struct learned *l, const char *section)
{
    char *why = NULL;
    enum learned_result result = learned_forget(l, section, &why);

    return ok(result, why);
}

size_t count_keys(struct learned *l)
{
    size_t n;

    free(learned_list(l, &n));
    return n;
}

bool has_changed(struct learned *l)
{
    char *why = NULL;
    bool changed = learned_refresh(l, &why);

    if (why)
        fail_msg("%s", why);
    return changed;
}

pid_t start(void (*child)(int), int argument)
{
    pid_t pid = fork();

    if (pid == 0) {
        child(argument);
        _exit(0);
    }
    assert_true(pid > 0);
    return pid;
}
