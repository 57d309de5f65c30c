/* SPDX-License-Identifier: Apache-2.0 */
/* The scrubber: reads what lies on the shelf again, a piece at a time (keeper.h has the diagram).
 *
 * It reads past the page cache where it can: what the disk has is in question, and memory is for
 * the store. An image whose bytes are not those that were written gets a name under which nobody
 * uses it, and is kept as evidence. One that cannot be read now, or is of a later format, keeps its
 * name and is tried again. */
#include <inttypes.h>

#include "base/memory.h"
#include "snapshot/keeper.h"

enum {
    PIECE_BYTES = 128 << 10,
    PIECE_ALIGNMENT = 4096,
};

static void go(struct snapshot *snapshot);

static bool is_held(const struct snapshot *snapshot)
{
    return snapshot->step != STEP_IDLE;
}

/* Nobody wants to know any more. */
static bool is_void(struct snapshot *snapshot)
{
    return snapshot->scrub.stopping || shelf_find(&snapshot->shelf, snapshot->scrub.id) == NULL;
}

static uint64_t pause_of(uint64_t bytes_per_second)
{
    return bytes_per_second == 0 ? 0 : (uint64_t)PIECE_BYTES * 1000 * 1000 / bytes_per_second;
}

static void disk_answered(struct disk_request *request)
{
    struct snapshot *snapshot = CONTAINER_OF(request, struct snapshot, scrub.request);
    snapshot->scrub.asked = false;
    if (snapshot->gone) snapshot_let_go(snapshot);
    else go(snapshot);
}

/* A pause lasts as long as an image is written. */
static void end_pause(struct snapshot *snapshot)
{
    if (snapshot->scrub.step == SCRUB_PAUSE && !is_held(snapshot)) go(snapshot);
}

static void timer_fired(struct timer *timer)
{
    end_pause(CONTAINER_OF(timer, struct snapshot, scrub.timer));
}

static void task_run(struct task *task)
{
    struct snapshot *snapshot = CONTAINER_OF(task, struct snapshot, scrub.task);
    clock_timer_stop(snapshot->clock, &snapshot->scrub.timer);
    end_pause(snapshot);
}

static void ask(struct snapshot *snapshot, enum scrub_step next, struct disk_request request)
{
    struct scrub *scrub = &snapshot->scrub;
    scrub->step = next;
    scrub->asked = true;
    scrub->request = request;
    scrub->request.done = disk_answered;
    disk_submit(snapshot->place.disk, &scrub->request);
}

/* --- The end of one --- */

static void let_go(struct scrub *scrub)
{
    image_check_close(scrub->check);
    memory_free(scrub->piece);
    memory_free(scrub->path);
    memory_free(scrub->path_bad);
    scrub->check = NULL;
    scrub->piece = NULL;
    scrub->path = scrub->path_bad = NULL;
    scrub->yields = false;
    scrub->step = SCRUB_IDLE;
}

static void ended(struct snapshot *snapshot)
{
    let_go(&snapshot->scrub);
    holds_step_soon(snapshot);
    snapshot->listener->scrubbed(snapshot->listener);
}

static void warn(const struct snapshot *snapshot, const char *event, const char *why)
{
    const struct scrub *scrub = &snapshot->scrub;
    trace_event(snapshot->place.trace, TRACE_WARNING, "snapshot", event,
                "path=%s error=%s why=\"%s\"", scrub->path, err_name(scrub->err), why);
}

/* The file is closed. */
static void conclude(struct snapshot *snapshot)
{
    struct scrub *scrub = &snapshot->scrub;
    struct shelf_image *image = shelf_find(&snapshot->shelf, scrub->id);
    if (is_void(snapshot) || scrub->yields) {
        ended(snapshot);
        return;
    }
    snapshot->scrubbed_ms = clock_wall_ms(snapshot->clock);
    image->checked_us = clock_now_us(snapshot->clock);
    image->bad = scrub->err != ERR_OK;
    holds_concluded(snapshot, scrub->id, scrub->err, scrub->checksum);
    if (scrub->err == ERR_OK) {
        trace_event(snapshot->place.trace, TRACE_VERBOSE, "snapshot", "image_checked",
                    "path=%s bytes=%" PRIu64, scrub->path, scrub->size);
        ended(snapshot);
        return;
    }
    warn(snapshot, "image_bad", scrub->why.text);
    if (scrub->err != ERR_CORRUPT) {
        ended(snapshot);
        return;
    }
    ask(snapshot, SCRUB_ASIDE,
        (struct disk_request){.op = DISK_RENAME, .path = scrub->path, .path_to = scrub->path_bad});
}

