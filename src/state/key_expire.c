/* SPDX-License-Identifier: Apache-2.0 */
/* The commands on the time at which a key ends. */
#include "base/number.h"
#include "state/arguments.h"
#include "state/evals.h"
#include "state/lifetime.h"
#include "state/tx_effects.h"

enum { EXPIRE_NX = 1 << 0, EXPIRE_XX = 1 << 1, EXPIRE_GT = 1 << 2, EXPIRE_LT = 1 << 3 };

static bool expire_words(struct tx *tx, const struct args *args, unsigned *out)
{
    static const char *const words[] = {"nx", "xx", "gt", "lt"};
    unsigned given = 0;
    for (size_t i = 3; i < args->count; i++) {
        unsigned which = 0;
        while (which < 4 && !bytes_is_word(args->at[i], words[which])) which++;
        if (which == 4) {
            int shown = args->at[i].size < 128 ? (int)args->at[i].size : 128;
            reply_errorf(tx->reply, "ERR Unsupported option %.*s", shown,
                         (const char *)args->at[i].data);
            return false;
        }
        given |= 1U << which;
    }
    const char *error = NULL;
    if ((given & EXPIRE_NX) != 0 && given != EXPIRE_NX) {
        error = "ERR NX and XX, GT or LT options at the same time are not compatible";
    } else if ((given & EXPIRE_GT) != 0 && (given & EXPIRE_LT) != 0) {
        error = "ERR GT and LT options at the same time are not compatible";
    }
    if (error != NULL) tx->reply->ops->error(tx->reply, error);
    *out = given;
    return error == NULL;
}

/* Whether the words allow the new end; a key without one ends later than any time. */
static bool allowed(unsigned words, uint64_t expire_ms, int64_t end_ms)
{
    bool ends = expire_ms != 0;
    if ((words & EXPIRE_NX) != 0 && ends) return false;
    if ((words & EXPIRE_XX) != 0 && !ends) return false;
    if ((words & EXPIRE_GT) != 0 && (!ends || end_ms <= (int64_t)expire_ms)) return false;
    if ((words & EXPIRE_LT) != 0 && ends && end_ms >= (int64_t)expire_ms) return false;
    return true;
}

struct expire_form {
    const char *command;
    bool seconds, absolute;
};

static bool parse_end(struct tx *tx, const struct expire_form *form, struct bytes word,
                      int64_t *out)
{
    int64_t value;
    if (!argument_integer(tx, word, ERROR_NOT_INTEGER, &value)) return false;
    bool fits = true;
    if (form->seconds) fits = value <= INT64_MAX / 1000 && value >= INT64_MIN / 1000;
    if (fits && form->seconds) value *= 1000;
    int64_t base = form->absolute ? 0 : (int64_t)tx_now_ms(tx);
    if (fits) fits = number_add_int64(value, base, out);
    if (!fits) reply_errorf(tx->reply, "ERR invalid expire time in '%s' command", form->command);
    return fits;
}

/* With the words behind the time, which hold for a replica as they do here. */
static void tell_end(struct tx *tx, const struct args *args, int64_t end_ms)
{
    if (!tx->streams) return;
    struct bytes *words = tx_scratch(tx, args->count * sizeof *words);
    memcpy(words, args->at, args->count * sizeof *words);
    words[0] = bytes_text("PEXPIREAT");
    words[2] = tx_effect_number(tx, end_ms);
    tx_effect(tx, words, args->count);
}

static void set_end(struct tx *tx, const struct args *args, const struct expire_form *form)
{
    unsigned words;
    int64_t end_ms;
    struct key key;
    if (!expire_words(tx, args, &words) || !parse_end(tx, form, args->at[2], &end_ms)) return;
    if (!tx_find(tx, args->at[1], &key) || !allowed(words, key.expire_ms, end_ms)) {
        tx->reply->ops->integer(tx->reply, 0);
        return;
    }
    bool ended = lifetime_is_over(tx, end_ms);
    if (ended) {
        tx_remove(tx, &key);
        tx_effect_removed(tx, args->at[1]);
    } else {
        key.expire_ms = (uint64_t)end_ms;
        tx_store(tx, &key);
        tell_end(tx, args, end_ms);
    }
    tx_notify(tx, NOTIFY_GENERIC, ended ? "del" : "expire", tx->database, args->at[1]);
    tx->reply->ops->integer(tx->reply, 1);
}

void eval_EXPIRE(struct tx *tx, const struct args *args)
{
    set_end(tx, args, &(struct expire_form){"expire", .seconds = true, .absolute = false});
}

void eval_PEXPIRE(struct tx *tx, const struct args *args)
{
    set_end(tx, args, &(struct expire_form){"pexpire", .seconds = false, .absolute = false});
}

void eval_EXPIREAT(struct tx *tx, const struct args *args)
{
    set_end(tx, args, &(struct expire_form){"expireat", .seconds = true, .absolute = true});
}

void eval_PEXPIREAT(struct tx *tx, const struct args *args)
{
    set_end(tx, args, &(struct expire_form){"pexpireat", .seconds = false, .absolute = true});
}

void eval_PERSIST(struct tx *tx, const struct args *args)
{
    struct key key;
    bool ends = tx_find(tx, args->at[1], &key) && key.expire_ms != 0;
    if (ends) {
        key.expire_ms = 0;
        tx_store(tx, &key);
        tx_notify(tx, NOTIFY_GENERIC, "persist", tx->database, args->at[1]);
    }
    tx->reply->ops->integer(tx->reply, ends ? 1 : 0);
}

/* --- Asking --- */

static void reply_end(struct tx *tx, struct bytes name, bool seconds, bool absolute)
{
    struct key key;
    int64_t answer = -2;
    if (tx_find(tx, name, &key)) {
        answer = -1;
        if (key.expire_ms != 0) answer = (int64_t)(key.expire_ms - (absolute ? 0 : tx_now_ms(tx)));
        if (key.expire_ms != 0 && seconds) answer = (int64_t)(((uint64_t)answer + 500) / 1000);
    }
    tx->reply->ops->integer(tx->reply, answer);
}

void eval_TTL(struct tx *tx, const struct args *args)
{
    reply_end(tx, args->at[1], true, false);
}

void eval_PTTL(struct tx *tx, const struct args *args)
{
    reply_end(tx, args->at[1], false, false);
}

void eval_EXPIRETIME(struct tx *tx, const struct args *args)
{
    reply_end(tx, args->at[1], true, true);
}

void eval_PEXPIRETIME(struct tx *tx, const struct args *args)
{
    reply_end(tx, args->at[1], false, true);
}
