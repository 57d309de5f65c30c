/* SPDX-License-Identifier: Apache-2.0 */
/* The start: what is replayed and when, what the gate refuses, and what a crash or an error in the
 * middle leaves behind. */
#include "node/internal.h"
#include "snapshot/image.h"
#include "test/node/bed.h"

static void push(struct bed *bed, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        struct asked *asked = bed_ask(bed, CALL_WRITE, "LPUSH k a");
        bed_settle(bed);
        expect_end(asked, CALL_ANSWERED);
        bed->count--;
        memset(asked, 0, sizeof *asked);
    }
}

static void expect_elements(struct bed *bed, const char *answer)
{
    struct asked *read = bed_ask(bed, CALL_READ, "GET k");
    expect_answer(read, answer);
}

static void expect_start(struct bed *bed)
{
    if (!sim_node_start(bed->sim)) fail_msg("%s", bed->why.text);
    bed_settle(bed);
    assert_int_equal(bed->readies, 1);
}

static void expect_refusal(struct bed *bed, enum err err, const char *text)
{
    assert_false(sim_node_start(bed->sim));
    assert_int_equal(bed->start_err, err);
    if (strstr(bed->why.text, text) == NULL) fail_msg("\"%s\" in \"%s\"", text, bed->why.text);
    assert_int_equal(bed->fake.opens, bed->fake.closes);
    const char *leak = sim_world_failure(bed->world);
    if (leak != NULL) fail_msg("%s", leak);
}

TEST(node_start, after_a_clean_stop_nothing_is_replayed_and_a_new_epoch_is_opened)
{
    struct bed bed;
    bed_open(&bed);
    push(&bed, 3);
    uint64_t epoch = bed.fake.applied.epoch.number;
    bed_stop(&bed);
    bed.fake.applied_words[0] = 0;
    expect_start(&bed);
    assert_string_equal(bed.fake.applied_words, "epoch");
    assert_int_equal(bed.fake.applied.epoch.number, epoch + 1);
    expect_elements(&bed, ":3");
    bed_close(&bed);
}

TEST(node_start, after_a_power_cut_everything_that_was_answered_is_there_once)
{
    for (unsigned keep = SIM_KEEP_CACHE; keep < SIM_KEEPS; keep++) {
        struct bed bed;
        bed_open(&bed);
        push(&bed, 5);
        sim_node_crash(bed.sim, (struct sim_cut){(enum sim_keep)keep, 7});
        expect_start(&bed);
        expect_elements(&bed, ":5");
        bed_close(&bed);
    }
}

TEST(node_start, what_is_beyond_the_recorded_commit_is_applied_with_the_commit_of_the_own_epoch)
{
    struct bed bed;
    bed_open(&bed);
    push(&bed, 5);
    sim_node_crash(bed.sim, (struct sim_cut){SIM_KEEP_ALL, 0});
    bed.fake.applied_words[0] = 0;
    assert_true(sim_node_start(bed.sim));
    assert_true(bed.fake.applied.lsn.at < 6); /* the last one's commit was never recorded */
    uint64_t recorded = bed.fake.applied.lsn.at;
    struct asked *early = bed_ask(&bed, CALL_READ, "GET k");
    expect_end(early, CALL_REFUSED);
    assert_string_equal(early->answer, "-LOADING");
    assert_int_equal(bed.fake.applied.lsn.at, recorded);
    bed_settle(&bed);
    assert_int_equal(bed.readies, 1);
    assert_string_equal(bed.fake.applied_words, "epoch lpush lpush lpush lpush lpush epoch");
    expect_elements(&bed, ":5");
    bed_close(&bed);
}

TEST(node_start, an_epoch_entry_that_misses_memory_does_not_apply_the_old_tail_twice)
{
    struct bed bed;
    bed_open(&bed);
    push(&bed, 2);
    sim_node_crash(bed.sim, (struct sim_cut){SIM_KEEP_ALL, 0});
    bed.fake.applied_words[0] = 0;
    assert_true(sim_node_start(bed.sim));
    bed.fake.pending = 1; /* entries of the tail are applied without a fetch of their own */
    bed_settle(&bed);
    assert_int_equal(bed.readies, 0);
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    bed_settle(&bed);
    assert_int_equal(bed.readies, 1);
    assert_string_equal(bed.fake.applied_words, "epoch lpush lpush epoch");
    bed_close(&bed);
}

