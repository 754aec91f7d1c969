/*
 * learned/learned: keys that were learned survive crashes, other processes and people's editors, and
 * what people wrote beside them does, too. What cannot be read is told, and never written over.
 */
#include "learned/learned.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "help.h"
#include "nofiles.h"
#include "pin/pinvalue.h"

#define A "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="
#define B "sha256//Vjs8r4z+80wjNcr1YKepWQboSIRi63WsWXhIMN+eWys="
#define C "sha256//AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="

/* 2026-11-26, a bit past midnight, and days. */
#define TODAY "2026-11-26"
#define DAY 86400
#define NOW ((int64_t)20783 * DAY + 3723)
#define NEVER ((int64_t)0)

typedef uint8_t digest_bytes[CERT_DIGEST_SIZE];

/* The directory of the test that runs, and what is in its file. */
static char *dir;
static unsigned tests_run;

static int new_directory(void **state)
{
    (void)state;
    dir = xasprintf("%s/state%u", temp_dir(), tests_run++);
    return mkdir(dir, 0700);
}

static int drop_directory(void **state)
{
    (void)state;
    free(dir);
    return 0;
}

static const char *path_of(const char *name)
{
    return temp_path("%s/%s", dir + strlen(temp_dir()) + 1, name);
}

static void put_bytes(const char *text, size_t n)
{
    temp_file(path_of("learned") + strlen(temp_dir()) + 1, text, n);
}

static void put(const char *text)
{
    put_bytes(text, strlen(text));
}

/* Until the next call. */
static const char *get(void)
{
    static char *text;
    const char *why;
    size_t n;

    free(text);
    text = NULL;
    why = file_read(path_of("learned"), FILE_CONFIGURED, (size_t)8 << 20, &text, &n);
    return why ? why : text;
}

static bool exists(const char *name)
{
    struct stat st;

    return lstat(path_of(name), &st) == 0;
}

/* Opens the store, which must succeed. */
static struct learned *store(void)
{
    char *why = NULL;
    struct learned *l = learned_open(dir, false, LEARNEDDIR_OWNER, &why);

    if (!l)
        fail_msg("%s", why);
    assert_null(why);
    return l;
}

/* Expects a refusal to open, with a part of the reason. */
static void cannot_open(const char *path, bool create, const char *part)
{
    char *why = NULL;
    struct learned *l = learned_open(path, create, LEARNEDDIR_OWNER, &why);

    if (l)
        fail_msg("%s was opened", path);
    assert_contains(why, part);
    free(why);
}

static const uint8_t *digest(const char *pin)
{
    static digest_bytes digests[4];
    static unsigned next;
    struct arena arena = {0};
    struct pin_list list = {0};
    uint8_t *out = digests[next++ % 4];

    assert_null(pinvalue_parse(pin, NULL, &arena, &list));
    memcpy(out, list.items[0].digest, CERT_DIGEST_SIZE);
    arena_free(&arena);
    return out;
}

static const char *pin_of(const struct learned_key *k)
{
    static char text[PIN_KEY_TEXT_SIZE];

    pin_format_key(k->digest, text);
    return text;
}

static enum learned_result ok(enum learned_result result, char *why)
{
    if (result == LEARNED_FAILED)
        fail_msg("%s", why);
    assert_null(why);
    return result;
}

static void failed(enum learned_result result, char *why, const char *part)
{
    assert_int_equal(result, LEARNED_FAILED);
    assert_contains(why, part);
    free(why);
}

static struct learned_key key_of(const char *section, const char *hostport, const uint8_t *bytes)
{
    struct learned_key key;

    assert_true(learnedkey_init(&key, section, hostport, bytes, NOW));
    return key;
}

static enum learned_result add_digest(struct learned *l, const char *section, const char *hostport,
                                      const uint8_t *bytes, char **why)
{
    const struct learned_key key = key_of(section, hostport, bytes);

    return learned_add(l, &key, why);
}

static enum learned_result refuse_digest(struct learned *l, const char *section,
                                         const char *hostport, const uint8_t *bytes, char **why)
{
    const struct learned_key key = key_of(section, hostport, bytes);

    return learned_note_refused(l, &key, why);
}

static enum learned_result keep(struct learned *l, const char *section, const char *hostport,
                                const char *pin)
{
    char *why = NULL;
    enum learned_result result = add_digest(l, section, hostport, digest(pin), &why);

    return ok(result, why);
}

static void cannot_keep(struct learned *l, const char *section, const char *hostport,
                        const char *part)
{
    char *why = NULL;
    enum learned_result result = add_digest(l, section, hostport, digest(C), &why);

    failed(result, why, part);
}

static enum learned_result note_refused(struct learned *l, const char *section,
                                        const char *hostport, const char *pin)
{
    char *why = NULL;
    enum learned_result result = refuse_digest(l, section, hostport, digest(pin), &why);

    return ok(result, why);
}

static const struct learned_via no_via;

/* count may be one more than a section may have. */
static enum learned_result announce_digests(struct learned *l, const digest_bytes *digests,
                                            size_t count, const struct learned_via *via,
                                            int64_t until, char **why)
{
    struct learned_key keys[LEARNED_KEYS_MAX + 1];
    const struct learned_announcement a = {"a", "h:1", keys, count};
    size_t i;

    for (i = 0; i < count; i++) {
        keys[i] = key_of("a", "h:1", digests[i]);
        keys[i].from = LEARNED_PINS_URL;
        keys[i].until = until;
        keys[i].via = *via;
    }
    return learned_announce(l, &a, why);
}

/* pins: NULL-terminated. */
static enum learned_result announce(struct learned *l, const char *section, const char *hostport,
                                    const char *const *pins, int64_t until)
{
    struct learned_key keys[LEARNED_KEYS_MAX];
    struct learned_announcement a = {section, hostport, keys, 0};
    enum learned_result result;
    char *why = NULL;

    for (; pins[a.count]; a.count++) {
        keys[a.count] = key_of(section, hostport, digest(pins[a.count]));
        keys[a.count].from = LEARNED_PINS_URL;
        keys[a.count].until = until;
    }
    result = learned_announce(l, &a, &why);
    return ok(result, why);
}

static enum learned_result forget(struct learned *l, const char *section)
{
    char *why = NULL;
    enum learned_result result = learned_forget(l, section, &why);

    return ok(result, why);
}

static enum learned_result accept_key(struct learned *l, const char *section, const char *pin,
                                      struct learned_key *key)
{
    char *why = NULL;
    enum learned_result result = learned_accept(l, section, digest(pin), NOW, key, &why);

    return ok(result, why);
}

static size_t count_keys(struct learned *l)
{
    size_t n;

    free(learned_list(l, &n));
    return n;
}

/* Refreshes, and expects no complaint. */
static bool has_changed(struct learned *l)
{
    char *why = NULL;
    bool changed = learned_refresh(l, &why);

    if (why)
        fail_msg("%s", why);
    return changed;
}

/* What people write. */

