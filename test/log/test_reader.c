/* SPDX-License-Identifier: Apache-2.0 */
#include "test/log/damage.h"

enum { FIRST_BATCH = LOG_SEGMENT_HEADER_BYTES, SECTOR = LOG_SECTOR_BYTES };

TEST(log_reader, reads_from_any_entry_to_the_end)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    for (unsigned i = 0; i < 40; i++) assert_int_equal(keeper_append(keeper, 3, 400), ERR_OK);
    for (uint64_t from = 1; from <= 122; from++) {
        keeper->argument[0] = from;
        assert_true(keeper_do(keeper, step_read));
        assert_int_equal(keeper->result, ERR_NOT_FOUND);
        assert_int_equal(keeper->count, from > 120 ? 0 : 121 - from);
    }
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

TEST(log_reader, a_directory_without_a_log_says_so)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper_end(keeper), ERR_OK);
    assert_true(sim_disk_unlink(keeper_disk(keeper), slot_path(0)));
    assert_true(sim_disk_unlink(keeper_disk(keeper), slot_path(1)));
    char path[80];
    segment_path(1, path);
    assert_true(sim_disk_unlink(keeper_disk(keeper), path));
    keeper->epoch = 0;
    assert_true(sim_node_start(keeper->node)); /* and it is made anew */
    assert_int_equal(keeper->found.incarnation, 1);
    keeper_free(keeper);
}

static void step_place(struct keeper *keeper)
{
    struct log_reader *reader;
    struct entry entry;
    const char *file;
    keeper->result = log_reader_open(&reader, keeper->seams->disk, KEEPER_DIRECTORY,
                                     (struct lsn){2}, &keeper->why);
    if (keeper->result != ERR_OK) return;
    keeper->result = log_reader_next(reader, &entry, &keeper->why);
    log_reader_place(reader, &file, &keeper->count);
    MUST(strcmp(file, "00000005-0000000000000001.log") == 0);
    log_reader_close(reader);
    log_reader_close(NULL);
}

TEST(log_reader, says_where_an_entry_stands)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper_append(keeper, 3, 100), ERR_OK);
    assert_true(keeper_do(keeper, step_place));
    assert_int_equal(keeper->result, ERR_OK);
    assert_int_equal(keeper->count,
                     FIRST_BATCH + LOG_BATCH_HEADER_BYTES + LOG_ENTRY_HEADER_BYTES + 100);
    keeper_free(keeper);
}

/* Damage below the durable watermark of a log that is open: nobody may read past it. */
TEST(log_reader, damage_under_a_running_log_is_an_error_not_an_end)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    for (unsigned i = 0; i < 40; i++) assert_int_equal(keeper_append(keeper, 1, 400), ERR_OK);
    char path[80];
    segment_path(1, path);
    assert_true(sim_disk_damage(keeper_disk(keeper), path, FIRST_BATCH + 2 * 2 * SECTOR + 300, 1,
                                SIM_DAMAGE_FLIP));
    keeper->argument[0] = 1;
    assert_true(keeper_do(keeper, step_read));
    assert_int_equal(keeper->result, ERR_CORRUPT);
    assert_non_null(strstr(keeper->why.text, "00000005-0000000000000001.log: offset "));
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

static void step_verify(struct keeper *keeper)
{
    keeper->result = log_verify(keeper->seams->disk, KEEPER_DIRECTORY, &keeper->found,
                                &keeper->why);
}

/* What lies far below the watermark is not read at a start; a verification reads it. */
TEST(log_reader, verify_reads_every_byte_and_changes_nothing)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    for (unsigned i = 0; i < 60; i++) assert_int_equal(keeper_append(keeper, 1, 900), ERR_OK);
    assert_int_equal(keeper_end(keeper), ERR_OK);
    assert_true(sim_node_start(keeper->node));
    uint64_t before = disk_checksum(keeper);
    assert_true(keeper_do(keeper, step_verify));
    assert_int_equal(keeper->result, ERR_OK);
    assert_int_equal(keeper->found.last.lsn.at, 60);
    assert_true(disk_checksum(keeper) == before);
    assert_int_equal(keeper_end(keeper), ERR_OK);
    char path[80];
    segment_path(1, path);
    assert_true(sim_disk_damage(keeper_disk(keeper), path, FIRST_BATCH + 600, 1, SIM_DAMAGE_FLIP));
    assert_true(sim_node_start(keeper->node));
    assert_true(keeper_do(keeper, step_verify));
    assert_int_equal(keeper->result, ERR_CORRUPT);
    assert_non_null(strstr(keeper->why.text, "no good batch for LSN 1, but"));
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}
