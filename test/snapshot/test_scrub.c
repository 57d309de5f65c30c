/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/keeper.h"
#include "test/snapshot/bed.h"

#define PATH_1 BED_DIRECTORY "/" IMAGE_1
#define PATH_2 BED_DIRECTORY "/" IMAGE_2

/* Two images of several pieces each. */
static void open_two(struct bed *bed)
{
    bed_open(bed);
    bed->capture.records = 1000;
    bed->capture.value_bytes = 1000;
    assert_int_equal(bed_save(bed, 1), ERR_OK);
    assert_int_equal(bed_save(bed, 2), ERR_OK);
}

TEST(snapshot_scrub, images_that_are_well_are_read_to_their_end_once_a_period)
{
    struct bed bed;
    open_two(&bed);
    assert_int_equal(bed_status(&bed).scrubbed_ms, 0);
    bed_scrub(&bed);
    assert_int_equal(bed.scrubbed, 2);
    assert_true(bed_status(&bed).scrubbed_ms > 0);
    assert_int_equal(bed_status(&bed).images, 2);
    bed_scrub(&bed);
    assert_int_equal(bed.scrubbed, 2); /* not again so soon */
    bed_run(&bed, (uint64_t)3600 * SIM_SECOND);
    bed_scrub(&bed);
    assert_int_equal(bed.scrubbed, 4);
    assert_int_equal(bed_save(&bed, 3), ERR_OK);
    bed_scrub(&bed);
    assert_int_equal(bed.scrubbed, 5); /* a new one */
    assert_string_equal(bed.warning, "");
    bed_close(&bed);
}

TEST(snapshot_scrub, it_reads_at_the_rate_that_it_was_given)
{
    struct bed bed;
    open_two(&bed); /* a little more than 1 MB each, at 16 MiB a second */
    bed_do(&bed, DEED_SCRUB);
    bed_run(&bed, 50 * SIM_MILLISECOND);
    assert_int_equal(bed.scrubbed, 0);
    bed_run(&bed, 150 * SIM_MILLISECOND);
    assert_int_equal(bed.scrubbed, 1);
    bed_close(&bed);
}

TEST(snapshot_scrub, a_flipped_bit_anywhere_sets_the_image_aside)
{
    struct buffer image;
    buffer_init(&image);
    for (uint64_t way = 0; way < 24; way++) {
        struct bed bed;
        open_two(&bed);
        buffer_clear(&image);
        assert_true(sim_disk_seen(bed.disk, PATH_2, &image));
        uint64_t at = way < 8    ? way * 16
                      : way < 16 ? image.size - 1 - (way - 8) * 16
                                 : image.size / 24 * way;
        assert_true(sim_disk_damage(bed.disk, PATH_2, at, 1, SIM_DAMAGE_FLIP));
        bed_scrub(&bed);
        bool later = at == 8 || strstr(bed.warning, "error=refused") != NULL;
        if (!later) {
            expect_names(&bed, IMAGE_1 " " IMAGE_2 ".bad");
            assert_non_null(strstr(bed.warning, "image_bad path=" PATH_2 " error=corrupt why="));
        }
        struct snapshot_status status = bed_status(&bed);
        assert_int_equal(status.images, 1);
        assert_int_equal(status.images_bad, 1);
        assert_int_equal(status.mark.lsn.at, 1);
        bed_restart(&bed); /* it is counted still */
        assert_int_equal(bed_status(&bed).images_bad, 1);
        assert_int_equal(bed_save(&bed, 2), ERR_OK);
        assert_int_equal(bed_status(&bed).images, 2);
        bed_close(&bed);
    }
    buffer_release(&image);
}

