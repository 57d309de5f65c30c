/* SPDX-License-Identifier: Apache-2.0 */
/* The session to the copy that is followed, and what it asks of the shard. */
#include "test/node/follows_bed.h"

static struct follower *follower_of(struct bed *bed)
{
    return &bed->node.follows->follower;
}

static uint64_t primary_last(struct bed *bed)
{
    return bed->pair.copies[0].size;
}

static void expect_streams(struct bed *bed)
{
    assert_true(node_follows_streams(&bed->node));
    assert_string_equal(bed_status(bed).link, "connected");
    assert_string_equal(bed_status(bed).link_state, "in_sync");
    assert_int_equal(bed_status(bed).link_down_us, 0);
    assert_int_equal(log_durable(bed->node.log).at, primary_last(bed));
    assert_int_equal(bed->committed, primary_last(bed));
}

/* The session breaks, and the next one begins. */
static void again(struct bed *bed)
{
    bed_unserve(bed);
    bed_break(bed);
    bed_pass(bed, NODE_FOLLOWS_PAUSE_US_REFUSED);
    bed_connect(bed);
    bed_serve(bed);
}

/* A node turn ends: the shard is open again. */
static void reopen(struct bed *bed, enum err err)
{
    bed->node.turn = (struct turn){0};
    node_follows_reopened(&bed->node, err);
}

TEST(node_follows_session, a_fresh_copy_catches_up_and_streams)
{
    struct bed *bed = bed_open();
    struct why why;
    assert_int_equal(site_set_unproven(&bed->node.site, &why), ERR_OK);
    bed_write(bed, 20);
    bed_follow(bed, false);
    bed_exchange(bed);
    expect_streams(bed);
    assert_false(bed->node.site.unproven); /* it has all that it ever acked */
    assert_int_equal(bed->begins, 1);
    bed_write(bed, 5);
    bed_exchange(bed);
    expect_streams(bed);
    assert_int_equal(bed->appends, primary_last(bed));
    struct message_watermarks watermarks;
    assert_true(node_follows_watermarks(&bed->node, &watermarks));
    assert_int_equal(watermarks.committed.at, primary_last(bed));
    assert_int_equal(node_follows_epoch(&bed->node).number, 1);
    assert_int_equal(bed_status(bed).primary_copy, 1);
    bed_close(bed);
}

TEST(node_follows_session, the_hello_says_where_this_copy_is_reached)
{
    static const char *const hosts[] = {"", "replica", "fd00::2"};
    static const char *const peers[] = {":17379", "replica:17379", "[fd00::2]:17379"};
    static const char *const rediss[] = {":7379", "replica:7379", "[fd00::2]:7379"};
    for (unsigned i = 0; i < 4; i++) {
        struct bed *bed = bed_open();
        bed->node.copies.announced_host = i < 3 ? hosts[i] : NULL;
        if (i == 3) bed->node.copies.peer_port = 0;
        bed_follow(bed, false);
        bed_exchange(bed);
        assert_string_equal(bed->pair.primary->peer, i < 3 ? peers[i] : "");
        assert_string_equal(bed->pair.primary->redis, rediss[i % 3]);
        bed_close(bed);
    }
}

TEST(node_follows_session, a_session_that_breaks_is_taken_up_again_soon)
{
    struct bed *bed = bed_open();
    node_follows_begin(&bed->node, "", "10.0.0.1:17379", false);
    bed_pass(bed, 0);
    for (unsigned i = 0; i < 8; i++) {
        bed_refuse_dial(bed);
        bed_pass(bed, NODE_FOLLOWS_PAUSE_US_MAX);
    }
    bed_connect(bed);
    bed_serve(bed);
    bed_exchange(bed);
    expect_streams(bed);
    bed_unserve(bed);
    bed_break(bed);
    assert_false(node_follows_streams(&bed->node));
    assert_int_equal(bed->ends, 1); /* who followed this copy is let go of */
    assert_non_null(strstr(bed_status(bed).why.text, "connection broke"));
    bed_write(bed, 7);
    bed_pass(bed, NODE_FOLLOWS_PAUSE_US_MIN);
    assert_int_equal(bed_status(bed).link_down_us, NODE_FOLLOWS_PAUSE_US_MIN);
    bed_connect(bed);
    bed_serve(bed);
    bed_exchange(bed);
    expect_streams(bed);
    assert_int_equal(bed->begins, 2);
    assert_string_equal(bed_status(bed).why.text, "");
    assert_int_equal(follower_of(bed)->link.key.endpoint, 2); /* nothing of the first is of it */
    bed_close(bed);
}

