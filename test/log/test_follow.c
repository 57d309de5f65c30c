/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of a log that goes on, in order, out of memory and out of its files. */
#include "test/log/damage.h"

#include "base/dice.h"

/* Who follows, and what it was given. It checks each entry against what was appended there. */
struct follower {
    struct log_follow_listener listener;
    struct keeper *keeper;
    struct log_follow *follow;
    uint64_t next;    /* the LSN that comes next */
    uint64_t through; /* how far it may go; 0: to the end */
    unsigned limit;   /* entries to take at once; 0: all */
    unsigned pending;
    enum err end; /* of the last call */
    struct why why;
    struct lineage lineage;
};

static struct follower follower; /* of the one test that is running */

static void take(void)
{
    struct keeper *keeper = follower.keeper;
    struct lsn through = {follower.through};
    if (through.at == 0) through = log_appended(keeper->log);
    for (unsigned taken = 0; follower.limit == 0 || taken < follower.limit; taken++) {
        struct entry entry;
        follower.end = log_follow_next(follower.follow, through, &entry, &follower.why);
        if (follower.end == ERR_PENDING) follower.pending++;
        if (follower.end != ERR_OK) return;
        uint64_t lsn = entry.lsn.at;
        MUST(lsn == follower.next && entry.payload.size == keeper->size_of[lsn]);
        uint8_t *payload = memory_alloc(entry.payload.size);
        payload_make(payload, entry.payload.size, keeper->life_of[lsn], lsn);
        MUST(memcmp(payload, entry.payload.data, entry.payload.size) == 0);
        memory_free(payload);
        follower.lineage = entry.lineage;
        follower.next++;
    }
}

static void ready(struct log_follow_listener *listener)
{
    (void)listener;
    if (follower.limit == 0) take();
}

static void step_take(struct keeper *keeper)
{
    (void)keeper;
    take();
}

static void step_open(struct keeper *keeper)
{
    follower.listener.ready = ready;
    struct lsn from = {follower.next};
    follower.end = log_follow_open(&follower.follow, keeper->log, from, &follower.listener,
                                   &follower.why);
    if (follower.end == ERR_OK) take();
}

static void step_close(struct keeper *keeper)
{
    (void)keeper;
    log_follow_close(follower.follow);
    follower.follow = NULL;
}

static void step_forget(struct keeper *keeper)
{
    log_forget(keeper->log, (struct lsn){keeper->argument[0]});
}

static void step_trim(struct keeper *keeper)
{
    log_trim(keeper->log, (struct lsn){keeper->argument[0]});
}

static void with(struct keeper *keeper, void (*step)(struct keeper *), uint64_t argument)
{
    keeper->argument[0] = argument;
    assert_true(keeper_do(keeper, step));
    assert_true(sim_world_settle(keeper->world, SIM_SECOND));
}

/* Several segments of entries, none of them in memory. */
static struct keeper *filled_by(struct keeper *keeper, unsigned batches)
{
    assert_true(sim_node_start(keeper->node));
    for (unsigned i = 0; i < batches; i++)
        assert_int_equal(keeper_append(keeper, 1 + i % 3, 600), ERR_OK);
    with(keeper, step_forget, keeper->acked);
    follower = (struct follower){.keeper = keeper, .next = 1};
    return keeper;
}

static struct keeper *filled(uint64_t seed, unsigned batches)
{
    return filled_by(keeper_new(seed, LOG_ALWAYS), batches);
}

static void done(struct keeper *keeper)
{
    with(keeper, step_close, 0);
    ASSERT_SOUND(keeper);
    assert_int_equal(keeper_end(keeper), ERR_OK);
    keeper_free(keeper);
}

