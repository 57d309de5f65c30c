/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/start/start.h"

#include <string.h>

#include "base/plant.h"

static bool same_history(struct history a, struct history b)
{
    return memcmp(a.id, b.id, sizeof a.id) == 0;
}

static void refuse(struct start_plan *plan, enum start_reason reason)
{
    plan->outcome = START_REFUSE;
    plan->reason = reason;
    plan->image = START_NO_IMAGE;
}

/* Images of another history are not ours to judge by. */
static bool is_ours(const struct start_facts *facts, const struct start_image *image)
{
    return same_history(image->mark.history, facts->history);
}

/* The newest image of ours; NULL: there is none. */
static const struct start_image *newest(const struct start_facts *facts)
{
    for (size_t i = 0; i < facts->image_count; i++) {
        if (is_ours(facts, &facts->images[i])) return &facts->images[i];
    }
    return NULL;
}

/* Whether replay can go on behind the LSN: everything from there to the recorded commit is there.
 */
static bool is_covered(const struct start_facts *facts, struct lsn lsn)
{
    return lsn.at + 1 >= facts->first.at && lsn.at <= facts->last.at &&
           facts->committed.at <= facts->last.at;
}

/* The newest image that may be used, or the log from its beginning. False: neither; or the plan
 * asks. */
static bool find_source(const struct start_facts *facts, struct start_plan *plan)
{
    for (size_t i = 0; i < facts->image_count; i++) {
        const struct start_image *image = &facts->images[i];
        if (!is_ours(facts, image) || !is_covered(facts, image->mark.lsn)) continue;
        plan->image = (int)i;
        if (image->place == PLACE_AGREES) return true;
        if (image->place != PLACE_NOT_ASKED) continue;
        if (PLANTED(EXECUTE_FROM_FOREIGN_IMAGE)) return true;
        plan->outcome = START_ASK;
        return false;
    }
    plan->image = START_NO_IMAGE;
    return is_covered(facts, (struct lsn){0});
}

/* Restores in full, or else refuses. */
static void restore(const struct start_facts *facts, enum start_outcome outcome,
                    enum start_reason why, enum start_reason otherwise, struct start_plan *plan)
{
    plan->outcome = outcome;
    plan->reason = why;
    bool found = find_source(facts, plan);
    if (found || plan->outcome == START_ASK) return;
    refuse(plan, otherwise);
}

static void decide_marked(const struct start_facts *facts, struct start_plan *plan)
{
    const struct start_image *image = newest(facts);
    if (!same_history(facts->mark.history, facts->history) || facts->place == PLACE_DIFFERS) {
        refuse(plan, REASON_LINEAGE_DIFFERS);
        return;
    }
    if (facts->mark.lsn.at > facts->last.at || facts->place == PLACE_ABOVE) {
        refuse(plan, REASON_LOG_ENDS_BEFORE_STORE);
        return;
    }
    bool covered = is_covered(facts, facts->mark.lsn) && facts->place == PLACE_AGREES;
    if (PLANTED(GATE_SKIPS_A_STALE_STORE)) return;
    if (!covered) {
        restore(facts, START_EXECUTE, REASON_BEHIND_LOG, REASON_HOLE, plan);
        return;
    }
    if (image == NULL || image->mark.lsn.at <= facts->mark.lsn.at) return;
    restore(facts, START_EXECUTE, REASON_BEHIND_IMAGE, REASON_NONE, plan);
    /* No image can be used: the log has all that the store lacks. Nor is one better than the store
     * that is older than it, or nothing. */
    bool older = plan->image == START_NO_IMAGE ||
                 facts->images[plan->image].mark.lsn.at <= facts->mark.lsn.at;
    if (older) *plan = (struct start_plan){.outcome = START_SKIP, .image = START_NO_IMAGE};
}

