/* SPDX-License-Identifier: Apache-2.0 */
/* net_server: a server on the loop of this thread, over real sockets, and clients that connect. */
#ifndef TEST_REAL_NET_SERVER_H
#define TEST_REAL_NET_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "real/net.h"
#include "test/real/help.h"

enum mode { MODE_ECHO, MODE_TELL_AND_CLOSE, MODE_FLOOD, MODE_REFUSE };

struct server {
    struct real_world *real;
    struct world world;
    struct listener listener;
    struct place_for_test place;
    char address[NET_ADDRESS_TEXT_BYTES];
    enum mode mode;
    size_t flood_bytes; /* MODE_FLOOD, MODE_TELL_AND_CLOSE: how much is sent */
    int open, accepted, ended, drained;
    bool inside; /* a call into the net */
    bool stop_when_empty;
    size_t unsent_most;
    uint64_t closed_ms;
    struct stream *last;
    struct conn *last_conn;
    struct timer overtime, turn;
};

struct conn {
    struct stream_owner owner;
    struct stream *stream;
    struct server *server;
};

static void conn_send(struct conn *conn, struct bytes bytes)
{
    struct server *server = conn->server;
    server->inside = true;
    server->world.net->ops->send(conn->stream, bytes);
    server->inside = false;
    size_t unsent = server->world.net->ops->unsent(conn->stream);
    if (unsent > server->unsent_most) server->unsent_most = unsent;
}

static inline uint64_t monotonic_ms(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void conn_close(struct conn *conn, bool flush)
{
    struct server *server = conn->server;
    server->closed_ms = monotonic_ms();
    server->inside = true;
    server->world.net->ops->close(conn->stream, flush);
    server->inside = false;
    server->open -= 1;
    memory_free(conn);
    if (server->open == 0 && server->stop_when_empty) real_world_stop(server->real);
}

static void conn_received(struct stream_owner *owner, struct bytes bytes)
{
    struct conn *conn = CONTAINER_OF(owner, struct conn, owner);
    struct server *server = conn->server;
    assert_false(server->inside);
    assert_true(bytes.size > 0);
    switch (server->mode) {
    case MODE_ECHO:
        conn_send(conn, bytes);
        if (server->world.net->ops->unsent(conn->stream) > 1 << 20)
            server->world.net->ops->pause(conn->stream, true);
        return;
    case MODE_TELL_AND_CLOSE:
    case MODE_FLOOD: {
        uint8_t *flood = memory_alloc(server->flood_bytes);
        for (size_t i = 0; i < server->flood_bytes; i++) flood[i] = (uint8_t)(i * 31 >> 8);
        conn_send(conn, bytes_of(flood, server->flood_bytes));
        memory_free(flood);
        if (server->mode == MODE_TELL_AND_CLOSE) conn_close(conn, true);
        return;
    }
    case MODE_REFUSE: fail();
    }
}

static void conn_drained(struct stream_owner *owner)
{
    struct conn *conn = CONTAINER_OF(owner, struct conn, owner);
    assert_false(conn->server->inside);
    conn->server->drained += 1;
    assert_int_equal(conn->server->world.net->ops->unsent(conn->stream), 0);
    conn->server->world.net->ops->pause(conn->stream, false);
}

static void conn_ended(struct stream_owner *owner)
{
    struct conn *conn = CONTAINER_OF(owner, struct conn, owner);
    assert_false(conn->server->inside);
    conn->server->ended += 1;
    conn_close(conn, false);
}

static const struct stream_events conn_events = {conn_received, conn_drained, conn_ended};

static struct stream_owner *server_accepted(struct listener *listener, struct stream *stream)
{
    struct server *server = CONTAINER_OF(listener, struct server, listener);
    assert_false(server->inside);
    server->accepted += 1;
    server->last = stream;
    if (server->mode == MODE_REFUSE) {
        server->world.net->ops->send(stream, bytes_text("-ERR full\r\n"));
        return NULL;
    }
    struct conn *conn = memory_zeroed(1, sizeof(*conn));
    *conn = (struct conn){{&conn_events}, stream, server};
    server->open += 1;
    server->last_conn = conn;
    return &conn->owner;
}

static void server_overtime(struct timer *timer)
{
    (void)timer;
    fail_msg("the loop was not stopped in time");
}

static void server_turn_over(struct timer *timer)
{
    real_world_stop(CONTAINER_OF(timer, struct server, turn)->real);
}

/* Runs what happens within a millisecond. */
static inline void server_turn(struct server *server)
{
    clock_timer_start(server->world.clock, &server->turn, 1000);
    real_world_run(server->real);
}

static inline void server_begin(struct server *server, const char *address, unsigned mode)
{
    memset(server, 0, sizeof(*server));
    place_make(&server->place, "/tmp");
    struct real_options options = {.keepalive_seconds = 300};
    struct why why = {.text = ""};
    assert_int_equal(real_world_open(&server->real, &options, &server->world, &why), ERR_OK);
    server->listener.accepted = server_accepted;
    char unix_address[128];
    if (address == NULL) {
        (void)snprintf(unix_address, sizeof(unix_address), "unix:%s/socket", server->place.path);
        address = unix_address;
    }
    if (server->world.net->ops->listen(server->world.net, &server->listener, address, mode, &why) !=
        ERR_OK)
        fail_msg("%s", why.text);
    listener_real_address(&server->listener, server->address);
    server->stop_when_empty = true;
    server->overtime.fired = server_overtime;
    server->turn.fired = server_turn_over;
}

static inline void server_run(struct server *server)
{
    clock_timer_start(server->world.clock, &server->overtime, 60 * 1000000);
    real_world_run(server->real);
    clock_timer_stop(server->world.clock, &server->overtime);
}

static inline void server_end(struct server *server)
{
    if (server->listener.world != NULL)
        server->world.net->ops->unlisten(server->world.net, &server->listener);
    real_world_close(server->real);
    place_remove(&server->place);
}

static inline int connect_to(const char *address)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
        struct sockaddr_un local;
    } to = {.four = {0}};
    socklen_t size = sizeof(to);
    const char *colon = strrchr(address, ':');
    if (strncmp(address, "unix:", 5) == 0) {
        to.local.sun_family = AF_UNIX;
        size_t path = strlen(address + 5) + 1;
        assert_true(path <= sizeof(to.local.sun_path));
        memcpy(to.local.sun_path, address + 5, path);
        size = sizeof(to.local);
    } else if (address[0] == '[') {
        to.six.sin6_family = AF_INET6;
        to.six.sin6_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
        to.six.sin6_addr = in6addr_loopback;
        size = sizeof(to.six);
    } else {
        to.four.sin_family = AF_INET;
        to.four.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
        to.four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        size = sizeof(to.four);
    }
    int fd = socket(to.any.sa_family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (connect(fd, &to.any, size) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static inline void pause_ms(long ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

#endif
