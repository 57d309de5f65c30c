/* SPDX-License-Identifier: Apache-2.0 */
/* A step: what is to count more counts from now on -> its entry is appended -> it is committed, by
 * the old rule and the new one -> the step is over. A copy that is added is named first, then
 * counts; one that is removed counts until its removal is confirmed, then is named no more.
 *
 * The configured rule is a proposal for a shard whose log has none yet. Until it is in force no
 * write is admitted: a mode never weakens silently. */
#include "node/members.h"

#include <inttypes.h>

#include "base/host.h"
#include "node/internal.h"

void node_members_note(struct node *node, struct bytes payload)
{
    struct members members;
    if (payload_members(payload, &members) != ERR_OK) return;
    node->membership.now = members;
    if (node->serves != NULL) node_serves_members(node);
}

static struct member *member_of(struct members *members, uint64_t copy)
{
    const struct member *found = members_find(members, copy);
    return found == NULL ? NULL : &members->at[found - members->at];
}

static struct attached *attached_of(struct node *node, uint64_t copy)
{
    for (size_t i = 0; i < PROGRESS_COPIES_MAX; i++) {
        struct attached *attached = &node->membership.attached[i];
        if (attached->session != 0 && attached->copy == copy) return attached;
    }
    return NULL;
}

/* The progress of an epoch begins with who has a session already. */
static void attach_again(struct node *node, const struct attached *attached)
{
    struct progress *progress = &node->progress;
    progress_attach(progress, attached->copy, attached->incarnation, attached->session);
    struct progress_ack ack = {progress->epoch, attached->copy, attached->incarnation,
                               attached->session, attached->durable};
    if (attached->durable.at > 0) (void)progress_ack(progress, &ack);
}

void node_attached(struct node *node, uint64_t copy, uint64_t incarnation, uint64_t session)
{
    if (!node->leads) return;
    struct attached *attached = attached_of(node, copy);
    for (size_t i = 0; attached == NULL && i < PROGRESS_COPIES_MAX; i++) {
        if (node->membership.attached[i].session == 0) attached = &node->membership.attached[i];
    }
    if (attached == NULL) return;
    *attached = (struct attached){copy, incarnation, session, {0}};
    progress_attach(&node->progress, copy, incarnation, session);
}

void node_detached(struct node *node, uint64_t copy, uint64_t session)
{
    if (!node->leads) return;
    struct attached *attached = attached_of(node, copy);
    if (attached != NULL && attached->session == session) *attached = (struct attached){0};
    progress_detach(&node->progress, copy, session);
}

bool node_acked(struct node *node, const struct progress_ack *ack)
{
    if (!node->leads) return false;
    struct attached *attached = attached_of(node, ack->copy);
    if (attached == NULL || attached->session != ack->session) return false;
    attached->durable = lsn_max(attached->durable, ack->durable);
    bool fresh = progress_ack(&node->progress, ack);
    node_members_commit(node);
    return fresh;
}

/* --- The epoch that is led --- */

static void own_address(const struct node *node, unsigned port, char out[COPY_ADDRESS_BYTES])
{
    const char *host = node->copies.announced_host;
    if (host[0] == '\0') host = node->seen_host;
    out[0] = '\0';
    if (host[0] != '\0' && port != 0) (void)host_format(host, port, out, COPY_ADDRESS_BYTES);
}

/* This copy is named first where the log names none. */
static struct members members_next(struct node *node)
{
    struct members next = node->membership.now;
    uint64_t own = node->site.identity.copy;
    if (next.min_in_sync == 0) next.min_in_sync = 1;
    struct member *member = member_of(&next, own);
    if (member == NULL && next.count < COPIES_MAX) member = &next.at[next.count++];
    if (member == NULL) return next;
    member->id = own;
    member->counts = true;
    own_address(node, node->copies.peer_port, member->peer);
    own_address(node, node->copies.redis_port, member->redis);
    return next;
}

