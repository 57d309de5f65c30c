/* SPDX-License-Identifier: Apache-2.0 */
/* A treap with path copying: a binary search tree by key that is a heap by priority, the key's
 * hash. Splits and joins are all it needs. A node with one reference is nobody else's and is
 * changed in place. */
#include "sim/tree.h"

#include <string.h>

#include "base/checksum.h"
#include "base/memory.h"
#include "base/must.h"

struct sim_tree {
    uint64_t references, priority;
    struct sim_item *item;
    struct sim_tree *left, *right;
    size_t count;   /* of the whole subtree, as is */
    uint64_t bytes; /* this */
};

struct bytes sim_item_key(const struct sim_item *item)
{
    return bytes_of(item->bytes, item->key_size);
}

struct bytes sim_item_value(const struct sim_item *item)
{
    return bytes_of(item->bytes + item->key_size, item->value_size);
}

static void item_drop(struct sim_item *item)
{
    if (--item->references == 0) memory_free(item);
}

struct sim_tree *sim_tree_share(struct sim_tree *tree)
{
    if (tree != NULL) tree->references++;
    return tree;
}

void sim_tree_drop(struct sim_tree *tree)
{
    while (tree != NULL && --tree->references == 0) {
        struct sim_tree *right = tree->right;
        sim_tree_drop(tree->left);
        item_drop(tree->item);
        memory_free(tree);
        tree = right;
    }
}

size_t sim_tree_count(const struct sim_tree *tree)
{
    return tree != NULL ? tree->count : 0;
}

uint64_t sim_tree_bytes(const struct sim_tree *tree)
{
    return tree != NULL ? tree->bytes : 0;
}

static struct sim_tree *tree_sum(struct sim_tree *tree)
{
    tree->count = 1 + sim_tree_count(tree->left) + sim_tree_count(tree->right);
    tree->bytes = tree->item->key_size + tree->item->value_size + sim_tree_bytes(tree->left) +
                  sim_tree_bytes(tree->right);
    return tree;
}

/* Takes over the reference and returns a node that is ours alone. */
static struct sim_tree *tree_own(struct sim_tree *tree)
{
    if (tree->references == 1) return tree;
    struct sim_tree *copy = memory_alloc(sizeof(*copy));
    *copy = *tree;
    copy->references = 1;
    copy->item->references++;
    (void)sim_tree_share(copy->left);
    (void)sim_tree_share(copy->right);
    tree->references--;
    return copy;
}

/* Takes over `tree`: keys below `key` go left, the others right. */
static void tree_split(struct sim_tree *tree, struct bytes key, struct sim_tree **left,
                       struct sim_tree **right)
{
    if (tree == NULL) {
        *left = *right = NULL;
        return;
    }
    tree = tree_own(tree);
    struct sim_tree *middle;
    if (bytes_compare(sim_item_key(tree->item), key) < 0) {
        tree_split(tree->right, key, &middle, right);
        tree->right = middle;
        *left = tree_sum(tree);
    } else {
        tree_split(tree->left, key, left, &middle);
        tree->left = middle;
        *right = tree_sum(tree);
    }
}

/* Takes over both; every key of `left` is below every key of `right`. */
static struct sim_tree *tree_join(struct sim_tree *left, struct sim_tree *right)
{
    if (left == NULL) return right;
    if (right == NULL) return left;
    if (left->priority >= right->priority) {
        left = tree_own(left);
        left->right = tree_join(left->right, right);
        return tree_sum(left);
    }
    right = tree_own(right);
    right->left = tree_join(left, right->left);
    return tree_sum(right);
}

/* Takes over `tree`: what is at `key` is dropped, what is above goes right. */
static void tree_split_around(struct sim_tree *tree, struct bytes key, struct sim_tree **left,
                              struct sim_tree **right)
{
    tree_split(tree, key, left, right);
    const struct sim_item *item = sim_tree_at_or_after(*right, key);
    if (item == NULL || !bytes_equal(sim_item_key(item), key)) return;
    const struct sim_item *next = sim_tree_after(*right, key);
    struct sim_tree *dropped;
    if (next == NULL) {
        dropped = *right;
        *right = NULL;
    } else {
        tree_split(*right, sim_item_key(next), &dropped, right);
    }
    sim_tree_drop(dropped);
}

struct sim_tree *sim_tree_put(struct sim_tree *tree, struct bytes key, struct bytes value)
{
    struct sim_item *item = memory_alloc(sizeof(*item) + key.size + value.size);
    *item = (struct sim_item){.references = 1, .key_size = key.size, .value_size = value.size};
    if (key.size > 0) memcpy(item->bytes, key.data, key.size);
    if (value.size > 0) memcpy(item->bytes + key.size, value.data, value.size);
    struct sim_tree *single = memory_alloc(sizeof(*single));
    *single = (struct sim_tree){.references = 1, .priority = checksum64(key, 0), .item = item};
    struct sim_tree *left, *right;
    tree_split_around(tree, key, &left, &right);
    return tree_join(tree_join(left, tree_sum(single)), right);
}

struct sim_tree *sim_tree_delete(struct sim_tree *tree, struct bytes key)
{
    struct sim_tree *left, *right;
    tree_split_around(tree, key, &left, &right);
    return tree_join(left, right);
}

struct sim_tree *sim_tree_delete_range(struct sim_tree *tree, struct bytes from, struct bytes to)
{
    MUST(bytes_compare(from, to) <= 0);
    struct sim_tree *left, *middle, *right;
    tree_split(tree, from, &left, &right);
    tree_split(right, to, &middle, &right);
    sim_tree_drop(middle);
    return tree_join(left, right);
}

struct sim_item *sim_tree_at_or_after(const struct sim_tree *tree, struct bytes key)
{
    struct sim_item *best = NULL;
    while (tree != NULL) {
        if (bytes_compare(sim_item_key(tree->item), key) < 0) {
            tree = tree->right;
        } else {
            best = tree->item;
            tree = tree->left;
        }
    }
    return best;
}

struct sim_item *sim_tree_after(const struct sim_tree *tree, struct bytes key)
{
    struct sim_item *best = NULL;
    while (tree != NULL) {
        if (bytes_compare(sim_item_key(tree->item), key) <= 0) {
            tree = tree->right;
        } else {
            best = tree->item;
            tree = tree->left;
        }
    }
    return best;
}

struct sim_item *sim_tree_before(const struct sim_tree *tree, struct bytes key)
{
    struct sim_item *best = NULL;
    while (tree != NULL) {
        if (bytes_compare(sim_item_key(tree->item), key) < 0) {
            best = tree->item;
            tree = tree->right;
        } else {
            tree = tree->left;
        }
    }
    return best;
}

struct sim_item *sim_tree_last(const struct sim_tree *tree)
{
    if (tree == NULL) return NULL;
    while (tree->right != NULL) tree = tree->right;
    return tree->item;
}

struct sim_item *sim_tree_find(const struct sim_tree *tree, struct bytes key)
{
    struct sim_item *item = sim_tree_at_or_after(tree, key);
    return item != NULL && bytes_equal(sim_item_key(item), key) ? item : NULL;
}
