/* SPDX-License-Identifier: Apache-2.0 */
#include "test/snapshot/bed.h"

TEST(snapshot_keeper, what_the_capture_gives_is_in_the_image)
{
    for (unsigned pending_of = 0; pending_of < 4; pending_of++) {
        struct bed bed;
        bed_open(&bed);
        bed.capture.records = 3000;
        bed.capture.value_bytes = 200; /* several chunks */
        bed.capture.pending_of = pending_of == 1 ? 0 : pending_of;
        assert_int_equal(bed_save(&bed, 1), ERR_OK);
        expect_names(&bed, IMAGE_1);
        uint64_t records;
        assert_int_equal(bed_read_image(&bed, BED_DIRECTORY "/" IMAGE_1, &records), ERR_NOT_FOUND);
        assert_int_equal(records, 3000);
        assert_true((bed.capture.warms > 0) == (pending_of > 1));
        struct snapshot_status status = bed_status(&bed);
        assert_int_equal(status.mark.lsn.at, 1);
        assert_int_equal(status.images, 1);
        assert_true(status.bytes > 600000 && status.taken_ms > 0 && status.took_us > 0);
        bed_close(&bed);
    }
}

TEST(snapshot_keeper, it_is_durable_when_it_is_told)
{
    struct bed bed;
    bed_open(&bed);
    assert_int_equal(bed_save(&bed, 1), ERR_OK);
    sim_node_crash(bed.node, (struct sim_cut){SIM_KEEP_NOTHING, 0});
    bed.capture.closes = bed.capture.opens;
    assert_true(sim_node_start(bed.node));
    uint64_t records;
    assert_int_equal(bed_read_image(&bed, BED_DIRECTORY "/" IMAGE_1, &records), ERR_NOT_FOUND);
    assert_int_equal(bed_status(&bed).mark.lsn.at, 1);
    bed_close(&bed);
}

/* The image at LSN 2 fails by this fault; nothing of it is there, and LSN 3 is saved. */
static void fail_with(const struct sim_fault *fault, enum err err)
{
    struct bed bed;
    bed_open(&bed);
    bed.capture.records = 100;
    bed.capture.value_bytes = 100000; /* so that parts are synced on the way */
    assert_int_equal(bed_save(&bed, 1), ERR_OK);
    uint64_t id = sim_disk_fault(bed.disk, fault);
    assert_int_equal(bed_save(&bed, 2), err);
    assert_true(sim_disk_fault_hits(bed.disk) > 0);
    assert_true(strlen(bed.why.text) > 0);
    assert_non_null(strstr(bed.warning, "not_saved"));
    expect_names(&bed, IMAGE_1);
    assert_int_equal(bed_status(&bed).mark.lsn.at, 1);
    assert_int_equal(bed_status(&bed).images, 1);
    sim_disk_unfault(bed.disk, id);
    assert_int_equal(bed_save(&bed, 3), ERR_OK);
    expect_names(&bed, IMAGE_1 " " IMAGE_3);
    assert_int_equal(bed_status(&bed).mark.lsn.at, 3);
    bed_close(&bed);
}

TEST(snapshot_keeper, a_step_that_fails_leaves_nothing_and_the_next_attempt_works)
{
    static const enum disk_op ops[] = {DISK_CREATE, DISK_WRITE, DISK_SYNC, DISK_CLOSE, DISK_RENAME};
    static const enum err errs[] = {ERR_IO, ERR_SPACE};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        unsigned times = ops[i] == DISK_WRITE ? 3 : ops[i] == DISK_SYNC ? 2 : 1;
        for (unsigned skip = 0; skip < times; skip++) {
            for (unsigned e = 0; e < 2; e++) {
                struct sim_fault fault = {
                    .ops = UINT64_C(1) << ops[i], .skip = skip, .hits = 1, .err = errs[e]};
                fail_with(&fault, errs[e]);
            }
        }
    }
    struct sim_fault part = {
        .ops = 1u << DISK_WRITE, .skip = 2, .hits = 1, .kind = SIM_FAULT_SHORT, .err = ERR_SPACE};
    fail_with(&part, ERR_SPACE);
}

