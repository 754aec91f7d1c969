/* How a section's server is reached: the values of `via`. */
#ifndef CONFIG_VIA_H
#define CONFIG_VIA_H

struct arena;

/*
 * The transports, a row each: X(ID, name). `via = name` selects VIA_ID, which is transport_name
 * (net/transport.h).
 */
#define VIA_TRANSPORTS(X) X(TCP, tcp)

enum via {
#define X(id, name) VIA_##id,
    VIA_TRANSPORTS(X)
#undef X
        VIA_COUNT
};

/*
 * Reads a value of `via`. Returns NULL after setting *out, or what would have been right, a text
 * that the arena owns or a literal.
 */
const char *via_parse(const char *value, struct arena *arena, enum via *out);

#endif
