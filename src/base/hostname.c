#include "base/hostname.h"

#include <ctype.h>
#include <string.h>

#include "base/addr.h"

bool hostname_is_ip(const char *name)
{
    struct addr a;

    return addr_from_ip(&a, name, 0);
}

/* Returns true for a label that is a number: decimal, octal or hexadecimal. */
static bool is_number(const char *label, size_t n)
{
    if (n > 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
        return strspn(label + 2, "0123456789abcdefABCDEF") >= n - 2;
    return strspn(label, "0123456789") >= n;
}

size_t hostname_length(const char *name)
{
    const size_t n = strlen(name);

    return n > 1 && name[n - 1] == '.' && name[n - 2] != '.' ? n - 1 : n;
}

/* Returns a character in lower case, or 0 at the end and at a trailing dot. */
static int folded_at(const char *name, const char *at)
{
    if (*at == '.' && !at[1] && at > name && at[-1] != '.')
        return 0;
    return tolower((unsigned char)*at);
}

/* Sorting 10,000 sections calls this often. So it stops at the first difference. */
int hostname_compare(const char *a, const char *b)
{
    const char *p = a, *q = b;

    for (; *p && tolower((unsigned char)*p) == tolower((unsigned char)*q); q++)
        p++;
    return folded_at(a, p) - folded_at(b, q);
}

const char *hostname_check(const char *name)
{
    size_t len = strlen(name), label = 0, i;

    if (len == 0)
        return "is empty";
    if (hostname_is_ip(name))
        return NULL;
    if (strchr(name, ':') && strchr(name, '%'))
        return "has a zone after its '%' that is no network interface of this machine";
    if (name[0] == '.')
        return "starts with a dot";
    if (name[len - 1] == '.')
        len--;
    if (len > HOSTNAME_MAX)
        return "is longer than 253 characters";
    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];

        if (c == '.') {
            if (label == 0)
                return "has an empty label";
            label = 0;
            continue;
        }
        if (c >= 0x80)
            return "is not ASCII: give the xn-- form (idn2 NAME prints it)";
        if (c == '*')
            return "has a wildcard, which only a section for [proxy] may have";
        if (!isalnum(c) && c != '-' && c != '_')
            return "has a character that host names do not have";
        if (++label > 63)
            return "has a label longer than 63 characters";
    }
    if (label == 0)
        return "has an empty label";
    /* "127.1", "1.2.3.400", "0x7f000001": an address to inet_aton(3), a name to others */
    if (is_number(name + len - label, label))
        return "is neither a host name nor an IP address";
    return NULL;
}
