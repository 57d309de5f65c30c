/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for copies, or for a mark. The copies, the log and the session to the primary are this
 * file's: it defines the three functions that node/awaits.c asks them by. */
#include "node/awaits.h"

#include <string.h>

#include "base/memory.h"
#include "node/internal.h"
#include "test/test.h"

struct bed {
    struct node node;
    struct clock clock;
    uint64_t now_us;
    struct machine machine;
    struct mark applied;
    struct lsn synced_there; /* by both other copies */
    struct lsn synced_here;
    bool streams;
    unsigned done;
};

struct waiter_of_test {
    struct await await;
    struct bed *bed;
    unsigned ended;
    bool again; /* asks for the same once more when it is told */
};

static const struct bed *bed_of(const struct node *node)
{
    return (const struct bed *)(const void *)((const char *)node - offsetof(struct bed, node));
}

unsigned node_serves_durable(const struct node *node, struct lsn lsn)
{
    return lsn_before(bed_of(node)->synced_there, lsn) ? 0 : 2;
}

bool node_follows_streams(const struct node *node)
{
    return bed_of(node)->streams;
}

/* The log of a bed is its node. */
struct lsn log_durable(const struct log *log)
{
    return bed_of((const struct node *)(const void *)log)->synced_here;
}

static struct mark bed_applied(const struct machine *machine)
{
    return ((const struct bed *)(const void *)((const char *)machine -
                                               offsetof(struct bed, machine)))
        ->applied;
}

static uint64_t bed_now(struct clock *clock)
{
    return CONTAINER_OF(clock, struct bed, clock)->now_us;
}

static void bed_timer_start(struct clock *clock, struct timer *timer, uint64_t delay_us)
{
    timer->armed = true;
    timer->due_us = bed_now(clock) + delay_us;
}

static void bed_timer_stop(struct clock *clock, struct timer *timer)
{
    (void)clock;
    timer->armed = false;
}

/* A primary with two other copies, at entry 10 of its third epoch, which began at 8. */
static struct bed *bed_open(void)
{
    static const struct clock_ops clock_ops = {
        .now_us = bed_now, .timer_start = bed_timer_start, .timer_stop = bed_timer_stop};
    static const struct machine_ops machine_ops = {.applied = bed_applied};
    static const struct epoch_start starts[] = {{.epoch = {1, 1}, .first = {1}},
                                                {.epoch = {2, 1}, .first = {5}},
                                                {.epoch = {3, 1}, .first = {8}}};
    struct bed *bed = memory_zeroed(1, sizeof *bed);
    bed->clock.ops = &clock_ops;
    bed->machine.ops = &machine_ops;
    bed->now_us = 1000000;
    struct node *node = &bed->node;
    node->world.clock = &bed->clock;
    node->machine = &bed->machine;
    node->log = (struct log *)(void *)node;
    node->serves = (struct serves *)(void *)node;
    node->phase = NODE_SERVING;
    node->leads = true;
    epochs_init(&node->epochs);
    struct why why;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(epochs_append(&node->epochs, &starts[i], &why), ERR_OK);
    node_awaits_init(&node->awaits);
    bed->applied = (struct mark){.history = {{7}}, .epoch = {3, 1}, .lsn = {10}, .lineage = {0xa}};
    bed->synced_here = bed->synced_there = (struct lsn){10};
    return bed;
}

static void bed_close(struct bed *bed)
{
    assert_true(list_empty(&bed->node.awaits.waiting));
    assert_false(bed->node.awaits.timer.armed);
    epochs_release(&bed->node.epochs);
    memory_free(bed);
}

static void told(struct await *await)
{
    struct waiter_of_test *waiter = CONTAINER_OF(await, struct waiter_of_test, await);
    waiter->ended++;
    waiter->bed->done++;
    if (!waiter->again) return;
    waiter->again = false;
    node_await(&waiter->bed->node.service, await);
}

static void wait_for(struct bed *bed, struct waiter_of_test *waiter, struct await await)
{
    *waiter = (struct waiter_of_test){.await = await, .bed = bed};
    waiter->await.done = told;
    node_await(&bed->node.service, &waiter->await);
}

static void pass(struct bed *bed, uint64_t us)
{
    bed->now_us += us;
    struct timer *timer = &bed->node.awaits.timer;
    while (timer->armed && timer->due_us <= bed->now_us) {
        timer->armed = false;
        timer->fired(timer);
    }
}

static struct mark mark_at(uint64_t epoch, uint64_t lsn)
{
    return (struct mark){.history = {{7}}, .epoch = {epoch, 1}, .lsn = {lsn}, .lineage = {0xa}};
}

static void expect_mark(struct bed *bed, struct mark mark, enum err err)
{
    struct waiter_of_test waiter;
    wait_for(bed, &waiter, (struct await){.marked = true, .mark = mark});
    if (err == ERR_PENDING) {
        assert_int_equal(waiter.ended, 0);
        node_unawait(&bed->node.service, &waiter.await);
        return;
    }
    assert_int_equal(waiter.ended, 1);
    assert_int_equal(waiter.await.err, err);
}

