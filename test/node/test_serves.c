/* SPDX-License-Identifier: Apache-2.0 */
/* Copies that follow a node: what they are sent, what is held for them, what is told of them. */
#include "base/plant.h"
#include "node/serving.h"
#include "test/node/guest.h"

struct ending {
    struct steer steer;
    struct node *node;
    unsigned done;
};

static unsigned told(struct party *party, const char *what)
{
    struct copy_event event;
    unsigned count = 0;
    for (uint64_t number = 1; node_serves_event(party->bed.node, number, &event); number++)
        count += strcmp(event.what, what) == 0;
    return count;
}

TEST(node_serves, an_empty_copy_catches_up_from_the_files_and_then_streams)
{
    struct party party;
    party_open(&party);
    uint64_t last = party_push(&party, 40); /* applied, so out of memory */
    struct guest *guest = guest_open(&party, 2);
    guest_meet(guest);
    assert_int_equal(guest->state, STATE_IN_SYNC);
    assert_int_equal(guest->facts.last.lsn.at, last);
    assert_int_equal(guest->facts.last.lineage.hash, log_last(party.bed.node->log).lineage.hash);
    last = party_push(&party, 3);
    party_settle(&party);
    assert_int_equal(guest->taken, last);
    assert_int_equal(guest->facts.applied.at, last); /* told what is committed */
    party_close(&party);
}

TEST(node_serves, status_and_durable_count_say_what_was_acked)
{
    struct party party;
    party_open(&party);
    uint64_t last = party_push(&party, 5);
    struct guest *guest = guest_open(&party, 2);
    assert_int_equal(party_status(&party).count, 0);
    guest_meet(guest);
    struct copies_status status = party_status(&party);
    assert_int_equal(status.count, 1);
    assert_int_equal(status.in_sync, 1);
    assert_int_equal(status.at[0].id, 2);
    assert_true(status.at[0].connected);
    assert_false(status.at[0].configured);
    assert_string_equal(status.at[0].state, "in_sync");
    assert_string_equal(status.at[0].plan, "catch_up");
    assert_string_equal(status.at[0].peer, "10.0.0.2:7000");
    assert_string_equal(status.at[0].redis, "127.0.0.1:6379"); /* as the connection shows it */
    assert_int_equal(status.at[0].durable.at, last);
    assert_int_equal(node_serves_durable(party.bed.node, (struct lsn){last}), 1);
    guest->syncs_not = true;
    uint64_t more = party_push(&party, 1);
    party_settle(&party);
    assert_int_equal(node_serves_durable(party.bed.node, (struct lsn){more}), 0);
    assert_int_equal(party_status(&party).at[0].durable.at, last);
    guest_leave(guest);
    assert_string_equal(party_status(&party).at[0].state, "disconnected");
    assert_int_equal(node_serves_durable(party.bed.node, (struct lsn){last}), 0);
    party_close(&party);
}

TEST(node_serves, lag_rises_while_a_copy_is_stuck_and_while_it_is_gone)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 5);
    struct guest *guest = guest_open(&party, 2);
    guest_meet(guest);
    party_pass(&party, SIM_SECOND);
    assert_int_equal(party_status(&party).at[0].lag_entries, 0);
    guest->deaf = true;
    (void)party_push(&party, 7);
    bed_run(&party.bed, SIM_SECOND);
    struct copy_status stuck = party_status(&party).at[0];
    assert_int_equal(stuck.lag_entries, 7);
    assert_true(stuck.lag_bytes > 0 && stuck.lag_ms > 0);
    guest_leave(guest);
    (void)party_push(&party, 3);
    bed_run(&party.bed, SIM_SECOND);
    struct copy_status gone = party_status(&party).at[0];
    assert_int_equal(gone.lag_entries, 10);
    assert_true(gone.lag_bytes > stuck.lag_bytes && gone.lag_ms > stuck.lag_ms);
    party_close(&party);
}

TEST(node_serves, the_log_is_held_for_a_copy_from_what_it_has_acked)
{
    struct party party;
    party_open(&party);
    party.bed.node->copies.silent_us = 20 * SIM_SECOND;
    uint64_t last = party_push(&party, 5);
    assert_int_equal(node_serves_floor(party.bed.node, (struct lsn){99}).at, 99);
    struct guest *guest = guest_open(&party, 2);
    guest_meet(guest);
    assert_int_equal(node_serves_floor(party.bed.node, (struct lsn){99}).at, last + 1);
    guest_leave(guest);
    (void)party_push(&party, 2);
    assert_int_equal(node_serves_floor(party.bed.node, (struct lsn){99}).at, last + 1);
    party_close(&party);
}

