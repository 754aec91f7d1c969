#include "trust/hashdir.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Returns true for "HASH.N", or with the letter before N for "HASH.rN". */
static bool is_link_name(const char *name, const char *letter)
{
    const size_t hash = strspn(name, "0123456789abcdef"), n = strlen(letter);

    if (hash != 8 || name[8] != '.' || strncmp(name + 9, letter, n) != 0)
        return false;
    name += 9 + n;
    return *name && !name[strspn(name, "0123456789")];
}

static int is_certificate_link(const struct dirent *entry)
{
    return is_link_name(entry->d_name, "");
}

static int is_crl_link(const struct dirent *entry)
{
    return is_link_name(entry->d_name, "r");
}

bool hashdir_list(const char *path, bool crls, struct hashdir *out)
{
    struct dirent **links;
    const int count = scandir(path, &links, crls ? is_crl_link : is_certificate_link, alphasort);
    int i;

    *out = (struct hashdir){0};
    if (count < 0)
        return false;
    out->paths = xcalloc((size_t)count + 1, sizeof(*out->paths));
    for (i = 0; i < count; i++) {
        out->paths[out->count++] = xasprintf("%s/%s", path, links[i]->d_name);
        free(links[i]);
    }
    free(links);
    return true;
}

void hashdir_free(struct hashdir *dir)
{
    size_t i;

    for (i = 0; i < dir->count; i++)
        free(dir->paths[i]);
    free(dir->paths);
    *dir = (struct hashdir){0};
}
