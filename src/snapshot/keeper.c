/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper: writes an image in bounded steps (keeper.h has the diagram).
 *
 * A step takes records out of the capture for a bounded time; a pause follows that is a multiple of
 * what it took, so that an image never has more than a part of the loop. What is written is synced
 * in parts, so that the last sync is short and the log's syncs are never behind a large one. */
#include "snapshot/keeper.h"

#include <inttypes.h>

#include "base/memory.h"
#include "base/path.h"
#include "base/plant.h"

enum {
    STEP_US = 300,        /* of records in one go */
    STEP_RECORDS = 32,    /* between two looks at the clock */
    PAUSE_TIMES = 2,      /* as long as the step took */
    SCRUB_WAIT_US = 1000, /* until the scrubber's request has come back */
    SYNC_PART_BYTES = 8 << 20,
};

static void step(struct snapshot *snapshot);

/* --- What is asked of others --- */

static void disk_answered(struct disk_request *request)
{
    struct snapshot *snapshot = CONTAINER_OF(request, struct snapshot, request);
    snapshot->asked = false;
    if (snapshot->gone) snapshot_let_go(snapshot);
    else step(snapshot);
}

static void ask(struct snapshot *snapshot, enum snapshot_step next, struct disk_request request)
{
    snapshot->step = next;
    snapshot->asked = true;
    snapshot->request = request;
    snapshot->request.done = disk_answered;
    disk_submit(snapshot->place.disk, &snapshot->request);
}

static void ask_sync(struct snapshot *snapshot, enum snapshot_step next)
{
    ask(snapshot, next, (struct disk_request){.op = DISK_SYNC, .file = snapshot->file});
}

/* Whatever the answer, the file is gone then. */
static void ask_close(struct snapshot *snapshot, enum snapshot_step next)
{
    struct disk_file *file = snapshot->file;
    snapshot->file = NULL;
    ask(snapshot, next, (struct disk_request){.op = DISK_CLOSE, .file = file});
}

static void ask_write(struct snapshot *snapshot, enum snapshot_step next, uint64_t offset)
{
    snapshot->unsynced += snapshot->chunk.size;
    snapshot->bytes_done = offset;
    ask(snapshot, next,
        (struct disk_request){.op = DISK_WRITE,
                              .file = snapshot->file,
                              .offset = offset,
                              .data = snapshot->chunk.data,
                              .size = snapshot->chunk.size});
}

static void warmed(struct capture_warm *warm)
{
    struct snapshot *snapshot = CONTAINER_OF(warm, struct snapshot, warm);
    if (warm->err != ERR_OK && snapshot->err == ERR_OK)
        snapshot->err = why_fail(&snapshot->why, warm->err, "%s", warm->why.text);
    step(snapshot);
}

static void ask_warm(struct snapshot *snapshot)
{
    snapshot->warm = (struct capture_warm){.done = warmed};
    snapshot->capture->ops->warm(snapshot->capture, &snapshot->warm);
}

static void timer_fired(struct timer *timer)
{
    step(CONTAINER_OF(timer, struct snapshot, timer));
}

static void pause_for(struct snapshot *snapshot, uint64_t us)
{
    clock_timer_start(snapshot->clock, &snapshot->timer, us);
}

static void fail(struct snapshot *snapshot, enum err err, const char *what)
{
    if (snapshot->err == ERR_OK) snapshot->err = why_fail(&snapshot->why, err, "%s", what);
}

static void close_capture(struct snapshot *snapshot)
{
    if (snapshot->capture == NULL) return;
    snapshot->capture->ops->close(snapshot->capture);
    snapshot->capture = NULL;
    snapshot->facts.epochs = NULL; /* the capture's */
}

/* --- The end of one --- */

static void tell_saved(struct snapshot *snapshot, uint64_t took_us)
{
    trace_event(snapshot->place.trace, TRACE_NOTICE, "snapshot", "saved",
                "path=%s lsn=%" PRIu64 " records=%" PRIu64 " bytes=%" PRIu64 " us=%" PRIu64,
                snapshot->path_to, snapshot->facts.mark.lsn.at, snapshot->chain.records,
                snapshot->chain.offset, took_us);
}

