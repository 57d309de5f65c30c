/* SPDX-License-Identifier: Apache-2.0 */
/* internal: the fields of a node, for the files of this room. */
#ifndef NODE_INTERNAL_H
#define NODE_INTERNAL_H

#include "command/command.h"
#include "node/archiving.h"
#include "node/awaits.h"
#include "node/behind.h"
#include "node/doors.h"
#include "node/feed.h"
#include "node/follows.h"
#include "node/images.h"
#include "node/intake.h"
#include "node/limits.h"
#include "node/members.h"
#include "node/node.h"
#include "node/order.h"
#include "node/peer.h"
#include "node/pipeline.h"
#include "node/points.h"
#include "node/reach.h"
#include "node/replay.h"
#include "node/serves.h"
#include "node/shard.h"
#include "node/stamps.h"
#include "node/start.h"
#include "node/steer.h"
#include "node/upkeep.h"
#include "node/votes.h"
#include "node/waiters.h"
#include "node/waiting.h"
#include "site/site.h"
#include "snapshot/incoming/incoming.h"

/*   OPENING --own epoch entry applied--> SERVING --node_stop--> DRAINING --queue empty--> FLUSHING
 *     --all is flushed, or the disk is full--> CLOSING --the log is quiet--> STOPPED
 *   any but STOPPED --log, store or bytes failed--> FAILED
 * OPENING: calls are refused (-LOADING). DRAINING: refused, those in the queue are answered.
 * FAILED: nothing is answered any more. */
enum node_phase {
    NODE_OPENING,
    NODE_SERVING,
    NODE_DRAINING,
    NODE_FLUSHING,
    NODE_CLOSING,
    NODE_STOPPED,
    NODE_FAILED,
};

enum { NODE_TEXTS_MAX = NODE_PEER_ADDRESSES_MAX + 9 };

struct node {
    struct service service;
    struct world world;
    struct machine *machine;
    struct log *log;
    struct log_listener log_listener;
    struct node_listener *listener;
    struct service_listener *events;
    enum node_phase phase;
    struct site site;
    struct site_sweeper *sweeper; /* of what is out of use there */
    struct machine_maker *maker;

    struct hlc hlc;
    bool clock_read; /* in this turn */
    uint64_t wall_ms, boot_us;

    /* The order: struct call by its node; entries by rising LSN, reads and local calls between
     * them. */
    struct list order;
    uint64_t order_count;
    struct lsn committed;
    /* Late: the forming batch to the log, whose write may hold up the loop. Others have it by then,
     * so that their disks write while this one does, and what is answered is on its way. */
    struct task push;
    struct task apply;  /* what is committed; a replica's is late, behind its ack */
    struct timer again; /* in the next turn: go on with a long row of entries */
    bool applying;
    bool stalled; /* the head of the order waits for stall_warm */
    bool held;    /* too much is unflushed: no apply until the flush is done */
    struct machine_warm stall_warm;
    struct ahead ahead;
    struct behind behind;
    struct list parked;
    uint64_t parked_count;
    struct histogram commit_us;       /* of entries, from append to applied */
    uint64_t row_began_us, row_count; /* entries just applied that began in one turn */

    struct waiters waiters;
    struct lsn serving; /* of the newest further attempt of a waiter; 0: all are applied */
    struct watches watches;
    struct args scratch, named_scratch; /* one may be in use while an entry is appended */
    struct buffer proposals;

    struct upkeep upkeep;
    struct start start;
    struct images images;
    struct archiving archiving;
    struct node_feed feed;
    struct node_intake intake;
    struct stamps stamps;
    struct points points;

    /* The other copies. */
    bool leads; /* entries are made here; else they come from the primary */
    struct membership membership;
    struct epochs epochs;         /* of the whole log */
    struct progress progress;     /* while it leads */
    struct serves *serves;        /* NULL: nobody is served now */
    struct senders *senders;      /* who was, and is known; NULL: nobody yet */
    struct follows *follows;      /* NULL: nobody is followed */
    struct follows *follows_kept; /* its storage, which is used again; NULL: never followed */
    struct doors *doors;
    char seen_host[NET_ADDRESS_TEXT_BYTES]; /* by which others have reached it; "": nobody has */
    struct votes *votes;                    /* NULL: never voted */
    uint64_t damaged_frames;                /* that came of other copies */
    struct list voters;                     /* who asks for a promise */
    unsigned voter_count;
    struct failover failover;
    struct force force;
    struct awaits awaits;
    struct node_copies copies; /* its texts: owned */
    struct turn turn;          /* TURN_NONE: none is under way */
    struct task turn_task;
    uint64_t incarnation;
    struct node_options options; /* as it was opened with; its texts: */
    char *texts[NODE_TEXTS_MAX];
    size_t text_count;

    struct task tell; /* a listener's call, outside every call into the node */
    enum node_failure failure;
    struct why failure_why;
};

static inline struct node *node_of(struct service *service)
{
    return CONTAINER_OF(service, struct node, service);
}

static inline struct lsn node_applied_lsn(const struct node *node)
{
    return node->machine->ops->applied(node->machine).lsn;
}

/* service.c */
extern const struct service_ops node_service_ops;

#endif
