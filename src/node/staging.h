/* SPDX-License-Identifier: Apache-2.0 */
/* staging: the store that an image becomes, made beside the present one while the image still
 * comes, in steps that leave the loop to everybody else.
 *
 *   OFF --begin--> TAKES --the last record--> ENDS --mark written--> WHOLE --give--> OFF
 *   any --drop, or an error--> OFF
 *
 * Nothing of it counts before the shard turns to it. Without it nothing is missing: an image of
 * which no store is staged is installed by the turn itself, which also says what is wrong with it.
 */
#ifndef NODE_STAGING_H
#define NODE_STAGING_H

#include "node/staging_window.h"
#include "seam/maker.h"
#include "site/site.h"
#include "snapshot/incoming/incoming.h"

struct node;
struct turn;

enum staging_phase { STAGING_OFF, STAGING_TAKES, STAGING_ENDS, STAGING_WHOLE };

/* Caller-owned; node and told are set before the first call, the rest is zero. */
struct staging {
    struct node *node;
    void (*told)(struct staging *staging); /* once after staging_finish(), not from inside it */

    enum staging_phase phase;
    bool finishes; /* told() is due when it is whole, or off */
    struct site_next next;
    struct mark mark;              /* of the image, as it was offered */
    uint64_t there;                /* bytes of its file that are written */
    struct staging_window *window; /* those of them that the reader has */
    struct image_reader *reader;
    struct machine_filler *filler;
    bool holds; /* a record that the filler has not taken yet: */
    struct bytes key, value;
    struct stamp stamp; /* of the entry at the mark */
    struct record_wait wait;
    struct timer again;
    uint64_t began_us;
};

/* The image of the offer comes into the file of incoming_open(), which is open. None is staged.
 * What fails is traced, and leaves it off. Blocks for the opening of a store. */
void staging_begin(struct staging *staging, const struct image_offer *offer);
/* So many bytes of the file are written. Off is fine. */
void staging_arrived(struct staging *staging, uint64_t bytes);
/* All are: told() follows, when the store is whole or will not be. */
void staging_finish(struct staging *staging);
/* The store, if it is whole, goes over to the turn. */
void staging_give(struct staging *staging, struct turn *turn);
/* What was made goes away; told() does not follow. Off is fine. Blocks until a flush has ended. */
void staging_drop(struct staging *staging);

#endif
