/* SPDX-License-Identifier: Apache-2.0 */
/* The image on its way in: what is believed of it after an end of any kind. */
#include <stdio.h>

#include "base/memory.h"
#include "snapshot/incoming/incoming.h"
#include "test/sim/bench.h"

#define DIRECTORY "images"
#define BYTES DIRECTORY "/incoming.tmp"
#define OFFER DIRECTORY "/incoming.offer"
#define IMAGE_7 DIRECTORY "/0000000000000007.image"
enum { PIECE = 1000, SIZE = 20 * PIECE };

static const struct image_offer first = {{{{1}}, {2, 7}, {7}, {5}}, SIZE, 0x111},
                                second = {{{{1}}, {2, 7}, {7}, {5}}, SIZE, 0x222};

static struct image_place place_in(struct world *world)
{
    return (struct image_place){
        .directory = DIRECTORY, .disk = world->disk, .trace = world->trace, .cluster = 9};
}

static uint8_t byte_of(const struct image_offer *offer, uint64_t at)
{
    return (uint8_t)(offer->checksum * 31 + at / 7 + 1);
}

static enum err write_piece(struct incoming *incoming, uint64_t at, uint64_t size, enum disk_op op)
{
    uint8_t *bytes = memory_alloc(size);
    for (uint64_t i = 0; i < size; i++) bytes[i] = byte_of(&incoming->offer, at + i);
    struct disk_request write = {
        .op = op, .file = incoming->file, .offset = at, .data = bytes, .size = size};
    enum err err = disk_run(incoming->place.disk, &write);
    memory_free(bytes);
    return err;
}

/* The first `size` bytes are those of the offer. */
static bool holds(struct sim_disk *disk, const char *path, const struct image_offer *offer,
                  uint64_t size)
{
    struct buffer bytes;
    buffer_init(&bytes);
    bool good = sim_disk_seen(disk, path, &bytes) && bytes.size >= size;
    for (uint64_t at = 0; good && at < size; at++) good = bytes.data[at] == byte_of(offer, at);
    buffer_release(&bytes);
    return good;
}

static struct bench bench_with_place(struct image_place *place)
{
    struct bench bench = bench_open(1);
    assert_int_equal(bench_path(&bench, DISK_MAKE_DIR, DIRECTORY), ERR_OK);
    assert_int_equal(bench_path(&bench, DISK_SYNC_DIR, "."), ERR_OK);
    *place = place_in(sim_node_world(bench.node));
    return bench;
}

static struct incoming opened(const struct image_place *place, const struct image_offer *offer,
                              uint64_t stored)
{
    struct incoming incoming;
    struct why why;
    if (incoming_open(&incoming, place, offer, &why) != ERR_OK) fail_msg("%s", why.text);
    assert_int_equal(incoming.stored, stored);
    return incoming;
}

TEST(snapshot_incoming, a_transfer_goes_on_where_it_was_let_go_of)
{
    struct image_place place;
    struct bench bench = bench_with_place(&place);
    for (uint64_t stored = 0; stored < SIZE; stored += PIECE) {
        struct incoming incoming = opened(&place, &first, stored);
        assert_int_equal(write_piece(&incoming, stored, PIECE, DISK_WRITE_SYNC), ERR_OK);
        incoming_close(&incoming, stored + PIECE);
        incoming_close(&incoming, 0); /* again is fine, and changes nothing */
        bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    }
    struct incoming incoming = opened(&place, &first, SIZE);
    assert_true(holds(bench.hands, BYTES, &first, SIZE));
    incoming_close(&incoming, SIZE);
    bench_close(&bench);
}

TEST(snapshot_incoming, the_bytes_of_one_image_are_never_those_of_another)
{
    struct image_offer others[] = {second, first, first, first, first};
    others[1].size--;
    others[2].mark.lsn.at++;
    others[3].mark.lineage.hash++;
    others[4].mark.history.id[3]++;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct image_place place;
        struct bench bench = bench_with_place(&place);
        struct incoming incoming = opened(&place, &first, 0);
        assert_int_equal(write_piece(&incoming, 0, SIZE / 2, DISK_WRITE_SYNC), ERR_OK);
        incoming_close(&incoming, SIZE / 2);
        incoming = opened(&place, &others[i], 0);
        assert_true(holds(bench.hands, BYTES, &others[i], 0));
        incoming_close(&incoming, 0);
        incoming = opened(&place, &first, 0); /* nor are they kept beside it */
        incoming_close(&incoming, 0);
        bench_close(&bench);
    }
}

