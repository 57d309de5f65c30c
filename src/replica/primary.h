/* SPDX-License-Identifier: Apache-2.0 */
/* primary: the sending end of a session. */
#ifndef REPLICA_PRIMARY_H
#define REPLICA_PRIMARY_H

#include "replica/link.h"

/*   PROOF --> HELLO --> PLANNING --> PREPARING --+--> CATCH_UP --> STREAM
 *                                                |                  ^
 *                                                +--> TRANSFER --> TAIL
 *   any --> CLOSED
 *
 *   PLANNING   nothing is promised to the replica: facts are looked up, then pins are taken. A pin
 *              that fails leaves no live session.
 *   PREPARING  the verdict is out; the plan does not change any more. The replica promises, cuts,
 *              or gives up what it has. Its first ack ends it.
 *   CATCH_UP   (from, target] is sent, nothing beyond: the target was frozen with the plan.
 *   TRANSFER   the image is sent; entries are not.
 *   TAIL       as CATCH_UP, from the image's mark; begun by the ack that the installed state gives.
 *   STREAM     what the log appends is sent as it comes.
 *   CLOSED     pins are given back. A pin that is granted only now is given back at once.
 *
 *   acked <= sent <= limit of the phase; sent - acked is at most the window. Sending grants
 * nothing: only an ack ends CATCH_UP and TAIL, and only an ack of what was committed when STREAM
 * began makes the copy in_sync. */
enum primary_phase {
    PRIMARY_PROOF,
    PRIMARY_HELLO,
    PRIMARY_PLANNING,
    PRIMARY_PREPARING,
    PRIMARY_CATCH_UP,
    PRIMARY_TRANSFER,
    PRIMARY_TAIL,
    PRIMARY_STREAM,
    PRIMARY_CLOSED,
    PRIMARY_PHASES
};

/* Batches sent and not acked. */
enum { PRIMARY_FLIGHTS_MAX = 1024 };
struct primary_flight {
    struct lsn last;
    uint64_t bytes, sent_us;
};

struct primary {
    struct link link;
    enum primary_phase phase;
    struct message_hello hello;
    char peer[MESSAGE_ENDPOINT_BYTES_MAX + 1], redis[MESSAGE_ENDPOINT_BYTES_MAX + 1];
    struct recover_plan plan;
    bool pinned, pin_asked, reading;
    bool told;              /* of what is news in the watermarks; nothing is at first */
    struct lsn durable;     /* that was told */
    struct mark sent;       /* the last entry that was sent */
    struct message_ack ack; /* the newest */
    uint64_t progress_us;   /* when the newest ack moved something, or a wait began */
    struct primary_flight flights[PRIMARY_FLIGHTS_MAX]; /* a ring */
    unsigned flight_first, flight_count;
    uint64_t flight_bytes;
    struct lsn appended; /* of the own log */
    struct message_watermarks watermarks;
    struct lsn grant; /* in_sync from an ack of this on; fixed when STREAM or degraded begins */
    struct message_image image;
    bool image_asked, image_open, image_done;
    uint64_t image_sent, image_acked, image_tokens, image_us;
};

void primary_init(struct primary *primary, const struct session_options *options,
                  uint64_t endpoint);
void primary_release(struct primary *primary);
/* One event; what is to be done about it is in *out. Bytes of the peer can end the session, and
 * nothing else. */
void primary_step(struct primary *primary, const struct session_event *event,
                  struct session_effects *out);
const char *primary_phase_name(enum primary_phase phase);

#endif
