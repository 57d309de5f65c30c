/* SPDX-License-Identifier: Apache-2.0 */
#include "node/follows_image.h"

#include "base/memory.h"
#include "base/path.h"
#include "node/limits.h"

static void go_on(struct follows_image *image);

static uint64_t unsynced(const struct follows_image *image)
{
    return image->written - image->stored;
}

static void sync_time(struct timer *timer)
{
    struct follows_image *image = CONTAINER_OF(timer, struct follows_image, timer);
    image->sync_due = true;
    go_on(image);
}

void follows_image_init(struct follows_image *image, const struct world *world,
                        const char *directory)
{
    *image = (struct follows_image){.disk = world->disk,
                                    .clock = world->clock,
                                    .directory = path_join(directory, ""),
                                    .timer.fired = sync_time};
    buffer_init(&image->waiting);
    buffer_init(&image->flying);
}

void follows_image_release(struct follows_image *image)
{
    MUST(!image->open && !image->busy);
    memory_free(image->directory);
    buffer_release(&image->waiting);
    buffer_release(&image->flying);
}

/* --- Open and closed --- */

static void close_file(struct follows_image *image)
{
    clock_timer_stop(image->clock, &image->timer);
    if (image->open) incoming_close(&image->incoming, image->stored);
    image->open = image->finishes = image->failed = image->sync_due = false;
    buffer_clear(&image->waiting);
    buffer_shrink(&image->waiting, 0);
    buffer_clear(&image->flying);
    buffer_shrink(&image->flying, 0);
}

static void open_file(struct follows_image *image)
{
    struct why why = {""};
    image->begins = false;
    enum err err = incoming_open(&image->incoming, &image->place, &image->offer, &why);
    image->open = err == ERR_OK;
    image->written = image->stored = image->open ? image->incoming.stored : 0;
    image->opened(image, err, &why);
}

void follows_image_begin(struct follows_image *image, const struct image_place *place,
                         const struct image_offer *offer)
{
    image->place = *place;
    image->place.directory = image->directory;
    image->offer = *offer;
    image->begins = true;
    if (!image->busy) open_file(image);
}

void follows_image_let_go(struct follows_image *image)
{
    image->begins = false;
    if (!image->busy) close_file(image);
    else image->failed = true; /* its request says nothing more, and closes it */
}

/* --- Written and synced --- */

static void fail(struct follows_image *image, enum err err, const struct why *why)
{
    clock_timer_stop(image->clock, &image->timer);
    image->failed = true;
    image->synced(image, err, why);
}

static void done(struct disk_request *request)
{
    struct follows_image *image = CONTAINER_OF(request, struct follows_image, request);
    bool was_sync = request->op == DISK_SYNC;
    image->busy = false;
    buffer_clear(&image->flying);
    if (request->err == ERR_OK && was_sync) image->stored = image->written;
    if (request->err == ERR_OK && !was_sync) image->written += request->size;
    if (image->failed) { /* let go of meanwhile */
        close_file(image);
        if (image->begins) open_file(image);
        else if (image->returned != NULL) image->returned(image);
        return;
    }
    if (request->err != ERR_OK) {
        fail(image, request->err, &request->why);
        return;
    }
    if (was_sync) image->synced(image, ERR_OK, NULL);
    go_on(image);
}

static void submit(struct follows_image *image, enum disk_op op)
{
    image->busy = true;
    image->request = (struct disk_request){.op = op,
                                           .file = image->incoming.file,
                                           .offset = image->written,
                                           .data = image->flying.data,
                                           .size = image->flying.size,
                                           .done = done};
    disk_submit(image->disk, &image->request);
}

static void submit_write(struct follows_image *image)
{
    struct buffer *waiting = &image->waiting;
    size_t size = waiting->size < NODE_FOLLOWS_SYNC_BYTES ? waiting->size : NODE_FOLLOWS_SYNC_BYTES;
    buffer_append(&image->flying, bytes_of(waiting->data, size));
    buffer_consume(waiting, size);
    submit(image, DISK_WRITE);
}

static bool must_sync(const struct follows_image *image)
{
    if (unsynced(image) == 0) return false;
    if (image->waiting.size == 0 && image->finishes) return true;
    return image->sync_due || unsynced(image) >= NODE_FOLLOWS_SYNC_BYTES;
}

_Static_assert(2 * NODE_FOLLOWS_SYNC_BYTES <= INCOMING_UNSYNCED_BYTES_MAX,
               "a write begins below the one bound and stays below the other");

static void go_on(struct follows_image *image)
{
    if (!image->open || image->busy || image->failed) return;
    if (must_sync(image)) {
        image->sync_due = false;
        clock_timer_stop(image->clock, &image->timer);
        submit(image, DISK_SYNC);
    } else if (image->waiting.size > 0) {
        submit_write(image);
    } else if (image->finishes) {
        close_file(image);
        image->finished(image);
    } else if (unsynced(image) > 0 && !image->timer.armed) {
        clock_timer_start(image->clock, &image->timer, NODE_FOLLOWS_SYNC_US);
    }
}

bool follows_image_write(struct follows_image *image, struct bytes bytes)
{
    if (!image->open || image->failed) return true; /* who asked has been told */
    if (image->waiting.size + bytes.size > NODE_FOLLOWS_WAITING_BYTES) return false;
    buffer_append(&image->waiting, bytes);
    go_on(image);
    return true;
}

void follows_image_finish(struct follows_image *image)
{
    image->finishes = true;
    go_on(image);
}