static void what_people_wrote_is_lost(void **state)
{
    static const char before[] = "# mine, with \xfc and \xc3\xbc\r\n"
                                 "\n"
                                 "  \t \n"
                                 "\ta\ta.test:443 \t" A "  2026-01-02\trefused  # why \t\n"
                                 "b [::1]:443 " B " 2026-01-02 until=2027-01-01 from=pins_url\r\n"
                                 "   # last, without a newline";
    struct learned *l;

    (void)state;
    put(before);
    l = store();
    assert_int_equal(count_keys(l), 2);
    assert_int_equal(keep(l, "c", "c.test:1", C), LEARNED_DONE);
    assert_memory_equal(get(), before, strlen(before));
    assert_string_equal(get() + strlen(before), "\nc c.test:1 " C " " TODAY " from=tofu\n");
    assert_int_equal(forget(l, "c"), LEARNED_DONE);
    assert_memory_equal(get(), before, strlen(before));
    assert_string_equal(get() + strlen(before), "\n");
    learned_release(l);
}

static void a_field_is_read_as_another(void **state)
{
    struct learned_key *keys;
    struct learned *l;
    size_t n;

    (void)state;
    put("A.Test A.test:443 " A " 2026-01-02\n"
        "b b.test:1 " B " 1970-01-01 refused until=1970-01-02 from=tofu\n"
        "b b.test:65535 " C " 2026-01-02 until=9999-12-31 from=pins_url # refused");
    l = store();
    keys = learned_list(l, &n);
    assert_int_equal(n, 3);
    assert_string_equal(keys[0].section, "A.Test");
    assert_string_equal(keys[0].hostport, "A.test:443");
    assert_string_equal(pin_of(&keys[0]), A);
    assert_int_equal(keys[0].first_seen, INT64_C(20455) * DAY);
    assert_int_equal(keys[0].until, 0);
    assert_int_equal(keys[0].from, LEARNED_TOFU);
    assert_false(keys[0].refused);
    assert_int_equal(keys[1].first_seen, 0);
    assert_int_equal(keys[1].until, DAY);
    assert_int_equal(keys[1].from, LEARNED_TOFU);
    assert_true(keys[1].refused);
    assert_string_equal(pin_of(&keys[2]), C);
    assert_int_equal(keys[2].until, INT64_C(253402214400));
    assert_int_equal(keys[2].from, LEARNED_PINS_URL);
    assert_false(keys[2].refused);
    free(keys);
    learned_release(l);
}

static void what_is_right_is_refused(void **state)
{
    char text[1100];
    struct strbuf keys = {0};
    struct learned_key found[LEARNED_KEYS_MAX];
    struct learned *l;
    char *why = NULL;
    int i;

    (void)state;
    /* the same key of another origin, place or section */
    put("a h:1 " A " 2026-01-02\na h:1 " A " 2026-01-02 from=pins_url\na h:2 " A " 2026-01-02\n"
        "b h:1 " A " 2026-01-02 refused\nc h:1 " A " 2026-01-02 refused\n");
    learned_release(store());
    /* the longest line, of key and of comment */
    i = snprintf(text, sizeof(text), "a h:1 " A " 2026-01-02 ");
    memset(text + i, '#', 1024 - (size_t)i);
    text[1024] = '\0';
    put(text);
    learned_release(store());
    memset(text, '#', 1024);
    put(text);
    learned_release(store());
    /* an editor's byte order mark is no part of the name */
    put("\xef\xbb\xbf"
        "a h:1 " A " 2026-01-02\n");
    l = store();
    assert_int_equal(learned_find(l, "a", "h:1", found), 1);
    learned_release(l);
    put("\xef\xbb\xbf");
    learned_release(store());
    /* nor of one further down, where files were joined, however often the file is written again */
    put("\xef\xbb\xbfs h:1 " A " 2026-01-02\n\xef\xbb\xbf\xef\xbb\xbf"
        "a h:1 " A " 2026-01-02\n");
    l = store();
    assert_int_equal(learned_forget(l, "s", &why), LEARNED_DONE);
    learned_release(l);
    l = store();
    assert_int_equal(learned_find(l, "a", "h:1", found), 1);
    learned_release(l);
    put("");
    learned_release(store());
    put("\r\n");
    learned_release(store());
    for (i = 0; i < LEARNED_KEYS_MAX; i++)
        strbuf_addf(&keys, "%s h:%d " A " 2026-01-02\n", i % 2 ? "s" : "S", i + 1);
    strbuf_add(&keys, "other h:1 " A " 2026-01-02\n");
    put(strbuf_text(&keys));
    l = store();
    assert_int_equal(count_keys(l), LEARNED_KEYS_MAX + 1);
    assert_int_equal(learned_find(l, "s", "H:3", found), 1);
    assert_int_equal(learned_find(l, "S.", "h:3", found), 1);
    learned_release(l);
    strbuf_free(&keys);
}

static void damage_is_passed_over(void **state)
{
#define LINE "a h:1 " A " 2026-01-02"
#define URL LINE " from=pins_url"
    static const struct {
        const char *text, *line, *part;
    } rows[] = {
        {"a\n", "1", "host:port"},
        {"a b\n", "1", "host:port"},
        {"a :443\n", "1", "host:port"},
        {"# fine\n\na h " A " 2026-01-02\n", "3", "host:port"},
        {"a h: " A " 2026-01-02\n", "1", "65535"},
        {"a h:0 " A " 2026-01-02\n", "1", "65535"},
        {"a h:65536 " A " 2026-01-02\n", "1", "65535"},
        {"a h:-1 " A " 2026-01-02\n", "1", "65535"},
        {"a h:1x " A " 2026-01-02\n", "1", "65535"},
        {"a h:1\n", "1", "sha256//"},
        {"a h:1 2026-01-02\n", "1", "sha256//"},
        {"a h:1 key:/etc/passwd 2026-01-02\n", "1", "sha256//"},
        {"a h:1 issuer:" A " 2026-01-02\n", "1", "sha256//"},
        {"a h:1 " A ";" B " 2026-01-02\n", "1", "sha256//"},
        {"a h:1 " A "= 2026-01-02\n", "1", "sha256//"},
        {"a h:1 " A "\vuntil=2027-01-01 2026-01-02\n", "1", "sha256//"},
        {"a h:1 " A "\rname=x 2026-01-02\n", "1", "sha256//"},
        {"a h:1 sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihh= 2026-01-02\n", "1", "sha256"},
        {"a h:1 sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg 2026-01-02\n", "1", "sha256"},
        {"a h:1 sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= 2026-01-02\n", "1", "sha256"},
        {"a h:1 " A "\n", "1", "YYYY-MM-DD"},
        {"a h:1 " A " # 2026-01-02\n", "1", "YYYY-MM-DD"},
        {"a h:1 " A " 2026-02-29\n", "1", "YYYY-MM-DD"},
        {"a h:1 " A " 2026-1-2\n", "1", "YYYY-MM-DD"},
        {"a h:1 " A " 1969-12-31\n", "1", "YYYY-MM-DD"},
        {"a h:1 " A " 2026-01-02#\n", "1", "YYYY-MM-DD"},
        {"a h:1 " A " until=2026-01-02\n", "1", "YYYY-MM-DD"},
        {LINE " until=\n", "1", "until="},
        {LINE " until=2026-02-30\n", "1", "until="},
        {LINE " until=1970-01-01\n", "1", "until="}, /* 0 would be no end at all */
        {LINE " from=\n", "1", "from="},
        {LINE " from=TOFU\n", "1", "from="},
        {LINE " from=dns\n", "1", "from="},
        {LINE " refused=yes\n", "1", "unknown word"},
        {LINE " Refused\n", "1", "unknown word"},
        {LINE " \r # x\n", "1", "unknown word"},
        {LINE " " B "\n", "1", "unknown word"},
        {LINE " refused refused\n", "1", "twice"},
        {LINE " from=tofu from=tofu\n", "1", "twice"},
        {LINE " until=2027-01-01 refused until=2027-01-01\n", "1", "twice"},
        {LINE " from=pins_url refused\n", "1", "never refused"},
        {LINE " refused from=pins_url\n", "1", "never refused"},
        {URL " via=\n", "1", "via="},
        {URL " via=key:/etc/passwd\n", "1", "via="},
        {URL " via=cert:/etc/passwd\n", "1", "via="},
        {URL " via=issuer:/etc/passwd\n", "1", "via="},
        {URL " via=issuer-cert:/etc/passwd\n", "1", "via="},
        {URL " via=" B ";" C "\n", "1", "via="},
        {URL " via=sha256//AAAA\n", "1", "via="},
        {URL " via=cert:sha256:0011\n", "1", "via="},
        {URL " via=" B " via=" C "\n", "1", "twice"},
        {LINE " via=" B "\n", "1", "from=pins_url"},
        {LINE "\n# x\n" LINE "\n", "3", "same key"},
        {LINE "\nA H:1 " A " 2027-01-02 from=tofu refused\n", "2", "same key"},
        {LINE " from=pins_url\nb" LINE "\n" LINE " from=pins_url\n", "3", "same key"},
        {LINE " refused\na h:2 " A " 2026-01-02 refused\n", "2", "another refused"},
        {LINE "\n\nnonsense", "3", "host:port"},
        {"0123456789012345678901234567890123456789012345678901234567890123 h:1 " A " 2026-01-02\n",
         "1", "63 bytes"},
    };
    char *part;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        put(rows[i].text);
        part = xasprintf("%s:%s: ", path_of("learned"), rows[i].line);
        cannot_open(dir, false, part);
        cannot_open(dir, true, rows[i].part);
        free(part);
        assert_string_equal(get(), rows[i].text);
    }
