/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/archivist.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/net.h"
#include "sim/ops.h"
#include "sim/server_program.h"

enum {
    ARCHIVIST_AGAIN_US = 3 * SIM_MILLISECOND,
    ARCHIVIST_LOOK_US = 2 * SIM_MILLISECOND,
    ARCHIVIST_PATIENCE_US = 20 * SIM_SECOND,
};

static struct archivist *archivist_of(struct stream_owner *owner)
{
    return CONTAINER_OF(owner, struct archivist, owner);
}

static struct sim_world *world_of(const struct archivist *archivist)
{
    return archivist->gallery->world;
}

static void plan(struct archivist *archivist, uint64_t delay_us)
{
    sim_world_cancel(world_of(archivist), &archivist->next);
    sim_world_plan(world_of(archivist), &archivist->next, delay_us);
}

/* What it waits for is never told. */
static void drop(struct archivist *archivist)
{
    if (archivist->stream != NULL) sim_hang_up(archivist->stream, false);
    archivist->stream = NULL;
    archivist->waiting = archivist->owed = false;
    buffer_clear(&archivist->in);
    sim_world_cancel(world_of(archivist), &archivist->next);
    if (archivist->going) plan(archivist, ARCHIVIST_AGAIN_US + dice_below(&archivist->dice, 20000));
}

/* --- What it asks --- */

static void send_text(struct archivist *archivist, const char *text)
{
    sim_send(archivist->stream, bytes_text(text));
}

static void look(struct archivist *archivist)
{
    archivist->looking = true;
    send_text(archivist, "*1\r\n$8\r\nLASTSAVE\r\n*2\r\n$4\r\nINFO\r\n$11\r\npersistence\r\n");
}

static void ask(struct archivist *archivist)
{
    archivist->looking = false;
    archivist->saves = archivist->last || dice_chance(&archivist->dice, 1, 2);
    archivist->last = false;
    archivist->floor = *archivist->newest;
    archivist->asked++;
    send_text(archivist, archivist->saves ? "*1\r\n$4\r\nSAVE\r\n" : "*1\r\n$6\r\nBGSAVE\r\n");
}

static void next_fired(struct sim_event *event)
{
    struct archivist *archivist = CONTAINER_OF(event, struct archivist, next);
    if (archivist->waiting) { /* for too long */
        drop(archivist);
        return;
    }
    if (!archivist->going && !archivist->owed && !archivist->last) return;
    if (archivist->stream == NULL) {
        archivist->stream = sim_connect(world_of(archivist), archivist->gallery->node, SERVER_PORT,
                                        &archivist->owner);
    }
    archivist->waiting = true;
    archivist->answers = 0;
    archivist->least = archivist->gallery->least;
    archivist->excused = archivist->may_fail(archivist);
    bool looks = archivist->owed || (!archivist->last && dice_chance(&archivist->dice, 1, 4));
    if (looks) look(archivist);
    else ask(archivist);
    plan(archivist, ARCHIVIST_PATIENCE_US);
}

/* --- What it is told --- */

static void check_failed(struct archivist *archivist, struct bytes reply)
{
    archivist->refused++;
    if (archivist->excused || archivist->may_fail(archivist)) return;
    sim_world_fail(world_of(archivist), "images: none was saved without a reason: %.*s",
                   (int)(reply.size < 200 ? reply.size : 200), (const char *)reply.data);
}

/* What was asked for is told as saved: it holds what it must. */
static void check_saved(struct archivist *archivist, uint64_t lsn)
{
    if (lsn >= archivist->floor) return;
    sim_world_fail(world_of(archivist),
                   "images: one of LSN %" PRIu64 " was saved, told before was LSN %" PRIu64, lsn,
                   archivist->floor);
}

static void take_ask(struct archivist *archivist, struct bytes reply)
{
    bool good = bytes_equal(
        reply, bytes_text(archivist->saves ? "+OK\r\n" : "+Background saving started\r\n"));
    bool busy = bytes_equal(reply, bytes_text("-ERR Background save already in progress\r\n"));
    if (!good) {
        if (!busy) check_failed(archivist, reply);
    } else if (archivist->saves) {
        check_saved(archivist, archivist->gallery->least);
    } else {
        archivist->owed = true;
    }
}

