/* SPDX-License-Identifier: Apache-2.0 */
/* Who counts: several nodes, and the steps that change it. */
#include "base/plant.h"
#include "test/node/cohort.h"

static const struct cohort_rule all_two = {.all = true, .min_in_sync = 2};
static const struct cohort_rule drops = {true, 2, 2 * SIM_SECOND};

TEST(node_members, in_mode_all_nothing_is_written_before_enough_copies_count)
{
    struct cohort *cohort = cohort_open(2, all_two);
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    assert_string_equal(refused_write(leader)->answer, "-NOREPLICAS");
    assert_false(copy_status(leader)->may_write);
    assert_true(copy_status(leader)->all);
    cohort_visit(cohort, 1); /* it follows, and does not count */
    assert_string_equal(refused_write(leader)->answer, "-NOREPLICAS");
    copy_steer_at(leader, STEER_ADD, copy);
    UNTIL(cohort, leader->steered && copy_status(leader)->may_write);
    assert_int_equal(copy_status(leader)->counting, 2);
    copy_write(leader, "SET k v");
    UNTIL(cohort, strcmp(copy_read(copy, "GET k"), "$v") == 0);
    cohort_close(cohort);
}

/* Kinds and who counts, of every MEMBERS entry in order: "1/2- 1/2+ ..." */
static void told_members(struct copy *copy, char out[256])
{
    struct why why;
    struct log_reader *reader;
    struct entry entry = {0};
    const struct node *node = copy->bed.node;
    size_t size = 0;
    out[0] = '\0';
    enum err err = log_reader_open(&reader, sim_node_world(copy->bed.sim)->disk, node->site.log,
                                   log_floor(node->log), &why);
    assert_int_equal(err, ERR_OK);
    while (lsn_before(err == ERR_OK ? entry.lsn : (struct lsn){0}, log_durable(node->log))) {
        err = log_reader_next(reader, &entry, &why);
        if (err != ERR_OK) break;
        struct members members;
        if (entry.payload.data[0] != ENTRY_MEMBERS) continue;
        assert_int_equal(payload_members(entry.payload, &members), ERR_OK);
        unsigned counts = 0;
        for (unsigned i = 0; i < members.count; i++) counts += members.at[i].counts;
        size += (size_t)snprintf(out + size, 256 - size, "%s%u of %u%s", size > 0 ? ", " : "",
                                 counts, members.count, members.all ? " all" : "");
        assert_true(size < 256);
    }
    log_reader_close(reader);
}

/* Inside the node, whose log is read. */
static void tell_members(struct copy *copy)
{
    told_members(copy, copy->text);
}

TEST(node_members, in_mode_all_nothing_is_written_that_nobody_would_confirm)
{
    struct cohort *cohort = cohort_whole(2, all_two);
    struct copy *leader = &cohort->copies[0];
    copy_write(leader, "SET k v");
    cohort_kill(cohort, 1);
    cohort_run(cohort, 5 * SIM_SECOND);
    assert_false(copy_status(leader)->may_write);
    assert_string_equal(refused_write(leader)->answer, "-NOREPLICAS");
    assert_string_equal(copy_read(leader, "GET k"), "$v");
    cohort_start(cohort, 1);
    UNTIL(cohort, copy_status(leader)->may_write);
    copy_write(leader, "SET k x");
    cohort_close(cohort);
}

TEST(node_members, a_copy_is_named_then_counts_then_the_rule_is_changed)
{
    struct cohort *cohort = cohort_whole(2, all_two);
    struct copy *leader = &cohort->copies[0];
    copy_do(leader, tell_members);
    assert_string_equal(leader->text, "1 of 2, 2 of 2, 2 of 2 all");
    assert_true(cohort->copies[1].bed.node->membership.now.all); /* each copy knows it */
    assert_int_equal(cohort->copies[1].bed.node->membership.now.min_in_sync, 2);
    cohort_close(cohort);
}

TEST(node_members, who_has_no_session_or_is_not_known_is_neither_added_nor_removed)
{
    struct cohort *cohort = cohort_open(1, all_two);
    struct copy *leader = &cohort->copies[0];
    uint64_t last = copy_last(leader);
    for (enum steer_kind kind = STEER_ADD; kind <= STEER_REMOVE; kind++) {
        copy_steer_so(leader, (struct steer){.kind = kind, .copy = 77});
        assert_true(leader->steered);
        assert_int_equal(leader->steer.err, ERR_NOT_FOUND);
    }
    copy_steer_so(leader, (struct steer){.kind = STEER_RULE, .all = true, .min_in_sync = 2});
    assert_true(leader->steered);
    assert_int_equal(leader->steer.err, ERR_REFUSED);
    assert_int_equal(copy_last(leader), last);
    cohort_close(cohort);
}

