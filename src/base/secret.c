/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <sodium.h>

#include "base/must.h"

enum { KEY_BYTES = 32 };

void secret_proof(struct bytes secret, const struct bytes *parts, size_t count,
                  uint8_t out[SECRET_PROOF_BYTES])
{
    uint8_t key[KEY_BYTES], length[8];
    MUST(crypto_generichash(key, sizeof key, secret.data, secret.size, NULL, 0) == 0);
    crypto_generichash_state state;
    MUST(crypto_generichash_init(&state, key, sizeof key, SECRET_PROOF_BYTES) == 0);
    for (size_t i = 0; i < count; i++) {
        store_le64(length, parts[i].size);
        MUST(crypto_generichash_update(&state, length, sizeof length) == 0);
        MUST(crypto_generichash_update(&state, parts[i].data, parts[i].size) == 0);
    }
    MUST(crypto_generichash_final(&state, out, SECRET_PROOF_BYTES) == 0);
    sodium_memzero(key, sizeof key);
    sodium_memzero(&state, sizeof state);
}

bool secret_equal(const uint8_t a[SECRET_PROOF_BYTES], const uint8_t b[SECRET_PROOF_BYTES])
{
    return sodium_memcmp(a, b, SECRET_PROOF_BYTES) == 0;
}