TEST(snapshot_scrub, an_image_that_was_cut_or_grew_is_set_aside)
{
    for (unsigned way = 0; way < 3; way++) {
        struct bed bed;
        open_two(&bed);
        struct buffer image;
        buffer_init(&image);
        assert_true(sim_disk_seen(bed.disk, PATH_1, &image));
        if (way == 0) image.size -= 200000;
        if (way == 1) buffer_append_byte(&image, 0);
        if (way == 2) image.size = 10;
        sim_disk_put(bed.disk, PATH_1, buffer_bytes(&image));
        buffer_release(&image);
        bed_scrub(&bed);
        expect_names(&bed, IMAGE_1 ".bad " IMAGE_2);
        bed_close(&bed);
    }
}

TEST(snapshot_scrub, an_image_of_another_shard_keeps_its_name)
{
    struct bed bed;
    bed_open(&bed);
    struct buffer image;
    buffer_init(&image);
    struct image_facts facts = {.cluster = BED_CLUSTER, .shard = 1, .mark = {.lsn = {1}}};
    struct image_chain chain;
    image_begin(&image, &facts, &chain);
    image_end(&image, &facts, &chain);
    sim_disk_put(bed.disk, PATH_1, buffer_bytes(&image));
    buffer_release(&image);
    bed_restart(&bed);
    bed_scrub(&bed);
    expect_names(&bed, IMAGE_1);
    assert_non_null(strstr(bed.warning, "it is of another cluster, history or shard"));
    assert_int_equal(bed_status(&bed).images, 0);
    bed_close(&bed);
}

TEST(snapshot_scrub, a_read_error_is_reported_and_the_image_tried_again)
{
    static const enum disk_op ops[] = {DISK_OPEN, DISK_READ};
    for (unsigned i = 0; i < 2; i++) {
        struct bed bed;
        open_two(&bed);
        struct sim_fault fault = {.ops = UINT64_C(1) << ops[i], .paths = "*" IMAGE_2};
        uint64_t id = sim_disk_fault(bed.disk, &fault);
        bed_scrub(&bed);
        expect_names(&bed, IMAGE_1 " " IMAGE_2);
        assert_non_null(strstr(bed.warning, "image_bad path=" PATH_2 " error=io why="));
        assert_int_equal(bed_status(&bed).images_bad, 1);
        assert_int_equal(bed_status(&bed).mark.lsn.at, 1);
        sim_disk_unfault(bed.disk, id);
        bed_run(&bed, (uint64_t)3600 * SIM_SECOND);
        bed_scrub(&bed);
        assert_int_equal(bed_status(&bed).images_bad, 0);
        assert_int_equal(bed_status(&bed).mark.lsn.at, 2);
        bed_close(&bed);
    }
}

TEST(snapshot_scrub, an_image_that_cannot_be_set_aside_counts_for_nothing_all_the_same)
{
    struct bed bed;
    open_two(&bed);
    assert_true(sim_disk_damage(bed.disk, PATH_2, 5000, 1, SIM_DAMAGE_FLIP));
    struct sim_fault fault = {.ops = 1u << DISK_RENAME, .hits = 1};
    (void)sim_disk_fault(bed.disk, &fault);
    bed_scrub(&bed);
    expect_names(&bed, IMAGE_1 " " IMAGE_2);
    assert_non_null(strstr(bed.warning, "image_not_set_aside"));
    assert_int_equal(bed_status(&bed).images_bad, 1);
    assert_int_equal(bed_status(&bed).mark.lsn.at, 1);
    bed_close(&bed);
}

/* The scrubber has the old file of the name open when the keeper puts a new one there. */
TEST(snapshot_scrub, a_new_image_is_not_judged_by_the_old_one_of_its_name)
{
    for (uint64_t us = 0; us < 120000; us += 3000) {
        struct bed bed;
        open_two(&bed);
        assert_true(sim_disk_damage(bed.disk, PATH_2, 900000, 1, SIM_DAMAGE_FLIP));
        bed_do(&bed, DEED_SCRUB);
        bed_run(&bed, us);
        bool was_found = bed_status(&bed).images == 1;
        assert_int_equal(bed_save(&bed, 2), ERR_OK);
        bed_scrub(&bed);
        expect_names(&bed,
                     was_found ? IMAGE_1 " " IMAGE_2 " " IMAGE_2 ".bad" : IMAGE_1 " " IMAGE_2);
        assert_int_equal(bed_status(&bed).images, 2);
        bed_close(&bed);
    }
}

