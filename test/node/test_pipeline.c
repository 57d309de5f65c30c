/* SPDX-License-Identifier: Apache-2.0 */
/* The path of a call: order, commit, stalls, parked reads, cancels, failures. */
#include "test/node/bed.h"

TEST(node_pipeline, a_write_is_answered_when_it_is_committed_and_applied_and_not_before)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *push = bed_ask(&bed, CALL_WRITE, "LPUSH k a b");
    assert_false(push->ended);
    assert_int_equal(bed_ask(&bed, CALL_READ, "GET k")->answer[1], '0'); /* others see the past */
    bed_settle(&bed);
    expect_answer(push, ":2");
    assert_int_equal(push->call.mark.lsn.at, 2);
    struct asked *read = bed_ask(&bed, CALL_READ, "GET k");
    expect_answer(read, ":2");
    assert_int_equal(read->call.mark.lsn.at, 2);
    bed_close(&bed);
}

TEST(node_pipeline, calls_of_a_client_are_answered_in_the_order_of_their_submission)
{
    struct bed bed;
    bed_open(&bed);
    struct bed_extra ordered = {.ordered = true};
    struct asked *first = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    struct asked *read = bed_ask_so(&bed, CALL_READ, "GET k", ordered);
    struct asked *local = bed_ask_so(&bed, CALL_LOCAL, "", ordered);
    struct asked *second = bed_ask_so(&bed, CALL_WRITE, "LPUSH k b", ordered);
    struct asked *last = bed_ask_so(&bed, CALL_READ, "GET k", ordered);
    assert_int_equal(bed.ends, 0);
    bed_settle(&bed);
    expect_answer(first, ":1");
    expect_answer(read, ":1");
    expect_answer(local, "");
    expect_answer(second, ":2");
    expect_answer(last, ":2");
    struct asked *in_order[] = {first, read, local, second, last};
    for (unsigned i = 0; i < 5; i++) assert_int_equal(in_order[i]->place, i + 1);
    bed_close(&bed);
}

TEST(node_pipeline, an_ordered_read_has_the_clock_of_its_admission_between_its_neighbours_stamps)
{
    struct bed bed;
    bed_open(&bed);
    uint64_t idle_since = bed.fake.stamp.bits;
    bed_run(&bed, 60 * SIM_SECOND);
    struct asked *read = bed_ask_so(&bed, CALL_READ, "GET k", (struct bed_extra){.ordered = true});
    struct asked *write = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    expect_answer(read, ":0");
    expect_answer(write, ":1");
    assert_true(stamp_ms(bed.fake.queried_at) >= stamp_ms((struct stamp){idle_since}) + 59000);
    assert_true(bed.fake.queried_at.bits < bed.fake.stamp.bits);

    struct sim_fault slow = {.ops = 1u << DISK_WRITE_SYNC,
                             .kind = SIM_FAULT_STALL,
                             .hits = 1,
                             .amount = 200 * SIM_MILLISECOND};
    (void)sim_disk_fault(sim_node_disk(bed.sim), &slow);
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k b");
    (void)bed_ask_so(&bed, CALL_READ, "GET k", (struct bed_extra){.ordered = true});
    bed_run(&bed, 100 * SIM_MILLISECOND);
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k c"); /* stamped long before the read's turn */
    bed_run(&bed, 200 * SIM_MILLISECOND);
    assert_int_equal(bed.ends, 5);
    assert_true(bed.fake.queried_at.bits < bed.fake.stamp.bits);
    bed_close(&bed);
}

TEST(node_pipeline, an_entry_that_misses_memory_holds_the_order_and_is_evaluated_again_in_its_place)
{
    struct bed bed;
    bed_open(&bed);
    bed.fake.pending = 2;
    struct asked *first = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    struct asked *second = bed_ask(&bed, CALL_WRITE, "LPUSH k b");
    bed_settle(&bed);
    assert_int_equal(bed.ends, 0);
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    assert_int_equal(bed.ends, 0);
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    expect_answer(first, ":1"); /* what the evaluations before it wrote was taken back */
    expect_answer(second, ":2");
    bed_close(&bed);
}

