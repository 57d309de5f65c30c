/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 */
#include "test/test.h"

#include <stdio.h>

#include "test/state/bed.h"

#define ASSERT_WRITE(bed, line, reply) assert_string_equal(bed_write(bed, line), reply)
#define ASSERT_READ(bed, line, reply) assert_string_equal(bed_read(bed, line), reply)

static struct mark flushed_mark(const struct bed *bed)
{
    return bed->machine->ops->flushed(bed->machine);
}

TEST(state_machine, what_is_set_is_got_before_during_and_after_a_flush_and_after_a_reopen)
{
    struct bed bed;
    bed_init(&bed, 1);
    ASSERT_WRITE(&bed, "SET a 1", "OK");
    ASSERT_WRITE(&bed, "SET b 2", "OK");
    ASSERT_READ(&bed, "GET a", "\"1\"");
    bed_flush_begin(&bed);
    ASSERT_READ(&bed, "GET a", "\"1\"");
    ASSERT_WRITE(&bed, "SET a 3", "OK");
    ASSERT_WRITE(&bed, "DEL b", "1");
    ASSERT_READ(&bed, "MGET a b c", "[\"3\" nil nil]");
    bed_settle(&bed);
    assert_int_equal(bed.flush.err, ERR_OK);
    assert_int_equal(bed.flush.flushed.at, 2);
    ASSERT_READ(&bed, "MGET a b c", "[\"3\" nil nil]");
    struct digest digest = bed_digest(&bed);
    bed_reopen(&bed);
    assert_int_equal(bed_applied(&bed), 4);
    assert_true(digest_equal(digest, bed_digest(&bed)));
    ASSERT_READ(&bed, "MGET a b c", "[\"3\" nil nil]");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_true(bed_recounts(&bed));
    bed_release(&bed);
}

/* --- The mark --- */

static void apply_kind(struct bed *bed, void (*put)(struct buffer *out))
{
    struct buffer payload;
    buffer_init(&payload);
    put(&payload);
    (void)bed_apply(bed, buffer_bytes(&payload));
    buffer_release(&payload);
}

TEST(state_machine, the_mark_rides_with_every_kind_of_entry)
{
    struct bed bed;
    bed_init(&bed, 1);
    ASSERT_WRITE(&bed, "SET a 1", "OK");
    assert_true(bed.changed);
    ASSERT_WRITE(&bed, "LPUSH a 1",
                 "(error) WRONGTYPE Operation against a key holding the wrong kind of value");
    assert_false(bed.changed);
    ASSERT_WRITE(&bed, "DEL none", "0");
    assert_false(bed.changed);
    apply_kind(&bed, payload_put_noop);
    apply_kind(&bed, payload_put_epoch);
    ASSERT_WRITE(&bed, "BLPOP none 0", "");
    assert_true(bed.waits);
    assert_int_equal(bed_applied(&bed), 6);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    struct mark mark = flushed_mark(&bed);
    assert_int_equal(mark.lsn.at, 6);
    assert_int_equal(mark.lineage.hash, bed.entries[5].entry.lineage.hash);
    assert_int_equal(mark.epoch.number, 1);
    bed_reopen(&bed);
    struct mark again = flushed_mark(&bed);
    assert_true(mark_equal(&mark, &again));
    bed_release(&bed);
}

TEST(state_machine, an_entry_that_does_not_follow_is_corrupt_and_changes_nothing)
{
    struct bed bed;
    bed_init(&bed, 1);
    ASSERT_WRITE(&bed, "SET a 1", "OK");
    struct buffer payload;
    buffer_init(&payload);
    bed_payload(&payload, 0, "SET a 2");
    struct entry good = next_entry(&bed, buffer_bytes(&payload));
    struct entry bad[] = {good, good, good, good};
    bad[0].lsn.at++;
    bad[1].lsn.at--;
    bad[2].epoch.number = 0;
    bad[3].stamp.bits = 1;
    for (size_t i = 0; i < 4; i++) assert_int_equal(apply_once(&bed, &bad[i], 0), ERR_CORRUPT);
    assert_int_equal(bed_applied(&bed), 1);
    assert_int_equal(apply_once(&bed, &good, 0), ERR_OK);
    buffer_release(&payload);
    bed_release(&bed);
}

