/* SPDX-License-Identifier: Apache-2.0 */
/* check: whether the bytes of an image are those that were written, taken in their order and in
 * pieces of any size. It needs no more memory than the header has, whatever the bytes say. No
 * I/O. */
#ifndef SNAPSHOT_CHECK_H
#define SNAPSHOT_CHECK_H

#include "snapshot/image.h"

struct image_check; /* fields: snapshot/check.c */

struct image_check *image_check_open(uint64_t size); /* of the file; the caller's */
/* ERR_CORRUPT, ERR_REFUSED (of a later format); from then on every call answers the same. */
MUST_USE enum err image_check_add(struct image_check *check, struct bytes bytes, struct why *why);
/* All bytes were added: ERR_OK if they are an image. ERR_CORRUPT, ERR_REFUSED. */
MUST_USE enum err image_check_end(struct image_check *check, struct why *why);
/* What the header says, and the footer's checksum; after image_check_end has said ERR_OK, borrowed
 * until image_check_close. */
const struct image_facts *image_check_facts(const struct image_check *check);
void image_check_close(struct image_check *check); /* NULL is fine */

#endif
