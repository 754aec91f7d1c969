#include "net/dualstack.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"

/* RFC 8305 section 8: the recommended Resolution Delay. */
#define RESOLUTION_DELAY_MS 50

/* The look-up of one family. */
struct family {
    struct dualstack *name;
    int family;
    struct resolver_request request;
    bool pending;
};

struct apart {
    struct family families[2];
};

static const int families[] = {AF_INET6, AF_INET};

static bool has_address(const struct dualstack *n, size_t count, const struct addr *a)
{
    size_t i;

    for (i = 0; i < count; i++)
        if (addr_equal(&n->addresses[i], a))
            return true;
    return false;
}

/*
 * Lets the families of the addresses that were not tried alternate (RFC 8305 section 4), each in
 * its own order. `first` is the family to begin with.
 */
static void interleave(struct dualstack *n, int first)
{
    struct addr *list = n->addresses + n->next;
    struct addr begin[DUALSTACK_ADDRESSES_MAX], other[DUALSTACK_ADDRESSES_MAX];
    size_t total = n->count - n->next, begins = 0, others = 0, out = 0, i;

    for (i = 0; i < total; i++) {
        if (list[i].sa.sa_family == first)
            begin[begins++] = list[i];
        else
            other[others++] = list[i];
    }
    for (i = 0; out < total; i++) {
        if (i < begins)
            list[out++] = begin[i];
        if (i < others)
            list[out++] = other[i];
    }
}

/*
 * Adds an answer to the addresses that were not tried. An address is not tried again because
 * another look-up has it as well.
 */
static void add_answer(struct dualstack *n, const struct resolver_request *q, int family, int first)
{
    const size_t known = n->count;
    size_t i;

    for (i = 0; i < q->count && n->count < DUALSTACK_ADDRESSES_MAX; i++) {
        const struct addr *a = &q->addresses[i];

        if (family != AF_UNSPEC && a->sa.sa_family != family)
            continue;
        if (!has_address(n, known, a))
            n->addresses[n->count++] = *a;
    }
    if (n->next > 0) /* the other family than that of the last attempt */
        first = n->addresses[n->next - 1].sa.sa_family == AF_INET ? AF_INET6 : AF_INET;
    interleave(n, first);
}

static void end_apart(struct dualstack *n)
{
    size_t i;

    if (!n->apart)
        return;
    for (i = 0; i < COUNT_OF(families); i++)
        resolver_cancel(&n->apart->families[i].request);
    free(n->apart);
    n->apart = NULL;
}

static bool is_apart_pending(const struct dualstack *n)
{
    return n->apart && (n->apart->families[0].pending || n->apart->families[1].pending);
}

static void take_family(struct family *f)
{
    f->pending = false;
    add_answer(f->name, &f->request, f->family, AF_INET6);
}

static void on_family(struct resolver_request *request)
{
    struct family *f = container_of(request, struct family, request);

    take_family(f);
    f->name->changed(f->name);
}

/* Looks up each family by itself as well. Without memory for that, both are waited for. */
static void start_apart(struct dualstack *n)
{
    size_t i;

    n->apart = calloc(1, sizeof(*n->apart));
    if (!n->apart)
        return;
    for (i = 0; i < COUNT_OF(families); i++) {
        struct family *f = &n->apart->families[i];

        f->name = n;
        f->family = families[i];
        f->request.done = on_family;
        f->request.again = true;
        f->pending = !resolver_ask(n->resolver, n->host, families[i], n->max_age, &f->request);
        if (!f->pending)
            take_family(f);
    }
}

/* Uses what is known of each family since the last look-up of both took long. */
static void take_known_families(struct dualstack *n)
{
    struct resolver_request known = {0};
    size_t i;

    for (i = 0; i < COUNT_OF(families); i++)
        if (resolver_find(n->resolver, n->host, families[i], n->max_age, &known))
            add_answer(n, &known, families[i], AF_INET6);
}

static void take_answer(struct dualstack *n)
{
    const struct resolver_request *q = &n->request;

    n->pending = false;
    n->error = q->error;
    if (q->count) {
        end_apart(n);
        add_answer(n, q, n->family, q->addresses[0].sa.sa_family);
    } else if (q->temporary && n->family == AF_UNSPEC && !n->apart) {
        /* one question may have failed, and the other one have an answer */
        start_apart(n);
    }
}

static void on_answer(struct resolver_request *request)
{
    struct dualstack *n = container_of(request, struct dualstack, request);

    take_answer(n);
    n->changed(n);
}

void dualstack_start(struct dualstack *n, struct resolver *resolver, const char *host, int family,
                     int64_t max_age, uint64_t now)
{
    n->resolver = resolver;
    n->host = host;
    n->family = family;
    n->max_age = max_age;
    n->since = now;
    n->request.done = on_answer;
    if (resolver_ask(resolver, host, family, max_age, &n->request)) {
        take_answer(n);
        return;
    }
    n->pending = true;
    n->since = n->request.since;
    if (family == AF_UNSPEC)
        take_known_families(n);
}

enum dualstack_next dualstack_next(struct dualstack *n, uint64_t now, struct addr *address,
                                   uint64_t *wake)
{
    *wake = UINT64_MAX;
    if (n->pending && n->family == AF_UNSPEC && !n->apart && n->count == n->next) {
        if (now >= n->since + RESOLUTION_DELAY_MS)
            start_apart(n);
        else
            *wake = n->since + RESOLUTION_DELAY_MS;
    }
    if (n->next < n->count) {
        *address = n->addresses[n->next++];
        return DUALSTACK_ADDRESS;
    }
    return n->pending || is_apart_pending(n) ? DUALSTACK_WAIT : DUALSTACK_END;
}

void dualstack_end(struct dualstack *n)
{
    resolver_cancel(&n->request);
    end_apart(n);
}
