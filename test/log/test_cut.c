/* SPDX-License-Identifier: Apache-2.0 */
/* The cutting rule: a newer segment hides what older ones hold from its own first LSN on. */
#include "log/scan.h"
#include "test/log/damage.h"

static struct log_chain cut_at; /* the chain in front of the entry argument[0] */

static void step_chain(struct keeper *keeper)
{
    struct log_reader *reader;
    struct entry entry;
    keeper->result = log_reader_open(&reader, keeper->seams->disk, KEEPER_DIRECTORY,
                                     (struct lsn){1}, &keeper->why);
    if (keeper->result != ERR_OK) return;
    do keeper->result = log_reader_next(reader, &entry, &keeper->why);
    while (keeper->result == ERR_OK && entry.lsn.at + 1 < keeper->argument[0]);
    cut_at = (struct log_chain){lsn_next(entry.lsn), entry.lineage, entry.epoch, entry.stamp};
    log_reader_close(reader);
}

/* The header of the segment that holds `lsn`, and the greatest sequence. */
static struct log_segment_header holder_of(struct keeper *keeper, uint64_t lsn, uint64_t *sequence)
{
    struct log_segment_header holder = {0};
    *sequence = 0;
    for (uint64_t first = 1; first < 200; first++) {
        char path[80];
        segment_path(first, path);
        struct buffer content;
        buffer_init(&content);
        if (sim_disk_seen(keeper_disk(keeper), path, &content)) {
            struct log_segment_header header;
            const char *what;
            assert_true(log_segment_decode(content.data, &header, &what));
            if (first <= lsn) holder = header;
            if (header.sequence > *sequence) *sequence = header.sequence;
        }
        buffer_release(&content);
    }
    return holder;
}

static void lower_durable(struct keeper *keeper, uint64_t durable)
{
    for (unsigned slot = 0; slot < LOG_SUPERBLOCK_SLOTS; slot++) {
        struct buffer content = file_take(keeper, slot_path(slot));
        struct log_superblock superblock;
        const char *what;
        assert_true(log_superblock_decode(content.data, slot, &superblock, &what));
        superblock.durable.at = durable;
        superblock.state = LOG_OPEN;
        log_superblock_encode(&superblock, slot, content.data);
        file_put(keeper, slot_path(slot), &content);
    }
}

/* Puts an empty segment there that begins at `lsn`, made after all others. */
static void cut(struct keeper *keeper, uint64_t lsn)
{
    uint64_t sequence;
    struct log_segment_header header = holder_of(keeper, lsn, &sequence);
    header.previous_salt = header.start.next.at == lsn ? header.previous_salt : header.salt;
    header.salt = 0xabcdef + lsn;
    header.sequence = sequence + 1;
    header.start = cut_at;
    struct buffer content;
    buffer_init(&content);
    memset(buffer_reserve(&content, 16384), 0, 16384);
    content.size = 16384;
    log_segment_encode(&header, content.data);
    char path[80];
    segment_path(lsn, path);
    file_put(keeper, path, &content);
}

TEST(log_cut, a_newer_segment_hides_equal_and_higher_entries_of_older_ones)
{
    for (uint64_t lsn = 2; lsn < 80; lsn += 3) { /* within batches, between them, across segments */
        struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
        assert_true(sim_node_start(keeper->node));
        for (unsigned i = 0; i < 16; i++) assert_int_equal(keeper_append(keeper, 5, 700), ERR_OK);
        keeper->argument[0] = lsn;
        assert_true(keeper_do(keeper, step_chain));
        assert_int_equal(cut_at.next.at, lsn);
        sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
        lower_durable(keeper, lsn - 1);
        cut(keeper, lsn);
        keeper->acked = lsn - 1;
        assert_true(sim_node_start(keeper->node));
        assert_int_equal(keeper->found.last.lsn.at, lsn - 1);
        keeper_check(keeper);
        assert_int_equal(keeper_append(keeper, 4, 600), ERR_OK);
        assert_int_equal(keeper_append(keeper, 40, 600), ERR_OK);
        sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
        assert_true(sim_node_start(keeper->node));
        assert_int_equal(keeper->found.last.lsn.at, lsn + 43);
        keeper_check(keeper); /* each entry is the one of the second life */
        ASSERT_SOUND(keeper);
        keeper_free(keeper);
    }
}

TEST(log_cut, a_cut_that_the_superblock_does_not_know_of_is_damage)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    for (unsigned i = 0; i < 4; i++) assert_int_equal(keeper_append(keeper, 5, 700), ERR_OK);
    keeper->argument[0] = 12;
    assert_true(keeper_do(keeper, step_chain));
    assert_int_equal(keeper_end(keeper), ERR_OK);
    cut(keeper, 12);
    must_refuse(keeper, "no good batch for LSN 12, but LSN 12 to 20 were durable");
    keeper_free(keeper);
}
