/* Learned keys for the tests of the modules that use them. */
#ifndef UNIT_LEARNING_H
#define UNIT_LEARNING_H

#include "learned/learned.h"

/* Stores a key from tofu, which the section must not have yet. now is in seconds. */
void learn_key(struct learned *l, const char *section, const char *hostport,
               const uint8_t digest[CERT_DIGEST_SIZE], int64_t now);

/* Has a host announce this key alone, until a day, which must change what is stored. */
void learn_announced(struct learned *l, const struct learned_key *key,
                     const struct learned_via *via, int64_t until);

#endif
