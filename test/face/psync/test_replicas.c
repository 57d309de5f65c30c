/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * What replicas may cost: memory, the stream that is kept for them, time; and what they say.
 */
#include <string.h>

#include "test/face/psync/following.h"

/* --- No more than it takes --- */

TEST(psync_replica, nothing_is_made_for_one_that_takes_nothing)
{
    struct bed bed;
    bed_init(&bed);
    bed.feed.keys = 2000;
    bed.feed.key_bytes = 1000;
    struct bed_link *link = bed_connect(&bed, 0);
    (void)bed_say(link, "REPLCONF capa eof");
    link->window = 0;
    (void)bed_say(link, "PSYNC ? -1");
    bed_pass(&bed, 5000000);
    assert_true(link->out.size <= PSYNC_UNSENT_MAX + PSYNC_PIECE_BYTES + 200);
    for (unsigned i = 0; i < 40 && link->out.size < 2000000; i++) {
        size_t before = link->out.size;
        link->unsent = 0;
        psync_drained(link->replica);
        bed_pass(&bed, 1000);
        assert_true(link->out.size > before);
        assert_true(link->out.size - before <= PSYNC_UNSENT_MAX + PSYNC_PIECE_BYTES + 200);
    }
    assert_true(link->out.size > 2000000);
    link->unsent = 0;
    link->window = 0;
    (void)bed_say(link, "REPLCONF ACK 0");
    bed_pass(&bed, 1000);
    buffer_clear(&link->out);
    static char text[100000];
    memset(text, 'x', sizeof text - 1);
    for (unsigned i = 0; i < 30; i++) add(&bed, text);
    bed_pass(&bed, 100000);
    assert_true(link->out.size <= PSYNC_UNSENT_MAX + PSYNC_PIECE_BYTES);
    link->unsent = 0;
    link->window = SIZE_MAX;
    psync_drained(link->replica);
    bed_pass(&bed, 1000000);
    assert_int_equal(link->out.size, 30 * (sizeof text - 1));
    bed_release(&bed);
}

/* In a turn with a peer that takes everything there is one piece, and no end of the turn would come
 * otherwise. */
TEST(psync_replica, each_piece_is_made_in_a_turn_of_its_own)
{
    struct bed bed;
    bed_init(&bed);
    bed.feed.keys = 2000;
    bed.feed.key_bytes = 1000;
    struct bed_link *link = bed_connect(&bed, 0);
    (void)bed_say(link, "REPLCONF capa eof");
    (void)bed_say(link, "PSYNC ? -1");
    for (unsigned i = 0; i < 100 && link->replica->phase != REPLICA_LOAD; i++) {
        size_t before = link->out.size;
        struct timer *timer = fake_clock_first(&bed.clock);
        fake_timer_stop(&bed.clock.base, timer);
        timer->fired(timer);
        psync_drained(link->replica);
        assert_true(link->out.size - before <= PSYNC_PIECE_BYTES + 200);
    }
    assert_int_equal(link->replica->phase, REPLICA_LOAD);
    bed_release(&bed);
}

/* --- What is kept for it --- */

TEST(psync_replica, the_stream_is_kept_from_where_the_last_of_them_stands)
{
    struct bed bed;
    bed_init(&bed);
    assert_int_equal(bed.feed.keep.from, UINT64_MAX);
    assert_int_equal(bed.feed.keep.bytes, 1000);
    struct bed_link *one = follow(&bed, 0);
    assert_int_equal(bed.feed.keep.from, 1);
    add(&bed, "0123456789");
    bed_pass(&bed, 1100000);
    assert_int_equal(bed.feed.keep.from, 11);
    bed.feed.exports_wait = true;
    struct bed_link *two = bed_connect(&bed, 1);
    (void)bed_say(two, "PSYNC ? -1"); /* its view is yet to come */
    add(&bed, "0123456789");
    bed_pass(&bed, 1100000);
    assert_int_equal(bed.feed.keep.from, 11);
    fake_feed_flushed(&bed.feed, ERR_OK);
    bed_pass(&bed, 1100000);
    assert_int_equal(bed.feed.keep.from, 21);
    bed.status.low_space = true; /* what clients write comes first */
    bed.settings.backlog_bytes = 77;
    bed_pass(&bed, 1100000);
    assert_int_equal(bed.feed.keep.from, UINT64_MAX);
    assert_int_equal(bed.feed.keep.bytes, 77);
    bed.status.low_space = false;
    bed_hang_up(one);
    bed_hang_up(two);
    assert_int_equal(bed.feed.keep.from, UINT64_MAX);
    bed_release(&bed);
}

