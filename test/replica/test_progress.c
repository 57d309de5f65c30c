/* SPDX-License-Identifier: Apache-2.0 */
/* All small worlds: every order in which copies promise, lead, replicate, commit, change who counts
 * and by which rule. Once an entry was committed by anyone, nobody ever commits another one there.
 */
#include "replica/progress.h"

#include "base/checksum.h"
#include "base/memory.h"
#include "test/test.h"

enum { COPIES = 3, ENTRIES = 4, VISITED_MAX = 1 << 23 };

/* An entry is its epoch, and the rule that it sets: 0, or min_in_sync. */
struct world_log {
    uint8_t size, epoch[ENTRIES], rule[ENTRIES];
};

struct world_copy {
    uint64_t promised;
    struct world_log log;
    bool leads;
    struct progress progress; /* while it leads */
};

struct world {
    struct world_copy copies[COPIES];
    uint8_t epoch; /* the highest that was ever asked for */
    uint8_t canon[ENTRIES];
};

struct explorer {
    unsigned copies, min_in_sync, epochs, entries;
    bool steps, rules; /* may who counts, and the rule, change */
    unsigned clash;    /* worlds in which two committed differently */
    unsigned commits;
    uint64_t *visited;
    uint64_t worlds;
};

static void explore(struct explorer *explorer, const struct world *world);

/* What tells one world from another; what a former leader remembers does not. */
static uint64_t world_hash(const struct world *world)
{
    struct bytes parts[1 + 3 * COPIES];
    size_t count = 0;
    parts[count++] = bytes_of(&world->epoch, sizeof world->epoch + sizeof world->canon);
    for (unsigned i = 0; i < COPIES; i++) {
        const struct world_copy *copy = &world->copies[i];
        parts[count++] = bytes_of(copy, offsetof(struct world_copy, progress));
        if (!copy->leads) continue;
        parts[count++] = bytes_of(&copy->progress, offsetof(struct progress, copies[COPIES]));
        parts[count++] = bytes_of(&copy->progress.epoch_entry,
                                  sizeof copy->progress - offsetof(struct progress, epoch_entry));
    }
    return checksum64_parts(parts, count, 0);
}

static bool is_new(struct explorer *explorer, const struct world *world)
{
    uint64_t hash = world_hash(world) | 1;
    uint64_t at = hash >> 20 & (VISITED_MAX - 1);
    while (explorer->visited[at] != 0 && explorer->visited[at] != hash)
        at = (at + 1) & (VISITED_MAX - 1);
    if (explorer->visited[at] == hash) return false;
    explorer->visited[at] = hash;
    assert_true(++explorer->worlds < VISITED_MAX / 2);
    return true;
}

static unsigned rule_of(const struct explorer *explorer, const struct world_log *log)
{
    unsigned min = explorer->min_in_sync;
    for (unsigned i = 0; i < log->size; i++) {
        if (log->rule[i] > 0) min = log->rule[i];
    }
    return min;
}

static struct mark last_of(const struct world_log *log)
{
    struct mark mark = {.lsn = {log->size}};
    if (log->size > 0) mark.epoch.number = log->epoch[log->size - 1];
    return mark;
}

static void put(struct world_log *log, uint64_t epoch, unsigned rule)
{
    log->epoch[log->size] = (uint8_t)epoch;
    log->rule[log->size++] = (uint8_t)rule;
}

/* What is committed stays what it is. */
static void settle(struct explorer *explorer, struct world *world, unsigned leader)
{
    struct world_copy *copy = &world->copies[leader];
    (void)progress_commit(&copy->progress);
    assert_true(copy->progress.committed.at <= copy->log.size);
    for (unsigned i = 0; i < copy->progress.committed.at; i++) {
        explorer->commits++;
        if (world->canon[i] == 0) world->canon[i] = copy->log.epoch[i];
        explorer->clash += world->canon[i] != copy->log.epoch[i];
    }
}

static void lead(const struct explorer *explorer, struct world *world, unsigned leader,
                 unsigned counting)
{
    struct world_copy *copy = &world->copies[leader];
    struct progress *progress = &copy->progress;
    struct epoch epoch = {world->epoch, leader + 1};
    unsigned rule = rule_of(explorer, &copy->log);
    memset(progress, 0, sizeof *progress);
    progress_init(progress, epoch, leader + 1);
    put(&copy->log, world->epoch, 0);
    progress_recall(progress, (struct commit_rule){COMMIT_ALL, rule}, (struct lsn){0},
                    (struct lsn){copy->log.size});
    for (unsigned i = 0; i < explorer->copies; i++) {
        if (i == leader) continue;
        assert_int_equal(progress_admit(progress, i + 1, counting >> i & 1), ERR_OK);
        progress_attach(progress, i + 1, 0, world->epoch);
    }
    progress_own(progress, (struct lsn){copy->log.size});
    copy->leads = true;
}

