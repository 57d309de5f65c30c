/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 */
#include "test/test.h"

#include <stdio.h>

#include "base/dice.h"
#include "base/memory.h"
#include "state/strand.h"

enum { ORDERS = 60, TAILS = 60 };

/* The model: each place has a cell or none. */
struct model {
    struct cell *cells[ORDERS][TAILS];
    size_t count;
    char tails[TAILS][8];
};

static struct bytes tail_of(const struct model *model, size_t i)
{
    return bytes_of(model->tails[i], i % 7); /* lengths differ; some are prefixes of others */
}

static void model_init(struct model *model)
{
    memset(model, 0, sizeof *model);
    for (size_t i = 0; i < TAILS; i++) {
        snprintf(model->tails[i], sizeof model->tails[i], "%07zu", i / 7 * 1234567 % 9999999);
    }
}

/* Tails that are equal as bytes share a place. */
static size_t place_of(const struct model *model, size_t i)
{
    size_t first = 0;
    while (!bytes_equal(tail_of(model, first), tail_of(model, i))) first++;
    return first;
}

static void put(struct strand *strand, struct model *model, size_t order, size_t i)
{
    i = place_of(model, i);
    struct cell *cell = cell_new(order * 3, tail_of(model, i), bytes_text("value"));
    struct cell *old = strand_put(strand, cell);
    assert_ptr_equal(old, model->cells[order][i]);
    if (old == NULL) model->count++;
    memory_free(old);
    model->cells[order][i] = cell;
}

static void take(struct strand *strand, struct model *model, size_t order, size_t i)
{
    i = place_of(model, i);
    struct cell *cell = strand_take(strand, order * 3, tail_of(model, i));
    assert_ptr_equal(cell, model->cells[order][i]);
    if (cell != NULL) model->count--;
    memory_free(cell);
    model->cells[order][i] = NULL;
}

/* The nearest cell of the model at or behind the place; with `before`, the last one before it. */
static struct cell *nearest(const struct model *model, struct place place, bool before)
{
    struct cell *best = NULL;
    for (size_t order = 0; order < ORDERS; order++) {
        for (size_t i = 0; i < TAILS; i++) {
            struct cell *cell = model->cells[order][i];
            if (cell == NULL) continue;
            bool is_before = place_compare(cell_place(cell), place) < 0;
            if (is_before != before) continue;
            int compared = best == NULL ? 0 : place_compare(cell_place(cell), cell_place(best));
            if (best == NULL || (before ? compared > 0 : compared < 0)) best = cell;
        }
    }
    return best;
}

static void seek_everywhere(const struct strand *strand, const struct model *model,
                            struct dice *dice)
{
    for (size_t n = 0; n < 20; n++) {
        struct place place = {dice_below(dice, ORDERS * 3),
                              tail_of(model, dice_below(dice, TAILS))};
        struct strand_place at;
        assert_ptr_equal(strand_seek(strand, place.order, place.tail, &at),
                         nearest(model, place, false));
        assert_ptr_equal(strand_seek_before(strand, place.order, place.tail, &at),
                         nearest(model, place, true));
    }
}

static void churn(uint64_t seed, size_t orders, size_t steps)
{
    struct strand strand;
    struct dice dice;
    static struct model model;
    model_init(&model);
    dice_init(&dice, seed);
    strand_init(&strand, LAYOUT_RANK, 1, (struct version){1, 2});
    for (size_t n = 0; n < steps; n++) {
        size_t order = dice_below(&dice, orders);
        size_t i = dice_below(&dice, TAILS);
        bool grows = n / 3000 % 2 == 0; /* in turns mostly more, mostly less */
        if (dice_chance(&dice, grows ? 7 : 2, 9)) put(&strand, &model, order, i);
        else take(&strand, &model, order, i);
        assert_int_equal(strand.count, model.count);
        if (n % 500 == 0) {
            strand_check_deep(&strand);
            seek_everywhere(&strand, &model, &dice);
        }
    }
    assert_int_equal(strand_drain(&strand, SIZE_MAX), model.count);
    assert_int_equal(strand.bytes, 0);
    assert_null(strand.root);
}

TEST(state_strand, cells_are_found_and_walked_in_order_whatever_came_and_went)
{
    for (uint64_t seed = 1; seed <= 4; seed++) churn(seed, ORDERS, 20000);
}

TEST(state_strand, cells_of_one_order_are_kept_apart_by_their_tails)
{
    churn(11, 1, 8000);
    churn(12, 3, 12000);
}

