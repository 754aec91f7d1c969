#include "tls/tlserr.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>

/*
 * Returns the oldest error of TLS itself, or 0. An error of another library that is older is its
 * cause: it says why a record could not be decrypted, or a certificate not be parsed. Stores the
 * oldest of all in *cause. Removes errors that are older than that of TLS from the queue.
 */
static unsigned long first_of_tls(unsigned long *cause)
{
    unsigned long error = ERR_peek_error();

    *cause = error;
    while (error && ERR_GET_LIB(error) != ERR_LIB_SSL) {
        (void)ERR_get_error();
        error = ERR_peek_error();
    }
    return error;
}

static int alert_of(unsigned long error)
{
    const int reason = ERR_GET_REASON(error);

    if (ERR_GET_LIB(error) != ERR_LIB_SSL || reason < SSL_AD_REASON_OFFSET
        || reason > SSL_AD_REASON_OFFSET + 255)
        return -1;
    return reason - SSL_AD_REASON_OFFSET;
}

bool tlserr_is_end(void)
{
    const unsigned long error = ERR_peek_error();

    return ERR_GET_LIB(error) == ERR_LIB_SSL
           && ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
}

/* Before its first answer, what is no TLS record tells of another protocol. */
static bool is_first_answer(const SSL *ssl)
{
    return SSL_get_state(ssl) == TLS_ST_CW_CLNT_HELLO || SSL_get_state(ssl) == TLS_ST_BEFORE;
}

static const char *text_of(unsigned long error)
{
    const char *text = ERR_reason_error_string(error);

    return text ? text : "TLS error";
}

/* Returns a better text for an error of TLS than OpenSSL's own, or NULL if there is none. */
static const char *meaning(const SSL *ssl, int reason)
{
    switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
        return is_first_answer(ssl)
                   ? "the server does not speak TLS on this port: services such as SMTP, "
                     "IMAP or LDAP may require STARTTLS: set 'starttls'"
                   : NULL;
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return "the server speaks no TLS version that is allowed here";
    case SSL_R_DH_KEY_TOO_SMALL:
        return "the server's Diffie-Hellman group is not one of 2048 to 4096 bits";
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
        return SSL_get_state(ssl) == TLS_ST_CR_CERT
                   ? "the server's certificates are more than 64 KiB together"
                   : NULL;
    default:
        return NULL;
    }
}

/* Whether the certificate could not be parsed: then the cause is an error of another library. */
static bool is_unreadable_certificate(const SSL *ssl, unsigned long error, unsigned long cause)
{
    if (SSL_get_state(ssl) != TLS_ST_CR_CERT)
        return false;
    return error != cause || ERR_GET_REASON(error) == SSL_R_LENGTH_MISMATCH
           || ERR_GET_REASON(error) == SSL_R_CERT_LENGTH_MISMATCH;
}

/*
 * Returns whether an alert is about the client's certificate, from a server that has asked for one.
 * handshake_failure is the answer of TLS 1.2 to a client without one (RFC 5246 section 7.4.6), and
 * GnuTLS answers with decode_error. The server has chosen version, suite and group by then.
 */
static bool is_about_client(const SSL *ssl, int alert)
{
    switch (alert) {
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_CERTIFICATE_REQUIRED:
        return true;
    case SSL_AD_DECODE_ERROR:
        return !SSL_get_certificate(ssl);
    default:
        return false;
    }
}

static enum reason refused_client(const SSL *ssl, int alert, char text[TLSERR_TEXT_SIZE])
{
    if (!SSL_get_certificate(ssl))
        snprintf(text, TLSERR_TEXT_SIZE, "the server requires a client certificate");
    else if (alert == SSL_AD_CERTIFICATE_REQUIRED)
        /* OpenSSL has sent none */
        snprintf(text, TLSERR_TEXT_SIZE,
                 "the server requires a client certificate, and takes no signature that the key of "
                 "client_cert can make (sigalgs, tls_max)");
    else
        snprintf(text, TLSERR_TEXT_SIZE, "the server refused the client certificate: %s",
                 SSL_alert_desc_string_long(alert));
    return REASON_CLIENT_CERT;
}

enum reason tlserr_reason(const SSL *ssl, bool asked, char text[TLSERR_TEXT_SIZE])
{
    unsigned long cause;
    const unsigned long error = first_of_tls(&cause);
    const int reason = error ? ERR_GET_REASON(error) : 0, alert = alert_of(error);
    const char *known = meaning(ssl, reason);

    if (asked && is_about_client(ssl, alert))
        return refused_client(ssl, alert, text);
    if (cause == 0)
        snprintf(text, TLSERR_TEXT_SIZE, "the connection broke off");
    else if (error == 0)
        snprintf(text, TLSERR_TEXT_SIZE, "%s", text_of(cause));
    else if (alert >= 0)
        snprintf(text, TLSERR_TEXT_SIZE, "the server refused: %s",
                 SSL_alert_desc_string_long(alert));
    else if (known)
        snprintf(text, TLSERR_TEXT_SIZE, "%s", known);
    else if (is_unreadable_certificate(ssl, error, cause))
        snprintf(text, TLSERR_TEXT_SIZE, "the server's certificate cannot be read: %s",
                 text_of(cause));
    else
        snprintf(text, TLSERR_TEXT_SIZE, "%s", text_of(error));
    return reason == SSL_R_EE_KEY_TOO_SMALL || reason == SSL_R_DH_KEY_TOO_SMALL ? REASON_WEAK
                                                                                : REASON_TLS;
}

const char *tlserr_loss(bool is_reset, bool heard)
{
#define CLOSED "the server closed the connection during the handshake"
#define RESET "the server reset the connection during the handshake"
#define HINT                                                                                       \
    ", before it sent anything: services such as PostgreSQL before 17, SMTP or LDAP require "      \
    "STARTTLS: set 'starttls'"
    if (heard)
        return is_reset ? RESET : CLOSED;
    return is_reset ? RESET HINT : CLOSED HINT;
}
