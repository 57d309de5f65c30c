/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and their values. */
#include <inttypes.h>
#include <stdio.h>

#include "rdb/reader.h"

enum { SHOWN_BYTES = 40, SHOWN_TEXT_BYTES = SHOWN_BYTES * 4 + 4 };

enum shape {
    SHAPE_NONE,     /* no such value */
    SHAPE_ONE,      /* one string */
    SHAPE_ELEMENTS, /* a count, and elements */
    SHAPE_PACK,     /* one pack */
    SHAPE_NODES,    /* a count, and packs */
    SHAPE_REFUSED,  /* we have nothing like it */
};

struct rule {
    enum shape shape;
    enum record_type type;
    enum pack_form form;
    const char *what; /* refused values, in a sentence */
};

#define STREAM \
    { \
        SHAPE_REFUSED, RECORD_STRING, PACK_LISTPACK, "streams" \
    }
#define MODULE \
    { \
        SHAPE_REFUSED, RECORD_STRING, PACK_LISTPACK, "values of modules" \
    }

static const struct rule rules[] = {
    [RDB_STRING] = {.shape = SHAPE_ONE, .type = RECORD_STRING},
    [RDB_LIST] = {.shape = SHAPE_ELEMENTS, .type = RECORD_LIST},
    [RDB_SET] = {.shape = SHAPE_ELEMENTS, .type = RECORD_SET},
    [RDB_ZSET_TEXT] = {.shape = SHAPE_ELEMENTS, .type = RECORD_ZSET},
    [RDB_HASH] = {.shape = SHAPE_ELEMENTS, .type = RECORD_HASH},
    [RDB_ZSET] = {.shape = SHAPE_ELEMENTS, .type = RECORD_ZSET},
    [RDB_MODULE_DRAFT] = MODULE,
    [RDB_MODULE] = MODULE,
    [RDB_HASH_ZIPMAP] = {SHAPE_PACK, RECORD_HASH, PACK_ZIPMAP, NULL},
    [RDB_LIST_ZIPLIST] = {SHAPE_PACK, RECORD_LIST, PACK_ZIPLIST, NULL},
    [RDB_SET_INTSET] = {SHAPE_PACK, RECORD_SET, PACK_INTSET, NULL},
    [RDB_ZSET_ZIPLIST] = {SHAPE_PACK, RECORD_ZSET, PACK_ZIPLIST, NULL},
    [RDB_HASH_ZIPLIST] = {SHAPE_PACK, RECORD_HASH, PACK_ZIPLIST, NULL},
    [RDB_LIST_ZIPLISTS] = {SHAPE_NODES, RECORD_LIST, PACK_ZIPLIST, NULL},
    [RDB_STREAM] = STREAM,
    [RDB_HASH_LISTPACK] = {SHAPE_PACK, RECORD_HASH, PACK_LISTPACK, NULL},
    [RDB_ZSET_LISTPACK] = {SHAPE_PACK, RECORD_ZSET, PACK_LISTPACK, NULL},
    [RDB_LIST_LISTPACKS] = {SHAPE_NODES, RECORD_LIST, PACK_LISTPACK, NULL},
    [RDB_STREAM_2] = STREAM,
    [RDB_SET_LISTPACK] = {SHAPE_PACK, RECORD_SET, PACK_LISTPACK, NULL},
    [RDB_STREAM_3] = STREAM,
};

/* The name for people: its beginning, with what cannot be shown as \xHH. */
static void show(struct bytes name, char out[SHOWN_TEXT_BYTES])
{
    size_t size = 0;
    for (size_t i = 0; i < name.size && i < SHOWN_BYTES; i++) {
        uint8_t byte = name.data[i];
        bool plain = byte > ' ' && byte < 127 && byte != '\\';
        size += (size_t)snprintf(out + size, SHOWN_TEXT_BYTES - size, plain ? "%c" : "\\x%02x",
                                 byte);
    }
    out[size] = '\0';
    if (name.size > SHOWN_BYTES) (void)snprintf(out + size, SHOWN_TEXT_BYTES - size, "...");
}

static enum err refuse(struct rdb_reader *reader, struct cursor *cursor, enum err err,
                       const char *what)
{
    char name[SHOWN_TEXT_BYTES];
    show(reader->key.name, name);
    return why_fail(cursor->why, err, "offset %" PRIu64 ": key '%s' of database %u: %s",
                    cursor->offset, name, reader->key.database, what);
}

static void copy_into(struct buffer *buffer, struct bytes bytes)
{
    if (bytes.data == buffer->data) return; /* it was made there */
    buffer_clear(buffer);
    buffer_append(buffer, bytes);
}

static bool has_pairs(const struct rdb_reader *reader)
{
    return reader->key.type == RECORD_HASH || reader->key.type == RECORD_ZSET;
}

