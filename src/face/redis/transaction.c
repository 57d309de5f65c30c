/* SPDX-License-Identifier: Apache-2.0 */
/* MULTI, EXEC, DISCARD, WATCH.
 *
 * What is queued stands in one buffer, a command after the other: le32 size of what follows, le16
 * number of the command, le32 count of its words, then each word as le32 length and bytes.
 *
 * A transaction becomes one entry: EXEC puts the watches and the commands on stored data into one
 * payload. Commands of the face's own that were queued beside them (PING, PUBLISH, CLIENT ...) are
 * run when the entry has been answered, and their replies are put in their places among the others.
 *
 * WATCH asks the machine what each key is now. A key that is there is compared at EXEC's own place
 * in the log by {version, last change}; for a key that is absent, any entry admitted since that
 * names it ends the transaction. */
#include "face/redis/internal.h"

#include <string.h>

#include "base/memory.h"
#include "base/number.h"
#include "face/redis/observe.h"

/* What must be done when the service has answered. */
struct exec {
    bool watching;          /* WATCH: `captured` holds what the keys are */
    struct buffer captured; /* replies, in RESP2 */
    struct resp_writer writer;
    struct buffer queued; /* EXEC: the whole queue, as in struct transaction */
    uint32_t count;
    bool muted; /* CLIENT REPLY */
};

static void transaction_clear(struct client *client)
{
    client->transaction = (struct transaction){.open = false};
    buffer_init(&client->transaction.queued);
}

/* The name of a watch in client->watched are the bytes of a struct watch with the same key. */
static int watch_compare(const void *object, struct bytes name)
{
    const struct watch *a = &((const struct client_watch *)object)->watch;
    const struct watch *b = (const void *)name.data;
    if (a->database != b->database) return a->database < b->database ? -1 : 1;
    return bytes_compare(a->key, b->key);
}

static uint64_t watch_hash(const struct watch *watch)
{
    return table_hash(watch->key, watch->database);
}

void transaction_init(struct client *client)
{
    transaction_clear(client);
    list_init(&client->watches);
    table_init(&client->watched, watch_compare);
}

static void transaction_close(struct client *client)
{
    buffer_release(&client->transaction.queued);
    transaction_clear(client);
}

static void watch_free(struct client *client, struct client_watch *watch)
{
    struct service *service = client->face->options.service;
    service->ops->unwatch(service, &watch->watch);
    list_remove(&watch->link);
    table_remove(&client->watched, watch->hash, watch);
    memory_free(watch->key);
    memory_free(watch);
}

static void unwatch_all(struct client *client)
{
    struct list *first;
    while ((first = list_first(&client->watches)) != NULL) {
        watch_free(client, CONTAINER_OF(first, struct client_watch, link));
    }
    MUST(client->watched.count == 0);
    table_release(&client->watched);
}

void transaction_drop(struct client *client)
{
    transaction_close(client);
    unwatch_all(client);
}

/* --- The queue --- */

enum { QUEUED_HEAD_BYTES = 10 };

bool transaction_queue(struct client *client, const struct command *command,
                       const struct args *args)
{
    struct transaction *transaction = &client->transaction;
    struct buffer *queued = &transaction->queued;
    uint64_t most = config_size(client->face->options.config, CONFIG_CLIENT_QUERY_BUFFER_LIMIT);
    if (most > UINT32_MAX) most = UINT32_MAX;
    uint64_t size = QUEUED_HEAD_BYTES;
    for (size_t i = 0; i < args->count; i++) size += 4 + args->at[i].size;
    if (queued->size + size > most) return false;
    buffer_append_le32(queued, (uint32_t)(size - 4));
    buffer_append_le16(queued, (uint16_t)command->id);
    buffer_append_le32(queued, (uint32_t)args->count);
    for (size_t i = 0; i < args->count; i++) {
        buffer_append_le32(queued, (uint32_t)args->at[i].size);
        buffer_append(queued, args->at[i]);
    }
    transaction->count++;
    if ((command->flags & FLAG_WRITE) != 0) transaction->writes = true;
    return true;
}

/* The next queued command; false at the end. *at begins at 0. */
static bool queue_next(struct bytes queued, size_t *at, const struct command **command,
                       struct args *args)
{
    if (*at == queued.size) return false;
    const uint8_t *from = queued.data + *at;
    *command = command_by_id(load_le16(from + 4));
    uint32_t words = load_le32(from + 6);
    *at += 4 + load_le32(from);
    args_clear(args);
    from += QUEUED_HEAD_BYTES;
    for (uint32_t i = 0; i < words; i++) {
        args_push(args, bytes_of(from + 4, load_le32(from)));
        from += 4 + load_le32(from);
    }
    MUST(from == queued.data + *at);
    return true;
}

