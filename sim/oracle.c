/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/oracle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "sim/told.h"

/* An op under the hash of an entry that it may have made. */
struct named {
    uint64_t hash;
    size_t order;
    struct op *op;
};

struct oracle {
    const struct canon *canon;
    struct ops *ops;
    struct oracle_result *result;
    struct named *named; /* writes and waits, sorted */
    size_t named_count, named_capacity;
    struct op **owner; /* by LSN: the op whose entry it is; NULL: nobody's, or not known whose */
    struct op **reads; /* by the first LSN at which they may stand */
    size_t reads_count, reads_next;
    struct op **open; /* reads whose place is not known exactly, and who have not found it yet */
    size_t open_count;
    struct model model;
    struct told told; /* the same, by the stream of effects alone */
    struct buffer reply;
};

__attribute__((format(printf, 3, 4))) static void fail(struct oracle *oracle, const struct op *op,
                                                       const char *format, ...)
{
    char *text = oracle->result->failure;
    if (text[0] != '\0') return;
    size_t room = sizeof oracle->result->failure;
    va_list list;
    va_start(list, format);
    int size = vsnprintf(text, room, format, list);
    va_end(list);
    if (op == NULL || size < 0 || (size_t)size + 8 >= room) return;
    size_t at = (size_t)size;
    at += (size_t)snprintf(text + at, room - at, " | ");
    for (size_t i = 1; i < op->payload.size && i < 120 && at + 1 < room; i++) {
        uint8_t byte = op->payload.data[i];
        if (byte != 0) text[at++] = byte > 32 && byte < 127 ? (char)byte : '.';
    }
    text[at] = '\0';
}

static bool failed(const struct oracle *oracle)
{
    return oracle->result->failure[0] != '\0';
}

/* --- Whose entry is it --- */

/* The commands of a payload: without what a transaction watched, without the kind of attempt. */
static struct bytes essence(struct bytes payload)
{
    if (payload.data[0] != ENTRY_TRANSACTION) return bytes_of(payload.data + 1, payload.size - 1);
    size_t at = 9;
    for (uint32_t i = load_le32(payload.data + 1); i > 0; i--) {
        at += 22 + 4 + (size_t)load_le32(payload.data + at + 22);
    }
    return bytes_of(payload.data + at, payload.size - at);
}

static uint64_t essence_hash(struct bytes payload)
{
    return checksum64(essence(payload), payload.data[0] == ENTRY_TRANSACTION ? 2 : 1);
}

static bool is_of_client(struct bytes payload)
{
    uint8_t kind = payload.data[0];
    return kind == ENTRY_COMMAND || kind == ENTRY_TRANSACTION || kind == ENTRY_SERVE;
}

static int compare_named(const void *left, const void *right)
{
    const struct named *a = left, *b = right;
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order ? 1 : 0;
}

static void name(struct oracle *oracle, struct op *op, size_t order, struct bytes payload)
{
    if (oracle->named_count == oracle->named_capacity) {
        oracle->named_capacity = oracle->named_capacity * 2 + 64;
        oracle->named = memory_resize(oracle->named,
                                      oracle->named_capacity * sizeof *oracle->named);
    }
    oracle->named[oracle->named_count++] = (struct named){essence_hash(payload), order, op};
}

struct name_visit {
    struct payload_visit visit;
    struct oracle *oracle;
    struct op *op;
    size_t order;
    struct args scratch;
};

/* A wait that found nothing is tried again at one key at a time. */
static void name_attempt(struct payload_visit *base, uint8_t database, struct bytes key)
{
    struct name_visit *visit = CONTAINER_OF(base, struct name_visit, visit);
    struct buffer payload;
    (void)database;
    buffer_init(&payload);
    payload_put_serve(&payload, buffer_bytes(&visit->op->payload), key, &visit->scratch);
    name(visit->oracle, visit->op, visit->order, buffer_bytes(&payload));
    buffer_release(&payload);
}