static void decide_store(const struct start_facts *facts, struct start_plan *plan)
{
    enum start_reason none = REASON_NO_IMAGE;
    switch (facts->store) {
    case STORE_MARKED: decide_marked(facts, plan); break;
    case STORE_EMPTY:
        restore(facts, START_FALLBACK, REASON_NO_MARK, none, plan);
        /* The log from its beginning: this store will do. */
        if (plan->outcome == START_FALLBACK && plan->image == START_NO_IMAGE)
            *plan = (struct start_plan){.outcome = START_SKIP, .image = START_NO_IMAGE};
        break;
    case STORE_ABSENT: restore(facts, START_EXECUTE, REASON_STORE_MISSING, none, plan); break;
    case STORE_NO_MARK: restore(facts, START_FALLBACK, REASON_NO_MARK, none, plan); break;
    case STORE_BAD_MARK: restore(facts, START_FALLBACK, REASON_BAD_MARK, none, plan); break;
    case STORE_UNREADABLE: restore(facts, START_FALLBACK, REASON_READ_ERROR, none, plan); break;
    case STORE_LATER: restore(facts, START_FALLBACK, REASON_NO_READER, none, plan); break;
    case STORE_FOREIGN: refuse(plan, REASON_LINEAGE_DIFFERS); break;
    }
}

void start_decide(const struct start_facts *facts, struct start_plan *plan)
{
    *plan = (struct start_plan){.outcome = START_SKIP, .image = START_NO_IMAGE};
    if (facts->fresh) {
        plan->outcome = START_FRESH;
        return;
    }
    if (!facts->log) {
        refuse(plan, REASON_LOG_MISSING);
        return;
    }
    bool opened = facts->store == STORE_MARKED || facts->store == STORE_EMPTY;
    if (PLANTED(GATE_OPEN) && opened) return;
    const struct start_image *image = newest(facts);
    if (!same_history(facts->log_history, facts->history)) {
        refuse(plan, REASON_LINEAGE_DIFFERS);
        return;
    }
    decide_store(facts, plan);
    /* An image is published when the log is durable through its mark: this one has lost its end.
     * A store that says so itself, or is of another history, was refused for that. */
    if (plan->outcome == START_REFUSE || image == NULL) return;
    if (image->mark.lsn.at <= facts->last.at) return;
    refuse(plan, REASON_LOG_ENDS_BEFORE_IMAGE);
    plan->image = (int)(image - facts->images);
}

const char *start_outcome_name(enum start_outcome outcome)
{
    static const char *const names[] = {
        [START_FRESH] = "fresh",       [START_SKIP] = "skip",     [START_EXECUTE] = "execute",
        [START_FALLBACK] = "fallback", [START_REFUSE] = "refuse", [START_ASK] = "ask",
    };
    return names[outcome];
}

struct reason_text {
    const char *name, *advice;
};

static const struct reason_text *text_of(enum start_reason reason)
{
    static const struct reason_text texts[START_REASONS] = {
        [REASON_NONE] = {"", ""},
        [REASON_BEHIND_IMAGE] = {"behind_image", ""},
        [REASON_BEHIND_LOG] = {"behind_log", ""},
        [REASON_STORE_MISSING] = {"store_missing", ""},
        [REASON_NO_MARK] = {"no_mark", ""},
        [REASON_BAD_MARK] = {"bad_mark", ""},
        [REASON_READ_ERROR] = {"read_error", ""},
        [REASON_NO_READER] = {"no_reader", ""},
        [REASON_LOG_MISSING] = {"log_missing",
                                "if it is a mount, mount it; otherwise restore the whole data "
                                "directory from a copy"},
        [REASON_LOG_ENDS_BEFORE_STORE] = {"log_ends_before_store",
                                          "put back the log that belongs to the store, or restore "
                                          "the whole data directory from a copy"},
        [REASON_LOG_ENDS_BEFORE_IMAGE] =
            {"log_ends_before_image",
             "put back the log that belongs to the images, or, if an older state was put back on "
             "purpose, move the newer images away"},
        [REASON_LINEAGE_DIFFERS] = {"lineage_differs",
                                    "put log and store of one copy together again, or restore the "
                                    "whole data directory from a copy"},
        [REASON_HOLE] = {"hole", "put back a newer store or a newer image, or restore the whole "
                                 "data directory from a copy"},
        [REASON_NO_IMAGE] = {"no_image", "put back the store or an image that the log reaches, or "
                                         "restore the whole data directory from a copy"},
    };
    return &texts[reason];
}

const char *start_reason_name(enum start_reason reason)
{
    return text_of(reason)->name;
}

const char *start_reason_advice(enum start_reason reason)
{
    return text_of(reason)->advice;
}
