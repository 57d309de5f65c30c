/* SPDX-License-Identifier: Apache-2.0 */
/* link: two ends and what is in flight between them. For sim/net.c and sim/client.c. */
#ifndef SIM_LINK_H
#define SIM_LINK_H

#include "base/buffer.h"
#include "sim/inside.h"
#include "sim/net.h"

struct sim_net {
    struct net base;
    struct sim_node *node;
    struct list listenings; /* struct listening */
    struct list ends;       /* struct stream: not closed */
    bool is_isolated;
};

struct listening {
    struct list node;
    struct listener *listener; /* the node's */
    bool is_path;
    char address[NET_ADDRESS_TEXT_BYTES]; /* as it was given */
};

enum end_state { END_WAITING, END_OPEN, END_CLOSED };

/* One end, and what it sends. */
struct stream {
    struct net_link *link;
    struct stream *peer;
    struct sim_node *node; /* NULL: the harness's */
    struct list in_ends;   /* of its node or of the harness, until it is closed */
    struct stream_owner *owner;
    enum end_state state;
    bool paused;
    bool is_told;     /* `ended` was called, or is owed to nobody */
    bool is_finished; /* nothing more will be sent by us: the peer is told behind the last byte */
    bool is_broken;   /* the same, at once */
    struct buffer unsent, flight;
    struct sim_event deliver; /* at the peer's */
    struct sim_event own;     /* accept, drained, the end of lingering */
    uint64_t rate;            /* bytes a second that this end reads; 0: any */
    char local[NET_ADDRESS_TEXT_BYTES];
};

struct net_link {
    struct sim_world *world;
    struct stream ends[2]; /* the one that connected, the one that listened */
    bool is_clogged, is_loopback;
    char target[NET_ADDRESS_TEXT_BYTES]; /* the port or path that was asked for */
};

struct dice *sim_net_dice(struct sim_world *world);
uint64_t sim_net_delay_us(struct sim_world *world); /* one way, drawn */

/* A link of an end that has connected (a node's, or NULL: the harness's) and one that waits to be
 * accepted. */
struct net_link *sim_link_make(struct sim_world *world, struct sim_node *from, struct sim_node *to);
/* Frees the link once nobody holds either end; not while one of its owners is being called. */
void sim_link_settle(struct net_link *link);
/* Bracket a call into an owner on `node`: whatever it closes, the link is there until it returns.
 */
void sim_link_enter(struct net_link *link, struct sim_node *node);
void sim_link_leave(struct net_link *link);
/* A call into an owner of that node was left by a crash. */
void sim_link_abandon(struct sim_world *world, const struct sim_node *node);

bool sim_end_is_isolated(const struct stream *end);
/* Plans the next arrival at the peer, if there is anything to arrive and nothing in the way. */
void sim_end_kick(struct stream *end, uint64_t delay_us);
/* What it sent is lost; the peer is told at the next arrival. */
void sim_end_break(struct stream *end);
/* The end has no owner any more. What it sent still arrives, then its peer is told. */
void sim_end_close(struct stream *end, uint64_t delay_us);

extern const struct net_ops sim_net_ops;

/* The event of the end itself: accept, drained, the end of lingering; by where the end stands. */
void sim_end_own(struct sim_event *event);

#endif
