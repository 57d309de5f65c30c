/* SPDX-License-Identifier: Apache-2.0 */
/* The list of images, and the way of one into a store. */
#include "base/memory.h"
#include "sim/heap.h"
#include "test/snapshot/bed.h"

#define PATH_1 BED_DIRECTORY "/0000000000000001.image"
#define PATH_2 BED_DIRECTORY "/0000000000000002.image"

struct taker {
    struct machine_maker base;
    struct machine_filler filler;
    unsigned calls, records, closes;
    struct machine_fill fill;
    struct digest digest;
    uint64_t keys;
    enum err err;
    char store[32];
};

static enum err take_record(struct machine_filler *filler, struct bytes key, struct bytes value,
                            struct why *why)
{
    (void)key;
    (void)value;
    (void)why;
    CONTAINER_OF(filler, struct taker, filler)->records++;
    return ERR_OK;
}

static enum err take_end(struct machine_filler *filler, struct digest digest, uint64_t keys,
                         struct why *why)
{
    struct taker *taker = CONTAINER_OF(filler, struct taker, filler);
    taker->digest = digest;
    taker->keys = keys;
    return taker->err == ERR_OK ? ERR_OK : why_fail(why, taker->err, "told so");
}

static enum err take(struct machine_maker *base, const char *directory,
                     const struct machine_fill *fill, struct machine_filler **filler,
                     struct why *why)
{
    static const struct machine_filler_ops ops = {.add = take_record, .end = take_end};
    struct taker *taker = CONTAINER_OF(base, struct taker, base);
    (void)why;
    taker->calls++;
    taker->fill = *fill;
    snprintf(taker->store, sizeof taker->store, "%s", directory);
    taker->filler.ops = &ops;
    *filler = &taker->filler;
    return ERR_OK;
}

static void take_close(struct machine_maker *base)
{
    CONTAINER_OF(base, struct taker, base)->closes++;
}

static struct image_place place_of(struct bed *bed)
{
    return (struct image_place){.directory = BED_DIRECTORY,
                                .disk = sim_node_world(bed->node)->disk,
                                .cluster = BED_CLUSTER};
}

static enum err list(struct bed *bed, struct image_list *out)
{
    struct image_place place = place_of(bed);
    struct why why;
    return image_list(out, &place, &why);
}

static enum err install(struct bed *bed, struct taker *taker, const struct mark *mark,
                        struct why *why)
{
    struct image_install request = {.place = place_of(bed),
                                    .clock = sim_node_world(bed->node)->clock,
                                    .maker = &taker->base,
                                    .store = "store-2",
                                    .mark = *mark,
                                    .history = {{8}}};
    *taker = (struct taker){.base.fill = take, .base.fill_close = take_close, .err = taker->err};
    return image_install(&request, why);
}

static void two_images(struct bed *bed)
{
    bed_open(bed);
    bed->capture.records = 40;
    bed->capture.value_bytes = 9000;
    assert_int_equal(bed_save(bed, 1), ERR_OK);
    assert_int_equal(bed_save(bed, 2), ERR_OK);
}

static void change(struct bed *bed, const char *path, uint64_t at, uint8_t bits)
{
    struct buffer bytes;
    buffer_init(&bytes);
    assert_true(sim_disk_seen(bed->disk, path, &bytes));
    if (bits == 0) bytes.size = at;
    else bytes.data[at] ^= bits;
    sim_disk_put(bed->disk, path, buffer_bytes(&bytes));
    buffer_release(&bytes);
}

static uint64_t size_of(struct bed *bed, const char *path)
{
    struct buffer bytes;
    buffer_init(&bytes);
    assert_true(sim_disk_seen(bed->disk, path, &bytes));
    uint64_t size = bytes.size;
    buffer_release(&bytes);
    return size;
}

TEST(snapshot_install, the_list_has_the_newest_first_and_leaves_out_what_does_not_read)
{
    struct bed bed;
    two_images(&bed);
    sim_disk_put(bed.disk, BED_DIRECTORY "/0000000000000007.image", bytes_text("short"));
    sim_disk_put(bed.disk, BED_DIRECTORY "/notes.txt", bytes_text("not ours"));
    struct image_list images;
    assert_int_equal(list(&bed, &images), ERR_OK);
    assert_int_equal(images.count, 2);
    assert_int_equal(images.at[0].mark.lsn.at, 2);
    assert_int_equal(images.at[1].mark.lsn.at, 1);
    change(&bed, PATH_2, 41, 1);                        /* header */
    change(&bed, PATH_1, size_of(&bed, PATH_1) - 9, 4); /* footer */
    assert_int_equal(list(&bed, &images), ERR_OK);
    assert_int_equal(images.count, 0);
    bed_close(&bed);
}

