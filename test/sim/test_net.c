/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/memory.h"
#include "base/must.h"
#include "sim/heap.h"
#include "sim/net.h"
#include "test/sim/bench.h"

/* A client of the harness's. */
struct client {
    struct stream_owner owner;
    struct stream *stream;
    struct buffer got;
    unsigned pieces, drained;
    size_t smallest;
    bool ended;
};

static void client_received(struct stream_owner *owner, struct bytes bytes)
{
    struct client *client = CONTAINER_OF(owner, struct client, owner);
    assert_false(client->ended);
    buffer_append(&client->got, bytes);
    client->pieces++;
    if (client->smallest == 0 || bytes.size < client->smallest) client->smallest = bytes.size;
}

static void client_drained(struct stream_owner *owner)
{
    CONTAINER_OF(owner, struct client, owner)->drained++;
}

static void client_ended(struct stream_owner *owner)
{
    struct client *client = CONTAINER_OF(owner, struct client, owner);
    assert_false(client->ended);
    client->ended = true;
}

static const struct stream_events client_events = {client_received, client_drained, client_ended};

static void client_open(struct client *client, struct sim_world *world, struct sim_node *node)
{
    *client = (struct client){.owner = {&client_events}};
    buffer_init(&client->got);
    client->stream = sim_connect(world, node, 7379, &client->owner);
}

static void client_close(struct client *client)
{
    sim_hang_up(client->stream, false);
    buffer_release(&client->got);
}

/* A server that sends back what it gets; 'q' makes it close, 'k' kills its process. */
struct echo {
    struct sim_program program;
    struct sim_world *sim;
    struct sim_node *node;
    struct parlour *parlour; /* on the node's heap */
};

struct parlour {
    struct listener listener;
    struct world *world;
    struct sim_node *node;
    struct guest *newest;
    unsigned guests;
    bool refuses;
};

struct guest {
    struct stream_owner owner;
    struct stream *stream;
    struct parlour *parlour;
    unsigned drained;
    bool keeps_quiet;
    size_t got;
};

static void guest_received(struct stream_owner *owner, struct bytes bytes)
{
    struct guest *guest = CONTAINER_OF(owner, struct guest, owner);
    const struct net_ops *net = guest->parlour->world->net->ops;
    guest->got += bytes.size;
    if (!guest->keeps_quiet) net->send(guest->stream, bytes);
    if (memchr(bytes.data, 'k', bytes.size) != NULL) sim_node_exit(guest->parlour->node, 3);
    if (memchr(bytes.data, 'q', bytes.size) == NULL) return;
    net->close(guest->stream, true);
    guest->parlour->guests--;
    memory_free(guest);
}

static void guest_drained(struct stream_owner *owner)
{
    CONTAINER_OF(owner, struct guest, owner)->drained++;
}

static void guest_ended(struct stream_owner *owner)
{
    struct guest *guest = CONTAINER_OF(owner, struct guest, owner);
    guest->parlour->world->net->ops->close(guest->stream, false);
    guest->parlour->guests--;
    memory_free(guest);
}

static const struct stream_events guest_events = {guest_received, guest_drained, guest_ended};

static struct stream_owner *parlour_accepted(struct listener *listener, struct stream *stream)
{
    struct parlour *parlour = CONTAINER_OF(listener, struct parlour, listener);
    if (parlour->refuses) return NULL;
    struct guest *guest = memory_zeroed(1, sizeof(*guest));
    guest->owner.events = &guest_events;
    guest->stream = stream;
    guest->parlour = parlour;
    parlour->newest = guest;
    parlour->guests++;
    return &guest->owner;
}

static bool echo_start(struct sim_program *program, struct world *world)
{
    struct echo *echo = CONTAINER_OF(program, struct echo, program);
    struct parlour *parlour = memory_zeroed(1, sizeof(*parlour));
    parlour->listener.accepted = parlour_accepted;
    parlour->world = world;
    parlour->node = echo->node;
    enum err err = world->net->ops->listen(world->net, &parlour->listener, "127.0.0.1:7379", 0,
                                           NULL);
    assert_int_equal(err, ERR_OK);
    echo->parlour = parlour;
    return true;
}

