/* SPDX-License-Identifier: Apache-2.0 */
/* A copy takes over the state of another one, of another cluster and history, or an older state of
 * its own: all the steps in their order, with the power cut at each operation of them.
 *
 *   log and images of its own --> the image comes in --> new log behind its mark, new store
 *   --> images of the new history that this log does not reach are removed --> pointer
 *   --> image adopted --> next start: images of before are removed */
#include "base/memory.h"
#include "log/log.h"
#include "sim/disk.h"
#include "sim/node.h"
#include "site/site.h"
#include "snapshot/image.h"
#include "snapshot/incoming/incoming.h"
#include "test/test.h"

enum { OTHER_CLUSTER = 77, LOG_BEGINS_AFTER = 950 };

static const struct mark own_mark = {{{1}}, {1, 3}, {900}, {0x900}}; /* of its own image */
static const struct mark other_mark = {
    {{2}}, {5, 8}, {40}, {0x1234}}; /* of the one it takes over */

/* Of its own history, from before the image that it has. */
static const struct mark older_mark = {{{1}}, {5, 8}, {40}, {0x1234}};

struct copy {
    struct sim_program program;
    bool older; /* it takes over that one, not the other */
    struct log_listener listener;
    struct snapshot_listener images_listener;
    bool takes_over;
    /* What the life found. */
    bool is_other;
    struct log_found found;
    struct snapshot_status images;
    enum err err;
    struct why why;
};

static void advanced(struct log_listener *listener)
{
    (void)listener;
}

static void failed(struct log_listener *listener, const struct why *why)
{
    (void)listener;
    fail_msg("%s", why->text);
}

static void scrubbed(struct snapshot_listener *listener)
{
    (void)listener;
}

/* --- An image --- */

static void image_make(uint64_t cluster, const struct mark *mark, struct buffer *out)
{
    struct image_facts facts = {.cluster = cluster, .mark = *mark};
    struct image_chain chain;
    buffer_init(out);
    image_begin(out, &facts, &chain);
    image_end(out, &facts, &chain);
}

static const struct mark *mark_of(const struct copy *copy)
{
    return copy->older ? &older_mark : &other_mark;
}

static uint64_t cluster_of(const struct copy *copy, const struct site *site)
{
    return copy->older ? site_cluster(site) : OTHER_CLUSTER;
}

static struct image_offer offer_of(const struct mark *mark, const struct buffer *image)
{
    return (struct image_offer){*mark, image->size, load_le64(image->data + image->size - 8)};
}

static struct image_place place_of(const struct site *site, struct world *world)
{
    return (struct image_place){.directory = site->images,
                                .disk = world->disk,
                                .trace = world->trace,
                                .cluster = site_cluster(site),
                                .history = site->pointer.history};
}

static enum err put_own_image(const struct site *site, struct world *world)
{
    struct image_place place = place_of(site, world);
    struct buffer image;
    image_make(place.cluster, &own_mark, &image);
    char *path = image_path(&place, own_mark.lsn);
    struct disk_request create = {.op = DISK_CREATE, .path = path};
    enum err err = disk_run(world->disk, &create);
    if (err == ERR_OK) {
        struct disk_request write = {
            .op = DISK_WRITE_SYNC, .file = create.file, .data = image.data, .size = image.size};
        err = disk_run(world->disk, &write);
        struct disk_request close = {.op = DISK_CLOSE, .file = create.file};
        (void)disk_run(world->disk, &close);
    }
    struct disk_request sync = {.op = DISK_SYNC_DIR, .path = site->images};
    if (err == ERR_OK) err = disk_run(world->disk, &sync);
    memory_free(path);
    buffer_release(&image);
    return err;
}

/* --- The steps --- */

static struct log_options options_of(uint64_t cluster)
{
    return (struct log_options){.segment_bytes = 16384, .cluster = cluster, .copy = 3};
}

static enum err make_log(struct world *world, const struct site_next *next,
                         const struct log_beginning *beginning, struct why *why)
{
    struct log_site log = {.directory = next->log, .disk = world->disk, .entropy = world->entropy};
    struct log_options options = options_of(next->pointer.cluster);
    struct disk_request store = {.op = DISK_MAKE_DIR, .path = next->store};
    enum err err = disk_run(world->disk, &store);
    return err == ERR_OK ? log_create_after(&log, &options, beginning, why) : err;
}

