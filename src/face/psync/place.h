/* SPDX-License-Identifier: Apache-2.0 */
/* place: which stream this is, by name, and whether a replica may go on in it where it stands. */
#ifndef FACE_PSYNC_PLACE_H
#define FACE_PSYNC_PLACE_H

#include "base/mark.h"
#include "face/psync/psync.h"

/* All that decides. */
struct place_facts {
    struct history history;
    const struct epoch_start *epochs; /* the oldest first; at least one */
    size_t count;
    struct effects_place place;
};

/* Each epoch of each history has a name of its own: 40 hex digits and a zero. */
void place_replid(const struct history *history, struct epoch epoch, char out[PSYNC_REPLID_BYTES]);

enum place_rule {
    PLACE_CONTINUE,
    PLACE_FIRST,   /* it has nothing yet */
    PLACE_OFF,     /* there is no stream */
    PLACE_FOREIGN, /* no epoch of this history that is remembered has that name */
    PLACE_BEYOND,  /* the epoch ended before: it has what is no part of this history */
    PLACE_GONE,    /* that is kept no more */
};
/* Whether who follows `replid` may be given the byte at `offset` next. It has yet to be seen
 * whether a command begins there. */
enum place_rule place_decide(const struct place_facts *facts, struct bytes replid, int64_t offset);
const char *place_rule_name(enum place_rule rule); /* for logs */

#endif
