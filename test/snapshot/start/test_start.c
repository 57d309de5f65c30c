/* SPDX-License-Identifier: Apache-2.0 */
/* The start gate: what is documented of it, one row each; and every combination of facts against
 * what must never happen. */
#include "snapshot/start/start.h"

#include "base/dice.h"
#include "test/test.h"

static const struct history ours = {{1}}, theirs = {{2}};

static struct mark at(uint64_t lsn)
{
    return (struct mark){.history = ours, .lsn = {lsn}, .epoch = {1, 1}, .lineage = {lsn * 7}};
}

/* A store at 50 with a log of 1 to 60, of which 55 are recorded as committed. */
struct scene {
    struct start_facts facts;
    struct start_image images[3];
    struct start_plan plan;
    unsigned asked;
};

static struct scene scene(void)
{
    return (struct scene){.facts = {.history = ours,
                                    .log = true,
                                    .log_history = ours,
                                    .first = {1},
                                    .last = {60},
                                    .committed = {55},
                                    .store = STORE_MARKED,
                                    .mark = at(50),
                                    .place = PLACE_AGREES}};
}

static void image(struct scene *scene, uint64_t lsn, enum start_place place)
{
    scene->images[scene->facts.image_count++] = (struct start_image){at(lsn), place};
}

/* Answers what is asked. */
static void decide(struct scene *scene)
{
    enum start_place places[3];
    scene->facts.images = scene->images;
    for (size_t i = 0; i < scene->facts.image_count; i++) {
        places[i] = scene->images[i].place;
        scene->images[i].place = PLACE_NOT_ASKED;
    }
    for (;;) {
        start_decide(&scene->facts, &scene->plan);
        if (scene->plan.outcome != START_ASK) return;
        assert_true(scene->plan.image >= 0 && scene->asked++ < 3);
        assert_int_equal(scene->images[scene->plan.image].place, PLACE_NOT_ASKED);
        scene->images[scene->plan.image].place = places[scene->plan.image];
    }
}

static void expect(struct scene *scene, enum start_outcome outcome, enum start_reason reason,
                   int image)
{
    decide(scene);
    assert_string_equal(start_outcome_name(scene->plan.outcome), start_outcome_name(outcome));
    assert_string_equal(start_reason_name(scene->plan.reason), start_reason_name(reason));
    assert_int_equal(scene->plan.image, image);
}

TEST(start, gate_skips_when_fresh_enough)
{
    struct scene s = scene();
    expect(&s, START_SKIP, REASON_NONE, START_NO_IMAGE);
    image(&s, 40, PLACE_AGREES);
    expect(&s, START_SKIP, REASON_NONE, START_NO_IMAGE);
    assert_int_equal(s.asked, 0); /* nothing is read for it */
}

TEST(start, a_first_start_is_fresh)
{
    struct scene s = scene();
    s.facts.fresh = true;
    s.facts.store = STORE_EMPTY;
    expect(&s, START_FRESH, REASON_NONE, START_NO_IMAGE);
}

TEST(start, gate_executes_when_stale)
{
    struct scene s = scene();
    image(&s, 58, PLACE_AGREES);
    image(&s, 40, PLACE_AGREES);
    expect(&s, START_EXECUTE, REASON_BEHIND_IMAGE, 0);
    s = scene();
    s.facts.first = (struct lsn){53};
    s.facts.place = PLACE_BELOW;
    image(&s, 52, PLACE_AGREES); /* the log begins just behind it */
    expect(&s, START_EXECUTE, REASON_BEHIND_LOG, 0);
}

TEST(start, gate_skips_at_image_but_behind_commit)
{
    struct scene s = scene();
    image(&s, 50, PLACE_AGREES);
    expect(&s, START_SKIP, REASON_NONE, START_NO_IMAGE);
}

TEST(start, gate_ignores_an_uncommitted_suffix)
{
    struct scene s = scene();
    s.facts.committed = (struct lsn){50};
    expect(&s, START_SKIP, REASON_NONE, START_NO_IMAGE);
}

TEST(start, gate_refuses_a_store_ahead_of_the_log)
{
    for (unsigned with_image = 0; with_image < 2; with_image++) {
        struct scene s = scene();
        s.facts.mark = at(61);
        s.facts.place = PLACE_ABOVE;
        if (with_image) image(&s, 40, PLACE_AGREES);
        expect(&s, START_REFUSE, REASON_LOG_ENDS_BEFORE_STORE, START_NO_IMAGE);
    }
}

TEST(start, gate_refuses_an_image_ahead_of_the_log)
{
    struct scene s = scene();
    image(&s, 61, PLACE_ABOVE);
    expect(&s, START_REFUSE, REASON_LOG_ENDS_BEFORE_IMAGE, 0);
}

