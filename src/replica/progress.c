/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/progress.h"

#include "base/plant.h"

static struct progress_copy *find(struct progress *progress, uint64_t id)
{
    for (unsigned i = 0; i < progress->count; i++) {
        if (progress->copies[i].id == id) return &progress->copies[i];
    }
    return NULL;
}

static void progress_check(const struct progress *progress)
{
    MUST(progress->count >= 1 && progress->count <= PROGRESS_COPIES_MAX);
    MUST(progress->copies[0].counting == COUNTING_IN);
    MUST(progress->rule.min_in_sync >= 1);
}

void progress_init(struct progress *progress, struct epoch epoch, uint64_t own)
{
    *progress = (struct progress){.epoch = epoch, .rule = {COMMIT_LOCAL, 1}, .count = 1};
    progress->copies[0] = (struct progress_copy){.id = own, .counting = COUNTING_IN};
}

void progress_recall(struct progress *progress, struct commit_rule rule, struct lsn committed,
                     struct lsn epoch_entry)
{
    MUST(lsn_before(committed, epoch_entry));
    progress->rule = rule;
    progress->committed = committed;
    progress->epoch_entry = epoch_entry;
    progress_check(progress);
}

enum err progress_admit(struct progress *progress, uint64_t id, bool counts)
{
    if (find(progress, id) != NULL) return ERR_EXISTS;
    if (progress->count == PROGRESS_COPIES_MAX) return ERR_LIMIT;
    progress->copies[progress->count++] = (struct progress_copy){
        .id = id, .counting = counts ? COUNTING_IN : COUNTING_OUT};
    return ERR_OK;
}

enum progress_refusal progress_forget(struct progress *progress, uint64_t id)
{
    struct progress_copy *copy = find(progress, id);
    if (copy == NULL) return PROGRESS_UNKNOWN;
    if (copy->counting != COUNTING_OUT) return PROGRESS_ONE_STEP;
    if (progress->rule.mode == COMMIT_ALL && progress->count <= progress->rule.min_in_sync)
        return PROGRESS_TOO_FEW;
    *copy = progress->copies[--progress->count];
    return PROGRESS_OK;
}

struct commit_rule progress_rule(const struct progress *progress)
{
    struct commit_rule rule = progress->rule;
    if (!progress->rule_changes) return rule;
    if (progress->next.mode == COMMIT_ALL) rule.mode = COMMIT_ALL;
    if (progress->next.min_in_sync > rule.min_in_sync)
        rule.min_in_sync = progress->next.min_in_sync;
    return rule;
}

void progress_attach(struct progress *progress, uint64_t copy, uint64_t incarnation,
                     uint64_t session)
{
    struct progress_copy *member = find(progress, copy);
    if (member == NULL || member == &progress->copies[0]) return;
    member->incarnation = incarnation;
    member->session = session;
    if (!PLANTED(STALE_SESSION_COUNTED)) member->durable = (struct lsn){0};
}

void progress_detach(struct progress *progress, uint64_t copy, uint64_t session)
{
    struct progress_copy *member = find(progress, copy);
    if (member == NULL || session == 0 || member->session != session) return;
    member->session = 0;
    if (!PLANTED(STALE_SESSION_COUNTED)) member->durable = (struct lsn){0};
}

bool progress_ack(struct progress *progress, const struct progress_ack *ack)
{
    struct progress_copy *member = find(progress, ack->copy);
    bool fresh = member != NULL && member != &progress->copies[0] &&
                 epoch_compare(ack->epoch, progress->epoch) == 0 && ack->session != 0 &&
                 ack->session == member->session && ack->incarnation == member->incarnation &&
                 !lsn_before(ack->durable, member->durable);
    if (!fresh) {
        progress->stale++;
        return false;
    }
    member->durable = ack->durable;
    return true;
}

void progress_own(struct progress *progress, struct lsn durable)
{
    MUST(!lsn_before(durable, progress->copies[0].durable));
    progress->copies[0].durable = durable;
}

unsigned progress_counting(const struct progress *progress)
{
    unsigned counting = 0;
    for (unsigned i = 0; i < progress->count; i++)
        counting += progress->copies[i].counting != COUNTING_OUT;
    return counting;
}

bool progress_may_write(const struct progress *progress)
{
    struct commit_rule rule = progress_rule(progress);
    return rule.mode == COMMIT_LOCAL || progress_counting(progress) >= rule.min_in_sync;
}

