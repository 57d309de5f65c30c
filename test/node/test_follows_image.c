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
    enum err err;
    uint64_t stored;
    uint8_t *bytes; /* of an image: SIZE */
};

static void opened(struct follows_image *image, enum err err, const struct why *why)
{
    struct bed *bed = CONTAINER_OF(image, struct bed, image);
    (void)why;
    bed->opened++;
    bed->err = err;
    bed->stored = image->stored;
}

static void synced(struct follows_image *image, enum err err, const struct why *why)
{
    struct bed *bed = CONTAINER_OF(image, struct bed, image);
    assert_true(err == ERR_OK || why->text[0] != '\0');
    bed->synced++;
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

/* The request under way is answered, and no other. */
static void answer_one(struct bed *bed, enum err err)
{
    struct disk_request *request = &bed->image.request;
    assert_true(bed->image.busy);
    list_remove(&request->node);
    request->err = err == ERR_OK ? ERR_OK : why_fail(&request->why, err, "the test says so");
    request->done(request);
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
    while (bed->image.busy) {
        assert_true(bed->image.request.size <= NODE_FOLLOWS_SYNC_BYTES);
        assert_true(bed->image.written - bed->image.stored <= INCOMING_UNSYNCED_BYTES_MAX);
        bool writes = bed->image.busy && bed->image.request.op == DISK_WRITE;
        uint64_t most = bed->image.written - bed->image.stored + bed->image.request.size;
        if (writes) assert_true(most <= INCOMING_UNSYNCED_BYTES_MAX);
        answer_one(bed, ERR_OK);
    }
    assert_int_equal(bed->stored, SIZE);
    assert_false(bed->image.timer.armed);
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
    assert_true(bed->image.busy);
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
    answer_one(bed, ERR_OK);
    assert_int_equal(bed->image.request.op, DISK_SYNC);
    answer_one(bed, ERR_IO);
    assert_int_equal(bed->err, ERR_IO);
    assert_int_equal(bed->stored, 0);
    assert_true(write_piece(bed, (SYNCED + 1) * PIECE, PIECE));
    fake_clock_pass(&bed->clock, 10 * NODE_FOLLOWS_SYNC_US);
    follows_image_finish(&bed->image);
    assert_false(bed->image.busy);
    assert_int_equal(bed->finished, 0);
    bed_close(bed);
}

TEST(node_follows_image, bytes_that_wait_are_bounded)
{
    struct bed *bed = bed_open();
    begin(bed, 5);
    unsigned taken = 0;
    while (taken < 200 && write_piece(bed, 0, PIECE)) taken++;
    assert_int_equal(taken, 1 + NODE_FOLLOWS_WAITING_BYTES / PIECE); /* one is under way */
    bed_close(bed);
}
