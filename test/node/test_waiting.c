/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking commands: who is woken, who is served, and how a wait ends. */
#include "test/node/bed.h"

static struct asked *waits(struct bed *bed, const char *words, uint64_t timeout_us)
{
    return bed_ask_so(bed, CALL_WAIT, words, (struct bed_extra){.timeout_us = timeout_us});
}

/* One that waits, its first attempt behind it. */
static struct asked *waiting(struct bed *bed, const char *words)
{
    struct asked *asked = waits(bed, words, 0);
    bed_settle(bed);
    assert_false(asked->ended);
    return asked;
}

static struct asked *does(struct bed *bed, const char *words)
{
    struct asked *asked = bed_ask(bed, CALL_WRITE, words);
    bed_settle(bed);
    expect_end(asked, CALL_ANSWERED);
    return asked;
}

TEST(node_waiting, elements_go_to_those_who_wait_oldest_first_in_the_batch_that_brought_them)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *first = waiting(&bed, "BLPOP k 0");
    struct asked *second = waiting(&bed, "BLPOP other k 0");
    struct asked *third = waiting(&bed, "BLPOP k 0");
    struct asked *push = does(&bed, "LPUSH k a b");
    expect_answer(push, ":2");
    expect_answer(first, "$k");
    expect_answer(second, "$k");
    assert_true(push->place < first->place && first->place < second->place);
    assert_false(third->ended);
    (void)does(&bed, "LPUSH k c");
    expect_answer(third, "$k");
    assert_int_equal(fake_key(&bed.fake, bytes_text("k"))->elements, 0);
    bed_close(&bed);
}

static uint64_t waiters_now(struct bed *bed)
{
    struct service_status status;
    struct service *service = node_service(bed->node);
    service->ops->status(service, &status);
    return status.waiters;
}

TEST(node_waiting, who_is_said_to_wait_has_its_place_in_line)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *first = waits(&bed, "BLPOP k 0", 0);
    assert_int_equal(waiters_now(&bed), 0); /* what is pushed now may still go to another */
    bed_settle(&bed);
    assert_int_equal(waiters_now(&bed), 1);
    (void)does(&bed, "LPUSH k a");
    expect_answer(first, "$k");
    assert_int_equal(waiters_now(&bed), 0);
    bed_close(&bed);
}

TEST(node_waiting, a_client_is_served_once_however_many_of_its_keys_are_filled)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *first = waiting(&bed, "BLPOP a b b 0");
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH a 1");
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH b 1 2");
    struct asked *second = waits(&bed, "BLPOP b 0", 0);
    bed_settle(&bed);
    expect_answer(first, "$a");
    expect_answer(second, "$b");
    assert_int_equal(fake_key(&bed.fake, bytes_text("b"))->elements, 1);
    bed_close(&bed);
}

TEST(node_waiting, what_fills_a_key_between_an_attempt_and_its_evaluation_is_not_missed)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *wait = waits(&bed, "BLPOP k 0", 0);
    struct asked *push = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    expect_answer(push, ":1");
    expect_answer(wait, "$k");
    bed_close(&bed);
}

TEST(node_waiting, a_waiter_for_another_type_does_not_stand_in_the_way)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *zset = waiting(&bed, "BZPOPMIN k 0");
    struct asked *list = waiting(&bed, "BLPOP k 0");
    (void)does(&bed, "LPUSH k a");
    expect_answer(list, "$k");
    assert_false(zset->ended);
    bed_close(&bed);
}

/* LPUSH a and LPUSH b in one transaction, say. In flight. */
static void push_together(struct bed *bed, const char *const *pushes, size_t count)
{
    struct payload_transaction transaction;
    struct buffer payload;
    buffer_init(&payload);
    payload_begin_transaction(&transaction, &payload);
    for (size_t i = 0; i < count; i++) {
        struct payload_reader reader;
        struct buffer push;
        struct args args;
        uint8_t database;
        const struct command *command;
        args_init(&args);
        bed_payload(&push, pushes[i]);
        assert_int_equal(payload_read(&reader, buffer_bytes(&push)), ERR_OK);
        assert_int_equal(payload_next_command(&reader, &database, &command, &args), ERR_OK);
        payload_add_command(&transaction, database, command, &args);
        args_release(&args);
        buffer_release(&push);
    }
    struct asked *asked = bed_call(bed, CALL_WRITE, buffer_bytes(&payload));
    (void)bed_do(bed, DEED_SUBMIT, asked, ERR_OK);
    buffer_release(&payload);
}

