#include "trust/sigalg.h"

#include <openssl/evp.h>
#include <openssl/objects.h>

/* 112 bits of strength against collisions, as level 2 has it for certificates. */
#define DIGEST_BYTES 28

bool sigalg_is_weak(int algorithm)
{
    const EVP_MD *md;
    int digest;

    if (!OBJ_find_sigid_algs(algorithm, &digest, NULL))
        return true;
    if (digest == NID_undef)
        return false; /* Ed25519, RSA-PSS: the digest is part of it, or of its parameters */
    md = EVP_get_digestbynid(digest);
    return !md || EVP_MD_get_size(md) < DIGEST_BYTES;
}