static void release_image(struct snapshot *snapshot)
{
    clock_timer_stop(snapshot->clock, &snapshot->timer);
    close_capture(snapshot);
    memory_free(snapshot->path);
    memory_free(snapshot->path_to);
    memory_free(snapshot->doomed);
    snapshot->path = snapshot->path_to = snapshot->doomed = NULL;
    buffer_release(&snapshot->chunk);
    buffer_init(&snapshot->chunk);
}

static void ended(struct snapshot *snapshot)
{
    bool tidied = snapshot->tidying;
    if (snapshot->err != ERR_OK) {
        trace_event(snapshot->place.trace, TRACE_WARNING, "snapshot", "not_saved",
                    "error=%s why=\"%s\"", err_name(snapshot->err), snapshot->why.text);
    }
    release_image(snapshot);
    snapshot->began_us = snapshot->bytes_done = snapshot->bytes_expected = 0;
    snapshot->step = STEP_IDLE;
    snapshot->tidying = false;
    scrub_go_on(snapshot);
    holds_step_soon(snapshot);
    if (tidied) snapshot->listener->scrubbed(snapshot->listener);
    else snapshot->listener->ended(snapshot->listener, snapshot->err, &snapshot->why);
}

/* Nothing of it may stay. A temporary that cannot be removed now is by the next start. */
static void drop(struct snapshot *snapshot)
{
    clock_timer_stop(snapshot->clock, &snapshot->timer);
    close_capture(snapshot);
    if (snapshot->file != NULL) {
        ask_close(snapshot, STEP_DROP_CLOSE);
    } else if (snapshot->made) {
        ask(snapshot, STEP_DROP_REMOVE,
            (struct disk_request){.op = DISK_REMOVE, .path = snapshot->path});
    } else {
        snapshot->step = STEP_END;
        pause_for(snapshot, 0);
    }
}

/* --- The steps --- */

static void learn(struct snapshot *snapshot)
{
    if (snapshot->scrub.asked) {
        pause_for(snapshot, SCRUB_WAIT_US);
        return;
    }
    struct capture_facts facts;
    struct why why;
    enum err err = snapshot->capture->ops->facts(snapshot->capture, &facts, &why);
    if (err == ERR_PENDING) {
        ask_warm(snapshot);
        return;
    }
    if (err == ERR_OK) err = snapshot->listener->begun(snapshot->listener, &facts, &why);
    if (err != ERR_OK) {
        fail(snapshot, err, why.text);
        drop(snapshot);
        return;
    }
    snapshot->facts = (struct image_facts){.shard = snapshot->place.shard,
                                           .cluster = snapshot->place.cluster,
                                           .taken_ms = clock_wall_ms(snapshot->clock),
                                           .mark = facts.mark,
                                           .stamp = facts.stamp,
                                           .stream_offset = facts.stream_offset,
                                           .epochs = facts.epochs,
                                           .epoch_count = facts.epoch_count,
                                           .keys = facts.keys,
                                           .digest = facts.digest};
    snapshot->bytes_expected = facts.bytes_expected;
    snapshot->path = shelf_path(snapshot, facts.mark.lsn, IMAGE_NAME_LEFTOVER);
    snapshot->path_to = shelf_path(snapshot, facts.mark.lsn, IMAGE_NAME_IMAGE);
    ask(snapshot, STEP_CREATE, (struct disk_request){.op = DISK_CREATE, .path = snapshot->path});
}

static void created(struct snapshot *snapshot)
{
    snapshot->made = true;
    snapshot->file = snapshot->request.file;
    buffer_clear(&snapshot->chunk);
    image_begin(&snapshot->chunk, &snapshot->facts, &snapshot->chain);
    ask_write(snapshot, STEP_WRITE, 0);
}

