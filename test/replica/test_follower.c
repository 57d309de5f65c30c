/* SPDX-License-Identifier: Apache-2.0 */
/* The promises of the receiving end of a session, one by one. */
#include "replica/follower.h"

#include "test/replica/talk.h"

static void to_verdict(struct pair *pair)
{
    while (pair->follower->phase != FOLLOWER_HELLO || pair->pipes[1].size == 0) {
        if (pair->result_count > 0) pair_answer(pair, 0);
        pair_deliver(pair, true, SIZE_MAX);
        if (pair->follower->phase != FOLLOWER_HELLO) pair_deliver(pair, false, SIZE_MAX);
    }
}

TEST(replica_follower, primary_of_a_lower_epoch_is_not_followed)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    to_verdict(&pair);
    pair.follower->facts.promised = (struct epoch){2, 7}; /* promised to another one meanwhile */
    pair_deliver(&pair, false, SIZE_MAX);
    assert_int_equal(pair.follower->link.reason, BYE_FENCED);
    for (unsigned i = 0; i < pair.result_count; i++)
        assert_int_not_equal(pair.results[i].effect.kind, EFFECT_PROMISE);
    pair_close(&pair);
}

TEST(replica_follower, verdict_of_another_cluster_is_for_those_who_may_be_wiped)
{
    for (unsigned wipe = 0; wipe < 2; wipe++) {
        struct pair pair;
        usual(&pair, 5);
        pair_connect(&pair);
        to_verdict(&pair);
        pair.primary->link.cluster = 4;
        pair.follower->facts.wipe = wipe == 1;
        struct buffer out;
        buffer_init(&out);
        verdict_put(&out, &(struct message_verdict){{.kind = RECOVER_REBUILD_BASE}});
        struct frame_head head = {FRAME_VERDICT, 0, 4, {1, 1}, 9};
        buffer_clear(&pair.pipes[1]);
        size_t begin = frame_begin(&pair.pipes[1]);
        buffer_append(&pair.pipes[1], buffer_bytes(&out));
        frame_seal(&pair.pipes[1], begin, &head);
        pair_deliver(&pair, false, SIZE_MAX);
        assert_int_equal(pair.follower->link.reason, wipe == 1 ? 0 : BYE_PROTOCOL);
        buffer_release(&out);
        pair_close(&pair);
    }
}

/* The replica has promised far more, but in another history. */
TEST(replica_follower, verdict_of_another_history_is_for_those_who_may_be_wiped_and_rebuilt)
{
    for (unsigned i = 0; i < 4; i++) {
        struct pair pair;
        bool wipe = i & 1, rebuilds = i & 2;
        usual(&pair, 5);
        pair_connect(&pair);
        to_verdict(&pair);
        pair.follower->facts.wipe = wipe;
        pair.follower->facts.promised = (struct epoch){9, 7};
        struct recover_plan plan = {.kind = rebuilds ? RECOVER_REBUILD_BASE : RECOVER_CATCH_UP,
                                    .common.history.id[0] = 8};
        struct buffer out;
        buffer_init(&out);
        verdict_put(&out, &(struct message_verdict){plan});
        struct frame_head head = {FRAME_VERDICT, 0, 3, {1, 1}, 9};
        buffer_clear(&pair.pipes[1]);
        size_t begin = frame_begin(&pair.pipes[1]);
        buffer_append(&pair.pipes[1], buffer_bytes(&out));
        frame_seal(&pair.pipes[1], begin, &head);
        pair_deliver(&pair, false, SIZE_MAX);
        assert_int_equal(pair.follower->link.reason, wipe && rebuilds ? 0 : BYE_PROTOCOL);
        buffer_release(&out);
        pair_close(&pair);
    }
}

TEST(replica_follower, refusal_of_another_cluster_is_believed)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    to_verdict(&pair);
    pair.primary->link.cluster = 4;
    struct buffer out;
    buffer_init(&out);
    struct recover_plan plan = {
        .kind = RECOVER_REFUSE, .rule = RULE_CLUSTER, .refusal = REFUSAL_FOREIGN};
    verdict_put(&out, &(struct message_verdict){plan});
    struct frame_head head = {FRAME_VERDICT, 0, 4, {1, 1}, 9};
    buffer_clear(&pair.pipes[1]);
    size_t begin = frame_begin(&pair.pipes[1]);
    buffer_append(&pair.pipes[1], buffer_bytes(&out));
    frame_seal(&pair.pipes[1], begin, &head);
    pair_deliver(&pair, false, SIZE_MAX);
    assert_int_equal(pair.follower->phase, FOLLOWER_CLOSED);
    assert_int_equal(pair.follower->plan.kind, RECOVER_REFUSE);
    assert_int_equal(pair.follower->plan.rule, RULE_CLUSTER);
    buffer_release(&out);
    pair_close(&pair);
}

