/* SPDX-License-Identifier: Apache-2.0 */
/* memory_source: an image in memory, for its reader and its check. */
#ifndef TEST_SNAPSHOT_MEMORY_SOURCE_H
#define TEST_SNAPSHOT_MEMORY_SOURCE_H

#include "base/dice.h"
#include "snapshot/check.h"

struct memory_source {
    struct image_source base;
    struct bytes bytes;
};

static inline enum err memory_source_read(struct image_source *source, uint64_t offset, void *data,
                                          uint64_t size, struct why *why)
{
    const struct memory_source *memory = CONTAINER_OF(source, struct memory_source, base);
    if (offset > memory->bytes.size || size > memory->bytes.size - offset)
        return why_fail(why, ERR_IO, "beyond the end");
    memcpy(data, memory->bytes.data + offset, size);
    return ERR_OK;
}

/* How reading it to its end ends; ERR_OK: well. */
static inline enum err memory_source_read_all(struct bytes bytes, uint64_t *records,
                                              struct why *why)
{
    struct memory_source source = {{memory_source_read, bytes.size}, bytes};
    struct image_reader *reader = NULL;
    *records = 0;
    enum err err = image_open(&reader, &source.base, why);
    if (err != ERR_OK) return err;
    struct bytes key, value;
    while ((err = image_next(reader, &key, &value, why)) == ERR_OK) ++*records;
    image_close(reader);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* How its check ends, with the bytes in pieces; `dice` NULL: in one. */
static inline enum err memory_source_check(struct bytes bytes, struct dice *dice, struct why *why)
{
    struct image_check *check = image_check_open(bytes.size);
    enum err err = ERR_OK;
    while (bytes.size > 0 && err == ERR_OK) {
        size_t size = dice == NULL ? bytes.size : (size_t)dice_below(dice, 60) + 1;
        if (size > bytes.size) size = bytes.size;
        err = image_check_add(check, bytes_of(bytes.data, size), why);
        bytes = bytes_of(bytes.data + size, bytes.size - size);
    }
    if (err == ERR_OK) err = image_check_end(check, why);
    image_check_close(check);
    return err;
}

#endif