TEST(log_follow, entries_come_in_order_from_the_files_then_from_memory_while_the_log_goes_on)
{
    for (uint64_t seed = 1; seed <= 2; seed++) { /* direct or not */
        struct keeper *keeper = filled(seed, 80);
        with(keeper, step_open, 0);
        assert_true(follower.pending > 3); /* segments and windows */
        assert_int_equal(follower.next, keeper->acked + 1);
        assert_int_equal(follower.end, ERR_NOT_FOUND);
        unsigned before = follower.pending;
        assert_int_equal(keeper_append(keeper, 40, 600), ERR_OK);
        with(keeper, step_take, 0);
        assert_int_equal(follower.next, keeper->acked + 1);
        assert_int_equal(follower.pending, before); /* nothing was read */
        assert_true(log_last(keeper->log).lineage.hash == follower.lineage.hash);
        done(keeper);
    }
}

/* The disk is done with each window before the one in front of it is used up: what is waited for
 * is the first one of a segment, its opening and its closing. */
TEST(log_follow, the_next_window_is_read_while_one_is_in_use)
{
    for (uint64_t seed = 1; seed <= 2; seed++) {
        struct keeper *keeper = keeper_new(seed, LOG_ALWAYS);
        keeper->options.segment_bytes = 256 << 10;
        assert_true(sim_node_start(keeper->node));
        for (unsigned i = 0; i < 400; i++)
            assert_int_equal(keeper_append(keeper, 1 + i % 3, 500 + 37 * (i % 50)), ERR_OK);
        with(keeper, step_forget, keeper->acked);
        follower = (struct follower){.keeper = keeper, .next = 1, .limit = 4};
        with(keeper, step_open, 0);
        while (follower.next <= keeper->acked) with(keeper, step_take, 0);
        assert_true(follower.pending < 20); /* of a hundred windows, in six segments */
        follower.next = 1;
        follower.limit = 0;
        with(keeper, step_close, 0);
        with(keeper, step_open, 0); /* and as fast as it can */
        assert_int_equal(follower.next, keeper->acked + 1);
        done(keeper);
    }
}

TEST(log_follow, what_was_forgotten_before_it_was_given_is_read)
{
    struct keeper *keeper = filled(1, 10);
    with(keeper, step_open, 0);
    for (unsigned i = 0; i < 60; i++) {
        assert_int_equal(keeper_append(keeper, 1 + i % 2, 700), ERR_OK);
        if (i % 3 == 0) with(keeper, step_forget, keeper->acked);
        if (i % 5 == 0) with(keeper, step_take, 0);
    }
    with(keeper, step_take, 0);
    assert_int_equal(follower.next, keeper->acked + 1);
    done(keeper);
}

TEST(log_follow, it_goes_no_further_than_it_may)
{
    struct keeper *keeper = filled(1, 20);
    follower.through = 7;
    with(keeper, step_open, 0);
    assert_int_equal(follower.next, 8);
    assert_int_equal(follower.end, ERR_NOT_FOUND);
    follower.through = 9;
    with(keeper, step_take, 0);
    assert_int_equal(follower.next, 10);
    done(keeper);
}

TEST(log_follow, what_is_not_given_yet_is_kept_and_the_rest_may_go)
{
    struct keeper *keeper = filled(1, 60);
    follower.through = 20;
    with(keeper, step_open, 0);
    with(keeper, step_trim, keeper->acked);
    uint64_t floor = log_floor(keeper->log).at;
    assert_true(floor > 1 && floor <= 21);
    follower.through = 0;
    with(keeper, step_take, 0);
    assert_int_equal(follower.next, keeper->acked + 1);
    assert_int_equal(keeper_append(keeper, 1, 100), ERR_OK);
    assert_true(sim_world_settle(keeper->world, SIM_SECOND));
    assert_true(log_floor(keeper->log).at > 80);
    done(keeper);
}

TEST(log_follow, below_the_floor_and_beyond_the_end_there_is_nothing_to_follow)
{
    struct keeper *keeper = filled(1, 60);
    with(keeper, step_trim, 50);
    follower.next = log_floor(keeper->log).at - 1;
    with(keeper, step_open, 0);
    assert_int_equal(follower.end, ERR_NOT_FOUND);
    assert_non_null(strstr(follower.why.text, "is not kept"));
    follower.next = keeper->acked + 2;
    with(keeper, step_open, 0);
    assert_int_equal(follower.end, ERR_LIMIT);
    follower.next = keeper->acked + 1;
    with(keeper, step_open, 0);
    assert_int_equal(follower.end, ERR_NOT_FOUND);
    assert_non_null(follower.follow);
    done(keeper);
}