static void grow_at_an_end(bool front)
{
    enum { COUNT = 5000 };
    struct strand strand;
    strand_init(&strand, LAYOUT_ITEM, 1, (struct version){1, 2});
    for (uint64_t i = 0; i < COUNT; i++) {
        uint64_t order = front ? COUNT - i : i;
        assert_null(strand_put(&strand, cell_new(order, (struct bytes){0}, bytes_text("v"))));
    }
    strand_check_deep(&strand);
    size_t cells = COUNT * (sizeof(struct cell) + 1);
    assert_true(strand.bytes - cells < COUNT * 20); /* nodes are full */
    for (uint64_t i = 0; i < COUNT; i++) {          /* and emptied from the other end */
        struct cell *cell = strand_take(&strand, front ? i + 1 : i, (struct bytes){0});
        assert_non_null(cell);
        memory_free(cell);
    }
    assert_int_equal(strand.bytes, 0);
}

TEST(state_strand, a_queue_fills_its_nodes_at_either_end)
{
    grow_at_an_end(false);
    grow_at_an_end(true);
}

TEST(state_strand, a_walk_goes_back_the_way_it_came)
{
    struct strand strand;
    strand_init(&strand, LAYOUT_ITEM, 1, (struct version){1, 2});
    for (uint64_t i = 0; i < 1000; i++) {
        assert_null(
            strand_put(&strand, cell_new(i * 7 % 1000, (struct bytes){0}, bytes_text("v"))));
    }
    struct strand_place place;
    const struct cell *cell = strand_seek(&strand, 0, (struct bytes){0}, &place);
    for (uint64_t i = 0; i < 999; i++) {
        assert_int_equal(cell->order, i);
        cell = strand_next(&place);
    }
    for (uint64_t i = 999; i > 0; i--) {
        assert_int_equal(cell->order, i);
        cell = strand_previous(&place);
    }
    assert_int_equal(cell->order, 0);
    assert_null(strand_previous(&place));
    assert_int_equal(strand_last(&strand, &place)->order, 999);
    assert_null(strand_next(&place));
    (void)strand_drain(&strand, SIZE_MAX);
}

TEST(state_strand, draining_is_bounded)
{
    struct strand strand;
    strand_init(&strand, LAYOUT_ITEM, 1, (struct version){1, 2});
    for (uint64_t i = 0; i < 10000; i++) {
        assert_null(strand_put(&strand, cell_new(i, (struct bytes){0}, bytes_text("v"))));
    }
    size_t left = strand.count;
    while (left > 0) {
        size_t freed = strand_drain(&strand, 100);
        assert_true(freed > 0 && freed < 200);
        left -= freed;
        assert_int_equal(strand.count, left);
        strand_check_deep(&strand);
    }
    assert_int_equal(strand.bytes, 0);
}

/* --- Gaps --- */

static struct place at(uint64_t order, const char *tail)
{
    return (struct place){order, bytes_text(tail)};
}

static void assert_place(struct place place, uint64_t order, const char *tail)
{
    assert_int_equal(place.order, order);
    assert_true(bytes_equal(place.tail, bytes_text(tail)));
}

TEST(state_strand, a_gap_is_skipped_from_either_side_until_a_record_may_be_in_it)
{
    struct gaps gaps = {0};
    struct place to = at(9, "m");
    gaps_note(&gaps, at(2, ""), &to, false);
    assert_place(gaps_skip(&gaps, at(2, ""), false), 9, "m");
    assert_place(gaps_skip(&gaps, at(5, "x"), false), 9, "m");
    assert_place(gaps_skip(&gaps, at(1, "z"), false), 1, "z");
    assert_place(gaps_skip(&gaps, at(9, "m"), false), 9, "m");
    assert_place(gaps_skip(&gaps, at(9, "m"), true), 2, "");
    assert_place(gaps_skip(&gaps, at(9, "n"), true), 9, "n");
    gaps_touch(&gaps, at(6, "k"));
    assert_place(gaps_skip(&gaps, at(3, ""), false), 6, "k");
    assert_place(gaps_skip(&gaps, at(7, ""), false), 7, "");
    gaps_release(&gaps);
}

TEST(state_strand, a_gap_noted_backwards_begins_behind_the_record_that_ended_it)
{
    struct gaps gaps = {0};
    struct place to = at(3, "c");
    gaps_note(&gaps, at(9, ""), &to, true);
    assert_place(gaps_skip(&gaps, at(9, ""), true).order == 3 ? at(0, "") : at(1, ""), 0, "");
    assert_true(gaps_skip(&gaps, at(9, ""), true).tail.size == 2); /* "c" and a zero byte */
    assert_place(gaps_skip(&gaps, at(3, "c"), true), 3, "c");
    gaps_touch(&gaps, at(5, ""));
    assert_int_equal(gaps_skip(&gaps, at(9, ""), true).order, 5);
    gaps_release(&gaps);
}
