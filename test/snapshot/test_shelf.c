/* SPDX-License-Identifier: Apache-2.0 */
#include "test/snapshot/bed.h"

#define PATH_1 BED_DIRECTORY "/" IMAGE_1
#define PATH_2 BED_DIRECTORY "/" IMAGE_2
#define PATH_3 BED_DIRECTORY "/" IMAGE_3

static void put(struct bed *bed, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, BED_DIRECTORY "/%s", name);
    sim_disk_put(bed->disk, path, bytes_text(text));
}

TEST(snapshot_shelf, the_newest_are_kept_and_older_ones_removed)
{
    struct bed bed;
    bed_open(&bed);
    for (uint64_t lsn = 1; lsn <= 3; lsn++) assert_int_equal(bed_save(&bed, lsn), ERR_OK);
    expect_names(&bed, IMAGE_2 " " IMAGE_3);
    bed.keep = 1;
    assert_int_equal(bed_save(&bed, 4), ERR_OK);
    expect_names(&bed, "0000000000000004.image");
    bed.keep = 3;
    for (uint64_t lsn = 5; lsn <= 9; lsn++) assert_int_equal(bed_save(&bed, lsn), ERR_OK);
    expect_names(&bed, "0000000000000007.image 0000000000000008.image 0000000000000009.image");
    assert_int_equal(bed_status(&bed).images, 3);
    bed_close(&bed);
}

TEST(snapshot_shelf, the_one_just_saved_stays_though_its_lsn_is_the_lowest)
{
    struct bed bed;
    bed_open(&bed);
    assert_int_equal(bed_save(&bed, 3), ERR_OK);
    bed.keep = 1;
    bed_restart(&bed); /* with a store that was put back to an older day */
    assert_int_equal(bed_save(&bed, 1), ERR_OK);
    expect_names(&bed, IMAGE_1);
    assert_int_equal(bed_status(&bed).mark.lsn.at, 1);
    assert_int_equal(bed_save(&bed, 1), ERR_OK); /* nothing was written since */
    expect_names(&bed, IMAGE_1);
    assert_int_equal(bed_status(&bed).images, 1);
    bed_close(&bed);
}

TEST(snapshot_shelf, names_that_are_not_ours_are_left_alone)
{
    struct bed bed;
    bed_open(&bed);
    put(&bed, "0000000000000001.image.tmp.old", "mine");
    put(&bed, "1.image", "mine");
    put(&bed, "notes", "mine");
    bed_restart(&bed);
    bed.keep = 1;
    assert_int_equal(bed_save(&bed, 2), ERR_OK);
    assert_int_equal(bed_save(&bed, 3), ERR_OK);
    bed_scrub(&bed);
    expect_names(&bed, "0000000000000001.image.tmp.old " IMAGE_3 " 1.image notes");
    assert_int_equal(bed_status(&bed).images_bad, 0);
    bed_close(&bed);
}

TEST(snapshot_shelf, what_a_crash_left_is_removed_by_the_start)
{
    struct bed bed;
    bed_open(&bed);
    put(&bed, IMAGE_1 ".tmp", "half");
    put(&bed, IMAGE_2 ".tmp", "");
    bed_restart(&bed);
    expect_names(&bed, "");
    put(&bed, IMAGE_1 ".tmp", "half"); /* one that cannot be removed keeps nobody from starting */
    struct sim_fault fault = {.ops = 1u << DISK_REMOVE, .hits = 1};
    (void)sim_disk_fault(bed.disk, &fault);
    bed_restart(&bed);
    assert_non_null(strstr(bed.warning, "leftover_stays"));
    expect_names(&bed, IMAGE_1 ".tmp");
    bed_close(&bed);
}

TEST(snapshot_shelf, a_directory_that_cannot_be_read_is_an_error)
{
    struct bed bed;
    bed_open(&bed);
    assert_true(sim_node_stop(bed.node));
    struct sim_fault fault = {.ops = 1u << DISK_LIST, .hits = 1};
    (void)sim_disk_fault(bed.disk, &fault);
    assert_false(sim_node_start(bed.node));
    assert_int_equal(bed.open_err, ERR_IO);
    sim_world_close(bed.world);
}

