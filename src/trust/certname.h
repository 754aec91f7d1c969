/* The names in a certificate, and the one rule that compares a name with them. */
#ifndef TRUST_CERTNAME_H
#define TRUST_CERTNAME_H

#include <openssl/x509.h>
#include <stdbool.h>

/*
 * Checks that a certificate has a name in its subjectAltName extension; the subject's CN has no
 * effect. An IP address must equal one of its IP addresses. A host name must equal one of its DNS
 * names in any case, or match one that begins with "*.": the star matches exactly one whole label,
 * and at least two labels follow it (RFC 9525 section 6.3). A label may have letters, digits,
 * hyphens and underscores, with a wildcard and without: X509_check_host(3) accepts underscores in
 * an exact name only. For a SPIFFE ID see svid.h.
 */
bool certname_matches(X509 *cert, const char *name);

/* Writes to text, of size bytes, that a certificate does not have a name. */
void certname_explain(X509 *cert, const char *name, char *text, size_t size);

#endif