TEST(state_machine, a_payload_that_does_not_decode_is_corrupt_and_changes_nothing)
{
    struct bed bed;
    bed_init(&bed, 1);
    ASSERT_WRITE(&bed, "SET a 1", "OK");
    struct buffer payload;
    buffer_init(&payload);
    bed_payload(&payload, 0, "SET b 2 ; SET c 3");
    payload.data[payload.size - 5] = 0xff; /* the length of the last word */
    assert_int_equal(bed_try(&bed, buffer_bytes(&payload)), ERR_CORRUPT);
    assert_int_equal(bed_try(&bed, bytes_text("\x7f")), ERR_CORRUPT);
    assert_int_equal(bed_applied(&bed), 1);
    ASSERT_READ(&bed, "EXISTS a b c", "1");
    buffer_release(&payload);
    bed_release(&bed);
}

TEST(state_machine, a_store_of_another_history_is_refused)
{
    struct bed bed;
    bed_init(&bed, 1);
    ASSERT_WRITE(&bed, "SET a 1", "OK");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    struct state_options options = {.history = {.id = {8}}, .cache_bytes = 1 << 20};
    struct machine *machine = NULL;
    struct why why;
    enum err err = state_open(&machine, &bed.store.base, NULL, &options, NULL, &why);
    assert_int_equal(err, ERR_REFUSED);
    assert_null(machine);
    bed_release(&bed);
}

TEST(state_machine, a_store_with_records_and_no_meta_record_is_corrupt)
{
    struct bed bed;
    bed_init(&bed, 1);
    ASSERT_WRITE(&bed, "SET a 1", "OK");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    struct memory_item *meta = &bed.store.items[memory_search(&bed.store, bytes_text("M"))];
    assert_int_equal(meta->key.data[0], 'M');
    meta->key.data[0] = 'N'; /* in its place still */
    struct state_options options = {.history = {.id = {7}}, .cache_bytes = 1 << 20};
    struct machine *machine = NULL;
    struct why why;
    assert_int_equal(state_open(&machine, &bed.store.base, NULL, &options, NULL, &why),
                     ERR_CORRUPT);
    assert_null(machine);
    bed_release(&bed);
}

/* --- Flushes --- */

TEST(state_machine, a_flush_without_space_loses_nothing_and_works_later)
{
    struct bed bed;
    bed_init(&bed, 1);
    ASSERT_WRITE(&bed, "HSET h a 1 b 2", "2");
    bed.store.flush_fails = ERR_SPACE;
    assert_int_equal(bed_flush(&bed), ERR_SPACE);
    assert_int_equal(flushed_mark(&bed).lsn.at, 0);
    ASSERT_READ(&bed, "HGET h b", "\"2\"");
    ASSERT_WRITE(&bed, "HSET h b 3", "0");
    assert_int_equal(bed_flush(&bed), ERR_OK); /* what was frozen then */
    assert_int_equal(flushed_mark(&bed).lsn.at, 1);
    assert_true(bed_recounts(&bed));
    ASSERT_READ(&bed, "HGET h b", "\"3\"");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_int_equal(flushed_mark(&bed).lsn.at, 2);
    assert_true(bed_recounts(&bed));
    bed_release(&bed);
}

TEST(state_machine, a_mark_that_is_read_back_differently_is_corrupt)
{
    struct bed bed;
    bed_init(&bed, 1);
    ASSERT_WRITE(&bed, "SET a 1", "OK");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    ASSERT_WRITE(&bed, "SET a 2", "OK");
    bed.store.run_at_once = true;
    bed_flush_begin(&bed);
    for (size_t i = 0; i < bed.store.count; i++) {
        if (bed.store.items[i].key.data[0] == 'M') bed.store.items[i].value.data[9] ^= 1;
    }
    bed_settle(&bed);
    assert_int_equal(bed.flush.err, ERR_CORRUPT);
    bed_release(&bed);
}

TEST(state_machine, a_second_flush_waits_for_no_step_of_the_first_ones_clean_up)
{
    struct bed bed;
    bed_init(&bed, 1);
    for (unsigned i = 0; i < 3000; i++) {
        char line[64];
        snprintf(line, sizeof line, "SET key%u %u", i, i);
        ASSERT_WRITE(&bed, line, "OK");
    }
    assert_int_equal(bed_flush(&bed), ERR_OK);
    ASSERT_WRITE(&bed, "SET key7 other", "OK");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_true(bed_recounts(&bed));
    ASSERT_READ(&bed, "MGET key7 key8", "[\"other\" \"8\"]");
    bed_release(&bed);
}

