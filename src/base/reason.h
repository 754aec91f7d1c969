/*
 * The reasons why tunnels end, in one table: the name in logs, counters and the tool, the event
 * that reports it, and a text for people.
 */
#ifndef BASE_REASON_H
#define BASE_REASON_H

#include "base/log.h"

/*
 * The event that reports a reason. A tunnel that was open also gets tunnel_close. A tunnel that
 * never opened gets this one event.
 */
enum reason_kind {
    REASON_KIND_END,       /* tunnel_close only: it is no error */
    REASON_KIND_UPSTREAM,  /* upstream_error */
    REASON_KIND_TRUNCATED, /* truncated */
    REASON_KIND_MISMATCH,  /* pin_mismatch */
    REASON_KIND_REFUSED,   /* refused */
    REASON_KIND_LIMIT,     /* limit */
};

/* TRUST: a verdict about the server. Each row says it, so that no reason is one by mistake. */
enum reason_about {
    REASON_ABOUT_OTHER,
    REASON_ABOUT_TRUST,
};

/* X(identifier, name, kind, about, text) */
#define REASONS(X)                                                                                 \
    X(NONE, "none", END, OTHER, "still going")                                                     \
    X(OK, "ok", END, OTHER, "both sides have finished")                                            \
    X(IDLE, "idle", END, OTHER, "no byte in either direction within idle_timeout")                 \
    X(HALF_CLOSE, "half_close", END, OTHER,                                                        \
      "the other side did not finish within half_close_timeout")                                   \
    X(LIFETIME, "lifetime", END, OTHER, "the tunnel was open for max_lifetime")                    \
    X(DRAINED, "drained", END, OTHER, "the daemon stopped")                                        \
    X(UNANSWERED, "unanswered", END, OTHER,                                                        \
      "the server closed without an answer to the last bytes")                                     \
    X(UPSTREAM_CLOSED, "upstream_closed", END, OTHER,                                              \
      "the server closed while the client was sending")                                            \
    X(CLIENT_RESET, "client_reset", END, OTHER, "the client reset its connection")                 \
    X(RESOLVE, "resolve", UPSTREAM, OTHER, "the host name could not be resolved")                  \
    X(CONNECT, "connect", UPSTREAM, OTHER, "no address of the host could be connected to")         \
    X(LOOP, "loop", UPSTREAM, OTHER,                                                               \
      "every address of the host is one of pinproxyd's own listeners")                             \
    X(TIMEOUT, "timeout", UPSTREAM, OTHER, "the server did not answer in time")                    \
    X(VIA, "via", UPSTREAM, OTHER, "the parent proxy refused, or its answer is wrong")             \
    X(STARTTLS, "starttls", UPSTREAM, OTHER,                                                       \
      "the server did not start TLS, or its answer is wrong")                                      \
    X(TLS, "tls", UPSTREAM, OTHER, "TLS failed")                                                   \
    X(CLIENT_CERT, "client_cert", UPSTREAM, OTHER, "the server did not accept this client")        \
    X(TRUNCATED, "truncated", TRUNCATED, OTHER,                                                    \
      "the server ended the stream without close_notify")                                          \
    X(PIN_MISMATCH, "pin_mismatch", MISMATCH, TRUST, "no pin matches what the server presented")   \
    X(EXPIRED_PINS, "expired_pins", REFUSED, TRUST, "only pins past their date match")             \
    X(REVOKED, "revoked", REFUSED, TRUST, "the server's key is revoked in the configuration")      \
    X(PKI, "pki", REFUSED, TRUST, "the certificate chain does not verify")                         \
    X(WEAK, "weak", REFUSED, TRUST, "a key or a signature is too weak")                            \
    X(RAW_KEY, "raw_key", REFUSED, TRUST,                                                          \
      "raw_key permits a certificate or a raw public key, and the server presented the other")     \
    X(NAME, "name", REFUSED, TRUST, "the server's certificate does not carry the name")            \
    X(DATES, "dates", REFUSED, TRUST, "the server's certificate is not valid today")               \
    X(TOFU_CHANGED, "tofu_changed", REFUSED, TRUST,                                                \
      "the server's key is not the one that was seen first")                                       \
    X(FIRST_USE, "first_use", REFUSED, TRUST, "no key of this server has been stored yet")         \
    X(UNSAVED, "unsaved", REFUSED, TRUST, "the key that was seen first could not be stored")       \
    X(PIN_REMOVED, "pin_removed", REFUSED, TRUST,                                                  \
      "the pin that the server was accepted on was removed")                                       \
    X(PROBE_ONLY, "probe_only", REFUSED, TRUST, "a probe accepts no server")                       \
    X(TLS_FROM_CLIENT, "tls_from_client", REFUSED, OTHER,                                          \
      "the client speaks TLS itself: let it speak plaintext to this port")                         \
    X(GREETING, "greeting", REFUSED, OTHER,                                                        \
      "the client's first bytes are not of the protocol expected")                                 \
    X(UNKNOWN_HOST, "unknown_host", REFUSED, OTHER,                                                \
      "no section has the host and port that the client names")                                    \
    X(MAX_CONNECTIONS, "max_connections", LIMIT, OTHER,                                            \
      "the section has reached its max_connections")                                               \
    X(FILES, "files", LIMIT, OTHER, "no file descriptors are left")                                \
    X(PROCESSES, "processes", LIMIT, OTHER, "no more processes are permitted")                     \
    X(MEMORY, "memory", LIMIT, OTHER, "out of memory")

enum reason {
#define X(id, name, kind, about, text) REASON_##id,
    REASONS(X)
#undef X
        REASON_COUNT
};

/* Return the name, the text and the kind in the table. The texts are static. */
const char *reason_name(enum reason r);
const char *reason_text(enum reason r);
enum reason_kind reason_kind(enum reason r);

/* Return the event that reports a reason, and its level. */
const char *reason_event(enum reason r);
enum log_level reason_level(enum reason r);

/* Returns true for a verdict about the server, for which the tool exits with status 3. */
bool reason_is_trust(enum reason r);

#endif
