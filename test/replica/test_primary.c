/* SPDX-License-Identifier: Apache-2.0 */
/* The promises of a session as such, and of its sending end, one by one. */
#include "replica/primary.h"

#include "test/replica/talk.h"

/* --- Who may speak --- */

TEST(replica_primary, wrong_secret_ends_it_before_anything_is_told)
{
    struct pair pair;
    usual(&pair, 3);
    pair.options[1].secret = bytes_text("open");
    pair_connect(&pair);
    exchange(&pair);
    assert_int_equal(pair.primary->phase, PRIMARY_CLOSED);
    assert_int_equal(pair.follower->phase, FOLLOWER_CLOSED);
    assert_int_equal(pair.primary->link.reason, BYE_PROOF);
    assert_int_equal(pair.sessions, 0);
    pair_close(&pair);
}

TEST(replica_primary, proof_sent_back_to_its_maker_proves_nothing)
{
    struct pair pair;
    usual(&pair, 3);
    pair_connect(&pair);
    /* Whoever has no secret plays our own words back. */
    struct buffer echo;
    buffer_init(&echo);
    buffer_append(&echo, buffer_bytes(&pair.pipes[1]));
    echo.data[FRAME_HEADER_BYTES] = ROLE_REPLICA;
    struct bytes payload = bytes_of(echo.data + FRAME_HEADER_BYTES, load_le32(echo.data + 8));
    buffer_clear(&pair.pipes[0]);
    buffer_clear(&pair.pipes[1]);
    inject(&pair, true, FRAME_CHALLENGE, payload);
    assert_int_equal(pair.primary->link.phase, LINK_PROOF);
    buffer_clear(&echo);
    buffer_append(&echo, bytes_of(pair.pipes[1].data + FRAME_HEADER_BYTES, 32));
    inject(&pair, true, FRAME_PROOF, buffer_bytes(&echo));
    assert_int_equal(pair.primary->link.reason, BYE_PROOF);
    buffer_release(&echo);
    pair_close(&pair);
}

TEST(replica_primary, proof_recorded_in_an_earlier_session_proves_nothing)
{
    struct pair pair;
    usual(&pair, 3);
    struct buffer record;
    buffer_init(&record);
    pair_connect(&pair);
    buffer_append(&record, buffer_bytes(&pair.pipes[0])); /* the replica's challenge */
    pair_deliver(&pair, true, SIZE_MAX);
    pair_deliver(&pair, false, FRAME_HEADER_BYTES + 45);  /* the primary's */
    buffer_append(&record, buffer_bytes(&pair.pipes[0])); /* the replica's proof */
    pair_deliver(&pair, true, SIZE_MAX);
    assert_int_equal(pair.primary->link.phase, LINK_PROVEN);
    pair_disconnect(&pair);
    pair_connect(&pair);
    buffer_clear(&pair.pipes[0]);
    buffer_append(&pair.pipes[0], buffer_bytes(&record));
    pair_deliver(&pair, true, SIZE_MAX);
    assert_int_equal(pair.primary->link.reason, BYE_PROOF);
    buffer_release(&record);
    pair_close(&pair);
}

TEST(replica_primary, without_a_secret_only_this_machine_is_spoken_to)
{
    struct pair pair;
    usual(&pair, 3);
    pair.options[0].secret = pair.options[1].secret = bytes_of(NULL, 0);
    pair_connect(&pair);
    assert_int_equal(pair.primary->phase, PRIMARY_CLOSED);
    pair_disconnect(&pair);
    pair.options[0].plain = pair.options[1].plain = true;
    pair_connect(&pair);
    pair_settle(&pair);
    assert_int_equal(pair.states[0], STATE_IN_SYNC);
    pair_close(&pair);
}

