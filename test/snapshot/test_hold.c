/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/keeper.h"
#include "test/snapshot/bed.h"

#define PATH_1 BED_DIRECTORY "/" IMAGE_1
#define PATH_2 BED_DIRECTORY "/" IMAGE_2

struct holder {
    struct image_hold hold;
    struct bed *bed;
    unsigned done;
    bool lets_go; /* from inside of done() */
    enum err err;
};

static void check_done(struct image_hold *hold)
{
    struct holder *holder = CONTAINER_OF(hold, struct holder, hold);
    holder->done++;
    holder->err = hold->err;
    if (holder->lets_go) snapshot_unhold(holder->bed->snapshot, hold);
}

static struct holder holder_of(struct bed *bed)
{
    return (struct holder){.hold.done = check_done, .bed = bed};
}

static enum err hold_it(struct bed *bed, struct holder *holder, const struct mark *mark)
{
    struct bed_visit visit = {.base.run = bed_visited,
                              .bed = bed,
                              .deed = DEED_HOLD,
                              .hold = &holder->hold,
                              .mark = mark};
    assert_true(sim_node_visit(bed->node, &visit.base));
    return visit.err;
}

static void with_hold(struct bed *bed, struct holder *holder, enum bed_deed deed)
{
    struct bed_visit visit = {
        .base.run = bed_visited, .bed = bed, .deed = deed, .hold = &holder->hold};
    assert_true(sim_node_visit(bed->node, &visit.base));
}

static void unhold(struct bed *bed, struct holder *holder)
{
    with_hold(bed, holder, DEED_UNHOLD);
    bed_run(bed, 10 * SIM_MILLISECOND);
}

/* Images of several pieces each. */
static void open_with(struct bed *bed, uint64_t images)
{
    bed_open(bed);
    bed->capture.records = 1000;
    bed->capture.value_bytes = 1000;
    for (uint64_t lsn = 1; lsn <= images; lsn++) assert_int_equal(bed_save(bed, lsn), ERR_OK);
}

TEST(snapshot_hold, one_too_many_stays_as_long_as_it_is_held)
{
    struct bed bed;
    open_with(&bed, 1);
    bed.keep = 1;
    struct holder holder = holder_of(&bed), other = holder_of(&bed);
    assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK);
    assert_int_equal(hold_it(&bed, &other, &holder.hold.mark), ERR_OK);
    assert_int_equal(bed_save(&bed, 2), ERR_OK);
    assert_int_equal(bed_save(&bed, 3), ERR_OK);
    expect_names(&bed, IMAGE_1 " " IMAGE_3); /* and none of the newest goes for its sake */
    unhold(&bed, &holder);
    expect_names(&bed, IMAGE_1 " " IMAGE_3); /* there is another one who needs it */
    assert_false(other.hold.lost);
    unsigned scrubbed = bed.scrubbed, ended = bed.ended;
    unhold(&bed, &other);
    expect_names(&bed, IMAGE_3);
    assert_int_equal(bed.scrubbed, scrubbed + 1); /* whoever waits for quiet is told */
    assert_int_equal(bed.ended, ended);
    assert_true(snapshot_is_quiet(bed.snapshot));
    assert_false(bed_status(&bed).busy);
    unhold(&bed, &other); /* again is fine */
    assert_int_equal(bed_save(&bed, 4), ERR_OK);
    assert_int_equal(bed_status(&bed).images, 1);
    bed_close(&bed);
}

TEST(snapshot_hold, one_of_those_to_be_kept_stays_when_it_is_let_go_of)
{
    struct bed bed;
    open_with(&bed, 2);
    struct holder holder = holder_of(&bed);
    assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK);
    unhold(&bed, &holder);
    expect_names(&bed, IMAGE_1 " " IMAGE_2);
    bed_restart(&bed); /* nobody has said here yet how many there are to be */
    assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK);
    unhold(&bed, &holder);
    expect_names(&bed, IMAGE_1 " " IMAGE_2);
    bed_close(&bed);
}

static void expect_facts(struct bed *bed, const struct image_hold *hold, const char *path)
{
    struct buffer image;
    buffer_init(&image);
    assert_true(sim_disk_seen(bed->disk, path, &image));
    assert_string_equal(hold->path, path);
    assert_int_equal(hold->size, image.size);
    assert_int_equal(hold->checksum, load_le64(image.data + image.size - 8));
    assert_false(hold->lost);
    buffer_release(&image);
}