TEST(node_serves, a_refused_copy_is_told_so_and_leaves_nothing_behind)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 5);
    struct guest *guest = guest_open(&party, 2);
    guest->facts.last.history.id[0] ^= 1;
    guest_meet(guest);
    assert_true(guest->over);
    assert_int_equal(guest->follower.plan.refusal, REFUSAL_FOREIGN);
    assert_int_equal(party_status(&party).count, 0);
    assert_int_equal(node_serves_floor(party.bed.node, (struct lsn){99}).at, 99);
    assert_int_equal(told(&party, "session_refused"), 1);
    party_close(&party);
}

TEST(node_serves, a_refused_session_does_not_end_the_one_that_lives)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 5);
    struct guest *guest = guest_open(&party, 2), *twin = guest_open(&party, 2);
    guest_meet(guest);
    twin->facts.last.history.id[0] ^= 1;
    guest_meet(twin);
    assert_true(twin->over);
    assert_false(guest->over);
    assert_string_equal(party_status(&party).at[0].state, "in_sync");
    party_close(&party);
}

TEST(node_serves, its_own_id_is_a_twin)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 5);
    struct guest *guest = guest_open(&party, party.bed.node->site.identity.copy);
    guest_meet(guest);
    assert_int_equal(guest->follower.plan.rule, RULE_TWIN);
    assert_int_equal(party_status(&party).count, 0);
    party_close(&party);
}

TEST(node_serves, a_new_session_of_a_copy_ends_the_one_before)
{
    struct party party;
    party_open(&party);
    uint64_t last = party_push(&party, 5);
    struct guest *first = guest_open(&party, 2), *second = guest_open(&party, 2);
    guest_meet(first);
    guest_copy(second, first);
    guest_meet(second);
    assert_true(first->over);
    assert_int_equal(first->follower.link.reason, BYE_SUPERSEDED);
    assert_false(second->over);
    assert_int_equal(party_status(&party).count, 1);
    assert_int_equal(node_serves_durable(party.bed.node, (struct lsn){last}), 1);
    assert_int_equal(told(&party, "session_superseded"), 1);
    guest_copy(first, second);
    first->peer = "10.0.0.9:7000"; /* and it may have moved */
    guest_meet(first);
    const struct sender *sender = orchestrator_sender(&party.bed.node->senders->orchestrator, 2);
    assert_string_equal(sender->endpoint, "10.0.0.9:7000");
    party_close(&party);
}

TEST(node_serves, there_is_room_for_so_many_and_one_that_is_gone_makes_place)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 2);
    for (unsigned i = 0; i < PROGRESS_COPIES_MAX; i++) guest_meet(guest_open(&party, 100 + i));
    assert_int_equal(party_status(&party).in_sync, PROGRESS_COPIES_MAX);
    struct guest *late = guest_open(&party, 200);
    guest_meet(late);
    assert_true(late->over);
    assert_int_equal(party_status(&party).in_sync, PROGRESS_COPIES_MAX);
    guest_leave(&party.guests[3]);
    guest_meet(late);
    assert_int_equal(late->state, STATE_IN_SYNC);
    assert_int_equal(party_status(&party).in_sync, PROGRESS_COPIES_MAX);
    party_close(&party);
}

TEST(node_serves, a_visitor_that_stays_away_is_forgotten_and_nothing_is_held_for_it)
{
    struct party party;
    party_open(&party);
    struct guest *here = guest_open(&party, 2), *gone = guest_open(&party, 3);
    party.bed.node->copies.silent_us = 15 * SIM_SECOND;
    (void)party_push(&party, 2);
    guest_meet(gone);
    guest_leave(gone);
    guest_meet(here);
    party_pass(&party, 10 * SIM_SECOND);
    assert_int_equal(party_status(&party).count, 2);
    party_pass(&party, 10 * SIM_SECOND);
    struct copies_status status = party_status(&party);
    assert_int_equal(status.count, 1); /* and the one that is here is in contact, though idle */
    assert_int_equal(status.at[0].id, 2);
    assert_string_equal(status.at[0].state, "in_sync");
    assert_false(status.at[0].needs_rebuild);
    party_close(&party);
}

