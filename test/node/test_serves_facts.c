/* SPDX-License-Identifier: Apache-2.0 */
/* What a node tells the table of a copy that comes, and what it reads for it. */
#include "node/serving.h"
#include "test/node/guest.h"

/* --- Facts --- */

static void promised(struct log_promising *promising)
{
    assert_int_equal(promising->err, ERR_OK);
}

static void promise(struct party *party, struct guest *guest)
{
    static struct log_promising promising;
    (void)guest;
    promising = (struct log_promising){.epoch = {50, 9}, .done = promised};
    log_promise_soon(party->bed.node->log, &promising);
}

TEST(node_serves, the_epoch_of_a_session_is_the_one_that_is_led_whatever_was_promised_since)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 3);
    party_do(&party, NULL, promise);
    party_settle(&party);
    struct recover_facts facts;
    node_facts(party.bed.node, &facts);
    assert_int_equal(facts.promised.number, 50);
    struct guest *guest = guest_open(&party, 2);
    guest_meet(guest);
    assert_int_equal(guest->follower.primary_epoch.number, 1);
    party_close(&party);
}

TEST(node_serves, what_is_applied_and_not_synced_yet_is_no_damage)
{
    struct party party;
    party_open_as(&party, LOG_NONE);
    (void)party_push(&party, 3);
    assert_true(lsn_before(log_durable(party.bed.node->log), party.bed.fake.applied.lsn));
    struct guest *guest = guest_open(&party, 2);
    guest_meet(guest);
    assert_int_equal(guest->state, STATE_IN_SYNC);
    party_close(&party);
}

/* It has committed and applied more than the node has. */
static struct guest *guest_ahead(struct party *party)
{
    struct guest *guest = guest_open(party, 2);
    guest_meet(guest);
    guest->facts.last.lsn.at += 5;
    guest->facts.durable = guest->facts.committed = guest->facts.last.lsn;
    guest->facts.applied = guest->facts.last.lsn;
    return guest;
}

static void all(struct party *party, struct guest *guest)
{
    (void)guest;
    party->bed.node->progress.rule.mode = COMMIT_ALL;
    node_serves_advanced(party->bed.node);
}

TEST(node_serves, who_has_committed_more_is_rebuilt_in_mode_local_and_a_conflict_in_mode_all)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 3);
    struct guest *guest = guest_ahead(&party);
    guest_meet(guest);
    assert_int_equal(guest->follower.plan.rule, RULE_LOST_BY_MODE);
    party_do(&party, NULL, all);
    party_settle(&party);
    guest_meet(guest);
    assert_int_equal(guest->follower.plan.rule, RULE_CONFLICT);
    party_close(&party);
}

TEST(node_serves, a_copy_that_was_rolled_back_is_refused_by_its_incarnation_and_by_its_acks)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 3);
    struct guest *guest = guest_open(&party, 2), *older = guest_open(&party, 2);
    guest->facts.incarnation = 7;
    guest_meet(guest);
    guest_leave(guest);
    older->facts.incarnation = 7; /* and it has nothing */
    guest_meet(older);
    assert_int_equal(older->follower.plan.rule, RULE_ACKED);
    older->facts.incarnation = 6;
    guest_meet(older);
    assert_int_equal(older->follower.plan.rule, RULE_INCARNATION);
    party_close(&party);
}

TEST(node_serves, catching_up_takes_no_rebuilds_turn)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 3);
    party_save(&party);
    struct guest *slow = guest_open(&party, 2), *new = guest_open(&party, 3);
    slow->syncs_not = true;
    guest_meet(slow);
    assert_int_equal(slow->state, STATE_CATCHING_UP);
    guest_is_foreign(new);
    guest_meet(new);
    assert_int_equal(new->images, 1);
    party_close(&party);
}

static const struct attached *attached_of(const struct party *party, uint64_t copy)
{
    for (unsigned i = 0; i < PROGRESS_COPIES_MAX; i++) {
        const struct attached *attached = &party->bed.node->membership.attached[i];
        if (attached->session != 0 && attached->copy == copy) return attached;
    }
    return NULL;
}

TEST(node_serves, what_a_session_acks_counts_for_commits_as_long_as_it_lives)
{
    struct party party;
    party_open(&party);
    uint64_t last = party_push(&party, 3);
    struct guest *guest = guest_open(&party, 2), *refused = guest_open(&party, 3);
    refused->facts.last.history.id[0] ^= 1;
    guest_meet(guest);
    guest_meet(refused);
    assert_non_null(attached_of(&party, 2));
    assert_int_equal(attached_of(&party, 2)->durable.at, last);
    assert_null(attached_of(&party, 3));
    guest_leave(guest);
    assert_null(attached_of(&party, 2));
    party_close(&party);
}

