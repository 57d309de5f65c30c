/* SPDX-License-Identifier: Apache-2.0 */
/* How a pick is uniform. The hash order is cut into 2^w windows of equal width, so that a window
 * holds about eight. A window is drawn, then a place in it below a bound that no window passes; if
 * the window holds less, both are drawn again. So each has the same chance: 1 / (windows x bound) a
 * try.
 *
 * A window above the bound (made so by someone, or by very bad luck) doubles the bound; after
 * many tries in vain everything is walked. */
#include "state/pick.h"

#include "state/member_table.h"

enum {
    PICK_WALK_MAX = 1000, /* up to here everything is walked */
    PICK_WINDOW_MEAN = 8,
    PICK_BOUND = 32,
    PICK_TRIES_MAX = 256,
};

struct window {
    uint64_t from, to; /* hashes; `to` is excluded */
};

static struct window draw_window(struct tx *tx, uint64_t size)
{
    unsigned bits = 0;
    while (bits < TX_HASH_BITS - 1 && size >> bits > PICK_WINDOW_MEAN) bits++;
    uint64_t width = UINT64_C(1) << (TX_HASH_BITS - bits);
    uint64_t from = (dice_roll(&tx->dice) >> (64 - TX_HASH_BITS)) & ~(width - 1);
    return (struct window){from, from + width};
}

static struct picked keep(struct tx *tx, struct bytes name, struct bytes value)
{
    return (struct picked){tx_scratch_copy(tx, name), tx_scratch_copy(tx, value)};
}

/* How many elements the window holds; the one at `place` is kept in *out. */
static uint64_t look_into(struct tx *tx, const struct key *key, struct window window,
                          uint64_t place, struct picked *out)
{
    struct tx_cursor *cursor = tx_scan(tx, key, window.from);
    struct bytes name, value;
    uint64_t count = 0;
    while (tx_scan_next(cursor, &name, &value) && tx_scan_hash(cursor) < window.to) {
        if (count++ == place) *out = keep(tx, name, value);
    }
    tx_cursor_close(cursor);
    return count;
}

/* The element at `place` of the whole walk. */
static bool walk_to(struct tx *tx, const struct key *key, uint64_t place, struct picked *out)
{
    struct tx_cursor *cursor = tx_scan(tx, key, 0);
    struct bytes name, value;
    bool there = tx_scan_next(cursor, &name, &value);
    while (there && place-- > 0) there = tx_scan_next(cursor, &name, &value);
    if (there) *out = keep(tx, name, value);
    tx_cursor_close(cursor);
    return there;
}

static bool pick_one(struct tx *tx, const struct key *key, struct picked *out)
{
    uint64_t bound = PICK_BOUND;
    for (unsigned tries = 0; tries < PICK_TRIES_MAX; tries++) {
        struct window window = draw_window(tx, key->size);
        uint64_t place = dice_below(&tx->dice, bound);
        uint64_t count = look_into(tx, key, window, place, out);
        if (tx_pending(tx)) return false;
        if (count > bound) {
            while (bound < count) bound *= 2;
        } else if (place < count) {
            return true;
        }
    }
    return walk_to(tx, key, dice_below(&tx->dice, key->size), out);
}

/* All elements, in scratch memory. *count is 0 while tx_pending(). */
static struct picked *gather(struct tx *tx, const struct key *key, uint64_t *count)
{
    struct picked *all = tx_scratch(tx, key->size * sizeof *all);
    struct tx_cursor *cursor = tx_scan(tx, key, 0);
    struct bytes name, value;
    *count = 0;
    while (*count < key->size && tx_scan_next(cursor, &name, &value)) {
        all[(*count)++] = keep(tx, name, value);
    }
    tx_cursor_close(cursor);
    if (tx_pending(tx)) *count = 0;
    return all;
}

