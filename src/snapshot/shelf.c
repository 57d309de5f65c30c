/* SPDX-License-Identifier: Apache-2.0 */
/* The shelf: the images that are there, as the start has found them and as they were saved since.
 *
 * What cannot be read, or is of another shard, keeps its name and its place, but counts for
 * nothing: it is not the newest, none is removed for its sake, and it is not removed. What is of
 * another cluster or history was left behind when this one was installed, and is removed. */
#include "snapshot/shelf.h"

#include "base/memory.h"
#include "base/path.h"
#include "base/plant.h"
#include "snapshot/keeper.h"

char *shelf_path(const struct snapshot *snapshot, struct lsn lsn, enum image_name_kind kind)
{
    char name[IMAGE_NAME_BYTES];
    image_name_format(lsn, kind, name);
    return path_join(snapshot->place.directory, name);
}

/* --- The list --- */

void shelf_release(struct shelf *shelf)
{
    memory_free(shelf->images);
    *shelf = (struct shelf){0};
}

struct shelf_image *shelf_find(struct shelf *shelf, uint64_t id)
{
    for (size_t i = 0; i < shelf->count; i++) {
        if (shelf->images[i].id == id) return &shelf->images[i];
    }
    return NULL;
}

void shelf_forget(struct shelf *shelf, uint64_t id)
{
    struct shelf_image *image = shelf_find(shelf, id);
    if (image == NULL) return;
    size_t behind = shelf->count - (size_t)(image - shelf->images) - 1;
    memmove(image, image + 1, behind * sizeof *image);
    shelf->count--;
}

void shelf_put(struct shelf *shelf, const struct shelf_image *image)
{
    for (size_t i = 0; i < shelf->count; i++) {
        if (shelf->images[i].lsn.at != image->lsn.at) continue;
        shelf_forget(shelf, shelf->images[i].id);
        break;
    }
    if (shelf->count == shelf->capacity) {
        shelf->capacity = 2 * shelf->capacity + 4;
        shelf->images = memory_resize(shelf->images, shelf->capacity * sizeof *shelf->images);
    }
    shelf->images[shelf->count] = *image;
    shelf->images[shelf->count++].id = ++shelf->newest_id;
}

const struct shelf_image *shelf_newest(const struct shelf *shelf)
{
    for (size_t i = shelf->count; i > 0; i--) {
        if (!shelf->images[i - 1].bad) return &shelf->images[i - 1];
    }
    return NULL;
}

size_t shelf_good(const struct shelf *shelf)
{
    size_t count = 0;
    for (size_t i = 0; i < shelf->count; i++) count += !shelf->images[i].bad;
    return count;
}

const struct shelf_image *shelf_doomed(const struct snapshot *snapshot, unsigned keep)
{
    const struct shelf *shelf = &snapshot->shelf;
    size_t good = shelf_good(shelf);
    for (size_t i = 0; i < shelf->count && good > keep; i++) {
        const struct shelf_image *image = &shelf->images[i];
        if (image->bad) continue;
        if (!holds_have(snapshot, image->id)) return image;
        good--;
    }
    return NULL;
}

/* --- At a start --- */

/* Of what this shard was before another state was installed. */
static bool is_void(const struct image_place *place, const struct image_facts *facts)
{
    const struct history *history = &facts->mark.history;
    return facts->shard == place->shard &&
           (facts->cluster != place->cluster ||
            memcmp(history, &place->history, sizeof place->history) != 0);
}

enum err shelf_accepts(const struct snapshot *snapshot, struct lsn lsn,
                       const struct image_facts *facts, struct why *why)
{
    const struct image_place *place = &snapshot->place;
    if (facts->shard != place->shard || is_void(place, facts))
        return why_fail(why, ERR_REFUSED, "it is of another cluster, history or shard");
    if (facts->mark.lsn.at != lsn.at)
        return why_fail(why, ERR_CORRUPT, "its name is of another LSN");
    return ERR_OK;
}

/* One that cannot be removed does no harm: the next attempt at an image of its LSN removes it, or
 * the next start. False: it stays. */
