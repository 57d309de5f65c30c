/* SPDX-License-Identifier: Apache-2.0 */
/* The dump is a row of pieces: the head, a field, the beginning of a key, an element, the end. A
 * piece is prepared whole, as up to four runs: two of our own making and two that are borrowed (a
 * field's name and value; a key's name; an element's two strings). The runs are then copied out, as
 * far as the caller has room, before the source is asked for more: so what is borrowed is still
 * good.
 *
 * Values are written in the forms without packs, which every version reads; a stock server makes
 * its small encodings of them by itself. */
#include <inttypes.h>
#include <math.h>

#include "base/memory.h"
#include "base/number.h"
#include "rdb/crc.h"
#include "rdb/format.h"
#include "rdb/rdb.h"

enum {
    /* Database 10, hint 19, time 9, type 1, length 9; or two lengths and a score. */
    RUN_BYTES_MAX = 64,
    RUNS = 4,
    NO_DATABASE = -1,
};

enum writer_phase { WRITER_HEAD, WRITER_FIELDS, WRITER_KEY, WRITER_ELEMENTS, WRITER_DONE };

/* Bytes of our own making. */
struct made {
    uint8_t bytes[RUN_BYTES_MAX];
    size_t size;
};

struct rdb_writer {
    struct rdb_writer_options options;
    struct crc crc;
    enum writer_phase phase;
    size_t fields; /* written */
    int database;  /* of the last key, or NO_DATABASE */
    enum record_type type;
    uint64_t left;       /* elements of the key */
    struct made made[2]; /* runs 0 and 2 */
    struct bytes runs[RUNS];
    size_t run; /* the first that is not written; RUNS: none is left */
    bool ended; /* the checksum is the piece under way, or written */
    enum err failed;
    struct why reason;
};

struct rdb_writer *rdb_writer_open(const struct rdb_writer_options *options)
{
    struct rdb_writer *writer = memory_zeroed(1, sizeof(*writer));
    writer->options = *options;
    writer->database = NO_DATABASE;
    writer->run = RUNS;
    crc_init(&writer->crc);
    return writer;
}

void rdb_writer_close(struct rdb_writer *writer)
{
    memory_free(writer);
}

bool rdb_writer_is_done(const struct rdb_writer *writer)
{
    return writer->ended && writer->run == RUNS;
}

/* ---- Runs ------------------------------------------------------------------------------------ */

static uint8_t *make_room(struct made *made, size_t size)
{
    MUST(size <= RUN_BYTES_MAX - made->size);
    uint8_t *at = made->bytes + made->size;
    made->size += size;
    return at;
}

static void put_byte(struct made *made, unsigned byte)
{
    *make_room(made, 1) = (uint8_t)byte;
}

static void put_length(struct made *made, uint64_t length)
{
    if (length < 1u << 6) {
        put_byte(made, (unsigned)length);
    } else if (length < 1u << 14) {
        put_byte(made, RDB_LENGTH_14 << 6 | (unsigned)(length >> 8));
        put_byte(made, length & 255);
    } else if (length <= UINT32_MAX) {
        put_byte(made, RDB_LENGTH_32);
        store_be32(make_room(made, 4), (uint32_t)length);
    } else {
        put_byte(made, RDB_LENGTH_64);
        store_be64(make_room(made, 8), length);
    }
}

/* Writes the number in the shortest form of a string that holds it; false: none does. */
static bool put_number(struct made *made, int64_t number)
{
    if (number < INT32_MIN || number > INT32_MAX) return false;
    uint8_t bytes[4];
    store_le32(bytes, (uint32_t)(int32_t)number);
    unsigned form = number == (int8_t)number    ? RDB_STRING_INT8
                    : number == (int16_t)number ? RDB_STRING_INT16
                                                : RDB_STRING_INT32;
    put_byte(made, RDB_LENGTH_SPECIAL << 6 | form);
    memcpy(make_room(made, (size_t)1 << form), bytes, (size_t)1 << form);
    return true;
}

/* A string: its length into `made`, itself into the run behind it; or all of it as a number. */
static struct bytes put_string(struct made *made, struct bytes string)
{
    int64_t number;
    if (number_parse_int64(string, &number) && put_number(made, number)) return bytes_of("", 0);
    put_length(made, string.size);
    return string.size > 0 ? string : bytes_of("", 0);
}

static void begin_piece(struct rdb_writer *writer)
{
    writer->made[0].size = writer->made[1].size = 0;
    for (size_t i = 0; i < RUNS; i++) writer->runs[i] = bytes_of("", 0);
}

static void end_piece(struct rdb_writer *writer)
{
    for (size_t i = 0; i < 2; i++)
        writer->runs[2 * i] = bytes_of(writer->made[i].bytes, writer->made[i].size);
    writer->run = 0;
}

/* Copies out what there is of the piece and returns how much there was room for. */
static size_t copy_out(struct rdb_writer *writer, struct buffer *out, size_t room)
{
    size_t copied = 0;
    while (writer->run < RUNS) {
        struct bytes *run = &writer->runs[writer->run];
        struct bytes part = {run->data, run->size < room - copied ? run->size : room - copied};
        buffer_append(out, part);
        crc_add(&writer->crc, part);
        copied += part.size;
        *run = bytes_of(run->data + part.size, run->size - part.size);
        if (run->size > 0) break;
        writer->run++;
    }
    return copied;
}