static void close_file(struct snapshot *snapshot)
{
    struct disk_file *file = snapshot->scrub.file;
    snapshot->scrub.file = NULL;
    ask(snapshot, SCRUB_CLOSE, (struct disk_request){.op = DISK_CLOSE, .file = file});
}

/* --- The steps --- */

static void opened(struct snapshot *snapshot)
{
    struct scrub *scrub = &snapshot->scrub;
    if (scrub->request.err == ERR_NOT_FOUND) { /* somebody has taken it away, which they may */
        shelf_forget(&snapshot->shelf, scrub->id);
        ended(snapshot);
        return;
    }
    if (scrub->request.err != ERR_OK) {
        scrub->err = why_fail(&scrub->why, scrub->request.err, "%s", scrub->request.why.text);
        conclude(snapshot);
        return;
    }
    scrub->file = scrub->request.file;
    scrub->size = scrub->request.size;
    scrub->check = image_check_open(scrub->size);
    scrub->piece = memory_aligned(PIECE_ALIGNMENT, PIECE_BYTES);
    scrub->step = SCRUB_PAUSE;
    go(snapshot);
}

static void read_next(struct snapshot *snapshot)
{
    struct scrub *scrub = &snapshot->scrub;
    if (is_void(snapshot) || scrub->yields) {
        close_file(snapshot);
        return;
    }
    ask(snapshot, SCRUB_READ,
        (struct disk_request){.op = DISK_READ,
                              .file = scrub->file,
                              .offset = scrub->offset,
                              .data = scrub->piece,
                              .size = PIECE_BYTES});
}

static void was_read(struct snapshot *snapshot)
{
    struct scrub *scrub = &snapshot->scrub;
    const struct disk_request *read = &scrub->request;
    if (read->err != ERR_OK) {
        scrub->err = why_fail(&scrub->why, read->err, "%s", read->why.text);
    } else {
        struct bytes piece = bytes_of(scrub->piece, (size_t)read->moved);
        scrub->err = image_check_add(scrub->check, piece, &scrub->why);
    }
    scrub->offset += PIECE_BYTES;
    bool last = read->moved < PIECE_BYTES || scrub->offset >= scrub->size;
    if (scrub->err == ERR_OK && last) {
        scrub->err = image_check_end(scrub->check, &scrub->why);
        struct shelf_image *image = shelf_find(&snapshot->shelf, scrub->id);
        if (scrub->err == ERR_OK && image != NULL) {
            const struct image_facts *facts = image_check_facts(scrub->check);
            scrub->checksum = facts->checksum;
            scrub->err = shelf_accepts(snapshot, image->lsn, facts, &scrub->why);
        }
    }
    if (scrub->err != ERR_OK || last) {
        scrub->yields = false; /* there is a verdict */
        close_file(snapshot);
        return;
    }
    scrub->step = SCRUB_PAUSE;
    clock_timer_start(snapshot->clock, &scrub->timer, scrub->pause_us);
}

static void was_set_aside(struct snapshot *snapshot)
{
    struct scrub *scrub = &snapshot->scrub;
    if (scrub->request.err != ERR_OK) {
        warn(snapshot, "image_not_set_aside", scrub->request.why.text);
        ended(snapshot);
        return;
    }
    shelf_forget(&snapshot->shelf, scrub->id);
    snapshot->shelf.set_aside++;
    ask(snapshot, SCRUB_SYNC_ASIDE,
        (struct disk_request){.op = DISK_SYNC_DIR, .path = snapshot->place.directory});
}

