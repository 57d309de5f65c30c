/* SPDX-License-Identifier: Apache-2.0 */
/* keeper: the fields of a snapshot, for keeper.c (writing), shelf.c (what is there) and scrub.c
 * (whether it still is what was written). */
#ifndef SNAPSHOT_KEEPER_H
#define SNAPSHOT_KEEPER_H

#include "snapshot/check.h"

/* One image:
 *
 *   IDLE --take--> FACTS --> CREATE --> FILL <--> WRITE, and SYNC_PART now and then
 *     --records end--> WRITE_END --> SYNC --> CLOSE --> RENAME --> SYNC_NAME --> REMOVE* --> IDLE
 *   FACTS .. RENAME --failed or aborted--> DROP_CLOSE --> DROP_REMOVE --> END --> IDLE
 *
 * Up to RENAME nothing of it exists for anybody; from then on it is whole and stays, but counts as
 * saved only when its name is durable. In FACTS and FILL either a timer runs or a warm is under
 * way; in END a timer; in all others a request of the disk. */
enum snapshot_step {
    STEP_IDLE,
    STEP_FACTS,
    STEP_CREATE,
    STEP_FILL,
    STEP_WRITE,
    STEP_SYNC_PART,
    STEP_WRITE_END,
    STEP_SYNC,
    STEP_CLOSE,
    STEP_RENAME,
    STEP_SYNC_NAME,
    STEP_REMOVE,
    STEP_DROP_CLOSE,
    STEP_DROP_REMOVE,
    STEP_END,
};

/* The check of one image's bytes:
 *
 *   IDLE --due--> OPEN --> READ <--> PAUSE --all read, or bad--> CLOSE --well--> IDLE
 *     --corrupt--> ASIDE (renamed) --> SYNC_ASIDE --> IDLE
 *   any --told to stop, or the image is gone--> CLOSE, without a verdict --> IDLE
 *
 * No pause ends while an image is written, and the keeper begins only in a pause, or in none of
 * this: so no name changes under either of the two. */
enum scrub_step {
    SCRUB_IDLE,
    SCRUB_OPEN,
    SCRUB_READ,
    SCRUB_PAUSE,
    SCRUB_CLOSE,
    SCRUB_ASIDE,
    SCRUB_SYNC_ASIDE,
};

struct scrub {
    enum scrub_step step;
    bool asked; /* the disk is at work */
    bool stopping;
    struct disk_request request;
    struct timer timer; /* of a pause */
    struct task task;   /* to go on after standing still, or to stop */
    struct disk_file *file;
    uint64_t id; /* of the image on the shelf */
    char *path, *path_bad;
    uint8_t *piece;
    uint64_t size, offset;
    uint64_t pause_us; /* behind each piece */
    struct image_check *check;
    enum err err; /* the verdict */
    struct why why;
};

/* An image that has its name. */
struct shelf_image {
    uint64_t id; /* rising: a later one is newer, whatever its LSN */
    struct lsn lsn;
    uint64_t taken_ms, took_us, bytes;
    uint64_t checked_us; /* when its bytes were checked last; 0: not by this process */
    bool bad;            /* it cannot be read, or is not ours: it counts for nothing, and stays */
};

struct shelf {
    struct shelf_image *images; /* the oldest first */
    size_t count, capacity;
    uint64_t newest_id;
    size_t set_aside; /* names of corrupt images */
};

struct snapshot {
    struct snapshot_site site; /* its directory: owned */
    struct snapshot_listener *listener;
    struct shelf shelf;
    struct scrub scrub;
    uint64_t scrubbed_ms;

    enum snapshot_step step;
    struct capture *capture; /* NULL: closed */
    struct capture_warm warm;
    bool asked; /* the disk is at work */
    bool gone;  /* the owner has let go: freed when the disk has answered */
    struct disk_request request;
    struct timer timer;
    struct disk_file *file;
    char *path, *path_to; /* temporary and final name of the image */
    bool made;            /* the temporary may be there */
    struct image_facts facts;
    struct image_chain chain;
    struct buffer chunk;
    uint32_t chunk_records;
    uint64_t unsynced; /* bytes written since the last sync */
    uint64_t began_us, bytes_done, bytes_expected;
    unsigned keep;
    enum err err; /* why there is no image */
    struct why why;
    uint64_t doomed_id; /* of an old image that is being removed */
    char *doomed;       /* its path */
};

/* keeper.c */
void snapshot_let_go(struct snapshot *snapshot); /* after `gone`: frees it once nothing is asked */

/* scrub.c */
void scrub_init(struct snapshot *snapshot);
void scrub_go_on(struct snapshot *snapshot);   /* an image has ended: it may move again */
void scrub_hush(struct snapshot *snapshot);    /* nothing of it comes but the disk's answer */
void scrub_release(struct snapshot *snapshot); /* nothing is asked of the disk */

/* shelf.c */
MUST_USE enum err shelf_open(struct snapshot *snapshot, struct why *why);
void shelf_release(struct shelf *shelf);
/* It is the newest; one with the same LSN is gone, for it had the same name. */
void shelf_put(struct shelf *shelf, const struct shelf_image *image);
struct shelf_image *shelf_find(struct shelf *shelf, uint64_t id); /* NULL: it is gone */
void shelf_forget(struct shelf *shelf, uint64_t id);
const struct shelf_image *shelf_newest(const struct shelf *shelf); /* that is good; NULL: none */
size_t shelf_good(const struct shelf *shelf);                      /* how many are */
/* The oldest good one if there are more than `keep`; NULL: none is too much. */
const struct shelf_image *shelf_doomed(const struct shelf *shelf, unsigned keep);
/* Whether header and name say that the image is of this shard. ERR_CORRUPT, ERR_REFUSED. */
MUST_USE enum err shelf_accepts(const struct snapshot *snapshot, struct lsn lsn,
                                const struct image_facts *facts, struct why *why);
char *shelf_path(const struct snapshot *snapshot, struct lsn lsn, enum image_name_kind kind);

#endif