/* --- Time --- */

TEST(psync_replica, pings_come_while_someone_is_there)
{
    struct bed bed;
    bed_init(&bed);
    fake_feed_switch(&bed.feed, true);
    bed_pass(&bed, 60 * 1000000ULL);
    expect_said(&bed, "");
    fake_feed_switch(&bed.feed, false);
    bed.words_wait = true;
    (void)bed_say(bed_connect(&bed, 1), "PSYNC ? -1");
    bed_pass(&bed, 30 * 1000000ULL);
    assert_int_equal(bed.submitted, 1); /* there is no stream yet */
    bed_word_done(&bed);
    bed.words_wait = false;
    bed_hang_up(&bed.links[1]);
    buffer_clear(&bed.said);
    struct bed_link *link = follow(&bed, 0);
    (void)bed_say(link, "REPLCONF ACK 0");
    bed.psync->pinged_us = bed.clock.us;
    for (unsigned i = 0; i < 32; i++) {
        bed_pass(&bed, 1000000);
        (void)bed_say(link, "REPLCONF ACK 0");
    }
    expect_said(&bed, "ping ping ping ");
    assert_string_equal(bed_got(link), "pingpingping");
    bed_hang_up(link);
    bed_pass(&bed, 60 * 1000000ULL);
    expect_said(&bed, "");
    bed_release(&bed);
}

TEST(psync_replica, the_stream_is_switched_off_when_nobody_was_there_for_long)
{
    struct bed bed;
    bed_init(&bed);
    bed.settings.backlog_ttl_us = 100 * 1000000ULL;
    struct bed_link *link = follow(&bed, 0);
    expect_said(&bed, "on ");
    for (unsigned i = 0; i < 200; i++) {
        bed_pass(&bed, 1000000);
        (void)bed_say(link, "REPLCONF ACK 0");
    }
    assert_true(bed.feed.place.on);
    bed_hang_up(link);
    bed_pass(&bed, 90 * 1000000ULL);
    assert_true(bed.feed.place.on);
    buffer_clear(&bed.said);
    bed_pass(&bed, 30 * 1000000ULL);
    expect_said(&bed, "off ");
    bed_pass(&bed, 300 * 1000000ULL);
    expect_said(&bed, "");
    bed_release(&bed);
}

TEST(psync_replica, who_says_nothing_for_too_long_is_closed)
{
    struct bed bed;
    bed_init(&bed);
    struct bed_link *silent = follow(&bed, 0), *loading = bed_connect(&bed, 1);
    (void)bed_say(loading, "REPLCONF capa eof");
    (void)bed_say(loading, "PSYNC ? -1");
    for (unsigned i = 0; i < 50; i++) {
        bed_pass(&bed, 1000000);
        psync_heard(loading->replica); /* line ends, while it loads */
    }
    assert_false(silent->closed || loading->closed);
    for (unsigned i = 0; i < 15; i++) {
        bed_pass(&bed, 1000000);
        psync_heard(loading->replica);
    }
    assert_true(silent->closed);
    assert_false(loading->closed);
    assert_false(psync_is_attached(silent->replica));
    bed_pass(&bed, 62 * 1000000ULL);
    assert_true(loading->closed);
    bed_release(&bed);
}

