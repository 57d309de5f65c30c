/* SPDX-License-Identifier: Apache-2.0 */
#include "log/format.h"
#include "test/log/steps.h"

TEST(log_append, entries_get_dense_numbers_and_are_durable_when_told)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper->found.incarnation, 1);
    assert_int_equal(keeper_append(keeper, 10, 100), ERR_OK);
    assert_int_equal(keeper->acked, 10);
    assert_int_equal(keeper_append(keeper, 1, 1000), ERR_OK);
    assert_int_equal(keeper->acked, 11);
    assert_int_equal(keeper_end(keeper), ERR_OK);
    assert_true(sim_node_start(keeper->node));
    assert_true(keeper->found.clean);
    assert_int_equal(keeper->found.incarnation, 1);
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

/* --- Entries of another copy --- */

static const char copied_payload[] = "\1of another copy";

static struct entry next_of(const struct log *log, struct epoch epoch)
{
    struct mark last = log_last(log);
    struct entry entry = {.lsn = lsn_next(last.lsn),
                          .epoch = epoch,
                          .stamp = {last.lsn.at << 20},
                          .payload = bytes_of(copied_payload, sizeof copied_payload - 1)};
    entry.lineage = log_lineage(last.lineage, &entry);
    return entry;
}

static void step_copy(struct keeper *keeper)
{
    struct epoch lower = {1, 2}, higher = {1, 8};
    struct why why;
    struct entry entry = next_of(keeper->log, higher);
    assert_int_equal(log_append_entry(keeper->log, &entry, &why), ERR_OK);
    struct mark last = log_last(keeper->log);
    assert_int_equal(last.lsn.at, entry.lsn.at);
    assert_true(last.lineage.hash == entry.lineage.hash);
    assert_int_equal(epoch_compare(last.epoch, higher), 0);

    assert_int_equal(log_append_entry(keeper->log, &entry, &why), ERR_CORRUPT); /* twice */
    assert_non_null(strstr(why.text, "not the next one"));
    entry = next_of(keeper->log, higher);
    entry.lineage.hash ^= 1;
    assert_int_equal(log_append_entry(keeper->log, &entry, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "lineage"));
    entry = next_of(keeper->log, lower);
    assert_int_equal(log_append_entry(keeper->log, &entry, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "epoch"));
    entry = next_of(keeper->log, higher);
    entry.payload.size = 0;
    entry.lineage = log_lineage(last.lineage, &entry);
    assert_int_equal(log_append_entry(keeper->log, &entry, &why), ERR_CORRUPT);
    entry = next_of(keeper->log, higher);
    entry.stamp.bits = 0;
    entry.lineage = log_lineage(last.lineage, &entry);
    assert_int_equal(log_append_entry(keeper->log, &entry, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "stamp"));
    assert_int_equal(log_appended(keeper->log).at, last.lsn.at); /* none of them was taken */
    for (unsigned i = 0; i < 3; i++) {
        entry = next_of(keeper->log, higher);
        assert_int_equal(log_append_entry(keeper->log, &entry, &why), ERR_OK);
    }
    higher.copy++;
    entry = next_of(keeper->log, higher);
    assert_int_equal(log_append_entry(keeper->log, &entry, &why), ERR_OK);
    keeper->argument[0] = log_last(keeper->log).lineage.hash;
    log_push(keeper->log);
}

TEST(log_append, entries_of_another_copy_keep_what_they_are_and_only_the_next_one_fits)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper_append(keeper, 3, 100), ERR_OK);
    assert_true(keeper_do(keeper, step_copy));
    uint64_t lineage = keeper->argument[0];
    keeper_wait(keeper);
    assert_int_equal(keeper->acked, 8);
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper->found.last.lsn.at, 8);
    assert_true(keeper->found.last.lineage.hash == lineage);
    assert_int_equal(keeper->found.last.epoch.copy, 9);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}
