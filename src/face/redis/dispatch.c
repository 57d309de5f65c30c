/* SPDX-License-Identifier: Apache-2.0 */
/* From words to an answer: which command, may it, and who answers.
 *
 * Order of replies: a command on stored data becomes a call; the service answers calls in order. A
 * command of the face's own answers at once when nothing is in flight. Otherwise either its reply
 * text takes a place in the order (a few small commands that depend on nothing before them), or the
 * client is held until all is answered and the command is read again. */
#include "face/redis/internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/number.h"
#include "face/redis/observe.h"

static face_fn *const faces[REDIS_COMMANDS_MAX] = {
#define FACE_ROW_PLACE_FACE(id) [COMMAND_##id] = face_##id,
#define FACE_ROW_PLACE_STATE(id)
#define COMMAND(id, number, parent, name, arity, place, ...) FACE_ROW_##place(id)
#include "command/commands.def"
#undef COMMAND
#undef FACE_ROW_PLACE_FACE
#undef FACE_ROW_PLACE_STATE
};

/* Commands of the face that may run while calls are in flight: their reply waits for its place. */
static bool runs_ahead(enum command_id id)
{
    return id == COMMAND_PING || id == COMMAND_ECHO || id == COMMAND_MULTI ||
           id == COMMAND_DISCARD || id == COMMAND_SELECT;
}

/* Errors that were written since the last time this was asked. */
static bool count_errors(struct client *client)
{
    struct redis_face *face = client->face;
    uint64_t errors = client->writer.errors - client->errors_counted + face->silent.errors;
    client->errors_counted = client->writer.errors;
    face->silent.errors = 0;
    buffer_clear(&face->silenced);
    buffer_shrink(&face->silenced, REDIS_BUFFER_KEPT_BYTES);
    face->errors_total += errors;
    return errors > 0;
}

/* --- Calls --- */

static struct client_call *call_take(struct client *client)
{
    struct redis_face *face = client->face;
    struct list *spare = list_first(&face->spare_calls);
    struct client_call *call;
    if (spare != NULL) {
        call = CONTAINER_OF(spare, struct client_call, link);
        list_remove(spare);
        face->spare_calls_count--;
    } else {
        call = memory_zeroed(1, sizeof *call);
        buffer_init(&call->text);
    }
    call->client = client;
    call->exec = NULL;
    list_append(&client->calls, &call->link);
    client->calls_count++;
    return call;
}

void face_call_free(struct redis_face *face, struct client_call *call)
{
    call->number = 0;
    face->flight_bytes -= call->bytes;
    call->bytes = 0;
    call->client->calls_count--;
    if (call->client->blocked == call) call->client->blocked = NULL;
    list_remove(&call->link);
    buffer_clear(&call->text);
    buffer_shrink(&call->text, SLOWLOG_PAYLOAD_BYTES_KEPT);
    list_append(&face->spare_calls,
                &call->link); /* never freed here: dispatch_call() looks at it */
    face->spare_calls_count++;
}

void face_calls_trim(struct redis_face *face, size_t keep)
{
    while (face->spare_calls_count > keep) {
        struct list *first = list_first(&face->spare_calls);
        struct client_call *call = CONTAINER_OF(first, struct client_call, link);
        list_remove(first);
        face->spare_calls_count--;
        buffer_release(&call->text);
        memory_free(call);
    }
}

static void count_call(struct client_call *call)
{
    struct client *client = call->client;
    struct redis_face *face = client->face;
    if (call->command == NULL) return;
    uint64_t took_us = clock_now_us(face->options.clock) - call->began_us;
    struct command_stats *stats = &face->stats[call->command->id];
    stats->calls++;
    stats->microseconds += took_us;
    if (count_errors(client)) stats->failed++;
    /* What a blocking command waits for is not slowness. */
    if (call->call.kind != CALL_WAIT) slowlog_note_call(call, took_us);
}

