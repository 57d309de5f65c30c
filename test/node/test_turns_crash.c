/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts and installs between real logs and stores: what may not be cut is not, and a crash at any
 * I/O operation leaves the one generation or the other. */
#include "test/node/cohort.h"

static const struct cohort_rule all_two = {.all = true, .min_in_sync = 2};
static const struct cohort_rule local = {.min_in_sync = 1};

/* --- Cuts --- */

struct cut {
    struct sim_visit base;
    struct copy *copy;
    struct mark mark;
};

/* Of an entry that is in memory. */
static void look_mark(struct sim_visit *base, struct world *world)
{
    (void)world;
    struct cut *cut = CONTAINER_OF(base, struct cut, base);
    const struct node *node = cut->copy->bed.node;
    struct entry entry;
    bool there = log_entry(node->log, cut->mark.lsn, &entry);
    MUST(there);
    cut->mark = (struct mark){log_last(node->log).history, entry.epoch, entry.lsn, entry.lineage};
}

static void turn_cut(struct sim_visit *base, struct world *world)
{
    (void)world;
    struct cut *cut = CONTAINER_OF(base, struct cut, base);
    struct node *node = cut->copy->bed.node;
    node_follows_end(node, BYE_STOP);
    node_turn(node, &(struct turn){.kind = TURN_CUT, .mark = cut->mark});
}

static struct cut mark_of(struct copy *copy, uint64_t lsn)
{
    struct cut cut = {.base.run = look_mark, .copy = copy, .mark.lsn = {lsn}};
    assert_true(sim_node_visit(copy->bed.sim, &cut.base));
    cut.base.run = turn_cut;
    return cut;
}

/* The third copy has three entries that are not committed, since the second one has none. */
static struct cohort *with_a_tail(void)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[2];
    copy_write(old, "SET k v");
    UNTIL(cohort, copy->bed.node->committed.at == copy_last(old));
    sim_paths_cut(old->bed.sim, cohort->copies[1].bed.sim, SIM_BOTH_WAYS);
    for (unsigned i = 0; i < 3; i++) (void)bed_ask(&old->bed, CALL_WRITE, "SET k tail");
    UNTIL(cohort, copy_last(copy) == copy_last(old));
    assert_int_equal(copy->bed.node->committed.at, copy_last(copy) - 3);
    return cohort;
}

TEST(node_turn, a_cut_takes_what_is_behind_the_entry_and_the_rest_goes_on)
{
    struct cohort *cohort = with_a_tail();
    struct copy *copy = &cohort->copies[2];
    uint64_t last = copy_last(copy);
    struct cut cut = mark_of(copy, last - 2);
    assert_true(sim_node_visit(copy->bed.sim, &cut.base));
    cohort_run(cohort, 10 * SIM_MILLISECOND);
    assert_int_equal(log_appended(copy->bed.node->log).at, last - 2);
    assert_int_equal(log_last(copy->bed.node->log).lineage.hash, cut.mark.lineage.hash);
    assert_string_equal(copy_read(copy, "GET k"), "$v");
    /* Its primary knows that it had acked more: a disk that went back. Another process does not. */
    sim_paths_heal_all(cohort->world);
    UNTIL(cohort, strstr(copy_status(copy)->why.text, "refusal=rolled_back") != NULL ||
                      copy->bed.node->follows == NULL);
    cohort_kill(cohort, 0);
    cohort_start(cohort, 0);
    UNTIL(cohort, copy_follows(copy, &cohort->copies[0]));
    UNTIL(cohort, strcmp(copy_read(copy, "GET k"), "$tail") == 0);
    cohort_close(cohort);
}

TEST(node_turn, what_a_start_holds_of_what_is_cut_goes_too)
{
    struct cohort *cohort = with_a_tail();
    struct copy *copy = &cohort->copies[2];
    uint64_t last = copy_last(copy);
    struct cut cut = mark_of(copy, last - 2);
    cohort_run(cohort, 2 * SIM_SECOND); /* it is recorded what is committed */
    cohort_kill(cohort, 2);
    sim_net_isolate(copy->bed.sim, true);
    cohort_start(cohort, 2);
    assert_int_equal(copy->bed.node->behind.count, 3);
    assert_true(sim_node_visit(copy->bed.sim, &cut.base));
    UNTIL(cohort, copy->bed.node->turn.kind == TURN_NONE);
    assert_int_equal(copy_last(copy), last - 2);
    assert_int_equal(copy->bed.node->behind.count, 0);
    assert_int_equal(copy->bed.node->behind.to.at, last - 2);
    cohort_close(cohort);
}

TEST(node_turn, where_the_lineage_is_another_one_nothing_is_cut)
{
    for (uint64_t behind = 0; behind < 3; behind++) {
        struct cohort *cohort = with_a_tail();
        struct copy *copy = &cohort->copies[2];
        uint64_t last = copy_last(copy);
        struct cut cut = mark_of(copy, last - behind);
        cut.mark.lineage.hash ^= 1;
        assert_true(sim_node_visit(copy->bed.sim, &cut.base));
        cohort_run(cohort, 10 * SIM_MILLISECOND);
        assert_int_equal(copy->bed.node->turn.kind, TURN_NONE);
        assert_int_equal(log_appended(copy->bed.node->log).at, last);
        assert_int_equal(copy->bed.failures, 0);
        sim_paths_heal_all(cohort->world);
        UNTIL(cohort, copy_follows(copy, &cohort->copies[0]));
        cohort_close(cohort);
    }
}

