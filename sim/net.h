/* SPDX-License-Identifier: Apache-2.0 */
/* net: listeners, dials and streams inside the simulated world, on the seam of seam/net.h.
 *
 * A stream has two ends; what one sends is in flight for a while and arrives in order, in pieces
 * cut at drawn places. At most `window_bytes` are in flight each way; what is beyond waits at the
 * sender (unsent). Either end may belong to a node or to the harness, which uses the same calls:
 * sim_connect gives it a stream, sim_send and sim_hang_up work on it, and its owner's events come
 * outside of every node. What lies between two nodes, and goes wrong there, is in sim/paths.h.
 *
 * When a node's process ends its streams are closed or reset a little later; when its power goes
 * nobody tells the peers for up to `silence_us_max`. What was in flight then arrives or not.
 *
 * Programmer errors are a MUST: a stream used after its close, two listeners on one address. */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "seam/net.h"

struct sim_node;
struct sim_world;
struct sim_net; /* fields: sim/net.c */

struct sim_net_profile {
    uint64_t delay_us_min, delay_us_max; /* one way */
    uint64_t gap_us_max;                 /* between pieces */
    uint64_t window_bytes;
    uint32_t whole_per_million; /* the chance that all there is arrives in one piece */
    uint32_t reset_per_million; /* the chance, at each piece, that the stream breaks instead */
    uint64_t silence_us_max;
};

void sim_net_profile_init(struct sim_net_profile *profile);
struct sim_net_profile *sim_net_profile(struct sim_world *world); /* to be set by the harness */

struct sim_net *sim_net_open(struct sim_node *node);
void sim_net_close(struct sim_net *net);
struct net *sim_net_seam(struct sim_net *net);
void sim_net_discard_clients(struct sim_world *world); /* at the world's end */

/* A client of the harness's on the same machine (its address is a loopback one). Nobody there:
 * `ended` follows. The stream is the caller's until sim_hang_up; the owner is borrowed as long. */
struct stream *sim_connect(struct sim_world *world, struct sim_node *node, unsigned port,
                           struct stream_owner *owner);
struct stream *sim_connect_path(struct sim_world *world, struct sim_node *node, const char *path,
                                struct stream_owner *owner);
/* The same from elsewhere ("192.0.2.7"): not loopback. */
struct stream *sim_connect_from(struct sim_world *world, struct sim_node *node, unsigned port,
                                const char *from, struct stream_owner *owner);
void sim_send(struct stream *stream, struct bytes bytes);
void sim_hang_up(struct stream *stream, bool flush); /* seam/net.h's close */
void sim_pause(struct stream *stream, bool paused);
size_t sim_unsent(const struct stream *stream);

/* Faults; `stream` is either end. */
void sim_stream_reset(struct stream *stream); /* both ends hear of it, what is in flight is lost */
void sim_stream_clog(struct stream *stream,
                     bool clogged); /* nothing arrives, nobody hears; undone with false */
void sim_stream_rate(struct stream *stream,
                     uint64_t bytes_per_second); /* this end reads slowly; 0: no bound */
/* The node's cable: nothing arrives at it or from it while it is out. */
void sim_net_isolate(struct sim_node *node, bool isolated);

#endif
