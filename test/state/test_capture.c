/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * The capture: what an image is made of.
 */
#include "state/layout.h"
#include "state/meta.h"
#include "test/state/bed.h"
#include "test/state/stream.h"
#include "test/test.h"

struct waiting {
    struct capture_warm base;
    unsigned told;
};

static void told_warm(struct capture_warm *warm)
{
    CONTAINER_OF(warm, struct waiting, base)->told++;
}

static struct capture *open_capture(struct bed *bed)
{
    return bed->machine->ops->capture(bed->machine);
}

static void wait_warm(struct bed *bed, struct capture *capture)
{
    struct waiting waiting = {.base.done = told_warm};
    capture->ops->warm(capture, &waiting.base);
    assert_int_equal(waiting.told, 0);
    while (waiting.told == 0) MUST(memory_store_step(&bed->store));
    assert_int_equal(waiting.told, 1);
    assert_int_equal(waiting.base.err, ERR_OK);
}

static enum err learn(struct bed *bed, struct capture *capture, struct capture_facts *facts)
{
    struct why why;
    enum err err;
    while ((err = capture->ops->facts(capture, facts, &why)) == ERR_PENDING)
        wait_warm(bed, capture);
    return err;
}

/* All records, in the form of `list_store`. */
static void take_all(struct bed *bed, struct capture *capture, struct buffer *out)
{
    struct bytes key, value;
    enum err err;
    while ((err = capture->ops->next(capture, &key, &value)) != ERR_NOT_FOUND) {
        if (err == ERR_PENDING) {
            wait_warm(bed, capture);
            continue;
        }
        MUST(err == ERR_OK);
        buffer_append_le32(out, (uint32_t)key.size);
        buffer_append(out, key);
        buffer_append_le32(out, (uint32_t)value.size);
        buffer_append(out, value);
    }
}

static void list_store(const struct memory_store *store, struct buffer *out)
{
    for (size_t i = 0; i < store->count; i++) {
        struct bytes key = buffer_bytes(&store->items[i].key);
        struct bytes value = buffer_bytes(&store->items[i].value);
        buffer_append_le32(out, (uint32_t)key.size);
        buffer_append(out, key);
        buffer_append_le32(out, (uint32_t)value.size);
        buffer_append(out, value);
    }
}

static void fill(struct bed *bed, int keys)
{
    for (int i = 0; i < keys; i++) {
        char line[64];
        snprintf(line, sizeof line, "SET k%d v%d", i, i);
        (void)bed_write(bed, line);
    }
    (void)bed_write(bed, "RPUSH l a b c");
    (void)bed_write_in(bed, 3, "ZADD z 1 a 2 b");
}

TEST(state_capture, gives_what_the_newest_flush_left_and_says_so_out_of_it)
{
    struct bed bed;
    bed_init(&bed, 1);
    fill(&bed, 50);
    struct digest digest = bed_digest(&bed);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    uint64_t flushed = bed_applied(&bed);
    struct buffer wanted, got;
    buffer_init(&wanted);
    buffer_init(&got);
    list_store(&bed.store, &wanted);
    (void)bed_write(&bed, "SET not-flushed x");
    struct capture *capture = open_capture(&bed);
    /* The machine goes on; also with a flush that is done before anything was asked. */
    (void)bed_write(&bed, "SET k1 other");
    (void)bed_write(&bed, "DEL k2 l");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    struct capture_facts facts;
    assert_int_equal(learn(&bed, capture, &facts), ERR_OK);
    assert_int_equal(facts.mark.lsn.at, flushed);
    assert_int_equal(facts.mark.history.id[0], 7);
    assert_int_equal(facts.mark.lineage.hash, bed.entries[flushed - 1].entry.lineage.hash);
    assert_int_equal(facts.stamp.bits, bed.entries[flushed - 1].entry.stamp.bits);
    assert_true(digest_equal(facts.digest, digest));
    assert_int_equal(facts.keys, 52);
    take_all(&bed, capture, &got);
    assert_int_equal(got.size, wanted.size);
    assert_memory_equal(got.data, wanted.data, got.size);
    struct bytes key, value;
    assert_int_equal(capture->ops->next(capture, &key, &value), ERR_NOT_FOUND);
    capture->ops->close(capture);
    buffer_release(&wanted);
    buffer_release(&got);
    bed_release(&bed);
}

TEST(state_capture, before_the_first_flush_there_is_nothing_to_give)
{
    struct bed bed;
    bed_init(&bed, 1);
    (void)bed_write(&bed, "SET a b");
    struct capture *capture = open_capture(&bed);
    struct capture_facts facts;
    assert_int_equal(learn(&bed, capture, &facts), ERR_NOT_FOUND);
    capture->ops->close(capture);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    size_t at = memory_search(&bed.store, bytes_text("M")); /* another record stands there */
    bed.store.items[at].key.data[0] = 'N';
    capture = open_capture(&bed);
    assert_int_equal(learn(&bed, capture, &facts), ERR_NOT_FOUND);
    capture->ops->close(capture);
    bed_release(&bed);
}

