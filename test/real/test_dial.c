/* SPDX-License-Identifier: Apache-2.0 */
/* Outgoing connections over real sockets: who is called and the server share the loop. */
#define _GNU_SOURCE /* unshare */
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "test/real/net_server.h"

struct called;

struct caller {
    struct dial dial;
    struct server *server;
    struct called *called; /* NULL: none, or hung up */
    int descriptors;       /* open when nobody has called yet */
    int connected, failed, again;
    bool declines, inside;
    enum dial_failure failure;
    struct why why;
    uint64_t began_ms, ended_ms;
    struct buffer got;
    bool ended;
};

/* The caller's own end of the stream. */
struct called {
    struct stream_owner owner;
    struct caller *caller;
    struct stream *stream;
};

static void called_received(struct stream_owner *owner, struct bytes bytes)
{
    struct caller *caller = CONTAINER_OF(owner, struct called, owner)->caller;
    buffer_append(&caller->got, bytes);
}

static void called_drained(struct stream_owner *owner)
{
    (void)owner;
}

static void called_ended(struct stream_owner *owner)
{
    CONTAINER_OF(owner, struct called, owner)->caller->ended = true;
}

static const struct stream_events called_events = {called_received, called_drained, called_ended};

static void caller_dial(struct caller *caller, const char *address, uint64_t timeout_ms);

static struct stream_owner *caller_connected(struct dial *dial, struct stream *stream)
{
    struct caller *caller = CONTAINER_OF(dial, struct caller, dial);
    assert_false(caller->inside);
    assert_null(dial->world);
    caller->connected++;
    if (caller->declines) return NULL;
    struct called *called = memory_zeroed(1, sizeof(*called));
    *called = (struct called){{&called_events}, caller, stream};
    caller->called = called;
    return &called->owner;
}

static void caller_failed(struct dial *dial, enum dial_failure failure, const struct why *why)
{
    struct caller *caller = CONTAINER_OF(dial, struct caller, dial);
    assert_false(caller->inside);
    assert_null(dial->world);
    assert_true(why->text[0] != '\0');
    caller->failed++;
    caller->failure = failure;
    caller->why = *why;
    caller->ended_ms = monotonic_ms();
    if (caller->again-- > 0) caller_dial(caller, caller->server->address, 5000);
}

static void caller_dial(struct caller *caller, const char *address, uint64_t timeout_ms)
{
    struct net *net = caller->server->world.net;
    struct why why = {.text = ""};
    caller->dial.connected = caller_connected;
    caller->dial.failed = caller_failed;
    caller->began_ms = monotonic_ms();
    caller->inside = true;
    if (net->ops->dial(net, &caller->dial, address, timeout_ms * 1000, &why) != ERR_OK)
        fail_msg("%s", why.text);
    caller->inside = false;
    assert_non_null(caller->dial.world);
}

static int descriptors_open(void)
{
    int open = 0;
    for (int i = 0; i < 512; i++) open += fcntl(i, F_GETFD) != -1;
    return open;
}

static void caller_open(struct caller *caller, struct server *server, const char *address)
{
    server_begin(server, address, 0);
    server->stop_when_empty = false;
    int first = connect_to(server->address); /* with which libuv takes one for itself */
    (void)close(first);
    for (int i = 0; i < 5000 && server->ended == 0; i++) server_turn(server);
    assert_int_equal(server->ended, 1);
    server->ended = server->accepted = 0;
    server_turn(server);
    *caller = (struct caller){.server = server, .descriptors = descriptors_open()};
    buffer_init(&caller->got);
}

static void caller_wait(struct caller *caller, int outcomes)
{
    uint64_t until = monotonic_ms() + 20000;
    while (caller->connected + caller->failed < outcomes) {
        assert_true(monotonic_ms() < until);
        server_turn(caller->server);
    }
}

