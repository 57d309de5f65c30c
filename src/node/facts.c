/* SPDX-License-Identifier: Apache-2.0 */
#include "node/facts.h"

#include <inttypes.h>

#include "node/internal.h"

static enum start_store store_of(enum machine_found found, bool opened)
{
    switch (found) {
    case MACHINE_MARK: return opened ? STORE_MARKED : STORE_UNREADABLE;
    case MACHINE_EMPTY: return opened ? STORE_EMPTY : STORE_UNREADABLE;
    case MACHINE_ABSENT: return STORE_ABSENT;
    case MACHINE_NO_MARK: return STORE_NO_MARK;
    case MACHINE_BAD_MARK: return STORE_BAD_MARK;
    case MACHINE_UNREADABLE: return STORE_UNREADABLE;
    case MACHINE_LATER: return STORE_LATER;
    case MACHINE_FOREIGN: return STORE_FOREIGN;
    }
    return STORE_UNREADABLE;
}

/* A store that was opened by the making of it is open already. */
static enum err read_store(struct node *node, struct facts *facts, struct why *why)
{
    struct machine_maker *maker = node->maker;
    facts->store_err = ERR_OK;
    if (node->machine == NULL) {
        facts->store_err = maker->open(maker, node->site.store, false, node->site.pointer.history,
                                       &node->machine, &facts->store_why);
    }
    if (facts->store_err == ERR_SPACE) {
        *why = facts->store_why;
        return ERR_SPACE;
    }
    bool opened = node->machine != NULL;
    facts->gate.store = store_of(maker->found, opened);
    if (opened) facts->gate.mark = node->machine->ops->flushed(node->machine);
    return ERR_OK;
}

static bool is_at(const struct mark *mark, struct epoch epoch, struct lineage lineage)
{
    return epoch_compare(epoch, mark->epoch) == 0 && lineage.hash == mark->lineage.hash;
}

/* Looks the entry up, and leaves the reader behind it: replay goes on there. */
static enum err read_place(struct node *node, const struct mark *mark, enum start_place *place,
                           struct why *why)
{
    struct start *start = &node->start;
    struct entry entry;
    log_reader_close(start->reader);
    start->reader = NULL;
    enum err err = log_reader_open(&start->reader, node->world.disk, node->site.log, mark->lsn,
                                   why);
    if (err == ERR_OK) err = log_reader_next(start->reader, &entry, why);
    if (err != ERR_OK) return err;
    start->reader_at = lsn_next(mark->lsn);
    bool same = entry.lsn.at == mark->lsn.at && is_at(mark, entry.epoch, entry.lineage);
    *place = same ? PLACE_AGREES : PLACE_DIFFERS;
    return ERR_OK;
}

/* Trimming keeps the entry of the store's mark; of the one before the first the first segment says
 * what it was. */
static enum err place_of(struct node *node, const struct log_found *found, const struct mark *mark,
                         enum start_place *place, struct why *why)
{
    uint64_t at = mark->lsn.at;
    if (at > found->last.lsn.at) {
        *place = PLACE_ABOVE;
    } else if (at < found->before.lsn.at) {
        *place = PLACE_BELOW;
    } else if (at == found->before.lsn.at) {
        bool same = is_at(mark, found->before.epoch, found->before.lineage);
        *place = same ? PLACE_AGREES : PLACE_DIFFERS;
    } else {
        return read_place(node, mark, place, why);
    }
    return ERR_OK;
}

static enum err read_images(struct node *node, struct facts *facts, struct why *why)
{
    struct image_place place = node_image_place(node);
    enum err err = image_list(&facts->list, &place, why);
    for (size_t i = 0; i < facts->list.count; i++)
        facts->images[i] = (struct start_image){facts->list.at[i].mark, PLACE_NOT_ASKED};
    facts->gate.images = facts->images;
    facts->gate.image_count = facts->list.count;
    return err;
}

