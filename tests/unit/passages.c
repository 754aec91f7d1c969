#include "passages.h"

#include <string.h>

#include "help.h"

static void assert_sent(const struct strbuf *out, const struct passage_turn *expected)
{
    assert_int_equal(out->len, expected->n);
    if (out->len)
        assert_memory_equal(out->data, expected->bytes, out->len);
}

void assert_passage(const struct filter_ops *ops, const struct passage_turn *turns, size_t count,
                    const struct passage_end *end)
{
    struct passage whole, p;
    size_t longest = 0, first, i;

    for (i = 0; i < count; i++)
        if (turns[i].n > longest)
            longest = turns[i].n;
    passage_run(&whole, ops, turns, count, 0, longest + 1);
    assert_int_equal(whole.result, end->result);
    assert_sent(&whole.out[FILTER_TO_CLIENT], &end->to_client);
    if (end->result == FILTER_FAILED) {
        assert_int_equal(whole.reason, end->reason);
        assert_contains(whole.detail, end->detail);
    } else {
        assert_sent(&whole.out[FILTER_TO_SERVER], &end->to_server);
    }
    for (first = 0; first < longest; first++) {
        passage_run(&p, ops, turns, count, first, first == 0 ? 1 : longest + 1);
        assert_true(passage_same(&whole, &p));
        passage_free(&p);
    }
    passage_free(&whole);
}
