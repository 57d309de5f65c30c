/* SPDX-License-Identifier: Apache-2.0 */
/* What lies between nodes, one thing at a time. */
#include "test/sim/between.h"

TEST(sim_paths, a_cut_keeps_everything_back_and_a_heal_brings_it)
{
    struct pair pair;
    pair_connect(&pair, 1);
    sim_paths_cut(pair.nodes[0], pair.nodes[1], SIM_BOTH_WAYS);
    pair_send(&pair.caller, 1000);
    pair_send(&pair.called, 1000);
    pair_run(&pair, 4);
    assert_int_equal(pair.caller.got.size + pair.called.got.size, 0);
    assert_true(pair_hits(&pair, SIM_HIT_PARTITION) > 0);
    sim_paths_heal(pair.nodes[0], pair.nodes[1]);
    pair_run(&pair, 60);
    assert_int_equal(pair.caller.got.size, 1000);
    assert_int_equal(pair.called.got.size, 1000);
    assert_int_equal(pair.caller.ended + pair.called.ended, 0); /* nobody gave up */
    pair_close(&pair);
}

TEST(sim_paths, while_the_way_back_is_cut_one_window_arrives)
{
    struct pair pair;
    pair_open(&pair, 1);
    sim_net_profile(pair.sim)->window_bytes = 1000;
    sim_paths_profile(pair.sim)->give_up_us_min = sim_paths_profile(pair.sim)->give_up_us_max =
        1000 * (uint64_t)SIM_SECOND;
    pair_dial(&pair, "n2:7379");
    pair_run(&pair, 1);
    sim_paths_cut(pair.nodes[0], pair.nodes[1], SIM_BACK);
    pair_send(&pair.caller, 5000);
    pair_send(&pair.called, 10);
    pair_run(&pair, 100);
    assert_int_equal(pair.called.got.size, 1000);
    assert_int_equal(pair_net(&pair)->unsent(pair.caller.stream), 4000);
    assert_int_equal(pair.caller.got.size, 0);
    assert_true(pair_hits(&pair, SIM_HIT_UNHEARD) > 0 && pair_hits(&pair, SIM_HIT_ONE_WAY) > 0);
    sim_paths_heal(pair.nodes[0], pair.nodes[1]);
    pair_run(&pair, 1);
    assert_int_equal(pair.called.got.size, 5000);
    assert_int_equal(pair.caller.drained, 1);
    assert_int_equal(pair.caller.got.size, 10);
    pair_close(&pair);
}

TEST(sim_paths, an_end_that_hears_nothing_gives_up_and_its_peer_finds_out_when_it_sends)
{
    unsigned found = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct pair pair;
        pair_connect(&pair, seed);
        struct sim_paths_profile *profile = sim_paths_profile(pair.sim);
        sim_net_profile(pair.sim)->silence_us_max = 1000 * (uint64_t)SIM_SECOND;
        uint64_t began = sim_world_now_us(pair.sim);
        sim_paths_cut(pair.nodes[0], pair.nodes[1], SIM_THERE);
        while (pair.caller.ended + pair.called.ended == 0) assert_true(sim_world_step(pair.sim));
        assert_in_range(sim_world_now_us(pair.sim) - began, profile->give_up_us_min,
                        profile->give_up_us_max);
        struct end *half = pair.caller.ended > 0 ? &pair.called : &pair.caller;
        struct end *gone = pair.caller.ended > 0 ? &pair.caller : &pair.called;
        pair_send(gone, 10); /* into nothing */
        pair_net(&pair)->close(gone->stream, true);
        sim_paths_heal(pair.nodes[0], pair.nodes[1]);
        assert_true(sim_world_run_for(pair.sim, 10 * SIM_MILLISECOND));
        if (half->ended == 0) { /* the drawn silence may be short */
            assert_false(pair_net(&pair)->has_ended(half->stream));
            pair_send(half, 100000);
            assert_true(pair_net(&pair)->unsent(half->stream) > 0);
            pair_run(&pair, 1);
            found += half->ended;
            pair_run(&pair, 1001);
        }
        assert_int_equal(half->ended, 1);
        assert_int_equal(half->got.size, 0);
        pair_net(&pair)->close(half->stream, true);
        pair_run(&pair, 2);
        assert_int_equal(sim_paths_links(pair.nodes[0], pair.nodes[1]), 0);
        pair_close(&pair);
    }
    assert_in_range(found, 8, 32); /* an answer, or none: half and half */
}

