/* SPDX-License-Identifier: Apache-2.0 */
/* Turns of a replica's shard.
 *
 *   cut:      sessions of others end -> the log is quiet -> closed -> the entry at the place is
 *             looked up: another lineage, and nothing is cut -> opened again without what is behind
 *   install:  sessions of others end -> no image is being written or read -> reads that wait are
 *             refused, all is closed -> a store of the image and an empty log behind it, beside the
 *             old -> images that are ahead of that log are removed -> pointer -> the image has its
 *             name -> opened again as by a start
 *
 * The store may be there already: of keys that a primary of another make has sent (node/intake.h),
 * or of an image that was staged while it came (node/staging.h).
 *
 * To a start an image ahead of the log says that the log has lost its end. Those that this copy has
 * of the same history, from before it was rebuilt, go last of all before the pointer: whoever dies
 * between the two has the old log and the store that was in use with it, and lacks but what a store
 * that is lost could be made of again. Behind the pointer it would be too late.
 *
 * The session to the primary goes on behind it. A turn that fails before its switch leaves what was
 * there; one that fails behind it ends the process, and the next start finds what counts. */
#include <inttypes.h>

#include "base/memory.h"
#include "base/plant.h"
#include "node/internal.h"

static void turn_over(struct node *node, enum err err)
{
    node->turn = (struct turn){0};
    node_archiving_open(node, &node->options.archive);
    if (node->follows != NULL) node_follows_reopened(node, err);
    node_force_reopened(node, err);
    node_intake_reopened(node, err);
    clock_defer(node->world.clock, &node->apply);
}

static void turn_fails(struct node *node, enum err err, const struct why *why)
{
    node->turn = (struct turn){0};
    node_fail(node, err == ERR_CORRUPT ? NODE_FAILED_CORRUPT : NODE_FAILED_LOG, why);
}

static void close_archive(struct node *node)
{
    archive_close(node->archiving.archive);
    node->archiving.archive = NULL;
}

/* --- A cut --- */

/* Whether the closed log has that very entry. */
static enum err has_mark(struct node *node, const struct mark *mark, const struct mark *before,
                         struct why *why)
{
    if (mark->lsn.at == 0) return ERR_OK;
    bool same = mark->lsn.at == before->lsn.at && mark->lineage.hash == before->lineage.hash;
    if (same) return ERR_OK;
    struct log_reader *reader;
    struct entry entry = {0};
    enum err err = log_reader_open(&reader, node->world.disk, node->site.log, mark->lsn, why);
    if (err != ERR_OK) return err;
    err = log_reader_next(reader, &entry, why);
    same = err == ERR_OK && entry.lsn.at == mark->lsn.at &&
           entry.lineage.hash == mark->lineage.hash;
    log_reader_close(reader);
    if (same) return ERR_OK;
    return why_fail(why, ERR_CORRUPT, "the entry at LSN %" PRIu64 " is not the primary's",
                    mark->lsn.at);
}

/* What goes is named before it does: somebody may miss it. */
static void tell_given_up(struct node *node)
{
    const struct turn *turn = &node->turn;
    struct mark last = log_last(node->log);
    char text[2][MARK_TEXT_BYTES];
    if (turn->own || last.lsn.at == 0) return;
    mark_format(&turn->mark, text[0]);
    mark_format(&last, text[1]);
    trace_event(node->world.trace, TRACE_NOTICE, "node",
                turn->kind == TURN_CUT ? "tail_given_up" : "state_given_up",
                "shard=%s last=%s for=%s", node->options.shard.name, text[1], text[0]);
}

