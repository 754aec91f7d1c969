/*
 * One who connects over TCP, for the tests of dials, and the addresses that it tries: some
 * listen, some refuse, some are silent. After each test nothing may be left on the loop, and every
 * descriptor must be closed.
 */
#ifndef UNIT_DIALING_H
#define UNIT_DIALING_H

#include "config/loader.h"
#include "help.h"
#include "names.h"
#include "net/resolver.h"
#include "net/transport.h"
#include "proxy/thread.h"

extern struct thread dialing_thread;
extern int dialing_before; /* descriptors, when the test began */

/* One who connects. It frees itself when it is called, and its section with it, as owners may. */
struct dialing {
    struct transport_owner owner;
    struct config *config;
    struct config_section *section;
    struct transport *transport;
};

/* How the last one ended. */
struct dialing_result {
    int calls;
    int fd; /* -1: failed */
    enum stream_kind kind;
    struct attachment *attachment;
    struct addr peer;
    enum reason reason;
    char detail[600];
};
extern struct dialing_result dialing_result;

/* Creates one who connects to a host, with nothing but defaults. */
struct dialing *dialing_new(const char *host, uint16_t port);

/* Adds an address, which is tried in place of the host, after those that were added before. */
void dialing_add(struct dialing *c, const char *host, uint16_t port);

/* Starts to connect over TCP, or over another transport. */
void dialing_start(struct dialing *c);
void dialing_start_over(struct dialing *c, const struct transport_ops *ops);

/* Frees one whose transport was cancelled. */
void dialing_forget(struct dialing *c);

/* Runs the loop until that many look-ups have begun, which may be held. */
void dialing_wait(int count);

/* Runs the loop until nothing is left on it. */
void dialing_finish(void);

/* Expects a failure for this reason, with this in the detail. */
void dialing_assert_failed(enum reason reason, const char *detail);

/* Expects a connection to this port, which arrives at the listener, and no other. Closes it. */
void dialing_assert_connected(int listener, uint16_t port);

/* Returns a socket that is bound to an address. Port 0: the kernel chooses one. */
int dialing_bind(const char *ip, uint16_t port, uint16_t *got);

/* Returns a listener. */
int dialing_listen(const char *ip, uint16_t *port);

/* Returns a socket whose port refuses connections, and which nobody else can take. */
int dialing_refuse(const char *ip, uint16_t *port);

/* Makes a listener that answers no more, because its queue is full. Two descriptors. */
void dialing_silence(const char *ip, uint16_t *port, int fds[2]);

/* Binds one port of several addresses, so that nobody else has it at any of them. */
#define DIALING_ADDRESSES_MAX 4
void dialing_bind_all(const char *const *ips, size_t count, uint16_t *port,
                      int fds[DIALING_ADDRESSES_MAX]);

void dialing_close(const int *fds, size_t count);

/* Returns how many descriptors are open. */
int dialing_descriptors(void);

#define DIALING_TEST(test) cmocka_unit_test_setup_teardown(test, dialing_setup, dialing_teardown)
int dialing_setup(void **state);
int dialing_teardown(void **state);

/* Of a group of such tests. */
int dialing_group_setup(void **state);

#endif