void node_members_lead(struct node *node, struct epoch epoch, struct lsn committed,
                       struct lsn epoch_entry)
{
    struct membership *membership = &node->membership;
    struct progress *progress = &node->progress;
    const struct members *now = &membership->now;
    progress_init(progress, epoch, node->site.identity.copy);
    for (unsigned i = 0; i < now->count; i++) {
        if (now->at[i].id == node->site.identity.copy) continue;
        enum err err = progress_admit(progress, now->at[i].id, now->at[i].counts);
        MUST(err == ERR_OK); /* the payload's codec bounds them, and none is there twice */
    }
    struct commit_rule rule = {now->all ? COMMIT_ALL : COMMIT_LOCAL,
                               now->min_in_sync == 0 ? 1 : now->min_in_sync};
    progress_recall(progress, rule, committed, epoch_entry);
    membership->stage = CHANGE_NONE;
    bool weaker = !now->all || now->min_in_sync < node->copies.min_in_sync;
    membership->proposes = now->count <= 1 && node->copies.all && weaker;
    for (size_t i = 0; i < PROGRESS_COPIES_MAX; i++) {
        membership->attached[i] = (struct attached){0};
        membership->gone_us[i] = clock_now_us(node->world.clock);
    }
    node_reach_begin(node);
    const struct member *own = members_find(now, node->site.identity.copy);
    if (now->all && now->count > 1 && (own == NULL || !own->counts)) {
        /* Who leads next would not wait for a copy that its log counts out. */
        node_members_name(node);
        node->start.epoch_lsn = lsn_max(node->start.epoch_lsn, membership->entry);
    }
    if (now->count > 0 && now->all != node->copies.all)
        trace_event(node->world.trace, TRACE_NOTICE, "node", "mode_of_log_holds",
                    "mode=%s configured=%s", now->all ? "all" : "local",
                    node->copies.all ? "all" : "local");
}

static void steer_end(struct steer *steer, enum err err, const char *text)
{
    list_remove(&steer->node);
    steer->err = err;
    steer->why = (struct why){0};
    if (text != NULL) (void)why_fail(&steer->why, err, "%s", text);
    steer->done(steer);
}

static struct steer *steer_first(const struct node *node)
{
    struct list *first = list_first(&node->membership.steers);
    return first == NULL ? NULL : CONTAINER_OF(first, struct steer, node);
}

void node_members_unlead(struct node *node, const char *reason)
{
    struct steer *steer;
    while ((steer = steer_first(node)) != NULL) steer_end(steer, ERR_REFUSED, reason);
    node->membership.stage = CHANGE_NONE;
}

void node_members_commit(struct node *node)
{
    if (!node->leads) return;
    progress_own(&node->progress,
                 lsn_max(log_written(node->log), node->progress.copies[0].durable));
    if (progress_commit(&node->progress)) node_commit(node, node->progress.committed);
    node_members_step(node);
}

bool node_members_may_write(struct node *node, const char **error)
{
    *error = "READONLY This copy gives its role to another one (FAILOVER).";
    if (node->failover.copy != 0) return false;
    *error =
        "NOREPLICAS Not enough copies count for a write in mode all: see REPL.STATUS, REPL.ADD";
    if (node->membership.proposes || !progress_may_write(&node->progress)) return false;
    *error = "NOREPLICAS Not enough of the copies that count are in reach for a write in mode all: "
             "see REPL.STATUS";
    if (!node->membership.out_of_reach) return true;
    (void)node_reach_look(node); /* who counts may be another one since the last look */
    return !node->membership.out_of_reach;
}

void node_members_watermarks(const struct node *node, struct message_watermarks *out)
{
    const struct progress *progress = &node->progress;
    struct commit_rule rule = progress_rule(progress);
    *out = (struct message_watermarks){.durable = log_durable(node->log),
                                       .committed = node->committed,
                                       .floor = log_floor(node->log),
                                       .mode = rule.mode,
                                       .min_in_sync = rule.min_in_sync,
                                       .copy_count = progress->count};
    for (unsigned i = 0; i < progress->count; i++) {
        out->copies[i].id = progress->copies[i].id;
        out->copies[i].counts = progress->copies[i].counting != COUNTING_OUT;
    }
}

/* --- Steps --- */

