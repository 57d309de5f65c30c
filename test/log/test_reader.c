/* SPDX-License-Identifier: Apache-2.0 */
#include "test/log/damage.h"
#include "test/log/large.h"

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

/* --- What lies below the first entry asked for --- */

/* Forty batches of two entries in four epochs, with empty ones in between; closed. */
static struct large *passed_new(void)
{
    struct large *large = large_new(LOG_ALWAYS);
    for (unsigned i = 0; i < 4; i++) {
        if (i > 0) large_promise(large);
        large_append(large, 10, 2, 300);
        log_note_idle(large->log);
        while (memory_turn(&large->disk)) continue;
    }
    large_close(large);
    large_look(large, 1);
    assert_true(large->count > 42);
    return large;
}

TEST(log_reader, wherever_it_begins_behind_what_is_durable_it_gives_the_same)
{
    struct large *large = passed_new();
    for (uint64_t from = 1; from <= 83; from++) {
        uint64_t end;
        assert_int_equal(large_read(large, from, &end), ERR_NOT_FOUND);
        assert_int_equal(end, from > 81 ? from : 81);
    }
    large_free(large);
}

TEST(log_reader, the_way_to_an_entry_far_behind_is_not_read)
{
    struct large *large = large_new(LOG_ALWAYS);
    uint64_t end;
    large_append(large, 120, 1, 60 << 10);
    large_close(large);
    large->disk.read_bytes = large->disk.reads = 0;
    assert_int_equal(large_read(large, 115, &end), ERR_NOT_FOUND);
    assert_int_equal(end, 121);
    assert_true(large->disk.read_bytes < 3 << 20); /* to the end of the file, and so many headers */
    large_free(large);
}

TEST(log_reader, small_batches_on_the_way_do_not_cost_a_read_each)
{
    struct large *large = large_new(LOG_ALWAYS);
    uint64_t end;
    large_append(large, 8000, 1, 100);
    large_close(large);
    large->disk.reads = 0;
    assert_int_equal(large_read(large, 8000, &end), ERR_NOT_FOUND);
    assert_int_equal(end, 8001);
    assert_true(large->disk.reads < 100);
    large_free(large);
}

enum lie { LIE_HOLE, LIE_AGAIN, LIE_COUNT, LIE_CLUSTER, LIE_SHARD, LIE_EPOCH, LIE_FLAG, LIE_STAMP };

static void lie(struct log_batch_header *header, enum lie what)
{
    switch (what) {
    case LIE_HOLE: header->first.at++; break;
    case LIE_AGAIN: header->first.at--; break;
    case LIE_COUNT: header->count--; break;
    case LIE_CLUSTER: header->cluster++; break;
    case LIE_SHARD: header->shard++; break;
    case LIE_EPOCH: header->epoch.number = 0; break;
    case LIE_FLAG: header->flags |= LOG_BATCH_EPOCH; break;
    case LIE_STAMP: header->stamp.bits = 1; break;
    }
}

TEST(log_reader, a_header_on_the_way_that_does_not_continue_the_log_is_refused)
{
    for (enum lie what = LIE_HOLE; what <= LIE_STAMP; what++) {
        struct large *large = passed_new();
        uint64_t end;
        lie(&large->headers[5], what);
        large_seal(large, 5);
        assert_int_equal(large_read(large, 80, &end), ERR_CORRUPT);
        assert_int_equal(end, 80);
        large_free(large);
    }
}

TEST(log_reader, behind_what_was_passed_the_lineage_must_be_what_the_header_names)
{
    struct large *large = passed_new();
    uint64_t end;
    large->headers[5].lineage.hash++;
    large_seal(large, 5);
    assert_int_equal(large_read(large, large->headers[5].first.at, &end), ERR_CORRUPT);
    assert_int_equal(end, large->headers[5].first.at);
    large_free(large);
}

/* An empty batch: there is no entry whose lineage would tell. */
TEST(log_reader, where_no_entries_were_passed_the_lineage_is_known_and_must_be_that)
{
    struct large *large = passed_new();
    uint64_t end;
    size_t empty = 0;
    while (large->headers[empty].count > 0) empty++;
    uint64_t next = large->headers[empty].first.at;
    large->headers[empty].lineage.hash++;
    large_seal(large, empty);
    assert_int_equal(large_read(large, 1, &end), ERR_CORRUPT); /* behind entries that were read */
    assert_int_equal(end, next);
    assert_int_equal(large_read(large, next + 6, &end), ERR_CORRUPT); /* between those passed */
    assert_int_equal(end, next + 6);
    large_free(large);
}

TEST(log_reader, a_damaged_header_on_the_way_ends_it_as_damage)
{
    struct large *large = passed_new();
    uint64_t end;
    large->file->content.data[large->offsets[5] + 50] ^= 1;
    assert_int_equal(large_read(large, 80, &end), ERR_CORRUPT);
    assert_int_equal(large_read(large, 83, &end), ERR_CORRUPT);
    large_free(large);
}

TEST(log_reader, a_damaged_body_on_the_way_is_noticed_by_who_reads_it_and_by_a_verification)
{
    struct large *large = passed_new();
    struct why why;
    uint64_t end, first = large->headers[5].first.at;
    large->file->content.data[large->offsets[5] + 200] ^= 1;
    assert_int_equal(large_read(large, first + 2, &end), ERR_NOT_FOUND);
    assert_int_equal(end, 81);
    assert_int_equal(large_read(large, first + 1, &end), ERR_CORRUPT);
    assert_int_equal(large_read(large, 1, &end), ERR_CORRUPT);
    assert_int_equal(end, first);
    assert_int_equal(log_verify(&large->disk.base, LARGE_DIRECTORY, &large->found, &why),
                     ERR_CORRUPT);
    large_free(large);
}

TEST(log_reader, a_file_that_ends_within_a_batch_on_the_way_is_damage)
{
    struct large *large = passed_new();
    uint64_t end;
    size_t last = large->count - 1;
    while (large->headers[last].count == 0) last--;
    large->file->size = large->file->content.size = large->offsets[last] + LOG_BATCH_HEADER_BYTES;
    assert_int_equal(large_read(large, 81, &end), ERR_CORRUPT);
    large_free(large);
}

/* Whether a batch counts behind which nothing was recorded, only its bytes say. */
TEST(log_reader, what_is_not_recorded_as_durable_is_read_on_the_way)
{
    struct large *large = large_new(LOG_NONE);
    uint64_t end;
    large_append(large, 20, 1, 300);
    large_kill(large);
    large_look(large, 1);
    assert_int_equal(large->count, 20);
    large->file->content.data[large->offsets[10] + 200] ^= 1; /* torn */
    assert_int_equal(large_read(large, 15, &end), ERR_NOT_FOUND);
    assert_int_equal(end, 15);
    large_free(large);
}
