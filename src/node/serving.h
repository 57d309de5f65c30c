/* SPDX-License-Identifier: Apache-2.0 */
/* serving: what the files serves*.c share. A `serve` is one connection of one copy; a `served` is
 * what is known of that copy over all of them, beside its struct sender. */
#ifndef NODE_SERVING_H
#define NODE_SERVING_H

#include "node/internal.h"
#include "node/peer.h"

/* An address stands for itself; a copy that says ":PORT" is where its connection comes from. */
struct served {
    uint64_t id;
    char peer[COPY_ADDRESS_BYTES], redis[COPY_ADDRESS_BYTES];
    struct message_ack ack; /* the newest */
    uint64_t heard_us;
    const char *plan, *rule;
};

/* Outlives `serves`: a change of role, or a turn, forgets nobody. */
struct senders {
    struct node *node; /* NULL: gone; only requests at the disk are left */
    struct orchestrator orchestrator;
    unsigned count;
    struct served at[PROGRESS_COPIES_MAX];
    bool led;        /* the epoch that was served last was an own one */
    unsigned flying; /* requests of streams that are over */
};

struct serves {
    struct node *node;
    struct senders *senders;
    struct epoch epoch; /* as of which others are served */
    bool leads;
    struct list serves;
    unsigned count;
    uint64_t endpoints; /* drawn so far: one a connection */
    struct task advanced;
    struct task acks; /* a commit may end anything, so it is no part of a step */
    bool fenced;      /* a copy that belongs here has promised a later epoch */
    struct message_watermarks watermarks;
    struct lsn appended;
    struct lag lag;
    uint64_t bytes_then; /* of the log, when this began: what was before is not counted */
};

/* What was asked of the world by a session: one thing at a time. */
struct serve_asked {
    bool waits; /* for its result to be told */
    enum session_effect_kind kind;
    struct session_key key;
    struct lsn lsn, through;
    uint64_t offset, size;
};

/* An image that is sent. */
struct serve_image {
    struct image_hold hold;
    bool held;
    bool saves; /* one is being made: until images.ended is `saves_end` */
    uint64_t saves_end;
    bool checks; /* all of it is being read, or was */
    enum err err;
    struct disk *disk;
    struct disk_file *file;
    char *path; /* of the file: the request's */
    struct disk_request request;
    bool flies; /* the request is at the disk */
    bool over;  /* what is open, or comes to be, is closed */
    bool has_bytes;
    struct buffer bytes;
    struct message_image offer;
};

struct serve {
    struct peer peer;
    struct primary primary;
    struct session_options options;
    struct serves *serves; /* NULL: over, only the disk is waited for */
    struct senders *senders;
    struct list node;
    uint64_t copy, session; /* 0: not planned for */
    char from[NET_ADDRESS_TEXT_BYTES];
    struct serve_asked asked;
    bool stamp_asked, stamp_due; /* by the copy, of this one; what it is told of it: */
    struct message_stamp stamp;
    bool ack_due;
    struct progress_ack ack; /* the newest, for the node */
    enum err pinned;         /* what EFFECT_PIN came to */
    bool pin_held;
    struct log_pin pin;
    struct recover_source source;
    struct log_follow *follow;
    struct log_follow_listener listener;
    struct buffer copied; /* payloads that were read from the disk */
    struct entry *entries;
    struct serve_image image;
};

/* serves.c */
void senders_release(struct senders *senders);                    /* when the disk has answered */
struct served *served_of(struct senders *senders, uint64_t copy); /* NULL: unknown */
/* Reconciles who is assigned; `copy` (0: nobody) is one that comes, if there is room for it. */
void serves_assign(struct serves *serves, uint64_t copy, const char *endpoint);
void serves_end_sessions(struct serves *serves, const struct orchestrator_ends *ends);
struct lag_figures serves_lag(const struct serves *serves, struct lsn applied);

/* serves_peer.c */
struct serve *serve_open(struct serves *serves, struct stream *stream);
/* Everything that it holds goes; it is freed, if need be when the disk has answered. */
void serve_close(struct serve *serve);
/* An event of its copy. */
void serve_tell(struct serve *serve, enum orchestrator_event_kind kind);
/* Of one that is closed: the disk has nothing of it any more. */
void serve_landed(struct serve *serve);

/* serves_facts.c: false: not yet */
bool serve_facts(struct serve *serve, struct session_event *event);

/* serves_read.c */
bool serve_read(struct serve *serve, struct session_event *event);
bool serve_lineage(struct serve *serve, struct lsn lsn, struct recover_source *source,
                   enum err *err);

/* serves_image.c */
struct mark serve_newest_image(const struct node *node);
enum err serve_image_pin(struct serve *serve, const struct mark *mark);
bool serve_image_begin(struct serve *serve, struct session_event *event);
bool serve_image_read(struct serve *serve, struct session_event *event);
void serve_image_end(struct serve *serve);

#endif
