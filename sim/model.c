/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/model.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "seam/entry.h"

/* --- Answers --- */

void model_say_text(struct model *model, const char *line)
{
    buffer_append_text(model->reply, line);
    buffer_append_text(model->reply, "\r\n");
}

void model_say_integer(struct model *model, int64_t value)
{
    buffer_append_format(model->reply, ":%" PRId64 "\r\n", value);
}

void model_say_bulk(struct model *model, struct bytes bytes)
{
    buffer_append_format(model->reply, "$%zu\r\n", bytes.size);
    buffer_append(model->reply, bytes);
    buffer_append_text(model->reply, "\r\n");
}

void model_say_null(struct model *model)
{
    buffer_append_text(model->reply, "$-1\r\n");
}

void model_say_array(struct model *model, size_t count)
{
    buffer_append_format(model->reply, "*%zu\r\n", count);
}

/* --- Keys and items --- */

static void item_release(struct model_item *item)
{
    buffer_release(&item->name);
    buffer_release(&item->value);
}

void model_items_release(struct model_key *key)
{
    for (size_t i = 0; i < key->count; i++) item_release(&key->items[i]);
    memory_free(key->items);
    key->items = NULL;
    key->count = key->capacity = 0;
}

static void key_free(struct model_key *key)
{
    model_items_release(key);
    buffer_release(&key->name);
    buffer_release(&key->text);
    memory_free(key);
}

void model_remove(struct model *model, struct model_key *key)
{
    size_t at = 0;
    while (model->keys[at] != key) at++;
    model->keys[at] = model->keys[--model->count];
    key_free(key);
}

static struct model_key *find_in(struct model *model, uint8_t database, struct bytes name)
{
    for (size_t i = 0; i < model->count; i++) {
        struct model_key *key = model->keys[i];
        if (key->database != database || !bytes_equal(buffer_bytes(&key->name), name)) continue;
        if (key->expire_ms == 0 || key->expire_ms > model->now_ms || model->follows) return key;
        if (!model->reading) model_remove(model, key);
        return NULL;
    }
    return NULL;
}

struct model_key *model_find(struct model *model, struct bytes name)
{
    return find_in(model, model->database, name);
}

struct model_key *model_find_typed(struct model *model, struct bytes name, enum model_type type,
                                   bool *wrong)
{
    struct model_key *key = model_find(model, name);
    *wrong = key != NULL && key->type != type;
    if (!*wrong) return key;
    model_say_text(model, "-WRONGTYPE Operation against a key holding the wrong kind of value");
    return NULL;
}

struct model_key *model_create(struct model *model, struct bytes name, enum model_type type)
{
    struct model_key *key = memory_zeroed(1, sizeof *key);
    key->database = model->database;
    key->type = type;
    key->version_lsn = key->changed_lsn = model->lsn;
    buffer_init(&key->name);
    buffer_init(&key->text);
    buffer_append(&key->name, name);
    if (model->count == model->capacity) {
        model->capacity = model->capacity == 0 ? 64 : model->capacity * 2;
        model->keys = memory_resize(model->keys, model->capacity * sizeof *model->keys);
    }
    model->keys[model->count++] = key;
    return key;
}

void model_changed(struct model *model, struct model_key *key)
{
    key->changed_lsn = model->lsn;
    if (key->type != MODEL_STRING && key->count == 0) model_remove(model, key);
}

struct model_item *model_item(struct model_key *key, struct bytes name)
{
    for (size_t i = 0; key != NULL && i < key->count; i++) {
        if (bytes_equal(buffer_bytes(&key->items[i].name), name)) return &key->items[i];
    }
    return NULL;
}

