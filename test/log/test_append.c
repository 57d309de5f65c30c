/* SPDX-License-Identifier: Apache-2.0 */
#include "test/log/steps.h"

TEST(log_append, entries_get_dense_numbers_and_are_durable_when_told)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    assert_true(keeper->found.fresh);
    assert_int_equal(keeper_append(keeper, 10, 100), ERR_OK);
    assert_int_equal(keeper->acked, 10);
    assert_int_equal(keeper_append(keeper, 1, 1000), ERR_OK);
    assert_int_equal(keeper->acked, 11);
    assert_int_equal(keeper_end(keeper), ERR_OK);
    assert_true(sim_node_start(keeper->node));
    assert_true(keeper->found.clean);
    assert_false(keeper->found.fresh);
    assert_int_equal(keeper->found.last.lsn.at, 11);
    keeper_check(keeper);
    assert_int_equal(keeper->count, 11);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

TEST(log_append, a_full_segment_is_followed_by_the_next_one)
{
    struct keeper *keeper = keeper_new(2, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(keeper_append(keeper, 1 + i % 7, 300), ERR_OK);
    struct log_stats stats;
    log_stats(keeper->log, &stats);
    assert_true(stats.segments > 3);
    uint64_t last = keeper->acked;
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper->found.last.lsn.at, last);
    keeper_check(keeper);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}