TEST(node_follows_session, who_was_followed_is_tried_first)
{
    struct bed *bed = bed_open();
    bed->node.membership.now = (struct members){
        .count = 2, .at = {{.id = 1, .peer = "one:1"}, {.id = 3, .peer = "3:1"}}};
    node_follows_begin(&bed->node, "", "10.0.0.1:17379", false);
    bed_pass(bed, 0);
    bed_refuse_dial(bed);
    bed_pass(bed, NODE_FOLLOWS_PAUSE_US_MAX);
    assert_string_equal(bed->dialled, "one:1");
    bed_connect(bed);
    bed_serve(bed);
    bed_exchange(bed);
    expect_streams(bed);
    bed_unserve(bed);
    bed_break(bed);
    bed_pass(bed, NODE_FOLLOWS_PAUSE_US_MIN);
    assert_string_equal(bed->dialled, "one:1");
    bed_refuse_dial(bed);
    bed_pass(bed, NODE_FOLLOWS_PAUSE_US_MAX);
    assert_string_equal(bed->dialled, "3:1");
    bed_close(bed);
}

TEST(node_follows_session, facts_wait_for_the_end_of_a_turn)
{
    struct bed *bed = bed_open();
    bed->node.turn.kind = TURN_CUT;
    bed_follow(bed, false);
    bed_exchange(bed);
    assert_int_equal(follower_of(bed)->phase, FOLLOWER_ASKING);
    assert_int_equal(bed->facts, 0);
    reopen(bed, ERR_OK); /* of nobody's of now */
    bed_exchange(bed);
    expect_streams(bed);
    bed_close(bed);
}

TEST(node_follows_session, what_was_asked_for_is_forgotten_with_its_session)
{
    struct bed *bed = bed_open();
    bed->node.turn.kind = TURN_CUT;
    bed_follow(bed, false);
    bed_exchange(bed);
    again(bed);
    reopen(bed, ERR_OK);
    bed_exchange(bed);
    expect_streams(bed);
    assert_int_equal(bed->facts, 1);
    assert_int_equal(follower_of(bed)->link.stale, 0);
    bed_close(bed);
}

TEST(node_follows_session, the_epoch_is_promised_durably_and_once)
{
    struct bed *bed = bed_open();
    bed_follow(bed, false);
    bed_exchange(bed);
    expect_streams(bed);
    assert_int_equal(epoch_compare(log_promised(bed->node.log), (struct epoch){1, 1}), 0);
    again(bed);
    bed_exchange(bed);
    expect_streams(bed);
    /* The next epoch is another promise. */
    bed_unserve(bed);
    pair_lead(&bed->pair, (struct commit_rule){COMMIT_LOCAL, 1}, false);
    bed_write(bed, 1);
    again(bed);
    bed_exchange(bed);
    expect_streams(bed);
    assert_int_equal(log_promised(bed->node.log).number, 2);
    assert_int_equal(node_follows_epoch(&bed->node).number, 2);
    bed_close(bed);
}

TEST(node_follows_session, a_promise_waits_for_the_one_of_an_earlier_session)
{
    struct bed *bed = bed_open();
    bed->disk_waits = true;
    bed_follow(bed, false);
    bed_exchange(bed);
    assert_int_equal(follower_of(bed)->phase, FOLLOWER_PROMISING);
    assert_true(bed->node.follows->promise_busy);
    node_follows_begin(&bed->node, "", "10.0.0.1:17379", false);
    bed_unserve(bed);
    pair_lead(&bed->pair, (struct commit_rule){COMMIT_LOCAL, 1}, false);
    bed_write(bed, 1);
    bed_pass(bed, 0);
    bed_connect(bed);
    bed_serve(bed);
    bed_exchange(bed);
    assert_int_equal(follower_of(bed)->phase, FOLLOWER_PROMISING);
    assert_int_equal(bed->node.follows->promising.epoch.number, 1); /* is the log's till then */
    bed->disk_waits = false;
    bed_exchange(bed);
    expect_streams(bed);
    assert_int_equal(log_promised(bed->node.log).number, 2);
    bed_close(bed);
}