/* Appends the entry of the step; without room for it, again later: what counts goes on counting. */
static void propose(struct node *node)
{
    struct membership *membership = &node->membership;
    struct buffer payload;
    buffer_init(&payload);
    payload_put_members(&payload, &membership->next);
    membership->entry = node_append_own(node, buffer_bytes(&payload));
    buffer_release(&payload);
    if (membership->entry.at == 0) return;
    membership->now = membership->next;
    if (membership->stage == CHANGE_ADD || membership->stage == CHANGE_REMOVE)
        progress_step(&node->progress, membership->copy, membership->entry);
    if (membership->stage == CHANGE_RULE) progress_change_step(&node->progress, membership->entry);
    if (node->serves != NULL) node_serves_members(node);
}

static void begin_stage(struct node *node, enum change_stage stage, uint64_t copy,
                        const struct members *next)
{
    node->membership.stage = stage;
    node->membership.copy = copy;
    node->membership.next = *next;
    propose(node);
}

static const char *refusal_text(enum progress_refusal refusal)
{
    switch (refusal) {
    case PROGRESS_OK: break;
    case PROGRESS_TOO_FEW:
        return "fewer copies than min-in-sync would count: add another one first (REPL.ADD). If "
               "that cannot be confirmed because this one is lost for good, PROMOTE FORCE here "
               "begins a new history without it";
    case PROGRESS_BEHIND: return "the copy lacks something that is committed";
    case PROGRESS_UNKNOWN: return "no copy of that id has a session here";
    case PROGRESS_ONE_STEP: return "another step is not confirmed yet";
    }
    return "it may not be done now";
}

static struct progress_copy *progress_of(struct node *node, uint64_t copy)
{
    for (unsigned i = 0; i < node->progress.count; i++) {
        if (node->progress.copies[i].id == copy) return &node->progress.copies[i];
    }
    return NULL;
}

/* Where it is reached, as its session says. */
static bool served_copy(struct node *node, uint64_t copy, struct copy_status *out)
{
    struct copies_status status = {0};
    if (node->serves != NULL) node_serves_status(node, &status);
    for (unsigned i = 0; i < status.count; i++) {
        if (status.at[i].id != copy || !status.at[i].connected) continue;
        *out = status.at[i];
        return true;
    }
    return false;
}

static void configure(struct node *node, struct steer *steer)
{
    struct copy_status found;
    struct members next = members_next(node);
    if (!served_copy(node, steer->copy, &found)) {
        steer_end(steer, ERR_NOT_FOUND, "no copy of that id has a session here");
        return;
    }
    if (next.count == COPIES_MAX) {
        steer_end(steer, ERR_REFUSED, "there are as many copies as there can be");
        return;
    }
    struct member *member = &next.at[next.count++];
    *member = (struct member){.id = steer->copy};
    memcpy(member->peer, found.peer, sizeof member->peer);
    memcpy(member->redis, found.redis, sizeof member->redis);
    begin_stage(node, CHANGE_CONFIGURE, steer->copy, &next);
}

static void add(struct node *node, struct steer *steer)
{
    struct progress_copy *copy = progress_of(node, steer->copy);
    if (copy == NULL) {
        configure(node, steer);
        return;
    }
    if (copy->counting == COUNTING_IN) {
        steer_end(steer, ERR_OK, NULL);
        return;
    }
    enum progress_refusal refusal = progress_add(&node->progress, steer->copy);
    if (refusal == PROGRESS_BEHIND) return; /* again with its next ack */
    struct members next = members_next(node);
    struct member *member = member_of(&next, steer->copy);
    if (refusal != PROGRESS_OK || member == NULL) {
        steer_end(steer, ERR_REFUSED, refusal_text(refusal));
        return;
    }
    member->counts = true;
    begin_stage(node, CHANGE_ADD, steer->copy, &next);
}

