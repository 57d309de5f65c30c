/* SPDX-License-Identifier: Apache-2.0 */
/* A copy that has taken more of the log than it has applied, and keeps it in the log's files. */
#include "test/node/cohort.h"

enum {
    WRITES = 48,
    VALUE_BYTES = 12000,
    AHEAD_BYTES = 2 << 20,
    MEMORY_BYTES = AHEAD_BYTES / NODE_FOLLOW_MEMORY_SHARE,
    BATCH_BYTES = NODE_SESSION_BATCH_BYTES + VALUE_BYTES,
};

static const struct cohort_rule local = {.min_in_sync = 1};

static void write_sized(struct copy *copy, char letter, unsigned value_bytes)
{
    copy->bed.count = 0;
    memset(copy->bed.calls, 0, sizeof copy->bed.calls);
    char words[VALUE_BYTES + 32];
    for (unsigned i = 0; i < WRITES; i++) {
        unsigned size = (unsigned)snprintf(words, sizeof words, "SET k%u ", i);
        memset(words + size, letter, value_bytes);
        words[size + value_bytes] = '\0';
        (void)bed_ask(&copy->bed, CALL_WRITE, words);
    }
    UNTIL(copy->cohort, copy->bed.ends > 0 && copy->bed.calls[WRITES - 1].ended);
}

static void write_some(struct copy *copy, char letter)
{
    write_sized(copy, letter, VALUE_BYTES);
}

static uint64_t applied(const struct copy *copy)
{
    const struct machine *machine = copy->bed.node->machine;
    return machine->ops->applied(machine).lsn.at;
}

/* Nothing is applied from the start on, as if a record was being read; and again everything. */
static void hold(struct copy *copy)
{
    copy->bed.node->stalled = true;
}

static void let_go(struct copy *copy)
{
    copy->started = NULL;
    copy->bed.node->stalled = false;
    clock_defer(copy->bed.node->world.clock, &copy->bed.node->apply);
}

/* The second copy is away. */
static struct cohort *with_one_away(void)
{
    struct cohort *cohort = cohort_open(2, local);
    struct copy *copy = &cohort->copies[1];
    /* So that disks are faster than the network. */
    sim_net_profile(cohort->world)->window_bytes = 16 << 10;
    sim_paths_profile(cohort->world)->delay_us_min = SIM_MILLISECOND;
    sim_paths_profile(cohort->world)->delay_us_max = SIM_MILLISECOND;
    cohort_join(cohort, 1);
    cohort_run(cohort, 2 * SIM_SECOND); /* what is committed is recorded */
    cohort_kill(cohort, 1);
    UNTIL(cohort, sim_paths_links(cohort->copies[0].bed.sim, copy->bed.sim) == 0);
    return cohort;
}

/* And is held when it comes back. */
static struct cohort *with_a_backlog(uint64_t ahead_bytes)
{
    struct cohort *cohort = with_one_away();
    struct copy *copy = &cohort->copies[1];
    write_some(&cohort->copies[0], 'a');
    copy->bed.options.copies.ahead_bytes = ahead_bytes;
    copy->started = hold;
    cohort_start(cohort, 1);
    return cohort;
}

static struct cohort *in_sync_with_a_backlog(void)
{
    struct cohort *cohort = with_a_backlog(AHEAD_BYTES);
    struct copy *copy = &cohort->copies[1];
    UNTIL(cohort, copy_follows(copy, &cohort->copies[0]));
    assert_true(node_is_behind(copy->bed.node));
    assert_int_equal(copy_last(copy) - applied(copy), WRITES);
    return cohort;
}

static void expect_equal(struct cohort *cohort, char letter)
{
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    UNTIL(cohort, copy->bed.node != NULL && applied(copy) == applied(leader));
    const struct machine *machines[2] = {leader->bed.node->machine, copy->bed.node->machine};
    struct digest digests[2];
    for (unsigned i = 0; i < 2; i++) digests[i] = machines[i]->ops->digest(machines[i]);
    assert_memory_equal(&digests[0], &digests[1], sizeof digests[0]);
    assert_false(node_is_behind(copy->bed.node));
    assert_int_equal(copy_read(copy, "GET k7")[1], letter);
}

