/* SPDX-License-Identifier: Apache-2.0 */
/* PROMOTE FORCE: this copy leads without the promises that would make it safe; or it leads already,
 * and goes on without a copy that counts and is lost, where too few others count to remove it. What
 * it has becomes the beginning of a new history, so that no copy of the old one is ever taken for
 * one of it:
 *
 *   everything in the log here is applied -> an image of it -> the follow file goes -> installed
 *   under the new history, as an image of a primary would be, with a log that has promised this
 *   copy's next epoch -> that epoch
 *
 * Until the pointer is switched a failure leaves the old history, and is answered. Behind it this
 * copy leads the new one, at the latest after a restart: an error ends the process, unanswered.
 *
 * Of the copies that the old history named none is a part of the new one until it is added. */
#include <inttypes.h>

#include "node/internal.h"

static void force_over(struct node *node, enum err err, const struct why *why)
{
    struct steer *steer = node->force.steer;
    node->force = (struct force){0};
    if (steer == NULL) return;
    steer->err = err;
    steer->why = *why;
    steer->done(steer);
}

static void give_up(struct node *node, const char *text)
{
    struct why why;
    enum err err = why_fail(&why, ERR_REFUSED, "%s", text);
    trace_event(node->world.trace, TRACE_WARNING, "node", "force_given_up", "why=\"%s\"", text);
    force_over(node, err, &why);
}

void node_force(struct node *node, struct steer *steer)
{
    if (node->leads && !progress_lacks_one(&node->progress)) {
        steer->err = why_fail(&steer->why, ERR_REFUSED, "this copy leads already");
        steer->done(steer);
        return;
    }
    if (node->force.on || node->turn.kind != TURN_NONE) {
        steer->err = why_fail(&steer->why, ERR_EXISTS, "the copy is being changed: try again");
        steer->done(steer);
        return;
    }
    node_votes_end(node);
    node_intake_end(node);
    node_unlead(node, "PROMOTE FORCE");
    node_follows_end(node, BYE_STOP);
    struct lsn through = log_appended(node->log);
    node->force = (struct force){.on = true,
                                 .ahead = lsn_before(node->committed, through),
                                 .steer = steer,
                                 .through = through,
                                 .ended = UINT64_MAX};
    log_sync_soon(node->log);
    node_force_step(node);
}

/* An image of all that is here, by one that is asked for now. */
static bool image_is_there(struct node *node)
{
    struct force *force = &node->force;
    struct service_images images;
    node_images_status(node, &images);
    if (images.saving) return false;
    if (force->ended == UINT64_MAX) {
        struct why why;
        force->ended = images.ended;
        enum err err = node_save(&node->service, &why);
        if (err != ERR_OK) give_up(node, why.text);
        return false;
    }
    if (images.ended == force->ended) return false;
    if (images.failed || lsn_before(images.lsn, force->through)) {
        give_up(node, images.failed ? images.why.text : "no image could be made");
        return false;
    }
    return true;
}

void node_force_step(struct node *node)
{
    struct force *force = &node->force;
    if (!force->on || force->turning || node->phase != NODE_SERVING) return;
    if (lsn_before(log_durable(node->log), force->through)) return;
    if (lsn_before(node->committed, force->through)) node_commit(node, force->through);
    struct mark applied = node->machine->ops->applied(node->machine);
    if (lsn_before(applied.lsn, force->through) || !image_is_there(node)) return;
    struct why why;
    if (site_follow_remove(&node->site, &why) != ERR_OK) {
        give_up(node, why.text);
        return;
    }
    struct turn turn = {
        .kind = TURN_INSTALL, .mark = applied, .cluster = site_cluster(&node->site), .own = true};
    entropy_fill(node->world.entropy, &turn.history, sizeof turn.history);
    force->turning = true;
    node_turn(node, &turn);
}

/* The store of a new history names no copies: this one is alone, and lets no write in before as
 * many count as it is configured to have. */
void node_force_reopened(struct node *node, enum err err)
{
    struct force *force = &node->force;
    if (!force->on) return;
    struct why why;
    if (err != ERR_OK) {
        give_up(node, "the new history could not be written: see the server's log");
        return;
    }
    err = node_lead(node, &why);
    if (err != ERR_OK) {
        /* The new history is there: to say that it is not would be wrong. The next start leads. */
        node_fail(node, NODE_FAILED_LOG, &why);
        return;
    }
    node_members_name(node);
    (void)why_fail(&why, ERR_OK,
                   "a new history begins behind LSN %" PRIu64
                   ": what the old primary has acknowledged beyond that is not in it",
                   force->through.at);
    force_over(node, ERR_OK, &why);
}