enum err facts_read(struct node *node, struct facts *facts, struct why *why)
{
    struct start_facts *gate = &facts->gate;
    gate->history = node->site.pointer.history;
    gate->log = node->log != NULL;
    if (!gate->log) return ERR_OK;
    const struct log_found *found = &facts->found;
    gate->log_history = found->last.history;
    gate->first = found->first;
    gate->last = found->last.lsn;
    gate->committed = found->committed;
    enum err err = read_store(node, facts, why);
    if (err == ERR_OK) err = read_images(node, facts, why);
    if (err == ERR_OK && gate->store == STORE_MARKED)
        err = place_of(node, found, &gate->mark, &gate->place, why);
    return err;
}

enum err facts_place(struct node *node, struct facts *facts, int image, struct why *why)
{
    struct start_image *asked = &facts->images[image];
    return place_of(node, &facts->found, &asked->mark, &asked->place, why);
}

/* --- Refusals --- */

static const char *what_of(enum start_store store)
{
    switch (store) {
    case STORE_ABSENT: return "is gone";
    case STORE_EMPTY:
    case STORE_NO_MARK: return "has no mark";
    case STORE_BAD_MARK: return "has a mark that does not read";
    case STORE_LATER: return "was written by a later program";
    case STORE_MARKED:
    case STORE_FOREIGN:
    case STORE_UNREADABLE: break;
    }
    return "cannot be read";
}

static void describe(const struct node *node, const struct facts *facts,
                     const struct start_plan *plan, struct why *why)
{
    const struct start_facts *gate = &facts->gate;
    const struct site *site = &node->site;
    uint64_t store = gate->mark.lsn.at, first = gate->first.at, last = gate->last.at;
    switch (plan->reason) {
    case REASON_LOG_MISSING: why_fail(why, ERR_REFUSED, "the log in %s is gone", site->log); return;
    case REASON_LOG_ENDS_BEFORE_STORE:
        why_fail(why, ERR_REFUSED,
                 "the store holds LSN %" PRIu64 ", but its log ends at %" PRIu64
                 ": the end of the log was lost or swapped",
                 store, last);
        return;
    case REASON_LOG_ENDS_BEFORE_IMAGE:
        why_fail(why, ERR_REFUSED,
                 "an image in %s holds LSN %" PRIu64 ", but the log ends at %" PRIu64
                 ": the end of the log was lost or swapped",
                 site->images, gate->images[plan->image].mark.lsn.at, last);
        return;
    case REASON_LINEAGE_DIFFERS:
        why_fail(why, ERR_REFUSED,
                 "the log in %s and the store in %s (LSN %" PRIu64 ") are not of one history",
                 site->log, site->store, store);
        return;
    case REASON_HOLE:
        why_fail(why, ERR_REFUSED,
                 "the store holds LSN %" PRIu64 ", but its log begins at %" PRIu64
                 ", and no image fills the hole",
                 store, first);
        return;
    case REASON_NO_IMAGE:
        why_fail(why, ERR_REFUSED,
                 "the store in %s %s, the log begins at LSN %" PRIu64
                 ", and there is no image that it continues%s%s",
                 site->store, what_of(gate->store), first, facts->store_err == ERR_OK ? "" : ": ",
                 facts->store_err == ERR_OK ? "" : facts->store_why.text);
        return;
    case REASON_NONE:
    case REASON_BEHIND_IMAGE:
    case REASON_BEHIND_LOG:
    case REASON_STORE_MISSING:
    case REASON_NO_MARK:
    case REASON_BAD_MARK:
    case REASON_READ_ERROR:
    case REASON_NO_READER:
    case START_REASONS: break;
    }
    MUST(false); /* these are no reasons to refuse */
}

enum err facts_refusal(const struct node *node, const struct facts *facts,
                       const struct start_plan *plan, struct why *why)
{
    struct why what;
    describe(node, facts, plan, &what);
    bool corrupt = plan->reason == REASON_NO_IMAGE && facts->store_err == ERR_CORRUPT;
    return why_fail(why, corrupt ? ERR_CORRUPT : ERR_REFUSED, "%s (%s): %s", what.text,
                    start_reason_name(plan->reason), start_reason_advice(plan->reason));
}
