/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of each copy that is served, and where it is reached. */
#include "node/serving.h"
#include "test/node/guest.h"

static unsigned told_of(struct party *party, uint64_t copy, const char *what)
{
    struct copy_event event;
    unsigned count = 0;
    for (uint64_t number = 1; node_serves_event(party->bed.node, number, &event); number++)
        count += event.copy == copy && strcmp(event.what, what) == 0;
    return count;
}

/* --- Another epoch --- */

static void unlead(struct party *party, struct guest *guest)
{
    (void)guest;
    node_unlead(party->bed.node, "told so");
}

/* The primary gives up its epoch and opens another one. */
static void lead_again(struct party *party)
{
    uint64_t epoch = party->bed.node->progress.epoch.number;
    party_do(party, NULL, unlead);
    party_settle(party);
    bed_run(&party->bed, SIM_SECOND);
    assert_true(party->bed.node->leads);
    assert_true(party->bed.node->progress.epoch.number > epoch);
}

TEST(node_serves, another_epoch_ends_a_catch_up_lets_go_of_what_it_held_and_is_told_of_each)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 300); /* several segments */
    struct guest *slow = guest_open(&party, 2), *other = guest_open(&party, 3);
    slow->syncs_not = true;
    guest_meet(slow);
    guest_meet(other);
    assert_int_equal(slow->state, STATE_CATCHING_UP);
    party_save(&party); /* all is flushed, so it may be trimmed */
    party_do(&party, NULL, party_trim);
    party_settle(&party);
    assert_int_equal(log_floor(party.bed.node->log).at, 1); /* it is held for the slow one */
    lead_again(&party);
    assert_true(slow->over && other->over);
    for (uint64_t copy = 2; copy <= 3; copy++) {
        assert_int_equal(told_of(&party, copy, "pins_released"), 1);
        assert_int_equal(told_of(&party, copy, "session_ended"), 1);
        assert_int_equal(told_of(&party, copy, "epoch_changed"), 1);
    }
    assert_true(log_floor(party.bed.node->log).at > 1);
    slow->syncs_not = false;
    slow->facts.durable = slow->facts.last.lsn;
    guest_meet(slow);
    guest_meet(other);
    assert_int_equal(slow->state, STATE_IN_SYNC);
    assert_int_equal(other->state, STATE_IN_SYNC);
    party_close(&party);
}

TEST(node_serves, another_epoch_ends_a_rebuild_and_its_image_is_held_no_more)
{
    struct party party;
    party_open(&party);
    party.bed.fake.capture_records = 20;
    (void)party_push(&party, 10);
    party_save(&party);
    party.bed.node->copies.image_bytes_per_s = 4096;
    struct guest *guest = guest_open(&party, 2);
    guest_is_foreign(guest);
    guest_meet(guest);
    party_pass(&party, 2 * SIM_SECOND);
    assert_int_equal(guest->follower.phase, FOLLOWER_TRANSFER);
    lead_again(&party);
    assert_true(guest->over);
    assert_int_equal(guest->images, 0);
    assert_int_equal(told_of(&party, 2, "pins_released"), 1);
    assert_int_equal(told_of(&party, 2, "epoch_changed"), 1);
    (void)party_push(&party, 1);
    party_save(&party);
    assert_int_equal(bed_images(&party.bed).images, 1); /* the one it had is one too many */
    party.bed.node->copies.image_bytes_per_s = 0;
    guest_meet(guest);
    party_pass(&party, SIM_SECOND);
    assert_int_equal(guest->images, 1);
    assert_int_equal(guest->state, STATE_IN_SYNC);
    party_close(&party);
}

/* --- What cannot be held --- */

TEST(node_serves, an_image_that_cannot_be_made_is_told_of_its_copy)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 10);
    struct guest *guest = guest_open(&party, 2);
    guest_is_foreign(guest);
    guest_meet(guest);
    (void)bed_do(&party.bed, DEED_FLUSH, NULL, ERR_SPACE);
    party_pass(&party, SIM_SECOND);
    assert_true(guest->over);
    assert_int_equal(told_of(&party, 2, "image_failed"), 1);
    assert_int_equal(told_of(&party, 2, "pins_released"), 1);
    assert_int_equal(told_of(&party, 2, "pin_failed"), 0);
    party_close(&party);
}

/* A plan is carried out whose image is not there any more. */
static void pin_what_is_gone(struct party *party, struct guest *guest)
{
    (void)party;
    struct serve *serve = CONTAINER_OF(guest->owner, struct serve, peer.owner);
    struct recover_plan plan = serve->primary.plan;
    struct session_effect unpin = {.kind = EFFECT_UNPIN}, pin = {.kind = EFFECT_PIN, .plan = &plan};
    assert_int_equal(plan.kind, RECOVER_REBUILD);
    plan.image.lsn.at++;
    serve->peer.ops->effect(&serve->peer, &unpin);
    serve->peer.ops->effect(&serve->peer, &pin);
    assert_int_equal(serve->pinned, ERR_NOT_FOUND);
    assert_false(serve->pin_held); /* not the log alone */
}

TEST(node_serves, an_image_that_cannot_be_held_is_told_of_its_copy_and_nothing_else_is_held)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 10);
    party_save(&party);
    struct guest *guest = guest_open(&party, 2);
    guest_is_foreign(guest);
    guest->dawdles = true;
    guest_meet(guest);
    assert_int_equal(told_of(&party, 2, "pin_failed"), 0);
    party_do(&party, guest, pin_what_is_gone);
    assert_int_equal(told_of(&party, 2, "pin_failed"), 1);
    assert_int_equal(told_of(&party, 2, "pins_released"), 2);
    party_close(&party);
}

