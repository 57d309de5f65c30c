/* SPDX-License-Identifier: Apache-2.0 */
/* The tree. Leaves hold cells, other nodes hold nodes; the slots of both carry the integer part of
 * the place: in a leaf exactly, above it a bound between a child and the one before it:
 *
 *     last order in child i-1  <=  slot i's order  <=  first order in child i        (slot 0: no
 * bound)
 *
 * Where the orders are equal the tails decide, and a search looks at the first cell of the child
 * itself. So removals need not mend the bounds above them. Nodes are given back when they are
 * empty, not before: a strand lives for one flush. */
#include "state/strand.h"

#include "base/memory.h"

enum { NODE_SLOTS = 32, NODE_SLOTS_MIN = 4, TREE_DEPTH_MAX = 16 };

struct node_slot {
    uint64_t order;
    void *to; /* a cell or a node */
};

struct strand_node {
    struct strand_node *previous, *next; /* leaves only */
    uint16_t count, capacity;
    bool leaf;
    struct node_slot slot[];
};

struct path {
    struct strand_node *node[TREE_DEPTH_MAX];
    unsigned at[TREE_DEPTH_MAX]; /* the slot taken */
    unsigned depth;              /* of the leaf */
};

struct cell *cell_new(uint64_t order, struct bytes tail, struct bytes value)
{
    MUST(tail.size <= UINT32_MAX && value.size <= UINT32_MAX);
    struct cell *cell = memory_alloc(sizeof *cell + tail.size + value.size);
    *cell = (struct cell){
        .order = order, .tail_size = (uint32_t)tail.size, .value_size = (uint32_t)value.size};
    if (tail.size > 0) memcpy(cell->data, tail.data, tail.size);
    if (value.size > 0) memcpy(cell->data + tail.size, value.data, value.size);
    return cell;
}

void strand_init(struct strand *strand, enum layout kind, uint64_t namespace,
                 struct version version)
{
    *strand = (struct strand){.prefix = layout_strand(kind, namespace, version),
                              .namespace = namespace,
                              .version = version};
    strand->hash = layout_hash(prefix_bytes(&strand->prefix));
}

static size_t node_bytes(unsigned capacity)
{
    return sizeof(struct strand_node) + capacity * sizeof(struct node_slot);
}

static struct strand_node *node_new(struct strand *strand, bool leaf, unsigned capacity)
{
    struct strand_node *node = memory_alloc(node_bytes(capacity));
    *node = (struct strand_node){.capacity = (uint16_t)capacity, .leaf = leaf};
    strand->bytes += node_bytes(capacity);
    return node;
}

static void node_free(struct strand *strand, struct strand_node *node)
{
    strand->bytes -= node_bytes(node->capacity);
    memory_free(node);
}

/* --- Searches --- */

static const struct cell *first_cell(const struct strand_node *node)
{
    while (!node->leaf) node = node->slot[0].to;
    return node->slot[0].to;
}

/* The first slot of a leaf whose cell is at or behind the place; node->count: none. */
static unsigned leaf_search(const struct strand_node *leaf, uint64_t order, struct bytes tail)
{
    unsigned low = 0;
    unsigned high = leaf->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        const struct node_slot *slot = &leaf->slot[middle];
        bool before = slot->order < order;
        if (slot->order == order) before = bytes_compare(cell_tail(slot->to), tail) < 0;
        if (before) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* The child in which the place is or would be. */
static unsigned child_search(const struct strand_node *node, uint64_t order, struct bytes tail)
{
    unsigned low = 1;
    unsigned high = node->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        const struct node_slot *slot = &node->slot[middle];
        bool reached = slot->order < order;
        if (slot->order == order) {
            const struct cell *first = first_cell(slot->to);
            reached = place_compare(cell_place(first), (struct place){order, tail}) <= 0;
        }
        if (reached) low = middle + 1;
        else high = middle;
    }
    return low - 1;
}

/* From the root to the leaf in which the place is or would be; path->at of the leaf as leaf_search.
 */
static void descend(const struct strand *strand, uint64_t order, struct bytes tail,
                    struct path *path)
{
    struct strand_node *node = strand->root;
    path->depth = 0;
    for (;;) {
        MUST(path->depth < TREE_DEPTH_MAX);
        path->node[path->depth] = node;
        if (node->leaf) break;
        path->at[path->depth] = child_search(node, order, tail);
        node = node->slot[path->at[path->depth]].to;
        path->depth++;
    }
    path->at[path->depth] = leaf_search(node, order, tail);
}