TEST(node_members, a_copy_that_follows_cannot_change_them)
{
    struct cohort *cohort = cohort_whole(2, all_two);
    struct copy *copy = &cohort->copies[1];
    for (enum steer_kind kind = STEER_ADD; kind <= STEER_RULE; kind++) {
        if (kind == STEER_REBUILD) continue;
        copy_steer_so(copy, (struct steer){.kind = kind, .copy = 1, .min_in_sync = 1});
        assert_true(copy->steered);
        assert_int_equal(copy->steer.err, ERR_REFUSED);
    }
    cohort_close(cohort);
}

TEST(node_members, a_removal_is_confirmed_without_the_copy_that_leaves)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *leader = &cohort->copies[0], *gone = &cohort->copies[2];
    uint64_t id = copy_id(gone);
    cohort_kill(cohort, 2);
    struct asked *held = bed_ask(&leader->bed, CALL_WRITE, "SET k held");
    cohort_run(cohort, 3 * SIM_SECOND);
    assert_false(held->ended); /* it counts as long as it is not removed */
    copy_steer_so(leader, (struct steer){.kind = STEER_REMOVE, .copy = id});
    UNTIL(cohort, leader->steered);
    assert_int_equal(leader->steer.err, ERR_OK);
    UNTIL(cohort, held->ended);
    expect_answer(held, "+OK");
    assert_int_equal(leader->bed.node->membership.now.count, 2);
    assert_int_equal(copy_status(leader)->counting, 2);
    cohort_close(cohort);
}

TEST(node_members, none_is_removed_that_would_leave_fewer_than_the_rule_wants)
{
    struct cohort *cohort = cohort_whole(2, all_two);
    struct copy *leader = &cohort->copies[0];
    copy_steer_at(leader, STEER_REMOVE, &cohort->copies[1]);
    UNTIL(cohort, leader->steered);
    assert_int_equal(leader->steer.err, ERR_REFUSED);
    assert_non_null(strstr(leader->steer.why.text, "min-in-sync"));
    assert_int_equal(copy_status(leader)->counting, 2);
    copy_write(leader, "SET k v");
    cohort_close(cohort);
}

TEST(node_members, a_copy_that_is_gone_for_too_long_is_dropped_and_counts_again_once_it_is_back)
{
    struct cohort *cohort = cohort_whole(3, drops);
    struct copy *leader = &cohort->copies[0], *gone = &cohort->copies[2];
    uint64_t began_us = sim_world_now_us(cohort->world);
    cohort_kill(cohort, 2);
    struct asked *held = bed_ask(&leader->bed, CALL_WRITE, "SET k held");
    UNTIL(cohort, held->ended);
    expect_answer(held, "+OK");
    assert_true(sim_world_now_us(cohort->world) - began_us >= 2 * SIM_SECOND);
    assert_true(sim_world_now_us(cohort->world) - began_us < 20 * SIM_SECOND);
    assert_int_equal(leader->bed.node->membership.now.count, 3); /* it stays named */
    assert_int_equal(copy_status(leader)->counting, 2);
    cohort_start(cohort, 2);
    UNTIL(cohort, copy_counts(leader, gone));
    assert_string_equal(copy_read(gone, "GET k"), "$held");
    copy_write(leader, "SET k v");
    cohort_close(cohort);
}

TEST(node_members, the_last_that_the_rule_wants_is_never_dropped)
{
    struct cohort *cohort = cohort_whole(2, drops);
    struct copy *leader = &cohort->copies[0];
    cohort_kill(cohort, 1);
    struct asked *held = bed_ask(&leader->bed, CALL_WRITE, "SET k held");
    cohort_run(cohort, 30 * SIM_SECOND);
    assert_false(held->ended);
    assert_int_equal(copy_status(leader)->counting, 2);
    cohort_start(cohort, 1);
    UNTIL(cohort, held->ended);
    expect_answer(held, "+OK");
    cohort_close(cohort);
}

TEST(node_members, a_copy_that_is_lost_while_it_is_added_is_given_up)
{
    struct cohort *cohort = cohort_whole(3, drops);
    struct copy *leader = &cohort->copies[0], *late = &cohort->copies[2];
    copy_steer_at(leader, STEER_REMOVE, late);
    UNTIL(cohort, leader->steered);
    assert_int_equal(leader->steer.err, ERR_OK);
    UNTIL(cohort, copy_says(leader, late) != NULL && copy_says(leader, late)->connected);
    copy_steer_at(leader, STEER_ADD, late);
    while (leader->bed.node->membership.stage != CHANGE_ADD)
        assert_true(sim_world_step(cohort->world));
    cohort_kill(cohort, 2);
    struct asked *held = bed_ask(&leader->bed, CALL_WRITE, "SET k held");
    UNTIL(cohort, leader->steered && held->ended);
    expect_answer(held, "+OK");
    assert_int_equal(copy_status(leader)->counting, 2);
    cohort_close(cohort);
}