/* Without a word about what is synced: the last part of the file is in doubt. */
TEST(snapshot_incoming, after_a_crash_what_may_be_unsynced_is_not_believed)
{
    struct image_place place;
    struct bench bench = bench_with_place(&place);
    struct image_offer large = first;
    large.size = 3 * (uint64_t)INCOMING_UNSYNCED_BYTES_MAX;
    struct incoming incoming = opened(&place, &large, 0);
    uint64_t synced = 500000, end = synced + INCOMING_UNSYNCED_BYTES_MAX;
    assert_int_equal(write_piece(&incoming, 0, synced, DISK_WRITE_SYNC), ERR_OK);
    assert_int_equal(write_piece(&incoming, synced, end - synced, DISK_WRITE), ERR_OK);
    struct incoming lost = incoming; /* the process is gone */
    (void)lost;
    bench_cut(&bench, SIM_KEEP_ALL, 0);
    incoming = opened(&place, &large, synced);
    assert_true(holds(bench.hands, BYTES, &large, synced));
    incoming_close(&incoming, synced);
    incoming = opened(&place, &large, synced);
    incoming_close(&incoming, 10); /* what the file says counts, too */
    incoming = opened(&place, &large, synced);
    incoming_close(&incoming, synced);
    bench_close(&bench);
}

TEST(snapshot_incoming, every_flipped_bit_and_every_cut_of_the_offer_begins_anew)
{
    struct image_place place;
    struct bench bench = bench_with_place(&place);
    struct incoming incoming = opened(&place, &first, 0);
    assert_int_equal(write_piece(&incoming, 0, PIECE, DISK_WRITE_SYNC), ERR_OK);
    incoming_close(&incoming, PIECE);
    struct buffer good, bytes;
    buffer_init(&good);
    buffer_init(&bytes);
    assert_true(sim_disk_seen(bench.hands, OFFER, &good));
    assert_true(sim_disk_seen(bench.hands, BYTES, &bytes));
    assert_int_equal(good.size, 88);
    for (size_t bit = 0; bit < good.size * 8 + good.size; bit++) {
        size_t size = bit < good.size * 8 ? good.size : bit - good.size * 8;
        size_t at = bit / 8 % good.size;
        uint8_t flip = (uint8_t)(size == good.size ? 1u << bit % 8 : 0u);
        good.data[at] ^= flip;
        sim_disk_put(bench.hands, OFFER, bytes_of(good.data, size));
        sim_disk_put(bench.hands, BYTES, buffer_bytes(&bytes));
        good.data[at] ^= flip;
        incoming = opened(&place, &first, 0);
        incoming_close(&incoming, 0);
    }
    sim_disk_put(bench.hands, OFFER, buffer_bytes(&good));
    sim_disk_put(bench.hands, BYTES, buffer_bytes(&bytes));
    incoming = opened(&place, &first, PIECE);
    incoming_close(&incoming, PIECE);
    /* A file that is shorter than was noted, or longer than was offered. */
    sim_disk_put(bench.hands, BYTES, bytes_of(bytes.data, PIECE - 1));
    incoming = opened(&place, &first, 0);
    incoming_close(&incoming, 0);
    uint8_t *too_much = memory_zeroed(SIZE + 1, 1);
    sim_disk_put(bench.hands, OFFER, buffer_bytes(&good));
    sim_disk_put(bench.hands, BYTES, bytes_of(too_much, SIZE + 1));
    incoming = opened(&place, &first, 0);
    incoming_close(&incoming, 0);
    memory_free(too_much);
    buffer_release(&good);
    buffer_release(&bytes);
    bench_close(&bench);
}