TEST(sim_paths, a_clogged_direction_stands_still_without_end_and_then_flows)
{
    struct pair pair;
    pair_connect(&pair, 1);
    sim_paths_clog(pair.nodes[0], pair.nodes[1], SIM_THERE);
    pair_send(&pair.caller, 1000);
    pair_send(&pair.called, 1000);
    pair_run(&pair, 1000);
    assert_int_equal(pair.called.got.size, 0);
    assert_int_equal(pair.caller.got.size, 1000);
    assert_int_equal(pair.caller.ended + pair.called.ended, 0);
    sim_paths_heal_all(pair.sim);
    pair_run(&pair, 1);
    assert_int_equal(pair.called.got.size, 1000);
    assert_true(pair_hits(&pair, SIM_HIT_CLOG) > 0);
    pair_close(&pair);
}

TEST(sim_paths, a_pulled_cable_makes_both_ends_give_up)
{
    struct pair pair;
    pair_connect(&pair, 1);
    sim_net_isolate(pair.nodes[1], true);
    pair_run(&pair, 21);
    assert_int_equal(pair.caller.ended, 1);
    assert_int_equal(pair.called.ended, 1);
    pair_dial(&pair, "n2:7379");
    pair_run(&pair, 5);
    assert_int_equal(pair.caller.failure, DIAL_TIMED_OUT);
    sim_paths_heal_all(pair.sim);
    pair_dial(&pair, "n2:7379");
    pair_run(&pair, 1);
    assert_int_equal(pair.caller.connected, 1);
    pair_close(&pair);
}

TEST(sim_paths, a_close_that_fell_into_a_cut_is_heard_after_the_heal)
{
    struct pair pair;
    pair_connect(&pair, 1);
    sim_paths_cut(pair.nodes[0], pair.nodes[1], SIM_BOTH_WAYS);
    pair_send(&pair.caller, 100);
    pair_net(&pair)->close(pair.caller.stream, true);
    pair_run(&pair, 4);
    assert_int_equal(pair.called.ended, 0);
    sim_paths_heal(pair.nodes[0], pair.nodes[1]);
    pair_run(&pair, 1);
    assert_int_equal(pair.called.ended, 1);
    assert_int_equal(pair.called.got.size, 100);
    pair_close(&pair);
}

TEST(sim_paths, an_orphan_is_told_and_its_peer_is_not)
{
    struct pair pair;
    pair_connect(&pair, 3);
    sim_net_profile(pair.sim)->silence_us_max = 1000000 * (uint64_t)SIM_SECOND;
    sim_paths_delay(pair.nodes[0], pair.nodes[1], SIM_THERE, 500000, 500000);
    pair_send(&pair.caller, 100000); /* on its way to an end that will have ended */
    sim_paths_orphan(pair.nodes[1], pair.nodes[0]);
    pair_run(&pair, 10);
    assert_int_equal(pair.called.ended, 1);
    assert_int_equal(pair.called.got.size, 0);
    assert_int_equal(pair.caller.ended, 0);
    assert_int_equal(pair_hits(&pair, SIM_HIT_ORPHAN), 1);
    size_t unsent = pair_net(&pair)->unsent(pair.caller.stream);
    assert_true(unsent > 0);
    pair_net(&pair)->close(pair.called.stream, true);
    assert_int_equal(pair_net(&pair)->unsent(pair.caller.stream), unsent);
    assert_int_equal(pair.caller.drained, 0);
    pair_close(&pair);
}

TEST(sim_paths, an_end_is_told_once_whatever_comes_first)
{
    struct pair pair;
    pair_connect(&pair, 1);
    sim_paths_delay(pair.nodes[0], pair.nodes[1], SIM_THERE, 500000, 500000);
    sim_paths_orphan(pair.nodes[0], pair.nodes[1]); /* in half a second */
    pair_net(&pair)->close(pair.called.stream, true);
    assert_true(sim_world_run_for(pair.sim, 10 * SIM_MILLISECOND));
    assert_int_equal(pair.caller.ended, 1);
    pair_run(&pair, 1);
    assert_int_equal(pair.caller.ended, 1);
    pair_close(&pair);
}

