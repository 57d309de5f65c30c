/* SPDX-License-Identifier: Apache-2.0 */
/* The model's strings, and what is done with a key of any type. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/model.h"

#define SAY_NOT_INTEGER "-ERR value is not an integer or out of range"

static struct bytes text_of(const struct model_key *key)
{
    return buffer_bytes(&key->text);
}

/* Small numbers only: the workloads know no others. */
static bool number_of(struct bytes text, int64_t *out)
{
    char digits[24];
    if (text.size == 0 || text.size > 18) return false;
    memcpy(digits, text.data, text.size);
    digits[text.size] = '\0';
    char *end = NULL;
    *out = strtoll(digits, &end, 10);
    char again[24];
    (void)snprintf(again, sizeof again, "%" PRId64, *out);
    return *end == '\0' && strcmp(again, digits) == 0;
}

static struct model_key *write_over(struct model *model, struct bytes name)
{
    struct model_key *key = model_find(model, name);
    if (key != NULL && key->type != MODEL_STRING) {
        model_remove(model, key);
        key = NULL;
    }
    if (key == NULL) key = model_create(model, name, MODEL_STRING);
    buffer_clear(&key->text);
    model_changed(model, key);
    return key;
}

static void run_set(struct model *model, const struct args *args)
{
    bool only_new = false;
    int64_t lifetime_ms = 0, end_ms = 0;
    for (size_t i = 3; i < args->count; i++) {
        if (bytes_is_word(args->at[i], "nx")) only_new = true;
        if (bytes_is_word(args->at[i], "px")) {
            (void)number_of(args->at[++i], &lifetime_ms);
        } else if (bytes_is_word(args->at[i], "pxat")) {
            (void)number_of(args->at[++i], &end_ms);
        }
    }
    if (only_new && model_find(model, args->at[1]) != NULL) {
        model_say_null(model);
        return;
    }
    struct model_key *key = write_over(model, args->at[1]);
    buffer_append(&key->text, args->at[2]);
    key->expire_ms = lifetime_ms == 0 ? (uint64_t)end_ms : model->now_ms + (uint64_t)lifetime_ms;
    model_say_text(model, "+OK");
}

static void run_get(struct model *model, const struct args *args)
{
    bool wrong;
    const struct model_key *key = model_find_typed(model, args->at[1], MODEL_STRING, &wrong);
    if (wrong) return;
    if (key == NULL) model_say_null(model);
    else model_say_bulk(model, text_of(key));
}

static void run_append(struct model *model, const struct args *args)
{
    bool wrong;
    struct model_key *key = model_find_typed(model, args->at[1], MODEL_STRING, &wrong);
    if (wrong) return;
    if (key == NULL) key = model_create(model, args->at[1], MODEL_STRING);
    buffer_append(&key->text, args->at[2]);
    model_changed(model, key);
    model_say_integer(model, (int64_t)key->text.size);
}

static void run_incr(struct model *model, const struct args *args)
{
    bool wrong;
    int64_t value = 0;
    struct model_key *key = model_find_typed(model, args->at[1], MODEL_STRING, &wrong);
    if (wrong) return;
    if (key != NULL && !number_of(text_of(key), &value)) {
        model_say_text(model, SAY_NOT_INTEGER);
        return;
    }
    if (key == NULL) key = model_create(model, args->at[1], MODEL_STRING);
    buffer_clear(&key->text);
    buffer_append_format(&key->text, "%" PRId64, value + 1);
    model_changed(model, key);
    model_say_integer(model, value + 1);
}

static void run_del(struct model *model, const struct args *args)
{
    int64_t removed = 0;
    for (size_t i = 1; i < args->count; i++) {
        struct model_key *key = model_find(model, args->at[i]);
        if (key == NULL) continue;
        model_remove(model, key);
        removed++;
    }
    model_say_integer(model, removed);
}

static void run_exists(struct model *model, const struct args *args)
{
    int64_t there = 0;
    for (size_t i = 1; i < args->count; i++) {
        if (model_find(model, args->at[i]) != NULL) there++;
    }
    model_say_integer(model, there);
}

static void run_pexpire(struct model *model, const struct args *args)
{
    int64_t lifetime_ms = 0;
    (void)number_of(args->at[2], &lifetime_ms);
    struct model_key *key = model_find(model, args->at[1]);
    if (key != NULL && lifetime_ms <= 0) {
        model_remove(model, key);
    } else if (key != NULL) {
        key->expire_ms = model->now_ms + (uint64_t)lifetime_ms;
        model_changed(model, key);
    }
    model_say_integer(model, key != NULL ? 1 : 0);
}

/* Only as the stream of effects has it: the time is not yet over where it is told. */
static void run_pexpireat(struct model *model, const struct args *args)
{
    int64_t end_ms = 0;
    (void)number_of(args->at[2], &end_ms);
    struct model_key *key = model_find(model, args->at[1]);
    if (key != NULL) {
        key->expire_ms = (uint64_t)end_ms;
        model_changed(model, key);
    }
    model_say_integer(model, key != NULL ? 1 : 0);
}

static void run_persist(struct model *model, const struct args *args)
{
    struct model_key *key = model_find(model, args->at[1]);
    bool ends = key != NULL && key->expire_ms != 0;
    if (ends) {
        key->expire_ms = 0;
        model_changed(model, key);
    }
    model_say_integer(model, ends ? 1 : 0);
}

static void run_rename(struct model *model, const struct args *args)
{
    struct model_key *key = model_find(model, args->at[1]);
    if (key == NULL) {
        model_say_text(model, "-ERR no such key");
        return;
    }
    if (!bytes_equal(args->at[1], args->at[2])) {
        struct model_key *there = model_find(model, args->at[2]);
        if (there != NULL) model_remove(model, there);
        buffer_clear(&key->name);
        buffer_append(&key->name, args->at[2]);
        model_changed(model, key);
    }
    model_say_text(model, "+OK");
}

static void run_flushdb(struct model *model, const struct args *args)
{
    (void)args;
    for (size_t i = model->count; i-- > 0;) {
        if (model->keys[i]->database == model->database) model_remove(model, model->keys[i]);
    }
    model_say_text(model, "+OK");
}

model_fn *model_string_command(const char *name)
{
    static const struct {
        const char *name;
        model_fn *run;
    } rows[] = {
        {"set", run_set},
        {"get", run_get},
        {"append", run_append},
        {"incr", run_incr},
        {"del", run_del},
        {"exists", run_exists},
        {"pexpire", run_pexpire},
        {"persist", run_persist},
        {"rename", run_rename},
        {"flushdb", run_flushdb},
        {"pexpireat", run_pexpireat},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].name, name) == 0) return rows[i].run;
    }
    return NULL;
}