#undef LINE
}

static void damage_of_size_is_passed_over(void **state)
{
    static const char nul[] = "# fine\na h:1 " A " 2026-01-02 # \0\n";
    struct strbuf text = {0};
    char *big;
    int i;

    (void)state;
    put_bytes(nul, sizeof(nul) - 1);
    cannot_open(dir, false, "learned:2: a NUL byte");

    strbuf_addf(&text, "\n#%01024d\n", 0);
    put(strbuf_text(&text));
    cannot_open(dir, false, "learned:2: the line is too long");

    strbuf_clear(&text);
    strbuf_addf(&text, "a %0270d:1 " A " 2026-01-02\n", 0);
    put(strbuf_text(&text));
    cannot_open(dir, false, "learned:1: host:port is too long");

    strbuf_clear(&text);
    for (i = 0; i <= LEARNED_KEYS_MAX; i++)
        strbuf_addf(&text, "b%d h:1 " A " 2026-01-02\na h:%d " A " 2026-01-02\n", i, i + 1);
    put(strbuf_text(&text));
    cannot_open(dir, false, "learned:66: the section has too many keys");
    strbuf_free(&text);

    big = xcalloc((4 << 20) + 1, 1);
    memset(big, '\n', (4 << 20) + 1);
    put_bytes(big, (4 << 20) + 1);
    cannot_open(dir, false, "learned: is too large");
    free(big);
}

/* Of as many sections as fit: lookups must not take seconds, nor a line take a kilobyte. */
static void a_large_file_takes_for_ever(void **state)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    struct strbuf text = {0};
    struct learned *l;
    unsigned n;

    (void)state;
    for (n = 0; text.len < (4 << 20) - 200; n++)
        strbuf_addf(&text, "s%u h:1 " A " 2026-01-02\n", n);
    put(strbuf_text(&text));
    l = store();
    assert_int_equal(count_keys(l), n);
    assert_int_equal(learned_find(l, "s50000", "h:1", found), 1);
    assert_int_equal(keep(l, "one.more", "h:1", B), LEARNED_DONE);
    /* and what no longer fits is not written, for then nothing could be read any more */
    while (text.len < (4 << 20) - 40)
        strbuf_add(&text, "#\n");
    put(strbuf_text(&text));
    cannot_keep(l, "one.more", "h:1", "too large");
    assert_int_equal(strlen(get()), text.len);
    learned_release(l);
    strbuf_free(&text);
}

static void no_file_is_an_error(void **state)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    struct learned *l = store();

    (void)state;
    assert_int_equal(learned_find(l, "a", "h:1", found), 0);
    assert_int_equal(count_keys(l), 0);
    assert_int_equal(forget(l, "a"), LEARNED_SAME);
    assert_false(exists("learned"));
    assert_string_equal(learned_dir(l), dir);
    assert_ptr_equal(learned_hold(l), l);
    learned_release(l);
    assert_int_equal(keep(l, "a", "h:1", A), LEARNED_DONE);
    assert_string_equal(get(), "a h:1 " A " " TODAY " from=tofu\n");
    learned_release(l);
    learned_release(NULL);
}

static void a_directory_that_is_none_is_taken(void **state)
{
    struct learned *l;
    char *why = NULL;
    struct stat st;

    (void)state;
    cannot_open(temp_text("file", "x"), false, "is not a directory");
    cannot_open(temp_path("file"), true, "is not a directory");
    cannot_open(temp_path("file/below"), false, "Not a directory");
    cannot_open(temp_path("missing/below"), true, "missing/below: No such file or directory");
    /* one that is missing is empty, until somebody would learn */
    assert_int_equal(rmdir(dir), 0);
    l = store();
    assert_int_equal(count_keys(l), 0);
    assert_false(has_changed(l));
    why = xasprintf("%s: No such file or directory", dir);
    cannot_keep(l, "a", "h:1", why);
    free(why);
    learned_release(learned_open(dir, true, LEARNEDDIR_OWNER, &why));
    assert_null(why);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(keep(l, "a", "h:1", A), LEARNED_DONE);
    learned_release(l);
    /* and what is no file is no file */
    assert_int_equal(unlink(path_of("learned")), 0);
    assert_int_equal(mkdir(path_of("learned"), 0700), 0);
    cannot_open(dir, false, "learned: Is a directory");
    assert_int_equal(rmdir(path_of("learned")), 0);
    assert_int_equal(mkfifo(path_of("learned"), 0600), 0);
    cannot_open(dir, false, "learned: is a pipe");
}

/* Changes. */

