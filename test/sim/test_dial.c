/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/between.h"

TEST(sim_dial, a_node_is_called_by_name_by_address_and_by_itself)
{
    static const struct {
        const char *address, *peer, *local;
    } ways[] = {{"n2:7379", "10.0.0.2:7379", "10.0.0.1:"},
                {"10.0.0.2:7379", "10.0.0.2:7379", "10.0.0.1:"},
                {"[fd00::2]:7379", "10.0.0.2:7379", "10.0.0.1:"}};
    for (size_t i = 0; i < 3; i++) {
        struct pair pair;
        char peer[NET_ADDRESS_TEXT_BYTES], local[NET_ADDRESS_TEXT_BYTES];
        pair_open(&pair, i);
        pair_dial(&pair, ways[i].address);
        pair_run(&pair, 1);
        assert_int_equal(pair.caller.connected, 1);
        assert_int_equal(pair.accepted, 1);
        const struct net_ops *net = pair_net(&pair);
        net->peer(pair.caller.stream, peer);
        net->local(pair.caller.stream, local);
        assert_string_equal(peer, ways[i].peer);
        assert_memory_equal(local, ways[i].local, strlen(ways[i].local));
        net->peer(pair.called.stream, peer);
        assert_string_equal(peer, local);
        assert_false(net->is_loopback(pair.caller.stream));
        pair_send(&pair.caller, 5);
        pair_send(&pair.called, 7);
        pair_run(&pair, 1);
        assert_int_equal(pair.called.got.size, 5);
        assert_int_equal(pair.caller.got.size, 7);
        net->close(pair.caller.stream, true);
        pair_run(&pair, 1);
        assert_int_equal(pair.called.ended, 1);
        net->close(pair.called.stream, false);
        assert_int_equal(sim_paths_links(pair.nodes[0], pair.nodes[1]), 0);
        pair_close(&pair);
    }
}

TEST(sim_dial, a_listener_on_a_loopback_address_hears_its_own_machine_only)
{
    struct pair pair;
    pair_open(&pair, 1);
    struct net *net = sim_node_world(pair.nodes[1])->net;
    net->ops->unlisten(net, &pair.listener);
    pair_listen(&pair, "127.0.0.1:7379");
    pair_dial(&pair, "n2:7379");
    pair_run(&pair, 1);
    assert_int_equal(pair.caller.failed, 1);
    assert_int_equal(pair.caller.failure, DIAL_REFUSED);
    end_init(&pair.caller, &pair);
    assert_int_equal(net->ops->dial(net, &pair.caller.dial, "localhost:7379", SIM_SECOND, NULL),
                     ERR_OK);
    pair_run(&pair, 1);
    assert_int_equal(pair.caller.connected, 1);
    assert_true(net->ops->is_loopback(pair.caller.stream));
    pair_close(&pair);
}

static void check_failure(struct pair *pair, const char *address, enum dial_failure failure,
                          uint64_t at_least_us)
{
    uint64_t began = sim_world_now_us(pair->sim);
    pair_dial(pair, address);
    pair_run(pair, 6);
    assert_int_equal(pair->caller.failed, 1);
    assert_int_equal(pair->caller.failure, failure);
    assert_true(pair->caller.at_us - began >= at_least_us);
    if (at_least_us == 0) assert_true(pair->caller.at_us - began < 100 * SIM_MILLISECOND);
}

TEST(sim_dial, every_failure_has_its_reason)
{
    struct pair pair;
    pair_open(&pair, 1);
    check_failure(&pair, "n2:7380", DIAL_REFUSED, 0);
    check_failure(&pair, "n9:7379", DIAL_NO_NAME, 0);
    unsigned unreachable = 0;
    for (int i = 0; i < 20; i++) {
        pair_dial(&pair, "192.0.2.1:7379");
        pair_run(&pair, 6);
        assert_int_equal(pair.caller.failed, 1);
        unreachable += pair.caller.failure == DIAL_UNREACHABLE;
        if (pair.caller.failure != DIAL_UNREACHABLE)
            assert_int_equal(pair.caller.failure, DIAL_TIMED_OUT);
    }
    assert_in_range(unreachable, 3, 17);
    sim_node_crash(pair.nodes[1], (struct sim_cut){SIM_KEEP_CACHE, 0});
    check_failure(&pair, "n2:7379", DIAL_REFUSED, 0);
    assert_true(sim_node_start(pair.nodes[1]));
    sim_node_crash(pair.nodes[1], (struct sim_cut){SIM_KEEP_ALL, 0});
    check_failure(&pair, "n2:7379", DIAL_TIMED_OUT, 4 * SIM_SECOND);
    sim_paths_profile(pair.sim)->refuse_per_million = 1000000;
    assert_true(sim_node_start(pair.nodes[1]));
    pair_listen(&pair, "0.0.0.0:7379");
    check_failure(&pair, "n2:7379", DIAL_REFUSED, 0);
    sim_paths_profile(pair.sim)->no_name_per_million = 1000000;
    check_failure(&pair, "n2:7379", DIAL_NO_NAME, 0);
    pair_close(&pair);
}

