/* SPDX-License-Identifier: Apache-2.0 */
/* Lists: changes in the middle. Items have no holes between them, so what is inserted or removed in
 * the middle shifts all items on one side of it: the shorter one. Shifted items are read before the
 * first is written. */
#include "base/memory.h"
#include "state/arguments.h"
#include "state/evals.h"
#include "state/list.h"
#include "state/tx_effects.h"

/* --- Runs of items --- */

enum { RUN_LENGTH_BYTES = 8 };

/* Items one after the other, each behind its length. */
static void run_add(struct buffer *run, struct bytes value)
{
    buffer_append_le64(run, value.size);
    buffer_append(run, value);
}

/* Writes the items of the run to `index` and the following; releases the run. */
static void run_write(struct tx *tx, struct key *key, int64_t index, struct buffer *run)
{
    for (size_t at = 0; at < run->size && !tx_pending(tx); index++) {
        size_t size = (size_t)load_le64(run->data + at);
        at += RUN_LENGTH_BYTES;
        tx_item_put(tx, key, index, bytes_of(run->data + at, size));
        at += size;
    }
    buffer_release(run);
}

/* Ascending indexes of items. */
struct places {
    int64_t *at;
    size_t count, capacity;
};

static void places_add(struct places *places, int64_t index)
{
    if (places->count == places->capacity) {
        places->capacity = places->capacity == 0 ? 16 : places->capacity * 2;
        places->at = memory_resize(places->at, places->capacity * sizeof places->at[0]);
    }
    places->at[places->count++] = index;
}

/* The items in [from, to) that are not among `without`, whose places lie in that range; run_write
 * releases them. */
static struct buffer run_read(struct tx *tx, const struct key *key, int64_t from, int64_t to,
                              const struct places *without)
{
    struct buffer run;
    buffer_init(&run);
    if (from >= to) return run;
    struct tx_cursor *cursor = tx_items(tx, key, from, false);
    int64_t index;
    struct bytes value;
    size_t passed = 0;
    while (tx_items_next(cursor, &index, &value) && index < to) {
        if (without != NULL && passed < without->count && without->at[passed] == index) passed++;
        else run_add(&run, value);
    }
    tx_cursor_close(cursor);
    return run;
}

/* Looks at them all first: what is not in memory is then asked for at once, not item by item. */
static void remove_items(struct tx *tx, struct key *key, int64_t from, int64_t to)
{
    if (to - from > 1) {
        struct tx_cursor *cursor = tx_items(tx, key, from, false);
        int64_t index;
        struct bytes value;
        while (tx_items_next(cursor, &index, &value) && index + 1 < to) continue;
        tx_cursor_close(cursor);
    }
    for (int64_t i = from; i < to && !tx_pending(tx); i++) tx_item_remove(tx, key, i);
}

/* Removes the items at `places` (at least one) and closes the gaps. */
static void remove_places(struct tx *tx, struct key *key, const struct places *places)
{
    int64_t count = (int64_t)places->count;
    int64_t first = places->at[0], last = places->at[places->count - 1];
    struct buffer run;
    if ((uint64_t)count == list_length(key)) {
        key->head = key->tail; /* the key goes, and its items with it */
    } else if (key->tail - first <= last - key->head) {
        run = run_read(tx, key, first, key->tail, places);
        run_write(tx, key, first, &run);
        remove_items(tx, key, key->tail - count, key->tail);
        key->tail -= count;
    } else {
        run = run_read(tx, key, key->head, last + 1, places);
        run_write(tx, key, key->head + count, &run);
        remove_items(tx, key, key->head, key->head + count);
        key->head += count;
    }
}

/* --- LREM --- */

/* The first `most` items equal to `value`, from the tail if `backwards`. */
struct search {
    struct bytes value;
    uint64_t most;
    bool backwards;
};

/* Their places, ascending in any case; the caller frees places.at. */
static struct places find_equal(struct tx *tx, const struct key *key, const struct search *search)
{
    struct places places = {NULL, 0, 0};
    int64_t from = search->backwards ? key->tail - 1 : key->head, index;
    struct tx_cursor *cursor = tx_items(tx, key, from, search->backwards);
    struct bytes item;
    while (places.count < search->most && tx_items_next(cursor, &index, &item)) {
        if (bytes_equal(item, search->value)) places_add(&places, index);
    }
    tx_cursor_close(cursor);
    for (size_t i = 0; search->backwards && i < places.count / 2; i++) {
        int64_t swap = places.at[i];
        places.at[i] = places.at[places.count - 1 - i];
        places.at[places.count - 1 - i] = swap;
    }
    return places;
}

void eval_LREM(struct tx *tx, const struct args *args)
{
    int64_t count;
    if (!argument_integer(tx, args->at[2], ERROR_NOT_INTEGER, &count)) return;
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_LIST, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT) {
        tx->reply->ops->integer(tx->reply, 0);
        return;
    }
    struct search search = {args->at[3], (uint64_t)count, false};
    if (count == 0) search.most = UINT64_MAX;
    if (count < 0) search = (struct search){args->at[3], 0 - (uint64_t)count, true};
    struct places places = find_equal(tx, &key, &search);
    tx->reply->ops->integer(tx->reply, (int64_t)places.count);
    if (places.count > 0) {
        remove_places(tx, &key, &places);
        list_cut(tx, &key, "lrem");
    }
    memory_free(places.at);
}

/* --- LTRIM --- */

