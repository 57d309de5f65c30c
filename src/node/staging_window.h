/* SPDX-License-Identifier: Apache-2.0 */
/* staging_window: the piece of an image's file that is in memory, fetched beside the loop; a source
 * for the image's reader, which never asks for more than that. */
#ifndef NODE_STAGING_WINDOW_H
#define NODE_STAGING_WINDOW_H

#include "seam/disk.h"
#include "snapshot/snapshot.h"

/* Heap: it outlives its owner while a request is under way. */
struct staging_window {
    struct image_source base; /* its size is the image's, whatever has come of the file */
    struct disk *disk;
    struct disk_file *file;
    void (*fetched)(struct staging_window *window, enum err err, const struct why *why);
    void *owner;
    uint8_t *data;
    uint64_t capacity, at, size; /* `size` bytes from `at` on are here */
    struct disk_request request;
    bool busy, gone;
};

/* fetched, owner: set by the caller. ERR_IO, ERR_NOT_FOUND. */
MUST_USE enum err staging_window_open(struct staging_window **out, struct disk *disk,
                                      const char *path, uint64_t size, struct why *why);
/* Of the file, which has them: in place of what was there. None is under way; fetched() follows. */
void staging_window_fetch(struct staging_window *window, uint64_t at, uint64_t size);
void staging_window_close(struct staging_window *window); /* NULL is fine */

#endif
