/* SPDX-License-Identifier: Apache-2.0 */
/* payload: what an entry of a keys log carries. The format, docs/formats/payload.md:
 *
 *     payload      kind u8, body
 *       EPOCH, NOOP    body empty
 *       COMMAND, SERVE one command; SERVE: a further attempt of it, at one of its keys
 *       TRANSACTION    watches le32, commands le32, then so many of each, watches first
 *       EXPIRE         database u8, then the key up to the end
 *       STREAM         word u8; PUBLISH, SPUBLISH: database u8, channel, message
 *       MEMBERS        members.c
 *       FOLLOWED       as TRANSACTION, without watches; then a place (seam/followed.h)
 *     command      database u8, number le16, words le32, then so many words; the name is not among
 * them word         length le32, bytes watch        database u8, present u8, version lsn le64,
 * version ordinal le32, changed lsn le64, word
 *
 * There is one encoding of each payload: absent keys have zeros for versions, and nothing follows
 * the end. So equal meanings are equal bytes, and what a reader accepts it would write again.
 *
 * Writers are called with commands that admission has checked: theirs are programmer's errors.
 * Readers get bytes from disks and peers: every length is compared with what is left before it is
 * used, and a count is believed only as far as the bytes that are there can hold so many. */
#include "command/command.h"

#include "base/must.h"
#include "command/keys.h"
#include "seam/entry.h"

enum {
    WORD_BYTES_MIN = 4,    /* a length */
    COMMAND_BYTES_MIN = 7, /* database, number, words */
    WATCH_BYTES_MIN = 26,  /* database, present, three versions, an empty key */
    TRANSACTION_BYTES = 9, /* kind, watches, commands */
};

/* --- Writing --- */

static inline uint8_t *put_word(uint8_t *at, struct bytes word)
{
    store_le32(at, (uint32_t)word.size);
    if (word.size > 0) memcpy(at + WORD_BYTES_MIN, word.data, word.size);
    return at + WORD_BYTES_MIN + word.size;
}

/* Bytes of the words after the name; no word may be longer than its length field can say. */
static inline size_t words_bytes(const struct args *args)
{
    size_t total = 0;
    for (size_t i = 1; i < args->count; i++) {
        MUST(args->at[i].size <= UINT32_MAX);
        total += WORD_BYTES_MIN + args->at[i].size;
    }
    return total;
}

static inline uint8_t *put_command(uint8_t *at, uint8_t database, const struct command *command,
                                   const struct args *args)
{
    MUST(command->place == PLACE_STATE);
    MUST(database < PAYLOAD_DATABASES_MAX);
    MUST(command_arity_fits(command, args->count) && args->count <= UINT32_MAX);
    at[0] = database;
    store_le16(at + 1, (uint16_t)command->id);
    store_le32(at + 3, (uint32_t)(args->count - 1));
    at += COMMAND_BYTES_MIN;
    for (size_t i = 1; i < args->count; i++) at = put_word(at, args->at[i]);
    return at;
}

void payload_put_command(struct buffer *out, uint8_t database, const struct command *command,
                         const struct args *args)
{
    uint8_t *at = buffer_reserve(out, 1 + COMMAND_BYTES_MIN + words_bytes(args));
    *at = ENTRY_COMMAND;
    at = put_command(at + 1, database, command, args);
    out->size = (size_t)(at - out->data);
}

void payload_put_serve(struct buffer *out, struct bytes payload, struct bytes key,
                       struct args *scratch)
{
    struct payload_reader reader;
    struct key_ranges keys;
    uint8_t database;
    const struct command *command;
    enum err err = payload_read(&reader, payload);
    if (err == ERR_OK) err = payload_next_command(&reader, &database, &command, scratch);
    if (err == ERR_OK) err = keys_find(command, scratch, &keys);
    MUST(err == ERR_OK && (command->flags & FLAG_BLOCKING) != 0 && keys.count == 1);
    const struct key_range *range = &keys.at[0];
    bool moves = (command->flags & FLAG_MAY_FILL) != 0;
    if (!moves) {
        size_t behind = scratch->count - range->last - 1;
        scratch->at[range->first] = key;
        memmove(&scratch->at[range->first + 1], &scratch->at[range->last + 1],
                behind * sizeof *scratch->at);
        scratch->count = range->first + 1 + behind;
        if (range->first > 1) scratch->at[range->first - 1] = bytes_text("1"); /* counts them */
    }
    size_t start = out->size;
    payload_put_command(out, database, command, scratch);
    out->data[start] = ENTRY_SERVE;
}

void payload_put_expire(struct buffer *out, uint8_t database, struct bytes key)
{
    MUST(database < PAYLOAD_DATABASES_MAX);
    uint8_t *at = buffer_reserve(out, 2 + key.size);
    at[0] = ENTRY_EXPIRE;
    at[1] = database;
    if (key.size > 0) memcpy(at + 2, key.data, key.size);
    out->size += 2 + key.size;
}

void payload_put_epoch(struct buffer *out)
{
    buffer_append_byte(out, ENTRY_EPOCH);
}

