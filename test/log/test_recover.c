/* SPDX-License-Identifier: Apache-2.0 */
#include "test/log/damage.h"

#include <stdio.h>

#include "base/plant.h"

enum { FIRST_BATCH = LOG_SEGMENT_HEADER_BYTES, SECTOR = LOG_SECTOR_BYTES };

static void flip(struct keeper *keeper, const char *path, uint64_t offset)
{
    assert_true(sim_disk_damage(keeper_disk(keeper), path, offset, 1, SIM_DAMAGE_FLIP));
}

TEST(log_recover, torn_tail_is_cut_at_the_last_whole_batch)
{
    struct keeper *keeper = damage_new(8, false);
    char path[80];
    segment_path(1, path);
    keeper->acked = 7; /* the last batch is made a torn one */
    flip(keeper, path, FIRST_BATCH + 7 * SECTOR + 200);
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper->found.last.lsn.at, 7);
    assert_int_equal(keeper->found.torn_bytes, SECTOR);
    assert_false(keeper->found.clean);
    assert_int_equal(keeper->found.incarnation, 2);
    keeper_check(keeper);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

TEST(log_recover, bad_batch_below_a_later_batchs_watermark_is_corruption)
{
    struct keeper *keeper = damage_new(8, false);
    char path[80];
    segment_path(1, path);
    flip(keeper, path, FIRST_BATCH + 3 * SECTOR + 150);
    must_refuse(keeper, "00000005-0000000000000001.log: offset 5632: no good batch for LSN 4, "
                        "but LSN 4 to 7 were durable (recorded by a later batch)");
    plant_set(PLANT_CUT_BELOW_WATERMARK, true);
    bool started = sim_node_start(keeper->node);
    plant_set(PLANT_CUT_BELOW_WATERMARK, false);
    assert_true(started);
    assert_int_equal(keeper->found.last.lsn.at, 3); /* what the guard is for */
    keeper_free(keeper);
}

TEST(log_recover, bad_last_batch_of_a_clean_log_is_corruption)
{
    struct keeper *keeper = damage_new(8, true);
    char path[80];
    segment_path(1, path);
    flip(keeper, path, FIRST_BATCH + 7 * SECTOR + 10);
    must_refuse(keeper,
                "no good batch for LSN 8, but LSN 8 to 8 were durable (recorded by superblock");
    keeper_free(keeper);
}

static void step_idle(struct keeper *keeper)
{
    log_note_idle(keeper->log);
}

TEST(log_recover, an_idle_log_has_recorded_its_last_entry)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper_append(keeper, 1, 100), ERR_OK);
    assert_true(keeper_do(keeper, step_idle));
    assert_true(sim_world_settle(keeper->world, SIM_SECOND));
    uint64_t io = sim_node_io(keeper->node);
    assert_true(keeper_do(keeper, step_idle)); /* recorded already: nothing to do */
    assert_true(sim_world_settle(keeper->world, SIM_SECOND));
    assert_int_equal(sim_node_io(keeper->node), io);
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    char path[80];
    segment_path(1, path);
    flip(keeper, path, FIRST_BATCH + 150);
    must_refuse(keeper, "LSN 1 to 1 were durable (recorded by a later batch)");
    keeper_free(keeper);
}

TEST(log_recover, an_idle_log_without_room_for_a_batch_records_it_in_the_superblock)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    uint64_t room = keeper->options.segment_bytes - LOG_SEGMENT_HEADER_BYTES;
    uint64_t header = LOG_BATCH_HEADER_BYTES + LOG_ENTRY_HEADER_BYTES;
    assert_int_equal(keeper_append(keeper, 1, room - header), ERR_OK);
    assert_true(keeper_do(keeper, step_idle));
    assert_true(sim_world_settle(keeper->world, SIM_SECOND));
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    char path[80];
    segment_path(1, path);
    flip(keeper, path, FIRST_BATCH + 150);
    must_refuse(keeper, "LSN 1 to 1 were durable (recorded by superblock");
    keeper_free(keeper);
}

