/* SPDX-License-Identifier: Apache-2.0 */
#include "site/text_file.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/checksum.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/plant.h"

void text_file_seal(struct text_file *file)
{
    uint64_t check = checksum64(bytes_of(file->text, file->size), 0);
    size_t room = sizeof file->text - file->size;
    int size = snprintf(file->text + file->size, room, "check %016" PRIx64 "\n", check);
    MUST(size > 0 && (size_t)size < room);
    file->size += (size_t)size;
}

enum err text_file_read(struct disk *disk, const char *path, struct text_file *file,
                        struct why *why)
{
    *file = (struct text_file){.size = 0};
    struct disk_request open = {.op = DISK_OPEN, .path = path, .read_only = true};
    enum err err = disk_run(disk, &open);
    if (err != ERR_OK) return why_fail(why, err, "%s: %s", path, open.why.text);
    struct disk_request read = {
        .op = DISK_READ, .file = open.file, .data = file->text, .size = sizeof file->text - 1};
    err = disk_run(disk, &read);
    struct disk_request close = {.op = DISK_CLOSE, .file = open.file};
    (void)disk_run(disk, &close);
    if (err != ERR_OK) return why_fail(why, err, "%s: %s", path, read.why.text);
    file->size = (size_t)read.moved;
    file->text[file->size] = '\0';
    return ERR_OK;
}

static enum err run(struct disk *disk, struct disk_request *request, struct why *why)
{
    enum err err = disk_run(disk, request);
    return err == ERR_OK ? err : why_fail(why, err, "%s: %s", request->path, request->why.text);
}

static enum err write_temporary(struct disk *disk, const char *path, const struct text_file *file,
                                enum disk_op op, struct why *why)
{
    struct disk_request remove = {.op = DISK_REMOVE, .path = path};
    (void)disk_run(disk, &remove);
    struct disk_request create = {.op = DISK_CREATE, .path = path};
    enum err err = run(disk, &create, why);
    if (err != ERR_OK) return err;
    char text[TEXT_FILE_BYTES_MAX];
    memcpy(text, file->text, file->size); /* a request's bytes are not const */
    struct disk_request write = {
        .op = op, .path = path, .file = create.file, .data = text, .size = file->size};
    err = run(disk, &write, why);
    struct disk_request close = {.op = DISK_CLOSE, .file = create.file};
    (void)disk_run(disk, &close);
    return err;
}

enum err text_file_write(struct disk *disk, const char *directory, const char *name,
                         const struct text_file *file, struct why *why)
{
    char temporary_name[64];
    (void)snprintf(temporary_name, sizeof temporary_name, "%s.tmp", name);
    char *temporary = path_join(directory, temporary_name), *path = path_join(directory, name);
    bool unsynced = PLANTED(INSTALL_WITHOUT_SYNC) && strcmp(name, "current") == 0;
    enum err err = write_temporary(disk, temporary, file, unsynced ? DISK_WRITE : DISK_WRITE_SYNC,
                                   why);
    struct disk_request rename = {.op = DISK_RENAME, .path = temporary, .path_to = path};
    if (err == ERR_OK) err = run(disk, &rename, why);
    struct disk_request sync = {.op = DISK_SYNC_DIR, .path = directory};
    if (err == ERR_OK && !unsynced) err = run(disk, &sync, why);
    memory_free(temporary);
    memory_free(path);
    return err;
}
