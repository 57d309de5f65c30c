/* SPDX-License-Identifier: Apache-2.0 */
/* member_table: a set of names for the length of one evaluation, in the order in which they came.
 */
#ifndef STATE_MEMBER_TABLE_H
#define STATE_MEMBER_TABLE_H

#include "base/bytes.h"
#include "base/must.h"

struct table_member {
    struct bytes name;
    uint64_t hash;
    bool dropped;
};

struct member_table {
    struct table_member *members; /* `used` of them, in order of arrival, dropped ones included */
    uint32_t *slots;              /* place in `members`, plus one; 0: free */
    size_t used, capacity;        /* slots: twice the capacity */
    size_t count;                 /* without the dropped ones */
    uint64_t seed;
};

/* `seed` is the evaluation's, so that nobody can choose names that collide. Allocates nothing. */
void member_table_init(struct member_table *table, uint64_t seed);
void member_table_release(struct member_table *table);
/* Adds the name if it never was there. Returns where it stands, for the caller to put bytes in its
 * place that live as long as the table; NULL: it was there. Borrowed until the next call. */
MUST_USE struct bytes *member_table_add(struct member_table *table, struct bytes name);
/* True: it was there. */
bool member_table_drop(struct member_table *table, struct bytes name);

#endif
