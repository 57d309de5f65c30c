/* SPDX-License-Identifier: Apache-2.0 */
/* book: records in memory, as a source and as a sink, for the tests of rdb and its fuzz target. */
#ifndef TEST_RDB_BOOK_H
#define TEST_RDB_BOOK_H

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/dice.h"
#include "base/memory.h"
#include "base/number.h"
#include "rdb/rdb.h"

struct book_element {
    struct buffer first, second;
    double score;
};

struct book_key {
    struct record_key key; /* its name is in `name`; count is that of the elements */
    struct buffer name;
    struct book_element *elements;
    bool ended;
};

struct book {
    struct record_source source;
    struct record_sink sink;
    struct rdb_listener listener;
    struct book_key *keys;
    size_t count, capacity;
    struct buffer fields;    /* as text */
    size_t at, element;      /* of the source: the key under way is at - 1 */
    uint64_t elements_given; /* of each key by the source, at most; 0: all */
    struct dice dice;
    unsigned pending;  /* one in so many calls says ERR_PENDING; 0: none */
    size_t calls_left; /* of the sink, then `refusal`; SIZE_MAX: never */
    enum err refusal;
    size_t elements_max;    /* then ERR_LIMIT, so that a small dump cannot become a large book */
    struct rdb_facts facts; /* of the last reading, and what followed the dump */
    struct bytes rest;
    bool counts_are_given; /* every key of the sink came with its count */
};

static inline void copy_bytes(struct buffer *to, struct bytes from)
{
    buffer_init(to);
    buffer_append(to, from);
    buffer_shrink(to, to->size); /* so that a sanitizer sees what is read behind it */
}

/* An element of the newest key. */
static inline void book_add(struct book *book, const struct record_element *element)
{
    struct book_key *key = &book->keys[book->count - 1];
    uint64_t count = key->key.count++;
    if ((count & (count - 1)) == 0)
        key->elements = memory_resize(key->elements,
                                      (count > 0 ? count * 2 : 1) * sizeof(*key->elements));
    struct book_element *to = &key->elements[count];
    copy_bytes(&to->first, element->first);
    copy_bytes(&to->second, element->second);
    to->score = element->score;
}

static inline void book_begin(struct book *book, const struct record_key *key)
{
    if (book->count == book->capacity) {
        book->capacity = book->capacity > 0 ? book->capacity * 2 : 4;
        book->keys = memory_resize(book->keys, book->capacity * sizeof(*book->keys));
    }
    struct book_key *to = &book->keys[book->count++];
    *to = (struct book_key){.key = *key};
    copy_bytes(&to->name, key->name);
    to->key.name = buffer_bytes(&to->name);
    to->key.count = 0;
}

static inline bool book_pends(struct book *book)
{
    return book->pending > 0 && dice_chance(&book->dice, 1, book->pending);
}

static inline enum err book_source_key(struct record_source *source, struct record_key *key)
{
    struct book *book = CONTAINER_OF(source, struct book, source);
    if (book_pends(book)) return ERR_PENDING;
    if (book->at == book->count) return ERR_NOT_FOUND;
    book->element = 0;
    *key = book->keys[book->at++].key;
    return ERR_OK;
}

static inline enum err book_source_element(struct record_source *source,
                                           struct record_element *element)
{
    struct book *book = CONTAINER_OF(source, struct book, source);
    if (book_pends(book)) return ERR_PENDING;
    MUST(book->at > 0);
    const struct book_key *key = &book->keys[book->at - 1];
    uint64_t count = book->elements_given > 0 ? book->elements_given : key->key.count;
    if (book->element == count) return ERR_NOT_FOUND;
    const struct book_element *from = &key->elements[book->element++];
    element->first = buffer_bytes(&from->first);
    element->second = buffer_bytes(&from->second);
    element->score = from->score;
    return ERR_OK;
}

