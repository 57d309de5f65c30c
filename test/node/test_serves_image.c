/* SPDX-License-Identifier: Apache-2.0 */
/* Images for copies that are rebuilt: held, made, checked, sent. */
#include "node/serving.h"
#include "test/node/guest.h"

static void abort_save(struct party *party, struct guest *guest)
{
    (void)guest;
    node_images_abort(party->bed.node, ERR_SHUT, "told so");
}

TEST(node_serves, a_copy_that_may_be_wiped_gets_the_image_whole_and_the_log_behind_it)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 10);
    party_save(&party);
    uint64_t last = party_push(&party, 5);
    struct guest *guest = guest_open(&party, 2);
    guest_is_foreign(guest);
    guest_meet(guest);
    assert_int_equal(guest->images, 1);
    assert_int_equal(guest->follower.plan.kind, RECOVER_REBUILD);
    assert_int_equal(guest->image.size, guest->offer.size);
    assert_int_equal(guest->image.size, bed_images(&party.bed).bytes);
    assert_int_equal(guest->facts.last.lsn.at, last);
    assert_int_equal(guest->state, STATE_IN_SYNC);
    party_close(&party);
}

TEST(node_serves, without_an_image_one_is_made_and_one_under_way_may_be_too_old)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 10);
    assert_int_equal(bed_save(&party.bed), ERR_OK); /* of what is there now */
    (void)party_push(&party, 10);
    struct guest *guest = guest_open(&party, 2);
    guest_is_foreign(guest);
    guest_meet(guest);
    assert_int_equal(guest->images, 0);
    assert_int_equal(guest->follower.phase, FOLLOWER_TRANSFER);
    for (unsigned i = 0; i < 4 && guest->images == 0; i++) {
        if (party.bed.fake.flush != NULL) party_flush(&party);
        party_pass(&party, SIM_SECOND);
    }
    assert_int_equal(guest->images, 1);
    assert_int_equal(guest->follower.plan.kind, RECOVER_REBUILD_BASE);
    assert_int_equal(guest->state, STATE_IN_SYNC);
    party_close(&party);
}

TEST(node_serves, an_image_that_cannot_be_made_ends_the_session)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 10);
    struct guest *guest = guest_open(&party, 2);
    guest_is_foreign(guest);
    guest_meet(guest);
    assert_false(guest->over);
    (void)bed_do(&party.bed, DEED_FLUSH, NULL, ERR_SPACE);
    party_pass(&party, SIM_SECOND);
    assert_true(guest->over);
    assert_int_equal(guest->follower.link.reason, BYE_LOCAL);
    party_close(&party);
}

TEST(node_serves, an_image_that_is_there_but_too_old_is_not_sent_and_another_is_made)
{
    struct party party;
    party_open(&party);
    party_save(&party);
    uint64_t old = bed_images(&party.bed).lsn.at;
    (void)party_push(&party, 300);
    party.bed.fake.unflushed = 1 << 20;
    bed_run(&party.bed, 300 * SIM_MILLISECOND);
    party_flush(&party);
    party.bed.fake.unflushed = 0;
    party_do(&party, NULL, party_trim);
    party_settle(&party);
    assert_true(log_floor(party.bed.node->log).at > old + 1);
    struct guest *guest = guest_open(&party, 2);
    guest_is_foreign(guest);
    guest_meet(guest);
    for (unsigned i = 0; i < 4 && guest->images == 0; i++) {
        if (party.bed.fake.flush != NULL) party_flush(&party);
        party_pass(&party, SIM_SECOND);
    }
    assert_int_equal(guest->follower.plan.kind, RECOVER_REBUILD_BASE);
    assert_int_equal(guest->images, 1);
    assert_true(guest->offer.mark.lsn.at > old);
    party_close(&party);
}