TEST(node_serves, a_copy_that_is_gone_and_too_far_behind_loses_its_hold)
{
    struct party party;
    party_open(&party);
    struct guest *guest = guest_open(&party, 2);
    (void)party_push(&party, 2);
    guest_meet(guest);
    party.bed.node->copies.behind_bytes_max = 3000;
    guest_leave(guest);
    bed_run(&party.bed, SIM_SECOND);
    assert_false(party_status(&party).at[0].needs_rebuild);
    uint64_t last = party_push(&party, 50);
    bed_run(&party.bed, SIM_SECOND);
    assert_true(party_status(&party).at[0].needs_rebuild);
    assert_int_equal(node_serves_floor(party.bed.node, (struct lsn){last}).at, last);
    assert_int_equal(told(&party, "hold_dropped"), 1);
    guest_meet(guest); /* sticky */
    assert_true(guest->over);
    assert_int_equal(guest->images, 0);
    party_save(&party);
    (void)party_push(&party, 30); /* read behind the image, not behind what both have */
    assert_int_equal(node_serves_rebuild(party.bed.node, 2), ERR_OK);
    guest_meet(guest);
    assert_int_equal(guest->images, 1);
    assert_int_equal(guest->state, STATE_IN_SYNC);
    party_close(&party);
}

TEST(node_serves, what_a_session_may_ask_for_is_not_trimmed_before_it_is_acked)
{
    struct party party;
    party_open(&party);
    struct node *node = party.bed.node;
    (void)party_push(&party, 300); /* several segments */
    struct guest *guest = guest_open(&party, 2);
    guest->syncs_not = true;
    guest_meet(guest);
    assert_int_equal(guest->facts.last.lsn.at, log_last(node->log).lsn.at);
    party_do(&party, NULL, party_trim);
    party_settle(&party);
    assert_int_equal(log_floor(node->log).at, 1);
    guest->facts.durable = guest->facts.last.lsn;
    guest->log_due = true;
    party_settle(&party);
    assert_true(log_floor(node->log).at > 1);
    party_close(&party);
}

static uint64_t floor_of_a_session(bool planted)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 300);
    struct guest *guest = guest_open(&party, 2);
    guest->syncs_not = true;
    plant_set(PLANT_PIN_RELEASED_EARLY, planted);
    guest_meet(guest);
    plant_set(PLANT_PIN_RELEASED_EARLY, false);
    party_do(&party, NULL, party_trim);
    party_settle(&party);
    uint64_t floor = log_floor(party.bed.node->log).at;
    party_close(&party);
    return floor;
}

TEST(node_plants, what_a_session_may_ask_for_is_kept_for_it)
{
    assert_int_equal(floor_of_a_session(false), 1);
    assert_true(floor_of_a_session(true) > 1);
}

TEST(node_serves, a_session_that_is_over_holds_nothing)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 300);
    struct guest *guest = guest_open(&party, 2);
    guest->syncs_not = true;
    guest_meet(guest);
    guest_leave(guest);
    party_do(&party, NULL, party_trim);
    party_settle(&party);
    assert_true(log_floor(party.bed.node->log).at > 1);
    party_close(&party);
}

TEST(node_serves, the_lineage_of_a_common_point_out_of_memory_is_read_before_the_plan)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 20);
    struct guest *guest = guest_open(&party, 2);
    guest_meet(guest);
    guest_leave(guest);
    struct guest *other = guest_open(&party, 3);
    guest_copy(other, guest);
    (void)party_push(&party, 20);
    guest_meet(guest);
    assert_string_equal(party_status(&party).at[0].rule, "behind");
    assert_int_equal(guest->state, STATE_IN_SYNC);
    other->facts.last.lineage.hash ^= 1; /* the same place, and another entry */
    guest_meet(other);
    assert_int_equal(other->follower.plan.rule, RULE_FORK_LINEAGE);
    party_close(&party);
}

TEST(node_serves, a_copy_that_prepares_is_as_far_behind_as_it_has_said)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 100);
    struct guest *guest = guest_open(&party, 2), *other = guest_open(&party, 3);
    guest_meet(guest);
    party.bed.node->copies.behind_bytes_max = 3000;
    guest_copy(other, guest);
    other->dawdles = true;
    guest_meet(other);
    bed_run(&party.bed, SIM_SECOND);
    assert_false(party_status(&party).at[1].needs_rebuild);
    party_close(&party);
}

static void drain(struct party *party, struct guest *guest)
{
    (void)party;
    fake_stream_move(guest->stream);
    guest->owner->events->drained(guest->owner);
}

