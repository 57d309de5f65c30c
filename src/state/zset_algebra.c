/* SPDX-License-Identifier: Apache-2.0 */
/* Sorted sets: union, intersection and difference. Sets may be among the inputs; their members have
 * the score 1. All inputs are read before anything is written, since the target may be one of them.
 *
 * Sums of doubles depend on their order. As in Redis, inputs are taken from the smallest to the
 * largest, those of one size as they were named. */
#include <math.h>

#include "base/checksum.h"
#include "base/memory.h"
#include "state/arguments.h"
#include "state/evals.h"
#include "state/score.h"
#include "state/zset.h"

enum operation { OPERATION_UNION, OPERATION_INTER, OPERATION_DIFF };
enum aggregate { AGGREGATE_SUM, AGGREGATE_MIN, AGGREGATE_MAX };
/* Where the result goes. */
enum purpose { PURPOSE_REPLY, PURPOSE_STORE, PURPOSE_COUNT };

struct input {
    struct key key; /* size 0: it is absent */
    double weight;
};

struct request {
    enum operation operation;
    enum purpose purpose;
    enum aggregate aggregate;
    bool scores;          /* in the reply */
    uint64_t limit;       /* of the count; 0: none */
    struct input *inputs; /* in scratch memory */
    size_t inputs_count;
};

/* --- Reading the words --- */

static bool refuse(struct tx *tx, const char *error)
{
    tx->reply->ops->error(tx->reply, error);
    return false;
}

/* Looks up the inputs, named by the words from args->at[at]. */
static bool find_inputs(struct tx *tx, const struct args *args, size_t at, struct request *request)
{
    request->inputs = tx_scratch(tx, request->inputs_count * sizeof request->inputs[0]);
    for (size_t i = 0; i < request->inputs_count; i++) {
        struct input *input = &request->inputs[i];
        *input = (struct input){.weight = 1};
        struct key key;
        if (!tx_find(tx, args->at[at + i], &key)) continue;
        if (key.type != KEY_ZSET && key.type != KEY_SET)
            return refuse(tx, "WRONGTYPE Operation against a key holding the wrong kind of value");
        input->key = key;
    }
    return true;
}

static bool parse_weights(struct tx *tx, const struct args *args, size_t at,
                          struct request *request)
{
    for (size_t i = 0; i < request->inputs_count; i++) {
        if (!argument_score(tx, args->at[at + i], "ERR weight value is not a float",
                            &request->inputs[i].weight))
            return false;
    }
    return true;
}

static bool parse_aggregate(struct tx *tx, struct bytes word, enum aggregate *out)
{
    if (bytes_is_word(word, "sum")) *out = AGGREGATE_SUM;
    else if (bytes_is_word(word, "min")) *out = AGGREGATE_MIN;
    else if (bytes_is_word(word, "max")) *out = AGGREGATE_MAX;
    else return refuse(tx, ERROR_SYNTAX);
    return true;
}

static bool parse_limit(struct tx *tx, struct bytes word, uint64_t *out)
{
    int64_t limit;
    if (!argument_at_least(tx, word, 0, "ERR LIMIT can't be negative", &limit)) return false;
    *out = (uint64_t)limit;
    return true;
}

/* Reads the options from args->at[at] to the end. */
static bool parse_options(struct tx *tx, const struct args *args, size_t at,
                          struct request *request)
{
    bool counting = request->purpose == PURPOSE_COUNT;
    bool weighing = !counting && request->operation != OPERATION_DIFF;
    while (at < args->count) {
        struct bytes word = args->at[at];
        size_t left = args->count - at - 1;
        if (weighing && left >= request->inputs_count && bytes_is_word(word, "weights")) {
            if (!parse_weights(tx, args, at + 1, request)) return false;
            at += 1 + request->inputs_count;
        } else if (weighing && left >= 1 && bytes_is_word(word, "aggregate")) {
            if (!parse_aggregate(tx, args->at[at + 1], &request->aggregate)) return false;
            at += 2;
        } else if (request->purpose == PURPOSE_REPLY && bytes_is_word(word, "withscores")) {
            request->scores = true;
            at += 1;
        } else if (counting && left >= 1 && bytes_is_word(word, "limit")) {
            if (!parse_limit(tx, args->at[at + 1], &request->limit)) return false;
            at += 2;
        } else {
            return refuse(tx, ERROR_SYNTAX);
        }
    }
    return true;
}

