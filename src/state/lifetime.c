/* SPDX-License-Identifier: Apache-2.0 */
#include "state/lifetime.h"

#include "base/number.h"
#include "state/arguments.h"

bool lifetime_take(struct lifetime *out, struct bytes option, struct bytes value)
{
    static const char *const words[] = {
        [LIFETIME_EX] = "ex",
        [LIFETIME_PX] = "px",
        [LIFETIME_EXAT] = "exat",
        [LIFETIME_PXAT] = "pxat",
    };
    for (unsigned kind = LIFETIME_EX; kind <= LIFETIME_PXAT; kind++) {
        if (!bytes_is_word(option, words[kind])) continue;
        if (out->kind != LIFETIME_NONE && out->kind != kind) return false;
        *out = (struct lifetime){(enum lifetime_kind)kind, value};
        return true;
    }
    return false;
}

bool lifetime_end(struct tx *tx, const struct lifetime *lifetime, const char *command,
                  uint64_t *end_ms)
{
    *end_ms = 0;
    if (lifetime->kind == LIFETIME_NONE) return true;
    int64_t value;
    if (!argument_integer(tx, lifetime->value, ERROR_NOT_INTEGER, &value)) return false;
    bool seconds = lifetime->kind == LIFETIME_EX || lifetime->kind == LIFETIME_EXAT;
    bool absolute = lifetime->kind == LIFETIME_EXAT || lifetime->kind == LIFETIME_PXAT;
    bool fits = value > 0 && (!seconds || value <= INT64_MAX / 1000);
    if (fits && seconds) value *= 1000;
    if (fits && !absolute) fits = number_add_int64(value, (int64_t)tx_now_ms(tx), &value);
    if (!fits) {
        reply_errorf(tx->reply, "ERR invalid expire time in '%s' command", command);
        return false;
    }
    *end_ms = (uint64_t)value;
    return true;
}