TEST(snapshot_hold, it_says_what_the_file_is_also_of_one_that_was_there_before)
{
    struct bed bed;
    open_with(&bed, 2);
    struct holder newest = holder_of(&bed), older = holder_of(&bed);
    for (unsigned life = 0; life < 2; life++) {
        struct mark mark = {.epoch = {2, 7}, .lsn = {1}, .lineage = {5}};
        assert_int_equal(hold_it(&bed, &newest, NULL), ERR_OK);
        assert_int_equal(newest.hold.mark.lsn.at, 2);
        expect_facts(&bed, &newest.hold, PATH_2);
        assert_int_equal(hold_it(&bed, &older, &mark), ERR_OK);
        expect_facts(&bed, &older.hold, PATH_1);
        assert_true(mark_equal(&older.hold.mark, &mark));
        unhold(&bed, &older);
        mark.lineage.hash++; /* of its LSN, but another one */
        assert_int_equal(hold_it(&bed, &older, &mark), ERR_NOT_FOUND);
        mark.lsn.at = 3;
        assert_int_equal(hold_it(&bed, &older, &mark), ERR_NOT_FOUND);
        unhold(&bed, &newest);
        bed_restart(&bed);
    }
    bed_close(&bed);
}

TEST(snapshot_hold, a_bad_one_is_not_held)
{
    struct bed bed;
    open_with(&bed, 2);
    struct holder holder = holder_of(&bed);
    assert_true(sim_disk_damage(bed.disk, PATH_2, 30, 1, SIM_DAMAGE_FLIP));
    bed_restart(&bed);
    assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK);
    assert_int_equal(holder.hold.mark.lsn.at, 1);
    unhold(&bed, &holder);
    assert_true(sim_disk_unlink(bed.disk, PATH_1));
    bed_restart(&bed);
    assert_int_equal(hold_it(&bed, &holder, NULL), ERR_NOT_FOUND);
    bed_close(&bed);
}

TEST(snapshot_hold, one_whose_removal_is_under_way_is_not_held)
{
    struct bed bed;
    open_with(&bed, 1);
    bed.keep = 1;
    struct holder holder = holder_of(&bed);
    struct sim_fault stall = {
        .ops = 1u << DISK_REMOVE, .kind = SIM_FAULT_STALL, .amount = 500 * SIM_MILLISECOND};
    (void)sim_disk_fault(bed.disk, &stall);
    bed_begin(&bed, 2);
    while (bed.snapshot->step != STEP_REMOVE) bed_run(&bed, SIM_MILLISECOND);
    const struct mark mark = {.epoch = {2, 7}, .lsn = {1}, .lineage = {5}};
    assert_int_equal(hold_it(&bed, &holder, &mark), ERR_NOT_FOUND);
    bed_run(&bed, SIM_SECOND);
    expect_names(&bed, IMAGE_2);
    bed_close(&bed);
}

/* --- The check --- */

TEST(snapshot_hold, a_check_reads_all_of_it_once_and_then_it_is_known)
{
    struct bed bed;
    open_with(&bed, 2);
    struct holder holder = holder_of(&bed);
    assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK);
    assert_false(holder.hold.checked);
    with_hold(&bed, &holder, DEED_CHECK);
    assert_int_equal(holder.done, 0); /* not from inside */
    bed_run(&bed, 20 * SIM_MILLISECOND);
    assert_int_equal(holder.done, 0); /* more than a megabyte, at 16 MiB a second */
    bed_run(&bed, SIM_SECOND);
    assert_int_equal(holder.done, 1);
    assert_int_equal(holder.err, ERR_OK);
    assert_true(holder.hold.checked);
    assert_int_equal(bed.scrubbed, 1);
    with_hold(&bed, &holder, DEED_CHECK);
    bed_run(&bed, SIM_MILLISECOND);
    assert_int_equal(holder.done, 2);
    unhold(&bed, &holder);
    assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK);
    assert_true(holder.hold.checked); /* nor does the next one wait */
    assert_int_equal(bed.scrubbed, 1);
    unhold(&bed, &holder);
    bed_close(&bed);
}

TEST(snapshot_hold, one_that_the_scrubber_has_read_is_checked)
{
    struct bed bed;
    open_with(&bed, 1);
    struct holder holder = holder_of(&bed);
    bed_scrub(&bed);
    assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK);
    assert_true(holder.hold.checked);
    unhold(&bed, &holder);
    bed_restart(&bed); /* but not in another process */
    assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK);
    assert_false(holder.hold.checked);
    bed_scrub(&bed);
    assert_true(holder.hold.checked);
    assert_int_equal(holder.done, 0); /* nobody has asked */
    unhold(&bed, &holder);
    bed_close(&bed);
}

