/* Learned keys, their pins and their days, for the tests of learned/. */
#ifndef UNIT_KEYS_H
#define UNIT_KEYS_H

#include "learned/learnedkey.h"

#define A "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="
#define B "sha256//Vjs8r4z+80wjNcr1YKepWQboSIRi63WsWXhIMN+eWys="
#define C "sha256//AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="

/* 2026-11-26, a bit past midnight, and days. */
#define TODAY "2026-11-26"
#define DAY 86400
#define NOW ((int64_t)20783 * DAY + 3723)
#define NEVER ((int64_t)0)

/* Returns the digest of a pin. It is overwritten by the fourth call after this one. */
const uint8_t *digest(const char *pin);

/* Returns the pin of a key. It is overwritten by the next call. */
const char *pin_of(const struct learned_key *k);

/* Returns an accepted key from tofu that was first seen on TODAY. */
struct learned_key key_of(const char *section, const char *hostport, const uint8_t *bytes);

/* Returns it as a key that was announced. */
struct learned_key announced_key(const char *section, const char *hostport, const uint8_t *bytes,
                                 int64_t until, const struct learned_via *via);

#endif