void face_MULTI(struct client *client, const struct args *args)
{
    (void)args;
    struct reply *reply = client_reply(client);
    if (client->transaction.open) {
        reply->ops->error(reply, "ERR MULTI calls can not be nested");
        return;
    }
    client->transaction.open = true;
    reply->ops->simple(reply, "OK");
}

void face_DISCARD(struct client *client, const struct args *args)
{
    (void)args;
    struct reply *reply = client_reply(client);
    if (!client->transaction.open) {
        reply->ops->error(reply, "ERR DISCARD without MULTI");
        return;
    }
    transaction_drop(client);
    reply->ops->simple(reply, "OK");
}

/* --- EXEC --- */

/* SELECT among the queued commands moves those behind it. */
static uint8_t database_after(const struct args *args, uint8_t database)
{
    int64_t number = 0;
    if (args->count == 2 && number_parse_int64(args->at[1], &number) && number >= 0 &&
        number < 16) {
        return (uint8_t)number;
    }
    return database;
}

/* Builds the payload; returns how many commands of the machine are in it. */
static uint32_t build_payload(struct client *client, struct buffer *out, uint32_t *of_the_face)
{
    struct transaction *transaction = &client->transaction;
    struct payload_transaction payload;
    payload_begin_transaction(&payload, out);
    for (struct list *at = client->watches.next; at != &client->watches; at = at->next) {
        payload_add_watch(&payload, &CONTAINER_OF(at, struct client_watch, link)->seen);
    }
    struct args args;
    args_init(&args);
    const struct command *command = NULL;
    uint8_t database = client->database;
    uint32_t count = 0;
    *of_the_face = 0;
    for (size_t at = 0; queue_next(buffer_bytes(&transaction->queued), &at, &command, &args);) {
        if (command->place == PLACE_STATE) {
            payload_add_command(&payload, database, command, &args);
            client->face->stats[command->id].calls++;
            count++;
        } else {
            if (command->id == COMMAND_SELECT) database = database_after(&args, database);
            ++*of_the_face;
        }
    }
    args_release(&args);
    return count;
}

static bool absent_key_was_named(const struct client *client)
{
    for (struct list *at = client->watches.next; at != &client->watches; at = at->next) {
        const struct client_watch *watch = CONTAINER_OF(at, struct client_watch, link);
        if (!watch->seen.present && watch->watch.touched) return true;
    }
    return false;
}

static struct exec *exec_make(struct client *client)
{
    struct exec *exec = memory_zeroed(1, sizeof *exec);
    buffer_init(&exec->captured);
    buffer_init(&exec->queued);
    resp_writer_init(&exec->writer, &exec->captured);
    exec->writer.resp3 = client->writer.resp3;
    (void)client_push(client);
    exec->writer.bytes_max = client->writer.bytes_max;
    exec->muted = client_is_muted(client);
    return exec;
}

static void exec_free(struct exec *exec)
{
    buffer_release(&exec->captured);
    buffer_release(&exec->queued);
    memory_free(exec);
}

/* Runs a command of the face's own inside EXEC: it answers at once, into the half-written reply. */
static void exec_one(struct client *client, const struct command *command, const struct args *args)
{
    client->face->in_exec = true;
    face_run(client, command, args);
    client->face->in_exec = false;
}

/* Runs a transaction of the face's own commands only. */
static void exec_here(struct client *client, struct bytes queued, uint32_t count)
{
    struct args args;
    args_init(&args);
    struct reply *reply = client_reply(client);
    reply->ops->array(reply, count);
    const struct command *command = NULL;
    for (size_t at = 0; queue_next(queued, &at, &command, &args);) exec_one(client, command, &args);
    args_release(&args);
    client->face->stats[COMMAND_EXEC].calls++;
}

/* MONITOR shows the commands, then EXEC. */
static void feed_monitors(struct client *client, const struct args *exec)
{
    if (list_empty(&client->face->monitors)) return;
    struct args args;
    args_init(&args);
    const struct command *command = NULL;
    struct bytes queued = buffer_bytes(&client->transaction.queued);
    for (size_t at = 0; queue_next(queued, &at, &command, &args);) {
        monitor_feed(client, command, &args);
    }
    args_release(&args);
    monitor_feed(client, command_by_id(COMMAND_EXEC), exec);
}

/* Keeps the queue for exec_done(), which runs what is the face's own. */
static struct exec *exec_keep(struct client *client, struct buffer *queued, uint32_t count)
{
    struct exec *exec = exec_make(client);
    exec->queued = *queued;
    exec->count = count;
    buffer_init(queued);
    return exec;
}