TEST(node_follows_session, a_tail_that_nobody_else_has_is_cut_by_a_turn)
{
    struct bed *bed = bed_open();
    struct why why;
    bed_write(bed, 3);
    bed_follow(bed, false);
    bed_exchange(bed);
    expect_streams(bed);
    /* Two entries more than the primary keeps. */
    struct entry entry = bed->pair.copies[0].log[primary_last(bed)];
    for (unsigned i = 0; i < 2; i++) {
        struct lineage before = entry.lineage;
        entry.lsn.at++;
        entry.lineage = log_lineage(before, &entry);
        assert_int_equal(log_append_entry(bed->node.log, &entry, &why), ERR_OK);
    }
    log_push(bed->node.log);
    bed_unserve(bed);
    pair_lead(&bed->pair, (struct commit_rule){COMMIT_LOCAL, 1}, false);
    bed_write(bed, 1);
    again(bed);
    bed_exchange(bed);
    assert_int_equal(follower_of(bed)->phase, FOLLOWER_CUTTING);
    assert_string_equal(bed_status(bed).link, "sync");
    assert_int_equal(bed->turn_count, 1);
    assert_int_equal(bed->turns[0].kind, TURN_CUT);
    assert_int_equal(bed->turns[0].mark.lsn.at, 4);
    assert_int_equal(bed->turns[0].mark.lineage.hash, bed->pair.copies[0].log[4].lineage.hash);
    node_follows_advanced(&bed->node); /* nothing is asked of a log that is being cut */
    bed_exchange(bed);
    assert_int_equal(follower_of(bed)->phase, FOLLOWER_CUTTING);
    reopen(bed, ERR_CORRUPT);
    bed_turn(bed);
    assert_int_equal(follower_of(bed)->link.reason, BYE_FORK);
    assert_string_equal(bed_status(bed).link, "connect");
    bed_close(bed);
}

/* --- An image --- */

/* The newest image is of here; what is behind it is sent as entries, what is before it is not
 * kept. */
static void have_image(struct bed *bed)
{
    struct pair *pair = &bed->pair;
    bed_write(bed, 30);
    pair->copies[0].flushed = pair->copies[0].applied;
    pair->image = pair_mark(&pair->copies[0], pair->copies[0].flushed);
    pair->copies[0].floor = pair->copies[0].flushed + 1;
    pair->options[0].may_rebuild = true;
}

/* A copy that begins to take it. */
static struct bed *open_with_image(void)
{
    struct bed *bed = bed_open();
    have_image(bed);
    bed_follow(bed, true);
    bed_exchange(bed);
    return bed;
}

/* The log ends with the image's mark, as behind a turn. */
static void install(struct bed *bed)
{
    struct pair_copy *copy = &bed->pair.copies[0];
    struct mark mark = bed->turns[0].mark;
    struct epoch_start start = {mark.epoch, {1}, 0};
    struct why why;
    for (uint64_t lsn = 1; lsn <= mark.lsn.at; lsn++)
        assert_int_equal(log_append_entry(bed->node.log, &copy->log[lsn], &why), ERR_OK);
    log_push(bed->node.log);
    while (log_durable(bed->node.log).at < mark.lsn.at) bed_turn(bed);
    bed->committed = bed->applied = mark.lsn.at;
    assert_int_equal(epochs_append(&bed->node.epochs, &start, &why), ERR_OK);
    node_follows_switched(&bed->node);
    reopen(bed, ERR_OK);
}

/* What is left of it. */
static void take_image(struct bed *bed)
{
    bed_exchange(bed);
    while (follower_of(bed)->phase == FOLLOWER_TRANSFER) {
        bed_pass(bed, NODE_FOLLOWS_SYNC_US);
        bed_exchange(bed);
    }
    if (!bed->stages_slowly) assert_int_equal(follower_of(bed)->phase, FOLLOWER_INSTALLING);
}

