/* SPDX-License-Identifier: Apache-2.0 */
/* sibling: the whole server as one of several copies of a shard, each on a node of its own. */
#ifndef SIM_SIBLING_H
#define SIM_SIBLING_H

#include "app/server.h"
#include "replica/orchestrator.h"
#include "seam/service.h"
#include "sim/annals.h"
#include "sim/node.h"

enum { SIBLING_PORT = 7379, SIBLING_WORD_BYTES = 64 };

struct sibling_settings {
    bool all; /* mode all; else local */
    unsigned min_in_sync;
    bool direct;
    uint64_t segment_bytes, flush_bytes_max;
    const char *save;      /* borrowed */
    uint64_t behind_bytes; /* budget of a copy that is behind */
    uint64_t ahead_bytes;  /* that one takes before it is applied */
    uint64_t drop_after_s; /* a copy that counts is removed when it is gone for so long */
    uint64_t image_bytes_per_s;
};

/* What a copy says of itself. */
struct sibling_look {
    bool looked; /* it is up and answers */
    struct copies_status copies;
    struct service_status service;
};

/* What became of sessions, as those who serve them tell it. */
struct sibling_told {
    uint64_t events[ORCHESTRATOR_EVENT_KINDS];
    uint64_t rules[RECOVER_RULES]; /* of plans */
    uint64_t ends[BYE_REASONS];
    uint64_t read_back; /* entries applied that were in the log's files only */
};

struct sibling {
    struct sim_program base;
    struct server_host host;
    struct sibling_settings settings;
    char follow[SIBLING_WORD_BYTES]; /* "host port" of its command line; "": none */
    struct sim_world *world;
    struct sim_node *node;
    struct annals *annals;
    struct witness witness;
    unsigned index;
    bool ready;
    enum sim_end end; /* how the last life ended; its status, and why a start was refused */
    int status;
    struct why why;

    struct world seams; /* the node's, while it is up */
    struct config *config;
    struct server *server;
    struct task close;
    struct sim_visit visit;
    struct sibling_look *look; /* for the visit */
    struct sibling_told *told; /* of all copies together; borrowed, NULL: not counted */
    uint64_t event_next;       /* of the process of now */
    uint64_t read_back;        /* of it, counted so far */
};

/* Opens a node for it. `copy` does not move until the world is closed. */
void sibling_init(struct sibling *copy, struct annals *annals, unsigned index,
                  const struct sibling_settings *settings, const struct sim_node_options *options);
void sibling_stop(
    struct sibling *copy); /* begins a clean stop; the node goes down by itself later */
void sibling_look(struct sibling *copy, struct sibling_look *out);
/* The number of the epoch that it leads now; 0: none, or it cannot be asked. */
uint64_t sibling_reign(struct sibling *copy);

#endif