/* EXEC of a transaction without errors. */
static void exec_begin(struct client *client)
{
    const struct command *command = command_by_id(COMMAND_EXEC);
    struct buffer payload;
    buffer_init(&payload);
    uint32_t of_the_face = 0;
    bool named = absent_key_was_named(client);
    uint32_t count = named ? 0 : build_payload(client, &payload, &of_the_face);
    bool watches = !list_empty(&client->watches);
    bool writes = client->transaction.writes;
    struct buffer queued = client->transaction.queued;
    uint32_t total = client->transaction.count;
    buffer_init(&client->transaction.queued);
    transaction_drop(client);
    client->face->timeout_us = 0;
    if (named) {
        dispatch_text(client, command, client->writer.resp3 ? "_\r\n" : "*-1\r\n");
    } else if (count == 0 && !watches && (client->calls_count == 0 || total == 0)) {
        if (total == 0) dispatch_text(client, command, "*0\r\n");
        else exec_here(client, buffer_bytes(&queued), total);
    } else {
        struct exec *exec = of_the_face > 0 ? exec_keep(client, &queued, total) : NULL;
        enum call_kind kind = writes ? CALL_WRITE : CALL_READ;
        if (count == 0 && !watches) kind = CALL_LOCAL; /* no entry: it only keeps its place */
        dispatch_call(client, command, kind, buffer_bytes(&payload), exec);
    }
    buffer_release(&queued);
    buffer_release(&payload);
}

void face_EXEC(struct client *client, const struct args *args)
{
    struct transaction *transaction = &client->transaction;
    const struct command *command = command_by_id(COMMAND_EXEC);
    if (!transaction->open) {
        face_refuse(client, command, "ERR EXEC without MULTI");
        return;
    }
    if (transaction->failed) {
        transaction_drop(client);
        face_refuse(client, command, "EXECABORT Transaction discarded because of previous errors.");
        return;
    }
    if (transaction->writes && client->face->options.service->read_only) { /* since it was queued */
        transaction_drop(client);
        face_refuse(client, command, "EXECABORT Transaction discarded because of: " READONLY_ERROR);
        return;
    }
    feed_monitors(client, args);
    exec_begin(client);
}

/* One whole reply at the front of `bytes`: its size, 0 if it does not read. */
static size_t reply_size(struct bytes bytes)
{
    size_t at = 0;
    uint64_t left = 1;
    while (left > 0) {
        const uint8_t *end = at < bytes.size ? memchr(bytes.data + at, '\n', bytes.size - at)
                                             : NULL;
        if (end == NULL) return 0;
        uint8_t kind = bytes.data[at];
        size_t line = (size_t)(end - bytes.data) - at;
        int64_t number = 0;
        (void)number_parse_int64(bytes_of(bytes.data + at + 1, line < 2 ? 0 : line - 2), &number);
        at += line + 1;
        left--;
        if (kind == '$' || kind == '=') at += number < 0 ? 0 : (size_t)number + 2;
        if ((kind == '*' || kind == '~' || kind == '>') && number > 0) left += (uint64_t)number;
        if (kind == '%' && number > 0) left += 2 * (uint64_t)number;
    }
    return at <= bytes.size ? at : 0;
}

static void put_captured(struct client *client, struct bytes bytes)
{
    if (!client_is_muted(client)) resp_writer_put(&client->writer, bytes);
}

/* The machine's replies and the face's own, in the order of the queue. */
static void exec_merge(struct client *client, struct exec *exec)
{
    struct bytes rest = buffer_bytes(&exec->captured);
    bool answered = rest.size > 0 && rest.data[0] == '*' && rest.data[1] != '-';
    if (rest.size > 0 && !answered) { /* aborted by a watch, or an error */
        put_captured(client, rest);
        return;
    }
    const uint8_t *end = rest.size > 0 ? memchr(rest.data, '\n', rest.size) : NULL;
    size_t header = end == NULL ? 0 : (size_t)(end - rest.data) + 1;
    if (header > 0) rest = bytes_of(rest.data + header, rest.size - header);
    struct reply *reply = client_reply(client);
    reply->ops->array(reply, exec->count);
    struct args args;
    args_init(&args);
    const struct command *command = NULL;
    for (size_t at = 0; queue_next(buffer_bytes(&exec->queued), &at, &command, &args);) {
        if (command->place == PLACE_FACE) {
            exec_one(client, command, &args);
            continue;
        }
        size_t size = reply_size(rest);
        MUST(size > 0);
        put_captured(client, bytes_of(rest.data, size));
        rest = bytes_of(rest.data + size, rest.size - size);
    }
    args_release(&args);
}

/* --- WATCH --- */

static bool is_watched(const struct client *client, struct bytes key)
{
    struct watch like = {.database = client->database, .key = key};
    return table_find(&client->watched, watch_hash(&like), bytes_of(&like, sizeof like)) != NULL;
}

