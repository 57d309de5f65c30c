/* SPDX-License-Identifier: Apache-2.0 */
/* An image that comes in, on a disk that answers when the test says so. */
#include "node/follows_image.h"

#include "node/limits.h"
#include "test/face/redis/fake_clock.h"
#include "test/log/memory_world.h"
#include "test/test.h"

enum {
    PIECE = 1 << 20,
    SYNCED = NODE_FOLLOWS_SYNC_BYTES / PIECE, /* pieces that are synced together */
    HALF = SYNCED * 3 / 2 * PIECE,
    SIZE = 2 * HALF
};

struct bed {
    struct memory_disk disk;
    struct fake_clock clock;
    struct world world;
    struct follows_image image;
    unsigned opened, synced, finished, returned;
    uint64_t moved; /* written, as told last */
    enum err err;
    uint64_t stored;
    uint8_t *bytes; /* of an image: SIZE */
};

static void opened(struct follows_image *image, enum err err, const struct why *why)
{
    struct bed *bed = CONTAINER_OF(image, struct bed, image);
    (void)why;
    bed->opened++;
    bed->moved = image->written;
    bed->err = err;
    bed->stored = image->stored;
}

static void moved(struct follows_image *image)
{
    struct bed *bed = CONTAINER_OF(image, struct bed, image);
    assert_true(image->written > bed->moved && image->written <= SIZE);
    bed->moved = image->written;
}

static void synced(struct follows_image *image, enum err err, const struct why *why)
{
    struct bed *bed = CONTAINER_OF(image, struct bed, image);
    assert_true(err == ERR_OK || why->text[0] != '\0');
    bed->synced++;
    assert_true(err != ERR_OK || bed->moved >= image->stored); /* it is told first */
    bed->err = err;
    bed->stored = image->stored;
}

static void finished(struct follows_image *image)
{
    assert_false(image->open);
    CONTAINER_OF(image, struct bed, image)->finished++;
}

static void returned(struct follows_image *image)
{
    CONTAINER_OF(image, struct bed, image)->returned++;
}

static void begin(struct bed *bed, uint64_t lsn)
{
    struct image_place place = {.directory = "gone", .disk = &bed->disk.base};
    struct image_offer offer = {{{{7}}, {1, 1}, {lsn}, {lsn}}, SIZE, lsn};
    follows_image_begin(&bed->image, &place, &offer);
}

static struct bed *bed_open(void)
{
    struct bed *bed = memory_zeroed(1, sizeof *bed);
    memory_disk_init(&bed->disk, SIZE_MAX);
    fake_clock_init(&bed->clock);
    bed->world = (struct world){.disk = &bed->disk.base, .clock = &bed->clock.base};
    bed->bytes = memory_alloc(SIZE);
    for (uint32_t i = 0; i < SIZE; i++) bed->bytes[i] = (uint8_t)(i >> 20 ^ i);
    follows_image_init(&bed->image, &bed->world, "images");
    bed->image.opened = opened;
    bed->image.moved = moved;
    bed->image.synced = synced;
    bed->image.finished = finished;
    return bed;
}

static void bed_close(struct bed *bed)
{
    follows_image_let_go(&bed->image);
    while (memory_turn(&bed->disk)) {
    }
    follows_image_release(&bed->image);
    memory_disk_release(&bed->disk);
    memory_free(bed->bytes);
    memory_free(bed);
}

/* This request is answered, and no other. */
static void answer(struct disk_request *request, enum err err)
{
    list_remove(&request->node);
    request->err = err == ERR_OK ? ERR_OK : why_fail(&request->why, err, "the test says so");
    request->done(request);
}

static void answer_write(struct bed *bed, enum err err)
{
    assert_true(bed->image.writes);
    answer(&bed->image.write, err);
}

static void answer_sync(struct bed *bed, enum err err)
{
    assert_true(bed->image.syncs);
    answer(&bed->image.sync, err);
}

static bool write_piece(struct bed *bed, uint64_t from, size_t size)
{
    return follows_image_write(&bed->image, bytes_of(bed->bytes + from, size));
}

static void expect_content(struct bed *bed, uint64_t size)
{
    struct disk_file *file = memory_find(&bed->disk, "images/incoming.tmp");
    assert_non_null(file);
    assert_true(file->size >= size);
    assert_memory_equal(file->content.data, bed->bytes, size);
}

