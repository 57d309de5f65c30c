/* SPDX-License-Identifier: Apache-2.0 */
/* list: what the commands on lists share. */
#ifndef STATE_LIST_H
#define STATE_LIST_H

#include "state/tx.h"

enum list_end { LIST_HEAD, LIST_TAIL };

uint64_t list_length(const struct key *key);
/* Adds one item; the caller stores the key. */
void list_push(struct tx *tx, struct key *key, enum list_end end, struct bytes value);
/* Takes one item off; *value is in scratch memory. The caller ends with list_popped. */
MUST_USE bool list_pop(struct tx *tx, struct key *key, enum list_end end, struct bytes *value);
/* Replies with `count` items (at most all) as an array, in the order of popping, and takes them
 * off. The caller ends with list_popped. */
void list_pop_many(struct tx *tx, struct key *key, enum list_end end, uint64_t count);
/* Stores the key, or removes it when nothing is left, and tells of it. */
void list_popped(struct tx *tx, struct key *key, enum list_end end);
/* The same after another change, whose event is named. */
void list_cut(struct tx *tx, struct key *key, const char *event);

#endif
