/* SPDX-License-Identifier: Apache-2.0 */
/* CONFIG REWRITE: the configuration file is replaced as a whole, or not at all.
 *
 *   OPEN -> READ -> SHUT -> CLEAR -> CREATE -> WRITE -> SYNC -> CLOSE -> RENAME -> SYNC_FOLDER ->
 * over
 *     `--no file---------------^         any of them fails: CLOSE what is open, REMOVE what was
 * made, over
 *
 * The new text goes into a second file beside the first, is synced there, and takes its name in one
 * step: a crash leaves the old file or the new one. What a crash leaves of the second file is
 * cleared by the next rewrite.
 *
 * A request in the disk's hands outlives the face if it must: then its end is the end of it. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "face/redis/internal.h"

enum rewrite_step {
    REWRITE_OPEN,
    REWRITE_READ,
    REWRITE_SHUT,
    REWRITE_CLEAR,
    REWRITE_CREATE,
    REWRITE_WRITE,
    REWRITE_SYNC,
    REWRITE_CLOSE,
    REWRITE_RENAME,
    REWRITE_SYNC_FOLDER,
    REWRITE_UNDO_CLOSE,
    REWRITE_UNDO_REMOVE,
    REWRITE_OVER,
};

struct rewrite {
    struct disk_request request;
    struct redis_face *face; /* NULL: it has closed */
    uint64_t client;         /* by its id: it may go meanwhile */
    enum rewrite_step step;
    struct disk_file *file;
    struct buffer old, text;
    char *path, *second, *folder;
    bool failed;
    struct why why;
};

static char *text_make(const char *text, const char *more)
{
    size_t size = strlen(text), extra = strlen(more);
    char *made = memory_alloc(size + extra + 1);
    memcpy(made, text, size);
    memcpy(made + size, more, extra + 1);
    return made;
}

static void rewrite_free(struct rewrite *rewrite)
{
    buffer_release(&rewrite->old);
    buffer_release(&rewrite->text);
    memory_free(rewrite->path);
    memory_free(rewrite->second);
    memory_free(rewrite->folder);
    memory_free(rewrite);
}

static void rewrite_over(struct rewrite *rewrite)
{
    struct redis_face *face = rewrite->face;
    struct client *client = client_by_id(face, rewrite->client);
    face->rewrite = NULL;
    if (rewrite->failed) {
        trace_event(face->options.trace, TRACE_WARNING, "redis", "config_rewrite_failed",
                    "why=\"%s\"", rewrite->why.text);
    } else {
        trace_event(face->options.trace, TRACE_NOTICE, "redis", "config_rewritten", "path=%s",
                    rewrite->path);
    }
    if (client != NULL && !client->dead) {
        struct reply *reply = later_reply(client);
        if (rewrite->failed) {
            reply_errorf(reply, "ERR Rewriting config file: %s", rewrite->why.text);
        } else {
            reply->ops->simple(reply, "OK");
        }
        later_done(client);
    }
    rewrite_free(rewrite);
}

static void rewrite_do(struct rewrite *rewrite);

static void rewrite_fail(struct rewrite *rewrite, const struct why *why)
{
    if (!rewrite->failed) rewrite->why = *why;
    rewrite->failed = true;
    bool made = rewrite->step > REWRITE_CREATE && rewrite->step <= REWRITE_RENAME;
    if (rewrite->step == REWRITE_CLOSE) rewrite->file = NULL; /* gone, whatever the result */
    if (rewrite->file != NULL) {
        rewrite->step = REWRITE_UNDO_CLOSE;
    } else {
        rewrite->step = made ? REWRITE_UNDO_REMOVE : REWRITE_OVER;
    }
}