static enum err first_life(struct copy *copy, struct site *site, struct world *world)
{
    struct site_next next;
    struct log_beginning beginning = {
        .after = {.history = own_mark.history, .lsn.at = LOG_BEGINS_AFTER},
        .promised = {6, 2},
        .incarnation = 12};
    enum err err = site_prepare(site, true, own_mark.history, &next, &copy->why);
    if (err == ERR_OK) err = make_log(world, &next, &beginning, &copy->why);
    if (err == ERR_OK) err = site_switch(site, &next, &copy->why);
    return err == ERR_OK ? put_own_image(site, world) : err;
}

static enum err receive(struct copy *copy, const struct image_place *place, uint64_t cluster)
{
    struct buffer image;
    image_make(cluster, mark_of(copy), &image);
    struct image_offer offer = offer_of(mark_of(copy), &image);
    struct incoming incoming;
    enum err err = incoming_open(&incoming, place, &offer, &copy->why);
    if (err == ERR_OK) {
        struct disk_request write = {.op = DISK_WRITE_SYNC,
                                     .file = incoming.file,
                                     .offset = incoming.stored,
                                     .data = image.data + incoming.stored,
                                     .size = image.size - incoming.stored};
        err = disk_run(place->disk, &write);
        incoming_close(&incoming, err == ERR_OK ? image.size : incoming.stored);
    }
    buffer_release(&image);
    return err;
}

static enum err take_over(struct copy *copy, struct site *site, struct world *world)
{
    struct image_place place = place_of(site, world);
    const struct mark *mark = mark_of(copy);
    uint64_t cluster = cluster_of(copy, site);
    struct log_beginning beginning = {.after = *mark,
                                      .stamp = {UINT64_C(5000) << 16},
                                      .promised = copy->found.promised,
                                      .incarnation = copy->found.incarnation};
    struct site_next next;
    enum err err = receive(copy, &place, cluster);
    if (err == ERR_OK) err = site_prepare(site, true, mark->history, &next, &copy->why);
    if (err != ERR_OK) return err;
    next.pointer.cluster = cluster;
    err = make_log(world, &next, &beginning, &copy->why);
    if (err != ERR_OK) return err;
    struct image_place place_next = place;
    place_next.cluster = cluster;
    place_next.history = mark->history;
    err = image_remove_from(&place_next, mark->lsn, &copy->why);
    if (err != ERR_OK) return err;
    err = site_switch(site, &next, &copy->why);
    if (err == ERR_OK) err = incoming_adopt(&place, mark, &copy->why);
    return err;
}

/* Opens what counts, as a start does, and says what it found. */
static enum err look(struct copy *copy, struct site *site, struct world *world)
{
    struct log_site log_site = {site->log,    world->disk,  world->entropy,
                                world->clock, world->trace, &copy->listener};
    struct log_options options = options_of(site_cluster(site));
    struct image_place place = place_of(site, world);
    struct log *log;
    struct snapshot *snapshot;
    enum err err = log_open(&log, &log_site, &options, &copy->found, &copy->why);
    if (err == ERR_OK) err = log_close(log, &copy->why);
    if (err != ERR_OK) return err;
    err = snapshot_open(&snapshot, &place, world->clock, &copy->images_listener, &copy->why);
    if (err != ERR_OK) return err;
    snapshot_status(snapshot, &copy->images);
    snapshot_close(snapshot);
    site_sweep(site);
    copy->is_other = mark_equal(&copy->found.before, mark_of(copy));
    if (copy->is_other) assert_int_equal(site_cluster(site), cluster_of(copy, site));
    return ERR_OK;
}

static enum err live(struct copy *copy, struct site *site, struct world *world)
{
    enum err err = ERR_OK;
    if (!site->pointed) {
        site_sweep(site);
        err = first_life(copy, site, world);
    }
    if (err == ERR_OK) err = look(copy, site, world);
    if (err != ERR_OK || !copy->takes_over || copy->is_other) return err;
    err = take_over(copy, site, world);
    return err == ERR_OK ? look(copy, site, world) : err;
}

static bool copy_start(struct sim_program *program, struct world *world)
{
    struct copy *copy = CONTAINER_OF(program, struct copy, program);
    struct site site;
    copy->err = site_open(&site, world->disk, world->entropy, "data", &copy->why);
    if (copy->err != ERR_OK) return false;
    copy->err = live(copy, &site, world);
    site_release(&site);
    return copy->err == ERR_OK;
}

static void copy_stop(struct sim_program *program)
{
    (void)program;
}