static void expect_incoming(struct bed *bed)
{
    struct disk_file *file = memory_find(&bed->disk, "d/images/incoming.tmp");
    const struct mark *mark = &bed->pair.image;
    assert_non_null(file);
    assert_int_equal(file->size, pair_image_size(mark));
    for (uint64_t i = 0; i < file->size; i++)
        assert_int_equal(file->content.data[i], pair_image_byte(mark, i));
}

TEST(node_follows_session, an_image_is_stored_whole_before_it_is_installed_once)
{
    struct bed *bed = bed_open();
    struct why why;
    struct site_follow follow = {.address = "primary:7379", .wipe = true};
    assert_int_equal(site_follow_write(&bed->node.site, &follow, &why), ERR_OK);
    have_image(bed);
    bed_follow(bed, true);
    bed_exchange(bed);
    assert_int_equal(follower_of(bed)->phase, FOLLOWER_TRANSFER); /* not synced: not acked */
    assert_int_equal(bed->turn_count, 0);
    assert_true(bed_status(bed).sync_bytes > 0);
    take_image(bed);
    assert_int_equal(bed->turn_count, 1);
    assert_int_equal(bed->turns[0].kind, TURN_INSTALL);
    assert_true(mark_equal(&bed->turns[0].mark, &bed->pair.image));
    assert_int_equal(bed->turns[0].cluster, 3);
    assert_int_equal(bed->turns[0].epoch.number, 1);
    assert_true(bed->turns[0].taken && bed->stagings == 1); /* of what has come, and all of it */
    assert_false(bed->node.follows->image.open); /* the turn takes the file */
    expect_incoming(bed);
    assert_true(bed->node.follows->wipe);
    bed_write(bed, 5);
    install(bed);
    bed_exchange(bed);
    expect_streams(bed);
    assert_false(bed->node.follows->wipe);
    assert_int_equal(site_follow_read(&bed->node.site, &follow, &why), ERR_OK);
    assert_false(follow.wipe);
    assert_string_equal(follow.address, "primary:7379");
    bed_close(bed);
}

TEST(node_follows_session, an_image_goes_on_where_it_was_durable)
{
    struct bed *bed = open_with_image();
    bed_pass(bed, NODE_FOLLOWS_SYNC_US);
    uint64_t stored = bed->node.follows->image.stored;
    assert_true(stored > 0 && stored < pair_image_size(&bed->pair.image));
    again(bed); /* what is made of it goes with the session */
    bed_exchange(bed);
    assert_int_equal(bed->node.follows->image.incoming.stored, stored);
    assert_true(bed->stagings == 2 && bed->arrived >= stored);
    take_image(bed);
    expect_incoming(bed);
    bed_close(bed);
}

TEST(node_follows_session, an_image_that_is_there_is_not_staged_anew_with_each_session)
{
    struct bed *bed = bed_open();
    have_image(bed);
    bed->stages_slowly = true;
    bed_follow(bed, true);
    take_image(bed);
    assert_true(bed->turn_count == 0 && bed->stagings == 1);
    again(bed);
    bed_exchange(bed);
    assert_true(bed->turn_count == 1 && bed->stagings == 1 && !bed->turns[0].taken);
    bed_close(bed);
}

TEST(node_follows_session, another_target_keeps_its_wipe_when_an_earlier_image_is_installed)
{
    struct bed *bed = open_with_image();
    take_image(bed);
    node_follows_begin(&bed->node, "other:7379", "", true);
    node_follows_switched(&bed->node);
    reopen(bed, ERR_OK);
    assert_true(bed->node.follows->wipe);
    bed_close(bed);
}

TEST(node_follows_session, who_is_in_sync_gives_up_nothing_any_more_without_another_word)
{
    struct bed *bed = bed_open();
    struct why why;
    struct site_follow follow = {.address = "primary:7379", .wipe = true};
    assert_int_equal(site_follow_write(&bed->node.site, &follow, &why), ERR_OK);
    bed_write(bed, 5);
    bed_follow(bed, true);
    bed_exchange(bed);
    expect_streams(bed);
    assert_false(bed->node.follows->wipe);
    assert_int_equal(site_follow_read(&bed->node.site, &follow, &why), ERR_OK);
    assert_false(follow.wipe);
    bed_close(bed);
}