/* A whole image whose name may go with the next power cut: it is no lie, but nobody counts on
 * it. */
TEST(snapshot_keeper, an_image_whose_name_is_not_durable_does_not_count)
{
    struct bed bed;
    bed_open(&bed);
    assert_int_equal(bed_save(&bed, 1), ERR_OK);
    struct sim_fault fault = {.ops = 1u << DISK_SYNC_DIR, .hits = 1};
    (void)sim_disk_fault(bed.disk, &fault);
    assert_int_equal(bed_save(&bed, 2), ERR_IO);
    assert_int_equal(bed_status(&bed).mark.lsn.at, 1);
    assert_int_equal(bed_status(&bed).images, 1);
    uint64_t records;
    enum err err = bed_read_image(&bed, BED_DIRECTORY "/" IMAGE_2, &records);
    assert_true(err == ERR_NOT_FOUND); /* all of it, or no such file */
    assert_int_equal(bed_save(&bed, 2), ERR_OK);
    assert_int_equal(bed_status(&bed).mark.lsn.at, 2);
    bed_close(&bed);
}

TEST(snapshot_keeper, a_temporary_that_could_not_be_removed_is_by_the_next_attempt)
{
    struct bed bed;
    bed_open(&bed);
    struct sim_fault write = {.ops = 1u << DISK_WRITE, .hits = 1};
    struct sim_fault removal = {.ops = 1u << DISK_REMOVE, .hits = 1};
    (void)sim_disk_fault(bed.disk, &write);
    (void)sim_disk_fault(bed.disk, &removal);
    assert_int_equal(bed_save(&bed, 1), ERR_IO);
    expect_names(&bed, IMAGE_1 ".tmp");
    assert_int_equal(bed_save(&bed, 1), ERR_EXISTS);
    expect_names(&bed, "");
    assert_int_equal(bed_save(&bed, 1), ERR_OK);
    expect_names(&bed, IMAGE_1);
    bed_close(&bed);
}

TEST(snapshot_keeper, a_capture_that_fails_leaves_nothing)
{
    for (unsigned way = 0; way < 4; way++) {
        struct bed bed;
        bed_open(&bed);
        uint64_t lsn = 1;
        enum err err = ERR_IO;
        if (way == 0) lsn = 0, err = ERR_NOT_FOUND; /* nothing was flushed */
        if (way == 1) bed.refuses = err = ERR_CORRUPT;
        if (way == 2) bed.capture.fails_at = 50;
        if (way == 3) bed.capture.pending_of = 30, bed.capture.warm_err = ERR_IO;
        assert_int_equal(bed_save(&bed, lsn), err);
        assert_true(strlen(bed.why.text) > 0);
        expect_names(&bed, "");
        assert_int_equal(bed.capture.closes, 1);
        assert_int_equal(bed_status(&bed).mark.lsn.at, 0);
        bed_close(&bed);
    }
}

TEST(snapshot_keeper, an_abort_leaves_nothing_wherever_it_comes)
{
    unsigned dropped = 0, finished = 0;
    for (uint64_t us = 0; finished < 20; us += us / 16 + 20) {
        struct bed bed;
        bed_open(&bed);
        bed.capture.records = 50;
        bed.capture.value_bytes = 20000;
        bed.capture.pending_of = 7;
        bed_begin(&bed, 1);
        bed_run(&bed, us);
        bool was_over = bed.ended == 1;
        bed_do(&bed, DEED_ABORT);
        bed_do(&bed, DEED_ABORT);
        assert_int_equal(bed.ended, was_over ? 1 : 0); /* not from inside */
        bed_run(&bed, SIM_SECOND);
        assert_int_equal(bed.ended, 1);
        if (bed.err == ERR_OK) { /* it had its name, or asked for it, already */
            expect_names(&bed, IMAGE_1);
            finished++;
        } else {
            assert_int_equal(bed.err, ERR_SHUT);
            assert_string_equal(bed.why.text, "enough");
            expect_names(&bed, "");
            dropped++;
        }
        assert_int_equal(bed.capture.closes, 1);
        bed_close(&bed);
    }
    assert_true(dropped > 20);
}