static void another_key_is_kept_beside_the_first(void **state)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    struct learned *l;

    (void)state;
    put("a h:1 " B " 2026-01-02 from=pins_url\n"
        "a h:2 " B " 2026-01-02\n"
        "a h:1 " A " 2026-01-02 refused\n"
        "b h:1 " A " 2026-01-02 refused\n");
    l = store();
    /* neither is in the way: another origin, another place, refused; the note of it is settled */
    assert_int_equal(keep(l, "a", "h:1", A), LEARNED_DONE);
    assert_string_equal(get(), "a h:1 " B " 2026-01-02 from=pins_url\n"
                               "a h:2 " B " 2026-01-02\n"
                               "b h:1 " A " 2026-01-02 refused\n"
                               "a h:1 " A " " TODAY " from=tofu\n");
    assert_int_equal(learned_find(l, "a", "h:1", found), 2);
    assert_string_equal(pin_of(&found[0]), B);
    assert_string_equal(pin_of(&found[1]), A);
    assert_int_equal(found[1].first_seen, NOW - 3723);
    assert_int_equal(keep(l, "A", "H:1", A), LEARNED_SAME);
    assert_int_equal(keep(l, "A", "H:1", C), LEARNED_OTHER);
    assert_int_equal(keep(l, "a", "h:2", A), LEARNED_OTHER);
    /* a note of another key stays */
    assert_int_equal(keep(l, "b", "h:1", C), LEARNED_DONE);
    assert_int_equal(count_keys(l), 5);
    learned_release(l);
}

static void refused_keys_pile_up(void **state)
{
    struct learned *l;

    (void)state;
    put("a h:1 " A " 2026-01-02\n");
    l = store();
    assert_int_equal(note_refused(l, "a", "h:1", B), LEARNED_DONE);
    assert_string_equal(get(), "a h:1 " A " 2026-01-02\n"
                               "a h:1 " B " " TODAY " from=tofu refused\n");
    assert_int_equal(note_refused(l, "a", "h:1", B), LEARNED_SAME);
    assert_int_equal(note_refused(l, "A", "h:2", C), LEARNED_DONE);
    assert_string_equal(get(), "a h:1 " A " 2026-01-02\n"
                               "A h:2 " C " " TODAY " from=tofu refused\n");
    /* it has been accepted meanwhile */
    assert_int_equal(note_refused(l, "a", "h:1", A), LEARNED_SAME);
    assert_int_equal(note_refused(l, "b", "h:1", A), LEARNED_DONE);
    assert_int_equal(count_keys(l), 3);
    learned_release(l);
}

static void accepting_takes_the_wrong_key(void **state)
{
    static const char text[] = "# mine\n"
                               "a h:1 " A " 2026-01-02 # old\n"
                               "a h:1 " A " 2026-01-02 from=pins_url\n"
                               "a h:2 " A " 2026-01-02\n"
                               "a h:1 " B " 2026-01-03 refused # looked at it\n"
                               "b h:1 " A " 2026-01-02\n";
    struct learned_key key, before;
    struct learned *l;

    (void)state;
    put(text);
    l = store();
    memset(&key, 0x5a, sizeof(key));
    before = key;
    assert_int_equal(accept_key(l, "b", B, &key), LEARNED_NONE);
    assert_int_equal(accept_key(l, "c", A, &key), LEARNED_NONE);
    assert_memory_equal(&key, &before, sizeof(key));
    /* another key than the one that is noted, and one that is accepted already */
    assert_int_equal(accept_key(l, "a", C, &key), LEARNED_OTHER);
    assert_string_equal(pin_of(&key), B);
    assert_true(key.refused);
    assert_int_equal(accept_key(l, "b", A, &key), LEARNED_SAME);
    assert_string_equal(get(), text);
    assert_int_equal(accept_key(l, "A", B, &key), LEARNED_DONE);
    assert_string_equal(pin_of(&key), B);
    assert_string_equal(key.hostport, "h:1");
    assert_false(key.refused);
    assert_int_equal(key.first_seen, NOW - 3723);
    assert_string_equal(get(), "# mine\n"
                               "a h:1 " A " 2026-01-02 from=pins_url\n"
                               "a h:2 " A " 2026-01-02\n"
                               "a h:1 " B " " TODAY " from=tofu # looked at it\n"
                               "b h:1 " A " 2026-01-02\n");
    assert_int_equal(accept_key(l, "a", B, &key), LEARNED_SAME);
    assert_int_equal(keep(l, "a", "h:1", B), LEARNED_SAME);
    learned_release(l);
}

static void forgetting_takes_too_much_or_too_little(void **state)
{
    struct learned *l;

    (void)state;
    put("# mine\na h:1 " A " 2026-01-02 # old\na h:1 " A " 2026-01-02 from=pins_url\n"
        "ab h:1 " A " 2026-01-02\nA h:2 " B " 2026-01-02 refused\n# a h:1\n");
    l = store();
    assert_int_equal(forget(l, "b"), LEARNED_SAME);
    assert_int_equal(forget(l, "a"), LEARNED_DONE);
    assert_string_equal(get(), "# mine\nab h:1 " A " 2026-01-02\n# a h:1\n");
    assert_int_equal(forget(l, "a"), LEARNED_SAME);
    assert_int_equal(forget(l, "AB"), LEARNED_DONE);
    assert_string_equal(get(), "# mine\n# a h:1\n");
    learned_release(l);
}

static void announcements_touch_what_is_not_theirs(void **state)
{
    static const char *const bc[] = {B, C, B, NULL}, *const none[] = {NULL};
    static const char rest[] = "a h:1 " A " 2026-01-02 # tofu\n"
                               "a h:2 " A " 2026-01-02 from=pins_url until=2026-02-01\n"
                               "b h:1 " A " 2026-01-02 from=pins_url\n"
                               "a h:1 " C " 2026-01-02 refused\n";
    digest_bytes many[LEARNED_KEYS_MAX + 1];
    struct learned *l;
    struct strbuf text = {0};
    enum learned_result result;
    char *why = NULL;
    uint64_t generation;

    (void)state;
    strbuf_addf(&text, "%s%s", rest,
                "a h:1 " A " 2026-01-02 from=pins_url # goes\n"
                "a h:1 " B " 2026-01-02 from=pins_url until=2026-02-01 # stays\n");
    put(strbuf_text(&text));
    l = store();
    assert_int_equal(announce(l, "A", "H:1", bc, NOW + DAY), LEARNED_DONE);
    strbuf_clear(&text);
    strbuf_addf(&text, "%s%s", rest,
                "a h:1 " B " 2026-01-02 from=pins_url until=2026-11-27 # stays\n"
                "A H:1 " C " " TODAY " from=pins_url until=2026-11-27\n");
    assert_string_equal(get(), strbuf_text(&text));
    /* the same once more, at another time of the day */
    generation = learned_generation(l);
    assert_int_equal(announce(l, "a", "h:1", bc, NOW + DAY + 60), LEARNED_SAME);
    assert_false(has_changed(l));
    assert_int_equal(learned_generation(l), generation);
    assert_int_equal(announce(l, "a", "h:1", bc, NEVER), LEARNED_DONE);
    assert_contains(get(), B " 2026-01-02 from=pins_url # stays\n");
    assert_int_equal(announce(l, "a", "h:1", none, NOW), LEARNED_DONE);
    assert_string_equal(get(), rest);
    assert_int_equal(announce(l, "a", "h:1", none, NOW), LEARNED_SAME);
    /* an end so long ago that its day would be written as none */
    assert_int_equal(announce(l, "a", "h:1", bc, 5), LEARNED_DONE);
    assert_contains(get(), B " " TODAY " from=pins_url until=1970-01-02\n");
    /* all of them or none */
    memset(many, 1, sizeof(many));
    result = announce_digests(l, (const digest_bytes *)many, COUNT(many), &no_via, NEVER, &why);
    failed(result, why, "too many keys");
    assert_contains(get(), "until=1970-01-02");
    strbuf_free(&text);
    learned_release(l);
}

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void the_pin_behind_a_key_is_read_as_another(void **state)
{
    static const char text[] = "a h:1 " A " 2026-01-02 from=pins_url until=2027-01-01 via=" B "\n"
                               "a h:1 " B " 2026-01-02 from=pins_url via=issuer:" C "\n"
                               "a h:1 " C " 2026-01-02 from=pins_url via=cert:sha256:" HEX "\n"
                               "a h:2 " C " 2026-01-02 from=pins_url via=issuer-cert:sha256:" HEX
                               "\n"
                               "a h:3 " C " 2026-01-02 from=pins_url\n";
    static const struct {
        enum pin_role role;
        enum pin_kind kind;
    } want[] = {{PIN_SERVER, PIN_KEY},
                {PIN_ISSUER, PIN_KEY},
                {PIN_SERVER, PIN_CERT},
                {PIN_ISSUER, PIN_CERT}};
    struct learned_key *keys;
    struct learned *l;
    size_t n, i;

    (void)state;
    put(text);
    l = store();
    keys = learned_list(l, &n);
    assert_int_equal(n, 5);
    for (i = 0; i < COUNT(want); i++) {
        assert_true(keys[i].via.known);
        assert_int_equal(keys[i].via.role, want[i].role);
        assert_int_equal(keys[i].via.kind, want[i].kind);
    }
    assert_memory_equal(keys[0].via.digest, digest(B), CERT_DIGEST_SIZE);
    assert_int_equal(keys[2].via.digest[1], 0x11);
    assert_false(keys[4].via.known);
    for (i = 0; i < n; i++) {
        char *line = learnedkey_format(&keys[i]);

        assert_contains(text, line);
        free(line);
    }
    free(keys);
    learned_release(l);
}

