/* SPDX-License-Identifier: Apache-2.0 */
/* archivist: a simulated client that asks for images, SAVE or BGSAVE, and then what there is, with
 * LASTSAVE and INFO. Beside what the gallery checks:
 *
 * - an image that was asked for, and is told as saved, holds everything that anyone had been told
 * of before it was asked for;
 * - none fails without a reason, and an attempt comes to its end. */
#ifndef SIM_ARCHIVIST_H
#define SIM_ARCHIVIST_H

#include "base/buffer.h"
#include "seam/net.h"
#include "sim/gallery.h"

struct archivist {
    struct stream_owner owner;
    struct stream *stream; /* NULL: not connected */
    struct sim_event next; /* the next question, or its time is over */
    struct gallery *gallery;
    const uint64_t *newest; /* LSN that anyone was told of; borrowed */
    struct dice dice;
    uint64_t pause_us; /* between an answer and the next image that is asked for, at most */
    /* Whether there is a reason why an image should fail now. */
    bool (*may_fail)(struct archivist *archivist);

    bool going;   /* false: it finishes what it asked for and stays */
    bool waiting; /* for answers */
    bool looking; /* LASTSAVE and INFO were asked, not SAVE or BGSAVE */
    bool saves;   /* it was SAVE */
    bool last;    /* the next question is SAVE */
    bool owed;    /* an image was asked for, and its end not seen */
    unsigned answers;
    uint64_t floor; /* what that image must hold */
    uint64_t least; /* what the server must know of */
    bool excused;   /* there was such a reason when it asked */
    uint64_t asked, refused;
    struct buffer in;
};

void archivist_init(struct archivist *archivist, struct gallery *gallery, const uint64_t *newest,
                    uint64_t seed);
void archivist_release(struct archivist *archivist); /* before the world is closed */
void archivist_go(struct archivist *archivist, bool going);
/* One more image, now; it is idle. */
void archivist_save(struct archivist *archivist);
bool archivist_idle(const struct archivist *archivist); /* it waits for nothing */

#endif