TEST(node_behind, a_copy_is_in_sync_before_it_has_applied_what_it_has)
{
    struct cohort *cohort = in_sync_with_a_backlog();
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    const struct node *node = copy->bed.node;
    assert_int_equal(log_durable(node->log).at, copy_last(leader));
    assert_int_equal(node->behind.to.at, copy_last(copy));
    assert_int_equal(node->order_count, 0);
    assert_int_equal(log_kept_bytes(node->log), 0);
    struct service_status status;
    copy->bed.service->ops->status(copy->bed.service, &status);
    assert_int_equal(status.apply_backlog, WRITES);
    copy_do(copy, let_go);
    expect_equal(cohort, 'a');
    copy->bed.service->ops->status(copy->bed.service, &status);
    assert_int_equal(status.apply_backlog, 0);
    assert_int_equal(status.read_back, WRITES);
    write_some(leader, 'b'); /* in memory again */
    expect_equal(cohort, 'b');
    copy->bed.service->ops->status(copy->bed.service, &status);
    assert_int_equal(status.read_back, WRITES);
    cohort_close(cohort);
}

/* How many of many small entries it has applied just before it is in sync: they take a quarter of a
 * second, in which twelve steps or thirteen may be taken. */
static uint64_t applied_before_sync(uint64_t ahead_bytes)
{
    enum { SMALL_BYTES = 1000, TIMES = 40 };
    struct cohort *cohort = with_one_away();
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    uint64_t before = copy_last(leader), count = 0;
    for (unsigned i = 0; i < TIMES; i++) write_sized(leader, 'a', SMALL_BYTES);
    copy->bed.options.copies.ahead_bytes = ahead_bytes;
    cohort_start(cohort, 1);
    while (copy->bed.node == NULL || !copy_follows(copy, leader)) {
        count = copy->bed.node == NULL ? 0 : applied(copy) - before;
        cohort_run(cohort, SIM_MILLISECOND);
    }
    assert_true(copy_last(leader) - before >= TIMES * WRITES); /* and a stamp */
    expect_equal(cohort, 'a');
    cohort_close(cohort);
    return count;
}

TEST(node_behind, what_is_still_to_come_comes_before_what_is_to_be_applied)
{
    assert_in_range(applied_before_sync(AHEAD_BYTES), NODE_BEHIND_STEP_ENTRIES,
                    15 * NODE_BEHIND_STEP_ENTRIES);
    /* Too much waits: then it takes its share. */
    assert_true(applied_before_sync(64 << 10) > 24 * NODE_BEHIND_STEP_ENTRIES);
}

TEST(node_behind, what_comes_meanwhile_is_applied_after_it)
{
    struct cohort *cohort = in_sync_with_a_backlog();
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_write(leader, "SET k7 c");
    UNTIL(cohort, copy_last(copy) == copy_last(leader));
    assert_int_equal(copy->bed.node->behind.to.at, copy_last(copy));
    copy_do(copy, let_go);
    expect_equal(cohort, 'c');
    cohort_close(cohort);
}

TEST(node_behind, what_waits_is_bounded)
{
    enum { FEW_BYTES = 128 << 10 };
    struct cohort *cohort = with_a_backlog(FEW_BYTES);
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    cohort_run(cohort, SIM_SECOND);
    write_some(leader, 'b');
    cohort_run(cohort, SIM_SECOND);
    assert_true(copy_last(copy) < copy_last(leader));
    assert_false(copy_follows(copy, leader));
    uint64_t bytes = copy->bed.node->behind.bytes;
    assert_in_range(bytes, FEW_BYTES, WRITES * VALUE_BYTES);
    assert_true(bytes >= (copy_last(copy) - applied(copy)) * VALUE_BYTES);
    copy_do(copy, let_go);
    UNTIL(cohort, copy_follows(copy, leader));
    expect_equal(cohort, 'b');
    cohort_close(cohort);
}

/* The primary may be waiting for this copy, and a promotion would. */
TEST(node_behind, while_it_streams_the_backlog_does_not_grow)
{
    struct cohort *cohort = in_sync_with_a_backlog();
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    uint64_t waited = copy->bed.node->behind.bytes;
    write_some(leader, 'b');
    cohort_run(cohort, SIM_SECOND);
    write_some(leader, 'c');
    cohort_run(cohort, SIM_SECOND);
    assert_true(copy_last(copy) < copy_last(leader));
    assert_in_range(copy->bed.node->behind.bytes, waited + MEMORY_BYTES,
                    waited + MEMORY_BYTES + BATCH_BYTES);
    copy_do(copy, let_go);
    expect_equal(cohort, 'c');
    cohort_close(cohort);
}

