/* SPDX-License-Identifier: Apache-2.0 */
#include "node/staging.h"

#include <inttypes.h>

#include "base/memory.h"
#include "node/internal.h"
#include "node/limits.h"

static void go_on(struct staging *staging)
{
    clock_timer_start(staging->node->world.clock, &staging->again, 0);
}

/* --- What is open --- */

static void close_image(struct staging *staging)
{
    if (staging->reader == NULL) return;
    image_close(staging->reader);
    image_file_close(&staging->file);
    staging->reader = NULL;
    staging->holds = false;
}

static void let_go(struct staging *staging)
{
    struct node *node = staging->node;
    staging->phase = STAGING_OFF;
    node->maker->fill_close(node->maker); /* it reads from nothing of this */
    staging->filler = NULL;
    close_image(staging);
    site_sweeper_take(node->sweeper, &staging->next);
}

static void fail(struct staging *staging, const struct why *why)
{
    trace_event(staging->node->world.trace, TRACE_WARNING, "node", "staging_failed",
                "shard=%s why=\"%s\"", staging->node->options.shard.name, why->text);
    let_go(staging);
    if (staging->finishes) go_on(staging);
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
                image_facts(staging->reader)->mark.lsn.at, staging->file.source.size,
                clock_now_us(node->world.clock) - staging->began_us);
    close_image(staging);
    if (staging->finishes) go_on(staging);
}

static void end(struct staging *staging)
{
    struct why why;
    const struct image_facts *facts = image_facts(staging->reader);
    enum err err = staging->filler->ops->end(staging->filler, facts->digest, facts->keys, &why);
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

static enum err open_image(struct staging *staging, const struct image_offer *offer,
                           struct why *why)
{
    struct node *node = staging->node;
    struct image_place place = node_image_place(node);
    char *path = incoming_path(&place);
    enum err err = image_file_open(&staging->file, node->world.disk, path, why);
    memory_free(path);
    if (err != ERR_OK) return err;
    staging->file.source.size = offer->size;
    staging->reader = image_open_early(&staging->file.source);
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
    staging->again.fired = step;
    staging->began_us = clock_now_us(node->world.clock);
    enum err err = site_prepare(&node->site, true, fill.history, &staging->next, &why);
    if (err == ERR_OK) err = open_image(staging, offer, &why);
    if (err == ERR_OK)
        err = node->maker->fill(node->maker, staging->next.store, &fill, &staging->filler, &why);
    if (err == ERR_OK) staging->phase = STAGING_TAKES;
    else fail(staging, &why);
}

void staging_arrived(struct staging *staging, uint64_t bytes)
{
    if (staging->phase != STAGING_TAKES) return;
    image_arrived(staging->reader, bytes);
    if (!staging->holds && !staging->again.armed) go_on(staging);
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
}
