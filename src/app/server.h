/* SPDX-License-Identifier: Apache-2.0 */
/* server: the rooms wired together over a world: a node with its keys machine, and the Redis face
 * before it. The program runs one over the real world; the simulator runs any number over simulated
 * ones. */
#ifndef APP_SERVER_H
#define APP_SERVER_H

#include "app/exit_status.h"
#include "base/err.h"
#include "base/must.h"
#include "config/config.h"
#include "seam/maker.h"
#include "seam/service.h"
#include "seam/world.h"

struct server; /* fields: app/server.c */

/* Whoever runs the server; told on the loop. Caller-owned. */
struct server_host {
    void (*ready)(struct server_host *host); /* every address listens */
    /* The server has ended, cleanly or by a failure that has been traced; server_close() is next,
     * not from inside. */
    void (*ended)(struct server_host *host, enum exit_status status);
    /* Figures of the process for INFO; NULL: shown as zero. */
    uint64_t (*used_memory)(struct server_host *host);
    uint64_t (*used_cpu_us)(struct server_host *host, bool user);
    void (*log_sync)(struct server_host *host, const char **method,
                     const char **place); /* NULL is fine */
    void (*set_keepalive)(struct server_host *host,
                          unsigned seconds); /* of connections from now on; NULL is fine */
    /* Certificates are read anew, for connections from now on; ERR_CONFIG: they stay as they were.
     * NULL is fine. */
    enum err (*set_certificates)(struct server_host *host, struct why *why);
    /* May put a machine of its own between the node and the keys machine, to watch; NULL: nobody
     * does. */
    struct machine_maker *(*observe)(struct server_host *host, struct machine_maker *maker);
    uint64_t clients_max; /* that the process can serve; 0: any number */
    uint64_t process_id;
    const char *config_file; /* NULL: none */
    const char *version, *commit;
};

/* Recovers the data and appends the first entry of this start; ready() follows. Blocks. `world`,
 * `config` and `host` are borrowed until server_close. On failure *server is NULL; the
 * error says how to exit. */
MUST_USE enum err server_open(struct server **server, const struct world *world,
                              struct config *config, struct server_host *host, struct why *why);
/* Stops cleanly: no new clients, calls in flight answered, state flushed; then ended(). Twice is
 * fine. */
void server_stop(struct server *server);
void server_close(struct server *server); /* blocks; NULL is fine */

struct service *server_service(struct server *server); /* valid until server_close */

/* The exit status for a start that failed with `err`. */
enum exit_status exit_status_of(enum err err);

#endif
