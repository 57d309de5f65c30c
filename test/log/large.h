/* SPDX-License-Identifier: Apache-2.0 */
/* large: a log with segments of 8 MiB on a memory_disk, which counts what is read. */
#ifndef TEST_LOG_LARGE_H
#define TEST_LOG_LARGE_H

#include "log/format.h"
#include "test/log/memory_world.h"
#include "test/test.h"

enum { LARGE_BYTES = 8 << 20, LARGE_BATCHES_MAX = 8192 };
#define LARGE_DIRECTORY "large"

struct large {
    struct memory_disk disk;
    struct log_listener listener;
    struct log_options options;
    struct log_found found;
    struct log *log;
    struct log_segment_header segment; /* of the file whose batches these are */
    struct disk_file *file;
    size_t count;
    struct log_batch_header headers[LARGE_BATCHES_MAX];
    uint64_t offsets[LARGE_BATCHES_MAX + 1]; /* of each; then where the next one would begin */
};

static inline void large_advanced(struct log_listener *listener)
{
    (void)listener;
}

static inline void large_failed(struct log_listener *listener, const struct why *why)
{
    (void)listener;
    fail_msg("%s", why->text);
}

static inline enum err large_open(struct large *large)
{
    struct why why;
    struct log_site site = memory_site(&large->disk, LARGE_DIRECTORY, &large->listener);
    return log_open(&large->log, &site, &large->options, &large->found, &why);
}

/* Lets go of the log as a process that is killed. */
static inline void large_kill(struct large *large)
{
    while (memory_turn(&large->disk)) continue;
    log_abandon(large->log);
    while (memory_turn(&large->disk)) continue;
    large->log = NULL;
}

static inline void large_close(struct large *large)
{
    struct why why;
    log_stop(large->log);
    while (memory_turn(&large->disk)) continue;
    assert_int_equal(log_close(large->log, &why), ERR_OK);
    large->log = NULL;
}

static inline void large_promise(struct large *large)
{
    struct why why;
    struct epoch epoch = {log_promised(large->log).number + 1, 1};
    assert_int_equal(log_promise(large->log, epoch, &why), ERR_OK);
}

static inline struct large *large_new(enum log_durability durability)
{
    struct large *large = memory_zeroed(1, sizeof *large);
    struct why why;
    memory_disk_init(&large->disk, LARGE_BYTES);
    large->listener = (struct log_listener){large_advanced, large_failed};
    large->options = (struct log_options){.segment_bytes = LARGE_BYTES,
                                          .durability = durability,
                                          .cluster = 7,
                                          .copy = 1,
                                          .shard = 5};
    struct log_site site = memory_site(&large->disk, LARGE_DIRECTORY, &large->listener);
    assert_int_equal(log_create(&site, &large->options, (struct history){{1}}, &why), ERR_OK);
    assert_int_equal(large_open(large), ERR_OK);
    large_promise(large);
    return large;
}

static inline void large_free(struct large *large)
{
    if (large->log != NULL) large_kill(large);
    memory_disk_release(&large->disk);
    memory_free(large);
}

static inline uint8_t large_byte(uint64_t lsn)
{
    return (uint8_t)(lsn * 37 + 1);
}

/* Batches of `entries` entries of `size` bytes each. */
static inline void large_append(struct large *large, uint64_t batches, uint64_t entries,
                                uint64_t size)
{
    uint8_t *payload = memory_alloc(size);
    for (; batches > 0; batches--) {
        for (uint64_t i = 0; i < entries; i++) {
            uint64_t lsn = log_appended(large->log).at + 1;
            struct lsn at;
            memset(payload, large_byte(lsn), size);
            assert_int_equal(
                log_append(large->log, (struct stamp){lsn << 16}, bytes_of(payload, size), &at),
                ERR_OK);
        }
        log_push(large->log);
        while (memory_turn(&large->disk)) continue;
    }
    memory_free(payload);
}

/* Finds the batches of the segment that begins at `first`. */
static inline void large_look(struct large *large, uint64_t first)
{
    char path[100] = LARGE_DIRECTORY "/";
    const char *what;
    log_name_format((struct log_name){LOG_NAME_SEGMENT, 5, first}, path + strlen(path));
    large->file = memory_find(&large->disk, path);
    assert_non_null(large->file);
    const struct buffer *content = &large->file->content;
    assert_true(log_segment_decode(content->data, &large->segment, &what));
    uint64_t offset = LOG_SEGMENT_HEADER_BYTES;
    for (large->count = 0;; large->count++) {
        assert_true(large->count < LARGE_BATCHES_MAX);
        struct log_batch_header *header = &large->headers[large->count];
        large->offsets[large->count] = offset;
        if (offset + LOG_BATCH_HEADER_BYTES > content->size) return;
        if (!log_batch_decode(content->data + offset, large->segment.salt, offset, header)) return;
        offset += log_padded(LOG_BATCH_HEADER_BYTES + header->length);
    }
}

/* Writes the header of a batch again, with good checksums. */
static inline void large_seal(struct large *large, size_t batch)
{
    uint64_t offset = large->offsets[batch];
    log_batch_seal(large->file->content.data + offset, &large->headers[batch], large->segment.salt,
                   offset);
}

/* Reads from there on and checks every entry; *end is behind the last one. */
static inline enum err large_read(struct large *large, uint64_t from, uint64_t *end)
{
    struct log_reader *reader;
    struct entry entry;
    struct why why;
    *end = from;
    enum err err = log_reader_open(&reader, &large->disk.base, LARGE_DIRECTORY, (struct lsn){from},
                                   &why);
    while (err == ERR_OK) {
        err = log_reader_next(reader, &entry, &why);
        if (err != ERR_OK) break;
        assert_int_equal(entry.lsn.at, *end);
        assert_int_equal(entry.payload.data[0], large_byte(*end));
        assert_int_equal(entry.payload.data[entry.payload.size - 1], large_byte(*end));
        ++*end;
    }
    log_reader_close(reader);
    return err;
}

#endif