TEST(psync_replica, who_takes_nothing_for_too_long_is_closed)
{
    struct bed bed;
    bed_init(&bed);
    bed.feed.keys = 2000;
    bed.feed.key_bytes = 1000;
    struct bed_link *link = bed_connect(&bed, 0);
    (void)bed_say(link, "REPLCONF capa eof");
    link->window = 0;
    (void)bed_say(link, "PSYNC ? -1");
    for (unsigned i = 0; i < 10; i++) { /* slow is not stuck */
        bed_pass(&bed, 50 * 1000000ULL);
        assert_false(link->closed);
        link->unsent -= 1000;
    }
    bed_pass(&bed, 63 * 1000000ULL);
    assert_true(link->closed);
    assert_int_equal(bed.feed.closed, 1);
    bed_release(&bed);
}

TEST(psync_replica, the_limit_counts_from_when_it_has_caught_up_once)
{
    struct bed bed;
    bed_init(&bed);
    bed.settings.hard_bytes = 1000000;
    bed.settings.soft_bytes = 500000;
    bed.settings.soft_us = 10 * 1000000ULL;
    struct bed_link *link = bed_connect(&bed, 0);
    link->window = 0;
    fake_feed_switch(&bed.feed, true);
    bed.feed.exports_wait = true;
    (void)bed_say(link, "PSYNC ? -1");
    fake_feed_flushed(&bed.feed, ERR_OK);
    static char text[100000];
    memset(text, 'x', sizeof text - 1);
    for (unsigned i = 0; i < 20; i++) add(&bed, text); /* while it was given the dump */
    for (unsigned i = 0; i < 20; i++) {
        bed_pass(&bed, 1000000);
        psync_heard(link->replica);
    }
    assert_false(link->closed);
    link->unsent = 0;
    link->window = SIZE_MAX;
    psync_drained(link->replica);
    bed_pass(&bed, 2000000);
    link->window = 0; /* from now on it counts */
    for (unsigned i = 0; i < 7; i++) add(&bed, text);
    for (unsigned i = 0; i < 9; i++) {
        bed_pass(&bed, 1000000);
        psync_heard(link->replica);
    }
    assert_false(link->closed); /* above the soft one, but not for long enough */
    bed_pass(&bed, 3000000);
    assert_true(link->closed);
    bed_hang_up(link);
    bed.feed.exports_wait = false;
    link = follow(&bed, 0);
    bed_pass(&bed, 2000000);
    link->window = 0;
    for (unsigned i = 0; i < 12; i++) add(&bed, text);
    bed_pass(&bed, 1100000);
    assert_true(link->closed);
    bed_release(&bed);
}

/* --- What it says --- */

TEST(psync_replica, what_it_has_is_what_it_says_and_was_given)
{
    struct bed bed;
    bed_init(&bed);
    struct bed_link *one = follow(&bed, 0), *two = follow(&bed, 1);
    add(&bed, "0123456789");
    bed_pass(&bed, 1000);
    assert_int_equal(psync_offset(bed.psync), 10);
    assert_int_equal(psync_acked(bed.psync, 0, false), 2);
    assert_int_equal(psync_acked(bed.psync, 10, false), 0);
    assert_string_equal(bed_say(one, "REPLCONF ACK 10 FACK 10"), "");
    assert_string_equal(bed_say(two, "REPLCONF ACK 9"), "");
    assert_int_equal(psync_acked(bed.psync, 10, false), 1);
    assert_int_equal(psync_acked(bed.psync, 9, false), 2);
    (void)bed_say(two, "REPLCONF ACK 11"); /* it was never given that */
    (void)bed_say(two, "REPLCONF ACK -1");
    (void)bed_say(two, "REPLCONF ACK x");
    (void)bed_say(two, "REPLCONF ACK 3"); /* nor does it lose what it has */
    assert_int_equal(psync_acked(bed.psync, 10, false), 1);
    assert_int_equal(psync_acked(bed.psync, 9, false), 2);
    struct psync_brief brief;
    assert_true(psync_brief(bed.psync, 1, &brief));
    assert_string_equal(brief.host, "10.0.0.1");
    assert_string_equal(brief.state, "online");
    assert_int_equal(brief.offset, 9);
    assert_false(psync_brief(bed.psync, 2, &brief));
    bed_release(&bed);
}

