/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * What a replica is sent: all of it, or what it lacks; and when that cannot be done.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "test/face/psync/following.h"

static const char EOF_MARK[] = "0123456789abcdef0123456789abcdef01234567";

/* The text without what it begins with; the test fails if it does not. */
static const char *behind(const char *text, const char *begin)
{
    if (strncmp(text, begin, strlen(begin)) != 0) fail_msg("%.60s, not %s", text, begin);
    return text + strlen(begin);
}

/* "+FULLRESYNC <name> <offset>\r\n" */
static const char *full_line(struct bed *bed, uint64_t offset)
{
    static char line[128];
    snprintf(line, sizeof line, "+FULLRESYNC %s %" PRIu64 "\r\n", bed_replid(bed), offset);
    return line;
}

/* --- A full sync --- */

TEST(psync_replica, the_first_one_switches_the_stream_on_and_gets_a_dump_and_what_follows)
{
    struct bed bed;
    bed_init(&bed);
    bed.feed.keys = 3;
    bed.words_wait = bed.feed.exports_wait = true;
    struct bed_link *link = bed_connect(&bed, 0);
    assert_string_equal(bed_say(link, "REPLCONF listening-port 7000 capa eof capa psync2"), "+OK");
    assert_false(psync_is_attached(link->replica));
    assert_string_equal(bed_say(link, "PSYNC ? -1"), "");
    assert_true(psync_is_attached(link->replica));
    assert_true(list_empty(&bed.feed.waiting)); /* not before the stream is on */
    bed_pass(&bed, 2000000);
    bed_word_done(&bed);
    expect_said(&bed, "on ");
    bed.words_wait = false;
    assert_false(list_empty(&bed.feed.waiting));
    add(&bed, "before the view ");
    bed_pass(&bed, 2000000);
    assert_string_equal(bed_got(link), "\n\n\n\n"); /* it is kept waiting, and knows it */
    fake_feed_flushed(&bed.feed, ERR_OK);
    add(&bed, "behind it ");
    bed_pass(&bed, 1000);
    const char *got = bed_got(link);
    got = behind(got, full_line(&bed, 16));
    got = behind(got, "$EOF:");
    got = behind(got, EOF_MARK);
    got = behind(got, "\r\nREDIS0010");
    assert_int_equal(bed.feed.opened, 1);
    assert_int_equal(bed.feed.closed, 1); /* nothing is held any longer than needed */
    bed_pass(&bed, 3000000);
    assert_string_equal(bed_got(link), ""); /* it would take it for a part of the dump */
    (void)bed_say(link, "REPLCONF ACK 16");
    bed_pass(&bed, 1000);
    assert_string_equal(bed_got(link), "behind it ");
    add(&bed, "and more");
    assert_string_equal(bed_got(link), "and more");
    bed_release(&bed);
}

/* Nothing but the dump stands between its length and the stream. */
TEST(psync_replica, one_that_knows_no_end_mark_is_told_the_length)
{
    for (unsigned pending_of = 0; pending_of < 3; pending_of++) {
        struct bed bed;
        bed_init(&bed);
        bed.feed.keys = 500;
        bed.feed.key_bytes = 1000;
        bed.feed.pending_of = pending_of;
        struct bed_link *link = bed_connect(&bed, 0);
        assert_string_equal(bed_say(link, "REPLCONF capa psync2"), "+OK");
        (void)bed_say(link, "PSYNC ? -1");
        add(&bed, "stream");
        bed_pass(&bed, 1000000);
        assert_true(link->out.size > 500000);
        buffer_append_byte(&link->out, 0);
        const char *got = (const char *)link->out.data;
        got = behind(got, full_line(&bed, 0));
        assert_int_equal(*got, '$');
        char *dump;
        size_t size = strtoul(got + 1, &dump, 10);
        dump += 2;
        size_t left = link->out.size - 1 - (size_t)((const uint8_t *)dump - link->out.data);
        assert_int_equal(left, size + strlen("stream"));
        assert_memory_equal(dump + size, "stream", strlen("stream"));
        assert_memory_equal(dump, "REDIS0010", 9);
        assert_int_equal((uint8_t)dump[size - 9], 0xff); /* the end of a dump, and a checksum */
        assert_int_equal(bed.feed.closed, 1);
        bed_release(&bed);
    }
}

