/* SPDX-License-Identifier: Apache-2.0 */
/* LCS: the longest common subsequence of two strings, by the usual table of all pairs of prefixes.
 */
#include "base/memory.h"
#include "state/arguments.h"
#include "state/evals.h"
#include "state/string_words.h"

struct lcs_words {
    bool length, indexes, with_lengths;
    int64_t least;
};

struct lcs {
    struct bytes a, b;
    uint32_t *table; /* [(i, j)]: the length for the first i bytes of a and j of b */
};

static uint32_t *lcs_at(const struct lcs *lcs, size_t i, size_t j)
{
    return &lcs->table[i * (lcs->b.size + 1) + j];
}

static bool lcs_words_parse(struct tx *tx, const struct args *args, struct lcs_words *out)
{
    *out = (struct lcs_words){0};
    for (size_t i = 3; i < args->count; i++) {
        if (bytes_is_word(args->at[i], "idx")) {
            out->indexes = true;
        } else if (bytes_is_word(args->at[i], "len")) {
            out->length = true;
        } else if (bytes_is_word(args->at[i], "withmatchlen")) {
            out->with_lengths = true;
        } else if (bytes_is_word(args->at[i], "minmatchlen") && i + 1 < args->count) {
            if (!argument_integer(tx, args->at[++i], ERROR_NOT_INTEGER, &out->least)) return false;
        } else {
            tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
            return false;
        }
    }
    if (!out->indexes || !out->length) return true;
    tx->reply->ops->error(tx->reply,
                          "ERR If you want both the length and indexes, please just use IDX.");
    return false;
}

static void lcs_fill(const struct lcs *lcs)
{
    for (size_t i = 0; i <= lcs->a.size; i++) {
        for (size_t j = 0; j <= lcs->b.size; j++) {
            uint32_t length = 0;
            if (i > 0 && j > 0 && lcs->a.data[i - 1] == lcs->b.data[j - 1]) {
                length = *lcs_at(lcs, i - 1, j - 1) + 1;
            } else if (i > 0 && j > 0) {
                uint32_t up = *lcs_at(lcs, i - 1, j), left = *lcs_at(lcs, i, j - 1);
                length = up > left ? up : left;
            }
            *lcs_at(lcs, i, j) = length;
        }
    }
}

/* A run of bytes that both have; at a[a_from], b[b_from]. */
struct lcs_match {
    size_t a_from, b_from, length;
};

/* Goes from the ends of both strings to their beginnings, as Redis does, so that of several answers
 * the same one is found. */
struct lcs_walk {
    size_t i, j;
    size_t left; /* bytes of the answer not yet met */
};

/* The next match. `out` gets the bytes of the answer. False: there is none. */
static bool lcs_next(const struct lcs *lcs, struct lcs_walk *walk, uint8_t *out,
                     struct lcs_match *match)
{
    *match = (struct lcs_match){0};
    while (walk->i > 0 && walk->j > 0) {
        bool same = lcs->a.data[walk->i - 1] == lcs->b.data[walk->j - 1];
        if (same) {
            walk->i--;
            walk->j--;
            out[--walk->left] = lcs->a.data[walk->i];
            *match = (struct lcs_match){walk->i, walk->j, match->length + 1};
            continue;
        }
        if (match->length > 0) return true;
        if (*lcs_at(lcs, walk->i - 1, walk->j) > *lcs_at(lcs, walk->i, walk->j - 1)) walk->i--;
        else walk->j--;
    }
    return match->length > 0;
}

static void put_match(struct reply *reply, const struct lcs_match *match, bool with_length)
{
    reply->ops->array(reply, with_length ? 3 : 2);
    reply->ops->array(reply, 2);
    reply->ops->integer(reply, (int64_t)match->a_from);
    reply->ops->integer(reply, (int64_t)(match->a_from + match->length - 1));
    reply->ops->array(reply, 2);
    reply->ops->integer(reply, (int64_t)match->b_from);
    reply->ops->integer(reply, (int64_t)(match->b_from + match->length - 1));
    if (with_length) reply->ops->integer(reply, (int64_t)match->length);
}

static void reply_lcs(struct tx *tx, const struct lcs *lcs, const struct lcs_words *words)
{
    struct reply *reply = tx->reply;
    size_t length = *lcs_at(lcs, lcs->a.size, lcs->b.size);
    if (words->length) {
        reply->ops->integer(reply, (int64_t)length);
        return;
    }
    uint8_t *common = tx_scratch(tx, length);
    struct lcs_walk walk = {lcs->a.size, lcs->b.size, length};
    struct lcs_match match = {0};
    size_t opened = 0, count = 0;
    if (words->indexes) {
        reply->ops->map(reply, 2);
        reply->ops->bulk(reply, bytes_text("matches"));
        opened = reply->ops->array_open(reply);
    }
    while (lcs_next(lcs, &walk, common, &match)) {
        if (!words->indexes || (int64_t)match.length < words->least) continue;
        put_match(reply, &match, words->with_lengths);
        count++;
    }
    if (!words->indexes) {
        reply->ops->bulk(reply, bytes_of(common, length));
        return;
    }
    reply->ops->array_close(reply, opened, count);
    reply->ops->bulk(reply, bytes_text("len"));
    reply->ops->integer(reply, (int64_t)length);
}

static bool find_texts(struct tx *tx, const struct args *args, struct lcs *lcs)
{
    struct bytes *texts[] = {&lcs->a, &lcs->b};
    for (size_t i = 0; i < 2; i++) {
        struct key key;
        *texts[i] = (struct bytes){0};
        if (!tx_find(tx, args->at[i + 1], &key)) continue;
        *texts[i] = key.text;
        if (key.type == KEY_STRING) continue;
        tx->reply->ops->error(tx->reply, "ERR The specified keys must contain string values");
        return false;
    }
    return true;
}

void eval_LCS(struct tx *tx, const struct args *args)
{
    struct lcs lcs;
    struct lcs_words words;
    if (!find_texts(tx, args, &lcs) || !lcs_words_parse(tx, args, &words)) return;
    uint64_t cells = (uint64_t)(lcs.a.size + 1) * (lcs.b.size + 1);
    if (cells > STRING_BYTES_MAX / sizeof *lcs.table) {
        tx->reply->ops->error(tx->reply,
                              "ERR Insufficient memory, transient memory for LCS exceeds "
                              "proto-max-bulk-len");
        return;
    }
    lcs.table = memory_alloc(cells * sizeof *lcs.table);
    lcs_fill(&lcs);
    reply_lcs(tx, &lcs, &words);
    memory_free(lcs.table);
}
