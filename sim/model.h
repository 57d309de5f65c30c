/* SPDX-License-Identifier: Apache-2.0 */
/* model: the keys machine again, naive and independent: arrays, linear search, no store, no cache,
 * nothing shared with state/ but the payload's codec. It replays the canonical history and says
 * what each entry and each read must have answered, in RESP2. It knows the commands that the
 * simulated workloads use. */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "command/command.h"

enum model_type { MODEL_STRING, MODEL_LIST, MODEL_SET, MODEL_HASH, MODEL_ZSET };

struct model_item {
    struct buffer name, value;
    int64_t score;
};

struct model_key {
    uint8_t database;
    enum model_type type;
    struct buffer name, text;
    uint64_t expire_ms; /* 0: never */
    uint64_t version_lsn, changed_lsn;
    struct model_item *items;
    size_t count, capacity;
};

struct model {
    struct model_key **keys;
    size_t count, capacity;
    struct args args;

    /* Of the evaluation under way. */
    uint64_t lsn, now_ms;
    uint8_t database;
    bool reading, serving;
    bool follows; /* another make's primary: keys end when that one says so */
    struct buffer *reply;
};

void model_init(struct model *model);
void model_release(struct model *model);
/* Applies the payload of an entry; appends its reply: nothing where a blocking command waits.
 * False: a payload that the model does not know. */
bool model_apply(struct model *model, uint64_t lsn, uint64_t now_ms, struct bytes payload,
                 struct buffer *reply);
/* Answers a read; changes nothing. */
bool model_query(struct model *model, uint64_t now_ms, struct bytes payload, struct buffer *reply);

/* --- For model_*.c --- */

typedef void model_fn(struct model *model, const struct args *args);

/* NULL: there is none (any more). An entry that meets an expired key removes it. */
struct model_key *model_find(struct model *model, struct bytes name);
/* The same, when it has the type; otherwise *wrong and WRONGTYPE has been answered. */
struct model_key *model_find_typed(struct model *model, struct bytes name, enum model_type type,
                                   bool *wrong);
struct model_key *model_create(struct model *model, struct bytes name, enum model_type type);
void model_remove(struct model *model, struct model_key *key);
void model_changed(struct model *model, struct model_key *key); /* an empty one is removed */
struct model_item *model_item(struct model_key *key, struct bytes name); /* NULL: none */
struct model_item *model_item_insert(struct model_key *key, size_t at, struct bytes name);
void model_item_remove(struct model_key *key, size_t at);

void model_items_release(struct model_key *key); /* for a key that is in no database */

void model_say_text(struct model *model, const char *line); /* "+OK", "-ERR ..." */
void model_say_integer(struct model *model, int64_t value);
void model_say_bulk(struct model *model, struct bytes bytes);
void model_say_null(struct model *model);
void model_say_array(struct model *model, size_t count);

/* By its name ("set"); NULL: unknown. model_strings.c,
 * model_collections.c, model_moves.c */
model_fn *model_string_command(const char *name);
model_fn *model_collection_command(const char *name);
model_fn *model_move_command(const char *name);

#endif
