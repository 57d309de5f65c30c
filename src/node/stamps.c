/* SPDX-License-Identifier: Apache-2.0 */
#include "node/stamps.h"

#include <inttypes.h>

#include "base/plant.h"
#include "node/internal.h"

static struct message_stamp *place_of(struct stamps *stamps, struct lsn lsn)
{
    return &stamps->notes[lsn.at / STAMPS_EVERY % STAMPS_PLACES];
}

/* NULL: a start since, or another state, or it is too long ago. */
static const struct message_stamp *note_of(struct stamps *stamps, struct lsn lsn)
{
    const struct message_stamp *note = place_of(stamps, lsn);
    return lsn.at != 0 && note->mark.lsn.at == lsn.at ? note : NULL;
}

/* --- Notes and stamps --- */

static void note_digest(struct node *node)
{
    const struct machine *machine = node->machine;
    struct mark mark = machine->ops->applied(machine);
    *place_of(&node->stamps, mark.lsn) = (struct message_stamp){mark,
                                                                machine->ops->digest(machine)};
    node->stamps.noted = mark.lsn;
}

static void begin(struct node *node, const struct message_stamp *own,
                  const struct message_stamp *other, bool differs)
{
    struct stamps *stamps = &node->stamps;
    if (stamps->phase != STAMPS_AGREES) return;
    stamps->phase = STAMPS_FLUSHING;
    stamps->differs = differs;
    stamps->told = false;
    stamps->own = *own;
    stamps->other = *other;
    stamps->flush_through = node_applied_lsn(node);
    char mark[MARK_TEXT_BYTES], mine[DIGEST_TEXT_BYTES], theirs[DIGEST_TEXT_BYTES];
    mark_format(&other->mark, mark);
    digest_format(own->digest, mine);
    digest_format(other->digest, theirs);
    trace_event(node->world.trace, TRACE_WARNING, "node", "digest_differs",
                "shard=%s mark=%s own=%s other=%s said_by=%s", node->options.shard.name, mark, mine,
                theirs, differs ? "stamp" : "follower");
}

/* A restored log names marks of the history that it was: there is nothing to compare. */
static void check(struct node *node, struct bytes payload)
{
    struct stamps *stamps = &node->stamps;
    struct stamped stamped;
    if (PLANTED(STAMP_SKIPPED) || entry_take_stamp(payload, &stamped) != ERR_OK) return;
    struct message_stamp other = {stamped.mark, stamped.digest};
    const struct message_stamp *own = note_of(stamps, other.mark.lsn);
    bool same_history = own != NULL && memcmp(own->mark.history.id, other.mark.history.id,
                                              sizeof own->mark.history.id) == 0;
    stamps->stamped = lsn_max(stamps->stamped, other.mark.lsn);
    if (!same_history) {
        stamps->figures.skipped++;
        return;
    }
    stamps->figures.checked++;
    stamps->figures.mark = other.mark;
    if (mark_equal(&own->mark, &other.mark) && digest_equal(own->digest, other.digest)) return;
    stamps->figures.differing++;
    begin(node, own, &other, true);
}

void node_stamps_applied(struct node *node, const struct entry *entry)
{
    if (entry->lsn.at % STAMPS_EVERY == 0) note_digest(node);
    if (entry->payload.data[0] == ENTRY_STAMP) check(node, entry->payload);
}

/* What is noted is applied, and so committed. */
static void make_stamp(struct node *node)
{
    struct stamps *stamps = &node->stamps;
    uint64_t now_us = clock_now_us(node->world.clock);
    const char *error;
    bool may = node->leads && stamps->phase == STAMPS_AGREES && !node_is_low(node) &&
               node_members_may_write(node, &error);
    if (!may || !lsn_before(stamps->stamped, stamps->noted)) return;
    if (now_us < stamps->stamped_us + NODE_STAMP_US) return;
    const struct message_stamp *note = note_of(stamps, stamps->noted);
    MUST(note != NULL);
    struct buffer payload;
    buffer_init(&payload);
    entry_put_stamp(&payload, &(struct stamped){note->mark, note->digest});
    if (node_append_own(node, buffer_bytes(&payload)).at != 0) {
        stamps->stamped = stamps->noted;
        stamps->stamped_us = now_us;
    }
    buffer_release(&payload);
}

/* --- The recount --- */