static void an_announcement_leaves_the_pin_behind_it_as_it_was(void **state)
{
    struct learned_via via = {.known = true, .role = PIN_ISSUER, .kind = PIN_KEY};
    digest_bytes keys[1];
    struct learned *l;
    char *why = NULL;

    (void)state;
    memcpy(keys[0], digest(A), CERT_DIGEST_SIZE);
    memcpy(via.digest, digest(C), CERT_DIGEST_SIZE);
    put("a h:1 " A " 2026-01-02 from=pins_url via=" B " # mine\n");
    l = store();
    assert_int_equal(announce_digests(l, (const digest_bytes *)keys, 1, &via, NEVER, &why),
                     LEARNED_DONE);
    assert_string_equal(get(), "a h:1 " A " 2026-01-02 from=pins_url via=issuer:" C " # mine\n");
    assert_int_equal(announce_digests(l, (const digest_bytes *)keys, 1, &via, NEVER, &why),
                     LEARNED_SAME);
    learned_release(l);
}

/* It was announced anew between the look at the file and the change. */
static void removing_takes_a_key_that_is_another_by_now(void **state)
{
    struct learned *l;
    struct learned_key *keys;
    char *why = NULL;
    size_t n;

    (void)state;
    put("# x\na h:1 " A " 2026-01-02 from=pins_url via=" B "\n"
        "a h:1 " C " 2026-01-02 from=pins_url via=" B "\n"
        "a h:1 " A " 2026-01-02\n");
    l = store();
    keys = learned_list(l, &n);
    put("# x\na h:1 " A " 2026-01-02 from=pins_url via=" C "\n"
        "a h:1 " C " 2026-01-02 from=pins_url via=" B "\n"
        "a h:1 " A " 2026-01-02\n");
    assert_int_equal(learned_remove(l, keys, 2, &why), LEARNED_DONE);
    assert_string_equal(get(), "# x\na h:1 " A " 2026-01-02 from=pins_url via=" C "\n"
                               "a h:1 " A " 2026-01-02\n");
    assert_int_equal(learned_remove(l, keys, 2, &why), LEARNED_SAME);
    free(keys);
    learned_release(l);
}

static void a_section_has_more_keys_than_it_may(void **state)
{
    static const char *const bc[] = {B, C, NULL};
    digest_bytes digests[2];
    struct strbuf text = {0};
    enum learned_result result;
    struct learned *l;
    char *why = NULL;
    int i;

    (void)state;
    strbuf_add(&text, "a h:1 " A " 2026-01-02 from=pins_url\n");
    for (i = 1; i < LEARNED_KEYS_MAX; i++)
        strbuf_addf(&text, "a x:%d " A " 2026-01-02\n", i);
    put(strbuf_text(&text));
    l = store();
    cannot_keep(l, "A", "h:1", "too many keys");
    result = refuse_digest(l, "a", "h:1", digest(C), &why);
    failed(result, why, "'pinproxy learned forget'");
    for (i = 0; i < 2; i++)
        memcpy(digests[i], digest(bc[i]), CERT_DIGEST_SIZE);
    result = announce_digests(l, (const digest_bytes *)digests, 2, &no_via, NEVER, &why);
    failed(result, why, "too many keys");
    assert_string_equal(get(), strbuf_text(&text));
    /* one for one is fine */
    assert_int_equal(announce(l, "a", "h:1", bc + 1, NEVER), LEARNED_DONE);
    assert_int_equal(count_keys(l), LEARNED_KEYS_MAX);
    strbuf_free(&text);
    learned_release(l);
}

/* Whatever is asked for, the file can be read afterwards. */
static void a_change_makes_the_file_unreadable(void **state)
{
    static const char *const names[][2] = {
        {"two words", "h:1"},  {"#section", "h:1"},    {"", "h:1"},        {"line\nbreak", "h:1"},
        {"section", "h"},      {"section", "h:70000"}, {"section", "h 1"}, {"section", ""},
        {"section", "h:1\n#"}, {"tab\t", "h:1"},
    };
    char longest[LEARNED_HOSTPORT_SIZE + 1], line[1100];
    struct learned_key key;
    enum learned_result result;
    struct learned *l;
    char *why = NULL;
    size_t i;
    int n;

    (void)state;
    n = snprintf(line, sizeof(line), "a h:1 " A " 2026-01-02 refused ");
    memset(line + n, '#', 1024 - (size_t)n);
    line[1024] = '\n';
    line[1025] = '\0';
    put(line);
    l = store();
    for (i = 0; i < COUNT(names); i++)
        cannot_keep(l, names[i][0], names[i][1], "cannot be changed");
    assert_true(learnedkey_init(&key, "late", "h:1", digest(A), INT64_C(253402300800)));
    result = learned_add(l, &key, &why);
    failed(result, why, "cannot be changed");
    /* nor is anything cut off to make it fit */
    memset(longest, 'x', sizeof(longest));
    longest[LEARNED_SECTION_SIZE] = '\0';
    assert_false(learnedkey_init(&key, longest, "h:1", digest(A), NOW));
    cannot_keep(l, longest + 1, "h", "cannot be changed");
    longest[LEARNED_SECTION_SIZE] = 'x';
    memcpy(longest + LEARNED_HOSTPORT_SIZE - 2, ":1", 3);
    assert_false(learnedkey_init(&key, "section", longest, digest(A), NOW));
    /* the comment and what is written behind the date are too long together */
    memset(&key, 0, sizeof(key));
    result = learned_accept(l, "a", digest(A), NOW, &key, &why);
    failed(result, why, "line 1 would then be wrong: the line is too long");
    assert_string_equal(key.section, "");
    assert_string_equal(get(), line);
    assert_false(exists("learned.new"));
    /* what just fits is kept and found */
    assert_int_equal(keep(l, "section", longest + 1, C), LEARNED_DONE);
    assert_int_equal(keep(l, "section", longest + 1, C), LEARNED_SAME);
    learned_release(l);
    l = store();
    assert_int_equal(count_keys(l), 2);
    learned_release(l);
}

