/* SPDX-License-Identifier: Apache-2.0 */
/* internal: the fields of a node, for the files of this room. */
#ifndef NODE_INTERNAL_H
#define NODE_INTERNAL_H

#include "command/command.h"
#include "node/archiving.h"
#include "node/images.h"
#include "node/limits.h"
#include "node/node.h"
#include "node/start.h"
#include "node/upkeep.h"
#include "node/waiters.h"
#include "site/site.h"

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

/* Where a call is; struct call's `state`. */
enum call_place {
    CALL_NOWHERE = 0,
    CALL_IN_ORDER, /* in node->order */
    CALL_PARKED,   /* a read waiting for the store */
    CALL_IDLE,     /* a CALL_WAIT waiting for one of its keys */
};

/* A call without a client: an entry that the node itself proposed, or whose client has gone. */
struct ghost {
    struct call call;
};

/* A read, out of the order, whose records are being fetched. */
struct parked {
    struct machine_warm warm;
    struct node *node;
    struct call *call; /* NULL: its client has gone */
    struct buffer payload;
    struct list link; /* in node->parked */
};

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
    struct machine_maker *maker;

    struct hlc hlc;
    bool clock_read; /* in this turn */
    uint64_t wall_ms, boot_us;

    /* The order: struct call by its node; entries by rising LSN, reads and local calls between
     * them. */
    struct list order;
    uint64_t order_count;
    struct lsn committed;
    struct task push;   /* end of the turn: hand the forming batch to the log */
    struct task apply;  /* later in the turn: apply what is committed */
    struct timer again; /* in the next turn: go on with a long row of entries */
    bool applying;
    bool stalled; /* the head of the order waits for stall_warm */
    bool held;    /* too much is unflushed: no apply until the flush is done */
    struct machine_warm stall_warm;
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

    struct task tell; /* a listener's call, outside every call into the node */
    enum node_failure failure;
    struct why failure_why;
};

static inline struct node *node_of(struct service *service)
{
    return CONTAINER_OF(service, struct node, service);
}

/* service.c */
extern const struct service_ops node_service_ops;

/* pipeline.c */
void node_submit(struct service *service, struct call *call);
void node_cancel(struct service *service, struct call *call);
void node_run(struct node *node); /* apply what may be applied, answer what may be answered */
/* Gives the payload an LSN and the call its place at the end of the order. False: refused by the
 * log. */
bool node_append(struct node *node, struct call *call, struct bytes payload);
void node_append_ghost(struct node *node, struct bytes payload);
void node_append_proposals(struct node *node, const struct buffer *proposals);
struct ghost *node_ghost(void);
void node_ghost_done(struct call *call, enum call_end end);
void node_log_advanced(struct log_listener *listener);
void node_log_failed(struct log_listener *listener, const struct why *why);
void node_fail(struct node *node, enum node_failure failure, const struct why *why);
struct stamp node_now(struct node *node);

/* waiting.c: blocking commands over the table of waiters */
void node_wait_admit(struct node *node, struct call *call, struct bytes payload);
void node_wait_applied(struct node *node, struct call *call, bool found);
void node_wait_named(struct node *node, struct bytes payload); /* an entry names keys: watches */
void node_wait_filled(struct node *node,
                      struct bytes payload); /* it may have filled them: waiters */
bool node_wait_cancel(struct node *node, struct call *call);
bool node_wait_unblock(struct node *node, struct call *call);
void node_wait_retry(struct node *node); /* attempts that the log had no room for */
void node_wait_end_all(struct node *node);
void node_wait_forget(struct node *node); /* frees waiters without a word to their calls */

#endif
