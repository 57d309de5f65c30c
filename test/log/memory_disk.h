/* SPDX-License-Identifier: Apache-2.0 */
/* memory_disk: a disk without faults and a clock without time, for benches and fuzz targets that
 * cannot afford a simulated world. Every request succeeds at once; submitted ones are answered by
 * memory_turn(). */
#ifndef TEST_LOG_MEMORY_DISK_H
#define TEST_LOG_MEMORY_DISK_H

#include <stdio.h>

#include "base/memory.h"
#include "log/log.h"

enum { MEMORY_FILES = 64 };

struct disk_file {
    char path[128];
    struct buffer content;
    uint64_t size; /* what is not in the content reads as zeros, also what keep_max dropped */
    bool there;
};

struct memory_disk {
    struct disk base;
    struct clock clock;
    struct entropy entropy;
    uint64_t keep_max; /* bytes kept of each file */
    uint64_t drawn, us;
    bool full; /* it says so to who asks, and takes all */
    uint64_t reads, read_bytes; /* for whoever counts them; set to 0 at will */
    struct disk_file files[MEMORY_FILES];
    struct list submitted;
    struct task_queue tasks;
};

static inline struct disk_file *memory_find(struct memory_disk *disk, const char *path)
{
    for (unsigned i = 0; i < MEMORY_FILES; i++) {
        if (disk->files[i].there && strcmp(disk->files[i].path, path) == 0) return &disk->files[i];
    }
    return NULL;
}

static inline struct disk_file *memory_create(struct memory_disk *disk, const char *path)
{
    unsigned i = 0;
    while (i < MEMORY_FILES && disk->files[i].there) i++;
    MUST(i < MEMORY_FILES);
    struct disk_file *file = &disk->files[i];
    file->there = true;
    file->size = file->content.size = 0;
    (void)snprintf(file->path, sizeof(file->path), "%s", path);
    return file;
}

static inline void memory_write(struct memory_disk *disk, struct disk_file *file, uint64_t offset,
                                struct bytes data)
{
    uint64_t end = offset + data.size;
    if (end > file->size) file->size = end;
    if (end > disk->keep_max || data.data == NULL) return;
    if (end > file->content.size) {
        uint64_t more = end - file->content.size;
        memset(buffer_reserve(&file->content, more), 0, more);
        file->content.size = end;
    }
    memcpy(file->content.data + offset, data.data, data.size);
}

static inline void memory_read(struct disk_request *request)
{
    const struct disk_file *file = request->file;
    request->moved = request->offset >= file->size ? 0 : file->size - request->offset;
    if (request->moved > request->size) request->moved = request->size;
    if (request->moved == 0) return;
    uint64_t there = request->offset >= file->content.size ? 0
                                                           : file->content.size - request->offset;
    if (there > request->moved) there = request->moved;
    uint8_t *data = request->data;
    if (there > 0) memcpy(data, file->content.data + request->offset, there);
    memset(data + there, 0, request->moved - there);
}

static inline void memory_rename(struct memory_disk *disk, struct disk_file *file, const char *to)
{
    struct disk_file *old = memory_find(disk, to);
    if (old != NULL) old->there = false;
    (void)snprintf(file->path, sizeof(file->path), "%s", to);
}

static inline void memory_list(struct memory_disk *disk, struct disk_request *request)
{
    const char *before = "";
    for (;;) { /* sorted, as the seam says */
        const char *next = NULL;
        for (unsigned i = 0; i < MEMORY_FILES; i++) {
            const char *path = disk->files[i].path;
            if (!disk->files[i].there || strcmp(path, before) <= 0) continue;
            if (next == NULL || strcmp(path, next) < 0) next = path;
        }
        if (next == NULL) return;
        const char *name = strrchr(next, '/') + 1;
        buffer_append(request->names, bytes_of(name, strlen(name) + 1));
        before = next;
    }
}

static inline enum err memory_run(struct disk *base, struct disk_request *request)
{
    struct memory_disk *disk = CONTAINER_OF(base, struct memory_disk, base);
    struct disk_file *named = NULL;
    request->err = ERR_OK;
    if (request->op == DISK_OPEN || request->op == DISK_RENAME || request->op == DISK_REMOVE) {
        named = memory_find(disk, request->path);
        if (named == NULL) return request->err = ERR_NOT_FOUND;
    }
    switch (request->op) {
    case DISK_OPEN:
        request->file = named;
        request->size = named->size;
        break;
    case DISK_CREATE: request->file = memory_create(disk, request->path); break;
    case DISK_RENAME: memory_rename(disk, named, request->path_to); break;
    case DISK_REMOVE: named->there = false; break;
    case DISK_READ:
        memory_read(request);
        disk->reads++;
        disk->read_bytes += request->moved;
        break;
    case DISK_WRITE:
    case DISK_WRITE_SYNC:
        memory_write(disk, request->file, request->offset, bytes_of(request->data, request->size));
        break;
    case DISK_FILL:
        memory_write(disk, request->file, request->offset, (struct bytes){NULL, request->size});
        break;
    case DISK_TRUNCATE:
        request->file->size = request->offset;
        if (request->file->content.size > request->offset)
            request->file->content.size = request->offset;
        break;
    case DISK_LIST: memory_list(disk, request); break;
    case DISK_FREE_SPACE: request->size = disk->full ? 0 : (uint64_t)1 << 40; break;
    case DISK_CLOSE:
    case DISK_SYNC:
    case DISK_MAKE_DIR:
    case DISK_SYNC_DIR:
    case DISK_LOCK: break;
    }
    return request->err;
}

#endif
