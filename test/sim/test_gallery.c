/* SPDX-License-Identifier: Apache-2.0 */
/* The checker of images itself: those that a server has saved are taken, and each kind of violation
 * is found. */
#include <stdio.h>
#include <string.h>

#include "sim/disk.h"
#include "sim/storming.h"
#include "snapshot/image.h"
#include "test/test.h"

enum { SEED = 3 };

/* A server that has saved some images, and goes on. */
struct hall {
    struct storm_result result;
    struct storm *storm;
    struct gallery *gallery;
    struct sim_disk *disk;
    char path[sizeof GALLERY_DIRECTORY + IMAGE_NAME_BYTES]; /* of the newest */
};

static void path_of(uint64_t lsn, enum image_name_kind kind, struct hall *hall)
{
    char name[IMAGE_NAME_BYTES];
    image_name_format((struct lsn){lsn}, kind, name);
    (void)snprintf(hall->path, sizeof hall->path, "%s%s", GALLERY_DIRECTORY, name);
}

static void open_hall(struct hall *hall)
{
    struct storm_options options = {.seed = SEED, .workload = WORKLOAD_MIXED, .trace = NULL};
    struct storm *storm = hall->storm = storm_open(&options, &hall->result);
    memset(storm->on, 0, sizeof storm->on);
    storm->images = true;
    storm->archivist.pause_us = 10 * SIM_MILLISECOND;
    storm->program.settings.image_keep = 2;
    hall->gallery = &storm->program.gallery;
    assert_true(storm_start(storm));
    storm_go(storm, true);
    for (unsigned i = 0; i < 500 && hall->gallery->saved < 3; i++) {
        assert_true(sim_world_run_for(storm->world, 10 * SIM_MILLISECOND));
    }
    storm_go(storm, false);
    assert_true(sim_world_run_for(storm->world, SIM_SECOND));
    assert_true(hall->gallery->saved >= 3);
    hall->disk = sim_node_disk(storm->program.node);
    path_of(hall->gallery->durable, IMAGE_NAME_IMAGE, hall);
    /* As if this were the next start: its store has all that was flushed. */
    storm->program.canon.flushed.at = storm->program.canon.count;
    hall->gallery->count = 0;
}

static void expect_failure(struct hall *hall, const char *part)
{
    const char *failure = sim_world_failure(hall->storm->world);
    if (part == NULL) {
        assert_null(failure);
    } else {
        assert_non_null(failure);
        assert_non_null(strstr(failure, part));
    }
    storm_close(hall->storm);
}

TEST(gallery, takes_what_a_server_has_saved)
{
    struct hall hall;
    open_hall(&hall);
    gallery_ready(hall.gallery);
    gallery_rests(hall.gallery);
    assert_int_equal(hall.gallery->count, 2);
    struct gallery_image newest = hall.gallery->list[1];
    gallery_told(hall.gallery, &newest, hall.gallery->least);
    gallery_told_time(hall.gallery, newest.taken_ms / 1000, hall.gallery->least);
    expect_failure(&hall, NULL);
}

TEST(gallery, finds_a_damaged_record)
{
    struct hall hall;
    open_hall(&hall);
    assert_true(sim_disk_damage(hall.disk, hall.path, 1000, 1, SIM_DAMAGE_FLIP));
    gallery_ready(hall.gallery);
    expect_failure(&hall, "another checksum");
}

TEST(gallery, finds_an_image_that_is_cut)
{
    struct hall hall;
    open_hall(&hall);
    struct buffer content;
    buffer_init(&content);
    assert_true(sim_disk_seen(hall.disk, hall.path, &content));
    sim_disk_put(hall.disk, hall.path, bytes_of(content.data, content.size - 1));
    buffer_release(&content);
    gallery_ready(hall.gallery);
    expect_failure(&hall, hall.path);
}

TEST(gallery, finds_an_image_under_the_name_of_another)
{
    struct hall hall;
    open_hall(&hall);
    struct buffer content;
    buffer_init(&content);
    assert_true(sim_disk_seen(hall.disk, hall.path, &content));
    path_of(hall.gallery->durable + 1, IMAGE_NAME_IMAGE, &hall);
    sim_disk_put(hall.disk, hall.path, buffer_bytes(&content));
    buffer_release(&content);
    gallery_ready(hall.gallery);
    expect_failure(&hall, "its name is of another LSN");
}

TEST(gallery, finds_an_image_of_another_history)
{
    struct hall hall;
    open_hall(&hall);
    hall.storm->program.canon.facts[hall.gallery->durable - 1].lineage.hash++;
    gallery_ready(hall.gallery);
    expect_failure(&hall, "its mark is not the history's");
}

TEST(gallery, finds_a_digest_that_the_machine_did_not_have)
{
    struct hall hall;
    open_hall(&hall);
    hall.storm->program.canon.facts[hall.gallery->durable - 1].digest.low++;
    gallery_ready(hall.gallery);
    expect_failure(&hall, "its digest is not the one that its LSN left");
}