TEST(node_pipeline, behind_an_entry_that_misses_memory_the_next_ones_are_looked_at_once)
{
    struct bed bed;
    bed_open(&bed);
    bed.fake.misses_ahead = true;
    bed.fake.pending = 2;
    for (unsigned i = 0; i < 4; i++) (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    (void)bed_ask_so(&bed, CALL_READ, "GET k", (struct bed_extra){.ordered = true});
    bed_settle(&bed);
    assert_int_equal(bed.fake.looks, 3); /* not at itself, nor at a read */
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    assert_int_equal(bed.fake.looks, 3); /* nor when it comes back too early */
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    assert_int_equal(bed.ends, 5);
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a"); /* one look at a time */
    bed_settle(&bed);
    assert_int_equal(bed.ends, 6);
    assert_int_equal(bed.fake.looks, 3);
    bed.fake.misses_ahead = false;
    assert_true(bed_do(&bed, DEED_AHEAD, NULL, ERR_OK));
    bed.fake.pending = 1;
    for (unsigned i = 0; i < 3; i++) (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    assert_int_equal(bed.fake.looks, 5);
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a"); /* nothing is missing any more */
    bed_settle(&bed);
    assert_int_equal(bed.fake.looks, 5);
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    assert_int_equal(bed.ends, 10);
    bed_close(&bed);
}

TEST(node_pipeline, a_parked_read_holds_up_nobody_and_is_answered_when_its_records_are_there)
{
    struct bed bed;
    bed_open(&bed);
    bed.fake.pending = 1;
    struct asked *read = bed_ask(&bed, CALL_READ, "GET k");
    struct asked *write = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    expect_answer(write, ":1");
    assert_false(read->ended);
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    expect_answer(read, ":1");
    bed_close(&bed);
}

TEST(node_pipeline, a_read_that_meets_an_expired_key_is_answered_after_its_removal)
{
    struct bed bed;
    bed_open(&bed);
    bed.fake.proposes = "k";
    struct asked *read = bed_ask(&bed, CALL_READ, "GET k");
    assert_false(read->ended);
    bed_settle(&bed);
    expect_answer(read, ":0");
    assert_true(bed.fake.queried_final);
    assert_int_equal(read->call.mark.lsn.at, 2);
    assert_string_equal(bed.fake.applied_words, "epoch expire");
    bed_close(&bed);
}

TEST(node_pipeline, a_cancelled_call_is_silent_and_its_entry_is_applied_all_the_same)
{
    struct bed bed;
    bed_open(&bed);
    struct bed_extra ordered = {.ordered = true};
    struct asked *write = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    struct asked *read = bed_ask_so(&bed, CALL_READ, "GET k", ordered);
    struct asked *local = bed_ask_so(&bed, CALL_LOCAL, "", ordered);
    struct asked *after = bed_ask(&bed, CALL_WRITE, "LPUSH k b");
    bed.fake.pending = 1;
    struct asked *parked = bed_ask(&bed, CALL_READ, "GET k");
    struct asked *gone[] = {write, read, local, parked};
    for (unsigned i = 0; i < 4; i++) bed_cancel(&bed, gone[i]);
    for (unsigned i = 0; i < 4; i++) bed_cancel(&bed, gone[i]); /* once more is harmless */
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    bed_settle(&bed);
    for (unsigned i = 0; i < 4; i++) assert_false(gone[i]->ended);
    expect_answer(after, ":2");
    bed_close(&bed);
}

TEST(node_pipeline, the_head_of_the_order_may_be_cancelled_while_it_waits_for_the_store)
{
    struct bed bed;
    bed_open(&bed);
    bed.fake.pending = 1;
    struct asked *write = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    bed_cancel(&bed, write);
    struct asked *next = bed_ask(&bed, CALL_WRITE, "LPUSH k b");
    bed_settle(&bed);
    assert_false(next->ended);
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    bed_settle(&bed);
    expect_answer(next, ":2");
    assert_false(write->ended);

    bed.fake.pending = 1;
    struct asked *read = bed_ask_so(&bed, CALL_READ, "GET k", (struct bed_extra){.ordered = true});
    bed_cancel(&bed, read);
    struct asked *behind = bed_ask_so(&bed, CALL_LOCAL, "", (struct bed_extra){.ordered = true});
    (void)bed_do(&bed, DEED_WARM, NULL, ERR_OK);
    bed_settle(&bed);
    expect_answer(behind, "");
    bed_close(&bed);
}

TEST(node_pipeline, the_end_of_a_call_may_cancel_and_submit_others)
{
    struct bed bed;
    bed_open(&bed);
    struct buffer payload;
    bed_payload(&payload, "GET k");
    struct asked *read = bed_call(&bed, CALL_READ, buffer_bytes(&payload));
    struct asked *local = bed_call(&bed, CALL_LOCAL, bytes_of(NULL, 0));
    struct asked *victim = bed_call(&bed, CALL_WRITE, buffer_bytes(&payload));
    struct bed_extra both = {.then_asks = read, .then_cancels = victim};
    struct asked *write = bed_ask_so(&bed, CALL_WRITE, "LPUSH k a", both);
    struct buffer push;
    bed_payload(&push, "LPUSH k b");
    victim->call.payload = buffer_bytes(&push);
    (void)bed_do(&bed, DEED_SUBMIT, victim, ERR_OK);
    read->then_asks = local;
    bed_settle(&bed);
    expect_answer(write, ":1");
    expect_answer(read, ":1");
    expect_answer(local, "");
    assert_false(victim->ended);
    assert_int_equal(fake_key(&bed.fake, bytes_text("k"))->elements, 2);
    buffer_release(&payload);
    buffer_release(&push);
    bed_close(&bed);
}

TEST(node_pipeline, a_long_row_of_entries_lets_other_events_have_their_turn)
{
    struct bed bed;
    bed_make(&bed, 1);
    bed.options.segment_bytes = 1 << 20;
    assert_true(sim_node_start(bed.sim));
    bed_settle(&bed);
    enum { ENTRIES = 10000 };
    bed.fake.pending = 1; /* the first one holds up all others until they are committed */
    struct asked *first = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    for (unsigned i = 0; i < ENTRIES; i++) { /* nobody waits for these */
        struct asked *asked = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
        bed_cancel(&bed, asked);
        bed.count--;
        memset(asked, 0, sizeof *asked);
    }
    struct asked *last = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    expect_answer(first, ":1");
    unsigned in_one_turn = fake_key(&bed.fake, bytes_text("k"))->elements;
    assert_true(in_one_turn < ENTRIES);
    assert_false(last->ended);
    bed_run(&bed, 10 * SIM_MILLISECOND);
    expect_answer(last, ":10002");
    bed_close(&bed);
}

TEST(node_pipeline, a_sync_that_fails_answers_nobody_and_is_told_once)
{
    struct bed bed;
    bed_open(&bed);
    struct sim_fault fault = {.ops = 1u << DISK_WRITE_SYNC};
    (void)sim_disk_fault(sim_node_disk(bed.sim), &fault);
    struct asked *write = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    struct asked *waits = bed_ask(&bed, CALL_WAIT, "BLPOP w 0");
    bed_settle(&bed);
    bed_run(&bed, 3 * SIM_SECOND);
    assert_int_equal(bed.failures, 1);
    assert_int_equal(bed.failure, NODE_FAILED_LOG);
    assert_false(write->ended);
    assert_false(waits->ended);
    struct asked *late = bed_ask(&bed, CALL_WRITE, "LPUSH k b");
    expect_end(late, CALL_UNKNOWN);
    bed_close_failed(&bed);
}

TEST(node_pipeline, a_store_that_fails_under_an_entry_a_fetch_or_a_flush_ends_the_node)
{
    for (unsigned way = 0; way < 4; way++) {
        struct bed bed;
        bed_open(&bed);
        struct asked *call = NULL;
        if (way == 0) bed.fake.apply_err = ERR_CORRUPT;
        if (way == 1 || way == 2) bed.fake.pending = 1;
        call = bed_ask(&bed, way == 2 ? CALL_READ : CALL_WRITE, way == 2 ? "GET k" : "LPUSH k a");
        if (way == 3) bed.fake.unflushed = 2 << 20;
        bed_settle(&bed);
        if (way == 1 || way == 2) assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_IO));
        if (way == 3) {
            bed_run(&bed, SIM_SECOND);
            assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_IO));
        }
        bed_settle(&bed);
        assert_int_equal(bed.failures, 1);
        assert_int_equal(bed.failure, way == 0 ? NODE_FAILED_CORRUPT : NODE_FAILED_STORE);
        if (way < 2) assert_false(call->ended);
        if (way == 2) expect_end(call, CALL_UNKNOWN);
        bed_close_failed(&bed);
    }
}

