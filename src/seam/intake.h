/* SPDX-License-Identifier: Apache-2.0 */
/* intake: what a face asks of the pipeline to follow a primary of another make: its keys as a
 * whole, and what it says from there on, entry by entry.
 *
 * The face has the connection and understands the primary; the pipeline has the role, the log and
 * the state. It says whom to follow (begin) and when that is over (end). In between this copy
 * leads a history of its own, whose only writer is that primary. */
#ifndef SEAM_INTAKE_H
#define SEAM_INTAKE_H

#include "base/bytes.h"
#include "base/err.h"
#include "seam/copies.h"
#include "seam/followed.h"
#include "seam/records.h"

enum { INTAKE_PAYLOAD_BYTES_MAX = 1 << 30 }; /* of an entry */

struct intake {
    const struct intake_ops *ops;
};

/* Whom to follow. Texts are borrowed for this turn, and never NULL. */
struct intake_order {
    const char *address;         /* "host:port" */
    const char *user, *password; /* "": none */
    const char *host;            /* that others reach this copy by; "": as connections show it */
    unsigned port;               /* of this copy's clients */
    bool anew;                   /* everything is to be taken anew, whatever is here: once */
};

/* What is told of the link. */
struct intake_status {
    const char *link; /* "connect", "connecting", "handshake", "sync" or "connected", as in Redis */
    bool syncing;     /* keys are being taken: so many bytes of so many; 0: not known */
    uint64_t done, bytes;
    uint64_t heard_us, down_us; /* since something was heard; since it was up last, 0: it is up */
    bool stopped;               /* for good: it would end at the same place again */
    struct why why;             /* of its last end; "": none */
};

/* Decisions that are kept as events. */
enum intake_told {
    INTAKE_FULL_SYNC,
    INTAKE_CONTINUES,
    INTAKE_LINK_LOST,
    INTAKE_STOPPED,
};

/* The face's side. All on the loop. */
struct intake_listener {
    void (*begin)(struct intake_listener *listener);
    void (*end)(struct intake_listener *listener); /* lets go of the link; begun before */
    /* Entries were applied, or there may be room for one more. */
    void (*moved)(struct intake_listener *listener);
    /* What install() was asked for. Its error has a reason; then nothing was changed. */
    void (*installed)(struct intake_listener *listener, enum err err, const struct why *why);
    /* An entry could not be carried out as the primary has: the two are not equal any more. */
    void (*differs)(struct intake_listener *listener, const char *error);
    void (*status)(struct intake_listener *listener, struct intake_status *out);
};

struct intake_ops {
    void (*listen)(struct intake *intake, struct intake_listener *listener); /* NULL: nobody */
    void (*order)(struct intake *intake, struct intake_order *out); /* from begin() to end() */
    /* The place behind all that was appended: from there the primary is to go on. Not known: it is
     * to send everything. */
    struct followed (*place)(struct intake *intake);
    struct followed (*applied)(
        struct intake *intake); /* behind all that is committed and applied */
    /* Appends an ENTRY_FOLLOWED, whose place is `place`. ERR_PENDING: there is no room now, moved()
     * follows; ERR_SHUT: this copy takes nothing any more, end() follows. */
    enum err (*append)(struct intake *intake, struct bytes payload, const struct followed *place);
    /* A new state beside the present one, and where its keys go: the intake's. One at a time.
     * ERR_SHUT: not now; ERR_IO, ERR_SPACE. */
    enum err (*stage)(struct intake *intake, struct record_sink **sink, struct why *why);
    void (*unstage)(struct intake *intake); /* it is taken away again. None is fine */
    /* All keys were given to the sink, and the primary holds them at `place`: the new state takes
     * the place of the present one, in one step, with a history of its own. installed() follows. */
    void (*install)(struct intake *intake, const struct followed *place);
    void (*tell)(struct intake *intake, enum intake_told told);
};

#endif
