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

/* --- The cut of a start --- */

static struct keeper *filled(uint64_t seed, bool clean)
{
    struct keeper *keeper = keeper_new(seed, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    for (unsigned i = 0; i < 16; i++) assert_int_equal(keeper_append(keeper, 5, 700), ERR_OK);
    if (clean) assert_int_equal(keeper_end(keeper), ERR_OK);
    else sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    return keeper;
}

static void start_cut(struct keeper *keeper, uint64_t last)
{
    keeper->cuts = true;
    keeper->cut.at = last;
    if (keeper->acked > last) keeper->acked = last;
}

static uint64_t segment_files(struct keeper *keeper)
{
    uint64_t files = 0;
    for (uint64_t first = 1; first < 200; first++) {
        char path[80];
        struct buffer content;
        buffer_init(&content);
        segment_path(first, path);
        if (sim_disk_seen(keeper_disk(keeper), path, &content)) files++;
        buffer_release(&content);
    }
    return files;
}

TEST(log_cut, a_start_that_cuts_ends_there_durably_and_goes_on_with_other_entries)
{
    for (uint64_t last = 0; last < 80; last += 3) {
        struct keeper *keeper = filled(1 + last % 2, last % 4 < 2);
        start_cut(keeper, last);
        assert_true(sim_node_start(keeper->node));
        assert_int_equal(keeper->found.last.lsn.at, last);
        assert_int_equal(log_durable(keeper->log).at, last);
        keeper_check(keeper);
        struct log_stats stats;
        log_stats(keeper->log, &stats);
        assert_int_equal(segment_files(keeper), stats.segments); /* nothing hidden stays */
        keeper->cuts = false;
        sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
        assert_true(sim_node_start(keeper->node));
        assert_int_equal(keeper->found.last.lsn.at, last);
        assert_int_equal(keeper_append(keeper, 4, 600), ERR_OK);
        assert_int_equal(keeper_append(keeper, 40, 600), ERR_OK);
        sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
        assert_true(sim_node_start(keeper->node));
        assert_int_equal(keeper->found.last.lsn.at, last + 44);
        keeper_check(keeper); /* each entry is the one of the later life */
        ASSERT_SOUND(keeper);
        keeper_free(keeper);
    }
}

TEST(log_cut, a_start_that_cuts_at_or_beyond_the_end_cuts_nothing)
{
    for (uint64_t last = 80; last < 82; last++) {
        struct keeper *keeper = filled(1, true);
        start_cut(keeper, last);
        assert_true(sim_node_start(keeper->node));
        assert_true(keeper->found.clean);
        assert_int_equal(keeper->found.last.lsn.at, 80);
        keeper_check(keeper);
        ASSERT_SOUND(keeper);
        keeper_free(keeper);
    }
}

static void step_committed(struct keeper *keeper)
{
    log_note_committed(keeper->log, (struct lsn){keeper->argument[0]});
}

static void step_trim(struct keeper *keeper)
{
    log_trim(keeper->log, (struct lsn){keeper->argument[0]});
}

/* The start is refused with these words, and changes nothing. */
static void must_not_cut(struct keeper *keeper, uint64_t last, const char *words)
{
    uint64_t before = disk_checksum(keeper);
    start_cut(keeper, last);
    assert_false(sim_node_start(keeper->node));
    assert_int_equal(keeper->opened, ERR_REFUSED);
    if (strstr(keeper->why.text, words) == NULL)
        fail_msg("not \"%s\": %s", words, keeper->why.text);
    assert_true(disk_checksum(keeper) == before);
}

TEST(log_cut, what_is_committed_or_gone_is_never_cut)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    for (unsigned i = 0; i < 16; i++) assert_int_equal(keeper_append(keeper, 5, 700), ERR_OK);
    keeper->argument[0] = 60;
    assert_true(keeper_do(keeper, step_trim));
    assert_true(keeper_do(keeper, step_committed));
    assert_true(sim_world_settle(keeper->world, SIM_SECOND));
    uint64_t floor = log_floor(keeper->log).at;
    assert_true(floor > 20 && floor <= 61);
    assert_int_equal(keeper_end(keeper), ERR_OK);
    must_not_cut(keeper, 59, "committed is 60");
    must_not_cut(keeper, floor - 2, "committed is 60");
    keeper->cut.at = 60;
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper->found.last.lsn.at, 60);
    keeper_check(keeper);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);

    keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    for (unsigned i = 0; i < 16; i++) assert_int_equal(keeper_append(keeper, 5, 700), ERR_OK);
    keeper->argument[0] = 60;
    assert_true(keeper_do(keeper, step_trim));
    assert_true(sim_world_settle(keeper->world, SIM_SECOND));
    floor = log_floor(keeper->log).at;
    assert_int_equal(keeper_end(keeper), ERR_OK);
    must_not_cut(keeper, floor - 2, "the first one kept is");
    start_cut(keeper, floor - 1);
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper->found.last.lsn.at, floor - 1);
    keeper_check(keeper);
    assert_int_equal(keeper_append(keeper, 3, 100), ERR_OK);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

