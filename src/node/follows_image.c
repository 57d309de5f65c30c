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

static uint64_t unwritten(const struct follows_image *image)
{
    return image->waiting.size + image->flying.size - image->flown;
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
    MUST(!image->open && !follows_image_is_busy(image));
    memory_free(image->directory);
    buffer_release(&image->waiting);
    buffer_release(&image->flying);
}

/* --- Open and closed --- */

static void close_file(struct follows_image *image)
{
    clock_timer_stop(image->clock, &image->timer);
    if (image->open) incoming_close(&image->incoming, image->stored);
    image->open = image->gone = image->finishes = image->failed = image->sync_due = false;
    buffer_clear(&image->waiting);
    buffer_shrink(&image->waiting, 0);
    buffer_clear(&image->flying);
    buffer_shrink(&image->flying, 0);
    image->flown = 0;
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
    if (!follows_image_is_busy(image)) open_file(image);
}

void follows_image_let_go(struct follows_image *image)
{
    image->begins = false;
    image->gone = follows_image_is_busy(image); /* then the last of its requests closes it */
    if (!image->gone) close_file(image);
}

/* --- Written and synced --- */

static void fail(struct follows_image *image, enum err err, const struct why *why)
{
    clock_timer_stop(image->clock, &image->timer);
    image->failed = true;
    image->synced(image, err, why);
}

/* What returns ends something else: nothing more is to be done here. */
static bool is_over(struct follows_image *image)
{
    if (!image->gone) return image->failed;
    if (follows_image_is_busy(image)) return true;
    close_file(image);
    if (image->begins) open_file(image);
    else if (image->returned != NULL) image->returned(image);
    return true;
}

static void write_done(struct disk_request *request)
{
    struct follows_image *image = CONTAINER_OF(request, struct follows_image, write);
    image->writes = false;
    image->flown += request->size;
    if (request->err == ERR_OK) image->written += request->size;
    if (is_over(image)) return;
    if (request->err != ERR_OK) {
        fail(image, request->err, &request->why);
        return;
    }
    image->moved(image);
    go_on(image);
}

static void sync_done(struct disk_request *request)
{
    struct follows_image *image = CONTAINER_OF(request, struct follows_image, sync);
    image->syncs = false;
    if (request->err == ERR_OK) image->stored = image->syncing;
    if (is_over(image)) return;
    if (request->err != ERR_OK) {
        fail(image, request->err, &request->why);
        return;
    }
    image->synced(image, ERR_OK, NULL);
    go_on(image);
}

static void submit_write(struct follows_image *image)
{
    if (image->flown == image->flying.size) {
        struct buffer empty = image->flying;
        buffer_clear(&empty);
        image->flying = image->waiting;
        image->waiting = empty;
        image->flown = 0;
    }
    size_t size = image->flying.size - image->flown;
    if (size > NODE_FOLLOWS_SYNC_BYTES) size = NODE_FOLLOWS_SYNC_BYTES;
    image->writes = true;
    image->write = (struct disk_request){.op = DISK_WRITE,
                                         .file = image->incoming.file,
                                         .offset = image->written,
                                         .data = image->flying.data + image->flown,
                                         .size = size,
                                         .done = write_done};
    disk_submit(image->disk, &image->write);
}

static void submit_sync(struct follows_image *image)
{
    image->sync_due = false;
    clock_timer_stop(image->clock, &image->timer);
    image->syncing = image->written;
    image->syncs = true;
    image->sync = (struct disk_request){
        .op = DISK_SYNC, .file = image->incoming.file, .done = sync_done};
    disk_submit(image->disk, &image->sync);
}

static bool must_sync(const struct follows_image *image)
{
    if (image->syncs || unsynced(image) == 0) return false;
    bool end = image->finishes && unwritten(image) == 0;
    return end || image->sync_due || unsynced(image) >= NODE_FOLLOWS_SYNC_BYTES;
}

_Static_assert(2 * NODE_FOLLOWS_SYNC_BYTES <= INCOMING_UNSYNCED_BYTES_MAX,
               "a write begins with at most the one unsynced and adds at most as much");

static bool may_write(const struct follows_image *image)
{
    return !image->writes && unwritten(image) > 0 && unsynced(image) <= NODE_FOLLOWS_SYNC_BYTES;
}

static void go_on(struct follows_image *image)
{
    if (!image->open || image->gone || image->failed) return;
    if (must_sync(image)) submit_sync(image);
    if (may_write(image)) submit_write(image);
    if (follows_image_is_busy(image)) return;
    if (image->finishes) {
        close_file(image);
        image->finished(image);
    } else if (unsynced(image) > 0 && !image->timer.armed) {
        clock_timer_start(image->clock, &image->timer, NODE_FOLLOWS_SYNC_US);
    }
}

bool follows_image_write(struct follows_image *image, struct bytes bytes)
{
    if (!image->open || image->gone || image->failed) return true; /* who asked has been told */
    if (unwritten(image) + bytes.size > NODE_FOLLOWS_WAITING_BYTES) return false;
    buffer_append(&image->waiting, bytes);
    go_on(image);
    return true;
}

void follows_image_finish(struct follows_image *image)
{
    image->finishes = true;
    go_on(image);
}
