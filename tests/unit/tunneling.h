/*
 * One tunnel with its client, and a TLS server in a thread of its own, for the tests of what a tunnel
 * passes and when. After each test everything must be closed and counted.
 */
#ifndef UNIT_TUNNELING_H
#define UNIT_TUNNELING_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs.h"
#include "filter/filter.h"
#include "front/front.h"
#include "proxy/tunnel.h"

#define TUNNELING_BULK ((size_t)150 * 1024)

/* Certificates of servers: the first one is pinned. */
extern struct cert tunneling_good, tunneling_bad;

/* The filter of the section that the next tunneling_start() makes, or NULL. */
extern const struct filter_ops *tunneling_filter;

/* A TLS server in a thread of its own: takes one connection, reads, answers, closes in order. */
struct tunneling_server {
    int listener;
    uint16_t port;
    const struct cert *cert;
    size_t wanted; /* bytes of plaintext to read before the answer */
    sem_t go;      /* the handshake begins when this is posted */
    pthread_t thread;
    _Atomic int accepted;
    uint8_t got[2 * TUNNELING_BULK];
    _Atomic size_t got_len; /* stored after the bytes, which another thread then reads */
};

/* A tunnel under test, and the client's end of its connection. */
struct tunneling {
    struct tunneling_server server;
    struct snapshot *snapshot;
    struct frontend *frontend;
    struct tunnel *tunnel;
    int client, inner; /* the client's descriptor, and the tunnel's */
    uint8_t got[2 * TUNNELING_BULK];
    size_t got_len;
    int error; /* of recv(2); 0 with eof: the stream has ended in order */
    bool eof;
    enum reason reason;
    bool opened, freed;
};

/* Returns a snapshot of one section, whose server is at a port of the loopback address. */
struct snapshot *tunneling_snapshot(const char *name, long host_port, uint16_t port,
                                    const struct snapshot *old);

/*
 * Starts a server, which reads `wanted` bytes before it answers, and a tunnel to it. routes: the
 * front end has no section, the client names it. tunneling_finish() ends both.
 */
struct tunneling *tunneling_start(const struct front_ops *front, bool routes,
                                  const struct cert *cert, size_t wanted);

/* Sends bytes as the client. */
void tunneling_send(struct tunneling *s, const void *bytes, size_t n);

/* Runs the loop once, and receives as the client. */
void tunneling_run(struct tunneling *s);

/* Runs it until a condition holds, or for long enough for whatever would come too early. */
void tunneling_run_until(struct tunneling *s, bool (*reached)(const struct tunneling *));
void tunneling_run_a_little(struct tunneling *s);

/* Conditions. */
bool tunneling_client_has_ended(const struct tunneling *s);
bool tunneling_is_freed(const struct tunneling *s);
bool tunneling_has_accepted(const struct tunneling *s);

/* Checks all that the client, or the server, has got. */
void tunneling_assert_got(const struct tunneling *s, const char *text);
void tunneling_assert_server_got(const struct tunneling *s, const char *text);

/* Returns how many tunnels are counted. */
uint64_t tunneling_count(const struct stats *s);

/* Ends both. What is left behind is found here or by a sanitizer. */
void tunneling_finish(struct tunneling *s);

/* Of a group of such tests. */
int tunneling_group_setup(void **state);

#endif
