/* SPDX-License-Identifier: Apache-2.0 */
/* Lists: moves between two lists, pops from the first of several lists, and the forms that wait.
 *
 * A command that waits is evaluated when it arrives and again, with this key only, whenever one of
 * its keys may have been filled. The first time a key of another type is an error, as it is for any
 * command. Later (tx->serving) it is as good as an absent key: the client asked for a list and goes
 * on waiting for one. Only the target of a move is judged at the moment of the move, whenever that
 * is. */
#include "state/arguments.h"
#include "state/evals.h"
#include "state/list.h"
#include "state/tx_effects.h"

/* The list to take from, for a command that waits or not. */
static enum found find_source(struct tx *tx, struct bytes name, struct key *key)
{
    if (!tx->serving) return tx_find_typed(tx, name, KEY_LIST, key);
    return tx_find(tx, name, key) && key->type == KEY_LIST ? FOUND_KEY : FOUND_ABSENT;
}

/* --- Moves --- */

static const char *const end_words[2] = {"left", "right"};

static bool parse_end(struct tx *tx, struct bytes word, enum list_end *out)
{
    bool tail = bytes_is_word(word, end_words[LIST_TAIL]);
    if (!tail && !bytes_is_word(word, end_words[LIST_HEAD])) {
        tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
        return false;
    }
    *out = tail ? LIST_TAIL : LIST_HEAD;
    return true;
}

struct move {
    struct bytes from, to;
    enum list_end from_end, to_end;
    const struct bytes *effect; /* the words of the form that does not wait; NULL: it is that */
    size_t effect_count;
};

static void tell_move(struct tx *tx, const struct move *move)
{
    if (move->effect != NULL) tx_effect(tx, move->effect, move->effect_count);
}

/* Where both are one list, it is turned. */
static void turn(struct tx *tx, struct key *key, const struct move *move)
{
    struct bytes value;
    if (!list_pop(tx, key, move->from_end, &value)) return;
    list_push(tx, key, move->to_end, value);
    tx_store(tx, key);
    tx->reply->ops->bulk(tx->reply, value);
}

static void carry(struct tx *tx, struct key *source, struct key *target, const struct move *move)
{
    struct bytes value;
    if (!list_pop(tx, source, move->from_end, &value)) return;
    list_push(tx, target, move->to_end, value);
    tx_store(tx, target);
    tx->reply->ops->bulk(tx->reply, value);
}

/* False: there is nothing to move, and nothing was written. */
static bool move_item(struct tx *tx, const struct move *move)
{
    struct key source, target;
    enum found found = find_source(tx, move->from, &source);
    if (found != FOUND_KEY) return found == FOUND_WRONG;
    const char *pushed = move->to_end == LIST_HEAD ? "lpush" : "rpush";
    const char *popped = move->from_end == LIST_HEAD ? "lpop" : "rpop";
    if (bytes_equal(move->from, move->to)) {
        turn(tx, &source, move);
        tell_move(tx, move);
        tx_notify(tx, NOTIFY_LIST, pushed, tx->database, move->to);
        tx_notify(tx, NOTIFY_LIST, popped, tx->database, move->from);
        return true;
    }
    found = tx_find_typed(tx, move->to, KEY_LIST, &target);
    if (found == FOUND_WRONG) return true;
    if (found == FOUND_ABSENT) tx_create(tx, move->to, KEY_LIST, &target);
    carry(tx, &source, &target, move);
    tell_move(tx, move);
    tx_notify(tx, NOTIFY_LIST, pushed, tx->database, move->to);
    list_popped(tx, &source, move->from_end);
    return true;
}

static void move_or_null(struct tx *tx, const struct move *move)
{
    if (!move_item(tx, move)) tx->reply->ops->null(tx->reply);
}

static void move_or_wait(struct tx *tx, const struct move *move)
{
    if (move_item(tx, move)) return;
    if (tx->in_transaction) tx->reply->ops->null(tx->reply);
    else tx->waits = true;
}

void eval_RPOPLPUSH(struct tx *tx, const struct args *args)
{
    move_or_null(tx, &(struct move){.from = args->at[1],
                                    .to = args->at[2],
                                    .from_end = LIST_TAIL,
                                    .to_end = LIST_HEAD});
}

void eval_LMOVE(struct tx *tx, const struct args *args)
{
    struct move move = {.from = args->at[1], .to = args->at[2]};
    if (!parse_end(tx, args->at[3], &move.from_end)) return;
    if (!parse_end(tx, args->at[4], &move.to_end)) return;
    move_or_null(tx, &move);
}