TEST(sim_paths, word_of_an_orphan_needs_both_ways)
{
    for (int ways = 1; ways <= 2; ways++) {
        struct pair pair;
        pair_connect(&pair, 3);
        sim_net_profile(pair.sim)->silence_us_max = 1;
        sim_paths_profile(pair.sim)->give_up_us_min = sim_paths_profile(pair.sim)->give_up_us_max =
            1000 * (uint64_t)SIM_SECOND;
        sim_paths_cut(pair.nodes[0], pair.nodes[1], (enum sim_ways)ways);
        sim_paths_orphan(pair.nodes[0], pair.nodes[1]);
        pair_run(&pair, 900);
        assert_int_equal(pair.caller.ended, 1);
        assert_int_equal(pair.called.ended, 0);
        sim_paths_heal(pair.nodes[0], pair.nodes[1]);
        pair_run(&pair, 1);
        assert_int_equal(pair.called.ended, 1);
        pair_close(&pair);
    }
}

TEST(sim_paths, after_a_power_cut_the_peer_finds_out_only_once_the_machine_is_back)
{
    unsigned found = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct pair pair;
        pair_connect(&pair, seed);
        sim_net_profile(pair.sim)->silence_us_max = 1000000 * (uint64_t)SIM_SECOND;
        sim_node_crash(pair.nodes[1], (struct sim_cut){SIM_KEEP_ALL, 0});
        pair_send(&pair.caller, 10);
        pair_run(&pair, 100);
        assert_int_equal(pair.caller.ended, 0);
        assert_true(sim_node_start(pair.nodes[1]));
        pair_send(&pair.caller, 10);
        pair_run(&pair, 1);
        found += pair.caller.ended;
        pair_close(&pair);
    }
    assert_int_equal(found, 40);
}

TEST(sim_paths, resets_are_heard_at_both_ends)
{
    struct pair pair;
    pair_connect(&pair, 1);
    sim_paths_reset(pair.nodes[1], pair.nodes[2]);
    pair_run(&pair, 1);
    assert_int_equal(pair.caller.ended + pair.called.ended, 0);
    sim_paths_reset_node(pair.nodes[1]);
    pair_run(&pair, 1);
    assert_int_equal(pair.caller.ended, 1);
    assert_int_equal(pair.called.ended, 1);
    pair_net(&pair)->close(pair.caller.stream, true);
    pair_net(&pair)->close(pair.called.stream, true);
    pair.accepted = 0;
    end_init(&pair.called, &pair);
    sim_paths_profile(pair.sim)->reset_per_million = 1000000;
    pair_dial(&pair, "n2:7379");
    pair_run(&pair, 1);
    pair_send(&pair.caller, 10);
    pair_run(&pair, 1);
    assert_int_equal(pair.caller.ended, 1);
    assert_int_equal(pair.called.ended, 1);
    assert_int_equal(pair.called.got.size, 0);
    pair_close(&pair);
}

static unsigned bits_between(const uint8_t *bytes, size_t size)
{
    unsigned bits = 0;
    for (size_t i = 0; i < size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) bits += bytes[i] >> bit & 1;
    }
    return bits;
}

TEST(sim_paths, flips_change_as_many_bits_as_are_counted_in_their_direction_only)
{
    struct pair pair;
    pair_connect(&pair, 1);
    sim_net_profile(pair.sim)->whole_per_million = 0;
    sim_paths_flips(pair.nodes[0], pair.nodes[1], SIM_THERE, 300000);
    for (int i = 0; i < 50; i++) {
        pair_send(&pair.caller, 1000);
        pair_send(&pair.called, 1000);
        pair_run(&pair, 1);
    }
    assert_int_equal(pair.called.got.size, 50000);
    uint64_t flips = sim_stream_flips(pair.called.stream);
    assert_true(flips > 10);
    /* Two on one bit would undo each other; this seed has none. */
    assert_int_equal(bits_between(pair.called.got.data, 50000), flips);
    assert_int_equal(sim_stream_flips(pair.caller.stream), 0);
    assert_int_equal(bits_between(pair.caller.got.data, 50000), 0);
    assert_int_equal(pair_hits(&pair, SIM_HIT_FLIP), flips);
    pair_close(&pair);
}