/* Whatever is there after a crash in mid-cut opens, with all entries or the first ones, and can be
 * cut again. */
static void check_after_crash(struct keeper *keeper, uint64_t last)
{
    sim_node_crash_at(keeper->node, NULL);
    keeper->cuts = false;
    if (!sim_node_is_up(keeper->node) && !sim_node_start(keeper->node)) {
        sim_world_fail(keeper->world, "refused: %s", keeper->why.text);
        return;
    }
    uint64_t end = keeper->found.last.lsn.at;
    if (end != last && end != 80)
        sim_world_fail(keeper->world, "cut at %llu ends at %llu", (unsigned long long)last,
                       (unsigned long long)end);
    keeper_check(keeper);
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    start_cut(keeper, last);
    if (!sim_node_start(keeper->node)) {
        sim_world_fail(keeper->world, "not cut again: %s", keeper->why.text);
        return;
    }
    keeper->cuts = false;
    if (keeper_append(keeper, 3, 300) != ERR_OK) sim_world_fail(keeper->world, "no append");
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    if (!sim_node_start(keeper->node)) sim_world_fail(keeper->world, "refused at last");
    if (keeper->found.last.lsn.at != last + 3) sim_world_fail(keeper->world, "a wrong end");
    keeper_check(keeper);
}

TEST(log_cut, a_crash_at_any_moment_of_a_cut_leaves_the_whole_log_or_the_cut_one)
{
    uint64_t places[] = {0, 7, 33, 46, 79}; /* and with them segments' ends */
    for (unsigned place = 0; place < sizeof places / sizeof places[0]; place++) {
        uint64_t last = places[place];
        struct keeper *keeper = filled(place, place % 2 == 0);
        uint64_t first_io = sim_node_io(keeper->node);
        start_cut(keeper, last);
        assert_true(sim_node_start(keeper->node));
        uint64_t last_io = sim_node_io(keeper->node);
        keeper_free(keeper);
        for (uint64_t io = first_io; io < last_io; io++) {
            struct sim_crash crash = {.io = io};
            for (unsigned variant = 0; sim_crash_variant(variant, &crash); variant++) {
                crash.io = io;
                keeper = filled(place, place % 2 == 0);
                sim_node_crash_at(keeper->node, &crash);
                start_cut(keeper, last);
                (void)sim_node_start(keeper->node);
                check_after_crash(keeper, last);
                const char *failure = sim_world_failure(keeper->world);
                if (failure != NULL)
                    fail_msg("cut %llu io %llu variant %u: %s", (unsigned long long)last,
                             (unsigned long long)io, variant, failure);
                keeper_free(keeper);
            }
        }
    }
}