struct model_item *model_item_insert(struct model_key *key, size_t at, struct bytes name)
{
    if (key->count == key->capacity) {
        key->capacity = key->capacity == 0 ? 8 : key->capacity * 2;
        key->items = memory_resize(key->items, key->capacity * sizeof *key->items);
    }
    memmove(key->items + at + 1, key->items + at, (key->count - at) * sizeof *key->items);
    key->count++;
    struct model_item *item = &key->items[at];
    *item = (struct model_item){.score = 0};
    buffer_init(&item->name);
    buffer_init(&item->value);
    buffer_append(&item->name, name);
    return item;
}

void model_item_remove(struct model_key *key, size_t at)
{
    item_release(&key->items[at]);
    key->count--;
    memmove(key->items + at, key->items + at + 1, (key->count - at) * sizeof *key->items);
}

/* --- Entries --- */

static bool run_command(struct model *model, struct payload_reader *reader)
{
    const struct command *command = NULL;
    if (payload_next_command(reader, &model->database, &command, &model->args) != ERR_OK) {
        return false;
    }
    model_fn *run = model_string_command(command->name);
    if (run == NULL) run = model_collection_command(command->name);
    if (run == NULL) run = model_move_command(command->name);
    if (run == NULL) return false;
    run(model, &model->args);
    return true;
}

static bool run_transaction(struct model *model, struct payload_reader *reader)
{
    bool holds = true;
    while (reader->watches > 0) {
        struct watched watched;
        if (payload_next_watch(reader, &watched) != ERR_OK) return false;
        const struct model_key *key = find_in(model, watched.database, watched.key);
        if ((key != NULL) != watched.present) holds = false;
        if (key != NULL &&
            (key->version_lsn != watched.version_lsn || key->changed_lsn != watched.changed_lsn)) {
            holds = false;
        }
    }
    if (!holds) {
        model_say_text(model, "*-1");
        return true;
    }
    model_say_array(model, reader->commands);
    while (reader->commands > 0) {
        if (!run_command(model, reader)) return false;
    }
    return true;
}

/* Nobody asked, so nobody is answered. */
static bool run_followed(struct model *model, struct payload_reader *reader)
{
    size_t before = model->reply->size;
    while (reader->commands > 0) {
        if (!run_command(model, reader)) return false;
    }
    model->reply->size = before;
    return true;
}

static bool run(struct model *model, struct bytes payload)
{
    struct payload_reader reader;
    if (payload_read(&reader, payload) != ERR_OK) return false;
    struct bytes name;
    model->serving = reader.kind == ENTRY_SERVE;
    model->follows = reader.kind == ENTRY_FOLLOWED;
    switch ((enum entry_kind)reader.kind) {
    case ENTRY_EPOCH:
    case ENTRY_STREAM:
    case ENTRY_MEMBERS:
    case ENTRY_STAMP:
    case ENTRY_VERIFY:
    case ENTRY_NOOP: return !model->reading;
    case ENTRY_COMMAND:
    case ENTRY_SERVE: return run_command(model, &reader);
    case ENTRY_TRANSACTION: return run_transaction(model, &reader);
    case ENTRY_FOLLOWED: return !model->reading && run_followed(model, &reader);
    case ENTRY_EXPIRE:
        if (model->reading) return false;
        if (payload_expire(&reader, &model->database, &name) != ERR_OK) return false;
        (void)model_find(model, name);
        return true;
    }
    return false;
}

bool model_apply(struct model *model, uint64_t lsn, uint64_t now_ms, struct bytes payload,
                 struct buffer *reply)
{
    model->lsn = lsn;
    model->now_ms = now_ms;
    model->reading = false;
    model->reply = reply;
    return run(model, payload);
}

bool model_query(struct model *model, uint64_t now_ms, struct bytes payload, struct buffer *reply)
{
    model->now_ms = now_ms;
    model->reading = true;
    model->reply = reply;
    return run(model, payload);
}

void model_init(struct model *model)
{
    *model = (struct model){.count = 0};
    args_init(&model->args);
}

void model_release(struct model *model)
{
    while (model->count > 0) key_free(model->keys[--model->count]);
    memory_free(model->keys);
    args_release(&model->args);
}
