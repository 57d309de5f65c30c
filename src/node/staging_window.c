/* SPDX-License-Identifier: Apache-2.0 */
#include "node/staging_window.h"

#include <inttypes.h>

#include "base/memory.h"

static enum err window_read(struct image_source *source, uint64_t offset, void *data, uint64_t size,
                            struct why *why)
{
    const struct staging_window *window = CONTAINER_OF(source, struct staging_window, base);
    (void)why;
    MUST(offset >= window->at && offset + size <= window->at + window->size);
    memcpy(data, window->data + (offset - window->at), size);
    return ERR_OK;
}

static void release(struct staging_window *window)
{
    struct disk_request close = {.op = DISK_CLOSE, .file = window->file};
    (void)disk_run(window->disk, &close);
    memory_free(window->data);
    memory_free(window);
}

static void done(struct disk_request *request)
{
    struct staging_window *window = CONTAINER_OF(request, struct staging_window, request);
    window->busy = false;
    if (window->gone) {
        release(window);
        return;
    }
    enum err err = request->err;
    struct why why = request->why;
    if (err == ERR_OK && request->moved < request->size)
        err = why_fail(&why, ERR_CORRUPT, "the file ends at offset %" PRIu64,
                       request->offset + request->moved);
    window->size = err == ERR_OK ? request->size : 0;
    window->fetched(window, err, &why);
}

enum err staging_window_open(struct staging_window **out, struct disk *disk, const char *path,
                             uint64_t size, struct why *why)
{
    struct disk_request open = {.op = DISK_OPEN, .path = path, .read_only = true};
    *out = NULL;
    enum err err = disk_run(disk, &open);
    if (err != ERR_OK) return why_fail(why, err, "%s: %s", path, open.why.text);
    struct staging_window *window = memory_zeroed(1, sizeof *window);
    window->base = (struct image_source){.read = window_read, .size = size};
    window->disk = disk;
    window->file = open.file;
    *out = window;
    return ERR_OK;
}

void staging_window_fetch(struct staging_window *window, uint64_t at, uint64_t size)
{
    MUST(!window->busy && size > 0);
    if (size > window->capacity) {
        memory_free(window->data);
        window->data = memory_alloc(size);
        window->capacity = size;
    }
    window->at = at;
    window->size = 0;
    window->busy = true;
    window->request = (struct disk_request){.op = DISK_READ,
                                            .file = window->file,
                                            .offset = at,
                                            .data = window->data,
                                            .size = size,
                                            .done = done};
    disk_submit(window->disk, &window->request);
}

void staging_window_close(struct staging_window *window)
{
    if (window == NULL) return;
    window->gone = true;
    if (!window->busy) release(window);
}
