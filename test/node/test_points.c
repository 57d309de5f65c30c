/* SPDX-License-Identifier: Apache-2.0 */
/* Views of several copies at one place of the log. */
#include "test/node/cohort.h"

enum { RANGES = 64 };

static const struct cohort_rule local = {.min_in_sync = 1};

struct question {
    struct verification verification;
    unsigned told;
    struct digest sums[RANGES];
    char names[256];
};

static struct question *asked_now(struct copy *copy)
{
    struct question *question;
    memcpy(&question, copy->text, sizeof question); /* the cohort has a place for the test's own */
    return question;
}

static void told(struct verification *verification)
{
    struct question *question = CONTAINER_OF(verification, struct question, verification);
    question->told++;
    if (verification->err != ERR_OK) return;
    if (verification->kind == VERIFICATION_RANGES)
        memcpy(question->sums, verification->sums, sizeof question->sums);
    struct bytes found = verification->found;
    size_t size = 0;
    for (size_t at = 0; verification->kind == VERIFICATION_KEYS && at < found.size;) {
        const uint8_t *head = found.data + at;
        uint32_t name = load_le32(head + SURVEY_KEY_HEAD_BYTES - 4);
        size += (size_t)snprintf(question->names + size, sizeof question->names - size, "%.*s ",
                                 (int)name, (const char *)head + SURVEY_KEY_HEAD_BYTES);
        at += SURVEY_KEY_HEAD_BYTES + name;
    }
}

static void asks(struct copy *copy)
{
    struct question *question = asked_now(copy);
    copy->bed.service->ops->verify(copy->bed.service, &question->verification);
}

static void unasks(struct copy *copy)
{
    struct question *question = asked_now(copy);
    copy->bed.service->ops->unverify(copy->bed.service, &question->verification);
}

/* It may be told later. */
static void ask(struct copy *copy, struct question *question, struct verification verification)
{
    *question = (struct question){.verification = verification};
    question->verification.done = told;
    question->verification.found = (struct bytes){0};
    memcpy(copy->text, &question, sizeof question);
    copy_do(copy, asks);
}

static uint64_t begin(struct copy *copy)
{
    struct question question;
    ask(copy, &question, (struct verification){.kind = VERIFICATION_BEGIN, .ranges = RANGES});
    assert_int_equal(question.told, 1);
    assert_int_equal(question.verification.err, ERR_OK);
    return question.verification.id;
}

static bool is_counted(struct copy *copy, uint64_t id, struct question *question)
{
    ask(copy, question, (struct verification){.kind = VERIFICATION_STATUS, .id = id});
    assert_int_equal(question->told, 1);
    return question->verification.err == ERR_OK &&
           strcmp(question->verification.state, "counted") == 0;
}

static void take_ranges(struct copy *copy, uint64_t id, struct question *question)
{
    UNTIL(copy->cohort, is_counted(copy, id, question));
    ask(copy, question, (struct verification){.kind = VERIFICATION_RANGES, .id = id});
    assert_int_equal(question->verification.err, ERR_OK);
}

static void write_some(struct copy *copy, unsigned count)
{
    for (unsigned i = 0; i < count; i++) { /* what is in flight stays so */
        char words[32];
        (void)snprintf(words, sizeof words, "SET k%u v%u", i, i);
        (void)bed_ask(&copy->bed, CALL_WRITE, words);
    }
}

TEST(node_points, all_copies_are_summed_up_at_the_same_place_while_writes_go_on)
{
    struct cohort *cohort = cohort_whole(3, local);
    struct copy *leader = &cohort->copies[0];
    write_some(leader, 20);
    uint64_t id = begin(leader);
    write_some(leader, 40);
    struct question first, other;
    take_ranges(leader, id, &first);
    assert_int_equal(first.verification.keys, 20);
    for (unsigned i = 1; i < 3; i++) {
        take_ranges(&cohort->copies[i], id, &other);
        assert_true(mark_equal(&first.verification.mark, &other.verification.mark));
        assert_true(digest_equal(first.verification.digest, other.verification.digest));
        assert_memory_equal(first.sums, other.sums, sizeof first.sums);
        assert_int_equal(other.verification.keys, 20);
        assert_int_equal(other.verification.misfits, 0);
    }
    UNTIL(cohort, copy_last(&cohort->copies[1]) == copy_last(leader));
    assert_string_equal(copy_read(&cohort->copies[1], "GET k30"), "$v30");
    cohort_close(cohort);
}