static void forget(struct node *node, struct steer *steer)
{
    struct members next = members_next(node);
    struct member *member = member_of(&next, steer->copy);
    enum progress_refusal refusal = progress_forget(&node->progress, steer->copy);
    if (refusal != PROGRESS_OK || member == NULL) {
        steer_end(steer, ERR_REFUSED, refusal_text(refusal));
        return;
    }
    *member = next.at[--next.count];
    for (size_t i = 0; i < PROGRESS_COPIES_MAX; i++) /* they have changed places */
        node->membership.gone_us[i] = clock_now_us(node->world.clock);
    begin_stage(node, CHANGE_FORGET, steer->copy, &next);
}

static void take_away(struct node *node, struct steer *steer)
{
    struct progress_copy *copy = progress_of(node, steer->copy);
    if (copy == NULL) {
        steer_end(steer, ERR_NOT_FOUND, "the log names no copy of that id");
        return;
    }
    if (copy->counting == COUNTING_OUT) {
        forget(node, steer);
        return;
    }
    enum progress_refusal refusal = progress_remove(&node->progress, steer->copy);
    if (refusal != PROGRESS_OK) {
        steer_end(steer, ERR_REFUSED, refusal_text(refusal));
        return;
    }
    struct members next = members_next(node);
    struct member *member = member_of(&next, steer->copy);
    if (member != NULL) member->counts = false;
    begin_stage(node, CHANGE_REMOVE, steer->copy, &next);
}

/* Appends what is so already, for a log that does not say it. */
void node_members_name(struct node *node)
{
    struct members next = members_next(node);
    begin_stage(node, CHANGE_FORGET, 0, &next);
}

static enum progress_refusal change_rule(struct node *node, bool all, unsigned min_in_sync)
{
    struct commit_rule rule = {all ? COMMIT_ALL : COMMIT_LOCAL, min_in_sync};
    enum progress_refusal refusal = progress_change(&node->progress, rule);
    if (refusal != PROGRESS_OK) return refusal;
    struct members next = members_next(node);
    next.all = all;
    next.min_in_sync = min_in_sync;
    begin_stage(node, CHANGE_RULE, 0, &next);
    return PROGRESS_OK;
}

static void steer_rule(struct node *node, struct steer *steer)
{
    struct commit_rule now = progress_rule(&node->progress);
    if ((now.mode == COMMIT_ALL) == steer->all && now.min_in_sync == steer->min_in_sync) {
        node->membership.proposes = false;
        steer_end(steer, ERR_OK, NULL);
        return;
    }
    enum progress_refusal refusal = change_rule(node, steer->all, steer->min_in_sync);
    if (refusal != PROGRESS_OK) steer_end(steer, ERR_REFUSED, refusal_text(refusal));
}

/* True: the step under way is over. */
static bool confirmed(struct node *node)
{
    struct membership *membership = &node->membership;
    const struct progress_copy *copy = progress_of(node, membership->copy);
    switch (membership->stage) {
    case CHANGE_NONE: return true;
    case CHANGE_CONFIGURE:
    case CHANGE_FORGET: return !lsn_before(node->committed, membership->entry);
    case CHANGE_ADD: return copy != NULL && copy->counting == COUNTING_IN;
    case CHANGE_REMOVE: return copy != NULL && copy->counting == COUNTING_OUT;
    case CHANGE_RULE: return !node->progress.rule_changes;
    }
    return false;
}

static void stage_over(struct node *node)
{
    struct membership *membership = &node->membership;
    enum change_stage stage = membership->stage;
    struct steer *steer = steer_first(node);
    membership->stage = CHANGE_NONE;
    if (stage == CHANGE_RULE) membership->proposes = false;
    bool last = stage == CHANGE_ADD || stage == CHANGE_FORGET || stage == CHANGE_RULE;
    bool its = steer != NULL &&
               (stage == CHANGE_RULE ? steer->kind == STEER_RULE : steer->copy == membership->copy);
    if (last && its) steer_end(steer, ERR_OK, NULL);
}

/* Others reach this copy elsewhere than the log says. */
static bool is_named_wrong(struct node *node)
{
    struct members *now = &node->membership.now;
    const struct member *named = member_of(now, node->site.identity.copy);
    struct members next = members_next(node);
    const struct member *own = member_of(&next, node->site.identity.copy);
    if (now->count < 2 || own == NULL) return false;
    if (named == NULL || !named->counts) return true;
    bool moved = strcmp(named->peer, own->peer) != 0 || strcmp(named->redis, own->redis) != 0;
    return moved && own->peer[0] != '\0';
}

