/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * Exports: a view by type beside a machine that goes on, any number at a time.
 */
#include "test/test.h"

#include "state/layout.h"
#include "test/state/stream.h"

struct waiting {
    struct record_wait wait;
    unsigned ends;
};

static void ended(struct record_wait *wait)
{
    CONTAINER_OF(wait, struct waiting, wait)->ends++;
}

/* After ERR_PENDING. */
static void wait_for(struct bed *bed, struct record_source *source)
{
    struct waiting waiting = {.wait.done = ended};
    if (!source->ops->wait(source, &waiting.wait)) return;
    while (waiting.ends == 0) assert_true(memory_store_step(&bed->store));
    assert_int_equal(waiting.ends, 1);
    assert_int_equal(waiting.wait.err, ERR_OK);
}

/* All keys and their elements as a line: "0 a 1 | 2 l x y | ". */
static void spell(struct bed *bed, struct record_source *source, struct buffer *out)
{
    buffer_clear(out);
    for (;;) {
        struct record_key key;
        enum err err;
        while ((err = source->ops->key(source, &key)) == ERR_PENDING) wait_for(bed, source);
        if (err == ERR_NOT_FOUND) break;
        assert_int_equal(err, ERR_OK);
        buffer_append_format(out, "%u %.*s", key.database, (int)key.name.size,
                             (const char *)key.name.data);
        for (uint64_t i = key.count; i > 0; i--) {
            struct record_element element;
            while ((err = source->ops->element(source, &element)) == ERR_PENDING)
                wait_for(bed, source);
            assert_int_equal(err, ERR_OK);
            buffer_append_byte(out, ' ');
            buffer_append(out, element.first);
        }
        buffer_append_text(out, " | ");
    }
    buffer_append_byte(out, 0);
}

static struct export_facts facts_of(struct bed *bed, struct export *export,
                                    struct record_source *source)
{
    struct export_facts facts;
    enum err err;
    while ((err = export->ops->facts(export, &facts)) == ERR_PENDING) wait_for(bed, source);
    assert_int_equal(err, ERR_OK);
    return facts;
}

static void write_some(struct bed *bed)
{
    (void)bed_write(bed, "SET a 1");
    (void)bed_write_in(bed, 2, "RPUSH l x y z");
}

static const char some[] = "0 a 1 | 2 l x y z | ";

static void check_export(unsigned pending_of)
{
    struct bed bed;
    stream_bed_init(&bed);
    struct buffer text;
    buffer_init(&text);
    write_some(&bed);
    struct mark mark = bed.machine->ops->applied(bed.machine);
    struct digest digest = bed_digest(&bed);
    struct effects_place place = stream_place(&bed);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    struct export *one = bed.machine->ops->export(bed.machine);
    struct record_source *source = one->ops->records(one);
    (void)bed_write(&bed, "FLUSHALL");
    (void)bed_write_in(&bed, 1, "SET later 2");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    struct export *two = bed.machine->ops->export(bed.machine);
    struct record_source *second = two->ops->records(two);
    bed.store.pending_of = pending_of;
    struct export_facts facts = facts_of(&bed, one, source);
    assert_true(mark_equal(&facts.mark, &mark));
    assert_true(digest_equal(facts.digest, digest));
    assert_int_equal(facts.keys, 2);
    assert_true(facts.effects.on);
    assert_int_equal(facts.effects.end, place.end);
    assert_int_equal(facts.effects.database, 2);
    spell(&bed, source, &text);
    assert_string_equal((const char *)text.data, some);
    spell(&bed, second, &text);
    assert_string_equal((const char *)text.data, "1 later 2 | ");
    source = one->ops->records(one); /* from the first one again */
    spell(&bed, source, &text);
    assert_string_equal((const char *)text.data, some);
    one->ops->close(one);
    two->ops->close(two);
    buffer_release(&text);
    bed_release(&bed);
}

TEST(state_export, it_is_what_one_flush_left_whatever_comes_later)
{
    check_export(0);
    check_export(1);
    check_export(3);
}

/* The store's thread reads from it: it goes when that is done, or with everything. */
TEST(state_export, it_may_be_closed_while_it_waits)
{
    for (unsigned at_end = 0; at_end < 2; at_end++) {
        struct bed bed;
        stream_bed_init(&bed);
        write_some(&bed);
        assert_int_equal(bed_flush(&bed), ERR_OK);
        bed.store.pending_of = 1;
        struct export *export = bed.machine->ops->export(bed.machine);
        struct record_source *source = export->ops->records(export);
        struct record_key key;
        assert_int_equal(source->ops->key(source, &key), ERR_PENDING);
        struct waiting waiting = {.wait.done = ended};
        assert_true(source->ops->wait(source, &waiting.wait));
        export->ops->close(export);
        if (at_end == 0) {
            assert_true(memory_store_step(&bed.store));
            assert_null(bed.store.views);
        }
        bed_release(&bed); /* and nothing is leaked */
        assert_int_equal(waiting.ends, 0);
    }
}

TEST(state_export, what_is_wrong_is_told_with_its_reason)
{
    struct bed bed;
    stream_bed_init(&bed);
    write_some(&bed);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    for (size_t i = 0; i < bed.store.count; i++) { /* an item of the list is lost */
        struct memory_item *item = &bed.store.items[i];
        if (item->key.data[0] == LAYOUT_ITEM) item->value.size = 0;
    }
    struct export *export = bed.machine->ops->export(bed.machine);
    struct record_source *source = export->ops->records(export);
    struct record_key key;
    struct record_element element;
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        err = source->ops->key(source, &key);
        for (uint64_t i = 0; err == ERR_OK && i < key.count; i++)
            err = source->ops->element(source, &element);
    }
    assert_int_equal(err, ERR_CORRUPT);
    assert_true(source->why.text[0] != 0);
    export->ops->close(export);
    bed_release(&bed);
}