TEST(node_serves, a_failure_while_catching_up_is_counted_and_many_in_a_row_need_a_rebuild)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 3);
    struct guest *guest = guest_open(&party, 2);
    guest->syncs_not = true;
    for (unsigned i = 0; i < NODE_SERVES_FAILURES; i++) {
        assert_false(i > 0 && party_status(&party).at[0].needs_rebuild);
        guest->facts.last.lsn.at = 0; /* it has kept nothing */
        guest->facts.last.lineage.hash = 0;
        guest->facts.last.epoch = (struct epoch){0};
        epochs_cut(&guest->epochs, (struct lsn){0});
        guest_meet(guest);
        guest_leave(guest);
    }
    assert_true(party_status(&party).at[0].needs_rebuild);
    party_close(&party);
}

/* --- Reading --- */

TEST(node_serves, a_batch_is_about_as_long_as_was_asked_for_and_never_empty)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 30);
    struct guest *guest = guest_open(&party, 2);
    guest_connect(guest);
    struct serve *serve = CONTAINER_OF(guest->owner, struct serve, peer.owner);
    serve->options.batch_bytes = 1;
    party_settle(&party);
    assert_int_equal(guest->state, STATE_IN_SYNC);
    assert_true(guest->appends >= 30);
    party_close(&party);
}

static void append_many(struct party *party, struct guest *guest)
{
    (void)guest;
    struct buffer payload;
    bed_payload(&payload, "LPUSH k a");
    for (unsigned i = 0; i < NODE_SERVES_BATCH_ENTRIES + 100; i++)
        (void)node_append_own(party->bed.node, buffer_bytes(&payload));
    buffer_release(&payload);
}

TEST(node_serves, a_batch_of_many_short_entries_is_bounded_by_their_number)
{
    struct party party;
    party_open(&party);
    struct guest *guest = guest_open(&party, 2);
    guest_meet(guest);
    guest->appends = 0;
    party_do(&party, NULL, append_many);
    party_settle(&party);
    assert_int_equal(guest->state, STATE_IN_SYNC);
    assert_int_equal(guest->facts.last.lsn.at, log_last(party.bed.node->log).lsn.at);
    assert_int_equal(guest->appends, 2);
    party_close(&party);
}

TEST(node_serves, what_is_copied_out_of_a_window_is_the_entry_it_was)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 1500); /* more than one window of the follower */
    struct guest *guest = guest_open(&party, 2);
    guest_meet(guest);
    assert_int_equal(guest->state, STATE_IN_SYNC);
    assert_int_equal(guest->facts.last.lineage.hash, log_last(party.bed.node->log).lineage.hash);
    party_close(&party);
}

TEST(node_serves, entries_in_memory_are_sent_from_there_and_nothing_is_held_behind_them)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 5);
    struct guest *guest = guest_open(&party, 2);
    guest_meet(guest);
    struct serve *serve = CONTAINER_OF(guest->owner, struct serve, peer.owner);
    assert_non_null(serve->follow); /* it has caught up by it */
    (void)party_push(&party, 1);
    party_settle(&party);
    assert_null(serve->follow);
    assert_int_equal(guest->facts.last.lsn.at, log_last(party.bed.node->log).lsn.at);
    party_close(&party);
}

TEST(node_serves, a_common_point_just_below_the_floor_is_proven_by_the_segment)
{
    struct party party;
    party_open(&party);
    struct node *node = party.bed.node;
    (void)party_push(&party, 300);
    struct guest *guest = guest_open(&party, 2);
    guest_meet(guest);
    guest_leave(guest);
    party_save(&party); /* all is flushed, so it may be trimmed */
    party_do(&party, NULL, party_trim);
    party_settle(&party);
    struct mark before = log_before(node->log);
    assert_true(before.lsn.at > 1);
    guest->stamp = (struct stamp){0};
    guest->facts.last.lsn = before.lsn;
    guest->facts.last.lineage = before.lineage;
    guest->facts.durable = guest->facts.committed = guest->facts.applied = before.lsn;
    guest->facts.applied_lineage = before.lineage;
    guest->facts.copy = guest->options.copy = 3; /* else its acks say that it had more */
    struct guest *further = guest_open(&party, 4);
    guest_copy(further, guest);
    further->facts.last.lsn.at -= 5;
    further->facts.durable = further->facts.committed = further->facts.last.lsn;
    further->facts.applied = further->facts.last.lsn;
    guest_meet(further);
    assert_int_equal(further->follower.plan.rule, RULE_TRIMMED);
    guest_meet(guest);
    assert_int_equal(guest->follower.plan.rule, RULE_BEHIND);
    assert_int_equal(guest->state, STATE_IN_SYNC);
    party_close(&party);
}