/* The cell at the end of the path, if it is the one. */
static struct cell *path_cell(const struct path *path, uint64_t order, struct bytes tail)
{
    const struct strand_node *leaf = path->node[path->depth];
    unsigned at = path->at[path->depth];
    if (at == leaf->count || leaf->slot[at].order != order) return NULL;
    struct cell *cell = leaf->slot[at].to;
    return bytes_compare(cell_tail(cell), tail) == 0 ? cell : NULL;
}

struct cell *strand_find(const struct strand *strand, uint64_t order, struct bytes tail)
{
    if (strand->root == NULL) return NULL;
    struct path path;
    descend(strand, order, tail, &path);
    return path_cell(&path, order, tail);
}

/* --- Changes --- */

static void node_insert(struct strand_node *node, unsigned at, struct node_slot slot)
{
    memmove(&node->slot[at + 1], &node->slot[at], (node->count - at) * sizeof slot);
    node->slot[at] = slot;
    node->count++;
}

static void node_remove(struct strand_node *node, unsigned at)
{
    node->count--;
    memmove(&node->slot[at], &node->slot[at + 1], (node->count - at) * sizeof node->slot[0]);
}

/* The slots from `from` on go to a new node behind this one. */
static struct strand_node *node_cut(struct strand *strand, struct strand_node *node, unsigned from)
{
    struct strand_node *right = node_new(strand, node->leaf, NODE_SLOTS);
    right->count = (uint16_t)(node->count - from);
    memcpy(right->slot, &node->slot[from], right->count * sizeof node->slot[0]);
    node->count = (uint16_t)from;
    if (node->leaf) {
        right->previous = node;
        right->next = node->next;
        if (right->next != NULL) right->next->previous = right;
        node->next = right;
    }
    return right;
}

/* Where to cut a full node into which slot `at` is to be inserted. Ends that grow are left full. */
static unsigned cut_of(const struct strand_node *node, unsigned at)
{
    if (node->leaf && node->next == NULL && at == node->count) return node->count;
    if (node->leaf && node->previous == NULL && at == 0) return 0;
    return node->count / 2U;
}

/* Only the one leaf of a small strand is smaller than the others. */
static struct strand_node *leaf_grow(struct strand *strand, struct strand_node *leaf)
{
    unsigned capacity = leaf->capacity * 2U;
    strand->bytes += node_bytes(capacity) - node_bytes(leaf->capacity);
    leaf = memory_resize(leaf, node_bytes(capacity));
    leaf->capacity = (uint16_t)capacity;
    strand->root = leaf;
    return leaf;
}

static void insert_at(struct strand *strand, struct path *path, struct node_slot slot)
{
    for (unsigned level = path->depth;; level--) {
        struct strand_node *node = path->node[level];
        unsigned at = path->at[level];
        if (node->count == node->capacity && node->capacity < NODE_SLOTS)
            node = leaf_grow(strand, node);
        if (node->count < node->capacity) {
            node_insert(node, at, slot);
            return;
        }
        unsigned cut = cut_of(node, at);
        struct strand_node *right = node_cut(strand, node, cut);
        bool goes_left = at < cut || (at == cut && cut == 0);
        if (goes_left) node_insert(node, at, slot);
        else node_insert(right, at - cut, slot);
        slot = (struct node_slot){right->slot[0].order, right};
        if (level == 0) {
            struct strand_node *root = node_new(strand, false, NODE_SLOTS);
            node_insert(root, 0, (struct node_slot){node->slot[0].order, node});
            node_insert(root, 1, slot);
            strand->root = root;
            return;
        }
        path->at[level - 1]++; /* the new node stands behind the one that was cut */
    }
}

struct cell *strand_put(struct strand *strand, struct cell *cell)
{
    if (strand->root == NULL) strand->root = node_new(strand, true, NODE_SLOTS_MIN);
    struct path path;
    descend(strand, cell->order, cell_tail(cell), &path);
    struct cell *old = path_cell(&path, cell->order, cell_tail(cell));
    if (!cell->absent) gaps_touch(&strand->gaps, cell_place(cell));
    strand->changes++;
    strand->bytes += cell_bytes(cell);
    if (old != NULL) {
        path.node[path.depth]->slot[path.at[path.depth]].to = cell;
        strand->bytes -= cell_bytes(old);
        return old;
    }
    insert_at(strand, &path, (struct node_slot){cell->order, cell});
    strand->count++;
    return NULL;
}

