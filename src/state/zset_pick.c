/* SPDX-License-Identifier: Apache-2.0 */
/* Sorted sets: members in no order, some at random or all step by step. */
#include "base/number.h"
#include "state/evals.h"
#include "state/random_reply.h"
#include "state/scan_options.h"
#include "state/score.h"

static size_t give_pair(struct reply *reply, struct bytes name, struct bytes value)
{
    char text[NUMBER_TEXT_BYTES];
    reply->ops->bulk(reply, name);
    reply->ops->bulk(reply, bytes_of(text, number_format_double(score_decode(value), text)));
    return 2;
}

void eval_ZSCAN(struct tx *tx, const struct args *args)
{
    scan_elements(tx, args, KEY_ZSET, give_pair);
}

void eval_ZRANDMEMBER(struct tx *tx, const struct args *args)
{
    random_reply_pairs(tx, args, KEY_ZSET, "withscores");
}
