/* SPDX-License-Identifier: Apache-2.0 */
/* fake_disk: a few files in memory; a request is done when the test says so, or fails. */
#ifndef TEST_FACE_REDIS_FAKE_DISK_H
#define TEST_FACE_REDIS_FAKE_DISK_H

#include <stdio.h>

#include "base/must.h"
#include "seam/disk.h"
#include "test/face/redis/fake_clock.h"

enum { FAKE_FILES_MAX = 4 };

struct disk_file {
    char name[64]; /* empty: there is no such file */
    struct buffer bytes;
    bool synced, open;
};

struct fake_disk {
    struct disk base;
    struct disk_file files[FAKE_FILES_MAX];
    struct disk_request *request; /* the one at work, or NULL */
    unsigned done, fail_at;       /* fail_at: the request of this number, from 1, fails */
    unsigned folder_syncs;
};

static struct disk_file *fake_file(struct fake_disk *disk, const char *name)
{
    for (size_t i = 0; i < FAKE_FILES_MAX; i++) {
        if (strcmp(disk->files[i].name, name) == 0) return &disk->files[i];
    }
    return NULL;
}

static void fake_file_name(struct disk_file *file, const char *name)
{
    snprintf(file->name, sizeof file->name, "%s", name);
}

static TEST_UNUSED struct disk_file *fake_file_make(struct fake_disk *disk, const char *name,
                                                    const char *text)
{
    struct disk_file *file = fake_file(disk, "");
    MUST(file != NULL);
    fake_file_name(file, name);
    buffer_clear(&file->bytes);
    buffer_append_text(&file->bytes, text);
    file->synced = true;
    return file;
}

static enum err fake_named(struct fake_disk *disk, struct disk_request *request)
{
    struct disk_file *file = fake_file(disk, request->path);
    if (request->op == DISK_CREATE) {
        if (file != NULL) return ERR_EXISTS;
        file = fake_file_make(disk, request->path, "");
        file->synced = false;
    } else if (file == NULL) {
        return ERR_NOT_FOUND;
    }
    if (request->op == DISK_REMOVE) {
        fake_file_name(file, "");
    } else if (request->op == DISK_RENAME) {
        struct disk_file *old = fake_file(disk, request->path_to);
        MUST(file->synced && !file->open);
        if (old != NULL) fake_file_name(old, "");
        fake_file_name(file, request->path_to);
    } else {
        MUST(!file->open);
        file->open = true;
        request->file = file;
        request->size = file->bytes.size;
    }
    return ERR_OK;
}

static enum err fake_disk_do(struct fake_disk *disk, struct disk_request *request)
{
    struct disk_file *file = request->file;
    bool fails = ++disk->done == disk->fail_at;
    if (request->op == DISK_CLOSE) file->open = false; /* gone, whatever the result */
    if (fails) return why_fail(&request->why, ERR_IO, "the disk fails");
    switch ((unsigned)request->op) {
    case DISK_READ:
        memcpy(request->data, file->bytes.data, request->size);
        request->moved = request->size;
        return ERR_OK;
    case DISK_WRITE:
        buffer_append(&file->bytes, bytes_of(request->data, request->size));
        return ERR_OK;
    case DISK_SYNC: file->synced = true; return ERR_OK;
    case DISK_CLOSE: return ERR_OK;
    case DISK_SYNC_DIR: disk->folder_syncs++; return ERR_OK;
    default: return fake_named(disk, request);
    }
}

static void fake_disk_submit(struct disk *base, struct disk_request *request)
{
    struct fake_disk *disk = CONTAINER_OF(base, struct fake_disk, base);
    MUST(disk->request == NULL);
    disk->request = request;
}

/* One request is done. False: there is none. */
static TEST_UNUSED bool fake_disk_step(struct fake_disk *disk)
{
    struct disk_request *request = disk->request;
    if (request == NULL) return false;
    disk->request = NULL;
    request->err = fake_disk_do(disk, request);
    request->done(request);
    return true;
}

static TEST_UNUSED void fake_disk_init(struct fake_disk *disk)
{
    static const struct disk_ops ops = {.submit = fake_disk_submit};
    *disk = (struct fake_disk){.base.ops = &ops};
    for (size_t i = 0; i < FAKE_FILES_MAX; i++) buffer_init(&disk->files[i].bytes);
}

static TEST_UNUSED void fake_disk_release(struct fake_disk *disk)
{
    for (size_t i = 0; i < FAKE_FILES_MAX; i++) buffer_release(&disk->files[i].bytes);
}

#endif