void payload_put_noop(struct buffer *out)
{
    buffer_append_byte(out, ENTRY_NOOP);
}

static bool is_published(enum stream_word word)
{
    return word == STREAM_PUBLISH || word == STREAM_SPUBLISH;
}

void payload_put_stream(struct buffer *out, enum stream_word word,
                        const struct published *published)
{
    MUST(is_published(word) == (published != NULL));
    buffer_append_byte(out, ENTRY_STREAM);
    buffer_append_byte(out, (uint8_t)word);
    if (published == NULL) return;
    MUST(published->database < PAYLOAD_DATABASES_MAX);
    MUST(published->channel.size <= UINT32_MAX && published->message.size <= UINT32_MAX);
    size_t size = 1 + 2 * WORD_BYTES_MIN + published->channel.size + published->message.size;
    uint8_t *at = buffer_reserve(out, size);
    *at = published->database;
    at = put_word(at + 1, published->channel);
    (void)put_word(at, published->message);
    out->size += size;
}

void payload_begin_transaction(struct payload_transaction *transaction, struct buffer *out)
{
    uint8_t *at = buffer_reserve(out, TRANSACTION_BYTES);
    memset(at, 0, TRANSACTION_BYTES);
    *at = ENTRY_TRANSACTION;
    *transaction = (struct payload_transaction){.out = out, .counts = out->size + 1};
    out->size += TRANSACTION_BYTES;
}

/* The counts are kept right after each step, so that the payload is whole at any time. */
static void put_counts(const struct payload_transaction *transaction)
{
    uint8_t *at = transaction->out->data + transaction->counts;
    store_le32(at, transaction->watches);
    store_le32(at + 4, transaction->commands);
}

void payload_add_watch(struct payload_transaction *transaction, const struct watched *watched)
{
    MUST(transaction->commands == 0); /* watches stand first */
    MUST(watched->database < PAYLOAD_DATABASES_MAX);
    MUST(watched->key.size <= UINT32_MAX && transaction->watches < UINT32_MAX);
    struct buffer *out = transaction->out;
    uint8_t *at = buffer_reserve(out, WATCH_BYTES_MIN + watched->key.size);
    bool present = watched->present;
    at[0] = watched->database;
    at[1] = present ? 1 : 0;
    store_le64(at + 2, present ? watched->version_lsn : 0);
    store_le32(at + 10, present ? watched->version_ordinal : 0);
    store_le64(at + 14, present ? watched->changed_lsn : 0);
    at = put_word(at + 22, watched->key);
    out->size = (size_t)(at - out->data);
    transaction->watches++;
    put_counts(transaction);
}

void payload_add_command(struct payload_transaction *transaction, uint8_t database,
                         const struct command *command, const struct args *args)
{
    MUST(transaction->commands < UINT32_MAX);
    struct buffer *out = transaction->out;
    uint8_t *at = buffer_reserve(out, COMMAND_BYTES_MIN + words_bytes(args));
    at = put_command(at, database, command, args);
    out->size = (size_t)(at - out->data);
    transaction->commands++;
    put_counts(transaction);
}

/* --- Reading --- */

static inline void skip(struct bytes *rest, size_t count)
{
    rest->data += count;
    rest->size -= count;
}

static inline bool take_word(struct bytes *rest, struct bytes *out)
{
    if (rest->size < WORD_BYTES_MIN) return false;
    size_t size = load_le32(rest->data);
    if (size > rest->size - WORD_BYTES_MIN) return false;
    *out = bytes_of(rest->data + WORD_BYTES_MIN, size);
    skip(rest, WORD_BYTES_MIN + size);
    return true;
}

/* After the last part of a payload nothing may follow. */
static inline enum err reader_end(const struct payload_reader *reader)
{
    if (reader->watches == 0 && reader->commands == 0 && reader->rest.size > 0) return ERR_CORRUPT;
    return ERR_OK;
}

static enum err read_counts(struct payload_reader *reader)
{
    if (reader->rest.size < TRANSACTION_BYTES - 1) return ERR_CORRUPT;
    reader->watches = load_le32(reader->rest.data);
    reader->commands = load_le32(reader->rest.data + 4);
    skip(&reader->rest, TRANSACTION_BYTES - 1);
    uint64_t least = (uint64_t)reader->watches * WATCH_BYTES_MIN +
                     (uint64_t)reader->commands * COMMAND_BYTES_MIN;
    if (least > reader->rest.size) return ERR_CORRUPT;
    return reader_end(reader);
}

/* The place at its end is for entry_take_followed() to give. */
static enum err read_followed(struct payload_reader *reader, struct bytes payload)
{
    struct followed place;
    enum err err = entry_take_followed(payload, &place);
    if (err != ERR_OK) return err;
    reader->rest.size -= FOLLOWED_BYTES;
    err = read_counts(reader);
    return err == ERR_OK && reader->watches > 0 ? ERR_CORRUPT : err;
}