static void begin_add(struct node *node, struct progress_copy *copy)
{
    struct members next = members_next(node);
    struct member *member = member_of(&next, copy->id);
    if (member == NULL || progress_add(&node->progress, copy->id) != PROGRESS_OK) return;
    member->counts = true;
    begin_stage(node, CHANGE_ADD, copy->id, &next);
}

static void begin_remove(struct node *node, struct progress_copy *copy)
{
    struct members next = members_next(node);
    struct member *member = member_of(&next, copy->id);
    if (member == NULL || progress_remove(&node->progress, copy->id) != PROGRESS_OK) return;
    trace_event(node->world.trace, TRACE_WARNING, "node", "copy_dropped",
                "copy=%" PRIu64 " gone_s=%" PRIu64, copy->id, node->copies.drop_after_us / 1000000);
    member->counts = false;
    begin_stage(node, CHANGE_REMOVE, copy->id, &next);
}

static void note_gone(struct node *node)
{
    uint64_t now_us = clock_now_us(node->world.clock);
    for (unsigned i = 1; i < node->progress.count; i++) {
        if (node->progress.copies[i].session != 0) node->membership.gone_us[i] = now_us;
    }
}

/* A copy that counts in an epoch that is not open may be the primary of before, which has to know
 * by then that it may be one no more. */
static bool is_too_soon(const struct node *node, unsigned index)
{
    bool open = !lsn_before(node->committed, node->start.epoch_lsn);
    uint64_t gone_us = clock_now_us(node->world.clock) - node->membership.gone_us[index];
    return !open && gone_us < NODE_UNOPENED_DROP_US;
}

static void drop_if_gone(struct node *node, unsigned index)
{
    uint64_t now_us = clock_now_us(node->world.clock);
    uint64_t patience_us = node->copies.drop_after_us;
    if (is_too_soon(node, index)) return;
    uint64_t *gone_us = &node->membership.gone_us[index];
    if (patience_us == 0 || now_us - *gone_us < patience_us) return;
    *gone_us = now_us; /* refused for want of others: asked again after as long */
    begin_remove(node, &node->progress.copies[index]);
}

/* It has no session, and somebody wants it removed. */
static bool is_unwanted(struct node *node, const struct progress_copy *copy)
{
    if (copy->session != 0) return false;
    struct list *steers = &node->membership.steers;
    for (struct list *at = steers->next; at != steers; at = at->next) {
        const struct steer *steer = CONTAINER_OF(at, struct steer, node);
        if (steer->kind == STEER_REMOVE && steer->copy == copy->id) return true;
    }
    return false;
}

/* A copy that is lost before its addition is confirmed would hold up all commits: it is given up
 * again. */
static void give_up_add(struct node *node)
{
    struct membership *membership = &node->membership;
    for (unsigned i = 1; i < node->progress.count; i++) {
        struct progress_copy *copy = &node->progress.copies[i];
        if (copy->id != membership->copy || copy->counting != COUNTING_JOINS) continue;
        if (is_unwanted(node, copy)) begin_remove(node, copy);
        else drop_if_gone(node, i);
    }
}

/* A step that only waits until its entry is committed is overtaken by the removal of a copy that
 * holds the commits up, and by the addition of one without which too few would be left; what it has
 * named is found in the log all the same. */
static void overtake(struct node *node)
{
    bool adds = node->membership.stage != CHANGE_ADD;
    for (unsigned i = 1; adds && i < node->progress.count; i++) {
        struct progress_copy *copy = &node->progress.copies[i];
        if (copy->counting != COUNTING_OUT || copy->session == 0 || copy->durable.at == 0) continue;
        begin_add(node, copy);
        if (node->membership.stage == CHANGE_ADD) return;
    }
    for (unsigned i = 1; i < node->progress.count; i++) {
        struct progress_copy *copy = &node->progress.copies[i];
        if (copy->counting != COUNTING_IN) continue;
        if (is_unwanted(node, copy) && !is_too_soon(node, i)) begin_remove(node, copy);
        else drop_if_gone(node, i);
        if (node->membership.stage == CHANGE_REMOVE) return;
    }
}

