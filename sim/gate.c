/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "sim/disk.h"
#include "sim/gallery.h"
#include "sim/node.h"
#include "sim/probe.h"
#include "sim/store.h"
#include "sim/tree.h"
#include "snapshot/image.h"
#include "state/meta.h"

/* --- What there is --- */

static bool is_of_history(const struct canon *canon, const struct mark *mark)
{
    uint64_t at = mark->lsn.at;
    return at > 0 && at <= canon->count && canon->facts[at - 1].lineage.hash == mark->lineage.hash;
}

static void look_at_store(struct sim_node *node, const struct canon *canon, struct gate_look *look)
{
    struct sim_tree *tree = NULL;
    look->store = GATE_ABSENT;
    if (!sim_stores_take(sim_node_stores(node), look->path, &tree)) return;
    const struct sim_item *item = sim_tree_find(tree, bytes_text("M"));
    look->store = tree == NULL ? GATE_EMPTY : GATE_NO_MARK;
    if (item != NULL) {
        struct meta meta;
        enum err err = meta_decode(sim_item_value(item), &meta, NULL);
        look->store = err == ERR_REFUSED ? GATE_LATER : GATE_BAD_MARK;
        if (err == ERR_OK) {
            look->store = is_of_history(canon, &meta.mark) ? GATE_MARKED : GATE_STRANGE;
            look->mark = meta.mark.lsn.at;
            memory_free(meta.epochs);
        }
    }
    sim_tree_drop(tree);
}

/* The image of this path; false: it does not read. Its bytes are appended; the reader borrows them.
 */
static bool image_at(struct sim_node *node, const char *path, struct buffer *bytes,
                     struct gallery_file *file, struct image_reader **reader)
{
    if (!sim_disk_seen(sim_node_disk(node), path, bytes)) return false;
    gallery_file_init(file, bytes);
    return image_open(reader, &file->source, NULL) == ERR_OK;
}

static void look_at_image(struct sim_node *node, const struct canon *canon, const char *path,
                          struct gate_look *look)
{
    struct buffer bytes;
    buffer_init(&bytes);
    struct gallery_file file;
    struct image_reader *reader = NULL;
    if (image_at(node, path, &bytes, &file, &reader)) {
        const struct mark *mark = &image_facts(reader)->mark;
        struct bytes key, value;
        enum err err;
        do err = image_next(reader, &key, &value, NULL);
        while (err == ERR_OK);
        unsigned at = look->image_count;
        if (err == ERR_NOT_FOUND && is_of_history(canon, mark) && at < GATE_IMAGES_MAX) {
            /* Paths ascend. */
            memmove(look->images + 1, look->images, at * sizeof look->images[0]);
            look->images[0] = mark->lsn.at;
            look->image_count++;
        }
    }
    image_close(reader);
    buffer_release(&bytes);
}

static void look_at_images(struct sim_node *node, const struct canon *canon, struct gate_look *look)
{
    const size_t prefix = sizeof GALLERY_DIRECTORY - 1;
    struct buffer paths;
    buffer_init(&paths);
    sim_disk_paths(sim_node_disk(node), &paths);
    for (size_t at = 0; at < paths.size;) {
        const char *line = (const char *)paths.data + at;
        size_t size = 0;
        while (line[size] != '\n') size++;
        at += size + 1;
        char path[GATE_PATH_BYTES];
        (void)snprintf(path, sizeof path, "%.*s", (int)size, line);
        struct lsn lsn;
        if (size <= prefix || memcmp(path, GALLERY_DIRECTORY, prefix) != 0) continue;
        if (image_name_parse(path + prefix, &lsn) == IMAGE_NAME_IMAGE)
            look_at_image(node, canon, path, look);
    }
    buffer_release(&paths);
}

void gate_look(struct sim_node *node, const struct canon *canon, struct gate_look *out)
{
    *out = (struct gate_look){.pointed = false};
    out->pointed = probe_store_path(sim_node_disk(node), out->path);
    look_at_store(node, canon, out);
    look_at_images(node, canon, out);
}

/* --- What the start said --- */

static uint64_t number_of(const char *line, const char *field)
{
    const char *at = strstr(line, field);
    return at == NULL ? 0 : strtoull(at + strlen(field), NULL, 10);
}

static void word_of(const char *line, const char *field, char out[GATE_WORD_BYTES])
{
    const char *at = strstr(line, field);
    size_t size = at == NULL ? 0 : strcspn(at + strlen(field), " ");
    (void)snprintf(out, GATE_WORD_BYTES, "%.*s", (int)size, at == NULL ? "" : at + strlen(field));
}

void gate_line(struct gate_told *told, const char *line)
{
    if (strstr(line, " log opened ") != NULL) {
        *told = (struct gate_told){
            .opened = true, .first = number_of(line, " first="), .last = number_of(line, " last=")};
    } else if (strstr(line, " node ready ") != NULL) {
        word_of(line, " outcome=", told->outcome);
        word_of(line, " reason=", told->reason);
        const char *image = strstr(line, " image=");
        MUST(image != NULL);
        /* history:epoch.copy:LSN:lineage */
        for (unsigned i = 0; image != NULL && i < 2; i++) image = strchr(image + 1, ':');
        told->image = image == NULL ? 0 : strtoull(image + 1, NULL, 10);
    }
}

/* --- What it is to be --- */

struct verdict {
    const char *outcome, *reason;
    uint64_t image;
};

