#include "engine/complaint.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>

int complaint_alert(void)
{
    const unsigned long error = ERR_peek_error();
    const int reason = ERR_GET_REASON(error);

    if (ERR_GET_LIB(error) != ERR_LIB_SSL || reason < SSL_AD_REASON_OFFSET
        || reason > SSL_AD_REASON_OFFSET + 255)
        return -1;
    return reason - SSL_AD_REASON_OFFSET;
}

/* Before its first answer, what is no TLS record tells of another protocol. */
static bool is_first_answer(const SSL *ssl)
{
    return SSL_get_state(ssl) == TLS_ST_CW_CLNT_HELLO || SSL_get_state(ssl) == TLS_ST_BEFORE;
}

static const char *meaning(const SSL *ssl, unsigned long error)
{
    const char *text = ERR_reason_error_string(error);

    switch (ERR_GET_REASON(error)) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
        if (is_first_answer(ssl))
            return "the server does not speak TLS on this port";
        break;
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return "the server speaks no TLS version that is allowed here";
    case SSL_R_DH_KEY_TOO_SMALL:
        return "the server's Diffie-Hellman group is not one of 2048 to 4096 bits";
    default:
        break;
    }
    return text ? text : "TLS error";
}

enum reason complaint_reason(const SSL *ssl, char words[COMPLAINT_SIZE])
{
    const unsigned long error = ERR_peek_error();
    const int reason = ERR_GET_REASON(error), alert = complaint_alert();

    if (error == 0)
        snprintf(words, COMPLAINT_SIZE, "the connection broke off");
    else if (alert == SSL_AD_CERTIFICATE_REQUIRED)
        snprintf(words, COMPLAINT_SIZE, "the server wants a client certificate");
    else if (alert >= 0)
        snprintf(words, COMPLAINT_SIZE, "the server refused: %s",
                 SSL_alert_desc_string_long(alert));
    else
        snprintf(words, COMPLAINT_SIZE, "%s", meaning(ssl, error));
    return reason == SSL_R_EE_KEY_TOO_SMALL || reason == SSL_R_DH_KEY_TOO_SMALL ? REASON_WEAK
                                                                                : REASON_TLS;
}
