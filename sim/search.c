/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/search.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/checksum.h"
#include "base/memory.h"
#include "base/must.h"

/* One possible present: the register's value, and which of the pending ops have had their effect.
 */
struct present {
    uint64_t value;
    uint32_t done;
};

struct presents {
    struct present *list;
    size_t count, capacity;
    uint32_t *table; /* open addressing: index + 1 */
    size_t slots;
};

struct moment {
    uint64_t at;
    size_t op;
    bool returns;
};

struct search {
    const struct search_op *ops;
    size_t pending[SEARCH_PENDING_MAX]; /* by bit: the op, or NONE */
    struct presents now, next;
};
#define NONE SIZE_MAX

/* --- The set of presents --- */

static size_t place_of(const struct presents *set, struct present present)
{
    uint64_t facts[2] = {present.value, present.done};
    size_t at = (size_t)checksum64(bytes_of(facts, sizeof facts), 0) & (set->slots - 1);
    while (set->table[at] != 0) {
        const struct present *other = &set->list[set->table[at] - 1];
        if (other->value == present.value && other->done == present.done) break;
        at = (at + 1) & (set->slots - 1);
    }
    return at;
}

static void presents_clear(struct presents *set)
{
    set->count = 0;
    if (set->slots > 0) memset(set->table, 0, set->slots * sizeof *set->table);
}

static void presents_release(struct presents *set)
{
    memory_free(set->list);
    memory_free(set->table);
}

static void presents_grow(struct presents *set)
{
    set->capacity = set->capacity == 0 ? 16 : set->capacity * 2;
    set->list = memory_resize(set->list, set->capacity * sizeof *set->list);
    memory_free(set->table);
    set->slots = set->capacity * 2;
    set->table = memory_zeroed(set->slots, sizeof *set->table);
    for (size_t i = 0; i < set->count; i++) {
        set->table[place_of(set, set->list[i])] = (uint32_t)i + 1;
    }
}

static void presents_add(struct presents *set, struct present present)
{
    if (set->count == set->capacity) presents_grow(set);
    size_t at = place_of(set, present);
    if (set->table[at] != 0) return;
    set->list[set->count++] = present;
    set->table[at] = (uint32_t)set->count;
}

/* --- The search --- */

/* Every present that can be reached by letting pending ops have their effect now. */
static void close_over(struct search *search)
{
    struct presents *now = &search->now;
    for (size_t i = 0; i < now->count; i++) { /* it grows meanwhile */
        struct present present = now->list[i];
        for (unsigned bit = 0; bit < SEARCH_PENDING_MAX; bit++) {
            if (search->pending[bit] == NONE || (present.done >> bit & 1) != 0) continue;
            const struct search_op *op = &search->ops[search->pending[bit]];
            if (!op->writes && op->value != present.value) continue;
            presents_add(now, (struct present){op->writes ? op->value : present.value,
                                               present.done | (uint32_t)1 << bit});
        }
    }
}

static void swap_sets(struct search *search)
{
    struct presents now = search->now;
    search->now = search->next;
    search->next = now;
}

static unsigned bit_of(const struct search *search, size_t op)
{
    unsigned bit = 0;
    while (bit < SEARCH_PENDING_MAX && search->pending[bit] != op) bit++;
    return bit;
}

/* The op has returned: only presents in which it has had its effect go on. */
static bool take_return(struct search *search, size_t op)
{
    unsigned bit = bit_of(search, op);
    MUST(bit < SEARCH_PENDING_MAX);
    close_over(search);
    presents_clear(&search->next);
    for (size_t i = 0; i < search->now.count; i++) {
        struct present present = search->now.list[i];
        if ((present.done >> bit & 1) == 0) continue;
        present.done &= ~((uint32_t)1 << bit);
        presents_add(&search->next, present);
    }
    swap_sets(search);
    search->pending[bit] = NONE;
    return search->now.count > 0;
}

static int compare_moments(const void *left, const void *right)
{
    const struct moment *a = left, *b = right;
    return a->at < b->at ? -1 : a->at > b->at ? 1 : 0;
}

static bool somebody_read(const struct search_op *ops, size_t count, uint64_t value)
{
    for (size_t i = 0; i < count; i++) {
        if (!ops[i].writes && ops[i].value == value) return true;
    }
    return false;
}

static size_t list_moments(const struct search_op *ops, size_t count, struct moment *moments)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        bool returns = ops[i].returned != UINT64_MAX;
        if (!returns && !somebody_read(ops, count, ops[i].value)) continue;
        moments[n++] = (struct moment){ops[i].invoked, i, false};
        if (returns) moments[n++] = (struct moment){ops[i].returned, i, true};
    }
    qsort(moments, n, sizeof *moments, compare_moments);
    return n;
}