TEST(node_follows_image, few_bytes_are_synced_after_a_time)
{
    struct bed *bed = bed_open();
    begin(bed, 5);
    assert_int_equal(bed->opened, 1);
    assert_true(write_piece(bed, 0, 100));
    while (memory_turn(&bed->disk)) {
    }
    assert_int_equal(bed->synced, 0);
    fake_clock_pass(&bed->clock, NODE_FOLLOWS_SYNC_US);
    assert_int_equal(bed->synced, 0); /* it is under way */
    while (memory_turn(&bed->disk)) {
    }
    assert_int_equal(bed->synced, 1);
    assert_int_equal(bed->stored, 100);
    fake_clock_pass(&bed->clock, 10 * NODE_FOLLOWS_SYNC_US); /* once */
    while (memory_turn(&bed->disk)) {
    }
    assert_int_equal(bed->synced, 1);
    expect_content(bed, 100);
    bed_close(bed);
}

TEST(node_follows_image, many_bytes_are_synced_without_a_wait_and_never_too_many_at_a_time)
{
    struct bed *bed = bed_open();
    begin(bed, 5);
    for (uint64_t at = 0; at < SIZE; at += HALF) assert_true(write_piece(bed, at, HALF));
    bool both = false;
    while (follows_image_is_busy(&bed->image)) {
        const struct follows_image *image = &bed->image;
        both |= image->writes && image->syncs;
        assert_true(image->write.size <= NODE_FOLLOWS_SYNC_BYTES);
        uint64_t most = image->written - image->stored + (image->writes ? image->write.size : 0);
        assert_true(most <= INCOMING_UNSYNCED_BYTES_MAX);
        if (image->writes) answer_write(bed, ERR_OK); /* as far as it may go */
        else answer_sync(bed, ERR_OK);
    }
    assert_true(both);
    assert_in_range(bed->stored, SIZE - NODE_FOLLOWS_SYNC_BYTES + 1, SIZE);
    fake_clock_pass(&bed->clock, NODE_FOLLOWS_SYNC_US); /* the few that are left */
    while (memory_turn(&bed->disk)) {
    }
    assert_int_equal(bed->stored, SIZE);
    expect_content(bed, SIZE);
    bed_close(bed);
}

TEST(node_follows_image, the_end_is_synced_at_once_and_the_file_let_go_of)
{
    struct bed *bed = bed_open();
    begin(bed, 5);
    assert_true(write_piece(bed, 0, PIECE));
    follows_image_finish(&bed->image);
    assert_int_equal(bed->finished, 0);
    while (memory_turn(&bed->disk)) {
    }
    assert_int_equal(bed->finished, 1);
    assert_int_equal(bed->stored, PIECE);
    expect_content(bed, PIECE);
    bed_close(bed);
}

TEST(node_follows_image, what_is_durable_is_there_the_next_time_and_no_more)
{
    struct bed *bed = bed_open();
    begin(bed, 5);
    assert_true(write_piece(bed, 0, (SYNCED + 2) * PIECE));
    while (memory_turn(&bed->disk)) {
    } /* 2 MiB wait for the time */
    assert_int_equal(bed->stored, NODE_FOLLOWS_SYNC_BYTES);
    assert_int_equal(bed->image.written, (SYNCED + 2) * PIECE);
    follows_image_let_go(&bed->image);
    begin(bed, 5);
    assert_int_equal(bed->opened, 2);
    assert_int_equal(bed->stored, NODE_FOLLOWS_SYNC_BYTES);
    assert_true(write_piece(bed, NODE_FOLLOWS_SYNC_BYTES, PIECE));
    follows_image_finish(&bed->image);
    while (memory_turn(&bed->disk)) {
    }
    expect_content(bed, NODE_FOLLOWS_SYNC_BYTES + PIECE);
    bed_close(bed);
}

TEST(node_follows_image, the_next_one_waits_for_the_request_of_the_one_before)
{
    struct bed *bed = bed_open();
    begin(bed, 5);
    assert_true(write_piece(bed, PIECE, PIECE));
    assert_true(bed->image.writes);
    follows_image_let_go(&bed->image);
    assert_true(bed->image.open); /* the request needs the file */
    begin(bed, 6);
    assert_int_equal(bed->opened, 1);
    while (memory_turn(&bed->disk)) {
    }
    assert_int_equal(bed->opened, 2);
    assert_int_equal(bed->synced, 0); /* of the one before nothing is told */
    assert_int_equal(bed->stored, 0);
    assert_true(write_piece(bed, 0, PIECE));
    while (memory_turn(&bed->disk)) {
    }
    expect_content(bed, PIECE);
    bed_close(bed);
}

