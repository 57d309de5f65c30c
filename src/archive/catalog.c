/* SPDX-License-Identifier: Apache-2.0 */
/* What an archive holds, by its names; and what single files of it say. */
#include <inttypes.h>

#include "archive/plan.h"
#include "archive/span.h"
#include "base/memory.h"
#include "base/path.h"

static enum err list_names(struct disk *disk, const char *path, struct buffer *names,
                           struct why *why)
{
    struct disk_request list = {.op = DISK_LIST, .path = path, .names = names};
    enum err err = disk_run(disk, &list);
    return err == ERR_OK ? err : why_fail(why, err, "%s: %s", path, list.why.text);
}

static void take_name(struct archive_history *history, const char *text)
{
    struct span_name name = span_name_parse(text);
    if (name.kind == SPAN_NAME_SPAN) {
        size_t size = (history->span_count + 1) * sizeof *history->spans;
        history->spans = memory_resize(history->spans, size);
        history->spans[history->span_count++] = (struct archive_span){name.first, name.last};
    } else if (name.kind == SPAN_NAME_IMAGE) {
        size_t size = (history->image_count + 1) * sizeof *history->images;
        history->images = memory_resize(history->images, size);
        history->images[history->image_count++] = name.last;
    }
}

/* Names come sorted, and so LSNs rise. */
static enum err read_history(struct archive_history *history, struct why *why)
{
    struct buffer names;
    buffer_init(&names);
    enum err err = list_names(history->disk, history->directory, &names, why);
    for (size_t at = 0; err == ERR_OK && at < names.size;) {
        const char *name = (const char *)names.data + at;
        at += strlen(name) + 1;
        take_name(history, name);
    }
    buffer_release(&names);
    return err;
}

static enum err add_history(struct archive_catalog *catalog, struct disk *disk,
                            const char *directory, const char *name, struct why *why)
{
    struct history id;
    if (!history_parse(bytes_text(name), &id)) return ERR_OK;
    size_t size = (catalog->count + 1) * sizeof *catalog->histories;
    catalog->histories = memory_resize(catalog->histories, size);
    struct archive_history *history = &catalog->histories[catalog->count++];
    *history = (struct archive_history){
        .disk = disk, .id = id, .directory = path_join(directory, name)};
    return read_history(history, why);
}

enum err archive_catalog_open(struct archive_catalog *catalog, struct disk *disk,
                              const char *directory, struct why *why)
{
    *catalog = (struct archive_catalog){0};
    struct buffer names;
    buffer_init(&names);
    enum err err = list_names(disk, directory, &names, why);
    for (size_t at = 0; err == ERR_OK && at < names.size;) {
        const char *name = (const char *)names.data + at;
        at += strlen(name) + 1;
        err = add_history(catalog, disk, directory, name, why);
    }
    buffer_release(&names);
    if (err != ERR_OK) archive_catalog_release(catalog);
    return err;
}

void archive_catalog_release(struct archive_catalog *catalog)
{
    for (size_t i = 0; i < catalog->count; i++) {
        memory_free(catalog->histories[i].directory);
        memory_free(catalog->histories[i].spans);
        memory_free(catalog->histories[i].images);
    }
    memory_free(catalog->histories);
    *catalog = (struct archive_catalog){0};
}

char *archive_span_path(const struct archive_history *history, size_t span)
{
    char text[SPAN_NAME_BYTES];
    struct span_name name = {SPAN_NAME_SPAN, history->spans[span].first, history->spans[span].last};
    span_name_format(&name, text);
    return path_join(history->directory, text);
}

static enum err read_span(const struct archive_history *history, size_t span,
                          struct span_reader *reader, bool whole, struct why *why)
{
    const struct archive_span *named = &history->spans[span];
    const struct span_facts *facts = span_facts(reader);
    if (memcmp(facts->history.id, history->id.id, sizeof history->id.id) != 0)
        return why_fail(why, ERR_CORRUPT, "it is of another history");
    if (facts->before.lsn.at + 1 != named->first.at || facts->end.lsn.at != named->last.at)
        return why_fail(why, ERR_CORRUPT, "its name is of other entries");
    enum err err = ERR_OK;
    struct entry entry;
    while (whole && err == ERR_OK) err = span_next(reader, &entry, why);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err archive_look_at_span(const struct archive_history *history, size_t span, bool whole,
                              struct archive_brief *brief, struct why *why)
{
    char *path = archive_span_path(history, span);
    struct image_file file;
    struct span_reader *reader = NULL;
    enum err err = image_file_open(&file, history->disk, path, why);
    if (err == ERR_OK) {
        err = span_open(&reader, &file.source, why);
        if (err == ERR_OK) err = read_span(history, span, reader, whole, why);
        if (err == ERR_OK) {
            const struct span_facts *facts = span_facts(reader);
            const struct span_edge *end = &facts->end, *before = &facts->before;
            *brief = (struct archive_brief){
                .mark = {facts->history, end->epoch, end->lsn, end->lineage},
                .before = {facts->history, before->epoch, before->lsn, before->lineage},
                .before_stamp = before->stamp,
                .first = facts->first,
                .last = end->stamp,
                .cluster = facts->cluster,
                .shard = facts->shard,
                .entries = facts->entries,
                .bytes = facts->bytes};
        }
        span_close(reader);
        image_file_close(&file);
        if (err != ERR_OK) why_prefix(why, path);
    }
    memory_free(path);
    return err;
}

static enum err read_image(const struct archive_history *history, size_t image,
                           struct image_reader *reader, bool whole, struct why *why)
{
    const struct image_facts *facts = image_facts(reader);
    if (memcmp(facts->mark.history.id, history->id.id, sizeof history->id.id) != 0)
        return why_fail(why, ERR_CORRUPT, "it is of another history");
    if (facts->mark.lsn.at != history->images[image].at)
        return why_fail(why, ERR_CORRUPT, "its name is of another LSN");
    enum err err = ERR_OK;
    struct bytes key, value;
    while (whole && err == ERR_OK) err = image_next(reader, &key, &value, why);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err archive_look_at_image(const struct archive_history *history, size_t image, bool whole,
                               struct archive_brief *brief, struct why *why)
{
    char text[SPAN_NAME_BYTES];
    struct span_name name = {SPAN_NAME_IMAGE, {0}, history->images[image]};
    span_name_format(&name, text);
    char *path = path_join(history->directory, text);
    struct image_file file;
    struct image_reader *reader = NULL;
    enum err err = image_file_open(&file, history->disk, path, why);
    if (err == ERR_OK) {
        err = image_open(&reader, &file.source, why);
        if (err == ERR_OK) err = read_image(history, image, reader, whole, why);
        if (err == ERR_OK) {
            const struct image_facts *facts = image_facts(reader);
            *brief = (struct archive_brief){.mark = facts->mark,
                                            .before = facts->mark,
                                            .before_stamp = facts->stamp,
                                            .first = facts->stamp,
                                            .last = facts->stamp,
                                            .cluster = facts->cluster,
                                            .shard = facts->shard,
                                            .entries = facts->records,
                                            .bytes = file.source.size};
        }
        image_close(reader);
        image_file_close(&file);
        if (err != ERR_OK) why_prefix(why, path);
    }
    memory_free(path);
    return err;
}
