/* SPDX-License-Identifier: Apache-2.0 */
/* command: what a client can ask. One table, a row a command; and the codec of an entry's payload.
 *
 * The table (commands.def) drives dispatch, arity and flags, key positions, COMMAND DOCS, INFO's
 * statistics and the tests. Ids are on disk: append only. Knows nothing of connections or data. */
#ifndef COMMAND_COMMAND_H
#define COMMAND_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/err.h"
#include "base/must.h"

struct members; /* seam/copies.h */
#define COMMAND(id, number, ...) COMMAND_##id = (number),
enum command_id {
    COMMAND_NONE = 0,
#include "command/commands.def"
};
#undef COMMAND

/* Who answers it. */
enum command_place {
    PLACE_STATE, /* evaluated by the keys machine: state/ has eval_<id> */
    PLACE_FACE,  /* answered by the connection's face: face/redis has face_<id> */
};

/* As COMMAND INFO shows them. */
enum command_flag {
    FLAG_WRITE = 1 << 0,
    FLAG_READONLY = 1 << 1,
    FLAG_DENYOOM = 1 << 2,
    FLAG_ADMIN = 1 << 3,
    FLAG_PUBSUB = 1 << 4,
    FLAG_NOSCRIPT = 1 << 5,
    FLAG_BLOCKING = 1 << 6, /* may wait for one of its keys: CALL_WAIT */
    FLAG_LOADING = 1 << 7,
    FLAG_STALE = 1 << 8,
    FLAG_FAST = 1 << 9,
    FLAG_NO_AUTH = 1 << 10,
    FLAG_NO_MULTI = 1 << 11,
    FLAG_MOVABLEKEYS = 1 << 12,
    FLAG_SKIP_MONITOR = 1 << 13,
    FLAG_PROTECTED = 1 << 14,
    FLAG_INTERNAL = 1 << 15, /* no client can name it */
    FLAG_MAY_FILL = 1 << 16, /* may put elements where a blocked client waits */
    FLAG_SKIP_SLOWLOG = 1 << 17,
    FLAG_NO_ASYNC_LOADING = 1 << 18,
    FLAG_ALLOW_BUSY = 1 << 19,
};

/* A row. `name` is lower case; a subcommand's is "client|list" and `parent` its container's id. */
struct command {
    enum command_id id;
    enum command_id parent;
    const char *name;
    int arity; /* including the name(s); negative: at least that many */
    enum command_place place;
    uint32_t flags;
    int first_key, last_key, key_step; /* 0, 0, 0: none, or FLAG_MOVABLEKEYS */
    const char *group;                 /* "string", as COMMAND DOCS says it */
    const char *categories; /* ACL categories beside those that follow from flags: "@hash @fast" */
    const char *since;
    const char *summary;
};

/* By name, any case; NULL: there is none. A subcommand is looked up by the second word. */
const struct command *command_find(struct bytes name);
const struct command *command_find_sub(const struct command *parent, struct bytes name);
/* The same for "client" and "client|list" in one word, as COMMAND INFO takes them. */
const struct command *command_find_path(struct bytes path);
const struct command *command_by_id(unsigned id); /* NULL: there is none */
/* Rows in the order of their numbers: i from 0 while not NULL. */
const struct command *command_at(size_t i);
bool command_arity_fits(const struct command *command, size_t argc);

/* What COMMAND INFO shows of a row, in Redis's words and order: flags ("readonly"), and ACL
 * categories with those that follow from flags ("@read"). Returns how many. */
enum { COMMAND_WORDS_MAX = 24 };
size_t command_flag_words(const struct command *command, const char *out[COMMAND_WORDS_MAX]);
size_t command_category_words(const struct command *command, const char *out[COMMAND_WORDS_MAX]);
/* All categories ("@keyspace"), in the order of ACL CAT; NULL past the end. */
const char *command_category_at(size_t i);
bool command_is_in_category(const struct command *command, const char *category);

/* A command's words; at[0] is its name. Caller's storage: args_init, args_release. */
struct args {
    struct bytes *at;
    size_t count, capacity;
};
void args_init(struct args *args);
void args_release(struct args *args);
void args_clear(struct args *args);
void args_push(struct args *args, struct bytes word); /* borrows the bytes */

/* Whether it may put elements where a client waits: at the first key that it names, or at the
 * others. */
bool command_fills(const struct command *command, const struct args *args, bool first);
bool command_has_keys(const struct command *command); /* whether its words can name keys at all */
/* The positions (indexes into args) of the keys that the command names, into `out` (caller's, room
 * for args->count), in the order of COMMAND GETKEYS. ERR_PROTOCOL: the words make no sense (arity,
 * numkeys and the like), *count is 0 then. */
MUST_USE enum err command_keys(const struct command *command, const struct args *args, size_t *out,
                               size_t *count);