TEST(node_serves, a_failure_to_save_from_before_is_not_this_one)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 3);
    assert_int_equal(bed_save(&party.bed), ERR_OK);
    party_do(&party, NULL, abort_save);
    bed_run(&party.bed, SIM_SECOND);
    assert_true(bed_images(&party.bed).failed);
    struct guest *guest = guest_open(&party, 2);
    guest_is_foreign(guest);
    guest_meet(guest);
    party_pass(&party, SIM_SECOND);
    assert_false(guest->over);
    party_do(&party, NULL, abort_save); /* and now it is */
    party_pass(&party, SIM_SECOND);
    assert_true(guest->over);
    assert_int_equal(guest->follower.link.reason, BYE_LOCAL);
    party_close(&party);
}

TEST(node_serves, a_session_that_ends_before_its_image_is_asked_for_holds_none)
{
    struct party party;
    party_open(&party);
    (void)party_push(&party, 3);
    party_save(&party);
    struct guest *guest = guest_open(&party, 2);
    guest_is_foreign(guest);
    guest->dawdles = true;
    guest_meet(guest);
    guest_leave(guest);
    (void)party_push(&party, 3);
    party_save(&party);
    assert_int_equal(bed_images(&party.bed).images, 1);
    party_close(&party);
}

TEST(node_serves, an_image_that_is_damaged_is_never_sent_to_its_end)
{
    struct party party;
    party_open(&party);
    party.bed.fake.capture_records = 1000; /* sent in fewer pieces than it is checked in */
    (void)party_push(&party, 10);
    assert_int_equal(bed_save(&party.bed), ERR_OK);
    (void)bed_do(&party.bed, DEED_FLUSH, NULL, ERR_OK);
    for (unsigned i = 0; i < 30 && bed_images(&party.bed).images == 0; i++)
        bed_run(&party.bed, 2 * SIM_MILLISECOND); /* the scrubber has not come by yet */
    assert_int_equal(bed_images(&party.bed).images, 1);
    char path[80];
    snprintf(path, sizeof path, "data/keys/images/%016llx.image",
             (unsigned long long)bed_images(&party.bed).lsn.at);
    assert_true(sim_disk_damage(sim_node_disk(party.bed.sim), path,
                                bed_images(&party.bed).bytes - 5000, 1, SIM_DAMAGE_FLIP));
    struct guest *guest = guest_open(&party, 2);
    guest_is_foreign(guest);
    guest_meet(guest);
    party_pass(&party, SIM_SECOND);
    assert_true(guest->over);
    assert_int_equal(guest->images, 0);
    assert_true(guest->image.size < guest->offer.size);
    assert_int_equal(guest->follower.link.reason, BYE_LOCAL);
    party_close(&party);
}

TEST(node_serves, an_image_that_is_being_sent_is_not_removed_for_a_newer_one)
{
    struct party party;
    party_open(&party);
    party.bed.fake.capture_records = 20;
    (void)party_push(&party, 10);
    party_save(&party);
    party.bed.node->copies.image_bytes_per_s = 4096;
    struct guest *guest = guest_open(&party, 2);
    guest_is_foreign(guest);
    guest->dawdles = true;
    guest_meet(guest);
    uint64_t planned = bed_images(&party.bed).lsn.at;
    (void)party_push(&party, 1);
    party_save(&party); /* held from the plan on, before anything of it is sent */
    assert_int_equal(bed_images(&party.bed).images, 2);
    guest_step(guest, &guest->promised);
    party_settle(&party);
    assert_int_equal(guest->images, 0);
    (void)party_push(&party, 1);
    party_save(&party);
    assert_int_equal(bed_images(&party.bed).images, 2);
    party_pass(&party, 15 * SIM_SECOND);
    assert_int_equal(guest->images, 1);
    assert_int_equal(guest->offer.mark.lsn.at, planned);
    assert_int_equal(bed_images(&party.bed).images, 1); /* it is one too many then */
    party_close(&party);
}

TEST(node_serves, one_rebuild_at_a_time_and_the_next_gets_its_turn)
{
    struct party party;
    party_open(&party);
    party.bed.fake.capture_records = 20;
    (void)party_push(&party, 10);
    party_save(&party);
    party.bed.node->copies.image_bytes_per_s = 4096;
    struct guest *first = guest_open(&party, 2), *second = guest_open(&party, 3);
    guest_is_foreign(first);
    guest_is_foreign(second);
    guest_meet(first);
    guest_meet(second);
    assert_true(second->over);
    assert_false(first->over);
    party_pass(&party, 15 * SIM_SECOND);
    assert_int_equal(first->images, 1);
    guest_meet(second);
    assert_false(second->over);
    party_pass(&party, 15 * SIM_SECOND);
    assert_int_equal(second->images, 1);
    party_close(&party);
}