enum search_answer search_register(const struct search_op *ops, size_t count, size_t *bad)
{
    struct search search = {.ops = ops};
    struct moment *moments = memory_zeroed(2 * count + 1, sizeof *moments);
    size_t n = list_moments(ops, count, moments);
    for (unsigned i = 0; i < SEARCH_PENDING_MAX; i++) search.pending[i] = NONE;
    presents_add(&search.now, (struct present){0, 0});
    enum search_answer answer = SEARCH_FITS;
    for (size_t i = 0; i < n && answer == SEARCH_FITS; i++) {
        *bad = moments[i].op;
        if (moments[i].returns) {
            if (!take_return(&search, moments[i].op)) answer = SEARCH_BROKEN;
            continue;
        }
        unsigned bit = bit_of(&search, NONE);
        if (bit == SEARCH_PENDING_MAX) answer = SEARCH_TOO_WIDE;
        else search.pending[bit] = moments[i].op;
    }
    presents_release(&search.now);
    presents_release(&search.next);
    memory_free(moments);
    return answer;
}

/* --- Registers among ops --- */

struct keyed {
    uint64_t key; /* hash of database and name */
    bool plain;   /* SET or GET, without options */
    struct search_op op;
};

/* "v123abc" -> 123; anything else, and nothing: 0. */
static uint64_t value_of(struct bytes text)
{
    uint64_t value = 0;
    for (size_t i = 1; i < text.size && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    return value;
}

static uint64_t value_told(struct bytes reply)
{
    const uint8_t *line = reply.size > 2 && reply.data[1] != '-'
                              ? memchr(reply.data, '\n', reply.size)
                              : NULL;
    if (line == NULL) return 0;
    size_t at = (size_t)(line - reply.data) + 1;
    return value_of(bytes_of(reply.data + at, reply.size - at));
}

/* False: it says nothing about a register. */
static bool keyed_of(const struct op *op, struct args *args, struct keyed *out)
{
    struct payload_reader reader;
    const struct command *command = NULL;
    uint8_t database = 0;
    if (op->old || (op->state != OP_ANSWERED && op->state != OP_UNKNOWN)) return false;
    if (op->state == OP_UNKNOWN && op->kind == OP_READ) return false;
    *out = (struct keyed){.plain = false};
    if (payload_read(&reader, buffer_bytes(&op->payload)) != ERR_OK || reader.commands != 1 ||
        payload_next_command(&reader, &database, &command, args) != ERR_OK || args->count < 2) {
        return false;
    }
    out->key = checksum64(args->at[1], database);
    bool set = command->id == COMMAND_SET && args->count == 3;
    out->plain = set || command->id == COMMAND_GET;
    out->op = (struct search_op){.writes = set,
                                 .value = set ? value_of(args->at[2])
                                              : value_told(buffer_bytes(&op->reply)),
                                 .invoked = op->sent,
                                 .returned = op->state == OP_ANSWERED ? op->returned : UINT64_MAX};
    return true;
}

static int compare_keyed(const void *left, const void *right)
{
    const struct keyed *a = left, *b = right;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return a->op.invoked < b->op.invoked ? -1 : a->op.invoked > b->op.invoked ? 1 : 0;
}

static void search_key(const struct keyed *keyed, size_t count, struct search_result *result)
{
    struct search_op *ops = memory_zeroed(count, sizeof *ops);
    bool plain = true;
    for (size_t i = 0; i < count; i++) {
        ops[i] = keyed[i].op;
        plain = plain && keyed[i].plain;
    }
    size_t bad = 0;
    enum search_answer answer = plain ? search_register(ops, count, &bad) : SEARCH_TOO_WIDE;
    if (answer == SEARCH_TOO_WIDE) result->too_wide++;
    else result->ops += count;
    if (answer == SEARCH_BROKEN && result->failure[0] == '\0') {
        (void)snprintf(result->failure, sizeof result->failure,
                       "search: no order of a register's %zu ops explains the %s of v%" PRIu64
                       " (moments %" PRIu64 " to %" PRIu64 ")",
                       count, ops[bad].writes ? "write" : "read", ops[bad].value, ops[bad].invoked,
                       ops[bad].returned);
    }
    result->registers++;
    memory_free(ops);
}

void search_ops(const struct ops *ops, struct search_result *result)
{
    *result = (struct search_result){.registers = 0};
    struct keyed *keyed = memory_zeroed(ops->count + 1, sizeof *keyed);
    struct args args;
    args_init(&args);
    size_t count = 0;
    for (size_t i = 0; i < ops->count; i++) {
        if (keyed_of(ops->list[i], &args, &keyed[count])) count++;
    }
    args_release(&args);
    qsort(keyed, count, sizeof *keyed, compare_keyed);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && keyed[to].key == keyed[from].key; to++) continue;
        search_key(keyed + from, to - from, result);
    }
    memory_free(keyed);
}