/* An epoch that is not open waits for every copy that counts. One of them may be the primary that
 * is no more; that it counts no more is confirmed without it. No other step is taken by then. */
static void step_unopened(struct node *node)
{
    struct steer *steer = steer_first(node);
    struct progress_copy *copy = steer == NULL ? NULL : progress_of(node, steer->copy);
    bool removes = steer != NULL && steer->kind == STEER_REMOVE && copy != NULL &&
                   copy->counting != COUNTING_OUT &&
                   !is_too_soon(node, (unsigned)(copy - node->progress.copies));
    if (removes) take_away(node, steer);
    if (node->membership.stage == CHANGE_NONE) overtake(node);
}

/* Named by what is committed: from now on it is asked for promises. */
static void admit_named(struct node *node)
{
    const struct members *now = &node->membership.now;
    if (lsn_before(node->committed, node->membership.entry)) return;
    for (unsigned i = 0; i < now->count; i++) {
        uint64_t copy = now->at[i].id;
        if (progress_of(node, copy) != NULL) continue;
        if (progress_admit(&node->progress, copy, false) != ERR_OK) return;
        const struct attached *attached = attached_of(node, copy);
        if (attached != NULL) attach_again(node, attached);
    }
}

/* A named copy that is gone for too long counts no more, if enough others do; once it is back and
 * has what is committed, it counts again. */
static void step_by_itself(struct node *node)
{
    if (is_named_wrong(node)) {
        node_members_name(node);
        return;
    }
    for (unsigned i = 1; i < node->progress.count; i++) {
        struct progress_copy *copy = &node->progress.copies[i];
        if (copy->counting == COUNTING_OUT && copy->session != 0 && copy->durable.at > 0)
            begin_add(node, copy);
        else if (copy->counting == COUNTING_IN) drop_if_gone(node, i);
        if (node->membership.stage != CHANGE_NONE) return;
    }
}

/* Its naming was overtaken and is not committed yet: it is admitted then, not named again. */
static bool is_named_only(struct node *node, uint64_t copy)
{
    return members_find(&node->membership.now, copy) != NULL && progress_of(node, copy) == NULL;
}

static void next_step(struct node *node)
{
    struct steer *steer = steer_first(node);
    bool may_propose = node->membership.proposes &&
                       progress_counting(&node->progress) >= node->copies.min_in_sync;
    if (may_propose) {
        (void)change_rule(node, true, node->copies.min_in_sync);
        if (node->membership.stage != CHANGE_NONE) return;
    }
    if (steer == NULL) step_by_itself(node);
    else if (steer->kind == STEER_ADD && is_named_only(node, steer->copy)) overtake(node);
    else if (steer->kind == STEER_ADD) add(node, steer);
    else if (steer->kind == STEER_REMOVE) take_away(node, steer);
    else steer_rule(node, steer);
}

void node_members_step(struct node *node)
{
    struct membership *membership = &node->membership;
    if (!node->leads) return;
    note_gone(node);
    if (membership->stage != CHANGE_NONE && membership->entry.at == 0) propose(node);
    if (membership->stage != CHANGE_NONE && membership->entry.at == 0) return;
    bool only_waits = membership->stage == CHANGE_CONFIGURE || membership->stage == CHANGE_ADD ||
                      membership->stage == CHANGE_FORGET;
    if (membership->stage == CHANGE_ADD && !confirmed(node)) give_up_add(node);
    if (only_waits && !confirmed(node)) overtake(node);
    admit_named(node);
    if (membership->stage != CHANGE_NONE && !confirmed(node)) return;
    if (membership->stage != CHANGE_NONE) stage_over(node);
    if (lsn_before(node->committed, node->start.epoch_lsn)) step_unopened(node);
    else next_step(node);
}

void node_members_steer(struct node *node, struct steer *steer)
{
    list_append(&node->membership.steers, &steer->node);
    node_members_step(node);
}