/* Other processes. */

static void two_stores_lose_each_others_changes(void **state)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    struct learned *x = store(), *y = store();
    uint64_t generation;

    (void)state;
    assert_int_equal(keep(x, "a", "h:1", A), LEARNED_DONE);
    generation = learned_generation(y);
    assert_int_equal(keep(y, "a", "h:1", B), LEARNED_OTHER);
    assert_int_equal(keep(y, "b", "h:1", B), LEARNED_DONE);
    assert_true(learned_generation(y) != generation);
    assert_int_equal(note_refused(x, "b", "h:1", C), LEARNED_DONE);
    assert_int_equal(keep(y, "c", "h:1", C), LEARNED_DONE);
    assert_int_equal(forget(x, "a"), LEARNED_DONE);
    assert_int_equal(learned_find(y, "a", "h:1", found), 1);
    assert_true(has_changed(y));
    assert_int_equal(learned_find(y, "a", "h:1", found), 0);
    assert_int_equal(learned_find(y, "b", "h:1", found), 2);
    /* a change sees those of others before it */
    assert_int_equal(learned_find(x, "c", "h:1", found), 1);
    assert_int_equal(count_keys(x), 3);
    assert_int_equal(count_keys(y), 3);
    learned_release(x);
    learned_release(y);
}

#define ROUNDS 50

/* That many keys, of sections of its own. False when one could not be kept. */
static bool keep_many(struct learned *l, int writer)
{
    char section[32], *why;
    digest_bytes d;
    int i;

    for (i = 0; i < ROUNDS; i++) {
        snprintf(section, sizeof(section), "w%d-%d", writer, i);
        memset(d, writer + 1, sizeof(d));
        do {
            why = NULL;
            if (add_digest(l, section, "h:1", d, &why) == LEARNED_DONE)
                break;
            /* on a slow disk the others may well have it for that long */
            if (!why || !strstr(why, "is locked"))
                return false;
            free(why);
        } while (true);
    }
    return true;
}

static pid_t start(void (*child)(int), int argument)
{
    pid_t pid = fork();

    if (pid == 0) {
        child(argument);
        _exit(0);
    }
    assert_true(pid > 0);
    return pid;
}

static void keep_many_and_exit(int writer)
{
    char *why = NULL;
    struct learned *l = learned_open(dir, false, LEARNEDDIR_OWNER, &why);
    bool kept = l && keep_many(l, writer);

    learned_release(l);
    free(why);
    _exit(kept ? 0 : 1);
}

static void check_many(struct learned *l, int writers)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    char section[32];
    int w, i;

    assert_int_equal(count_keys(l), writers * ROUNDS);
    for (w = 0; w < writers; w++) {
        for (i = 0; i < ROUNDS; i++) {
            snprintf(section, sizeof(section), "w%d-%d", w, i);
            assert_int_equal(learned_find(l, section, "h:1", found), 1);
            assert_int_equal(found[0].digest[0], w + 1);
        }
    }
}

static void two_processes_lose_each_others_keys(void **state)
{
    struct learned *l = store();
    pid_t pids[2];
    int i, status;

    (void)state;
    for (i = 0; i < 2; i++)
        pids[i] = start(keep_many_and_exit, i);
    for (i = 0; i < 2; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_true(has_changed(l));
    check_many(l, 2);
    learned_release(l);
}

struct writer {
    struct learned *l;
    int number;
    bool kept;
    _Atomic bool done;
};

static void *write_in_thread(void *argument)
{
    struct writer *w = argument;

    w->kept = keep_many(w->l, w->number);
    w->done = true;
    return NULL;
}

/* A thread that looks keys up sees each that was there before it looked. */
static void two_threads_lose_each_others_keys(void **state)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    struct writer writers[2];
    pthread_t threads[2];
    struct learned *l = store();
    size_t n, last = 0;
    int i;

    (void)state;
    for (i = 0; i < 2; i++) {
        writers[i] = (struct writer){.l = learned_hold(l), .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_in_thread, &writers[i]), 0);
    }
    while (!writers[0].done || !writers[1].done) {
        n = count_keys(l);
        assert_true(n >= last);
        last = n;
        (void)learned_find(l, "w0-0", "h:1", found);
        usleep(500);
    }
    for (i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_true(writers[i].kept);
        learned_release(l);
    }
    check_many(l, 2);
    learned_release(l);
}

#define ANNOUNCED 16

/* Over and over, keys that are all of one round. */
static void announce_for_ever(int round)
{
    char *why = NULL;
    struct learned *l = learned_open(dir, false, LEARNEDDIR_OWNER, &why);
    digest_bytes d[ANNOUNCED];
    int i;

    for (; l; round++) {
        for (i = 0; i < ANNOUNCED; i++) {
            memset(d[i], i + 1, sizeof(d[i]));
            memcpy(d[i], &round, sizeof(round));
        }
        if (announce_digests(l, (const digest_bytes *)d, ANNOUNCED, &no_via, NOW + DAY, &why)
            != LEARNED_DONE)
            break;
    }
    _exit(1);
}

static void a_killed_writer_leaves_half_a_file(void **state)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    struct learned *l;
    uint32_t seed = 1;
    int kill_number, status, i;
    size_t n, whole = 0;
    pid_t pid;

    (void)state;
    put("# mine\nb h:1 " A " 2026-01-02\n");
    /* on a busy machine it takes longer until one of them has come to write */
    for (kill_number = 1; kill_number <= 30 || (whole == 0 && kill_number <= 200); kill_number++) {
        pid = start(announce_for_ever, kill_number * 100000);
        usleep(1000 + random_next(&seed) % (500 * (unsigned)(29 + kill_number)));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        l = store();
        n = learned_find(l, "a", "h:1", found);
        assert_true(n == 0 || n == ANNOUNCED);
        whole += n > 0;
        for (i = 1; i < (int)n; i++)
            assert_memory_equal(found[i].digest, found[0].digest, sizeof(int));
        assert_memory_equal(get(), "# mine\nb h:1 " A " 2026-01-02\n", 8);
        /* neither his lock nor what he left is in the way */
        assert_int_equal(learned_find(l, "b", "h:1", found), 1);
        if (kill_number % 10 == 0) {
            assert_int_equal(note_refused(l, "b", "h:1", B), LEARNED_DONE);
            assert_int_equal(keep(l, "c", "h:1", C), LEARNED_DONE);
            assert_int_equal(forget(l, "b") + forget(l, "c"), 2 * LEARNED_DONE);
            put("# mine\nb h:1 " A " 2026-01-02\n");
        }
        learned_release(l);
    }
    assert_true(whole > 0);
}