TEST(replica_follower, promise_that_is_refused_ends_it)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    to_verdict(&pair);
    pair_deliver(&pair, false, SIZE_MAX);
    pair.copies[1].promised = (struct epoch){2, 7};
    exchange(&pair);
    assert_int_equal(pair.follower->link.reason, BYE_FENCED);
    assert_int_equal(pair.copies[1].size, 0);
    pair_close(&pair);
}

TEST(replica_follower, verdict_about_another_log_is_not_believed)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    pair_settle(&pair);
    pair_disconnect(&pair);
    pair_connect(&pair);
    to_verdict(&pair);
    pair.follower->last.lineage.hash++;
    exchange(&pair);
    assert_int_equal(pair.follower->link.reason, BYE_FORK);
    pair_close(&pair);
}

/* A replica with an entry of its own at LSN 4 and 5, whose primary has others there. */
static void parted(struct pair *pair, uint64_t applied)
{
    usual(pair, 2);
    pair_connect(pair);
    pair_settle(pair);
    pair_disconnect(pair);
    struct pair_copy *replica = &pair->copies[1];
    pair_append(replica, pair->copies[0].promised, (struct stamp){0}, 91);
    pair_append(replica, pair->copies[0].promised, (struct stamp){0}, 92);
    replica->durable = 5;
    replica->applied = applied;
    replica->committed = replica->committed < applied ? applied : replica->committed;
    pair_lead(pair, pair->progress.rule, false);
    write_some(pair, 1);
}

TEST(replica_follower, tail_that_the_primary_lacks_is_cut_and_what_is_applied_never)
{
    struct pair pair;
    parted(&pair, 3);
    pair_connect(&pair);
    pair_settle(&pair);
    assert_int_equal(pair.plan.kind, RECOVER_CUT);
    assert_int_equal(pair.states[0], STATE_IN_SYNC);
    pair_close(&pair);
    parted(&pair, 3);
    pair_connect(&pair);
    to_verdict(&pair);
    pair.follower->facts.applied.at = 4; /* were the verdict wrong */
    exchange(&pair);
    assert_int_equal(pair.follower->link.reason, BYE_FORK);
    assert_int_equal(pair.copies[1].size, 5);
    pair_close(&pair);
}

TEST(replica_follower, committed_entry_that_the_primary_lacks_is_a_conflict_for_people)
{
    struct pair pair;
    parted(&pair, 4);
    pair_connect(&pair);
    exchange(&pair);
    assert_int_equal(pair.plan.refusal, REFUSAL_CONFLICT);
    assert_int_equal(pair.primary->link.reason, BYE_REFUSED);
    assert_int_equal(pair.copies[1].size, 5);
    pair_close(&pair);
}

TEST(replica_follower, entries_that_do_not_follow_are_refused_whole)
{
    for (unsigned i = 0; i < 6; i++) {
        struct pair pair;
        usual(&pair, 5);
        pair_connect(&pair);
        pair_settle(&pair);
        struct pair_copy *replica = &pair.copies[1], *primary = &pair.copies[0];
        uint64_t last = replica->size;
        pair.follower->last_stamp.bits = 10;
        struct entry entries[2];
        for (unsigned k = 0; k < 2; k++)
            entries[k] = (struct entry){.lsn = {last + 1 + k},
                                        .epoch = primary->promised,
                                        .stamp = {10},
                                        .payload = bytes_of(primary->payload[1], 8)};
        struct lineage before = replica->log[last].lineage;
        if (i == 1) entries[0].lsn.at++, entries[1].lsn.at++;
        if (i == 2) before.hash++;
        if (i == 3) entries[1].stamp.bits = 9;
        if (i == 4) entries[0].epoch.number++, entries[1].epoch.number++;
        entries[0].lineage = log_lineage(before, &entries[0]);
        entries[1].lineage = log_lineage(entries[0].lineage, &entries[1]);
        if (i == 5) entries[1].lineage.hash++;
        inject_entries(&pair, entries, 2, before);
        assert_int_equal(replica->size, i == 0 ? last + 2 : last);
        assert_int_equal(pair.follower->link.reason, i == 0 ? 0 : BYE_FORK);
        pair_close(&pair);
    }
}

