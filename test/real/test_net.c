/* SPDX-License-Identifier: Apache-2.0 */
/* Streams over real sockets: the server is the loop on this thread, the client a thread with
 * blocking calls. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "test/real/net_server.h"

/* ---- Echo ---- */

struct echo_client {
    const char *address;
    size_t bytes;
    bool slow; /* reads late and in small pieces */
    bool equal;
};

struct echo_writer {
    int fd;
    size_t bytes;
};

static uint8_t echo_byte(size_t i)
{
    return (uint8_t)((i * 2654435761u) >> 13);
}

static void *echo_write(void *argument)
{
    struct echo_writer *writer = argument;
    uint8_t chunk[70000];
    for (size_t sent = 0; sent < writer->bytes;) {
        size_t size = writer->bytes - sent < sizeof(chunk) ? writer->bytes - sent : sizeof(chunk);
        for (size_t i = 0; i < size; i++) chunk[i] = echo_byte(sent + i);
        ssize_t put = send(writer->fd, chunk, size, MSG_NOSIGNAL);
        if (put <= 0) break;
        sent += (size_t)put;
    }
    return NULL;
}

static void *echo_client(void *argument)
{
    struct echo_client *client = argument;
    struct echo_writer writer = {connect_to(client->address), client->bytes};
    pthread_t thread;
    if (writer.fd < 0 || pthread_create(&thread, NULL, echo_write, &writer) != 0) return NULL;
    if (client->slow) pause_ms(300);
    uint8_t chunk[30000];
    size_t got = 0;
    bool equal = true;
    while (got < client->bytes) {
        ssize_t more = recv(writer.fd, chunk, client->slow ? 5000 : sizeof(chunk), 0);
        if (more <= 0) break;
        for (ssize_t i = 0; i < more; i++) equal = equal && chunk[i] == echo_byte(got + (size_t)i);
        got += (size_t)more;
    }
    client->equal = equal && got == client->bytes;
    (void)pthread_join(thread, NULL);
    (void)close(writer.fd);
    return NULL;
}

static void check_echo(const char *address, size_t bytes, bool slow)
{
    struct server server;
    server_begin(&server, address, 0600);
    struct echo_client client = {.address = server.address, .bytes = bytes, .slow = slow};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, echo_client, &client), 0);
    server_run(&server);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(client.equal);
    assert_int_equal(server.ended, 1);
    if (slow) {
        assert_true(server.drained > 0);
        assert_in_range(server.unsent_most, 1 << 20, (1 << 20) + 2 * NET_RECEIVE_BYTES);
    }
    server_end(&server);
}

TEST(real_net, echoes_a_small_and_a_large_message_over_tcp)
{
    check_echo("127.0.0.1:0", 10, false);
    check_echo("127.0.0.1:0", 30 << 20, false);
}

TEST(real_net, echoes_over_ipv6_and_over_a_unix_socket)
{
    check_echo("[::1]:0", 5 << 20, false);
    check_echo(NULL, 5 << 20, false);
}

TEST(real_net, a_slow_reader_holds_the_sender_back_and_gets_everything)
{
    check_echo("127.0.0.1:0", 20 << 20, true);
    check_echo(NULL, 10 << 20, true);
}

/* ---- Closing ---- */

struct ask_client {
    const char *address;
    size_t extra; /* bytes sent beside the question, which the server never reads */
    size_t got;
    bool clean; /* the server's end came, not a reset */
    bool right;
    bool reads; /* at once, else after a while */
};

static void *ask_client(void *argument)
{
    struct ask_client *client = argument;
    int fd = connect_to(client->address);
    if (fd < 0) return NULL;
    uint8_t question[1000] = "?";
    for (size_t sent = 0; sent <= client->extra; sent += sizeof(question)) {
        if (send(fd, question, sizeof(question), MSG_NOSIGNAL) <= 0) break;
    }
    if (!client->reads) pause_ms(300);
    client->right = true;
    uint8_t chunk[10000];
    for (;;) {
        ssize_t more = recv(fd, chunk, sizeof(chunk), 0);
        if (more == 0) client->clean = true;
        if (more <= 0) break;
        for (ssize_t i = 0; i < more; i++)
            client->right = client->right &&
                            chunk[i] == (uint8_t)((client->got + (size_t)i) * 31 >> 8);
        client->got += (size_t)more;
    }
    (void)close(fd);
    return NULL;
}

