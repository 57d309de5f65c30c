/* SPDX-License-Identifier: Apache-2.0 */
/* The model's commands on more than one key. */
#include "sim/model.h"

static void copy_items(struct model_key *to, const struct model_key *from)
{
    buffer_clear(&to->text);
    buffer_append(&to->text, buffer_bytes(&from->text));
    for (size_t i = 0; i < from->count; i++) {
        const struct model_item *item = &from->items[i];
        struct model_item *copy = model_item_insert(to, to->count, buffer_bytes(&item->name));
        buffer_append(&copy->value, buffer_bytes(&item->value));
        copy->score = item->score;
    }
}

static void run_mset(struct model *model, const struct args *args)
{
    for (size_t i = 1; i + 1 < args->count; i += 2) {
        struct model_key *key = model_find(model, args->at[i]);
        if (key != NULL && key->type != MODEL_STRING) {
            model_remove(model, key);
            key = NULL;
        }
        if (key == NULL) key = model_create(model, args->at[i], MODEL_STRING);
        buffer_clear(&key->text);
        buffer_append(&key->text, args->at[i + 1]);
        key->expire_ms = 0;
        model_changed(model, key);
    }
    model_say_text(model, "+OK");
}

static void run_getdel(struct model *model, const struct args *args)
{
    bool wrong;
    struct model_key *key = model_find_typed(model, args->at[1], MODEL_STRING, &wrong);
    if (wrong) return;
    if (key == NULL) {
        model_say_null(model);
        return;
    }
    model_say_bulk(model, buffer_bytes(&key->text));
    model_remove(model, key);
}

/* --- Lists --- */

static bool is_left(struct bytes word)
{
    return bytes_is_word(word, "left");
}

/* `from` is there; the destination may be the same key. */
static void move_item(struct model *model, struct model_key *from, const struct args *args)
{
    bool wrong;
    struct model_key *to = model_find_typed(model, args->at[2], MODEL_LIST, &wrong);
    if (wrong) return;
    size_t at = is_left(args->at[3]) ? 0 : from->count - 1;
    struct buffer moved;
    buffer_init(&moved);
    buffer_append(&moved, buffer_bytes(&from->items[at].name));
    model_item_remove(from, at);
    if (to == NULL) to = model_create(model, args->at[2], MODEL_LIST);
    (void)model_item_insert(to, is_left(args->at[4]) ? 0 : to->count, buffer_bytes(&moved));
    if (to != from) model_changed(model, from);
    model_changed(model, to);
    model_say_bulk(model, buffer_bytes(&moved));
    buffer_release(&moved);
}

static void run_lmove(struct model *model, const struct args *args)
{
    bool wrong;
    struct model_key *from = model_find_typed(model, args->at[1], MODEL_LIST, &wrong);
    if (wrong) return;
    if (from == NULL) model_say_null(model);
    else move_item(model, from, args);
}

static void run_blmove(struct model *model, const struct args *args)
{
    struct model_key *from = model_find(model, args->at[1]);
    if (from == NULL || (from->type != MODEL_LIST && model->serving)) return;
    run_lmove(model, args);
}

/* --- Sets --- */

static void run_smove(struct model *model, const struct args *args)
{
    bool wrong;
    struct model_key *from = model_find(model, args->at[1]);
    if (from == NULL) {
        model_say_integer(model, 0);
        return;
    }
    from = model_find_typed(model, args->at[1], MODEL_SET, &wrong);
    if (wrong) return;
    struct model_key *to = model_find_typed(model, args->at[2], MODEL_SET, &wrong);
    if (wrong) return;
    struct model_item *item = model_item(from, args->at[3]);
    model_say_integer(model, item != NULL ? 1 : 0);
    if (item == NULL || to == from) return;
    model_item_remove(from, (size_t)(item - from->items));
    if (to == NULL) to = model_create(model, args->at[2], MODEL_SET);
    if (model_item(to, args->at[3]) == NULL) {
        (void)model_item_insert(to, to->count, args->at[3]);
        model_changed(model, to);
    }
    model_changed(model, from);
}

static void run_sunionstore(struct model *model, const struct args *args)
{
    struct model_key all = {.type = MODEL_SET};
    bool wrong = false;
    for (size_t i = 2; i < args->count && !wrong; i++) {
        const struct model_key *key = model_find_typed(model, args->at[i], MODEL_SET, &wrong);
        for (size_t at = 0; !wrong && key != NULL && at < key->count; at++) {
            struct bytes name = buffer_bytes(&key->items[at].name);
            if (model_item(&all, name) == NULL) (void)model_item_insert(&all, all.count, name);
        }
    }
    if (!wrong) {
        struct model_key *old = model_find(model, args->at[1]);
        if (old != NULL) model_remove(model, old);
        if (all.count > 0) copy_items(model_create(model, args->at[1], MODEL_SET), &all);
        model_say_integer(model, (int64_t)all.count);
    }
    model_items_release(&all);
}

/* --- Keys and databases --- */

/* COPY from to DB number REPLACE */
static void run_copy(struct model *model, const struct args *args)
{
    const struct model_key *from = model_find(model, args->at[1]);
    uint8_t own = model->database, other = (uint8_t)(args->at[4].data[0] - '0');
    if (own == other && bytes_equal(args->at[1], args->at[2])) {
        model_say_text(model, "-ERR source and destination objects are the same");
        return;
    }
    if (from != NULL) {
        model->database = other;
        struct model_key *old = model_find(model, args->at[2]);
        if (old != NULL) model_remove(model, old);
        struct model_key *to = model_create(model, args->at[2], from->type);
        to->expire_ms = from->expire_ms;
        copy_items(to, from);
        model->database = own;
    }
    model_say_integer(model, from != NULL ? 1 : 0);
}

static void run_swapdb(struct model *model, const struct args *args)
{
    uint8_t a = (uint8_t)(args->at[1].data[0] - '0'), b = (uint8_t)(args->at[2].data[0] - '0');
    for (size_t i = 0; i < model->count; i++) {
        uint8_t *database = &model->keys[i]->database;
        if (*database == a) *database = b;
        else if (*database == b) *database = a;
    }
    model_say_text(model, "+OK");
}

model_fn *model_move_command(const char *name)
{
    static const struct {
        const char *name;
        model_fn *run;
    } rows[] = {
        {"mset", run_mset},     {"getdel", run_getdel}, {"lmove", run_lmove},
        {"blmove", run_blmove}, {"smove", run_smove},   {"sunionstore", run_sunionstore},
        {"copy", run_copy},     {"swapdb", run_swapdb},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].name, name) == 0) return rows[i].run;
    }
    return NULL;
}
