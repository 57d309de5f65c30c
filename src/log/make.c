/* SPDX-License-Identifier: Apache-2.0 */
/* Making a log. A superblock that says "making" stands durably before the first segment is named,
 * and one that says otherwise only when that segment is durable. So a crash in between leaves
 * nothing that looks like a log, and a segment without a superblock is always damage. */
#include "log/parts.h"

#include <inttypes.h>

#include "base/memory.h"
#include "base/path.h"

/* What is written, and where. */
struct making {
    struct log_home home;
    const struct log_options *options;
    struct log_superblock superblock;
    struct log_chain start;
    uint64_t salt;
};

enum err log_options_check(const struct log_options *options, struct why *why)
{
    if (options->segment_bytes < LOG_SEGMENT_BYTES_LEAST ||
        options->segment_bytes % LOG_SEGMENT_HEADER_BYTES != 0)
        return why_fail(why, ERR_CONFIG, "a log segment takes a multiple of %d bytes, at least %d",
                        LOG_SEGMENT_HEADER_BYTES, LOG_SEGMENT_BYTES_LEAST);
    return ERR_OK;
}

/* The directory may be there; its name is made durable all the same: whoever made it may not have
 * lived to do so. */
static enum err make_directory(struct log_home home, struct why *why)
{
    struct disk_request request = {.op = DISK_MAKE_DIR, .path = home.directory};
    enum err err = log_run(home.disk, &request, why);
    if (err != ERR_OK && err != ERR_EXISTS) return err;
    char *parent = path_parent(home.directory);
    err = log_home_sync((struct log_home){home.disk, parent}, why);
    memory_free(parent);
    return err;
}

/* Removes names of the given kind, or of every other kind of ours, durably. */
static enum err remove_names(struct log_home home, const struct buffer *names, bool segments,
                             struct why *why)
{
    bool any = false;
    for (size_t at = 0; at < names->size;) {
        const char *text = (const char *)names->data + at;
        at += strlen(text) + 1;
        enum log_name_kind kind = log_name_parse(text).kind;
        if (kind == LOG_NAME_FOREIGN || (kind == LOG_NAME_SEGMENT) != segments) continue;
        enum err err = log_file_remove(home, text, why);
        if (err != ERR_OK) return err;
        any = true;
    }
    return any ? log_home_sync(home, why) : ERR_OK;
}

/* What an interrupted making left behind. Segments first: see above. */
static enum err remove_leftovers(struct log_home home, struct why *why)
{
    struct buffer names;
    buffer_init(&names);
    struct disk_request request = {.op = DISK_LIST, .path = home.directory, .names = &names};
    enum err err = log_run(home.disk, &request, why);
    if (err == ERR_OK) err = remove_names(home, &names, true, why);
    if (err == ERR_OK) err = remove_names(home, &names, false, why);
    buffer_release(&names);
    return err;
}

/* Writes `data` as a new file, under its own name only when it is durable. The directory is not
 * synced. */
static enum err write_file(struct log_home home, const char *name, struct bytes data, uint64_t fill,
                           struct why *why)
{
    char temporary[LOG_NAME_BYTES];
    log_name_format((struct log_name){LOG_NAME_TEMPORARY, log_name_parse(name).shard, 0},
                    temporary);
    struct disk_file *file;
    enum err err = log_file_create(home, temporary, LOG_FILE_WRITE, &file, why);
    if (err != ERR_OK) return err;
    struct disk_request request = {.op = DISK_FILL, .file = file, .size = fill};
    if (fill > 0) err = log_run(home.disk, &request, why);
    if (err == ERR_OK) {
        uint8_t page[LOG_SEGMENT_HEADER_BYTES];
        MUST(data.size <= sizeof(page));
        memcpy(page, data.data, data.size); /* a request's bytes are not const */
        request = (struct disk_request){
            .op = DISK_WRITE_SYNC, .file = file, .data = page, .size = data.size};
        err = log_run(home.disk, &request, why);
    }
    log_file_close(home, file);
    if (err == ERR_OK) err = log_file_rename(home, temporary, name, why);
    return err;
}

