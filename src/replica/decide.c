/* SPDX-License-Identifier: Apache-2.0 */
/* The table of recovery, a row a function: each looks at the facts and either decides or passes.
 *
 * What it rests on: a primary that opened by the rules (progress.h) has everything that was ever
 * committed, in every mode that promises it (`strict`). So what a replica has beyond the common
 * part was never committed, unless the replica knows otherwise; then one of the two was rolled
 * back, and nothing may be thrown away before a person has looked (`conflict`).
 *
 * Without `strict` a primary may lose what it had committed, by its mode: then the replica is
 * rebuilt, because state has no undo.
 *
 * A person's word (`wipe`) gives up what a replica has where nothing less would let it follow: it
 * is rebuilt where it would be refused for what it has. It makes nobody a primary again, and a copy
 * that can be caught up is. */
#include "replica/decide.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/plant.h"

struct table {
    const struct recover_source *primary;
    const struct recover_facts *replica;
    struct common common;
    struct recover_plan *plan;
};

typedef bool rule_function(const struct table *table);

static bool facts_are_sound(const struct recover_facts *facts)
{
    return facts->floor.at >= 1 && facts->floor.at <= facts->last.lsn.at + 1 &&
           facts->flushed.at <= facts->applied.at && facts->applied.at <= facts->committed.at &&
           facts->committed.at <= facts->last.lsn.at && facts->durable.at <= facts->last.lsn.at &&
           facts->flushed.at + 1 >= facts->floor.at &&
           epochs_are_sound(facts->epochs, &facts->last) &&
           epoch_compare(facts->last.epoch, facts->promised) <= 0;
}

static bool same_history(const struct recover_facts *a, const struct recover_facts *b)
{
    return memcmp(a->last.history.id, b->last.history.id, sizeof a->last.history.id) == 0;
}

static bool refuse(const struct table *table, enum recover_refusal refusal)
{
    table->plan->kind = RECOVER_REFUSE;
    table->plan->refusal = refusal;
    return true;
}

/* An image serves if the log still has everything after it, and it says nothing that is not
 * durable. */
static bool rebuild(const struct table *table)
{
    const struct recover_source *primary = table->primary;
    struct recover_plan *plan = table->plan;
    const struct mark *image = &primary->image;
    bool usable = image->lsn.at > 0 && image->lsn.at + 1 >= primary->own.floor.at &&
                  image->lsn.at <= primary->own.durable.at &&
                  memcmp(&image->history, &primary->own.last.history, sizeof image->history) == 0;
    plan->kind = usable ? RECOVER_REBUILD : RECOVER_REBUILD_BASE;
    if (usable) plan->image = *image;
    /* An image that is made now has a mark at or above what is flushed now. */
    plan->from = usable ? image->lsn : primary->own.flushed;
    plan->pin = lsn_next(plan->from);
    return true;
}

/* For what the replica has. */
static bool refuse_unless_wiped(const struct table *table, enum recover_refusal refusal)
{
    return table->replica->wipe ? rebuild(table) : refuse(table, refusal);
}

static bool send_after(const struct table *table, enum recover_kind kind, struct lsn from)
{
    struct recover_plan *plan = table->plan;
    plan->kind = kind;
    plan->from = from;
    plan->target = lsn_max(plan->target, from);
    plan->pin = lsn_next(from);
    return true;
}

static bool rule_own_facts(const struct table *table)
{
    const struct recover_facts *own = &table->primary->own;
    if (facts_are_sound(own) && own->last.lsn.at > 0) return false;
    return refuse(table, REFUSAL_DAMAGED);
}

static bool rule_facts(const struct table *table)
{
    return !facts_are_sound(table->replica) && refuse(table, REFUSAL_DAMAGED);
}

static bool rule_shard(const struct table *table)
{
    return table->replica->shard != table->primary->own.shard && refuse(table, REFUSAL_FOREIGN);
}

static bool rule_twin(const struct table *table)
{
    return table->replica->copy == table->primary->own.copy && refuse(table, REFUSAL_FOREIGN);
}

static bool rule_level(const struct table *table)
{
    return table->replica->level < table->primary->level_least && refuse(table, REFUSAL_LEVEL);
}

static bool rule_cluster(const struct table *table)
{
    bool foreign = table->replica->cluster != table->primary->own.cluster;
    return foreign && refuse_unless_wiped(table, REFUSAL_FOREIGN);
}