size_t pick_any(struct tx *tx, const struct key *key, size_t count, struct picked *out)
{
    if (key->size == 0 || tx_pending(tx)) return 0;
    if (count > 1 && (key->size <= PICK_WALK_MAX || count >= key->size / 4)) {
        uint64_t there;
        const struct picked *all = gather(tx, key, &there);
        if (there == 0) return 0;
        for (size_t i = 0; i < count; i++) out[i] = all[dice_below(&tx->dice, there)];
        return count;
    }
    for (size_t i = 0; i < count; i++) {
        bool there = key->size <= PICK_WALK_MAX
                         ? walk_to(tx, key, dice_below(&tx->dice, key->size), &out[i])
                         : pick_one(tx, key, &out[i]);
        if (!there) return 0;
    }
    return count;
}

/* One walk; each element is taken with the chance that leaves every choice equally likely (Knuth,
 * The Art of Computer Programming, 3.4.2, algorithm S). */
static size_t sample(struct tx *tx, const struct key *key, size_t count, struct picked *out)
{
    struct tx_cursor *cursor = tx_scan(tx, key, 0);
    struct bytes name, value;
    uint64_t left = key->size;
    size_t taken = 0;
    while (taken < count && left > 0 && tx_scan_next(cursor, &name, &value)) {
        if (dice_below(&tx->dice, left) < count - taken) out[taken++] = keep(tx, name, value);
        left--;
    }
    tx_cursor_close(cursor);
    return tx_pending(tx) ? 0 : taken;
}

size_t pick_distinct(struct tx *tx, const struct key *key, size_t count, struct picked *out)
{
    if (tx_pending(tx)) return 0;
    if (count > key->size) count = (size_t)key->size;
    if (key->size <= PICK_WALK_MAX || count >= key->size / 4) return sample(tx, key, count, out);
    struct member_table seen;
    member_table_init(&seen, dice_roll(&tx->dice));
    size_t taken = 0;
    size_t tries = 64 * count + PICK_TRIES_MAX; /* a bound for a store whose sizes lie */
    while (taken < count && tries-- > 0 && pick_one(tx, key, &out[taken])) {
        if (member_table_add(&seen, out[taken].name)) taken++;
    }
    member_table_release(&seen);
    return tx_pending(tx) ? 0 : taken;
}

/* --- Keys --- */

/* The `place`-th key that is not expired, from hash `from` on below `to`. *count: how many there
 * are, up to `most`. */
static bool look_at_keys(struct tx *tx, uint8_t database, struct window window, uint64_t place,
                         struct key *key, uint64_t *count)
{
    struct tx_cursor *cursor = tx_keys(tx, database, window.from);
    struct key each;
    bool there = false;
    *count = 0;
    while (tx_keys_next(cursor, &each) && tx_hash_of(each.name) < window.to) {
        if ((*count)++ != place) continue;
        *key = each;
        key->name = tx_scratch_copy(tx, each.name);
        key->text = (struct bytes){0};
        there = true;
    }
    tx_cursor_close(cursor);
    return there;
}

bool pick_key(struct tx *tx, uint8_t database, struct key *key)
{
    static const struct window everything = {0, UINT64_C(1) << TX_HASH_BITS};
    uint64_t size = tx_database_size(
        tx, database); /* some may be expired: then more tries are in vain */
    uint64_t bound = PICK_BOUND;
    uint64_t count;
    for (unsigned tries = 0; tries < PICK_TRIES_MAX && size > PICK_WALK_MAX; tries++) {
        struct window window = draw_window(tx, size);
        uint64_t place = dice_below(&tx->dice, bound);
        bool there = look_at_keys(tx, database, window, place, key, &count);
        if (tx_pending(tx)) return false;
        if (count > bound) {
            while (bound < count) bound *= 2;
        } else if (there) {
            return true;
        }
    }
    (void)look_at_keys(tx, database, everything, UINT64_MAX, key, &count);
    if (count == 0 || tx_pending(tx)) return false;
    return look_at_keys(tx, database, everything, dice_below(&tx->dice, count), key, &count);
}