TEST(snapshot_keeper, an_abort_while_it_gets_its_name_comes_too_late)
{
    struct bed bed;
    bed_open(&bed);
    struct sim_fault stall = {
        .ops = 1u << DISK_RENAME, .kind = SIM_FAULT_STALL, .amount = 500 * SIM_MILLISECOND};
    (void)sim_disk_fault(bed.disk, &stall);
    bed_begin(&bed, 1);
    bed_run(&bed, 100 * SIM_MILLISECOND);
    bed_do(&bed, DEED_ABORT);
    bed_run(&bed, 2 * SIM_SECOND);
    assert_int_equal(bed.ended, 1);
    assert_int_equal(bed.err, ERR_OK);
    expect_names(&bed, IMAGE_1);
    assert_int_equal(bed_status(&bed).mark.lsn.at, 1);
    bed_close(&bed);
}

TEST(snapshot_keeper, what_a_close_leaves_in_the_middle_is_removed_by_the_next_start)
{
    unsigned left = 0, finished = 0;
    for (uint64_t us = 0; finished == 0; us += us / 16 + 20) {
        struct bed bed;
        bed_open(&bed);
        bed.capture.records = 50;
        bed.capture.value_bytes = 20000;
        bed_begin(&bed, 1);
        bed_run(&bed, us);
        finished = bed.ended;
        sim_node_crash(bed.node, (struct sim_cut){SIM_KEEP_CACHE, 0});
        struct buffer names;
        buffer_init(&names);
        bed_names(&bed, &names);
        left += strstr((const char *)names.data, ".tmp") != NULL;
        buffer_release(&names);
        assert_true(sim_node_start(bed.node));
        uint64_t records;
        if (bed_status(&bed).images == 1) {
            expect_names(&bed, IMAGE_1);
            assert_int_equal(bed_read_image(&bed, BED_DIRECTORY "/" IMAGE_1, &records),
                             ERR_NOT_FOUND);
        } else {
            expect_names(&bed, "");
        }
        sim_world_close(bed.world);
    }
    assert_true(left > 5);
}

TEST(snapshot_keeper, a_large_image_takes_no_more_than_its_part_of_the_loop)
{
    struct bed bed;
    bed_open(&bed);
    bed.capture.records = 20000;
    bed.capture.value_bytes = 1000;
    bed_begin(&bed, 1);
    bed_run(&bed, 50 * SIM_MILLISECOND);
    struct snapshot_status status = bed_status(&bed);
    assert_true(status.busy && status.bytes_done > 0);
    assert_true(status.bytes_done < status.bytes_expected);
    assert_true(status.bytes_expected == 20000 * 1000);
    for (unsigned i = 0; i < 1000 && bed.ended == 0; i++) bed_run(&bed, 10 * SIM_MILLISECOND);
    assert_int_equal(bed.err, ERR_OK);
    /* 20 MB in chunks of 128 KiB with a pause behind each */
    assert_true(bed_status(&bed).took_us > 150 * 600);
    assert_int_equal(bed_status(&bed).began_us, 0);
    bed_close(&bed);
}

TEST(snapshot_keeper, a_close_waits_for_what_the_disk_has_of_it)
{
    for (uint64_t us = 0; us < 40000; us += us / 8 + 50) {
        struct bed bed;
        bed_open(&bed);
        bed.capture.records = 50;
        bed.capture.value_bytes = 20000;
        bed.capture.pending_of = 7;
        assert_int_equal(bed_save(&bed, 1), ERR_OK);
        bed_do(&bed, DEED_SCRUB);
        bed_run(&bed, 1000);
        bed_begin(&bed, 2);
        bed_run(&bed, us);
        bed_do(&bed, DEED_CLOSE);
        bed_run(&bed, SIM_SECOND);
        bed_close(&bed); /* nothing leaked */
    }
}