static bool rule_history(const struct table *table)
{
    bool foreign = !same_history(table->replica, &table->primary->own);
    return foreign && refuse_unless_wiped(table, REFUSAL_FOREIGN);
}

/* Behind the two above: the epochs of another cluster or history say nothing about ours. */
static bool rule_fenced(const struct table *table)
{
    bool later = epoch_compare(table->replica->promised, table->primary->own.promised) > 0;
    return later && !PLANTED(ACCEPT_STALE_EPOCH) && refuse(table, REFUSAL_FENCED);
}

static bool rule_incarnation(const struct table *table)
{
    bool older = table->replica->incarnation < table->primary->incarnation_seen;
    return older && refuse_unless_wiped(table, REFUSAL_ROLLED_BACK);
}

static bool rule_acked(const struct table *table)
{
    struct lsn has = table->common.lsn; /* of what is ours */
    bool less = lsn_before(has, table->primary->acked);
    return less && refuse_unless_wiped(table, REFUSAL_ROLLED_BACK);
}

static bool rule_fork_epoch(const struct table *table)
{
    bool fork = table->common.kind == COMMON_FORK;
    return fork && refuse_unless_wiped(table, REFUSAL_DAMAGED);
}

static bool rule_forgotten(const struct table *table)
{
    return table->common.kind == COMMON_FORGOTTEN && rebuild(table);
}

static bool rule_conflict(const struct table *table)
{
    bool more = lsn_before(table->common.lsn, table->replica->committed);
    return more && table->primary->strict && refuse_unless_wiped(table, REFUSAL_CONFLICT);
}

static bool rule_lost_by_mode(const struct table *table)
{
    bool less = lsn_before(table->common.lsn, table->replica->applied);
    return less && !PLANTED(CUT_BELOW_APPLIED) && rebuild(table);
}

static bool rule_given_up(const struct table *table)
{
    return table->primary->given_up && rebuild(table);
}

/* The replica's lineage at the common point, as far as it has told it. */
static bool replica_lineage(const struct table *table, struct lineage *out)
{
    const struct recover_facts *replica = table->replica;
    struct lsn at = table->common.lsn;
    if (at.at == replica->last.lsn.at) *out = replica->last.lineage;
    else if (at.at == replica->applied.at) *out = replica->applied_lineage;
    else return false;
    return true;
}

/* The primary's there. Before everything it is zero, and need not be looked up. */
static bool primary_lineage(const struct table *table, struct lineage *out)
{
    *out = table->common.lsn.at == 0 ? (struct lineage){0} : table->primary->lineage;
    return table->common.lsn.at == 0 || table->primary->has_lineage;
}

static bool rule_fork_lineage(const struct table *table)
{
    struct lineage told, own;
    if (!primary_lineage(table, &own) || !replica_lineage(table, &told)) return false;
    bool same = told.hash == own.hash || PLANTED(RESUME_WITHOUT_LINEAGE);
    return !same && refuse_unless_wiped(table, REFUSAL_DAMAGED);
}

static bool rule_trimmed(const struct table *table)
{
    bool gone = table->common.lsn.at + 1 < table->primary->own.floor.at;
    struct lineage proof;
    return (gone || !primary_lineage(table, &proof)) && rebuild(table);
}

static bool rule_ahead(const struct table *table)
{
    MUST(primary_lineage(table, &table->plan->common.lineage)); /* the row before took the rest */
    if (table->common.lsn.at == table->replica->last.lsn.at) return false;
    return send_after(table, RECOVER_CUT, table->common.lsn);
}

static bool rule_equal(const struct table *table)
{
    bool all = table->common.lsn.at >= table->primary->own.durable.at;
    return all && send_after(table, RECOVER_IN_PLACE, table->common.lsn);
}

static bool rule_behind(const struct table *table)
{
    return send_after(table, RECOVER_CATCH_UP, table->common.lsn);
}