/* The number behind the name in the answer of INFO. */
static uint64_t figure(const struct buffer *info, const char *name)
{
    const char *at = strstr((const char *)info->data, name);
    MUST(at != NULL);
    return strtoull(at + strlen(name), NULL, 10);
}

static void take_info(struct archivist *archivist, struct bytes reply)
{
    struct buffer info;
    buffer_init(&info);
    buffer_append(&info, reply);
    buffer_append_byte(&info, 0);
    struct gallery_image image = {.lsn = figure(&info, "\r\nimage_lsn:"),
                                  .bytes = figure(&info, "\r\nimage_bytes:"),
                                  .taken_ms = figure(&info, "\r\nrdb_last_save_time:") * 1000};
    gallery_told(archivist->gallery, &image, archivist->least);
    bool busy = figure(&info, "\r\nrdb_bgsave_in_progress:") != 0;
    bool failed = strstr((const char *)info.data, "\r\nrdb_last_bgsave_status:ok") == NULL;
    if (failed) check_failed(archivist, bytes_text("rdb_last_bgsave_status"));
    if (archivist->owed && !busy) {
        archivist->owed = false;
        if (!failed) check_saved(archivist, image.lsn);
    }
    buffer_release(&info);
}

static void take(struct archivist *archivist, struct bytes reply)
{
    unsigned at = archivist->answers++;
    bool loading = bytes_starts_with(reply, bytes_text("-LOADING"));
    if (loading) check_failed(archivist, reply);
    else if (!archivist->looking) take_ask(archivist, reply);
    else if (at == 1) take_info(archivist, reply);
    else
        gallery_told_time(archivist->gallery, strtoull((const char *)reply.data + 1, NULL, 10),
                          archivist->least);
}

static void received(struct stream_owner *owner, struct bytes bytes)
{
    struct archivist *archivist = archivist_of(owner);
    buffer_append(&archivist->in, bytes);
    unsigned expected = archivist->looking ? 2 : 1;
    size_t size;
    while (archivist->waiting && (size = resp_whole(buffer_bytes(&archivist->in))) != 0) {
        take(archivist, bytes_of(archivist->in.data, size));
        buffer_consume(&archivist->in, size);
        archivist->waiting = archivist->answers < expected;
    }
    if (archivist->waiting) return;
    uint64_t pause_us = archivist->owed ? ARCHIVIST_LOOK_US : archivist->pause_us;
    plan(archivist, 1 + dice_below(&archivist->dice, pause_us));
}

static void drained(struct stream_owner *owner)
{
    (void)owner;
}

static void ended(struct stream_owner *owner)
{
    drop(archivist_of(owner));
}

/* --- Going --- */

void archivist_init(struct archivist *archivist, struct gallery *gallery, const uint64_t *newest,
                    uint64_t seed)
{
    static const struct stream_events events = {received, drained, ended};
    *archivist = (struct archivist){.owner.events = &events,
                                    .next.fired = next_fired,
                                    .gallery = gallery,
                                    .newest = newest,
                                    .pause_us = 100 * SIM_MILLISECOND};
    dice_init(&archivist->dice, seed);
    buffer_init(&archivist->in);
}

void archivist_release(struct archivist *archivist)
{
    archivist->going = false;
    drop(archivist);
    buffer_release(&archivist->in);
}

void archivist_go(struct archivist *archivist, bool going)
{
    bool went = archivist->going;
    archivist->going = going;
    if (!going || went || archivist->next.queued) return;
    plan(archivist, 1 + dice_below(&archivist->dice, archivist->pause_us));
}

void archivist_save(struct archivist *archivist)
{
    archivist->last = true;
    plan(archivist, 1);
}

bool archivist_idle(const struct archivist *archivist)
{
    return !archivist->waiting && !archivist->owed && !archivist->last;
}
