/* SPDX-License-Identifier: Apache-2.0 */
/* Images: flush before save (I5).
 *
 *   asked for --> what is applied now is flushed and its mark read back --> capture of what the
 *   newest flush left --> its own mark is at or above what was asked for, and at most what was
 *   flushed --> written, durable, named
 *
 * A flush that fails saves nothing. While space is short, or the server ends, an image that is not
 * named yet is given up: the log's space comes first. */
#include "node/images.h"

#include <inttypes.h>

#include "base/plant.h"
#include "node/internal.h"

enum { SECOND_US = 1000 * 1000 };

static struct lsn flushed_lsn(const struct node *node)
{
    return node->machine->ops->flushed(node->machine).lsn;
}

static void image_ended(struct node *node, enum err err, const struct why *why)
{
    struct images *images = &node->images;
    images->ended++;
    images->failed = err != ERR_OK;
    if (err == ERR_OK) {
        images->clock_from_us = clock_now_us(node->world.clock);
    } else {
        images->why = *why;
        images->not_before_us = clock_now_us(node->world.clock) + NODE_IMAGE_RETRY_US;
    }
    if (node->phase == NODE_FAILED) return;
    node_turn_step(node);
    node_stop_step(node);
}

static struct node *node_of_listener(struct snapshot_listener *listener)
{
    struct images *images = CONTAINER_OF(listener, struct images, listener);
    return CONTAINER_OF(images, struct node, images);
}

static enum err snapshot_begun(struct snapshot_listener *listener,
                               const struct capture_facts *facts, struct why *why)
{
    struct node *node = node_of_listener(listener);
    struct lsn lsn = facts->mark.lsn, through = node->images.through, flushed = flushed_lsn(node);
    bool above = lsn_before(flushed, lsn) && !PLANTED(IMAGE_MARK_BESIDE);
    if (!lsn_before(lsn, through) && !above) return ERR_OK;
    return why_fail(why, ERR_CORRUPT,
                    "the view holds LSN %" PRIu64 ", asked for was %" PRIu64
                    ", flushed is %" PRIu64,
                    lsn.at, through.at, flushed.at);
}

static void snapshot_ended(struct snapshot_listener *listener, enum err err, const struct why *why)
{
    image_ended(node_of_listener(listener), err, why);
}

static void snapshot_scrubbed(struct snapshot_listener *listener)
{
    struct node *node = node_of_listener(listener);
    if (node->phase == NODE_FAILED) return;
    node_turn_step(node);
    node_stop_step(node);
}

/* As soon as what was asked for is flushed. */
static void save_step(struct node *node)
{
    struct images *images = &node->images;
    if (lsn_before(flushed_lsn(node), images->through)) {
        node_flush_now(node); /* one that is under way already is waited for, then comes another */
        return;
    }
    images->wanted = false;
    struct capture *capture = node->machine->ops->capture(node->machine);
    snapshot_take(images->snapshot, capture, images->options.keep);
}

void node_images_flushed(struct node *node, enum err err)
{
    if (!node->images.wanted) return;
    if (err == ERR_OK) save_step(node);
    else node_images_abort(node, err, node->upkeep.flush.why.text);
}

static bool is_saving(const struct node *node)
{
    return node->images.wanted || !snapshot_is_idle(node->images.snapshot);
}

enum err node_save(struct service *service, struct why *why)
{
    struct node *node = node_of(service);
    struct images *images = &node->images;
    if (is_saving(node)) return why_fail(why, ERR_EXISTS, "Background save already in progress");
    if (node->phase != NODE_SERVING)
        return why_fail(why, ERR_REFUSED, "the server is being started or stopped");
    if (node->turn.kind == TURN_INSTALL)
        return why_fail(why, ERR_REFUSED, "the copy is being changed");
    if (node_is_low(node)) return why_fail(why, ERR_SPACE, "the disk is nearly full");
    images->wanted = true;
    images->through = PLANTED(IMAGE_BEFORE_FLUSH) ? flushed_lsn(node) : node_applied_lsn(node);
    save_step(node);
    return ERR_OK;
}

/* Entries since the image. One beyond what is applied is of another course of this history (a store
 * that was restored from a copy): it tells nothing of what is here. */
static uint64_t changes_since(const struct node *node, struct lsn image)
{
    struct lsn applied = node_applied_lsn(node);
    return lsn_before(applied, image) ? applied.at : applied.at - image.at;
}