static const struct {
    enum recover_rule rule;
    const char *name;
    rule_function *decides;
} rows[] = {
    {RULE_OWN_FACTS, "own_facts", rule_own_facts},
    {RULE_FACTS, "facts", rule_facts},
    {RULE_SHARD, "shard", rule_shard},
    {RULE_TWIN, "twin", rule_twin},
    {RULE_LEVEL, "level", rule_level},
    {RULE_CLUSTER, "cluster", rule_cluster},
    {RULE_HISTORY, "history", rule_history},
    {RULE_FENCED, "fenced", rule_fenced},
    {RULE_INCARNATION, "incarnation", rule_incarnation},
    {RULE_ACKED, "acked", rule_acked},
    {RULE_FORK_EPOCH, "fork_epoch", rule_fork_epoch},
    {RULE_FORGOTTEN, "forgotten", rule_forgotten},
    {RULE_CONFLICT, "conflict", rule_conflict},
    {RULE_LOST_BY_MODE, "lost_by_mode", rule_lost_by_mode},
    {RULE_GIVEN_UP, "given_up", rule_given_up},
    {RULE_FORK_LINEAGE, "fork_lineage", rule_fork_lineage},
    {RULE_TRIMMED, "trimmed", rule_trimmed},
    {RULE_AHEAD, "ahead", rule_ahead},
    {RULE_EQUAL, "equal", rule_equal},
    {RULE_BEHIND, "behind", rule_behind},
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static struct common common_of(const struct recover_facts *primary,
                               const struct recover_facts *replica)
{
    struct common nothing = {.kind = COMMON_FORK}; /* a row above refuses it */
    if (!facts_are_sound(primary) || !facts_are_sound(replica)) return nothing;
    if (!same_history(primary, replica)) return nothing;
    return epochs_common(primary->epochs, primary->last.lsn, replica->epochs, replica->last.lsn);
}

struct lsn recover_common(const struct recover_facts *primary, const struct recover_facts *replica)
{
    return common_of(primary, replica).lsn;
}

void recover_decide(const struct recover_source *primary, const struct recover_facts *replica,
                    struct recover_plan *plan)
{
    struct table table = {primary, replica, common_of(&primary->own, replica), plan};
    *plan = (struct recover_plan){.target = primary->own.durable,
                                  .common = {.history = primary->own.last.history,
                                             .epoch = table.common.epoch,
                                             .lsn = table.common.lsn},
                                  .head = primary->own.last.lsn,
                                  .floor = primary->own.floor,
                                  .replica_last = replica->last.lsn,
                                  .replica_committed = replica->committed};
    for (size_t i = 0; i < ROWS; i++) {
        plan->rule = rows[i].rule;
        if (rows[i].decides(&table)) return;
    }
    MUST(false); /* the last row takes everything */
}

const char *recover_kind_name(enum recover_kind kind)
{
    static const char *const names[RECOVER_KINDS] = {
        [RECOVER_IN_PLACE] = "in_place",
        [RECOVER_CATCH_UP] = "catch_up",
        [RECOVER_CUT] = "cut",
        [RECOVER_REBUILD] = "rebuild",
        [RECOVER_REBUILD_BASE] = "rebuild_base",
        [RECOVER_REFUSE] = "refuse",
    };
    return kind < RECOVER_KINDS ? names[kind] : "unknown";
}

const char *recover_rule_name(enum recover_rule rule)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].rule == rule) return rows[i].name;
    }
    return "unknown";
}

const char *recover_refusal_name(enum recover_refusal refusal)
{
    static const char *const names[REFUSALS] = {
        [REFUSAL_NONE] = "none",
        [REFUSAL_FENCED] = "fenced",
        [REFUSAL_FOREIGN] = "foreign",
        [REFUSAL_DAMAGED] = "damaged",
        [REFUSAL_ROLLED_BACK] = "rolled_back",
        [REFUSAL_LEVEL] = "level",
        [REFUSAL_CONFLICT] = "conflict",
    };
    return refusal < REFUSALS ? names[refusal] : "unknown";
}

void recover_format(const struct recover_plan *plan, char out[RECOVER_TEXT_BYTES])
{
    (void)snprintf(out, RECOVER_TEXT_BYTES,
                   "plan=%s rule=%s refusal=%s common=%" PRIu64 " from=%" PRIu64 " target=%" PRIu64
                   " image=%" PRIu64 " head=%" PRIu64 " floor=%" PRIu64 " replica_last=%" PRIu64
                   " replica_committed=%" PRIu64,
                   recover_kind_name(plan->kind), recover_rule_name(plan->rule),
                   recover_refusal_name(plan->refusal), plan->common.lsn.at, plan->from.at,
                   plan->target.at, plan->image.lsn.at, plan->head.at, plan->floor.at,
                   plan->replica_last.at, plan->replica_committed.at);
}