/* What it does to the first of them, or to each of the others, in the words of COMMAND
 * GETKEYSANDFLAGS ("RW", "access", "delete"). Returns how many words. */
size_t command_use_words(const struct command *command, const struct args *args, bool first,
                         const char *out[COMMAND_WORDS_MAX]);

/* --- Payloads (docs/formats/payload.md). All integers little-endian. ---
 * Encoders append to `out` and copy; what they are given was checked: a PLACE_STATE row, its arity,
 * the database. Decoders borrow from `payload` and believe nothing. */
enum { PAYLOAD_DATABASES_MAX = 16, PAYLOAD_MEMBERS_BYTES_MAX = 8340 };

void payload_put_command(struct buffer *out, uint8_t database, const struct command *command,
                         const struct args *args);
void payload_put_expire(struct buffer *out, uint8_t database, struct bytes key);
void payload_put_epoch(struct buffer *out);
void payload_put_noop(struct buffer *out);
/* min_in_sync is 1 to COPIES_MAX, ids are not 0, each once; an odd address becomes "not known". */
void payload_put_members(struct buffer *out, const struct members *members);

/* A word to the stream of effects (docs/formats/effects.md). While the stream is off nothing comes
 * of any of them but STREAM_ON. On disk: append only. */
enum stream_word {
    STREAM_OFF = 0,
    STREAM_ON = 1,
    STREAM_PING = 2,
    STREAM_GETACK = 3,
    STREAM_PUBLISH = 4,
    STREAM_SPUBLISH = 5,
};
struct published {
    uint8_t database; /* that its client had selected */
    struct bytes channel, message;
};
/* `published` with STREAM_PUBLISH and STREAM_SPUBLISH; NULL with the others. */
void payload_put_stream(struct buffer *out, enum stream_word word,
                        const struct published *published);

/* What a client saw of a key when it began to watch it. */
struct watched {
    uint8_t database;
    bool present;
    uint64_t version_lsn, changed_lsn; /* of the key, when present */
    uint32_t version_ordinal;
    struct bytes key;
};

/* A transaction is begun, given its watches, then its commands; in this order. */
struct payload_transaction {
    struct buffer *out;
    size_t counts; /* where they stand in `out` */
    uint32_t watches, commands;
};
void payload_begin_transaction(struct payload_transaction *transaction, struct buffer *out);
void payload_add_watch(struct payload_transaction *transaction, const struct watched *watched);
void payload_add_command(struct payload_transaction *transaction, uint8_t database,
                         const struct command *command, const struct args *args);

/* A further attempt of the blocking command in `payload` (ENTRY_COMMAND): of the keys that it waits
 * for, it names `key` alone. A move is tried as it stands: it waits for its source only. */
void payload_put_serve(struct buffer *out, struct bytes payload, struct bytes key,
                       struct args *scratch);

/* Reads any payload: one command at a time for ENTRY_COMMAND, ENTRY_TRANSACTION, ENTRY_FOLLOWED. */
struct payload_reader {
    struct bytes rest;
    uint8_t kind;               /* enum entry_kind */
    uint32_t watches, commands; /* still to come */
};
/* ERR_CORRUPT: not a payload of this format. */
MUST_USE enum err payload_read(struct payload_reader *reader, struct bytes payload);
MUST_USE enum err payload_next_watch(struct payload_reader *reader, struct watched *out);
/* *args is cleared and filled; args->at[0] is the table's name of the command. */
MUST_USE enum err payload_next_command(struct payload_reader *reader, uint8_t *database,
                                       const struct command **command, struct args *args);
/* Of the whole payload of ENTRY_MEMBERS; *out holds nothing on ERR_CORRUPT. */
MUST_USE enum err payload_members(struct bytes payload, struct members *out);
/* For ENTRY_EXPIRE. */
MUST_USE enum err payload_expire(struct payload_reader *reader, uint8_t *database,
                                 struct bytes *key);
/* For ENTRY_STREAM; *published is filled with the words that have one. */
MUST_USE enum err payload_stream(struct payload_reader *reader, enum stream_word *word,
                                 struct published *published);

/* Calls `visit` with each key that a write payload names, for waiters and watches of absent keys:
 * what can only take keys away that stand there (ENTRY_EXPIRE, FLUSHDB, FLUSHALL) names none, since
 * the version of a present key tells of it. SWAPDB reports `everything`. Malformed payloads visit
 * nothing. */
struct payload_visit {
    void (*key)(struct payload_visit *visit, uint8_t database, struct bytes key);
    bool fills;      /* while in key(): there may be elements now where a client waits */
    bool everything; /* out: any key may be there now */
};
void payload_visit_keys(struct bytes payload, struct args *scratch, struct payload_visit *visit);

#endif
