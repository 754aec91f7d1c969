/*
 * StartTLS in LDAP (RFC 4511 section 4.14). One request is sent, and its answer is parsed as the
 * BER that LDAP permits (section 5.1): lengths are definite. They may be longer than they need to
 * be, since Active Directory always writes four bytes.
 */
#include "dialog/dialog.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The maximum length of the answer, with its header. */
#define LDAP_MESSAGE_MAX 4096

/* The server's words in a message are cut after this many bytes. */
#define LDAP_QUOTED_MAX 160

#define OID_START_TLS "1.3.6.1.4.1.1466.20037"
#define OID_DISCONNECTION "1.3.6.1.4.1.1466.20036"

/* The messageID of the request. Id 0 is of a message that the server sends unasked. */
#define LDAP_REQUEST_ID 1

enum {
    BER_INTEGER = 0x02,
    BER_OCTET_STRING = 0x04,
    BER_ENUMERATED = 0x0a,
    BER_SEQUENCE = 0x30,
    LDAP_EXTENDED_RESPONSE = 0x78, /* [APPLICATION 24] */
    LDAP_REFERRAL = 0xa3,          /* [3], in the answer */
    LDAP_RESPONSE_NAME = 0x8a,     /* [10] */
    LDAP_RESPONSE_VALUE = 0x8b,    /* [11] */
    LDAP_CONTROLS = 0xa0,          /* [0], behind the answer */
};

/* The contents of an element, or what has not been read of them. */
struct ber {
    const uint8_t *bytes;
    size_t len;
};

struct ldap {
    bool asked;
};

struct response {
    long id;
    long code;          /* resultCode */
    struct ber message; /* diagnosticMessage */
    struct ber name;    /* responseName; bytes is NULL if there is none */
};

enum ber_result {
    BER_OK,
    BER_MORE, /* the header is incomplete */
    BER_BAD,
};

/* Parses the tag and the length of an element. *header is their size, and *len the contents'. */
static enum ber_result ber_parse_header(const struct ber *in, uint8_t *tag, size_t *header,
                                        size_t *len)
{
    size_t n, i;

    if (in->len < 2)
        return BER_MORE;
    *tag = in->bytes[0];
    n = in->bytes[1];
    *header = 2;
    *len = n;
    if (n < 0x80)
        return BER_OK;
    n &= 0x7f;
    if (n == 0 || n > 4) /* indefinite, or more than any message has */
        return BER_BAD;
    if (in->len < 2 + n)
        return BER_MORE;
    for (*len = 0, i = 0; i < n; i++)
        *len = *len << 8 | in->bytes[2 + i];
    *header += n;
    return BER_OK;
}

/* Takes the next element, which must have this tag. Returns false if it is another, or damaged. */
static bool ber_take(struct ber *in, uint8_t expected, struct ber *contents)
{
    size_t header, len;
    uint8_t tag;

    if (ber_parse_header(in, &tag, &header, &len) != BER_OK || tag != expected
        || len > in->len - header)
        return false;
    *contents = (struct ber){in->bytes + header, len};
    *in = (struct ber){in->bytes + header + len, in->len - header - len};
    return true;
}

/* As ber_take(), but an element with another tag, or none, is no error: *contents is unchanged. */
static bool ber_take_optional(struct ber *in, uint8_t expected, struct ber *contents)
{
    return in->len == 0 || in->bytes[0] != expected || ber_take(in, expected, contents);
}

/* Takes a number that is not negative and has at most 31 bits, in the fewest bytes (X.690 8.3). */
static bool ber_take_number(struct ber *in, uint8_t tag, long *number)
{
    struct ber contents;
    size_t i;

    if (!ber_take(in, tag, &contents) || contents.len == 0 || contents.len > 4
        || contents.bytes[0] >= 0x80)
        return false;
    if (contents.len > 1 && contents.bytes[0] == 0 && contents.bytes[1] < 0x80)
        return false;
    for (*number = 0, i = 0; i < contents.len; i++)
        *number = *number << 8 | contents.bytes[i];
    return true;
}

static bool equals(const struct ber *b, const char *s)
{
    return b->len == strlen(s) && memcmp(b->bytes, s, b->len) == 0;
}