static void call_done(struct call *done, enum call_end end)
{
    struct client_call *call = CONTAINER_OF(done, struct client_call, call);
    struct client *client = call->client;
    struct redis_face *face = client->face;
    struct reply *reply = done->reply;
    switch (end) {
    case CALL_ANSWERED:
        if (done->kind == CALL_LOCAL) { /* EXEC's text is empty: exec_done writes it */
            resp_writer_put(&client->writer, buffer_bytes(&call->text));
        } else {
            client->position = done->mark;
            if (done->kind != CALL_READ) {
                client->written = done->mark.lsn;
                client->stream_offset = psync_offset(face->psync);
            }
        }
        break;
    case CALL_TIMED_OUT: reply->ops->null_array(reply); break;
    case CALL_UNBLOCKED:
        if (call->unblock_error) {
            reply->ops->error(reply, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
        } else {
            reply->ops->null_array(reply);
        }
        break;
    case CALL_REFUSED: break;
    case CALL_UNKNOWN: client_kill(client); break;
    }
    if (call->exec != NULL) exec_done(call, end);
    count_call(call);
    face_call_free(face, call);
    if (client->out.size > REDIS_OUTPUT_STEP_BYTES) client_check_output(client);
    if (client->dead) buffer_clear(&client->out); /* nobody will read it */
    client_touch(client);
    if (client->calls_count == 0) client_unhold(client, HOLD_CALLS);
    client_settle(client);
}

/* The slow log may want to show it when it is over. */
static void keep_start(struct client_call *call, struct bytes payload)
{
    if (call->call.kind == CALL_LOCAL || !slowlog_is_on(call->client->face)) return;
    size_t size = payload.size;
    if (size > SLOWLOG_PAYLOAD_BYTES_KEPT) size = SLOWLOG_PAYLOAD_BYTES_KEPT;
    buffer_append(&call->text, bytes_of(payload.data, size));
}

void dispatch_call(struct client *client, const struct command *command, enum call_kind kind,
                   struct bytes payload, struct exec *exec)
{
    struct redis_face *face = client->face;
    bool ordered = client->calls_count > 0;
    struct client_call *call = call_take(client);
    call->command = command;
    call->exec = exec;
    call->unblock_error = false;
    call->began_us = face->turn_us;
    call->call.kind = kind;
    call->call.timeout_us = face->timeout_us;
    call->call.ordered = ordered;
    call->call.payload = payload;
    call->call.reply = client_push(client);
    if (client_is_muted(client)) call->call.reply = reply_nobody();
    if (exec != NULL) call->call.reply = exec_reply(exec);
    call->call.done = call_done;
    keep_start(call, payload);
    if (kind != CALL_WAIT) call->bytes = payload.size; /* that one may wait for ever */
    face->flight_bytes += call->bytes;
    uint64_t number = call->number = ++face->next_call;
    face->options.service->ops->submit(face->options.service, &call->call);
    /* Not answered yet? A read out of the order, a wait, and a transaction that will run commands
     * of the face's own (they may change what later commands mean) hold their client. */
    bool here = call->number == number;
    bool alone = (kind == CALL_READ && !ordered) || kind == CALL_WAIT || exec != NULL;
    if (here && kind == CALL_WAIT) client->blocked = call;
    bool full = client->calls_count >= REDIS_CALLS_MAX ||
                face->flight_bytes >= REDIS_FLIGHT_BYTES_MAX;
    if (here && (alone || full)) client_hold(client, HOLD_CALLS);
}

/* The reply that stands in `text` at its place behind the calls in flight. */
static void answer_in_order(struct client *client, struct bytes text)
{
    if (client_is_muted(client) || text.size == 0) return;
    struct client_call *call = call_take(client);
    buffer_append(&call->text, text);
    call->command = NULL;
    call->unblock_error = false;
    call->number = ++client->face->next_call;
    call->call.kind = CALL_LOCAL;
    call->call.ordered = true;
    call->call.reply = client_push(client);
    call->call.done = call_done;
    client->face->options.service->ops->submit(client->face->options.service, &call->call);
}

void dispatch_text(struct client *client, const struct command *command, const char *text)
{
    if (command != NULL) client->face->stats[command->id].calls++;
    if (client->calls_count > 0) {
        answer_in_order(client, bytes_text(text));
    } else if (!client_is_muted(client)) {
        buffer_append_text(&client->out, text);
        client_touch(client);
    }
}

/* --- Refusals --- */

void face_refuse(struct client *client, const struct command *command, const char *error)
{
    struct redis_face *face = client->face;
    face->errors_total++;
    if (command != NULL) face->stats[command->id].rejected++;
    struct transaction *transaction = &client->transaction;
    if (transaction->open) transaction->failed = true;
    if (client_is_muted(client)) return;
    struct buffer text;
    buffer_init(&text);
    buffer_append_byte(&text, '-');
    for (const char *at = error; *at != 0; at++) { /* it may quote what the client sent */
        buffer_append_byte(&text, *at == '\r' || *at == '\n' ? ' ' : (uint8_t)*at);
    }
    buffer_append_text(&text, "\r\n");
    if (client->calls_count == 0) {
        buffer_append(&client->out, buffer_bytes(&text));
        client_touch(client);
    } else {
        answer_in_order(client, buffer_bytes(&text));
    }
    buffer_release(&text);
}

/* How much of a word a message shows. */
static int shown(struct bytes word, size_t most)
{
    return (int)(word.size < most ? word.size : most);
}

static void refuse_unknown(struct client *client, const struct args *args)
{
    enum { SHOWN_MAX = 128 };
    char words[SHOWN_MAX * 2] = "";
    size_t size = 0;
    for (size_t i = 1; i < args->count && size < SHOWN_MAX; i++) {
        int wrote = snprintf(words + size, sizeof words - size, "'%.*s' ",
                             shown(args->at[i], SHOWN_MAX - size), (const char *)args->at[i].data);
        size += (size_t)wrote;
    }
    char text[512];
    snprintf(text, sizeof text, "ERR unknown command '%.*s', with args beginning with: %s",
             shown(args->at[0], SHOWN_MAX), (const char *)args->at[0].data, words);
    face_refuse(client, NULL, text);
}

static void refuse_unknown_sub(struct client *client, const struct command *command,
                               struct bytes name)
{
    char upper[64];
    size_t i = 0;
    for (; command->name[i] != 0 && i < sizeof upper - 1; i++) {
        char c = command->name[i];
        upper[i] = (char)(c >= 'a' && c <= 'z' ? c - 32 : c);
    }
    upper[i] = 0;
    char text[256];
    snprintf(text, sizeof text, "ERR unknown subcommand '%.*s'. Try %s HELP.", shown(name, 128),
             (const char *)name.data, upper);
    face_refuse(client, command, text);
}

/* DEBUG has a word or two that look at a key: rows of the machine that no client can name. */
static const struct command *debug_row(const struct command *command, const struct args *args)
{
    if (command->id != COMMAND_DEBUG || args->count < 3) return command;
    if (bytes_is_word(args->at[1], "object")) return command_by_id(COMMAND_DEBUG_OBJECT);
    if (bytes_is_word(args->at[1], "digest-value"))
        return command_by_id(COMMAND_DEBUG_DIGEST_VALUE);
    return command;
}

/* The command, or its subcommand where it is a container; NULL: refused already. */
static const struct command *find_command(struct client *client, const struct args *args)
{
    const struct command *command = command_find(args->at[0]);
    if (command == NULL || (command->flags & FLAG_INTERNAL) != 0) {
        refuse_unknown(client, args);
        return NULL;
    }
    if (client->face->container[command->id] && args->count > 1) {
        const struct command *sub = command_find_sub(command, args->at[1]);
        if (sub == NULL) {
            refuse_unknown_sub(client, command, args->at[1]);
            return NULL;
        }
        command = sub;
    }
    command = debug_row(command, args);
    if (!command_arity_fits(command, args->count)) {
        char text[128];
        snprintf(text, sizeof text, "ERR wrong number of arguments for '%s' command",
                 command->name);
        face_refuse(client, command, text);
        return NULL;
    }
    return command;
}

static bool debug_is_allowed(const struct client *client)
{
    const struct redis_face *face = client->face;
    switch (
        (enum config_permission)config_enum(face->options.config, CONFIG_ENABLE_DEBUG_COMMAND)) {
    case CONFIG_PERMIT_NOBODY: return false;
    case CONFIG_PERMIT_ALL: return true;
    case CONFIG_PERMIT_LOCAL: return face->options.net->ops->is_loopback(client->stream);
    }
    return false;
}

/* Whether a client in the subscribed state of RESP2 may call it. */
static bool fits_subscribed(const struct command *command)
{
    switch ((unsigned)command->id) {
    case COMMAND_SUBSCRIBE:
    case COMMAND_UNSUBSCRIBE:
    case COMMAND_PSUBSCRIBE:
    case COMMAND_PUNSUBSCRIBE:
    case COMMAND_SSUBSCRIBE:
    case COMMAND_SUNSUBSCRIBE:
    case COMMAND_PING:
    case COMMAND_QUIT:
    case COMMAND_RESET: return true;
    default: return false;
    }
}

/* Whether this client may call it now; if not it has been refused. */
static bool may_call(struct client *client, const struct command *command)
{
    char text[256];
    if (!client_is_trusted(client) && (command->flags & FLAG_NO_AUTH) == 0) {
        snprintf(text, sizeof text, "NOAUTH Authentication required.");
    } else if ((command->id == COMMAND_DEBUG || command->id == COMMAND_DEBUG_OBJECT ||
                command->id == COMMAND_DEBUG_DIGEST_VALUE) &&
               !debug_is_allowed(client)) {
        snprintf(
            text, sizeof text,
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to "
            "\"local\", you can run it from a local connection, otherwise you need to set this "
            "option in the configuration file, and then restart the server.");
    } else if (client->face->options.service->read_only && (command->flags & FLAG_WRITE) != 0) {
        snprintf(text, sizeof text, READONLY_ERROR);
    } else if (pubsub_active(client) && !client->writer.resp3 && !fits_subscribed(command)) {
        snprintf(text, sizeof text,
                 "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
                 "RESET are allowed in this context",
                 command->name);
    } else if (client->transaction.open && (command->flags & FLAG_NO_MULTI) != 0) {
        snprintf(text, sizeof text, "ERR Command not allowed inside a transaction");
    } else {
        return true;
    }
    face_refuse(client, command, text);
    return false;
}

/* --- Who answers --- */

void face_run(struct client *client, const struct command *command, const struct args *args)
{
    struct redis_face *face = client->face;
    uint64_t began_us = clock_now_us(face->options.clock);
    faces[command->id](client, args);
    struct command_stats *stats = &face->stats[command->id];
    uint64_t took_us = clock_now_us(face->options.clock) - began_us;
    if (count_errors(client)) stats->failed++;
    stats->calls++;
    stats->microseconds += took_us;
    slowlog_note(client, command, args, took_us);
}

static void run_face(struct client *client, const struct command *command, const struct args *args)
{
    if (client->calls_count == 0) {
        face_run(client, command, args);
        client_touch(client);
        return;
    }
    struct buffer ahead = client->out; /* its reply goes into a buffer of its own */
    buffer_init(&client->out);
    face_run(client, command, args);
    struct buffer text = client->out;
    client->out = ahead;
    answer_in_order(client, buffer_bytes(&text));
    buffer_release(&text);
}

static bool pause_holds(const struct client *client, const struct command *command)
{
    const struct redis_face *face = client->face;
    if (face->pause_until_us == 0 || client_is_replica(client)) return false;
    if (face->pause_all) return command->parent != COMMAND_CLIENT;
    if (client->transaction.open) { /* what is queued writes nothing yet */
        return command->id == COMMAND_EXEC && client->transaction.writes;
    }
    return (command->flags & FLAG_WRITE) != 0 || command->id == COMMAND_PUBLISH ||
           command->id == COMMAND_SPUBLISH;
}

static enum call_kind kind_of(const struct command *command)
{
    if ((command->flags & FLAG_BLOCKING) != 0) return CALL_WAIT;
    return (command->flags & FLAG_WRITE) != 0 ? CALL_WRITE : CALL_READ;
}

/* How long a blocking command waits; what does not read is refused when the command is evaluated.
 */
static uint64_t wait_timeout_us(const struct command *command, const struct args *args)
{
    bool first = command->id == COMMAND_BLMPOP || command->id == COMMAND_BZMPOP;
    struct bytes word = args->at[first ? 1 : args->count - 1];
    double seconds = 0;
    if (!number_parse_double(word, &seconds) || !(seconds > 0) || seconds > 1e12) return 0;
    return (uint64_t)ceil(seconds * 1000) * 1000;
}

/* Reads this command once more when the client may go on. */
static void hold_command(struct client *client, enum client_hold hold)
{
    client->again = true;
    client_hold(client, hold);
}

static void dispatch_one(struct client *client, const struct args *args)
{
    struct redis_face *face = client->face;
    if (!replica_may_say(client, args)) return;
    const struct command *command = find_command(client, args);
    if (command == NULL) return;
    if (!may_call(client, command)) return;
    if (pause_holds(client, command)) {
        hold_command(client, HOLD_PAUSED);
        return;
    }
    bool queues = client->transaction.open && command->id != COMMAND_EXEC &&
                  command->id != COMMAND_DISCARD && command->id != COMMAND_MULTI &&
                  command->id != COMMAND_WATCH && command->id != COMMAND_QUIT &&
                  command->id != COMMAND_RESET;
    bool ahead = queues || runs_ahead(command->id) || command->id == COMMAND_EXEC;
    if (command->place == PLACE_FACE && client->calls_count > 0 && !ahead) {
        hold_command(client, HOLD_CALLS);
        return;
    }
    face->commands_total++;
    client->last_command = command;
    client->active_us = face->turn_us = clock_now_us(face->options.clock);
    if (queues) {
        if (transaction_queue(client, command, args)) {
            dispatch_text(client, NULL, "+QUEUED\r\n");
        } else {
            face_refuse(client, command, "ERR the transaction is larger than one may be");
        }
        return;
    }
    if (command->id == COMMAND_EXEC) {
        face_EXEC(client, args);
        client_touch(client);
        return;
    }
    if (!list_empty(&face->monitors)) monitor_feed(client, command, args);
    if (command->place == PLACE_FACE) {
        run_face(client, command, args);
        return;
    }
    buffer_clear(&face->payload);
    payload_put_command(&face->payload, client->database, command, args);
    enum call_kind kind = kind_of(command);
    face->timeout_us = kind == CALL_WAIT ? wait_timeout_us(command, args) : 0;
    dispatch_call(client, command, kind, buffer_bytes(&face->payload), NULL);
}

void dispatch(struct client *client, const struct args *args)
{
    pubsub_deliver(client->face);
    dispatch_one(client, args);
    if (client->again) return;
    client->reply_skip = client->reply_skip_next;
    client->reply_skip_next = false;
}