static void finish_chunk(struct snapshot *snapshot)
{
    uint64_t offset = snapshot->chain.offset;
    image_chunk_seal(&snapshot->chunk, snapshot->chunk_records, &snapshot->chain);
    ask_write(snapshot, STEP_WRITE, offset);
}

static void finish_body(struct snapshot *snapshot)
{
    close_capture(snapshot);
    uint64_t offset = snapshot->chain.offset;
    buffer_clear(&snapshot->chunk);
    image_end(&snapshot->chunk, &snapshot->facts, &snapshot->chain);
    ask_write(snapshot, STEP_WRITE_END, offset);
}

/* Takes records until the chunk is full or the time of this step is over. */
static void fill(struct snapshot *snapshot)
{
    uint64_t began_us = clock_now_us(snapshot->clock), spent_us = 0;
    for (unsigned taken = 1;; taken++) {
        struct bytes key, value;
        enum err err = snapshot->capture->ops->next(snapshot->capture, &key, &value);
        if (err == ERR_PENDING) {
            ask_warm(snapshot);
            return;
        }
        if (err == ERR_NOT_FOUND) {
            if (snapshot->chunk_records > 0) finish_chunk(snapshot);
            else finish_body(snapshot);
            return;
        }
        if (err != ERR_OK) {
            fail(snapshot, err, "the store cannot be read");
            drop(snapshot);
            return;
        }
        image_chunk_add(&snapshot->chunk, key, value);
        snapshot->chunk_records++;
        if (snapshot->chunk.size >= IMAGE_CHUNK_BYTES) {
            finish_chunk(snapshot);
            return;
        }
        if (taken % STEP_RECORDS != 0) continue;
        spent_us = clock_now_us(snapshot->clock) - began_us;
        if (spent_us >= STEP_US) break;
    }
    pause_for(snapshot, spent_us * PAUSE_TIMES);
}

/* A chunk is written: the next one, after a pause. */
static void written(struct snapshot *snapshot)
{
    if (snapshot->unsynced >= SYNC_PART_BYTES) {
        snapshot->unsynced = 0;
        ask_sync(snapshot, STEP_SYNC_PART);
        return;
    }
    snapshot->step = STEP_FILL;
    snapshot->chunk_records = 0;
    image_chunk_begin(&snapshot->chunk);
    pause_for(snapshot, STEP_US * PAUSE_TIMES);
}

static void publish(struct snapshot *snapshot)
{
    ask(snapshot, STEP_RENAME,
        (struct disk_request){
            .op = DISK_RENAME, .path = snapshot->path, .path_to = snapshot->path_to});
}

/* The image has its name, durably. */
static void saved(struct snapshot *snapshot)
{
    uint64_t took_us = clock_now_us(snapshot->clock) - snapshot->began_us;
    struct shelf_image image = {.lsn = snapshot->facts.mark.lsn,
                                .mark = snapshot->facts.mark,
                                .checksum = snapshot->chain.footer,
                                .taken_ms = snapshot->facts.taken_ms,
                                .took_us = took_us,
                                .bytes = snapshot->chain.offset};
    shelf_put(&snapshot->shelf, &image);
    tell_saved(snapshot, took_us);
}

/* An image that is now too much. */
static void remove_next(struct snapshot *snapshot)
{
    const struct shelf_image *image = shelf_doomed(snapshot, snapshot->keep);
    if (image == NULL) {
        ended(snapshot);
        return;
    }
    memory_free(snapshot->doomed);
    snapshot->doomed_id = image->id;
    snapshot->doomed = shelf_path(snapshot, image->lsn, IMAGE_NAME_IMAGE);
    ask(snapshot, STEP_REMOVE, (struct disk_request){.op = DISK_REMOVE, .path = snapshot->doomed});
}

/* One that cannot be removed is left to the next image's turn. The removal is not synced: what
 * comes back after a power cut is removed again. */
