/* SPDX-License-Identifier: Apache-2.0 */
/* incoming: the image that another copy sends, under names of its own among the images until it is
 * installed; docs/formats/image.md. A start leaves it alone, so that a transfer goes on behind what
 * is there. Everything here blocks, for a time that does not depend on its size. */
#ifndef SNAPSHOT_INCOMING_INCOMING_H
#define SNAPSHOT_INCOMING_INCOMING_H

#include "snapshot/snapshot.h"

/* What is sent. */
struct image_offer {
    struct mark mark;
    uint64_t size, checksum; /* of the file; of its footer */
};

/* Caller-owned between incoming_open and the call that ends it. */
struct incoming {
    struct image_place place; /* its directory: borrowed until then */
    struct image_offer offer;
    struct disk_file *file; /* for the caller's writes and syncs */
    uint64_t stored;        /* when it was opened: bytes from the beginning that are durable */
};

/* So many bytes, at most, may be written beyond what is synced: after a crash so many are not
 * believed. */
enum { INCOMING_UNSYNCED_BYTES_MAX = 8 << 20 };

/* Begins, or goes on at incoming->stored if this very image is what is there; any other one that is
 * there goes. ERR_LIMIT: nobody makes an image of such a size; ERR_IO, ERR_SPACE. On failure
 * nothing stays open. */
MUST_USE enum err incoming_open(struct incoming *incoming, const struct image_place *place,
                                const struct image_offer *offer, struct why *why);
/* Lets go, no request of the file's being under way; `stored` bytes are synced, and the next open
 * goes on there. Zeroed, or let go of already, is fine. */
void incoming_close(struct incoming *incoming, uint64_t stored);
/* Where it lies; the caller's. */
char *incoming_path(const struct image_place *place);
/* It is closed and nothing needs it: the file goes. What cannot be removed stays for the next. */
void incoming_discard(const struct image_place *place);
/* It is closed, whole and synced: it gets its proper name, durably, as an image among others. To be
 * called when the state that was made of it counts: before, it is an image that is ahead of the
 * log. ERR_NOT_FOUND: nothing is there, or not that one; ERR_IO. */
MUST_USE enum err incoming_adopt(const struct image_place *place, const struct mark *mark,
                                 struct why *why);

#endif
