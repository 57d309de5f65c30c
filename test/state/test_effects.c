/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * What commands tell replicas. That it is what a stock server tells is compared in
 * test/integration/test_effects.py; here stand the reasons.
 */
#include "test/test.h"

#include <stdlib.h>

#include "base/plant.h"
#include "test/state/stream.h"

#define told(bed, line, wanted) assert_string_equal(stream_of(bed, line), wanted)

TEST(state_effects, a_command_that_changes_something_is_told_as_it_stands)
{
    struct bed bed;
    stream_bed_init(&bed);
    told(&bed, "set a 1", "SELECT 0 | SET a 1");
    told(&bed, "SET a 1", "SET a 1");
    told(&bed, "HSET h f v g w", "HSET h f v g w");
    told(&bed, "INCR a", "INCR a");
    told(&bed, "SETNX b ''", "SETNX b ");
    bed_release(&bed);
}

TEST(state_effects, what_changes_nothing_is_not_told)
{
    struct bed bed;
    stream_bed_init(&bed);
    (void)bed_write(&bed, "SET a x");
    (void)bed_write(&bed, "RPUSH l a b");
    told(&bed, "SET a 2 NX", "");
    told(&bed, "INCR a", "");    /* not an integer */
    told(&bed, "LPUSH a x", ""); /* not a list */
    told(&bed, "DEL none", "");
    told(&bed, "LTRIM l 0 -1", "");
    told(&bed, "GET a", "");
    told(&bed, "BLPOP none 0", ""); /* waits */
    assert_true(bed.waits);
    bed_release(&bed);
}

TEST(state_effects, times_are_told_as_moments_and_dice_as_what_fell)
{
    struct bed bed;
    stream_bed_init(&bed);
    (void)bed_write(&bed, "SADD s a");
    told(&bed, "SET a 1 PX 1000", "SET a 1 PXAT 1700000001000");
    told(&bed, "SETEX a 2 1", "SET a 1 PXAT 1700000002000");
    told(&bed, "EXPIRE a 3 XX", "PEXPIREAT a 1700000003000 XX");
    told(&bed, "GETEX a EX 4", "PEXPIREAT a 1700000004000");
    told(&bed, "GETEX a PERSIST", "PERSIST a");
    told(&bed, "EXPIRE a -1", "DEL a");
    told(&bed, "SPOP s", "SREM s a");
    bed_release(&bed);
}

TEST(state_effects, what_another_machine_may_compute_otherwise_is_told_as_its_result)
{
    struct bed bed;
    stream_bed_init(&bed);
    told(&bed, "INCRBYFLOAT f 0.1", "SELECT 0 | SET f 0.1 KEEPTTL");
    told(&bed, "HINCRBYFLOAT h f 0.1", "HSET h f 0.1");
    (void)bed_write(&bed, "RPUSH l b a");
    told(&bed, "SORT l ALPHA STORE d", "RPUSH d a b");
    told(&bed, "SORT l ALPHA STORE d", "MULTI | DEL d | RPUSH d a b | EXEC");
    told(&bed, "SORT none STORE d", "DEL d");
    bed_release(&bed);
}

TEST(state_effects, several_are_one_transaction_and_databases_are_selected_in_it)
{
    struct bed bed;
    stream_bed_init(&bed);
    told(&bed, "SET a 1 ; INCR a ; GET a", "SELECT 0 | MULTI | SET a 1 | INCR a | EXEC");
    told(&bed, "SET a 1 ; LPUSH a x", "SET a 1");
    told(&bed, "GET a ; GET a", "");
    told(&bed, "SADD s a ; SPOP s", "MULTI | SADD s a | SREM s a | EXEC");
    uint64_t end = stream_place(&bed).end;
    (void)bed_write_in(&bed, 12, "SET a 1");
    (void)bed_write_in(&bed, 12, "SET b 1");
    (void)bed_write_in(&bed, 0, "SET a 2");
    assert_string_equal(stream_text(&bed, end),
                        "SELECT 12 | SET a 1 | SET b 1 | SELECT 0 | SET a 2");
    bed_release(&bed);
}