enum err payload_read(struct payload_reader *reader, struct bytes payload)
{
    *reader = (struct payload_reader){.rest = payload};
    if (payload.size == 0) return ERR_CORRUPT;
    reader->kind = payload.data[0];
    skip(&reader->rest, 1);
    switch (reader->kind) {
    case ENTRY_EPOCH:
    case ENTRY_NOOP: return reader_end(reader);
    case ENTRY_COMMAND:
    case ENTRY_SERVE:
        reader->commands = 1;
        return reader->rest.size < COMMAND_BYTES_MIN ? ERR_CORRUPT : ERR_OK;
    case ENTRY_TRANSACTION: return read_counts(reader);
    case ENTRY_EXPIRE:
        return reader->rest.size < 1 || reader->rest.data[0] >= PAYLOAD_DATABASES_MAX ? ERR_CORRUPT
                                                                                      : ERR_OK;
    case ENTRY_STREAM: return reader->rest.size < 1 ? ERR_CORRUPT : ERR_OK;
    case ENTRY_MEMBERS: return ERR_OK; /* payload_members() reads it */
    case ENTRY_STAMP: return entry_take_stamp(payload, &(struct stamped){0});
    case ENTRY_VERIFY: return entry_take_verify(payload, &(struct verify_point){0});
    case ENTRY_FOLLOWED: return read_followed(reader, payload);
    default: return ERR_CORRUPT;
    }
}

enum err payload_next_watch(struct payload_reader *reader, struct watched *out)
{
    MUST(reader->watches > 0);
    if (reader->rest.size < WATCH_BYTES_MIN) return ERR_CORRUPT;
    const uint8_t *at = reader->rest.data;
    *out = (struct watched){
        .database = at[0],
        .present = at[1] == 1,
        .version_lsn = load_le64(at + 2),
        .version_ordinal = load_le32(at + 10),
        .changed_lsn = load_le64(at + 14),
    };
    if (out->database >= PAYLOAD_DATABASES_MAX || at[1] > 1) return ERR_CORRUPT;
    if (!out->present && (out->version_lsn | out->version_ordinal | out->changed_lsn) != 0)
        return ERR_CORRUPT;
    skip(&reader->rest, WATCH_BYTES_MIN - WORD_BYTES_MIN);
    if (!take_word(&reader->rest, &out->key)) return ERR_CORRUPT;
    reader->watches--;
    return reader_end(reader);
}

/* Fills *args with the name and `words` words. */
static enum err take_words(struct payload_reader *reader, uint32_t words,
                           const struct command *command, struct args *args)
{
    args_reserve(args, (size_t)words + 1);
    args->at[0] = bytes_text(command->name);
    struct bytes rest = reader->rest;
    for (uint32_t i = 1; i <= words; i++) {
        if (!take_word(&rest, &args->at[i])) return ERR_CORRUPT;
    }
    args->count = (size_t)words + 1;
    reader->rest = rest;
    return ERR_OK;
}

enum err payload_next_command(struct payload_reader *reader, uint8_t *database,
                              const struct command **command, struct args *args)
{
    MUST(reader->watches == 0 && reader->commands > 0);
    args_clear(args);
    if (reader->rest.size < COMMAND_BYTES_MIN) return ERR_CORRUPT;
    const uint8_t *at = reader->rest.data;
    *database = at[0];
    *command = command_by_id(load_le16(at + 1));
    uint32_t words = load_le32(at + 3);
    skip(&reader->rest, COMMAND_BYTES_MIN);
    if (*command == NULL || (*command)->place != PLACE_STATE) return ERR_CORRUPT;
    if (*database >= PAYLOAD_DATABASES_MAX || words > reader->rest.size / WORD_BYTES_MIN)
        return ERR_CORRUPT;
    if (!command_arity_fits(*command, (size_t)words + 1)) return ERR_CORRUPT;
    enum err err = take_words(reader, words, *command, args);
    if (err != ERR_OK) return err;
    reader->commands--;
    return reader_end(reader);
}

enum err payload_expire(struct payload_reader *reader, uint8_t *database, struct bytes *key)
{
    MUST(reader->kind == ENTRY_EXPIRE);
    if (reader->rest.size < 1) return ERR_CORRUPT;
    *database = reader->rest.data[0];
    skip(&reader->rest, 1);
    *key = reader->rest;
    skip(&reader->rest, reader->rest.size);
    return ERR_OK;
}

enum err payload_stream(struct payload_reader *reader, enum stream_word *word,
                        struct published *published)
{
    MUST(reader->kind == ENTRY_STREAM);
    struct bytes rest = reader->rest;
    if (rest.size < 1 || rest.data[0] > STREAM_SPUBLISH) return ERR_CORRUPT;
    *word = (enum stream_word)rest.data[0];
    *published = (struct published){.database = 0};
    skip(&rest, 1);
    if (is_published(*word)) {
        if (rest.size < 1 || rest.data[0] >= PAYLOAD_DATABASES_MAX) return ERR_CORRUPT;
        published->database = rest.data[0];
        skip(&rest, 1);
        if (!take_word(&rest, &published->channel)) return ERR_CORRUPT;
        if (!take_word(&rest, &published->message)) return ERR_CORRUPT;
    }
    reader->rest = rest;
    return rest.size > 0 ? ERR_CORRUPT : ERR_OK;
}
