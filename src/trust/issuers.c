#include "trust/issuers.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

static void add(STACK_OF(X509) *anchors, X509 *ca)
{
    if (X509_add_cert(anchors, ca, X509_ADD_FLAG_UP_REF | X509_ADD_FLAG_NO_DUP) != 1)
        ERR_clear_error(); /* no memory: without the anchor the server is refused */
}

/* Returns whether another certificate that was sent names this one as its issuer. */
static bool is_named(const X509 *ca, const STACK_OF(X509) *sent)
{
    int i;

    for (i = 0; i < sk_X509_num(sent); i++) {
        const X509 *other = sk_X509_value(sent, i);

        if (other != ca
            && X509_NAME_cmp(X509_get_subject_name(ca), X509_get_issuer_name(other)) == 0)
            return true;
    }
    return false;
}

/*
 * The two ways to find the CAs of a pin: in the file of the pin, and among the certificates sent.
 * Each returns true if a certificate that was sent is one, or names one as its issuer.
 */

static bool add_pinned(STACK_OF(X509) *anchors, const struct pin *pin, const X509 *leaf,
                       const STACK_OF(X509) *sent)
{
    const unsigned char *der = pin->der;
    X509 *ca = der ? d2i_X509(NULL, &der, (long)pin->der_len) : NULL;
    bool named = false;

    if (ca && X509_cmp(ca, leaf) != 0) {
        add(anchors, ca);
        named = is_named(ca, sent);
    }
    X509_free(ca);
    return named;
}

static bool add_sent(STACK_OF(X509) *anchors, const struct pin *pin, const X509 *leaf,
                     const STACK_OF(X509) *sent)
{
    bool found = false;
    int i;

    for (i = 0; i < sk_X509_num(sent); i++) {
        X509 *ca = sk_X509_value(sent, i);

        if (X509_cmp(ca, leaf) == 0 || !pin_matches_cert(pin, PIN_ISSUER, ca))
            continue;
        add(anchors, ca);
        found = true;
    }
    return found;
}

void issuers_find(struct issuers *found, const struct pin_list *pins, int64_t now, X509 *leaf,
                  STACK_OF(X509) *sent)
{
    size_t i;
    int n;

    *found = (struct issuers){.live = sk_X509_new_null(), .expired = sk_X509_new_null()};
    for (i = 0; i < pins->count; i++) {
        const struct pin *pin = &pins->items[i];
        const bool expired = pin_is_expired(pin, now);
        STACK_OF(X509) *anchors = expired ? found->expired : found->live;
        bool named;

        if (pin->role != PIN_ISSUER || !anchors)
            continue;
        named = add_pinned(anchors, pin, leaf, sent);
        named = add_sent(anchors, pin, leaf, sent) || named;
        found->named = found->named || (named && !expired);
    }
    for (n = 0; n < sk_X509_num(sent); n++)
        if (X509_self_signed(sk_X509_value(sent, n), 0) == 1)
            found->complete = true;
    ERR_clear_error();
}

void issuers_free(struct issuers *found)
{
    sk_X509_pop_free(found->live, X509_free);
    sk_X509_pop_free(found->expired, X509_free);
    memset(found, 0, sizeof(*found));
}

const char *issuers_hint(const struct pin_list *pins, const struct issuers *found)
{
    size_t i;

    if (found->complete || found->named)
        return "";
    for (i = 0; i < pins->count; i++)
        if (pins->items[i].role == PIN_ISSUER && !pins->items[i].der)
            return "the server sent no pinned CA, and one that is pinned by its digest must be sent: "
                   "pinned as issuer-cert:FILE it need not be sent";
    return "";
}

void issuers_match(const struct pin_list *pins, const STACK_OF(X509) *chain, int64_t now,
                   struct pin_match *match)
{
    int depth;
    size_t i;

    for (i = 0; i < pins->count; i++)
        for (depth = 1; depth < sk_X509_num(chain) && !match->live; depth++)
            if (pin_matches_cert(&pins->items[i], PIN_ISSUER, sk_X509_value(chain, depth)))
                pin_match_add(match, &pins->items[i], now);
}

void issuers_describe_misplaced(const struct pin_list *pins, const STACK_OF(X509) *sent, char *text,
                                size_t size)
{
    size_t i;
    int n;

    text[0] = '\0';
    for (i = 0; i < pins->count; i++)
        for (n = 1; n < sk_X509_num(sent); n++) {
            X509 *ca = sk_X509_value(sent, n);
            struct cert_info info;

            if (!pin_matches_cert(&pins->items[i], PIN_SERVER, ca) || X509_check_ca(ca) == 0
                || !is_named(ca, sent))
                continue;
            if (cert_describe(ca, &info))
                pin_describe_misplaced(&pins->items[i], info.subject, text, size);
            cert_info_free(&info);
            return;
        }
}
