/* SPDX-License-Identifier: Apache-2.0 */
/* MONITOR: each command that is run, as a line to whoever asked for it. Administrators' commands
 * are left out, as in Redis, and secrets are never shown; the slow log uses the same view. */
#include <inttypes.h>
#include <string.h>

#include "face/redis/internal.h"
#include "face/redis/observe.h"

/* HELLO 3 AUTH user password: both are hidden, as in AUTH. */
static bool hello_is_secret(const struct args *args, size_t i)
{
    bool first = i >= 3 && bytes_is_word(args->at[i - 1], "auth");
    bool second = i >= 4 && bytes_is_word(args->at[i - 2], "auth");
    return first || second;
}

static bool is_secret(const struct command *command, const struct args *args, size_t i)
{
    if (command->id == COMMAND_AUTH) return i >= 1;
    if (command->id == COMMAND_HELLO) return hello_is_secret(args, i);
    if (command->id == COMMAND_CONFIG_SET) {
        return i >= 3 && i % 2 == 1 && config_is_secret(args->at[i - 1]);
    }
    return false;
}

struct bytes command_word_shown(const struct command *command, const struct args *args, size_t i)
{
    return is_secret(command, args, i) ? bytes_text("(redacted)") : args->at[i];
}

bool monitor_active(const struct client *client)
{
    return client->monitoring.next != &client->monitoring;
}

void monitor_end(struct client *client)
{
    list_remove(&client->monitoring);
}

void face_MONITOR(struct client *client, const struct args *args)
{
    (void)args;
    if (client->face->in_exec) {
        answer_error(client, "ERR MONITOR isn't allowed for DENY BLOCKING client");
        return;
    }
    if (!monitor_active(client)) list_append(&client->face->monitors, &client->monitoring);
    answer_ok(client);
}

static void put_byte(struct buffer *out, uint8_t byte)
{
    static const char escapes[] = "\nn\rr\tt\aa\bb\"\"\\\\";
    const char *at = byte == 0 ? NULL : strchr(escapes, byte);
    if (at != NULL && (at - escapes) % 2 == 0) {
        buffer_append_byte(out, '\\');
        buffer_append_byte(out, (uint8_t)at[1]);
    } else if (byte >= ' ' && byte <= '~') {
        buffer_append_byte(out, byte);
    } else {
        buffer_append_format(out, "\\x%02x", byte);
    }
}

static void put_word(struct buffer *out, struct bytes word)
{
    size_t shown = word.size < MONITOR_WORD_BYTES_MAX ? word.size : MONITOR_WORD_BYTES_MAX;
    buffer_append_text(out, " \"");
    for (size_t i = 0; i < shown; i++) put_byte(out, word.data[i]);
    if (shown < word.size) buffer_append_format(out, "... (%zu more bytes)", word.size - shown);
    buffer_append_byte(out, '"');
}

void monitor_feed(struct client *client, const struct command *command, const struct args *args)
{
    struct redis_face *face = client->face;
    if ((command->flags & (FLAG_ADMIN | FLAG_SKIP_MONITOR)) != 0) return;
    uint64_t now_ms = clock_wall_ms(face->options.clock);
    struct buffer line;
    buffer_init(&line);
    buffer_append_format(&line, "+%" PRIu64 ".%03" PRIu64 "000 [%u %s]", now_ms / 1000,
                         now_ms % 1000, client->database, client->peer);
    for (size_t i = 0; i < args->count; i++) put_word(&line, command_word_shown(command, args, i));
    buffer_append_text(&line, "\r\n");
    for (struct list *at = face->monitors.next; at != &face->monitors; at = at->next) {
        struct client *one = CONTAINER_OF(at, struct client, monitoring);
        if (one->dead || one->closing) continue;
        (void)client_push(one); /* keeps to its limit */
        resp_writer_put(&one->writer, buffer_bytes(&line));
        client_touch(one);
    }
    buffer_release(&line);
}