static void caller_hang_up(struct caller *caller)
{
    struct called *called = caller->called;
    if (called == NULL) return;
    caller->server->world.net->ops->close(called->stream, false);
    memory_free(called);
    caller->called = NULL;
}

static void caller_close(struct caller *caller)
{
    struct server *server = caller->server;
    caller_hang_up(caller);
    const struct net_real *net = CONTAINER_OF(server->world.net, struct net_real, net);
    for (int i = 0; i < 8000 && net->handles > 1; i++) server_turn(server);
    assert_int_equal(net->handles, 1); /* the listener */
    assert_int_equal(server->open, 0);
    assert_int_equal(descriptors_open(), caller->descriptors);
    buffer_release(&caller->got);
    server_end(server);
}

/* A listener that takes connections up to its backlog, and never accepts one: what comes then is
 * swallowed. */
struct hole {
    int listener, filled[4];
    char address[NET_ADDRESS_TEXT_BYTES];
};

static void hole_open(struct hole *hole)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(any);
    hole->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(hole->listener, (struct sockaddr *)&any, size), 0);
    assert_int_equal(listen(hole->listener, 0), 0);
    assert_int_equal(getsockname(hole->listener, (struct sockaddr *)&any, &size), 0);
    (void)snprintf(hole->address, sizeof(hole->address), "127.0.0.1:%u", ntohs(any.sin_port));
    for (int i = 0; i < 4; i++) {
        hole->filled[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(hole->filled[i], (struct sockaddr *)&any, size);
    }
    pause_ms(20);
}

static void hole_close(struct hole *hole)
{
    for (int i = 0; i < 4; i++) (void)close(hole->filled[i]);
    (void)close(hole->listener);
}

/* An address of this machine's that nobody listens on. */
static void unused_address(char out[NET_ADDRESS_TEXT_BYTES])
{
    struct hole hole;
    hole_open(&hole);
    memcpy(out, hole.address, NET_ADDRESS_TEXT_BYTES);
    hole_close(&hole);
}

