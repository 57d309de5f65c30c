/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that go over the keys of a database: SCAN, KEYS, RANDOMKEY. */
#include "base/glob.h"
#include "state/evals.h"
#include "state/key_words.h"
#include "state/pick.h"
#include "state/scan_options.h"

void eval_KEYS(struct tx *tx, const struct args *args)
{
    bool all = bytes_equal(args->at[1], bytes_text("*"));
    size_t opened = tx->reply->ops->array_open(tx->reply);
    size_t count = 0;
    struct tx_cursor *cursor = tx_keys(tx, tx->database, 0);
    struct key key;
    while (tx_keys_next(cursor, &key)) {
        if (!all && !glob_match(args->at[1], key.name, false)) continue;
        tx->reply->ops->bulk(tx->reply, key.name);
        count++;
    }
    tx_cursor_close(cursor);
    tx->reply->ops->array_close(tx->reply, opened, count);
}

struct found_key {
    struct found_key *next;
    struct bytes name;
};

static bool scan_takes(const struct scan_options *options, const struct key *key)
{
    if (options->type.data != NULL && !bytes_is_word(options->type, key_type_name(key->type))) {
        return false;
    }
    return scan_options_match(options, key->name);
}

/* The cursor stands before the keys in the answer but is known only after them: they are kept
 * meanwhile. */
void eval_SCAN(struct tx *tx, const struct args *args)
{
    struct scan_options options;
    if (!scan_options_cursor(tx, args->at[1], &options)) return;
    if (!scan_options_parse(tx, args, 2, true, &options)) return;
    uint64_t from = scan_options_from(&options);
    struct found_key *first = NULL, **end = &first;
    size_t count = 0;
    uint64_t seen = 0, last = 0;
    bool more = false;
    struct tx_cursor *cursor = tx_keys(tx, tx->database, from);
    struct key key;
    while (!more && tx_keys_next(cursor, &key)) {
        uint64_t hash = tx_hash_of(key.name);
        more = seen >= options.count && hash != last;
        last = hash;
        seen++;
        if (more || !scan_takes(&options, &key)) continue;
        *end = tx_scratch(tx, sizeof **end);
        **end = (struct found_key){NULL, tx_scratch_copy(tx, key.name)};
        end = &(*end)->next;
        count++;
    }
    tx_cursor_close(cursor);
    tx->reply->ops->array(tx->reply, 2);
    if (more) scan_options_put_next(tx->reply, last);
    else scan_options_put_end(tx->reply);
    tx->reply->ops->array(tx->reply, count);
    for (; first != NULL; first = first->next) tx->reply->ops->bulk(tx->reply, first->name);
}

void eval_RANDOMKEY(struct tx *tx, const struct args *args)
{
    (void)args;
    struct key key;
    if (pick_key(tx, tx->database, &key)) tx->reply->ops->bulk(tx->reply, key.name);
    else tx->reply->ops->null(tx->reply);
}
