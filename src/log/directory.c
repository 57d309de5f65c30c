/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of the directory are the log.
 *
 * A segment is named only after its header, and everything before its first LSN, is durable. So a
 * named segment whose header is bad was damaged later: corruption, never a torn write. Segments
 * form a chain by their headers: each names the salt of the one that holds the entry before its
 * first. A newer segment (greater sequence) hides the entries of older ones from its own first LSN
 * on; an older segment of which nothing is left is dropped. So is everything below the floor, which
 * the superblock records before anything is removed: such files may come back after a crash, in any
 * combination, and nobody looks into them. */
#include "log/directory.h"

#include <inttypes.h>

#include "base/memory.h"

/* What the names say, before any file is opened. */
struct names {
    uint64_t *firsts; /* of segments, ascending, as their names sort */
    size_t count, capacity;
    uint32_t shard;
    bool any; /* a file of ours, so `shard` is known */
    bool mixed;
};

void log_segment_name(uint32_t shard, struct lsn first, char out[LOG_NAME_BYTES])
{
    log_name_format((struct log_name){LOG_NAME_SEGMENT, shard, first.at}, out);
}

static void names_add(struct names *names, uint64_t first)
{
    if (names->count == names->capacity) {
        names->capacity = names->capacity == 0 ? 16 : 2 * names->capacity;
        names->firsts = memory_resize(names->firsts, names->capacity * sizeof(names->firsts[0]));
    }
    names->firsts[names->count++] = first;
}

static void names_take(struct names *names, struct log_directory *directory, const char *text)
{
    struct log_name name = log_name_parse(text);
    if (name.kind == LOG_NAME_FOREIGN) return;
    if (names->any && names->shard != name.shard) names->mixed = true;
    names->any = true;
    names->shard = name.shard;
    switch (name.kind) {
    case LOG_NAME_SEGMENT: names_add(names, name.number); return;
    case LOG_NAME_SPARE:
        if (name.number < LOG_SPARE_NUMBERS && directory->spare_count < LOG_SPARES_MAX)
            directory->spares[directory->spare_count++] = (uint8_t)name.number;
        else buffer_append(&directory->dropped, bytes_of(text, strlen(text) + 1));
        return;
    case LOG_NAME_TEMPORARY:
        buffer_append(&directory->dropped, bytes_of(text, strlen(text) + 1));
        return;
    case LOG_NAME_SUPERBLOCK:
    case LOG_NAME_FOREIGN: return;
    }
}

/* A directory that is not there holds no log. */
static enum err names_read(struct names *names, struct log_directory *directory, struct why *why)
{
    struct buffer listed;
    buffer_init(&listed);
    struct disk_request request = {
        .op = DISK_LIST, .path = directory->home.directory, .names = &listed};
    enum err err = log_run(directory->home.disk, &request, why);
    if (err == ERR_OK) {
        for (size_t at = 0; at < listed.size;) {
            const char *text = (const char *)listed.data + at;
            at += strlen(text) + 1;
            names_take(names, directory, text);
        }
    }
    buffer_release(&listed);
    return err;
}

static enum err slot_read(struct log_home home, const char *name, struct log_slots *slots,
                          unsigned slot, struct why *why)
{
    struct disk_request opened;
    struct why ignored;
    enum err err = log_file_open(home, name, LOG_FILE_READ, &opened, &ignored);
    if (err == ERR_NOT_FOUND) {
        slots->what[slot] = "missing";
        return ERR_OK;
    }
    if (err != ERR_OK) return why_fail(why, err, "%s: %s", name, ignored.text);
    slots->there[slot] = true;
    uint8_t bytes[LOG_SUPERBLOCK_BYTES];
    struct disk_request request = {
        .op = DISK_READ, .file = opened.file, .data = bytes, .size = sizeof(bytes)};
    err = log_run(home.disk, &request, why);
    log_file_close(home, opened.file);
    if (err != ERR_OK) {
        why_prefix(why, name);
        return err;
    }
    if (request.moved < sizeof(bytes)) slots->what[slot] = "too short";
    else
        slots->good[slot] = log_superblock_decode(bytes, slot, &slots->slot[slot],
                                                  &slots->what[slot]);
    return ERR_OK;
}

