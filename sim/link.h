/* SPDX-License-Identifier: Apache-2.0 */
/* link: two ends and what is in flight between them. For net, client, dial and paths of sim/. */
#ifndef SIM_LINK_H
#define SIM_LINK_H

#include "base/buffer.h"
#include "sim/inside.h"
#include "sim/net.h"
#include "sim/paths.h"

/* One direction between two nodes. */
struct sim_path {
    struct list node; /* in world->paths */
    struct sim_node *from, *to;
    bool is_cut, is_clogged;
    uint64_t delay_us_min, delay_us_max; /* 0, 0: the profile's */
    uint32_t flip_per_million;
    uint64_t newest; /* of the sends that have arrived */
};

struct sim_net {
    struct net base;
    struct sim_node *node;
    struct list listenings; /* struct listening */
    struct list ends;       /* struct stream: not closed */
    struct list dials;      /* struct sim_dial */
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
    bool is_gone;     /* forgotten: the peer is not told before it finds out */
    bool is_mute;     /* gone, and the peer's sends get no answer either */
    bool is_doomed;   /* to be forgotten whatever the path does */
    struct buffer unsent, flight;
    struct sim_event deliver; /* at the peer's */
    struct sim_event own;     /* accept, drained, the end of lingering */
    uint64_t rate;            /* bytes a second that this end reads; 0: any */
    struct sim_path *way;     /* to the peer; NULL: one of the two is the harness's */
    struct sim_event expire;  /* gives up */
    uint64_t unheard;         /* bytes that have arrived while their confirmation is cut off */
    uint64_t sent, sends;     /* number of the newest send; how many are in flight */
    uint64_t flips;           /* in what has arrived here */
    char local[NET_ADDRESS_TEXT_BYTES];
};

struct net_link {
    struct sim_world *world;
    struct list node;      /* in world->links */
    struct stream ends[2]; /* the one that connected, the one that listened */
    bool is_clogged, is_loopback;
    char target[NET_ADDRESS_TEXT_BYTES]; /* the port or path that was asked for */
};

struct dice *sim_end_dice(const struct stream *end);
uint64_t sim_end_delay_us(const struct stream *end);   /* to the peer, drawn */
uint64_t sim_end_silence_us(const struct stream *end); /* until the peer finds out, drawn */

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
/* What it sends does not arrive for now. */
bool sim_end_is_held(const struct stream *end);
/* How much more may be in flight. */
size_t sim_end_room(const struct stream *end);
/* Moves what waits into flight as far as there is room. */
void sim_end_refill(struct stream *end);
/* The peer has sent to an end that is gone, and may hear so. */
void sim_end_find_out(struct stream *end);
/* Plans the next arrival at the peer, if there is anything to arrive and nothing in the way. */
void sim_end_kick(struct stream *end, uint64_t delay_us);
/* What it sent is lost; the peer is told at the next arrival. */
void sim_end_break(struct stream *end);
/* The end has no owner any more. What it sent still arrives, then its peer is told. */
void sim_end_close(struct stream *end, uint64_t delay_us);

/* The listener on that ":port" or path, for a caller on that node (NULL: anybody). */
const struct listening *sim_net_listening(const struct sim_net *net, const char *target,
                                          const struct sim_node *from);

/* sim/paths.c */
struct sim_path *sim_path_of(struct sim_node *from, struct sim_node *to); /* made when missing */
uint64_t sim_path_delay_us(const struct sim_path *path);
/* Counts what keeps something from passing; false: nothing does. */
bool sim_path_is_shut(const struct sim_path *there, const struct sim_path *back);
void sim_end_watch(struct stream *end); /* gives up some time after a cut, unless it is healed */

/* sim/dial.c */
enum err sim_dial_begin(struct net *base, struct dial *dial, const char *address,
                        uint64_t timeout_us, struct why *why);
void sim_dial_cancel(struct net *base, struct dial *dial);
void sim_dials_cut(struct sim_net *net);

extern const struct net_ops sim_net_ops;

/* The event of the end itself: accept, drained, the end of lingering; by where the end stands. */
void sim_end_own(struct sim_event *event);

#endif
