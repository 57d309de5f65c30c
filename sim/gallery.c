/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/gallery.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "sim/disk.h"
#include "sim/heap.h"
#include "sim/node.h"
#include "sim/still.h"
#include "snapshot/image.h"
#include "state/meta.h"
#include "state/state.h"

_Static_assert(GALLERY_PATH_BYTES >= sizeof GALLERY_DIRECTORY + IMAGE_NAME_BYTES, "room");

void gallery_path(struct lsn lsn, char out[GALLERY_PATH_BYTES])
{
    char name[IMAGE_NAME_BYTES];
    image_name_format(lsn, true, name);
    (void)snprintf(out, GALLERY_PATH_BYTES, "%s%s", GALLERY_DIRECTORY, name);
}

void gallery_init(struct gallery *gallery, const struct canon *canon, struct sim_node *node)
{
    *gallery = (struct gallery){
        .world = sim_node_of(node), .node = node, .canon = canon, .keep = 1};
}

void gallery_release(struct gallery *gallery)
{
    memory_free(gallery->list);
}

static const struct gallery_image *find(const struct gallery *gallery, uint64_t checksum)
{
    for (size_t i = gallery->count; i-- > 0;) {
        if (gallery->list[i].checksum == checksum) return &gallery->list[i];
    }
    return NULL;
}

static void add(struct gallery *gallery, const struct gallery_image *image)
{
    if (gallery->count == gallery->capacity) {
        gallery->capacity = gallery->capacity == 0 ? 16 : gallery->capacity * 2;
        gallery->list = memory_resize(gallery->list, gallery->capacity * sizeof *gallery->list);
    }
    gallery->list[gallery->count++] = *image;
    if (image->lsn > gallery->durable) gallery->durable = image->lsn;
}

/* --- One image --- */

static enum err file_read(struct image_source *source, uint64_t offset, void *data, uint64_t size,
                          struct why *why)
{
    const struct buffer *bytes = CONTAINER_OF(source, struct gallery_file, source)->bytes;
    if (offset > bytes->size || size > bytes->size - offset)
        return why_fail(why, ERR_CORRUPT, "the file ends before offset %" PRIu64, offset + size);
    memcpy(data, bytes->data + offset, (size_t)size);
    return ERR_OK;
}

void gallery_file_init(struct gallery_file *file, const struct buffer *bytes)
{
    *file = (struct gallery_file){.source = {.read = file_read, .size = bytes->size},
                                  .bytes = bytes};
}

static enum err misfit(struct why *why, const char *what)
{
    return why_fail(why, ERR_CORRUPT, "%s", what);
}

/* What it says of itself is what the history has at its LSN. */
static enum err check_facts(const struct canon *canon, const struct image_facts *facts,
                            struct why *why)
{
    uint64_t lsn = facts->mark.lsn.at;
    if (lsn == 0 || lsn > canon->count) return misfit(why, "its LSN was never applied");
    const struct fact *fact = &canon->facts[lsn - 1];
    if (epoch_compare(facts->mark.epoch, fact->epoch) != 0 ||
        facts->mark.lineage.hash != fact->lineage.hash)
        return misfit(why, "its mark is not the history's");
    if (facts->stamp.bits != fact->stamp.bits) return misfit(why, "its stamp is another one");
    if (!digest_equal(facts->digest, fact->digest))
        return misfit(why, "its digest is not the one that its LSN left");
    size_t epochs = 0;
    for (uint64_t at = 1; at <= lsn; at++) {
        fact = &canon->facts[at - 1];
        if (fact->payload.data[0] != ENTRY_EPOCH) continue;
        const struct epoch_start *epoch = &facts->epochs[epochs];
        if (epochs == facts->epoch_count || epoch_compare(epoch->epoch, fact->epoch) != 0 ||
            epoch->first.at != at)
            return misfit(why, "its epochs are not the history's");
        epochs++;
    }
    return epochs == facts->epoch_count ? ERR_OK : misfit(why, "it has epochs that never were");
}

static bool names_same_copies(const struct canon *canon, const struct sim_tree *tree, uint64_t lsn)
{
    struct meta meta;
    const struct sim_item *item = sim_tree_find(tree, bytes_text("M"));
    if (item == NULL || meta_decode(sim_item_value(item), &meta, NULL) != ERR_OK) return false;
    bool same = bytes_equal(meta.members, canon_members(canon, lsn));
    memory_free(meta.epochs);
    return same;
}

