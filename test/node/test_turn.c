/* SPDX-License-Identifier: Apache-2.0 */
/* A replica's shard is closed and opened again: an image becomes its state. */
#include "base/memory.h"
#include "node/internal.h"
#include "snapshot/incoming/incoming.h"
#include "test/node/bed.h"

struct install {
    struct sim_visit base;
    struct bed *bed;
    struct buffer image;
    struct mark mark;
};

static void put_file(struct disk *disk, const char *path, struct bytes bytes)
{
    struct buffer copy;
    buffer_init(&copy);
    buffer_append(&copy, bytes);
    struct disk_request create = {.op = DISK_CREATE, .path = path};
    assert_int_equal(disk_run(disk, &create), ERR_OK);
    struct disk_request write = {
        .op = DISK_WRITE_SYNC, .file = create.file, .data = copy.data, .size = copy.size};
    assert_int_equal(disk_run(disk, &write), ERR_OK);
    struct disk_request end = {.op = DISK_CLOSE, .file = create.file};
    assert_int_equal(disk_run(disk, &end), ERR_OK);
    buffer_release(&copy);
}

static void install(struct sim_visit *base, struct world *world)
{
    struct install *install = CONTAINER_OF(base, struct install, base);
    struct node *node = install->bed->node;
    struct image_place place = node_image_place(node);
    char *path = incoming_path(&place);
    put_file(world->disk, path, buffer_bytes(&install->image));
    memory_free(path);
    node_unlead(node, "told so");
    struct turn turn = {.kind = TURN_INSTALL,
                        .mark = install->mark,
                        .cluster = site_cluster(&node->site),
                        .epoch = install->mark.epoch};
    node_turn(node, &turn);
    struct why why;
    assert_int_not_equal(node_save(&node->service, &why), ERR_OK); /* it would never begin */
}

/* Whatever was asked to be flushed is; then the image has its name. */
static struct mark save(struct bed *bed)
{
    assert_int_equal(bed_save(bed), ERR_OK);
    if (bed->fake.flush != NULL) (void)bed_do(bed, DEED_FLUSH, NULL, ERR_OK);
    bed_run(bed, SIM_SECOND);
    assert_false(bed_images(bed).failed);
    return bed->fake.flushed;
}

TEST(node_turn, an_image_from_before_those_that_are_here_leaves_a_shard_that_starts)
{
    struct bed bed;
    struct install visit = {.base.run = install, .bed = &bed};
    buffer_init(&visit.image);
    bed_make(&bed, 1);
    bed.options.images.keep = 9;
    assert_true(sim_node_start(bed.sim));
    bed_settle(&bed);
    visit.mark = save(&bed);
    char path[80];
    snprintf(path, sizeof path, "data/keys/images/%016llx.image",
             (unsigned long long)visit.mark.lsn.at);
    assert_true(sim_disk_seen(sim_node_disk(bed.sim), path, &visit.image));
    for (unsigned i = 0; i < 3; i++) {
        (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
        bed_settle(&bed);
        (void)save(&bed);
    }
    assert_int_equal(bed_images(&bed).images, 4);
    struct feed *feed = bed.service->ops->feed(bed.service);
    feed->ops->keep(feed, &(struct effects_keep){.bytes = 77, .from = 7});
    bed.fake.keep = (struct effects_keep){0}; /* as of another machine */
    assert_true(sim_node_visit(bed.sim, &visit.base));
    bed_settle(&bed);
    assert_int_equal(bed.failures, 0);
    assert_true(bed.fake.keep.bytes == 77 && bed.fake.keep.from == 7);
    assert_int_equal(bed_images(&bed).images, 0); /* this one came without its offer */
    assert_int_equal(log_before(bed.node->log).lsn.at, visit.mark.lsn.at);
    buffer_release(&visit.image);
    bed_close(&bed);
}

static uint64_t count_ahead(struct bed *bed, uint64_t lsn)
{
    struct buffer bytes;
    uint64_t count = 0;
    buffer_init(&bytes);
    for (uint64_t i = 1; i < 20; i++) {
        char path[80];
        snprintf(path, sizeof path, "data/keys/images/%016llx.image",
                 (unsigned long long)(lsn + i));
        count += sim_disk_seen(sim_node_disk(bed->sim), path, &bytes);
    }
    buffer_release(&bytes);
    return count;
}

/* Whatever step it has come to, also the one in which the disk gives it its name: what is asked of
 * the disk is waited for. */
TEST(node_turn, an_image_that_is_being_written_gets_no_name_behind_the_install)
{
    unsigned finished = 0, given_up = 0, waited = 0;
    for (uint64_t delay_us = 0; delay_us < 20000; delay_us += 200) {
        struct bed bed;
        struct install visit = {.base.run = install, .bed = &bed};
        buffer_init(&visit.image);
        bed_make(&bed, 1);
        bed.options.images.keep = 9;
        assert_true(sim_node_start(bed.sim));
        bed_settle(&bed);
        visit.mark = save(&bed);
        char path[80];
        snprintf(path, sizeof path, "data/keys/images/%016llx.image",
                 (unsigned long long)visit.mark.lsn.at);
        assert_true(sim_disk_seen(sim_node_disk(bed.sim), path, &visit.image));
        (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
        bed_settle(&bed);
        const struct sim_fault slow = {
            .ops = 1 << DISK_RENAME, .hits = 1, .kind = SIM_FAULT_STALL, .amount = 5000};
        (void)sim_disk_fault(sim_node_disk(bed.sim), &slow);
        assert_int_equal(bed_save(&bed), ERR_OK);
        if (bed.fake.flush != NULL) (void)bed_do(&bed, DEED_FLUSH, NULL, ERR_OK);
        bed_run(&bed, delay_us);
        finished += bed_images(&bed).images == 2;
        given_up += bed_images(&bed).images == 1;
        assert_true(sim_node_visit(bed.sim, &visit.base));
        bed_run(&bed, 100);
        if (bed.node->turn.kind == TURN_INSTALL) {
            waited++;
            assert_false(snapshot_is_quiet(bed.node->images.snapshot));
        }
        bed_run(&bed, SIM_SECOND);
        assert_int_equal(bed.failures, 0);
        assert_int_equal(log_before(bed.node->log).lsn.at, visit.mark.lsn.at);
        assert_int_equal(count_ahead(&bed, visit.mark.lsn.at), 0);
        buffer_release(&visit.image);
        bed_close(&bed);
    }
    assert_true(finished > 0 && given_up > 10 && waited > 10);
}