TEST(snapshot_install, an_image_of_another_cluster_history_shard_or_lsn_is_not_in_the_list)
{
    struct bed bed;
    two_images(&bed);
    struct buffer bytes;
    buffer_init(&bytes);
    assert_true(sim_disk_seen(bed.disk, PATH_1, &bytes));
    sim_disk_put(bed.disk, BED_DIRECTORY "/0000000000000009.image", buffer_bytes(&bytes));
    buffer_release(&bytes);
    struct image_list images;
    assert_int_equal(list(&bed, &images), ERR_OK);
    assert_int_equal(images.count, 2);
    struct image_place place = place_of(&bed);
    struct why why;
    place.cluster++;
    assert_int_equal(image_list(&images, &place, &why), ERR_OK);
    assert_int_equal(images.count, 0);
    place = place_of(&bed);
    place.history.id[15]++;
    assert_int_equal(image_list(&images, &place, &why), ERR_OK);
    assert_int_equal(images.count, 0);
    place = place_of(&bed);
    place.shard++;
    assert_int_equal(image_list(&images, &place, &why), ERR_OK);
    assert_int_equal(images.count, 0);
    place.directory = "nowhere";
    assert_int_equal(image_list(&images, &place, &why), ERR_NOT_FOUND);
    bed_close(&bed);
}

static size_t count_of(struct bed *bed)
{
    struct image_list images;
    assert_int_equal(list(bed, &images), ERR_OK);
    return images.count;
}

static enum err remove_from(struct bed *bed, uint64_t lsn)
{
    struct image_place place = place_of(bed);
    struct why why;
    return image_remove_from(&place, (struct lsn){lsn}, &why);
}

TEST(snapshot_install, images_are_removed_from_an_lsn_on_and_stay_so_after_a_power_cut)
{
    struct bed bed;
    two_images(&bed);
    assert_int_equal(remove_from(&bed, 3), ERR_OK);
    assert_int_equal(count_of(&bed), 2);
    assert_int_equal(remove_from(&bed, 2), ERR_OK);
    struct buffer bytes;
    buffer_init(&bytes);
    sim_node_crash(bed.node, (struct sim_cut){SIM_KEEP_NOTHING, 0});
    assert_true(sim_node_start(bed.node));
    assert_true(sim_disk_seen(bed.disk, PATH_1, &bytes));
    assert_false(sim_disk_seen(bed.disk, PATH_2, &bytes));
    buffer_release(&bytes);
    bed_close(&bed);
}

TEST(snapshot_install, what_another_start_would_not_count_is_not_removed)
{
    struct bed bed;
    two_images(&bed);
    struct image_place place = place_of(&bed);
    struct why why;
    place.history.id[15]++;
    assert_int_equal(image_remove_from(&place, (struct lsn){1}, &why), ERR_OK);
    assert_int_equal(count_of(&bed), 2);
    change(&bed, PATH_2, 41, 1); /* header */
    assert_int_equal(remove_from(&bed, 1), ERR_OK);
    assert_int_equal(count_of(&bed), 0);
    assert_true(size_of(&bed, PATH_2) > 0);
    bed_close(&bed);
}

/* It may count at the next start. */
TEST(snapshot_install, one_that_cannot_be_read_now_or_removed_is_an_error)
{
    static const enum disk_op ops[] = {DISK_LIST, DISK_OPEN, DISK_READ, DISK_REMOVE, DISK_SYNC_DIR};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        struct bed bed;
        two_images(&bed);
        const struct sim_fault fault = {.ops = 1u << ops[i], .hits = 1, .kind = SIM_FAULT_ERROR};
        (void)sim_disk_fault(bed.disk, &fault);
        assert_int_equal(remove_from(&bed, 1), ERR_IO);
        assert_int_equal(remove_from(&bed, 1), ERR_OK);
        assert_int_equal(count_of(&bed), 0);
        bed_close(&bed);
    }
}