TEST(node_start, a_second_process_is_refused)
{
    struct bed bed;
    bed_open(&bed);
    bed_stop(&bed);
    sim_disk_hold(sim_node_disk(bed.sim), "data/lock", true);
    expect_refusal(&bed, ERR_REFUSED, "in use by another process");
    sim_disk_hold(sim_node_disk(bed.sim), "data/lock", false);
    expect_start(&bed);
    bed_close(&bed);
}

TEST(node_start, what_is_kept_is_of_the_shard_that_it_was_made_for)
{
    struct bed bed;
    bed_make(&bed, 1);
    bed.options.shard = (struct node_shard){7, "volume/a"};
    expect_start(&bed);
    struct service_status status;
    bed.service->ops->status(bed.service, &status);
    assert_string_equal(status.shard, "volume/a");
    push(&bed, 2);
    bed_stop(&bed);
    bed.options.shard.number = 8;
    expect_refusal(&bed, ERR_CORRUPT, "shard");
    bed.options.shard.number = 7;
    expect_start(&bed);
    expect_elements(&bed, ":2");
    bed_close(&bed);
}

TEST(node_start, a_lock_that_cannot_be_taken_says_why_and_does_not_blame_another_process)
{
    struct bed bed;
    bed_make(&bed, 1);
    struct sim_fault fault = {.ops = 1u << DISK_LOCK, .hits = 1};
    (void)sim_disk_fault(sim_node_disk(bed.sim), &fault);
    expect_refusal(&bed, ERR_IO, "data: ");
    assert_null(strstr(bed.why.text, "another process"));
    expect_start(&bed);
    bed_close(&bed);
}

/* --- The gate --- */

/* A node that has stopped in order, its store at the mark of its last entry. */
static void stopped(struct bed *bed)
{
    bed_open(bed);
    push(bed, 5);
    bed_stop(bed);
    assert_int_equal(bed->fake.flushed.lsn.at, 6);
}

TEST(node_gate, refuses_a_store_ahead_of_its_log)
{
    struct bed bed;
    stopped(&bed);
    bed.fake.flushed.lsn.at = 7;
    expect_refusal(&bed, ERR_REFUSED, "was lost or swapped");
    bed.fake.flushed.lsn.at = 6;
    expect_start(&bed);
    bed_close(&bed);
}

TEST(node_gate, refuses_another_lineage_or_epoch_at_the_stores_mark)
{
    struct bed bed;
    stopped(&bed);
    bed.fake.flushed.lineage.hash ^= 1;
    expect_refusal(&bed, ERR_REFUSED, "not of one history");
    bed.fake.flushed.lineage.hash ^= 1;
    bed.fake.flushed.epoch.copy ^= 1;
    expect_refusal(&bed, ERR_REFUSED, "not of one history");
    bed.fake.flushed.epoch.copy ^= 1;
    expect_start(&bed);
    bed_close(&bed);
}

/* Its log no longer begins at 1. */
static void trimmed(struct bed *bed)
{
    bed_make(bed, 1);
    bed->options.segment_bytes = 1 << 14;
    expect_start(bed);
    push(bed, 80);
    bed_stop(bed);
    expect_start(bed);
    bed_settle(bed);
    struct service_status status;
    bed->service->ops->status(bed->service, &status);
    assert_true(status.floor.at > 2 && status.floor.at <= 81);
    bed_stop(bed);
}

TEST(node_gate, refuses_a_hole_between_the_store_and_its_log)
{
    struct bed bed;
    trimmed(&bed);
    struct mark mark = bed.fake.flushed;
    bed.fake.flushed.lsn.at = 1;
    expect_refusal(&bed, ERR_REFUSED, "but its log begins at");
    bed.fake.flushed = mark;
    expect_start(&bed);
    bed_close(&bed);
}

TEST(node_gate, refuses_a_log_that_no_longer_begins_at_one_without_its_store)
{
    struct bed bed;
    trimmed(&bed);
    bed.fake.exists = false;
    expect_refusal(&bed, ERR_REFUSED, "is gone, the log begins at LSN");
    assert_non_null(strstr(bed.why.text, "no_image"));
    bed_release(&bed);
}