TEST(replica_primary, any_flipped_bit_is_refused_and_changes_nothing)
{
    for (size_t bit = 0; bit < 8 * 500; bit += 7) {
        struct pair pair;
        usual(&pair, 8);
        pair_connect(&pair);
        struct buffer *pipe = &pair.pipes[1];
        for (unsigned i = 0; i < 40 && pair.follower->phase != FOLLOWER_CATCH_UP; i++) {
            while (pair.result_count > 0) pair_answer(&pair, 0);
            pair_deliver(&pair, true, SIZE_MAX);
            pair_deliver(&pair, false, SIZE_MAX);
        }
        while (pipe->size < 500 && (pair.result_count > 0 || pair.pipes[0].size > 0)) {
            pair_deliver(&pair, true, SIZE_MAX);
            if (pair.result_count > 0) pair_answer(&pair, 0);
        }
        if (bit / 8 < pipe->size) {
            pipe->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            pair_deliver(&pair, false, SIZE_MAX);
            assert_int_equal(pair.follower->link.reason, BYE_DAMAGED);
            assert_true(pair.follower->link.damaged);
        }
        const struct pair_copy *replica = &pair.copies[1];
        assert_int_equal(replica->log[replica->size].lineage.hash,
                         pair.copies[0].log[replica->size].lineage.hash);
        pair_disconnect(&pair);
        pair_connect(&pair); /* and it comes right without anyone's help */
        pair_settle(&pair);
        assert_int_equal(replica->size, pair.copies[0].size);
        pair_close(&pair);
    }
}

TEST(replica_primary, who_says_hello_is_who_proved_itself)
{
    struct pair pair;
    usual(&pair, 3);
    pair.options[1].copy = 5;
    pair_connect(&pair);
    exchange(&pair);
    assert_int_equal(pair.primary->link.reason, BYE_PROTOCOL);
    assert_int_equal(pair.sessions, 0);
    pair_close(&pair);
}

TEST(replica_primary, long_history_passes_once_the_peer_is_proven)
{
    struct pair pair;
    usual(&pair, 3);
    for (unsigned i = 0; i < 80; i++) pair_lead(&pair, pair.progress.rule, false);
    pair_connect(&pair);
    pair_settle(&pair);
    pair_disconnect(&pair);
    pair_connect(&pair); /* 81 epochs: more than a stranger may send */
    pair_settle(&pair);
    assert_int_equal(pair.states[0], STATE_IN_SYNC);
    assert_int_equal(pair.copies[1].epochs.count, 81);
    pair_close(&pair);
}

/* --- The primary --- */

TEST(replica_primary, pin_that_fails_leaves_no_session_and_one_that_comes_late_goes_back)
{
    struct pair pair;
    usual(&pair, 3);
    pair.pin_fails = true;
    pair_connect(&pair);
    exchange(&pair);
    assert_int_equal(pair.primary->phase, PRIMARY_CLOSED);
    assert_int_equal(pair.primary->link.reason, BYE_LOCAL);
    assert_int_equal(pair.states[0], STATE_DISCONNECTED);
    pair_disconnect(&pair);
    pair.pin_fails = false;
    pair_connect(&pair);
    while (pair.primary->phase != PRIMARY_PLANNING || !pair.primary->pin_asked) {
        if (pair.result_count > 0) pair_answer(&pair, 0);
        pair_deliver(&pair, true, SIZE_MAX);
        pair_deliver(&pair, false, SIZE_MAX);
    }
    pair_disconnect(&pair); /* grants the pin to the closed session, and looks that it came back */
    assert_int_equal(pair.pins, 0);
    pair_close(&pair);
}

TEST(replica_primary, target_is_frozen_and_reaching_it_grants_nothing)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    while (pair.primary->phase != PRIMARY_CATCH_UP) {
        if (pair.result_count > 0) pair_answer(&pair, 0);
        pair_deliver(&pair, true, SIZE_MAX);
        pair_deliver(&pair, false, SIZE_MAX);
    }
    uint64_t target = pair.primary->plan.target.at;
    write_some(&pair, 4);
    exchange(&pair);
    assert_int_equal(pair.primary->plan.target.at, target);
    assert_int_equal(pair.primary->sent.lsn.at, target); /* nothing beyond it */
    assert_int_equal(pair.states[0], STATE_CATCHING_UP); /* all was sent, which says nothing */
    pair.copies[1].durable = target;
    pair_log_event(&pair, false);
    pair_deliver(&pair, true, SIZE_MAX);
    assert_int_equal(pair.primary->phase, PRIMARY_STREAM);
    assert_int_equal(pair.states[0], STATE_CATCHING_UP); /* it lacks what is committed now */
    exchange(&pair);
    assert_int_equal(pair.states[0], STATE_CATCHING_UP);
    sync_replica(&pair);
    pair_deliver(&pair, true, SIZE_MAX);
    assert_int_equal(pair.states[0], STATE_IN_SYNC);
    pair_close(&pair);
}

