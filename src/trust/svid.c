#include "trust/svid.h"

#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

static bool is_id(const ASN1_IA5STRING *uri, const char *id)
{
    const size_t n = strlen(id);

    return (size_t)ASN1_STRING_length(uri) == n && memcmp(ASN1_STRING_get0_data(uri), id, n) == 0;
}

/* OpenSSL reads none of the names if a certificate has the extension twice. */
static const char *check_names(const X509 *cert, const char *id)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    const char *why = "it has no URI name";
    size_t uris = 0;
    int i;

    for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type != GEN_URI)
            continue;
        if (++uris > 1)
            why = "it has more than one URI name";
        else
            why = is_id(name->d.uniformResourceIdentifier, id) ? NULL : "its URI name is another";
    }
    GENERAL_NAMES_free(names);
    return why;
}

/* Without a key usage extension, X509_get_key_usage(3) returns all bits. */
static const char *check_leaf(X509 *cert)
{
    const uint32_t flags = X509_get_extension_flags(cert), usage = X509_get_key_usage(cert);

    if (flags & EXFLAG_INVALID)
        return "its extensions cannot be read";
    if (flags & EXFLAG_CA || X509_check_ca(cert) != 0)
        return "it is the certificate of a CA";
    if (flags & EXFLAG_KUSAGE && usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN))
        return "its key usage permits to sign certificates or revocation lists";
    return NULL;
}

const char *svid_check(X509 *cert, const char *id)
{
    const char *why = check_names(cert, id);

    return why ? why : check_leaf(cert);
}