/* After a step that went well. */
static void rewrite_next(struct rewrite *rewrite)
{
    struct disk_request *request = &rewrite->request;
    switch (rewrite->step) {
    case REWRITE_OPEN:
        rewrite->file = request->file;
        if (request->size > CONFIG_FILE_BYTES_MAX) {
            struct why why;
            why_fail(&why, ERR_LIMIT, "the file is larger than a configuration file may be");
            rewrite_fail(rewrite, &why);
            return;
        }
        break;
    case REWRITE_READ: rewrite->old.size = request->moved; break;
    case REWRITE_SHUT: rewrite->file = NULL; break;
    case REWRITE_CREATE: rewrite->file = request->file; break;
    case REWRITE_CLOSE: rewrite->file = NULL; break;
    case REWRITE_UNDO_CLOSE:
        rewrite->file = NULL;
        /* What stands below the second name is ours alone. */
        break;
    case REWRITE_SYNC_FOLDER:
    case REWRITE_UNDO_REMOVE: rewrite->step = REWRITE_OVER; return;
    case REWRITE_CLEAR:
    case REWRITE_WRITE:
    case REWRITE_SYNC:
    case REWRITE_RENAME:
    case REWRITE_OVER: break;
    }
    rewrite->step++;
    if (rewrite->step == REWRITE_CLEAR) {
        config_rewrite(rewrite->face->options.config, buffer_bytes(&rewrite->old), &rewrite->text);
        if (rewrite->text.size == 0) buffer_append_byte(&rewrite->text, '\n');
    }
}

static void rewrite_done(struct disk_request *request)
{
    struct rewrite *rewrite = CONTAINER_OF(request, struct rewrite, request);
    if (rewrite->face == NULL) {
        rewrite_free(rewrite);
        return;
    }
    bool absent = request->err == ERR_NOT_FOUND;
    if (request->err == ERR_OK || rewrite->step >= REWRITE_UNDO_CLOSE ||
        (absent && rewrite->step == REWRITE_CLEAR)) {
        rewrite_next(rewrite);
    } else if (absent && rewrite->step == REWRITE_OPEN) { /* it is made anew */
        rewrite->step = REWRITE_SHUT;
        rewrite_next(rewrite);
    } else {
        rewrite_fail(rewrite, &request->why);
    }
    if (rewrite->step == REWRITE_OVER) {
        rewrite_over(rewrite);
    } else {
        rewrite_do(rewrite);
    }
}

/* Asks the disk for the step at hand. */
static void rewrite_do(struct rewrite *rewrite)
{
    static const enum disk_op ops[] = {
        [REWRITE_OPEN] = DISK_OPEN,        [REWRITE_READ] = DISK_READ,
        [REWRITE_SHUT] = DISK_CLOSE,       [REWRITE_CLEAR] = DISK_REMOVE,
        [REWRITE_CREATE] = DISK_CREATE,    [REWRITE_WRITE] = DISK_WRITE,
        [REWRITE_SYNC] = DISK_SYNC,        [REWRITE_CLOSE] = DISK_CLOSE,
        [REWRITE_RENAME] = DISK_RENAME,    [REWRITE_SYNC_FOLDER] = DISK_SYNC_DIR,
        [REWRITE_UNDO_CLOSE] = DISK_CLOSE, [REWRITE_UNDO_REMOVE] = DISK_REMOVE,
    };
    struct disk_request *request = &rewrite->request;
    uint64_t size = request->size; /* of the file, after REWRITE_OPEN */
    enum rewrite_step step = rewrite->step;
    *request = (struct disk_request){.op = ops[step], .file = rewrite->file, .done = rewrite_done};
    request->path = rewrite->second;
    if (step == REWRITE_OPEN) {
        request->path = rewrite->path;
        request->read_only = true;
    } else if (step == REWRITE_READ) {
        request->data = buffer_reserve(&rewrite->old, size + 1);
        request->size = size;
    } else if (step == REWRITE_WRITE) {
        request->data = rewrite->text.data;
        request->size = rewrite->text.size;
    } else if (step == REWRITE_RENAME) {
        request->path_to = rewrite->path;
    } else if (step == REWRITE_SYNC_FOLDER) {
        request->path = rewrite->folder;
    }
    disk_submit(rewrite->face->options.disk, request);
}

void rewrite_begin(struct client *client)
{
    struct redis_face *face = client->face;
    const char *path = face->options.host->config_file;
    struct rewrite *rewrite = memory_zeroed(1, sizeof *rewrite);
    rewrite->face = face;
    rewrite->client = client->id;
    buffer_init(&rewrite->old);
    buffer_init(&rewrite->text);
    rewrite->path = text_make(path, "");
    rewrite->second = text_make(path, ".rewrite");
    rewrite->folder = path_parent(path);
    face->rewrite = rewrite;
    later_begin(client, NULL, 0, 0);
    rewrite_do(rewrite);
}

void rewrite_forget(struct redis_face *face)
{
    if (face->rewrite == NULL) return;
    face->rewrite->face = NULL;
    face->rewrite = NULL;
}