TEST(sim_dial, what_is_no_address_is_refused_at_once)
{
    struct pair pair;
    pair_open(&pair, 1);
    static const char *const bad[] = {"",         ":",        "localhost",    "localhost:",
                                      "n2:0",     "n2:70000", "a:-1",         "a:1x",
                                      "[::1:7",   "::1:7",    "*:7",          "unix:/tmp/s",
                                      "[name]:7", "[]:7379",  "[1.2.3.4]:7",  "a:000000000007",
                                      "[123]:7",  ":7379",    "127.0.0.1:+1", "[:7"};
    struct net *net = sim_node_world(pair.nodes[0])->net;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct why why = {.text = ""};
        assert_int_equal(net->ops->dial(net, &pair.caller.dial, bad[i], 1, &why), ERR_CONFIG);
        assert_true(why.text[0] != '\0');
        assert_null(pair.caller.dial.world);
    }
    net->ops->cancel(net, &pair.caller.dial);
    pair_close(&pair);
}

TEST(sim_dial, a_cancelled_dial_tells_nobody_and_a_crash_takes_it_along)
{
    for (uint64_t wait = 0; wait < 4000; wait += 100) {
        struct pair pair;
        pair_open(&pair, wait);
        struct net *net = sim_node_world(pair.nodes[0])->net;
        pair_dial(&pair, "n2:7379");
        assert_true(sim_world_run_for(pair.sim, wait));
        unsigned connected = pair.caller.connected;
        if (wait % 200 == 0) net->ops->cancel(net, &pair.caller.dial);
        else sim_node_crash(pair.nodes[0], (struct sim_cut){SIM_KEEP_CACHE, 0});
        pair_run(&pair, 5);
        assert_int_equal(pair.caller.connected, connected);
        assert_int_equal(pair.caller.failed, 0);
        pair_close(&pair);
    }
}

TEST(sim_dial, a_dial_that_is_left_over_at_a_clean_stop_is_named)
{
    struct pair pair;
    pair_open(&pair, 1);
    pair_dial(&pair, "192.0.2.1:7379");
    sim_paths_cut(pair.nodes[0], pair.nodes[1], SIM_THERE);
    assert_true(sim_node_stop(pair.nodes[0]));
    assert_non_null(strstr(sim_world_failure(pair.sim), "1 dials"));
    sim_world_close(pair.sim);
}

TEST(sim_dial, a_dial_into_a_cut_is_answered_after_the_heal_if_there_is_time)
{
    for (int ways = 1; ways <= 3; ways++) {
        struct pair pair;
        pair_open(&pair, 1);
        sim_paths_cut(pair.nodes[0], pair.nodes[1], (enum sim_ways)ways);
        pair_dial(&pair, "n2:7379");
        pair_run(&pair, 2);
        assert_int_equal(pair.caller.connected + pair.caller.failed, 0);
        sim_paths_heal(pair.nodes[0], pair.nodes[1]);
        pair_run(&pair, 3);
        assert_int_equal(pair.caller.connected, 1);
        assert_int_equal(pair.accepted, 1);
        assert_true(pair_hits(&pair, SIM_HIT_UNANSWERED) > 0);
        pair_close(&pair);
    }
}

TEST(sim_dial, a_connection_is_not_accepted_while_a_cut_keeps_its_last_packet)
{
    struct pair pair;
    pair_open(&pair, 1);
    pair_dial(&pair, "n2:7379");
    sim_paths_delay(pair.nodes[0], pair.nodes[1], SIM_THERE, 300000, 300000);
    while (pair.caller.connected == 0) assert_true(sim_world_step(pair.sim));
    sim_paths_cut(pair.nodes[0], pair.nodes[1], SIM_THERE);
    pair_run(&pair, 4);
    assert_int_equal(pair.accepted, 0);
    sim_paths_heal(pair.nodes[0], pair.nodes[1]);
    pair_run(&pair, 1);
    assert_int_equal(pair.accepted, 1);
    pair_close(&pair);
}

TEST(sim_dial, a_ghost_is_a_second_connection_that_says_nothing_and_ends_after_a_while)
{
    struct pair pair;
    pair_open(&pair, 1);
    sim_paths_profile(pair.sim)->ghost_per_million = 1000000;
    pair_dial(&pair, "n2:7379");
    pair_run(&pair, 1);
    assert_int_equal(pair.caller.connected, 1);
    assert_int_equal(pair.accepted, 2);
    assert_int_equal(pair.called.ended + pair.other.ended, 0);
    pair_send(&pair.caller, 10);
    pair_run(&pair, 31);
    assert_int_equal(pair.called.got.size + pair.other.got.size, 10);
    assert_int_equal(pair.called.ended, pair.called.got.size == 0);
    assert_int_equal(pair.other.ended, pair.other.got.size == 0);
    pair_close(&pair);
}