static void removed(struct snapshot *snapshot)
{
    enum err err = snapshot->request.err;
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        trace_event(snapshot->place.trace, TRACE_WARNING, "snapshot", "image_not_removed",
                    "path=%s why=\"%s\"", snapshot->doomed, snapshot->request.why.text);
        ended(snapshot);
        return;
    }
    shelf_forget(&snapshot->shelf, snapshot->doomed_id);
    remove_next(snapshot);
}

static void sync_name(struct snapshot *snapshot)
{
    ask(snapshot, STEP_SYNC_NAME,
        (struct disk_request){.op = DISK_SYNC_DIR, .path = snapshot->place.directory});
}

static void named(struct snapshot *snapshot)
{
    if (!PLANTED(IMAGE_SAVED_EARLY)) saved(snapshot);
    remove_next(snapshot);
}

/* The step whose request has come back well, or whose time has come. */
static void go_on(struct snapshot *snapshot)
{
    switch (snapshot->step) {
    case STEP_IDLE: break;
    case STEP_FACTS: learn(snapshot); break;
    case STEP_CREATE: created(snapshot); break;
    case STEP_FILL: fill(snapshot); break;
    case STEP_WRITE:
    case STEP_SYNC_PART: written(snapshot); break;
    case STEP_WRITE_END:
        if (PLANTED(IMAGE_SAVED_EARLY)) saved(snapshot);
        if (PLANTED(IMAGE_WITHOUT_SYNC)) ask_close(snapshot, STEP_CLOSE);
        else ask_sync(snapshot, STEP_SYNC);
        break;
    case STEP_SYNC: ask_close(snapshot, STEP_CLOSE); break;
    case STEP_CLOSE: publish(snapshot); break;
    case STEP_RENAME:
        if (PLANTED(IMAGE_NAME_UNSYNCED)) named(snapshot);
        else sync_name(snapshot);
        break;
    case STEP_SYNC_NAME: named(snapshot); break;
    case STEP_REMOVE: removed(snapshot); break;
    case STEP_DROP_CLOSE: drop(snapshot); break;
    case STEP_DROP_REMOVE:
    case STEP_END: ended(snapshot); break;
    }
}

static bool is_before_name(enum snapshot_step step)
{
    return step >= STEP_FACTS && step <= STEP_RENAME;
}

static void step(struct snapshot *snapshot)
{
    bool asked = snapshot->step != STEP_FACTS && snapshot->step != STEP_FILL &&
                 snapshot->step != STEP_END;
    enum err err = asked ? snapshot->request.err : ERR_OK;
    bool matters = is_before_name(snapshot->step) || snapshot->step == STEP_SYNC_NAME;
    if (err != ERR_OK && matters) fail(snapshot, err, snapshot->request.why.text);
    if (snapshot->step == STEP_CREATE && err == ERR_OK && snapshot->err != ERR_OK) {
        snapshot->made = true;
        snapshot->file = snapshot->request.file;
    }
    /* One that an earlier attempt could not remove is removed by this one. */
    if (snapshot->step == STEP_CREATE && err == ERR_EXISTS) snapshot->made = true;
    if (snapshot->step == STEP_RENAME && err == ERR_OK) {
        /* It is there, whole; an abort comes too late. */
        snapshot->err = ERR_OK;
        snapshot->made = false;
    }
    if (is_before_name(snapshot->step) && snapshot->err != ERR_OK) drop(snapshot);
    else if (snapshot->step == STEP_SYNC_NAME && snapshot->err != ERR_OK) ended(snapshot);
    else go_on(snapshot);
}

/* --- The doors --- */

enum err snapshot_open(struct snapshot **out, const struct image_place *place, struct clock *clock,
                       struct snapshot_listener *listener, struct why *why)
{
    *out = NULL;
    struct snapshot *snapshot = memory_zeroed(1, sizeof *snapshot);
    snapshot->place = *place;
    snapshot->place.directory = path_join(place->directory, "");
    snapshot->clock = clock;
    snapshot->listener = listener;
    snapshot->timer.fired = timer_fired;
    buffer_init(&snapshot->chunk);
    scrub_init(snapshot);
    holds_init(snapshot);
    enum err err = shelf_open(snapshot, why);
    if (err != ERR_OK) {
        snapshot_close(snapshot);
        return err;
    }
    *out = snapshot;
    return ERR_OK;
}