TEST(log_recover, one_bad_superblock_slot_is_survived_and_made_good)
{
    for (unsigned slot = 0; slot < 2; slot++) {
        struct keeper *keeper = damage_new(3, slot == 0);
        flip(keeper, slot_path(slot), 70);
        assert_true(sim_node_start(keeper->node));
        assert_int_equal(keeper->found.last.lsn.at, 3);
        sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
        flip(keeper, slot_path(1 - slot), 70);
        assert_true(sim_node_start(keeper->node));
        sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
        assert_true(sim_disk_unlink(keeper_disk(keeper), slot_path(slot)));
        assert_true(sim_node_start(keeper->node));
        keeper_check(keeper);
        ASSERT_SOUND(keeper);
        keeper_free(keeper);
    }
}

struct healed_reader {
    struct sim_reader base;
    const char *words;
    unsigned healed, as_said;
};

static void healed_line(struct sim_reader *base, const char *line)
{
    struct healed_reader *reader = CONTAINER_OF(base, struct healed_reader, base);
    if (strstr(line, "superblock_healed") == NULL) return;
    reader->healed++;
    if (strstr(line, "warning") != NULL && strstr(line, reader->words) != NULL) reader->as_said++;
}

/* Starts, and crashes again. */
static void healing_start(struct keeper *keeper, struct healed_reader *reader, const char *words)
{
    *reader = (struct healed_reader){.base.line = healed_line, .words = words};
    sim_world_read(keeper->world, &reader->base);
    assert_true(sim_node_start(keeper->node));
    sim_world_read(keeper->world, NULL);
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
}

TEST(log_recover, a_superblock_slot_that_is_made_good_is_told_once)
{
    struct healed_reader reader;
    struct keeper *keeper = damage_new(3, true);
    healing_start(keeper, &reader, "");
    assert_int_equal(reader.healed, 0);
    flip(keeper, slot_path(1), 70);
    healing_start(keeper, &reader, "shard=5 slot=b why=\"damaged superblock\"");
    assert_int_equal(reader.healed, 1);
    assert_int_equal(reader.as_said, 1);
    assert_true(sim_disk_unlink(keeper_disk(keeper), slot_path(0)));
    healing_start(keeper, &reader, "shard=5 slot=a why=\"missing\"");
    assert_int_equal(reader.healed, 1);
    assert_int_equal(reader.as_said, 1);
    healing_start(keeper, &reader, "");
    assert_int_equal(reader.healed, 0);
    keeper_free(keeper);
}

TEST(log_recover, both_superblocks_bad_or_missing_is_refused_never_taken_for_zero)
{
    struct keeper *keeper = damage_new(3, true);
    flip(keeper, slot_path(0), 50);
    flip(keeper, slot_path(1), 510);
    must_refuse(keeper, "both superblocks are bad: a: damaged superblock, b: damaged superblock");
    assert_true(sim_disk_unlink(keeper_disk(keeper), slot_path(0)));
    must_refuse(keeper, "both superblocks are bad: a: missing, b: damaged superblock");
    assert_true(sim_disk_unlink(keeper_disk(keeper), slot_path(1)));
    must_refuse(keeper, "both superblocks are missing");
    keeper_free(keeper);
}

TEST(log_recover, a_promise_outlives_either_slot)
{
    for (unsigned slot = 0; slot < 2; slot++) {
        struct keeper *keeper = damage_new(1, false); /* epoch 1 has been promised */
        flip(keeper, slot_path(slot), 100);
        assert_true(sim_node_start(keeper->node)); /* with a MUST on the promise that is found */
        ASSERT_SOUND(keeper);
        keeper_free(keeper);
    }
}

