/* SPDX-License-Identifier: Apache-2.0 */
/* list: an intrusive, circular, doubly linked list. The node lives inside its owner's struct. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>

struct list {
    struct list *next, *previous;
};

static inline void list_init(struct list *list)
{
    list->next = list->previous = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

/* Appends `node` (in no list now) at the end of `list`. */
static inline void list_append(struct list *list, struct list *node)
{
    node->next = list;
    node->previous = list->previous;
    list->previous->next = node;
    list->previous = node;
}

/* Puts `node` (in no list now) at the front of `list`. */
static inline void list_prepend(struct list *list, struct list *node)
{
    list_append(list->next, node);
}

/* Takes `node` out of its list and leaves it linked to itself, so that a second call is
 * harmless. */
static inline void list_remove(struct list *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

/* The first node, or NULL when empty. */
static inline struct list *list_first(const struct list *list)
{
    return list->next == list ? (struct list *)0 : list->next;
}

/* Moves everything in `from` to the end of `to`; `from` is empty afterwards. */
static inline void list_move_all(struct list *to, struct list *from)
{
    if (list_empty(from)) return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    list_init(from);
}

#endif
