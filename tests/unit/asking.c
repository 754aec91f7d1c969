#include "asking.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

struct thread asking_thread, asking_other;

/* Requests point back at who asked. */
struct question {
    struct resolver_request request;
    struct asking *asker;
};

static void take(struct asking *a, const struct resolver_request *q)
{
    char ip[ADDR_TEXT_SIZE];
    size_t i;

    a->answers++;
    a->count = q->count;
    a->error = q->error;
    a->text[0] = '\0';
    for (i = 0; i < q->count; i++) {
        assert_int_equal(addr_port(&q->addresses[i]), 0);
        if (i)
            strcat(a->text, " ");
        strcat(a->text, addr_format_ip(&q->addresses[i], ip));
    }
}

void asking_cancel(struct asking *a)
{
    resolver_cancel(a->request);
    free(a->request);
    a->request = NULL;
}

static void on_done(struct resolver_request *q)
{
    struct asking *a = container_of(q, struct question, request)->asker;

    assert_ptr_equal(a->request, q);
    assert_null(q->name);
    assert_null(q->resolver);
    take(a, q);
    free(a->request);
    a->request = NULL;
    if (a->to_cancel && a->to_cancel->request)
        asking_cancel(a->to_cancel);
    if (a->again-- > 0 && !asking_ask(a, a->to_ask_again, AF_UNSPEC, ASKING_AGE))
        assert_non_null(a->request);
}

bool asking_ask(struct asking *a, const char *host, int family, int64_t max_age)
{
    struct question *l = calloc(1, sizeof(*l));
    const int answers = a->answers;

    assert_non_null(l);
    l->asker = a;
    l->request.done = on_done;
    l->request.again = a->other_family;
    a->request = &l->request;
    if (!resolver_ask(a->thread ? a->thread->resolver : asking_thread.resolver, host, family,
                      max_age, a->request)) {
        assert_int_equal(a->answers, answers); /* never from within */
        return false;
    }
    assert_int_equal(a->answers, answers);
    take(a, a->request);
    free(a->request);
    a->request = NULL;
    return true;
}

void asking_run(void)
{
    uv_run(&asking_thread.loop, UV_RUN_DEFAULT);
}

void asking_wait(int count)
{
    while (names_asked() < count)
        usleep(1000);
    assert_int_equal(names_asked(), count);
}

void asking_assert_got(const struct asking *a, int answers, const char *text)
{
    assert_int_equal(a->answers, answers);
    assert_null(a->request);
    assert_string_equal(a->text, text);
    if (*text)
        assert_null(a->error);
}

int asking_setup(void **state)
{
    (void)state;
    names_reset();
    return thread_init(&asking_thread) == 0 ? thread_init(&asking_other) : -1;
}

static void finish(struct thread *r)
{
    if (r->resolver)
        thread_close(r);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    thread_free(r);
}

int asking_teardown(void **state)
{
    (void)state;
    names_release();
    finish(&asking_thread);
    finish(&asking_other);
    return 0;
}

int asking_group_setup(void **state)
{
    (void)state;
    alarm(120); /* what never comes is a failure as well */
    return 0;
}
