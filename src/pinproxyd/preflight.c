#include "pinproxyd/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/print.h"
#include "config/loader.h"
#include "config/secret.h"
#include "config/store.h"
#include "net/acceptor.h"
#include "pinproxyd/privileges.h"

#define INSTALLED_STATE PINPROXY_LOCALSTATEDIR "/lib/pinproxy"

/* nobody: a user without files, as that of DynamicUser= is. */
#define NOBODY 65534

struct preflight {
    const struct config *config;
    const char *who;                /* "user U", "pinproxyd.service" */
    const char *remedy;             /* what to do where that user cannot read a file */
    const char *remedy_for_secrets; /* the same, of keys and passwords */
    struct arena arena;
    struct named_file *files;
    size_t count;
};

struct named_file {
    const char *path;
    bool secret;
};

static void add(struct preflight *p, const char *path, bool secret)
{
    if (!path || strcmp(path, "-") == 0)
        return;
    p->files = arena_grow(&p->arena, p->files, p->count, sizeof(*p->files));
    p->files[p->count++] = (struct named_file){path, secret};
}

static void add_file(struct preflight *p, const char *path)
{
    add(p, path, false);
}

static void add_texts(struct preflight *p, const struct config_strings *texts)
{
    size_t i;

    for (i = 0; i < texts->count; i++)
        add_file(p, texts->items[i].text);
}

/* Adds a key or a password, unless systemd passes it to the daemon's user. */
static void add_secret(struct preflight *p, const struct config_string *value)
{
    if (value->text && !store_is_uri(value->text) && !secret_is_credential(value->text))
        add(p, value->text, true);
}

static void add_pins(struct preflight *p, const struct pin_list *pins)
{
    size_t i;

    for (i = 0; i < pins->count; i++)
        add_file(p, pins->items[i].file);
}

static int compare_files(const void *a, const void *b)
{
    const struct named_file *x = a, *y = b;
    const int n = strcmp(x->path, y->path);

    return n ? n : y->secret - x->secret;
}

/* Lists every file that a load reads, once. */
static void list_files(struct preflight *p)
{
    size_t i, n = 0;

    add_texts(p, &p->config->files);
    for (i = 0; i < p->config->count; i++) {
        const struct config_section *s = p->config->sections[i];

        add_pins(p, &s->pins);
        add_pins(p, &s->revoked);
        add_texts(p, &s->ca_file);
        add_texts(p, &s->ca_dir);
        add_texts(p, &s->crl_file);
        add_secret(p, &s->tls.client_cert);
        add_secret(p, &s->tls.client_key);
        add_secret(p, &s->tls.client_key_password);
    }
    qsort(p->files, p->count, sizeof(*p->files), compare_files);
    for (i = 0; i < p->count; i++)
        if (n == 0 || strcmp(p->files[n - 1].path, p->files[i].path) != 0)
            p->files[n++] = p->files[i];
    p->count = n;
}

/* Warns of files that cannot be read. Runs as the user in question. */
static void check_files(const struct preflight *p, FILE *to)
{
    struct stat st;
    size_t i;
    int fd;

    for (i = 0; i < p->count; i++) {
        const struct named_file *f = &p->files[i];

        /* a pipe that was passed as -c */
        if (stat(f->path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
            continue;
        fd = open(f->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
            print_line(to, "warning: %s: %s cannot read it (%s): %s", f->path, p->who,
                       strerror(errno), f->secret ? p->remedy_for_secrets : p->remedy);
        else
            close(fd);
    }
}

static bool learns(const struct config *c)
{
    size_t i;

    for (i = 0; i < c->count; i++)
        if (config_learns(c->sections[i]))
            return true;
    return false;
}

/* Warns if the state directory cannot be written to. Runs as the user in question. */
static void check_state(struct preflight *p, FILE *to)
{
    const char *dir = p->config->global.state_dir;

    if (!learns(p->config))
        return;
    if (faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) == 0)
        return;
    if (errno != ENOENT)
        print_line(
            to,
            "warning: %s: %s cannot write to it (%s): change its owner to that user, its mode to 0700",
            dir, p->who, strerror(errno));
    else if (faccessat(AT_FDCWD, file_directory(&p->arena, dir), W_OK | X_OK, AT_EACCESS) != 0)
        print_line(to,
                   "warning: %s: %s cannot create this directory (%s): create it, owned by that "
                   "user, with mode 0700",
                   dir, p->who, strerror(errno));
}

/* Warns if the unit cannot write to the state directory: only its own one is writable to it. */
static void check_unit_state(const struct preflight *p, FILE *to)
{
    const char *dir = p->config->global.state_dir;

    if (learns(p->config) && strcmp(dir, INSTALLED_STATE) != 0)
        print_line(
            to,
            "warning: %s: %s can only write to %s: set state_dir to a directory there, or add "
            "ReadWritePaths= to the unit",
            dir, p->who, INSTALLED_STATE);
}

/* Warns of places where a Unix socket cannot be created. */
static void check_listeners(const struct preflight *p, FILE *to)
{
    const uid_t user = privileges_uid(p->config->global.user);
    size_t i, j;

    for (i = 0; i < p->config->count; i++) {
        const struct config_listens *listens = &p->config->sections[i]->listen;

        for (j = 0; j < listens->count; j++) {
            const struct config_listen *place = &listens->items[j];
            char *why = acceptor_check(place, user);

            if (why)
                print_line(to, "warning: %s:%u: listen = %s: %s", place->where.file,
                           place->where.line, place->text, why);
            free(why);
        }
    }
}

/* Changes to the user nobody, in a child process. */
static bool become_nobody(void)
{
    return setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0
           && setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

/* Checks in a child that runs as the user, since only the kernel knows what this user may do. */
static void check_as_other(struct preflight *p, bool unit, FILE *to)
{
    const struct config_global *g = &p->config->global;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        if (unit ? become_nobody() : !privileges_drop(g->user, g->group)) {
            check_files(p, to);
            if (!unit)
                check_state(p, to);
            fflush(to);
        }
        _exit(0);
    }
    if (child > 0)
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
    if (unit)
        check_unit_state(p, to);
}

void preflight_print(const struct snapshot *s, FILE *to)
{
    struct preflight p = {.config = s->config};
    const struct config_global *g = &s->config->global;
    const bool unit = !g->user && strcmp(s->config->path, CONFIG_DEFAULT_PATH) == 0;

    if (geteuid() == 0 && (g->user || unit)) {
        p.who = unit ? "pinproxyd.service, which runs as a user of its own (DynamicUser=yes),"
                     : arena_printf(&p.arena, "the daemon's user %s", g->user);
        p.remedy =
            unit ? "a start of the unit would fail: let everyone read it, or set User= of the unit "
                   "to a user that can"
                 : "a reload would fail: let that user read it";
        p.remedy_for_secrets =
            unit ? "a start of the unit would fail: pass it with LoadCredential= in the unit, and "
                   "name it %d/NAME"
                 : p.remedy;
        list_files(&p);
        check_as_other(&p, unit, to);
    } else {
        p.who = "this user";
        check_state(&p, to);
        if (g->user && !privileges_is(g->user))
            print_line(to, "warning: user = %s: only root can start as another user", g->user);
    }
    if (!unit) /* systemd creates the unit's directory */
        check_listeners(&p, to);
    arena_free(&p.arena);
}
