/* SPDX-License-Identifier: Apache-2.0 */
#include "rdb/reader.h"

#include <inttypes.h>

#include "base/memory.h"

enum { MODULE_NAME_BYTES = 9, DATABASES_MAX = 256 };

struct rdb_reader *rdb_reader_open(const struct rdb_reader_options *options)
{
    struct rdb_reader *reader = memory_zeroed(1, sizeof(*reader));
    reader->options = *options;
    crc_init(&reader->crc);
    return reader;
}

void rdb_reader_close(struct rdb_reader *reader)
{
    if (reader == NULL) return;
    buffer_release(&reader->held);
    buffer_release(&reader->name);
    buffer_release(&reader->first);
    buffer_release(&reader->second);
    memory_free(reader);
}

/* ---- What is no key -------------------------------------------------------------------------- */

static enum err read_head(struct rdb_reader *reader, struct cursor *cursor)
{
    const uint8_t *at;
    enum err err = cursor_take(cursor, RDB_HEAD_BYTES, &at);
    if (err != ERR_OK) return err;
    if (memcmp(at, "REDIS", 5) != 0)
        return why_fail(cursor->why, ERR_CORRUPT, "offset 0: no dump of Redis");
    unsigned version = 0;
    for (unsigned i = 5; i < RDB_HEAD_BYTES; i++) {
        if (at[i] < '0' || at[i] > '9')
            return why_fail(cursor->why, ERR_CORRUPT, "offset 5: the version is no number");
        version = version * 10 + (unsigned)(at[i] - '0');
    }
    if (version < RDB_VERSION_MIN || version > RDB_VERSION_MAX)
        return why_fail(cursor->why, ERR_REFUSED,
                        "version %u of the dump format; this server reads %d to %d", version,
                        RDB_VERSION_MIN, RDB_VERSION_MAX);
    reader->facts.version = version;
    reader->phase = READER_OPCODE;
    return ERR_OK;
}

static enum err read_field(struct rdb_reader *reader, struct cursor *cursor)
{
    struct rdb_field field;
    enum err err = cursor_string(cursor, &reader->first, &field.name);
    if (err == ERR_OK) err = cursor_string(cursor, &reader->second, &field.value);
    struct rdb_listener *listener = reader->options.listener;
    if (err != ERR_OK || listener == NULL) return err;
    err = listener->ops->field(listener, &field);
    MUST(err != ERR_PENDING);
    if (err == ERR_OK) return ERR_OK;
    return why_fail(cursor->why, err, "offset %" PRIu64 ": a field is refused (%s)", cursor->offset,
                    err_name(err));
}

/* A time of -1 is none; other times before 1970 are long past, but not 0, which means never. */
static enum err read_expiry(struct rdb_reader *reader, struct cursor *cursor, bool seconds)
{
    const uint8_t *at;
    enum err err = cursor_take(cursor, seconds ? 4 : 8, &at);
    if (err != ERR_OK) return err;
    int64_t ms = seconds ? (int64_t)(int32_t)load_le32(at) * 1000 : (int64_t)load_le64(at);
    reader->key.expires_ms = ms == -1 ? 0 : ms < 1 ? 1 : (uint64_t)ms;
    return ERR_OK;
}

static enum err read_database(struct rdb_reader *reader, struct cursor *cursor)
{
    uint64_t database;
    enum err err = cursor_length(cursor, &database);
    if (err != ERR_OK) return err;
    if (database >= DATABASES_MAX)
        return why_fail(cursor->why, ERR_LIMIT, "offset %" PRIu64 ": database %" PRIu64,
                        cursor->offset, database);
    reader->key.database = (uint8_t)database;
    return ERR_OK;
}

/* A module is named by nine letters of six bits and a version of ten. */
static enum err refuse_module_field(struct cursor *cursor)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t id;
    enum err err = cursor_length(cursor, &id);
    if (err != ERR_OK) return err;
    char name[MODULE_NAME_BYTES + 1] = {0};
    for (unsigned i = 0; i < MODULE_NAME_BYTES; i++) name[i] = letters[id >> (58 - 6 * i) & 63];
    return why_fail(cursor->why, ERR_REFUSED,
                    "offset %" PRIu64 ": data of module %s (RDB opcode 247) is not supported",
                    cursor->offset, name);
}

static enum err pass_over_lengths(struct cursor *cursor, unsigned count)
{
    enum err err = ERR_OK;
    uint64_t length;
    for (; err == ERR_OK && count > 0; count--) err = cursor_length(cursor, &length);
    return err;
}

