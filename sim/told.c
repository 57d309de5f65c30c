/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/told.h"

#include <stdlib.h>

#include "face/redis/resp.h"
#include "sim/ops.h"

void told_init(struct told *told)
{
    *told = (struct told){.following = false};
    model_init(&told->model);
    buffer_init(&told->reply);
}

void told_release(struct told *told)
{
    model_release(&told->model);
    buffer_release(&told->reply);
}

void told_end(struct told *told)
{
    model_release(&told->model);
    model_init(&told->model);
    told->following = false;
}

static void copy_key(struct model *to, const struct model_key *from)
{
    to->database = from->database;
    struct model_key *key = model_create(to, buffer_bytes(&from->name), from->type);
    key->expire_ms = from->expire_ms;
    buffer_append(&key->text, buffer_bytes(&from->text));
    for (size_t i = 0; i < from->count; i++) {
        const struct model_item *item = &from->items[i];
        struct model_item *copy = model_item_insert(key, i, buffer_bytes(&item->name));
        buffer_append(&copy->value, buffer_bytes(&item->value));
        copy->score = item->score;
    }
}

void told_begin(struct told *told, const struct model *from)
{
    told_end(told);
    for (size_t i = 0; i < from->count; i++) copy_key(&told->model, from->keys[i]);
    told->model.database = 0;
    told->following = true;
}

/* --- Taking --- */

/* The words of a whole command, borrowed; its name in lower case. */
static bool split(struct bytes command, struct args *args, char name[24])
{
    struct resp_reader reader;
    size_t consumed;
    resp_reader_init(&reader);
    reader.authenticated = true;
    reader.bulk_bytes_max = UINT32_MAX;
    bool whole = resp_read(&reader, command, args, &consumed) == RESP_COMMAND &&
                 consumed == command.size && args->at[0].size < 24;
    resp_reader_release(&reader);
    if (!whole) return false;
    for (size_t i = 0; i < args->at[0].size; i++) {
        uint8_t byte = args->at[0].data[i];
        name[i] = (char)(byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte);
    }
    name[args->at[0].size] = '\0';
    return true;
}

static model_fn *command_of(const char *name)
{
    model_fn *run = model_string_command(name);
    if (run == NULL) run = model_collection_command(name);
    if (run == NULL) run = model_move_command(name);
    return run;
}

static bool says_nothing_of_keys(const char *name)
{
    static const char *const names[] = {"ping", "replconf", "publish", "spublish"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) return true;
    }
    return false;
}

const char *told_take(struct told *told, struct bytes bytes)
{
    struct model *model = &told->model;
    bool within = false;
    unsigned commands = 0;
    model->now_ms = 0;
    model->reading = model->serving = false;
    model->reply = &told->reply;
    for (size_t at = 0; at < bytes.size;) {
        struct bytes rest = bytes_of(bytes.data + at, bytes.size - at);
        size_t size = resp_whole(rest);
        char name[24];
        if (size == 0 || !split(bytes_of(rest.data, size), &model->args, name)) {
            return "is cut in a command";
        }
        at += size;
        bool multi = strcmp(name, "multi") == 0, exec = strcmp(name, "exec") == 0;
        if (multi || exec) {
            if (within == multi || (exec && at < bytes.size))
                return "has MULTI or EXEC out of place";
            within = multi;
        } else if (strcmp(name, "select") == 0) {
            model->database = (uint8_t)strtoul((const char *)model->args.at[1].data, NULL, 10);
        } else if (!within && commands++ > 0) {
            return "has commands that are not in one transaction";
        } else if (!says_nothing_of_keys(name)) {
            model_fn *run = command_of(name);
            if (run == NULL) return "has a command that the model does not know";
            buffer_clear(&told->reply);
            run(model, &model->args);
            if (told->reply.size > 0 && told->reply.data[0] == '-')
                return "has a command that fails";
        }
    }
    return within ? "ends within a transaction" : NULL;
}

/* --- Comparing --- */

static const struct model_key *find(const struct model *model, const struct model_key *like)
{
    for (size_t i = 0; i < model->count; i++) {
        const struct model_key *key = model->keys[i];
        if (key->database == like->database &&
            bytes_equal(buffer_bytes(&key->name), buffer_bytes(&like->name))) {
            return key;
        }
    }
    return NULL;
}

static bool has_item(const struct model_key *key, const struct model_item *item, size_t at)
{
    bool ordered = key->type == MODEL_LIST;
    for (size_t i = ordered ? at : 0; i < (ordered ? at + 1 : key->count); i++) {
        const struct model_item *other = &key->items[i];
        if (other->score == item->score &&
            bytes_equal(buffer_bytes(&other->name), buffer_bytes(&item->name)) &&
            bytes_equal(buffer_bytes(&other->value), buffer_bytes(&item->value))) {
            return true;
        }
    }
    return false;
}

static bool key_same(const struct model_key *a, const struct model_key *b)
{
    if (b == NULL || a->type != b->type || a->expire_ms != b->expire_ms || a->count != b->count ||
        !bytes_equal(buffer_bytes(&a->text), buffer_bytes(&b->text))) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!has_item(b, &a->items[i], i)) return false;
    }
    return true;
}

static const struct model_key *first_different(const struct model *one, const struct model *other,
                                               uint64_t now_ms)
{
    for (size_t i = 0; i < one->count; i++) {
        const struct model_key *key = one->keys[i];
        if (key->expire_ms != 0 && key->expire_ms <= now_ms) continue;
        if (!key_same(key, find(other, key))) return key;
    }
    return NULL;
}

const struct model_key *told_differs(const struct told *told, const struct model *model,
                                     uint64_t now_ms)
{
    const struct model_key *key = first_different(model, &told->model, now_ms);
    return key != NULL ? key : first_different(&told->model, model, now_ms);
}
