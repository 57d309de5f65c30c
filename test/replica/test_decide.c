/* SPDX-License-Identifier: Apache-2.0 */
/* Every pair of small logs against an oracle that has both of them before its eyes: it compares
 * entries one by one, and knows nothing of epochs' starts or lineages. */
#include "replica/decide.h"

#include "base/checksum.h"
#include "test/test.h"

enum { EPOCHS = 3, LENGTH_MAX = 2, LOG_MAX = EPOCHS * LENGTH_MAX };

struct model_log {
    unsigned size;
    uint64_t epoch[LOG_MAX + 1]; /* by LSN; [0] is not used */
    uint64_t past[LOG_MAX + 1];  /* equal if this entry and all before it are */
    struct epoch_start starts[EPOCHS];
    size_t start_count;
};

/* `shape` gives the length of each epoch; entries from the LSN `fork` on have another content. */
static void model_build(struct model_log *log, unsigned shape, unsigned fork)
{
    *log = (struct model_log){.size = 0};
    for (uint64_t epoch = 1; epoch <= EPOCHS; epoch++, shape /= LENGTH_MAX + 1) {
        unsigned length = shape % (LENGTH_MAX + 1);
        if (length == 0) continue;
        log->starts[log->start_count++] = (struct epoch_start){
            {epoch, epoch % 2 + 1}, {log->size + 1}, 0};
        for (unsigned i = 0; i < length; i++) {
            unsigned lsn = ++log->size;
            uint64_t content[3] = {log->past[lsn - 1], epoch, fork > 0 && lsn >= fork};
            log->epoch[lsn] = epoch;
            log->past[lsn] = checksum64(bytes_of(content, sizeof content), 0);
        }
    }
}

static struct mark model_mark(const struct model_log *log, unsigned lsn)
{
    uint64_t epoch = log->epoch[lsn];
    return (struct mark){.history = {{7}},
                         .epoch = {epoch, epoch == 0 ? 0 : epoch % 2 + 1},
                         .lsn = {lsn},
                         .lineage = {log->past[lsn]}};
}

struct universe {
    struct model_log primary, replica;
    unsigned floor, durable, committed, applied, acked, forgotten;
    bool strict, later, old, wipe, foreign;
    /* The oracle's. */
    unsigned same;
    bool fork;
    struct recover_source source;
    struct recover_facts facts;
};

static unsigned count_epoch(const struct model_log *log, uint64_t epoch, unsigned through)
{
    unsigned count = 0;
    for (unsigned i = 1; i <= through; i++) count += log->epoch[i] == epoch;
    return count;
}

/* An epoch has one writer: of two logs, one has a prefix of what the other has of it. */
static bool model_fork(const struct model_log *a, const struct model_log *b, unsigned same)
{
    for (uint64_t epoch = 1; epoch <= EPOCHS; epoch++) {
        unsigned in_a = count_epoch(a, epoch, a->size), in_b = count_epoch(b, epoch, b->size);
        if (count_epoch(a, epoch, same) < (in_a < in_b ? in_a : in_b)) return true;
    }
    return false;
}

static void universe_facts(struct universe *u)
{
    struct recover_facts base = {.cluster = 1, .level = 1, .promised = {9, 1}};
    struct recover_facts *own = &u->source.own;
    *own = base;
    own->copy = 1;
    own->last = model_mark(&u->primary, u->primary.size);
    own->floor.at = u->floor;
    own->durable.at = u->durable;
    own->committed = own->applied = own->flushed = own->last.lsn;
    own->epochs = (struct epochs_view){u->primary.starts + u->forgotten,
                                       u->primary.start_count - u->forgotten};
    u->facts = base;
    u->facts.copy = 2;
    u->facts.incarnation = 5;
    u->facts.promised = (struct epoch){u->later ? 10 : 9, 1};
    u->facts.last = model_mark(&u->replica, u->replica.size);
    u->facts.last.history.id[0] += u->foreign;
    u->facts.wipe = u->wipe;
    u->facts.floor.at = 1;
    u->facts.durable = u->facts.last.lsn;
    u->facts.committed.at = u->committed;
    u->facts.applied.at = u->applied;
    u->facts.applied_lineage.hash = u->replica.past[u->applied];
    u->facts.epochs = (struct epochs_view){u->replica.starts, u->replica.start_count};
    u->source.strict = u->strict;
    u->source.incarnation_seen = u->old ? 6 : 5;
    u->source.acked.at = u->acked;
    unsigned common = (unsigned)recover_common(own, &u->facts).at;
    u->source.has_lineage = common + 1 >= u->floor;
    u->source.lineage.hash = u->source.has_lineage ? u->primary.past[common] : 0;
}