/* The candidate asks these copies; whoever is asked promises, whether that is enough or not. */
static void promote(struct explorer *explorer, struct world *world, unsigned candidate,
                    unsigned asked)
{
    struct epoch epoch = {++world->epoch, candidate + 1};
    unsigned rule = rule_of(explorer, &world->copies[candidate].log);
    const struct promise_answer *best;
    struct promotion promotion;
    promotion_init(&promotion, epoch, explorer->copies, rule);
    for (unsigned i = 0; i < explorer->copies; i++) {
        struct world_copy *copy = &world->copies[i];
        if (!(asked >> i & 1)) continue;
        struct promise_request request = {epoch, candidate + 1, false};
        assert_true(promise_may_grant((struct epoch){copy->promised, 0}, &request));
        copy->promised = world->epoch;
        copy->leads = false; /* of an epoch before it */
        struct promise_answer answer = {.copy = i + 1,
                                        .granted = true,
                                        .vouches = true,
                                        .promised = epoch,
                                        .last = last_of(&copy->log)};
        assert_true(promotion_answer(&promotion, &answer));
    }
    if (!promotion_won(&promotion, &best)) {
        explore(explorer, world);
        return;
    }
    struct world_log adopted = world->copies[best->copy - 1].log;
    /* The rule stands in the log that is adopted. */
    promotion.min_in_sync = rule_of(explorer, &adopted);
    bool won = promotion_won(&promotion, &best);
    if (won) world->copies[candidate].log = adopted;
    if (!won || adopted.size == explorer->entries) {
        explore(explorer, world);
        return;
    }
    unsigned all = (1u << explorer->copies) - 1;
    for (unsigned counting = 0; counting <= all; counting++) {
        struct world next = *world;
        if (!(counting >> candidate & 1)) continue;
        /* With too few it commits nothing until others have joined. */
        bool enough = (unsigned)__builtin_popcount(counting) >= promotion.min_in_sync;
        if (!enough && !explorer->steps) continue;
        if (explorer->steps && counting != all && counting != 1u << candidate) continue;
        lead(explorer, &next, candidate, counting);
        settle(explorer, &next, candidate);
        explore(explorer, &next);
    }
}

/* One more entry comes to a copy, which cuts off first what the leader does not have. */
static void replicate(struct explorer *explorer, struct world *world, unsigned leader, unsigned to)
{
    struct world_copy *from = &world->copies[leader], *copy = &world->copies[to];
    uint64_t epoch = from->progress.epoch.number;
    if (copy->promised > epoch) return;
    unsigned same = 0;
    while (same < copy->log.size && same < from->log.size &&
           copy->log.epoch[same] == from->log.epoch[same])
        same++;
    unsigned size = same < from->log.size ? same + 1 : same;
    copy->promised = epoch;
    if (epoch > 0) copy->leads = false;
    copy->log = from->log;
    copy->log.size = (uint8_t)size;
    for (unsigned i = size; i < ENTRIES; i++) copy->log.epoch[i] = copy->log.rule[i] = 0;
    struct progress_ack ack = {from->progress.epoch, to + 1, 0, epoch, {size}};
    /* What the leader commits by it, it commits at once: sooner or later makes no difference to
     * others, who learn nothing of it here. */
    if (!progress_ack(&from->progress, &ack)) return;
    settle(explorer, world, leader);
    explore(explorer, world);
}

static void append(struct explorer *explorer, struct world *world, unsigned leader, unsigned rule)
{
    struct world_copy *copy = &world->copies[leader];
    put(&copy->log, copy->progress.epoch.number, rule);
    progress_own(&copy->progress, (struct lsn){copy->log.size});
    settle(explorer, world, leader);
    explore(explorer, world);
}

static void change_counting(struct explorer *explorer, const struct world *world, unsigned leader)
{
    for (unsigned id = 1; id <= explorer->copies; id++) {
        for (unsigned leaves = 0; leaves < 2; leaves++) {
            struct world next = *world;
            struct progress *progress = &next.copies[leader].progress;
            struct progress before = *progress;
            enum progress_refusal refusal = leaves ? progress_remove(progress, id)
                                                   : progress_add(progress, id);
            if (refusal != PROGRESS_OK || memcmp(&before, progress, sizeof before) == 0) continue;
            progress_step(progress, id, (struct lsn){next.copies[leader].log.size + 1u});
            append(explorer, &next, leader, 0);
        }
    }
}