static enum err write_slots(struct making *making, struct why *why)
{
    for (unsigned i = 0; i < LOG_SUPERBLOCK_SLOTS; i++) {
        char name[LOG_NAME_BYTES];
        log_name_format((struct log_name){LOG_NAME_SUPERBLOCK, making->options->shard, i}, name);
        uint8_t bytes[LOG_SUPERBLOCK_BYTES];
        making->superblock.sequence++;
        log_superblock_encode(&making->superblock, i, bytes);
        enum err err = write_file(making->home, name, bytes_of(bytes, sizeof(bytes)), 0, why);
        if (err != ERR_OK) return err;
    }
    return log_home_sync(making->home, why);
}

static enum err write_segment(const struct making *making, struct why *why)
{
    struct log_segment_header header = {.shard = making->superblock.shard,
                                        .cluster = making->superblock.cluster,
                                        .history = making->superblock.history,
                                        .salt = making->salt,
                                        .sequence = making->superblock.newest_sequence,
                                        .start = making->start};
    char name[LOG_NAME_BYTES];
    log_segment_name(header.shard, header.start.next, name);
    uint8_t bytes[LOG_SEGMENT_HEADER_BYTES];
    log_segment_encode(&header, bytes);
    enum err err = write_file(making->home, name, bytes_of(bytes, sizeof(bytes)),
                              making->options->segment_bytes, why);
    return err == ERR_OK ? log_home_sync(making->home, why) : err;
}

static enum err must_be_empty(struct log_home home, struct why *why)
{
    struct log_directory directory;
    struct why found;
    enum err err = log_directory_read(&directory, home, &found);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    if (err == ERR_CORRUPT)
        return why_fail(why, ERR_EXISTS, "%s: there is a damaged log: %s", home.directory,
                        found.text);
    if (err != ERR_OK) return why_fail(why, err, "%s: %s", home.directory, found.text);
    log_directory_release(&directory);
    return why_fail(why, ERR_EXISTS, "%s: there is a log", home.directory);
}

static enum err make_files(struct making *making, struct why *why)
{
    making->superblock.state = LOG_MAKING;
    enum err err = write_slots(making, why);
    if (err == ERR_OK) err = write_segment(making, why);
    making->superblock.state = LOG_CLEAN;
    return err == ERR_OK ? write_slots(making, why) : err;
}

enum err log_create_after(const struct log_site *site, const struct log_options *options,
                          const struct log_beginning *beginning, struct why *why)
{
    const struct mark *after = &beginning->after;
    if (after->lsn.at >= LOG_LSN_MAX)
        return why_fail(why, ERR_LIMIT, "no log begins behind LSN %" PRIu64, after->lsn.at);
    if (beginning->incarnation > LOG_COUNT_MAX)
        return why_fail(why, ERR_LIMIT, "no log has incarnation %" PRIu64, beginning->incarnation);
    struct lsn first = lsn_next(after->lsn);
    struct making making = {
        .home = {site->disk, site->directory},
        .options = options,
        .superblock = {.shard = options->shard,
                       .cluster = options->cluster,
                       .history = after->history,
                       .incarnation = beginning->incarnation,
                       .promised = beginning->promised,
                       .durable = after->lsn,
                       .committed = after->lsn,
                       .floor = first,
                       .newest = first,
                       .newest_sequence = 1},
        .start = {first, after->lineage, after->epoch, beginning->stamp},
    };
    while (making.salt == 0) entropy_fill(site->entropy, &making.salt, sizeof(making.salt));
    enum err err = log_home_check(making.home, why);
    if (err == ERR_OK) err = log_options_check(options, why);
    if (err == ERR_OK) err = make_directory(making.home, why);
    if (err == ERR_OK) err = must_be_empty(making.home, why);
    if (err == ERR_OK) err = remove_leftovers(making.home, why);
    return err == ERR_OK ? make_files(&making, why) : err;
}

enum err log_create(const struct log_site *site, const struct log_options *options,
                    struct history history, struct why *why)
{
    struct log_beginning beginning = {.after.history = history};
    return log_create_after(site, options, &beginning, why);
}