TEST(node_pipeline, a_failed_node_with_reads_and_waiters_under_way_is_closed_without_a_leak)
{
    struct bed bed;
    bed_open(&bed);
    (void)bed_ask_so(&bed, CALL_WAIT, "BLPOP w 0", (struct bed_extra){.timeout_us = SIM_SECOND});
    bed_settle(&bed);
    bed.fake.pending = 1;
    (void)bed_ask(&bed, CALL_READ, "GET k");
    bed.fake.apply_err = ERR_IO;
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    bed_close_failed(&bed); /* says so if anything is left */
}

TEST(node_pipeline, without_room_in_the_log_a_write_is_refused_and_works_again_when_there_is_room)
{
    struct bed bed;
    bed_open(&bed);
    bed_disk_full(&bed, true);
    struct asked *refused = NULL;
    for (unsigned i = 0; i < 2000 && refused == NULL; i++) {
        struct asked *asked = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
        bed_settle(&bed);
        if (asked->end != CALL_REFUSED) {
            bed.count--;
            memset(asked, 0, sizeof *asked);
        } else {
            refused = asked;
        }
    }
    assert_non_null(refused);
    assert_string_equal(refused->answer, "-MISCONF");
    expect_end(bed_ask(&bed, CALL_READ, "GET k"), CALL_ANSWERED);
    bed_disk_full(&bed, false);
    bed_run(&bed, 5 * SIM_SECOND);
    struct asked *again = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    expect_end(again, CALL_ANSWERED);
    bed_close(&bed);
}