TEST(psync_replica, an_old_one_gets_no_line_before_its_dump)
{
    struct bed bed;
    bed_init(&bed);
    struct bed_link *link = bed_connect(&bed, 0);
    (void)bed_say(link, "SYNC");
    bed_pass(&bed, 1000);
    (void)behind(bed_got(link), "$");
    add(&bed, "stream");
    assert_string_equal(bed_got(link), "stream");
    bed_pass(&bed, 200 * 1000000ULL); /* and never says anything */
    assert_false(link->closed);
    bed_release(&bed);
}

TEST(psync_replica, who_wants_the_dump_alone_gets_nothing_behind_it)
{
    struct bed bed;
    bed_init(&bed);
    bed.feed.keys = 3;
    struct bed_link *link = bed_connect(&bed, 0);
    bed.feed.exports_wait = true;
    (void)bed_say(link, "REPLCONF rdb-only 1");
    (void)bed_say(link, "SYNC");
    assert_int_equal(bed.feed.keep.from, UINT64_MAX); /* nor is anything kept for it */
    fake_feed_flushed(&bed.feed, ERR_OK);
    bed.feed.exports_wait = false;
    bed_pass(&bed, 1000);
    size_t all = link->out.size;
    assert_true(link->closed && link->flushed);
    assert_false(psync_is_attached(link->replica));
    assert_int_equal(bed.feed.keep.from, UINT64_MAX);
    struct bed_link *none = bed_connect(&bed, 1);
    (void)bed_say(none, "REPLCONF rdb-only 1 rdb-filter-only functions");
    (void)bed_say(none, "SYNC");
    bed_pass(&bed, 1000);
    assert_true(none->out.size < all); /* there are no functions here */
    assert_true(none->closed);
    bed_release(&bed);
}

TEST(psync_replica, several_that_join_at_once_each_get_all_of_it)
{
    struct bed bed;
    bed_init(&bed);
    bed.feed.keys = 40;
    bed.feed.exports_wait = bed.words_wait = true;
    for (unsigned i = 0; i < 3; i++) (void)bed_say(bed_connect(&bed, i), "PSYNC ? -1");
    bed_word_done(&bed);
    expect_said(&bed, "on "); /* once */
    fake_feed_flushed(&bed.feed, ERR_OK);
    bed_pass(&bed, 1000);
    struct bytes first = buffer_bytes(&bed.links[0].out);
    assert_true(first.size > 400);
    assert_true(bytes_equal(first, buffer_bytes(&bed.links[1].out)));
    assert_true(bytes_equal(first, buffer_bytes(&bed.links[2].out)));
    struct psync_status status;
    psync_status(bed.psync, &status);
    assert_int_equal(status.full, 3);
    assert_int_equal(status.attached, 3);
    bed_release(&bed);
}

/* --- When it cannot be done --- */

TEST(psync_replica, what_cannot_be_begun_is_refused_so_that_it_is_tried_again)
{
    struct bed bed;
    bed_init(&bed);
    bed.words_refused = true;
    struct bed_link *link = bed_connect(&bed, 0);
    (void)bed_say(link, "PSYNC ? -1");
    (void)behind(bed_got(link), "-NOMASTERLINK the stream of changes");
    assert_true(link->closed && link->flushed);
    bed.words_refused = false;
    bed.feed.exports_wait = true;
    link = bed_connect(&bed, 1);
    (void)bed_say(link, "PSYNC ? -1");
    fake_feed_flushed(&bed.feed, ERR_SPACE);
    assert_string_equal(bed_got(link), "-NOMASTERLINK told so\r\n");
    assert_true(link->closed && link->flushed);
    assert_int_equal(bed.feed.keep.from, UINT64_MAX);
    bed.status.phase = SERVICE_STOPPING;
    link = bed_connect(&bed, 2);
    assert_string_equal(bed_say(link, "PSYNC ? -1"), "-NOMASTERLINK the server is being stopped");
    assert_false(psync_is_attached(link->replica));
    bed_release(&bed);
}

static bool contains(const struct buffer *buffer, const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i + size <= buffer->size; i++) {
        if (memcmp(buffer->data + i, text, size) == 0) return true;
    }
    return false;
}