static void check_call(const char *listened, const char *host)
{
    struct server server;
    struct caller caller;
    caller_open(&caller, &server, listened);
    char address[NET_ADDRESS_TEXT_BYTES * 2], text[NET_ADDRESS_TEXT_BYTES];
    (void)snprintf(address, sizeof(address), "%s%s", host, strrchr(server.address, ':'));
    int next = dup(0); /* the descriptor that the stream gets, unless a lookup takes it first */
    (void)close(next);
    caller_dial(&caller, address, 10000);
    caller_wait(&caller, 1);
    if (caller.connected != 1) fail_msg("%s: %s", address, caller.why.text);
    const struct net_ops *net = server.world.net->ops;
    struct stream *stream = caller.called->stream;
    net->send(stream, bytes_text("hello"));
    for (int i = 0; i < 5000 && caller.got.size < 5; i++) server_turn(&server);
    assert_memory_equal(caller.got.data, "hello", 5);
    net->peer(stream, text);
    assert_string_equal(text, server.address);
    char other[NET_ADDRESS_TEXT_BYTES];
    net->local(stream, text);
    net->peer(server.last, other);
    assert_string_equal(text, other);
    assert_true(net->is_loopback(stream));
    if (strcmp(host, "127.0.0.1") == 0) {
        int on = 0, idle = 0;
        socklen_t size = sizeof(on);
        assert_int_equal(getsockopt(next, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
        assert_int_equal(on, 1);
        assert_int_equal(getsockopt(next, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &size), 0);
        assert_int_equal(idle, 300);
    }
    conn_close(server.last_conn, false);
    for (int i = 0; i < 5000 && !caller.ended; i++) server_turn(&server);
    assert_true(caller.ended);
    caller_close(&caller);
}

TEST(real_dial, connects_over_v4_and_v6_with_the_options_of_an_accepted_stream)
{
    check_call("127.0.0.1:0", "127.0.0.1");
    check_call("[::1]:0", "[::1]");
}

TEST(real_dial, a_name_is_looked_up_and_each_of_its_addresses_is_tried)
{
    check_call("127.0.0.1:0", "localhost");
    struct addrinfo want = {.ai_family = AF_INET6}, *found = NULL;
    if (getaddrinfo("localhost", NULL, &want, &found) != 0) return;
    freeaddrinfo(found);
    check_call("[::1]:0", "localhost");
}

TEST(real_dial, a_port_that_nobody_listens_on_refuses_and_the_dial_may_be_used_again_at_once)
{
    struct server server;
    struct caller caller;
    char unused[NET_ADDRESS_TEXT_BYTES];
    caller_open(&caller, &server, "127.0.0.1:0");
    unused_address(unused);
    caller.again = 1;
    caller_dial(&caller, unused, 10000);
    caller_wait(&caller, 2);
    assert_int_equal(caller.failed, 1);
    assert_int_equal(caller.failure, DIAL_REFUSED);
    assert_non_null(strstr(caller.why.text, unused));
    assert_int_equal(caller.connected, 1);
    caller_close(&caller);
}

TEST(real_dial, what_no_way_leads_to_is_unreachable_and_is_told_after_dial_has_returned)
{
    struct server server;
    struct caller caller;
    caller_open(&caller, &server, "127.0.0.1:0");
    caller_dial(&caller, "[fe80::1]:7", 10000); /* of no interface: connect() itself fails */
    caller_wait(&caller, 1);
    assert_int_equal(caller.failure, DIAL_UNREACHABLE);
    caller_close(&caller);
}

TEST(real_dial, a_peer_that_never_answers_is_given_up_when_the_time_is_up)
{
    struct server server;
    struct caller caller;
    struct hole hole;
    caller_open(&caller, &server, "127.0.0.1:0");
    hole_open(&hole);
    caller_dial(&caller, hole.address, 300);
    caller_wait(&caller, 1);
    assert_int_equal(caller.failed, 1);
    assert_int_equal(caller.failure, DIAL_TIMED_OUT);
    assert_in_range(caller.ended_ms - caller.began_ms, 300, 5000);
    hole_close(&hole);
    caller_close(&caller);
}

TEST(real_dial, a_name_that_nobody_knows_is_told_apart)
{
    struct server server;
    struct caller caller;
    caller_open(&caller, &server, "127.0.0.1:0");
    static const char *const names[] = {"no..such:7379", "under score!:7379"};
    char longest[300];
    memset(longest, 'a', sizeof(longest));
    (void)snprintf(longest + 250, 20, ":7379");
    for (int i = 0; i < 3; i++) {
        caller_dial(&caller, i < 2 ? names[i] : longest, 15000);
        caller_wait(&caller, i + 1);
        assert_int_equal(caller.failed, i + 1);
        assert_int_equal(caller.failure, DIAL_NO_NAME);
    }
    caller_close(&caller);
}

TEST(real_dial, addresses_that_cannot_be_are_refused_at_once)
{
    struct server server;
    struct caller caller;
    caller_open(&caller, &server, "127.0.0.1:0");
    struct net *net = server.world.net;
    static const char *const bad[] = {
        "",         ":",       "localhost",   "localhost:",     "localhost:0",  "localhost:70000",
        "a:-1",     "a:1x",    "[::1:7",      "::1:7",          "*:7",          "unix:/tmp/s",
        "[name]:7", "[]:7379", "[1.2.3.4]:7", "a:000000000007", "127.0.0.1:+1",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct why why = {.text = ""};
        assert_int_equal(net->ops->dial(net, &caller.dial, bad[i], 1000000, &why), ERR_CONFIG);
        assert_true(why.text[0] != '\0');
        assert_null(caller.dial.world);
    }
    net->ops->cancel(net, &caller.dial);
    assert_int_equal(CONTAINER_OF(net, struct net_real, net)->handles, 1); /* the listener */
    caller_close(&caller);
}

/* `turns` of the loop run between dial and cancel. */
static void check_cancel(const char *address, int turns)
{
    struct server server;
    struct caller caller;
    struct hole hole;
    caller_open(&caller, &server, "127.0.0.1:0");
    hole_open(&hole);
    struct net *net = server.world.net;
    caller_dial(&caller, address != NULL ? address : hole.address, 2000);
    for (int i = 0; i < turns; i++) server_turn(&server);
    net->ops->cancel(net, &caller.dial);
    assert_null(caller.dial.world);
    net->ops->cancel(net, &caller.dial);
    uint64_t until = monotonic_ms() + 10000;
    while (CONTAINER_OF(net, struct net_real, net)->handles > 1) {
        assert_true(monotonic_ms() < until);
        server_turn(&server);
    }
    assert_int_equal(caller.connected + caller.failed, 0);
    hole_close(&hole);
    caller_close(&caller);
}

TEST(real_dial, a_cancelled_dial_tells_nobody_in_whatever_phase_it_was)
{
    check_cancel("localhost:7", 0);
    check_cancel(NULL, 0); /* its first try is a task yet */
    check_cancel(NULL, 20);
    check_cancel("[fe80::1]:7", 0); /* has failed by the time that the task would run */
}

TEST(real_dial, the_world_can_be_closed_with_dials_under_way)
{
    struct server server;
    struct caller callers[3];
    struct hole hole;
    caller_open(&callers[0], &server, "127.0.0.1:0");
    callers[1] = callers[2] = callers[0];
    hole_open(&hole);
    caller_dial(&callers[0], hole.address, 60000);
    server_turn(&server);
    caller_dial(&callers[1], hole.address, 60000);
    caller_dial(&callers[2], "localhost:7", 60000);
    server_end(&server);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(callers[i].connected + callers[i].failed, 0);
        assert_null(callers[i].dial.world);
    }
    hole_close(&hole);
}

TEST(real_dial, a_stream_that_nobody_wants_is_closed)
{
    struct server server;
    struct caller caller;
    caller_open(&caller, &server, "127.0.0.1:0");
    caller.declines = true;
    caller_dial(&caller, server.address, 5000);
    caller_wait(&caller, 1);
    for (int i = 0; i < 5000 && server.ended == 0; i++) server_turn(&server);
    assert_int_equal(server.ended, 1);
    caller_close(&caller);
}

/* ---- In a machine of one's own: its network, its hosts, its name server ---- */

enum { OWN_SKIP = 77, OWN_RIGHT = 42 }; /* how the child exits; anything else is a failure */

static bool put_text(const char *path, const char *text)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0) return false;
    bool is_put = write(file, text, strlen(text)) == (ssize_t)strlen(text);
    return close(file) == 0 && is_put;
}