TEST(state_capture, epochs_come_with_the_mark)
{
    struct bed bed;
    bed_init(&bed, 1);
    struct buffer payload;
    buffer_init(&payload);
    payload_put_epoch(&payload);
    (void)bed_apply(&bed, buffer_bytes(&payload));
    (void)bed_write(&bed, "SET a b");
    (void)bed_apply(&bed, buffer_bytes(&payload));
    assert_int_equal(bed_flush(&bed), ERR_OK);
    struct capture *capture = open_capture(&bed);
    (void)bed_apply(&bed, buffer_bytes(&payload)); /* not flushed: not told */
    struct capture_facts facts;
    assert_int_equal(learn(&bed, capture, &facts), ERR_OK);
    assert_int_equal(facts.epoch_count, 2);
    assert_int_equal(facts.epochs[0].first.at, 1);
    assert_int_equal(facts.epochs[1].first.at, 3);
    assert_int_equal(facts.epochs[1].epoch.number, 1);
    capture->ops->close(capture);
    buffer_release(&payload);
    bed_release(&bed);
}

/* Takes all of the view, as the store says now, with reads that may not wait as the test set them.
 */
static void take_and_compare(struct bed *bed)
{
    struct buffer wanted, got;
    buffer_init(&wanted);
    buffer_init(&got);
    list_store(&bed->store, &wanted);
    struct capture *capture = open_capture(bed);
    struct capture_facts facts;
    assert_int_equal(learn(bed, capture, &facts), ERR_OK);
    take_all(bed, capture, &got);
    assert_int_equal(got.size, wanted.size);
    assert_memory_equal(got.data, wanted.data, got.size);
    capture->ops->close(capture);
    buffer_release(&wanted);
    buffer_release(&got);
}

TEST(state_capture, what_is_larger_than_a_window_comes_in_several_and_nothing_comes_twice)
{
    struct bed bed;
    bed_init(&bed, 1);
    fill(&bed, 40);
    struct buffer line;
    buffer_init(&line);
    for (int i = 0; i < 30; i++) { /* some smaller than a window, some larger */
        char head[32];
        snprintf(head, sizeof head, "SET big%d ", i);
        buffer_clear(&line);
        buffer_append_text(&line, head);
        size_t size = i % 10 == 0 ? 5 << 20 : 200 << 10;
        memset(buffer_reserve(&line, size + 1), 'a' + i % 26, size);
        line.size += size;
        buffer_append_byte(&line, 0);
        (void)bed_write(&bed, (const char *)line.data);
    }
    assert_int_equal(bed_flush(&bed), ERR_OK);
    take_and_compare(&bed);
    assert_in_range(bed.store.view_warms, 6, 2 + 30);
    buffer_release(&line);
    bed_release(&bed);
}

/* A value that is larger than the store's cache stands in the way of all that the same file has
 * behind it, and of what other files have before it: none of that stays in memory. An image must
 * not ask for the records one by one then. */
TEST(state_capture, with_a_cache_that_keeps_nothing_it_needs_no_more_turns_than_windows)
{
    struct bed bed;
    bed_init(&bed, 1);
    fill(&bed, 200);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    bed.store.pending_of = 1; /* every read that may not wait */
    take_and_compare(&bed);
    assert_int_equal(bed.store.view_warms, 3); /* the meta record, all, and the end */
    bed_release(&bed);
}

/* --- Beside the stream of effects --- */

static bool is_piece(const struct memory_item *item)
{
    return item->key.data[0] == LAYOUT_STREAM;
}

static void write_sized(struct bed *bed, const char *words, size_t size)
{
    struct buffer line;
    buffer_init(&line);
    buffer_append_format(&line, "%s", words);
    for (size_t i = 0; i < size; i++) buffer_append_byte(&line, 'v');
    buffer_append_byte(&line, 0);
    (void)bed_write(bed, (const char *)line.data);
    buffer_release(&line);
}

static void add_rank(struct bed *bed, unsigned number, size_t size)
{
    char words[32];
    snprintf(words, sizeof words, "ZADD z %u m%u", number, number);
    write_sized(bed, words, size);
}

/* All of the store but the pieces is given, once, with a meta record that says of them where they
 * end. */