/* The step whose request has come back, or whose time has come. */
static void go(struct snapshot *snapshot)
{
    switch (snapshot->scrub.step) {
    case SCRUB_IDLE: break;
    case SCRUB_OPEN: opened(snapshot); break;
    case SCRUB_READ: was_read(snapshot); break;
    case SCRUB_PAUSE: read_next(snapshot); break;
    case SCRUB_CLOSE: conclude(snapshot); break;
    case SCRUB_ASIDE: was_set_aside(snapshot); break;
    case SCRUB_SYNC_ASIDE: ended(snapshot); break; /* after a power cut it is found again */
    }
}

/* --- The doors --- */

static struct shelf_image *due(struct snapshot *snapshot, uint64_t period_us)
{
    struct shelf *shelf = &snapshot->shelf;
    uint64_t now_us = clock_now_us(snapshot->clock);
    for (size_t i = shelf->count; i > 0; i--) { /* the newest first */
        struct shelf_image *image = &shelf->images[i - 1];
        if (image->checked_us == 0 || now_us - image->checked_us >= period_us) return image;
    }
    return NULL;
}

static bool may_begin(const struct snapshot *snapshot)
{
    const struct scrub *scrub = &snapshot->scrub;
    return !is_held(snapshot) && scrub->step == SCRUB_IDLE && !scrub->stopping;
}

static void begin(struct snapshot *snapshot, const struct shelf_image *image,
                  uint64_t bytes_per_second)
{
    struct scrub *scrub = &snapshot->scrub;
    scrub->id = image->id;
    scrub->path = shelf_path(snapshot, image->lsn, IMAGE_NAME_IMAGE);
    scrub->path_bad = shelf_path(snapshot, image->lsn, IMAGE_NAME_BAD);
    scrub->offset = scrub->size = 0;
    scrub->pause_us = pause_of(bytes_per_second);
    scrub->err = ERR_OK;
    ask(snapshot, SCRUB_OPEN,
        (struct disk_request){
            .op = DISK_OPEN, .path = scrub->path, .direct = true, .read_only = true});
}

void snapshot_scrub(struct snapshot *snapshot, uint64_t bytes_per_second, uint64_t period_us)
{
    if (!may_begin(snapshot)) return;
    const struct shelf_image *image = due(snapshot, period_us);
    if (image != NULL) begin(snapshot, image, bytes_per_second);
}

void scrub_want(struct snapshot *snapshot, uint64_t id, uint64_t bytes_per_second)
{
    struct scrub *scrub = &snapshot->scrub;
    if (may_begin(snapshot)) {
        begin(snapshot, shelf_find(&snapshot->shelf, id), bytes_per_second);
    } else if (scrub->id == id) {
        uint64_t pause_us = pause_of(bytes_per_second);
        if (pause_us < scrub->pause_us) scrub->pause_us = pause_us;
    } else if (scrub->step == SCRUB_READ || scrub->step == SCRUB_PAUSE) {
        scrub->yields = true;
    }
}

void snapshot_scrub_stop(struct snapshot *snapshot)
{
    snapshot->scrub.stopping = true;
    scrub_go_on(snapshot);
}

void scrub_go_on(struct snapshot *snapshot)
{
    clock_defer(snapshot->clock, &snapshot->scrub.task);
}

void scrub_init(struct snapshot *snapshot)
{
    snapshot->scrub.timer.fired = timer_fired;
    snapshot->scrub.task.run = task_run;
}

void scrub_hush(struct snapshot *snapshot)
{
    clock_timer_stop(snapshot->clock, &snapshot->scrub.timer);
    clock_cancel(snapshot->clock, &snapshot->scrub.task);
}

void scrub_release(struct snapshot *snapshot)
{
    struct scrub *scrub = &snapshot->scrub;
    scrub_hush(snapshot);
    struct disk_file *file = scrub->step == SCRUB_OPEN ? scrub->request.file : scrub->file;
    if (file != NULL) {
        struct disk_request close = {.op = DISK_CLOSE, .file = file};
        (void)disk_run(snapshot->place.disk, &close);
    }
    let_go(scrub);
}