/* Only this process sees `text` there. */
static bool put_over(const char *path, const char *text)
{
    char name[] = "/tmp/tidemark-test-XXXXXX";
    int file = mkstemp(name);
    if (file < 0 || close(file) != 0 || !put_text(name, text)) return false;
    bool is_put = mount(name, path, NULL, MS_BIND, NULL) == 0;
    return unlink(name) == 0 && is_put;
}

static bool machine_of_our_own(void)
{
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0 &&
        unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0)
        return false;
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return false;
    int any = socket(AF_INET, SOCK_DGRAM, 0);
    bool is_up = ioctl(any, SIOCSIFFLAGS, &loopback) == 0;
    return close(any) == 0 && is_up;
}

/* Runs it in this program begun anew, by the test of that name: a fork of a process with threads
 * may not start more of them. */
static void check_alone(const char *name, int (*run)(void))
{
    static char alone[] = "TEST_DIAL_ALONE=1";
    if (getenv("TEST_DIAL_ALONE") != NULL) {
        int result = machine_of_our_own() ? run() : OWN_SKIP;
        _exit(result == 0 ? OWN_RIGHT : result);
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        (void)dup2(nowhere, STDOUT_FILENO); /* errors are on the other one */
        (void)putenv(alone);
        (void)execl("/proc/self/exe", "test_dial", "--filter", name, (char *)NULL);
        _exit(1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == OWN_SKIP) skip();
    assert_int_equal(WEXITSTATUS(status), OWN_RIGHT);
}

/* The one port that an end may get is the one that is called. */
static int call_oneself(void)
{
    if (!put_text("/proc/sys/net/ipv4/ip_local_port_range", "20001 20001")) return OWN_SKIP;
    struct server server;
    struct caller caller;
    caller_open(&caller, &server, "127.0.0.1:7");
    caller_dial(&caller, "127.0.0.1:20001", 5000);
    caller_wait(&caller, 1);
    bool is_right = caller.failed == 1 && caller.failure == DIAL_REFUSED;
    caller_close(&caller);
    return is_right ? 0 : 1;
}

TEST(real_dial, a_socket_that_connects_to_itself_was_refused)
{
    check_alone("connects to itself", call_oneself);
}

static const char two_addresses[] = "::1 two\n127.0.0.1 two\n";

static int call_two(uint64_t ms_min, uint64_t ms_max)
{
    struct server server;
    struct caller caller;
    caller_open(&caller, &server, "127.0.0.1:7379");
    caller_dial(&caller, "two:7379", 2000);
    caller_wait(&caller, 1);
    uint64_t took = monotonic_ms() - caller.began_ms;
    caller_close(&caller);
    return caller.connected == 1 && took >= ms_min && took <= ms_max ? 0 : 1;
}

static int call_past_a_refusal(void)
{
    if (!put_over("/etc/hosts", two_addresses)) return OWN_SKIP;
    return call_two(0, 900);
}

/* The first address swallows everything. */
static int call_past_a_hole(void)
{
    if (!put_over("/etc/hosts", two_addresses)) return OWN_SKIP;
    struct sockaddr_in6 hole = {
        .sin6_family = AF_INET6, .sin6_port = htons(7379), .sin6_addr = in6addr_loopback};
    int listener = socket(AF_INET6, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&hole, sizeof(hole)) != 0) return OWN_SKIP;
    if (listen(listener, 0) != 0) return OWN_SKIP;
    for (int i = 0; i < 4; i++) {
        int filled = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(filled, (struct sockaddr *)&hole, sizeof(hole));
    }
    pause_ms(20);
    return call_two(900, 1900);
}