static inline enum err book_answer(struct book *book)
{
    if (book_pends(book)) return ERR_PENDING;
    if (book->calls_left == SIZE_MAX) return ERR_OK;
    if (book->calls_left > 0) {
        book->calls_left--;
        return ERR_OK;
    }
    return why_fail(&book->sink.why, book->refusal, "the sink's own words");
}

static inline enum err book_sink_key(struct record_sink *sink, const struct record_key *key)
{
    struct book *book = CONTAINER_OF(sink, struct book, sink);
    enum err err = book_answer(book);
    if (err != ERR_OK) return err;
    MUST(book->count == 0 || book->keys[book->count - 1].ended);
    if (key->count == 0) book->counts_are_given = false;
    book_begin(book, key);
    return ERR_OK;
}

static inline enum err book_sink_element(struct record_sink *sink,
                                         const struct record_element *element)
{
    struct book *book = CONTAINER_OF(sink, struct book, sink);
    enum err err = book_answer(book);
    if (err != ERR_OK) return err;
    MUST(book->count > 0 && !book->keys[book->count - 1].ended && !isnan(element->score));
    if (book->elements_max == 0) return why_fail(&sink->why, ERR_LIMIT, "a book too large");
    book->elements_max--;
    book_add(book, element);
    return ERR_OK;
}

static inline enum err book_sink_end(struct record_sink *sink)
{
    struct book *book = CONTAINER_OF(sink, struct book, sink);
    enum err err = book_answer(book);
    if (err != ERR_OK) return err;
    MUST(book->count > 0);
    struct book_key *key = &book->keys[book->count - 1];
    MUST(!key->ended && key->key.count > 0);
    key->ended = true;
    return ERR_OK;
}