/* An error in its middle would be taken for data. */
TEST(psync_replica, a_dump_that_fails_ends_without_a_word)
{
    for (unsigned counted = 0; counted < 2; counted++) {
        struct bed bed;
        bed_init(&bed);
        bed.feed.keys = 300;
        bed.feed.key_bytes = 1000;
        bed.feed.source_err = ERR_IO;
        struct bed_link *link = bed_connect(&bed, 0);
        if (counted == 0) (void)bed_say(link, "REPLCONF capa eof");
        (void)bed_say(link, "PSYNC ? -1");
        bed_pass(&bed, 100000);
        assert_true(link->closed);
        buffer_append_byte(&link->out, 0);
        if (counted == 0) {
            assert_false(link->flushed);
            assert_false(contains(&link->out, "NOMASTERLINK"));
        } else { /* nothing of it was sent yet */
            (void)behind((const char *)link->out.data, "-NOMASTERLINK ");
        }
        assert_int_equal(bed.feed.closed, 1);
        bed_release(&bed);
    }
}

TEST(psync_replica, one_that_goes_leaves_nothing_behind_whatever_was_under_way)
{
    for (unsigned step = 0; step < 6; step++) {
        struct bed bed;
        bed_init(&bed);
        bed.feed.keys = 3000;
        bed.feed.key_bytes = 1000;
        bed.words_wait = step == 0;
        bed.feed.exports_wait = step == 1;
        if (step == 2) {
            bed.feed.pending_of = 7;
            bed.feed.reads_wait = true;
        }
        struct bed_link *link = bed_connect(&bed, 0);
        if (step != 3) (void)bed_say(link, "REPLCONF capa eof");
        link->window = step == 4 ? 100000 : SIZE_MAX;
        (void)bed_say(link, "PSYNC ? -1");
        bed_pass(&bed, step == 3 || step == 4 ? 0 : 500000);
        if (step == 5) {
            (void)bed_say(link, "REPLCONF ACK 0");
            bed.feed.reads_wait = true;
            add(&bed, "stream");
            bed_pass(&bed, 1000);
            assert_non_null(bed.feed.read);
        }
        bed_hang_up(link);
        if (step == 2) { /* its view was being read; the fake has let go of it */
            assert_int_equal(bed.feed.closed, bed.feed.opened);
        }
        if (step == 0) bed_word_done(&bed);
        bed_release(&bed);
    }
}

/* --- Going on --- */

TEST(psync_replica, one_that_comes_back_goes_on_with_the_next_byte)
{
    struct bed bed;
    bed_init(&bed);
    bed_hang_up(follow(&bed, 0));
    add(&bed, "one ");
    add(&bed, "two ");
    char line[128];
    for (unsigned psync2 = 0; psync2 < 2; psync2++) {
        struct bed_link *link = bed_connect(&bed, psync2);
        if (psync2 == 1) (void)bed_say(link, "REPLCONF capa psync2");
        snprintf(line, sizeof line, "PSYNC %s 5", bed_replid(&bed));
        (void)bed_say(link, line);
        bed_pass(&bed, 1000);
        snprintf(line, sizeof line, "+CONTINUE %s\r\ntwo ", bed_replid(&bed));
        assert_string_equal(bed_got(link), psync2 == 1 ? line : "+CONTINUE\r\ntwo ");
        add(&bed, psync2 == 0 ? "" : "three");
        assert_string_equal(bed_got(link), psync2 == 0 ? "" : "three");
    }
    struct psync_status status;
    psync_status(bed.psync, &status);
    assert_int_equal(status.partial, 2);
    assert_int_equal(status.partial_refused, 0);
    assert_int_equal(status.full, 1);
    bed_release(&bed);
}

/* It may have more of the stream than a primary whose epoch is not open has applied yet. */
TEST(psync_replica, one_that_comes_too_early_is_told_to_come_again_and_goes_on_then)
{
    struct bed bed;
    bed_init(&bed);
    bed_hang_up(follow(&bed, 0));
    char line[128];
    snprintf(line, sizeof line, "PSYNC %s 5", bed_replid(&bed));
    bed.feed.unopened = true;
    struct bed_link *link = bed_connect(&bed, 0);
    assert_string_equal(bed_say(link, line), "-NOMASTERLINK the copies that count have not "
                                             "confirmed this primary yet");
    assert_false(psync_is_attached(link->replica));
    bed_hang_up(link);
    add(&bed, "one ");
    bed.feed.unopened = false;
    link = bed_connect(&bed, 1);
    (void)bed_say(link, line);
    bed_pass(&bed, 1000);
    assert_string_equal(bed_got(link), "+CONTINUE\r\n");
    struct psync_status status;
    psync_status(bed.psync, &status);
    assert_int_equal(status.full, 1);
    bed_release(&bed);
}

