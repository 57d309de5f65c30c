/* SPDX-License-Identifier: Apache-2.0 */
/* The slow log: the newest commands that took long, kept in memory.
 *
 * A command's time is from its reading to its answer; for a write that includes the wait for the
 * disk. What blocking commands wait for does not count. A call in flight keeps only the start of
 * its payload, so of a long command the words behind that are not shown. */
#include <string.h>

#include "base/memory.h"
#include "base/number.h"
#include "face/redis/internal.h"
#include "face/redis/observe.h"
#include "seam/entry.h"

struct slow_entry {
    struct list link; /* in slowlog->entries, newest first */
    uint64_t id, at_s, us;
    uint32_t words_count;
    struct buffer words; /* le32 length, bytes; repeated */
    char peer[NET_ADDRESS_TEXT_BYTES];
    char name[REDIS_NAME_BYTES_MAX];
};

struct slowlog {
    struct list entries;
    uint64_t count, next_id;
};

void slowlog_open(struct redis_face *face)
{
    face->slowlog = memory_zeroed(1, sizeof *face->slowlog);
    list_init(&face->slowlog->entries);
}

static void slowlog_cut(struct slowlog *slowlog, uint64_t keep)
{
    while (slowlog->count > keep) {
        struct slow_entry *oldest = CONTAINER_OF(slowlog->entries.previous, struct slow_entry,
                                                 link);
        list_remove(&oldest->link);
        buffer_release(&oldest->words);
        memory_free(oldest);
        slowlog->count--;
    }
}

void slowlog_close(struct redis_face *face)
{
    slowlog_cut(face->slowlog, 0);
    memory_free(face->slowlog);
    face->slowlog = NULL;
}

bool slowlog_is_on(const struct redis_face *face)
{
    return config_int(face->options.config, CONFIG_SLOWLOG_LOG_SLOWER_THAN) >= 0;
}

static bool is_slow(const struct redis_face *face, uint64_t us)
{
    int64_t threshold = config_int(face->options.config, CONFIG_SLOWLOG_LOG_SLOWER_THAN);
    return threshold >= 0 && us >= (uint64_t)threshold;
}

static void put_text(struct slow_entry *entry, struct bytes text, size_t more)
{
    char note[64];
    int size = more == 0 ? 0 : snprintf(note, sizeof note, "... (%zu more bytes)", more);
    buffer_append_le32(&entry->words, (uint32_t)(text.size + (size_t)size));
    buffer_append(&entry->words, text);
    buffer_append(&entry->words, bytes_of(note, (size_t)size));
    entry->words_count++;
}

static void put_word(struct slow_entry *entry, struct bytes word, size_t whole)
{
    size_t shown = word.size < SLOWLOG_WORD_BYTES_MAX ? word.size : SLOWLOG_WORD_BYTES_MAX;
    put_text(entry, bytes_of(word.data, shown), whole - shown);
}

static void put_rest(struct slow_entry *entry, size_t words)
{
    char note[64];
    int size = snprintf(note, sizeof note, "... (%zu more arguments)", words);
    put_text(entry, bytes_of(note, (size_t)size), 0);
}

/* The name as a client sends it: of "config|get" the first part, since the second is a word too. */
static void put_name(struct slow_entry *entry, const struct command *command)
{
    const char *bar = strchr(command->name, '|');
    size_t size = bar == NULL ? strlen(command->name) : (size_t)(bar - command->name);
    put_text(entry, bytes_of(command->name, size), 0);
}

static struct slow_entry *entry_begin(const struct client *client, uint64_t us)
{
    const struct redis_face *face = client->face;
    struct slowlog *slowlog = face->slowlog;
    struct slow_entry *entry = memory_zeroed(1, sizeof *entry);
    entry->id = slowlog->next_id++;
    entry->at_s = clock_wall_ms(face->options.clock) / 1000;
    entry->us = us;
    buffer_init(&entry->words);
    memcpy(entry->peer, client->peer, sizeof entry->peer);
    memcpy(entry->name, client->name, sizeof entry->name);
    entry->link.next = slowlog->entries.next;
    entry->link.previous = &slowlog->entries;
    entry->link.next->previous = &entry->link;
    slowlog->entries.next = &entry->link;
    slowlog->count++;
    return entry;
}

