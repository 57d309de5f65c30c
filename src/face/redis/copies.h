/* SPDX-License-Identifier: Apache-2.0 */
/* copies: what is told of the copies of tidemark. */
#ifndef FACE_REDIS_COPIES_H
#define FACE_REDIS_COPIES_H

#include "base/buffer.h"
#include "seam/copies.h"
#include "seam/service.h"

struct redis_face;

void face_copies(const struct redis_face *face, struct copies_status *out);
/* "host port" of the primary that is followed, as CONFIG GET replicaof says it; empty: none. */
void face_primary(const struct redis_face *face, struct buffer *out);
/* Lines for INFO: of its section `replication`, and for `tidemark`. */
void copies_describe(const struct redis_face *face, const struct service_status *status,
                     struct buffer *out);
void copies_describe_own(const struct redis_face *face, struct buffer *out);

#endif