static unsigned others_have;

static unsigned others(struct await *await)
{
    (void)await;
    return others_have;
}

TEST(node_awaits, others_that_the_caller_knows_of_count_with_the_copies)
{
    struct bed *bed = bed_open();
    struct waiter_of_test a;
    others_have = 0;
    wait_for(bed, &a, (struct await){.lsn = {10}, .copies = 3, .others = others});
    assert_int_equal(a.ended, 0);
    node_await_again(&bed->node.service);
    assert_int_equal(a.ended, 0);
    others_have = 1;
    node_await_again(&bed->node.service);
    assert_true(a.ended == 1 && a.await.found == 3);
    wait_for(bed, &a,
             (struct await){.lsn = {11}, .copies = 9, .timeout_us = 1000, .others = others});
    pass(bed, 1000);
    assert_true(a.ended == 1 && a.await.found == 1);
    bed_close(bed);
}

TEST(node_awaits, copies_that_have_it_are_counted_at_once_and_when_something_moves)
{
    struct bed *bed = bed_open();
    struct waiter_of_test a, b;
    wait_for(bed, &a, (struct await){.lsn = {10}, .copies = 2});
    assert_int_equal(a.ended, 1);
    assert_int_equal(a.await.err, ERR_OK);
    assert_int_equal(a.await.found, 2);
    assert_true(a.await.found_local);
    wait_for(bed, &a, (struct await){.lsn = {11}, .copies = 1});
    wait_for(bed, &b, (struct await){.lsn = {11}, .copies = 1, .local = true});
    node_awaits_check(&bed->node);
    assert_int_equal(bed->done, 1);
    bed->synced_there.at = 11;
    node_awaits_check(&bed->node);
    assert_true(a.ended == 1 && a.await.found == 2 && !a.await.found_local);
    assert_int_equal(b.ended, 0); /* not here yet */
    bed->synced_here.at = 11;
    node_awaits_check(&bed->node);
    assert_true(b.ended == 1 && b.await.found_local);
    wait_for(bed, &a, (struct await){.lsn = {99}}); /* nobody is asked for */
    assert_true(a.ended == 1 && a.await.found == 0);
    bed_close(bed);
}

TEST(node_awaits, who_waits_too_long_is_told_what_there_is)
{
    struct bed *bed = bed_open();
    struct waiter_of_test a, b, c, d;
    wait_for(bed, &a, (struct await){.lsn = {10}, .copies = 3, .timeout_us = 500});
    wait_for(bed, &b, (struct await){.lsn = {10}, .copies = 3, .timeout_us = 200});
    wait_for(bed, &c, (struct await){.marked = true, .mark = mark_at(3, 11), .timeout_us = 300});
    wait_for(bed, &d, (struct await){.lsn = {10}, .copies = 3});
    assert_int_equal(d.await.found, 2); /* also while it waits */
    pass(bed, 199);
    assert_int_equal(bed->done, 0);
    pass(bed, 1);
    assert_true(b.ended == 1 && b.await.err == ERR_OK && b.await.found == 2);
    assert_int_equal(bed->done, 1);
    pass(bed, 100);
    assert_true(c.ended == 1 && c.await.err == ERR_PENDING);
    pass(bed, 200);
    assert_true(a.ended == 1 && a.await.err == ERR_OK && a.await.found == 2);
    pass(bed, 1000000000);
    assert_int_equal(d.ended, 0);
    node_unawait(&bed->node.service, &d.await);
    node_unawait(&bed->node.service, &d.await); /* twice is fine */
    node_awaits_check(&bed->node);
    assert_int_equal(d.ended, 0);
    bed_close(bed);
}

TEST(node_awaits, a_mark_is_there_is_to_come_or_is_lost)
{
    struct bed *bed = bed_open();
    expect_mark(bed, mark_at(3, 10), ERR_OK);
    expect_mark(bed, mark_at(3, 8), ERR_OK);
    expect_mark(bed, mark_at(2, 7), ERR_OK);
    expect_mark(bed, mark_at(1, 4), ERR_OK);
    expect_mark(bed, mark_at(3, 11), ERR_PENDING);
    expect_mark(bed, mark_at(4, 11), ERR_PENDING);
    expect_mark(bed, mark_at(2, 8), ERR_NOT_FOUND);  /* that epoch ended at 7 */
    expect_mark(bed, mark_at(1, 99), ERR_NOT_FOUND); /* that one at 4 */
    expect_mark(bed, mark_at(4, 9), ERR_NOT_FOUND);  /* here it is of epoch 3 */
    struct mark other = mark_at(3, 10);
    other.lineage.hash++;
    expect_mark(bed, other, ERR_NOT_FOUND);
    other = mark_at(1, 1);
    other.history.id[0]++;
    expect_mark(bed, other, ERR_NOT_FOUND);
    bed_close(bed);
}