TEST(node_follows_image, who_lets_go_while_a_request_is_under_way_is_told_of_its_return)
{
    struct bed *bed = bed_open();
    begin(bed, 5);
    assert_true(write_piece(bed, 0, PIECE));
    bed->image.returned = returned;
    follows_image_let_go(&bed->image);
    assert_int_equal(bed->returned, 0);
    while (memory_turn(&bed->disk)) {
    }
    assert_int_equal(bed->returned, 1);
    assert_false(bed->image.open);
    bed->image.returned = NULL;
    bed_close(bed);
}

TEST(node_follows_image, a_sync_that_fails_makes_nothing_durable_and_is_the_last_request)
{
    struct bed *bed = bed_open();
    begin(bed, 5);
    assert_true(write_piece(bed, 0, (SYNCED + 1) * PIECE));
    answer_write(bed, ERR_OK);
    answer_sync(bed, ERR_IO);
    assert_int_equal(bed->err, ERR_IO);
    assert_int_equal(bed->synced, 1);
    answer_write(bed, ERR_OK); /* the one that was under way meanwhile */
    assert_int_equal(bed->stored, 0);
    assert_true(write_piece(bed, (SYNCED + 1) * PIECE, PIECE));
    fake_clock_pass(&bed->clock, 10 * NODE_FOLLOWS_SYNC_US);
    follows_image_finish(&bed->image);
    assert_false(follows_image_is_busy(&bed->image));
    assert_int_equal(bed->finished, 0);
    bed_close(bed);
}

/* What was written since a sync was asked for may be lost. */
TEST(node_follows_image, a_sync_covers_what_was_written_before_it)
{
    struct bed *bed = bed_open();
    begin(bed, 5);
    assert_true(write_piece(bed, 0, (SYNCED + 2) * PIECE));
    answer_write(bed, ERR_OK);
    answer_write(bed, ERR_OK);
    assert_int_equal(bed->image.written, (SYNCED + 2) * PIECE);
    answer_sync(bed, ERR_OK);
    assert_int_equal(bed->stored, NODE_FOLLOWS_SYNC_BYTES);
    bed_close(bed);
}

/* 100 bytes are written and wait for the time, 100 more are being written. */
static struct bed *while_writing(void)
{
    struct bed *bed = bed_open();
    begin(bed, 5);
    assert_true(write_piece(bed, 0, 100));
    answer_write(bed, ERR_OK);
    assert_true(write_piece(bed, 100, 100));
    return bed;
}

TEST(node_follows_image, a_sync_does_not_cover_a_write_that_is_under_way)
{
    struct bed *bed = while_writing();
    fake_clock_pass(&bed->clock, NODE_FOLLOWS_SYNC_US);
    assert_true(bed->image.writes);
    answer_sync(bed, ERR_OK);
    assert_int_equal(bed->stored, 100);
    bed_close(bed);
}

TEST(node_follows_image, who_lets_go_while_two_requests_are_under_way_waits_for_both)
{
    struct bed *bed = while_writing();
    fake_clock_pass(&bed->clock, NODE_FOLLOWS_SYNC_US);
    follows_image_let_go(&bed->image);
    begin(bed, 6);
    answer_sync(bed, ERR_OK);
    assert_int_equal(bed->opened, 1);
    assert_true(bed->image.open);
    answer_write(bed, ERR_OK);
    assert_int_equal(bed->opened, 2);
    bed_close(bed);
}

TEST(node_follows_image, nothing_is_begun_for_one_that_was_let_go_of)
{
    struct bed *bed = while_writing();
    follows_image_let_go(&bed->image);
    fake_clock_pass(&bed->clock, NODE_FOLLOWS_SYNC_US);
    assert_false(bed->image.syncs);
    bed_close(bed);
}

TEST(node_follows_image, who_lets_go_of_a_failed_one_waits_for_the_last_request)
{
    struct bed *bed = bed_open();
    begin(bed, 5);
    assert_true(write_piece(bed, 0, (SYNCED + 1) * PIECE));
    answer_write(bed, ERR_OK);
    answer_write(bed, ERR_IO);
    assert_int_equal(bed->err, ERR_IO);
    follows_image_let_go(&bed->image);
    assert_true(bed->image.open); /* its sync needs the file */
    begin(bed, 6);
    assert_int_equal(bed->opened, 1);
    answer_sync(bed, ERR_OK);
    assert_int_equal(bed->opened, 2);
    assert_int_equal(bed->synced, 1);
    bed_close(bed);
}

TEST(node_follows_image, bytes_that_wait_are_bounded)
{
    struct bed *bed = bed_open();
    begin(bed, 5);
    unsigned taken = 0;
    while (taken < 200 && write_piece(bed, 0, PIECE)) taken++;
    assert_int_equal(taken, NODE_FOLLOWS_WAITING_BYTES / PIECE);
    bed_close(bed);
}