TEST(snapshot_incoming, no_image_has_a_size_that_is_none)
{
    struct image_place place;
    struct bench bench = bench_with_place(&place);
    struct incoming incoming;
    struct image_offer offer = first;
    struct why why;
    offer.size = 0;
    assert_int_equal(incoming_open(&incoming, &place, &offer, &why), ERR_LIMIT);
    offer.size = UINT64_MAX;
    assert_int_equal(incoming_open(&incoming, &place, &offer, &why), ERR_LIMIT);
    incoming_close(&incoming, 0); /* nothing is open */
    bench_close(&bench);
}

TEST(snapshot_incoming, one_that_is_discarded_is_gone)
{
    struct image_place place;
    struct bench bench = bench_with_place(&place);
    struct incoming incoming = opened(&place, &first, 0);
    struct why why;
    assert_int_equal(write_piece(&incoming, 0, SIZE, DISK_WRITE_SYNC), ERR_OK);
    incoming_close(&incoming, SIZE);
    incoming_discard(&place);
    incoming_discard(&place); /* nothing there is fine */
    char text[8192];
    assert_string_equal(bench_read(&bench, OFFER, text), "-");
    assert_int_equal(incoming_adopt(&place, &first.mark, &why), ERR_NOT_FOUND);
    incoming = opened(&place, &first, 0);
    incoming_close(&incoming, 0);
    bench_close(&bench);
}

TEST(snapshot_incoming, only_the_whole_one_that_is_meant_is_adopted)
{
    struct image_place place;
    struct bench bench = bench_with_place(&place);
    struct why why;
    char text[8192];
    struct incoming incoming = opened(&place, &first, 0);
    assert_int_equal(write_piece(&incoming, 0, SIZE - 1, DISK_WRITE_SYNC), ERR_OK);
    incoming_close(&incoming, SIZE - 1);
    assert_int_equal(incoming_adopt(&place, &first.mark, &why), ERR_NOT_FOUND);
    incoming = opened(&place, &first, SIZE - 1);
    assert_int_equal(write_piece(&incoming, SIZE - 1, 1, DISK_WRITE_SYNC), ERR_OK);
    incoming_close(&incoming, SIZE);
    struct mark other = first.mark;
    other.lineage.hash++;
    assert_int_equal(incoming_adopt(&place, &other, &why), ERR_NOT_FOUND);
    char *path = incoming_path(&place);
    assert_string_equal(path, BYTES);
    memory_free(path);
    assert_int_equal(incoming_adopt(&place, &first.mark, &why), ERR_OK);
    bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    assert_true(holds(bench.hands, IMAGE_7, &first, SIZE));
    assert_string_equal(bench_read(&bench, BYTES, text), "-");
    assert_int_equal(incoming_adopt(&place, &first.mark, &why), ERR_NOT_FOUND);
    incoming = opened(&place, &first, 0); /* what the power brought back of it says nothing */
    incoming_close(&incoming, 0);
    bench_close(&bench);
}

TEST(snapshot_incoming, an_error_at_any_operation_is_reported_and_the_next_try_succeeds)
{
    bool hit = true;
    for (uint64_t at = 0; hit; at++) {
        struct image_place place;
        struct bench bench = bench_with_place(&place);
        struct incoming incoming = opened(&place, &first, 0);
        assert_int_equal(write_piece(&incoming, 0, PIECE, DISK_WRITE_SYNC), ERR_OK);
        incoming_close(&incoming, PIECE);
        struct sim_fault fault = {.ops = UINT64_MAX, .skip = at, .hits = 1};
        (void)sim_disk_fault(bench.hands, &fault);
        struct why why;
        enum err err = incoming_open(&incoming, &place, &second, &why);
        assert_true(err == ERR_OK || incoming.file == NULL);
        if (err == ERR_OK) incoming_close(&incoming, 0);
        hit = sim_disk_fault_hits(bench.hands) > 0;
        sim_disk_unfault(bench.hands, 0);
        incoming = opened(&place, &second, 0);
        assert_int_equal(write_piece(&incoming, 0, PIECE, DISK_WRITE_SYNC), ERR_OK);
        incoming_close(&incoming, PIECE);
        bench_cut(&bench, SIM_KEEP_NOTHING,
                  0); /* also its names, of which a sync may have failed */
        incoming = opened(&place, &second, PIECE);
        incoming_close(&incoming, PIECE);
        bench_close(&bench);
        assert_true(at < 50);
    }
}

