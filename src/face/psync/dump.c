/* SPDX-License-Identifier: Apache-2.0 */
#include "face/psync/dump.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "rdb/rdb.h"

enum { FIELDS_MAX = 8, NUMBER_BYTES = 24 };

struct dump {
    struct rdb_writer *writer;
    struct rdb_reader *reader; /* of what the writer gave */
    struct record_source none; /* for a dump without keys */
    struct record_sink sink;   /* of the reader */
    uint64_t keys;             /* that are to come */
    uint64_t bytes;
    bool done;

    /* What the fields borrow. */
    struct rdb_field fields[FIELDS_MAX];
    size_t fields_count;
    char mark[MARK_TEXT_BYTES], digest[DIGEST_TEXT_BYTES], replid[PSYNC_REPLID_BYTES];
    char made[NUMBER_BYTES], database[NUMBER_BYTES], offset[NUMBER_BYTES];
};

/* --- Nobody's keys --- */

static enum err no_key(struct record_source *source, struct record_key *key)
{
    (void)source;
    (void)key;
    return ERR_NOT_FOUND;
}

static enum err no_element(struct record_source *source, struct record_element *element)
{
    (void)source;
    (void)element;
    return ERR_NOT_FOUND;
}

static bool no_wait(struct record_source *source, struct record_wait *wait)
{
    (void)source;
    (void)wait;
    return false;
}

static const struct record_source_ops none_ops = {
    .key = no_key, .element = no_element, .wait = no_wait};

/* --- Reading back: that it can be read is all that is asked --- */

static enum err take_key(struct record_sink *sink, const struct record_key *key)
{
    (void)sink;
    (void)key;
    return ERR_OK;
}

static enum err take_element(struct record_sink *sink, const struct record_element *element)
{
    (void)sink;
    (void)element;
    return ERR_OK;
}

static enum err take_end(struct record_sink *sink)
{
    (void)sink;
    return ERR_OK;
}

static bool take_wait(struct record_sink *sink, struct record_wait *wait)
{
    (void)sink;
    (void)wait;
    return false;
}

static const struct record_sink_ops sink_ops = {
    .key = take_key, .element = take_element, .end = take_end, .wait = take_wait};

/* --- Its life --- */

static void add_field(struct dump *dump, const char *name, const char *value)
{
    MUST(dump->fields_count < FIELDS_MAX);
    dump->fields[dump->fields_count++] = (struct rdb_field){bytes_text(name), bytes_text(value)};
}

static void put_number(char out[NUMBER_BYTES], uint64_t number)
{
    (void)snprintf(out, NUMBER_BYTES, "%" PRIu64, number);
}

/* A replica takes from them which database is selected in the stream; the rest is for people, and
 * for whoever compares copies. */
static void add_fields(struct dump *dump, const struct dump_options *options)
{
    const struct export_facts *facts = options->facts;
    mark_format(&facts->mark, dump->mark);
    digest_format(facts->digest, dump->digest);
    (void)snprintf(dump->replid, sizeof dump->replid, "%s", options->replid);
    put_number(dump->made, options->made_s);
    put_number(dump->offset, facts->effects.end - 1);
    put_number(dump->database, facts->effects.database);
    add_field(dump, "redis-ver", "7.0.15");
    add_field(dump, "redis-bits", "64");
    add_field(dump, "ctime", dump->made);
    if (facts->effects.database != EFFECTS_DATABASE_NONE)
        add_field(dump, "repl-stream-db", dump->database);
    add_field(dump, "repl-id", dump->replid);
    add_field(dump, "repl-offset", dump->offset);
    add_field(dump, "tidemark-mark", dump->mark);
    add_field(dump, "tidemark-digest", dump->digest);
}

struct dump *dump_open(const struct dump_options *options)
{
    struct dump *dump = memory_zeroed(1, sizeof *dump);
    dump->none.ops = &none_ops;
    dump->sink.ops = &sink_ops;
    dump->keys = options->source == NULL ? 0 : options->facts->keys;
    add_fields(dump, options);
    struct rdb_writer_options writer = {.source = options->source == NULL ? &dump->none
                                                                          : options->source,
                                        .fields = dump->fields,
                                        .fields_count = dump->fields_count};
    dump->writer = rdb_writer_open(&writer);
    struct rdb_reader_options reader = {.sink = &dump->sink};
    dump->reader = rdb_reader_open(&reader);
    return dump;
}

void dump_close(struct dump *dump)
{
    if (dump == NULL) return;
    rdb_writer_close(dump->writer);
    rdb_reader_close(dump->reader);
    memory_free(dump);
}

/* --- A piece --- */

static enum err read_back(struct dump *dump, struct bytes piece, struct why *why)
{
    size_t taken = 0;
    enum err err = rdb_reader_feed(dump->reader, piece, &taken, why);
    if (err == ERR_OK && taken != piece.size)
        err = why_fail(why, ERR_CORRUPT, "the dump goes on behind its end");
    if (err == ERR_OK && rdb_writer_is_done(dump->writer)) {
        struct rdb_facts facts = rdb_reader_facts(dump->reader);
        err = rdb_reader_end(dump->reader, why);
        if (err == ERR_OK && (!facts.checked || facts.keys != dump->keys)) {
            err = why_fail(why, ERR_CORRUPT, "the dump has %" PRIu64 " keys of %" PRIu64,
                           facts.keys, dump->keys);
        }
        dump->done = err == ERR_OK;
    }
    if (err != ERR_OK) why_prefix(why, "a dump does not read back");
    return err;
}

enum err dump_fill(struct dump *dump, struct buffer *out, size_t room, struct why *why)
{
    size_t before = out->size;
    enum err err = rdb_writer_fill(dump->writer, out, room, why);
    struct bytes piece = bytes_of(out->data + before, out->size - before);
    if (err == ERR_OK || err == ERR_PENDING) {
        enum err read = piece.size == 0 ? ERR_OK : read_back(dump, piece, why);
        if (read != ERR_OK) err = read;
    }
    if (err != ERR_OK && err != ERR_PENDING) out->size = before;
    else dump->bytes += piece.size;
    return err;
}

bool dump_is_done(const struct dump *dump)
{
    return dump->done;
}

uint64_t dump_bytes(const struct dump *dump)
{
    return dump->bytes;
}
