/* SPDX-License-Identifier: Apache-2.0 */
/* The commands on several sets. All operands are looked up, and their types checked, before
 * anything is read. Results go out as they are found; what is stored is gathered first, since the
 * destination may be one of the operands. */
#include "base/buffer.h"
#include "base/memory.h"
#include "base/must.h"
#include "state/arguments.h"
#include "state/evals.h"
#include "state/member_table.h"

struct operand {
    bool present;
    struct key key;
};

struct operands {
    struct operand *at; /* scratch memory */
    size_t count, absent;
};

/* False: one of the keys is of another type; the error has been written. */
static bool load_operands(struct tx *tx, const struct bytes *names, size_t count,
                          struct operands *out)
{
    *out = (struct operands){tx_scratch(tx, count * sizeof out->at[0]), count, 0};
    for (size_t i = 0; i < count; i++) {
        enum found found = tx_find_typed(tx, names[i], KEY_SET, &out->at[i].key);
        if (found == FOUND_WRONG) return false;
        out->at[i].present = found == FOUND_KEY;
        if (found == FOUND_ABSENT) out->absent++;
    }
    return true;
}

/* --- Where a result goes --- */

enum result_kind { RESULT_REPLY, RESULT_STORE, RESULT_COUNT };

struct result {
    enum result_kind kind;
    size_t count;
    size_t opened;         /* the set in the reply */
    struct bytes *members; /* to be stored, in scratch memory; the array is ours */
    size_t capacity;
};

static void result_open(struct result *result, enum result_kind kind, struct tx *tx)
{
    *result = (struct result){.kind = kind};
    if (kind == RESULT_REPLY) result->opened = tx->reply->ops->array_open(tx->reply);
}

static void result_add(struct result *result, struct tx *tx, struct bytes member)
{
    size_t place = result->count++;
    if (result->kind == RESULT_REPLY) tx->reply->ops->bulk(tx->reply, member);
    if (result->kind != RESULT_STORE) return;
    if (place == result->capacity) {
        result->capacity = result->capacity == 0 ? 64 : 2 * result->capacity;
        result->members = memory_resize(result->members,
                                        result->capacity * sizeof result->members[0]);
    }
    result->members[place] = tx_scratch_copy(tx, member);
}

static void result_reply(struct result *result, struct tx *tx)
{
    tx->reply->ops->set_close(tx->reply, result->opened, result->count);
}

/* Puts the result in the place of what stood there, of whatever type. */
static void result_store(struct result *result, struct tx *tx, struct bytes name, const char *event)
{
    struct key key;
    bool existed = tx_find(tx, name, &key);
    if (result->count > 0) {
        tx_create(tx, name, KEY_SET, &key); /* storing it is what takes the old one away */
        for (size_t i = 0; i < result->count; i++)
            tx_element_put(tx, &key, result->members[i], bytes_of(NULL, 0));
        tx_store(tx, &key);
        tx_notify(tx, NOTIFY_SET, event, tx->database, name);
    } else if (existed) {
        tx_remove(tx, &key);
        tx_notify(tx, NOTIFY_GENERIC, "del", tx->database, name);
    }
    memory_free(result->members);
    tx->reply->ops->integer(tx->reply, (int64_t)result->count);
}

/* --- The operations --- */

/* A walk's names are valid until the next call only; this one until the next step. */
static bool next_member(struct tx_cursor *cursor, struct buffer *held, struct bytes *member)
{
    struct bytes value;
    if (!tx_scan_next(cursor, member, &value)) return false;
    buffer_clear(held);
    buffer_append(held, *member);
    *member = buffer_bytes(held);
    return true;
}

static bool in_all_but(struct tx *tx, const struct operands *sets, size_t walked,
                       struct bytes member)
{
    struct bytes value;
    for (size_t i = 0; i < sets->count; i++) {
        if (i != walked && !tx_element(tx, &sets->at[i].key, member, &value)) return false;
    }
    return true;
}