void snapshot_take(struct snapshot *snapshot, struct capture *capture, unsigned keep)
{
    MUST(snapshot->step == STEP_IDLE && keep > 0);
    snapshot->capture = capture;
    snapshot->keep = keep;
    snapshot->err = ERR_OK;
    snapshot->why.text[0] = '\0';
    snapshot->made = false;
    snapshot->unsynced = 0;
    snapshot->chain = (struct image_chain){0};
    snapshot->began_us = clock_now_us(snapshot->clock);
    snapshot->step = STEP_FACTS;
    pause_for(snapshot, 0);
}

void snapshot_tidy(struct snapshot *snapshot)
{
    if (snapshot->step != STEP_IDLE || snapshot->scrub.stopping || snapshot->keep == 0) return;
    if (shelf_doomed(snapshot, snapshot->keep) == NULL) return;
    snapshot->err = ERR_OK;
    snapshot->tidying = true;
    remove_next(snapshot);
}

void snapshot_abort(struct snapshot *snapshot, enum err err, const char *text)
{
    if (!is_before_name(snapshot->step) || snapshot->err != ERR_OK) return;
    fail(snapshot, err, text);
    close_capture(snapshot);
    if (!snapshot->asked) drop(snapshot);
}

bool snapshot_is_idle(const struct snapshot *snapshot)
{
    return snapshot->step == STEP_IDLE;
}

bool snapshot_is_quiet(const struct snapshot *snapshot)
{
    return snapshot_is_idle(snapshot) && snapshot->scrub.step == SCRUB_IDLE;
}

void snapshot_status(const struct snapshot *snapshot, struct snapshot_status *out)
{
    const struct shelf *shelf = &snapshot->shelf;
    const struct shelf_image *newest = shelf_newest(shelf);
    size_t good = shelf_good(shelf);
    *out = (struct snapshot_status){.busy = !snapshot_is_idle(snapshot) && !snapshot->tidying,
                                    .images = good,
                                    .images_bad = shelf->count - good + shelf->set_aside,
                                    .scrubbed_ms = snapshot->scrubbed_ms,
                                    .began_us = snapshot->began_us,
                                    .bytes_done = snapshot->bytes_done,
                                    .bytes_expected = snapshot->bytes_expected};
    if (newest == NULL) return;
    out->mark = newest->mark;
    out->taken_ms = newest->taken_ms;
    out->bytes = newest->bytes;
    out->took_us = newest->took_us;
}

void snapshot_let_go(struct snapshot *snapshot)
{
    if (snapshot->asked || snapshot->scrub.asked) return; /* the disk has memory of ours */
    scrub_release(snapshot);
    struct disk_file *file = snapshot->step == STEP_CREATE ? snapshot->request.file
                                                           : snapshot->file;
    if (file != NULL) {
        struct disk_request close = {.op = DISK_CLOSE, .file = file};
        (void)disk_run(snapshot->place.disk, &close);
    }
    release_image(snapshot);
    shelf_release(&snapshot->shelf);
    /* Made by snapshot_open(). */
    memory_free((void *)(uintptr_t)snapshot->place.directory);
    memory_free(snapshot);
}

void snapshot_close(struct snapshot *snapshot)
{
    if (snapshot == NULL) return;
    MUST(list_empty(&snapshot->holds));
    snapshot->gone = true;
    clock_cancel(snapshot->clock, &snapshot->holds_task);
    clock_timer_stop(snapshot->clock, &snapshot->timer);
    scrub_hush(snapshot);
    close_capture(snapshot);
    snapshot_let_go(snapshot);
}