TEST(node_serves, a_copy_that_acks_and_takes_nothing_is_not_read_for)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 150);
    struct guest *guest = guest_open(&party, 2);
    guest_connect(guest);
    struct serve *serve = CONTAINER_OF(guest->owner, struct serve, peer.owner);
    serve->options.window_bytes = 1000;
    serve->options.batch_bytes = 300;
    party_settle(&party);
    guest->deaf = true;
    guest->stream->window = 0;
    (void)party_push(&party, 100);
    for (unsigned i = 0; i < 100; i++) {
        struct message_ack ack = {.incarnation = 1, .durable = serve->primary.sent.lsn};
        struct frame_head head = {.type = FRAME_ACK,
                                  .cluster = guest->options.cluster,
                                  .epoch = guest->follower.link.key.epoch,
                                  .session = guest->follower.link.key.session};
        size_t begin = frame_begin(&guest->outgoing);
        ack_put(&guest->outgoing, &ack);
        frame_seal(&guest->outgoing, begin, &head);
        party_do(&party, guest, guest_sends);
        buffer_clear(&guest->outgoing);
        bed_run(&party.bed, SIM_MILLISECOND);
    }
    struct lsn sent = serve->primary.sent.lsn;
    assert_true(lsn_before(sent, log_last(party.bed.node->log).lsn));
    guest->stream->window = SIZE_MAX;
    party_do(&party, guest, drain);
    bed_run(&party.bed, 5 * SIM_MILLISECOND); /* at once, not with the next tick */
    assert_true(lsn_before(sent, serve->primary.sent.lsn));
    party_close(&party);
}

static void end_all(struct party *party, struct guest *guest)
{
    (void)guest;
    struct clock *clock = party->bed.node->world.clock;
    clock_defer(clock, &party->bed.node->serves->advanced); /* of this very turn */
    clock_defer(clock, &party->bed.node->serves->acks);
    node_serves_end(party->bed.node, BYE_STOP);
    assert_null(party->bed.node->serves);
}

static void supersede(struct party *party, struct guest *guest)
{
    struct node *node = party->bed.node;
    struct orchestrator_ends ends;
    assert_int_equal(node_serves_durable(node, (struct lsn){2}), 1);
    (void)orchestrator_begin(&node->senders->orchestrator, guest->options.copy, 77, 1, &ends);
    assert_int_equal(node_serves_durable(node, (struct lsn){2}), 0);
}

TEST(node_serves, a_copy_is_counted_once_by_the_session_that_it_has)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 3);
    struct guest *guest = guest_open(&party, 2);
    guest_meet(guest);
    party_do(&party, guest, supersede);
    party_close(&party);
}

static void hand_over(struct party *party, struct guest *guest)
{
    node_serves_hand_over(party->bed.node, guest->options.copy);
}

TEST(node_serves, the_role_is_handed_to_one_copy_and_the_others_go_on)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 3);
    struct guest *guest = guest_open(&party, 2), *other = guest_open(&party, 3);
    guest_meet(guest);
    guest_meet(other);
    party_do(&party, other, hand_over);
    party_settle(&party);
    assert_int_equal(other->follower.link.reason, BYE_LEAD);
    assert_false(guest->over);
    party_close(&party);
}

static void steer_done(struct steer *steer)
{
    struct ending *ending = CONTAINER_OF(steer, struct ending, steer);
    ending->done++;
    node_serves_end(ending->node, BYE_STOP);
}

static void steer(struct party *party, struct guest *guest)
{
    static struct ending ending;
    struct service *service = party->bed.service;
    ending = (struct ending){.node = party->bed.node};
    ending.steer = (struct steer){
        .kind = STEER_ADD, .copy = guest->options.copy, .done = steer_done};
    service->ops->steer(service, &ending.steer);
}

TEST(node_serves, an_ack_may_be_the_end_of_all_sessions)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 3);
    struct guest *guest = guest_open(&party, 2), *other = guest_open(&party, 3);
    guest_meet(guest);
    guest_meet(other);
    party_do(&party, guest, steer);
    party_settle(&party);
    assert_null(party.bed.node->serves);
    assert_true(guest->over && other->over);
    party_close(&party);
}

static void end_as_replica(struct party *party, struct guest *guest)
{
    (void)guest;
    struct node *node = party->bed.node;
    node_serves_end(node, BYE_STOP);
    node->leads = false;
    node_serves_begin(node);
    node_serves_end(node, BYE_STOP);
    node->leads = true;
    node_serves_begin(node);
}

