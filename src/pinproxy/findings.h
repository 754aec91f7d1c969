/* Findings of `pinproxy check` about one section: messages, and how bad the worst of them is. */
#ifndef PINPROXY_FINDINGS_H
#define PINPROXY_FINDINGS_H

#include <jansson.h>
#include <stdint.h>

#include "pinproxy/probe.h"

/* The values are the exit statuses of monitoring plugins. */
enum finding_level { FINDING_OK, FINDING_WARNING, FINDING_CRITICAL, FINDING_UNKNOWN };

/* By default a warning begins 14 days ahead, or with the last third of a shorter life. */
#define FINDINGS_WARN_DEFAULT (-1)

struct findings {
    /* input: the caller sets these, and they must live until findings_clear() */
    const struct section *section;
    const struct probe *probe; /* of the section's server, or NULL */
    const char *state_dir;     /* where learned pins are */
    int64_t now;               /* seconds since the epoch */
    int64_t warn_days;         /* days before an end to warn from, or FINDINGS_WARN_DEFAULT */

    /* output of findings_collect() */
    enum finding_level level;
    json_t *messages; /* an array of strings */
    json_t *renewal;  /* as messages (renewal.h); it has no effect on the level. NULL: unknown */
};

/* Returns the name of a level, static. */
const char *finding_level_name(enum finding_level level);

/* Returns the worse of two levels: critical, then unknown, then warning, then ok. */
enum finding_level finding_level_worse(enum finding_level a, enum finding_level b);

/* Checks a section, and its server if there is a probe. The caller calls findings_clear(). */
void findings_collect(struct findings *f);

/* Returns all of it as an object. The caller frees it. */
json_t *findings_json(const struct findings *f);

/* Frees the messages. */
void findings_clear(struct findings *f);

#endif
