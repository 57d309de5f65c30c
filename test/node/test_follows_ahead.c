/* SPDX-License-Identifier: Apache-2.0 */
/* How far a replica's log runs ahead of its state. */
#include "test/node/follows_bed.h"

static uint64_t primary_last(struct bed *bed)
{
    return bed->pair.copies[0].size;
}

static void expect_all(struct bed *bed)
{
    assert_true(node_follows_streams(&bed->node));
    assert_int_equal(log_durable(bed->node.log).at, primary_last(bed));
    assert_int_equal(bed->committed, primary_last(bed));
}

TEST(node_follows_ahead, no_more_is_taken_while_much_waits_to_be_applied)
{
    struct bed *bed = bed_open();
    bed_write(bed, 20);
    bed_follow(bed, false);
    bed_exchange(bed);
    expect_all(bed);
    bed->node.copies.ahead_bytes = 1;
    bed->stalls = true;
    bed_write(bed, 5);
    bed_exchange(bed); /* committed here, and so it could be applied */
    assert_int_equal(bed->committed, primary_last(bed));
    uint64_t taken = log_appended(bed->node.log).at;
    bed_write(bed, 5);
    bed_exchange(bed);
    assert_int_equal(log_appended(bed->node.log).at, taken);
    bed->stalls = false;
    node_follow_commit(&bed->node, (struct lsn){bed->committed});
    bed_exchange(bed);
    expect_all(bed);
    bed_close(bed);
}

TEST(node_follows_ahead, what_nobody_may_apply_yet_holds_up_nothing)
{
    struct bed *bed = bed_open();
    bed_write(bed, 20);
    bed_follow(bed, false);
    bed_exchange(bed);
    bed->node.copies.ahead_bytes = 1;
    bed_write(bed, 5); /* comes before the word that it is committed */
    bed_exchange(bed);
    expect_all(bed);
    bed_close(bed);
}