/* A reason to refuse that the oracle sees. A later promise of its own history is the only one for
 * which nobody's word makes up. */
static bool may_refuse(const struct universe *u, enum recover_refusal refusal)
{
    if (u->foreign) return !u->wipe && refusal == REFUSAL_FOREIGN;
    if (u->wipe) return u->later && refusal == REFUSAL_FENCED;
    switch (refusal) {
    case REFUSAL_FENCED: return u->later;
    case REFUSAL_ROLLED_BACK: return u->old || u->acked > u->same || u->fork;
    case REFUSAL_CONFLICT: return u->strict && u->committed > u->same;
    case REFUSAL_DAMAGED: return u->fork;
    case REFUSAL_NONE:
    case REFUSAL_FOREIGN:
    case REFUSAL_LEVEL:
    case REFUSALS: break;
    }
    return false;
}

static void check_plan(const struct universe *u)
{
    struct recover_plan plan;
    recover_decide(&u->source, &u->facts, &plan);
    if (plan.kind == RECOVER_REFUSE) {
        assert_true(may_refuse(u, plan.refusal));
        return;
    }
    assert_int_equal(plan.refusal, REFUSAL_NONE);
    bool rolled_back = u->old || u->acked > u->same + (u->fork ? LOG_MAX : 0);
    assert_false(u->foreign ? !u->wipe : u->later);
    assert_false(!u->wipe && rolled_back);
    bool sends = plan.kind == RECOVER_IN_PLACE || plan.kind == RECOVER_CATCH_UP ||
                 plan.kind == RECOVER_CUT;
    unsigned common = (unsigned)plan.common.lsn.at;
    if (sends) {
        assert_false(u->foreign || rolled_back);
        assert_int_equal(plan.from.at, common);
        assert_true(plan.target.at >= common && plan.target.at >= u->durable);
        assert_true(plan.pin.at == common + 1 && plan.pin.at >= u->floor);
    }
    if (plan.kind == RECOVER_CUT && plan.common.lineage.hash != u->replica.past[common]) {
        assert_true(u->fork); /* the replica's own check, before it cuts */
        return;
    }
    if (sends) {
        /* What it keeps is the primary's, to the last entry; what goes was never committed. */
        assert_int_equal(common, u->same);
        assert_true(u->applied <= common);
        assert_true(!u->strict || u->committed <= common);
        assert_int_equal(plan.kind == RECOVER_CUT, u->replica.size > common);
        if (plan.kind == RECOVER_IN_PLACE) assert_true(common >= u->durable);
        return;
    }
    /* A rebuild only where nothing less will do: also where it may be wiped. */
    bool lacks = u->strict && u->committed > u->same;
    bool given_up = u->wipe && (u->foreign || u->fork || lacks || u->old || u->acked > u->same);
    bool trimmed = u->same + 1 < u->floor, empty = u->replica.size == 0 && u->floor > 1;
    bool forgotten = u->forgotten > 0 && plan.rule == RULE_FORGOTTEN;
    bool lost = !u->strict && u->applied > u->same;
    assert_true(given_up || trimmed || empty || forgotten || lost ||
                (u->fork && !u->source.has_lineage));
    if (!u->fork && !forgotten && !u->wipe) assert_true(!u->strict || u->committed <= u->same);
    assert_true(plan.pin.at >= u->floor);
}