static void fail_by_recount(struct node *node, const struct survey_ask *ask, const char *occasion)
{
    char mark[MARK_TEXT_BYTES], running[DIGEST_TEXT_BYTES], recounted[DIGEST_TEXT_BYTES];
    struct why why;
    mark_format(&ask->mark, mark);
    digest_format(ask->running, running);
    digest_format(ask->recounted, recounted);
    if (ask->err == ERR_CORRUPT) {
        (void)why_fail(&why, ERR_CORRUPT, "%s: the records at %s do not fit one another: %s",
                       occasion, mark, ask->why.text);
    } else {
        (void)why_fail(&why, ERR_CORRUPT, "%s: at %s the digest is %s, but the recount %s",
                       occasion, mark, running, recounted);
    }
    node_fail(node, NODE_FAILED_DIVERGED, &why);
}

/* Whether it was made, and says nothing against this copy's bytes. False: it is made again, or the
 * process ends. */
static bool is_right(struct node *node, const struct survey_ask *ask, const char *occasion)
{
    struct stamps *stamps = &node->stamps;
    if (ask->err == ERR_SHUT) return false;
    if (ask->err != ERR_OK && ask->err != ERR_CORRUPT) {
        node_fail(node, NODE_FAILED_STORE, &ask->why);
        return false;
    }
    stamps->figures.recounts++;
    stamps->figures.recounted = ask->mark.lsn;
    if (ask->err == ERR_OK && digest_equal(ask->running, ask->recounted)) return true;
    fail_by_recount(node, ask, occasion);
    return false;
}

static void tell_primary(struct node *node)
{
    struct stamps *stamps = &node->stamps;
    if (!stamps->told && node_follows_stamp(node, &stamps->own)) stamps->told = true;
}

static void agree(struct node *node, const char *event)
{
    node->stamps.phase = STAMPS_AGREES;
    trace_event(node->world.trace, TRACE_NOTICE, "node", event, "shard=%s lsn=%" PRIu64,
                node->options.shard.name, node->stamps.other.mark.lsn.at);
    clock_defer(node->world.clock, &node->apply);
}

static void recounted(struct survey_ask *ask)
{
    struct node *node = CONTAINER_OF(ask, struct node, stamps.ask);
    struct stamps *stamps = &node->stamps;
    stamps->survey->ops->close(stamps->survey);
    stamps->survey = NULL;
    if (node->phase == NODE_FAILED) return;
    stamps->phase = STAMPS_FLUSHING;
    if (!is_right(node, ask, "digests differ")) return; /* the tick goes on */
    if (!stamps->differs) {
        agree(node, "digest_stands");
        node_serves_stamp(node, &stamps->own);
    } else if (node->leads) {
        agree(node, "digest_differs_from_an_earlier_primary");
    } else {
        stamps->phase = STAMPS_ASKING;
        tell_primary(node);
    }
}

void node_stamps_step(struct node *node)
{
    struct stamps *stamps = &node->stamps;
    bool flushes = node->upkeep.flushing || node->upkeep.flush_wanted;
    if (stamps->phase != STAMPS_FLUSHING || node->phase == NODE_FAILED || flushes) return;
    struct lsn flushed = node->machine->ops->flushed(node->machine).lsn;
    if (lsn_before(flushed, stamps->flush_through) && !node->upkeep.store_low) {
        node_flush_now(node);
        return;
    }
    stamps->phase = STAMPS_RECOUNTING;
    stamps->survey = node->machine->ops->survey(node->machine);
    stamps->ask = (struct survey_ask){.kind = SURVEY_RECOUNT, .done = recounted};
    stamps->survey->ops->ask(stamps->survey, &stamps->ask);
}

bool node_stamps_hold(const struct node *node)
{
    const struct stamps *stamps = &node->stamps;
    bool stopping = node->phase != NODE_OPENING && node->phase != NODE_SERVING;
    if (!stamps->differs || stopping) return false;
    return stamps->phase == STAMPS_FLUSHING || stamps->phase == STAMPS_RECOUNTING ||
           (stamps->phase == STAMPS_ASKING && stamps->told);
}

/* --- With the other copies --- */

void node_stamps_asked(struct node *node, const struct message_stamp *stamp)
{
    struct stamps *stamps = &node->stamps;
    const struct message_stamp *note = note_of(stamps, stamp->mark.lsn);
    struct message_stamp own = {.mark = stamp->mark};
    if (note != NULL && mark_equal(&note->mark, &stamp->mark)) own.digest = note->digest;
    stamps->figures.asked++;
    if (note != NULL && digest_equal(own.digest, stamp->digest)) node_serves_stamp(node, &own);
    else begin(node, &own, stamp, false);
}

