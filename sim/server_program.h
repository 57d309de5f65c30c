/* SPDX-License-Identifier: Apache-2.0 */
/* server_program: the whole server as the program of a simulated node: configuration, wiring, clean
 * stop, exit status. And a second, small one on the same node: the recount of its store. */
#ifndef SIM_SERVER_PROGRAM_H
#define SIM_SERVER_PROGRAM_H

#include "app/server.h"
#include "sim/canon.h"
#include "sim/gallery.h"
#include "sim/gate.h"
#include "sim/node.h"
#include "sim/restorer.h"
#include "state/state.h"

/* Where a server that archives does so: see storm_archive.c. */
#define SERVER_ARCHIVE "archive/images"
enum { SERVER_OPTION_BYTES = 32, SERVER_OPTIONS = 12, SERVER_PORT = 7379 };

/* What differs from the defaults. */
struct server_settings {
    enum config_durability durability;
    bool direct;
    uint64_t segment_bytes, reserve_bytes;
    uint64_t flush_bytes_min, flush_bytes_max;
    unsigned image_keep;
    const char *save; /* borrowed */
    bool archives;
    uint64_t effects_bytes; /* of the stream of effects that are kept */
};

struct server_program {
    struct sim_program base;
    struct server_host host;
    struct server_settings settings;
    struct sim_world *world;
    struct sim_node *node;
    struct canon canon;
    struct gallery gallery;
    struct gate_told told; /* by the newest start */
    bool flawed;           /* an image is not what it was: the gallery does not look */

    bool ready, recounting; /* recounting: the next start only counts the store */
    struct state_recount recount;
    enum err recount_err;
    bool restoring; /* the next start is that of a restore */
    struct restorer restorer;
    uint64_t archived; /* newest LSN that was told as archived */
    uint64_t archive_gaps;
    enum sim_end end; /* how the last life ended; its status, and why a start was refused */
    int status;
    struct why why;
    uint64_t starts, exits;

    struct world seams; /* the node's, while it is up */
    struct config *config;
    struct server *server;
    struct task close;
    struct sim_visit stop;
    const char *name, *value; /* for the visit that configures */
    struct sim_reader reader; /* of the trace: what the log says that it found */
};

/* Opens a node for it. `program` does not move until the world is closed. */
void server_program_init(struct server_program *program, struct sim_world *world,
                         const struct server_settings *settings,
                         const struct sim_node_options *options);
void server_program_release(struct server_program *program);
/* Begins a clean stop; the node goes down by itself later. */
void server_program_stop(struct server_program *program);
/* CONFIG SET while it serves. */
void server_program_configure(struct server_program *program, const char *name, const char *value);
/* Counts the store of the node, which is down. False: it could not be; program->why. */
bool server_program_recount(struct server_program *program);
/* Runs a restore with program->restorer.options on the node, which is down. False: it has not come
 * to its end. */
bool server_program_restore(struct server_program *program);

#endif