/* Reads `numkeys key [key ...] [options]` from args->at[at]. */
static bool parse_request(struct tx *tx, const struct args *args, size_t at,
                          struct request *request)
{
    int64_t count;
    if (!argument_integer(tx, args->at[at], ERROR_NOT_INTEGER, &count)) return false;
    if (count < 1) {
        reply_errorf(tx->reply, "ERR at least 1 input key is needed for '%.*s' command",
                     (int)args->at[0].size, (const char *)args->at[0].data);
        return false;
    }
    if ((uint64_t)count > args->count - at - 1) return refuse(tx, ERROR_SYNTAX);
    request->inputs_count = (size_t)count;
    return find_inputs(tx, args, at + 1, request) &&
           parse_options(tx, args, at + 1 + (size_t)count, request);
}

/* --- Scores --- */

static double input_score(const struct input *input, struct bytes value)
{
    return input->key.type == KEY_SET ? 1 : score_decode(value);
}

/* Infinity by zero is zero here. */
static double weighed(double weight, double score)
{
    double product = weight * score;
    return isnan(product) ? 0 : product;
}

static void aggregate(enum aggregate how, double *sum, double score)
{
    switch (how) {
    case AGGREGATE_SUM:
        *sum += score;
        if (isnan(*sum)) *sum = 0; /* one infinity and the other */
        break;
    case AGGREGATE_MIN:
        if (score < *sum) *sum = score;
        break;
    case AGGREGATE_MAX:
        if (score > *sum) *sum = score;
        break;
    }
}

/* --- A table of pairs by member --- */

struct scored_table {
    struct zset_pairs pairs;
    size_t *slots;     /* place in pairs, plus one; 0: free */
    size_t slot_count; /* a power of two, at least twice the pairs; or 0 */
    uint64_t seed;     /* the evaluation's, so that nobody can choose members that collide */
};

static void table_init(struct scored_table *table, uint64_t seed)
{
    *table = (struct scored_table){.slots = NULL, .slot_count = 0, .seed = seed};
    zset_pairs_init(&table->pairs);
}

/* The slot that holds the member, or the free one where it belongs. */
static size_t *table_slot(const struct scored_table *table, struct bytes member)
{
    size_t mask = table->slot_count - 1;
    size_t slot = (size_t)checksum64(member, table->seed) & mask;
    while (table->slots[slot] != 0 &&
           !bytes_equal(table->pairs.at[table->slots[slot] - 1].member, member))
        slot = (slot + 1) & mask;
    return &table->slots[slot];
}

static void table_grow(struct scored_table *table)
{
    memory_free(table->slots);
    table->slot_count = table->slot_count == 0 ? 64 : table->slot_count * 2;
    table->slots = memory_zeroed(table->slot_count, sizeof table->slots[0]);
    for (size_t i = 0; i < table->pairs.count; i++)
        *table_slot(table, table->pairs.at[i].member) = i + 1;
}

/* The pair of the member, added with `score` if it is new. */
static struct zset_pair *table_add(struct tx *tx, struct scored_table *table, struct bytes member,
                                   double score, bool *is_new)
{
    if (2 * (table->pairs.count + 1) > table->slot_count) table_grow(table);
    size_t *slot = table_slot(table, member);
    *is_new = *slot == 0;
    if (*is_new) {
        zset_pairs_add(&table->pairs, (struct zset_pair){tx_scratch_copy(tx, member), score});
        *slot = table->pairs.count;
    }
    return &table->pairs.at[*slot - 1];
}

/* --- The operations; each adds its pairs to `out`, in no order --- */

static void unite(struct tx *tx, const struct request *request, struct zset_pairs *out)
{
    struct scored_table table;
    table_init(&table, dice_roll(&tx->dice));
    for (size_t i = 0; i < request->inputs_count; i++) {
        const struct input *input = &request->inputs[i];
        if (input->key.size == 0) continue;
        struct tx_cursor *cursor = tx_scan(tx, &input->key, 0);
        struct bytes member, value;
        while (tx_scan_next(cursor, &member, &value)) {
            double score = weighed(input->weight, input_score(input, value));
            bool is_new;
            struct zset_pair *pair = table_add(tx, &table, member, score, &is_new);
            if (!is_new) aggregate(request->aggregate, &pair->score, score);
        }
        tx_cursor_close(cursor);
    }
    memory_free(table.slots);
    *out = table.pairs; /* `out` was empty */
}

/* Whether all inputs but the first, which has it with `score`, have the member too; aggregates. */
static bool is_in_all(struct tx *tx, const struct request *request, struct zset_pair *pair)
{
    double sum = weighed(request->inputs[0].weight, pair->score);
    for (size_t i = 1; i < request->inputs_count; i++) {
        const struct input *input = &request->inputs[i];
        struct bytes value;
        if (!tx_element(tx, &input->key, pair->member, &value)) return false;
        aggregate(request->aggregate, &sum, input->weight * input_score(input, value));
    }
    pair->score = sum;
    return true;
}