TEST(snapshot_install, received_image_brings_its_mark)
{
    struct bed bed;
    two_images(&bed);
    struct image_list images;
    struct taker taker = {.err = ERR_OK};
    struct why why;
    assert_int_equal(list(&bed, &images), ERR_OK);
    assert_int_equal(install(&bed, &taker, &images.at[0].mark, &why), ERR_OK);
    assert_int_equal(taker.records, 40);
    assert_string_equal(taker.store, "store-2");
    assert_true(mark_equal(&taker.fill.mark, &images.at[0].mark));
    assert_true(digest_equal(taker.digest, images.at[0].digest));
    assert_int_equal(taker.keys, images.at[0].keys);
    assert_int_equal(taker.fill.history.id[0], 8);
    taker.err = ERR_SPACE;
    assert_int_equal(install(&bed, &taker, &images.at[0].mark, &why), ERR_SPACE);
    bed_close(&bed);
}

TEST(snapshot_install, an_image_that_is_another_one_by_now_is_not_installed)
{
    struct bed bed;
    two_images(&bed);
    struct image_list images;
    struct taker taker = {.err = ERR_OK};
    struct why why;
    assert_int_equal(list(&bed, &images), ERR_OK);
    images.at[0].mark.lineage.hash ^= 1;
    assert_int_equal(install(&bed, &taker, &images.at[0].mark, &why), ERR_CORRUPT);
    assert_int_equal(taker.calls, 0);
    bed_close(&bed);
}

/* Every byte of the body stands under a checksum; whoever fills a store is told before its end. */
TEST(snapshot_install, small_file_wrong_header_flipped_body_leave_state_untouched)
{
    struct bed bed;
    two_images(&bed);
    struct image_list images;
    struct taker taker = {.err = ERR_OK};
    struct why why;
    assert_int_equal(list(&bed, &images), ERR_OK);
    struct mark mark = images.at[0].mark;
    uint64_t size = size_of(&bed, PATH_2);
    for (uint64_t at = 0; at < size; at += 997) {
        change(&bed, PATH_2, at, 0x10);
        assert_int_equal(install(&bed, &taker, &mark, &why), ERR_CORRUPT);
        assert_non_null(strstr(why.text, PATH_2));
        change(&bed, PATH_2, at, 0x10);
    }
    assert_int_equal(install(&bed, &taker, &mark, &why), ERR_OK);
    for (uint64_t cut = 1; cut < size; cut = 3 * cut) {
        struct buffer whole;
        buffer_init(&whole);
        assert_true(sim_disk_seen(bed.disk, PATH_2, &whole));
        change(&bed, PATH_2, size - cut, 0);
        assert_int_equal(install(&bed, &taker, &mark, &why), ERR_CORRUPT);
        sim_disk_put(bed.disk, PATH_2, buffer_bytes(&whole));
        buffer_release(&whole);
    }
    bed_close(&bed);
}

/* As one that another copy has sent, which nobody may list yet. */
TEST(snapshot_install, an_image_under_any_name_is_installed_and_tells_its_stamp)
{
    struct bed bed;
    two_images(&bed);
    struct buffer bytes;
    buffer_init(&bytes);
    assert_true(sim_disk_seen(bed.disk, PATH_2, &bytes));
    sim_disk_put(bed.disk, BED_DIRECTORY "/incoming.tmp", buffer_bytes(&bytes));
    buffer_release(&bytes);
    struct image_list images;
    assert_int_equal(list(&bed, &images), ERR_OK);
    assert_int_equal(images.count, 2);
    assert_true(sim_disk_unlink(bed.disk, PATH_2));
    struct taker taker = {.base.fill = take, .base.fill_close = take_close};
    struct stamp stamp = {0};
    struct why why;
    struct image_install request = {.place = place_of(&bed),
                                    .clock = sim_node_world(bed.node)->clock,
                                    .maker = &taker.base,
                                    .path = BED_DIRECTORY "/incoming.tmp",
                                    .store = "store-2",
                                    .mark = images.at[0].mark,
                                    .stamp = &stamp};
    assert_int_equal(image_install(&request, &why), ERR_OK);
    assert_int_equal(taker.records, 40);
    assert_int_equal(stamp.bits, BED_STAMP);
    change(&bed, request.path, 5000, 1);
    assert_int_equal(image_install(&request, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "incoming.tmp"));
    request.path = BED_DIRECTORY "/nothing";
    assert_int_equal(image_install(&request, &why), ERR_NOT_FOUND);
    bed_close(&bed);
}