static void name_all(struct oracle *oracle)
{
    const struct ops *ops = oracle->ops;
    struct args scratch;
    struct name_visit visit = {.visit.key = name_attempt, .oracle = oracle};
    args_init(&scratch);
    args_init(&visit.scratch);
    for (size_t i = 0; i < ops->count; i++) {
        struct op *op = visit.op = ops->list[i];
        visit.order = i;
        if (op->kind == OP_READ) continue;
        name(oracle, op, i, buffer_bytes(&op->payload));
        if (op->kind == OP_WAIT) {
            payload_visit_keys(buffer_bytes(&op->payload), &scratch, &visit.visit);
        }
    }
    args_release(&visit.scratch);
    args_release(&scratch);
    if (oracle->named_count == 0) return;
    qsort(oracle->named, oracle->named_count, sizeof *oracle->named, compare_named);
}

/* The first of those with the payload's hash; *count of them. */
static const struct named *find_named(const struct oracle *oracle, struct bytes payload,
                                      size_t *count)
{
    uint64_t hash = essence_hash(payload);
    size_t low = 0, high = oracle->named_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (oracle->named[middle].hash < hash) low = middle + 1;
        else high = middle;
    }
    size_t end = low;
    while (end < oracle->named_count && oracle->named[end].hash == hash) end++;
    *count = end - low;
    return &oracle->named[low];
}

static bool may_be_there(const struct op *op)
{
    return op->state != OP_REFUSED && op->state != OP_LOST;
}

static const struct fact *fact_at(const struct oracle *oracle, uint64_t lsn)
{
    return &oracle->canon->facts[lsn - 1];
}

static bool may_be_entry(const struct oracle *oracle, const struct op *op, struct bytes payload)
{
    if (!is_of_client(payload)) return false;
    if (op->kind != OP_WAIT)
        return bytes_equal(essence(payload), essence(buffer_bytes(&op->payload)));
    size_t count;
    const struct named *named = find_named(oracle, payload, &count);
    while (count > 0 && named[count - 1].op != op) count--;
    return count > 0;
}

/* Ops that were told their LSN own it. */
static void own_marked(struct oracle *oracle, struct op *op)
{
    if (op->lsn > oracle->canon->count) {
        fail(oracle, op, "oracle: told of LSN %" PRIu64 ", but the history ends at %" PRIu64,
             op->lsn, oracle->canon->count);
        return;
    }
    const struct fact *fact = fact_at(oracle, op->lsn);
    if (fact->lineage.hash != op->lineage.hash) {
        fail(oracle, op, "oracle: told of LSN %" PRIu64 " with another lineage", op->lsn);
        return;
    }
    if (op->kind == OP_READ) return;
    if (!may_be_entry(oracle, op, fact->payload)) {
        fail(oracle, op,
             "oracle: lost write: told '%.*s' at LSN %" PRIu64 ", where another entry stands",
             (int)(op->reply.size < 60 ? op->reply.size : 60), (const char *)op->reply.data,
             op->lsn);
    } else if (oracle->owner[op->lsn] != NULL) {
        fail(oracle, op, "oracle: two writes acknowledged at LSN %" PRIu64, op->lsn);
    } else {
        oracle->owner[op->lsn] = op;
    }
}

static void stands_at(struct oracle *oracle, struct op *op, uint64_t lsn)
{
    op->lsn = lsn;
    op->lineage = fact_at(oracle, lsn)->lineage;
}