#define pushes_together(bed, ...) \
    push_together(bed, (const char *const[]){__VA_ARGS__}, \
                  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

TEST(node_waiting, keys_are_served_in_the_order_in_which_they_became_ready)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *first = waiting(&bed, "BLPOP a 0");
    struct asked *both = waiting(&bed, "BLPOP b a 0");
    struct asked *last = waiting(&bed, "BLPOP b 0");
    pushes_together(&bed, "LPUSH a 1 2", "LPUSH b 3");
    bed_settle(&bed);
    expect_answer(first, "$a");
    expect_answer(both, "$a"); /* its turn at a comes before a turn at b */
    expect_answer(last, "$b");
    both = waiting(&bed, "BLPOP b a c 0");
    pushes_together(&bed, "LPUSH c 1", "LPUSH a 2", "LPUSH b 3");
    bed_settle(&bed);
    expect_answer(both, "$c");
    bed_close(&bed);
}

TEST(node_waiting, a_key_that_waits_for_an_earlier_one_is_served_when_that_one_has_nothing)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *first = waiting(&bed, "BLPOP a 0");
    struct asked *both = waiting(&bed, "BLPOP a b 0");
    struct asked *other = waiting(&bed, "BZPOPMIN a 0");
    pushes_together(&bed, "LPUSH a 1", "LPUSH b 2");
    bed_settle(&bed);
    expect_answer(first, "$a");
    expect_answer(both, "$b");
    assert_false(other->ended);
    bed_close(&bed);
}

TEST(node_waiting, keys_of_which_none_matters_to_another_are_served_together)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *first = waiting(&bed, "BLPOP a 0");
    struct asked *second = waiting(&bed, "BLPOP b 0");
    uint64_t before = second->call.lsn.at;
    pushes_together(&bed, "LPUSH a 1", "LPUSH b 2");
    assert_int_equal(first->call.lsn.at, before + 2); /* both in the batch of the pushes */
    assert_int_equal(second->call.lsn.at, before + 3);
    bed_settle(&bed);
    expect_answer(first, "$a");
    expect_answer(second, "$b");
    bed_close(&bed);
}

TEST(node_waiting, a_key_that_is_filled_again_and_again_does_not_hold_up_the_next)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *first = waiting(&bed, "BLPOP a 0");
    struct asked *second = waiting(&bed, "BLPOP a 0");
    struct asked *other = waiting(&bed, "BLPOP b 0");
    (void)waiting(&bed, "BLPOP a b 0");
    pushes_together(&bed, "LPUSH a 1", "LPUSH b 2");
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH a 3");
    bed_settle(&bed);
    expect_answer(first, "$a");
    expect_answer(second, "$a");
    expect_answer(other, "$b");
    assert_true(first->place < other->place && other->place < second->place);
    bed_close(&bed);
}

TEST(node_waiting, a_client_is_served_from_the_key_that_was_filled_not_from_its_first_one)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *move = waiting(&bed, "BLMOVE from to LEFT LEFT 0");
    struct asked *pop = waiting(&bed, "BLPOP to from 0");
    (void)does(&bed, "LPUSH from a b");
    expect_answer(move, "$from");
    expect_answer(pop, "$from");
    assert_int_equal(fake_key(&bed.fake, bytes_text("to"))->elements, 1);
    bed_close(&bed);
}

TEST(node_waiting, what_a_move_fills_is_served_behind_the_key_that_it_took_from)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *move = waiting(&bed, "BLMOVE from to LEFT LEFT 0");
    struct asked *second = waiting(&bed, "BLPOP from 0");
    struct asked *third = waiting(&bed, "BLPOP to from 0");
    struct asked *last = waiting(&bed, "BLPOP to 0");
    (void)does(&bed, "LPUSH from a b c");
    expect_answer(move, "$from");
    expect_answer(second, "$from");
    expect_answer(third, "$from");
    expect_answer(last, "$to");
    bed_close(&bed);
}

/* Clients wait for k, first for a list, then for a sorted set, and the fake never has one. Asks
 * LPUSH k when `asked` is done. */
static void push_after(struct bed *bed, enum call_kind kind, const char *words)
{
    struct buffer payload;
    bed_payload(&payload, "LPUSH k a");
    struct asked *push = bed_call(bed, CALL_WRITE, buffer_bytes(&payload));
    (void)bed_ask_so(bed, kind, words, (struct bed_extra){.then_asks = push});
    bed_settle(bed);
    expect_end(push, CALL_ANSWERED);
    buffer_release(&payload);
}