/* Its rename is on its way: were the new image named meanwhile, that would be renamed. */
TEST(snapshot_scrub, an_image_waits_until_the_one_of_its_name_is_set_aside)
{
    struct bed bed;
    open_two(&bed);
    assert_true(sim_disk_damage(bed.disk, PATH_2, 5000, 1, SIM_DAMAGE_FLIP));
    struct sim_fault stall = {.ops = 1u << DISK_RENAME,
                              .paths = PATH_2,
                              .kind = SIM_FAULT_STALL,
                              .amount = 500 * SIM_MILLISECOND};
    (void)sim_disk_fault(bed.disk, &stall);
    bed_do(&bed, DEED_SCRUB);
    bed_run(&bed, 100 * SIM_MILLISECOND);
    assert_int_equal(bed.snapshot->scrub.step, SCRUB_ASIDE);
    assert_int_equal(bed_save(&bed, 2), ERR_OK);
    bed_run(&bed, SIM_SECOND);
    expect_names(&bed, IMAGE_1 " " IMAGE_2 " " IMAGE_2 ".bad");
    assert_int_equal(bed_status(&bed).images, 2);
    bed_close(&bed);
}

TEST(snapshot_scrub, it_stands_still_while_an_image_is_written)
{
    struct bed bed;
    open_two(&bed);
    bed_do(&bed, DEED_SCRUB);
    bed_run(&bed, 20 * SIM_MILLISECOND);
    bed.capture.records = 50000; /* this takes longer than what it has still to read */
    bed_begin(&bed, 3);
    bed_run(&bed, 150 * SIM_MILLISECOND);
    assert_true(bed_status(&bed).busy);
    assert_int_equal(bed.scrubbed, 0);
    assert_int_equal(bed.snapshot->scrub.step, SCRUB_PAUSE);
    while (bed.ended == 2) bed_run(&bed, SIM_MILLISECOND);
    bed_run(&bed, 200 * SIM_MILLISECOND);
    assert_int_equal(bed.scrubbed, 1);
    bed_begin(&bed, 4);
    bed_do(&bed, DEED_SCRUB);
    assert_int_equal(bed.snapshot->scrub.step, SCRUB_IDLE); /* nor does it begin */
    while (bed.ended == 3) bed_run(&bed, SIM_MILLISECOND);
    bed_close(&bed);
}

TEST(snapshot_scrub, it_goes_on_where_it_stood_when_an_image_has_ended)
{
    struct bed bed;
    open_two(&bed);
    bed.keep = 5;
    bed_do(&bed, DEED_SCRUB);
    bed_run(&bed, 40 * SIM_MILLISECOND);
    assert_int_equal(bed_save(&bed, 3), ERR_OK);
    bed_run(&bed, 200 * SIM_MILLISECOND);
    assert_int_equal(bed.scrubbed, 1);
    assert_int_equal(bed_status(&bed).images, 3);
    assert_string_equal(bed.warning, "");
    bed_close(&bed);
}

TEST(snapshot_scrub, told_to_stop_it_lets_go_wherever_it_is)
{
    for (uint64_t us = 0; us < 120000; us += us / 8 + 50) {
        struct bed bed;
        open_two(&bed);
        assert_true(sim_disk_damage(bed.disk, PATH_2, 500000, 1, SIM_DAMAGE_FLIP));
        bed_do(&bed, DEED_SCRUB);
        bed_run(&bed, us);
        bed_do(&bed, DEED_SCRUB_STOP);
        bed_run(&bed, 20 * SIM_MILLISECOND);
        assert_true(snapshot_is_quiet(bed.snapshot));
        assert_int_equal(bed.scrubbed, 1);
        bed_do(&bed, DEED_SCRUB);
        assert_true(snapshot_is_quiet(bed.snapshot)); /* for good */
        bed_close(&bed);
    }
}
