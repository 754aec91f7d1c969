/* Those who ask a resolver, on two loops, for the tests of resolver and lookup. */
#ifndef UNIT_ASKING_H
#define UNIT_ASKING_H

#include <stdbool.h>

#include "help.h"
#include "names.h"
#include "net/resolver.h"
#include "proxy/thread.h"

/* How old an answer may be, in milliseconds, where it does not matter. */
#define ASKING_AGE 30000

extern struct thread asking_thread, asking_other;

/* One who asks. Its request is in memory of its own, which is freed when it is answered. */
struct asking {
    struct thread *thread;            /* NULL: asking_thread */
    struct resolver_request *request; /* NULL: nothing is awaited */
    int answers;
    char text[1024]; /* the last answer, in its order: "192.0.2.1 2001:db8::1" */
    size_t count;
    const char *error;
    struct asking *to_cancel; /* when this one is answered */
    const char *to_ask_again; /* likewise */
    int again;                /* how many times */
    bool other_family;        /* the name is being looked up for another family as well */
};

/* Asks. Returns true if it is answered already. */
bool asking_ask(struct asking *a, const char *host, int family, int64_t max_age);

void asking_cancel(struct asking *a);

/* Runs asking_thread's loop until nothing is left on it. */
void asking_run(void);

/* Waits until that many look-ups have begun. */
void asking_wait(int count);

/* Expects that it has had so many answers, and awaits none; text is the last one, "" an error. */
void asking_assert_got(const struct asking *a, int answers, const char *text);

#define ASKING_TEST(test) cmocka_unit_test_setup_teardown(test, asking_setup, asking_teardown)
int asking_setup(void **state);
int asking_teardown(void **state);

/* Of a group of such tests. */
int asking_group_setup(void **state);

#endif