enum err log_slots_read(struct log_home home, uint32_t shard, struct log_slots *slots,
                        struct why *why)
{
    *slots = (struct log_slots){.what = {"", ""}};
    for (unsigned i = 0; i < LOG_SUPERBLOCK_SLOTS; i++) {
        char name[LOG_NAME_BYTES];
        log_name_format((struct log_name){LOG_NAME_SUPERBLOCK, shard, i}, name);
        enum err err = slot_read(home, name, slots, i, why);
        if (err != ERR_OK) return err;
    }
    return ERR_OK;
}

static enum err superblock_choose(struct log_directory *directory, const struct names *names,
                                  struct why *why)
{
    const struct log_slots *slots = &directory->slots;
    if (!slots->there[0] && !slots->there[1]) {
        if (names->count == 0) return why_fail(why, ERR_NOT_FOUND, "there is no log here");
        return why_fail(why, ERR_CORRUPT, "both superblocks are missing, segments are there");
    }
    if (!slots->good[0] && !slots->good[1])
        return why_fail(why, ERR_CORRUPT, "both superblocks are bad: a: %s, b: %s", slots->what[0],
                        slots->what[1]);
    unsigned newest = slots->good[0] ? 0 : 1;
    if (slots->good[0] && slots->good[1] && slots->slot[1].sequence > slots->slot[0].sequence)
        newest = 1;
    directory->superblock = slots->slot[newest];
    directory->write_first = slots->good[1 - newest] ? newest : 1 - newest;
    if (directory->superblock.shard != names->shard)
        return why_fail(why, ERR_CORRUPT, "the superblock is of shard %08x, the files of %08x",
                        directory->superblock.shard, names->shard);
    if (directory->superblock.state == LOG_MAKING)
        return why_fail(why, ERR_NOT_FOUND, "the making of this log was not completed");
    return ERR_OK;
}

/* A foreign segment is never a part of this log, however good it is. */
static enum err segment_belongs(const struct log_directory *directory, const char *name,
                                const struct log_segment_header *header, struct why *why)
{
    const struct log_superblock *superblock = &directory->superblock;
    char expected[LOG_NAME_BYTES];
    log_segment_name(superblock->shard, header->start.next, expected);
    if (header->shard != superblock->shard)
        return why_fail(why, ERR_CORRUPT, "%s: offset 0: a segment of shard %08x, not %08x", name,
                        header->shard, superblock->shard);
    if (strcmp(expected, name) != 0)
        return why_fail(why, ERR_CORRUPT,
                        "%s: offset 0: begins at LSN %" PRIu64 ": swapped or copied from %s", name,
                        header->start.next.at, expected);
    if (header->cluster != superblock->cluster)
        return why_fail(why, ERR_CORRUPT, "%s: offset 0: a segment of another cluster", name);
    if (memcmp(&header->history, &superblock->history, sizeof(header->history)) != 0)
        return why_fail(why, ERR_CORRUPT, "%s: offset 0: a segment of another history", name);
    return ERR_OK;
}

static enum err segment_read(struct log_directory *directory, uint64_t first,
                             struct log_segment *segment, struct why *why)
{
    char name[LOG_NAME_BYTES];
    log_segment_name(directory->superblock.shard, (struct lsn){first}, name);
    struct disk_request opened;
    enum err err = log_file_open(directory->home, name, LOG_FILE_READ, &opened, why);
    if (err != ERR_OK) {
        why_prefix(why, name);
        return err;
    }
    segment->size = opened.size;
    uint8_t bytes[LOG_SEGMENT_HEADER_BYTES];
    struct disk_request request = {
        .op = DISK_READ, .file = opened.file, .data = bytes, .size = sizeof(bytes)};
    err = log_run(directory->home.disk, &request, why);
    log_file_close(directory->home, opened.file);
    if (err != ERR_OK) {
        why_prefix(why, name);
        return err;
    }
    const char *what = "shorter than its header";
    if (request.moved < sizeof(bytes) || !log_segment_decode(bytes, &segment->header, &what))
        return why_fail(why, ERR_CORRUPT, "%s: offset 0: %s, LSN %" PRIu64 " and later", name, what,
                        first);
    return segment_belongs(directory, name, &segment->header, why);
}

