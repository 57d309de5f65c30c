/* SPDX-License-Identifier: Apache-2.0 */
/* tree: an ordered map of bytes whose versions share what is equal. A version never changes; a
 * change makes a new one from it and copies only the path to what is new. Shape depends on the keys
 * alone. */
#ifndef SIM_TREE_H
#define SIM_TREE_H

#include "base/bytes.h"

/* One key and its value; shared by the versions that hold it. */
struct sim_item {
    uint64_t references;
    uint64_t opening; /* sim/store.c: for which opening of the store `is_cached` was drawn */
    bool is_cached;
    size_t key_size, value_size;
    uint8_t bytes[]; /* key, then value */
};

struct sim_tree; /* NULL: empty. A pointer owns one reference */

struct bytes sim_item_key(const struct sim_item *item);
struct bytes sim_item_value(const struct sim_item *item);

struct sim_tree *sim_tree_share(struct sim_tree *tree); /* another reference */
void sim_tree_drop(struct sim_tree *tree);              /* gives one back; NULL is fine */

/* Each takes over the reference `tree` and returns the new version's. */
struct sim_tree *sim_tree_put(struct sim_tree *tree, struct bytes key, struct bytes value);
struct sim_tree *sim_tree_delete(struct sim_tree *tree, struct bytes key); /* absent is fine */
struct sim_tree *sim_tree_delete_range(struct sim_tree *tree, struct bytes from, struct bytes to);

/* Borrowed from the version; NULL: none. */
struct sim_item *sim_tree_find(const struct sim_tree *tree, struct bytes key);
struct sim_item *sim_tree_at_or_after(const struct sim_tree *tree, struct bytes key);
struct sim_item *sim_tree_after(const struct sim_tree *tree, struct bytes key);
struct sim_item *sim_tree_before(const struct sim_tree *tree, struct bytes key);
struct sim_item *sim_tree_last(const struct sim_tree *tree);
size_t sim_tree_count(const struct sim_tree *tree);
uint64_t sim_tree_bytes(const struct sim_tree *tree); /* of all keys and values */

#endif
