/* SPDX-License-Identifier: Apache-2.0 */
/* Images: flush before save, one at a time, given up for the log's sake; the schedule; the scrubber
 * as the node drives it. */
#include "test/node/bed.h"

#define IMAGES "data/keys/images/"

/* What is in the directory, a blank behind each. */
static void expect_names(struct bed *bed, const char *text)
{
    char names[512] = "";
    struct buffer paths;
    buffer_init(&paths);
    sim_disk_paths(sim_node_disk(bed->sim), &paths);
    buffer_append_byte(&paths, 0);
    for (char *line = strtok((char *)paths.data, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strncmp(line, IMAGES, strlen(IMAGES)) != 0 || line[strlen(IMAGES)] == '\0') continue;
        size_t size = strlen(names);
        snprintf(names + size, sizeof names - size, "%s ", line + strlen(IMAGES));
    }
    buffer_release(&paths);
    assert_string_equal(names, text);
}

static void expect_image(struct bed *bed, uint64_t lsn)
{
    char name[64];
    snprintf(name, sizeof name, "%016llx.image ", (unsigned long long)lsn);
    expect_names(bed, name);
    assert_int_equal(bed_images(bed).lsn.at, lsn);
}

/* Everything is flushed, and an image of it is there. */
static uint64_t save_all(struct bed *bed)
{
    assert_int_equal(bed_save(bed), ERR_OK);
    if (bed->fake.flush != NULL) (void)bed_do(bed, DEED_FLUSH, NULL, ERR_OK);
    bed_run(bed, 100 * SIM_MILLISECOND);
    assert_false(bed_images(bed).saving);
    assert_false(bed_images(bed).failed);
    return bed_images(bed).lsn.at;
}

TEST(node_images, flush_precedes_save_exactly_once)
{
    struct bed bed;
    bed_open(&bed);
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    uint64_t asked_at = bed.fake.applied.lsn.at;
    assert_int_equal(bed_save(&bed), ERR_OK);
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k b"); /* behind it */
    bed_run(&bed, SIM_SECOND);
    assert_int_equal(bed.fake.flushes, 1);
    assert_int_equal(bed.fake.captures, 0); /* nothing before the flush is done */
    assert_true(bed_images(&bed).saving);
    expect_names(&bed, "");
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_run(&bed, 100 * SIM_MILLISECOND);
    expect_image(&bed, asked_at);
    assert_int_equal(bed.fake.flushes, 1);
    assert_int_equal(bed.fake.captures, 1);
    struct service_images images = bed_images(&bed);
    assert_false(images.saving);
    assert_false(images.failed);
    assert_int_equal(images.ended, 1);
    assert_int_equal(images.changes, 1);
    assert_int_equal(images.images, 1);
    bed_close(&bed);
}

TEST(node_images, what_is_flushed_already_is_not_flushed_again)
{
    struct bed bed;
    bed_open(&bed);
    uint64_t lsn = save_all(&bed);
    assert_int_equal(bed.fake.flushes, 1);
    assert_int_equal(save_all(&bed), lsn);
    assert_int_equal(bed.fake.flushes, 1);
    assert_int_equal(bed_images(&bed).ended, 2);
    expect_image(&bed, lsn);
    bed_close(&bed);
}

TEST(node_images, asked_for_during_a_flush_it_waits_for_that_one_and_for_its_own)
{
    struct bed bed;
    bed_open(&bed);
    bed.fake.unflushed = 1 << 20;
    bed_run(&bed, 300 * SIM_MILLISECOND);
    assert_int_equal(bed.fake.flushes, 1); /* by itself */
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    uint64_t asked_at = bed.fake.applied.lsn.at;
    assert_true(asked_at > bed.fake.flush_mark.lsn.at);
    assert_int_equal(bed_save(&bed), ERR_OK);
    assert_int_equal(bed.fake.flushes, 1);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_settle(&bed);
    assert_int_equal(bed.fake.flushes, 2); /* at once */
    assert_int_equal(bed.fake.captures, 0);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_run(&bed, 100 * SIM_MILLISECOND);
    expect_image(&bed, asked_at);
    bed_close(&bed);
}