TEST(real_dial, when_one_address_of_a_name_refuses_the_next_is_tried)
{
    check_alone("of a name refuses", call_past_a_refusal);
}

TEST(real_dial, an_address_of_a_name_that_swallows_everything_leaves_the_next_its_share_of_time)
{
    check_alone("swallows everything", call_past_a_hole);
}

/* A name server that never answers. */
static int call_a_name(void)
{
    struct sockaddr_in server_address = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int names = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(names, (struct sockaddr *)&server_address, sizeof(server_address)) != 0 ||
        !put_over("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n"))
        return OWN_SKIP;
    struct server server;
    struct caller caller;
    caller_open(&caller, &server, "127.0.0.1:7");
    caller_dial(&caller, "nobody.example:7379", 300);
    caller_wait(&caller, 1);
    bool is_right = caller.failed == 1 && caller.failure == DIAL_TIMED_OUT;
    caller_dial(&caller, server.address, 5000); /* what is still looked up is in nobody's way */
    caller_wait(&caller, 2);
    is_right = is_right && caller.connected == 1;
    caller_close(&caller);
    return is_right ? 0 : 1;
}

TEST(real_dial, a_name_server_that_does_not_answer_takes_no_longer_than_the_time_of_the_dial)
{
    check_alone("name server", call_a_name);
}
