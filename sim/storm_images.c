/* SPDX-License-Identifier: Apache-2.0 */
/* What a seed with images is like, and what goes wrong with them: nothing of it ends the server. */
#include "base/memory.h"
#include "sim/disk.h"
#include "sim/store.h"
#include "sim/storming.h"

static bool one_in(struct storm *storm, uint64_t n)
{
    return dice_below(&storm->image_dice, n) == 0;
}

void storm_draw_images(struct storm *storm, uint64_t seed, struct server_settings *out)
{
    static const char *const points[] = {"", "1 1", "1 100", "5 1 1 300"};
    dice_init(&storm->image_dice, checksum64(bytes_of(&seed, sizeof seed), 8));
    storm->images = !one_in(storm, 3);
    out->image_keep = 1 + (unsigned)dice_below(&storm->image_dice, 3);
    out->save = storm->images ? points[dice_below(&storm->image_dice, 4)] : "";
}

/* What may be the reason stays one to the end of the life. */
static bool may_fail(struct archivist *archivist)
{
    const struct storm *storm = CONTAINER_OF(archivist, struct storm, archivist);
    return storm->stopping || storm->image_rule != 0 || storm->talkers.relaxed ||
           storm->may_fail_log || storm->may_fail_store || storm->may_be_corrupt;
}

void storm_draw_archivist(struct storm *storm, uint64_t seed)
{
    archivist_init(&storm->archivist, &storm->program.gallery, &storm->talkers.told,
                   checksum64(bytes_of(&seed, sizeof seed), 9));
    storm->archivist.may_fail = may_fail;
    /* A cache that holds nothing: what was warmed is gone when it is looked at. */
    if (storm->images && one_in(storm, 16))
        sim_stores_profile(sim_node_stores(storm->program.node))->evicted_per_million = 1000000;
    storm->archivist.pause_us = (5 + dice_below(&storm->image_dice, 200)) * SIM_MILLISECOND;
}

/* Whatever is done with an image's file or its directory fails: that image is lost, no more. */
static void break_images(struct storm *storm)
{
    static const uint64_t ops[] = {
        UINT64_MAX,         1 << DISK_WRITE,
        1 << DISK_SYNC,     1 << DISK_CREATE | 1 << DISK_RENAME,
        1 << DISK_SYNC_DIR, 1 << DISK_LIST | 1 << DISK_REMOVE,
    };
    size_t which = dice_below(&storm->image_dice, sizeof ops / sizeof ops[0]);
    const struct sim_fault fault = {
        .ops = ops[which],
        .paths = STORM_IMAGES,
        .skip = which == 0 ? dice_below(&storm->image_dice, 12) : 0,
        .hits = 1 + dice_below(&storm->image_dice, 2),
        .kind = one_in(storm, 4) ? SIM_FAULT_SHORT : SIM_FAULT_ERROR,
        .err = one_in(storm, 2) ? ERR_IO : ERR_SPACE,
    };
    if (storm->image_rule != 0)
        sim_disk_unfault(sim_node_disk(storm->program.node), storm->image_rule);
    storm->image_rule = sim_disk_fault(sim_node_disk(storm->program.node), &fault);
    storm->result->image_errors++;
}

static void reconfigure(struct storm *storm)
{
    static const char *const keeps[] = {"1", "2", "3"};
    static const char *const points[] = {"1 1", "1 500", ""};
    size_t which = dice_below(&storm->image_dice, 3);
    if (one_in(storm, 2)) {
        server_program_configure(&storm->program, "save", points[which]);
        return;
    }
    gallery_keeps(&storm->program.gallery, (unsigned)which + 1);
    server_program_configure(&storm->program, "image-keep", keeps[which]);
}

void storm_image_tick(struct storm *storm)
{
    unsigned dice = (unsigned)dice_below(&storm->image_dice, 60);
    if (dice < 2) break_images(storm);
    if (dice == 2) reconfigure(storm);
}
