/* SPDX-License-Identifier: Apache-2.0 */
/* What images there are, and how one becomes a store. Of a list only headers and footers are read;
 * of an image that is installed every byte, and nothing is believed before its checksum was. */
#include <inttypes.h>

#include "base/memory.h"
#include "base/path.h"
#include "snapshot/image.h"

enum { TELL_EVERY_US = 2 * 1000 * 1000, INSTALL_WINDOW_BYTES = 64 << 20 };

/* --- The list --- */

char *image_path(const struct image_place *place, struct lsn lsn)
{
    char name[IMAGE_NAME_BYTES];
    image_name_format(lsn, IMAGE_NAME_IMAGE, name);
    return path_join(place->directory, name);
}

static enum err take_brief(const struct image_place *place, struct lsn lsn,
                           const struct image_facts *facts, struct image_brief *brief,
                           struct why *why)
{
    const struct history *history = &facts->mark.history;
    if (facts->mark.lsn.at != lsn.at)
        return why_fail(why, ERR_CORRUPT, "its name is of another LSN");
    if (facts->cluster != place->cluster || facts->shard != place->shard ||
        memcmp(history, &place->history, sizeof place->history) != 0)
        return why_fail(why, ERR_CORRUPT, "it is of another cluster, history or shard");
    *brief = (struct image_brief){facts->mark, facts->digest, facts->keys};
    return ERR_OK;
}

static enum err look_at(const struct image_place *place, struct lsn lsn, struct image_brief *brief,
                        struct why *why)
{
    char *path = image_path(place, lsn);
    struct image_file file;
    struct image_reader *reader = NULL;
    enum err err = image_file_open(&file, place->disk, path, why);
    memory_free(path);
    if (err != ERR_OK) return err;
    err = image_open(&reader, &file.source, why);
    if (err == ERR_OK) err = take_brief(place, lsn, image_facts(reader), brief, why);
    image_close(reader);
    image_file_close(&file);
    return err;
}

/* Before `end` in the names: where the last of them begins. */
static size_t name_before(const struct buffer *names, size_t end)
{
    size_t at = end - 1;
    while (at > 0 && names->data[at - 1] != '\0') at--;
    return at;
}

static enum err list_names(const struct image_place *place, struct buffer *names, struct why *why)
{
    struct disk_request request = {.op = DISK_LIST, .path = place->directory, .names = names};
    enum err err = disk_run(place->disk, &request);
    return err == ERR_OK ? err : why_fail(why, err, "%s: %s", place->directory, request.why.text);
}

enum err image_list(struct image_list *list, const struct image_place *place, struct why *why)
{
    *list = (struct image_list){.count = 0};
    struct buffer names;
    buffer_init(&names);
    enum err err = list_names(place, &names, why);
    /* Names ascend as their LSNs do: the newest is the last. */
    for (size_t end = names.size; err == ERR_OK && end > 0 && list->count < IMAGE_LIST_MAX;) {
        size_t at = name_before(&names, end);
        const char *name = (const char *)names.data + at;
        end = at;
        struct lsn lsn;
        struct why fault;
        if (image_name_parse(name, &lsn) != IMAGE_NAME_IMAGE) continue;
        if (look_at(place, lsn, &list->at[list->count], &fault) == ERR_OK) {
            list->count++;
        } else {
            trace_event(place->trace, TRACE_WARNING, "snapshot", "image_unusable",
                        "name=%s why=\"%s\"", name, fault.text);
        }
    }
    buffer_release(&names);
    return err;
}

/* --- Those that an install makes void --- */

static enum err remove_void(const struct image_place *place, struct lsn lsn, struct why *why)
{
    struct image_brief brief;
    enum err err = look_at(place, lsn, &brief, why);
    if (err == ERR_CORRUPT || err == ERR_REFUSED) return ERR_OK; /* counts for nothing anyway */
    if (err != ERR_OK) return err;                               /* but may be read again later */
    char *path = image_path(place, lsn);
    struct disk_request remove = {.op = DISK_REMOVE, .path = path};
    err = disk_run(place->disk, &remove);
    if (err == ERR_OK)
        trace_event(place->trace, TRACE_NOTICE, "snapshot", "image_void", "path=%s", path);
    else err = why_fail(why, err, "%s: %s", path, remove.why.text);
    memory_free(path);
    return err;
}

