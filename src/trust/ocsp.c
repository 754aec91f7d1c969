#include "trust/ocsp.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509_vfy.h>
#include <stdbool.h>
#include <time.h>

#include "base/clock.h"
#include "base/util.h"
#include "trust/asn1time.h"
#include "trust/sigalg.h"

/* The clocks of the responder and of this machine may differ by this, in seconds. */
#define LEEWAY 300

/* A response without a date of the next one is valid for this long, in seconds. */
#define UNDATED_MAX DAY_SECONDS

/*
 * The response is signed by the issuer itself, or by a responder that this issuer has certified for
 * it (RFC 6960 section 4.2.2.2): the issuer is the only anchor.
 */
static bool signature_holds(OCSP_BASICRESP *basic, X509 *issuer, int64_t now)
{
    STACK_OF(X509) *known = sk_X509_new_null();
    X509_STORE *store = X509_STORE_new();
    bool ok = false;

    if (known && store && sk_X509_push(known, issuer) > 0 && X509_STORE_add_cert(store, issuer)) {
        X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), (time_t)now);
        X509_VERIFY_PARAM_set_auth_level(X509_STORE_get0_param(store), 2);
        X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
        ok = OCSP_basic_verify(basic, known, store, OCSP_NOEXPLICIT) == 1;
    }
    X509_STORE_free(store);
    sk_X509_free(known);
    return ok;
}

static const char *check_dates(const ASN1_GENERALIZEDTIME *from, const ASN1_GENERALIZEDTIME *until,
                               int64_t now)
{
    const int began = asn1time_compare(from, now + LEEWAY);

    if (began == 0)
        return "OCSP: the response has no date";
    if (began > 0)
        return "OCSP: the response is not valid yet";
    if (until && asn1time_compare(until, now - LEEWAY) <= 0)
        return "OCSP: the response has expired";
    if (!until && asn1time_compare(from, now - UNDATED_MAX) < 0)
        return "OCSP: the response has expired: it has no nextUpdate, and is more than a day old";
    return NULL;
}

/* Tries the digests that a responder may name the certificate by. SHA-1 signs nothing here. */
static bool find(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer, int *status,
                 ASN1_GENERALIZEDTIME **from, ASN1_GENERALIZEDTIME **until)
{
    const EVP_MD *const digests[] = {EVP_sha1(), EVP_sha256(), EVP_sha384(), EVP_sha512()};
    ASN1_GENERALIZEDTIME *revoked_at;
    bool found = false;
    size_t i;

    for (i = 0; !found && i < COUNT_OF(digests); i++) {
        OCSP_CERTID *id = OCSP_cert_to_id(digests[i], leaf, issuer);
        int reason;

        found = id && OCSP_resp_find_status(basic, id, status, &reason, &revoked_at, from, until);
        OCSP_CERTID_free(id);
    }
    return found;
}

static const char *check_basic(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer, int64_t now)
{
    ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
    int status = V_OCSP_CERTSTATUS_UNKNOWN;
    const ASN1_OBJECT *algorithm;
    const char *why;

    X509_ALGOR_get0(&algorithm, NULL, NULL, OCSP_resp_get0_tbs_sigalg(basic));
    if (sigalg_is_weak(OBJ_obj2nid(algorithm)))
        return "OCSP: the response is signed with SHA-1 or MD5, which can be forged";
    if (!signature_holds(basic, issuer, now))
        return "OCSP: the response is not signed by the certificate's issuer, or by a responder "
               "of it";
    if (!find(basic, leaf, issuer, &status, &from, &until))
        return "OCSP: the response is for another certificate";
    why = check_dates(from, until, now);
    if (why)
        return why;
    if (status == V_OCSP_CERTSTATUS_REVOKED)
        return "OCSP: the certificate is revoked";
    return status == V_OCSP_CERTSTATUS_GOOD ? NULL
                                            : "OCSP: the responder does not know the certificate";
}

const char *ocsp_check(const uint8_t *der, size_t len, X509 *leaf, X509 *issuer, int64_t now)
{
    const unsigned char *p = der;
    OCSP_RESPONSE *response;
    OCSP_BASICRESP *basic;
    const char *why;

    if (!der)
        return "OCSP: no response was stapled";
    response = d2i_OCSP_RESPONSE(NULL, &p, (long)len);
    basic = response ? OCSP_response_get1_basic(response) : NULL;
    if (!response || p != der + len)
        why = "OCSP: the response cannot be read";
    else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        why = "OCSP: the responder answered with an error";
    else if (!basic)
        why = "OCSP: the response is of an unknown kind";
    else
        why = check_basic(basic, leaf, issuer, now);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return why;
}