static void give_back(struct buffer *buffer)
{
    buffer_clear(buffer); /* or it would not shrink */
    buffer_shrink(buffer, RDB_READER_KEPT_BYTES);
}

/* Back to what may follow a key. */
static void finish(struct rdb_reader *reader)
{
    reader->key = (struct record_key){.database = reader->key.database};
    reader->phase = READER_OPCODE;
    give_back(&reader->name);
    give_back(&reader->first);
    give_back(&reader->second);
}

static void pass_over_empty(struct rdb_reader *reader)
{
    reader->facts.empty_keys++;
    finish(reader);
}

static void begin_phase(struct rdb_reader *reader, enum shape shape)
{
    switch (shape) {
    case SHAPE_ONE:
    case SHAPE_ELEMENTS: reader->phase = READER_GIVE; return;
    case SHAPE_PACK: reader->phase = READER_PACK_READ; return;
    case SHAPE_NODES: reader->phase = READER_NODE; return;
    case SHAPE_NONE:
    case SHAPE_REFUSED: break;
    }
    MUST(false);
}

enum err reader_value_begin(struct rdb_reader *reader, struct cursor *cursor, uint8_t value)
{
    if (value >= sizeof(rules) / sizeof(*rules) || rules[value].shape == SHAPE_NONE)
        return why_fail(cursor->why, ERR_CORRUPT, "offset %" PRIu64 ": no opcode or type is %u",
                        cursor->offset, value);
    const struct rule *rule = &rules[value];
    struct bytes name;
    uint64_t count = 1;
    enum err err = cursor_string(cursor, &reader->name, &name);
    if (err != ERR_OK) return err;
    if (rule->shape == SHAPE_ELEMENTS || rule->shape == SHAPE_NODES)
        err = cursor_length(cursor, &count);
    if (err != ERR_OK) return err;
    copy_into(&reader->name, name);
    reader->key.name = buffer_bytes(&reader->name);
    if (rule->shape == SHAPE_REFUSED) {
        char what[64];
        (void)snprintf(what, sizeof(what), "%s (RDB type %u) are not supported", rule->what, value);
        return refuse(reader, cursor, ERR_REFUSED, what);
    }
    reader->key.type = rule->type;
    reader->key.count = rule->shape == SHAPE_NODES ? 0 : count; /* of a pack it comes later */
    reader->value = value;
    reader->given = false;
    reader->left = count;
    if (count == 0) {
        pass_over_empty(reader);
    } else {
        begin_phase(reader, rule->shape);
    }
    return ERR_OK;
}

/* ---- The sink -------------------------------------------------------------------------------- */

static enum err sink_said(struct rdb_reader *reader, struct cursor *cursor, enum err err)
{
    if (err == ERR_OK) return ERR_OK;
    if (err == ERR_PENDING) {
        reader->sink_waits = true;
        return err;
    }
    /* What is there twice is the dump's fault, not the sink's. */
    return why_fail(cursor->why, err == ERR_EXISTS ? ERR_CORRUPT : err,
                    "offset %" PRIu64 ": %.400s", cursor->offset, reader->options.sink->why.text);
}

static enum err give_key(struct rdb_reader *reader, struct cursor *cursor)
{
    struct record_sink *sink = reader->options.sink;
    enum err err = sink_said(reader, cursor, sink->ops->key(sink, &reader->key));
    if (err != ERR_OK) return err;
    enum shape shape = rules[reader->value].shape;
    reader->given = true;
    reader->phase = shape == SHAPE_PACK || shape == SHAPE_NODES ? READER_ITEM : READER_ELEMENT;
    return ERR_OK;
}

static enum err give_element(struct rdb_reader *reader, struct cursor *cursor,
                             const struct record_element *element)
{
    struct record_sink *sink = reader->options.sink;
    return sink_said(reader, cursor, sink->ops->element(sink, element));
}

static enum err give_end(struct rdb_reader *reader, struct cursor *cursor)
{
    struct record_sink *sink = reader->options.sink;
    enum err err = sink_said(reader, cursor, sink->ops->end(sink));
    if (err != ERR_OK) return err;
    reader->facts.keys++;
    finish(reader);
    return ERR_OK;
}

/* ---- Values ---------------------------------------------------------------------------------- */

static enum err read_element(struct rdb_reader *reader, struct cursor *cursor)
{
    struct record_element element = {0};
    enum err err = cursor_string(cursor, &reader->first, &element.first);
    if (err == ERR_OK && reader->value == RDB_HASH)
        err = cursor_string(cursor, &reader->second, &element.second);
    if (err == ERR_OK && reader->value == RDB_ZSET) err = cursor_score(cursor, &element.score);
    if (err == ERR_OK && reader->value == RDB_ZSET_TEXT)
        err = cursor_text_score(cursor, &element.score);
    if (err == ERR_OK) err = give_element(reader, cursor, &element);
    if (err == ERR_OK && --reader->left == 0) reader->phase = READER_END;
    return err;
}