static void change_rule(struct explorer *explorer, const struct world *world, unsigned leader)
{
    for (unsigned min = 1; min <= explorer->copies; min++) {
        struct world next = *world;
        struct progress *progress = &next.copies[leader].progress;
        if (min == progress->rule.min_in_sync) continue;
        if (progress_change(progress, (struct commit_rule){COMMIT_ALL, min}) != PROGRESS_OK)
            continue;
        progress_change_step(progress, (struct lsn){next.copies[leader].log.size + 1u});
        append(explorer, &next, leader, min);
    }
}

static void act_as_leader(struct explorer *explorer, const struct world *world, unsigned leader)
{
    const struct world_copy *copy = &world->copies[leader];
    struct world next;
    for (unsigned i = 0; i < explorer->copies; i++) {
        next = *world;
        if (i != leader) replicate(explorer, &next, leader, i);
    }
    if (copy->log.size == explorer->entries) return;
    next = *world;
    append(explorer, &next, leader, 0);
    if (explorer->steps) change_counting(explorer, world, leader);
    if (explorer->rules) change_rule(explorer, world, leader);
}

static void explore(struct explorer *explorer, const struct world *world)
{
    if (explorer->clash > 0 || !is_new(explorer, world)) return;
    for (unsigned i = 0; i < explorer->copies; i++) {
        if (world->copies[i].leads) act_as_leader(explorer, world, i);
        if (world->epoch == explorer->epochs) continue;
        for (unsigned asked = 1; asked < 1u << explorer->copies; asked++) {
            struct world next = *world;
            if (asked >> i & 1) promote(explorer, &next, i, asked);
        }
    }
}

static void check_world(struct explorer explorer)
{
    struct world world;
    memset(&world, 0, sizeof world);
    explorer.visited = memory_zeroed(VISITED_MAX, sizeof *explorer.visited);
    explore(&explorer, &world);
    memory_free(explorer.visited);
    assert_int_equal(explorer.clash, 0);
    assert_true(explorer.commits > 0 && explorer.worlds > 100);
}

TEST(replica_progress, two_primaries_of_two_copies_never_both_commit)
{
    check_world((struct explorer){.copies = 2, .min_in_sync = 1, .epochs = 4, .entries = 4});
    check_world((struct explorer){.copies = 2, .min_in_sync = 2, .epochs = 4, .entries = 4});
}

TEST(replica_progress, two_primaries_of_three_copies_never_both_commit)
{
    for (unsigned min = 1; min <= 3; min++)
        check_world((struct explorer){
            .copies = 3, .min_in_sync = min, .epochs = min == 2 ? 4 : 3, .entries = 3});
}

TEST(replica_progress, nor_do_they_while_copies_join_and_leave)
{
    check_world(
        (struct explorer){.copies = 3, .min_in_sync = 2, .epochs = 2, .entries = 3, .steps = true});
    check_world(
        (struct explorer){.copies = 2, .min_in_sync = 1, .epochs = 3, .entries = 4, .steps = true});
}

TEST(replica_progress, nor_do_they_while_the_rule_changes)
{
    for (unsigned min = 1; min <= 3; min++)
        check_world((struct explorer){
            .copies = 3, .min_in_sync = min, .epochs = 2, .entries = 3, .rules = true});
}

/* --- By name --- */

/* Three copies, all of which count; min_in_sync 2; the epoch's entry is LSN 11. */
static struct progress usual(void)
{
    struct progress progress;
    progress_init(&progress, (struct epoch){5, 1}, 1);
    progress_recall(&progress, (struct commit_rule){COMMIT_ALL, 2}, (struct lsn){8},
                    (struct lsn){11});
    for (uint64_t id = 2; id <= 3; id++) {
        assert_int_equal(progress_admit(&progress, id, true), ERR_OK);
        progress_attach(&progress, id, 40 + id, 70 + id);
    }
    return progress;
}

static bool ack(struct progress *progress, uint64_t id, uint64_t durable)
{
    struct progress_ack made = {{5, 1}, id, 40 + id, 70 + id, {durable}};
    return progress_ack(progress, &made);
}