TEST(node_follows_session, the_epoch_of_another_history_is_not_promised_before_its_image)
{
    struct bed *bed = bed_open();
    struct why why;
    assert_int_equal(log_promise(bed->node.log, (struct epoch){9, 7}, &why), ERR_OK);
    have_image(bed);
    bed->pair.copies[0].history = bed->pair.image.history.id[0] = 8;
    bed_follow(bed, true);
    bed_exchange(bed);
    assert_int_equal(follower_of(bed)->phase, FOLLOWER_TRANSFER);
    assert_int_equal(log_promised(bed->node.log).number, 9);
    take_image(bed);
    assert_int_equal(bed->turns[0].mark.history.id[0], 8);
    assert_int_equal(bed->turns[0].epoch.number, 1);
    bed_close(bed);
}

TEST(node_follows_session, a_disk_that_does_not_take_the_image_ends_the_session)
{
    struct bed *bed = open_with_image();
    assert_true(bed->node.follows->image.open);
    struct disk_request *request = &bed->node.follows->image.sync;
    fake_clock_pass(&bed->clock, NODE_FOLLOWS_SYNC_US);
    assert_true(bed->node.follows->image.syncs); /* it fails */
    list_remove(&request->node);
    request->err = ERR_IO;
    request->done(request);
    bed_turn(bed);
    assert_string_equal(bed_status(bed).link, "connect");
    assert_non_null(strstr(bed_status(bed).why.text, "its disk"));
    assert_false(bed->node.follows->image.open);
    bed_close(bed);
}

TEST(node_follows_session, an_image_that_is_being_written_outlives_the_node)
{
    struct bed *bed = open_with_image();
    assert_true(bed->node.follows->image.open);
    bed->node.follows->image.sync_due = true;
    fake_clock_pass(&bed->clock, NODE_FOLLOWS_SYNC_US);
    assert_true(follows_image_is_busy(&bed->node.follows->image));
    node_follows_end(&bed->node, BYE_STOP);
    node_follows_close(&bed->node);
    assert_null(bed->node.follows_kept);
    bed_close(bed); /* the request returns, and nothing is left */
}

TEST(node_follows_session, an_image_that_is_needed_no_more_goes)
{
    struct bed *bed = open_with_image();
    bed_pass(bed, NODE_FOLLOWS_SYNC_US);
    bed->pair.copies[0].floor = 1; /* it is sent all entries now */
    again(bed);
    bed_exchange(bed);
    expect_streams(bed);
    assert_null(memory_find(&bed->disk, "d/images/incoming.tmp"));
    bed_close(bed);
}

TEST(node_follows_session, a_primary_that_sends_more_than_was_acked_for_is_sent_away)
{
    struct bed *bed = open_with_image();
    bed->disk_waits = true;
    struct buffer *waiting = &bed->node.follows->image.waiting;
    (void)buffer_reserve(waiting, NODE_FOLLOWS_WAITING_BYTES);
    memset(waiting->data, 0, NODE_FOLLOWS_WAITING_BYTES);
    waiting->size = NODE_FOLLOWS_WAITING_BYTES;
    uint8_t payload[MESSAGE_CHUNK_HEAD_BYTES + 1] = {0};
    store_le64(payload, follower_of(bed)->image_next);
    const struct link *link = &follower_of(bed)->link;
    struct frame_head head = {.type = FRAME_IMAGE_CHUNK,
                              .cluster = 3,
                              .epoch = link->key.epoch,
                              .session = link->key.session};
    struct buffer frame;
    buffer_init(&frame);
    size_t begin = frame_begin(&frame);
    buffer_append(&frame, bytes_of(payload, sizeof payload));
    frame_seal(&frame, begin, &head);
    bed_say(bed, buffer_bytes(&frame));
    buffer_release(&frame);
    assert_string_equal(bed_status(bed).link, "connect");
    assert_non_null(strstr(bed_status(bed).why.text, "understand"));
    bed->disk_waits = false;
    bed_close(bed);
}

/* --- Ends --- */