TEST(replica_primary, stale_acks_and_results_are_dropped_and_counted)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    pair_settle(&pair);
    uint64_t stale = pair.primary->link.stale;
    write_some(&pair, 2);
    exchange(&pair);
    struct message_ack before = pair.primary->ack;
    inject_ack(&pair, 9, before.durable.at + 1); /* another incarnation */
    inject_ack(&pair, 0, before.durable.at - 1); /* it goes back */
    for (unsigned i = 0; i < 3; i++) {
        struct session_key key = pair.primary->link.key;
        if (i == 0) pair.primary->link.key.epoch.number--;
        if (i == 1) pair.primary->link.key.session++;
        if (i == 2) pair.primary->link.cluster++;
        struct buffer *pipe = &pair.pipes[0];
        struct frame_head head = {
            .type = FRAME_ACK, .cluster = 3, .epoch = key.epoch, .session = key.session};
        size_t begin = frame_begin(pipe);
        ack_put(pipe, &(struct message_ack){0, {before.durable.at + 1}, {0}, {0}});
        frame_seal(pipe, begin, &head);
        pair_deliver(&pair, true, SIZE_MAX);
        pair.primary->link.key = key;
        pair.primary->link.cluster = 3;
    }
    assert_int_equal(pair.primary->ack.durable.at, before.durable.at);
    assert_int_equal(pair.primary->link.stale, stale + 5);
    for (unsigned i = 0; i < 4; i++) {
        struct session_event event = {.kind = EVENT_FACTS, .key = pair.primary->link.key};
        if (i == 0) event.key.endpoint++;
        if (i == 1) event.key.incarnation++;
        if (i == 2) event.key.session++;
        if (i == 3) event.key.epoch.copy++;
        pair_step(&pair, true, &event);
    }
    assert_int_equal(pair.primary->link.stale, stale + 9);
    assert_int_equal(pair.primary->phase, PRIMARY_STREAM);
    pair_close(&pair);
}

TEST(replica_primary, ack_of_what_was_never_sent_ends_it)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    pair_settle(&pair);
    inject_ack(&pair, 0, pair.primary->sent.lsn.at + 1);
    assert_int_equal(pair.primary->link.reason, BYE_PROTOCOL);
    assert_int_equal(pair.primary->phase, PRIMARY_CLOSED);
    pair_close(&pair);
}

TEST(replica_primary, window_holds_a_replica_that_syncs_nothing_and_the_clock_ends_it)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    pair_settle(&pair);
    write_some(&pair, 100);
    exchange(&pair);
    uint64_t unacked = pair.primary->sent.lsn.at - pair.primary->ack.durable.at;
    assert_true(unacked > 0 && unacked <= pair.options[0].window_entries);
    assert_true(pair.primary->flight_bytes <= pair.options[0].window_bytes + 400);
    assert_int_equal(pair.states[0], STATE_IN_SYNC);
    tick(&pair, true, 3500);
    assert_int_equal(pair.states[0], STATE_DEGRADED);
    for (unsigned i = 0; i < 16; i++) { /* it lives, and still syncs nothing */
        tick(&pair, false, 1100);
        pair_deliver(&pair, true, SIZE_MAX);
        tick(&pair, true, 0);
        pair_deliver(&pair, false, SIZE_MAX);
    }
    assert_int_equal(pair.primary->link.reason, BYE_STALLED);
    pair_close(&pair);
}

TEST(replica_primary, window_is_one_of_bytes_too)
{
    struct pair pair;
    usual(&pair, 5);
    pair.options[0].window_entries = 1000;
    pair_connect(&pair);
    pair_settle(&pair);
    write_some(&pair, 200);
    exchange(&pair);
    assert_true(pair.primary->flight_bytes >= pair.options[0].window_bytes);
    assert_true(pair.primary->flight_bytes <= pair.options[0].window_bytes + 400); /* one batch */
    pair_close(&pair);
}

/* A new commit, or what else a replica acts on. */
static bool tells(struct pair *pair)
{
    pair->copies[0].floor++;
    pair_log_event(pair, true);
    return pair->primary->told;
}