/* --- Crashes --- */

/* Each life takes a piece more of the image that is offered to it, syncs each second one, and
 * adopts what is whole. */
struct taker {
    struct sim_program program;
    const struct image_offer *offer;
    uint64_t stored;
    bool adopted;
    enum err err;
    struct why why;
};

static enum err take(struct taker *taker, struct incoming *incoming)
{
    enum err err = ERR_OK;
    taker->stored = incoming->stored;
    uint64_t at = incoming->stored, synced = at;
    for (unsigned pieces = 0; err == ERR_OK && pieces < 11 && at < SIZE; pieces++, at += PIECE) {
        bool syncs = pieces % 2 == 1 || at + PIECE == SIZE;
        err = write_piece(incoming, at, PIECE, syncs ? DISK_WRITE_SYNC : DISK_WRITE);
        if (syncs) synced = at + PIECE;
    }
    incoming_close(incoming, synced);
    if (err != ERR_OK || synced < SIZE) return err;
    err = incoming_adopt(&incoming->place, &taker->offer->mark, &taker->why);
    taker->adopted = err == ERR_OK;
    return err;
}

static bool taker_start(struct sim_program *program, struct world *world)
{
    struct taker *taker = CONTAINER_OF(program, struct taker, program);
    struct image_place place = place_in(world);
    struct disk_request make = {.op = DISK_MAKE_DIR, .path = DIRECTORY};
    (void)disk_run(world->disk, &make);
    struct disk_request sync = {.op = DISK_SYNC_DIR, .path = "."};
    (void)disk_run(world->disk, &sync);
    struct incoming incoming;
    taker->err = incoming_open(&incoming, &place, taker->offer, &taker->why);
    if (taker->err == ERR_OK) taker->err = take(taker, &incoming);
    return taker->err == ERR_OK;
}

static void taker_stop(struct sim_program *program)
{
    (void)program;
}

static struct sim_node *taker_open(struct taker *taker, struct sim_world *world)
{
    *taker = (struct taker){.program = {taker_start, taker_stop, NULL}, .offer = &first};
    return sim_node_open(world, &taker->program, NULL);
}

/* The first life takes half of one image; the second goes on, or takes another one. */
static void second_life(struct taker *taker, struct sim_node *node, bool other)
{
    if (!sim_node_start(node)) fail_msg("%s", taker->why.text);
    assert_true(sim_node_stop(node));
    if (other) taker->offer = &second;
}

static void crash_at(uint64_t at, const struct sim_crash *where, bool other)
{
    struct taker taker;
    struct sim_world *world = sim_world_open(1);
    struct sim_node *node = taker_open(&taker, world);
    struct sim_disk *disk = sim_node_disk(node);
    struct sim_crash crash = *where;
    second_life(&taker, node, other);
    crash.io = at;
    sim_node_crash_at(node, &crash);
    (void)sim_node_start(node);
    if (sim_node_is_up(node)) sim_node_crash(node, crash.cut);
    for (unsigned life = 0; life < 4; life++) {
        bool was_there = holds(disk, IMAGE_7, taker.offer, SIZE);
        struct buffer before;
        buffer_init(&before);
        (void)sim_disk_seen(disk, BYTES, &before);
        taker.adopted = false;
        if (!sim_node_start(node)) fail_msg("%s", taker.why.text);
        assert_true(before.size >= taker.stored);
        for (uint64_t i = 0; i < taker.stored; i++)
            assert_int_equal(before.data[i], byte_of(taker.offer, i));
        buffer_release(&before);
        if (taker.adopted || was_there) assert_true(holds(disk, IMAGE_7, taker.offer, SIZE));
        if (taker.adopted) break;
        sim_node_crash(node, crash.cut);
    }
    assert_true(taker.adopted);
    sim_node_crash(node, (struct sim_cut){SIM_KEEP_NOTHING, 0});
    assert_true(holds(disk, IMAGE_7, taker.offer, SIZE));
    assert_null(sim_world_failure(world));
    sim_world_close(world);
}