static enum err check_records(const struct canon *canon, struct image_reader *reader,
                              struct why *why)
{
    const struct image_facts *facts = image_facts(reader);
    struct sim_tree *tree = NULL;
    struct bytes key, value;
    enum err err;
    while ((err = image_next(reader, &key, &value, why)) == ERR_OK) {
        tree = sim_tree_put(tree, key, value);
    }
    struct still still;
    still_init(&still, tree);
    struct state_recount recount;
    err = err == ERR_NOT_FOUND ? state_recount(&still.base, NULL, &recount, why) : err;
    if (err == ERR_OK && !names_same_copies(canon, tree, facts->mark.lsn.at))
        err = misfit(why, "it names other copies than the history");
    sim_tree_drop(tree);
    if (err != ERR_OK) return err;
    if (!mark_equal(&recount.mark, &facts->mark))
        return misfit(why, "its records are of another mark");
    if (!digest_equal(recount.recounted, facts->digest) ||
        !digest_equal(recount.running, facts->digest))
        return misfit(why, "its digest is not the one of its records");
    return recount.keys == facts->keys ? ERR_OK : misfit(why, "it has another number of keys");
}

static enum err check_content(const struct canon *canon, const struct buffer *bytes,
                              struct gallery_image *image, struct why *why)
{
    struct gallery_file file;
    gallery_file_init(&file, bytes);
    struct image_reader *reader = NULL;
    enum err err = image_open(&reader, &file.source, why);
    if (err != ERR_OK) return err;
    const struct image_facts *facts = image_facts(reader);
    if (facts->mark.lsn.at != image->lsn) err = misfit(why, "its name is of another LSN");
    image->taken_ms = facts->taken_ms;
    image->bytes = facts->bytes;
    if (err == ERR_OK) err = check_facts(canon, facts, why);
    if (err == ERR_OK) err = check_records(canon, reader, why);
    image_close(reader);
    return err;
}

/* The file of this name is whole, and was so if the power went now. */
static void check_image(struct gallery *gallery, const char *path, uint64_t lsn)
{
    struct gallery_image image = {.lsn = lsn};
    struct buffer seen, kept;
    buffer_init(&seen);
    buffer_init(&kept);
    struct sim_disk *disk = sim_node_disk(gallery->node);
    struct why why;
    bool is_kept = sim_disk_seen(disk, path, &seen) && sim_disk_kept(disk, path, &kept) &&
                   bytes_equal(buffer_bytes(&seen), buffer_bytes(&kept));
    image.checksum = checksum64(buffer_bytes(&seen), lsn);
    if (!is_kept) {
        sim_world_fail(gallery->world, "image %s: it is not on the platter", path);
    } else if (find(gallery, image.checksum) == NULL) {
        if (check_content(gallery->canon, &seen, &image, &why) == ERR_OK) add(gallery, &image);
        else sim_world_fail(gallery->world, "image %s: %s", path, why.text);
    }
    buffer_release(&seen);
    buffer_release(&kept);
}

/* --- All of them --- */

struct shown {
    char path[GALLERY_PATH_BYTES];
    enum image_name_kind kind;
    uint64_t lsn;
};

/* The next path of the directory; false: there is none. */
static bool next_shown(const struct buffer *paths, size_t *at, struct shown *out)
{
    const size_t prefix = sizeof GALLERY_DIRECTORY - 1;
    while (*at < paths->size) {
        const char *path = (const char *)paths->data + *at;
        size_t size = 0;
        while (path[size] != '\n') size++;
        *at += size + 1;
        if (size <= prefix || memcmp(path, GALLERY_DIRECTORY, prefix) != 0) continue;
        (void)snprintf(out->path, sizeof out->path, "%.*s", (int)size, path);
        struct lsn lsn = {0};
        out->kind = image_name_parse(out->path + prefix, &lsn);
        out->lsn = lsn.at;
        return true;
    }
    return false;
}

static bool had_faults(const struct gallery *gallery)
{
    return sim_disk_fault_hits(sim_node_disk(gallery->node)) != gallery->hits;
}

static void check_ready(struct gallery *gallery, const struct shown *shown)
{
    uint64_t flushed = gallery->canon->flushed.at;
    if (shown->kind == IMAGE_NAME_LEFTOVER && !had_faults(gallery))
        sim_world_fail(gallery->world, "image %s: a start left it", shown->path);
    if (shown->kind != IMAGE_NAME_IMAGE) return;
    check_image(gallery, shown->path, shown->lsn);
    if (shown->lsn <= flushed || gallery->blind) return;
    sim_world_fail(gallery->world, "image %s: the store came back with LSN %" PRIu64, shown->path,
                   flushed);
}

