/* SPDX-License-Identifier: Apache-2.0 */
/* The one order of events of several copies: what agrees is taken, and each kind of disagreement
 * is found. */
#include <string.h>

#include "sim/annals.h"
#include "test/test.h"

enum { COPIES = 3 };

/* What one copy holds; copying the struct is copying the copy. */
struct holder {
    struct mark mark;
    struct digest digest;
    uint64_t stamp;
};

struct story {
    struct annals annals;
    struct holder at[COPIES];
};

static void story_begin(struct story *story)
{
    *story = (struct story){.at[0].stamp = 0};
    annals_init(&story->annals, NULL);
    for (unsigned i = 0; i < COPIES; i++) story->at[i].mark.history.id[0] = 1;
}

/* What the next entry would make of what is held. */
static struct entry next_entry(struct holder *holder, const char *payload)
{
    bool opens = payload[0] == ENTRY_EPOCH;
    struct entry entry = {.payload = bytes_text(payload)};
    entry.lsn.at = holder->mark.lsn.at + 1;
    entry.epoch = holder->mark.epoch;
    if (opens) entry.epoch = (struct epoch){entry.epoch.number + 1, 7};
    entry.stamp.bits = holder->stamp + 10;
    uint64_t seed = holder->mark.lineage.hash * 31 + entry.epoch.number;
    entry.lineage.hash = checksum64(bytes_text(payload), seed);
    return entry;
}

static void tell(struct story *story, unsigned copy, const struct entry *entry)
{
    struct holder *holder = &story->at[copy];
    struct mark marks[2] = {holder->mark, holder->mark};
    marks[1].lsn = entry->lsn;
    marks[1].epoch = entry->epoch;
    marks[1].lineage = entry->lineage;
    holder->mark = marks[1];
    holder->stamp = entry->stamp.bits;
    holder->digest.low += entry->lineage.hash;
    annals_applied(&story->annals, copy, marks, entry, holder->digest);
}

static void apply(struct story *story, unsigned copy, const char *payload)
{
    struct entry entry = next_entry(&story->at[copy], payload);
    tell(story, copy, &entry);
}

static const char epoch_payload[] = {ENTRY_EPOCH, 0};
static const char one[] = {ENTRY_COMMAND, '1', 0};
static const char two[] = {ENTRY_COMMAND, '2', 0};

static void open_as(struct story *story, unsigned copy, const struct holder *holder)
{
    story->at[copy] = *holder;
    annals_opened(&story->annals, copy, &holder->mark, holder->digest);
}

static void apply_to_all(struct story *story)
{
    for (unsigned i = 0; i < COPIES; i++) {
        apply(story, i, epoch_payload);
        apply(story, i, one);
    }
}

static void expect(struct story *story, const char *words)
{
    const char *failure = story->annals.failure;
    if (words == NULL ? failure[0] != '\0' : strstr(failure, words) == NULL) {
        fail_msg("expected '%s', found '%s'", words == NULL ? "" : words, failure);
    }
    annals_release(&story->annals);
}

TEST(sim_annals, copies_that_apply_the_same_agree)
{
    struct story story;
    story_begin(&story);
    apply_to_all(&story);
    struct holder old = story.at[2];
    apply(&story, 0, two);
    apply(&story, 0, epoch_payload);
    open_as(&story, 1, &story.at[0]);
    open_as(&story, 2, &old);
    apply(&story, 2, two);
    apply(&story, 2, epoch_payload);
    apply(&story, 1, one);
    assert_int_equal(story.annals.count, 1);
    assert_int_equal(story.annals.list[0]->canon.count, 5);
    assert_int_equal(story.annals.again, 6);
    expect(&story, NULL);
}

TEST(sim_annals, two_entries_at_one_lsn_are_two_lineages)
{
    struct story story;
    story_begin(&story);
    apply_to_all(&story);
    apply(&story, 0, one);
    apply(&story, 1, two);
    expect(&story, "two lineages at LSN 3");
}