TEST(node_waiting, a_key_filled_again_for_those_who_were_missed_is_not_missed)
{
    for (unsigned when = 0; when < 3; when++) {
        struct bed bed;
        bed_open(&bed);
        struct asked *list = waiting(&bed, "BLPOP k 0");
        struct asked *zset = waiting(&bed, "BZPOPMIN j k 0");
        (void)bed_ask(&bed, CALL_WRITE, "ZADD k 1 a");
        if (when == 0) (void)does(&bed, "LPUSH k a");    /* during the attempt for a list */
        if (when == 1) push_after(&bed, CALL_LOCAL, ""); /* during that for a sorted set */
        if (when == 2) push_after(&bed, CALL_WRITE, "ZADD j 1 a"); /* when that has to pause */
        expect_answer(list, "$k");
        assert_false(zset->ended);
        bed_close(&bed);
    }
}

TEST(node_waiting, a_blocking_move_wakes_who_waits_where_it_moves_to)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *pop = waiting(&bed, "BLPOP to 0");
    struct asked *move = waiting(&bed, "BLMOVE from to LEFT LEFT 0");
    (void)does(&bed, "LPUSH from a");
    expect_answer(move, "$from");
    expect_answer(pop, "$to");
    bed_close(&bed);
}

TEST(node_waiting, the_attempt_of_a_blocking_move_whose_client_has_gone_still_wakes_its_target)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *pop = waiting(&bed, "BLPOP to 0");
    struct asked *move = waiting(&bed, "BLMOVE from to LEFT LEFT 0");
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH from a");
    bed_cancel(&bed, move); /* its attempt is in the log */
    bed_settle(&bed);
    assert_false(move->ended);
    expect_answer(pop, "$to");
    bed_close(&bed);
}

TEST(node_waiting, the_time_of_a_wait_ends_it_without_a_reply)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *wait = waits(&bed, "BLPOP k 0", 50 * SIM_MILLISECOND);
    bed_run(&bed, 49 * SIM_MILLISECOND);
    assert_false(wait->ended);
    bed_run(&bed, 2 * SIM_MILLISECOND);
    expect_end(wait, CALL_TIMED_OUT);
    assert_string_equal(wait->answer, "");
    struct asked *push = does(&bed, "LPUSH k a");
    expect_answer(push, ":1");
    assert_int_equal(fake_key(&bed.fake, bytes_text("k"))->elements, 1); /* nobody took it */
    bed_close(&bed);
}

/* A disk so slow that time passes during an attempt. */
static void slow_disk(struct bed *bed, uint64_t us)
{
    struct sim_fault fault = {
        .ops = 1u << DISK_WRITE_SYNC, .kind = SIM_FAULT_STALL, .hits = 1, .amount = us};
    (void)sim_disk_fault(sim_node_disk(bed->sim), &fault);
}

TEST(node_waiting, a_time_that_ends_during_an_attempt_waits_for_its_outcome)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *served = waits(&bed, "BLPOP k 0", 100 * SIM_MILLISECOND);
    struct asked *empty = waits(&bed, "BLPOP none 0", 100 * SIM_MILLISECOND);
    bed_settle(&bed);
    slow_disk(&bed, 200 * SIM_MILLISECOND);
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_run(&bed, 150 * SIM_MILLISECOND);
    expect_end(empty, CALL_TIMED_OUT);
    assert_false(served->ended);
    bed_run(&bed, 100 * SIM_MILLISECOND);
    expect_answer(served, "$k");
    bed_close(&bed);
}

TEST(node_waiting, one_that_ends_during_an_attempt_leaves_a_key_filled_meanwhile_to_the_next)
{
    for (unsigned way = 0; way < 3; way++) {
        struct bed bed;
        bed_open(&bed);
        struct asked *behind_it = NULL;
        slow_disk(&bed, 200 * SIM_MILLISECOND);
        struct asked *ends = waits(&bed, "BLPOP k 0", way == 0 ? 100 * SIM_MILLISECOND : 0);
        bed_run(&bed, SIM_MILLISECOND);
        behind_it = waits(&bed, "BLPOP k 0", 0);
        struct asked *push = bed_ask(&bed, CALL_WRITE, "LPUSH k a"); /* for the oldest */
        if (way == 0) bed_run(&bed, 150 * SIM_MILLISECOND);
        if (way == 1) assert_true(bed_do(&bed, DEED_UNBLOCK, ends, ERR_OK));
        if (way == 2) bed_cancel(&bed, ends);
        bed_run(&bed, 300 * SIM_MILLISECOND);
        expect_end(push, CALL_ANSWERED);
        if (way == 0) expect_end(ends, CALL_TIMED_OUT);
        if (way == 1) expect_end(ends, CALL_UNBLOCKED);
        if (way == 2) assert_false(ends->ended);
        expect_answer(behind_it, "$k");
        bed_close(&bed);
    }
}