static struct client_watch *watch_add(struct client *client, struct bytes key)
{
    struct service *service = client->face->options.service;
    struct client_watch *watch = memory_zeroed(1, sizeof *watch);
    watch->key = memory_alloc(key.size + 1);
    if (key.size > 0) memcpy(watch->key, key.data, key.size);
    watch->watch.database = watch->seen.database = client->database;
    watch->watch.key = watch->seen.key = bytes_of(watch->key, key.size);
    watch->hash = watch_hash(&watch->watch);
    list_append(&client->watches, &watch->link);
    table_insert(&client->watched, watch->hash, bytes_of(&watch->watch, sizeof watch->watch),
                 watch);
    service->ops->watch(service, &watch->watch);
    return watch;
}

void face_WATCH(struct client *client, const struct args *args)
{
    if (client->transaction.open) {
        answer_error(client, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    if (client->watched.count + args->count - 1 > REDIS_WATCHES_MAX) {
        answer_error(client, "ERR a connection cannot watch so many keys");
        return;
    }
    struct redis_face *face = client->face;
    struct args observed;
    args_init(&observed);
    const struct command *observe = command_by_id(COMMAND_WATCH_OBSERVE);
    args_push(&observed, bytes_text(observe->name));
    for (size_t i = 1; i < args->count; i++) {
        if (is_watched(client, args->at[i])) continue; /* what was seen first counts */
        args_push(&observed, watch_add(client, args->at[i])->seen.key);
    }
    if (observed.count == 1) {
        answer_ok(client);
    } else {
        struct exec *exec = exec_make(client);
        exec->watching = true;
        exec->writer.resp3 = false;
        exec->writer.bytes_max = SIZE_MAX; /* never sent; REDIS_WATCHES_MAX bounds it */
        exec->count = (uint32_t)observed.count - 1;
        buffer_clear(&face->payload);
        payload_put_command(&face->payload, client->database, observe, &observed);
        dispatch_call(client, NULL, CALL_READ, buffer_bytes(&face->payload), exec);
    }
    args_release(&observed);
}

/* The next integer of a RESP2 reply; skips array headers. */
static uint64_t next_integer(struct bytes *rest)
{
    while (rest->size > 0) {
        const uint8_t *end = memchr(rest->data, '\n', rest->size);
        MUST(end != NULL);
        size_t line = (size_t)(end - rest->data);
        int64_t number = 0;
        bool integer = rest->data[0] == ':' &&
                       number_parse_int64(bytes_of(rest->data + 1, line - 2), &number);
        *rest = bytes_of(rest->data + line + 1, rest->size - line - 1);
        if (integer) return (uint64_t)number;
    }
    return 0;
}

/* The newest exec->count watches learn what their keys were. */
static void watch_learn(struct client *client, const struct exec *exec)
{
    struct bytes rest = buffer_bytes(&exec->captured);
    struct list *at = &client->watches;
    for (uint32_t i = 0; i < exec->count; i++) at = at->previous;
    for (; at != &client->watches; at = at->next) {
        struct watched *seen = &CONTAINER_OF(at, struct client_watch, link)->seen;
        seen->present = next_integer(&rest) != 0;
        seen->version_lsn = next_integer(&rest);
        seen->version_ordinal = (uint32_t)next_integer(&rest);
        seen->changed_lsn = next_integer(&rest);
    }
    answer_ok(client);
}

/* It was refused: the newest exec->count watches go. */
static void watch_undo(struct client *client, const struct exec *exec)
{
    for (uint32_t i = 0; i < exec->count; i++) {
        watch_free(client, CONTAINER_OF(client->watches.previous, struct client_watch, link));
    }
    put_captured(client, buffer_bytes(&exec->captured));
}

void face_UNWATCH(struct client *client, const struct args *args)
{
    (void)args;
    unwatch_all(client);
    answer_ok(client);
}

struct reply *exec_reply(struct exec *exec)
{
    return &exec->writer.reply;
}

void exec_done(struct client_call *call, enum call_end end)
{
    struct exec *exec = call->exec;
    struct client *client = call->client;
    call->exec = NULL;
    client->writer.errors += exec->writer.errors;
    bool skip = client->reply_skip;
    client->reply_skip = skip || exec->muted;
    if (exec->writer.over) {
        client->writer.over = true; /* which closes it */
    } else if (end == CALL_ANSWERED && exec->watching) {
        watch_learn(client, exec);
    } else if (end == CALL_ANSWERED) {
        exec_merge(client, exec);
    } else if (exec->watching) {
        watch_undo(client, exec);
    } else {
        put_captured(client, buffer_bytes(&exec->captured));
    }
    client->reply_skip = skip;
    exec_free(exec);
}

void exec_drop(struct exec *exec)
{
    if (exec != NULL) exec_free(exec);
}