TEST(snapshot_incoming, a_crash_at_any_operation_leaves_only_bytes_of_the_image_that_is_offered)
{
    for (unsigned other = 0; other < 2; other++) {
        struct taker taker;
        struct sim_world *world = sim_world_open(1);
        struct sim_node *node = taker_open(&taker, world);
        second_life(&taker, node, other == 1);
        uint64_t before = sim_node_io(node);
        assert_true(sim_node_start(node));
        assert_int_equal(taker.stored, other == 1 ? 0 : 10 * PIECE);
        uint64_t io = sim_node_io(node);
        sim_world_close(world);
        assert_true(io > before + 10);
        for (uint64_t at = before; at < io; at++) {
            struct sim_crash crash = {0};
            for (unsigned variant = 0; sim_crash_variant(variant, &crash); variant++)
                crash_at(at, &crash, other == 1);
        }
    }
}

/* --- One in the place of another --- */

enum { LARGE = INCOMING_UNSYNCED_BYTES_MAX + 5000 };

/* Opens what it is told to, and nothing else. */
struct opener {
    struct sim_program program;
    struct image_offer offer;
    uint64_t stored;
};

static bool opener_start(struct sim_program *program, struct world *world)
{
    struct opener *opener = CONTAINER_OF(program, struct opener, program);
    struct image_place place = place_in(world);
    struct disk_request make = {.op = DISK_MAKE_DIR, .path = DIRECTORY};
    (void)disk_run(world->disk, &make);
    struct disk_request sync = {.op = DISK_SYNC_DIR, .path = "."};
    (void)disk_run(world->disk, &sync);
    struct incoming incoming;
    struct why why;
    if (incoming_open(&incoming, &place, &opener->offer, &why) != ERR_OK) return false;
    opener->stored = incoming.stored;
    struct disk_request close = {.op = DISK_CLOSE, .file = incoming.file};
    return disk_run(world->disk, &close) == ERR_OK;
}

/* All of the first one is there. */
static struct sim_node *opener_open(struct opener *opener, struct sim_world *world,
                                    const uint8_t *bytes)
{
    *opener = (struct opener){.program = {opener_start, taker_stop, NULL}, .offer = first};
    opener->offer.size = LARGE;
    struct sim_node *node = sim_node_open(world, &opener->program, NULL);
    assert_true(sim_node_start(node));
    assert_true(sim_node_stop(node));
    sim_disk_put(sim_node_disk(node), BYTES, bytes_of(bytes, LARGE));
    assert_true(sim_node_start(node));
    assert_int_equal(opener->stored, LARGE - INCOMING_UNSYNCED_BYTES_MAX);
    assert_true(sim_node_stop(node));
    opener->offer.checksum++;
    return node;
}

TEST(snapshot_incoming, a_crash_while_another_one_begins_leaves_it_none_of_the_bytes_of_the_first)
{
    struct opener opener;
    uint8_t *bytes = memory_zeroed(LARGE, 1);
    struct sim_world *world = sim_world_open(1);
    struct sim_node *node = opener_open(&opener, world, bytes);
    uint64_t before = sim_node_io(node);
    assert_true(sim_node_start(node));
    assert_int_equal(opener.stored, 0);
    uint64_t io = sim_node_io(node);
    sim_world_close(world);
    assert_true(io > before + 5);
    for (uint64_t at = before; at < io; at++) {
        /* Names are lost one by one, so it takes some draws until just the wrong ones are. */
        for (unsigned number = 1; number < 40; number++) {
            struct sim_crash crash = {
                .io = at, .moment = SIM_AFTER, .cut = {SIM_KEEP_SECTORS, number}};
            world = sim_world_open(1);
            node = opener_open(&opener, world, bytes);
            sim_node_crash_at(node, &crash);
            (void)sim_node_start(node);
            if (sim_node_is_up(node)) sim_node_crash(node, crash.cut);
            assert_true(sim_node_start(node));
            assert_int_equal(opener.stored, 0);
            sim_world_close(world);
        }
    }
    memory_free(bytes);
}
