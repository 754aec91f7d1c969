#include "learned/pending.h"

#include <stdlib.h>
#include <string.h>

#include "base/hostname.h"

struct pending_section {
    char name[LEARNED_SECTION_SIZE];
    bool has_next;
    struct learned_key next; /* the latest of those that were refused meanwhile */
    LIST_ENTRY(pending_section) link;
};

void pending_init(struct pending *p)
{
    pthread_mutex_init(&p->lock, NULL);
    LIST_INIT(&p->sections);
}

static void remove_section(struct pending_section *s)
{
    LIST_REMOVE(s, link);
    free(s);
}

void pending_destroy(struct pending *p)
{
    struct pending_section *s;

    while ((s = LIST_FIRST(&p->sections)))
        remove_section(s);
    pthread_mutex_destroy(&p->lock);
}

/* With the lock held. */
static struct pending_section *find_section(struct pending *p, const char *name)
{
    struct pending_section *s;

    LIST_FOREACH (s, &p->sections, link)
        if (hostname_compare(s->name, name) == 0)
            return s;
    return NULL;
}

/* With the lock held. */
static bool add_section(struct pending *p, const struct learned_key *key)
{
    struct pending_section *s = calloc(1, sizeof(*s));

    if (!s)
        return false;
    memcpy(s->name, key->section, sizeof(s->name));
    LIST_INSERT_HEAD(&p->sections, s, link);
    return true;
}

bool pending_begin(struct pending *p, const struct learned_key *key)
{
    struct pending_section *s;
    bool begins = false;

    pthread_mutex_lock(&p->lock);
    s = find_section(p, key->section);
    if (s) {
        s->next = *key;
        s->has_next = true;
    } else {
        begins = add_section(p, key);
    }
    pthread_mutex_unlock(&p->lock);
    return begins;
}

bool pending_end(struct pending *p, struct learned_key *key)
{
    struct pending_section *s;
    bool more;

    pthread_mutex_lock(&p->lock);
    s = find_section(p, key->section);
    more = s && s->has_next;
    if (more) {
        *key = s->next;
        s->has_next = false;
    } else if (s) {
        remove_section(s);
    }
    pthread_mutex_unlock(&p->lock);
    return more;
}

void pending_abort(struct pending *p, const struct learned_key *key)
{
    struct pending_section *s;

    pthread_mutex_lock(&p->lock);
    s = find_section(p, key->section);
    if (s)
        remove_section(s);
    pthread_mutex_unlock(&p->lock);
}