static void drop_segment(struct log_directory *directory, uint64_t first)
{
    char name[LOG_NAME_BYTES];
    log_segment_name(directory->superblock.shard, (struct lsn){first}, name);
    buffer_append(&directory->dropped, bytes_of(name, strlen(name) + 1));
}

/* Takes the segment behind those that count, dropping what it hides. */
static void segment_add(struct log_directory *directory, const struct log_segment *segment)
{
    /* Names ascend, so only an older one can be hidden: by one before it. */
    if (directory->count > 0 &&
        directory->segments[directory->count - 1].header.sequence > segment->header.sequence) {
        drop_segment(directory, segment->header.start.next.at);
        return;
    }
    directory->segments[directory->count++] = *segment;
}

static enum err segments_link(const struct log_directory *directory, struct why *why)
{
    for (size_t i = 1; i < directory->count; i++) {
        const struct log_segment_header *before = &directory->segments[i - 1].header;
        const struct log_segment_header *header = &directory->segments[i].header;
        if (header->previous_salt == before->salt) continue;
        return why_fail(why, ERR_CORRUPT,
                        "a segment between LSN %" PRIu64 " and LSN %" PRIu64
                        " is missing, or was replaced",
                        before->start.next.at, header->start.next.at);
    }
    return ERR_OK;
}

/* Nothing else names the newest segment: its entries may have been acknowledged since the
 * superblock was written. One that was made after it has taken its place, or follows it. */
static enum err newest_is_there(const struct log_directory *directory, struct why *why)
{
    const struct log_superblock *superblock = &directory->superblock;
    const struct log_segment_header *last = &directory->segments[directory->count - 1].header;
    if (last->sequence >= superblock->newest_sequence) return ERR_OK;
    char name[LOG_NAME_BYTES];
    log_segment_name(superblock->shard, superblock->newest, name);
    return why_fail(
        why, ERR_CORRUPT,
        "%s: the newest segment is missing, or was replaced by an older one: LSN %" PRIu64
        " and later are lost",
        name, superblock->newest.at);
}

static enum err segments_read(struct log_directory *directory, const struct names *names,
                              struct why *why)
{
    uint64_t floor = directory->superblock.floor.at;
    size_t oldest = 0;
    while (oldest + 1 < names->count && names->firsts[oldest + 1] <= floor) oldest++;
    if (names->count == 0 || names->firsts[oldest] != floor) {
        char name[LOG_NAME_BYTES];
        log_segment_name(directory->superblock.shard, directory->superblock.floor, name);
        return why_fail(why, ERR_CORRUPT,
                        "%s: the segment that begins at LSN %" PRIu64 " is missing", name, floor);
    }
    for (size_t i = 0; i < oldest; i++) drop_segment(directory, names->firsts[i]);
    directory->segments = memory_zeroed(names->count - oldest, sizeof(directory->segments[0]));
    for (size_t i = oldest; i < names->count; i++) {
        struct log_segment segment = {0};
        enum err err = segment_read(directory, names->firsts[i], &segment, why);
        if (err != ERR_OK) return err;
        segment_add(directory, &segment);
    }
    enum err err = segments_link(directory, why);
    return err == ERR_OK ? newest_is_there(directory, why) : err;
}

enum err log_directory_read(struct log_directory *directory, struct log_home home, struct why *why)
{
    struct names names = {0};
    *directory = (struct log_directory){.home = home};
    buffer_init(&directory->dropped);
    buffer_init(&directory->cut);
    enum err err = log_home_check(home, why);
    if (err == ERR_OK) err = names_read(&names, directory, why);
    if (err == ERR_OK && !names.any) err = why_fail(why, ERR_NOT_FOUND, "there is no log here");
    if (err == ERR_OK && names.mixed)
        err = why_fail(why, ERR_CORRUPT, "the directory holds files of more than one shard");
    if (err == ERR_OK) err = log_slots_read(home, names.shard, &directory->slots, why);
    if (err == ERR_OK) err = superblock_choose(directory, &names, why);
    if (err == ERR_OK) err = segments_read(directory, &names, why);
    memory_free(names.firsts);
    if (err != ERR_OK) log_directory_release(directory);
    return err;
}

void log_directory_release(struct log_directory *directory)
{
    buffer_release(&directory->dropped);
    buffer_release(&directory->cut);
    memory_free(directory->segments);
    *directory = (struct log_directory){0};
}
