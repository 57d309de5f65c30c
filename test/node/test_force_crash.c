/* SPDX-License-Identifier: Apache-2.0 */
/* PROMOTE FORCE that a crash or a failing disk ends: the old history, or the new one with its
 * leader; and whoever was told that it failed has the old one. */
#include "test/node/cohort.h"

static const struct cohort_rule local = {.min_in_sync = 1};

static struct cohort *about_to_be_forced(struct history *before)
{
    struct cohort *cohort = cohort_whole(2, local);
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_write(old, "SET k v");
    copy_steer_at(copy, STEER_FOLLOW, old); /* a start would go on with that */
    UNTIL(cohort, copy_follows(copy, old) && copy_last(copy) == copy_last(old));
    cohort_run(cohort, 3 * SIM_SECOND);
    cohort_kill(cohort, 0);
    *before = copy->bed.node->site.pointer.history;
    return cohort;
}

static bool is_history(const struct copy *copy, const struct history *history)
{
    return memcmp(&copy->bed.node->site.pointer.history, history, sizeof *history) == 0;
}

/* It ends by itself, or with the crash, or in a leader. */
static void force(struct cohort *cohort)
{
    struct copy *copy = &cohort->copies[1];
    copy_steer(copy, STEER_PROMOTE_FORCE);
    for (unsigned i = 0; i < 1000; i++) {
        if (!sim_node_is_up(copy->bed.sim) || copy->bed.failures > 0 || copy->steered) return;
        cohort_run(cohort, 10 * SIM_MILLISECOND);
    }
}

/* The next life: all that was there, in one of the two histories. True: in the new one. */
static bool look_again(struct cohort *cohort, const struct history *before)
{
    struct copy *copy = &cohort->copies[1];
    cohort_start(cohort, 1);
    UNTIL(cohort, copy->bed.readies == 1);
    bool old = is_history(copy, before);
    if (!old) UNTIL(cohort, copy_is_open(copy));
    assert_string_equal(copy_read(copy, "GET k"), "$v");
    return !old;
}

static bool look_again_after(struct cohort *cohort, const struct history *before,
                             enum sim_keep keep)
{
    struct sim_node *sim = cohort->copies[1].bed.sim;
    if (sim_node_is_up(sim)) sim_node_crash(sim, (struct sim_cut){keep, 0});
    return look_again(cohort, before);
}

/* Of the operations that a FORCE takes. */
static void count_io(uint64_t *from, uint64_t *to)
{
    struct history before;
    struct cohort *cohort = about_to_be_forced(&before);
    struct copy *copy = &cohort->copies[1];
    *from = sim_node_io(copy->bed.sim);
    force(cohort);
    assert_true(copy->steered && copy_leads(copy) && !is_history(copy, &before));
    *to = sim_node_io(copy->bed.sim);
    cohort_close(cohort);
}

TEST(node_force, a_crash_leaves_the_old_history_or_the_new_one_with_its_leader)
{
    uint64_t from, to;
    unsigned old = 0, new = 0, variants = 0;
    struct sim_crash crash;
    while (sim_crash_variant(variants, &crash)) variants++;
    count_io(&from, &to);
    for (uint64_t io = from; io < to; io++) {
        struct history before;
        struct cohort *cohort = about_to_be_forced(&before);
        struct copy *copy = &cohort->copies[1];
        assert_true(sim_crash_variant((unsigned)(io * 7) % variants, &crash));
        crash.io = io;
        sim_node_crash_at(copy->bed.sim, &crash);
        force(cohort);
        bool answered = copy->steered && sim_node_is_up(copy->bed.sim);
        sim_node_crash_at(copy->bed.sim, NULL);
        bool is_new = look_again_after(cohort, &before, SIM_KEEP_NOTHING);
        assert_true(is_new || !answered || copy->steer.err != ERR_OK);
        new += is_new;
        old += !is_new;
        cohort_close(cohort);
    }
    assert_true(old > 5 && new > 5);
}

/* Its image may be all that a lost store of the old history can be made of again. */
TEST(node_force, a_new_history_that_cannot_be_written_leaves_the_image_of_the_old_one)
{
    struct history before;
    struct cohort *cohort = about_to_be_forced(&before);
    struct copy *copy = &cohort->copies[1];
    /* Behind the one that makes the image's name durable. */
    const struct sim_fault fault = {.ops = 1u << DISK_SYNC_DIR,
                                    .paths = "*/images",
                                    .skip = 1,
                                    .hits = 1,
                                    .kind = SIM_FAULT_ERROR};
    (void)sim_disk_fault(sim_node_disk(copy->bed.sim), &fault);
    force(cohort);
    assert_true(copy->steered && copy->steer.err != ERR_OK);
    assert_true(is_history(copy, &before));
    assert_int_equal(bed_images(&copy->bed).images, 1);
    assert_false(look_again_after(cohort, &before, SIM_KEEP_NOTHING));
    cohort_close(cohort);
}

/* An error of each operation in turn. */
TEST(node_force, who_is_told_that_it_failed_has_the_old_history)
{
    static const enum disk_op ops[] = {DISK_RENAME, DISK_SYNC_DIR, DISK_WRITE_SYNC, DISK_REMOVE};
    unsigned refused = 0, ended = 0;
    for (unsigned i = 0; i < 2 * sizeof ops / sizeof *ops; i++) {
        for (unsigned skips = 0; skips < 12; skips++) {
            struct history before;
            struct cohort *cohort = about_to_be_forced(&before);
            struct copy *copy = &cohort->copies[1];
            const struct sim_fault fault = {
                .ops = 1u << ops[i / 2], .skip = skips, .hits = 1, .kind = SIM_FAULT_ERROR};
            uint64_t id = sim_disk_fault(sim_node_disk(copy->bed.sim), &fault);
            force(cohort);
            bool told = copy->steered && sim_node_is_up(copy->bed.sim);
            bool well = told && copy->steer.err == ERR_OK;
            sim_disk_unfault(sim_node_disk(copy->bed.sim), id);
            ended += !told;
            refused += told && !well;
            if (told) assert_int_equal(is_history(copy, &before), !well);
            enum sim_keep keep = i % 2 == 0 ? SIM_KEEP_NOTHING : SIM_KEEP_ALL;
            bool is_new = look_again_after(cohort, &before, keep);
            if (told) assert_int_equal(is_new, well);
            cohort_close(cohort);
        }
    }
    assert_true(refused > 0 && ended > 0);
}