static void echo_stop(struct sim_program *program)
{
    struct echo *echo = CONTAINER_OF(program, struct echo, program);
    struct net *net = echo->parlour->world->net;
    net->ops->unlisten(net, &echo->parlour->listener);
    memory_free(echo->parlour);
}

static void echo_open(struct echo *echo, uint64_t seed)
{
    *echo = (struct echo){.program = {echo_start, echo_stop, NULL}};
    echo->sim = sim_world_open(seed);
    echo->node = sim_node_open(echo->sim, &echo->program, NULL);
    assert_true(sim_node_start(echo->node));
}

static void echo_close(struct echo *echo)
{
    assert_null(sim_world_failure(echo->sim));
    sim_world_close(echo->sim);
}

TEST(sim_net, bytes_arrive_whole_in_order_and_in_pieces_of_any_size)
{
    size_t before = sim_heap_bytes(NULL);
    struct echo echo;
    echo_open(&echo, 1);
    sim_net_profile(echo.sim)->whole_per_million = 0;
    struct client client;
    client_open(&client, echo.sim, echo.node);
    char text[100000];
    for (size_t i = 0; i < sizeof(text); i++) text[i] = (char)('a' + i % 10);
    sim_send(client.stream, bytes_of(text, 10));
    sim_send(client.stream, bytes_of(text + 10, sizeof(text) - 10));
    assert_true(sim_unsent(client.stream) > 0);
    assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
    assert_int_equal(client.got.size, sizeof(text));
    assert_memory_equal(client.got.data, text, sizeof(text));
    assert_true(client.pieces > 5);
    assert_int_equal(client.smallest, 1);
    assert_int_equal(client.drained, 1);
    assert_int_equal(sim_unsent(client.stream), 0);
    char peer[NET_ADDRESS_TEXT_BYTES], local[NET_ADDRESS_TEXT_BYTES];
    const struct net_ops *net = sim_node_world(echo.node)->net->ops;
    net->peer(echo.parlour->newest->stream, peer);
    net->local(echo.parlour->newest->stream, local);
    assert_string_equal(peer, "127.0.0.1:40000");
    assert_string_equal(local, "127.0.0.1:7379");
    assert_true(net->is_loopback(echo.parlour->newest->stream));
    client_close(&client);
    assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
    assert_int_equal(echo.parlour->guests, 0);
    assert_true(sim_node_stop(echo.node));
    echo_close(&echo);
    assert_int_equal(sim_heap_bytes(NULL), before);
}

TEST(sim_net, a_paused_reader_bounds_what_is_in_flight_and_the_sender_hears_when_all_is_out)
{
    struct echo echo;
    echo_open(&echo, 2);
    sim_net_profile(echo.sim)->window_bytes = 1000;
    struct client client;
    client_open(&client, echo.sim, echo.node);
    sim_send(client.stream, bytes_text("x"));
    assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
    struct guest *guest = echo.parlour->newest;
    const struct net_ops *net = sim_node_world(echo.node)->net->ops;
    sim_pause(client.stream, true);
    char text[5000];
    memset(text, 'y', sizeof(text));
    net->send(guest->stream, bytes_of(text, sizeof(text)));
    assert_int_equal(net->unsent(guest->stream), 4000);
    assert_true(sim_world_run_for(echo.sim, 60 * SIM_SECOND));
    assert_int_equal(net->unsent(guest->stream), 4000);
    assert_int_equal(client.got.size, 1);
    assert_int_equal(guest->drained, 0);
    sim_pause(client.stream, false);
    assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
    assert_int_equal(client.got.size, 5001);
    assert_int_equal(net->unsent(guest->stream), 0);
    assert_int_equal(guest->drained, 1);
    client_close(&client);
    echo_close(&echo);
}

