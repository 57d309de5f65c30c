/* SPDX-License-Identifier: Apache-2.0 */
/* SORT and SORT_RO. The elements are copied, each is given its weight (itself, or what BY names),
 * they are sorted by merging, which keeps equal ones in the order in which they came, and GET names
 * what is shown for each. Bytes are compared as bytes: the answer may not depend on a machine's
 * locale. */
#include <math.h>

#include "base/must.h"
#include "base/number.h"
#include "state/arguments.h"
#include "state/evals.h"
#include "state/tx_effects.h"

/* What BY and GET say: "#" is the element itself, else `*` stands for it in the name of a key, and
 * "->" may name a field of it. Without a star it names nothing. */
struct pattern {
    bool itself, nothing;
    struct bytes before, after; /* the star */
    struct bytes field;         /* data NULL: none */
};

struct options {
    bool descending, alpha;
    bool by, unsorted; /* BY was given; it has no star */
    struct pattern weight;
    struct pattern *shown; /* scratch memory */
    size_t shown_count;
    int64_t offset, limit;
    bool store;
    struct bytes destination;
};

struct item {
    struct bytes element;
    struct bytes text; /* the weight with ALPHA; data NULL: there is none */
    double number;     /* the weight without */
};

struct items {
    struct item *at;
    size_t count;
};

/* --- Options --- */

static struct pattern pattern_of(struct bytes word)
{
    struct pattern pattern = {.itself = bytes_is_word(word, "#")};
    const uint8_t *star = word.size > 0 ? memchr(word.data, '*', word.size) : NULL;
    if (star == NULL) {
        pattern.nothing = !pattern.itself;
        return pattern;
    }
    size_t place = (size_t)(star - word.data);
    pattern.before = bytes_of(word.data, place);
    pattern.after = bytes_of(star + 1, word.size - place - 1);
    /* The first arrow counts; at the very end it is a part of the name. */
    for (size_t i = 0; i + 2 < pattern.after.size; i++) {
        if (pattern.after.data[i] != '-' || pattern.after.data[i + 1] != '>') continue;
        pattern.field = bytes_of(pattern.after.data + i + 2, pattern.after.size - i - 2);
        pattern.after.size = i;
        break;
    }
    return pattern;
}

/* Reads the option at *at and moves to the next one. False: the error has been written. */
static bool parse_option(struct tx *tx, const struct args *args, bool may_store, size_t *at,
                         struct options *out)
{
    struct bytes word = args->at[*at];
    size_t left = args->count - *at - 1;
    const struct bytes *next = args->at + *at + 1;
    *at += 1;
    if (bytes_is_word(word, "asc")) {
        out->descending = false;
    } else if (bytes_is_word(word, "desc")) {
        out->descending = true;
    } else if (bytes_is_word(word, "alpha")) {
        out->alpha = true;
    } else if (bytes_is_word(word, "limit") && left >= 2) {
        *at += 2;
        return argument_integer(tx, next[0], ERROR_NOT_INTEGER, &out->offset) &&
               argument_integer(tx, next[1], ERROR_NOT_INTEGER, &out->limit);
    } else if (may_store && bytes_is_word(word, "store") && left >= 1) {
        *at += 1;
        out->store = true;
        out->destination = next[0];
    } else if (bytes_is_word(word, "by") && left >= 1) {
        *at += 1;
        out->by = true;
        out->weight = pattern_of(next[0]);
        out->unsorted = out->unsorted || out->weight.itself || out->weight.nothing;
    } else if (bytes_is_word(word, "get") && left >= 1) {
        *at += 1;
        out->shown[out->shown_count++] = pattern_of(next[0]);
    } else {
        tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
        return false;
    }
    return true;
}

static bool parse_options(struct tx *tx, const struct args *args, bool may_store,
                          struct options *out)
{
    *out = (struct options){.limit = -1};
    out->shown = tx_scratch(tx, args->count * sizeof out->shown[0]);
    for (size_t at = 2; at < args->count;) {
        if (!parse_option(tx, args, may_store, &at, out)) return false;
    }
    return true;
}

