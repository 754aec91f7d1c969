#include "trust/certname.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/hostname.h"
#include "base/spiffe.h"
#include "trust/svid.h"

static bool matches_wildcard(const char *pattern, const char *name)
{
    const char *rest = strchr(name, '.');

    if (strncmp(pattern, "*.", 2) != 0 || !rest || rest == name)
        return false;
    return strcasecmp(pattern + 1, rest) == 0 && hostname_check(rest + 1) == NULL
           && strchr(rest + 1, '.') && rest[strlen(rest) - 1] != '.';
}

static bool matches_dns(const ASN1_IA5STRING *dns, const char *name)
{
    const size_t n = (size_t)ASN1_STRING_length(dns);
    char pattern[HOSTNAME_MAX + 1];

    if (n == 0 || n >= sizeof(pattern) || memchr(ASN1_STRING_get0_data(dns), '\0', n))
        return false;
    memcpy(pattern, ASN1_STRING_get0_data(dns), n);
    pattern[n] = '\0';
    return strcasecmp(pattern, name) == 0 || matches_wildcard(pattern, name);
}

bool certname_matches(X509 *cert, const char *name)
{
    GENERAL_NAMES *names;
    bool matches = false;
    int i;

    if (spiffe_is_meant(name))
        return svid_check(cert, name) == NULL;
    /* never as a host for an IP literal: there *.0.0.1 would match 127.0.0.1 */
    if (hostname_is_ip(name))
        return X509_check_ip_asc(cert, name, 0) == 1;
    names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (i = 0; !matches && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *san = sk_GENERAL_NAME_value(names, i);

        matches = san->type == GEN_DNS && matches_dns(san->d.dNSName, name);
    }
    GENERAL_NAMES_free(names);
    return matches;
}

void certname_explain(X509 *cert, const char *name, char *text, size_t size)
{
    const char *why = spiffe_is_meant(name) ? svid_check(cert, name) : NULL;

    if (why)
        snprintf(text, size, "the certificate is no SVID of verify_name: %s", why);
    else
        snprintf(text, size, "the certificate is not for %s", name);
}
