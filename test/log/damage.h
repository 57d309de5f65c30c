/* SPDX-License-Identifier: Apache-2.0 */
/* damage: what an operator, a bad sector or another machine may do to a log's files; and whether a
 * refused start left them as they were. */
#ifndef TEST_LOG_DAMAGE_H
#define TEST_LOG_DAMAGE_H

#include "base/buffer.h"
#include "base/checksum.h"
#include "log/format.h"
#include "test/log/steps.h"

static inline void segment_path(uint64_t first, char out[80])
{
    char name[LOG_NAME_BYTES];
    log_name_format((struct log_name){LOG_NAME_SEGMENT, 5, first}, name);
    memcpy(out, KEEPER_DIRECTORY "/", sizeof(KEEPER_DIRECTORY));
    memcpy(out + sizeof(KEEPER_DIRECTORY), name, sizeof(name));
}

static inline const char *slot_path(unsigned slot)
{
    return slot == 0 ? KEEPER_DIRECTORY "/00000005-a.superblock"
                     : KEEPER_DIRECTORY "/00000005-b.superblock";
}

/* A checksum over every name and byte of the directory. */
static inline uint64_t disk_checksum(struct keeper *keeper)
{
    struct buffer paths, all;
    buffer_init(&paths);
    buffer_init(&all);
    sim_disk_paths(keeper_disk(keeper), &paths);
    buffer_append(&all, buffer_bytes(&paths));
    for (size_t at = 0; at < paths.size;) {
        char path[100];
        size_t length = 0;
        while (paths.data[at + length] != '\n') length++;
        MUST(length < sizeof(path));
        memcpy(path, paths.data + at, length);
        path[length] = '\0';
        if (path[length - 1] != '/') MUST(sim_disk_seen(keeper_disk(keeper), path, &all));
        at += length + 1;
    }
    uint64_t sum = checksum64(buffer_bytes(&all), 0);
    buffer_release(&paths);
    buffer_release(&all);
    return sum;
}

/* The start is refused as corrupt, with these words, and changes nothing. */
static inline void must_refuse(struct keeper *keeper, const char *words)
{
    uint64_t before = disk_checksum(keeper);
    assert_false(sim_node_start(keeper->node));
    ASSERT_SOUND(keeper);
    assert_int_equal(keeper->opened, ERR_CORRUPT);
    if (strstr(keeper->why.text, words) == NULL)
        fail_msg("expected \"%s\" in: %s", words, keeper->why.text);
    assert_true(disk_checksum(keeper) == before);
}

/* Reads a file, as it is seen. */
static inline struct buffer file_take(struct keeper *keeper, const char *path)
{
    struct buffer content;
    buffer_init(&content);
    assert_true(sim_disk_seen(keeper_disk(keeper), path, &content));
    return content;
}

static inline void file_put(struct keeper *keeper, const char *path, struct buffer *content)
{
    sim_disk_put(keeper_disk(keeper), path, buffer_bytes(content));
    buffer_release(content);
}

/* A log with `batches` batches of one entry of 100 bytes each (one sector), in one segment, crashed
 * or closed. */
static inline struct keeper *damage_new(uint64_t batches, bool close)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    for (uint64_t i = 0; i < batches; i++) assert_int_equal(keeper_append(keeper, 1, 100), ERR_OK);
    if (close) assert_int_equal(keeper_end(keeper), ERR_OK);
    else sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    return keeper;
}

#endif