/* --- Elements --- */

/* The elements to show are [first, first + count) of all once sorted. */
struct slice {
    size_t first, count;
};

static struct slice slice_of(const struct options *options, uint64_t size)
{
    uint64_t first = options->offset > 0 ? (uint64_t)options->offset : 0;
    uint64_t count = options->limit >= 0 ? (uint64_t)options->limit : size;
    if (first >= size) return (struct slice){0, 0};
    if (count > size - first) count = size - first;
    return (struct slice){(size_t)first, (size_t)count};
}

static void keep_item(struct tx *tx, struct items *items, struct bytes element)
{
    items->at[items->count++] = (struct item){.element = tx_scratch_copy(tx, element)};
}

static void load_list(struct tx *tx, const struct key *key, const struct options *options,
                      struct slice slice, struct items *out)
{
    bool backwards = options->unsorted && options->descending;
    int64_t first = (int64_t)slice.first;
    struct tx_cursor *cursor = tx_items(
        tx, key, backwards ? key->tail - 1 - first : key->head + first, backwards);
    int64_t index;
    struct bytes value;
    while (out->count < slice.count && tx_items_next(cursor, &index, &value))
        keep_item(tx, out, value);
    tx_cursor_close(cursor);
}

static void load_ranks(struct tx *tx, const struct key *key, const struct options *options,
                       struct slice slice, struct items *out)
{
    bool backwards = options->descending;
    struct tx_cursor *cursor = tx_rank_from(tx, key, backwards ? INFINITY : -INFINITY,
                                            bytes_of(NULL, 0), backwards);
    double score;
    struct bytes member;
    for (size_t seen = 0; out->count < slice.count && tx_rank_next(cursor, &score, &member); seen++)
        if (seen >= slice.first) keep_item(tx, out, member);
    tx_cursor_close(cursor);
}

static void load_elements(struct tx *tx, const struct key *key, struct slice slice,
                          struct items *out)
{
    struct tx_cursor *cursor = tx_scan(tx, key, 0);
    struct bytes name, value;
    for (size_t seen = 0; out->count < slice.count && tx_scan_next(cursor, &name, &value); seen++)
        if (seen >= slice.first) keep_item(tx, out, name);
    tx_cursor_close(cursor);
}

/* Loads what is to be shown, in the collection's own order, or all when it must be sorted first. */
static void load_items(struct tx *tx, const struct key *key, const struct options *options,
                       struct slice slice, struct items *out)
{
    if (!options->unsorted) slice = (struct slice){0, (size_t)key->size};
    *out = (struct items){tx_scratch(tx, slice.count * sizeof out->at[0]), 0};
    if (slice.count == 0) return;
    if (key->type == KEY_LIST) load_list(tx, key, options, slice, out);
    else if (key->type == KEY_ZSET && options->unsorted) load_ranks(tx, key, options, slice, out);
    else load_elements(tx, key, slice, out);
}

/* --- Weights --- */

/* What the pattern names for an element; data NULL: nothing. Valid until the next call. */
static struct bytes find_named(struct tx *tx, const struct pattern *pattern, struct bytes element,
                               struct buffer *name)
{
    struct bytes nothing = {NULL, 0}, value;
    if (pattern->itself) return element;
    if (pattern->nothing) return nothing;
    buffer_clear(name);
    buffer_append(name, pattern->before);
    buffer_append(name, element);
    buffer_append(name, pattern->after);
    struct key key;
    if (!tx_find(tx, buffer_bytes(name), &key)) return nothing;
    if (pattern->field.data != NULL) {
        if (key.type != KEY_HASH || !tx_element(tx, &key, pattern->field, &value)) return nothing;
    } else {
        if (key.type != KEY_STRING) return nothing;
        value = key.text;
    }
    return value.data != NULL ? value : bytes_text(""); /* empty is something */
}