TEST(sim_net, a_pause_holds_back_what_is_just_arriving)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct echo echo;
        echo_open(&echo, seed);
        struct client client;
        client_open(&client, echo.sim, echo.node);
        assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
        const struct net_ops *net = sim_node_world(echo.node)->net->ops;
        net->send(echo.parlour->newest->stream, bytes_text("hello")); /* its arrival is planned */
        sim_pause(client.stream, true);
        assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
        assert_int_equal(client.got.size, 0);
        net->close(echo.parlour->newest->stream, true);
        assert_true(sim_world_run_for(echo.sim, 5 * SIM_SECOND));
        assert_false(client.ended);
        sim_pause(client.stream, false);
        assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
        assert_int_equal(client.got.size, 5);
        assert_true(client.ended);
        client_close(&client);
        (void)sim_heap_drop(
            sim_node_heap(echo.node)); /* the guest that was hung up on from outside */
        echo_close(&echo);
    }
}

TEST(sim_net, a_paused_stream_can_be_asked_whether_its_peer_has_ended)
{
    struct echo echo;
    echo_open(&echo, 5);
    struct client client;
    client_open(&client, echo.sim, echo.node);
    assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
    const struct net_ops *net = sim_node_world(echo.node)->net->ops;
    struct guest *guest = echo.parlour->newest;
    net->pause(guest->stream, true);
    sim_send(client.stream, bytes_text("hello"));
    assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
    assert_false(net->has_ended(guest->stream));
    sim_hang_up(client.stream, true);
    sim_stream_clog(guest->stream, true);
    assert_false(net->has_ended(guest->stream)); /* word of it does not come through */
    sim_stream_clog(guest->stream, false);
    assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
    assert_true(net->has_ended(guest->stream));
    assert_int_equal(guest->got, 0);
    assert_int_equal(echo.parlour->guests, 1); /* it was not told: there is something to read */
    guest->keeps_quiet = true;
    net->pause(guest->stream, false);
    assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
    assert_int_equal(echo.parlour->guests, 0);
    buffer_release(&client.got);
    echo_close(&echo);
}

TEST(sim_net, a_slow_reader_gets_so_many_bytes_a_second)
{
    struct echo echo;
    echo_open(&echo, 3);
    struct client client;
    client_open(&client, echo.sim, echo.node);
    sim_stream_rate(client.stream, 1000);
    char text[20000];
    memset(text, 'y', sizeof(text));
    sim_send(client.stream, bytes_of(text, sizeof(text)));
    assert_true(sim_world_run_for(echo.sim, 10 * SIM_SECOND));
    assert_true(client.got.size > 1000 && client.got.size < 12000);
    client_close(&client);
    echo_close(&echo);
}

TEST(sim_net, nobody_listening_and_a_refusing_listener_end_the_stream)
{
    struct echo echo;
    echo_open(&echo, 1);
    struct client wrong, refused, down;
    client_open(&wrong, echo.sim, echo.node);
    client_close(&wrong);
    wrong = (struct client){.owner = {&client_events}};
    wrong.stream = sim_connect(echo.sim, echo.node, 7380, &wrong.owner);
    echo.parlour->refuses = true;
    client_open(&refused, echo.sim, echo.node);
    assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
    assert_true(wrong.ended && refused.ended);
    sim_send(wrong.stream, bytes_text("into the void"));
    sim_node_crash(echo.node, (struct sim_cut){SIM_KEEP_CACHE, 0});
    client_open(&down, echo.sim, echo.node);
    assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
    assert_true(down.ended);
    client_close(&wrong);
    client_close(&refused);
    client_close(&down);
    echo_close(&echo);
}

