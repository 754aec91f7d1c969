#include "trust/policyid.h"

#include <openssl/evp.h>

#include "base/strbuf.h"
#include "config/canonical.h"
#include "config/options.h"

bool policyid_section(const struct config_section *s, const uint8_t anchors[32], uint8_t out[32])
{
    struct strbuf bytes = {0};
    bool ok;

    canonical_text(&s->name, &bytes);
    canonical_bytes(anchors, 32, &bytes);
    options_canonical(options, options_count, OPTION_IDENTITY, s, &bytes);
    ok = EVP_Digest(bytes.data, bytes.len, out, NULL, EVP_sha256(), NULL) == 1;
    strbuf_free(&bytes);
    return ok;
}