static bool discard(struct snapshot *snapshot, const char *path, const char *what)
{
    struct trace *trace = snapshot->place.trace;
    struct disk_request remove = {.op = DISK_REMOVE, .path = path};
    if (disk_run(snapshot->place.disk, &remove) == ERR_OK) {
        trace_event(trace, TRACE_NOTICE, "snapshot", "leftover_removed", "path=%s what=\"%s\"",
                    path, what);
        return true;
    }
    trace_event(trace, TRACE_WARNING, "snapshot", "leftover_stays",
                "path=%s what=\"%s\" why=\"%s\"", path, what, remove.why.text);
    return false;
}

static void remove_leftover(struct snapshot *snapshot, struct lsn lsn)
{
    char *path = shelf_path(snapshot, lsn, IMAGE_NAME_LEFTOVER);
    (void)discard(snapshot, path, "an image that was not finished");
    memory_free(path);
}

/* By header and footer: the bytes between them are the scrubber's. */
static void look_at(struct snapshot *snapshot, struct lsn lsn, enum image_name_kind kind)
{
    char *path = shelf_path(snapshot, lsn, kind);
    struct image_file file;
    struct image_reader *reader = NULL;
    struct why why;
    struct shelf_image image = {.lsn = lsn};
    enum err err = image_file_open(&file, snapshot->place.disk, path, &why);
    bool opened = err == ERR_OK, void_now = false;
    if (opened) err = image_open(&reader, &file.source, &why);
    if (err == ERR_OK) {
        const struct image_facts *facts = image_facts(reader);
        image.mark = facts->mark;
        image.taken_ms = facts->taken_ms;
        image.bytes = facts->bytes;
        image.checksum = facts->checksum;
        err = shelf_accepts(snapshot, lsn, facts, &why);
        void_now = is_void(&snapshot->place, facts);
    }
    image_close(reader);
    if (opened) image_file_close(&file);
    bool removed = void_now && discard(snapshot, path, why.text);
    if (err != ERR_OK && !removed) {
        image.bad = true;
        trace_event(snapshot->place.trace, TRACE_WARNING, "snapshot", "image_unreadable",
                    "path=%s error=%s why=\"%s\"", path, err_name(err), why.text);
    }
    if (!removed) shelf_put(&snapshot->shelf, &image);
    memory_free(path);
}

/* What has a name is to keep it: a start before this one may have been killed between a name and
 * its sync. */
static enum err sync_names(const struct snapshot *snapshot, struct why *why)
{
    const char *directory = snapshot->place.directory;
    struct disk_request sync = {.op = DISK_SYNC_DIR, .path = directory};
    enum err err = disk_run(snapshot->place.disk, &sync);
    return err == ERR_OK ? err : why_fail(why, err, "%s: %s", directory, sync.why.text);
}

enum err shelf_open(struct snapshot *snapshot, struct why *why)
{
    struct buffer names;
    buffer_init(&names);
    const char *directory = snapshot->place.directory;
    struct disk_request list = {.op = DISK_LIST, .path = directory, .names = &names};
    enum err err = sync_names(snapshot, why);
    if (err == ERR_OK && disk_run(snapshot->place.disk, &list) != ERR_OK)
        err = why_fail(why, list.err, "%s: %s", directory, list.why.text);
    for (size_t at = 0; err == ERR_OK && at < names.size;) {
        const char *name = (const char *)names.data + at; /* sorted, as LSNs are */
        at += strlen(name) + 1;
        struct lsn lsn;
        enum image_name_kind kind = image_name_parse(name, &lsn);
        switch (kind) {
        case IMAGE_NAME_FOREIGN: break;
        case IMAGE_NAME_IMAGE: look_at(snapshot, lsn, kind); break;
        case IMAGE_NAME_LEFTOVER:
            if (PLANTED(IMAGE_LEFTOVER_TAKEN)) look_at(snapshot, lsn, kind);
            else remove_leftover(snapshot, lsn);
            break;
        case IMAGE_NAME_BAD: snapshot->shelf.set_aside++; break;
        }
    }
    buffer_release(&names);
    return err;
}
