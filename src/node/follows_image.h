/* SPDX-License-Identifier: Apache-2.0 */
/* follows_image: the image that is being received: its bytes are written and synced in the order in
 * which they came. The next are written while those before are synced, since a disk does little
 * while bytes are copied; what comes meanwhile waits. */
#ifndef NODE_FOLLOWS_IMAGE_H
#define NODE_FOLLOWS_IMAGE_H

#include "seam/clock.h"
#include "seam/world.h"
#include "snapshot/incoming/incoming.h"

/*   CLOSED --begin--> (earlier requests return) --> OPEN --finish, all is synced--> CLOSED
 *   any --let_go--> (the requests under way return) --> CLOSED */
struct follows_image {
    struct disk *disk;
    struct clock *clock;
    /* Told from inside the calls below too. `stored` says what is durable. */
    void (*opened)(struct follows_image *image, enum err err, const struct why *why);
    void (*moved)(struct follows_image *image); /* more is written */
    void (*synced)(struct follows_image *image, enum err err, const struct why *why);
    void (*finished)(struct follows_image *image); /* all of it is; it is closed */
    /* NULL, or: let go of while requests were under way, which have returned. It may be freed. */
    void (*returned)(struct follows_image *image);

    struct incoming incoming;
    char *directory; /* of images */
    struct image_place place;
    struct image_offer offer;
    bool open, begins; /* begins: to be opened once the requests of before have returned */
    bool gone;         /* let go of: closed once they have returned */
    bool finishes, failed;
    struct buffer waiting, flying;     /* flying: written piece by piece; */
    size_t flown;                      /* so much of it is */
    uint64_t written, syncing, stored; /* bytes; syncing: `sync` covers them */
    struct disk_request write, sync;
    bool writes, syncs; /* it is under way */
    bool sync_due;      /* whatever the number of bytes */
    struct timer timer;
};

/* `directory` of the images: copied. The callbacks are set behind it. */
void follows_image_init(struct follows_image *image, const struct world *world,
                        const char *directory);
/* After follows_image_let_go(), and not while it is busy. */
void follows_image_release(struct follows_image *image);
/* None is open. `place` is copied, but for its directory; opened() follows. */
void follows_image_begin(struct follows_image *image, const struct image_place *place,
                         const struct image_offer *offer);
/* The next bytes: they follow the ones before. False: too much waits, and nothing was taken. */
MUST_USE bool follows_image_write(struct follows_image *image, struct bytes bytes);
void follows_image_finish(struct follows_image *image); /* that was all; finished() follows */
/* Nothing more is told. What is durable stays for the next time. */
void follows_image_let_go(struct follows_image *image);

static inline bool follows_image_is_busy(const struct follows_image *image)
{
    return image->writes || image->syncs;
}

#endif