static inline void put_word(struct buffer *out, struct bytes word)
{
    buffer_append_text(out, " <");
    for (size_t i = 0; i < word.size; i++) {
        uint8_t c = word.data[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        buffer_append_format(out, plain ? "%c" : "%%%02x", c);
    }
    buffer_append_byte(out, '>');
}

static inline enum err book_field(struct rdb_listener *listener, const struct rdb_field *field)
{
    struct book *book = CONTAINER_OF(listener, struct book, listener);
    buffer_append_text(&book->fields, " field");
    put_word(&book->fields, field->name);
    put_word(&book->fields, field->value);
    return ERR_OK;
}

static const struct record_source_ops book_source_ops = {.key = book_source_key,
                                                         .element = book_source_element};
static const struct record_sink_ops book_sink_ops = {
    .key = book_sink_key, .element = book_sink_element, .end = book_sink_end};
static const struct rdb_listener_ops book_listener_ops = {.field = book_field};

static inline void book_init(struct book *book)
{
    *book = (struct book){.source = {.ops = &book_source_ops},
                          .sink = {.ops = &book_sink_ops},
                          .listener = {.ops = &book_listener_ops},
                          .calls_left = SIZE_MAX,
                          .elements_max = SIZE_MAX,
                          .counts_are_given = true};
    dice_init(&book->dice, 1);
}

static inline void book_release(struct book *book)
{
    for (size_t i = 0; i < book->count; i++) {
        struct book_key *key = &book->keys[i];
        for (size_t n = 0; n < key->key.count; n++) {
            buffer_release(&key->elements[n].first);
            buffer_release(&key->elements[n].second);
        }
        memory_free(key->elements);
        buffer_release(&key->name);
    }
    memory_free(book->keys);
    buffer_release(&book->fields);
}

static inline int compare_texts(const void *a, const void *b)
{
    return bytes_compare(buffer_bytes(a), buffer_bytes(b));
}

/* Joins the texts, which are released. */
static inline void join(struct buffer *texts, size_t count, bool sorted, struct buffer *out)
{
    if (sorted && count > 1) qsort(texts, count, sizeof(*texts), compare_texts);
    for (size_t i = 0; i < count; i++) {
        buffer_append(out, buffer_bytes(&texts[i]));
        buffer_release(&texts[i]);
    }
    memory_free(texts);
}

static inline void describe_key(const struct book_key *key, struct buffer *out)
{
    static const char *const names[] = {"string", "list", "set", "zset", "hash"};
    buffer_append_format(out, " %s %u", names[key->key.type], key->key.database);
    put_word(out, buffer_bytes(&key->name));
    if (key->key.expires_ms > 0)
        buffer_append_format(out, " expires %" PRIu64, key->key.expires_ms);
    struct buffer *texts = memory_zeroed(key->key.count + 1, sizeof(*texts));
    for (size_t i = 0; i < key->key.count; i++) {
        const struct book_element *element = &key->elements[i];
        char number[NUMBER_TEXT_BYTES];
        put_word(&texts[i], buffer_bytes(&element->first));
        if (key->key.type == RECORD_HASH) put_word(&texts[i], buffer_bytes(&element->second));
        if (key->key.type != RECORD_ZSET) continue;
        buffer_append_byte(&texts[i], ' ');
        buffer_append(&texts[i], bytes_of(number, number_format_double(element->score, number)));
    }
    join(texts, key->key.count, key->key.type != RECORD_LIST, out);
}

/* The fields, then what the book holds, one text: keys sorted, and what has no order in them. */
static inline void book_describe(const struct book *book, struct buffer *out)
{
    buffer_append(out, buffer_bytes(&book->fields));
    struct buffer *texts = memory_zeroed(book->count + 1, sizeof(*texts));
    for (size_t i = 0; i < book->count; i++) describe_key(&book->keys[i], &texts[i]);
    join(texts, book->count, true, out);
}

/* Reads a dump in pieces of random size up to `piece` (0: whole) until it ends or fails. */
static inline enum err book_read(struct book *book, struct bytes dump, size_t piece,
                                 struct why *why)
{
    struct rdb_reader_options options = {.sink = &book->sink, .listener = &book->listener};
    struct rdb_reader *reader = rdb_reader_open(&options);
    enum err err = ERR_OK;
    while ((err == ERR_PENDING || (err == ERR_OK && dump.size > 0)) &&
           !rdb_reader_is_done(reader)) {
        size_t size = piece == 0 ? dump.size : 1 + (size_t)dice_below(&book->dice, piece);
        if (size > dump.size) size = dump.size;
        /* A copy of its own, so that a sanitizer sees a step beyond it, and a use after it. */
        struct buffer part;
        copy_bytes(&part, bytes_of(dump.data, size));
        size_t taken;
        err = rdb_reader_feed(reader, buffer_bytes(&part), &taken, why);
        MUST(taken <= size);
        buffer_release(&part);
        if (err == ERR_OK || err == ERR_PENDING)
            dump = bytes_of(dump.data + taken, dump.size - taken);
    }
    book->facts = rdb_reader_facts(reader);
    book->rest = dump;
    err = rdb_reader_end(reader, why);
    rdb_reader_close(reader);
    return err;
}

/* Writes the book in pieces of random size up to `piece` (0: as large as can be). */
static inline enum err book_write(struct book *book, const struct rdb_writer_options *options,
                                  size_t piece, struct buffer *out, struct why *why)
{
    struct rdb_writer_options own = *options;
    own.source = &book->source;
    struct rdb_writer *writer = rdb_writer_open(&own);
    book->at = 0;
    enum err err = ERR_OK;
    while ((err == ERR_OK || err == ERR_PENDING) && !rdb_writer_is_done(writer)) {
        size_t room = piece == 0 ? SIZE_MAX : 1 + (size_t)dice_below(&book->dice, piece);
        size_t before = out->size;
        err = rdb_writer_fill(writer, out, room, why);
        MUST(out->size - before <= room);
        if (err == ERR_OK && !rdb_writer_is_done(writer)) MUST(out->size - before == room);
    }
    rdb_writer_close(writer);
    return err;
}

#endif
