/* SPDX-License-Identifier: Apache-2.0 */
#include "state/proof.h"

#include <math.h>

#include "state/record.h"
#include "state/score.h"

enum err proof_empty(struct store *store, struct why *why)
{
    struct store_cursor *cursor = store->ops->cursor(store, NULL, STORE_WAIT);
    enum err err = cursor->ops->seek(cursor, bytes_of("", 0));
    cursor->ops->close(cursor);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    if (err == ERR_OK) return ERR_EXISTS;
    return why_fail(why, err, "the store cannot be read: %s", err_name(err));
}

enum err proof_misfit(struct why *why, struct bytes key, const char *what)
{
    enum { SHOWN_BYTES_MAX = 64 };
    char text[2 * SHOWN_BYTES_MAX + 1];
    size_t shown = key.size < SHOWN_BYTES_MAX ? key.size : SHOWN_BYTES_MAX;
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < shown; i++) {
        text[2 * i] = digits[key.data[i] >> 4];
        text[2 * i + 1] = digits[key.data[i] & 15];
    }
    text[2 * shown] = '\0';
    return why_fail(why, ERR_CORRUPT, "record %s (%c): %s", text, key.size > 0 ? key.data[0] : '?',
                    what);
}

enum err proof_within(const struct store_cursor *cursor, const struct prefix *prefix, enum err err)
{
    if (err != ERR_OK) return err;
    bool within = bytes_starts_with(cursor->ops->key(cursor), prefix_bytes(prefix));
    return within ? ERR_OK : ERR_NOT_FOUND;
}

enum err proof_key(const struct store_cursor *cursor, const struct prefix *prefix,
                   const struct mark *mark, struct key *key, struct why *why)
{
    struct bytes at = cursor->ops->key(cursor);
    struct bytes value = cursor->ops->value(cursor);
    uint64_t hash;
    struct bytes name;
    if (!layout_split(prefix, at, &hash, &name) || layout_hash(name) != hash) {
        return proof_misfit(why, at, "its hash is not its name's");
    }
    if (!record_value_is_sound(value)) return proof_misfit(why, at, "its value is no key's");
    record_decode(name, value, key);
    if (key->size == 0) return proof_misfit(why, at, "it has no elements");
    if (key->version.lsn == 0 || key->version.lsn > mark->lsn.at) {
        return proof_misfit(why, at, "its version is not of an entry up to the mark");
    }
    if (key->changed_lsn > mark->lsn.at)
        return proof_misfit(why, at, "it was changed after the mark");
    return ERR_OK;
}

static enum err prove_rank(struct bytes at, uint64_t order, struct proof_element *element,
                           struct why *why)
{
    element->score = layout_unscore(order);
    if (isnan(element->score) || layout_score(element->score) != order) {
        return proof_misfit(why, at, "its score is no number");
    }
    uint8_t score[SCORE_BYTES];
    score_encode(element->score, score);
    element->digest = element_digest(element->name, bytes_of(score, sizeof score));
    return ERR_OK;
}

enum err proof_element(const struct store_cursor *cursor, const struct prefix *prefix,
                       const struct key *key, struct proof_element *element, struct why *why)
{
    struct bytes at = cursor->ops->key(cursor);
    uint64_t order;
    *element = (struct proof_element){.value = cursor->ops->value(cursor)};
    if (!layout_split(prefix, at, &order, &element->name)) {
        return proof_misfit(why, at, "its key is too short");
    }
    enum layout kind = (enum layout)prefix->at[0];
    if (kind == LAYOUT_RANK) return prove_rank(at, order, element, why);
    if (kind == LAYOUT_ELEMENT) {
        if (layout_hash(element->name) != order) {
            return proof_misfit(why, at, "its hash is not its name's");
        }
        element->digest = element_digest(element->name, element->value);
        return ERR_OK;
    }
    element->index = layout_unindex(order);
    if (element->name.size != 0 || element->index < key->head || element->index >= key->tail) {
        return proof_misfit(why, at, "it lies outside of its list");
    }
    element->digest = item_digest(element->index, element->value);
    return ERR_OK;
}
