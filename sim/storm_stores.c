/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to a server's store and images while it is down, and whether the next start makes of
 * it what is documented. The second is asked of every start, also of those that nobody has
 * prepared. */
#include <string.h>

#include "base/memory.h"
#include "sim/disk.h"
#include "sim/gallery.h"
#include "sim/store.h"
#include "sim/storming.h"
#include "sim/tree.h"
#include "snapshot/image.h"

static struct sim_disk *disk_of(const struct storm *storm)
{
    return sim_node_disk(storm->program.node);
}

static struct sim_stores *stores_of(const struct storm *storm)
{
    return sim_node_stores(storm->program.node);
}

static bool one_in(struct storm *storm, uint64_t n)
{
    return dice_below(&storm->gate_dice, n) == 0;
}

void storm_stores_init(struct storm *storm, uint64_t seed)
{
    dice_init(&storm->gate_dice, checksum64(bytes_of(&seed, sizeof seed), 10));
    buffer_init(&storm->doctored.image);
}

void storm_stores_release(struct storm *storm)
{
    sim_tree_drop(storm->doctored.was);
    sim_tree_drop(storm->doctored.old);
    buffer_release(&storm->doctored.image);
}

/* --- What is done --- */

/* The record of the mark, with one byte of it another one. */
static struct sim_tree *spoil_mark(struct sim_tree *tree, size_t at, uint8_t value)
{
    const struct sim_item *item = sim_tree_find(tree, bytes_text("M"));
    if (item == NULL) return tree;
    struct buffer bytes;
    buffer_init(&bytes);
    buffer_append(&bytes, sim_item_value(item));
    bytes.data[at % bytes.size] = value;
    tree = sim_tree_put(tree, bytes_text("M"), buffer_bytes(&bytes));
    buffer_release(&bytes);
    return tree;
}

void storm_take_store(struct storm *storm)
{
    struct doctored *doctored = &storm->doctored;
    sim_tree_drop(doctored->was);
    doctored->was = NULL;
    doctored->done = probe_store_path(disk_of(storm), doctored->path) &&
                     sim_stores_take(stores_of(storm), doctored->path, &doctored->was);
    if (doctored->done) (void)sim_disk_unlink(disk_of(storm), doctored->path);
}

enum {
    DOCTOR_ABSENT,
    DOCTOR_EMPTY,
    DOCTOR_NO_MARK,
    DOCTOR_BAD_MARK,
    DOCTOR_LATER,
    DOCTOR_OLDER,
    DOCTORS
};

static void doctor(struct storm *storm, unsigned how)
{
    struct doctored *doctored = &storm->doctored;
    struct sim_stores *stores = stores_of(storm);
    storm_take_store(storm);
    if (!doctored->done) return;
    struct sim_tree *tree = sim_tree_share(doctored->was);
    if (how == DOCTOR_EMPTY || how == DOCTOR_OLDER) sim_tree_drop(tree);
    if (how == DOCTOR_EMPTY) tree = NULL;
    if (how == DOCTOR_OLDER) tree = sim_tree_share(doctored->old);
    if (how == DOCTOR_NO_MARK) tree = sim_tree_delete(tree, bytes_text("M"));
    if (how == DOCTOR_BAD_MARK)
        tree = spoil_mark(tree, 1 + dice_below(&storm->gate_dice, 100),
                          (uint8_t)dice_roll(&storm->gate_dice));
    if (how == DOCTOR_LATER) tree = spoil_mark(tree, 0, 2);
    if (how == DOCTOR_ABSENT) sim_tree_drop(tree);
    else sim_stores_put(stores, doctored->path, tree);
    storm->stopped_clean = false; /* it does not count any more how the last life ended */
    storm->result->doctored++;
    sim_world_say(storm->world, "storm doctored %s how=%u", doctored->path, how);
}

/* What the start was refused for is put back. */
static void undo(struct storm *storm)
{
    struct doctored *doctored = &storm->doctored;
    sim_stores_put(stores_of(storm), doctored->path, sim_tree_share(doctored->was));
    doctored->done = false;
}