TEST(node_images, failed_flush_saves_nothing)
{
    struct bed bed;
    bed_open(&bed);
    assert_int_equal(bed_save(&bed), ERR_OK);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_SPACE));
    bed_run(&bed, 300 * SIM_MILLISECOND);
    struct service_images images = bed_images(&bed);
    assert_false(images.saving);
    assert_true(images.failed);
    assert_int_equal(images.ended, 1);
    assert_string_equal(images.why.text, "told so");
    assert_int_equal(bed.fake.captures, 0);
    expect_names(&bed, "");
    assert_int_equal(bed_save(&bed), ERR_SPACE); /* until one succeeds */
    assert_string_equal(bed.why.text, "the disk is nearly full");
    bed_run(&bed, 1200 * SIM_MILLISECOND);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    (void)save_all(&bed);
    bed_close(&bed);
}

TEST(node_images, a_flush_that_fails_for_good_ends_the_node_without_an_image)
{
    struct bed bed;
    bed_open(&bed);
    assert_int_equal(bed_save(&bed), ERR_OK);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_IO));
    bed_run(&bed, 300 * SIM_MILLISECOND);
    assert_int_equal(bed.fake.captures, 0);
    expect_names(&bed, "");
    bed_close_failed(&bed);
}

TEST(node_images, there_is_one_at_a_time)
{
    struct bed bed;
    bed_open(&bed);
    bed.fake.capture_records = 2000;
    assert_int_equal(bed_save(&bed), ERR_OK);
    assert_int_equal(bed_save(&bed), ERR_EXISTS); /* while it waits for its flush */
    assert_string_equal(bed.why.text, "Background save already in progress");
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_run(&bed, 5 * SIM_MILLISECOND);
    assert_true(bed_images(&bed).saving && bed_images(&bed).bytes_done > 0);
    assert_int_equal(bed_save(&bed), ERR_EXISTS); /* and while it is written */
    bed_run(&bed, SIM_SECOND);
    assert_int_equal(bed_images(&bed).ended, 1);
    assert_int_equal(bed_save(&bed), ERR_OK);
    bed_run(&bed, SIM_SECOND);
    bed_close(&bed);
}

/* I4, I5: what the view says of itself decides, not what was meant. */
TEST(node_images, a_view_that_is_not_what_was_flushed_is_not_saved)
{
    for (int off = -1; off <= 1; off += 2) {
        struct bed bed;
        bed_open(&bed);
        bed.fake.capture_off = off;
        assert_int_equal(bed_save(&bed), ERR_OK);
        assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
        bed_run(&bed, 100 * SIM_MILLISECOND);
        assert_true(bed_images(&bed).failed);
        assert_non_null(strstr(bed_images(&bed).why.text, "the view holds LSN"));
        expect_names(&bed, "");
        bed.fake.capture_off = 0;
        (void)save_all(&bed);
        bed_close(&bed);
    }
}

TEST(node_images, a_stop_gives_it_up_wherever_it_is)
{
    unsigned waiting = 0, written = 0, saved = 0;
    for (uint64_t us = 0; saved == 0; us += us / 8 + 200) {
        struct bed bed;
        bed_open(&bed);
        bed.fake.capture_records = 500;
        assert_int_equal(bed_save(&bed), ERR_OK);
        if (us > 0) (void)bed_do(&bed, DEED_FLUSH, NULL, ERR_OK);
        bed_run(&bed, us);
        bool was_over = !bed_images(&bed).saving;
        (void)bed_do(&bed, DEED_STOP, NULL, ERR_OK);
        assert_int_equal(bed_save(&bed), bed_images(&bed).saving ? ERR_EXISTS : ERR_REFUSED);
        for (unsigned i = 0; i < 10 && bed.stops == 0; i++) {
            bed_settle(&bed);
            (void)bed_do(&bed, DEED_FLUSH, NULL, ERR_OK);
        }
        assert_int_equal(bed.stops, 1);
        struct service_images images = bed_images(&bed);
        if (images.failed) {
            assert_string_equal(images.why.text, "the server is being stopped");
            expect_names(&bed, "");
        } else {
            expect_image(&bed, images.lsn.at);
        }
        waiting += us == 0;
        written += images.failed && us > 0;
        saved += was_over;
        assert_true(sim_node_stop(bed.sim)); /* nothing is left open, nothing leaked */
        bed_release(&bed);
    }
    assert_true(waiting == 1 && written > 10);
}