/* `bytes` become the pack whose items come next. */
static enum err open_pack(struct rdb_reader *reader, struct cursor *cursor, struct bytes bytes)
{
    copy_into(&reader->first, bytes);
    const char *bad = pack_open(&reader->pack, rules[reader->value].form,
                                buffer_bytes(&reader->first));
    if (bad == NULL && has_pairs(reader) && reader->pack.left % 2 == 1)
        bad = "an odd number of items where pairs should be";
    return bad == NULL ? ERR_OK : refuse(reader, cursor, ERR_CORRUPT, bad);
}

static enum err read_pack(struct rdb_reader *reader, struct cursor *cursor)
{
    struct bytes bytes;
    enum err err = cursor_string(cursor, &reader->first, &bytes);
    if (err == ERR_OK) err = open_pack(reader, cursor, bytes);
    if (err != ERR_OK) return err;
    reader->key.count = has_pairs(reader) ? reader->pack.left / 2 : reader->pack.left;
    reader->phase = READER_GIVE;
    if (reader->key.count == 0) pass_over_empty(reader);
    return ERR_OK;
}

/* Behind the last item of a node or of a pack. */
static void end_items(struct rdb_reader *reader)
{
    if (--reader->left > 0) {
        reader->phase = READER_NODE;
    } else if (reader->given) {
        reader->phase = READER_END;
    } else {
        pass_over_empty(reader); /* empty nodes only */
    }
}

static enum err read_node(struct rdb_reader *reader, struct cursor *cursor)
{
    uint64_t container = RDB_NODE_PACKED;
    struct bytes bytes;
    enum err err = ERR_OK;
    if (reader->value == RDB_LIST_LISTPACKS) err = cursor_length(cursor, &container);
    if (err == ERR_OK) err = cursor_string(cursor, &reader->first, &bytes);
    if (err != ERR_OK) return err;
    reader->plain = container == RDB_NODE_PLAIN;
    if (reader->plain) {
        copy_into(&reader->first, bytes);
    } else if (container == RDB_NODE_PACKED) {
        err = open_pack(reader, cursor, bytes);
        if (err != ERR_OK) return err;
    } else {
        return refuse(reader, cursor, ERR_CORRUPT, "a node of a list in no known form");
    }
    if (!reader->plain && reader->pack.left == 0) {
        end_items(reader);
    } else {
        reader->phase = reader->given ? READER_ITEM : READER_GIVE;
    }
    return ERR_OK;
}

/* Takes the next element off the pack. */
static enum err take_element(struct rdb_reader *reader, struct cursor *cursor)
{
    struct pack_item first, second = {0};
    char numbers[2][NUMBER_TEXT_BYTES];
    struct record_element element = {0};
    pack_next(&reader->pack, &first);
    element.first = pack_text(&first, numbers[0]);
    if (has_pairs(reader)) pack_next(&reader->pack, &second);
    if (reader->key.type == RECORD_HASH) element.second = pack_text(&second, numbers[1]);
    if (reader->key.type == RECORD_ZSET) {
        if (second.is_number) {
            element.score = (double)second.number;
        } else if (!number_parse_double(second.bytes, &element.score)) {
            return refuse(reader, cursor, ERR_CORRUPT, "a score that is not a number");
        }
    }
    return give_element(reader, cursor, &element);
}

static enum err give_item(struct rdb_reader *reader, struct cursor *cursor)
{
    if (reader->plain) {
        struct record_element element = {.first = buffer_bytes(&reader->first)};
        enum err err = give_element(reader, cursor, &element);
        if (err != ERR_OK) return err;
        reader->plain = false;
        end_items(reader);
        return ERR_OK;
    }
    struct pack before = reader->pack;
    enum err err = take_element(reader, cursor);
    if (err == ERR_PENDING) reader->pack = before;
    if (err == ERR_OK && reader->pack.left == 0) end_items(reader);
    return err;
}

enum err reader_value_step(struct rdb_reader *reader, struct cursor *cursor)
{
    switch (reader->phase) {
    case READER_PACK_READ: return read_pack(reader, cursor);
    case READER_NODE: return read_node(reader, cursor);
    case READER_GIVE: return give_key(reader, cursor);
    case READER_ELEMENT: return read_element(reader, cursor);
    case READER_ITEM: return give_item(reader, cursor);
    case READER_END: return give_end(reader, cursor);
    case READER_HEAD:
    case READER_OPCODE:
    case READER_CHECKSUM:
    case READER_DONE: break;
    }
    MUST(false);
}