TEST(sim_annals, two_epochs_that_open_at_one_lsn_are_two_lineages)
{
    struct story story;
    story_begin(&story);
    apply_to_all(&story);
    struct entry entry = next_entry(&story.at[0], epoch_payload);
    tell(&story, 0, &entry);
    entry = next_entry(&story.at[1], epoch_payload);
    entry.epoch.copy++;
    tell(&story, 1, &entry);
    expect(&story, "two lineages at LSN 3");
}

TEST(sim_annals, one_mark_with_two_digests_is_found)
{
    struct story story;
    story_begin(&story);
    apply_to_all(&story);
    apply(&story, 0, one);
    story.at[1].digest.low++;
    apply(&story, 1, one);
    expect(&story, "LSN 3 left another digest");
}

TEST(sim_annals, a_mark_that_nobody_applied_is_found)
{
    struct story story;
    story_begin(&story);
    apply_to_all(&story);
    struct holder beyond = story.at[0];
    beyond.mark.lsn.at++;
    open_as(&story, 1, &beyond);
    expect(&story, "LSN 3 is held, but only 2 were ever applied");
}

TEST(sim_annals, a_store_of_another_lineage_is_found)
{
    struct story story;
    story_begin(&story);
    apply_to_all(&story);
    struct holder other = story.at[0];
    other.mark.lineage.hash++;
    open_as(&story, 1, &other);
    expect(&story, "another one is held");
}

TEST(sim_annals, a_store_with_another_digest_is_found)
{
    struct story story;
    story_begin(&story);
    apply_to_all(&story);
    struct holder other = story.at[0];
    other.digest.high++;
    open_as(&story, 1, &other);
    expect(&story, "held with another digest");
}

TEST(sim_annals, an_entry_that_skips_one_is_found)
{
    struct story story;
    story_begin(&story);
    apply_to_all(&story);
    struct entry entry = next_entry(&story.at[0], one);
    entry.lsn.at++;
    tell(&story, 0, &entry);
    expect(&story, "LSN 4 moved the mark from 2 to 4");
}

TEST(sim_annals, stamps_and_epochs_rise)
{
    struct story story;
    story_begin(&story);
    apply_to_all(&story);
    struct entry entry = next_entry(&story.at[0], one);
    entry.stamp.bits = story.at[0].stamp;
    tell(&story, 0, &entry);
    expect(&story, "the stamp goes back at LSN 3");
    story_begin(&story);
    apply_to_all(&story);
    entry = next_entry(&story.at[0], one);
    entry.epoch.number++;
    tell(&story, 0, &entry);
    expect(&story, "the epoch changes at LSN 3");
    story_begin(&story);
    apply_to_all(&story);
    entry = next_entry(&story.at[0], epoch_payload);
    entry.epoch.number--;
    tell(&story, 0, &entry);
    expect(&story, "LSN 3 opens epoch 1 after epoch 1");
}

TEST(sim_annals, a_new_history_has_what_its_copy_had)
{
    struct story story;
    story_begin(&story);
    apply_to_all(&story);
    apply(&story, 0, one);
    struct holder forced = story.at[1];
    forced.mark.history.id[0] = 2;
    open_as(&story, 1, &forced);
    apply(&story, 1, epoch_payload);
    open_as(&story, 2, &story.at[1]); /* an image of the new history */
    apply(&story, 1, two);
    apply(&story, 2, two);
    assert_int_equal(story.annals.count, 2);
    assert_ptr_equal(story.annals.list[1]->parent, story.annals.list[0]);
    assert_int_equal(story.annals.list[1]->fork, 2);
    assert_int_equal(story.annals.list[1]->canon.count, 4);
    expect(&story, NULL);
}

/* What it applies before its history has a name was perhaps never committed in the old one. */
TEST(sim_annals, a_copy_that_begins_a_history_may_take_with_it_what_the_old_one_goes_on_without)
{
    struct story story;
    story_begin(&story);
    apply_to_all(&story);
    annals_force(&story.annals, 1, true);
    apply(&story, 1, one);
    struct holder forced = story.at[1];
    open_as(&story, 1, &forced); /* it died on the way, and comes back */
    forced.mark.history.id[0] = 2;
    open_as(&story, 1, &forced);
    apply(&story, 1, epoch_payload);
    apply(&story, 1, two);
    annals_force(&story.annals, 1, false);
    apply(&story, 0, two);
    apply(&story, 2, two);
    open_as(&story, 2, &story.at[1]);
    assert_int_equal(story.annals.count, 2);
    assert_int_equal(story.annals.list[0]->canon.count, 3);
    assert_int_equal(story.annals.list[1]->fork, 2);
    assert_int_equal(story.annals.list[1]->canon.count, 5);
    expect(&story, NULL);
}