bool progress_lacks_one(const struct progress *progress)
{
    if (progress_rule(progress).mode == COMMIT_LOCAL) return false;
    for (unsigned i = 1; i < progress->count; i++) {
        const struct progress_copy *copy = &progress->copies[i];
        if (copy->counting != COUNTING_OUT && copy->session == 0) return true;
    }
    return false;
}

/* What every copy that counts has, if enough of them count. */
static struct lsn durable_everywhere(const struct progress *progress)
{
    if (progress_rule(progress).mode == COMMIT_LOCAL || PLANTED(COMMIT_WITHOUT_COUNTING_ALL))
        return progress->copies[0].durable;
    if (!progress_may_write(progress)) return (struct lsn){0};
    struct lsn least = progress->copies[0].durable;
    for (unsigned i = 1; i < progress->count; i++) {
        if (progress->copies[i].counting == COUNTING_OUT) continue;
        least = lsn_min(least, progress->copies[i].durable);
    }
    return least;
}

/* A removal is confirmed without the copy that it removes: that one may never answer again. It
 * takes min_in_sync of the others, all of which count. */
static bool removal_is_confirmed(const struct progress *progress,
                                 const struct progress_copy *leaves)
{
    unsigned holds = 0;
    for (unsigned i = 0; i < progress->count; i++) {
        const struct progress_copy *copy = &progress->copies[i];
        if (copy == leaves || copy->counting == COUNTING_OUT) continue;
        holds += !lsn_before(copy->durable, leaves->step);
    }
    struct commit_rule rule = progress_rule(progress);
    return holds >= (rule.mode == COMMIT_ALL ? rule.min_in_sync : 1);
}

static bool commit_to(struct progress *progress, struct lsn lsn)
{
    /* Entries of earlier epochs are committed with the first of this one, never before: an entry of
     * an old epoch can be on enough copies and yet be replaced (Raft, 5.4.2). */
    if (lsn_before(lsn, progress->epoch_entry) && !PLANTED(COMMIT_BEFORE_OWN_EPOCH)) return false;
    if (!lsn_before(progress->committed, lsn)) return false;
    progress->committed = lsn;
    return true;
}

static bool confirm_rule(struct progress *progress)
{
    if (progress->rule_step.at == 0 || lsn_before(progress->committed, progress->rule_step))
        return false;
    progress->rule = progress->next;
    progress->rule_changes = false;
    progress->rule_step = (struct lsn){0};
    return true;
}

static bool confirm_steps(struct progress *progress)
{
    bool confirmed = confirm_rule(progress);
    for (unsigned i = 1; i < progress->count; i++) {
        struct progress_copy *copy = &progress->copies[i];
        if (copy->step.at == 0) continue;
        if (copy->counting == COUNTING_JOINS && !lsn_before(progress->committed, copy->step)) {
            copy->counting = COUNTING_IN;
            copy->step = (struct lsn){0};
            confirmed = true;
        } else if (copy->counting == COUNTING_LEAVES &&
                   (removal_is_confirmed(progress, copy) || PLANTED(REMOVE_BEFORE_CONFIRMED))) {
            copy->counting = COUNTING_OUT;
            copy->step = (struct lsn){0};
            confirmed = true;
        }
    }
    return confirmed;
}

bool progress_commit(struct progress *progress)
{
    bool moved = false, again = true;
    while (again) { /* a confirmed removal may let more be committed, which confirms an addition */
        again = commit_to(progress, durable_everywhere(progress));
        again |= confirm_steps(progress);
        moved |= again;
    }
    progress_check(progress);
    return moved;
}

static bool step_under_way(const struct progress *progress)
{
    if (progress->rule_changes) return true;
    for (unsigned i = 0; i < progress->count; i++) {
        enum counting counting = progress->copies[i].counting;
        if (counting == COUNTING_JOINS || counting == COUNTING_LEAVES) return true;
    }
    return false;
}

enum progress_refusal progress_add(struct progress *progress, uint64_t id)
{
    struct progress_copy *copy = find(progress, id);
    if (copy == NULL || copy->session == 0) return PROGRESS_UNKNOWN;
    if (copy->counting != COUNTING_OUT) return PROGRESS_OK;
    if (step_under_way(progress)) return PROGRESS_ONE_STEP;
    if (lsn_before(copy->durable, progress->committed)) return PROGRESS_BEHIND;
    copy->counting = COUNTING_JOINS;
    copy->step = (struct lsn){0};
    return PROGRESS_OK;
}