static struct sim_node *copy_open(struct copy *copy, struct sim_world *world, bool older)
{
    *copy = (struct copy){.older = older,
                          .program = {copy_start, copy_stop, NULL},
                          .listener = {advanced, failed},
                          .images_listener.scrubbed = scrubbed};
    struct sim_node *node = sim_node_open(world, &copy->program, NULL);
    if (!sim_node_start(node)) fail_msg("%s", copy->why.text);
    assert_true(sim_node_stop(node));
    assert_false(copy->is_other);
    copy->takes_over = true;
    return node;
}

/* All of the old one or all of the new one; in both what it promised, and who it was. No image is
 * ahead of the log: a start would say that the log has lost its end. */
static void expect_one(const struct copy *copy)
{
    const struct mark *last = &copy->found.last;
    const struct mark *new = mark_of(copy), *wanted = copy->is_other ? new : &own_mark;
    assert_memory_equal(&last->history, &wanted->history, sizeof last->history);
    if (copy->is_other) assert_true(mark_equal(last, new));
    else assert_int_equal(last->lsn.at, LOG_BEGINS_AFTER);
    assert_true(copy->images.mark.lsn.at <= last->lsn.at);
    assert_int_equal(copy->found.promised.number, 6);
    assert_int_equal(copy->found.promised.copy, 2);
    assert_true(copy->found.incarnation >= 12);
    assert_int_equal(copy->images.images_bad, 0);
}

TEST(site_takeover, the_state_that_is_taken_over_counts_with_its_cluster_and_history_and_image)
{
    for (unsigned older = 0; older < 2; older++) {
        struct copy copy;
        struct sim_world *world = sim_world_open(1);
        struct sim_node *node = copy_open(&copy, world, older == 1);
        assert_int_equal(copy.images.mark.lsn.at, 900);
        if (!sim_node_start(node)) fail_msg("%s", copy.why.text);
        assert_true(copy.is_other);
        expect_one(&copy);
        assert_int_equal(copy.found.incarnation, 12);
        assert_int_equal(copy.images.images, 1); /* though the one of before had a higher LSN */
        assert_true(mark_equal(&copy.images.mark, mark_of(&copy)));
        sim_node_crash(node, (struct sim_cut){SIM_KEEP_NOTHING, 0});
        assert_true(sim_node_start(node));
        assert_true(copy.is_other);
        assert_int_equal(copy.images.images, 1);
        assert_null(sim_world_failure(world));
        sim_world_close(world);
    }
}

/* What the crash has left, and whether it is the new state. */
static bool crash_at(uint64_t at, const struct sim_crash *where, bool older)
{
    struct copy copy;
    struct sim_world *world = sim_world_open(1);
    struct sim_node *node = copy_open(&copy, world, older);
    struct sim_crash crash = *where;
    crash.io = at;
    sim_node_crash_at(node, &crash);
    assert_false(sim_node_start(node));
    copy.takes_over = false;
    if (!sim_node_start(node)) fail_msg("%s", copy.why.text);
    expect_one(&copy);
    bool new = copy.is_other;
    /* In the old state its image is there, or had to go for the switch. */
    bool has_own = mark_equal(&copy.images.mark, &own_mark);
    if (!new) assert_true(has_own || (older && copy.images.images == 0));
    assert_true(sim_node_stop(node));
    copy.takes_over = true; /* again, or it is done */
    if (!sim_node_start(node)) fail_msg("%s", copy.why.text);
    assert_true(copy.is_other);
    expect_one(&copy);
    assert_null(sim_world_failure(world));
    sim_world_close(world);
    return new;
}

TEST(site_takeover, a_crash_at_any_operation_leaves_the_state_of_before_or_all_of_the_new_one)
{
    for (unsigned older = 0; older < 2; older++) {
        struct copy copy;
        struct sim_world *world = sim_world_open(1);
        struct sim_node *node = copy_open(&copy, world, older == 1);
        uint64_t before = sim_node_io(node);
        assert_true(sim_node_start(node));
        uint64_t io = sim_node_io(node);
        sim_world_close(world);
        unsigned new = 0, all = 0;
        for (uint64_t at = before; at < io; at++) {
            struct sim_crash crash = {0};
            for (unsigned variant = 0; sim_crash_variant(variant, &crash); variant++, all++)
                new += crash_at(at, &crash, older == 1);
        }
        assert_true(all - new > 20 && new > 20);
    }
}