/* It may yet be given another state. */
TEST(node_awaits, only_a_copy_in_a_session_knows_that_a_mark_is_lost)
{
    struct bed *bed = bed_open();
    bed->node.leads = false;
    struct mark foreign = mark_at(3, 10);
    foreign.history.id[0]++;
    expect_mark(bed, mark_at(2, 8), ERR_PENDING);
    expect_mark(bed, foreign, ERR_PENDING);
    expect_mark(bed, mark_at(3, 10), ERR_OK);
    bed->streams = true;
    expect_mark(bed, mark_at(2, 8), ERR_NOT_FOUND);
    expect_mark(bed, foreign, ERR_NOT_FOUND);
    bed_close(bed);
}

/* An epoch whose entries are not applied yet may still be cut off. */
TEST(node_awaits, an_epoch_counts_when_it_is_applied)
{
    struct bed *bed = bed_open();
    bed->applied = mark_at(2, 7);
    struct waiter_of_test a;
    wait_for(bed, &a, (struct await){.marked = true, .mark = mark_at(2, 8)});
    assert_int_equal(a.ended, 0);
    bed->applied = mark_at(3, 8);
    node_awaits_check(&bed->node);
    assert_true(a.ended == 1 && a.await.err == ERR_NOT_FOUND);
    bed_close(bed);
}

TEST(node_awaits, without_the_lead_nobody_waits_for_copies_but_marks_are_waited_for)
{
    struct bed *bed = bed_open();
    struct waiter_of_test a, b, c;
    wait_for(bed, &a, (struct await){.lsn = {11}, .copies = 1, .timeout_us = 100});
    wait_for(bed, &b, (struct await){.marked = true, .mark = mark_at(3, 11)});
    bed->node.leads = false;
    node_awaits_unlead(&bed->node);
    assert_true(a.ended == 1 && a.await.err == ERR_NOT_LEADER);
    wait_for(bed, &c, (struct await){.lsn = {1}, .copies = 1});
    assert_true(c.ended == 1 && c.await.err == ERR_NOT_LEADER);
    assert_int_equal(b.ended, 0);
    bed->applied = mark_at(3, 11);
    node_awaits_check(&bed->node);
    assert_true(b.ended == 1 && b.await.err == ERR_OK);
    bed_close(bed);
}

TEST(node_awaits, while_the_shard_is_closed_nothing_is_looked_at_but_time_passes)
{
    struct bed *bed = bed_open();
    struct waiter_of_test a, b;
    bed->node.leads = false;
    bed->node.turn.kind = TURN_CUT;
    bed->node.machine = NULL;
    wait_for(bed, &a, (struct await){.marked = true, .mark = mark_at(3, 9), .timeout_us = 100});
    wait_for(bed, &b, (struct await){.marked = true, .mark = mark_at(3, 9)});
    node_awaits_check(&bed->node);
    pass(bed, 100);
    assert_true(a.ended == 1 && a.await.err == ERR_PENDING);
    assert_int_equal(b.ended, 0);
    bed->node.turn.kind = TURN_NONE;
    bed->node.machine = &bed->machine;
    node_awaits_check(&bed->node);
    assert_true(b.ended == 1 && b.await.err == ERR_OK);
    bed_close(bed);
}

TEST(node_awaits, who_asks_again_when_it_is_told_waits_again)
{
    struct bed *bed = bed_open();
    struct waiter_of_test a, b;
    wait_for(bed, &a, (struct await){.lsn = {11}, .copies = 1});
    wait_for(bed, &b, (struct await){.lsn = {11}, .copies = 1});
    bed->node.leads = false;
    a.again = true; /* and is refused from inside */
    node_awaits_unlead(&bed->node);
    assert_int_equal(a.ended, 2);
    assert_int_equal(b.ended, 1);
    bed->node.leads = true;
    wait_for(bed, &a, (struct await){.marked = true, .mark = mark_at(3, 11), .timeout_us = 10});
    a.again = true;
    pass(bed, 10);
    assert_int_equal(a.ended, 1);
    pass(bed, 10);
    assert_int_equal(a.ended, 2);
    bed_close(bed);
}

TEST(node_awaits, a_stop_ends_every_wait)
{
    struct bed *bed = bed_open();
    struct waiter_of_test a, b, c;
    wait_for(bed, &a, (struct await){.lsn = {11}, .copies = 1, .timeout_us = 100});
    wait_for(bed, &b, (struct await){.marked = true, .mark = mark_at(3, 11)});
    bed->node.phase = NODE_DRAINING;
    node_awaits_end(&bed->node);
    assert_true(a.ended == 1 && a.await.err == ERR_SHUT);
    assert_true(b.ended == 1 && b.await.err == ERR_SHUT);
    wait_for(bed, &c, (struct await){.marked = true, .mark = mark_at(3, 10)});
    assert_true(c.ended == 1 && c.await.err == ERR_SHUT);
    bed_close(bed);
}
