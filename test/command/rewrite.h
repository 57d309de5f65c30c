/* SPDX-License-Identifier: Apache-2.0 */
/* rewrite: reads a payload to its end and writes what it meant again. There is one encoding of each
 * meaning, so an accepted payload comes back byte for byte. Shared by the tests and the fuzz
 * target. */
#ifndef TEST_COMMAND_REWRITE_H
#define TEST_COMMAND_REWRITE_H

#include "base/must.h"
#include "command/command.h"
#include "seam/copies.h"
#include "seam/entry.h"
#include "seam/followed.h"

static inline enum err rewrite_command(struct payload_reader *reader, struct args *args,
                                       struct buffer *out)
{
    size_t at = out->size;
    uint8_t database;
    const struct command *command;
    enum err err = payload_next_command(reader, &database, &command, args);
    if (err != ERR_OK) return err;
    payload_put_command(out, database, command, args);
    out->data[at] = reader->kind; /* one form for both kinds */
    return ERR_OK;
}

static inline enum err rewrite_transaction(struct payload_reader *reader, struct args *args,
                                           struct buffer *out)
{
    struct payload_transaction transaction;
    payload_begin_transaction(&transaction, out);
    while (reader->watches > 0) {
        struct watched watched;
        enum err err = payload_next_watch(reader, &watched);
        if (err != ERR_OK) return err;
        payload_add_watch(&transaction, &watched);
    }
    while (reader->commands > 0) {
        uint8_t database;
        const struct command *command;
        enum err err = payload_next_command(reader, &database, &command, args);
        if (err != ERR_OK) return err;
        payload_add_command(&transaction, database, command, args);
    }
    return ERR_OK;
}

static inline enum err rewrite_followed(struct bytes payload, struct payload_reader *reader,
                                        struct args *args, struct buffer *out)
{
    struct payload_transaction transaction;
    struct followed place;
    enum err err = entry_take_followed(payload, &place);
    if (err != ERR_OK) return err;
    payload_begin_transaction(&transaction, out);
    while (reader->commands > 0) {
        uint8_t database;
        const struct command *command;
        err = payload_next_command(reader, &database, &command, args);
        if (err != ERR_OK) return err;
        payload_add_command(&transaction, database, command, args);
    }
    entry_make_followed(out, &place);
    return ERR_OK;
}

static inline enum err rewrite_expire(struct payload_reader *reader, struct buffer *out)
{
    uint8_t database;
    struct bytes key;
    enum err err = payload_expire(reader, &database, &key);
    if (err != ERR_OK) return err;
    payload_put_expire(out, database, key);
    return ERR_OK;
}

static inline enum err rewrite_stream(struct payload_reader *reader, struct buffer *out)
{
    enum stream_word word;
    struct published published;
    enum err err = payload_stream(reader, &word, &published);
    if (err != ERR_OK) return err;
    bool publishes = word == STREAM_PUBLISH || word == STREAM_SPUBLISH;
    payload_put_stream(out, word, publishes ? &published : NULL);
    return ERR_OK;
}

static inline enum err rewrite_members(struct bytes payload, struct buffer *out)
{
    struct members members;
    enum err err = payload_members(payload, &members);
    if (err == ERR_OK) payload_put_members(out, &members);
    return err;
}

static inline enum err rewrite_stamp(struct bytes payload, struct buffer *out)
{
    struct stamped stamped;
    enum err err = entry_take_stamp(payload, &stamped);
    if (err == ERR_OK) entry_put_stamp(out, &stamped);
    return err;
}

static inline enum err rewrite_verify(struct bytes payload, struct buffer *out)
{
    struct verify_point point;
    enum err err = entry_take_verify(payload, &point);
    if (err == ERR_OK) entry_put_verify(out, &point);
    return err;
}

/* Appends the payload to *out as it was understood; *args is scratch. */
static inline enum err rewrite_payload(struct bytes payload, struct args *args, struct buffer *out)
{
    struct payload_reader reader;
    enum err err = payload_read(&reader, payload);
    if (err != ERR_OK) return err;
    switch ((enum entry_kind)reader.kind) {
    case ENTRY_EPOCH: payload_put_epoch(out); return ERR_OK;
    case ENTRY_NOOP: payload_put_noop(out); return ERR_OK;
    case ENTRY_EXPIRE: return rewrite_expire(&reader, out);
    case ENTRY_STREAM: return rewrite_stream(&reader, out);
    case ENTRY_MEMBERS: return rewrite_members(payload, out);
    case ENTRY_STAMP: return rewrite_stamp(payload, out);
    case ENTRY_VERIFY: return rewrite_verify(payload, out);
    case ENTRY_COMMAND:
    case ENTRY_SERVE: return rewrite_command(&reader, args, out);
    case ENTRY_TRANSACTION: return rewrite_transaction(&reader, args, out);
    case ENTRY_FOLLOWED: return rewrite_followed(payload, &reader, args, out);
    }
    MUST(false); /* payload_read lets no other kind through */
    return ERR_CORRUPT;
}

#endif