void eval_LTRIM(struct tx *tx, const struct args *args)
{
    int64_t start, stop;
    if (!argument_integer(tx, args->at[2], ERROR_NOT_INTEGER, &start)) return;
    if (!argument_integer(tx, args->at[3], ERROR_NOT_INTEGER, &stop)) return;
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_LIST, &key);
    if (found == FOUND_WRONG) return;
    tx->reply->ops->simple(tx->reply, "OK");
    if (found == FOUND_ABSENT) return;
    uint64_t length = list_length(&key);
    if (argument_clip_range(&start, &stop, length)) {
        int64_t head = key.head + start, tail = key.head + stop + 1;
        remove_items(tx, &key, key.head, head);
        remove_items(tx, &key, tail, key.tail);
        key.head = head;
        key.tail = tail;
    } else {
        key.head = key.tail;
    }
    if (list_length(&key) == length) tx_effect_none(tx); /* though it counts as changed here */
    list_cut(tx, &key, "ltrim");
}

/* --- LINSERT --- */

static bool find_pivot(struct tx *tx, const struct key *key, struct bytes pivot, int64_t *index)
{
    struct places places = find_equal(tx, key, &(struct search){pivot, 1, false});
    bool found = places.count > 0;
    if (found) *index = places.at[0];
    memory_free(places.at);
    return found;
}

/* Puts `value` between the items at index - 1 and index. */
static void insert_at(struct tx *tx, struct key *key, int64_t index, struct bytes value)
{
    struct buffer run;
    if (key->tail - index <= index - key->head) {
        run = run_read(tx, key, index, key->tail, NULL);
        run_write(tx, key, index + 1, &run);
        key->tail++;
    } else {
        run = run_read(tx, key, key->head, index, NULL);
        run_write(tx, key, key->head - 1, &run);
        key->head--;
        index--;
    }
    tx_item_put(tx, key, index, value);
}

void eval_LINSERT(struct tx *tx, const struct args *args)
{
    bool after = bytes_is_word(args->at[2], "after");
    if (!after && !bytes_is_word(args->at[2], "before")) {
        tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
        return;
    }
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_LIST, &key);
    if (found == FOUND_WRONG) return;
    int64_t pivot;
    if (found == FOUND_ABSENT || !find_pivot(tx, &key, args->at[3], &pivot)) {
        tx->reply->ops->integer(tx->reply, found == FOUND_ABSENT ? 0 : -1);
        return;
    }
    insert_at(tx, &key, after ? pivot + 1 : pivot, args->at[4]);
    tx->reply->ops->integer(tx->reply, (int64_t)list_length(&key));
    tx_store(tx, &key);
    tx_notify(tx, NOTIFY_LIST, "linsert", tx->database, args->at[1]);
}

/* --- LPOS --- */

struct lpos {
    int64_t rank;  /* never 0; negative: from the tail */
    int64_t count; /* -1: not given; 0: all */
    int64_t most;  /* items compared at most; 0: all */
};

static bool parse_lpos(struct tx *tx, const struct args *args, struct lpos *out)
{
    *out = (struct lpos){.rank = 1, .count = -1, .most = 0};
    for (size_t i = 3; i < args->count; i += 2) {
        bool good = false;
        bool paired = i + 1 < args->count;
        if (paired && bytes_is_word(args->at[i], "rank")) {
            good = argument_within(tx, args->at[i + 1], INT64_MAX, &out->rank);
            if (good && out->rank == 0) {
                tx->reply->ops->error(
                    tx->reply, "ERR RANK can't be zero: use 1 to start from the first match, "
                               "2 from the second ... or use negative to start from the end "
                               "of the list");
                good = false;
            }
        } else if (paired && bytes_is_word(args->at[i], "count")) {
            good = argument_at_least(tx, args->at[i + 1], 0, "ERR COUNT can't be negative",
                                     &out->count);
        } else if (paired && bytes_is_word(args->at[i], "maxlen")) {
            good = argument_at_least(tx, args->at[i + 1], 0, "ERR MAXLEN can't be negative",
                                     &out->most);
        } else {
            tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
        }
        if (!good) return false;
    }
    return true;
}

/* Writes the places that are asked for, one after the other; returns how many. */
static size_t write_places(struct tx *tx, const struct key *key, struct bytes value,
                           const struct lpos *lpos)
{
    bool backwards = lpos->rank < 0;
    int64_t skip = (backwards ? -lpos->rank : lpos->rank) - 1;
    int64_t wanted = lpos->count < 0 ? 1 : lpos->count;
    size_t written = 0;
    int64_t from = backwards ? key->tail - 1 : key->head, index;
    struct tx_cursor *cursor = tx_items(tx, key, from, backwards);
    struct bytes item;
    for (int64_t compared = 0; lpos->most == 0 || compared < lpos->most; compared++) {
        if (!tx_items_next(cursor, &index, &item)) break;
        if (!bytes_equal(item, value)) continue;
        if (skip-- > 0) continue;
        tx->reply->ops->integer(tx->reply, index - key->head);
        if (++written == (uint64_t)wanted) break;
    }
    tx_cursor_close(cursor);
    return written;
}

void eval_LPOS(struct tx *tx, const struct args *args)
{
    struct lpos lpos;
    if (!parse_lpos(tx, args, &lpos)) return;
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_LIST, &key);
    if (found == FOUND_WRONG) return;
    struct reply *reply = tx->reply;
    if (lpos.count >= 0) {
        size_t opened = reply->ops->array_open(reply);
        size_t count = found == FOUND_ABSENT ? 0 : write_places(tx, &key, args->at[2], &lpos);
        reply->ops->array_close(reply, opened, count);
    } else if (found == FOUND_ABSENT || write_places(tx, &key, args->at[2], &lpos) == 0) {
        reply->ops->null(reply);
    }
}
