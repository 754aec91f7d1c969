#include "pinproxyd/limits.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>

#include "net/attempts.h"
#include "net/lookup.h"
#include "proxy/connlog.h"

/* Descriptors for other things than tunnels: the log, the loops, files that are read. */
#define FILES_RESERVED 32
#define FILES_PER_WORKER 8

/*
 * One file in FILES_SHARE is for attempts to connect beyond one for each tunnel, and one for
 * look-ups.
 */
#define FILES_SHARE 16
#define LOOKUPS_MIN 4

uint64_t limits_raise_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

static int lookups(uint64_t files)
{
    const uint64_t n = files / FILES_SHARE / LOOKUP_FILES;

    return n < LOOKUPS_MIN ? LOOKUPS_MIN : n > LOOKUPS_MAX ? LOOKUPS_MAX : (int)n;
}

uint64_t limits_tunnels(uint64_t wanted, size_t workers, size_t listeners, size_t per_tunnel,
                        size_t warm)
{
    const uint64_t files = limits_raise_files(), spare = files / FILES_SHARE;
    const uint64_t others = FILES_RESERVED + FILES_PER_WORKER * workers + listeners + warm;
    const uint64_t reserved = others + spare + (uint64_t)lookups(files) * LOOKUP_FILES;
    const uint64_t possible = files > reserved + per_tunnel ? (files - reserved) / per_tunnel : 1;
    char detail[256];

    lookup_set_max(lookups(files));
    attempts_set_spare((int64_t)spare);
    if (wanted <= possible)
        return wanted ? wanted : possible;
    snprintf(detail, sizeof(detail),
             "max_connections = %" PRIu64 "%s needs more than the %" PRIu64
             " files this process may "
             "open: raise LimitNOFILE= to %" PRIu64,
             wanted, warm ? " together with the warm connections" : "", files,
             (wanted * per_tunnel + others + LOOKUPS_MAX * LOOKUP_FILES) * FILES_SHARE
                     / (FILES_SHARE - 1)
                 + 1);
    connlog_limit(NULL, REASON_FILES, detail);
    return wanted;
}

long limits_cpus(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}