TEST(node_follows_session, a_refusal_is_told_and_asked_again_slowly)
{
    struct bed *bed = bed_open();
    bed_write(bed, 3);
    bed->node.site.identity.cluster = 4;
    bed_follow(bed, false);
    bed_exchange(bed);
    assert_string_equal(bed_status(bed).link, "connect");
    assert_non_null(strstr(bed_status(bed).why.text, "another cluster"));
    assert_non_null(strstr(bed_status(bed).why.text, "rule=cluster"));
    assert_int_equal(bed->warnings, 1);
    bed_pass(bed, NODE_FOLLOWS_PAUSE_US_REFUSED / 2 - 1);
    assert_int_equal(bed->dials, 1);
    bed_unserve(bed);
    bed_pass(bed, NODE_FOLLOWS_PAUSE_US_REFUSED);
    bed_connect(bed);
    bed_serve(bed);
    bed_exchange(bed);
    assert_int_equal(bed->warnings, 1);
    bed_close(bed);
}

TEST(node_follows_session, another_clusters_epoch_is_promised_by_the_log_of_its_image)
{
    struct bed *bed = bed_open();
    struct why why;
    bed->node.site.identity.cluster = 4;
    assert_int_equal(log_promise(bed->node.log, (struct epoch){9, 2}, &why), ERR_OK);
    have_image(bed);
    bed_follow(bed, true);
    take_image(bed);
    assert_int_equal(log_promised(bed->node.log).number, 9);
    assert_int_equal(bed->turns[0].cluster, 3);
    assert_int_equal(bed->turns[0].epoch.number, 1);
    bed_close(bed);
}

TEST(node_follows_session, a_log_that_takes_no_entries_ends_the_session_and_pauses_grow)
{
    struct bed *bed = bed_open();
    bed_follow(bed, false);
    bed_exchange(bed);
    expect_streams(bed);
    for (unsigned i = 0; i < 6; i++) {
        bed->append_err = ERR_SPACE;
        bed_write(bed, 1);
        bed_exchange(bed);
        assert_string_equal(bed_status(bed).link, "connect");
        assert_non_null(strstr(bed_status(bed).why.text, "failed"));
        if (i == 5) break;
        bed->append_err = ERR_OK;
        bed_unserve(bed);
        bed_pass(bed, NODE_FOLLOWS_PAUSE_US_MAX);
        bed_connect(bed);
        bed_serve(bed);
        bed_exchange(bed);
        expect_streams(bed);
    }
    unsigned dials = bed->dials;
    bed_pass(bed, NODE_FOLLOWS_PAUSE_US_MAX / 2 - 1);
    assert_int_equal(bed->dials, dials);
    bed_close(bed);
}

TEST(node_follows_session, an_end_says_goodbye)
{
    struct bed *bed = bed_open();
    bed_follow(bed, false);
    bed_exchange(bed);
    node_follows_end(&bed->node, BYE_STOP);
    assert_true(bed->stream->closed && bed->stream->flushed);
    assert_int_equal(bed->ends, 1);
    bed_exchange(bed);
    assert_int_equal(bed->pair.primary->link.reason, BYE_STOP);
    bed_close(bed);
}

TEST(node_follows_session, a_role_that_is_handed_over_is_taken)
{
    struct bed *bed = bed_open();
    bed_follow(bed, false);
    bed_exchange(bed);
    struct session_event event = {.kind = EVENT_STOP, .reason = BYE_LEAD};
    pair_step(&bed->pair, true, &event);
    bed_exchange(bed);
    assert_int_equal(bed->promotes, 1);
    assert_string_equal(bed_status(bed).link, "connect"); /* until it leads */
    bed_close(bed);
}

TEST(node_follows_session, a_secret_is_needed_beyond_this_machine)
{
    struct bed *bed = bed_open();
    bed->node.copies.secret = "";
    node_follows_begin(&bed->node, "", "10.0.0.1:17379", false);
    bed_pass(bed, 0);
    struct dial *dial = bed->dial;
    struct stream *stream = memory_zeroed(1, sizeof *stream);
    bed->dial = NULL;
    stream->elsewhere = true;
    stream->window = SIZE_MAX;
    list_append(&bed->net.streams, &stream->link);
    stream->owner = dial->connected(dial, stream);
    bed_turn(bed);
    assert_true(stream->closed);
    assert_non_null(strstr(bed_status(bed).why.text, "secret"));
    bed_pass(bed, NODE_FOLLOWS_PAUSE_US_REFUSED / 2 - 1);
    assert_int_equal(bed->dials, 1);
    bed_close(bed);
}
