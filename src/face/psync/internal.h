/* SPDX-License-Identifier: Apache-2.0 */
/* internal: the fields of all replicas and of one, for the files of this room. */
#ifndef FACE_PSYNC_INTERNAL_H
#define FACE_PSYNC_INTERNAL_H

#include "base/buffer.h"
#include "base/list.h"
#include "face/psync/dump.h"
#include "face/psync/place.h"
#include "face/psync/psync.h"
#include "face/psync/upstream.h"

enum {
    PSYNC_TICK_US = 1000 * 1000,
    PSYNC_PIECE_BYTES = 64 << 10, /* of dump or stream, at a time */
    PSYNC_UNSENT_MAX = 256 << 10, /* no more is made while so much waits for the peer */
    PSYNC_MARK_BYTES = 40,        /* of random hex, behind a dump of no announced length */
};

/* One replica:
 *
 *   NEW --PSYNC, a place that is kept--> JOIN --a command begins there--> STREAM
 *     --anything else, SYNC--> SWITCH --the stream is on--> EXPORT --a view, and what it says of
 *     itself--> (COUNT --its length is known-->) SEND --whole, with its length--> STREAM
 *                                                    --whole, with an end mark--> LOAD --ACK-->
 *                                                    STREAM
 *                                                    --whole, and it wants no more--> CLOSED
 *   JOIN --no command begins there--> SWITCH       any --lost, silent, failed--> CLOSED
 *
 * Up to the first byte of the dump (JOIN .. COUNT) the link is kept alive by line ends, which count
 * for nothing; behind it nothing is sent but dump and stream, since the replica counts every byte.
 * COUNT is for peers that know no end mark. LOAD: what follows an end mark too closely, a stock
 * replica would take for part of the dump. From EXPORT on the stream is kept from `next` on. */
enum replica_phase {
    REPLICA_NEW,
    REPLICA_JOIN,
    REPLICA_SWITCH,
    REPLICA_EXPORT,
    REPLICA_COUNT,
    REPLICA_SEND,
    REPLICA_LOAD,
    REPLICA_STREAM,
    REPLICA_CLOSED,
};

struct psync_replica {
    struct psync *psync;
    struct psync_link *link;
    struct list node; /* in psync->replicas */
    enum replica_phase phase;
    const char *peer;

    /* What REPLCONF told. */
    char host[PSYNC_HOST_BYTES]; /* "": the peer's address */
    unsigned port;
    bool knows_mark, knows_psync2, dump_only, without_keys;
    bool is_old; /* came by SYNC: it may never say how far it is */

    struct feed_export export; /* asked for, in EXPORT */
    struct export *view;
    struct export_facts facts;
    struct epoch epoch; /* whose name it is told, */
    char replid[PSYNC_REPLID_BYTES];
    struct record_source *source;
    struct record_wait wait;
    bool waits; /* for the view's records */
    struct dump *dump;
    char mark[PSYNC_MARK_BYTES];
    uint64_t began_us, made_s;

    struct feed_read read;
    bool reads;
    struct buffer piece;
    uint64_t next;  /* offset of the byte that it gets next */
    uint64_t acked; /* of the last byte that it has, as it says */
    bool says_durable;
    uint64_t durable; /* of the last byte that its disk has, likewise */
    struct timer again;
    bool full; /* nothing is made until what is unsent has gone out */
    uint64_t heard_us, moved_us;
    size_t unsent;    /* at the last tick */
    bool sent;        /* something was handed to the link since */
    bool near;        /* it has been within the limits */
    uint64_t soft_us; /* beyond the soft limit since; 0: it is not */
};

/* A word to the stream that has no reply yet. */
struct psync_word {
    struct call call;
    struct list node; /* in psync->words */
    struct psync *psync;
    bool switches;
};

struct psync {
    struct psync_options options;
    struct psync_settings settings;
    struct upstream upstream;
    struct feed *feed; /* NULL: there is none */
    struct feed_listener listener;
    struct list replicas, words;
    struct timer timer;
    bool switching;               /* on: replicas in SWITCH wait for it */
    uint64_t pinged_us, alone_us; /* alone_us: since when no replica is attached */
    uint64_t full, partial, partial_refused;
    struct buffer payload;
};

/* psync.c */
void psync_say(struct psync *psync, enum stream_word word, const struct published *published);
void psync_switch_on(struct psync *psync); /* for replicas in SWITCH */
void psync_facts(const struct psync *psync, struct place_facts *out);
void psync_keep(struct psync *psync); /* what of the stream the replicas still want */

/* replica.c */
/* It may go on there, if a command begins there. */
void replica_join(struct psync_replica *replica, uint64_t offset);
void replica_begin(struct psync_replica *replica);             /* it needs everything */
void replica_switched(struct psync_replica *replica, bool on); /* in SWITCH */
void replica_step(struct psync_replica *replica);              /* as far as the link takes it */
void replica_acked(struct psync_replica *replica, uint64_t offset);
void replica_acked_durable(struct psync_replica *replica, uint64_t offset);
void replica_tick(struct psync_replica *replica, uint64_t now_us);
/* It gets nothing any more; `text`, a line, is the last that it gets, before the dump. */
void replica_refuse(struct psync_replica *replica, const char *text);
void replica_lose(struct psync_replica *replica, const char *why);

#endif