TEST(node_pipeline, a_refusal_keeps_its_place_behind_what_is_in_flight)
{
    struct bed bed;
    bed_open(&bed);
    struct sim_fault slow = {
        .ops = 1u << DISK_WRITE_SYNC, .kind = SIM_FAULT_STALL, .hits = 1, .amount = 3 * SIM_SECOND};
    (void)sim_disk_fault(sim_node_disk(bed.sim), &slow);
    struct asked *write = bed_ask(&bed, CALL_WRITE, "DEL k");
    sim_disk_set_capacity(sim_node_disk(bed.sim), 1);
    bed_run(&bed, 2 * SIM_SECOND); /* the log has seen that there is no space */
    struct asked *refused = bed_ask_so(&bed, CALL_WRITE, "LPUSH k a",
                                       (struct bed_extra){.ordered = true});
    struct asked *cancelled = bed_ask_so(&bed, CALL_WRITE, "LPUSH k a",
                                         (struct bed_extra){.ordered = true});
    bed_cancel(&bed, cancelled);
    assert_false(refused->ended);
    bed_run(&bed, 3 * SIM_SECOND);
    expect_answer(write, "+OK");
    expect_end(refused, CALL_REFUSED);
    assert_string_equal(refused->answer, "-MISCONF");
    assert_true(write->place < refused->place);
    assert_false(cancelled->ended);
    bed_close(&bed);
}