TEST(state_machine, unflushed_bytes_are_what_a_crash_would_replay)
{
    struct bed bed;
    bed_init(&bed, 1);
    struct machine *machine = bed.machine;
    assert_int_equal(machine->ops->unflushed_bytes(machine), 0);
    for (unsigned i = 0; i < 100; i++) ASSERT_WRITE(&bed, "SET same value", "OK");
    uint64_t bytes = machine->ops->unflushed_bytes(machine);
    assert_true(bytes >= 100 * bed.entries[0].payload.size);
    bed_flush_begin(&bed);
    assert_int_equal(machine->ops->unflushed_bytes(machine), bytes);
    bed_settle(&bed);
    assert_int_equal(machine->ops->unflushed_bytes(machine), 0);
    bed_release(&bed);
}

/* --- Transactions and watches --- */

static void put_watch(struct bed *bed, struct payload_transaction *transaction, const char *key,
                      const char *line)
{
    char words[64];
    snprintf(words, sizeof words, "OBSERVE %s", key);
    unsigned long long present, lsn, ordinal, changed;
    const char *reply = bed_read(bed, words);
    assert_int_equal(sscanf(reply, "[%llu %llu %llu %llu]", &present, &lsn, &ordinal, &changed), 4);
    struct watched watched = {.present = present == 1,
                              .version_lsn = lsn,
                              .version_ordinal = (uint32_t)ordinal,
                              .changed_lsn = changed,
                              .key = bytes_text(key)};
    payload_add_watch(transaction, &watched);
    if (line != NULL) (void)bed_write(bed, line);
}

/* What EXEC answers when `line` was done between WATCH of `key` and it. */
static bool holds(struct bed *bed, const char *key, const char *line)
{
    struct buffer payload;
    buffer_init(&payload);
    struct payload_transaction transaction;
    payload_begin_transaction(&transaction, &payload);
    put_watch(bed, &transaction, key, line);
    struct args args;
    args_init(&args);
    args_push(&args, bytes_text("set"));
    args_push(&args, bytes_text("seen"));
    args_push(&args, bytes_text("1"));
    payload_add_command(&transaction, 0, command_by_id(COMMAND_SET), &args);
    (void)bed_write(bed, "DEL seen");
    const char *reply = bed_apply(bed, buffer_bytes(&payload));
    bool done = strcmp(reply, "[OK]") == 0;
    if (!done) assert_string_equal(reply, "nil-array");
    args_release(&args);
    buffer_release(&payload);
    assert_string_equal(bed_read(bed, "EXISTS seen"), done ? "1" : "0");
    return done;
}

TEST(state_machine, a_transaction_is_done_only_if_what_it_watches_is_as_it_was)
{
    struct bed bed;
    bed_init(&bed, 1);
    (void)bed_write(&bed, "SET a 1");
    assert_true(holds(&bed, "a", NULL));
    assert_true(holds(&bed, "a", "SET other 1"));
    assert_false(holds(&bed, "a", "SET a 1"));
    assert_false(holds(&bed, "a", "DEL a"));
    assert_true(holds(&bed, "a", "DEL a"));
    assert_false(holds(&bed, "a", "SET a 1"));
    assert_false(holds(&bed, "a", "DEL a ; SET a 1"));
    assert_false(holds(&bed, "a", "FLUSHALL"));
    (void)bed_write(&bed, "SET a 1");
    assert_false(holds(&bed, "a", "SWAPDB 0 1"));
    (void)bed_write(&bed, "SWAPDB 0 1");
    (void)bed_write(&bed, "PEXPIRE a 10");
    bed.now_ms += 5;
    assert_true(holds(&bed, "a", NULL));
    bed.now_ms += 5;
    assert_true(holds(&bed, "none", NULL));
    bed_release(&bed);
}