TEST(psync_replica, nobody_goes_on_in_the_middle_of_a_command)
{
    struct bed bed;
    bed_init(&bed);
    bed_hang_up(follow(&bed, 0));
    add(&bed, "one ");
    add(&bed, "two ");
    struct bed_link *link = bed_connect(&bed, 0);
    char line[128];
    snprintf(line, sizeof line, "PSYNC %s 6", bed_replid(&bed));
    (void)bed_say(link, line);
    bed_pass(&bed, 1000);
    (void)behind(bed_got(link), full_line(&bed, 8));
    struct psync_status status;
    psync_status(bed.psync, &status);
    assert_int_equal(status.partial_refused, 1);
    assert_int_equal(status.full, 2);
    bed_release(&bed);
}

TEST(psync_replica, a_read_of_the_stream_may_take_its_time)
{
    struct bed bed;
    bed_init(&bed);
    struct bed_link *link = follow(&bed, 0);
    bed.feed.reads_wait = true;
    add(&bed, "one ");
    add(&bed, "two ");
    assert_string_equal(bed_got(link), "");
    bed.feed.reads_wait = false;
    assert_true(fake_feed_fetched(&bed.feed, ERR_OK));
    assert_string_equal(bed_got(link), "one two ");
    bed.feed.reads_wait = true;
    add(&bed, "three");
    assert_true(fake_feed_fetched(&bed.feed, ERR_IO));
    assert_true(link->closed);
    assert_string_equal(bed_got(link), "");
    bed_release(&bed);
}

TEST(psync_replica, what_was_given_up_under_it_ends_it)
{
    struct bed bed;
    bed_init(&bed);
    struct bed_link *link = follow(&bed, 0);
    bed.feed.place.first = 100;
    bed.feed.place.end = 100;
    bed.feed.listener->moved(bed.feed.listener);
    assert_true(link->closed);
    assert_string_equal(bed_got(link), "");
    bed_release(&bed);
}

/* It comes back with the old name, and is told the new one. */
TEST(psync_replica, another_epoch_ends_links_that_know_the_old_name)
{
    struct bed bed;
    bed_init(&bed);
    struct bed_link *link = follow(&bed, 0);
    char line[128];
    add(&bed, "one ");
    snprintf(line, sizeof line, "PSYNC %s 5", bed_replid(&bed));
    fake_feed_begin_epoch(&bed.feed);
    bed_pass(&bed, 1100000);
    assert_true(link->closed);
    bed_hang_up(link);
    link = bed_connect(&bed, 0);
    (void)bed_say(link, "REPLCONF capa psync2");
    (void)bed_say(link, line);
    snprintf(line, sizeof line, "+CONTINUE %s\r\n", bed_replid(&bed));
    assert_string_equal(bed_got(link), line);
    bed_pass(&bed, 1100000);
    assert_false(link->closed);
    struct psync_status status;
    psync_status(bed.psync, &status);
    assert_int_equal(status.before_until, 5);
    assert_string_equal(status.replid, bed_replid(&bed));
    assert_string_not_equal(status.replid, status.replid_before);
    bed_release(&bed);
}

/* Not even with what was read before and comes later. */
TEST(psync_replica, nobody_is_given_what_is_of_an_epoch_whose_name_it_was_not_told)
{
    for (unsigned late = 0; late < 2; late++) {
        struct bed bed;
        bed_init(&bed);
        struct bed_link *link = follow(&bed, 0);
        add(&bed, "of the first epoch");
        bed_pass(&bed, 1000);
        assert_memory_equal(bed_got(link), "of the first epoch", 19);
        bed.feed.reads_wait = late == 1;
        if (late == 1) add(&bed, "x");
        fake_feed_begin_epoch(&bed.feed);
        add(&bed, "of the second epoch");
        if (late == 1) assert_true(fake_feed_fetched(&bed.feed, ERR_OK));
        assert_true(link->closed);
        assert_string_equal(bed_got(link), "");
        bed_release(&bed);
    }
}
