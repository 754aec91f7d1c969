#include "base/log.h"

#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/logwriter.h"
#include "base/mem.h"

#define VALUE_MAX 1024

/* Repeated lines: a token bucket of this size, refilled by one a second. */
#define BURST 10
#define BURST_LIMIT 1
#define BURST_STDERR 100 /* lines of a program are not one event that repeats */
#define SLOTS 128

/* How long log_flush() waits for lines to be written. */
#define FLUSH_MS 1000

struct slot {
    char *key; /* NULL: free */
    double burst;
    double tokens;
    double seen; /* seconds, monotonic */
    uint64_t held;
    struct log_line last; /* the latest suppressed line, if held > 0 */
};

static struct {
    pthread_mutex_t lock;
    _Atomic enum log_level level;
    enum log_format format;
    bool journal; /* stderr is systemd's journal */
    struct slot slots[SLOTS];
} logger = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_LEVEL_INFO};

static const char *const level_names[] = {"silent", "error", "warning", "notice", "info", "debug"};
static const int level_priorities[] = {0, 3, 4, 5, 6, 7}; /* syslog's */

/* systemd.exec(5): JOURNAL_STREAM holds device and inode of the stream that was connected. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;

    return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0
           && st.st_dev == dev && st.st_ino == ino;
}

void log_setup(enum log_level level, enum log_format format)
{
    pthread_mutex_lock(&logger.lock);
    atomic_store_explicit(&logger.level, level, memory_order_relaxed);
    logger.format = format;
    logger.journal = stderr_is_journal();
    pthread_mutex_unlock(&logger.lock);
}

void log_begin(struct log_line *l, enum log_level level, const char *event, const char *section)
{
    memset(l, 0, sizeof(*l));
    l->wanted = level <= atomic_load_explicit(&logger.level, memory_order_relaxed);
    l->level = level;
    l->event = event;
    log_add(l, "section", section);
}

static void add_field(struct log_line *l, const char *name, const char *value, bool number)
{
    if (!l->wanted || l->count == LOG_FIELDS_MAX)
        return;
    l->fields[l->count].name = name;
    l->fields[l->count].offset = l->values.len;
    l->fields[l->count].number = number;
    l->count++;
    strbuf_add_safe(&l->values, value, strlen(value), VALUE_MAX);
    strbuf_add_bytes(&l->values, "", 1);
}

void log_add(struct log_line *l, const char *name, const char *value)
{
    if (value && *value)
        add_field(l, name, value, false);
}

void log_addf(struct log_line *l, const char *name, const char *format, ...)
{
    char *value;
    va_list ap;
    int n;

    if (!l->wanted)
        return;
    va_start(ap, format);
    n = vasprintf(&value, format, ap);
    va_end(ap);
    if (n < 0)
        return;
    log_add(l, name, value);
    free(value);
}

void log_add_number(struct log_line *l, const char *name, int64_t value)
{
    char text[32];

    snprintf(text, sizeof(text), "%lld", (long long)value);
    add_field(l, name, text, true);
}

static const char *field_value(const struct log_line *l, int i)
{
    return l->values.data + l->fields[i].offset;
}

static void format_time(char *out, size_t size)
{
    struct timespec now;
    struct tm tm;
    char day[32];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, size, "%s.%03ldZ", day, now.tv_nsec / 1000000);
}

static void add_logfmt(struct strbuf *out, const char *name, const char *value)
{
    const char *p;

    strbuf_addf(out, " %s=", name);
    if (!strpbrk(value, " \"=\\")) {
        strbuf_add(out, value);
        return;
    }
    strbuf_add(out, "\"");
    for (p = value; *p; p++) {
        if (*p == '"')
            strbuf_add(out, "\\");
        strbuf_add_bytes(out, p, 1);
    }
    strbuf_add(out, "\"");
}

static void render_text(const struct log_line *l, const char *when, uint64_t repeated,
                        struct strbuf *out)
{
    int i;

    strbuf_addf(out, "time=%s level=%s event=%s", when, level_names[l->level], l->event);
    for (i = 0; i < l->count; i++)
        add_logfmt(out, l->fields[i].name, field_value(l, i));
    if (repeated)
        strbuf_addf(out, " repeated=%llu", (unsigned long long)repeated);
}

static void render_json(const struct log_line *l, const char *when, uint64_t repeated,
                        struct strbuf *out)
{
    json_t *o = json_object();
    char *text;
    int i;

    json_object_set_new(o, "time", json_string(when));
    json_object_set_new(o, "level", json_string(level_names[l->level]));
    json_object_set_new(o, "event", json_string(l->event));
    for (i = 0; i < l->count; i++) {
        const char *value = field_value(l, i);

        json_object_set_new(o, l->fields[i].name,
                            l->fields[i].number ? json_integer(strtoll(value, NULL, 10))
                                                : json_string(value));
    }
    if (repeated)
        json_object_set_new(o, "repeated", json_integer((json_int_t)repeated));
    text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (text)
        strbuf_add(out, text);
    free(text);
}

/* Appends the whole line. The caller holds the lock, so lines are in the order of their times. */
static void render(const struct log_line *l, uint64_t repeated, struct strbuf *out)
{
    char when[64];

    format_time(when, sizeof(when));
    if (logger.journal)
        strbuf_addf(out, "<%d>", level_priorities[l->level]);
    if (logger.format == LOG_FORMAT_JSON)
        render_json(l, when, repeated, out);
    else
        render_text(l, when, repeated, out);
    strbuf_add(out, "\n");
}

