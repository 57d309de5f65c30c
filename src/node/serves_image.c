/* SPDX-License-Identifier: Apache-2.0 */
/* The image that a copy is rebuilt from.
 *
 *   WANTED --the plan has none--> one is made, or waited for --> HELD --> its file is opened
 *     --> pieces of it are read as the session asks for them, while every byte is checked
 *     --> the last piece is given out when all of it was found good
 *
 * So what has rotted here is never there whole, and the check costs no time of its own. It is held
 * until the session is done with it, so that a newer one does not remove it. What a request at the
 * disk uses lives until its end, also when the session, the role or the node is gone by then. */
#include "base/memory.h"
#include "node/serving.h"

static struct snapshot *snapshot_of(const struct serve *serve)
{
    return serve->serves->node->images.snapshot;
}

struct mark serve_newest_image(const struct node *node)
{
    struct snapshot_status status;
    snapshot_status(node->images.snapshot, &status);
    return status.mark;
}

static void warn(const struct serve *serve, const struct why *why)
{
    trace_event(serve->serves->node->world.trace, TRACE_WARNING, "node", "serve_image_failed",
                "copy=%016llx why=\"%s\"", (unsigned long long)serve->copy, why->text);
}

enum err serve_image_pin(struct serve *serve, const struct mark *mark)
{
    struct serve_image *image = &serve->image;
    struct why why;
    enum err err = snapshot_hold(snapshot_of(serve), &image->hold, mark, &why);
    image->held = err == ERR_OK;
    if (err != ERR_OK) warn(serve, &why);
    return err;
}

/* --- The disk --- */

static void image_done(struct disk_request *request);

static void submit(struct serve *serve, const struct disk_request *request)
{
    struct serve_image *image = &serve->image;
    image->request = *request;
    image->request.done = image_done;
    image->flies = true;
    disk_submit(image->disk, &image->request);
}

static void close_file(struct serve *serve)
{
    struct disk_request request = {.op = DISK_CLOSE, .file = serve->image.file};
    serve->image.file = NULL;
    submit(serve, &request);
}

static void image_done(struct disk_request *request)
{
    struct serve *serve = CONTAINER_OF(request, struct serve, image.request);
    struct serve_image *image = &serve->image;
    image->flies = false;
    if (request->op == DISK_OPEN && request->err == ERR_OK) image->file = request->file;
    if (request->op == DISK_READ) {
        bool whole = request->err == ERR_OK && request->moved == request->size;
        image->bytes.size = whole ? request->size : 0;
        image->has_bytes = true;
    }
    if (image->over && image->file != NULL) close_file(serve);
    else if (serve->serves == NULL) serve_landed(serve);
    else {
        if (request->op == DISK_OPEN) image->err = request->err;
        peer_wake(&serve->peer);
    }
}

/* --- One to send --- */

static void check_done(struct image_hold *hold)
{
    struct serve *serve = CONTAINER_OF(hold, struct serve, image.hold);
    serve->image.err = hold->err;
    if (hold->err != ERR_OK) warn(serve, &hold->why);
    peer_wake(&serve->peer);
}

/* One that is new enough is there, or is made. False: it takes its time. */
static bool has_new_one(struct serve *serve)
{
    struct serve_image *image = &serve->image;
    struct node *node = serve->serves->node;
    struct mark newest = serve_newest_image(node);
    struct why why;
    if (newest.lsn.at > 0 && newest.lsn.at + 1 >= serve->primary.plan.pin.at) {
        image->err = serve_image_pin(serve, &newest);
        return true;
    }
    if (image->saves && node->images.ended < image->saves_end) return false;
    if (image->saves && node->images.failed) {
        image->err = ERR_IO;
        return true;
    }
    enum err err = node_save(&node->service, &why);
    image->saves = err == ERR_OK || err == ERR_EXISTS; /* one that is under way may be too old */
    image->saves_end = node->images.ended + 1;
    if (image->saves) return false;
    image->err = err;
    warn(serve, &why);
    return true;
}

static void check(struct serve *serve)
{
    struct serve_image *image = &serve->image;
    image->checks = true;
    image->checks = true;
    image->hold.done = check_done;
    snapshot_hold_check(snapshot_of(serve), &image->hold, NODE_SERVES_CHECK_BYTES_PER_SECOND);
}

static void open_file(struct serve *serve)
{
    struct serve_image *image = &serve->image;
    size_t size = strlen(image->hold.path) + 1;
    image->path = memory_alloc(size);
    memcpy(image->path, image->hold.path, size);
    submit(serve, &(struct disk_request){.op = DISK_OPEN, .path = image->path, .read_only = true});
}

bool serve_image_begin(struct serve *serve, struct session_event *event)
{
    struct serve_image *image = &serve->image;
    if (image->err == ERR_OK && !image->held && !has_new_one(serve)) return false;
    event->kind = EVENT_IMAGE;
    event->image = &image->offer;
    event->err = image->err;
    if (image->err != ERR_OK) {
        serve_tell(serve, TOLD_IMAGE_FAILED);
        return true;
    }
    if (!image->checks) check(serve);
    if (image->file == NULL) {
        if (!image->flies) open_file(serve);
        return false;
    }
    image->offer = (struct message_image){
        .mark = image->hold.mark, .size = image->hold.size, .checksum = image->hold.checksum};
    return true;
}

/* The end only of one that is good. */
static bool may_give_out(const struct serve_image *image, const struct serve_asked *asked)
{
    bool last = asked->offset + asked->size >= image->hold.size;
    return !last || image->hold.checked;
}

bool serve_image_read(struct serve *serve, struct session_event *event)
{
    struct serve_image *image = &serve->image;
    const struct serve_asked *asked = &serve->asked;
    event->kind = EVENT_IMAGE_BYTES;
    event->err = image->err;
    if (image->err != ERR_OK) {
        serve_tell(serve, TOLD_IMAGE_FAILED);
        return true;
    }
    if (!image->has_bytes) {
        if (image->flies) return false;
        buffer_clear(&image->bytes);
        struct disk_request read = {.op = DISK_READ,
                                    .file = image->file,
                                    .offset = asked->offset,
                                    .data = buffer_reserve(&image->bytes, asked->size),
                                    .size = asked->size};
        submit(serve, &read);
        return false;
    }
    if (!may_give_out(image, asked)) return false;
    image->has_bytes = false;
    event->err = image->bytes.size == asked->size ? ERR_OK : ERR_IO;
    if (event->err != ERR_OK) serve_tell(serve, TOLD_IMAGE_FAILED);
    event->image_bytes = buffer_bytes(&image->bytes);
    return true;
}

void serve_image_end(struct serve *serve)
{
    struct serve_image *image = &serve->image;
    if (image->held) snapshot_unhold(snapshot_of(serve), &image->hold);
    image->held = false;
    image->over = true;
    if (image->file != NULL && !image->flies) close_file(serve);
}