TEST(snapshot_hold, a_corrupt_one_is_lost_and_says_so)
{
    for (unsigned asks = 0; asks < 2; asks++) {
        struct bed bed;
        open_with(&bed, 2);
        struct holder holder = holder_of(&bed);
        assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK);
        assert_true(sim_disk_damage(bed.disk, PATH_2, 500000, 1, SIM_DAMAGE_FLIP));
        if (asks == 1) with_hold(&bed, &holder, DEED_CHECK);
        bed_scrub(&bed);
        assert_int_equal(holder.done, asks);
        assert_true(holder.hold.lost);
        assert_false(holder.hold.checked);
        if (asks == 1) assert_int_equal(holder.err, ERR_CORRUPT);
        if (asks == 1) assert_non_null(strstr(holder.hold.why.text, "checksum"));
        expect_names(&bed, IMAGE_1 " " IMAGE_2 ".bad"); /* held or not */
        with_hold(&bed, &holder, DEED_CHECK);
        bed_run(&bed, SIM_MILLISECOND);
        assert_int_equal(holder.err, ERR_NOT_FOUND);
        unhold(&bed, &holder);
        assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK); /* there is another one */
        assert_int_equal(holder.hold.mark.lsn.at, 1);
        unhold(&bed, &holder);
        bed_close(&bed);
    }
}

TEST(snapshot_hold, one_that_cannot_be_read_now_is_not_lost_and_may_be_tried_again)
{
    struct bed bed;
    open_with(&bed, 1);
    struct holder holder = holder_of(&bed);
    assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK);
    struct sim_fault fault = {.ops = 1u << DISK_READ, .hits = 1};
    (void)sim_disk_fault(bed.disk, &fault);
    with_hold(&bed, &holder, DEED_CHECK);
    bed_run(&bed, SIM_SECOND);
    assert_int_equal(holder.done, 1);
    assert_int_equal(holder.err, ERR_IO);
    assert_false(holder.hold.lost || holder.hold.checked);
    with_hold(&bed, &holder, DEED_CHECK);
    bed_run(&bed, SIM_SECOND);
    assert_int_equal(holder.done, 2);
    assert_int_equal(holder.err, ERR_OK);
    assert_int_equal(bed_status(&bed).images_bad, 0);
    unhold(&bed, &holder);
    bed_close(&bed);
}

/* What it would send is not what it said. */
TEST(snapshot_hold, a_file_that_was_exchanged_is_lost)
{
    struct bed bed;
    open_with(&bed, 1);
    struct holder holder = holder_of(&bed);
    struct buffer image;
    buffer_init(&image);
    assert_true(sim_disk_seen(bed.disk, PATH_1, &image));
    bed_run(&bed, SIM_SECOND);
    assert_int_equal(bed_save(&bed, 1), ERR_OK); /* taken at another time */
    assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK);
    sim_disk_put(bed.disk, PATH_1, buffer_bytes(&image));
    buffer_release(&image);
    with_hold(&bed, &holder, DEED_CHECK);
    bed_run(&bed, SIM_SECOND);
    assert_int_equal(holder.err, ERR_CORRUPT);
    assert_true(holder.hold.lost);
    unhold(&bed, &holder);
    bed_close(&bed);
}

TEST(snapshot_hold, one_whose_name_a_new_image_has_taken_is_lost)
{
    struct bed bed;
    open_with(&bed, 1);
    struct holder holder = holder_of(&bed);
    assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK);
    assert_int_equal(bed_save(&bed, 1), ERR_OK);
    bed_run(&bed, SIM_MILLISECOND);
    assert_true(holder.hold.lost);
    with_hold(&bed, &holder, DEED_CHECK);
    bed_run(&bed, SIM_SECOND);
    assert_int_equal(holder.err, ERR_NOT_FOUND);
    unhold(&bed, &holder);
    expect_names(&bed, IMAGE_1);
    bed_close(&bed);
}

TEST(snapshot_hold, whatever_the_scrubber_reads_yields_to_a_check)
{
    struct bed bed;
    open_with(&bed, 2);
    bed.keep = 5;
    struct holder holder = holder_of(&bed);
    const struct mark mark = {.epoch = {2, 7}, .lsn = {1}, .lineage = {5}};
    assert_int_equal(hold_it(&bed, &holder, &mark), ERR_OK);
    bed.rate = 1 << 17; /* a piece a second, of the newest one */
    bed_do(&bed, DEED_SCRUB);
    bed_run(&bed, 2 * SIM_SECOND);
    assert_int_equal(bed.snapshot->scrub.step, SCRUB_PAUSE);
    with_hold(&bed, &holder, DEED_CHECK);
    bed_run(&bed, 1500 * SIM_MILLISECOND);
    assert_int_equal(holder.done, 1);
    assert_int_equal(holder.err, ERR_OK);
    bed_do(&bed, DEED_SCRUB); /* which begins with the other one again */
    bed_run(&bed, 15 * SIM_SECOND);
    assert_int_equal(bed.scrubbed, 3);
    assert_int_equal(bed_status(&bed).images, 2);
    assert_string_equal(bed.warning, "");
    unhold(&bed, &holder);
    bed_close(&bed);
}

