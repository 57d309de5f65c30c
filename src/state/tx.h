/* SPDX-License-Identifier: Apache-2.0 */
/* tx: one evaluation. What a command's code may see and do.
 *
 * An evaluation reads records, buffers its changes and writes a reply. It reads no clock and no
 * dice but the entry's. When a read would have to wait for the disk, it answers "absent" and
 * tx_pending() turns true. Later lookups may answer the same, but note what they are missing too;
 * nothing can be changed any more, and what the command has changed or replied is dropped: the
 * evaluation is run again, from its beginning, when memory has all that was missing. So a command's
 * code needs no care for it, but that its loops must end, and a row of lookups should go on to its
 * end. A command checks all before it changes anything: no error reply follows upon a change.
 *
 * Keys are looked up in the evaluation's current database unless a call names one. A key whose time
 * has come at tx->now is absent; the first entry that meets it removes it first.
 *
 * Names: each row of command/commands.def that says PLACE_STATE is answered by the function
 * eval_<ID>, the row's id as it stands in the table, in upper case: eval_HSET,
 * eval_OBJECT_ENCODING. state/evals.h declares all of them from the table and dispatch.c calls them
 * by it, so a file of commands includes state/evals.h and defines its own. Arity has been checked;
 * the words stand where the table's key positions count them (args->at[0] is the name, of OBJECT
 * ENCODING key the key is args->at[2]). */
#ifndef STATE_TX_H
#define STATE_TX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/checksum.h"
#include "base/dice.h"
#include "base/hlc.h"
#include "base/mark.h"
#include "command/command.h"
#include "seam/notify.h"
#include "seam/reply.h"

/* On disk: append only. */
enum key_type { KEY_STRING = 1, KEY_LIST = 2, KEY_SET = 3, KEY_ZSET = 4, KEY_HASH = 5 };

/* {lsn, ordinal} of the change that created the key: never used twice. Prefix of its elements. */
struct version {
    uint64_t lsn;
    uint32_t ordinal;
};

enum { KEY_NAME_BYTES_MAX = 512 << 20, DATABASES = 16 };

/* A key record as an evaluation sees it. Copied out; `name` and `text` are borrowed until the next
 * call that changes this key, or the end of the evaluation. */
struct key {
    uint8_t database;
    struct bytes name;
    enum key_type type;
    struct version version;
    uint64_t expire_ms; /* 0: never */
    uint64_t changed_lsn;
    uint64_t size;          /* elements; a string: 1 */
    struct digest elements; /* sum over the elements */
    int64_t head, tail;     /* lists: index of the first item, and one past the last */
    struct bytes text;      /* strings: the value */
};

struct tx {
    struct stamp now; /* the entry's stamp, or the read's clock */
    uint64_t lsn;     /* the entry's; 0 in a read */
    struct dice dice; /* seeded by the entry */
    uint8_t database; /* current */
    struct reply *reply;
    bool waits;          /* set by a blocking command that found nothing; it then writes no reply */
    bool in_transaction; /* MULTI: blocking commands answer at once instead */
    bool serving; /* a further attempt of a blocked command: a key of a wrong type is passed over */
    bool streams, follows;    /* the stream of effects is on; ENTRY_FOLLOWED: no key ends by time */
    struct tx_inside *inside; /* tx.c's */
};

/* One for each PLACE_STATE row; see above and state/evals.h. */
typedef void eval_fn(struct tx *tx, const struct args *args);

bool tx_pending(const struct tx *tx);
static inline uint64_t tx_now_ms(const struct tx *tx)
{
    return stamp_ms(tx->now);
}

/* --- Keys --- */

/* Whether the key is there (and not expired); fills *key. */
MUST_USE bool tx_find(struct tx *tx, struct bytes name, struct key *key);
MUST_USE bool tx_find_in(struct tx *tx, uint8_t database, struct bytes name, struct key *key);

/* The usual opening of a command on one type. FOUND_WRONG: the WRONGTYPE error has been written;
 * return. */
enum found { FOUND_ABSENT, FOUND_KEY, FOUND_WRONG };
MUST_USE enum found tx_find_typed(struct tx *tx, struct bytes name, enum key_type type,
                                  struct key *key);

/* Begins a key that is absent: a fresh version, empty, no expiry. Stored by tx_store. */
void tx_create(struct tx *tx, struct bytes name, enum key_type type, struct key *key);
void tx_create_in(struct tx *tx, uint8_t database, struct bytes name, enum key_type type,
                  struct key *key);
/* Writes the key's record after a change of its elements, expiry or value; changed_lsn becomes this
 * entry. A collection without elements is removed instead. Once a command, at its end, is enough.
 */