TEST(psync_replica, who_is_not_in_the_stream_has_nothing)
{
    struct bed bed;
    bed_init(&bed);
    struct bed_link *link = bed_connect(&bed, 0);
    (void)bed_say(link, "REPLCONF ACK 5");
    assert_int_equal(psync_acked(bed.psync, 0, false), 0);
    bed.feed.exports_wait = true;
    (void)bed_say(link, "PSYNC ? -1");
    (void)bed_say(link, "REPLCONF ACK 5");
    assert_int_equal(psync_acked(bed.psync, 0, false), 0);
    bed_release(&bed);
}

TEST(psync_replica, words_go_into_the_stream_only_while_it_is_on)
{
    struct bed bed;
    bed_init(&bed);
    struct published published = {3, bytes_text("ch"), bytes_text("text")};
    psync_publish(bed.psync, false, &published);
    psync_ask(bed.psync);
    expect_said(&bed, "");
    fake_feed_switch(&bed.feed, true);
    psync_publish(bed.psync, false, &published);
    psync_publish(bed.psync, true, &published);
    psync_ask(bed.psync); /* nobody is there */
    expect_said(&bed, "publish:3:ch:text spublish:3:ch:text ");
    (void)follow(&bed, 0);
    psync_ask(bed.psync);
    expect_said(&bed, "getack ");
    bed.service.read_only = true; /* another copy leads */
    psync_publish(bed.psync, false, &published);
    psync_ask(bed.psync);
    expect_said(&bed, "");
    bed.service.read_only = false;
    bed.words_wait = true;
    psync_ask(bed.psync);
    bed_release(&bed);
    assert_int_equal(bed.cancelled, 1); /* nothing is answered to who is gone */
}

TEST(psync_replica, what_makes_no_sense_is_answered_with_an_error)
{
    struct bed bed;
    bed_init(&bed);
    struct bed_link *link = bed_connect(&bed, 0);
    assert_string_equal(bed_say(link, "REPLCONF what ever"),
                        "-ERR Unrecognized REPLCONF option: what");
    assert_string_equal(bed_say(link, "REPLCONF capa"), "-ERR syntax error");
    assert_string_equal(bed_say(link, "REPLCONF"), "+OK");
    assert_string_equal(bed_say(link, "REPLCONF listening-port x"),
                        "-ERR value is not an integer or out of range");
    assert_string_equal(bed_say(link, "REPLCONF ip-address a,b"),
                        "-ERR REPLCONF ip-address provided by replica instance is no address");
    char line[400] = "REPLCONF ip-address ";
    memset(line + strlen(line), 'a', 300);
    assert_string_equal(bed_say(link, line),
                        "-ERR REPLCONF ip-address provided by replica instance is too long");
    assert_string_equal(bed_say(link, "REPLCONF rdb-only 2"),
                        "-ERR value is out of range, must be between 0 and 1");
    assert_string_equal(bed_say(link, "REPLCONF version 8.0.0 capa dual-channel"), "+OK");
    assert_string_equal(bed_say(link, "REPLCONF getack *"), "");
    assert_string_equal(bed_say(link, "PSYNC ? x"), "-ERR value is not an integer or out of range");
    assert_string_equal(bed_say(link, "PSYNC ? -1 FAILOVER"),
                        "-ERR PSYNC FAILOVER can't be sent to a master.");
    assert_false(psync_is_attached(link->replica));
    (void)bed_say(link, "PSYNC ? -1");
    assert_true(psync_is_attached(link->replica));
    (void)bed_say(link, "PSYNC ? -1"); /* once */
    struct psync_status status;
    psync_status(bed.psync, &status);
    assert_int_equal(status.full, 1);
    bed_release(&bed);
}