static unsigned check_states(struct universe *u)
{
    unsigned checked = 0;
    for (u->committed = 0; u->committed <= u->replica.size; u->committed++) {
        for (u->applied = 0; u->applied <= u->committed; u->applied++) {
            for (unsigned choice = 0; choice < 192; choice++) {
                u->strict = choice & 1;
                u->later = (choice & 14) == 2;
                u->old = (choice & 14) == 4;
                u->acked = (choice & 14) == 6 ? u->same : (choice & 14) == 8 ? u->same + 1 : 0;
                u->forgotten = choice / 16 % 3;
                u->wipe = choice / 48 & 1;
                u->foreign = choice / 96;
                /* What was acked in this epoch is of an epoch that is remembered. */
                if (u->acked > u->primary.size || u->forgotten > 0) u->acked = 0;
                if (u->forgotten >= u->primary.start_count) continue;
                universe_facts(u);
                check_plan(u);
                checked++;
            }
        }
    }
    return checked;
}

TEST(replica_decide, keeps_what_is_common_loses_nothing_committed_and_refuses_with_a_reason)
{
    enum { SHAPES = 27 }; /* (LENGTH_MAX + 1) to the power of EPOCHS */
    struct universe u;
    unsigned checked = 0;
    memset(&u, 0, sizeof u);
    for (unsigned a = 1; a < SHAPES; a++) {
        for (unsigned b = 0; b < SHAPES; b++) {
            model_build(&u.primary, a, 0);
            model_build(&u.replica, b, 0);
            unsigned length = u.replica.size;
            for (unsigned fork = 0; fork <= length; fork++) {
                model_build(&u.replica, b, fork);
                u.same = 0;
                while (u.same < u.primary.size && u.same < length &&
                       u.primary.past[u.same + 1] == u.replica.past[u.same + 1])
                    u.same++;
                u.fork = model_fork(&u.primary, &u.replica, u.same);
                for (u.floor = 1; u.floor <= u.primary.size + 1; u.floor++) {
                    u.durable = u.primary.size - (fork + a + u.floor) % 2;
                    checked += check_states(&u);
                }
            }
        }
    }
    assert_true(checked > 4000000);
}

/* --- Rows of the table by name --- */

/* Facts point into the universe: it stays where it is. */
static void usual(struct universe *u)
{
    memset(u, 0, sizeof *u);
    model_build(&u->primary, 2 + 2 * 3 + 1 * 9, 0); /* 1 1 2 2 3 */
    model_build(&u->replica, 2 + 1 * 3, 0);         /* 1 1 2 */
    u->floor = 1;
    u->durable = 5;
    u->committed = u->applied = 2;
    u->strict = true;
    universe_facts(u);
}

static struct recover_plan decide(const struct universe *u)
{
    struct recover_plan plan;
    recover_decide(&u->source, &u->facts, &plan);
    return plan;
}

TEST(replica_decide, gap_within_retention_is_caught_up_and_one_entry_less_is_a_rebuild)
{
    struct universe u;
    usual(&u);
    u.floor = 4;
    universe_facts(&u);
    struct recover_plan plan = decide(&u);
    assert_int_equal(plan.kind, RECOVER_CATCH_UP);
    assert_int_equal(plan.from.at, 3);
    assert_int_equal(plan.target.at, 5);
    u.floor = 5;
    universe_facts(&u);
    plan = decide(&u);
    assert_int_equal(plan.kind, RECOVER_REBUILD_BASE);
    assert_int_equal(plan.rule, RULE_TRIMMED);
    u.source.image = model_mark(&u.primary, 4);
    plan = decide(&u);
    assert_int_equal(plan.kind, RECOVER_REBUILD);
    assert_int_equal(plan.image.lsn.at, 4);
    assert_int_equal(plan.pin.at, 5);
}

TEST(replica_decide, image_that_the_log_does_not_continue_is_not_taken)
{
    struct universe u;
    usual(&u);
    u.floor = 5;
    universe_facts(&u);
    u.source.image = model_mark(&u.primary, 3);
    assert_int_equal(decide(&u).kind, RECOVER_REBUILD_BASE);
    u.source.image = model_mark(&u.primary, 5);
    u.source.own.durable.at = 4; /* and so is one that says what is not durable */
    assert_int_equal(decide(&u).kind, RECOVER_REBUILD_BASE);
}