/* --- What is at the disk when it ends --- */

/* A piece of the image is being read, for some seconds. */
static void read_slowly(struct party *party)
{
    party_open(party);
    (void)party_push(party, 10);
    party_save(party); /* and the scrubber has come by */
    struct sim_fault slow = {.ops = 1u << DISK_READ,
                             .paths = "*.image",
                             .kind = SIM_FAULT_STALL,
                             .amount = 8 * SIM_SECOND};
    (void)sim_disk_fault(sim_node_disk(party->bed.sim), &slow);
    struct guest *guest = guest_open(party, 2);
    guest_is_foreign(guest);
    guest_meet(guest);
    struct serve *serve = CONTAINER_OF(guest->owner, struct serve, peer.owner);
    assert_true(serve->image.flies);
    assert_int_equal(serve->image.request.op, DISK_READ);
    sim_disk_unfault(sim_node_disk(party->bed.sim), 0);
}

static void found_good(struct party *party, struct guest *guest)
{
    (void)party;
    struct serve *serve = CONTAINER_OF(guest->owner, struct serve, peer.owner);
    serve->image.hold.checked = true;
    peer_wake(&serve->peer);
}

TEST(node_serves, the_end_of_an_image_waits_until_all_of_it_was_found_good)
{
    struct party party;
    read_slowly(&party);
    struct guest *guest = &party.guests[0];
    struct serve *serve = CONTAINER_OF(guest->owner, struct serve, peer.owner);
    serve->image.hold.checked = false; /* as if that took longer still */
    party_pass(&party, 9 * SIM_SECOND);
    assert_false(serve->image.flies);
    assert_int_equal(guest->images, 0);
    party_do(&party, guest, found_good);
    party_settle(&party);
    assert_int_equal(guest->images, 1);
    party_close(&party);
}

static void end_all(struct party *party, struct guest *guest)
{
    (void)guest;
    node_serves_end(party->bed.node, BYE_STOP);
    assert_false(node_serves_quiet(party->bed.node));
}

TEST(node_serves, an_end_leaves_what_is_at_the_disk_until_it_answers)
{
    struct party party;
    read_slowly(&party);
    party_do(&party, NULL, end_all);
    bed_run(&party.bed, 10 * SIM_SECOND);
    assert_true(node_serves_quiet(party.bed.node));
    party_close(&party);
}

TEST(node_serves, a_stop_waits_for_what_is_at_the_disk)
{
    struct party party;
    read_slowly(&party);
    (void)bed_do(&party.bed, DEED_STOP, NULL, ERR_OK);
    for (unsigned i = 0; i < 3; i++) party_flush(&party);
    bed_run(&party.bed, SIM_SECOND);
    assert_null(party.bed.node->serves);
    assert_int_equal(party.bed.stops, 0);
    bed_run(&party.bed, 10 * SIM_SECOND);
    assert_int_equal(party.bed.stops, 1);
    party_close(&party);
}

static void fail_and_close(struct party *party, struct guest *guest)
{
    (void)guest;
    struct why why;
    (void)why_fail(&why, ERR_IO, "told so");
    node_fail(party->bed.node, NODE_FAILED_LOG, &why);
    node_close(party->bed.node);
    party->bed.node = NULL;
}

TEST(node_serves, a_node_that_has_failed_is_closed_before_the_disk_answers)
{
    struct party party;
    read_slowly(&party);
    party_do(&party, NULL, fail_and_close);
    bed_run(&party.bed, 10 * SIM_SECOND);
    guest_close(&party.guests[0]);
    assert_true(sim_node_stop(party.bed.sim)); /* and nothing is leaked */
    bed_release(&party.bed);
}