TEST(replica_progress, commit_is_what_every_copy_that_counts_has_synced)
{
    struct progress progress = usual();
    progress_own(&progress, (struct lsn){15});
    assert_true(ack(&progress, 2, 13));
    assert_false(progress_commit(&progress)); /* the third has said nothing */
    assert_int_equal(progress.committed.at, 8);
    assert_true(ack(&progress, 3, 12));
    assert_true(progress_commit(&progress));
    assert_int_equal(progress.committed.at, 12);
    progress_detach(&progress, 3, 73); /* gone: it holds commits up, and takes none back */
    assert_true(ack(&progress, 2, 15));
    assert_false(progress_commit(&progress));
    assert_int_equal(progress.committed.at, 12);
}

TEST(replica_progress, nothing_of_an_earlier_epoch_is_committed_before_the_own_entry)
{
    struct progress progress = usual();
    progress_own(&progress, (struct lsn){11});
    assert_true(ack(&progress, 2, 11));
    assert_true(ack(&progress, 3, 10));
    assert_false(progress_commit(&progress));
    assert_int_equal(progress.committed.at, 8);
    assert_true(ack(&progress, 3, 11));
    assert_true(progress_commit(&progress));
    assert_int_equal(progress.committed.at, 11);
}

TEST(replica_progress, ack_of_another_epoch_session_incarnation_or_copy_is_dropped_and_counted)
{
    struct progress progress = usual();
    struct progress_ack good = {{5, 1}, 2, 42, 72, {9}};
    for (unsigned i = 0; i < 7; i++) {
        struct progress_ack bad = good;
        if (i == 0) bad.epoch.number = 4;
        if (i == 1) bad.epoch.copy = 2;
        if (i == 2) bad.copy = 9;
        if (i == 3) bad.incarnation = 41;
        if (i == 4) bad.session = 71;
        if (i == 5) bad.copy = 1;
        if (i == 6) bad.session = 0;
        assert_false(progress_ack(&progress, &bad));
    }
    assert_true(progress_ack(&progress, &good));
    good.durable.at = 8;
    assert_false(progress_ack(&progress, &good)); /* a durable does not go back */
    assert_int_equal(progress.stale, 8);
    assert_int_equal(progress.copies[1].durable.at, 9);
    progress_attach(&progress, 2, 42, 99); /* a new session: what the old one said is forgotten */
    assert_int_equal(progress.copies[1].durable.at, 0);
}

TEST(replica_progress, copy_counts_from_before_it_joins_until_its_removal_is_confirmed)
{
    struct progress progress = usual();
    progress_own(&progress, (struct lsn){20});
    assert_true(ack(&progress, 2, 20));
    assert_true(ack(&progress, 3, 12));
    (void)progress_commit(&progress);
    assert_int_equal(progress_remove(&progress, 3), PROGRESS_OK);
    progress_step(&progress, 3, (struct lsn){21});
    progress_own(&progress, (struct lsn){21});
    assert_false(progress_commit(&progress)); /* on one of the others only */
    assert_int_equal(progress.copies[2].counting, COUNTING_LEAVES);
    assert_int_equal(progress.committed.at, 12);
    assert_true(ack(&progress, 2, 21));
    assert_true(progress_commit(&progress));
    assert_int_equal(progress.copies[2].counting, COUNTING_OUT);
    assert_int_equal(progress.committed.at, 21);
    assert_int_equal(progress_remove(&progress, 2), PROGRESS_TOO_FEW);
    assert_true(ack(&progress, 3, 20));
    assert_int_equal(progress_add(&progress, 3), PROGRESS_BEHIND); /* it lacks a committed entry */
    assert_true(ack(&progress, 3, 21));
    assert_int_equal(progress_add(&progress, 3), PROGRESS_OK);
    progress_step(&progress, 3, (struct lsn){22});
    progress_own(&progress, (struct lsn){22});
    assert_true(ack(&progress, 2, 22));
    assert_false(progress_commit(&progress)); /* it counts already */
    struct progress overtaken = progress;
    assert_int_equal(progress_remove(&overtaken, 2), PROGRESS_OK);
    assert_int_equal(progress_counting(&overtaken), 3); /* all of them, until it is confirmed */
    assert_int_equal(progress_remove(&overtaken, 3), PROGRESS_OK); /* which joins: given up again */
    assert_int_equal(progress_admit(&progress, 4, false), ERR_OK);
    progress_attach(&progress, 4, 44, 74);
    assert_true(ack(&progress, 4, 22));
    assert_int_equal(progress_add(&progress, 4), PROGRESS_ONE_STEP);
    assert_int_equal(progress_change(&progress, (struct commit_rule){COMMIT_ALL, 1}),
                     PROGRESS_ONE_STEP);
    assert_true(ack(&progress, 3, 22));
    assert_true(progress_commit(&progress));
    assert_int_equal(progress.copies[2].counting, COUNTING_IN);
}