/* `damage` makes the newest of two unreadable by its header or footer. */
static void lose_newest(const char *what, void (*damage)(struct bed *bed))
{
    struct bed bed;
    bed_open(&bed);
    assert_int_equal(bed_save(&bed, 1), ERR_OK);
    assert_int_equal(bed_save(&bed, 2), ERR_OK);
    damage(&bed);
    bed_restart(&bed);
    assert_non_null(strstr(bed.warning, "image_unreadable path=" PATH_2));
    if (strstr(bed.warning, what) == NULL) fail_msg("%s: %s", what, bed.warning);
    assert_int_equal(bed_status(&bed).mark.lsn.at, 1);
    assert_int_equal(bed_status(&bed).images, 1);
    assert_int_equal(bed_status(&bed).images_bad, 1);
    assert_int_equal(bed_save(&bed, 3), ERR_OK); /* it does not count among the two */
    expect_names(&bed, IMAGE_1 " " IMAGE_2 " " IMAGE_3);
    bed_close(&bed);
}

static void flip_header(struct bed *bed)
{
    assert_true(sim_disk_damage(bed->disk, PATH_2, 30, 1, SIM_DAMAGE_FLIP));
}

static void flip_footer(struct bed *bed)
{
    struct buffer image;
    buffer_init(&image);
    assert_true(sim_disk_seen(bed->disk, PATH_2, &image));
    assert_true(sim_disk_damage(bed->disk, PATH_2, image.size - 20, 1, SIM_DAMAGE_FLIP));
    buffer_release(&image);
}

static void cut(struct bed *bed)
{
    struct buffer image;
    buffer_init(&image);
    assert_true(sim_disk_seen(bed->disk, PATH_2, &image));
    sim_disk_put(bed->disk, PATH_2, bytes_of(image.data, image.size - 1));
    buffer_release(&image);
}

static void empty(struct bed *bed)
{
    put(bed, IMAGE_2, "");
}

static void rename_other(struct bed *bed)
{
    struct buffer image;
    buffer_init(&image);
    assert_true(sim_disk_seen(bed->disk, PATH_1, &image));
    sim_disk_put(bed->disk, PATH_2, buffer_bytes(&image));
    buffer_release(&image);
}

static void foreign(struct bed *bed)
{
    struct buffer image;
    buffer_init(&image);
    struct image_facts facts = {.cluster = BED_CLUSTER, .shard = 1, .mark = {.lsn = {2}}};
    struct image_chain chain;
    image_begin(&image, &facts, &chain);
    image_end(&image, &facts, &chain);
    sim_disk_put(bed->disk, PATH_2, buffer_bytes(&image));
    buffer_release(&image);
}

TEST(snapshot_shelf, an_unreadable_image_is_left_not_counted_and_reported)
{
    lose_newest("the header of the image has another checksum", flip_header);
    lose_newest("the footer of the image has another checksum", flip_footer);
    lose_newest("this does not end as an image does", cut);
    lose_newest("the file is too short for an image", empty);
    lose_newest("its name is of another LSN", rename_other);
    lose_newest("it is of another cluster, history or shard", foreign);
}

TEST(snapshot_shelf, of_too_many_the_oldest_good_one_goes_and_a_bad_one_stays)
{
    struct bed bed;
    bed_open(&bed);
    assert_int_equal(bed_save(&bed, 1), ERR_OK);
    assert_int_equal(bed_save(&bed, 2), ERR_OK);
    assert_true(sim_disk_damage(bed.disk, PATH_1, 30, 1, SIM_DAMAGE_FLIP));
    bed_restart(&bed);
    assert_int_equal(bed_save(&bed, 3), ERR_OK);
    expect_names(&bed, IMAGE_1 " " IMAGE_2 " " IMAGE_3);
    assert_int_equal(bed_save(&bed, 4), ERR_OK);
    expect_names(&bed, IMAGE_1 " " IMAGE_3 " 0000000000000004.image");
    bed_close(&bed);
}

TEST(snapshot_shelf, an_image_that_somebody_took_away_is_missed_by_nobody)
{
    struct bed bed;
    bed_open(&bed);
    for (uint64_t lsn = 1; lsn <= 2; lsn++) assert_int_equal(bed_save(&bed, lsn), ERR_OK);
    assert_true(sim_disk_unlink(bed.disk, PATH_1));
    assert_int_equal(bed_save(&bed, 3), ERR_OK);
    assert_int_equal(bed_status(&bed).images, 2);
    assert_true(sim_disk_unlink(bed.disk, PATH_3));
    bed_scrub(&bed);
    assert_int_equal(bed_status(&bed).images, 1);
    assert_int_equal(bed_status(&bed).images_bad, 0);
    assert_int_equal(bed_status(&bed).mark.lsn.at, 2);
    bed_close(&bed);
}

