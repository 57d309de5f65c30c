/* SPDX-License-Identifier: Apache-2.0 */
#include "node/staging.h"

#include <inttypes.h>

#include "base/memory.h"
#include "node/internal.h"
#include "node/limits.h"

static void step(struct timer *timer);

static void go_on(struct staging *staging)
{
    staging->again.fired = step;
    clock_timer_start(staging->node->world.clock, &staging->again, 0);
}

/* --- What is open --- */

static void close_image(struct staging *staging)
{
    image_close(staging->reader);
    staging_window_close(staging->window);
    staging->reader = NULL;
    staging->window = NULL;
    staging->holds = false;
}

static void let_go(struct staging *staging)
{
    struct node *node = staging->node;
    staging->phase = STAGING_OFF;
    node->maker->fill_close(node->maker); /* it reads from nothing of this */
    staging->filler = NULL;
    close_image(staging);
}

/* What was made goes at once: the turn may need the space. */
static void fail(struct staging *staging, const struct why *why)
{
    struct node *node = staging->node;
    trace_event(node->world.trace, TRACE_WARNING, "node", "staging_failed", "shard=%s why=\"%s\"",
                node->options.shard.name, why->text);
    let_go(staging);
    site_abandon(&node->site, &staging->next);
    if (staging->finishes) go_on(staging);
}

/* --- What the reader has --- */

static void fetched(struct staging_window *window, enum err err, const struct why *why)
{
    struct staging *staging = window->owner;
    if (err != ERR_OK) {
        fail(staging, why);
        return;
    }
    image_arrived(staging->reader, window->at + window->size);
    go_on(staging);
}

/* The next part of the image begins where the reader stands; a window that begins there and does
 * not hold all of it was too short, or as much as there was. */
static void fetch(struct staging *staging)
{
    struct staging_window *window = staging->window;
    if (window->busy) return;
    uint64_t from = image_offset(staging->reader), size = NODE_STAGING_STEP_BYTES;
    if (window->at == from && 2 * window->size > size) size = 2 * window->size;
    uint64_t end = from + size < staging->there ? from + size : staging->there;
    if (end > window->at + window->size) staging_window_fetch(window, from, end - from);
}

/* --- Steps --- */

/* May come from inside the store. */
static void waited(struct record_wait *wait)
{
    go_on(CONTAINER_OF(wait, struct staging, wait));
}

static void wait_for_flush(struct staging *staging)
{
    staging->wait.done = waited;
    if (!staging->filler->ops->wait(staging->filler, &staging->wait)) go_on(staging);
}

/* ERR_PENDING: of bytes, or of the filler, which then holds a record. */
static enum err take_record(struct staging *staging, struct why *why)
{
    enum err err = ERR_OK;
    if (!staging->holds) err = image_next(staging->reader, &staging->key, &staging->value, why);
    staging->holds = staging->holds || err == ERR_OK;
    if (err == ERR_OK)
        err = staging->filler->ops->add(staging->filler, staging->key, staging->value, why);
    if (err == ERR_OK) staging->holds = false;
    return err;
}

static void take(struct staging *staging)
{
    struct why why;
    enum err err = ERR_OK;
    uint64_t end = image_offset(staging->reader) + NODE_STAGING_STEP_BYTES;
    while (err == ERR_OK && image_offset(staging->reader) < end) err = take_record(staging, &why);
    if (err == ERR_NOT_FOUND) staging->phase = STAGING_ENDS;
    if (err == ERR_OK || err == ERR_NOT_FOUND) go_on(staging);
    else if (err != ERR_PENDING) fail(staging, &why);
    else if (staging->holds) wait_for_flush(staging);
    else fetch(staging);
}

static void whole(struct staging *staging)
{
    struct node *node = staging->node;
    staging->phase = STAGING_WHOLE;
    staging->stamp = image_facts(staging->reader)->stamp;
    staging->filler = NULL;
    node->maker->fill_close(node->maker);
    trace_event(node->world.trace, TRACE_NOTICE, "node", "staged",
                "shard=%s lsn=%" PRIu64 " bytes=%" PRIu64 " us=%" PRIu64, node->options.shard.name,
                staging->mark.lsn.at, staging->window->base.size,
                clock_now_us(node->world.clock) - staging->began_us);
    close_image(staging);
    if (staging->finishes) go_on(staging);
}

static void end(struct staging *staging)
{
    struct why why;
    const struct image_facts *facts = image_facts(staging->reader);
    bool same = mark_equal(&facts->mark, &staging->mark);
    enum err err = same ? staging->filler->ops->end(staging->filler, facts->digest, facts->keys,
                                                    &why)
                        : why_fail(&why, ERR_CORRUPT, "it is another image than was offered");
    if (err == ERR_PENDING) wait_for_flush(staging);
    else if (err == ERR_OK) whole(staging);
    else fail(staging, &why);
}

static void step(struct timer *timer)
{
    struct staging *staging = CONTAINER_OF(timer, struct staging, again);
    if (staging->phase == STAGING_TAKES) {
        take(staging);
    } else if (staging->phase == STAGING_ENDS) {
        end(staging);
    } else if (staging->finishes) {
        staging->finishes = false;
        staging->told(staging);
    }
}

/* --- From outside --- */

static enum err open_image(struct staging *staging, uint64_t size, struct why *why)
{
    struct node *node = staging->node;
    struct image_place place = node_image_place(node);
    char *path = incoming_path(&place);
    enum err err = staging_window_open(&staging->window, node->world.disk, path, size, why);
    memory_free(path);
    if (err != ERR_OK) return err;
    staging->window->fetched = fetched;
    staging->window->owner = staging;
    staging->reader = image_open_early(&staging->window->base);
    return ERR_OK;
}

void staging_begin(struct staging *staging, const struct image_offer *offer)
{
    struct node *node = staging->node;
    struct machine_fill fill = {.mark = offer->mark,
                                .history = offer->mark.history,
                                .window_bytes = NODE_STAGING_WINDOW_BYTES};
    struct why why;
    MUST(staging->phase == STAGING_OFF);
    staging->mark = offer->mark;
    staging->there = 0;
    staging->began_us = clock_now_us(node->world.clock);
    enum err err = site_prepare(&node->site, true, fill.history, &staging->next, &why);
    if (err == ERR_OK) err = open_image(staging, offer->size, &why);
    if (err == ERR_OK)
        err = node->maker->fill(node->maker, staging->next.store, &fill, &staging->filler, &why);
    if (err == ERR_OK) staging->phase = STAGING_TAKES;
    else fail(staging, &why);
}

void staging_arrived(struct staging *staging, uint64_t bytes)
{
    if (staging->phase != STAGING_TAKES) return;
    staging->there = bytes;
    if (!staging->holds && !staging->window->busy && !staging->again.armed) go_on(staging);
}

void staging_finish(struct staging *staging)
{
    staging->finishes = true;
    if (staging->phase == STAGING_OFF || staging->phase == STAGING_WHOLE) go_on(staging);
}

void staging_give(struct staging *staging, struct turn *turn)
{
    if (staging->phase != STAGING_WHOLE) return;
    turn->taken = true;
    turn->next = staging->next;
    turn->stamp = staging->stamp;
    staging->next = (struct site_next){.log = NULL};
    staging->phase = STAGING_OFF;
}

void staging_drop(struct staging *staging)
{
    clock_timer_stop(staging->node->world.clock, &staging->again);
    staging->finishes = false;
    if (staging->phase != STAGING_OFF) let_go(staging);
    site_sweeper_take(staging->node->sweeper, &staging->next);
}