TEST(sim_net, a_close_with_flush_sends_everything_before_the_end)
{
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct echo echo;
        echo_open(&echo, seed);
        sim_net_profile(echo.sim)->window_bytes = 100;
        struct client client;
        client_open(&client, echo.sim, echo.node);
        char text[1001];
        memset(text, 'y', 1000);
        text[1000] = 'q';
        sim_send(client.stream, bytes_of(text, sizeof(text)));
        assert_true(sim_world_run_for(echo.sim, 5 * SIM_SECOND));
        assert_true(client.ended);
        assert_int_equal(client.got.size, 1001);
        client_close(&client);
        echo_close(&echo);
    }
}

TEST(sim_net, a_closed_stream_lingers_for_a_second_at_most)
{
    struct echo echo;
    echo_open(&echo, 1);
    sim_net_profile(echo.sim)->window_bytes = 100;
    struct client client;
    client_open(&client, echo.sim, echo.node);
    assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
    sim_pause(client.stream, true);
    struct guest *guest = echo.parlour->newest;
    char text[1000];
    memset(text, 'y', sizeof(text));
    const struct net_ops *net = sim_node_world(echo.node)->net->ops;
    net->send(guest->stream, bytes_of(text, sizeof(text)));
    net->close(guest->stream, true);
    assert_true(sim_world_run_for(echo.sim, 2 * SIM_SECOND));
    assert_true(client.ended);
    assert_int_equal(client.got.size, 0);
    client_close(&client);
    echo_close(&echo);
}

TEST(sim_net, a_dead_process_ends_its_streams_soon_and_a_dead_machine_after_a_silence)
{
    uint64_t longest = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct echo echo;
        echo_open(&echo, seed);
        struct client client;
        client_open(&client, echo.sim, echo.node);
        sim_send(client.stream, bytes_text("hello"));
        assert_true(sim_world_run_for(echo.sim, 100 * SIM_MILLISECOND));
        assert_int_equal(client.got.size, 5);
        enum sim_keep keep = seed % 2 == 0 ? SIM_KEEP_CACHE : SIM_KEEP_ALL;
        sim_node_crash(echo.node, (struct sim_cut){keep, seed});
        uint64_t since = sim_world_now_us(echo.sim);
        while (!client.ended) assert_true(sim_world_step(echo.sim));
        uint64_t silence = sim_world_now_us(echo.sim) - since;
        if (keep == SIM_KEEP_CACHE) assert_true(silence < 10 * SIM_MILLISECOND);
        if (silence > longest) longest = silence;
        client_close(&client);
        echo_close(&echo);
    }
    assert_true(longest > 5 * SIM_SECOND && longest < 31 * SIM_SECOND);
}

TEST(sim_net, a_process_that_exits_inside_an_event_takes_its_streams_with_it)
{
    struct echo echo;
    echo_open(&echo, 4);
    struct client a, b;
    client_open(&a, echo.sim, echo.node);
    client_open(&b, echo.sim, echo.node);
    sim_send(a.stream, bytes_text("hello"));
    assert_true(sim_world_run_for(echo.sim, 100 * SIM_MILLISECOND));
    sim_send(a.stream, bytes_text("k"));
    assert_true(sim_world_run_for(echo.sim, 100 * SIM_MILLISECOND));
    assert_false(sim_node_is_up(echo.node));
    assert_true(a.ended && b.ended);
    client_close(&a);
    client_close(&b);
    assert_true(sim_node_start(echo.node));
    client_open(&a, echo.sim, echo.node);
    sim_send(a.stream, bytes_text("again"));
    assert_true(sim_world_run_for(echo.sim, 100 * SIM_MILLISECOND));
    assert_int_equal(a.got.size, 5);
    client_close(&a);
    echo_close(&echo);
}