TEST(state_effects, an_expired_key_is_removed_before_what_met_it)
{
    struct bed bed;
    stream_bed_init(&bed);
    (void)bed_write(&bed, "SET a 1 PX 10");
    (void)bed_write(&bed, "SET b 1 PX 10");
    (void)bed_write(&bed, "SET c 1 PX 10");
    bed.now_ms += 20;
    told(&bed, "APPEND a 1", "MULTI | DEL a | APPEND a 1 | EXEC");
    told(&bed, "DEL b", "DEL b");
    uint64_t end = stream_place(&bed).end;
    assert_int_equal(bed_expire(&bed), 1);
    assert_string_equal(stream_text(&bed, end), "DEL c");
    assert_int_equal(bed_expire(&bed), 0);
    bed_release(&bed);
}

TEST(state_effects, who_waited_is_told_by_what_was_taken)
{
    struct bed bed;
    stream_bed_init(&bed);
    (void)bed_write(&bed, "RPUSH l a b c d e");
    told(&bed, "BLPOP none l 0", "LPOP l");
    told(&bed, "LMPOP 1 l RIGHT COUNT 2", "RPOP l 2");
    told(&bed, "BLMOVE l m LEFT RIGHT 0", "LMOVE l m LEFT RIGHT");
    told(&bed, "BRPOPLPUSH l m 0", "RPOPLPUSH l m");
    (void)bed_write(&bed, "ZADD z 1 a 2 b 3 c");
    told(&bed, "BZPOPMAX z 0", "ZPOPMAX z");
    told(&bed, "BZMPOP 0 1 z MIN COUNT 9", "ZPOPMIN z 2");
    bed_release(&bed);
}

TEST(state_effects, whole_databases_are_told_even_when_empty)
{
    struct bed bed;
    stream_bed_init(&bed);
    told(&bed, "FLUSHDB", "SELECT 0 | FLUSHDB");
    told(&bed, "FLUSHALL ASYNC", "FLUSHALL ASYNC");
    told(&bed, "SWAPDB 1 1", "SWAPDB 1 1");
    told(&bed, "FLUSHDB now", "");
    bed_release(&bed);
}

TEST(state_effects, words_to_the_stream_select_no_database_but_messages_do)
{
    struct bed bed;
    stream_bed_init(&bed);
    uint64_t end = stream_place(&bed).end;
    struct buffer payload;
    buffer_init(&payload);
    stream_say(&bed, STREAM_PING);
    stream_say(&bed, STREAM_GETACK);
    struct published published = {3, bytes_text("news"), bytes_text("")};
    payload_put_stream(&payload, STREAM_PUBLISH, &published);
    (void)bed_apply(&bed, buffer_bytes(&payload));
    assert_false(bed.changed); /* no key */
    assert_string_equal(stream_text(&bed, end),
                        "PING | REPLCONF GETACK * | SELECT 3 | PUBLISH news ");
    stream_say(&bed, STREAM_OFF);
    end = stream_place(&bed).end;
    (void)bed_apply(&bed, buffer_bytes(&payload));
    assert_int_equal(stream_place(&bed).end, end);
    buffer_release(&payload);
    bed_release(&bed);
}

/* --- The documented vectors --- */

static void apply_vector(struct bed *bed, uint8_t database, const char *line)
{
    static const char *const words[] = {"[off]", "[on]", "[ping]", "[getack]"};
    unsigned word = 0;
    while (word < 4 && strcmp(words[word], line) != 0) word++;
    struct published published = {database, bytes_text("news"), bytes_text("x")};
    struct buffer payload;
    buffer_init(&payload);
    if (word < 4) {
        payload_put_stream(&payload, (enum stream_word)word, NULL);
    } else if (line[0] == '[') {
        assert_string_equal(line, "[publish news x]");
        payload_put_stream(&payload, STREAM_PUBLISH, &published);
    } else {
        bed_payload(&payload, database, line);
    }
    (void)bed_apply(bed, buffer_bytes(&payload));
    buffer_release(&payload);
}

static void assert_hex(struct bytes bytes, const char *wanted)
{
    char text[2];
    assert_int_equal(strcspn(wanted, " \n"), 2 * bytes.size);
    for (size_t i = 0; i < bytes.size; i++) {
        (void)snprintf(text, sizeof text, "%x", bytes.data[i] >> 4);
        assert_int_equal(text[0], wanted[2 * i]);
        (void)snprintf(text, sizeof text, "%x", bytes.data[i] & 15);
        assert_int_equal(text[0], wanted[2 * i + 1]);
    }
}