static void cut_now(struct node *node)
{
    struct mark mark = node->turn.mark, before = log_before(node->log);
    struct why why;
    tell_given_up(node);
    node_behind_drop(node);
    enum err err = log_close(node->log, &why);
    node->log = NULL;
    enum err verdict = err;
    if (err == ERR_OK) verdict = has_mark(node, &mark, &before, &why);
    bool cuts = verdict == ERR_OK;
    struct log_found found;
    if (err == ERR_OK) err = node_open_log(node, cuts ? &mark.lsn : NULL, &found, &why);
    if (err == ERR_OK) {
        /* What stays and is not applied yet is in the memory of no log any more. */
        node_order_cut(node, node_applied_lsn(node));
        node->ahead.through = (struct lsn){0};
        node->behind.to = found.last.lsn;
        err = node_read_history(node, found.last.lsn, &why);
    }
    if (err != ERR_OK) turn_fails(node, err, &why);
    else turn_over(node, verdict);
}

/* --- An install --- */

static void refuse_parked(struct node *node)
{
    struct list *first;
    while ((first = list_first(&node->parked)) != NULL) {
        struct parked *parked = CONTAINER_OF(first, struct parked, link);
        struct call *call = parked->call;
        list_remove(first);
        node->parked_count--;
        buffer_release(&parked->payload);
        memory_free(parked);
        if (call == NULL) continue;
        call->reply->ops->error(call->reply, "LOADING tidemark installs what its primary has sent");
        node_call_end(call, CALL_REFUSED);
    }
}

static void close_shard(struct node *node)
{
    clock_timer_stop(node->world.clock, &node->again);
    snapshot_close(node->images.snapshot);
    node->images.snapshot = NULL;
    node_behind_drop(node);
    node_stamps_close(node);
    node_points_close(node);
    node->maker->close(node->maker, node->machine);
    node->machine = NULL;
    node_feed_forget(node);
    node_stamps_reset(node);
    node_points_reset(node);
    log_abandon(node->log);
    node->log = NULL;
    refuse_parked(node);
    node_order_cut(node, (struct lsn){0});
    node->images.wanted = node->stalled = node->held = false;
    node->ahead = (struct ahead){0};
    node->upkeep.flushing = node->upkeep.flush_wanted = false;
    node->upkeep.store_low = false;
}

/* The new store and the new log. */
static enum err make(struct node *node, const struct site_next *next, struct epoch promised,
                     struct why *why)
{
    const struct turn *turn = &node->turn;
    const struct world *world = &node->world;
    struct image_place place = node_image_place(node);
    char *path = turn->own ? NULL : incoming_path(&place);
    struct log_beginning beginning = {
        .after = turn->mark, .promised = promised, .incarnation = node->incarnation};
    struct image_install request = {.place = place,
                                    .clock = world->clock,
                                    .maker = node->maker,
                                    .path = path,
                                    .store = next->store,
                                    .mark = turn->mark,
                                    .history = next->pointer.history,
                                    .stamp = &beginning.stamp};
    beginning.after.history = next->pointer.history;
    enum err err = ERR_OK;
    if (turn->taken) beginning.stamp = turn->stamp; /* the store is there already */
    else err = image_install(&request, why);
    memory_free(path);
    struct log_site site = {.directory = next->log, .disk = world->disk, .entropy = world->entropy};
    struct log_options options = node_log_options(node);
    options.cluster = turn->cluster;
    return err == ERR_OK ? log_create_after(&site, &options, &beginning, why) : err;
}

/* Images that the new log does not reach, and the one whose name the new image is to have. */
static enum err remove_images_ahead(struct node *node, const struct site_next *next,
                                    struct why *why)
{
    struct image_place place = node_image_place(node);
    place.cluster = next->pointer.cluster;
    place.history = next->pointer.history;
    return image_remove_from(&place, node->turn.mark.lsn, why);
}