TEST(node_waiting, one_that_goes_with_its_attempt_under_way_hands_on_what_is_left)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *gone = waiting(&bed, "BLPOP k 0");
    struct asked *next = waiting(&bed, "BLPOP k 0");
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a b");
    bed_cancel(&bed, gone);
    bed_settle(&bed);
    assert_false(gone->ended);
    expect_answer(next, "$k");
    bed_close(&bed);
}

TEST(node_waiting, an_idle_waiter_can_be_unblocked_or_cancelled_once)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *unblocked = waiting(&bed, "BLPOP k 0");
    struct asked *cancelled = waiting(&bed, "BLPOP k 0");
    assert_true(bed_do(&bed, DEED_UNBLOCK, unblocked, ERR_OK));
    expect_end(unblocked, CALL_UNBLOCKED);
    assert_false(bed_do(&bed, DEED_UNBLOCK, unblocked, ERR_OK));
    bed_cancel(&bed, cancelled);
    assert_false(bed_do(&bed, DEED_UNBLOCK, cancelled, ERR_OK));
    struct asked *push = does(&bed, "LPUSH k a");
    expect_answer(push, ":1");
    assert_false(cancelled->ended);
    assert_int_equal(fake_key(&bed.fake, bytes_text("k"))->elements, 1);
    bed_close(&bed);
}

/* A wait whose attempts are longer than a segment: on a full disk there is room for the small
 * entries of others, but for none of these. */
enum { LONG_WAIT_BYTES = 20000 };

static struct asked *long_wait(struct bed *bed, uint64_t timeout_us)
{
    char words[LONG_WAIT_BYTES + 1] = "BLPOP k ";
    size_t size = strlen(words);
    memset(words + size, '0', LONG_WAIT_BYTES - size);
    words[LONG_WAIT_BYTES] = 0;
    return waits(bed, words, timeout_us);
}

static void open_small(struct bed *bed)
{
    bed_make(bed, 1);
    bed->options.segment_bytes = 1 << 14;
    bed->options.reserve_bytes = 0;
    assert_true(sim_node_start(bed->sim));
    bed_run(bed, SIM_SECOND);
}

static void set_full(struct bed *bed, bool full)
{
    struct sim_disk *disk = sim_node_disk(bed->sim);
    sim_disk_set_capacity(disk, full ? 1 : (uint64_t)1 << 30);
    bed_disk_full(bed, full);
    bed_run(bed, 15 * SIM_SECOND);
}

/* An element comes to k, in the log by a command that is not refused for want of space. */
static void fill_key(struct bed *bed)
{
    fake_key(&bed->fake, bytes_text("k"))->elements++;
    (void)does(bed, "RENAME other k");
}

TEST(node_waiting, an_attempt_without_room_in_the_log_is_made_when_there_is_room_again)
{
    struct bed bed;
    open_small(&bed);
    set_full(&bed, true);
    struct asked *wait = long_wait(&bed, 0);
    bed_settle(&bed);
    assert_null(strstr(bed.fake.applied_words, "blpop"));
    fake_key(&bed.fake, bytes_text("k"))->elements = 1;
    set_full(&bed, false);
    expect_answer(wait, "$k");
    bed_close(&bed);
}

TEST(node_waiting, the_first_attempt_is_not_left_out_for_a_further_one_that_finds_room)
{
    struct bed bed;
    open_small(&bed);
    set_full(&bed, true);
    char words[LONG_WAIT_BYTES + 1] = "BLPOP j k ";
    size_t size = strlen(words);
    memset(words + size, 'x', LONG_WAIT_BYTES - size); /* a key: further attempts do not name it */
    memcpy(words + LONG_WAIT_BYTES - 2, " 0", 3);
    struct asked *wait = waits(&bed, words, 0);
    fake_key(&bed.fake, bytes_text("j"))->elements = 1;
    fill_key(&bed);
    set_full(&bed, false);
    expect_answer(wait, "$j");
    bed_close(&bed);
}

TEST(node_waiting, a_key_whose_attempt_finds_no_room_does_not_hold_up_the_others_of_its_client)
{
    struct bed bed;
    open_small(&bed);
    char words[LONG_WAIT_BYTES + 1] = "BLPOP c ";
    size_t size = strlen(words);
    memset(words + size, 'x', LONG_WAIT_BYTES - size); /* a key */
    memcpy(words + LONG_WAIT_BYTES - 4, " k 0", 5);
    struct asked *wait = waits(&bed, words, 0);
    bed_run(&bed, SIM_SECOND);
    assert_string_equal(bed.fake.applied_words, "epoch blpop");
    set_full(&bed, true);
    fake_key(&bed.fake, bytes_text("k"))->elements++;
    (void)does(&bed, "SWAPDB 0 1"); /* fills all: c is tried and has none, the long one pauses */
    expect_answer(wait, "$k");
    set_full(&bed, false);
    bed_close(&bed);
}

