#include "pinproxyd/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"

static void warn_of_root(void)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_WARNING, "privileges", NULL);
    log_add(&l, "detail", "running as root without 'user =' in [global]");
    log_end(&l);
}

bool privileges_is(const char *user)
{
    const struct passwd *pw = getpwuid(geteuid());

    return pw && strcmp(pw->pw_name, user) == 0;
}

uid_t privileges_uid(const char *user)
{
    const struct passwd *pw = user ? getpwnam(user) : NULL;

    return pw ? pw->pw_uid : geteuid();
}

const char *privileges_drop(const char *user, const char *group)
{
    const struct passwd *pw;
    const struct group *gr;
    gid_t gid;

    /* without it a program that is exec()ed could regain the privileges: prctl(2) */
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!user && !group) {
        if (geteuid() == 0)
            warn_of_root();
        return NULL;
    }
    if (!user)
        return "a group without a user: set both";
    if (geteuid() != 0)
        return privileges_is(user)
                   ? NULL
                   : "only root can change to another user: start as root, or as that user";
    pw = getpwnam(user);
    if (!pw)
        return "there is no such user";
    gid = pw->pw_gid;
    if (group) {
        gr = getgrnam(group);
        if (!gr)
            return "there is no such group";
        gid = gr->gr_gid;
    }
    if (initgroups(user, gid) != 0 || setresgid(gid, gid, gid) != 0
        || setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
        return strerror(errno);
    if (pw->pw_uid != 0 && setuid(0) == 0)
        return "root privileges could not be dropped";
    return NULL;
}