TEST(node_gate, makes_a_lost_store_anew_from_a_log_that_begins_at_one)
{
    struct bed bed;
    stopped(&bed);
    bed.fake.exists = false;
    expect_start(&bed);
    assert_string_equal(bed.fake.directory, "data/keys/store-2");
    expect_elements(&bed, ":5");
    bed_close(&bed);
}

static void unlink_below(struct bed *bed, const char *directory)
{
    struct buffer paths;
    buffer_init(&paths);
    sim_disk_paths(sim_node_disk(bed->sim), &paths);
    buffer_append_byte(&paths, 0);
    for (char *path = (char *)paths.data; *path != 0;) {
        size_t size = strcspn(path, "\n");
        char *next = path + size + (path[size] == '\n');
        path[size] = 0;
        bool inside = strncmp(path, directory, strlen(directory)) == 0;
        if (inside && path[size - 1] != '/') {
            assert_true(sim_disk_unlink(sim_node_disk(bed->sim), path));
        }
        path = next;
    }
    buffer_release(&paths);
}

TEST(node_gate, refuses_a_store_without_its_log)
{
    struct bed bed;
    stopped(&bed);
    unlink_below(&bed, "data/keys/log-1/");
    expect_refusal(&bed, ERR_REFUSED, "the log in data/keys/log-1 is gone (log_missing)");
    bed_release(&bed);
}

TEST(node_gate, refuses_a_log_of_another_history_than_the_pointer_names)
{
    struct bed bed, other;
    stopped(&bed);
    bed_make(&other, 2);
    assert_true(sim_node_start(other.sim));
    bed_settle(&other);
    bed_stop(&other);
    struct buffer pointer;
    buffer_init(&pointer);
    assert_true(sim_disk_seen(sim_node_disk(other.sim), "data/keys/current", &pointer));
    sim_disk_put(sim_node_disk(bed.sim), "data/keys/current", buffer_bytes(&pointer));
    assert_false(sim_node_start(bed.sim));
    assert_true(bed.start_err == ERR_REFUSED || bed.start_err == ERR_CORRUPT);
    buffer_release(&pointer);
    bed_release(&bed);
    bed_release(&other);
}

TEST(node_gate, makes_a_store_in_doubt_anew_and_refuses_when_nothing_leads_to_it)
{
    static const struct {
        enum machine_found found;
        const char *reason;
    } doubts[] = {{MACHINE_NO_MARK, "no_mark"},
                  {MACHINE_BAD_MARK, "bad_mark"},
                  {MACHINE_UNREADABLE, "read_error"},
                  {MACHINE_LATER, "no_reader"}};
    for (size_t i = 0; i < sizeof doubts / sizeof doubts[0]; i++) {
        struct bed bed;
        stopped(&bed);
        bed.fake.found = doubts[i].found;
        expect_start(&bed);
        struct service_status status;
        bed.service->ops->status(bed.service, &status);
        assert_string_equal(status.start_outcome, "fallback");
        assert_string_equal(status.start_reason, doubts[i].reason);
        assert_string_equal(status.shard, "keys");
        expect_elements(&bed, ":5");
        bed_close(&bed);
        trimmed(&bed);
        bed.fake.found = doubts[i].found;
        expect_refusal(&bed, ERR_CORRUPT, "no_image");
        bed_release(&bed);
    }
}

/* --- Images --- */

/* The mark of the log's entry at this LSN. */
static struct mark mark_at(struct bed *bed, uint64_t lsn)
{
    struct log_reader *reader = NULL;
    struct entry entry;
    struct disk *disk = sim_node_world(bed->sim)->disk;
    assert_int_equal(log_reader_open(&reader, disk, "data/keys/log-1", (struct lsn){lsn}, NULL),
                     ERR_OK);
    assert_int_equal(log_reader_next(reader, &entry, NULL), ERR_OK);
    struct mark mark = {bed->node->site.pointer.history, entry.epoch, entry.lsn, entry.lineage};
    log_reader_close(reader);
    return mark;
}