TEST(start, gate_refuses_another_lineage_or_history_at_the_stores_mark)
{
    struct scene s = scene();
    s.facts.place = PLACE_DIFFERS;
    image(&s, 58, PLACE_AGREES);
    expect(&s, START_REFUSE, REASON_LINEAGE_DIFFERS, START_NO_IMAGE);
    s = scene();
    s.facts.mark.history = theirs;
    expect(&s, START_REFUSE, REASON_LINEAGE_DIFFERS, START_NO_IMAGE);
    s = scene();
    s.facts.store = STORE_FOREIGN;
    image(&s, 58, PLACE_AGREES);
    expect(&s, START_REFUSE, REASON_LINEAGE_DIFFERS, START_NO_IMAGE);
    s = scene();
    s.facts.log_history = theirs;
    expect(&s, START_REFUSE, REASON_LINEAGE_DIFFERS, START_NO_IMAGE);
}

TEST(start, a_missing_log_is_refused_whatever_else_there_is)
{
    struct scene s = scene();
    s.facts.log = false;
    image(&s, 40, PLACE_AGREES);
    expect(&s, START_REFUSE, REASON_LOG_MISSING, START_NO_IMAGE);
}

static void expect_doubt(enum start_store store, enum start_outcome outcome,
                         enum start_reason reason)
{
    struct scene s = scene();
    s.facts.store = store;
    image(&s, 40, PLACE_AGREES);
    expect(&s, outcome, reason, 0);
    s = scene();
    s.facts.store = store; /* the log has its beginning; an empty store needs no other one */
    bool empty = store == STORE_EMPTY;
    expect(&s, empty ? START_SKIP : outcome, empty ? REASON_NONE : reason, START_NO_IMAGE);
    s = scene();
    s.facts.store = store;
    s.facts.first = (struct lsn){2};
    expect(&s, START_REFUSE, REASON_NO_IMAGE, START_NO_IMAGE);
    s = scene();
    s.facts.store = store;
    s.facts.first = (struct lsn){42}; /* entry 41 is nowhere */
    image(&s, 40, PLACE_BELOW);
    expect(&s, START_REFUSE, REASON_NO_IMAGE, START_NO_IMAGE);
    assert_int_equal(s.asked, 0); /* its LSN says enough */
}

TEST(start, mark_missing_falls_back)
{
    expect_doubt(STORE_NO_MARK, START_FALLBACK, REASON_NO_MARK);
    expect_doubt(STORE_EMPTY, START_FALLBACK, REASON_NO_MARK);
}

TEST(start, mark_truncated_falls_back)
{
    expect_doubt(STORE_BAD_MARK, START_FALLBACK, REASON_BAD_MARK);
}

TEST(start, a_store_that_cannot_be_read_falls_back)
{
    expect_doubt(STORE_UNREADABLE, START_FALLBACK, REASON_READ_ERROR);
    expect_doubt(STORE_LATER, START_FALLBACK, REASON_NO_READER);
}

TEST(start, a_lost_store_is_made_from_an_image)
{
    expect_doubt(STORE_ABSENT, START_EXECUTE, REASON_STORE_MISSING);
}

TEST(start, an_image_of_another_lineage_or_history_is_passed_over_for_an_older_one)
{
    struct scene s = scene();
    s.facts.store = STORE_ABSENT;
    s.facts.first = (struct lsn){30};
    image(&s, 58, PLACE_DIFFERS);
    image(&s, 45, PLACE_AGREES);
    s.images[2] = (struct start_image){at(40), PLACE_AGREES};
    expect(&s, START_EXECUTE, REASON_STORE_MISSING, 1);
    s = scene();
    s.facts.store = STORE_ABSENT;
    image(&s, 58, PLACE_AGREES);
    s.images[0].mark.history = theirs;
    image(&s, 45, PLACE_AGREES);
    expect(&s, START_EXECUTE, REASON_STORE_MISSING, 1);
}

TEST(start, a_store_behind_a_useless_image_goes_on_with_its_log)
{
    struct scene s = scene();
    image(&s, 58, PLACE_DIFFERS);
    image(&s, 45, PLACE_AGREES); /* older than the store */
    expect(&s, START_SKIP, REASON_NONE, START_NO_IMAGE);
}

TEST(start, a_hole_between_store_and_log_is_refused)
{
    struct scene s = scene();
    s.facts.first = (struct lsn){52};
    s.facts.place = PLACE_BELOW;
    image(&s, 49, PLACE_BELOW);
    expect(&s, START_REFUSE, REASON_HOLE, START_NO_IMAGE);
}

TEST(start, a_log_that_begins_just_behind_the_stores_mark_is_enough)
{
    struct scene s = scene();
    s.facts.first = (struct lsn){51};
    expect(&s, START_SKIP, REASON_NONE, START_NO_IMAGE);
}

TEST(start, every_refusal_says_what_to_do)
{
    for (unsigned i = REASON_LOG_MISSING; i < START_REASONS; i++) {
        assert_true(strlen(start_reason_name((enum start_reason)i)) > 3);
        assert_true(strlen(start_reason_advice((enum start_reason)i)) > 30);
    }
}