TEST(replica_decide, tail_of_an_old_epoch_is_cut_before_anything_is_sent)
{
    struct universe u;
    usual(&u);
    model_build(&u.primary, 2 + 1 * 3 + 2 * 9, 0); /* 1 1 2 3 3 */
    model_build(&u.replica, 2 + 2 * 3, 0);         /* 1 1 2 2 */
    universe_facts(&u);
    struct recover_plan plan = decide(&u);
    assert_int_equal(plan.kind, RECOVER_CUT);
    assert_int_equal(plan.common.lsn.at, 3);
    assert_int_equal(plan.common.epoch.number, 2);
    u.facts.committed.at = 4; /* someone has told it that this entry is committed */
    plan = decide(&u);
    assert_int_equal(plan.refusal, REFUSAL_CONFLICT);
    u.source.strict = false;
    assert_int_equal(decide(&u).kind, RECOVER_CUT); /* lost by the mode, not applied yet */
    u.facts.applied.at = 4;
    plan = decide(&u);
    assert_int_equal(plan.rule, RULE_LOST_BY_MODE);
    assert_int_equal(plan.kind, RECOVER_REBUILD_BASE);
}

TEST(replica_decide, strangers_are_refused_by_name)
{
    struct universe u;
    usual(&u);
    u.facts.cluster = 2;
    assert_int_equal(decide(&u).rule, RULE_CLUSTER);
    usual(&u);
    u.facts.shard = 4;
    assert_int_equal(decide(&u).rule, RULE_SHARD);
    usual(&u);
    u.facts.copy = 1;
    assert_int_equal(decide(&u).rule, RULE_TWIN);
    usual(&u);
    u.facts.last.history.id[0] = 8;
    assert_int_equal(decide(&u).rule, RULE_HISTORY);
    usual(&u);
    u.source.level_least = 2;
    assert_int_equal(decide(&u).refusal, REFUSAL_LEVEL);
}

TEST(replica_decide, copy_that_was_given_up_is_rebuilt_though_it_could_be_caught_up)
{
    struct universe u;
    usual(&u);
    u.source.given_up = true;
    assert_int_equal(decide(&u).kind, RECOVER_REBUILD_BASE);
    u.facts.committed.at = 3;
    u.source.own.last = model_mark(&u.primary, 2); /* but not if it alone has a committed entry */
    u.source.own.durable.at = u.source.own.committed.at = 2;
    u.source.own.applied.at = u.source.own.flushed.at = 2;
    u.source.own.epochs.count = 1;
    assert_int_equal(decide(&u).refusal, REFUSAL_CONFLICT);
}

TEST(replica_decide, wish_to_be_wiped_does_not_make_a_fenced_primary_one_again)
{
    struct universe u;
    usual(&u);
    u.facts.wipe = true;
    u.facts.promised.number = 10;
    assert_int_equal(decide(&u).refusal, REFUSAL_FENCED);
}

TEST(replica_decide, epochs_of_another_cluster_or_history_fence_nobody)
{
    struct universe u;
    for (unsigned i = 0; i < 4; i++) {
        usual(&u);
        u.facts.promised.number = 10;
        if (i < 2) u.facts.cluster = 2;
        else u.facts.last.history.id[0] = 8;
        u.facts.wipe = i % 2 == 1;
        struct recover_plan plan = decide(&u);
        assert_int_equal(plan.rule, i < 2 ? RULE_CLUSTER : RULE_HISTORY);
        assert_int_equal(plan.refusal, u.facts.wipe ? REFUSAL_NONE : REFUSAL_FOREIGN);
    }
}

