/* SPDX-License-Identifier: Apache-2.0 */
/* http_daemon: connections of web clients on libmicrohttpd, all on the thread of whoever runs it.
 *
 * Time is an argument. Bounded are the connections, what each may send, how long it may last, and
 * how long its request may stand with the owner. */
#ifndef REAL_HTTP_DAEMON_H
#define REAL_HTTP_DAEMON_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/list.h"
#include "base/must.h"
#include "seam/http.h"

enum {
    HTTP_CONNECTIONS_MAX = 32,
    HTTP_CONNECTION_US_MAX = 15 * 1000 * 1000, /* from accepted to closed */
    HTTP_CONNECTION_BYTES_MAX = 16 * 1024, /* request line, headers, and headers of the answer */
    HTTP_BODY_BYTES_MAX = 64 * 1024,       /* of a request; dropped */
    HTTP_METHOD_BYTES_MAX = 31,
    HTTP_PATH_BYTES_MAX = 1023,
    HTTP_OWNER_US_MAX = 2 * 1000 * 1000, /* then the client is told that nobody answers */
};

struct MHD_Connection;
struct MHD_Daemon;

/* A request, from its head on. The owner has it from asked() until http_daemon_answer. */
struct http_exchange {
    struct http_request request; /* the owner's while it has the exchange */
    struct list node;            /* likewise */

    /* The daemon's. */
    struct MHD_Connection *connection; /* good while the exchange stands in daemon->asked */
    struct list asked_node;
    uint64_t due_us;
    bool with_owner, with_client; /* freed when neither has it any more */
    bool read;                    /* the owner may be asked, or was */
    const char *instead;          /* the owner was too late: what the client is told; else NULL */
    size_t body_bytes;            /* read so far */
    char method[HTTP_METHOD_BYTES_MAX + 1];
    char path[HTTP_PATH_BYTES_MAX + 1];
};

struct http_daemon_owner {
    /* True: the owner has taken the exchange and gives it back by http_daemon_answer, not from
     * inside. False: it has answered it at once. */
    bool (*asked)(struct http_daemon_owner *owner, struct http_exchange *exchange);
};

struct http_daemon {
    struct http_daemon_owner *owner;
    struct MHD_Daemon *mhd;
    int descriptor;    /* readable: run it */
    struct list links; /* connections, by their age */
    unsigned count;    /* of them */
    struct list asked; /* exchanges whose clients wait for the owner, by due_us */
    unsigned late;     /* exchanges that the owner has longer than their clients were let wait */
    bool closing;      /* nobody is asked any more */
    uint64_t now_us;
};

/* `owner` is borrowed until the close. On failure nothing stays open. */
MUST_USE enum err http_daemon_open(struct http_daemon *daemon, struct http_daemon_owner *owner,
                                   struct why *why);
static inline bool http_daemon_is_full(const struct http_daemon *daemon)
{
    return daemon->count == HTTP_CONNECTIONS_MAX;
}
/* Takes the connected descriptor over, also when it fails, and then closes it. Not full. */
void http_daemon_add(struct http_daemon *daemon, int descriptor, const struct sockaddr *peer,
                     socklen_t size, uint64_t now_us);
/* Reads, asks, sends, and ends what has lasted too long. Returns how many microseconds from now it
 * wants to be run again though nothing has happened; UINT64_MAX: not at all. */
uint64_t http_daemon_run(struct http_daemon *daemon, uint64_t now_us);
/* The owner gives an exchange back, answered; its client is served by the next run. */
void http_daemon_answer(struct http_daemon *daemon, struct http_exchange *exchange);
/* Tells everyone whose request is with the owner that the server stops, and closes every
 * connection. The owner's exchanges are then the owner's to free: http_exchange_free. */
void http_daemon_close(struct http_daemon *daemon);
void http_exchange_free(struct http_exchange *exchange);

#endif