static void entry_end(const struct client *client)
{
    const struct redis_face *face = client->face;
    slowlog_cut(face->slowlog, (uint64_t)config_int(face->options.config, CONFIG_SLOWLOG_MAX_LEN));
}

void slowlog_note(struct client *client, const struct command *command, const struct args *args,
                  uint64_t us)
{
    if (!is_slow(client->face, us)) return;
    struct slow_entry *entry = entry_begin(client, us);
    put_name(entry, command);
    size_t shown = args->count <= SLOWLOG_WORDS_MAX ? args->count : SLOWLOG_WORDS_MAX - 1;
    for (size_t i = 1; i < shown; i++) {
        struct bytes word = command_word_shown(command, args, i);
        put_word(entry, word, word.size);
    }
    if (shown < args->count) put_rest(entry, args->count - shown);
    entry_end(client);
}

/* The words of ENTRY_COMMAND (docs/formats/payload.md), as far as the payload's start has them. */
static void put_payload(struct slow_entry *entry, struct bytes start)
{
    enum { HEAD_BYTES = 8 };
    if (start.size < HEAD_BYTES || start.data[0] != ENTRY_COMMAND) return;
    size_t words = load_le32(start.data + 4), at = HEAD_BYTES, i = 0;
    size_t most = words + 1 <= SLOWLOG_WORDS_MAX ? words : SLOWLOG_WORDS_MAX - 2;
    for (; i < most && start.size - at >= 4; i++) {
        size_t whole = load_le32(start.data + at);
        size_t rest = start.size - at - 4;
        put_word(entry, bytes_of(start.data + at + 4, whole < rest ? whole : rest), whole);
        if (whole >= rest) {
            i++;
            break;
        }
        at += 4 + whole;
    }
    if (i < words) put_rest(entry, words - i);
}

void slowlog_note_call(const struct client_call *call, uint64_t us)
{
    if (call->call.kind == CALL_LOCAL || !is_slow(call->client->face, us)) return;
    struct slow_entry *entry = entry_begin(call->client, us);
    put_name(entry, call->command);
    put_payload(entry, buffer_bytes(&call->text));
    entry_end(call->client);
}

/* --- SLOWLOG --- */

static void answer_entry(struct reply *reply, const struct slow_entry *entry)
{
    reply->ops->array(reply, 6);
    reply->ops->integer(reply, (int64_t)entry->id);
    reply->ops->integer(reply, (int64_t)entry->at_s);
    reply->ops->integer(reply, (int64_t)entry->us);
    reply->ops->array(reply, entry->words_count);
    const uint8_t *at = entry->words.data;
    for (uint32_t i = 0; i < entry->words_count; i++) {
        uint32_t size = load_le32(at);
        reply->ops->bulk(reply, bytes_of(at + 4, size));
        at += 4 + size;
    }
    reply->ops->bulk(reply, bytes_text(entry->peer));
    reply->ops->bulk(reply, bytes_text(entry->name));
}

/* SLOWLOG GET [count]: -1 for all */
void face_SLOWLOG_GET(struct client *client, const struct args *args)
{
    const struct slowlog *slowlog = client->face->slowlog;
    struct reply *reply = client_reply(client);
    int64_t count = 10;
    if (args->count > 3) {
        answer_error(client, "ERR wrong number of arguments for 'slowlog|get' command");
        return;
    }
    if (args->count == 3 && (!number_parse_int64(args->at[2], &count) || count < -1)) {
        answer_error(client, "ERR count should be greater than or equal to -1");
        return;
    }
    uint64_t shown = slowlog->count;
    if (count >= 0 && (uint64_t)count < shown) shown = (uint64_t)count;
    reply->ops->array(reply, shown);
    const struct list *at = slowlog->entries.next;
    for (uint64_t i = 0; i < shown; i++, at = at->next) {
        answer_entry(reply, (const struct slow_entry *)(const void *)at);
    }
}

_Static_assert(offsetof(struct slow_entry, link) == 0, "the cast above relies on it");

void face_SLOWLOG_LEN(struct client *client, const struct args *args)
{
    (void)args;
    struct reply *reply = client_reply(client);
    reply->ops->integer(reply, (int64_t)client->face->slowlog->count);
}

void face_SLOWLOG_RESET(struct client *client, const struct args *args)
{
    (void)args;
    slowlog_cut(client->face->slowlog, 0);
    answer_ok(client);
}