/* What strtod makes of a string that is to be a number as a whole: white space may stand before it,
 * nothing at all is 0, a zero byte ends it. */
static bool parse_weight(struct bytes text, double *out)
{
    const uint8_t *zero = text.size > 0 ? memchr(text.data, 0, text.size) : NULL;
    if (zero != NULL) text.size = (size_t)(zero - text.data);
    *out = 0;
    if (text.size == 0) return true;
    while (text.size > 0 && (*text.data == ' ' || (*text.data >= '\t' && *text.data <= '\r')))
        text = bytes_of(text.data + 1, text.size - 1);
    return number_parse_double(text, out) && fpclassify(*out) != FP_SUBNORMAL;
}

/* False: one of them is no number. */
static bool load_weights(struct tx *tx, const struct options *options, struct items *items)
{
    bool numbers = true;
    struct buffer name;
    buffer_init(&name);
    for (size_t i = 0; i < items->count; i++) {
        struct item *item = &items->at[i];
        struct bytes weight = options->by ? find_named(tx, &options->weight, item->element, &name)
                                          : item->element;
        if (weight.data == NULL) continue;
        if (!options->alpha) numbers = parse_weight(weight, &item->number) && numbers;
        else if (options->by) item->text = tx_scratch_copy(tx, weight);
        else item->text = weight;
    }
    buffer_release(&name);
    return numbers;
}

/* --- Sorting --- */

static int compare_items(const struct item *a, const struct item *b, const struct options *options)
{
    int order;
    if (!options->alpha) {
        order = (a->number > b->number) - (a->number < b->number);
        if (order == 0) order = bytes_compare(a->element, b->element);
    } else if (a->text.data == NULL || b->text.data == NULL) {
        order = (a->text.data != NULL) - (b->text.data != NULL);
    } else {
        order = bytes_compare(a->text, b->text);
    }
    return options->descending ? -order : order;
}

/* Merges the runs [bounds[0], bounds[1]) and [bounds[1], bounds[2]) of `in` into `out`. */
static void merge_runs(const struct item *in, struct item *out, const size_t bounds[3],
                       const struct options *options)
{
    size_t left = bounds[0], right = bounds[1];
    for (size_t i = bounds[0]; i < bounds[2]; i++) {
        bool take_left = left < bounds[1] &&
                         (right == bounds[2] || compare_items(&in[left], &in[right], options) <= 0);
        out[i] = in[take_left ? left++ : right++];
    }
}

static void sort_items(struct tx *tx, struct items *items, const struct options *options)
{
    size_t count = items->count;
    struct item *in = items->at, *out = tx_scratch(tx, count * sizeof *out);
    for (size_t run = 1; run < count; run *= 2) {
        for (size_t from = 0; from < count; from += 2 * run) {
            size_t middle = from + run < count ? from + run : count;
            size_t to = middle + run < count ? middle + run : count;
            merge_runs(in, out, (size_t[3]){from, middle, to}, options);
        }
        struct item *swap = in;
        in = out;
        out = swap;
    }
    items->at = in;
}

/* --- The answer --- */

static void reply_items(struct tx *tx, const struct options *options, const struct items *items)
{
    struct reply *reply = tx->reply;
    struct buffer name;
    buffer_init(&name);
    size_t each = options->shown_count > 0 ? options->shown_count : 1;
    reply->ops->array(reply, items->count * each);
    for (size_t i = 0; i < items->count; i++) {
        if (options->shown_count == 0) reply->ops->bulk(reply, items->at[i].element);
        for (size_t get = 0; get < options->shown_count; get++) {
            struct bytes value = find_named(tx, &options->shown[get], items->at[i].element, &name);
            if (value.data == NULL) reply->ops->null(reply);
            else reply->ops->bulk(reply, value);
        }
    }
    buffer_release(&name);
}

/* In scratch memory, since the destination may be one of the keys that they come from. What GET
 * does not find is stored as an empty string. */