TEST(snapshot_shelf, an_image_that_cannot_be_removed_is_tried_again_at_the_next)
{
    struct bed bed;
    bed_open(&bed);
    bed.keep = 1;
    assert_int_equal(bed_save(&bed, 1), ERR_OK);
    struct sim_fault fault = {.ops = 1u << DISK_REMOVE, .hits = 1};
    (void)sim_disk_fault(bed.disk, &fault);
    assert_int_equal(bed_save(&bed, 2), ERR_OK);
    assert_non_null(strstr(bed.warning, "image_not_removed path=" PATH_1));
    expect_names(&bed, IMAGE_1 " " IMAGE_2);
    assert_int_equal(bed_save(&bed, 3), ERR_OK);
    expect_names(&bed, IMAGE_3);
    bed_close(&bed);
}

/* --- Of what this shard was before another state was installed --- */

static void expect_left_behind(bool cluster)
{
    struct bed bed;
    bed_open(&bed);
    assert_int_equal(bed_save(&bed, 7), ERR_OK);
    assert_int_equal(bed_save(&bed, 9), ERR_OK);
    assert_true(sim_node_stop(bed.node));
    if (cluster) bed.cluster++;
    else bed.history.id[0]++;
    bed.capture.history = bed.history;
    bed.warning[0] = '\0';
    assert_true(sim_node_start(bed.node));
    expect_names(&bed, "");
    assert_int_equal(bed_status(&bed).images, 0);
    assert_int_equal(bed_status(&bed).mark.lsn.at, 0); /* though theirs are higher */
    assert_string_equal(bed.warning, "");
    assert_int_equal(bed.removed, 2); /* and named */
    assert_int_equal(bed_save(&bed, 3), ERR_OK);
    expect_names(&bed, IMAGE_3);
    bed_restart(&bed);
    assert_int_equal(bed_status(&bed).mark.lsn.at, 3);
    assert_int_equal(bed_status(&bed).mark.history.id[0], bed.history.id[0]);
    bed_close(&bed);
}

TEST(snapshot_shelf, images_of_another_history_or_cluster_are_removed_by_the_start)
{
    expect_left_behind(false);
    expect_left_behind(true);
}

TEST(snapshot_shelf, one_of_another_history_that_cannot_be_removed_counts_for_nothing)
{
    struct bed bed;
    bed_open(&bed);
    assert_int_equal(bed_save(&bed, 3), ERR_OK);
    assert_true(sim_node_stop(bed.node));
    bed.history.id[0]++;
    bed.capture.history = bed.history;
    struct sim_fault fault = {.ops = 1u << DISK_REMOVE, .hits = 1};
    (void)sim_disk_fault(bed.disk, &fault);
    assert_true(sim_node_start(bed.node));
    expect_names(&bed, IMAGE_3);
    assert_int_equal(bed_status(&bed).images, 0);
    assert_int_equal(bed_status(&bed).images_bad, 1);
    bed_scrub(&bed);
    assert_int_equal(bed_status(&bed).images, 0);
    bed.keep = 1;
    assert_int_equal(bed_save(&bed, 1), ERR_OK);
    expect_names(&bed, IMAGE_1 " " IMAGE_3);
    bed_restart(&bed);
    expect_names(&bed, IMAGE_1);
    bed_close(&bed);
}

/* A flipped bit of its header is not the history of another one. */
TEST(snapshot_shelf, what_does_not_read_is_not_taken_for_an_image_of_another_history)
{
    struct bed bed;
    bed_open(&bed);
    assert_int_equal(bed_save(&bed, 2), ERR_OK);
    for (uint64_t at = 24; at < 56; at += 8) {
        assert_true(sim_disk_damage(bed.disk, PATH_2, at, 1, SIM_DAMAGE_FLIP));
        bed_restart(&bed);
        expect_names(&bed, IMAGE_2);
        assert_int_equal(bed_status(&bed).images_bad, 1);
        assert_true(sim_disk_damage(bed.disk, PATH_2, at, 1, SIM_DAMAGE_FLIP));
    }
    bed_close(&bed);
}

TEST(snapshot_shelf, an_image_on_its_way_in_from_another_copy_is_none_and_stays)
{
    struct bed bed;
    bed_open(&bed);
    put(&bed, "incoming.tmp", "half");
    put(&bed, "incoming.offer", "offer");
    bed_restart(&bed);
    bed.keep = 1;
    assert_int_equal(bed_save(&bed, 1), ERR_OK);
    assert_int_equal(bed_save(&bed, 2), ERR_OK);
    bed_scrub(&bed);
    expect_names(&bed, IMAGE_2 " incoming.offer incoming.tmp");
    assert_int_equal(bed_status(&bed).images, 1);
    assert_int_equal(bed_status(&bed).images_bad, 0);
    bed_close(&bed);
}