TEST(node_behind, a_copy_that_is_promoted_applies_it_first)
{
    struct cohort *cohort = in_sync_with_a_backlog();
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_steer_at(old, STEER_FAILOVER, copy);
    UNTIL(cohort, copy_leads(copy));
    assert_false(copy_is_open(copy));
    assert_true(node_is_behind(copy->bed.node));
    assert_string_equal(copy_read(copy, "GET k7"), "-LOADING");
    copy_do(copy, let_go);
    UNTIL(cohort, copy_is_open(copy));
    assert_int_equal(copy_read(copy, "GET k7")[1], 'a');
    write_some(copy, 'd');
    UNTIL(cohort, copy_follows(old, copy));
    expect_equal(cohort, 'd');
    cohort_close(cohort);
}

/* While the first of it is being read; and the log is not read on. */
static void begin_and_cut(struct copy *copy)
{
    struct node *node = copy->bed.node;
    copy->started = NULL;
    node->stalled = false;
    node_run(node);
    MUST(node->behind.follow != NULL);
    node_follows_end(node, BYE_STOP);
    node_turn(node, &(struct turn){.kind = TURN_CUT, .mark = log_last(node->log)});
    node_run(node);
}

TEST(node_behind, it_goes_on_behind_a_cut)
{
    struct cohort *cohort = in_sync_with_a_backlog();
    struct copy *copy = &cohort->copies[1];
    copy_do(copy, begin_and_cut);
    assert_int_equal(copy->bed.node->turn.kind, TURN_CUT);
    UNTIL(cohort, copy->bed.node->turn.kind == TURN_NONE);
    expect_equal(cohort, 'a');
    cohort_close(cohort);
}

TEST(node_behind, a_start_goes_on_with_it)
{
    struct cohort *cohort = in_sync_with_a_backlog();
    struct copy *copy = &cohort->copies[1];
    uint64_t last = copy_last(copy);
    sim_net_isolate(copy->bed.sim, true);
    cohort_kill(cohort, 1);
    copy->started = NULL;
    cohort_start(cohort, 1);
    assert_int_equal(copy_last(copy), last);
    cohort_run(cohort, SIM_SECOND);
    assert_int_equal(copy_last(copy), last);
    sim_net_isolate(copy->bed.sim, false);
    UNTIL(cohort, copy_follows(copy, &cohort->copies[0]));
    expect_equal(cohort, 'a');
    cohort_close(cohort);
}

TEST(node_behind, a_clean_stop_does_not_wait_for_it)
{
    struct cohort *cohort = in_sync_with_a_backlog();
    struct copy *copy = &cohort->copies[1];
    copy->bed.node->stalled = false;
    (void)bed_do(&copy->bed, DEED_STOP, NULL, ERR_OK);
    cohort_run(cohort, 100 * SIM_MILLISECOND);
    assert_int_equal(copy->bed.stops, 1);
    (void)sim_node_stop(copy->bed.sim);
    copy->started = NULL;
    cohort_start(cohort, 1);
    UNTIL(cohort, copy_follows(copy, &cohort->copies[0]));
    expect_equal(cohort, 'a');
    cohort_close(cohort);
}

TEST(node_behind, what_a_start_may_not_apply_yet_it_holds_in_memory)
{
    struct cohort *cohort = cohort_open(1, local);
    struct copy *copy = &cohort->copies[0];
    for (unsigned i = 0; i < 3; i++) copy_write(copy, "SET k7 v");
    uint64_t last = copy_last(copy);
    cohort_kill(cohort, 0); /* its last commits are not recorded */
    cohort_start(cohort, 0);
    const struct node *node = copy->bed.node;
    assert_true(applied(copy) < last);
    assert_int_equal(node->behind.count, last - applied(copy));
    assert_null(node->behind.follow);
    UNTIL(cohort, copy_is_open(copy));
    assert_string_equal(copy_read(copy, "GET k7"), "$v");
    cohort_close(cohort);
}