void tx_store(struct tx *tx, struct key *key);
/* A string's value (copied); keeps the expiry that *key has. Creates or overwrites the record. */
void tx_store_text(struct tx *tx, struct key *key, struct bytes text);
/* Removes the key and, in the background, its elements: O(1). */
void tx_remove(struct tx *tx, const struct key *key);
/* Gives the key another name (and database), keeping version, elements and expiry; what stood there
 * was removed by the caller. O(1) within a database; across databases elements are copied. */
void tx_rename(struct tx *tx, struct key *key, uint8_t database, struct bytes name);
/* Makes a copy under another name, where nothing stands: elements and expiry too. O(elements). */
void tx_copy(struct tx *tx, const struct key *key, uint8_t database, struct bytes name);
/* FLUSHDB: O(1). */
void tx_clear_database(struct tx *tx, uint8_t database);
void tx_swap_databases(struct tx *tx, uint8_t a, uint8_t b);
/* Of keys, expired ones not yet removed included. */
uint64_t tx_database_size(struct tx *tx, uint8_t database);

/* --- Elements of hashes, sets and sorted sets: name -> value, in hash order (see tx_scan) --- */

/* Whether the element is there; *value is borrowed until the next tx call. */
MUST_USE bool tx_element(struct tx *tx, const struct key *key, struct bytes name,
                         struct bytes *value);
/* Adds or overwrites; keeps key->size and key->elements. True: it is new. */
bool tx_element_put(struct tx *tx, struct key *key, struct bytes name, struct bytes value);
/* True: it was there. */
bool tx_element_remove(struct tx *tx, struct key *key, struct bytes name);

/* Walks elements in the order of the 48-bit hash of their names, from hash `from`. Names and values
 * are borrowed until the next call. The walk sees the changes of this evaluation made before it
 * began; changing the key's elements while walking is allowed for the element just given. Close it
 * always. */
struct tx_cursor; /* tx.c's */
struct tx_cursor *tx_scan(struct tx *tx, const struct key *key, uint64_t from);
MUST_USE bool tx_scan_next(struct tx_cursor *cursor, struct bytes *name, struct bytes *value);
uint64_t tx_scan_hash(const struct tx_cursor *cursor); /* of the element just given */
uint64_t tx_hash_of(struct bytes name); /* 48 bits; SCAN's cursors are such hashes + 1 */
enum { TX_HASH_BITS = 48 };

/* --- The order of a sorted set: kept beside the elements, outside the digest --- */

void tx_rank_put(struct tx *tx, const struct key *key, double score, struct bytes member);
void tx_rank_remove(struct tx *tx, const struct key *key, double score, struct bytes member);
/* Walks by (score, member) from the first pair >= (score, member), or backwards from the last one
 * <= it. `member` with data NULL: before / after every member of that score, so that whole scores
 * are included. */
struct tx_cursor *tx_rank_from(struct tx *tx, const struct key *key, double score,
                               struct bytes member, bool backwards);
MUST_USE bool tx_rank_next(struct tx_cursor *cursor, double *score, struct bytes *member);

/* --- Items of a list: index -> value, dense in [key->head, key->tail) --- */

MUST_USE bool tx_item(struct tx *tx, const struct key *key, int64_t index, struct bytes *value);
/* Writes one item; keeps key->elements. The caller keeps head and tail; size is tail - head, set by
 * tx_store. */
void tx_item_put(struct tx *tx, struct key *key, int64_t index, struct bytes value);
void tx_item_remove(struct tx *tx, struct key *key, int64_t index);
/* Walks items from `index` to the end, or backwards to the head. */
struct tx_cursor *tx_items(struct tx *tx, const struct key *key, int64_t index, bool backwards);
MUST_USE bool tx_items_next(struct tx_cursor *cursor, int64_t *index, struct bytes *value);

/* --- Keys of a database, in hash order --- */

struct tx_cursor *tx_keys(struct tx *tx, uint8_t database, uint64_t from);
/* Expired keys are skipped. key->name and key->text are borrowed until the next call. */
MUST_USE bool tx_keys_next(struct tx_cursor *cursor, struct key *key);

void tx_cursor_close(struct tx_cursor *cursor); /* NULL is fine */

/* --- The rest --- */

/* Tells who listens for keyspace events. */
void tx_notify(struct tx *tx, enum notify_class class, const char *event, uint8_t database,
               struct bytes key);

/* Scratch memory that lives until the end of the evaluation. */
void *tx_scratch(struct tx *tx, size_t size);
struct bytes tx_scratch_copy(struct tx *tx, struct bytes bytes);

#endif