static void intersect(struct tx *tx, const struct request *request, struct zset_pairs *out)
{
    const struct input *first = &request->inputs[0];
    if (first->key.size == 0) return;
    struct tx_cursor *cursor = tx_scan(tx, &first->key, 0);
    struct bytes member, value;
    struct buffer hold;
    buffer_init(&hold);
    while ((request->limit == 0 || out->count < request->limit) &&
           tx_scan_next(cursor, &member, &value)) {
        struct zset_pair pair = {.score = input_score(first, value)};
        buffer_clear(&hold); /* the member is looked for elsewhere */
        buffer_append(&hold, member);
        pair.member = buffer_bytes(&hold);
        if (!is_in_all(tx, request, &pair)) continue;
        bool counting = request->purpose == PURPOSE_COUNT;
        pair.member = counting ? bytes_of(NULL, 0) : tx_scratch_copy(tx, pair.member);
        zset_pairs_add(out, pair);
    }
    buffer_release(&hold);
    tx_cursor_close(cursor);
}

static bool is_in_another(struct tx *tx, const struct request *request, struct bytes member)
{
    for (size_t i = 1; i < request->inputs_count; i++) {
        struct bytes value;
        const struct input *input = &request->inputs[i];
        if (input->key.size > 0 && tx_element(tx, &input->key, member, &value)) return true;
    }
    return false;
}

/* What the first has and no other: by one look into each of the others for each of its members. */
static void subtract_by_probes(struct tx *tx, const struct request *request, struct zset_pairs *out)
{
    const struct input *first = &request->inputs[0];
    struct tx_cursor *cursor = tx_scan(tx, &first->key, 0);
    struct bytes member, value;
    struct buffer hold;
    buffer_init(&hold);
    while (tx_scan_next(cursor, &member, &value)) {
        struct zset_pair pair = {.score = input_score(first, value)};
        buffer_clear(&hold);
        buffer_append(&hold, member);
        pair.member = buffer_bytes(&hold);
        if (is_in_another(tx, request, pair.member)) continue;
        pair.member = tx_scratch_copy(tx, pair.member);
        zset_pairs_add(out, pair);
    }
    buffer_release(&hold);
    tx_cursor_close(cursor);
}

/* The same by reading the others first. */
static void subtract_by_table(struct tx *tx, const struct request *request, struct zset_pairs *out)
{
    struct scored_table table;
    bool is_new;
    table_init(&table, dice_roll(&tx->dice));
    struct bytes member, value;
    for (size_t i = 1; i < request->inputs_count; i++) {
        if (request->inputs[i].key.size == 0) continue;
        struct tx_cursor *cursor = tx_scan(tx, &request->inputs[i].key, 0);
        while (tx_scan_next(cursor, &member, &value)) table_add(tx, &table, member, 0, &is_new);
        tx_cursor_close(cursor);
    }
    const struct input *first = &request->inputs[0];
    struct tx_cursor *cursor = tx_scan(tx, &first->key, 0);
    while (tx_scan_next(cursor, &member, &value)) {
        if (table.slot_count > 0 && *table_slot(&table, member) != 0) continue;
        zset_pairs_add(out,
                       (struct zset_pair){tx_scratch_copy(tx, member), input_score(first, value)});
    }
    tx_cursor_close(cursor);
    memory_free(table.slots);
    zset_pairs_release(&table.pairs);
}

static void subtract(struct tx *tx, const struct request *request, struct zset_pairs *out)
{
    const struct key *first = &request->inputs[0].key;
    if (first->size == 0) return;
    uint64_t others = 0, probes = 0;
    for (size_t i = 1; i < request->inputs_count; i++) {
        if (request->inputs[i].key.size == 0) continue;
        if (bytes_equal(request->inputs[i].key.name, first->name)) return;
        others += request->inputs[i].key.size;
        probes += first->size;
    }
    /* A look costs a few steps of a walk; the first one often settles it. */
    if (probes / 2 <= others) subtract_by_probes(tx, request, out);
    else subtract_by_table(tx, request, out);
}

/* --- Order --- */

static bool is_before(const struct zset_pair *a, const struct zset_pair *b)
{
    if (a->score != b->score) return a->score < b->score;
    return bytes_compare(a->member, b->member) < 0;
}

