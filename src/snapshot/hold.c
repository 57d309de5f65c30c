/* SPDX-License-Identifier: Apache-2.0 */
/* Held images: they stay on the shelf, and before one is sent to another copy all of it is read.
 *
 * The scrubber does the reading; whatever else it reads yields to an image that somebody waits for.
 * What it finds is kept in the hold and told by a task: never from inside a call. */
#include "base/memory.h"
#include "snapshot/keeper.h"

static struct image_hold *hold_of(struct list *node)
{
    return CONTAINER_OF(node, struct image_hold, node);
}

/* --- What the others of the room ask and tell --- */

bool holds_have(const struct snapshot *snapshot, uint64_t id)
{
    const struct list *holds = &snapshot->holds;
    for (struct list *node = holds->next; node != holds; node = node->next) {
        if (hold_of(node)->id == id) return true;
    }
    return false;
}

void holds_step_soon(struct snapshot *snapshot)
{
    if (!list_empty(&snapshot->holds)) clock_defer(snapshot->clock, &snapshot->holds_task);
}

static void answer(struct image_hold *hold, enum err err, const char *what)
{
    hold->err = err == ERR_OK ? err : why_fail(&hold->why, err, "%s", what);
    hold->checked = err == ERR_OK;
    hold->lost = hold->lost || err == ERR_CORRUPT || err == ERR_REFUSED;
    hold->answered = hold->asked;
    hold->asked = false;
}

void holds_concluded(struct snapshot *snapshot, uint64_t id, enum err err, uint64_t checksum)
{
    const struct list *holds = &snapshot->holds;
    for (struct list *node = holds->next; node != holds; node = node->next) {
        struct image_hold *hold = hold_of(node);
        if (hold->id != id) continue;
        if (err != ERR_OK) answer(hold, err, snapshot->scrub.why.text);
        else if (hold->checksum == checksum) answer(hold, ERR_OK, "");
        else answer(hold, ERR_CORRUPT, "another image has taken its name");
    }
}

/* --- Steps --- */

/* What can be said without reading. */
static void judge(struct snapshot *snapshot, struct image_hold *hold)
{
    const struct shelf_image *image = shelf_find(&snapshot->shelf, hold->id);
    if (image == NULL && !hold->lost) {
        hold->checked = false;
        hold->lost = true;
    }
    if (!hold->asked) return;
    if (hold->lost) answer(hold, ERR_NOT_FOUND, "the image is not there any more");
    else if (hold->checked) answer(hold, ERR_OK, "");
    else if (snapshot->scrub.stopping) answer(hold, ERR_SHUT, "images are not read any more");
}

/* The first one whose owner is to be told something, and the first one that is to be read. */
static struct image_hold *look_for(struct snapshot *snapshot, struct image_hold **wanted)
{
    const struct list *holds = &snapshot->holds;
    *wanted = NULL;
    for (struct list *node = holds->next; node != holds; node = node->next) {
        struct image_hold *hold = hold_of(node);
        judge(snapshot, hold);
        if (hold->answered) return hold;
        /* The one that is being read is read to its end first. */
        bool is_read = snapshot->scrub.step != SCRUB_IDLE && snapshot->scrub.id == hold->id;
        if (hold->asked && (*wanted == NULL || is_read)) *wanted = hold;
    }
    return NULL;
}

static void holds_run(struct task *task)
{
    struct snapshot *snapshot = CONTAINER_OF(task, struct snapshot, holds_task);
    struct image_hold *told, *wanted;
    while ((told = look_for(snapshot, &wanted)) != NULL) {
        told->answered = false;
        told->done(told); /* which may let go of this one, or of others */
    }
    if (wanted != NULL) scrub_want(snapshot, wanted->id, wanted->bytes_per_second);
}

void holds_init(struct snapshot *snapshot)
{
    list_init(&snapshot->holds);
    snapshot->holds_task.run = holds_run;
}

/* --- The doors --- */

/* One that is on its way out is not there any more. */
static const struct shelf_image *find(const struct snapshot *snapshot, const struct mark *mark)
{
    const struct shelf *shelf = &snapshot->shelf;
    for (size_t i = shelf->count; i > 0; i--) { /* the newest first */
        const struct shelf_image *image = &shelf->images[i - 1];
        bool leaves = snapshot->step == STEP_REMOVE && image->id == snapshot->doomed_id;
        if (image->bad || leaves) continue;
        if (mark == NULL || mark_equal(mark, &image->mark)) return image;
    }
    return NULL;
}

enum err snapshot_hold(struct snapshot *snapshot, struct image_hold *hold, const struct mark *mark,
                       struct why *why)
{
    const struct shelf_image *image = find(snapshot, mark);
    if (image == NULL) return why_fail(why, ERR_NOT_FOUND, "there is no such image");
    *hold = (struct image_hold){.mark = image->mark,
                                .size = image->bytes,
                                .checksum = image->checksum,
                                .path = shelf_path(snapshot, image->lsn, IMAGE_NAME_IMAGE),
                                .checked = image->checked_us != 0,
                                .done = hold->done,
                                .id = image->id};
    list_append(&snapshot->holds, &hold->node);
    return ERR_OK;
}

void snapshot_unhold(struct snapshot *snapshot, struct image_hold *hold)
{
    if (hold->path == NULL) return;
    list_remove(&hold->node);
    memory_free(hold->path);
    *hold = (struct image_hold){.done = hold->done};
    snapshot_tidy(snapshot);
}

void snapshot_hold_check(struct snapshot *snapshot, struct image_hold *hold,
                         uint64_t bytes_per_second)
{
    MUST(hold->path != NULL && hold->done != NULL);
    hold->bytes_per_second = bytes_per_second;
    hold->asked = true;
    holds_step_soon(snapshot);
}
