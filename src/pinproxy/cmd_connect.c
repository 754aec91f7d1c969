#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sock.h"
#include "base/util.h"
#include "pinproxy/adhoc.h"
#include "pinproxy/command.h"
#include "pinproxy/report.h"
#include "proxy/outer.h"
#include "proxy/tunnels.h"
#include "trust/peerchain.h"
#include "trust/policy.h"

static const char usage[] =
    "usage: pinproxy connect HOST[:PORT] --pin PIN... [--via WAY] [--starttls PROTOCOL]\n"
    "                        [--sni NAME] [--raw-key] [--timeout TIME]\n"
    "       pinproxy connect -c FILE SECTION\n"
    "\n"
    "Connects standard input and output to a server that is first checked against the pins.\n"
    "\n"
    "  --pin PIN        as in pinproxyd.conf(5): sha256//BASE64, cert:FILE, key:FILE ...; several\n"
    "                   may be set, and one must match\n"
    "  --via WAY        as in pinproxyd.conf(5): unix:PATH, socks5://HOST:PORT ... (default: tcp)\n"
    "  --starttls PROTOCOL\n"
    "                   ask for TLS in this protocol, one of\n"
    "                  " STARTTLS_NAMES "\n"
    "  --sni NAME       server name to send; 'off' sends none (default: HOST)\n"
    "  --raw-key        accept a raw public key in place of a certificate\n"
    "  --timeout TIME   maximum time to connect, and again for the handshake (default: 10s)\n"
    "  -c FILE          use the SECTION of this configuration instead\n"
    "\n"
    "Exit status: 0 ok, 1 network or TLS failure, 2 usage, 3 refused by trust, 78 configuration.\n";

