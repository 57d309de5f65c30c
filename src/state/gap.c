/* SPDX-License-Identifier: Apache-2.0 */
#include "state/gap.h"

#include "base/memory.h"

struct end {
    uint64_t order;
    struct buffer tail;
};

struct gap {
    struct end from, to;
};

int place_compare(struct place a, struct place b)
{
    if (a.order != b.order) return a.order < b.order ? -1 : 1;
    return bytes_compare(a.tail, b.tail);
}

static struct place end_place(const struct end *end)
{
    return (struct place){end->order, buffer_bytes(&end->tail)};
}

static void end_set(struct end *end, struct place place)
{
    struct buffer tail; /* place.tail may be this end's own */
    buffer_init(&tail);
    buffer_append(&tail, place.tail);
    buffer_release(&end->tail);
    *end = (struct end){place.order, tail};
}

/* The first place behind. */
static void end_set_behind(struct end *end, struct place place)
{
    end_set(end, place);
    buffer_append_byte(&end->tail, 0);
}

static void gap_free(struct gap *gap)
{
    if (gap == NULL) return;
    buffer_release(&gap->from.tail);
    buffer_release(&gap->to.tail);
    memory_free(gap);
}

void gaps_release(struct gaps *gaps)
{
    for (unsigned i = 0; i < 2; i++) {
        gap_free(gaps->at[i]);
        gaps->at[i] = NULL;
    }
}

static bool is_between(const struct gap *gap, struct place place, bool backward)
{
    int from = place_compare(end_place(&gap->from), place);
    int to = place_compare(place, end_place(&gap->to));
    return backward ? from < 0 && to <= 0 : from <= 0 && to < 0;
}

struct place gaps_skip(const struct gaps *gaps, struct place place, bool backward)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct gap *gap = gaps->at[i];
        if (gap == NULL || !is_between(gap, place, backward)) continue;
        place = end_place(backward ? &gap->from : &gap->to);
    }
    return place;
}

void gaps_note(struct gaps *gaps, struct place from, const struct place *to, bool backward)
{
    static const struct place first = {0}, last = {.order = UINT64_MAX};
    struct gap *gap = gaps->at[backward ? 1 : 0];
    if (gap == NULL) {
        gap = memory_zeroed(1, sizeof *gap);
        buffer_init(&gap->from.tail);
        buffer_init(&gap->to.tail);
        gaps->at[backward ? 1 : 0] = gap;
    }
    if (backward) {
        end_set(&gap->to, from);
        if (to == NULL) end_set(&gap->from, first);
        else end_set_behind(&gap->from, *to);
    } else {
        end_set(&gap->from, from);
        end_set(&gap->to, to == NULL ? last : *to);
    }
}

/* The part that the walk's own direction begins with stays. */
void gaps_touch(struct gaps *gaps, struct place place)
{
    for (unsigned i = 0; i < 2; i++) {
        struct gap *gap = gaps->at[i];
        if (gap == NULL || !is_between(gap, place, false)) continue;
        if (i == 0) end_set(&gap->to, place);
        else end_set_behind(&gap->from, place);
    }
}