TEST(node_images, while_space_is_short_none_is_begun_and_one_that_is_written_is_given_up)
{
    struct bed bed;
    bed_open(&bed);
    bed.fake.low = true;
    assert_int_equal(bed_save(&bed), ERR_SPACE);
    bed.fake.low = false;
    bed.fake.capture_records = 100000; /* this takes half a second */
    assert_int_equal(bed_save(&bed), ERR_OK);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_run(&bed, 50 * SIM_MILLISECOND);
    assert_true(bed_images(&bed).saving);
    bed.fake.low = true;
    bed_run(&bed, 200 * SIM_MILLISECOND);
    assert_false(bed_images(&bed).saving);
    assert_true(bed_images(&bed).failed);
    assert_string_equal(bed_images(&bed).why.text, "the disk is nearly full");
    expect_names(&bed, "");
    bed.fake.low = false;
    bed.fake.capture_records = 1;
    (void)save_all(&bed);
    bed_close(&bed);
}

TEST(node_images, a_full_disk_gives_an_error_and_the_node_serves_on)
{
    struct bed bed;
    bed_open(&bed);
    bed.fake.capture_records = 2000;
    struct sim_fault fault = {
        .ops = 1u << DISK_WRITE, .paths = "*.image.tmp", .skip = 3, .err = ERR_SPACE};
    uint64_t id = sim_disk_fault(sim_node_disk(bed.sim), &fault);
    assert_int_equal(bed_save(&bed), ERR_OK);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_run(&bed, SIM_SECOND);
    assert_true(bed_images(&bed).failed);
    assert_true(strlen(bed_images(&bed).why.text) > 0);
    expect_names(&bed, "");
    struct asked *write = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    expect_answer(write, ":1");
    sim_disk_unfault(sim_node_disk(bed.sim), id);
    (void)save_all(&bed);
    bed_close(&bed);
}

/* --- The schedule --- */

static void open_with_schedule(struct bed *bed, uint64_t seconds, uint64_t changes)
{
    bed_make(bed, 1);
    bed->options.images = (struct node_images){.keep = 2, .point_count = 1};
    bed->options.images.points[0] = (struct node_save_point){seconds, changes};
    assert_true(sim_node_start(bed->sim));
    bed_settle(bed);
    assert_int_equal(bed->readies, 1);
}

