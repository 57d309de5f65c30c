/* SPDX-License-Identifier: Apache-2.0 */
/* Promises of a log that runs: in both slots before anybody is told. */
#include "test/log/damage.h"

enum { ASKED_MAX = 4 };

/* Several that are asked for at once, and the order in which they were answered. */
static struct asking {
    struct keeper *keeper;
    struct log_promising of[ASKED_MAX];
    unsigned answers[ASKED_MAX]; /* its place among the answers, from 1; 0: none yet */
    unsigned answered;
    uint64_t told; /* the highest that was told as given */
} asking;

static void told(struct log_promising *promising)
{
    size_t i = (size_t)(promising - asking.of);
    MUST(asking.answers[i] == 0);
    asking.answers[i] = ++asking.answered;
    if (promising->err != ERR_OK) return;
    MUST(epoch_compare(log_promised(asking.keeper->log), promising->epoch) >= 0);
    if (promising->epoch.number > asking.told) asking.told = promising->epoch.number;
}

/* argument: how many, the first one's number; each is one above the one before. */
static void step_ask(struct keeper *keeper)
{
    asking = (struct asking){.keeper = keeper, .told = asking.told};
    for (uint64_t i = 0; i < keeper->argument[0]; i++) {
        struct epoch epoch = {keeper->argument[1] + i, 9};
        asking.of[i] = (struct log_promising){.epoch = epoch, .done = told};
        log_promise_soon(keeper->log, &asking.of[i]);
        MUST(asking.answers[i] == 0); /* never from inside */
    }
}

static bool ask(struct keeper *keeper, uint64_t count, uint64_t number)
{
    keeper->argument[0] = count;
    keeper->argument[1] = number;
    return keeper_do(keeper, step_ask);
}

static bool all_answered(struct sim_condition *condition)
{
    struct keeper *keeper = CONTAINER_OF(condition, struct keeper, condition);
    return keeper->log == NULL || keeper->failed || asking.answered == keeper->argument[0];
}

static void wait_for_answers(struct keeper *keeper)
{
    keeper->condition.met = all_answered;
    (void)sim_world_run_until(keeper->world, &keeper->condition, SIM_SECOND);
}

TEST(log_promise, one_that_was_told_survives_the_power_and_either_slot)
{
    for (unsigned lost = 0; lost <= LOG_SUPERBLOCK_SLOTS; lost++) {
        struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
        assert_true(sim_node_start(keeper->node));
        assert_true(ask(keeper, 1, 5));
        wait_for_answers(keeper);
        assert_int_equal(asking.of[0].err, ERR_OK);
        sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
        if (lost < LOG_SUPERBLOCK_SLOTS)
            assert_true(
                sim_disk_damage(keeper_disk(keeper), slot_path(lost), 0, 512, SIM_DAMAGE_GARBAGE));
        assert_true(sim_node_start(keeper->node));
        assert_int_equal(keeper->found.promised.number, 5);
        ASSERT_SOUND(keeper);
        keeper_free(keeper);
    }
}

TEST(log_promise, they_are_given_in_order_and_only_above_every_earlier_one)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    assert_true(ask(keeper, 3, 4));
    wait_for_answers(keeper);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(asking.of[i].err, ERR_OK);
        assert_int_equal(asking.answers[i], i + 1);
    }
    assert_int_equal(log_promised(keeper->log).number, 6);
    assert_true(ask(keeper, 4, 4)); /* 4, 5, 6: not above; 7 is */
    wait_for_answers(keeper);
    for (unsigned i = 0; i < 3; i++) assert_int_equal(asking.of[i].err, ERR_REFUSED);
    assert_int_equal(asking.of[3].err, ERR_OK);
    assert_int_equal(keeper_append(keeper, 1, 100), ERR_OK);
    assert_int_equal(log_last(keeper->log).epoch.number, 7); /* entries from now on carry it */
    keeper->epoch = 7;
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

static void step_ask_while_written(struct keeper *keeper)
{
    log_trim(keeper->log, (struct lsn){keeper->acked}); /* writes both slots */
    step_ask(keeper);
}

TEST(log_promise, while_the_superblock_is_being_written_it_waits_for_a_write_of_its_own)
{
    for (unsigned lost = 0; lost < LOG_SUPERBLOCK_SLOTS; lost++) {
        struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
        assert_true(sim_node_start(keeper->node));
        for (unsigned i = 0; i < 60; i++) assert_int_equal(keeper_append(keeper, 2, 900), ERR_OK);
        keeper->argument[0] = 1;
        keeper->argument[1] = 5;
        assert_true(keeper_do(keeper, step_ask_while_written));
        wait_for_answers(keeper);
        assert_int_equal(asking.of[0].err, ERR_OK);
        sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
        assert_true(
            sim_disk_damage(keeper_disk(keeper), slot_path(lost), 0, 512, SIM_DAMAGE_GARBAGE));
        assert_true(sim_node_start(keeper->node));
        assert_int_equal(keeper->found.promised.number, 5);
        keeper_check(keeper);
        ASSERT_SOUND(keeper);
        keeper_free(keeper);
    }
}