void node_stamps_answered(struct node *node, const struct message_stamp *stamp)
{
    struct stamps *stamps = &node->stamps;
    if (stamps->phase != STAMPS_ASKING || !stamps->told) return;
    if (!mark_equal(&stamp->mark, &stamps->own.mark)) return;
    if (digest_equal(stamp->digest, stamps->own.digest)) {
        agree(node, "digest_agrees_after_all");
        return;
    }
    char mark[MARK_TEXT_BYTES], own[DIGEST_TEXT_BYTES], other[DIGEST_TEXT_BYTES];
    struct why why;
    mark_format(&stamps->own.mark, mark);
    digest_format(stamps->own.digest, own);
    digest_format(stamps->other.digest, other);
    (void)why_fail(&why, ERR_CORRUPT,
                   "determinism: at %s the digest is %s here and %s at the primary, and the "
                   "recounts of both agree with them",
                   mark, own, other);
    node_fail(node, NODE_FAILED_DIVERGED, &why);
}

void node_stamps_session_over(struct node *node)
{
    struct stamps *stamps = &node->stamps;
    if (stamps->phase != STAMPS_ASKING || !stamps->told) return;
    stamps->told = false;
    bool ends = node->phase == NODE_FAILED || node->phase == NODE_STOPPED;
    if (!ends) clock_defer(node->world.clock, &node->apply);
}

/* --- Now and then --- */

static void scrubbed(struct survey_ask *ask)
{
    struct node *node = CONTAINER_OF(ask, struct node, stamps.scrub_ask);
    struct stamps *stamps = &node->stamps;
    stamps->scrub->ops->close(stamps->scrub);
    stamps->scrub = NULL;
    if (node->phase == NODE_FAILED) return;
    uint64_t pause_s = ask->err == ERR_SHUT ? NODE_RECOUNT_FIRST_S : NODE_RECOUNT_PERIOD_S;
    stamps->scrub_due_us = clock_now_us(node->world.clock) + pause_s * 1000000;
    if (!is_right(node, ask, "the daily recount")) return;
    trace_event(node->world.trace, TRACE_NOTICE, "node", "recounted",
                "shard=%s lsn=%" PRIu64 " keys=%" PRIu64, node->options.shard.name,
                ask->mark.lsn.at, ask->keys);
}

static void scrub(struct node *node)
{
    struct stamps *stamps = &node->stamps;
    uint64_t now_us = clock_now_us(node->world.clock);
    if (stamps->scrub_due_us == 0)
        stamps->scrub_due_us = now_us + (uint64_t)NODE_RECOUNT_FIRST_S * 1000000;
    bool flushed = node->machine->ops->flushed(node->machine).lsn.at > 0;
    if (stamps->scrub != NULL || now_us < stamps->scrub_due_us || !flushed || node_is_low(node))
        return;
    stamps->scrub = node->machine->ops->survey(node->machine);
    stamps->scrub_ask = (struct survey_ask){
        .kind = SURVEY_RECOUNT, .bytes_per_s = NODE_SCRUB_BYTES_PER_SECOND, .done = scrubbed};
    stamps->scrub->ops->ask(stamps->scrub, &stamps->scrub_ask);
}

void node_stamps_tick(struct node *node)
{
    struct stamps *stamps = &node->stamps;
    if (node->turn.kind != TURN_NONE) return;
    if (stamps->phase == STAMPS_ASKING && node->leads)
        agree(node, "digest_differs_from_an_earlier_primary");
    if (stamps->phase == STAMPS_ASKING) tell_primary(node);
    node_stamps_step(node);
    if (node->phase != NODE_SERVING) return;
    make_stamp(node);
    scrub(node);
}

void node_stamps_close(struct node *node)
{
    struct stamps *stamps = &node->stamps;
    if (stamps->survey != NULL) stamps->survey->ops->close(stamps->survey);
    if (stamps->scrub != NULL) stamps->scrub->ops->close(stamps->scrub);
    stamps->survey = stamps->scrub = NULL;
}

void node_stamps_reset(struct node *node)
{
    struct stamps *stamps = &node->stamps;
    MUST(stamps->survey == NULL && stamps->scrub == NULL);
    *stamps = (struct stamps){.figures = stamps->figures, .scrub_due_us = stamps->scrub_due_us};
}