/* --- Every combination --- */

/* The truth behind the facts: where what stands. Small numbers, so that all are tried. */
enum { LSN_MAX = 4 };

/* What the state holds before replay, as the plan has it: an LSN, or -1 if it is not of this log's
 * lineage, cannot be read, or there is none. */
static int begins_with(const struct scene *scene, const enum start_place *places)
{
    const struct start_facts *facts = &scene->facts;
    const struct start_plan *plan = &scene->plan;
    if (plan->outcome == START_SKIP && facts->store == STORE_EMPTY) return 0;
    if (plan->outcome == START_SKIP) {
        bool good = facts->store == STORE_MARKED && facts->place == PLACE_AGREES;
        return good ? (int)facts->mark.lsn.at : -1;
    }
    if (plan->image == START_NO_IMAGE) return 0;
    const struct start_image *image = &scene->images[plan->image];
    bool good = places[plan->image] == PLACE_AGREES &&
                memcmp(&image->mark.history, &ours, sizeof ours) == 0;
    return good ? (int)image->mark.lsn.at : -1;
}

/* Whatever it does is safe; and it does not refuse what it could do. */
static void judge(struct scene *scene, const enum start_place *places)
{
    const struct start_facts *facts = &scene->facts;
    bool ahead = facts->store == STORE_MARKED && facts->mark.lsn.at > facts->last.at;
    bool strange = facts->store == STORE_FOREIGN ||
                   (facts->store == STORE_MARKED && facts->place == PLACE_DIFFERS);
    bool possible = facts->first.at == 1 ||
                    (facts->store == STORE_MARKED && facts->place == PLACE_AGREES);
    for (size_t i = 0; i < facts->image_count; i++) {
        if (memcmp(&scene->images[i].mark.history, &ours, sizeof ours) != 0) continue;
        if (scene->images[i].mark.lsn.at > facts->last.at) ahead = true;
        if (places[i] == PLACE_AGREES) possible = true;
    }
    bool refused = scene->plan.outcome == START_REFUSE;
    if (ahead || strange || !possible) {
        assert_true(refused);
        return;
    }
    /* A store below the log that nothing repairs may be refused although the log has its
     * beginning: then it is not below. */
    assert_false(refused);
    int from = begins_with(scene, places);
    assert_true(from >= 0);
    assert_true((uint64_t)from + 1 >= facts->first.at); /* nothing is missing before the log */
    assert_true((uint64_t)from <= facts->last.at);      /* nothing that the log has lost */
    assert_true(facts->committed.at <= facts->last.at); /* all that was acked is in it */
}

static enum start_place place_of(const struct start_facts *facts, uint64_t lsn, bool differs)
{
    if (lsn > facts->last.at) return PLACE_ABOVE;
    if (lsn + 1 < facts->first.at) return PLACE_BELOW;
    return differs ? PLACE_DIFFERS : PLACE_AGREES;
}

static void try_images(const struct scene *base, uint64_t *tried)
{
    for (unsigned code = 0; code < (LSN_MAX + 2) * 3 * (LSN_MAX + 2) * 3; code++) {
        struct scene s = *base;
        unsigned rest = code;
        enum start_place places[3];
        uint64_t above = LSN_MAX + 2;
        for (unsigned i = 0; i < 2; i++) {
            uint64_t lsn = rest % (LSN_MAX + 2);
            unsigned kind = rest / (LSN_MAX + 2) % 3;
            rest /= (LSN_MAX + 2) * 3;
            if (lsn == 0 || lsn >= above) continue; /* none; and the newest comes first */
            above = lsn;
            size_t n = s.facts.image_count;
            image(&s, lsn, place_of(&s.facts, lsn, kind == 1));
            if (kind == 2) s.images[n].mark.history = theirs;
            places[n] = s.images[n].place;
        }
        decide(&s);
        judge(&s, places);
        ++*tried;
    }
}

TEST(start, no_combination_of_facts_leads_to_an_unsafe_start)
{
    uint64_t tried = 0;
    for (uint64_t first = 1; first <= LSN_MAX + 1; first++) {
        for (uint64_t last = first - 1; last <= LSN_MAX; last++) {
            for (uint64_t committed = 0; committed <= last; committed++) {
                for (unsigned store = STORE_MARKED; store <= STORE_FOREIGN; store++) {
                    uint64_t marks = store == STORE_MARKED ? (LSN_MAX + 2) * 2 : 1;
                    for (uint64_t mark = 0; mark < marks; mark++) {
                        struct scene s = scene();
                        s.facts.first = (struct lsn){first};
                        s.facts.last = (struct lsn){last};
                        s.facts.committed = (struct lsn){committed};
                        s.facts.store = (enum start_store)store;
                        s.facts.mark = at(mark / 2);
                        s.facts.place = place_of(&s.facts, mark / 2, mark % 2 == 1);
                        try_images(&s, &tried);
                    }
                }
            }
        }
    }
    assert_true(tried > 100000);
}