/* An image of one record; with `flip` its body is not what was written. */
static void put_image(struct bed *bed, const struct mark *mark, bool flip)
{
    struct image_facts facts = {.cluster = site_cluster(&bed->node->site), .mark = *mark};
    struct image_chain chain;
    struct buffer image, chunk;
    buffer_init(&image);
    buffer_init(&chunk);
    image_begin(&image, &facts, &chain);
    image_chunk_begin(&chunk);
    image_chunk_add(&chunk, bytes_text("K"), bytes_text("value"));
    image_chunk_seal(&chunk, 1, &chain);
    if (flip) chunk.data[chunk.size - 1] ^= 1;
    buffer_append(&image, buffer_bytes(&chunk));
    image_end(&image, &facts, &chain);
    char name[IMAGE_NAME_BYTES], path[64];
    image_name_format(mark->lsn, true, name);
    snprintf(path, sizeof path, "data/keys/images/%s", name);
    sim_disk_put(sim_node_disk(bed->sim), path, buffer_bytes(&image));
    buffer_release(&image);
    buffer_release(&chunk);
}

static const char *outcome_of(struct bed *bed)
{
    struct service_status status;
    bed->service->ops->status(bed->service, &status);
    return status.start_outcome;
}

TEST(node_gate, an_image_that_is_ahead_of_the_store_is_installed_and_the_rest_replayed)
{
    struct bed bed;
    bed_open(&bed);
    push(&bed, 5);
    struct mark mark = mark_at(&bed, 4);
    put_image(&bed, &mark, false);
    sim_node_crash(bed.sim, (struct sim_cut){SIM_KEEP_ALL, 0});
    bed.fake.applied_words[0] = 0;
    expect_start(&bed);
    assert_string_equal(outcome_of(&bed), "fallback"); /* nothing was ever flushed */
    assert_string_equal(bed.fake.directory, "data/keys/store-2");
    assert_string_equal(bed.fake.applied_words, "lpush lpush epoch");
    bed_close(&bed);
}

TEST(node_gate, a_flawed_image_leaves_the_store_that_is_there)
{
    struct bed bed;
    bed_open(&bed);
    push(&bed, 5);
    struct mark mark = mark_at(&bed, 4);
    put_image(&bed, &mark, true);
    sim_node_crash(bed.sim, (struct sim_cut){SIM_KEEP_ALL, 0});
    expect_start(&bed);
    assert_int_equal(bed.fake.fills, 1);
    assert_string_equal(outcome_of(&bed), "skip");
    assert_string_equal(bed.fake.directory, "data/keys/store-1");
    expect_elements(&bed, ":5");
    bed_close(&bed);
}

TEST(node_gate, a_flawed_image_is_passed_over_for_an_older_one)
{
    struct bed bed;
    bed_open(&bed);
    push(&bed, 5);
    struct mark newer = mark_at(&bed, 5), older = mark_at(&bed, 3);
    put_image(&bed, &newer, true);
    put_image(&bed, &older, false);
    sim_node_crash(bed.sim, (struct sim_cut){SIM_KEEP_ALL, 0});
    bed.fake.applied_words[0] = 0;
    expect_start(&bed);
    assert_int_equal(bed.fake.fills, 2);
    assert_string_equal(bed.fake.applied_words, "lpush lpush lpush epoch");
    bed_close(&bed);
}

/* --- What is reported --- */

struct ear {
    struct sim_reader reader;
    unsigned lines;
    char last[512];
};

static void hear(struct sim_reader *reader, const char *line)
{
    struct ear *ear = CONTAINER_OF(reader, struct ear, reader);
    if (strstr(line, " node ready ") == NULL) return;
    ear->lines++;
    snprintf(ear->last, sizeof ear->last, "%s", line);
}

TEST(node_start, gate_reports_after_success_only)
{
    struct bed bed;
    struct ear ear = {.reader.line = hear};
    stopped(&bed);
    sim_world_read(bed.world, &ear.reader);
    assert_true(sim_node_start(bed.sim));
    assert_int_equal(ear.lines, 0); /* the gate is passed, the epoch is not open */
    bed_settle(&bed);
    assert_int_equal(ear.lines, 1);
    assert_non_null(strstr(ear.last, "shard=keys outcome=skip reason=none store="));
    bed_stop(&bed);
    bed.fake.flushed.lsn.at += 2;
    expect_refusal(&bed, ERR_REFUSED, "log_ends_before_store");
    assert_int_equal(ear.lines, 1);
    bed.fake.flushed.lsn.at -= 2;
    struct sim_fault fault = {.ops = 1u << DISK_WRITE_SYNC, .hits = 1};
    (void)sim_disk_fault(sim_node_disk(bed.sim), &fault);
    assert_false(sim_node_start(bed.sim)); /* behind the gate */
    assert_int_equal(ear.lines, 1);
    sim_disk_unfault(sim_node_disk(bed.sim), 0);
    expect_start(&bed);
    assert_int_equal(ear.lines, 2);
    bed_close(&bed);
}