TEST(node_turn, what_is_committed_is_not_cut_and_who_is_told_to_ends)
{
    struct cohort *cohort = with_a_tail();
    struct copy *copy = &cohort->copies[2];
    uint64_t last = copy_last(copy), committed = copy->bed.node->committed.at;
    cohort_run(cohort, 2 * SIM_SECOND); /* it has been recorded */
    struct cut cut = mark_of(copy, last);
    cut.mark.lsn.at = committed - 1;
    assert_true(sim_node_visit(copy->bed.sim, &cut.base));
    cohort_run(cohort, 10 * SIM_MILLISECOND);
    cohort_kill(cohort, 2);
    sim_net_isolate(copy->bed.sim, true);
    cohort_start(cohort, 2);
    assert_true(copy_last(copy) >= committed);
    assert_string_equal(copy_read(copy, "GET k"), "$v");
    sim_net_isolate(copy->bed.sim, false);
    sim_paths_heal_all(cohort->world);
    UNTIL(cohort, copy_follows(copy, &cohort->copies[0]));
    cohort_close(cohort);
}

/* --- A crash --- */

/* A copy with data of its own, which is told to give it up for those of the first one. */
static struct cohort *about_to_be_wiped(void)
{
    struct cohort *cohort = cohort_open(2, local);
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    copy->bed.options.copies.follow = "";
    cohort_start(cohort, 1);
    UNTIL(cohort, copy_is_open(copy));
    copy_write(copy, "SET k own");
    copy_write(leader, "SET k v");
    cohort_run(cohort, 3 * SIM_SECOND); /* what is committed is recorded */
    return cohort;
}

static bool has_taken_over(struct cohort *cohort)
{
    struct copy *copy = &cohort->copies[1];
    return copy_follows(copy, &cohort->copies[0]) && strcmp(copy_read(copy, "GET k"), "$v") == 0;
}

TEST(node_turn, behind_an_install_what_is_flushed_is_the_images_mark_here_and_as_it_is_told)
{
    struct cohort *cohort = about_to_be_wiped();
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_steer_at(copy, STEER_FOLLOW, leader);
    UNTIL(cohort, has_taken_over(cohort));
    struct lsn image = log_before(copy->bed.node->log).lsn;
    assert_true(image.at > 0);
    struct machine *machine = copy->bed.node->machine;
    assert_int_equal(machine->ops->flushed(machine).lsn.at, image.at);
    assert_true(copy_last(leader) == image.at && copy_last(copy) == image.at);
    struct stamp stamp = log_last_stamp(leader->bed.node->log);
    assert_int_equal(log_last_stamp(copy->bed.node->log).bits, stamp.bits);
    UNTIL(cohort, copy_says(leader, copy)->flushed.at == image.at);
    cohort_close(cohort);
}

TEST(node_turn, an_install_that_a_crash_ends_leaves_the_old_generation_or_the_new_one)
{
    struct cohort *cohort = about_to_be_wiped();
    uint64_t from = sim_node_io(cohort->copies[1].bed.sim);
    copy_steer_at(&cohort->copies[1], STEER_FOLLOW, &cohort->copies[0]);
    UNTIL(cohort, has_taken_over(cohort));
    uint64_t to = sim_node_io(cohort->copies[1].bed.sim);
    cohort_close(cohort);
    unsigned old = 0, new = 0, unproven = 0, variants = 0;
    struct sim_crash crash;
    while (sim_crash_variant(variants, &crash)) variants++;
    assert_true(to > from + 20);
    for (uint64_t io = from; io < to; io++) {
        cohort = about_to_be_wiped();
        struct copy *copy = &cohort->copies[1];
        assert_true(sim_crash_variant((unsigned)(io * 7) % variants, &crash));
        crash.io = io;
        sim_node_crash_at(copy->bed.sim, &crash);
        copy_steer_at(copy, STEER_FOLLOW, &cohort->copies[0]);
        for (unsigned i = 0; i < 500 && sim_node_is_up(copy->bed.sim); i++)
            cohort_run(cohort, 10 * SIM_MILLISECOND);
        if (sim_node_is_up(copy->bed.sim)) cohort_kill(cohort, 1);
        sim_node_crash_at(copy->bed.sim, NULL);
        sim_net_isolate(copy->bed.sim, true);
        cohort_start(cohort, 1);
        UNTIL(cohort, copy->bed.readies == 1);
        const char *has = copy_read(copy, "GET k");
        bool is_old = strcmp(has, "$own") == 0, is_new = strcmp(has, "$v") == 0;
        bool empty = strcmp(has, "(nil)") == 0; /* of the image, before the entries behind it */
        if (!is_old && !is_new && !empty) fail_msg("io %llu: %s", (unsigned long long)io, has);
        bool of_new = site_cluster(&copy->bed.node->site) ==
                      site_cluster(&cohort->copies[0].bed.node->site);
        assert_int_equal(of_new, !is_old);
        unproven += of_new && copy->bed.node->site.unproven;
        old += is_old;
        new += !is_old;
        sim_net_isolate(copy->bed.sim, false);
        if (copy_leads(copy)) copy_steer_at(copy, STEER_FOLLOW, &cohort->copies[0]);
        UNTIL(cohort, has_taken_over(cohort));
        cohort_close(cohort);
    }
    assert_true(old > 5 && new > 5 && unproven > 0);
}
