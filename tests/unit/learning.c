#include "learning.h"

#include "help.h"

void learn_key(struct learned *l, const char *section, const char *hostport,
               const uint8_t digest[CERT_DIGEST_SIZE], int64_t now)
{
    struct learned_key key;
    char *why = NULL;

    assert_true(learnedkey_init(&key, section, hostport, digest, now));
    assert_int_equal(learned_add(l, &key, &why), LEARNED_DONE);
    assert_null(why);
}

void learn_announced(struct learned *l, const struct learned_key *key,
                     const struct learned_via *via, int64_t until)
{
    struct learned_key announced = *key;
    const struct learned_announcement a = {key->section, key->hostport, &announced, 1};
    char *why = NULL;

    announced.from = LEARNED_PINS_URL;
    announced.until = until;
    announced.via = *via;
    assert_int_equal(learned_announce(l, &a, &why), LEARNED_DONE);
    assert_null(why);
}