TEST(replica_primary, what_is_committed_is_told_when_nothing_is_in_flight_or_behind_entries)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    pair_settle(&pair);
    assert_true(tells(&pair)); /* nothing is on its way */
    pair_settle(&pair);
    write_some(&pair, 4);
    exchange(&pair);
    assert_true(pair.primary->flight_count > 0);
    assert_false(tells(&pair)); /* the replica has not acked what it could apply */
    write_some(&pair, 1);
    exchange(&pair);
    assert_true(pair.primary->told); /* behind the next entry */
    assert_int_equal(pair.primary->durable.at, pair.primary->watermarks.durable.at);
    struct pair_copy *copy = &pair.copies[0];
    pair_append(copy, copy->promised, copy->log[copy->size].stamp, ++pair.value);
    copy->durable = copy->size; /* and not committed: no news */
    pair_log_event(&pair, true);
    exchange(&pair);
    assert_int_equal(pair.primary->durable.at, copy->durable);
    assert_false(tells(&pair));
    tick(&pair, true, 100);
    assert_true(pair.primary->told); /* however long the ack takes */
    assert_false(tells(&pair));
    sync_replica(&pair);
    pair_deliver(&pair, true, SIZE_MAX);
    assert_true(pair.primary->told); /* with the ack */
    pair_settle(&pair);
    assert_int_equal(pair.follower->watermarks.floor.at, pair.copies[0].floor);
    pair_close(&pair);
}

TEST(replica_primary, degraded_copy_is_in_sync_again_when_it_has_acked_what_was_sent)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    pair_settle(&pair);
    write_some(&pair, 8);
    exchange(&pair);
    tick(&pair, true, 3500);
    assert_int_equal(pair.states[0], STATE_DEGRADED);
    pair.copies[1].durable = pair.primary->sent.lsn.at - 1;
    pair_log_event(&pair, false);
    pair_deliver(&pair, true, SIZE_MAX);
    assert_int_equal(pair.states[0], STATE_DEGRADED);
    sync_replica(&pair);
    pair_deliver(&pair, true, SIZE_MAX);
    assert_int_equal(pair.states[0], STATE_IN_SYNC);
    pair_close(&pair);
}

TEST(replica_primary, silent_peer_is_noticed_and_a_quiet_one_is_not)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    pair_settle(&pair);
    for (unsigned i = 0; i < 50; i++) { /* nothing to say but that they are there */
        tick(&pair, true, 500);
        tick(&pair, false, 500);
        pair_deliver(&pair, true, SIZE_MAX);
        pair_deliver(&pair, false, SIZE_MAX);
    }
    assert_int_equal(pair.states[0], STATE_IN_SYNC);
    assert_int_equal(pair.states[1], STATE_IN_SYNC);
    for (unsigned i = 0; i < 6; i++) tick(&pair, true, 1000); /* half open: nothing comes */
    assert_int_equal(pair.primary->link.reason, BYE_SILENT);
    pair_close(&pair);
}

TEST(replica_primary, handshake_that_hangs_is_ended)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    pair.pipes[0].size = pair.pipes[1].size = 0;
    for (unsigned i = 0; i < 11; i++) {
        inject(&pair, true, FRAME_PING, bytes_of(NULL, 0));
        tick(&pair, true, 1000);
    }
    assert_int_equal(pair.primary->link.reason, BYE_SILENT);
    pair_close(&pair);
}

TEST(replica_primary, rebuild_waits_for_leave_and_says_so)
{
    struct pair pair;
    usual(&pair, 20);
    pair.copies[0].flushed = pair.copies[0].applied;
    pair.copies[0].floor = 15;
    pair.options[0].may_rebuild = false;
    pair_connect(&pair);
    exchange(&pair);
    assert_int_equal(pair.states[0], STATE_NEEDS_REBUILD);
    assert_int_equal(pair.primary->link.reason, BYE_REFUSED);
    pair_disconnect(&pair);
    pair.options[0].may_rebuild = true;
    pair_connect(&pair);
    pair_settle(&pair);
    assert_int_equal(pair.states[0], STATE_IN_SYNC);
    assert_int_equal(pair.copies[1].floor, 22);
    pair_close(&pair);
}