static void step_stop_and_ask(struct keeper *keeper)
{
    log_stop(keeper->log);
    step_ask(keeper);
}

TEST(log_promise, a_log_that_is_being_closed_gives_none)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    keeper->argument[0] = 1;
    keeper->argument[1] = 5;
    assert_true(keeper_do(keeper, step_stop_and_ask));
    wait_for_answers(keeper);
    assert_int_equal(asking.of[0].err, ERR_SHUT);
    assert_int_equal(keeper_end(keeper), ERR_OK);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

/* Two promises among appends and trims; whatever was told is there afterwards. */
static void promises(struct keeper *keeper)
{
    asking.told = 0;
    if (!sim_node_start(keeper->node)) return;
    (void)keeper_append(keeper, 30, 400);
    if (keeper->log == NULL || !ask(keeper, 2, 4)) return;
    wait_for_answers(keeper);
    (void)keeper_append(keeper, 30, 400);
    keeper->argument[0] = 1;
    keeper->argument[1] = 8;
    if (keeper->log == NULL || !keeper_do(keeper, step_ask_while_written)) return;
    wait_for_answers(keeper);
}

TEST(log_promise, a_crash_at_any_moment_forgets_none_that_was_told)
{
    struct keeper *keeper = keeper_new(3, LOG_ALWAYS);
    promises(keeper);
    uint64_t total = sim_node_io(keeper->node);
    assert_int_equal(asking.told, 8);
    keeper_free(keeper);
    for (uint64_t io = 0; io < total; io++) {
        struct sim_crash crash = {.io = io};
        for (unsigned variant = 0; sim_crash_variant(variant, &crash); variant++) {
            crash.io = io;
            keeper = keeper_new(3, LOG_ALWAYS);
            sim_node_crash_at(keeper->node, &crash);
            promises(keeper);
            sim_node_crash_at(keeper->node, NULL);
            if (!sim_node_is_up(keeper->node)) {
                assert_true(sim_node_start(keeper->node));
                assert_true(keeper->found.promised.number >= asking.told);
            }
            ASSERT_SOUND(keeper);
            keeper_free(keeper);
        }
    }
}

static void step_before(struct keeper *keeper)
{
    struct mark before = log_before(keeper->log);
    MUST(before.lsn.at + 1 == log_floor(keeper->log).at);
    keeper->argument[0] = before.lineage.hash;
}

static struct lineage lineage_of(struct keeper *keeper, uint64_t lsn)
{
    struct log_reader *reader;
    struct entry entry;
    struct why why;
    struct lineage lineage = {0};
    MUST(log_reader_open(&reader, keeper->seams->disk, KEEPER_DIRECTORY, (struct lsn){1}, &why) ==
         ERR_OK);
    while (lineage.hash == 0 && log_reader_next(reader, &entry, &why) == ERR_OK)
        if (entry.lsn.at == lsn) lineage = entry.lineage;
    log_reader_close(reader);
    return lineage;
}

static struct lineage lineages[121];

static void step_lineages(struct keeper *keeper)
{
    for (uint64_t lsn = 1; lsn <= 120; lsn++) lineages[lsn] = lineage_of(keeper, lsn);
}

static void step_trim(struct keeper *keeper)
{
    log_trim(keeper->log, (struct lsn){keeper->argument[0]});
}

TEST(log_floor, what_stood_before_the_first_entry_kept_is_known)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    assert_true(keeper_do(keeper, step_before));
    assert_int_equal(keeper->argument[0], 0);
    for (unsigned i = 0; i < 60; i++) assert_int_equal(keeper_append(keeper, 2, 900), ERR_OK);
    assert_true(keeper_do(keeper, step_lineages));
    keeper->argument[0] = 90;
    assert_true(keeper_do(keeper, step_trim));
    assert_true(keeper_do(keeper, step_before)); /* also while the files are going */
    uint64_t at = log_floor(keeper->log).at - 1;
    assert_true(at > 50 && keeper->argument[0] == lineages[at].hash);
    assert_true(sim_world_settle(keeper->world, SIM_SECOND));
    assert_true(keeper_do(keeper, step_before));
    assert_true(keeper->argument[0] == lineages[at].hash);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}