/* The newest image that the log goes on from; 0: none. */
static uint64_t best_image(const struct gate_look *look, const struct gate_told *told)
{
    for (unsigned i = 0; i < look->image_count; i++) {
        uint64_t at = look->images[i];
        if (at + 1 >= told->first && at <= told->last) return at;
    }
    return 0;
}

static struct verdict of_doubt(const struct gate_look *look, const struct gate_told *told,
                               const char *outcome, const char *reason)
{
    uint64_t image = best_image(look, told);
    if (image > 0 || told->first == 1) return (struct verdict){outcome, reason, image};
    return (struct verdict){"refuse", "no_image", 0};
}

static struct verdict of_mark(const struct gate_look *look, const struct gate_told *told)
{
    uint64_t image = best_image(look, told);
    if (look->mark > told->last) return (struct verdict){"refuse", "log_ends_before_store", 0};
    if (look->mark + 1 < told->first) {
        if (image == 0) return (struct verdict){"refuse", "hole", 0};
        return (struct verdict){"execute", "behind_log", image};
    }
    if (image > look->mark) return (struct verdict){"execute", "behind_image", image};
    return (struct verdict){"skip", "none", 0};
}

static struct verdict verdict_of(const struct gate_look *look, const struct gate_told *told)
{
    if (!look->pointed) return (struct verdict){"fresh", "none", 0};
    if (!told->opened) return (struct verdict){"refuse", "log_missing", 0};
    struct verdict verdict = {"skip", "none", 0};
    switch (look->store) {
    case GATE_MARKED: verdict = of_mark(look, told); break;
    case GATE_STRANGE: return (struct verdict){"refuse", "", 0};
    case GATE_EMPTY:
        if (told->first > 1 || best_image(look, told) > 0)
            verdict = of_doubt(look, told, "fallback", "no_mark");
        break;
    case GATE_ABSENT: verdict = of_doubt(look, told, "execute", "store_missing"); break;
    case GATE_NO_MARK: verdict = of_doubt(look, told, "fallback", "no_mark"); break;
    case GATE_BAD_MARK: verdict = of_doubt(look, told, "fallback", "bad_mark"); break;
    case GATE_LATER: verdict = of_doubt(look, told, "fallback", "no_reader"); break;
    }
    bool refused = strcmp(verdict.outcome, "refuse") == 0;
    if (!refused && look->image_count > 0 && look->images[0] > told->last)
        verdict = (struct verdict){"refuse", "log_ends_before_image", 0};
    return verdict;
}

const char *gate_judge(const struct gate_look *look, const struct gate_told *told, bool ready,
                       const char *why)
{
    struct verdict verdict = verdict_of(look, told);
    if (strcmp(verdict.outcome, "refuse") == 0) {
        if (ready) return "a start went on that is to be refused";
        return strstr(why, verdict.reason) == NULL ? "a start is refused for another reason" : NULL;
    }
    if (!ready) return "a start is refused that can go on";
    if (strcmp(verdict.outcome, told->outcome) != 0) return "a start has another outcome";
    if (strcmp(verdict.reason, told->reason) != 0) return "a start gives another reason";
    return verdict.image == told->image ? NULL : "a start installs another image";
}

/* --- Forging --- */

/* The mark with another lineage, in the records too. */
static struct bytes forge_meta(struct bytes value, struct buffer *out)
{
    struct meta meta;
    enum err err = meta_decode(value, &meta, NULL);
    MUST(err == ERR_OK);
    meta.mark.lineage.hash ^= 1;
    meta_encode(&meta, out);
    memory_free(meta.epochs);
    return buffer_bytes(out);
}

static void forge_body(struct image_reader *reader, struct buffer *out, struct image_chain *chain)
{
    struct buffer chunk, meta;
    buffer_init(&chunk);
    buffer_init(&meta);
    struct bytes key, value;
    uint32_t records = 0;
    image_chunk_begin(&chunk);
    while (image_next(reader, &key, &value, NULL) == ERR_OK) {
        if (bytes_equal(key, bytes_text("M"))) value = forge_meta(value, &meta);
        image_chunk_add(&chunk, key, value);
        records++;
        if (chunk.size < IMAGE_CHUNK_BYTES) continue;
        image_chunk_seal(&chunk, records, chain);
        buffer_append(out, buffer_bytes(&chunk));
        image_chunk_begin(&chunk);
        records = 0;
    }
    if (records > 0) {
        image_chunk_seal(&chunk, records, chain);
        buffer_append(out, buffer_bytes(&chunk));
    }
    buffer_release(&chunk);
    buffer_release(&meta);
}

bool gate_forge(struct sim_node *node, const char *path)
{
    struct buffer bytes, forged;
    buffer_init(&bytes);
    buffer_init(&forged);
    struct gallery_file file;
    struct image_reader *reader = NULL;
    bool there = image_at(node, path, &bytes, &file, &reader);
    if (there) {
        struct image_facts facts = *image_facts(reader);
        struct image_chain chain;
        facts.mark.lineage.hash ^= 1;
        image_begin(&forged, &facts, &chain);
        forge_body(reader, &forged, &chain);
        image_end(&forged, &facts, &chain);
        sim_disk_put(sim_node_disk(node), path, buffer_bytes(&forged));
    }
    image_close(reader);
    buffer_release(&bytes);
    buffer_release(&forged);
    return there;
}
