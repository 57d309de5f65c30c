/* SPDX-License-Identifier: Apache-2.0 */
/* secret: a proof that a peer knows what we know, without sending it: keyed BLAKE2b
 * (libsodium's crypto_generichash) over what both have said. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/bytes.h"

enum { SECRET_PROOF_BYTES = 32 };

/* Each part is hashed with its length, so that no two lists of parts are the same text. A secret
 * may have any length; it is borrowed for the call. */
void secret_proof(struct bytes secret, const struct bytes *parts, size_t count,
                  uint8_t out[SECRET_PROOF_BYTES]);
/* Takes the same time wherever they differ. */
bool secret_equal(const uint8_t a[SECRET_PROOF_BYTES], const uint8_t b[SECRET_PROOF_BYTES]);

#endif