TEST(replica_follower, entries_of_an_earlier_epoch_do_not_come_after_a_later_one)
{
    struct pair pair;
    usual(&pair, 5);
    pair_lead(&pair, pair.progress.rule, false);
    write_some(&pair, 2);
    pair_connect(&pair);
    pair_settle(&pair);
    uint64_t last = pair.copies[1].size;
    struct entry entry = {.lsn = {last + 1}, .epoch = {1, 1}, .payload = bytes_text("x")};
    struct lineage before = pair.copies[1].log[last].lineage;
    entry.lineage = log_lineage(before, &entry);
    inject_entries(&pair, &entry, 1, before);
    assert_int_equal(pair.follower->link.reason, BYE_FORK);
    assert_int_equal(pair.copies[1].size, last);
    pair_close(&pair);
}

TEST(replica_follower, entries_that_came_already_are_dropped_and_the_rest_is_taken)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    pair_settle(&pair);
    struct pair_copy *primary = &pair.copies[0], *replica = &pair.copies[1];
    inject_entries(&pair, &primary->log[2], 4, primary->log[1].lineage);
    assert_int_equal(pair.follower->duplicates, 4);
    pair.primary->appended.at += 100; /* the primary itself is to send nothing */
    uint64_t last = replica->size;
    for (unsigned i = 0; i < 3; i++)
        pair_append(primary, primary->promised, primary->log[last].stamp, 70 + i);
    inject_entries(&pair, &primary->log[last - 1], 5, primary->log[last - 2].lineage);
    assert_int_equal(pair.follower->duplicates, 6);
    assert_int_equal(replica->size, last + 3);
    assert_int_equal(replica->log[last + 3].lineage.hash, primary->log[last + 3].lineage.hash);
    pair_disconnect(&pair);
    pair_lead(&pair, pair.progress.rule, false);
    pair_disconnect(&pair);
    pair_connect(&pair);
    pair_settle(&pair);
    inject_entries(&pair, &primary->log[2], 4, primary->log[1].lineage); /* of the epoch before */
    assert_int_equal(pair.follower->duplicates, 4);
    assert_int_equal(pair.follower->link.reason, 0);
    pair_close(&pair);
}

TEST(replica_follower, replica_acks_what_is_synced_and_applies_what_is_both_committed_and_synced)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    pair_settle(&pair);
    uint64_t before = pair.copies[1].applied;
    write_some(&pair, 6);
    exchange(&pair);
    assert_int_equal(pair.copies[1].size, before + 6);
    assert_int_equal(pair.primary->ack.durable.at, before); /* received is not synced */
    assert_int_equal(pair.copies[1].applied, before);       /* though it is committed there */
    pair.copies[1].durable = before + 2;
    pair_log_event(&pair, false);
    exchange(&pair);
    assert_int_equal(pair.primary->ack.durable.at, before + 2);
    assert_int_equal(pair.copies[1].applied, before + 2);
    pair_close(&pair);
}

TEST(replica_follower, pieces_of_an_image_out_of_place_end_it)
{
    for (unsigned i = 0; i < 3; i++) {
        struct pair pair;
        usual(&pair, 20);
        pair.copies[0].flushed = pair.copies[0].applied;
        pair.copies[0].floor = 15;
        pair_connect(&pair);
        while (pair.follower->phase != FOLLOWER_TRANSFER || pair.follower->image_next < 200 ||
               pair.follower->image.size == 0 || pair.follower->image_next == UINT64_MAX) {
            if (pair.result_count > 0) pair_answer(&pair, 0);
            pair_deliver(&pair, true, SIZE_MAX);
            pair_deliver(&pair, false, 300);
        }
        buffer_clear(&pair.pipes[1]);
        pair.follower->link.reader.held.size = 0;
        struct buffer out;
        buffer_init(&out);
        const struct message_chunk chunk = {pair.follower->image_next + (i == 0 ? 1 : 0),
                                            bytes_text("abc")};
        if (i < 2) chunk_put(&out, &chunk);
        else image_put(&out, &pair.follower->image);
        inject(&pair, false, i < 2 ? FRAME_IMAGE_CHUNK : FRAME_IMAGE_DONE, buffer_bytes(&out));
        assert_int_equal(pair.follower->link.reason, i == 1 ? 0 : BYE_PROTOCOL);
        buffer_release(&out);
        pair_close(&pair);
    }
}