/* An entry whose place no client was told: it is the one unique op's, or one of several alike. */
static void own_found(struct oracle *oracle, uint64_t lsn, const struct named *named, size_t count)
{
    struct op *op = named->op;
    if (op->kind == OP_WAIT) return; /* any number of attempts: see check_entry */
    if (op->unique) {
        if (!may_be_there(op)) {
            fail(oracle, op, "oracle: refused or lost, but it stands at LSN %" PRIu64, lsn);
        } else if (op->lsn != 0 && op->lsn != lsn) {
            fail(oracle, op, "oracle: applied twice: at LSN %" PRIu64 " and at %" PRIu64, op->lsn,
                 lsn);
        }
        stands_at(oracle, op, lsn);
        oracle->owner[lsn] = op;
        if (op->state == OP_UNKNOWN) oracle->result->unknown_found++;
        return;
    }
    /* Without a mark: an answered one first, then an unknown one. */
    struct op *best = NULL;
    for (size_t i = 0; i < count; i++) {
        struct op *other = named[i].op;
        if (other->lsn != 0 || !may_be_there(other) || other->floor >= lsn) continue;
        if (best == NULL || (other->state == OP_ANSWERED && best->state != OP_ANSWERED)) {
            best = other;
        }
    }
    if (best == NULL) {
        fail(oracle, op, "oracle: applied twice, or sent by nobody: LSN %" PRIu64, lsn);
        return;
    }
    stands_at(oracle, best, lsn);
    oracle->owner[lsn] = best;
}

static void own_all(struct oracle *oracle)
{
    for (size_t i = 0; i < oracle->ops->count && !failed(oracle); i++) {
        struct op *op = oracle->ops->list[i];
        bool known = op->state == OP_ANSWERED || op->state == OP_UNKNOWN;
        if (known && op->lsn != 0) own_marked(oracle, op);
    }
    for (uint64_t lsn = 1; lsn <= oracle->canon->count && !failed(oracle); lsn++) {
        struct bytes payload = fact_at(oracle, lsn)->payload;
        if (!is_of_client(payload) || oracle->owner[lsn] != NULL) continue;
        size_t count;
        const struct named *named = find_named(oracle, payload, &count);
        if (count == 0) fail(oracle, NULL, "oracle: nobody sent what stands at LSN %" PRIu64, lsn);
        else own_found(oracle, lsn, named, count);
    }
}

/* --- Order --- */

static void check_order(struct oracle *oracle, struct op *op)
{
    if (op->state == OP_UNKNOWN && op->lsn == 0) oracle->result->unknown_absent++;
    if (op->state != OP_ANSWERED) return;
    bool writes = op->kind != OP_READ;
    if (writes && op->lsn == 0 && op->kind == OP_WRITE) {
        fail(oracle, op, "oracle: lost write: acknowledged, but not in the history");
        return;
    }
    if (op->lsn == 0) return;
    if (writes ? op->lsn <= op->floor : op->lsn < op->floor) {
        fail(oracle, op,
             "oracle: %s at LSN %" PRIu64 ", but %" PRIu64 " was known when it was sent",
             writes ? "reordered: written" : "stale read", op->lsn, op->floor);
    }
    for (const struct op *before = op->before; before != NULL; before = before->before) {
        if (before->lsn == 0 || before->state != OP_ANSWERED) continue;
        if (writes ? op->lsn > before->lsn : op->lsn >= before->lsn) break;
        fail(oracle, op, "oracle: LSN %" PRIu64 " is behind its own connection's %" PRIu64, op->lsn,
             before->lsn);
        break;
    }
}

/* --- Replies --- */

static bool reply_same(struct oracle *oracle, struct op *op)
{
    if (op->unordered) {
        resp_sort(&oracle->reply, op->pairs);
        resp_sort(&op->reply, op->pairs);
    }
    return bytes_equal(buffer_bytes(&oracle->reply), buffer_bytes(&op->reply));
}

static void fail_reply(struct oracle *oracle, const struct op *op, uint64_t lsn)
{
    const struct buffer *own = &oracle->reply, *told = &op->reply;
    fail(oracle, op, "oracle: at LSN %" PRIu64 " a client was told '%.*s', the model says '%.*s'",
         lsn, (int)(told->size < 60 ? told->size : 60), (const char *)told->data,
         (int)(own->size < 60 ? own->size : 60), (const char *)own->data);
}