TEST(node_waiting, one_that_ends_while_its_attempt_finds_no_room_leaves_its_turn_to_the_next)
{
    for (unsigned way = 0; way < 3; way++) {
        struct bed bed;
        open_small(&bed);
        struct asked *ends = long_wait(&bed, way == 0 ? 60 * SIM_SECOND : 0);
        struct asked *next = long_wait(&bed, 0);
        bed_run(&bed, SIM_SECOND);
        assert_string_equal(bed.fake.applied_words, "epoch blpop blpop");
        set_full(&bed, true);
        fill_key(&bed);
        assert_false(ends->ended);
        if (way == 0) bed_run(&bed, 60 * SIM_SECOND);
        if (way == 1) assert_true(bed_do(&bed, DEED_UNBLOCK, ends, ERR_OK));
        if (way == 2) bed_cancel(&bed, ends);
        set_full(&bed, false);
        if (way == 0) expect_end(ends, CALL_TIMED_OUT);
        if (way == 1) expect_end(ends, CALL_UNBLOCKED);
        if (way == 2) assert_false(ends->ended);
        expect_answer(next, "$k");
        bed_close(&bed);
    }
}

TEST(node_waiting, a_stop_ends_every_wait_also_when_the_end_of_one_cancels_another)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *attempting = NULL;
    struct asked *first = waiting(&bed, "BLPOP k 0");
    struct asked *second = waiting(&bed, "BLPOP k 0");
    struct asked *third = waiting(&bed, "BLPOP other 0");
    first->then_cancels = second;
    attempting = waits(&bed, "BLPOP k 0", 0);
    bed_stop(&bed);
    expect_end(first, CALL_REFUSED);
    assert_string_equal(first->answer, "-UNBLOCKED");
    assert_false(second->ended);
    expect_end(third, CALL_REFUSED);
    expect_end(attempting, CALL_UNKNOWN);
    bed_release(&bed);
}

TEST(node_waiting, a_node_that_fails_forgets_who_waits_and_what_was_ready)
{
    struct bed bed;
    bed_open(&bed);
    (void)waiting(&bed, "BLPOP k j 0");
    (void)waiting(&bed, "BLPOP j 0");
    pushes_together(&bed, "LPUSH k a", "LPUSH j a");
    bed.fake.apply_err = ERR_IO;
    bed_settle(&bed);
    bed_close_failed(&bed);
}

/* --- Watches --- */

struct watch_visit {
    struct sim_visit base;
    struct bed *bed;
    struct watch *watch;
    bool on;
};

static void watch_run(struct sim_visit *base, struct world *world)
{
    (void)world;
    struct watch_visit *visit = CONTAINER_OF(base, struct watch_visit, base);
    struct service *service = visit->bed->service;
    if (visit->on) service->ops->watch(service, visit->watch);
    else service->ops->unwatch(service, visit->watch);
}

static void watch_set(struct bed *bed, struct watch *watch, bool on)
{
    struct watch_visit visit = {{watch_run}, bed, watch, on};
    assert_true(sim_node_visit(bed->sim, &visit.base));
}

TEST(node_waiting, a_watch_is_touched_by_entries_that_name_its_key_and_by_no_others)
{
    struct bed bed;
    bed_open(&bed);
    struct watch key = {.key = bytes_text("k")};
    struct watch elsewhere = {.key = bytes_text("k"), .database = 1};
    watch_set(&bed, &key, true);
    watch_set(&bed, &elsewhere, true);
    (void)does(&bed, "LPUSH other a");
    assert_false(key.touched);
    (void)does(&bed, "LPUSH k a");
    assert_true(key.touched);
    assert_false(elsewhere.touched);
    watch_set(&bed, &key, false);
    watch_set(&bed, &key, false); /* not watched is fine */
    watch_set(&bed, &elsewhere, false);
    bed_close(&bed);
}

TEST(node_waiting, a_later_attempt_of_a_blocking_move_touches_who_watches_its_target)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *move = waiting(&bed, "BLMOVE from to LEFT LEFT 0");
    struct watch target = {.key = bytes_text("to")};
    watch_set(&bed, &target, true);
    (void)does(&bed, "LPUSH from a");
    expect_answer(move, "$from");
    assert_true(target.touched);
    watch_set(&bed, &target, false);
    bed_close(&bed);
}