TEST(sim_net, a_reset_is_heard_at_both_ends_and_loses_what_is_in_flight)
{
    struct echo echo;
    echo_open(&echo, 1);
    struct client client;
    client_open(&client, echo.sim, echo.node);
    assert_true(sim_world_run_for(echo.sim, 100 * SIM_MILLISECOND));
    assert_int_equal(echo.parlour->guests, 1);
    sim_send(client.stream, bytes_text("hello"));
    sim_stream_reset(client.stream);
    assert_true(sim_world_run_for(echo.sim, 100 * SIM_MILLISECOND));
    assert_true(client.ended);
    assert_int_equal(client.got.size, 0);
    assert_int_equal(echo.parlour->guests, 0);
    client_close(&client);
    echo_close(&echo);
}

TEST(sim_net, streams_break_by_themselves_when_the_profile_says_so)
{
    struct echo echo;
    echo_open(&echo, 1);
    sim_net_profile(echo.sim)->reset_per_million = 300000;
    unsigned ended = 0;
    for (int i = 0; i < 40; i++) {
        struct client client;
        client_open(&client, echo.sim, echo.node);
        sim_send(client.stream, bytes_text("hello"));
        assert_true(sim_world_run_for(echo.sim, 100 * SIM_MILLISECOND));
        if (client.ended) ended++;
        if (!client.ended) assert_int_equal(client.got.size, 5);
        client_close(&client);
    }
    assert_true(sim_world_run_for(echo.sim, 100 * SIM_MILLISECOND));
    assert_true(ended > 10 && ended < 40);
    assert_int_equal(echo.parlour->guests, 0);
    echo_close(&echo);
}

TEST(sim_net, a_clogged_stream_and_a_pulled_cable_are_silent_until_they_are_mended)
{
    struct echo echo;
    echo_open(&echo, 1);
    struct client client, late;
    client_open(&client, echo.sim, echo.node);
    assert_true(sim_world_run_for(echo.sim, 100 * SIM_MILLISECOND));
    sim_stream_clog(client.stream, true);
    sim_send(client.stream, bytes_text("one"));
    assert_true(sim_world_run_for(echo.sim, 600 * (uint64_t)SIM_SECOND));
    assert_int_equal(client.got.size, 0);
    assert_false(client.ended);
    sim_stream_clog(client.stream, false);
    assert_true(sim_world_run_for(echo.sim, 100 * SIM_MILLISECOND));
    assert_int_equal(client.got.size, 3);
    sim_net_isolate(echo.node, true);
    client_open(&late, echo.sim, echo.node);
    sim_send(client.stream, bytes_text("two"));
    sim_send(late.stream, bytes_text("three"));
    assert_true(sim_world_run_for(echo.sim, 60 * SIM_SECOND));
    assert_int_equal(client.got.size, 3);
    assert_int_equal(late.got.size, 0);
    sim_net_isolate(echo.node, false);
    assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
    assert_int_equal(client.got.size, 6);
    assert_int_equal(late.got.size, 5);
    client_close(&client);
    client_close(&late);
    echo_close(&echo);
}

TEST(sim_net, an_address_is_listened_on_once_and_must_be_one)
{
    struct echo echo;
    echo_open(&echo, 1);
    struct net *net = sim_node_world(echo.node)->net;
    struct listener listener = {.accepted = parlour_accepted};
    struct why why;
    assert_int_equal(net->ops->listen(net, &listener, "0.0.0.0:7379", 0, &why), ERR_REFUSED);
    assert_int_equal(net->ops->listen(net, &listener, "7379", 0, &why), ERR_CONFIG);
    assert_int_equal(net->ops->listen(net, &listener, "a:b", 0, &why), ERR_CONFIG);
    assert_int_equal(net->ops->listen(net, &listener, "unix:", 0, &why), ERR_CONFIG);
    assert_int_equal(net->ops->listen(net, &listener, "[::1]:7380", 0, &why), ERR_OK);
    net->ops->unlisten(net, &listener);
    assert_int_equal(net->ops->listen(net, &listener, "[::1]:7380", 0, &why), ERR_OK);
    net->ops->unlisten(net, &listener);
    net->ops->unlisten(net, &echo.parlour->listener);
    assert_int_equal(net->ops->listen(net, &echo.parlour->listener, "unix:/run/s", 0700, &why),
                     ERR_OK);
    struct client client = {.owner = {&client_events}};
    client.stream = sim_connect_path(echo.sim, echo.node, "/run/s", &client.owner);
    sim_send(client.stream, bytes_text("hello"));
    assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
    assert_int_equal(client.got.size, 5);
    char peer[NET_ADDRESS_TEXT_BYTES];
    net->ops->peer(echo.parlour->newest->stream, peer);
    assert_string_equal(peer, "unix:/run/s");
    client_close(&client);
    assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
    client = (struct client){.owner = {&client_events}};
    client.stream = sim_connect_from(echo.sim, echo.node, 7379, "192.0.2.7", &client.owner);
    assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
    assert_true(client.ended);
    client_close(&client);
    echo_close(&echo);
}