static void check_close(struct server *server, struct ask_client *client)
{
    client->address = server->address;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask_client, client), 0);
    server_run(server);
    server_end(server); /* lets the lingering stream end */
    assert_int_equal(pthread_join(thread, NULL), 0);
}

TEST(real_net, a_close_with_flush_still_sends_what_is_unsent)
{
    struct server server;
    server_begin(&server, "127.0.0.1:0", 0);
    server.mode = MODE_TELL_AND_CLOSE;
    server.flood_bytes = 12 << 20; /* more than the sockets hold */
    struct ask_client client = {.reads = true};
    check_close(&server, &client);
    assert_int_equal(client.got, 12 << 20);
    assert_true(client.right);
    assert_true(client.clean);
}

TEST(real_net, a_close_with_flush_is_no_reset_when_the_peer_has_said_more)
{
    struct server server;
    server_begin(&server, "127.0.0.1:0", 0);
    server.mode = MODE_TELL_AND_CLOSE;
    server.flood_bytes = 1500000; /* more than a peer's socket takes before it reads */
    struct ask_client client = {.reads = false, .extra = 3 << 20};
    check_close(&server, &client);
    assert_int_equal(client.got, 1500000);
    assert_true(client.right);
}

TEST(real_net, a_close_with_flush_gives_up_on_a_peer_that_does_not_read_after_a_second)
{
    struct server server;
    server_begin(&server, "127.0.0.1:0", 0);
    server.mode = MODE_TELL_AND_CLOSE;
    server.flood_bytes = 16 << 20;
    int fd = connect_to(server.address);
    assert_int_equal(send(fd, "?", 1, 0), 1);
    server_run(&server);
    uint64_t closed_ms = server.closed_ms;
    server_end(&server);
    assert_in_range(monotonic_ms() - closed_ms, 900, 8000);
    (void)close(fd);
}

TEST(real_net, no_owner_closes_the_stream_after_what_was_sent)
{
    struct server server;
    server_begin(&server, "127.0.0.1:0", 0);
    server.mode = MODE_REFUSE;
    int fd = connect_to(server.address);
    assert_true(fd >= 0);
    for (int i = 0; i < 1000 && server.accepted == 0; i++) server_turn(&server);
    server_end(&server);
    char text[32] = "";
    assert_int_equal(recv(fd, text, sizeof(text) - 1, 0), 11);
    assert_string_equal(text, "-ERR full\r\n");
    assert_int_equal(recv(fd, text, sizeof(text), 0), 0);
    (void)close(fd);
}