/* --- Who comes and is not taken --- */

TEST(node_serves, a_copy_that_is_added_and_one_for_which_there_is_no_room_are_told_of)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 2);
    for (unsigned i = 0; i < PROGRESS_COPIES_MAX; i++) guest_meet(guest_open(&party, 100 + i));
    for (unsigned i = 0; i < PROGRESS_COPIES_MAX; i++)
        assert_int_equal(told_of(&party, 100 + i, "added"), 1);
    guest_meet(guest_open(&party, 200));
    assert_int_equal(told_of(&party, 200, "added"), 0);
    assert_int_equal(told_of(&party, 200, "session_refused"), 1);
    party_close(&party);
}

/* --- Who waits for it --- */

struct awaited {
    struct await await;
    unsigned done;
};
static struct awaited awaited;

static void await_done(struct await *await)
{
    CONTAINER_OF(await, struct awaited, await)->done++;
}

static void await_one(struct party *party, struct guest *guest)
{
    (void)guest;
    awaited = (struct awaited){
        .await = {.lsn = log_last(party->bed.node->log).lsn, .copies = 1, .done = await_done}};
    node_await(party->bed.service, &awaited.await);
}

TEST(node_serves, an_ack_ends_the_wait_for_it_at_once_though_nothing_is_committed_by_it)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 3);
    struct guest *guest = guest_open(&party, 2);
    guest_meet(guest);
    guest->syncs_not = true;
    (void)party_push(&party, 1);
    bed_run(&party.bed, 3 * SIM_SECOND); /* the log is at rest */
    party_settle(&party);
    party_do(&party, NULL, await_one);
    party_settle(&party);
    assert_int_equal(awaited.done, 0);
    guest->facts.durable = guest->facts.last.lsn;
    guest->log_due = true;
    party_settle(&party);
    assert_int_equal(awaited.done, 1);
    assert_int_equal(awaited.await.found, 1);
    party_close(&party);
}

/* --- A copy that is slow --- */

TEST(node_serves, a_copy_that_takes_long_to_load_its_image_is_not_cut_off)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 10);
    party_save(&party);
    struct guest *guest = guest_open(&party, 2);
    guest_is_foreign(guest);
    guest->loads = true;
    guest_meet(guest);
    assert_int_equal(guest->follower.phase, FOLLOWER_INSTALLING);
    uint64_t last = party_push(&party, 5);
    party_pass(&party, 3 * NODE_SESSION_STALL_US);
    assert_false(guest->over);
    guest_step(guest, &guest->installed);
    party_settle(&party);
    assert_int_equal(guest->state, STATE_IN_SYNC);
    assert_int_equal(guest->facts.last.lsn.at, last);
    assert_int_equal(guest->images, 1);
    party_close(&party);
}

/* --- Where it is reached --- */

static void comes_by_six(const struct stream *stream, char out[NET_ADDRESS_TEXT_BYTES])
{
    (void)snprintf(out, NET_ADDRESS_TEXT_BYTES, "[fd00::7]:%u", 1000 + stream->number);
}

TEST(node_serves, a_copy_is_reached_where_it_says_or_where_it_comes_from_and_never_at_a_wildcard)
{
    static const struct {
        const char *said, *by_four, *by_six;
    } rows[] = {
        {"10.0.0.2:7000", "10.0.0.2:7000", "10.0.0.2:7000"},
        {"127.0.0.1:7000", "127.0.0.1:7000", "127.0.0.1:7000"},
        {"replica:7000", "replica:7000", "replica:7000"},
        {"[fd00::2]:7000", "[fd00::2]:7000", "[fd00::2]:7000"},
        {":7000", "127.0.0.1:7000", "[fd00::7]:7000"},
        {"0.0.0.0:7000", "127.0.0.1:7000", "[fd00::7]:7000"},
        {"[::]:7000", "127.0.0.1:7000", "[fd00::7]:7000"},
        {"*:7000", "127.0.0.1:7000", "[fd00::7]:7000"},
        {"7000", "", ""},
        {"", "", ""},
    };
    for (unsigned i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        struct party party;
        party_open(&party);
        if (i % 2 == 1) party.ops.peer = comes_by_six;
        (void)party_push(&party, 2);
        struct guest *guest = guest_open(&party, 2);
        guest->peer = rows[i / 2].said;
        guest_meet(guest);
        assert_int_equal(guest->state, STATE_IN_SYNC);
        assert_string_equal(party_status(&party).at[0].peer,
                            i % 2 == 1 ? rows[i / 2].by_six : rows[i / 2].by_four);
        party_close(&party);
    }
}

/* --- What came changed on the way --- */

TEST(node_serves, frames_that_were_changed_on_the_way_are_counted_and_the_next_session_is_whole)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 5);
    struct guest *guest = guest_open(&party, 2);
    for (unsigned i = 0; i < 3; i++) {
        guest_meet(guest);
        assert_int_equal(guest->state, STATE_IN_SYNC);
        assert_int_equal(party.bed.node->damaged_frames, i);
        size_t begin = frame_begin(&guest->outgoing);
        struct frame_head head = {.type = FRAME_PING, .session = 1};
        frame_seal(&guest->outgoing, begin, &head);
        guest->outgoing.data[begin + i * 3] ^= 1; /* the first two belong to what it is known by */
        party_settle(&party);
        assert_true(guest->over);
        assert_int_equal(guest->follower.link.reason, BYE_DAMAGED);
    }
    assert_int_equal(party.bed.node->damaged_frames, 3);
    party_close(&party);
}
