/* SPDX-License-Identifier: Apache-2.0 */
/* table: objects found by name and walked in the order of their 48-bit hashes.
 *
 * A directory, indexed by the leading bits of the hash, points to segments of a few hundred slots;
 * a full segment splits in two (extendible hashing: Fagin and others, 1979), so growth never moves
 * more than one segment at a time. Within a segment the home of a slot is given by the next bits,
 * and probing keeps slots ascending by (hash, name): the walk over segments and slots is the hash
 * order. Names that were made to collide make segments larger and slower, never wrong. Objects are
 * the caller's. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/must.h"

/* Compares the object's name with `name`: <0, 0, >0. Called for equal hashes only. */
typedef int table_compare(const void *object, struct bytes name);

struct way;

struct table {
    struct way *directory;
    table_compare *compare;
    uint64_t changes; /* of the places of objects, for cursors */
    size_t count;
    size_t bytes; /* of directory and segments */
    uint8_t depth;
};

enum { TABLE_HASH_BITS = 48 };

/* A hash for a name that nobody has hashed yet; `seed` tells apart what shares its names. */
uint64_t table_hash(struct bytes name, uint64_t seed);

void table_init(struct table *table, table_compare *compare); /* allocates nothing */
void table_release(struct table *table);                      /* not the objects */

/* NULL: it is not there. */
void *table_find(const struct table *table, uint64_t hash, struct bytes name);
/* `name` is the object's and is not there yet. */
void table_insert(struct table *table, uint64_t hash, struct bytes name, void *object);
/* Puts `new` in the place of `old`, which is there; hash and name are equal. */
void table_replace(struct table *table, uint64_t hash, const void *old, void *new);
void table_remove(struct table *table, uint64_t hash, const void *object);

/* A walk. Objects may come and go meanwhile: it then goes on behind the last one that it gave. */
struct table_cursor {
    const struct table *table;
    size_t at; /* index into the directory */
    uint32_t slot;
    uint64_t changes;
    uint64_t hash;     /* of the object given last, */
    struct bytes name; /* and its name, borrowed: it must outlive the walk's next step */
};

/* The first object with a hash at or above `hash`, or NULL. Then the next ones. */
void *table_seek(const struct table *table, struct table_cursor *cursor, uint64_t hash);
/* `name` is that of the object given last; see above. */
void *table_next(struct table_cursor *cursor, struct bytes name);

void table_check_deep(const struct table *table); /* order and probing; walks everything */

#endif
