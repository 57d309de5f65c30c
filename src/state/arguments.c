/* SPDX-License-Identifier: Apache-2.0 */
#include "state/arguments.h"

#include "base/number.h"

static bool refuse(struct tx *tx, const char *error)
{
    tx->reply->ops->error(tx->reply, error);
    return false;
}

bool argument_integer(struct tx *tx, struct bytes word, const char *error, int64_t *out)
{
    return number_parse_int64(word, out) || refuse(tx, error);
}

bool argument_at_least(struct tx *tx, struct bytes word, int64_t least, const char *error,
                       int64_t *out)
{
    return (number_parse_int64(word, out) && *out >= least) || refuse(tx, error);
}

bool argument_within(struct tx *tx, struct bytes word, int64_t most, int64_t *out)
{
    if (!number_parse_int64(word, out)) return refuse(tx, ERROR_NOT_INTEGER);
    if (*out >= -most && *out <= most) return true;
    reply_errorf(tx->reply, "ERR value is out of range, value must between %lld and %lld",
                 (long long)-most, (long long)most);
    return false;
}

bool argument_score(struct tx *tx, struct bytes word, const char *error, double *out)
{
    return number_parse_double(word, out) || refuse(tx, error);
}

bool argument_timeout(struct tx *tx, struct bytes word)
{
    if (tx->serving) return true; /* it was good when the client began to wait */
    long double seconds;
    if (!number_parse_long_double(word, &seconds))
        return refuse(tx, "ERR timeout is not a float or out of range");
    long double latest = (long double)(INT64_MAX - (int64_t)tx_now_ms(tx));
    if (seconds * 1000 > latest) return refuse(tx, "ERR timeout is out of range");
    /* What rounds up to zero is zero. */
    if (seconds * 1000 <= -1) return refuse(tx, "ERR timeout is negative");
    return true;
}

void argument_wrong_count(struct tx *tx, const struct args *args)
{
    reply_errorf(tx->reply, "ERR wrong number of arguments for '%.*s' command",
                 (int)args->at[0].size, (const char *)args->at[0].data);
}

bool argument_pops(struct tx *tx, const struct args *args, size_t from, const char *const words[2],
                   struct argument_pops *out)
{
    int64_t keys, count = 1;
    if (!argument_at_least(tx, args->at[from], 1, "ERR numkeys should be greater than 0", &keys))
        return false;
    size_t after = args->count - from - 1;
    if ((uint64_t)keys >= after) return refuse(tx, ERROR_SYNTAX);
    size_t at = from + 1 + (size_t)keys;
    bool second = bytes_is_word(args->at[at], words[1]);
    if (!second && !bytes_is_word(args->at[at], words[0])) return refuse(tx, ERROR_SYNTAX);
    at++;
    if (at < args->count) {
        if (!bytes_is_word(args->at[at], "count") || at + 1 == args->count)
            return refuse(tx, ERROR_SYNTAX);
        if (!argument_at_least(tx, args->at[at + 1], 1, "ERR count should be greater than 0",
                               &count))
            return false;
        if (at + 2 != args->count) return refuse(tx, ERROR_SYNTAX);
    }
    *out = (struct argument_pops){&args->at[from + 1], (size_t)keys, second, (uint64_t)count};
    return true;
}

bool argument_clip_range(int64_t *start, int64_t *stop, uint64_t size)
{
    int64_t length = (int64_t)size;
    if (*start < 0) *start += length;
    if (*stop < 0) *stop += length;
    if (*start < 0) *start = 0;
    if (*stop >= length) *stop = length - 1;
    return *start <= *stop;
}