/* ---- Pieces ---------------------------------------------------------------------------------- */

static enum err write_head(struct rdb_writer *writer)
{
    struct made *made = &writer->made[0];
    memcpy(make_room(made, RDB_HEAD_BYTES), "REDIS0010", RDB_HEAD_BYTES);
    _Static_assert(RDB_VERSION_WRITTEN == 10, "as in the line above");
    writer->phase = WRITER_FIELDS;
    return ERR_OK;
}

static enum err write_field(struct rdb_writer *writer)
{
    if (writer->fields == writer->options.fields_count) {
        writer->phase = WRITER_KEY;
        return ERR_OK;
    }
    const struct rdb_field *field = &writer->options.fields[writer->fields++];
    put_byte(&writer->made[0], RDB_FIELD);
    writer->runs[1] = put_string(&writer->made[0], field->name);
    writer->runs[3] = put_string(&writer->made[1], field->value);
    return ERR_OK;
}

static void put_database(struct rdb_writer *writer, uint8_t database)
{
    struct made *made = &writer->made[0];
    if (database == writer->database) return;
    writer->database = database;
    put_byte(made, RDB_DATABASE);
    put_length(made, database);
    if (database >= writer->options.hints_count) return;
    put_byte(made, RDB_HINT);
    put_length(made, writer->options.hints[database].keys);
    put_length(made, writer->options.hints[database].expires);
}

static enum err source_failed(struct rdb_writer *writer, enum err err)
{
    if (err == ERR_PENDING) return err;
    return why_fail(&writer->reason, err, "%.400s", writer->options.source->why.text);
}

static enum rdb_value value_of(enum record_type type)
{
    switch (type) {
    case RECORD_STRING: return RDB_STRING;
    case RECORD_LIST: return RDB_LIST;
    case RECORD_SET: return RDB_SET;
    case RECORD_ZSET: return RDB_ZSET;
    case RECORD_HASH: return RDB_HASH;
    }
    MUST(false);
}

static enum err write_key(struct rdb_writer *writer)
{
    struct record_source *source = writer->options.source;
    struct record_key key = {0};
    enum err err = source->ops->key(source, &key);
    if (err == ERR_NOT_FOUND) {
        put_byte(&writer->made[0], RDB_END);
        writer->phase = WRITER_DONE;
        return ERR_OK;
    }
    if (err != ERR_OK) return source_failed(writer, err);
    if (key.count == 0 || (key.type == RECORD_STRING && key.count != 1))
        return why_fail(&writer->reason, ERR_CORRUPT, "a key of %" PRIu64 " elements", key.count);
    struct made *made = &writer->made[0];
    put_database(writer, key.database);
    if (key.expires_ms != 0) {
        put_byte(made, RDB_EXPIRES_MS);
        store_le64(make_room(made, 8), key.expires_ms);
    }
    put_byte(made, value_of(key.type));
    writer->runs[1] = put_string(made, key.name);
    if (key.type != RECORD_STRING) put_length(&writer->made[1], key.count);
    writer->type = key.type;
    writer->left = key.count;
    writer->phase = WRITER_ELEMENTS;
    return ERR_OK;
}

static enum err write_element(struct rdb_writer *writer)
{
    struct record_source *source = writer->options.source;
    struct record_element element = {0};
    enum err err = source->ops->element(source, &element);
    if (err == ERR_NOT_FOUND)
        return why_fail(&writer->reason, ERR_CORRUPT, "a key has fewer elements than it says");
    if (err != ERR_OK) return source_failed(writer, err);
    writer->runs[1] = put_string(&writer->made[0], element.first);
    if (writer->type == RECORD_HASH) {
        writer->runs[3] = put_string(&writer->made[1], element.second);
    } else if (writer->type == RECORD_ZSET) {
        if (isnan(element.score))
            return why_fail(&writer->reason, ERR_CORRUPT, "a score that is not a number");
        uint64_t bits;
        memcpy(&bits, &element.score, sizeof(bits));
        store_le64(make_room(&writer->made[1], 8), bits);
    }
    if (--writer->left == 0) writer->phase = WRITER_KEY;
    return ERR_OK;
}

/* Behind the end, which it covers too. */
static void write_checksum(struct rdb_writer *writer)
{
    store_le64(make_room(&writer->made[0], RDB_CHECKSUM_BYTES), writer->crc.value);
    writer->ended = true;
}

static enum err write_piece(struct rdb_writer *writer)
{
    switch (writer->phase) {
    case WRITER_HEAD: return write_head(writer);
    case WRITER_FIELDS: return write_field(writer);
    case WRITER_KEY: return write_key(writer);
    case WRITER_ELEMENTS: return write_element(writer);
    case WRITER_DONE: write_checksum(writer); return ERR_OK;
    }
    MUST(false);
}

enum err rdb_writer_fill(struct rdb_writer *writer, struct buffer *out, size_t room,
                         struct why *why)
{
    while (writer->failed == ERR_OK) {
        room -= copy_out(writer, out, room);
        if (writer->run < RUNS || room == 0 || writer->ended) return ERR_OK;
        begin_piece(writer);
        enum err err = write_piece(writer);
        if (err == ERR_PENDING) return err;
        if (err != ERR_OK) {
            writer->failed = err;
            break;
        }
        end_piece(writer);
    }
    if (why != NULL) *why = writer->reason;
    return writer->failed;
}
