/* SPDX-License-Identifier: Apache-2.0 */
/* inside: what an evaluation is on the inside; for tx*.c and machine.c only. */
#ifndef STATE_INSIDE_H
#define STATE_INSIDE_H

#include "state/core.h"
#include "state/tx.h"

/* A keyspace event, kept until the evaluation is final. */
struct event {
    struct event *next;
    enum notify_class class;
    const char *name;
    uint8_t database;
    struct bytes key;
};

struct tx_inside {
    struct state *state;
    struct outcome *outcome;
    enum err err;      /* ERR_PENDING: see tx_looks(); ERR_CORRUPT, ERR_IO: all looks absent */
    bool reading;      /* a query: nothing may be changed */
    bool final_expiry; /* of a query: expired keys are simply absent */
    uint32_t ordinals; /* given to versions so far */
    bool wrote;        /* the command under way has changed something, */
    bool told;         /* and said itself what is to be told of it */
    bool differs;      /* ENTRY_FOLLOWED: a command fails here that its primary has carried out */
    /* A key's new record, written but not yet in its place; NULL: none. What stands there: present,
     * or NULL. And the database. */
    struct record *staged, *staged_over;
    uint8_t staged_in;
    struct event *events, **events_end;
};

static inline struct state *tx_state(const struct tx *tx)
{
    return tx->inside->state;
}

/* Whether the evaluation goes on; notes the error otherwise. */
static inline bool tx_ok(struct tx *tx, enum err err)
{
    if (tx->inside->err == ERR_OK) tx->inside->err = err;
    return tx->inside->err == ERR_OK;
}

/* Whether reads still look, be it only to note what else is missing: so that one fetch brings all
 * that an evaluation needs and can know of, not one a record. */
static inline bool tx_looks(const struct tx *tx)
{
    const struct tx_inside *inside = tx->inside;
    if (inside->err == ERR_OK) return true;
    return inside->err == ERR_PENDING && inside->state->wanted.count < WANTED_MAX;
}

/* The change of a key that an evaluation makes last is put in its place only when all is final.
 * Then nothing can ask to take it back, and a record of the active generation is simply written
 * over: no allocation, no journal. That is the way of a plain SET. Whatever looks at keys before
 * that settles the change first. */
void tx_settle(struct tx *tx);
void tx_finish(struct tx *tx);

/* The key's present record; NULL: absent, expired, or not in memory. */
struct record *tx_record(struct tx *tx, uint8_t database, struct bytes name, uint64_t hash);
/* Removes the key's record (present); its elements go too unless it keeps them under another name.
 */
void tx_record_remove(struct tx *tx, uint8_t database, struct record *record, bool with_elements);
/* Copies everything under the key to `to`, which has no elements yet. */
void tx_copy_elements(struct tx *tx, const struct key *from, struct key *to);
bool tx_is_expired(const struct tx *tx, uint64_t expire_ms);

#endif