TEST(replica_primary, tail_is_not_begun_by_an_ack_before_the_image_is_installed)
{
    struct pair pair;
    usual(&pair, 20);
    pair.copies[0].flushed = pair.copies[0].applied;
    pair.copies[0].floor = 15;
    pair_connect(&pair);
    while (pair.primary->phase != PRIMARY_TRANSFER || pair.primary->image_sent < 400) {
        if (pair.result_count > 0) pair_answer(&pair, 0);
        pair_deliver(&pair, true, SIZE_MAX);
        pair_deliver(&pair, false, SIZE_MAX);
    }
    assert_int_equal(pair.primary->phase, PRIMARY_TRANSFER);
    inject_ack(&pair, 0, pair.primary->sent.lsn.at);
    assert_int_equal(pair.primary->link.reason, BYE_PROTOCOL);
    pair_close(&pair);
}

/* A rebuild, with results of one kind held back. */
static void transferring(struct pair *pair, enum session_effect_kind held)
{
    usual(pair, 20);
    pair->copies[0].flushed = pair->copies[0].applied;
    pair->image = pair_mark(&pair->copies[0], 18);
    pair->copies[0].floor = 15;
    pair_connect(pair);
    for (unsigned i = 0; i < 400; i++) {
        for (unsigned k = 0; k < pair->result_count; k++) {
            if (pair->results[k].effect.kind == held) continue;
            pair_answer(pair, k);
            break;
        }
        pair_deliver(pair, true, SIZE_MAX);
        pair_deliver(pair, false, SIZE_MAX);
    }
    assert_int_equal(pair->primary->phase, PRIMARY_TRANSFER);
}

TEST(replica_primary, image_waits_for_what_is_stored)
{
    struct pair pair;
    transferring(&pair, EFFECT_IMAGE_WRITE);
    assert_true(pair.primary->image_sent >= pair.options[0].window_bytes);
    assert_true(pair.primary->image_sent <=
                pair.options[0].window_bytes + pair.options[0].batch_bytes);
    pair_settle(&pair);
    assert_int_equal(pair.states[0], STATE_IN_SYNC);
    pair_close(&pair);
}

TEST(replica_primary, what_is_installed_is_the_image_to_its_mark)
{
    struct pair pair;
    transferring(&pair, EFFECT_INSTALL);
    assert_true(pair.primary->image_done);
    inject_ack(&pair, 0, pair.primary->sent.lsn.at - 1);
    assert_int_equal(pair.primary->link.reason, BYE_PROTOCOL);
    pair_close(&pair);
}

TEST(replica_primary, image_that_was_planned_is_sent_or_none)
{
    struct pair pair;
    transferring(&pair, EFFECT_IMAGE_BEGIN);
    assert_int_equal(pair.plan.kind, RECOVER_REBUILD);
    pair.image = pair_mark(&pair.copies[0], 19); /* a newer one has come */
    exchange(&pair);
    assert_int_equal(pair.primary->link.reason, BYE_LOCAL);
    pair_close(&pair);
}

TEST(replica_primary, image_is_sent_no_faster_than_allowed)
{
    struct pair pair;
    usual(&pair, 20);
    pair.copies[0].flushed = pair.copies[0].applied;
    pair.copies[0].floor = 15;
    pair.options[0].image_bytes_per_s = 100000;
    pair.options[0].keepalive_us = pair.options[1].keepalive_us = 1000000;
    pair.options[0].silent_us = pair.options[1].silent_us = 3000000;
    pair.options[0].stall_us = 9000000;
    pair_connect(&pair);
    exchange(&pair);
    assert_int_equal(pair.primary->phase, PRIMARY_TRANSFER);
    uint64_t begun = pair.now_us;
    for (unsigned i = 0; i < 5000 && pair.primary->phase == PRIMARY_TRANSFER; i++) {
        tick(&pair, true, 100);
        exchange(&pair);
        assert_true(pair.primary->image_sent <= (pair.now_us - begun) / 10 + 200);
    }
    assert_true(pair.primary->phase > PRIMARY_TRANSFER && pair.primary->phase < PRIMARY_CLOSED);
    assert_true(pair.now_us - begun >= 7000); /* 1100 bytes */
    pair_close(&pair);
}