static void compare_but_for_the_stream(struct bed *bed)
{
    struct capture *capture = open_capture(bed);
    struct bytes key, value;
    enum err err;
    size_t at = 0, metas = 0;
    while ((err = capture->ops->next(capture, &key, &value)) != ERR_NOT_FOUND) {
        if (err == ERR_PENDING) {
            wait_warm(bed, capture);
            continue;
        }
        assert_int_equal(err, ERR_OK);
        while (is_piece(&bed->store.items[at])) at++;
        const struct memory_item *item = &bed->store.items[at++];
        assert_true(bytes_equal(key, buffer_bytes(&item->key)));
        if (key.data[0] != LAYOUT_META) {
            assert_true(bytes_equal(value, buffer_bytes(&item->value)));
            continue;
        }
        struct meta meta, stored;
        assert_int_equal(meta_decode(value, &meta, NULL), ERR_OK);
        assert_int_equal(meta_decode(buffer_bytes(&item->value), &stored, NULL), ERR_OK);
        assert_true(stored.effects.first < stored.effects.end);
        assert_int_equal(meta.effects.end, stored.effects.end);
        assert_int_equal(meta.effects.first, meta.effects.end);
        assert_true(mark_equal(&meta.mark, &stored.mark));
        memory_free(meta.epochs);
        memory_free(stored.epochs);
        metas++;
    }
    assert_int_equal(metas, 1);
    while (at < bed->store.count && is_piece(&bed->store.items[at])) at++;
    assert_int_equal(at, bed->store.count);
    capture->ops->close(capture);
}

/* Ranks stand right before the stream: with one more of them each time, the end of a window comes
 * to stand everywhere around its beginning, also exactly there, so that the next one has nothing
 * else. What is behind it may be in its last window. */
TEST(state_capture, the_stream_is_passed_over_however_much_of_it_there_is)
{
    for (unsigned sizes = 0; sizes < 2; sizes++) {
        struct bed bed;
        stream_bed_init(&bed);
        (void)bed_write(&bed, "SET ends v EX 1000");
        for (unsigned i = 0; i < (sizes == 0 ? 0 : 3); i++) write_sized(&bed, "SET k ", 1500000);
        if (sizes == 1) (void)bed_write(&bed, "SET k small");
        for (unsigned ranks = 0; ranks < 70; ranks++) {
            add_rank(&bed, ranks, 30000);
            assert_int_equal(bed_flush(&bed), ERR_OK);
            size_t pieces = 0;
            for (size_t i = 0; i < bed.store.count; i++) pieces += is_piece(&bed.store.items[i]);
            assert_true(pieces > 70 * sizes);
            bed.store.view_warms = 0;
            compare_but_for_the_stream(&bed);
            /* Elements and ranks, the one window that comes upon it, what is behind it, the end. */
            assert_true(bed.store.view_warms <= 2 * 70 * 30000 / (1 << 20) + 4);
        }
        bed_release(&bed);
    }
}

/* A capture that waits for the store, to be closed. */
static struct capture *open_waiting(struct bed *bed, struct waiting *waiting)
{
    bed_init(bed, 1);
    fill(bed, 10);
    MUST(bed_flush(bed) == ERR_OK);
    struct capture *capture = open_capture(bed);
    *waiting = (struct waiting){.base.done = told_warm};
    capture->ops->warm(capture, &waiting->base);
    return capture;
}

TEST(state_capture, closed_in_the_middle_of_a_warm_it_is_silent_and_keeps_its_view_until_the_end)
{
    struct bed bed;
    struct waiting waiting;
    struct capture *capture = open_waiting(&bed, &waiting);
    capture->ops->close(capture);
    assert_non_null(bed.store.views);          /* it is being read */
    struct capture *next = open_capture(&bed); /* and another may come */
    struct capture_facts facts;
    assert_int_equal(learn(&bed, next, &facts), ERR_OK);
    while (memory_store_step(&bed.store)) continue;
    assert_int_equal(waiting.told, 0);
    next->ops->close(next);
    assert_null(bed.store.views);
    bed_release(&bed);
}

TEST(state_capture, a_machine_may_be_closed_while_the_view_of_a_closed_one_is_read)
{
    struct bed bed;
    struct waiting waiting;
    struct capture *capture = open_waiting(&bed, &waiting);
    capture->ops->close(capture);
    bed_release(&bed); /* nothing leaked */
    assert_int_equal(waiting.told, 0);
}

TEST(state_capture, a_warm_that_fails_says_why)
{
    struct bed bed;
    struct waiting waiting;
    struct capture *capture = open_waiting(&bed, &waiting);
    struct store_warm *warm = CONTAINER_OF(list_first(&bed.store.warms), struct store_warm, node);
    list_remove(&warm->node);
    warm->err = why_fail(&warm->why, ERR_IO, "a bad sector");
    warm->done(warm);
    assert_int_equal(waiting.told, 1);
    assert_int_equal(waiting.base.err, ERR_IO);
    assert_string_equal(waiting.base.why.text, "a bad sector");
    capture->ops->close(capture);
    bed_release(&bed);
}

TEST(state_capture, a_meta_record_that_is_damaged_makes_no_image)
{
    struct bed bed;
    bed_init(&bed, 1);
    fill(&bed, 3);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    size_t at = memory_search(&bed.store, bytes_text("M"));
    bed.store.items[at].value.data[20] ^= 1;
    struct capture *capture = open_capture(&bed);
    struct capture_facts facts;
    assert_int_equal(learn(&bed, capture, &facts), ERR_CORRUPT);
    capture->ops->close(capture);
    bed_release(&bed);
}