/* Merges from[left, middle) and from[middle, right) into the same places of `to`. */
static void merge(const struct zset_pair *from, struct zset_pair *to, const size_t bounds[3])
{
    size_t a = bounds[0], b = bounds[1];
    for (size_t i = bounds[0]; i < bounds[2]; i++) {
        bool from_b = a == bounds[1] || (b < bounds[2] && is_before(&from[b], &from[a]));
        to[i] = from_b ? from[b++] : from[a++];
    }
}

/* Bottom-up merge sort. */
static void sort_pairs(struct zset_pairs *pairs)
{
    size_t count = pairs->count;
    if (count < 2) return;
    struct zset_pair *from = pairs->at;
    struct zset_pair *to = memory_zeroed(count, sizeof *to);
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t left = 0; left < count; left += 2 * width) {
            size_t middle = left + width < count ? left + width : count;
            size_t right = middle + width < count ? middle + width : count;
            merge(from, to, (size_t[3]){left, middle, right});
        }
        struct zset_pair *swap = from;
        from = to;
        to = swap;
    }
    memory_free(to);
    pairs->at = from;
    pairs->capacity = count;
}

/* By size, ascending, those of one size as they are: sorted as pairs of size and place. */
static void order_inputs(struct tx *tx, struct request *request)
{
    size_t count = request->inputs_count;
    struct zset_pairs places;
    zset_pairs_init(&places);
    for (size_t i = 0; i < count; i++) {
        uint8_t *place = tx_scratch(tx, 8);
        store_be64(place, i);
        zset_pairs_add(&places,
                       (struct zset_pair){bytes_of(place, 8), (double)request->inputs[i].key.size});
    }
    sort_pairs(&places);
    struct input *ordered = tx_scratch(tx, count * sizeof *ordered);
    for (size_t i = 0; i < count; i++)
        ordered[i] = request->inputs[load_be64(places.at[i].member.data)];
    request->inputs = ordered;
    zset_pairs_release(&places);
}

/* --- The commands --- */

static const char *const store_events[] = {
    [OPERATION_UNION] = "zunionstore",
    [OPERATION_INTER] = "zinterstore",
    [OPERATION_DIFF] = "zdiffstore",
};

static void answer(struct tx *tx, const struct args *args, enum operation operation,
                   enum purpose purpose)
{
    struct request request = {.operation = operation, .purpose = purpose};
    if (!parse_request(tx, args, purpose == PURPOSE_STORE ? 2 : 1, &request)) return;
    struct zset_pairs pairs;
    zset_pairs_init(&pairs);
    if (operation != OPERATION_DIFF) order_inputs(tx, &request);
    switch (operation) {
    case OPERATION_UNION: unite(tx, &request, &pairs); break;
    case OPERATION_INTER: intersect(tx, &request, &pairs); break;
    case OPERATION_DIFF: subtract(tx, &request, &pairs); break;
    }
    switch (purpose) {
    case PURPOSE_STORE: zset_replace(tx, args->at[1], &pairs, store_events[operation]); break;
    case PURPOSE_COUNT: tx->reply->ops->integer(tx->reply, (int64_t)pairs.count); break;
    case PURPOSE_REPLY:
        sort_pairs(&pairs);
        zset_reply_count(tx->reply, pairs.count, request.scores);
        for (size_t i = 0; i < pairs.count; i++)
            zset_reply_pair(tx->reply, &pairs.at[i], request.scores);
        break;
    }
    zset_pairs_release(&pairs);
}

void eval_ZUNION(struct tx *tx, const struct args *args)
{
    answer(tx, args, OPERATION_UNION, PURPOSE_REPLY);
}

void eval_ZINTER(struct tx *tx, const struct args *args)
{
    answer(tx, args, OPERATION_INTER, PURPOSE_REPLY);
}

void eval_ZDIFF(struct tx *tx, const struct args *args)
{
    answer(tx, args, OPERATION_DIFF, PURPOSE_REPLY);
}

void eval_ZUNIONSTORE(struct tx *tx, const struct args *args)
{
    answer(tx, args, OPERATION_UNION, PURPOSE_STORE);
}

void eval_ZINTERSTORE(struct tx *tx, const struct args *args)
{
    answer(tx, args, OPERATION_INTER, PURPOSE_STORE);
}

void eval_ZDIFFSTORE(struct tx *tx, const struct args *args)
{
    answer(tx, args, OPERATION_DIFF, PURPOSE_STORE);
}

void eval_ZINTERCARD(struct tx *tx, const struct args *args)
{
    answer(tx, args, OPERATION_INTER, PURPOSE_COUNT);
}