static struct bytes *stored_values(struct tx *tx, const struct options *options,
                                   const struct items *items, size_t *count)
{
    size_t each = options->shown_count > 0 ? options->shown_count : 1;
    *count = items->count * each;
    struct bytes *values = tx_scratch(tx, *count * sizeof *values);
    struct buffer name;
    buffer_init(&name);
    for (size_t i = 0; i < items->count; i++) {
        if (options->shown_count == 0) values[i] = items->at[i].element;
        for (size_t get = 0; get < options->shown_count; get++) {
            struct bytes value = find_named(tx, &options->shown[get], items->at[i].element, &name);
            values[i * each + get] = tx_scratch_copy(tx, value);
        }
    }
    buffer_release(&name);
    return values;
}

/* What was stored, item by item: which of two equal ones comes first, and how letters compare, is
 * another machine's own business. */
static void tell_stored(struct tx *tx, struct bytes name, const struct bytes *values, size_t count,
                        bool existed)
{
    if (!tx->streams) return;
    if (existed) tx_effect_removed(tx, name);
    if (count == 0) return;
    struct bytes *words = tx_scratch(tx, (count + 2) * sizeof *words);
    words[0] = bytes_text("RPUSH");
    words[1] = name;
    memcpy(words + 2, values, count * sizeof *words);
    tx_effect(tx, words, count + 2);
}

static void store_items(struct tx *tx, const struct options *options, const struct items *items)
{
    size_t count;
    struct bytes *values = stored_values(tx, options, items, &count), name = options->destination;
    struct key key;
    bool existed = tx_find(tx, name, &key);
    tell_stored(tx, name, values, count, existed);
    if (count > 0) {
        tx_create(tx, name, KEY_LIST, &key); /* storing it is what takes the old one away */
        for (size_t i = 0; i < count; i++) tx_item_put(tx, &key, key.tail++, values[i]);
        tx_store(tx, &key);
        tx_notify(tx, NOTIFY_LIST, "sortstore", tx->database, name);
    } else if (existed) {
        tx_remove(tx, &key);
        tx_notify(tx, NOTIFY_GENERIC, "del", tx->database, name);
    }
    tx->reply->ops->integer(tx->reply, (int64_t)count);
}

/* --- The commands --- */

static bool is_sortable(enum key_type type)
{
    return type == KEY_LIST || type == KEY_SET || type == KEY_ZSET;
}

static void sort(struct tx *tx, const struct args *args, bool may_store)
{
    struct options options;
    if (!parse_options(tx, args, may_store, &options)) return;
    struct key key;
    if (!tx_find(tx, args->at[1], &key)) key = (struct key){.type = KEY_LIST};
    if (!is_sortable(key.type)) {
        tx->reply->ops->error(tx->reply,
                              "WRONGTYPE Operation against a key holding the wrong kind of value");
        return;
    }
    /* A set has no order of its own that could be kept in a list. */
    if (options.unsorted && options.store && key.type == KEY_SET) {
        options.unsorted = options.by = false;
        options.alpha = true;
    }
    struct slice slice = slice_of(&options, key.size);
    struct items items;
    load_items(tx, &key, &options, slice, &items);
    if (tx_pending(tx)) return;
    if (!options.unsorted) {
        if (!load_weights(tx, &options, &items)) {
            tx->reply->ops->error(tx->reply,
                                  "ERR One or more scores can't be converted into double");
            return;
        }
        sort_items(tx, &items, &options);
        if (slice.first > items.count) slice = (struct slice){0, 0};
        items.at += slice.first;
        items.count -= slice.first;
        if (items.count > slice.count) items.count = slice.count;
    }
    if (options.store) store_items(tx, &options, &items);
    else reply_items(tx, &options, &items);
}

void eval_SORT(struct tx *tx, const struct args *args)
{
    sort(tx, args, true);
}

void eval_SORT_RO(struct tx *tx, const struct args *args)
{
    sort(tx, args, false);
}