/* --- A flawed image --- */

/* Of another lineage, or with a flaw that header and footer do not show. */
static bool spoil_newest(struct storm *storm)
{
    struct doctored *doctored = &storm->doctored;
    struct sim_node *node = storm->program.node;
    struct gate_look look;
    gate_look(node, &storm->program.canon, &look);
    if (look.image_count == 0 || look.store != GATE_MARKED) return false;
    gallery_path((struct lsn){look.images[0]}, doctored->image_path);
    buffer_clear(&doctored->image);
    if (!sim_disk_seen(disk_of(storm), doctored->image_path, &doctored->image)) return false;
    if (one_in(storm, 2)) return gate_forge(node, doctored->image_path);
    uint64_t body = load_le32(doctored->image.data + 12); /* the header's size stands there */
    uint64_t size = doctored->image.size - IMAGE_FOOTER_BYTES - body;
    return sim_disk_damage(disk_of(storm), doctored->image_path,
                           body + dice_below(&storm->gate_dice, size), 1, SIM_DAMAGE_FLIP);
}

/* The store is gone or older, and the newest image will not do: a start that nobody is served by.
 */
static void try_flawed(struct storm *storm)
{
    struct server_program *program = &storm->program;
    struct doctored *doctored = &storm->doctored;
    if (!spoil_newest(storm)) return;
    bool older = doctored->old != NULL && one_in(storm, 2);
    doctor(storm, older ? DOCTOR_OLDER : DOCTOR_ABSENT);
    sim_node_crash_at(program->node, NULL);
    program->flawed = true;
    (void)storm_start(storm);
    program->flawed = false;
    sim_disk_put(disk_of(storm), doctored->image_path, buffer_bytes(&doctored->image));
    if (sim_node_is_up(program->node))
        sim_node_crash(program->node, (struct sim_cut){SIM_KEEP_CACHE, 0});
    storm->stopped_clean = false;
}

void storm_doctor(struct storm *storm)
{
    storm->doctored.done = false;
    if (storm->spoiled != NULL || !one_in(storm, 2)) return;
    if (storm->images && one_in(storm, 4)) try_flawed(storm);
    if (storm_failed(storm)) return;
    struct doctored *doctored = &storm->doctored;
    char path[GATE_PATH_BYTES];
    if (doctored->old == NULL) {
        if (!probe_store_path(disk_of(storm), path)) return;
        (void)sim_stores_take(stores_of(storm), path, &doctored->old);
        return;
    }
    doctor(storm, (unsigned)dice_below(&storm->gate_dice, DOCTORS));
}

/* --- What comes of it --- */

void storm_gate_before(struct storm *storm)
{
    storm->program.told = (struct gate_told){.opened = false};
    gate_look(storm->program.node, &storm->program.canon, &storm->look);
}

bool storm_gate_after(struct storm *storm, bool failing)
{
    const struct server_program *program = &storm->program;
    bool refused = !program->ready && program->end == SIM_END_REFUSED;
    if (failing || storm->spoiled != NULL || (!program->ready && !refused)) return false;
    const char *wrong = gate_judge(&storm->look, &program->told, program->ready, program->why.text);
    if (wrong != NULL) {
        sim_world_fail(storm->world, "%s: store=%u mark=%llu images=%u told %s %s image=%llu: %s",
                       wrong, (unsigned)storm->look.store, (unsigned long long)storm->look.mark,
                       storm->look.image_count, program->told.outcome, program->told.reason,
                       (unsigned long long)program->told.image, refused ? program->why.text : "");
        return false;
    }
    struct storm_result *result = storm->result;
    if (strcmp(program->told.outcome, "execute") == 0) result->executed++;
    if (strcmp(program->told.outcome, "fallback") == 0) result->fell_back++;
    if (!refused || !storm->doctored.done) return false;
    result->gate_refused++;
    undo(storm);
    return true;
}