TEST(state_machine, a_key_that_ends_between_watch_and_exec_counts_as_touched)
{
    struct bed bed;
    bed_init(&bed, 1);
    (void)bed_write(&bed, "SET a 1 PX 50");
    struct buffer payload;
    buffer_init(&payload);
    struct payload_transaction transaction;
    payload_begin_transaction(&transaction, &payload);
    put_watch(&bed, &transaction, "a", NULL);
    bed.now_ms += 60;
    assert_string_equal(bed_apply(&bed, buffer_bytes(&payload)), "nil-array");
    buffer_release(&payload);
    bed_release(&bed);
}

TEST(state_machine, later_commands_of_a_transaction_see_earlier_ones_and_all_or_nothing_happens)
{
    struct bed bed;
    bed_init(&bed, 1);
    ASSERT_WRITE(&bed, "SET a 1 ; APPEND a 2 ; GET a ; HSET h f v ; HGET h f ; DEL h ; EXISTS h a",
                 "[OK 2 \"12\" 1 \"v\" 1 1]");
    ASSERT_WRITE(&bed, "FLUSHDB ; SET b 1 ; KEYS *", "[OK OK [\"b\"]]");
    ASSERT_WRITE(&bed, "SET c 1 ; SWAPDB 0 1 ; GET c", "[OK OK nil]");
    assert_string_equal(bed_read_in(&bed, 1, "GET c"), "\"1\"");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_true(bed_recounts(&bed));
    bed_release(&bed);
}

/* --- Ends --- */

TEST(state_machine, an_end_counts_by_the_stamp_of_the_entry_alone)
{
    struct bed bed;
    bed_init(&bed, 1);
    ASSERT_WRITE(&bed, "SET a 1 PX 100", "OK");
    bed.now_ms += 99;
    ASSERT_WRITE(&bed, "APPEND a 2", "2");
    bed.now_ms += 1;
    bed_forget(&bed);
    ASSERT_WRITE(&bed, "APPEND a 3", "1"); /* the old one is gone first */
    buffer_append_byte(&bed.events, 0);
    assert_string_equal((const char *)bed.events.data, "expired:0:a new:0:a append:0:a");
    bed_release(&bed);
}

TEST(state_machine, a_removal_that_comes_too_early_removes_nothing)
{
    struct bed bed;
    bed_init(&bed, 1);
    ASSERT_WRITE(&bed, "SET a 1 PX 100", "OK");
    struct buffer payload;
    buffer_init(&payload);
    payload_put_expire(&payload, 0, bytes_text("a"));
    (void)bed_apply(&bed, buffer_bytes(&payload));
    assert_false(bed.changed);
    bed.now_ms += 100;
    (void)bed_apply(&bed, buffer_bytes(&payload));
    assert_true(bed.changed);
    ASSERT_READ(&bed, "EXISTS a", "0");
    buffer_release(&payload);
    bed_release(&bed);
}

TEST(state_machine, a_read_that_meets_an_ended_key_asks_for_its_removal_unless_it_is_final)
{
    struct bed bed;
    bed_init(&bed, 1);
    ASSERT_WRITE(&bed, "SET a 1 PX 100", "OK");
    bed.now_ms += 100;
    struct buffer payload, proposals;
    buffer_init(&payload);
    buffer_init(&proposals);
    bed_payload(&payload, 0, "GET a");
    struct outcome outcome = {.reply = reply_nobody(), .proposals = &proposals};
    struct query query = {.payload = buffer_bytes(&payload), .now = stamp_of_ms(bed.now_ms)};
    assert_int_equal(bed.machine->ops->query(bed.machine, &query, &outcome), ERR_PENDING);
    struct buffer wanted;
    buffer_init(&wanted);
    payload_put_expire(&wanted, 0, bytes_text("a"));
    assert_int_equal(load_le32(proposals.data), wanted.size);
    assert_memory_equal(proposals.data + 4, wanted.data, wanted.size);
    buffer_clear(&proposals);
    query.final_expiry = true;
    assert_int_equal(bed.machine->ops->query(bed.machine, &query, &outcome), ERR_OK);
    assert_int_equal(proposals.size, 0);
    buffer_release(&wanted);
    buffer_release(&payload);
    buffer_release(&proposals);
    ASSERT_READ(&bed, "GET a", "nil");
    ASSERT_READ(&bed, "DBSIZE", "0");
    bed_release(&bed);
}

