/* SPDX-License-Identifier: Apache-2.0 */
#include "test/log/large.h"

/* Recovery reads it all; the copying of what lies beyond the watermark begins near that. */
TEST(log_tail, an_unclean_start_reads_a_full_segment_once)
{
    struct large *large = large_new(LOG_ALWAYS);
    large_append(large, 120, 1, 60 << 10);
    large_kill(large);
    large->disk.read_bytes = 0;
    assert_int_equal(large_open(large), ERR_OK);
    assert_int_equal(large->found.last.lsn.at, 120);
    assert_int_equal(large->found.copied_entries, 1);
    assert_true(large->disk.read_bytes >= LARGE_BYTES - LOG_SEGMENT_HEADER_BYTES);
    assert_true(large->disk.read_bytes < LARGE_BYTES + (2 << 20));
    large_free(large);
}

/* Kills it with `synced` batches of three entries durable, and `behind` batches that nothing says
 * so of. */
static void kill_at(uint64_t synced, uint64_t behind, bool idle)
{
    struct large *large = large_new(LOG_NONE);
    for (uint64_t i = 0; i < synced; i++) {
        large_append(large, 1, 3, 200);
        if (i % 4 != 3 && i + 1 < synced) continue; /* the watermark lags behind, and jumps */
        log_sync_soon(large->log);
        while (memory_turn(&large->disk)) continue;
    }
    if (idle) log_note_idle(large->log);
    large_append(large, behind, 3, 200);
    large_kill(large);
    large_look(large, 1);
    uint64_t counts = LOG_SEGMENT_HEADER_BYTES, durable = 0, last = 3 * (synced + behind);
    for (size_t i = 0; i < large->count; i++) {
        if (large->headers[i].durable.at > durable) durable = large->headers[i].durable.at;
    }
    for (size_t i = 0; i < large->count; i++) {
        bool filled = large->headers[i].count > 0 && large->headers[i].first.at <= durable;
        if (filled) counts = large->offsets[i + 1];
    }
    assert_int_equal(durable, behind > 0 || idle ? 3 * synced : (synced - 1) / 4 * 4 * 3);
    assert_int_equal(large_open(large), ERR_OK);
    assert_int_equal(large->found.durable.at, durable);
    assert_int_equal(large->found.last.lsn.at, last);
    large_look(large, durable + 1);
    assert_int_equal(large->segment.start.next.at, durable + 1);
    assert_int_equal(large->count > 0 ? large->headers[0].first.at : last + 1, durable + 1);
    uint64_t end;
    assert_int_equal(large_read(large, 1, &end), ERR_NOT_FOUND);
    assert_int_equal(end, last + 1);
    if (durable > 0) { /* else the new segment has taken its name */
        large_look(large, 1);
        assert_int_equal(large->file->size, LARGE_BYTES); /* no start waits for the disk to do it */
        large_promise(large);
        while (memory_turn(&large->disk)) continue;
        assert_int_equal(large->file->size, counts); /* what is copied is cut off, and no more */
    }
    large_free(large);
}

TEST(log_tail, what_lies_beyond_the_watermark_is_copied_wherever_that_is)
{
    for (uint64_t synced = 1; synced <= 13; synced++) {
        for (uint64_t behind = 0; behind <= 3; behind++) {
            kill_at(synced, behind, false);
            kill_at(synced, behind, true);
        }
    }
}

TEST(log_tail, a_start_that_is_short_of_space_cuts_at_once)
{
    for (unsigned full = 0; full < 2; full++) {
        struct large *large = large_new(LOG_ALWAYS);
        large->options.reserve_bytes = 1000;
        large_append(large, 9, 1, 1000);
        large_kill(large);
        large->disk.full = full == 1;
        assert_int_equal(large_open(large), ERR_OK);
        large_look(large, 1);
        assert_int_equal(large->file->size < LARGE_BYTES, full == 1);
        large_free(large);
    }
}

/* Each process writes `entries` before it ends: the one of its epoch, or not even that. The segment
 * that it has begun is no long file any more when the next one has started. */
static void row_of_starts(uint64_t entries)
{
    struct large *large = large_new(LOG_ALWAYS);
    large_append(large, 4, 1, 1000);
    large_kill(large);
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(large_open(large), ERR_OK);
        assert_int_equal(large->found.copied_entries, i == 0 ? 1 : entries);
        large_look(large, i == 0 ? 1 : entries == 0 ? 4 : 3 + i);
        assert_true(i == 0 || large->file->size < 16384);
        large_append(large, entries, 1, 100);
        large_kill(large);
    }
    large_free(large);
}

TEST(log_tail, a_row_of_starts_that_come_no_further_leaves_no_long_files)
{
    row_of_starts(0);
    row_of_starts(1);
}

/* A watermark that moves rarely is followed all the same. */
TEST(log_tail, reading_a_second_time_begins_where_the_watermark_was_not_long_before)
{
    struct large *large = large_new(LOG_NONE);
    for (unsigned i = 0; i < 12; i++) {
        large_append(large, 10, 1, 60 << 10);
        log_sync_soon(large->log);
        while (memory_turn(&large->disk)) continue;
    }
    large_append(large, 1, 1, 1000);
    large_kill(large);
    large->disk.read_bytes = 0;
    assert_int_equal(large_open(large), ERR_OK);
    assert_int_equal(large->found.last.lsn.at, 121);
    assert_int_equal(large->found.copied_entries, 1);
    assert_true(large->disk.read_bytes < LARGE_BYTES + (4 << 20));
    large_free(large);
}