/* A removal may overtake an addition, whose commits the copy that goes may be holding up: until it
 * is confirmed both count, and then as many have its entry as a promotion leaves out. */
static bool removal_must_wait(const struct progress *progress)
{
    if (progress->rule_changes) return true;
    for (unsigned i = 0; i < progress->count; i++) {
        if (progress->copies[i].counting == COUNTING_LEAVES) return true;
    }
    return false;
}

enum progress_refusal progress_remove(struct progress *progress, uint64_t id)
{
    struct progress_copy *copy = find(progress, id);
    if (copy == NULL || copy == &progress->copies[0]) return PROGRESS_UNKNOWN;
    if (copy->counting == COUNTING_OUT || copy->counting == COUNTING_LEAVES) return PROGRESS_OK;
    /* A copy that joins may be given up again: whether its step is known to anyone is unknown, so
     * it goes on counting until the removal is confirmed. */
    if (copy->counting == COUNTING_IN && removal_must_wait(progress)) return PROGRESS_ONE_STEP;
    struct commit_rule rule = progress_rule(progress);
    if (rule.mode == COMMIT_ALL && progress_counting(progress) <= rule.min_in_sync)
        return PROGRESS_TOO_FEW;
    copy->counting = COUNTING_LEAVES;
    copy->step = (struct lsn){0};
    return PROGRESS_OK;
}

void progress_step(struct progress *progress, uint64_t id, struct lsn entry)
{
    struct progress_copy *copy = find(progress, id);
    MUST(copy != NULL && entry.at > 0);
    MUST(copy->counting == COUNTING_JOINS || copy->counting == COUNTING_LEAVES);
    copy->step = entry;
}

enum progress_refusal progress_change(struct progress *progress, struct commit_rule next)
{
    if (step_under_way(progress)) return PROGRESS_ONE_STEP;
    if (next.min_in_sync < 1 || next.min_in_sync > progress->count) return PROGRESS_TOO_FEW;
    if (next.mode == COMMIT_ALL && progress_counting(progress) < next.min_in_sync)
        return PROGRESS_TOO_FEW;
    progress->next = next;
    progress->rule_changes = true;
    progress->rule_step = (struct lsn){0};
    return PROGRESS_OK;
}

void progress_change_step(struct progress *progress, struct lsn entry)
{
    MUST(progress->rule_changes && entry.at > 0);
    progress->rule_step = entry;
}

bool promise_may_grant(struct epoch promised, const struct promise_request *request)
{
    if (request->epoch.copy != request->candidate) return false;
    return epoch_compare(request->epoch, promised) >= 0;
}

unsigned promise_quorum(unsigned configured, unsigned min_in_sync)
{
    MUST(min_in_sync >= 1 && min_in_sync <= configured);
    return configured - min_in_sync + 1;
}

void promotion_init(struct promotion *promotion, struct epoch epoch, unsigned configured,
                    unsigned min_in_sync)
{
    MUST(configured <= PROGRESS_COPIES_MAX);
    *promotion = (struct promotion){
        .epoch = epoch, .configured = configured, .min_in_sync = min_in_sync};
}

bool promotion_answer(struct promotion *promotion, const struct promise_answer *answer)
{
    if (!answer->granted) {
        if (epoch_compare(answer->promised, promotion->beaten) > 0)
            promotion->beaten = answer->promised;
        return false;
    }
    if (epoch_compare(answer->promised, promotion->epoch) != 0 || !answer->vouches) return false;
    for (unsigned i = 0; i < promotion->count; i++) {
        if (promotion->answers[i].copy == answer->copy) return false;
    }
    if (promotion->count == promotion->configured) return false;
    promotion->answers[promotion->count++] = *answer;
    return true;
}

bool promotion_is_ahead(const struct mark *a, const struct mark *b)
{
    int order = PLANTED(LONGEST_LOG_WINS) ? 0 : epoch_compare(a->epoch, b->epoch);
    return order > 0 || (order == 0 && lsn_before(b->lsn, a->lsn));
}

bool promotion_won(const struct promotion *promotion, const struct promise_answer **best)
{
    if (promotion->count < promise_quorum(promotion->configured, promotion->min_in_sync))
        return false;
    *best = &promotion->answers[0];
    for (unsigned i = 1; i < promotion->count; i++) {
        if (promotion_is_ahead(&promotion->answers[i].last, &(*best)->last))
            *best = &promotion->answers[i];
    }
    return true;
}
