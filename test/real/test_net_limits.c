/* SPDX-License-Identifier: Apache-2.0 */
/* Streams at their limits: how many there may be and wait, and what is known of a paused one. */
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>

#include "test/real/net_server.h"

/* The peer ends behind bytes that a pause keeps unread: by a reset, by its close, or its side. */
static void check_end_behind_a_pause(const char *address, bool resets, bool half)
{
    struct server server;
    server_begin(&server, address, 0600);
    int fd = connect_to(server.address);
    while (server.accepted == 0) server_turn(&server);
    const struct net_ops *net = server.world.net->ops;
    net->pause(server.last, true);
    char bytes[1000] = "?";
    assert_int_equal(send(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
    for (int i = 0; i < 20; i++) server_turn(&server);
    assert_false(net->has_ended(server.last));
    struct linger reset = {1, 0};
    if (resets) assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    assert_int_equal(half ? shutdown(fd, SHUT_WR) : close(fd), 0);
    for (int i = 0; i < 1000 && !net->has_ended(server.last); i++) server_turn(&server);
    assert_true(net->has_ended(server.last));
    assert_int_equal(server.ended, 0); /* there is something to read yet */
    net->pause(server.last, false);
    server_run(&server);
    assert_int_equal(server.ended, 1);
    if (half) (void)close(fd);
    server_end(&server);
}

TEST(real_net_limits, a_paused_stream_can_be_asked_whether_its_peer_has_ended)
{
    for (int i = 0; i < 2; i++) {
        const char *address = i == 0 ? "127.0.0.1:0" : NULL;
        check_end_behind_a_pause(address, false, false);
        check_end_behind_a_pause(address, false, true);
    }
    check_end_behind_a_pause("127.0.0.1:0", true, false);
}

TEST(real_net_limits, more_streams_than_descriptors_are_left_for_are_closed_at_once)
{
    struct server server;
    server_begin(&server, "127.0.0.1:0", 0);
    struct net_real *net = CONTAINER_OF(server.world.net, struct net_real, net);
    net->handles_max = net->handles + 2;
    int clients[4];
    for (int i = 0; i < 4; i++) clients[i] = connect_to(server.address);
    for (int i = 0; i < 50; i++) server_turn(&server);
    assert_int_equal(server.accepted, 2);
    int closed = 0;
    for (int i = 0; i < 4; i++) {
        char byte;
        closed += recv(clients[i], &byte, 1, MSG_DONTWAIT) == 0;
    }
    assert_int_equal(closed, 2);
    for (int i = 0; i < 4; i++) (void)close(clients[i]);
    server_run(&server);
    server_end(&server);
}

TEST(real_net_limits, so_many_connections_wait_as_the_backlog_says)
{
    struct server server;
    server_begin(&server, "127.0.0.1:0", 0);
    CONTAINER_OF(server.world.net, struct net_real, net)->backlog = 3;
    struct listener listener = {.accepted = server_accepted};
    struct why why = {.text = ""};
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char address[NET_ADDRESS_TEXT_BYTES];
    (void)snprintf(to.sun_path, sizeof(to.sun_path), "%s/few", server.place.path);
    (void)snprintf(address, sizeof(address), "unix:%s", to.sun_path);
    assert_int_equal(server.world.net->ops->listen(server.world.net, &listener, address, 0, &why),
                     ERR_OK);
    int waiting = 0, clients[8];
    for (int i = 0; i < 8; i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        waiting += connect(clients[i], (const struct sockaddr *)&to, sizeof(to)) == 0;
    }
    assert_int_equal(waiting, 4); /* Linux lets in one more */
    for (int i = 0; i < 8; i++) (void)close(clients[i]);
    server.world.net->ops->unlisten(server.world.net, &listener);
    server_end(&server);
}

TEST(real_net_limits, keep_alive_is_that_of_the_time_when_a_stream_begins)
{
    struct server server;
    server_begin(&server, "127.0.0.1:0", 0);
    static const unsigned seconds[] = {300, 7, 0};
    int clients[3];
    for (int i = 0; i < 3; i++) {
        real_world_set_keepalive(server.real, seconds[i]);
        int next = dup(0); /* the descriptor that comes after the client's */
        clients[i] = connect_to(server.address);
        (void)close(next);
        while (server.accepted == i) server_turn(&server);
        int on = -1, idle = -1;
        socklen_t size = sizeof(on);
        assert_int_equal(getsockopt(next, SOL_SOCKET, SO_KEEPALIVE, &on, &size), 0);
        assert_int_equal(getsockopt(next, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &size), 0);
        assert_int_equal(on, seconds[i] > 0);
        if (on) assert_int_equal(idle, seconds[i]);
    }
    for (int i = 0; i < 3; i++) (void)close(clients[i]);
    server_run(&server);
    server_end(&server);
}

/* With no descriptor left the server must still get rid of connections. */
TEST(real_net_limits, without_descriptors_connections_are_refused_and_accepted_again_later)
{
    struct server server;
    server_begin(&server, "127.0.0.1:0", 0);
    int clients[8];
    for (int i = 0; i < 8; i++) clients[i] = connect_to(server.address);
    struct rlimit before, now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    now = before;
    int probe = dup(0);
    assert_true(probe >= 0);
    (void)close(probe);
    now.rlim_cur = (rlim_t)probe + 2; /* the lowest free one, and one more */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    for (int i = 0; i < 50; i++) server_turn(&server);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_in_range(server.accepted, 1, 2);
    int closed = 0;
    for (int i = 0; i < 8; i++) {
        char byte;
        struct pollfd poll_one = {.fd = clients[i], .events = POLLIN};
        if (poll(&poll_one, 1, 0) == 1 && recv(clients[i], &byte, 1, MSG_DONTWAIT) == 0) closed++;
    }
    assert_int_equal(closed, 8 - server.accepted);
    int late = connect_to(server.address);
    int had = server.accepted;
    for (int i = 0; i < 1000 && server.accepted == had; i++) server_turn(&server);
    assert_int_equal(server.accepted, had + 1);
    (void)close(late);
    for (int i = 0; i < 8; i++) (void)close(clients[i]);
    server_run(&server);
    server_end(&server);
}
