/* SPDX-License-Identifier: Apache-2.0 */
/* Batches on their way to the disk: grouping, durability by mode, failure, the two ends. */
#include "test/log/steps.h"

enum { WRITES = 1 << DISK_WRITE | 1 << DISK_WRITE_SYNC };

static void burst(struct keeper *keeper, uint64_t count, uint64_t size)
{
    keeper->argument[0] = count;
    keeper->argument[1] = size;
    assert_true(keeper_do(keeper, step_append));
    assert_int_equal(keeper->result, ERR_OK);
}

TEST(log_write, what_is_appended_while_a_batch_flies_forms_the_next_one)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    burst(keeper, 1, 100);
    for (unsigned i = 0; i < 20; i++) burst(keeper, 3, 100); /* no time passes meanwhile */
    struct log_stats stats;
    log_stats(keeper->log, &stats);
    assert_int_equal(stats.batches, 0);
    keeper_wait(keeper);
    log_stats(keeper->log, &stats);
    assert_int_equal(stats.batches, 2);
    assert_int_equal(stats.entries, 61);
    assert_int_equal(stats.syncs, 2);
    assert_int_equal(keeper->acked, 61);
    keeper_free(keeper);
}

TEST(log_write, syncs_are_measured_the_last_the_longest_and_their_sum)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    uint64_t worst = 0, total = 0;
    bool fell = false;
    for (unsigned i = 1; i <= 20; i++) {
        burst(keeper, 1, 100);
        keeper_wait(keeper);
        struct log_stats stats;
        log_stats(keeper->log, &stats);
        assert_int_equal(stats.syncs, i);
        total += stats.sync_us_last;
        if (stats.sync_us_last > worst) worst = stats.sync_us_last;
        fell = fell || stats.sync_us_last < worst;
        assert_int_equal(stats.sync_us_total, total);
        assert_int_equal(stats.sync_us_worst, worst);
        assert_int_equal(histogram_count(log_sync_us(keeper->log)), i);
        assert_int_equal(log_sync_us(keeper->log)->total_us, total);
    }
    assert_true(fell);
    keeper_free(keeper);
}

TEST(log_write, the_owner_is_told_once_a_batch_and_never_from_inside_a_call)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    burst(keeper, 5, 100);
    assert_int_equal(keeper->told, 0);
    keeper_wait(keeper);
    assert_int_equal(keeper->told, 1);
    keeper_free(keeper);
}

TEST(log_write, everysec_syncs_within_a_second_and_durable_follows)
{
    struct keeper *keeper = keeper_new(1, LOG_EVERYSEC);
    assert_true(sim_node_start(keeper->node));
    burst(keeper, 5, 100);
    keeper_wait(keeper);
    assert_int_equal(log_written(keeper->log).at, 5);
    assert_int_equal(log_durable(keeper->log).at, 0);
    assert_true(sim_world_run_for(keeper->world, 900 * SIM_MILLISECOND));
    assert_int_equal(log_durable(keeper->log).at, 0);
    assert_true(sim_world_run_for(keeper->world, 200 * SIM_MILLISECOND));
    assert_int_equal(log_durable(keeper->log).at, 5);
    struct log_stats stats;
    log_stats(keeper->log, &stats);
    assert_int_equal(stats.syncs, 1);
    assert_true(sim_world_run_for(keeper->world, 5 * SIM_SECOND));
    log_stats(keeper->log, &stats);
    assert_int_equal(stats.syncs, 1); /* nothing to sync, no sync */
    keeper_free(keeper);
}

static void step_sync(struct keeper *keeper)
{
    log_sync_soon(keeper->log);
}

TEST(log_write, none_syncs_only_when_asked)
{
    struct keeper *keeper = keeper_new(1, LOG_NONE);
    assert_true(sim_node_start(keeper->node));
    burst(keeper, 5, 100);
    assert_true(sim_world_run_for(keeper->world, 10 * SIM_SECOND));
    assert_int_equal(log_written(keeper->log).at, 5);
    assert_int_equal(log_durable(keeper->log).at, 0);
    burst(keeper, 2, 100);
    assert_true(keeper_do(keeper, step_sync)); /* while the write flies: after it, not beside it */
    assert_true(sim_world_run_for(keeper->world, SIM_SECOND));
    assert_int_equal(log_durable(keeper->log).at, 7);
    keeper_free(keeper);
}

static void step_always(struct keeper *keeper)
{
    keeper->options.durability = LOG_ALWAYS;
    log_set_durability(keeper->log, LOG_ALWAYS);
}

TEST(log_write, turning_to_always_syncs_what_was_only_written)
{
    struct keeper *keeper = keeper_new(2, LOG_NONE); /* direct: a synced write covers only itself */
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper_append(keeper, 5, 100), ERR_OK);
    assert_true(keeper_do(keeper, step_always));
    burst(keeper, 1, 100);
    keeper_wait(keeper);
    assert_int_equal(keeper->acked, 6);
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper->found.last.lsn.at, 6);
    keeper_free(keeper);
}