TEST(replica_progress, with_too_few_that_count_nothing_is_committed_and_no_mode_weakens)
{
    struct progress progress = usual();
    progress.copies[1].counting = progress.copies[2].counting = COUNTING_OUT;
    progress_own(&progress, (struct lsn){20});
    assert_false(progress_may_write(&progress));
    assert_false(progress_commit(&progress));
    assert_int_equal(progress.committed.at, 8);
}

TEST(replica_progress, rule_that_is_proposed_binds_before_it_is_committed)
{
    struct progress progress = usual();
    progress.rule = (struct commit_rule){COMMIT_LOCAL, 1};
    progress_own(&progress, (struct lsn){12});
    assert_true(progress_commit(&progress));
    assert_int_equal(progress_change(&progress, (struct commit_rule){COMMIT_ALL, 2}), PROGRESS_OK);
    progress_change_step(&progress, (struct lsn){13});
    progress_own(&progress, (struct lsn){13});
    assert_false(progress_commit(&progress));
    assert_int_equal(progress.committed.at, 12);
    assert_true(ack(&progress, 2, 13));
    assert_true(ack(&progress, 3, 13));
    assert_true(progress_commit(&progress));
    assert_int_equal(progress.rule.mode, COMMIT_ALL);
    assert_false(progress.rule_changes);
}

TEST(replica_progress, copy_is_configured_and_forgotten_only_while_it_does_not_count)
{
    struct progress progress = usual();
    assert_int_equal(progress_admit(&progress, 2, false), ERR_EXISTS);
    assert_int_equal(progress_forget(&progress, 3), PROGRESS_ONE_STEP);
    progress.copies[2].counting = COUNTING_OUT;
    assert_int_equal(progress_forget(&progress, 3), PROGRESS_OK);
    assert_int_equal(progress_forget(&progress, 3), PROGRESS_UNKNOWN);
    progress.copies[1].counting = COUNTING_OUT;
    assert_int_equal(progress_forget(&progress, 2), PROGRESS_TOO_FEW);
    for (uint64_t id = 10; progress.count < PROGRESS_COPIES_MAX; id++)
        assert_int_equal(progress_admit(&progress, id, false), ERR_OK);
    assert_int_equal(progress_admit(&progress, 99, false), ERR_LIMIT);
}

TEST(replica_progress, promise_is_never_given_below_one_that_was_given)
{
    struct promise_request request = {{5, 2}, 2, false};
    assert_true(promise_may_grant((struct epoch){4, 9}, &request));
    assert_true(promise_may_grant((struct epoch){5, 2}, &request)); /* asked again */
    assert_false(promise_may_grant((struct epoch){5, 3}, &request));
    assert_false(promise_may_grant((struct epoch){6, 1}, &request));
    request.candidate = 3;
    assert_false(promise_may_grant((struct epoch){4, 9}, &request)); /* an epoch of another copy */
}

TEST(replica_progress, promotion_counts_each_copy_once_and_only_those_that_vouch)
{
    struct promotion promotion;
    const struct promise_answer *best = NULL;
    promotion_init(&promotion, (struct epoch){6, 1}, 3, 2);
    struct promise_answer answer = {.copy = 1,
                                    .granted = true,
                                    .vouches = true,
                                    .promised = {6, 1},
                                    .last = {.epoch = {4, 1}, .lsn = {90}}};
    assert_true(promotion_answer(&promotion, &answer));
    assert_false(promotion_answer(&promotion, &answer));
    answer.copy = 2;
    answer.vouches = false; /* it is being rebuilt: it may have had more */
    assert_false(promotion_answer(&promotion, &answer));
    answer.vouches = true;
    answer.promised.number = 5;
    assert_false(promotion_answer(&promotion, &answer));
    answer.granted = false;
    answer.promised = (struct epoch){7, 3};
    assert_false(promotion_answer(&promotion, &answer));
    assert_int_equal(promotion.beaten.number, 7);
    assert_false(promotion_won(&promotion, &best));
    answer = (struct promise_answer){.copy = 3,
                                     .granted = true,
                                     .vouches = true,
                                     .promised = {6, 1},
                                     .last = {.epoch = {5, 3}, .lsn = {70}}};
    assert_true(promotion_answer(&promotion, &answer));
    assert_true(promotion_won(&promotion, &best));
    assert_int_equal(best->copy, 3); /* the later epoch, not the longer log */
}
