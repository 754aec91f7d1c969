#include "pinproxyd/limits.h"

#include <inttypes.h>
#include <sched.h>
#include <sys/resource.h>

#include "base/log.h"

/* Descriptors that are not tunnels': logs, loops, threads that resolve. */
#define FILES_RESERVED 32
#define FILES_PER_WORKER 8

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

uint64_t limits_tunnels(uint64_t wanted, size_t workers, size_t listeners)
{
    const uint64_t reserved = FILES_RESERVED + FILES_PER_WORKER * workers + listeners;
    const uint64_t files = limits_raise_files();
    /* two descriptors each, a client's and an upstream's */
    const uint64_t possible = files > reserved + 2 ? (files - reserved) / 2 : 1;
    struct log_line l;

    if (wanted <= possible)
        return wanted ? wanted : possible;
    log_begin(&l, LOG_LEVEL_WARNING, "limit", NULL);
    log_add(&l, "what", "files");
    log_addf(&l, "detail",
             "max_connections = %" PRIu64 " needs more than the %" PRIu64 " files this process may "
             "open: raise LimitNOFILE= to %" PRIu64,
             wanted, files, wanted * 2 + reserved);
    log_end(&l);
    return wanted;
}

long limits_cpus(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}