static bool in_any_after_first(struct tx *tx, const struct operands *sets, struct bytes member)
{
    struct bytes value;
    for (size_t i = 1; i < sets->count; i++) {
        if (sets->at[i].present && tx_element(tx, &sets->at[i].key, member, &value)) return true;
    }
    return false;
}

/* Walks the smallest and looks into the others. `limit` 0: none. */
static void intersect(struct tx *tx, const struct operands *sets, uint64_t limit,
                      struct result *result)
{
    if (sets->absent > 0) return;
    size_t smallest = 0;
    for (size_t i = 1; i < sets->count; i++) {
        if (sets->at[i].key.size < sets->at[smallest].key.size) smallest = i;
    }
    struct buffer held;
    struct bytes member;
    buffer_init(&held);
    struct tx_cursor *cursor = tx_scan(tx, &sets->at[smallest].key, 0);
    while ((limit == 0 || result->count < limit) && next_member(cursor, &held, &member)) {
        if (in_all_but(tx, sets, smallest, member)) result_add(result, tx, member);
    }
    tx_cursor_close(cursor);
    buffer_release(&held);
}

static void add_to_table(struct tx *tx, const struct key *key, struct member_table *table)
{
    struct bytes member, value;
    struct tx_cursor *cursor = tx_scan(tx, key, 0);
    while (tx_scan_next(cursor, &member, &value)) {
        struct bytes *added = member_table_add(table, member);
        if (added != NULL) *added = tx_scratch_copy(tx, member);
    }
    tx_cursor_close(cursor);
}

static void table_to_result(struct tx *tx, const struct member_table *table, struct result *result)
{
    for (size_t i = 0; i < table->used; i++) {
        if (!table->members[i].dropped) result_add(result, tx, table->members[i].name);
    }
}

static void walk_to_result(struct tx *tx, const struct key *key, struct result *result)
{
    struct bytes member, value;
    struct tx_cursor *cursor = tx_scan(tx, key, 0);
    while (tx_scan_next(cursor, &member, &value)) result_add(result, tx, member);
    tx_cursor_close(cursor);
}

static void unite(struct tx *tx, const struct operands *sets, struct result *result)
{
    struct member_table table;
    member_table_init(&table, dice_roll(&tx->dice));
    for (size_t i = 0; i < sets->count; i++) {
        if (!sets->at[i].present) continue;
        if (sets->absent + 1 == sets->count) walk_to_result(tx, &sets->at[i].key, result);
        else add_to_table(tx, &sets->at[i].key, &table);
    }
    table_to_result(tx, &table, result);
    member_table_release(&table);
}

/* Looks for each member of the first in the others. */
static void subtract_by_probes(struct tx *tx, const struct operands *sets, struct result *result)
{
    struct buffer held;
    struct bytes member;
    buffer_init(&held);
    struct tx_cursor *cursor = tx_scan(tx, &sets->at[0].key, 0);
    while (next_member(cursor, &held, &member)) {
        if (!in_any_after_first(tx, sets, member)) result_add(result, tx, member);
    }
    tx_cursor_close(cursor);
    buffer_release(&held);
}

/* Takes each member of the others out of the first's. */
static void subtract_by_walks(struct tx *tx, const struct operands *sets, struct result *result)
{
    struct member_table table;
    member_table_init(&table, dice_roll(&tx->dice));
    add_to_table(tx, &sets->at[0].key, &table);
    for (size_t i = 1; i < sets->count && table.count > 0; i++) {
        if (!sets->at[i].present) continue;
        struct bytes member, value;
        struct tx_cursor *cursor = tx_scan(tx, &sets->at[i].key, 0);
        while (tx_scan_next(cursor, &member, &value)) member_table_drop(&table, member);
        tx_cursor_close(cursor);
    }
    table_to_result(tx, &table, result);
    member_table_release(&table);
}

