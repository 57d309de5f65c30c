/* SPDX-License-Identifier: Apache-2.0 */
/* upstream: the connection to the primary of another make that is followed: made, watched, made
 * again. What is said on it: face/psync/follow.h. */
#ifndef FACE_PSYNC_UPSTREAM_H
#define FACE_PSYNC_UPSTREAM_H

#include "face/psync/follow.h"
#include "face/psync/psync.h"
#include "seam/net.h"

/*   IDLE --begin--> WAITING --the time has come--> DIALLING --there--> LINKED --over--> WAITING
 *     LINKED --what cannot be done here--> STOPPED     any --end--> IDLE */
enum upstream_phase {
    UPSTREAM_IDLE,
    UPSTREAM_WAITING,
    UPSTREAM_DIALLING,
    UPSTREAM_LINKED,
    UPSTREAM_STOPPED,
};

struct upstream {
    const struct psync_options *options;
    struct intake *intake; /* NULL: nobody is followed */
    struct intake_listener listener;
    enum upstream_phase phase;
    uint64_t timeout_us; /* the owner's to keep */
    struct dial dial;
    struct stream_owner owner;
    struct stream *stream; /* LINKED */
    struct follow follow;
    struct timer timer; /* WAITING: until the next attempt; LINKED: until the next tick */
    struct timer again; /* the sink is to be asked again */
    bool installs;      /* what the link before has brought is being installed */
    unsigned failures;  /* in a row */
    uint64_t heard_us, down_us;
    struct why why, why_traced;
};

/* Everything is borrowed until upstream_close. */
void upstream_open(struct upstream *upstream, const struct psync_options *options,
                   uint64_t timeout_us);
void upstream_close(struct upstream *upstream);

#endif