static void hold_lock(int ms)
{
    int fd = open(path_of("learned.lock"), O_RDWR | O_CREAT, 0600);

    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        _exit(1);
    temp_text("locked", "");
    usleep((useconds_t)ms * 1000);
    _exit(0);
}

static pid_t start_lock_holder(int ms)
{
    const char *sign = temp_path("locked");
    pid_t pid = start(hold_lock, ms);
    int i;

    for (i = 0; access(sign, F_OK) != 0; i++) {
        assert_true(i < 10000);
        usleep(1000);
    }
    unlink(sign);
    return pid;
}

static void *cannot_write_in_thread(void *argument)
{
    struct writer *w = argument;
    char *why = NULL;

    w->kept = add_digest(w->l, "a", "h:1", digest(A), &why) != LEARNED_FAILED || !why
              || !strstr(why, "learned.lock: is locked by another process");
    free(why);
    return NULL;
}

static void a_lock_that_is_held_holds_up_lookups_or_everything(void **state)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    struct writer w = {.l = store(), .kept = true};
    struct timespec before, after;
    pthread_t thread;
    pid_t pid;
    int status;

    (void)state;
    /* for a moment: it is waited for */
    pid = start_lock_holder(100);
    assert_int_equal(keep(w.l, "b", "h:1", B), LEARNED_DONE);
    waitpid(pid, &status, 0);
    /* for ever: it is given up */
    pid = start_lock_holder(20000);
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(pthread_create(&thread, NULL, cannot_write_in_thread, &w), 0);
    usleep(100000);
    assert_int_equal(learned_find(w.l, "b", "h:1", found), 1);
    assert_false(has_changed(w.l));
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(after.tv_sec - before.tv_sec < 4);
    pthread_join(thread, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_between((uintmax_t)(after.tv_sec - before.tv_sec), 4, 30);
    assert_false(w.kept);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    assert_int_equal(keep(w.l, "a", "h:1", A), LEARNED_DONE);
    learned_release(w.l);
}

/* Disks. */

static void a_full_disk_costs_the_file(void **state)
{
    struct rlimit limit, before;
    struct strbuf text = {0};
    struct learned *l;
    int i;

    (void)state;
    for (i = 0; i < 100; i++)
        strbuf_addf(&text, "s%d h:1 " A " 2026-01-02\n", i);
    put(strbuf_text(&text));
    l = store();
    /* what is too large cannot be written: as near as a test comes to a full disk */
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = 4096;
    setrlimit(RLIMIT_FSIZE, &limit);
    cannot_keep(l, "a", "h:1", "learned.new: File too large");
    setrlimit(RLIMIT_FSIZE, &before);
    assert_string_equal(get(), strbuf_text(&text));
    assert_false(exists("learned.new"));
    assert_int_equal(count_keys(l), 100);
    assert_int_equal(keep(l, "a", "h:1", A), LEARNED_DONE);
    strbuf_free(&text);
    learned_release(l);
}