static const struct option long_options[] = {
    {"pin", required_argument, NULL, 'p'},      {"via", required_argument, NULL, 'v'},
    {"starttls", required_argument, NULL, 'S'}, {"sni", required_argument, NULL, 's'},
    {"timeout", required_argument, NULL, 't'},  {"raw-key", no_argument, NULL, 'r'},
    {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
};

/*
 * The tunnel is that of the daemon. Its client is one end of a socket pair. At the other end two
 * threads pump standard input and output, which may be anything: a file, a terminal, a pipe.
 */
struct stdio {
    struct thread thread;
    struct watched watched; /* standard input, if that is a socket */
    pthread_mutex_t lock;   /* of failed: the thread of the input may outlive the loop */
    bool loop_is_closed;
    uv_async_t failed;      /* one of the two could not be read or written */
    struct tunnel *tunnel;  /* NULL: it has ended */
    struct tunnels tunnels; /* that one, and those that it runs inside */
    int ours;               /* our end of the pair */
    atomic_int input_error; /* errno values; 0: none */
    atomic_int output_error;
    enum reason reason;
};

/*
 * Checks errno after read(2). Returns true if the call can be repeated, after waiting until it can:
 * another process that shares the descriptor may have made it non-blocking.
 */
static bool can_repeat(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    if (errno == EAGAIN)
        return poll(&p, 1, -1) >= 0 || errno == EINTR;
    return errno == EINTR;
}

enum pump_result { PUMP_EOF, PUMP_READ_FAILED, PUMP_WRITE_FAILED };

/* Copies until the input ends, or until a descriptor fails, with errno set. */
static enum pump_result pump(int from, int to)
{
    char bytes[TLS_TURN_SIZE];
    ssize_t n;

    for (;;) {
        n = read(from, bytes, sizeof(bytes));
        if (n < 0 && can_repeat(from))
            continue;
        if (n < 0)
            return PUMP_READ_FAILED;
        if (n == 0)
            return PUMP_EOF;
        if (!file_write_all(to, bytes, (size_t)n))
            return PUMP_WRITE_FAILED;
    }
}

static bool is_socket(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static void report_failure(struct stdio *s, atomic_int *error, int value)
{
    atomic_store(error, value);
    pthread_mutex_lock(&s->lock);
    if (!s->loop_is_closed)
        (void)uv_async_send(&s->failed);
    pthread_mutex_unlock(&s->lock);
}

static void *pump_input(void *arg)
{
    struct stdio *s = arg;
    const enum pump_result result = pump(STDIN_FILENO, s->ours);
    int error = result == PUMP_READ_FAILED ? errno : 0;

    /* a reset behind a FIN */
    if (result == PUMP_EOF && is_socket(STDIN_FILENO))
        error = sock_take_error(STDIN_FILENO);
    if (error)
        /* an incomplete input must not look complete */
        report_failure(s, &s->input_error, error);
    else
        shutdown(s->ours, SHUT_WR);
    return NULL;
}

static void *pump_output(void *arg)
{
    struct stdio *s = arg;

    if (pump(s->ours, STDOUT_FILENO) == PUMP_WRITE_FAILED)
        report_failure(s, &s->output_error, errno);
    return NULL;
}

/* Resets the connection: the server must not treat an incomplete stream as complete. */
static void on_failed(uv_async_t *failed)
{
    struct stdio *s = failed->data;

    if (s->tunnel)
        tunnel_kill(s->tunnel, REASON_CLIENT_RESET);
}

/* Notices a reset of the input while the server does not read, because then the thread does not. */
static void on_tick(struct watched *w, short revents)
{
    struct stdio *s = container_of(w, struct stdio, watched);

    if (!(revents & POLLERR))
        return;
    atomic_store(&s->input_error, ECONNRESET);
    on_failed(&s->failed);
}

static void watch_input(struct stdio *s)
{
    s->watched.fd = STDIN_FILENO;
    s->watched.tick = on_tick;
    if (is_socket(STDIN_FILENO))
        watch_set(&s->thread.watch, &s->watched, true);
}

/* The maximum wait until the peer has what was written: a reset discards the rest. */
#define OUTPUT_WAIT_MS 5000
#define OUTPUT_POLL_MS 20

/*
 * Resets the output if it is a TCP socket, as under inetd(8): the peer must not treat an incomplete
 * stream as complete. Other outputs cannot be reset, and only the exit status shows it.
 */
static void reset_output(void)
{
    struct sock_acks acks;
    int left;

    if (!sock_acks(STDOUT_FILENO, &acks))
        return;
    for (left = OUTPUT_WAIT_MS; left > 0 && sock_unsent(STDOUT_FILENO) > 0; left -= OUTPUT_POLL_MS)
        usleep(OUTPUT_POLL_MS * 1000);
    sock_reset_on_close(STDOUT_FILENO);
}

static bool stdio_failed(struct stdio *s)
{
    return atomic_load(&s->input_error) || atomic_load(&s->output_error);
}

/* Prints the mismatch that report mode lets through, as the daemon logs it. */
static void on_opening(struct tunnel *t, void *owner)
{
    const struct upstream *u = tunnel_upstream(t);
    const struct trust_verdict *v = tls_verdict(u->tls);
    struct cert_info presented;
    char name[SECTION_UPSTREAM_SIZE], *pki;

    (void)owner;
    if (v->reported == REASON_OK || !peerchain_describe(v, 0, &presented))
        return;
    pki = peerchain_pki(u->section->policy, v, clock_now());
    report_refusal(stderr, upstream_name(u, name), v->reported, v->detail, u->section->config,
                   &presented, pki);
    fputs("pinproxy: enforce = report: the server is still accepted\n", stderr);
    cert_info_free(&presented);
    free(pki);
}

static void on_ended(struct tunnel *t, enum reason reason, const char *detail, void *owner)
{
    struct stdio *s = owner;
    const struct upstream *u = tunnel_upstream(t);
    const struct trust_verdict *v = u->tls ? tls_verdict(u->tls) : NULL;
    struct cert_info presented;
    bool have_presented = false;
    char name[SECTION_UPSTREAM_SIZE], *pki = NULL;

    /* no one else can know whether the output is complete: a cut is a failure, fault or not */
    if (reason == REASON_OK && tunnel_is_cut(t))
        reason = REASON_TRUNCATED;
    s->reason = reason;
    if (reason == REASON_OK || (reason == REASON_CLIENT_RESET && stdio_failed(s)))
        return;
    if (v && peerchain_length(v) > 0) {
        have_presented = peerchain_describe(v, 0, &presented);
        pki = peerchain_pki(u->section->policy, v, clock_now());
    }
    report_refusal(stderr, upstream_name(u, name), reason, detail, u->section->config,
                   have_presented ? &presented : NULL, pki);
    if (have_presented)
        cert_info_free(&presented);
    free(pki);
}

static void on_freed(struct tunnel *t, void *owner)
{
    struct stdio *s = owner;

    (void)t;
    s->tunnel = NULL;
}

static const struct tunnel_events events = {
    .opening = on_opening, .ended = on_ended, .freed = on_freed};

static void on_tunnel_freed(struct tunnels *t)
{
    if (tunnels_is_empty(t))
        thread_close(&container_of(t, struct stdio, tunnels)->thread);
}

static const struct tunnels_ops tunnels_ops = {.freed = on_tunnel_freed};

static void report_stdio(const char *name, int error)
{
    if (error)
        fprintf(stderr, "pinproxy connect: %s: %s\n", name, strerror(error));
}

/* Waits for the output, and for the last handle of the loop. Returns the exit status. */
static int finish_relay(struct stdio *s, pthread_t input, pthread_t output)
{
    /* the output ends with the tunnel; the input may wait for a person, and ends with the process */
    pthread_join(output, NULL);
    pthread_detach(input);
    pthread_mutex_lock(&s->lock);
    s->loop_is_closed = true;
    pthread_mutex_unlock(&s->lock);
    uv_close((uv_handle_t *)&s->failed, NULL);
    uv_run(&s->thread.loop, UV_RUN_DEFAULT);
    thread_free(&s->thread);
    report_stdio("standard input", atomic_load(&s->input_error));
    report_stdio("standard output", atomic_load(&s->output_error));
    if (s->reason == REASON_OK && !stdio_failed(s))
        return EXITCODE_OK;
    reset_output();
    return s->reason == REASON_OK ? EXITCODE_FAILURE : report_status(s->reason);
}

static int relay(struct snapshot *snapshot, const struct section *section)
{
    const struct frontend *frontend = snapshot_find_frontend(snapshot, section->config->name);
    static struct stdio s = {.lock = PTHREAD_MUTEX_INITIALIZER, .reason = REASON_MEMORY};
    struct stream client = {.kind = STREAM_SOCKET};
    pthread_t input, output;
    int pair[2], error;

    error = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 ? 0 : -errno;
    if (!error)
        error = thread_init(&s.thread);
    if (!error)
        error = uv_async_init(&s.thread.loop, &s.failed, on_failed);
    if (error) {
        fprintf(stderr, "pinproxy connect: %s\n", uv_strerror(error));
        return EXITCODE_FAILURE;
    }
    s.failed.data = &s;
    uv_unref((uv_handle_t *)&s.failed); /* only the tunnel keeps the loop running */
    s.ours = pair[0];
    client.fd = pair[1];
    stats_add(frontend->stats, STATS_TUNNELS, 1);
    tunnels_init(&s.tunnels, &s.thread, &tunnels_ops);
    s.thread.start_outer = outer_start;
    s.tunnel = tunnels_start(&s.tunnels, snapshot_hold(snapshot), frontend, &client, &events, &s);
    if (s.tunnel)
        watch_input(&s);
    else
        thread_close(&s.thread);
    error = pthread_create(&output, NULL, pump_output, &s);
    if (!error)
        error = pthread_create(&input, NULL, pump_input, &s);
    if (error) {
        fprintf(stderr, "pinproxy connect: cannot start a thread: %s\n", strerror(error));
        exit(EXITCODE_FAILURE);
    }
    uv_run(&s.thread.loop, UV_RUN_DEFAULT);
    return finish_relay(&s, input, output);
}

static const struct section *outer_of(const struct section *s)
{
    return s->outer ? s->outer->section : NULL;
}

/* Returns the section, or one that it is reached through, whose learned pins may not be read. */
static const struct section *find_denied(const struct section *s)
{
    while (s && !section_is_denied(s))
        s = outer_of(s);
    return s;
}

static bool learns(const struct section *s)
{
    while (s && !s->policy->learned)
        s = outer_of(s);
    return s;
}

static int connect_section(const char *path, const char *name)
{
    struct diag_list diags = {0};
    struct snapshot *snapshot = snapshot_load_readable(path, &diags);
    const struct section *section = snapshot ? snapshot_find(snapshot, name) : NULL;
    const struct section *denied = find_denied(section);
    int status;

    if (denied)
        diag_add(&diags, denied->config->where,
                 "[%s]: %s/learned may not be read, run as root or as the daemon's user",
                 denied->config->name, snapshot->config->global.state_dir);
    else if (learns(section))
        snapshot_create_state_dir(snapshot, LEARNEDDIR_OWNER, &diags);
    diag_print(&diags, stderr);
    diag_free(&diags);
    if (!snapshot || denied) {
        snapshot_release(snapshot);
        return EXITCODE_CONFIG;
    }
    if (section)
        status = relay(snapshot, section);
    else
        status = command_misused(&command_connect, "%s has no section [%s]", path, name);
    snapshot_release(snapshot);
    return status;
}

static int connect_adhoc(struct adhoc *o)
{
    const struct section *section = adhoc_ready(o);

    return section ? relay(o->snapshot, section) : EXITCODE_FAILURE;
}

static int run_adhoc(const char *host, const char *const *pins, size_t count, const char *via,
                     const char *starttls, const char *sni, bool raw_key, const char *timeout)
{
    struct adhoc o;
    const char *why = adhoc_init(&o, host);
    int status;
    size_t i;

    for (i = 0; !why && i < count; i++)
        why = adhoc_set(&o, "pin", pins[i]);
    if (!why && via)
        why = adhoc_set_via(&o, via);
    if (!why && starttls)
        why = adhoc_set(&o, "starttls", starttls);
    if (!why && sni)
        why = adhoc_set(&o, "sni", sni);
    if (!why && raw_key)
        why = adhoc_set(&o, "raw_key", "offer");
    if (!why && timeout)
        why = adhoc_set_timeout(&o, timeout);
    status = why ? command_misused(&command_connect, "%s", why) : connect_adhoc(&o);
    adhoc_free(&o);
    return status;
}

static int run_connect(int argc, char **argv)
{
    const char **pins = xcalloc((size_t)argc, sizeof(*pins));
    const char *config = NULL, *via = NULL, *starttls = NULL, *sni = NULL, *timeout = NULL;
    bool raw_key = false;
    size_t count = 0;
    int status, c;

    while ((c = getopt_long(argc, argv, ":c:h", long_options, NULL)) != -1) {
        if (c == 'p') {
            pins[count++] = optarg;
        } else if (c == 'v') {
            via = optarg;
        } else if (c == 'S') {
            starttls = optarg;
        } else if (c == 's') {
            sni = optarg;
        } else if (c == 'r') {
            raw_key = true;
        } else if (c == 't') {
            timeout = optarg;
        } else if (c == 'c') {
            config = optarg;
        } else {
            free(pins);
            return command_option(&command_connect, c, argv);
        }
    }
    if (argc - optind != 1)
        status = command_misused(&command_connect, "expected one HOST[:PORT], or -c FILE SECTION");
    else if (config && (count || via || starttls || sni || raw_key || timeout))
        status = command_misused(
            &command_connect,
            "--pin, --via, --starttls, --sni, --raw-key and --timeout have no effect with -c FILE: "
            "set them in the section");
    else if (config)
        status = connect_section(config, argv[optind]);
    else if (count == 0)
        status = command_misused(
            &command_connect,
            "expected a --pin ('pinproxy fetch %s' shows the pins of the host), "
            "or -c FILE SECTION",
            argv[optind]);
    else
        status = run_adhoc(argv[optind], pins, count, via, starttls, sni, raw_key, timeout);
    free(pins);
    return status;
}

const struct command command_connect = {.name = "connect", .usage = usage, .run = run_connect};
