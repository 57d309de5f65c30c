/* SPDX-License-Identifier: Apache-2.0 */
/* shelf: the images that are there. */
#ifndef SNAPSHOT_SHELF_H
#define SNAPSHOT_SHELF_H

#include "snapshot/image.h"

/* An image that has its name. */
struct shelf_image {
    uint64_t id;      /* rising: a later one is newer, whatever its LSN */
    struct lsn lsn;   /* in its name */
    struct mark mark; /* what follows: of a good one */
    uint64_t taken_ms, took_us, bytes, checksum;
    uint64_t checked_us; /* when its bytes were checked last; 0: not by this process */
    bool bad;            /* it cannot be read, or is not ours: it counts for nothing, and stays */
};

struct shelf {
    struct shelf_image *images; /* the oldest first */
    size_t count, capacity;
    uint64_t newest_id;
    size_t set_aside; /* names of corrupt images */
};

struct snapshot;

MUST_USE enum err shelf_open(struct snapshot *snapshot, struct why *why);
void shelf_release(struct shelf *shelf);
/* It is the newest; one with the same LSN is gone, for it had the same name. */
void shelf_put(struct shelf *shelf, const struct shelf_image *image);
struct shelf_image *shelf_find(struct shelf *shelf, uint64_t id); /* NULL: it is gone */
void shelf_forget(struct shelf *shelf, uint64_t id);
const struct shelf_image *shelf_newest(const struct shelf *shelf); /* that is good; NULL: none */
size_t shelf_good(const struct shelf *shelf);                      /* how many are */
/* The oldest good one that nobody holds, of those beyond the newest `keep`; NULL: there is none. */
const struct shelf_image *shelf_doomed(const struct snapshot *snapshot, unsigned keep);
/* Whether header and name say that the image is of this shard and its history. ERR_CORRUPT,
 * ERR_REFUSED. */
MUST_USE enum err shelf_accepts(const struct snapshot *snapshot, struct lsn lsn,
                                const struct image_facts *facts, struct why *why);
char *shelf_path(const struct snapshot *snapshot, struct lsn lsn, enum image_name_kind kind);

#endif