/* Syncs take three seconds from here on. */
static void slow_syncs(struct keeper *keeper)
{
    struct sim_fault fault = {
        .ops = 1 << DISK_SYNC, .kind = SIM_FAULT_STALL, .amount = 3 * SIM_SECOND};
    (void)sim_disk_fault(keeper_disk(keeper), &fault);
}

TEST(log_write, after_turning_to_always_nothing_new_counts_before_it_is_durable)
{
    struct keeper *keeper = keeper_new(2, LOG_NONE);
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper_append(keeper, 5, 100), ERR_OK);
    slow_syncs(keeper);
    assert_true(keeper_do(keeper, step_always));
    burst(keeper, 1, 100);
    assert_true(sim_world_run_for(keeper->world, SIM_SECOND));
    assert_int_equal(log_written(keeper->log).at, 5); /* counted before, and does not go back */
    assert_int_equal(log_durable(keeper->log).at, 0);
    assert_true(sim_world_run_for(keeper->world, 6 * SIM_SECOND));
    assert_int_equal(log_written(keeper->log).at, 6);
    assert_int_equal(log_durable(keeper->log).at, 6);
    keeper_free(keeper);
}

TEST(log_write, everysec_goes_on_when_a_sync_takes_longer_than_a_second)
{
    struct keeper *keeper = keeper_new(1, LOG_EVERYSEC);
    assert_true(sim_node_start(keeper->node));
    slow_syncs(keeper);
    burst(keeper, 2, 100);
    assert_true(sim_world_run_for(keeper->world, 2 * SIM_SECOND)); /* the sync is under way */
    burst(keeper, 3, 100);
    assert_true(sim_world_run_for(keeper->world, 2500 * SIM_MILLISECOND));
    assert_int_equal(log_durable(keeper->log).at, 2); /* what came after it began is not covered */
    assert_true(sim_world_run_for(keeper->world, 5 * SIM_SECOND));
    assert_int_equal(log_durable(keeper->log).at, 5);
    keeper_free(keeper);
}

static void fail_next(struct keeper *keeper, uint64_t ops, enum sim_fault_kind kind)
{
    struct sim_fault fault = {.ops = ops, .hits = 1, .kind = kind, .err = ERR_IO};
    (void)sim_disk_fault(keeper_disk(keeper), &fault);
}

TEST(log_write, a_failed_write_poisons_the_log_and_is_never_tried_again)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper_append(keeper, 3, 100), ERR_OK);
    assert_true(sim_world_settle(keeper->world, SIM_SECOND)); /* spares are made */
    fail_next(keeper, WRITES, SIM_FAULT_ERROR);
    (void)keeper_append(keeper, 2, 100);
    assert_true(keeper->failed);
    assert_true(log_is_poisoned(keeper->log));
    assert_non_null(strstr(keeper->why.text, "log: write: "));
    uint64_t io = sim_node_io(keeper->node);
    assert_int_equal(keeper_append(keeper, 1, 100), ERR_SHUT);
    assert_true(keeper_do(keeper, step_sync));
    assert_true(sim_world_run_for(keeper->world, 10 * SIM_SECOND));
    assert_int_equal(sim_node_io(keeper->node), io);
    assert_int_equal(keeper->acked, 3);
    assert_int_equal(log_durable(keeper->log).at, 3);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

/* The page cache shows what the platter lacks; a restart must not take it for durable. */
TEST(log_write, what_a_failed_sync_left_in_the_page_cache_is_written_again_before_it_counts)
{
    struct keeper *keeper = keeper_new(1, LOG_EVERYSEC);
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper_append(keeper, 4, 100), ERR_OK);
    fail_next(keeper, 1 << DISK_SYNC, SIM_FAULT_ERROR);
    assert_true(sim_world_run_for(keeper->world, 2 * SIM_SECOND));
    assert_true(keeper->failed);
    assert_int_equal(keeper->acked, 0);
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_CACHE, 1});
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper->found.copied_entries, 4);
    assert_int_equal(log_durable(keeper->log).at, 4);
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper->found.last.lsn.at, 4);
    keeper_check(keeper);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

TEST(log_write, a_failed_close_reports_why)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    fail_next(keeper, WRITES, SIM_FAULT_SHORT);
    (void)keeper_append(keeper, 2, 3000);
    assert_int_equal(keeper_end(keeper), ERR_IO);
    assert_non_null(strstr(keeper->why.text, "write"));
    ASSERT_SOUND(keeper); /* no request, file or byte is left over */
    assert_true(sim_node_start(keeper->node));
    assert_false(keeper->found.clean);
    keeper_free(keeper);
}