enum err image_remove_from(const struct image_place *place, struct lsn from, struct why *why)
{
    struct buffer names;
    buffer_init(&names);
    enum err err = list_names(place, &names, why);
    for (size_t at = 0; err == ERR_OK && at < names.size;) {
        const char *name = (const char *)names.data + at;
        at += strlen(name) + 1;
        struct lsn lsn;
        bool image = image_name_parse(name, &lsn) == IMAGE_NAME_IMAGE;
        if (image && !lsn_before(lsn, from)) err = remove_void(place, lsn, why);
    }
    buffer_release(&names);
    if (err != ERR_OK) return err;
    /* Also of those that the keeper has removed before: it does not sync that. */
    struct disk_request sync = {.op = DISK_SYNC_DIR, .path = place->directory};
    err = disk_run(place->disk, &sync);
    return err == ERR_OK ? err : why_fail(why, err, "%s: %s", place->directory, sync.why.text);
}

/* --- The install --- */

struct installing {
    const struct image_install *install;
    struct image_file file;
    struct image_reader *reader;
    uint64_t began_us, told_us;
};

/* A line now and then, so that a long one is seen to move. */
static void tell(struct installing *installing, uint64_t done)
{
    const struct image_install *install = installing->install;
    uint64_t now_us = clock_now_us(install->clock);
    if (now_us - installing->told_us < TELL_EVERY_US) return;
    installing->told_us = now_us;
    uint64_t all = installing->file.source.size, rate = done / (now_us - installing->began_us);
    trace_event(install->place.trace, TRACE_NOTICE, "snapshot", "installing",
                "lsn=%" PRIu64 " percent=%" PRIu64 " mb_per_second=%" PRIu64, install->mark.lsn.at,
                done * 100 / all, rate);
}

static void moved(struct installing *installing, uint64_t before)
{
    uint64_t done = image_offset(installing->reader);
    struct image_watch *watch = installing->install->watch;
    if (done == before) return;
    tell(installing, done);
    if (watch != NULL) watch->moved(watch, done, installing->file.source.size);
}

static enum err fill_from(struct installing *installing, struct machine_filler *filler,
                          struct why *why)
{
    struct image_reader *reader = installing->reader;
    for (;;) {
        struct bytes key, value;
        uint64_t before = image_offset(reader);
        enum err err = image_next(reader, &key, &value, why);
        moved(installing, before);
        if (err == ERR_OK) err = filler->ops->add(filler, key, value, why);
        else if (err == ERR_NOT_FOUND) break;
        if (err != ERR_OK) return err;
    }
    const struct image_facts *facts = image_facts(reader);
    return filler->ops->end(filler, facts->digest, facts->keys, why);
}

static enum err fill(struct installing *installing, struct why *why)
{
    const struct image_install *install = installing->install;
    const struct image_facts *facts = image_facts(installing->reader);
    if (!mark_equal(&facts->mark, &install->mark))
        return why_fail(why, ERR_CORRUPT, "it is another image than it was before");
    struct machine_fill request = {.mark = facts->mark,
                                   .history = install->history,
                                   .window_bytes = INSTALL_WINDOW_BYTES,
                                   .waits = true};
    struct machine_maker *maker = install->maker;
    struct machine_filler *filler;
    if (install->stamp != NULL) *install->stamp = facts->stamp;
    enum err err = maker->fill(maker, install->store, &request, &filler, why);
    if (err == ERR_OK) err = fill_from(installing, filler, why);
    maker->fill_close(maker);
    return err;
}

enum err image_install(const struct image_install *install, struct why *why)
{
    struct installing installing = {.install = install};
    installing.began_us = installing.told_us = clock_now_us(install->clock);
    char *named = image_path(&install->place, install->mark.lsn);
    const char *path = install->path == NULL ? named : install->path;
    enum err err = image_file_open(&installing.file, install->place.disk, path, why);
    bool opened = err == ERR_OK;
    if (opened) err = image_open(&installing.reader, &installing.file.source, why);
    if (err == ERR_OK) err = fill(&installing, why);
    if (err != ERR_OK && opened) why_prefix(why, path);
    image_close(installing.reader);
    if (opened) image_file_close(&installing.file);
    memory_free(named);
    return err;
}