TEST(node_start, gap_is_absolute)
{
    struct node node = {.start = {.store.lsn = {4}, .last = {10}}};
    assert_int_equal(node_start_gap(&node), 6);
    node.start.store.lsn.at = 13;
    assert_int_equal(node_start_gap(&node), 3);
    node.start.store.lsn.at = 10;
    assert_int_equal(node_start_gap(&node), 0);
    struct bed bed;
    bed_open(&bed);
    push(&bed, 5);
    sim_node_crash(bed.sim, (struct sim_cut){SIM_KEEP_ALL, 0});
    expect_start(&bed);
    struct service_status status;
    bed.service->ops->status(bed.service, &status);
    assert_int_equal(status.start_gap_entries, 6);
    assert_int_equal(status.start_replayed_entries, 6);
    bed_close(&bed);
}

/* Nothing but the epochs of its own starts. */
TEST(node_start, idle_shard_with_clock_entries_only_still_skips)
{
    struct bed bed;
    bed_open(&bed);
    for (unsigned life = 0; life < 6; life++) {
        bed_run(&bed, 3 * SIM_SECOND);
        if (life % 2 == 0) bed_stop(&bed);
        else sim_node_crash(bed.sim, (struct sim_cut){SIM_KEEP_NOTHING, 0});
        expect_start(&bed);
        struct service_status status;
        bed.service->ops->status(bed.service, &status);
        assert_string_equal(status.start_outcome, "skip");
        if (life % 2 == 0) assert_int_equal(status.start_replayed_entries, 0);
        assert_string_equal(bed.fake.directory, "data/keys/store-1");
    }
    bed_close(&bed);
}

/* --- Half-way --- */

TEST(node_start, an_error_at_any_operation_leaves_nothing_open_and_a_later_start_works)
{
    for (unsigned round = 0; round < 2; round++) {
        bool hit = true;
        for (uint64_t at = 0; hit; at++) {
            struct bed bed;
            if (round == 0) {
                bed_make(&bed, 1);
            } else {
                stopped(&bed);
            }
            struct sim_disk *disk = sim_node_disk(bed.sim);
            struct sim_fault fault = {.ops = UINT64_MAX, .skip = at, .hits = 1};
            (void)sim_disk_fault(disk, &fault);
            bool started = sim_node_start(bed.sim);
            hit = sim_disk_fault_hits(disk) > 0;
            const char *leak = sim_world_failure(bed.world);
            if (leak != NULL) fail_msg("operation %d: %s", (int)at, leak);
            assert_int_equal(bed.fake.opens, bed.fake.closes + (started ? 1 : 0));
            sim_disk_unfault(disk, 0);
            if (started) sim_node_crash(bed.sim, (struct sim_cut){SIM_KEEP_ALL, 0});
            expect_start(&bed);
            expect_elements(&bed, round == 0 ? ":0" : ":5");
            bed_close(&bed);
            assert_true(at < 1000);
        }
    }
}

TEST(node_start, a_crash_at_any_operation_of_the_first_start_leaves_what_the_next_can_begin_with)
{
    struct bed bed;
    bed_open(&bed);
    uint64_t io = sim_node_io(bed.sim);
    bed_close(&bed);
    assert_true(io > 20);
    for (uint64_t at = 0; at < io; at++) {
        struct sim_crash crash = {0};
        for (unsigned variant = 0; sim_crash_variant(variant, &crash); variant++) {
            bed_make(&bed, 1);
            crash.io = at;
            sim_node_crash_at(bed.sim, &crash);
            if (sim_node_start(bed.sim)) bed_settle(&bed);
            if (!sim_node_is_up(bed.sim)) expect_start(&bed);
            assert_int_equal(bed.readies, 1);
            push(&bed, 1);
            sim_node_crash_at(bed.sim, NULL);
            sim_node_crash(bed.sim, (struct sim_cut){SIM_KEEP_NOTHING, 0});
            expect_start(&bed);
            expect_elements(&bed, ":1");
            bed_close(&bed);
        }
    }
}
