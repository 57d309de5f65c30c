/* SPDX-License-Identifier: Apache-2.0 */
/* The feed: exports after a flush, reads of the stream, and who is told that it goes on. */
#include "node/internal.h"
#include "test/node/bed.h"

#include "seam/feed.h"

struct wish {
    struct feed_export request;
    unsigned ends;
};

struct reading {
    struct feed_read request;
    struct buffer out;
    unsigned ends;
};

enum feed_deed {
    FEED_OPEN,
    FEED_FORGET,
    FEED_READ,
    FEED_DROP,
    FEED_FREE,
    FEED_LISTEN,
    FEED_UNLISTEN,
    FEED_UNLEAD
};

struct feed_visit {
    struct sim_visit base;
    struct bed *bed;
    enum feed_deed deed;
    struct wish *wish;
    struct reading *reading;
    struct feed_listener *listener;
};

static void visit(struct sim_visit *base, struct world *world)
{
    (void)world;
    struct feed_visit *visit = CONTAINER_OF(base, struct feed_visit, base);
    struct service *service = visit->bed->service;
    struct feed *feed = service->ops->feed(service);
    switch (visit->deed) {
    case FEED_OPEN: feed->ops->open(feed, &visit->wish->request); break;
    case FEED_FORGET: feed->ops->forget(feed, &visit->wish->request); break;
    case FEED_READ: feed->ops->read(feed, &visit->reading->request); break;
    case FEED_DROP: feed->ops->drop(feed, &visit->reading->request); break;
    case FEED_FREE: buffer_release(&visit->reading->out); break; /* it is of the node's heap */
    case FEED_LISTEN: feed->ops->listen(feed, visit->listener); break;
    case FEED_UNLISTEN: feed->ops->listen(feed, NULL); break;
    case FEED_UNLEAD: node_unlead(visit->bed->node, "told so"); break;
    }
}

static void do_visit(struct feed_visit *deed)
{
    deed->base.run = visit;
    assert_true(sim_node_visit(deed->bed->sim, &deed->base));
}

static void opened(struct feed_export *request)
{
    CONTAINER_OF(request, struct wish, request)->ends++;
}

static void open_export(struct bed *bed, struct wish *wish)
{
    *wish = (struct wish){.request.done = opened};
    do_visit(&(struct feed_visit){.bed = bed, .deed = FEED_OPEN, .wish = wish});
}

static void write_one(struct bed *bed)
{
    (void)bed_ask(bed, CALL_WRITE, "LPUSH k a");
    bed_settle(bed);
}

TEST(node_feed, an_export_comes_when_what_was_applied_is_flushed)
{
    struct bed bed;
    bed_open(&bed);
    write_one(&bed);
    struct wish one, two, three;
    open_export(&bed, &one);
    assert_int_equal(one.ends, 0);
    assert_int_equal(bed.fake.flushes, 1);
    open_export(&bed, &two); /* the same flush does */
    write_one(&bed);
    open_export(&bed, &three); /* that one needs another */
    assert_int_equal(bed.fake.flushes, 1);
    assert_int_equal(bed.fake.exports, 0);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_settle(&bed);
    assert_int_equal(one.ends, 1);
    assert_int_equal(two.ends, 1);
    assert_int_equal(three.ends, 0);
    assert_ptr_equal(one.request.export, &bed.fake.export);
    assert_int_equal(bed.fake.flushes, 2);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_settle(&bed);
    assert_int_equal(three.ends, 1);
    assert_int_equal(bed.fake.exports, 3);
    struct wish four;
    open_export(&bed, &four); /* nothing has come since */
    assert_int_equal(four.ends, 1);
    assert_int_equal(bed.fake.flushes, 2);
    bed_close(&bed);
}

TEST(node_feed, who_does_not_want_it_any_more_is_not_told)
{
    struct bed bed;
    bed_open(&bed);
    write_one(&bed);
    struct wish wish;
    open_export(&bed, &wish);
    do_visit(&(struct feed_visit){.bed = &bed, .deed = FEED_FORGET, .wish = &wish});
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_settle(&bed);
    assert_int_equal(wish.ends, 0);
    assert_int_equal(bed.fake.exports, 0);
    bed_close(&bed);
}

TEST(node_feed, a_full_disk_is_told_and_nothing_is_exported)
{
    struct bed bed;
    bed_open(&bed);
    write_one(&bed);
    struct wish wish;
    open_export(&bed, &wish);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_SPACE));
    bed_settle(&bed);
    assert_int_equal(wish.ends, 1);
    assert_int_equal(wish.request.err, ERR_SPACE);
    assert_true(wish.request.why.text[0] != 0);
    open_export(&bed, &wish); /* at once, while it is known */
    assert_int_equal(wish.ends, 1);
    assert_int_equal(wish.request.err, ERR_SPACE);
    assert_int_equal(bed.fake.exports, 0);
    bed_close(&bed);
}

