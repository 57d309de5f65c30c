/* SPDX-License-Identifier: Apache-2.0 */
/* session: the two ends of a connection between copies: events in, effects out. No I/O, no clock:
 * bytes, results and the time are events. primary.h and follower.h have the phases. */
#ifndef REPLICA_SESSION_H
#define REPLICA_SESSION_H

#include "replica/frame.h"
#include "replica/message.h"

/* What the world is told of a copy; one of these at any time. */
enum session_state {
    STATE_DISCONNECTED,
    STATE_CONNECTING,    /* until the plan is made */
    STATE_CATCHING_UP,   /* the plan is carried out, or in_sync is not proven yet */
    STATE_IN_SYNC,       /* it has acked what was committed when the stream began */
    STATE_DEGRADED,      /* it was in sync; its oldest unacked entry is too old now */
    STATE_NEEDS_REBUILD, /* due and not allowed here; sticky: the orchestrator clears it */
    SESSION_STATES
};

/* Of whoever asked for a result; it is taken only if all four are those of now. */
struct session_key {
    struct epoch epoch;
    uint64_t session, endpoint, incarnation;
};

/* Borrowed for the life of the session. Times in microseconds. */
struct session_options {
    uint64_t cluster, copy;
    uint32_t shard, level;
    struct bytes secret;   /* empty: none */
    bool plain;            /* without a secret too: nobody else is between the two */
    bool may_rebuild;      /* primary: an image may be sent */
    uint64_t keepalive_us; /* a ping after nothing else was sent for so long */
    uint64_t silent_us;    /* the end after nothing arrived for so long */
    uint64_t hello_us;     /* for everything up to the plan */
    uint64_t degrade_us;   /* an unacked entry may be so old before the copy is not in sync */
    uint64_t stall_us;     /* the end after no progress for so long while something is unacked */
    uint64_t window_bytes, window_entries, image_window_bytes; /* sent and not acked, at most */
    uint64_t batch_bytes;       /* of entries or image in one frame, about */
    uint64_t image_bytes_per_s; /* 0: no limit */
};

enum session_event_kind {
    EVENT_OPENED,   /* the stream is there: nonce */
    EVENT_RECEIVED, /* *bytes: at most one frame is taken off their front; again for the rest */
    EVENT_ENDED,    /* by the peer, or broken */
    EVENT_TICK,
    EVENT_STOP,  /* reason: the role, the endpoint or the process ends, or something failed here */
    EVENT_LOG,   /* the log or the state moved on: watermarks, applied, flushed */
    EVENT_STAMP, /* the own state passed a stamp: stamp */
    /* Results, with the key of who asked, and err. */
    EVENT_FACTS,        /* primary: source; replica: hello */
    EVENT_PINNED,       /* of EFFECT_PIN */
    EVENT_ENTRIES,      /* entries, entry_count: they begin where they were asked for */
    EVENT_IMAGE,        /* image */
    EVENT_IMAGE_BYTES,  /* image_bytes */
    EVENT_PROMISED,     /* of EFFECT_PROMISE: durable in both slots */
    EVENT_CUT,          /* ERR_CORRUPT: the lineage there is another one */
    EVENT_IMAGE_AT,     /* offset: what is stored of this very image */
    EVENT_IMAGE_STORED, /* offset: written and synced through there */
    EVENT_INSTALLED,    /* last, stamp: where the log goes on */
    EVENT_VOTED,        /* voter (vote.h): what was asked for is durable, or refused */
    SESSION_EVENTS
};

/* Everything is borrowed for the step. */
struct session_event {
    enum session_event_kind kind;
    uint64_t now_us;
    struct session_key key;
    enum err err;
    struct bytes *bytes;
    const uint8_t *nonce; /* MESSAGE_NONCE_BYTES, never used before */
    enum bye_reason reason;
    struct lsn appended, durable; /* EVENT_LOG: of the own log */
    struct lsn applied, flushed;
    const struct message_watermarks *watermarks; /* primary; with one copy at least */
    const struct message_stamp *stamp;
    const struct recover_source *source;
    const struct message_hello *hello;
    struct stamp last_stamp; /* with hello and EVENT_INSTALLED: of the log's last entry */
    uint64_t session;        /* with source: the id for this session, never used before */
    const struct entry *entries;
    size_t entry_count;
    const struct message_image *image;
    struct bytes image_bytes;
    uint64_t offset;
    struct mark last;
};

enum session_effect_kind {
    EFFECT_STATE, /* state, reason */
    EFFECT_CLOSE, /* when what was sent has gone out; the last effect of a session */
    EFFECT_STAMP, /* stamp of the peer: compare with the own digest at that mark */
    /* primary */
    EFFECT_FACTS, /* also replica; primary: hello, and the lineage at `lsn` is wanted */
    EFFECT_PIN,   /* plan: log from plan.pin on, and plan.image */
    EFFECT_UNPIN,
    EFFECT_READ,        /* entries from lsn, through `through`, about `size` bytes, at least one */
    EFFECT_IMAGE_BEGIN, /* plan: open that image, or make one */
    EFFECT_IMAGE_READ,  /* offset, size */
    EFFECT_IMAGE_END,
    EFFECT_ACKED, /* ack: for progress, lag and the pin */
    /* replica */
    EFFECT_PROMISE,     /* epoch */
    EFFECT_CUT,         /* mark: only if the lineage there is this one */
    EFFECT_APPEND,      /* entries, each after the one before; `before` the first */
    EFFECT_COMMIT,      /* lsn may be applied; watermarks */
    EFFECT_IMAGE_OPEN,  /* image: go on with what there is of it, else begin */
    EFFECT_IMAGE_WRITE, /* offset, bytes */
    EFFECT_INSTALL,     /* image: check it, make it the state, open its log */
    EFFECT_VOTE,        /* voter (vote.h): a promise is asked for */
    SESSION_EFFECTS
};

struct session_effect {
    enum session_effect_kind kind;
    struct session_key key; /* goes back with the result */
    enum session_state state;
    enum bye_reason reason;
    struct lsn lsn, through;
    uint64_t offset, size;
    struct epoch epoch;
    struct mark mark;
    struct message_entries entries; /* borrowed until the next step, as bytes below */
    struct lineage before;
    struct bytes bytes;
    struct message_ack ack;
    struct message_image image;
    struct message_stamp stamp;
    const struct recover_plan *plan; /* of the session: lives as long as it */
    const struct message_hello *hello;
    const struct message_watermarks *watermarks;
};

enum { SESSION_EFFECTS_MAX = 8 };

/* Of one step, which clears it first. Caller-owned. */
struct session_effects {
    struct buffer send;
    unsigned count;
    struct session_effect at[SESSION_EFFECTS_MAX];
};

void session_effects_init(struct session_effects *effects);
void session_effects_release(struct session_effects *effects);
const char *session_state_name(enum session_state state);

#endif