TEST(node_points, the_keys_of_a_range_are_named)
{
    struct cohort *cohort = cohort_whole(1, local);
    struct copy *leader = &cohort->copies[0];
    write_some(leader, 20);
    uint64_t id = begin(leader);
    struct question question;
    take_ranges(leader, id, &question);
    struct verification wanted = {.kind = VERIFICATION_KEYS, .id = id, .keys_max = 1000};
    for (uint32_t i = 0; i < RANGES; i++) wanted.wanted[wanted.wanted_count++] = i;
    ask(leader, &question, wanted);
    assert_int_equal(question.told, 0);
    struct question second;
    ask(leader, &second, wanted); /* one at a time */
    assert_int_equal(second.verification.err, ERR_EXISTS);
    memcpy(leader->text, &(struct question *){&question}, sizeof(struct question *));
    UNTIL(cohort, question.told == 1);
    assert_int_equal(question.verification.err, ERR_OK);
    assert_int_equal(question.verification.keys, 20);
    assert_non_null(strstr(question.names, "k7 "));
    /* who asked may go */
    ask(leader, &question, wanted);
    copy_do(leader, unasks);
    cohort_run(cohort, SIM_SECOND);
    assert_int_equal(question.told, 0);
    cohort_close(cohort);
}

TEST(node_points, a_view_is_let_go_after_its_time_or_for_newer_ones)
{
    struct cohort *cohort = cohort_whole(1, local);
    struct copy *leader = &cohort->copies[0];
    struct question question;
    uint64_t ids[POINTS_MAX + 1];
    for (unsigned i = 0; i < POINTS_MAX + 1; i++) {
        ids[i] = begin(leader);
        UNTIL(cohort, is_counted(leader, ids[i], &question));
    }
    assert_false(is_counted(leader, ids[0], &question));
    assert_int_equal(question.verification.err, ERR_NOT_FOUND);
    assert_true(is_counted(leader, ids[1], &question));
    cohort_run(cohort, (uint64_t)NODE_VERIFY_KEEP_S * SIM_SECOND + SIM_SECOND);
    for (unsigned i = 0; i < POINTS_MAX; i++) assert_null(leader->bed.node->points.at[i].survey);
    cohort_close(cohort);
}

TEST(node_points, only_the_primary_begins_one)
{
    struct cohort *cohort = cohort_whole(2, local);
    struct question question;
    ask(&cohort->copies[1], &question,
        (struct verification){.kind = VERIFICATION_BEGIN, .ranges = RANGES});
    assert_int_equal(question.verification.err, ERR_NOT_LEADER);
    ask(&cohort->copies[0], &question,
        (struct verification){.kind = VERIFICATION_BEGIN, .ranges = VERIFY_RANGES_MAX + 1});
    assert_int_equal(question.verification.err, ERR_REFUSED);
    ask(&cohort->copies[0], &question, (struct verification){.kind = VERIFICATION_STATUS, .id = 9});
    assert_int_equal(question.verification.err, ERR_NOT_FOUND);
    cohort_close(cohort);
}

static void stops(struct copy *copy)
{
    node_stop(copy->bed.node);
}

TEST(node_points, a_stop_is_not_held_up_by_one)
{
    struct cohort *cohort = cohort_whole(1, local);
    struct copy *leader = &cohort->copies[0];
    write_some(leader, 20);
    (void)begin(leader);
    write_some(leader, 20);
    copy_do(leader, stops);
    UNTIL(cohort, leader->bed.stops == 1);
    cohort_close(cohort);
}

TEST(node_points, without_space_for_its_flush_it_is_given_up_and_holds_nothing)
{
    struct cohort *cohort = cohort_whole(1, local);
    struct copy *leader = &cohort->copies[0];
    struct question question;
    uint64_t id = begin(leader);
    write_some(leader, 1);
    leader->bed.node->upkeep.store_low = true; /* neither is applied yet */
    UNTIL(cohort, leader->bed.calls[0].ended);
    assert_false(is_counted(leader, id, &question));
    assert_int_equal(question.verification.err, ERR_NOT_FOUND);
    leader->bed.node->upkeep.store_low = false;
    cohort_close(cohort);
}
