#include "filter/filter.h"

#include <stdlib.h>

struct filter {
    const struct filter_ops *ops;
    struct strbuf out[2]; /* by enum filter_way */
    enum reason reason;
    char detail[FILTER_DETAIL_SIZE];
    _Alignas(max_align_t) uint8_t state[];
};

struct filter *filter_new(const struct filter_ops *ops)
{
    struct filter *f = calloc(1, sizeof(*f) + ops->size);

    if (f)
        f->ops = ops;
    return f;
}

void filter_free(struct filter *f)
{
    if (!f)
        return;
    strbuf_free(&f->out[FILTER_TO_SERVER]);
    strbuf_free(&f->out[FILTER_TO_CLIENT]);
    free(f);
}

enum filter_result filter_feed(struct filter *f, enum filter_way way, const uint8_t *bytes,
                               size_t n)
{
    struct filter_io io = {
        .way = way,
        .in = bytes,
        .in_len = n,
        .end = n == 0,
        .to_server = &f->out[FILTER_TO_SERVER],
        .to_client = &f->out[FILTER_TO_CLIENT],
        .reason = REASON_GREETING,
        .detail = f->detail,
    };
    enum filter_result result;

    strbuf_clear(io.to_server);
    strbuf_clear(io.to_client);
    result = f->ops->run(f->state, &io);
    f->reason = io.reason;
    return result;
}

const uint8_t *filter_output(const struct filter *f, enum filter_way way, size_t *n)
{
    *n = f->out[way].len;
    return (const uint8_t *)strbuf_text(&f->out[way]);
}

enum reason filter_failure(const struct filter *f, const char **detail)
{
    *detail = f->detail;
    return f->reason;
}