TEST(node_serves, another_role_knows_nobody_of_the_one_before)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 3);
    struct guest *guest = guest_open(&party, 2);
    guest_meet(guest);
    party_do(&party, NULL, end_as_replica);
    assert_int_equal(party_status(&party).count, 0);
    party_close(&party);
}

static void accept_many(struct party *party, struct guest *guest)
{
    (void)guest;
    static struct stream streams[NODE_SERVES_MAX + 1];
    memset(streams, 0, sizeof streams);
    for (unsigned i = 0; i <= NODE_SERVES_MAX; i++) {
        struct stream_owner *owner = node_serves_accept(party->bed.node, &streams[i],
                                                        bytes_of(NULL, 0));
        assert_true((owner != NULL) == (i < NODE_SERVES_MAX));
    }
    node_serves_end(party->bed.node, BYE_STOP);
}

TEST(node_serves, strangers_are_bounded)
{
    struct party party;
    party_open(&party);
    party_do(&party, NULL, accept_many);
    party_close(&party);
}

static void floor_before(struct party *party, struct guest *guest)
{
    (void)guest;
    struct node *node = party->bed.node;
    struct senders *senders = node->senders;
    node->senders = NULL;
    assert_int_equal(node_serves_floor(node, (struct lsn){9}).at, 9);
    node->membership.now.count = 1;
    node->membership.now.at[0] = (struct member){.id = 2};
    assert_int_equal(node_serves_floor(node, (struct lsn){9}).at, 0);
    node->membership.now.count = 0;
    node->senders = senders;
}

TEST(node_serves, before_anyone_is_served_all_is_held_for_copies_that_the_log_names)
{
    struct party party;
    party_open(&party);
    party_do(&party, NULL, floor_before);
    party_close(&party);
}

TEST(node_serves, the_end_is_told_to_each_and_nobody_is_taken_in_after_it)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 5);
    struct guest *guest = guest_open(&party, 2);
    guest_meet(guest);
    party_do(&party, NULL, end_all);
    party_settle(&party);
    assert_true(guest->over);
    assert_int_equal(guest->follower.link.reason, BYE_STOP);
    assert_true(guest->stream->flushed);
    guest_connect(guest);
    assert_null(guest->owner);
    struct copy_event event; /* what was decided is told on */
    assert_true(node_serves_event(party.bed.node, 0, &event));
    assert_int_equal(event.number, 1);
    party_close(&party);
}

TEST(node_serves, a_primary_that_is_fenced_by_a_copy_of_its_own_opens_no_entry_in_that_epoch)
{
    struct party party;
    party_open(&party);
    struct node *node = party.bed.node;
    (void)party_push(&party, 5);
    struct guest *guest = guest_open(&party, 2), *visitor = guest_open(&party, 3);
    guest->facts.promised = visitor->facts.promised = (struct epoch){99, 3};
    guest_meet(visitor); /* of whom nobody has heard */
    bed_run(&party.bed, SIM_SECOND);
    assert_int_equal(visitor->follower.plan.refusal, REFUSAL_FENCED);
    assert_int_equal(node->progress.epoch.number, 1);
    node->membership.now.count = 2;
    node->membership.now.at[0] = (struct member){.id = node->site.identity.copy, .counts = true};
    node->membership.now.at[1] = (struct member){.id = 2};
    guest_meet(guest);
    bed_run(&party.bed, SIM_SECOND);
    assert_true(!node->leads || node->progress.epoch.number > 1);
    party_close(&party);
}

TEST(node_serves, a_copy_that_may_be_wiped_gets_past_what_it_has_promised_to_others)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 5);
    struct guest *guest = guest_open(&party, 2);
    guest->facts.promised = (struct epoch){3, UINT64_MAX};
    guest->facts.wipe = true;
    for (unsigned i = 0; i < 6 && guest->state != STATE_IN_SYNC; i++) {
        guest_meet(guest);
        bed_run(&party.bed, SIM_SECOND);
        party_settle(&party);
    }
    assert_int_equal(party.bed.node->progress.epoch.number, 4);
    assert_int_equal(guest->state, STATE_IN_SYNC);
    party_close(&party);
}

TEST(node_serves, an_address_that_is_none_is_not_told_on)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 2);
    struct guest *guest = guest_open(&party, 2);
    guest->peer = "10.0.0.2:7000\r\nrole:master";
    guest_meet(guest);
    assert_int_equal(guest->state, STATE_IN_SYNC);
    assert_string_equal(party_status(&party).at[0].peer, "");
    party_close(&party);
}