static void keep_without_permission(int unused)
{
    char *why = NULL;
    struct learned *l;
    bool told;

    (void)unused;
    /* root may everything: so be somebody else */
    if (geteuid() == 0 && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
        _exit(1);
    l = learned_open(dir, false, LEARNEDDIR_OWNER, &why);
    if (!l || count_keys(l) != 1)
        _exit(2);
    if (add_digest(l, "b", "h:1", digest(B), &why) != LEARNED_FAILED)
        _exit(3);
    told = strstr(why, "learned.lock: Permission denied") != NULL;
    learned_release(l);
    free(why);
    _exit(told ? 0 : 4);
}

static void a_directory_that_cannot_be_written_is_not_told(void **state)
{
    int status;

    (void)state;
    put("a h:1 " A " 2026-01-02\n");
    chmod(path_of("learned"), 0644);
    chmod(temp_dir(), 0755);
    chmod(dir, 0555);
    waitpid(start(keep_without_permission, 0), &status, 0);
    chmod(dir, 0700);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_string_equal(get(), "a h:1 " A " 2026-01-02\n");
}

static void what_stands_in_place_of_the_new_file_is_written_to(void **state)
{
    const char *victim = temp_text("victim", "precious");
    struct learned *l = store();
    char *text;
    size_t n;

    (void)state;
    /* what a crash left */
    temp_text(path_of("learned.new") + strlen(temp_dir()) + 1, "half a li");
    assert_int_equal(keep(l, "a", "h:1", A), LEARNED_DONE);
    assert_string_equal(get(), "a h:1 " A " " TODAY " from=tofu\n");
    /* what somebody put there */
    assert_int_equal(symlink(victim, path_of("learned.new")), 0);
    assert_int_equal(keep(l, "b", "h:1", A), LEARNED_DONE);
    assert_int_equal(link(victim, path_of("learned.new")), 0);
    assert_int_equal(keep(l, "c", "h:1", A), LEARNED_DONE);
    assert_null(file_read(victim, FILE_CONFIGURED, 100, &text, &n));
    assert_string_equal(text, "precious");
    free(text);
    assert_false(exists("learned.new"));
    assert_int_equal(mkdir(path_of("learned.new"), 0700), 0);
    cannot_keep(l, "d", "h:1", "learned.new: ");
    assert_int_equal(rmdir(path_of("learned.new")), 0);
    /* the lock is no way round either */
    assert_int_equal(unlink(path_of("learned.lock")), 0);
    assert_int_equal(symlink(temp_path("made"), path_of("learned.lock")), 0);
    cannot_keep(l, "d", "h:1", "learned.lock: ");
    assert_int_not_equal(access(temp_path("made"), F_OK), 0);
    assert_int_equal(count_keys(l), 3);
    learned_release(l);
}

static void others_may_read_the_file(void **state)
{
    static const char *const names[] = {"learned", "learned.lock"};
    const mode_t before = umask(0);
    struct learned *l = store();
    const char *victim;
    struct stat st;
    size_t i;

    (void)state;
    assert_int_equal(keep(l, "a", "h:1", A), LEARNED_DONE);
    umask(before);
    for (i = 0; i < COUNT(names); i++) {
        assert_int_equal(stat(path_of(names[i]), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(st.st_uid, geteuid());
    }
    if (geteuid() == 0) {
        /* the service's directory: what root writes there the service can read and change */
        assert_int_equal(chown(dir, 65534, 65533), 0);
        assert_int_equal(keep(l, "b", "h:1", A), LEARNED_DONE);
        for (i = 0; i < COUNT(names); i++) {
            assert_int_equal(stat(path_of(names[i]), &st), 0);
            assert_int_equal(st.st_mode & 07777, 0600);
            assert_int_equal(st.st_uid, 65534);
            assert_int_equal(st.st_gid, 65533);
        }
        /* but he cannot have root's files by linking them there */
        victim = temp_text("root", "precious");
        assert_int_equal(unlink(path_of("learned.lock")), 0);
        assert_int_equal(link(victim, path_of("learned.lock")), 0);
        cannot_keep(l, "c", "h:1", "learned.lock: ");
        assert_int_equal(stat(victim, &st), 0);
        assert_int_equal(st.st_uid, 0);
    }
    learned_release(l);
}

/* Editors. */

static void *keep_and_forget(void *stop)
{
    struct learned *l = store();

    while (!atomic_load((atomic_bool *)stop)) {
        (void)keep(l, "a", "h:1", A);
        (void)forget(l, "a");
    }
    learned_release(l);
    return NULL;
}

/* Its temporary file comes and goes. */
static void opening_fails_while_the_file_is_being_changed(void **state)
{
    atomic_bool stop = false;
    pthread_t thread;
    int i;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, keep_and_forget, &stop), 0);
    for (i = 0; i < 2000; i++)
        learned_release(store());
    atomic_store(&stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void an_edit_is_not_seen(void **state)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    struct learned *l = store();
    uint64_t generation = learned_generation(l);

    (void)state;
    assert_false(has_changed(l));
    put("a h:1 " A " 2026-01-02\n");
    assert_true(has_changed(l));
    assert_true(learned_generation(l) != generation);
    assert_int_equal(learned_find(l, "A", "H:1", found), 1);
    assert_false(has_changed(l));
    /* comments, blanks and what goes without saying are no keys */
    generation = learned_generation(l);
    put("# why\n\na  h:1 " A " 2026-01-02 from=tofu # x\n");
    assert_false(has_changed(l));
    assert_int_equal(learned_generation(l), generation);
    /* it is in force when it has been read, and the number says so */
    put("a h:1 " A " 2026-01-02 refused\n");
    assert_int_equal(learned_find(l, "a", "h:1", found), 1);
    assert_false(found[0].refused);
    assert_int_equal(learned_generation(l), generation);
    assert_true(has_changed(l));
    assert_int_equal(learned_find(l, "a", "h:1", found), 1);
    assert_true(found[0].refused);
    assert_true(learned_generation(l) != generation);
    generation = learned_generation(l);
    put("a h:1 " A " 2026-01-02 refused until=2027-01-01\n");
    assert_true(has_changed(l));
    assert_int_equal(count_keys(l), 1);
    assert_true(learned_generation(l) != generation);
    assert_int_equal(unlink(path_of("learned")), 0);
    assert_true(has_changed(l));
    assert_int_equal(count_keys(l), 0);
    /* one's own change is none that is still to be seen */
    assert_int_equal(keep(l, "a", "h:1", A), LEARNED_DONE);
    generation = learned_generation(l);
    assert_false(has_changed(l));
    assert_int_equal(learned_generation(l), generation);
    learned_release(l);
}

struct look_up {
    struct learned *l;
    uint64_t generation;
};

static void look_up(void *arg)
{
    const struct look_up *u = arg;
    struct learned_key found[LEARNED_KEYS_MAX];

    if (learned_find(u->l, "a", "h:1", found) != 1 || strcmp(pin_of(&found[0]), A) != 0
        || learned_find(u->l, "b", "h:1", found) != 0 || count_keys(u->l) != 1
        || learned_generation(u->l) != u->generation)
        _exit(1);
}

static void a_look_up_reads_no_file_even_if_it_has_changed(void **state)
{
    struct look_up u;
    char *why;

    (void)state;
    put("a h:1 " A " 2026-01-02\n");
    u.l = store();
    u.generation = learned_generation(u.l);
    assert_no_file_calls(look_up, &u);
    put("b h:1 " B " 2026-01-02\n");
    assert_no_file_calls(look_up, &u);
    put("damage\n");
    assert_no_file_calls(look_up, &u);
    assert_false(learned_refresh(u.l, &why));
    assert_contains(why, "learned:1: ");
    free(why);
    assert_no_file_calls(look_up, &u);
    learned_release(u.l);
}

static void a_damaged_file_is_written_over_or_forgets_keys(void **state)
{
    static const char damaged[] = "a h:1 " A " 2026-01-02\noops\n";
    struct learned_key found[LEARNED_KEYS_MAX];
    struct learned *l;
    enum learned_result result;
    uint64_t generation;
    char *why = NULL;

    (void)state;
    put("a h:1 " B " 2026-01-02\n");
    l = store();
    generation = learned_generation(l);
    put(damaged);
    assert_int_equal(learned_find(l, "a", "h:1", found), 1);
    assert_string_equal(pin_of(&found[0]), B);
    assert_int_equal(count_keys(l), 1);
    assert_false(learned_refresh(l, &why));
    assert_contains(why, "learned:2: ");
    free(why);
    assert_false(has_changed(l)); /* told once */
    assert_int_equal(learned_generation(l), generation);

    cannot_keep(l, "b", "h:1", "learned:2: ");
    result = refuse_digest(l, "a", "h:1", digest(C), &why);
    failed(result, why, "learned:2: ");
    result = learned_forget(l, "a", &why);
    failed(result, why, "learned:2: ");
    result = learned_accept(l, "a", digest(B), NOW, &found[0], &why);
    failed(result, why, "learned:2: ");
    result = announce_digests(l, NULL, 0, &no_via, NEVER, &why);
    failed(result, why, "learned:2: ");
    assert_string_equal(get(), damaged);
    assert_false(exists("learned.new"));
    assert_int_equal(learned_find(l, "a", "h:1", found), 1);

    /* other damage is told anew */
    put("oops again\n");
    assert_false(learned_refresh(l, &why));
    assert_contains(why, "learned:1: ");
    free(why);
    assert_false(has_changed(l));
    /* mended */
    put("a h:1 " A " 2026-01-02\n");
    assert_true(has_changed(l));
    assert_int_equal(keep(l, "b", "h:1", B), LEARNED_DONE);
    put("oops\n");
    put("a h:1 " A " 2026-01-02\n# mended\n");
    assert_true(has_changed(l));
    learned_release(l);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, new_directory, drop_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_people_wrote_is_lost),
        TEST(a_field_is_read_as_another),
        TEST(what_is_right_is_refused),
        TEST(damage_is_passed_over),
        TEST(damage_of_size_is_passed_over),
        TEST(a_large_file_takes_for_ever),
        TEST(no_file_is_an_error),
        TEST(a_directory_that_is_none_is_taken),
        TEST(another_key_is_kept_beside_the_first),
        TEST(refused_keys_pile_up),
        TEST(accepting_takes_the_wrong_key),
        TEST(forgetting_takes_too_much_or_too_little),
        TEST(announcements_touch_what_is_not_theirs),
        TEST(the_pin_behind_a_key_is_read_as_another),
        TEST(an_announcement_leaves_the_pin_behind_it_as_it_was),
        TEST(removing_takes_a_key_that_is_another_by_now),
        TEST(a_section_has_more_keys_than_it_may),
        TEST(a_change_makes_the_file_unreadable),
        TEST(two_stores_lose_each_others_changes),
        TEST(two_processes_lose_each_others_keys),
        TEST(two_threads_lose_each_others_keys),
        TEST(a_killed_writer_leaves_half_a_file),
        TEST(a_lock_that_is_held_holds_up_lookups_or_everything),
        TEST(a_full_disk_costs_the_file),
        TEST(a_directory_that_cannot_be_written_is_not_told),
        TEST(what_stands_in_place_of_the_new_file_is_written_to),
        TEST(others_may_read_the_file),
        TEST(opening_fails_while_the_file_is_being_changed),
        TEST(an_edit_is_not_seen),
        TEST(a_look_up_reads_no_file_even_if_it_has_changed),
        TEST(a_damaged_file_is_written_over_or_forgets_keys),
    };

    umask(022); /* a file that the group may write is refused */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
