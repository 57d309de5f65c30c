/* SPDX-License-Identifier: Apache-2.0 */
/* keeper: the fields of a snapshot, for keeper.c (writing), shelf.c (what is there), hold.c (what
 * must stay there) and scrub.c (whether it still is what was written). */
#ifndef SNAPSHOT_KEEPER_H
#define SNAPSHOT_KEEPER_H

#include "snapshot/check.h"
#include "snapshot/shelf.h"

/* One image:
 *
 *   IDLE --take--> FACTS --> CREATE --> FILL <--> WRITE, and SYNC_PART now and then
 *     --records end--> WRITE_END --> SYNC --> CLOSE --> RENAME --> SYNC_NAME --> REMOVE* --> IDLE
 *   FACTS .. RENAME --failed or aborted--> DROP_CLOSE --> DROP_REMOVE --> END --> IDLE
 *   IDLE --one too many is held no more--> REMOVE* --> IDLE
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
 *   READ, PAUSE --somebody waits for another image--> likewise
 *
 * No pause ends while an image is written, and the keeper begins one only in a pause, or in none of
 * this: so no name changes under either of the two. What is removed because it is held no more may
 * be in hand here: it is gone then, or set aside. */
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
    bool yields; /* to the check of a held image */
    struct disk_request request;
    struct timer timer; /* of a pause */
    struct task task;   /* to go on after standing still, or to stop */
    struct disk_file *file;
    uint64_t id; /* of the image on the shelf */
    char *path, *path_bad;
    uint8_t *piece;
    uint64_t size, offset;
    uint64_t checksum; /* of the footer, once it is read */
    uint64_t pause_us; /* behind each piece */
    struct image_check *check;
    enum err err; /* the verdict */
    struct why why;
};

struct snapshot {
    struct image_place place; /* its directory: owned */
    struct clock *clock;
    struct snapshot_listener *listener;
    struct shelf shelf;
    struct scrub scrub;
    uint64_t scrubbed_ms;
    struct list holds;      /* struct image_hold */
    struct task holds_task; /* checks that are wanted, or done */

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
    unsigned keep; /* 0: nobody has said yet */
    bool tidying;  /* no image is under way */
    enum err err;  /* why there is no image */
    struct why why;
    uint64_t doomed_id; /* of an old image that is being removed */
    char *doomed;       /* its path */
};

/* keeper.c */
void snapshot_let_go(struct snapshot *snapshot); /* after `gone`: frees it once nothing is asked */
void snapshot_tidy(struct snapshot *snapshot);   /* removes what is too much, when nothing else is
                                                    under way */

/* hold.c */
void holds_init(struct snapshot *snapshot);
void holds_step_soon(struct snapshot *snapshot); /* shelf or scrubber have changed */
bool holds_have(const struct snapshot *snapshot, uint64_t id);
/* The image was read to its end: what was found, and the checksum of its footer. */
void holds_concluded(struct snapshot *snapshot, uint64_t id, enum err err, uint64_t checksum);

/* scrub.c */
void scrub_init(struct snapshot *snapshot);
void scrub_go_on(struct snapshot *snapshot); /* an image has ended: it may move again */
/* Reads this one now, at this rate (0: at any), or as soon as it can: holds_step_soon() follows. */
void scrub_want(struct snapshot *snapshot, uint64_t id, uint64_t bytes_per_second);
void scrub_hush(struct snapshot *snapshot);    /* nothing of it comes but the disk's answer */
void scrub_release(struct snapshot *snapshot); /* nothing is asked of the disk */

#endif