static void check_wait(struct oracle *oracle, uint64_t lsn)
{
    size_t count;
    const struct named *named = find_named(oracle, fact_at(oracle, lsn)->payload, &count);
    if (count == 0) return;
    struct op *op = named->op;
    if (op->kind != OP_WAIT || oracle->reply.size == 0) return;
    if (op->state == OP_UNKNOWN || (op->state == OP_ANSWERED && op->lsn == 0)) {
        stands_at(oracle, op, lsn);
    } else if (op->state != OP_ANSWERED) {
        fail(oracle, op, "oracle: a wait took something at LSN %" PRIu64 " and was not told", lsn);
    }
    if (op->lsn != lsn) {
        fail(oracle, op, "oracle: a wait was served twice: LSN %" PRIu64 " and %" PRIu64, op->lsn,
             lsn);
    }
}

/* Whoever knows the history by the stream of effects alone has the same keys. */
static void check_told(struct oracle *oracle, uint64_t lsn)
{
    enum { COMPARE_EACH = 4 };
    const struct fact *fact = fact_at(oracle, lsn);
    struct told *told = &oracle->told;
    if (told->following != fact->streams) {
        if (fact->streams) told_begin(told, &oracle->model);
        else told_end(told);
    }
    if (!told->following) return;
    oracle->result->told += fact->stream.size;
    const char *wrong = told_take(told, fact->stream);
    if (wrong != NULL) {
        fail(oracle, NULL, "oracle: what LSN %" PRIu64 " told %s: %.*s", lsn, wrong,
             (int)(fact->stream.size < 100 ? fact->stream.size : 100),
             (const char *)fact->stream.data);
        return;
    }
    if (lsn % COMPARE_EACH != 0 && lsn < oracle->canon->count) return;
    const struct model_key *key = told_differs(told, &oracle->model, stamp_ms(fact->stamp));
    if (key == NULL) return;
    fail(oracle, NULL, "oracle: at LSN %" PRIu64 " key %.*s of db%u is not as was told", lsn,
         (int)key->name.size, (const char *)key->name.data, key->database);
}

static void check_entry(struct oracle *oracle, uint64_t lsn)
{
    const struct fact *fact = fact_at(oracle, lsn);
    buffer_clear(&oracle->reply);
    if (!model_apply(&oracle->model, lsn, stamp_ms(fact->stamp), fact->payload, &oracle->reply)) {
        fail(oracle, NULL, "oracle: the model does not know the entry at LSN %" PRIu64, lsn);
        return;
    }
    check_told(oracle, lsn);
    struct op *op = oracle->owner[lsn];
    check_wait(oracle, lsn);
    if (op == NULL || (op->state != OP_ANSWERED && op->state != OP_EMPTY)) return;
    oracle->result->writes++;
    if (!reply_same(oracle, op)) fail_reply(oracle, op, lsn);
}

static bool read_fits_at(struct oracle *oracle, struct op *op, uint64_t now_ms)
{
    buffer_clear(&oracle->reply);
    if (!model_query(&oracle->model, now_ms, buffer_bytes(&op->payload), &oracle->reply)) {
        fail(oracle, op, "oracle: the model does not know a read");
        return true;
    }
    return reply_same(oracle, op);
}

/* A read's clock is not before the stamp of the entry on whose state it was evaluated, nor behind
 * that of the next entry (any later when no entry could be appended). Between the two only the end
 * of a key's time makes a difference. */
static bool read_fits(struct oracle *oracle, struct op *op, uint64_t lsn)
{
    uint64_t from_ms = stamp_ms(fact_at(oracle, lsn)->stamp);
    if (read_fits_at(oracle, op, from_ms)) return true;
    bool last = op->relaxed || lsn == oracle->canon->count;
    uint64_t to_ms = last ? UINT64_MAX : stamp_ms(fact_at(oracle, lsn + 1)->stamp);
    for (size_t i = 0; i < oracle->model.count; i++) {
        uint64_t end_ms = oracle->model.keys[i]->expire_ms;
        if (end_ms <= from_ms || end_ms > to_ms) continue;
        oracle->result->relaxed++;
        if (read_fits_at(oracle, op, end_ms)) return true;
    }
    return false;
}

