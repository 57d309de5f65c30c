/* SPDX-License-Identifier: Apache-2.0 */
/* The commands on one set, and SMOVE; those on several are in set_algebra.c. A set's members are
 * its key's elements, without values. */
#include "base/must.h"
#include "state/arguments.h"
#include "state/evals.h"
#include "state/pick.h"
#include "state/random_reply.h"
#include "state/scan_options.h"
#include "state/tx_effects.h"

static const struct bytes no_value = {NULL, 0};

/* Stores the set after members were taken out of it, and tells of it. */
static void keep_smaller(struct tx *tx, struct key *key, const char *event, struct bytes name)
{
    tx_store(tx, key);
    tx_notify(tx, NOTIFY_SET, event, tx->database, name);
    if (key->size == 0) tx_notify(tx, NOTIFY_GENERIC, "del", tx->database, name);
}

/* --- Writing --- */

void eval_SADD(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_SET, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT) tx_create(tx, args->at[1], KEY_SET, &key);
    int64_t added = 0;
    for (size_t i = 2; i < args->count; i++) {
        if (tx_element_put(tx, &key, args->at[i], no_value)) added++;
    }
    if (added > 0) {
        tx_store(tx, &key);
        tx_notify(tx, NOTIFY_SET, "sadd", tx->database, args->at[1]);
    }
    tx->reply->ops->integer(tx->reply, added);
}

void eval_SREM(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_SET, &key);
    if (found == FOUND_WRONG) return;
    int64_t removed = 0;
    for (size_t i = 2; found == FOUND_KEY && i < args->count && key.size > 0; i++) {
        if (tx_element_remove(tx, &key, args->at[i])) removed++;
    }
    if (removed > 0) keep_smaller(tx, &key, "srem", args->at[1]);
    tx->reply->ops->integer(tx->reply, removed);
}

void eval_SMOVE(struct tx *tx, const struct args *args)
{
    struct key from, to;
    struct bytes value, member = args->at[3];
    bool same = bytes_equal(args->at[1], args->at[2]);
    /* Redis does not look at the type of the second when there is no first. */
    enum found found = tx_find_typed(tx, args->at[1], KEY_SET, &from);
    if (found == FOUND_WRONG) return;
    enum found target = found == FOUND_KEY && !same ? tx_find_typed(tx, args->at[2], KEY_SET, &to)
                                                    : FOUND_ABSENT;
    if (target == FOUND_WRONG) return;
    if (found == FOUND_ABSENT || !tx_element(tx, &from, member, &value)) {
        tx->reply->ops->integer(tx->reply, 0);
        return;
    }
    tx->reply->ops->integer(tx->reply, 1);
    if (same) return;
    tx_element_remove(tx, &from, member);
    keep_smaller(tx, &from, "srem", args->at[1]);
    if (target == FOUND_ABSENT) tx_create(tx, args->at[2], KEY_SET, &to);
    if (!tx_element_put(tx, &to, member, no_value)) return;
    tx_store(tx, &to);
    tx_notify(tx, NOTIFY_SET, "sadd", tx->database, args->at[2]);
}

/* --- Reading --- */

static bool is_member(struct tx *tx, enum found found, const struct key *key, struct bytes member)
{
    struct bytes value;
    return found == FOUND_KEY && tx_element(tx, key, member, &value);
}

void eval_SISMEMBER(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_SET, &key);
    if (found == FOUND_WRONG) return;
    tx->reply->ops->integer(tx->reply, is_member(tx, found, &key, args->at[2]));
}

void eval_SMISMEMBER(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_SET, &key);
    if (found == FOUND_WRONG) return;
    tx->reply->ops->array(tx->reply, args->count - 2);
    for (size_t i = 2; i < args->count; i++)
        tx->reply->ops->integer(tx->reply, is_member(tx, found, &key, args->at[i]));
}

void eval_SCARD(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_SET, &key);
    if (found == FOUND_WRONG) return;
    tx->reply->ops->integer(tx->reply, found == FOUND_KEY ? (int64_t)key.size : 0);
}

static void reply_members(struct tx *tx, const struct key *key)
{
    tx->reply->ops->set(tx->reply, (size_t)key->size);
    struct tx_cursor *cursor = tx_scan(tx, key, 0);
    struct bytes member, value;
    while (tx_scan_next(cursor, &member, &value)) tx->reply->ops->bulk(tx->reply, member);
    tx_cursor_close(cursor);
}

void eval_SMEMBERS(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_SET, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_KEY) reply_members(tx, &key);
    else tx->reply->ops->set(tx->reply, 0);
}

/* --- Random members, and the walk in parts --- */

static void tell_removed(struct tx *tx, struct bytes name, struct bytes member)
{
    tx_effect(tx, (const struct bytes[]){bytes_text("SREM"), name, member}, 3);
}

static void pop_one(struct tx *tx, struct bytes name)
{
    struct key key;
    struct picked picked;
    enum found found = tx_find_typed(tx, name, KEY_SET, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT || pick_any(tx, &key, 1, &picked) == 0) {
        tx->reply->ops->null(tx->reply);
        return;
    }
    tx_element_remove(tx, &key, picked.name);
    tell_removed(tx, name, picked.name);
    keep_smaller(tx, &key, "spop", name);
    tx->reply->ops->bulk(tx->reply, picked.name);
}

static void pop_several(struct tx *tx, struct key *key, size_t count, struct bytes name)
{
    struct picked *picked = tx_scratch(tx, count * sizeof *picked);
    size_t drawn = pick_distinct(tx, key, count, picked);
    tx->reply->ops->set(tx->reply, drawn);
    for (size_t i = 0; i < drawn; i++) {
        tx_element_remove(tx, key, picked[i].name);
        tell_removed(tx, name, picked[i].name);
        tx->reply->ops->bulk(tx->reply, picked[i].name);
    }
    keep_smaller(tx, key, "spop", name);
}

static void pop_all(struct tx *tx, const struct key *key, struct bytes name)
{
    reply_members(tx, key);
    tx_remove(tx, key);
    tx_effect_removed(tx, name);
    tx_notify(tx, NOTIFY_SET, "spop", tx->database, name);
    tx_notify(tx, NOTIFY_GENERIC, "del", tx->database, name);
}

void eval_SPOP(struct tx *tx, const struct args *args)
{
    int64_t count;
    struct key key;
    if (args->count == 2) {
        pop_one(tx, args->at[1]);
        return;
    }
    if (args->count > 3) {
        tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
        return;
    }
    if (!argument_at_least(tx, args->at[2], 0, ERROR_NOT_POSITIVE, &count)) return;
    enum found found = tx_find_typed(tx, args->at[1], KEY_SET, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT || count == 0) tx->reply->ops->set(tx->reply, 0);
    else if ((uint64_t)count >= key.size) pop_all(tx, &key, args->at[1]);
    else pop_several(tx, &key, (size_t)count, args->at[1]);
}

void eval_SRANDMEMBER(struct tx *tx, const struct args *args)
{
    struct random_reply want = {.one = args->count == 2};
    if (args->count > 3) {
        tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
        return;
    }
    if (!want.one && !argument_within(tx, args->at[2], INT64_MAX, &want.count)) return;
    random_reply(tx, args->at[1], KEY_SET, &want);
}

static size_t give_member(struct reply *reply, struct bytes name, struct bytes value)
{
    (void)value;
    reply->ops->bulk(reply, name);
    return 1;
}

void eval_SSCAN(struct tx *tx, const struct args *args)
{
    scan_elements(tx, args, KEY_SET, give_member);
}