TEST(log_write, a_clean_stop_makes_everything_durable_in_every_mode)
{
    for (unsigned mode = 0; mode < 3; mode++) {
        struct keeper *keeper = keeper_new(mode, (enum log_durability)mode);
        assert_true(sim_node_start(keeper->node));
        for (unsigned i = 0; i < 30; i++) burst(keeper, 4, 700); /* several segments' worth */
        assert_int_equal(keeper_end(keeper), ERR_OK);
        ASSERT_SOUND(keeper);
        sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
        assert_true(sim_node_start(keeper->node));
        assert_true(keeper->found.clean);
        assert_int_equal(keeper->found.incarnation, 1);
        assert_int_equal(keeper->found.last.lsn.at, 120);
        keeper_check(keeper);
        ASSERT_SOUND(keeper);
        keeper_free(keeper);
    }
}

/* As a tool would: no loop turns between the last append and the close. */
static void step_append_and_close(struct keeper *keeper)
{
    keeper->argument[0] = 40;
    keeper->argument[1] = 900;
    step_append(keeper);
    enum err appended = keeper->result;
    keeper->result = log_close(keeper->log, &keeper->why);
    keeper->log = NULL;
    MUST(appended == ERR_OK);
}

TEST(log_write, a_close_with_a_batch_in_flight_is_an_unclean_end)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    assert_true(keeper_do(keeper, step_append_and_close));
    assert_int_equal(keeper->result, ERR_REFUSED);
    assert_true(sim_world_run_for(keeper->world, SIM_SECOND)); /* what flew has landed */
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_CACHE, 1});
    assert_true(sim_node_start(keeper->node));
    assert_false(keeper->found.clean);
    keeper_check(keeper);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

/* Appends without a push, so that the close has it all to do. */
static void step_close_unpushed(struct keeper *keeper)
{
    uint8_t payload[900];
    for (uint64_t i = 0; i < 10; i++) {
        struct lsn at;
        uint64_t lsn = log_appended(keeper->log).at + 1;
        payload_make(payload, sizeof(payload), keeper->life, lsn);
        MUST(log_append(keeper->log, (struct stamp){lsn}, bytes_of(payload, 900), &at) == ERR_OK);
        keeper->life_of[lsn] = keeper->life;
        keeper->size_of[lsn] = 900;
    }
    keeper->result = log_close(keeper->log, &keeper->why);
    keeper->log = NULL;
}

TEST(log_write, a_close_writes_what_was_never_pushed)
{
    struct keeper *keeper = keeper_new(1, LOG_NONE);
    assert_true(sim_node_start(keeper->node));
    assert_true(sim_world_settle(keeper->world, SIM_SECOND));
    assert_true(keeper_do(keeper, step_close_unpushed));
    assert_int_equal(keeper->result, ERR_OK);
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    assert_true(sim_node_start(keeper->node));
    assert_true(keeper->found.clean);
    assert_int_equal(keeper->found.last.lsn.at, 10);
    keeper_check(keeper);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

static void step_abandon(struct keeper *keeper)
{
    log_abandon(keeper->log);
    keeper->log = NULL;
}

TEST(log_write, an_abandoned_log_is_silent_and_leaves_nothing_behind)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    burst(keeper, 5, 100);
    assert_true(keeper_do(keeper, step_abandon));
    assert_true(sim_world_run_for(keeper->world, 10 * SIM_SECOND));
    assert_int_equal(keeper->told, 0);
    assert_true(sim_node_stop(keeper->node)); /* checks for leaks */
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

static void step_promise(struct keeper *keeper)
{
    struct epoch epoch = {keeper->argument[0], keeper->argument[1]};
    keeper->result = log_promise(keeper->log, epoch, &keeper->why);
}

TEST(log_write, a_promise_must_be_above_every_earlier_one_and_batches_do_not_mix_epochs)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node)); /* has promised 1.3 */
    static const uint64_t rows[][3] = {{1, 3, ERR_REFUSED},
                                       {1, 2, ERR_REFUSED},
                                       {0, 9, ERR_REFUSED},
                                       {1, 4, ERR_OK},
                                       {7, 1, ERR_OK}};
    for (size_t i = 0; i < 5; i++) {
        burst(keeper, 2, 50);
        keeper->argument[0] = rows[i][0];
        keeper->argument[1] = rows[i][1];
        assert_true(keeper_do(keeper, step_promise));
        assert_int_equal(keeper->result, rows[i][2]);
    }
    burst(keeper, 1, 50);
    keeper_wait(keeper);
    struct mark last = log_last(keeper->log);
    assert_int_equal(last.epoch.number, 7);
    assert_int_equal(last.lsn.at, 11);
    keeper->epoch = 7;
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    assert_true(sim_node_start(keeper->node));
    assert_true(mark_equal(&keeper->found.last, &last));
    assert_int_equal(keeper->found.promised.number, 7);
    keeper_check(keeper);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

TEST(log_write, a_promise_that_cannot_be_written_is_not_given)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    fail_next(keeper, WRITES, SIM_FAULT_ERROR);
    keeper->argument[0] = 9;
    assert_true(keeper_do(keeper, step_promise));
    assert_int_equal(keeper->result, ERR_IO);
    assert_true(log_is_poisoned(keeper->log));
    keeper_free(keeper);
}