TEST(sim_annals, also_when_the_old_one_has_gone_on_already)
{
    struct story story;
    story_begin(&story);
    apply_to_all(&story);
    apply(&story, 0, two);
    annals_force(&story.annals, 1, true);
    apply(&story, 1, one);
    story.at[1].mark.history.id[0] = 2;
    open_as(&story, 1, &story.at[1]);
    assert_int_equal(story.annals.count, 2);
    assert_int_equal(story.annals.list[1]->canon.count, 3);
    expect(&story, NULL);
}

TEST(sim_annals, and_nobody_else_may_hold_that)
{
    struct story story;
    story_begin(&story);
    apply_to_all(&story);
    annals_force(&story.annals, 1, true);
    apply(&story, 1, one);
    open_as(&story, 2, &story.at[1]);
    expect(&story, "LSN 3 is held, but only 2 were ever applied");
}

/* It dies on the way to a new history, stays in the old one, and applies all of it again. */
static void give_up(struct story *story, struct holder *before)
{
    story_begin(story);
    apply_to_all(story);
    *before = story->at[1];
    annals_force(&story->annals, 1, true);
    apply(story, 1, one);
    open_as(story, 1, before);
    apply(story, 1, one);
    annals_force(&story->annals, 1, false);
    open_as(story, 1, before);
    apply(story, 1, one);
}

TEST(sim_annals, a_copy_that_gave_up_its_new_history_may_go_on_in_the_old_one)
{
    struct story story;
    struct holder before;
    give_up(&story, &before);
    apply(&story, 1, epoch_payload); /* it leads */
    assert_int_equal(story.annals.list[0]->canon.count, 4);
    apply(&story, 0, one);
    apply(&story, 0, epoch_payload);
    open_as(&story, 2, &story.at[0]);
    apply(&story, 1, two);
    apply(&story, 2, two);
    expect(&story, NULL);
}

TEST(sim_annals, but_not_in_its_own_way)
{
    struct story story;
    struct holder before;
    give_up(&story, &before);
    apply(&story, 0, two);
    apply(&story, 1, two);
    expect(&story, "two lineages at LSN 3");
}

TEST(sim_annals, and_nobody_goes_its_way_against_it)
{
    struct story story;
    struct holder before;
    give_up(&story, &before);
    apply(&story, 1, two);
    apply(&story, 0, two);
    expect(&story, "two lineages at LSN 3");
}

TEST(sim_annals, a_copy_that_gave_up_may_try_again)
{
    struct story story;
    struct holder before;
    give_up(&story, &before);
    annals_force(&story.annals, 1, true);
    story.at[1].mark.history.id[0] = 2;
    open_as(&story, 1, &story.at[1]);
    apply(&story, 1, epoch_payload);
    annals_force(&story.annals, 1, false);
    apply(&story, 0, one); /* the old one has it as well, later */
    open_as(&story, 2, &story.at[1]);
    const struct annal *annal = annals_find(&story.annals, &story.at[1].mark.history);
    assert_non_null(annal);
    assert_int_equal(annal->canon.count, 4);
    assert_int_equal(annal->fork, 2);
    assert_int_equal(annals_fork(annal), 3);
    assert_int_equal(story.annals.list[0]->canon.count, 3);
    expect(&story, NULL);
}

TEST(sim_annals, a_history_that_nobody_began_is_found)
{
    struct story story;
    story_begin(&story);
    apply_to_all(&story);
    struct holder strange = story.at[0];
    strange.mark.history.id[0] = 3;
    annals_wiped(&story.annals, 1);
    open_as(&story, 1, &strange);
    expect(&story, "of a history that nobody began");
}