void eval_BRPOPLPUSH(struct tx *tx, const struct args *args)
{
    if (!argument_timeout(tx, args->at[3])) return;
    struct bytes effect[] = {bytes_text("RPOPLPUSH"), args->at[1], args->at[2]};
    move_or_wait(tx, &(struct move){args->at[1], args->at[2], LIST_TAIL, LIST_HEAD, effect, 3});
}

void eval_BLMOVE(struct tx *tx, const struct args *args)
{
    struct move move = {.from = args->at[1], .to = args->at[2]};
    if (!parse_end(tx, args->at[3], &move.from_end)) return;
    if (!parse_end(tx, args->at[4], &move.to_end)) return;
    if (!argument_timeout(tx, args->at[5])) return;
    struct bytes effect[] = {bytes_text("LMOVE"), move.from, move.to, args->at[3], args->at[4]};
    for (unsigned i = 0; tx->serving && i < 2; i++) { /* as Redis, which has lost the words */
        effect[3 + i] = bytes_text(end_words[i == 0 ? move.from_end : move.to_end]);
    }
    move.effect = effect;
    move.effect_count = 5;
    move_or_wait(tx, &move);
}

/* --- The first of several lists --- */

static struct bytes pop_word(enum list_end end)
{
    return bytes_text(end == LIST_HEAD ? "LPOP" : "RPOP");
}

/* Pops one item and replies with key and item. */
static void pop_one(struct tx *tx, struct key *key, struct bytes name, enum list_end end)
{
    struct bytes value;
    if (!list_pop(tx, key, end, &value)) return;
    tx->reply->ops->array(tx->reply, 2);
    tx->reply->ops->bulk(tx->reply, name);
    tx->reply->ops->bulk(tx->reply, value);
    tx_effect(tx, (const struct bytes[]){pop_word(end), name}, 2);
    list_popped(tx, key, end);
}

/* Pops up to `count` items and replies with key and items. */
static void pop_several(struct tx *tx, struct key *key, struct bytes name, enum list_end end,
                        uint64_t count)
{
    tx->reply->ops->array(tx->reply, 2);
    tx->reply->ops->bulk(tx->reply, name);
    if (count > list_length(key)) count = list_length(key);
    if (tx->streams) {
        struct bytes number = tx_effect_number(tx, (int64_t)count);
        tx_effect(tx, (const struct bytes[]){pop_word(end), name, number}, 3);
    }
    list_pop_many(tx, key, end, count);
    list_popped(tx, key, end);
}

/* Serves from the first key that is there. False: none is, and nothing was written. `pops->count`
 * of 0 stands for one item in the reply's simple form. */
static bool pop_first(struct tx *tx, const struct argument_pops *pops)
{
    enum list_end end = pops->second ? LIST_TAIL : LIST_HEAD;
    for (size_t i = 0; i < pops->keys_count; i++) {
        struct key key;
        enum found found = find_source(tx, pops->keys[i], &key);
        if (found == FOUND_WRONG) return true;
        if (found == FOUND_ABSENT) continue;
        if (pops->count == 0) pop_one(tx, &key, pops->keys[i], end);
        else pop_several(tx, &key, pops->keys[i], end, pops->count);
        return true;
    }
    return false;
}

static void pop_or_wait(struct tx *tx, const struct argument_pops *pops)
{
    if (pop_first(tx, pops)) return;
    if (tx->in_transaction) tx->reply->ops->null_array(tx->reply);
    else tx->waits = true;
}

static void blocking_pop(struct tx *tx, const struct args *args, enum list_end end)
{
    if (!argument_timeout(tx, args->at[args->count - 1])) return;
    pop_or_wait(tx, &(struct argument_pops){.keys = &args->at[1],
                                            .keys_count = args->count - 2,
                                            .second = end == LIST_TAIL,
                                            .count = 0});
}

void eval_BLPOP(struct tx *tx, const struct args *args)
{
    blocking_pop(tx, args, LIST_HEAD);
}

void eval_BRPOP(struct tx *tx, const struct args *args)
{
    blocking_pop(tx, args, LIST_TAIL);
}

void eval_LMPOP(struct tx *tx, const struct args *args)
{
    struct argument_pops pops;
    if (!argument_pops(tx, args, 1, end_words, &pops)) return;
    if (!pop_first(tx, &pops)) tx->reply->ops->null_array(tx->reply);
}

void eval_BLMPOP(struct tx *tx, const struct args *args)
{
    struct argument_pops pops;
    if (!argument_pops(tx, args, 2, end_words, &pops)) return;
    if (!argument_timeout(tx, args->at[1])) return;
    pop_or_wait(tx, &pops);
}