TEST(gallery, finds_a_missing_epoch)
{
    struct hall hall;
    open_hall(&hall);
    struct fact *facts = hall.storm->program.canon.facts;
    struct bytes payload = facts[1].payload;
    facts[1].payload = facts[0].payload; /* as if it had opened one too */
    gallery_ready(hall.gallery);
    facts[1].payload = payload;
    expect_failure(&hall, "its epochs are not the history's");
}

/* As if that entry had been another one. Returns what it was. */
static struct bytes exchange(struct hall *hall, unsigned place, struct bytes payload)
{
    struct fact *fact = &hall->storm->program.canon.facts[place];
    struct bytes was = fact->payload;
    fact->payload = payload;
    return was;
}

static const uint8_t nobody[] = {ENTRY_MEMBERS, 0, 1, 0};

TEST(gallery, finds_that_an_image_names_other_copies)
{
    struct hall hall;
    open_hall(&hall);
    struct bytes was = exchange(&hall, 1, bytes_of(nobody, sizeof nobody));
    gallery_ready(hall.gallery);
    (void)exchange(&hall, 1, was);
    expect_failure(&hall, "it names other copies than the history");
}

/* The same of the machine, by the history's own checker. */
TEST(gallery, history_finds_a_machine_that_names_other_copies)
{
    struct hall hall;
    open_hall(&hall);
    struct bytes was = exchange(&hall, 1, bytes_of(nobody, sizeof nobody));
    canon_ready(&hall.storm->program.canon);
    (void)exchange(&hall, 1, was);
    expect_failure(&hall, "other copies are named");
}

static const struct epoch_start *no_epochs(const struct machine *machine, size_t *count)
{
    (void)machine;
    *count = 0;
    return NULL;
}

/* The first entry has opened the only epoch: it was the second; it was none; it was forgotten. */
TEST(gallery, history_finds_a_machine_that_names_other_epochs)
{
    static const uint8_t epoch[] = {ENTRY_EPOCH}, noop[] = {ENTRY_NOOP};
    for (unsigned what = 0; what < 3; what++) {
        struct hall hall;
        open_hall(&hall);
        struct bytes first = exchange(&hall, 0, bytes_of(what < 2 ? noop : epoch, 1));
        struct bytes second = exchange(&hall, 1, bytes_of(what == 0 ? epoch : noop, 1));
        struct machine *machine = hall.storm->program.canon.recording.inner;
        const struct machine_ops *ops = machine->ops;
        struct machine_ops forgetful = *ops;
        forgetful.epochs = no_epochs;
        if (what == 2) machine->ops = &forgetful;
        canon_ready(&hall.storm->program.canon);
        machine->ops = ops;
        (void)exchange(&hall, 0, first);
        (void)exchange(&hall, 1, second);
        expect_failure(&hall, "other epochs are named");
    }
}

TEST(gallery, finds_an_image_above_its_store)
{
    struct hall hall;
    open_hall(&hall);
    hall.storm->program.canon.flushed.at = hall.gallery->durable - 1;
    gallery_ready(hall.gallery);
    expect_failure(&hall, "the store came back with");
}

TEST(gallery, finds_what_a_start_has_left)
{
    struct hall hall;
    open_hall(&hall);
    path_of(hall.gallery->durable + 1, IMAGE_NAME_LEFTOVER, &hall);
    sim_disk_put(hall.disk, hall.path, bytes_text("torn"));
    gallery_ready(hall.gallery);
    expect_failure(&hall, "a start left it");
}

TEST(gallery, finds_that_the_newest_is_gone)
{
    struct hall hall;
    open_hall(&hall);
    assert_true(sim_disk_unlink(hall.disk, hall.path));
    gallery_ready(hall.gallery);
    expect_failure(&hall, "images: the newest is of LSN");
}

TEST(gallery, finds_too_many_of_them)
{
    struct hall hall;
    open_hall(&hall);
    hall.gallery->keep = 1;
    gallery_rests(hall.gallery);
    expect_failure(&hall, "images: there are 2, to be kept are 1");
}

TEST(gallery, finds_an_image_that_is_told_of_and_was_never_there)
{
    struct hall hall;
    open_hall(&hall);
    gallery_ready(hall.gallery);
    struct gallery_image image = hall.gallery->list[1];
    image.bytes++;
    gallery_told(hall.gallery, &image, 0);
    expect_failure(&hall, "none such was on the platter");
}

TEST(gallery, finds_that_a_newer_one_is_not_told_of)
{
    struct hall hall;
    open_hall(&hall);
    gallery_ready(hall.gallery);
    gallery_told(hall.gallery, &hall.gallery->list[0], hall.gallery->least);
    expect_failure(&hall, "as the newest, there was one of");
}

TEST(gallery, finds_a_time_at_which_none_was_taken)
{
    struct hall hall;
    open_hall(&hall);
    gallery_ready(hall.gallery);
    gallery_told_time(hall.gallery, 0, hall.gallery->least);
    expect_failure(&hall, "none was taken at second 0");
}

TEST(gallery, finds_that_a_good_one_is_called_bad)
{
    struct hall hall;
    open_hall(&hall);
    gallery_line(hall.gallery, "0.1 n1 warning snapshot image_bad path=x");
    expect_failure(&hall, "image_bad");
}
