/*
 * Parses the heads of HTTP/1.1 responses (RFC 9112): status-lines and field sections. Bytes in, the
 * number of bytes consumed out. It has no memory of its own: the caller passes what was received so
 * far, from the first byte on, and passes it again with more bytes while the head is incomplete.
 *
 * It is strict where a lenient parser and a strict one would see different fields: no line folding,
 * no control byte, no whitespace before the colon. As RFC 9112 section 2.2 permits, a line may end
 * in LF alone.
 */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

/* The maximum length of all heads up to the final one, in bytes. */
#define HTTP_HEAD_MAX ((size_t)32 * 1024)

/* The maximum number of interim responses before the final one. */
#define HTTP_INTERIM_MAX 8

/* A piece of the bytes that were parsed. Valid as long as they are. */
struct http_text {
    const char *bytes;
    size_t len;
};

struct http_response {
    int version;             /* 11 for HTTP/1.1, 10 for HTTP/1.0 */
    int status;              /* the status code */
    struct http_text reason; /* the reason phrase, in the server's own words; may be empty */
    struct http_text fields; /* the field section: every line is a well-formed field-line */
};

enum http_result {
    HTTP_MORE, /* the head is incomplete */
    HTTP_HEAD, /* the head is complete */
    HTTP_BAD,  /* this is no response, whatever follows */
};

/*
 * Parses the head of the final response. Interim responses (1xx) before it are checked and skipped
 * (RFC 9110 section 15.2); a switch of protocols (101) is refused, since none was asked for.
 *
 * bytes are the n bytes received so far. Returns HTTP_HEAD with *response and *consumed, which is
 * the length of all heads, so that the content begins behind it; or HTTP_BAD with *why, a literal;
 * or HTTP_MORE. The result does not depend on how many bytes are passed at a time.
 */
enum http_result http_response_parse(const char *bytes, size_t n, struct http_response *response,
                                     size_t *consumed, const char **why);

/*
 * Looks for a field by its name, which is compared without regard to case. Returns true with the
 * first field's value, without the whitespace around it, or false if there is none.
 */
bool http_response_find_field(const struct http_response *response, const char *name,
                              struct http_text *value);

#endif