TEST(log_recover, a_promise_in_one_slot_is_noticed)
{
    bool noticed = false;
    for (unsigned slot = 0; slot < 2; slot++) {
        plant_set(PLANT_PROMISE_IN_ONE_SLOT, true);
        struct keeper *keeper = damage_new(1, false);
        plant_set(PLANT_PROMISE_IN_ONE_SLOT, false);
        flip(keeper, slot_path(slot), 100);
        if (!sim_node_start(keeper->node)) noticed = true;
        keeper_free(keeper);
    }
    assert_true(noticed);
}

/* A log over several segments; the first LSNs of the first three. */
static struct keeper *long_log(uint64_t firsts[3])
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    for (unsigned i = 0; i < 60; i++) assert_int_equal(keeper_append(keeper, 2, 500), ERR_OK);
    (void)sim_world_settle(keeper->world, SIM_SECOND);
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    unsigned found = 0;
    for (uint64_t lsn = 1; found < 3; lsn++) {
        char path[80];
        struct buffer content;
        buffer_init(&content);
        segment_path(lsn, path);
        if (sim_disk_kept(keeper_disk(keeper), path, &content)) firsts[found++] = lsn;
        buffer_release(&content);
    }
    return keeper;
}

TEST(log_recover, a_missing_segment_is_refused)
{
    for (unsigned i = 0; i < 3; i++) {
        uint64_t firsts[3];
        struct keeper *keeper = long_log(firsts);
        char path[80];
        segment_path(firsts[i], path);
        assert_true(sim_disk_unlink(keeper_disk(keeper), path));
        must_refuse(keeper, i == 0 ? "the segment that begins at LSN 1 is missing"
                                   : "is missing, or was replaced");
        keeper_free(keeper);
    }
}

