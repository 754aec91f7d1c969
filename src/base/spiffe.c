#include "base/spiffe.h"

#include <string.h>
#include <strings.h>

#include "base/util.h"

#define SCHEME "spiffe://"
#define SIGNS ".-_"
#define LOWER_CASE "abcdefghijklmnopqrstuvwxyz"
#define UPPER_CASE "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

bool spiffe_is_meant(const char *name)
{
    return strncasecmp(name, "spiffe:", 7) == 0;
}

/* Returns what is wrong with a character that ends the trust domain too early. */
static const char *explain_domain(char c)
{
    if (c == ':')
        return "has a port, or a user before its trust domain: remove it";
    if (c == '@')
        return "has a user before its trust domain: remove it";
    if (c == '?' || c == '#')
        return "has no path: the ID of a workload is spiffe://TRUST-DOMAIN/PATH";
    if (c == '%')
        return "has a '%' in its trust domain: there is no percent-encoding in a SPIFFE ID";
    if (strchr(UPPER_CASE, c))
        return "has an upper-case letter in its trust domain: write it in lower case";
    return "has a character in its trust domain other than a-z, 0-9, '.', '-' and '_'";
}

/* Returns what is wrong with a character that ends the path too early. */
static const char *explain_path(char c)
{
    if (c == '?' || c == '#')
        return "has a query or a fragment: remove it";
    if (c == '%')
        return "has a '%' in its path: there is no percent-encoding in a SPIFFE ID";
    return "has a character in its path other than letters, 0-9, '.', '-' and '_'";
}

/* Checks the path, which begins with a slash. */
static const char *check_path(const char *path)
{
    while (*path == '/') {
        const char *segment = path + 1;
        const size_t n = strspn(segment, LOWER_CASE UPPER_CASE DIGITS SIGNS);

        path = segment + n;
        if (*path && *path != '/')
            return explain_path(*path);
        if (n == 0)
            return *path ? "has an empty segment in its path ('//')"
                         : "ends with a slash: remove it, or add the rest of the path";
        if ((n == 1 && segment[0] == '.') || (n == 2 && segment[0] == '.' && segment[1] == '.'))
            return "has a segment '.' or '..' in its path";
    }
    return NULL;
}

const char *spiffe_check(const char *id)
{
    const char *domain = id + strlen(SCHEME);
    size_t n;

    if (!starts_with(id, SCHEME))
        return "does not begin with spiffe://, in lower case";
    if (strlen(id) > SPIFFE_ID_MAX)
        return "is longer than 2048 bytes";
    n = strspn(domain, LOWER_CASE DIGITS SIGNS);
    if (domain[n] && domain[n] != '/')
        return explain_domain(domain[n]);
    if (n == 0)
        return "has no trust domain";
    if (n > SPIFFE_DOMAIN_MAX)
        return "has a trust domain that is longer than 255 bytes";
    if (!domain[n])
        return "has no path: the ID of a workload is spiffe://TRUST-DOMAIN/PATH";
    return check_path(domain + n);
}