static enum err read_opcode(struct rdb_reader *reader, struct cursor *cursor)
{
    uint8_t opcode;
    enum err err = cursor_byte(cursor, &opcode);
    if (err != ERR_OK) return err;
    switch (opcode) {
    case RDB_FUNCTION:
    case RDB_FUNCTION_DRAFT:
        return why_fail(cursor->why, ERR_REFUSED,
                        "offset %" PRIu64
                        ": libraries of functions (RDB opcode %u) are not supported",
                        cursor->offset, opcode);
    case RDB_MODULE_FIELD: return refuse_module_field(cursor);
    case RDB_IDLE: return pass_over_lengths(cursor, 1);
    case RDB_FREQUENCY: return cursor_byte(cursor, &opcode);
    case RDB_FIELD: return read_field(reader, cursor);
    case RDB_HINT: return pass_over_lengths(cursor, 2);
    case RDB_EXPIRES_MS: return read_expiry(reader, cursor, false);
    case RDB_EXPIRES_S: return read_expiry(reader, cursor, true);
    case RDB_DATABASE: return read_database(reader, cursor);
    case RDB_END:
        reader->phase = reader->facts.version < RDB_CHECKSUM_VERSION ? READER_DONE
                                                                     : READER_CHECKSUM;
        return ERR_OK;
    }
    return reader_value_begin(reader, cursor, opcode);
}

static enum err read_checksum(struct rdb_reader *reader, struct cursor *cursor)
{
    const uint8_t *at;
    enum err err = cursor_take(cursor, RDB_CHECKSUM_BYTES, &at);
    if (err != ERR_OK) return err;
    uint64_t told = load_le64(at); /* 0: made without one */
    if (told != 0 && told != reader->crc.value)
        return why_fail(cursor->why, ERR_CORRUPT,
                        "offset %" PRIu64 ": the checksum is %016" PRIx64
                        ", the dump's %016" PRIx64,
                        cursor->offset, told, reader->crc.value);
    reader->facts.checked = told != 0;
    reader->phase = READER_DONE;
    return ERR_OK;
}

/* ---- Feeding --------------------------------------------------------------------------------- */

static enum err reader_step(struct rdb_reader *reader, struct cursor *cursor)
{
    switch (reader->phase) {
    case READER_HEAD: return read_head(reader, cursor);
    case READER_OPCODE: return read_opcode(reader, cursor);
    case READER_CHECKSUM: return read_checksum(reader, cursor);
    case READER_PACK_READ:
    case READER_NODE:
    case READER_GIVE:
    case READER_ELEMENT:
    case READER_ITEM:
    case READER_END: return reader_value_step(reader, cursor);
    case READER_DONE: break;
    }
    MUST(false);
}

static struct bytes bytes_from(struct bytes bytes, size_t at)
{
    return at == 0 ? bytes : bytes_of(bytes.data + at, bytes.size - at);
}

/* Reads all whole units of `in`, which begins with a unit; *used is where the first that is not
 * whole begins. ERR_PENDING only for the sink's. */
static enum err reader_run(struct rdb_reader *reader, struct bytes in, size_t *used)
{
    *used = 0;
    while (reader->phase != READER_DONE) {
        struct cursor cursor = {
            .in = bytes_from(in, *used),
            .offset = reader->facts.bytes,
            .string_bytes_max = reader->options.string_bytes_max,
            .why = &reader->reason,
        };
        if (cursor.in.size < reader->need) return ERR_OK;
        reader->sink_waits = false;
        enum err err = reader_step(reader, &cursor);
        if (err == ERR_PENDING && reader->sink_waits) return ERR_PENDING;
        reader->need = cursor.need;
        if (err == ERR_PENDING) return ERR_OK;
        if (err != ERR_OK) return err;
        crc_add(&reader->crc, bytes_of(cursor.in.data, cursor.at));
        reader->facts.bytes += cursor.at;
        *used += cursor.at;
    }
    return ERR_OK;
}

enum err rdb_reader_feed(struct rdb_reader *reader, struct bytes bytes, size_t *taken,
                         struct why *why)
{
    *taken = 0;
    if (reader->failed != ERR_OK) return rdb_reader_end(reader, why);
    struct buffer *held = &reader->held;
    size_t before = held->size;
    if (before > 0) buffer_append(held, bytes);
    struct bytes in = before > 0 ? buffer_bytes(held) : bytes;
    size_t used;
    enum err err = reader_run(reader, in, &used);
    if (err != ERR_OK && err != ERR_PENDING) {
        reader->failed = err;
        return rdb_reader_end(reader, why);
    }
    if (err == ERR_PENDING || reader->phase == READER_DONE) {
        /* What is not used stays with the caller, but for a beginning that was held before. */
        *taken = used > before ? used - before : 0;
        held->size = used > 0 ? 0 : before;
    } else {
        *taken = bytes.size;
        if (before > 0) {
            buffer_consume(held, used);
        } else {
            buffer_append(held, bytes_from(in, used));
        }
    }
    buffer_shrink(held, RDB_READER_KEPT_BYTES);
    return err;
}

bool rdb_reader_is_done(const struct rdb_reader *reader)
{
    return reader->phase == READER_DONE;
}

enum err rdb_reader_end(const struct rdb_reader *reader, struct why *why)
{
    if (reader->failed != ERR_OK) {
        if (why != NULL) *why = reader->reason;
        return reader->failed;
    }
    if (reader->phase == READER_DONE) return ERR_OK;
    return why_fail(why, ERR_CORRUPT, "offset %" PRIu64 ": the dump is cut short",
                    reader->facts.bytes + reader->held.size);
}

struct rdb_facts rdb_reader_facts(const struct rdb_reader *reader)
{
    return reader->facts;
}