TEST(snapshot_hold, two_checks_come_one_after_the_other)
{
    struct bed bed;
    open_with(&bed, 2);
    struct holder one = holder_of(&bed), two = holder_of(&bed);
    const struct mark mark = {.epoch = {2, 7}, .lsn = {1}, .lineage = {5}};
    assert_int_equal(hold_it(&bed, &one, &mark), ERR_OK);
    assert_int_equal(hold_it(&bed, &two, NULL), ERR_OK);
    with_hold(&bed, &two, DEED_CHECK);
    bed_run(&bed, 30 * SIM_MILLISECOND);
    with_hold(&bed, &one, DEED_CHECK); /* it does not take the place of the other */
    bed_run(&bed, 60 * SIM_MILLISECOND);
    assert_int_equal(two.done, 1);
    assert_int_equal(one.done, 0);
    bed_run(&bed, SIM_SECOND);
    assert_int_equal(one.done, 1);
    assert_int_equal(one.err, ERR_OK);
    assert_int_equal(bed.scrubbed, 2);
    unhold(&bed, &one);
    unhold(&bed, &two);
    bed_close(&bed);
}

TEST(snapshot_hold, a_check_waits_until_an_image_is_written)
{
    struct bed bed;
    open_with(&bed, 1);
    struct holder holder = holder_of(&bed);
    assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK);
    bed.capture.records = 50000;
    bed_begin(&bed, 3);
    with_hold(&bed, &holder, DEED_CHECK);
    bed_run(&bed, 150 * SIM_MILLISECOND);
    assert_true(bed_status(&bed).busy);
    assert_int_equal(holder.done, 0);
    while (bed.ended == 1) bed_run(&bed, SIM_MILLISECOND);
    bed_run(&bed, SIM_SECOND);
    assert_int_equal(holder.done, 1);
    assert_int_equal(holder.err, ERR_OK);
    unhold(&bed, &holder);
    bed_close(&bed);
}

TEST(snapshot_hold, told_to_stop_it_answers_who_waits)
{
    for (uint64_t us = 0; us < 120000; us += us / 8 + 50) {
        struct bed bed;
        open_with(&bed, 1);
        struct holder holder = holder_of(&bed);
        assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK);
        with_hold(&bed, &holder, DEED_CHECK);
        bed_run(&bed, us);
        bed_do(&bed, DEED_SCRUB_STOP);
        bed_run(&bed, 20 * SIM_MILLISECOND);
        assert_int_equal(holder.done, 1);
        assert_true(holder.err == ERR_SHUT || holder.err == ERR_OK);
        assert_true(snapshot_is_quiet(bed.snapshot));
        unhold(&bed, &holder);
        bed_close(&bed);
    }
}

TEST(snapshot_hold, one_that_is_let_go_of_is_told_nothing_any_more)
{
    for (uint64_t us = 0; us < 120000; us += us / 4 + 500) {
        struct bed bed;
        open_with(&bed, 1);
        bed.keep = 1;
        struct holder holder = holder_of(&bed), other = holder_of(&bed);
        other.lets_go = true;
        assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK);
        assert_int_equal(hold_it(&bed, &other, NULL), ERR_OK);
        with_hold(&bed, &holder, DEED_CHECK);
        with_hold(&bed, &other, DEED_CHECK);
        bed_run(&bed, us);
        unsigned done = holder.done;
        with_hold(&bed, &holder, DEED_UNHOLD);
        bed_run(&bed, SIM_SECOND);
        assert_int_equal(holder.done, done);
        assert_int_equal(other.done, 1);
        bed_close(&bed);
    }
}

/* Its removal does not begin while the scrubber has it in hand. */
TEST(snapshot_hold, a_corrupt_one_that_is_let_go_of_is_set_aside_or_removed)
{
    for (uint64_t us = 55000; us < 75000; us += 40) {
        struct bed bed;
        open_with(&bed, 1);
        bed.keep = 1;
        struct holder holder = holder_of(&bed);
        assert_int_equal(hold_it(&bed, &holder, NULL), ERR_OK);
        assert_int_equal(bed_save(&bed, 2), ERR_OK);
        struct sim_fault stall = {
            .ops = 1u << DISK_REMOVE, .kind = SIM_FAULT_STALL, .amount = 50 * SIM_MILLISECOND};
        (void)sim_disk_fault(bed.disk, &stall);
        assert_true(sim_disk_damage(bed.disk, PATH_1, 1000000, 1, SIM_DAMAGE_FLIP));
        with_hold(&bed, &holder, DEED_CHECK);
        bed_run(&bed, us);
        with_hold(&bed, &holder, DEED_UNHOLD);
        bed_run(&bed, SIM_SECOND);
        assert_null(strstr(bed.warning, "image_not_set_aside"));
        assert_int_equal(bed_status(&bed).images, 1);
        assert_int_equal(bed_status(&bed).mark.lsn.at, 2);
        bed_close(&bed);
    }
}