TEST(log_recover, swapped_and_copied_segments_are_refused)
{
    uint64_t firsts[3];
    struct keeper *keeper = long_log(firsts);
    char one[80], two[80], three[80];
    segment_path(firsts[1], one);
    segment_path(firsts[2], two);
    segment_path(firsts[2] + 1, three);
    struct buffer a = file_take(keeper, one);
    struct buffer b = file_take(keeper, two);
    struct buffer copy = file_take(keeper, two);
    file_put(keeper, two, &a);
    file_put(keeper, one, &b);
    must_refuse(keeper, "swapped or copied from");
    a = file_take(keeper, two);
    b = file_take(keeper, one);
    file_put(keeper, one, &a);
    file_put(keeper, two, &b);
    file_put(keeper, three, &copy);
    must_refuse(keeper, "swapped or copied from");
    assert_true(sim_disk_unlink(keeper_disk(keeper), three));
    assert_true(sim_node_start(keeper->node));
    keeper_check(keeper);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

/* Gives the segment's header other fields, with a good checksum. */
static void forge(struct keeper *keeper, uint64_t first,
                  void (*change)(struct log_segment_header *header))
{
    char path[80];
    segment_path(first, path);
    struct buffer content = file_take(keeper, path);
    struct log_segment_header header;
    const char *what;
    assert_true(log_segment_decode(content.data, &header, &what));
    change(&header);
    log_segment_encode(&header, content.data);
    file_put(keeper, path, &content);
}

static void other_cluster(struct log_segment_header *header)
{
    header->cluster++;
}

static void other_shard(struct log_segment_header *header)
{
    header->shard++;
}

static void other_history(struct log_segment_header *header)
{
    header->history.id[3] ^= 1;
}

static void other_salt(struct log_segment_header *header)
{
    header->salt++;
}

TEST(log_recover, foreign_segments_are_refused)
{
    static const struct {
        void (*change)(struct log_segment_header *header);
        const char *words;
    } rows[] = {
        {other_cluster, "of another cluster"},
        {other_shard, "a segment of shard 00000006, not 00000005"},
        {other_history, "of another history"},
        {other_salt, "is missing, or was replaced"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t firsts[3];
        struct keeper *keeper = long_log(firsts);
        forge(keeper, firsts[1], rows[i].change);
        must_refuse(keeper, rows[i].words);
        keeper_free(keeper);
    }
}

TEST(log_recover, a_log_of_another_cluster_or_shard_is_refused)
{
    struct keeper *keeper = damage_new(3, true);
    keeper->options.cluster++;
    must_refuse(keeper, "a log of another cluster");
    keeper->options.cluster--;
    keeper->options.shard++;
    must_refuse(keeper, "a log of shard 00000005, not 00000006");
    keeper->options.shard--;
    assert_true(sim_node_start(keeper->node));
    keeper_free(keeper);
}

TEST(log_recover, a_valid_batch_in_the_wrong_place_is_not_valid)
{
    for (unsigned planted = 0; planted < 2; planted++) {
        plant_set(PLANT_CHECKSUM_WITHOUT_PLACE, planted == 1);
        struct keeper *keeper = damage_new(8, false);
        char path[80];
        segment_path(1, path);
        struct buffer content = file_take(keeper, path);
        /* The last batch strays over the one before it: a lost write and a misplaced one. */
        memmove(content.data + FIRST_BATCH + 7 * SECTOR, content.data + FIRST_BATCH + 6 * SECTOR,
                SECTOR);
        file_put(keeper, path, &content);
        keeper->acked = 7;
        bool started = sim_node_start(keeper->node);
        plant_set(PLANT_CHECKSUM_WITHOUT_PLACE, false);
        assert_int_equal(started, planted == 0);
        if (started) assert_int_equal(keeper->found.last.lsn.at, 7);
        keeper_free(keeper);
    }
}

TEST(log_recover, garbage_names_are_left_alone_and_temporary_ones_removed)
{
    struct keeper *keeper = damage_new(3, false);
    struct sim_disk *disk = keeper_disk(keeper);
    sim_disk_put(disk, "log/README", bytes_text("mine"));
    sim_disk_put(disk, "log/00000005-a.tmp", bytes_text("left behind"));
    sim_disk_put(disk, "log/00000005-ff.spare", bytes_text("of no use"));
    sim_disk_put(disk, "log/00000005-0000000000000001.log.old", bytes_text("mine too"));
    assert_true(sim_node_start(keeper->node));
    struct buffer content;
    buffer_init(&content);
    assert_true(sim_disk_seen(disk, "log/README", &content));
    assert_true(sim_disk_seen(disk, "log/00000005-0000000000000001.log.old", &content));
    assert_false(sim_disk_seen(disk, "log/00000005-a.tmp", &content));
    assert_false(sim_disk_seen(disk, "log/00000005-ff.spare", &content));
    buffer_release(&content);
    keeper_free(keeper);
}

/* F13: whichever byte is flipped, the log refuses, or gives exactly what was written. */
TEST(log_recover, any_flipped_byte_is_refused_or_harmless_never_a_wrong_read)
{
    unsigned refused = 0, harmless = 0;
    static const char *const paths[] = {"log/00000005-0000000000000001.log",
                                        "log/00000005-a.superblock", "log/00000005-b.superblock"};
    for (unsigned file = 0; file < 3; file++) {
        uint64_t size = file == 0 ? FIRST_BATCH + 6 * SECTOR : LOG_SUPERBLOCK_BYTES;
        for (uint64_t at = 0; at < size; at += file == 0 && at < 4000 && at > 200 ? 61 : 1) {
            struct keeper *keeper = damage_new(5, true);
            flip(keeper, paths[file], at);
            if (sim_node_start(keeper->node)) {
                keeper_check(keeper);
                ASSERT_SOUND(keeper);
                harmless++;
            } else {
                assert_int_equal(keeper->opened, ERR_CORRUPT);
                refused++;
            }
            keeper_free(keeper);
        }
    }
    assert_true(refused >= 5 * SECTOR);                /* every byte of every batch */
    assert_true(harmless >= 2 * LOG_SUPERBLOCK_BYTES); /* either slot can be lost */
}