TEST(state_machine, what_is_due_is_listed_whether_it_is_in_memory_or_stored)
{
    struct bed bed;
    bed_init(&bed, 1);
    for (unsigned i = 0; i < 100; i++) {
        char line[64];
        snprintf(line, sizeof line, "SET k%u v PX %u", i, 100 + i);
        ASSERT_WRITE(&bed, line, "OK");
        if (i == 40) assert_int_equal(bed_flush(&bed), ERR_OK);
    }
    assert_int_equal(bed_expire(&bed), 0);
    bed.now_ms += 149;
    assert_int_equal(bed_expire(&bed), 50);
    assert_int_equal(bed_expire(&bed), 0);
    ASSERT_READ(&bed, "DBSIZE", "50");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    bed.now_ms += 1000;
    assert_int_equal(bed_expire(&bed), 50);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_int_equal(memory_store_count(&bed.store, 'X'), 0);
    assert_true(bed_recounts(&bed));
    bed_release(&bed);
}

TEST(state_machine, the_index_forgets_keys_of_a_cleared_database_when_their_time_comes)
{
    struct bed bed;
    bed_init(&bed, 1);
    ASSERT_WRITE(&bed, "SET a 1 PX 100", "OK");
    ASSERT_WRITE(&bed, "SET b 1 PX 1000", "OK");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    ASSERT_WRITE(&bed, "FLUSHALL", "OK");
    ASSERT_WRITE(&bed, "SET a 2 PX 300", "OK");
    bed.now_ms += 200;
    assert_int_equal(bed_expire(&bed), 0);
    ASSERT_READ(&bed, "GET a", "\"2\"");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_int_equal(memory_store_count(&bed.store, 'X'), 2);
    bed.now_ms += 2000;
    assert_int_equal(bed_expire(&bed), 1);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_int_equal(memory_store_count(&bed.store, 'X'), 0);
    bed_release(&bed);
}

/* --- Digest --- */

TEST(state_machine, an_empty_state_has_the_zero_digest_and_swapping_changes_it)
{
    struct bed bed;
    bed_init(&bed, 1);
    struct digest zero = {0};
    assert_true(digest_equal(bed_digest(&bed), zero));
    ASSERT_WRITE(&bed, "SET a 1", "OK");
    struct digest one = bed_digest(&bed);
    assert_false(digest_equal(one, zero));
    ASSERT_WRITE(&bed, "SWAPDB 0 3", "OK");
    assert_false(digest_equal(bed_digest(&bed), one));
    ASSERT_WRITE(&bed, "SWAPDB 3 0", "OK");
    assert_true(digest_equal(bed_digest(&bed), one));
    ASSERT_WRITE(&bed, "FLUSHALL", "OK");
    assert_true(digest_equal(bed_digest(&bed), zero));
    bed_release(&bed);
}

TEST(state_machine, a_name_that_comes_back_gets_a_new_version_and_none_of_its_old_elements)
{
    struct bed bed;
    bed_init(&bed, 1);
    ASSERT_WRITE(&bed, "HSET h old 1", "1");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    char before[128];
    snprintf(before, sizeof before, "%s", bed_read(&bed, "OBSERVE h"));
    ASSERT_WRITE(&bed, "DEL h ; HSET h new 2", "[1 1]");
    assert_string_not_equal(bed_read(&bed, "OBSERVE h"), before);
    ASSERT_READ(&bed, "HGETALL h", "{\"new\" \"2\"}");
    bed_tidy(&bed);
    ASSERT_READ(&bed, "HGETALL h", "{\"new\" \"2\"}");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_true(bed_recounts(&bed));
    bed_release(&bed);
}

/* --- What is told --- */

TEST(state_machine, info_lines_count_keys_and_those_that_end)
{
    struct bed bed;
    bed_init(&bed, 1);
    ASSERT_WRITE(&bed, "SET a 1", "OK");
    ASSERT_WRITE(&bed, "SET b 1 EX 10", "OK");
    assert_string_equal(bed_write_in(&bed, 9, "RPUSH l 1"), "1");
    struct buffer lines;
    buffer_init(&lines);
    bed.machine->ops->describe(bed.machine, &lines);
    buffer_append_byte(&lines, 0);
    assert_string_equal((const char *)lines.data, "db0:keys=2,expires=1,avg_ttl=0\r\n"
                                                  "db9:keys=1,expires=0,avg_ttl=0\r\n");
    buffer_release(&lines);
    bed_release(&bed);
}
