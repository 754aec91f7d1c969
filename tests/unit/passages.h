/* Assertions about filters. */
#ifndef UNIT_PASSAGES_H
#define UNIT_PASSAGES_H

#include "passage.h"

#define TO_SERVER(bytes)                                                                           \
    {                                                                                              \
        FILTER_TO_SERVER, bytes, sizeof(bytes) - 1                                                 \
    }
#define TO_CLIENT(bytes)                                                                           \
    {                                                                                              \
        FILTER_TO_CLIENT, bytes, sizeof(bytes) - 1                                                 \
    }

/* How a filter ends. */
struct passage_end {
    enum filter_result result;
    struct passage_turn to_server; /* all that it has sent; not compared after FILTER_FAILED */
    struct passage_turn to_client;
    const char *detail; /* FILTER_FAILED: a part of it */
    enum reason reason; /* FILTER_FAILED */
};

/* Asserts that a filter ends so, whether each turn comes whole, byte by byte, or cut in two. */
void assert_passage(const struct filter_ops *ops, const struct passage_turn *turns, size_t count,
                    const struct passage_end *end);

#endif