TEST(node_feed, a_stop_ends_those_that_wait)
{
    struct bed bed;
    bed_open(&bed);
    write_one(&bed);
    struct wish wish;
    open_export(&bed, &wish);
    (void)bed_do(&bed, DEED_STOP, NULL, ERR_OK);
    assert_int_equal(wish.ends, 1);
    assert_int_equal(wish.request.err, ERR_SHUT);
    open_export(&bed, &wish);
    assert_int_equal(wish.ends, 1);
    assert_int_equal(wish.request.err, ERR_REFUSED);
    bed_close(&bed);
}

static void has_read(struct feed_read *request)
{
    CONTAINER_OF(request, struct reading, request)->ends++;
}

static void free_read(struct bed *bed, struct reading *reading)
{
    do_visit(&(struct feed_visit){.bed = bed, .deed = FEED_FREE, .reading = reading});
}

static void begin_read(struct bed *bed, struct reading *reading)
{
    *reading = (struct reading){
        .request = {.read = {.offset = 7, .bytes_max = 100, .attempt = MACHINE_ATTEMPTS_MAX},
                    .done = has_read}};
    buffer_init(&reading->out);
    reading->request.read.out = &reading->out;
    do_visit(&(struct feed_visit){.bed = bed, .deed = FEED_READ, .reading = reading});
}

/* It is asked again once what was missing is there, and holds up no entry meanwhile. */
TEST(node_feed, a_read_waits_for_the_disk_and_nobody_waits_for_it)
{
    struct bed bed;
    bed_open(&bed);
    struct reading reading;
    begin_read(&bed, &reading);
    assert_int_equal(reading.ends, 1);
    assert_true(bytes_equal(buffer_bytes(&reading.out), bytes_text("from 7")));
    free_read(&bed, &reading);
    bed.fake.stream_pending = 2;
    begin_read(&bed, &reading);
    assert_int_equal(reading.ends, 0);
    struct asked *push = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    expect_answer(push, ":1");
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    assert_int_equal(reading.ends, 0);
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    assert_int_equal(reading.ends, 1);
    assert_int_equal(reading.request.err, ERR_OK);
    free_read(&bed, &reading);
    bed_close(&bed);
}

TEST(node_feed, a_read_that_fails_or_is_dropped_ends_so)
{
    struct bed bed;
    bed_open(&bed);
    bed.fake.stream_pending = 1;
    struct reading reading;
    begin_read(&bed, &reading);
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_IO));
    assert_int_equal(reading.ends, 1);
    assert_int_equal(reading.request.err, ERR_IO);
    for (unsigned at_end = 0; at_end < 2; at_end++) {
        bed.fake.stream_pending = 1;
        begin_read(&bed, &reading);
        do_visit(&(struct feed_visit){.bed = &bed, .deed = FEED_DROP, .reading = &reading});
        if (at_end == 0) assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
        assert_int_equal(reading.ends, 0);
    }
    bed_close(&bed); /* with one that was never fetched */
}

struct listening {
    struct feed_listener listener;
    unsigned times, cuts;
};

static void moved(struct feed_listener *listener)
{
    CONTAINER_OF(listener, struct listening, listener)->times++;
}

TEST(node_feed, who_listens_is_told_once_for_what_was_applied_together)
{
    struct bed bed;
    bed_open(&bed);
    struct listening listening = {.listener.moved = moved};
    do_visit(
        &(struct feed_visit){.bed = &bed, .deed = FEED_LISTEN, .listener = &listening.listener});
    write_one(&bed);
    assert_int_equal(listening.times, 0); /* it has not moved */
    bed.fake.stream_grows = 10;
    for (unsigned i = 0; i < 5; i++) (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    unsigned times = listening.times;
    assert_in_range(times, 1, 2); /* the first entry is written alone */
    do_visit(&(struct feed_visit){.bed = &bed, .deed = FEED_UNLISTEN});
    write_one(&bed);
    assert_int_equal(listening.times, times);
    bed_close(&bed);
}

static void cut(struct feed_listener *listener, const char *why)
{
    assert_true(why[0] != 0);
    CONTAINER_OF(listener, struct listening, listener)->cuts++;
}

TEST(node_feed, who_leads_no_more_lets_go_of_all_and_opens_nothing)
{
    struct bed bed;
    bed_open(&bed);
    struct listening listening = {.listener = {.moved = moved, .cut = cut}};
    do_visit(
        &(struct feed_visit){.bed = &bed, .deed = FEED_LISTEN, .listener = &listening.listener});
    write_one(&bed);
    struct wish wish, late;
    open_export(&bed, &wish);
    assert_int_equal(wish.ends, 0); /* it waits for a flush */
    do_visit(&(struct feed_visit){.bed = &bed, .deed = FEED_UNLEAD});
    assert_int_equal(wish.ends, 1);
    assert_int_equal(wish.request.err, ERR_SHUT);
    assert_int_equal(listening.cuts, 1);
    open_export(&bed, &late);
    assert_int_equal(late.ends, 1);
    assert_int_equal(late.request.err, ERR_REFUSED);
    assert_string_equal(late.request.why.text, "this copy follows another one");
    do_visit(&(struct feed_visit){.bed = &bed, .deed = FEED_UNLISTEN});
    bed_close(&bed);
}
