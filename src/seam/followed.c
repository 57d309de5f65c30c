/* SPDX-License-Identifier: Apache-2.0 */
#include "seam/followed.h"

#include <string.h>

#include "base/bytes.h"
#include "base/must.h"

void followed_encode(const struct followed *place, uint8_t out[FOLLOWED_BYTES])
{
    MUST(place->known && place->database < FOLLOWED_DATABASES_MAX && place->offset <= INT64_MAX);
    memcpy(out, place->name, FOLLOWED_NAME_BYTES);
    store_le64(out + FOLLOWED_NAME_BYTES, place->offset);
    out[FOLLOWED_NAME_BYTES + 8] = place->database;
}

bool followed_decode(const uint8_t at[FOLLOWED_BYTES], struct followed *out)
{
    *out = (struct followed){.known = true,
                             .offset = load_le64(at + FOLLOWED_NAME_BYTES),
                             .database = at[FOLLOWED_NAME_BYTES + 8]};
    memcpy(out->name, at, FOLLOWED_NAME_BYTES);
    bool sound = out->database < FOLLOWED_DATABASES_MAX && out->offset <= INT64_MAX;
    for (size_t i = 0; i < FOLLOWED_NAME_BYTES; i++) sound = sound && at[i] > ' ' && at[i] < 0x7f;
    if (!sound) *out = (struct followed){.known = false};
    return sound;
}