/* Parses an LDAPMessage with an ExtendedResponse. Returns false if it is not one. */
static bool parse_response(struct ber in, struct response *r)
{
    struct ber message, response, ignored;

    *r = (struct response){0};
    return ber_take(&in, BER_SEQUENCE, &message) && in.len == 0
           && ber_take_number(&message, BER_INTEGER, &r->id)
           && ber_take(&message, LDAP_EXTENDED_RESPONSE, &response)
           && ber_take_optional(&message, LDAP_CONTROLS, &ignored) && message.len == 0
           && ber_take_number(&response, BER_ENUMERATED, &r->code)
           && ber_take(&response, BER_OCTET_STRING, &ignored) /* matchedDN */
           && ber_take(&response, BER_OCTET_STRING, &r->message)
           && ber_take_optional(&response, LDAP_REFERRAL, &ignored)
           && ber_take_optional(&response, LDAP_RESPONSE_NAME, &r->name)
           && ber_take_optional(&response, LDAP_RESPONSE_VALUE, &ignored) && response.len == 0;
}

/* Returns the name of a resultCode that a server may have for this request, or "error". */
static const char *code_name(long code)
{
    switch (code) {
    case 1:
        return "operationsError";
    case 2:
        return "protocolError";
    case 10:
        return "referral";
    case 51:
        return "busy";
    case 52:
        return "unavailable";
    case 53:
        return "unwillingToPerform";
    default:
        return "error";
    }
}

static enum dialog_result fail(struct dialog_io *io, const char *why)
{
    snprintf(io->detail, DIALOG_DETAIL_SIZE, "%s", why);
    return DIALOG_FAILED;
}

static enum dialog_result refuse(struct dialog_io *io, const char *what, const struct response *r)
{
    const struct ber *m = &r->message;

    snprintf(io->detail, DIALOG_DETAIL_SIZE, "%s: %s (%ld)%s%.*s", what, code_name(r->code),
             r->code, m->len ? ": " : "",
             (int)(m->len < LDAP_QUOTED_MAX ? m->len : LDAP_QUOTED_MAX), (const char *)m->bytes);
    return DIALOG_FAILED;
}

/* Judges the answer, which is complete. */
static enum dialog_result read_response(struct ber in, struct dialog_io *io)
{
    struct response r;

    if (!parse_response(in, &r))
        return fail(io, "the server's answer to StartTLS is not one of LDAP");
    if (r.id == 0 && r.name.bytes && equals(&r.name, OID_DISCONNECTION))
        return refuse(io, "the server closes the connection", &r);
    if (r.id != LDAP_REQUEST_ID)
        return fail(io, "the server answers a message that was not sent, and not StartTLS");
    if (r.code != 0)
        return refuse(io, "the server refuses StartTLS", &r);
    if (r.name.bytes && !equals(&r.name, OID_START_TLS))
        return fail(io, "the server answers another operation, and not StartTLS");
    return DIALOG_DONE;
}

static void send_request(struct strbuf *out)
{
    /* LDAPMessage { messageID, [APPLICATION 23] { [0] requestName } } */
    static const char header[] = {BER_SEQUENCE, 29, BER_INTEGER, 1, LDAP_REQUEST_ID,
                                  0x77,         24, (char)0x80,  22};

    _Static_assert(sizeof(OID_START_TLS) - 1 == 22,
                   "the lengths in the header are of another name");
    strbuf_add_bytes(out, header, sizeof(header));
    strbuf_add(out, OID_START_TLS);
}

static enum dialog_result run_ldap(void *state, struct dialog_io *io)
{
    const struct ber in = {io->in, io->in_len};
    struct ldap *l = state;
    size_t header, len;
    uint8_t tag;

    if (!l->asked)
        send_request(io->out);
    l->asked = true;
    if (in.len > 0 && in.bytes[0] != BER_SEQUENCE)
        return fail(io, "the server's answer to StartTLS is not one of LDAP");
    switch (ber_parse_header(&in, &tag, &header, &len)) {
    case BER_MORE:
        return DIALOG_MORE;
    case BER_BAD:
        return fail(io, "the server's answer to StartTLS has a length that LDAP forbids");
    case BER_OK:
        break;
    }
    if (len > LDAP_MESSAGE_MAX - header)
        return fail(io, "the server's answer to StartTLS is too long");
    if (in.len < header + len)
        return DIALOG_MORE;
    io->used = header + len;
    return read_response((struct ber){in.bytes, io->used}, io);
}

const struct dialog_ops dialog_ldap = {"ldap", REASON_STARTTLS, sizeof(struct ldap), run_ldap};