static void subtract(struct tx *tx, const struct operands *sets, struct result *result)
{
    if (!sets->at[0].present) return;
    uint64_t walks = 0, probes = 0;
    for (size_t i = 1; i < sets->count; i++) {
        if (!sets->at[i].present) continue;
        if (bytes_equal(sets->at[i].key.name, sets->at[0].key.name)) return;
        walks += sets->at[i].key.size;
        probes += sets->at[0].key.size;
    }
    /* A probe costs about as much as a few steps of a walk, but often the first one decides. */
    if (probes / 2 <= walks + sets->at[0].key.size) subtract_by_probes(tx, sets, result);
    else subtract_by_walks(tx, sets, result);
}

/* --- The commands --- */

enum operation { OPERATION_INTERSECT, OPERATION_UNITE, OPERATION_SUBTRACT };

static void operate(struct tx *tx, enum operation operation, const struct operands *sets,
                    struct result *result)
{
    switch (operation) {
    case OPERATION_INTERSECT: intersect(tx, sets, 0, result); break;
    case OPERATION_UNITE: unite(tx, sets, result); break;
    case OPERATION_SUBTRACT: subtract(tx, sets, result); break;
    }
}

static void reply_operation(struct tx *tx, const struct args *args, enum operation operation)
{
    struct operands sets;
    struct result result;
    if (!load_operands(tx, args->at + 1, args->count - 1, &sets)) return;
    result_open(&result, RESULT_REPLY, tx);
    operate(tx, operation, &sets, &result);
    result_reply(&result, tx);
}

static void store_operation(struct tx *tx, const struct args *args, enum operation operation,
                            const char *event)
{
    struct operands sets;
    struct result result;
    if (!load_operands(tx, args->at + 2, args->count - 2, &sets)) return;
    result_open(&result, RESULT_STORE, tx);
    operate(tx, operation, &sets, &result);
    result_store(&result, tx, args->at[1], event);
}

void eval_SINTER(struct tx *tx, const struct args *args)
{
    reply_operation(tx, args, OPERATION_INTERSECT);
}

void eval_SUNION(struct tx *tx, const struct args *args)
{
    reply_operation(tx, args, OPERATION_UNITE);
}

void eval_SDIFF(struct tx *tx, const struct args *args)
{
    reply_operation(tx, args, OPERATION_SUBTRACT);
}

void eval_SINTERSTORE(struct tx *tx, const struct args *args)
{
    store_operation(tx, args, OPERATION_INTERSECT, "sinterstore");
}

void eval_SUNIONSTORE(struct tx *tx, const struct args *args)
{
    store_operation(tx, args, OPERATION_UNITE, "sunionstore");
}

void eval_SDIFFSTORE(struct tx *tx, const struct args *args)
{
    store_operation(tx, args, OPERATION_SUBTRACT, "sdiffstore");
}

void eval_SINTERCARD(struct tx *tx, const struct args *args)
{
    int64_t count, limit = 0;
    if (!argument_at_least(tx, args->at[1], 1, "ERR numkeys should be greater than 0", &count))
        return;
    if ((uint64_t)count > args->count - 2) {
        tx->reply->ops->error(tx->reply, "ERR Number of keys can't be greater than number of args");
        return;
    }
    for (size_t i = 2 + (size_t)count; i < args->count; i += 2) {
        if (!bytes_is_word(args->at[i], "limit") || i + 1 == args->count) {
            tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
            return;
        }
        if (!argument_at_least(tx, args->at[i + 1], 0, "ERR LIMIT can't be negative", &limit))
            return;
    }
    struct operands sets;
    struct result result;
    if (!load_operands(tx, args->at + 2, (size_t)count, &sets)) return;
    result_open(&result, RESULT_COUNT, tx);
    intersect(tx, &sets, (uint64_t)limit, &result);
    tx->reply->ops->integer(tx->reply, (int64_t)result.count);
}