/* The caller holds the lock. */
static void write_line(const struct log_line *l, uint64_t repeated)
{
    struct strbuf out = {0};

    render(l, repeated, &out);
    logwriter_write(out.data, out.len);
    strbuf_free(&out);
}

static double monotonic_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Returns the key under which lines count as repeated: event, section, reason. */
static char *repeat_key(const struct log_line *l)
{
    struct strbuf key = {0};
    int i;

    strbuf_add(&key, l->event);
    for (i = 0; i < l->count; i++)
        if (strcmp(l->fields[i].name, "section") == 0 || strcmp(l->fields[i].name, "reason") == 0
            || strcmp(l->fields[i].name, "what") == 0)
            strbuf_addf(&key, " %s", field_value(l, i));
    return strbuf_detach(&key);
}

static void let_out(struct slot *s)
{
    if (s->held == 0)
        return;
    write_line(&s->last, s->held - 1); /* the count is of those before it */
    strbuf_free(&s->last.values);
    s->held = 0;
}

/* Returns the slot of a key: its own, a free one, or the oldest. Takes ownership of key. */
static struct slot *find_slot(char *key, double burst, double now)
{
    struct slot *s, *choice = NULL;

    for (s = logger.slots; s < logger.slots + SLOTS; s++) {
        if (s->key && strcmp(s->key, key) == 0) {
            free(key);
            return s;
        }
        if (!choice || (choice->key && (!s->key || s->seen < choice->seen)))
            choice = s;
    }
    let_out(choice);
    free(choice->key);
    choice->key = key;
    choice->burst = burst;
    choice->tokens = burst;
    choice->seen = now;
    return choice;
}

/* Takes a token. Returns false if there is none. */
static bool take_token(struct slot *s, double now)
{
    s->tokens += now - s->seen;
    if (s->tokens > s->burst)
        s->tokens = s->burst;
    s->seen = now;
    if (s->tokens < 1)
        return false;
    s->tokens -= 1;
    return true;
}

/* Returns true for lines that a peer or a client can cause at will; not for those of a reload. */
static bool is_rationed(const struct log_line *l)
{
    return l->level <= LOG_LEVEL_WARNING && strcmp(l->event, "reload_failed") != 0;
}

static double burst_of(const char *event)
{
    if (strcmp(event, "limit") == 0)
        return BURST_LIMIT;
    return strcmp(event, "exec_stderr") == 0 ? BURST_STDERR : BURST;
}

void log_end(struct log_line *l)
{
    if (!l->wanted)
        return;
    pthread_mutex_lock(&logger.lock);
    if (is_rationed(l)) {
        const double burst = burst_of(l->event);
        const double now = monotonic_seconds();
        struct slot *s = find_slot(repeat_key(l), burst, now);

        if (!take_token(s, now)) {
            if (s->held)
                strbuf_free(&s->last.values);
            s->last = *l;
            s->held++;
            pthread_mutex_unlock(&logger.lock);
            return;
        }
        /* the suppressed line has fields of its own, so it is written too */
        let_out(s);
    }
    write_line(l, 0);
    pthread_mutex_unlock(&logger.lock);
    strbuf_free(&l->values);
}

void log_tick(void)
{
    const double now = monotonic_seconds();
    struct slot *s;

    pthread_mutex_lock(&logger.lock);
    for (s = logger.slots; s < logger.slots + SLOTS; s++) {
        if (s->held > 0 && take_token(s, now))
            let_out(s);
    }
    pthread_mutex_unlock(&logger.lock);
}

static void report_dropped(uint64_t count, struct strbuf *out)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_WARNING, "log_dropped", NULL);
    log_add_number(&l, "count", (int64_t)count);
    if (!l.wanted)
        return;
    pthread_mutex_lock(&logger.lock);
    render(&l, 0, out);
    pthread_mutex_unlock(&logger.lock);
    strbuf_free(&l.values);
}

void log_open(void)
{
    logwriter_open();
}

int log_start(void)
{
    return logwriter_start(report_dropped);
}

void log_flush(void)
{
    struct slot *s;

    pthread_mutex_lock(&logger.lock);
    for (s = logger.slots; s < logger.slots + SLOTS; s++) {
        let_out(s);
        free(s->key);
        memset(s, 0, sizeof(*s));
    }
    pthread_mutex_unlock(&logger.lock);
    (void)logwriter_flush(FLUSH_MS);
}

void log_stop(void)
{
    log_flush();
    logwriter_stop();
}