/* The n-th piece of the stream in the store; NULL: there are not so many. */
static const struct memory_item *stored_piece(const struct bed *bed, size_t n)
{
    for (size_t i = 0; i < bed->store.count; i++) {
        const struct memory_item *item = &bed->store.items[i];
        if (item->key.data[0] == 'S' && n-- == 0) return item;
    }
    return NULL;
}

TEST(state_effects, the_records_are_as_the_documented_vectors_say)
{
    FILE *file = fopen("docs/formats/vectors/effects.txt", "r");
    assert_non_null(file);
    struct bed bed;
    stream_bed_init(&bed);
    char line[2000];
    size_t vectors = 0, pieces = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] == '#') continue;
        char *end;
        uint64_t lsn = strtoull(line, &end, 10);
        uint8_t database = (uint8_t)strtoul(end, &end, 10);
        char *record = strstr(end, " = ");
        assert_non_null(record);
        *record = '\0';
        record += 3;
        apply_vector(&bed, database, end + 1);
        assert_int_equal(bed_applied(&bed), lsn);
        assert_int_equal(bed_flush(&bed), ERR_OK);
        const struct memory_item *item = stored_piece(&bed, pieces);
        if (record[0] == '-') {
            assert_null(item);
        } else {
            assert_non_null(item);
            assert_hex(buffer_bytes(&item->key), record);
            assert_hex(buffer_bytes(&item->value), strchr(record, ' ') + 1);
            pieces++;
        }
        vectors++;
    }
    assert_int_equal(vectors, 9);
    fclose(file);
    bed_release(&bed);
}

/* --- Planted bugs --- */

/* What a planted bug makes of the stream of a few lines. */
static void planted(enum plant plant, const char *wanted)
{
    struct bed bed;
    stream_bed_init(&bed);
    uint64_t end = stream_place(&bed).end;
    plant_set(plant, true);
    (void)bed_write(&bed, "SET a 1 PX 10");
    (void)bed_write_in(&bed, 1, "INCR a ; INCR a");
    bed.now_ms += 20;
    (void)bed_write(&bed, "SET a 2");
    for (unsigned i = 0; i < 16; i++) stream_say(&bed, STREAM_PING); /* one has an LSN by 16 */
    plant_set(plant, false);
    char text[400];
    (void)snprintf(text, sizeof text, "%s", stream_text(&bed, end));
    char *pings = strstr(text, " | PING");
    assert_non_null(pings);
    bool twice = strlen(pings) != 16 * strlen(" | PING");
    assert_int_equal(twice, plant == PLANT_EFFECT_TWICE);
    *pings = '\0';
    assert_string_equal(text, wanted);
    bed_release(&bed);
}

TEST(state_effects, each_planted_bug_is_seen)
{
    const char *right = "SELECT 0 | SET a 1 PXAT 1700000000010 | SELECT 1 | MULTI | INCR a | "
                        "INCR a | EXEC | SELECT 0 | MULTI | DEL a | SET a 2 | EXEC";
    planted(PLANT_SKIP_SYNC, right); /* none of ours */
    planted(PLANT_EFFECT_TWICE, right);
    planted(PLANT_SELECT_NOT_SAID, "SET a 1 PXAT 1700000000010 | MULTI | INCR a | INCR a | EXEC | "
                                   "MULTI | DEL a | SET a 2 | EXEC");
    planted(PLANT_EXPIRED_NOT_TOLD, "SELECT 0 | SET a 1 PXAT 1700000000010 | SELECT 1 | MULTI | "
                                    "INCR a | INCR a | EXEC | SELECT 0 | SET a 2");
    planted(PLANT_EFFECTS_APART, "SELECT 0 | SET a 1 PXAT 1700000000010 | SELECT 1 | INCR a | "
                                 "INCR a | SELECT 0 | DEL a | SET a 2");
    planted(PLANT_EFFECT_BY_OWN_CLOCK, "SELECT 0 | SET a 1 PX 10 | SELECT 1 | MULTI | INCR a | "
                                       "INCR a | EXEC | SELECT 0 | MULTI | DEL a | SET a 2 | EXEC");
}