/* Returns how many images there are; *newest is the LSN of the newest. */
static unsigned walk(struct gallery *gallery, uint64_t *newest,
                     void (*check)(struct gallery *, const struct shown *))
{
    struct buffer paths;
    buffer_init(&paths);
    sim_disk_paths(sim_node_disk(gallery->node), &paths);
    struct shown shown;
    unsigned count = 0;
    *newest = 0;
    for (size_t at = 0; next_shown(&paths, &at, &shown);) {
        if (check != NULL) check(gallery, &shown);
        if (shown.kind != IMAGE_NAME_IMAGE) continue;
        count++;
        if (shown.lsn > *newest) *newest = shown.lsn;
    }
    buffer_release(&paths);
    return count;
}

void gallery_starts(struct gallery *gallery, unsigned keep)
{
    gallery->keep = keep;
    gallery->least = 0;
    gallery->blind = false;
    gallery->hits = sim_disk_fault_hits(sim_node_disk(gallery->node));
}

void gallery_keeps(struct gallery *gallery, unsigned keep)
{
    if (keep > gallery->keep) gallery->keep = keep;
}

void gallery_ready(struct gallery *gallery)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    uint64_t newest;
    gallery->most = walk(gallery, &newest, check_ready);
    if (newest < gallery->durable) {
        sim_world_fail(gallery->world,
                       "images: the newest is of LSN %" PRIu64 ", there was one of %" PRIu64,
                       newest, gallery->durable);
    }
    gallery->least = newest;
    (void)sim_heap_enter(before);
}

static unsigned count_all(struct gallery *gallery)
{
    uint64_t newest;
    return walk(gallery, &newest, NULL);
}

static void check_count(struct gallery *gallery, unsigned most)
{
    unsigned count = count_all(gallery);
    if (count <= most || had_faults(gallery)) return;
    sim_world_fail(gallery->world, "images: there are %u, to be kept are %u", count, gallery->keep);
}

bool gallery_is_tidy(struct gallery *gallery)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    bool tidy = count_all(gallery) <= gallery->keep;
    (void)sim_heap_enter(before);
    return tidy;
}

void gallery_rests(struct gallery *gallery)
{
    check_count(gallery, gallery->keep);
}

void gallery_line(struct gallery *gallery, const char *line)
{
    static const char event[] = " snapshot saved path=";
    const char *at = strstr(line, event);
    const char *lsn = at != NULL ? strstr(at, " lsn=") : NULL;
    bool bad = strstr(line, " snapshot image_bad ") != NULL ||
               strstr(line, " snapshot image_un") != NULL; /* unreadable, unusable */
    if (bad && !had_faults(gallery)) sim_world_fail(gallery->world, "images: %s", line);
    gallery->blind = gallery->blind || bad;
    if (lsn == NULL) return;
    struct sim_heap *before = sim_heap_enter(NULL);
    char path[GALLERY_PATH_BYTES];
    at += sizeof event - 1;
    (void)snprintf(path, sizeof path, "%.*s", (int)(lsn - at), at);
    gallery->saved++;
    gallery->least = strtoull(lsn + strlen(" lsn="), NULL, 10);
    check_image(gallery, path, gallery->least);
    check_count(gallery, (gallery->most > gallery->keep ? gallery->most : gallery->keep) + 1);
    gallery->most = 0;
    (void)sim_heap_enter(before);
}

/* --- What clients are told --- */

void gallery_told(struct gallery *gallery, const struct gallery_image *image, uint64_t least)
{
    bool known = image->lsn == 0;
    for (size_t i = gallery->count; i-- > 0 && !known;) {
        const struct gallery_image *one = &gallery->list[i];
        known = one->lsn == image->lsn && one->bytes == image->bytes &&
                one->taken_ms / 1000 == image->taken_ms / 1000;
    }
    if (!known) {
        sim_world_fail(gallery->world,
                       "images: told was one of LSN %" PRIu64 ", %" PRIu64
                       " bytes: none such was on the platter",
                       image->lsn, image->bytes);
    }
    if (image->lsn < least && !gallery->blind) {
        sim_world_fail(gallery->world,
                       "images: told was LSN %" PRIu64 " as the newest, there was one of %" PRIu64,
                       image->lsn, least);
    }
}

void gallery_told_time(struct gallery *gallery, uint64_t seconds, uint64_t least)
{
    bool known = seconds == 0 && (least == 0 || gallery->blind);
    for (size_t i = gallery->count; i-- > 0 && !known;) {
        known = gallery->list[i].taken_ms / 1000 == seconds;
    }
    if (!known)
        sim_world_fail(gallery->world, "images: none was taken at second %" PRIu64, seconds);
}