/* Takes the slot at the end of the path out, and the nodes that it leaves empty. */
static void remove_at(struct strand *strand, struct path *path)
{
    for (unsigned level = path->depth;; level--) {
        struct strand_node *node = path->node[level];
        node_remove(node, path->at[level]);
        if (node->count > 0) break;
        if (node->previous != NULL) node->previous->next = node->next;
        if (node->next != NULL) node->next->previous = node->previous;
        node_free(strand, node);
        if (level == 0) {
            strand->root = NULL;
            return;
        }
    }
    while (!strand->root->leaf && strand->root->count == 1) {
        struct strand_node *only = strand->root->slot[0].to;
        node_free(strand, strand->root);
        strand->root = only;
    }
}

struct cell *strand_take(struct strand *strand, uint64_t order, struct bytes tail)
{
    if (strand->root == NULL) return NULL;
    struct path path;
    descend(strand, order, tail, &path);
    struct cell *cell = path_cell(&path, order, tail);
    if (cell == NULL) return NULL;
    if (cell->absent) gaps_touch(&strand->gaps, cell_place(cell));
    strand->changes++;
    strand->count--;
    strand->bytes -= cell_bytes(cell);
    remove_at(strand, &path);
    return cell;
}

size_t strand_drain(struct strand *strand, size_t limit)
{
    size_t freed = 0;
    strand->changes++;
    gaps_release(&strand->gaps);
    while (strand->root != NULL && freed < limit) {
        struct path path = {.node[0] = strand->root};
        while (!path.node[path.depth]->leaf) {
            path.at[path.depth] = 0;
            path.node[path.depth + 1] = path.node[path.depth]->slot[0].to;
            path.depth++;
        }
        struct strand_node *leaf = path.node[path.depth];
        for (unsigned i = 0; i < leaf->count; i++) {
            strand->bytes -= cell_bytes(leaf->slot[i].to);
            memory_free(leaf->slot[i].to);
        }
        freed += leaf->count;
        strand->count -= leaf->count;
        leaf->count = 1; /* its last slot goes with the leaf */
        path.at[path.depth] = 0;
        remove_at(strand, &path);
    }
    return freed;
}

/* --- Places --- */

static const struct cell *place_forward(struct strand_place *place)
{
    if (place->leaf != NULL && place->at == place->leaf->count) {
        place->leaf = place->leaf->next;
        place->at = 0;
    }
    return place->leaf == NULL ? NULL : place->leaf->slot[place->at].to;
}

const struct cell *strand_seek(const struct strand *strand, uint64_t order, struct bytes tail,
                               struct strand_place *place)
{
    *place = (struct strand_place){0};
    if (strand->root == NULL) return NULL;
    struct path path;
    descend(strand, order, tail, &path);
    *place = (struct strand_place){path.node[path.depth], path.at[path.depth]};
    return place_forward(place);
}

const struct cell *strand_next(struct strand_place *place)
{
    place->at++;
    return place_forward(place);
}

const struct cell *strand_previous(struct strand_place *place)
{
    if (place->at == 0) {
        place->leaf = place->leaf->previous;
        if (place->leaf == NULL) return NULL;
        place->at = place->leaf->count;
    }
    place->at--;
    return place->leaf->slot[place->at].to;
}

const struct cell *strand_seek_before(const struct strand *strand, uint64_t order,
                                      struct bytes tail, struct strand_place *place)
{
    *place = (struct strand_place){0};
    if (strand->root == NULL) return NULL;
    struct path path;
    descend(strand, order, tail, &path);
    *place = (struct strand_place){path.node[path.depth], path.at[path.depth]};
    return strand_previous(place);
}

const struct cell *strand_last(const struct strand *strand, struct strand_place *place)
{
    *place = (struct strand_place){0};
    if (strand->root == NULL) return NULL;
    const struct strand_node *node = strand->root;
    while (!node->leaf) node = node->slot[node->count - 1].to;
    *place = (struct strand_place){node, node->count - 1U};
    return node->slot[place->at].to;
}

void strand_check_deep(const struct strand *strand)
{
    struct strand_place place;
    size_t count = 0;
    const struct cell *last = NULL;
    for (const struct cell *cell = strand_seek(strand, 0, (struct bytes){0}, &place); cell != NULL;
         cell = strand_next(&place)) {
        MUST(place.leaf->slot[place.at].order == cell->order);
        if (last != NULL) {
            MUST(place_compare(cell_place(last), cell_place(cell)) < 0);
        }
        MUST(strand_find(strand, cell->order, cell_tail(cell)) == cell);
        last = cell;
        count++;
    }
    MUST(count == strand->count);
}