/* The first LSN at which a read may stand. */
static uint64_t read_from(const struct op *op)
{
    if (op->lsn != 0) return op->lsn;
    uint64_t from = op->floor > 0 ? op->floor : 1;
    for (const struct op *before = op->before; before != NULL; before = before->before) {
        if (before->lsn > from && before->state == OP_ANSWERED) from = before->lsn;
    }
    return from;
}

static int compare_reads(const void *left, const void *right)
{
    const struct op *a = *(struct op *const *)left, *b = *(struct op *const *)right;
    uint64_t from_a = read_from(a), from_b = read_from(b);
    return from_a < from_b ? -1 : from_a > from_b ? 1 : 0;
}

static void gather_reads(struct oracle *oracle)
{
    size_t room = oracle->ops->count + 1;
    oracle->reads = memory_zeroed(room, sizeof(struct op *));
    oracle->open = memory_zeroed(room, sizeof(struct op *));
    for (size_t i = 0; i < oracle->ops->count; i++) {
        struct op *op = oracle->ops->list[i];
        if (op->kind != OP_READ || op->state != OP_ANSWERED) continue;
        if (op->lsn == 0 && op->below == 0) continue; /* it may have been anywhere */
        oracle->reads[oracle->reads_count++] = op;
    }
    qsort(oracle->reads, oracle->reads_count, sizeof(struct op *), compare_reads);
}

static void check_reads(struct oracle *oracle, uint64_t lsn)
{
    while (oracle->reads_next < oracle->reads_count &&
           read_from(oracle->reads[oracle->reads_next]) <= lsn) {
        oracle->open[oracle->open_count++] = oracle->reads[oracle->reads_next++];
        oracle->result->reads++;
    }
    size_t kept = 0;
    for (size_t i = 0; i < oracle->open_count; i++) {
        struct op *op = oracle->open[i];
        uint64_t last = op->lsn != 0 ? op->lsn : op->below;
        if (read_fits(oracle, op, lsn)) continue;
        if (lsn >= last) fail_reply(oracle, op, lsn);
        oracle->open[kept++] = op;
    }
    oracle->open_count = kept;
}

void oracle_check(const struct canon *canon, struct ops *ops, struct oracle_result *result)
{
    *result = (struct oracle_result){.checked = ops->count};
    struct oracle oracle = {.canon = canon, .ops = ops, .result = result};
    oracle.owner = memory_zeroed(canon->count + 1, sizeof(struct op *));
    model_init(&oracle.model);
    told_init(&oracle.told);
    buffer_init(&oracle.reply);
    name_all(&oracle);
    own_all(&oracle);
    for (size_t i = 0; i < ops->count && !failed(&oracle); i++) {
        check_order(&oracle, ops->list[i]);
    }
    gather_reads(&oracle);
    for (uint64_t lsn = 1; lsn <= canon->count && !failed(&oracle); lsn++) {
        check_entry(&oracle, lsn);
        check_reads(&oracle, lsn);
    }
    buffer_release(&oracle.reply);
    model_release(&oracle.model);
    told_release(&oracle.told);
    memory_free(oracle.named);
    memory_free(oracle.owner);
    memory_free(oracle.reads);
    memory_free(oracle.open);
}

void oracle_forget(struct ops *ops, uint64_t keep)
{
    for (size_t i = 0; i < ops->count; i++) {
        struct op *op = ops->list[i];
        bool beyond = op->lsn > keep;
        if (op->state == OP_ANSWERED && op->kind == OP_READ) op->state = OP_LOST; /* checked */
        if ((op->state == OP_ANSWERED || op->state == OP_UNKNOWN) && beyond) op->state = OP_LOST;
        if (op->floor > keep) op->floor = keep;
    }
}