TEST(sim_net, what_a_node_still_holds_at_a_clean_stop_is_named)
{
    struct echo echo;
    echo_open(&echo, 1);
    struct client client;
    client_open(&client, echo.sim, echo.node);
    assert_true(sim_world_run_for(echo.sim, SIM_SECOND));
    assert_true(sim_node_stop(echo.node));
    assert_non_null(strstr(sim_world_failure(echo.sim), "1 streams; 1 blocks"));
    client_close(&client);
    sim_world_close(echo.sim);
}

/* Clients come, talk, pause, reset and go at random while the node crashes now and then: nothing is
 * left over. */
TEST(sim_net, a_storm_of_everything_leaves_nothing_behind)
{
    enum { CLIENTS = 8 };
    size_t before = sim_heap_bytes(NULL);
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct echo echo;
        echo_open(&echo, seed);
        sim_net_profile(echo.sim)->window_bytes = 200;
        sim_net_profile(echo.sim)->reset_per_million = 2000;
        struct dice *dice = sim_world_dice(echo.sim, SIM_DICE_WORKLOAD);
        struct client clients[CLIENTS] = {0};
        for (int i = 0; i < 1500; i++) {
            struct client *client = &clients[dice_below(dice, CLIENTS)];
            uint64_t what = dice_below(dice, 100);
            if (client->stream == NULL) {
                client_open(client, echo.sim, echo.node);
            } else if (what < 10 || client->ended) {
                sim_stream_clog(client->stream, false);
                sim_hang_up(client->stream, what % 2 == 0);
                buffer_release(&client->got);
                *client = (struct client){.stream = NULL};
            } else if (what < 60) {
                char text[300];
                memset(text, "abcq"[dice_below(dice, 200) / 66], sizeof(text));
                sim_send(client->stream, bytes_of(text, 1 + dice_below(dice, 299)));
            } else if (what < 70) {
                sim_pause(client->stream, what < 65);
            } else if (what < 73) {
                sim_stream_reset(client->stream);
            } else if (what < 76) {
                sim_stream_clog(client->stream, what < 75);
            } else if (what == 77) {
                sim_node_crash(
                    echo.node,
                    (struct sim_cut){dice_below(dice, 2) == 0 ? SIM_KEEP_CACHE : SIM_KEEP_ALL, 0});
                assert_true(sim_node_start(echo.node));
            } else {
                assert_true(sim_world_run_for(echo.sim, dice_below(dice, 5000)));
            }
        }
        for (size_t i = 0; i < CLIENTS; i++) {
            if (clients[i].stream == NULL) continue;
            sim_stream_clog(clients[i].stream, false);
            client_close(&clients[i]);
        }
        assert_true(sim_world_run_for(echo.sim, 100 * (uint64_t)SIM_SECOND));
        assert_int_equal(echo.parlour->guests, 0);
        assert_true(sim_node_stop(echo.node));
        echo_close(&echo);
    }
    assert_int_equal(sim_heap_bytes(NULL), before);
}