TEST(log_follow, a_damaged_batch_ends_it_with_the_place)
{
    struct keeper *keeper = filled(1, 8);
    char path[80];
    segment_path(1, path);
    assert_true(sim_disk_damage(keeper_disk(keeper), path,
                                LOG_SEGMENT_HEADER_BYTES + 1024 + LOG_BATCH_HEADER_BYTES, 4,
                                SIM_DAMAGE_GARBAGE));
    with(keeper, step_open, 0);
    assert_int_equal(follower.end, ERR_CORRUPT);
    assert_non_null(strstr(follower.why.text, "LSN 2"));
    assert_int_equal(follower.next, 2);
    follower.why.text[0] = '\0';
    with(keeper, step_take, 0);
    assert_int_equal(follower.end, ERR_CORRUPT);
    assert_non_null(strstr(follower.why.text, "LSN 2"));
    done(keeper);
}

TEST(log_follow, a_read_that_fails_ends_it_and_a_new_one_goes_on)
{
    struct keeper *keeper = filled(1, 8);
    struct sim_fault fault = {
        .ops = 1u << DISK_READ, .hits = 1, .kind = SIM_FAULT_ERROR, .err = ERR_IO};
    (void)sim_disk_fault(keeper_disk(keeper), &fault);
    with(keeper, step_open, 0);
    assert_int_equal(follower.end, ERR_IO);
    with(keeper, step_close, 0);
    with(keeper, step_open, 0);
    assert_int_equal(follower.next, keeper->acked + 1);
    done(keeper);
}

static void step_open_and_close(struct keeper *keeper)
{
    step_open(keeper);
    MUST(follower.end == ERR_PENDING);
    step_close(keeper);
}

static void step_open_close_and_abandon(struct keeper *keeper)
{
    step_open_and_close(keeper);
    log_abandon(keeper->log);
    keeper->log = NULL;
}

TEST(log_follow, it_is_closed_while_the_disk_is_at_work_and_the_log_too)
{
    for (uint64_t limit = 0; limit < 3; limit++) {
        struct keeper *keeper = filled(1, 30);
        with(keeper, step_open_and_close, 0);
        follower.limit = (unsigned)limit;
        assert_true(keeper_do(keeper, step_open));
        for (uint64_t i = 0; i < limit; i++) assert_true(keeper_do(keeper, step_take));
        with(keeper, step_close, 0);
        assert_true(keeper_do(keeper, step_open_close_and_abandon));
        assert_true(sim_world_settle(keeper->world, SIM_SECOND));
        ASSERT_SOUND(keeper);
        keeper_free(keeper);
    }
}

TEST(log_follow, any_row_of_appends_forgets_trims_and_takes_gives_every_entry_once)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct dice dice;
        dice_init(&dice, seed);
        struct keeper *keeper = keeper_new(seed, LOG_ALWAYS);
        keeper->options.segment_bytes = (uint64_t)16384 << dice_below(&dice, 4);
        filled_by(keeper, (unsigned)dice_below(&dice, 30));
        with(keeper, step_open, 0);
        for (unsigned i = 0; i < 120; i++) {
            follower.limit = (unsigned)dice_below(&dice, 5);
            uint64_t size = dice_below(&dice, 20) == 0 ? 30000 : 20 + dice_below(&dice, 2000);
            switch (dice_below(&dice, 6)) {
            case 0:
            case 1:
                assert_int_equal(keeper_append(keeper, 1 + dice_below(&dice, 4), size), ERR_OK);
                break;
            case 2: with(keeper, step_forget, keeper->acked); break;
            case 3: with(keeper, step_trim, keeper->acked); break;
            default: assert_true(keeper_do(keeper, step_take)); break;
            }
        }
        follower.limit = 0;
        with(keeper, step_take, 0);
        assert_int_equal(follower.next, keeper->acked + 1);
        done(keeper);
    }
}