/* Two copies that are gone hold up the naming of another; the removal of the first is confirmed
 * before anything is committed. */
TEST(node_members, what_is_named_already_is_not_named_again)
{
    struct cohort *cohort = cohort_open(4, (struct cohort_rule){true, 1, 2 * SIM_SECOND});
    struct copy *leader = &cohort->copies[0], *late = &cohort->copies[3];
    cohort_join(cohort, 1);
    cohort_join(cohort, 2);
    UNTIL(cohort, !leader->bed.node->membership.proposes);
    cohort_visit(cohort, 3);
    cohort_kill(cohort, 1);
    cohort_kill(cohort, 2);
    copy_steer_at(leader, STEER_ADD, late);
    UNTIL(cohort, leader->steered);
    assert_int_equal(leader->steer.err, ERR_OK);
    assert_int_equal(leader->bed.node->membership.now.count, 4);
    UNTIL(cohort, copy_status(leader)->counting == 2);
    assert_true(copy_counts(leader, late));
    copy_write(leader, "SET k v");
    cohort_close(cohort);
}

static void flush_now(struct copy *copy)
{
    node_flush_now(copy->bed.node);
}

/* Two flushes of both: what the first knows of the other's floor is old. */
static void flush_both(struct cohort *cohort)
{
    for (unsigned i = 0; i < 4; i++) {
        copy_do(&cohort->copies[i % 2], flush_now);
        cohort_run(cohort, SIM_SECOND);
    }
}

static bool floor_of_replica(bool planted)
{
    struct cohort *cohort = cohort_whole(3, (struct cohort_rule){false, 1, 0});
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    uint64_t held = copy_last(&cohort->copies[2]) + 1;
    plant_set(PLANT_REPLICA_TRIMS_ALONE, planted);
    cohort_kill(cohort, 2);
    char words[2020] = "SET k ";
    memset(words + 6, 'v', sizeof words - 7);
    for (unsigned i = 0; i < 150; i++) copy_write(leader, words); /* several segments */
    flush_both(cohort);
    assert_true(log_floor(leader->bed.node->log).at <= held);
    bool keeps = log_floor(copy->bed.node->log).at <= held;
    cohort_start(cohort, 2);
    UNTIL(cohort, copy_last(&cohort->copies[2]) == copy_last(leader));
    flush_both(cohort);
    assert_true(log_floor(leader->bed.node->log).at > held);
    assert_true(log_floor(copy->bed.node->log).at > held);
    plant_set(PLANT_REPLICA_TRIMS_ALONE, false);
    cohort_close(cohort);
    return keeps;
}

TEST(node_members, a_replica_keeps_the_log_that_its_primary_keeps_for_others)
{
    assert_true(floor_of_replica(false));
    assert_false(floor_of_replica(true));
}

TEST(node_members, the_mode_of_the_log_outlives_the_configuration)
{
    struct cohort *cohort = cohort_whole(2, all_two);
    struct copy *leader = &cohort->copies[0];
    cohort_kill(cohort, 0);
    leader->bed.options.copies.all = false;
    leader->bed.options.copies.min_in_sync = 1;
    cohort_start(cohort, 0);
    UNTIL(cohort, copy_is_open(leader));
    assert_true(copy_status(leader)->all);
    assert_int_equal(copy_status(leader)->min_in_sync, 2);
    cohort_kill(cohort, 1);
    struct asked *held = bed_ask(&leader->bed, CALL_WRITE, "SET k held");
    cohort_run(cohort, 5 * SIM_SECOND);
    assert_false(held->ended);
    cohort_close(cohort);
}

TEST(node_members, an_image_says_who_is_named_too)
{
    struct cohort *cohort = cohort_open(3, all_two);
    struct copy *leader = &cohort->copies[0], *late = &cohort->copies[2];
    cohort_join(cohort, 1);
    UNTIL(cohort, !leader->bed.node->membership.proposes);
    assert_int_equal(bed_save(&leader->bed), ERR_OK);
    UNTIL(cohort, bed_images(&leader->bed).images > 0 && !bed_images(&leader->bed).saving);
    uint64_t image = bed_images(&leader->bed).lsn.at;
    assert_true(image >= leader->bed.node->membership.entry.at);
    cohort_visit(cohort, 2);
    assert_int_equal(log_before(late->bed.node->log).lsn.at, image);
    assert_int_equal(late->bed.node->membership.now.count, 2);
    assert_true(late->bed.node->membership.now.all);
    cohort_close(cohort);
}
