#include "config/checks.h"

#include <stdlib.h>
#include <string.h>

static void check_loopback(const struct config_section *s, struct problems *problems)
{
    size_t i;

    for (i = 0; i < s->listen.count; i++)
        if (!addr_is_loopback(&s->listen.items[i].addr))
            problems_add(problems, s->listen.items[i].where,
                         "listen = %s: plaintext from other machines: listen on 127.0.0.1, [::1] "
                         "or a Unix socket, or say remote_clients = yes in [global]",
                         s->listen.items[i].text);
}

struct listen_place {
    char address[ADDR_TEXT_SIZE];
    const struct config_listen *listen;
};

static int compare_places(const void *a, const void *b)
{
    const struct listen_place *x = a, *y = b;
    int n = strcmp(x->address, y->address);

    if (n == 0)
        n = strcmp(x->listen->where.file, y->listen->where.file);
    if (n == 0)
        n = x->listen->where.line < y->listen->where.line ? -1 : 1;
    return n;
}

void config_check_listeners(const struct config *c, struct problems *problems)
{
    struct listen_place *places;
    size_t count = 0, i, j;

    for (i = 0; i < c->count; i++) {
        count += c->sections[i]->listen.count;
        if (!c->global.remote_clients)
            check_loopback(c->sections[i], problems);
    }
    places = xcalloc(count, sizeof(*places));
    count = 0;
    for (i = 0; i < c->count; i++) {
        const struct config_listens *list = &c->sections[i]->listen;

        for (j = 0; j < list->count; j++) {
            if (list->items[j].addr.sa.sa_family != AF_UNIX && addr_port(&list->items[j].addr) == 0)
                continue; /* the kernel chooses, never the same twice */
            places[count].listen = &list->items[j];
            addr_format(&list->items[j].addr, places[count].address);
            count++;
        }
    }
    if (count)
        qsort(places, count, sizeof(*places), compare_places);
    for (i = 1; i < count; i++)
        if (strcmp(places[i - 1].address, places[i].address) == 0)
            problems_add(problems, places[i].listen->where, "listen = %s stands at %s:%u already",
                         places[i].listen->text, places[i - 1].listen->where.file,
                         places[i - 1].listen->where.line);
    free(places);
}