TEST(node_images, the_schedule_wants_both_the_time_and_the_changes)
{
    struct bed bed;
    open_with_schedule(&bed, 2, 3); /* the epoch's entry is a change too */
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_run(&bed, 5 * SIM_SECOND);
    assert_false(bed_images(&bed).saving);
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_run(&bed, 200 * SIM_MILLISECOND);
    assert_true(bed_images(&bed).saving);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_run(&bed, 100 * SIM_MILLISECOND);
    expect_image(&bed, bed.fake.applied.lsn.at);
    assert_int_equal(bed_images(&bed).changes, 0);
    for (unsigned i = 0; i < 3; i++) (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_run(&bed, SIM_SECOND);
    assert_false(bed_images(&bed).saving); /* too soon */
    bed_run(&bed, 1500 * SIM_MILLISECOND);
    assert_true(bed_images(&bed).saving);
    bed_close(&bed);
}

TEST(node_images, without_a_change_the_schedule_saves_nothing_and_without_a_schedule_nobody_does)
{
    struct bed bed;
    open_with_schedule(&bed, 1, 0);
    bed_run(&bed, 1200 * SIM_MILLISECOND);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_run(&bed, 10 * SIM_SECOND);
    assert_int_equal(bed_images(&bed).ended, 1);
    bed_close(&bed);
    bed_open(&bed);
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_run(&bed, 100 * SIM_SECOND);
    assert_int_equal(bed_images(&bed).ended, 0);
    bed_close(&bed);
}

TEST(node_images, after_a_failure_the_schedule_waits)
{
    struct bed bed;
    open_with_schedule(&bed, 1, 1);
    bed_run(&bed, 1200 * SIM_MILLISECOND);
    struct sim_fault fault = {.ops = 1u << DISK_CREATE, .paths = "*.image.tmp"};
    uint64_t id = sim_disk_fault(sim_node_disk(bed.sim), &fault);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_run(&bed, 4 * SIM_SECOND);
    assert_int_equal(bed_images(&bed).ended, 1);
    bed_run(&bed, 2 * SIM_SECOND);
    assert_int_equal(bed_images(&bed).ended, 2);
    sim_disk_unfault(sim_node_disk(bed.sim), id);
    bed_run(&bed, 6 * SIM_SECOND);
    assert_int_equal(bed_images(&bed).ended, 3);
    assert_false(bed_images(&bed).failed);
    bed_close(&bed);
}

/* --- What lies there --- */

static void restart(struct bed *bed)
{
    bed_stop(bed);
    assert_true(sim_node_start(bed->sim));
    bed_settle(bed);
    assert_int_equal(bed->readies, 1);
}

TEST(node_images, a_restart_knows_the_newest_and_counts_changes_from_it)
{
    struct bed bed;
    bed_open(&bed);
    (void)save_all(&bed);
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    struct service_images before = bed_images(&bed);
    restart(&bed);
    struct service_images images = bed_images(&bed);
    assert_int_equal(images.lsn.at, before.lsn.at);
    assert_int_equal(images.saved_s, before.saved_s);
    assert_int_equal(images.bytes, before.bytes);
    assert_int_equal(images.changes, before.changes + 1); /* the epoch's entry */
    assert_int_equal(images.ended, 0);
    bed_close(&bed);
}

/* Behind a body that is corrupt the store is fresh: the start does not read it. */
TEST(node_images, a_corrupt_image_body_does_not_stop_a_fresh_store_and_is_reported)
{
    struct bed bed;
    bed_open(&bed);
    bed.fake.capture_records = 1000;
    uint64_t lsn = save_all(&bed);
    char path[128], aside[128];
    snprintf(path, sizeof path, IMAGES "%016llx.image", (unsigned long long)lsn);
    snprintf(aside, sizeof aside, "%016llx.image.bad ", (unsigned long long)lsn);
    bed_run(&bed, SIM_SECOND);
    assert_true(bed_images(&bed).checked_s > 0); /* a new one is read again */
    assert_int_equal(bed_images(&bed).images, 1);
    struct sim_disk *disk = sim_node_disk(bed.sim);
    assert_true(sim_disk_damage(disk, path, 400000, 1, SIM_DAMAGE_FLIP));
    bed_run(&bed, 3 * SIM_SECOND);
    assert_int_equal(bed_images(&bed).images, 1); /* not again so soon */
    restart(&bed);
    assert_int_equal(bed_images(&bed).images, 1);
    assert_int_equal(bed_images(&bed).checked_s, 0);
    bed_run(&bed, SIM_SECOND);
    assert_int_equal(bed_images(&bed).images, 0);
    assert_int_equal(bed_images(&bed).bad, 1);
    assert_int_equal(bed_images(&bed).lsn.at, 0);
    assert_int_equal(bed_images(&bed).saved_s, 0);
    assert_true(bed_images(&bed).checked_s > 0);
    expect_names(&bed, aside);
    struct asked *write = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    expect_answer(write, ":1");
    bed_close(&bed);
}

TEST(node_images, a_stop_ends_the_scrubber_wherever_it_is)
{
    for (uint64_t us = 1000; us < 200000; us += us / 8) {
        struct bed bed;
        bed_open(&bed);
        bed.fake.capture_records = 2000;
        (void)save_all(&bed);
        bed_run(&bed, us);
        bed_close(&bed);
    }
}