/* Store and log beside the old ones: nothing is missing for the switch. */
static enum err prepare(struct node *node, struct epoch promised, struct site_next *next,
                        struct why *why)
{
    const struct turn *turn = &node->turn;
    struct history history = turn->own ? turn->history : turn->mark.history;
    enum err err = ERR_OK;
    *next = turn->next;
    node->turn.next = (struct site_next){.log = NULL};
    if (!turn->taken) err = site_prepare(&node->site, true, history, next, why);
    if (err != ERR_OK) return err;
    next->pointer.cluster = turn->cluster;
    err = make(node, next, promised, why);
    if (err == ERR_OK && !turn->own) err = site_set_unproven(&node->site, why);
    if (err == ERR_OK) err = remove_images_ahead(node, next, why);
    if (err != ERR_OK) site_abandon(&node->site, next); /* the old ones may need the space */
    return err;
}

/* It becomes an image among others; without it nothing is missing. */
static void adopt(struct node *node, const struct mark *mark)
{
    struct image_place place = node_image_place(node);
    struct why why;
    if (incoming_adopt(&place, mark, &why) != ERR_OK)
        trace_event(node->world.trace, TRACE_WARNING, "node", "incoming_not_kept", "why=\"%s\"",
                    why.text);
}

/* What the log that begins has promised. What was promised in another cluster or history is no
 * promise of this one; in a new history this copy leads, also if it dies behind the switch. */
static struct epoch promise_of(const struct node *node)
{
    const struct turn *turn = &node->turn;
    struct epoch promised = log_promised(node->log), last = log_last(node->log).epoch;
    if (turn->own) {
        uint64_t above = promised.number > last.number ? promised.number : last.number;
        if (above < turn->mark.epoch.number) above = turn->mark.epoch.number;
        return (struct epoch){above + 1, node->site.identity.copy};
    }
    const struct history *here = &node->site.pointer.history, *image = &turn->mark.history;
    bool foreign = turn->cluster != site_cluster(&node->site) ||
                   memcmp(here->id, image->id, sizeof here->id) != 0;
    return foreign || epoch_compare(promised, turn->epoch) < 0 ? turn->epoch : promised;
}

static void install_now(struct node *node)
{
    struct epoch promised = promise_of(node);
    struct site_next next;
    struct why why;
    tell_given_up(node);
    close_shard(node);
    enum err verdict = prepare(node, promised, &next, &why), err = ERR_OK;
    if (verdict != ERR_OK)
        trace_event(node->world.trace, TRACE_WARNING, "node", "install_failed", "why=\"%s\"",
                    why.text);
    else err = site_switch(&node->site, &next, &why); /* failed: nobody knows which one counts */
    bool received = err == ERR_OK && verdict == ERR_OK && !node->turn.own;
    if (received) node_follows_switched(node);
    if (received) adopt(node, &node->turn.mark);
    if (err == ERR_OK) err = node_open_shard(node, &why);
    if (err != ERR_OK) {
        turn_fails(node, err, &why);
        return;
    }
    node_feed_opened(node);
    turn_over(node, verdict);
}

/* --- Both --- */

static void turn_task(struct task *task)
{
    struct node *node = CONTAINER_OF(task, struct node, turn_task);
    if (node->turn.kind == TURN_NONE) return;
    if (node->phase != NODE_SERVING) { /* the process ends: nothing was begun yet */
        site_sweeper_take(node->sweeper, &node->turn.next);
        node->turn = (struct turn){0};
        return;
    }
    if (node->turn.kind == TURN_CUT) {
        if (log_is_quiet(node->log) && !log_is_poisoned(node->log)) cut_now(node);
    } else if (node_images_quiet(node)) { /* else an image could get its name meanwhile */
        install_now(node);
    }
}

void node_turn_step(struct node *node)
{
    if (node->turn.kind != TURN_NONE) clock_defer(node->world.clock, &node->turn_task);
}

void node_turn(struct node *node, const struct turn *turn)
{
    MUST(node->turn.kind == TURN_NONE && !node->leads);
    node->turn = *turn;
    node->turn_task.run = turn_task;
    node_serves_end(node, BYE_STOP);
    node_behind_pause(node);
    close_archive(node);
    if (turn->kind == TURN_CUT) log_stop(node->log);
    else node_images_stop(node, "the copy is being changed");
    node_turn_step(node);
}