TEST(real_net, a_peer_that_resets_ends_the_stream_and_sends_to_it_are_dropped)
{
    struct server server;
    server_begin(&server, "127.0.0.1:0", 0);
    server.mode = MODE_FLOOD;
    server.flood_bytes = 8 << 20;
    int fd = connect_to(server.address);
    assert_int_equal(send(fd, "?", 1, 0), 1);
    struct linger reset = {1, 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    assert_int_equal(close(fd), 0);
    server_run(&server);
    assert_int_equal(server.ended, 1);
    server_end(&server);
}

TEST(real_net, closing_the_world_closes_what_was_left_open)
{
    struct server server;
    server_begin(&server, NULL, 0600);
    int fd = connect_to(server.address);
    while (server.open == 0) server_turn(&server);
    struct conn *conn = server.last_conn;
    real_world_close(server.real);
    assert_int_equal(server.ended, 0);
    memory_free(conn);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    assert_int_equal(access(place_path(&server.place, "socket"), F_OK), -1);
    (void)close(fd);
    place_remove(&server.place);
}

/* ---- Names ---- */

TEST(real_net, names_both_ends_and_knows_the_own_machine)
{
    static const char *const addresses[] = {"127.0.0.1:0", "[::1]:0", NULL};
    for (size_t i = 0; i < 3; i++) {
        struct server server;
        server_begin(&server, addresses[i], 0600);
        int fd = connect_to(server.address);
        while (server.open == 0) server_turn(&server);
        const struct net_ops *ops = server.world.net->ops;
        assert_true(ops->is_loopback(server.last));
        char local[NET_ADDRESS_TEXT_BYTES], peer[NET_ADDRESS_TEXT_BYTES],
            mine[NET_ADDRESS_TEXT_BYTES];
        ops->local(server.last, local);
        ops->peer(server.last, peer);
        assert_string_equal(local, server.address);
        struct address name = {.size = sizeof(name.socket)};
        assert_int_equal(getsockname(fd, (struct sockaddr *)&name.socket, &name.size), 0);
        address_format(&name, mine);
        assert_string_equal(peer, addresses[i] != NULL ? mine : server.address);
        (void)close(fd);
        server_run(&server);
        server_end(&server);
    }
}

/* ---- Listening ---- */

TEST(real_net, a_unix_socket_has_its_permission_bits_and_goes_with_its_listener)
{
    struct server server;
    mode_t old = umask(077); /* which must not narrow what was asked for */
    server_begin(&server, NULL, 0660);
    (void)umask(old);
    struct stat facts;
    assert_int_equal(stat(place_path(&server.place, "socket"), &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0660);
    server.world.net->ops->unlisten(server.world.net, &server.listener);
    assert_int_equal(stat(place_path(&server.place, "socket"), &facts), -1);
    server_end(&server);
}

TEST(real_net, a_stale_socket_file_is_replaced_and_a_living_one_or_a_file_is_not)
{
    struct server server;
    server_begin(&server, NULL, 0600);
    struct listener second = {.accepted = server_accepted};
    struct why why = {.text = ""};
    assert_int_equal(
        server.world.net->ops->listen(server.world.net, &second, server.address, 0600, &why),
        ERR_EXISTS);
    assert_true(why.text[0] != '\0');
    int fd = connect_to(server.address);
    assert_true(fd >= 0); /* the first one still listens */
    (void)close(fd);

    /* What a killed process leaves behind. */
    char address[128];
    (void)snprintf(address, sizeof(address), "unix:%s/stale", server.place.path);
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    memcpy(local.sun_path, address + 5, strlen(address + 5) + 1);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&local, sizeof(local)), 0);
    assert_int_equal(listen(dead, 1), 0);
    (void)close(dead);
    assert_int_equal(server.world.net->ops->listen(server.world.net, &second, address, 0600, NULL),
                     ERR_OK);
    server.world.net->ops->unlisten(server.world.net, &second);

    FILE *file = fopen(address + 5, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(server.world.net->ops->listen(server.world.net, &second, address, 0600, &why),
                     ERR_EXISTS);
    assert_int_equal(access(address + 5, F_OK), 0);
    server.stop_when_empty = false;
    server_end(&server);
}

TEST(real_net, addresses_that_cannot_be_are_refused)
{
    struct server server;
    server_begin(&server, "127.0.0.1:0", 0);
    static const char *const bad[] = {
        "",       ":",     "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000x",
        "[::1:7", "::1:7", "unix:",     "300.1.1.1:5"};
    struct listener listener = {.accepted = server_accepted};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct why why = {.text = ""};
        assert_int_equal(
            server.world.net->ops->listen(server.world.net, &listener, bad[i], 0, &why),
            ERR_CONFIG);
        assert_true(why.text[0] != '\0');
        assert_null(listener.world);
    }
    struct why why = {.text = ""};
    assert_int_equal(
        server.world.net->ops->listen(server.world.net, &listener, server.address, 0, &why),
        ERR_EXISTS);
    server_end(&server);
}