TEST(replica_decide, whoever_may_be_wiped_is_rebuilt_where_it_would_be_refused_for_what_it_has)
{
    static const enum recover_rule rules[] = {RULE_CLUSTER,     RULE_HISTORY,    RULE_INCARNATION,
                                              RULE_ACKED,       RULE_FORK_EPOCH, RULE_CONFLICT,
                                              RULE_FORK_LINEAGE};
    struct universe u;
    for (unsigned i = 0; i < 2 * sizeof rules / sizeof rules[0]; i++) {
        enum recover_rule rule = rules[i / 2];
        usual(&u);
        u.facts.wipe = i % 2 == 1;
        if (rule == RULE_CLUSTER) u.facts.cluster = 2;
        if (rule == RULE_HISTORY) u.facts.last.history.id[0] = 8;
        if (rule == RULE_INCARNATION) u.source.incarnation_seen = 6;
        if (rule == RULE_ACKED) u.source.acked.at = 4;
        if (rule == RULE_FORK_EPOCH) u.replica.starts[1].first.at = 2;
        if (rule == RULE_CONFLICT) {
            model_build(&u.replica, 2 + 2 * 3, 0); /* 1 1 2 2 */
            model_build(&u.primary, 2 + 1 * 3 + 2 * 9, 0);
            u.committed = 4;
            u.wipe = u.facts.wipe;
            universe_facts(&u);
        }
        if (rule == RULE_FORK_LINEAGE) u.facts.last.lineage.hash++;
        struct recover_plan plan = decide(&u);
        assert_int_equal(plan.rule, rule);
        assert_int_equal(plan.kind, u.facts.wipe ? RECOVER_REBUILD_BASE : RECOVER_REFUSE);
    }
}

TEST(replica_decide, whoever_may_be_wiped_keeps_what_it_has_where_it_can_be_caught_up)
{
    struct universe u;
    usual(&u);
    u.facts.wipe = true;
    assert_int_equal(decide(&u).kind, RECOVER_CATCH_UP);
    model_build(&u.replica, 2 + 2 * 3 + 1 * 9, 0);
    u.wipe = true;
    universe_facts(&u);
    assert_int_equal(decide(&u).kind, RECOVER_IN_PLACE);
}

TEST(replica_decide, wish_to_be_wiped_makes_nobody_fit)
{
    struct universe u;
    for (unsigned i = 0; i < 10; i++) {
        usual(&u);
        u.facts.wipe = true;
        if (i % 2 == 1) u.facts.last.history.id[0] = 8;
        if (i / 2 == 0) u.source.own.applied.at = 9;
        if (i / 2 == 1) u.facts.applied.at = 3;
        if (i / 2 == 2) u.facts.shard = 4;
        if (i / 2 == 3) u.facts.copy = 1;
        if (i / 2 == 4) u.source.level_least = 2;
        assert_int_equal(decide(&u).kind, RECOVER_REFUSE);
    }
}

TEST(replica_decide, facts_that_contradict_themselves_are_refused)
{
    struct universe u;
    for (unsigned i = 0; i < 8; i++) {
        usual(&u);
        struct recover_facts *facts = &u.facts;
        if (i == 0) facts->floor.at = 0;
        if (i == 1) facts->floor.at = 5;
        if (i == 2) facts->applied.at = 3;
        if (i == 3) facts->committed.at = 4;
        if (i == 4) facts->durable.at = 4;
        if (i == 5) facts->flushed.at = 3;
        if (i == 6) facts->epochs.count = 1;
        if (i == 7) facts->promised.number = 1;
        struct recover_plan plan = decide(&u);
        assert_int_equal(plan.rule, RULE_FACTS);
        assert_int_equal(plan.refusal, REFUSAL_DAMAGED);
    }
    usual(&u);
    u.source.own.applied.at = 9; /* and so are our own */
    assert_int_equal(decide(&u).rule, RULE_OWN_FACTS);
}

TEST(replica_decide, new_copy_gets_the_log_while_it_is_whole_and_else_an_image)
{
    struct universe u;
    usual(&u);
    model_build(&u.replica, 0, 0);
    u.committed = u.applied = 0;
    universe_facts(&u);
    assert_int_equal(decide(&u).kind, RECOVER_CATCH_UP);
    assert_int_equal(decide(&u).from.at, 0);
    u.floor = 2;
    universe_facts(&u);
    assert_int_equal(decide(&u).kind, RECOVER_REBUILD_BASE);
}

TEST(replica_decide, proof_is_one_line_with_the_numbers)
{
    struct universe u;
    usual(&u);
    struct recover_plan plan = decide(&u);
    char text[RECOVER_TEXT_BYTES];
    recover_format(&plan, text);
    assert_string_equal(text, "plan=catch_up rule=behind refusal=none common=3 from=3 target=5 "
                              "image=0 head=5 floor=1 replica_last=3 replica_committed=2");
}