TEST(sim_paths, each_direction_has_its_own_delay)
{
    struct pair pair;
    pair_connect(&pair, 1);
    sim_paths_delay(pair.nodes[0], pair.nodes[1], SIM_THERE, 700000, 800000);
    uint64_t began = sim_world_now_us(pair.sim);
    pair_send(&pair.caller, 1);
    pair_send(&pair.called, 1);
    pair_run(&pair, 1);
    assert_in_range(pair.called.at_us - began, 700000, 800000);
    assert_in_range(pair.caller.at_us - began, 50, 500);
    sim_paths_delay(pair.nodes[0], pair.nodes[1], SIM_THERE, 0, 0);
    began = sim_world_now_us(pair.sim);
    pair_send(&pair.caller, 1);
    pair_run(&pair, 1);
    assert_in_range(pair.called.at_us - began, 50, 500);
    pair_close(&pair);
}

/* ---- Nodes ---- */

TEST(sim_paths, a_process_that_stands_still_gets_everything_at_once_when_it_goes_on)
{
    struct pair pair;
    pair_connect(&pair, 1);
    sim_net_profile(pair.sim)->whole_per_million = 1000000;
    sim_node_pause(pair.nodes[1], 10 * SIM_SECOND);
    uint64_t began = sim_world_now_us(pair.sim);
    for (int i = 0; i < 5; i++) {
        pair_send(&pair.caller, 1000);
        pair_run(&pair, 1);
    }
    assert_int_equal(pair.called.got.size, 0);
    pair_run(&pair, 6);
    assert_int_equal(pair.called.got.size, 5000);
    assert_int_equal(pair.called.pieces, 1);
    assert_int_equal(pair.called.at_us - began, 10 * SIM_SECOND);
    assert_true(pair_hits(&pair, SIM_HIT_COALESCED) > 0);
    pair_close(&pair);
}

TEST(sim_paths, nodes_have_disks_heaps_and_clocks_of_their_own)
{
    struct pair pair;
    pair_open(&pair, 1);
    static const char word[] = "word";
    for (unsigned i = 0; i < 3; i++)
        sim_disk_put(sim_node_disk(pair.nodes[i]), "file", bytes_of(word, 4));
    sim_node_drift(pair.nodes[1], 50000);
    sim_node_wall_jump(pair.nodes[2], -3600000);
    sim_node_crash(pair.nodes[0], (struct sim_cut){SIM_KEEP_NOTHING, 0});
    sim_disk_wipe(sim_node_disk(pair.nodes[0]));
    uint64_t before[3], walls[3];
    for (unsigned i = 0; i < 3; i++) before[i] = clock_now_us(sim_node_world(pair.nodes[i])->clock);
    pair_run(&pair, 100);
    assert_true(sim_node_start(pair.nodes[0]));
    struct buffer file;
    buffer_init(&file);
    assert_false(sim_disk_seen(sim_node_disk(pair.nodes[0]), "file", &file));
    assert_true(sim_disk_seen(sim_node_disk(pair.nodes[1]), "file", &file));
    assert_true(sim_disk_seen(sim_node_disk(pair.nodes[2]), "file", &file));
    buffer_release(&file);
    for (unsigned i = 0; i < 3; i++) walls[i] = clock_wall_ms(sim_node_world(pair.nodes[i])->clock);
    uint64_t second = clock_now_us(sim_node_world(pair.nodes[1])->clock) - before[1];
    uint64_t third = clock_now_us(sim_node_world(pair.nodes[2])->clock) - before[2];
    assert_int_equal(second, 105 * (uint64_t)SIM_SECOND);
    assert_int_equal(third, 100 * (uint64_t)SIM_SECOND);
    assert_int_equal(walls[1] - walls[0], 5000);
    assert_int_equal(walls[0] - walls[2], 3600000);
    assert_true(sim_node_heap(pair.nodes[0]) != sim_node_heap(pair.nodes[1]));
    pair_close(&pair);
}

TEST(sim_paths, what_happens_between_nodes_draws_nothing_from_the_dice_of_clients)
{
    uint64_t rolls[2];
    for (int i = 0; i < 2; i++) {
        struct pair pair;
        pair_open(&pair, 1);
        if (i == 1) pair_dial(&pair, "n2:7379");
        pair_run(&pair, 1);
        if (i == 1) pair_send(&pair.caller, 10000);
        pair_run(&pair, 1);
        rolls[i] = dice_roll(sim_world_dice(pair.sim, SIM_DICE_NET));
        pair_close(&pair);
    }
    assert_int_equal(rolls[0], rolls[1]);
}