static bool is_due(const struct node *node)
{
    const struct images *images = &node->images;
    uint64_t now_us = clock_now_us(node->world.clock);
    if (now_us < images->not_before_us) return false;
    struct snapshot_status status;
    snapshot_status(images->snapshot, &status);
    uint64_t changes = changes_since(node, status.mark.lsn);
    for (size_t i = 0; i < images->options.point_count; i++) {
        const struct node_save_point *point = &images->options.points[i];
        uint64_t seconds = (now_us - images->clock_from_us) / SECOND_US;
        if (changes >= point->changes && changes > 0 && seconds >= point->seconds) return true;
    }
    return false;
}

void node_images_tick(struct node *node)
{
    struct images *images = &node->images;
    snapshot_scrub(images->snapshot, NODE_SCRUB_BYTES_PER_SECOND,
                   (uint64_t)NODE_SCRUB_PERIOD_S * SECOND_US);
    if (is_saving(node)) {
        if (node_is_low(node)) node_images_abort(node, ERR_SPACE, "the disk is nearly full");
    } else if (is_due(node)) {
        struct why why;
        if (node_save(&node->service, &why) != ERR_OK) {
            images->not_before_us = clock_now_us(node->world.clock) + NODE_IMAGE_RETRY_US;
            trace_event(node->world.trace, TRACE_WARNING, "node", "image_not_begun", "why=\"%s\"",
                        why.text);
        }
    }
}

void node_images_abort(struct node *node, enum err err, const char *text)
{
    struct images *images = &node->images;
    if (!images->wanted) { /* a turn that failed has closed the keeper already */
        if (images->snapshot != NULL) snapshot_abort(images->snapshot, err, text);
        return;
    }
    images->wanted = false;
    struct why why;
    (void)why_fail(&why, err, "%s", text);
    image_ended(node, err, &why);
}

void node_images_stop(struct node *node, const char *text)
{
    node_images_abort(node, ERR_SHUT, text);
    snapshot_scrub_stop(node->images.snapshot);
}

bool node_images_quiet(const struct node *node)
{
    return !node->images.wanted && snapshot_is_quiet(node->images.snapshot);
}

void node_images_status(const struct node *node, struct service_images *out)
{
    const struct images *images = &node->images;
    struct snapshot_status status;
    snapshot_status(images->snapshot, &status);
    *out = (struct service_images){.saving = is_saving(node),
                                   .failed = images->failed,
                                   .ended = images->ended,
                                   .images = status.images,
                                   .bad = status.images_bad,
                                   .checked_s = status.scrubbed_ms / 1000,
                                   .changes = changes_since(node, status.mark.lsn),
                                   .lsn = status.mark.lsn,
                                   .saved_s = status.taken_ms / 1000,
                                   .bytes = status.bytes,
                                   .took_us = status.took_us,
                                   .began_us = status.began_us,
                                   .bytes_done = status.bytes_done,
                                   .bytes_expected = status.bytes_expected,
                                   .why = images->why};
}

enum err node_images_open(struct node *node, struct why *why)
{
    struct images *images = &node->images;
    if (images->options.keep == 0) images->options.keep = 1;
    images->listener = (struct snapshot_listener){snapshot_begun, snapshot_ended,
                                                  snapshot_scrubbed};
    struct image_place place = node_image_place(node);
    enum err err = snapshot_open(&images->snapshot, &place, node->world.clock, &images->listener,
                                 why);
    if (err != ERR_OK) return err;
    struct snapshot_status status;
    snapshot_status(images->snapshot, &status);
    uint64_t wall_ms = clock_wall_ms(node->world.clock);
    uint64_t age_ms = wall_ms > status.taken_ms ? wall_ms - status.taken_ms : 0;
    uint64_t now_us = clock_now_us(node->world.clock);
    images->clock_from_us = now_us;
    if (status.mark.lsn.at != 0 && age_ms < now_us / 1000) images->clock_from_us -= age_ms * 1000;
    return ERR_OK;
}

void node_set_images(struct node *node, const struct node_images *images)
{
    node->images.options = *images;
}

struct image_place node_image_place(const struct node *node)
{
    return (struct image_place){.directory = node->site.images,
                                .disk = node->world.disk,
                                .trace = node->world.trace,
                                .cluster = site_cluster(&node->site),
                                .history = node->site.pointer.history,
                                .shard = node->options.shard.number};
}
