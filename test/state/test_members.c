/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * What the machine says of the history that it has applied: the epochs, and the newest copies that
 * an entry has named; over flushes, crashes and images.
 */
#include "test/test.h"

#include "seam/copies.h"
#include "test/state/shipped.h"

/* Told as the entry said it: the whole payload. */
static void put_named(struct buffer *out, uint64_t id)
{
    struct members members = {
        .all = true, .min_in_sync = 2, .count = 2, .at = {{.id = id, .counts = true}, {.id = 99}}};
    (void)snprintf(members.at[0].peer, COPY_ADDRESS_BYTES, "copy%llu:7400", (unsigned long long)id);
    payload_put_members(out, &members);
}

static void name_copies(struct bed *bed, uint64_t id)
{
    struct buffer payload;
    buffer_init(&payload);
    put_named(&payload, id);
    assert_string_equal(bed_apply(bed, buffer_bytes(&payload)), "");
    assert_false(bed->changed || bed->waits);
    buffer_release(&payload);
}

/* 0: none was ever named. */
static void expect_named(const struct bed *bed, uint64_t id)
{
    struct buffer payload;
    buffer_init(&payload);
    if (id != 0) put_named(&payload, id);
    assert_true(bytes_equal(bed->machine->ops->members(bed->machine), buffer_bytes(&payload)));
    buffer_release(&payload);
}

static void open_epoch(struct bed *bed)
{
    struct buffer payload;
    buffer_init(&payload);
    payload_put_epoch(&payload);
    (void)bed_apply(bed, buffer_bytes(&payload));
    buffer_release(&payload);
}

static void expect_epochs(const struct bed *bed, size_t count, uint64_t newest)
{
    size_t found;
    const struct epoch_start *epochs = bed->machine->ops->epochs(bed->machine, &found);
    assert_int_equal(found, count);
    if (count == 0) return;
    assert_int_equal(epochs[count - 1].first.at, newest);
    assert_int_equal(epochs[count - 1].epoch.number, 1);
}

TEST(state_members, an_entry_that_names_copies_changes_nothing_but_the_mark_and_what_is_told)
{
    struct bed bed;
    bed_init(&bed, 1);
    (void)bed_write(&bed, "SET a 1");
    struct digest digest = bed_digest(&bed);
    expect_named(&bed, 0);
    name_copies(&bed, 5);
    expect_named(&bed, 5);
    assert_int_equal(bed_applied(&bed), 2);
    assert_true(digest_equal(bed_digest(&bed), digest));
    (void)bed_write(&bed, "SET b 1");
    expect_named(&bed, 5);
    name_copies(&bed, 6); /* the newest is the one that counts */
    expect_named(&bed, 6);
    bed_release(&bed);
}

TEST(state_members, epochs_are_those_of_what_is_applied_also_before_a_flush)
{
    struct bed bed;
    bed_init(&bed, 1);
    expect_epochs(&bed, 0, 0);
    open_epoch(&bed);
    expect_epochs(&bed, 1, 1);
    (void)bed_write(&bed, "SET a 1");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    open_epoch(&bed);
    expect_epochs(&bed, 2, 3);
    bed_reopen(&bed); /* one of them out of the store, one replayed */
    expect_epochs(&bed, 2, 3);
    bed_release(&bed);
}

/* Named before, during and after a flush; what comes back after a crash is what was. */
TEST(state_members, a_crash_at_any_time_brings_back_the_newest_that_were_applied)
{
    for (unsigned flushed = 0; flushed < 4; flushed++) {
        for (unsigned named = 0; named < 4; named++) {
            struct bed bed;
            bed_init(&bed, 1);
            (void)bed_write(&bed, "SET a 1");
            if (named >= 1) name_copies(&bed, 1);
            if (flushed >= 1) bed_flush_begin(&bed);
            if (named >= 2) name_copies(&bed, 2);
            if (flushed >= 2) bed_settle(&bed);
            if (named >= 3) name_copies(&bed, 3);
            if (flushed >= 3) assert_int_equal(bed_flush(&bed), ERR_OK);
            expect_named(&bed, named);
            bed_reopen(&bed);
            expect_named(&bed, named);
            assert_int_equal(bed_flush(&bed), ERR_OK);
            bed_reopen(&bed); /* nothing is replayed */
            expect_named(&bed, named);
            assert_true(bed_recounts(&bed));
            bed_release(&bed);
        }
    }
}

/* Of one moment: a store never has the copies of an entry beyond its mark. */
TEST(state_members, a_flush_writes_those_of_its_own_mark)
{
    struct bed bed;
    bed_init(&bed, 1);
    name_copies(&bed, 1);
    bed_flush_begin(&bed);
    name_copies(&bed, 2);
    bed_settle(&bed);
    memory_store_crash(&bed.store);
    bed.machine->ops->close(bed.machine);
    bed.machine = open_machine(&bed);
    assert_int_equal(bed_applied(&bed), 1);
    expect_named(&bed, 1);
    bed_release(&bed);
}

TEST(state_members, copies_that_do_not_read_are_corrupt_and_change_nothing)
{
    struct bed bed;
    bed_init(&bed, 1);
    name_copies(&bed, 1);
    struct buffer payload;
    buffer_init(&payload);
    put_named(&payload, 2);
    buffer_append_byte(&payload, 0);
    assert_int_equal(bed_try(&bed, buffer_bytes(&payload)), ERR_CORRUPT);
    assert_int_equal(bed_applied(&bed), 1);
    expect_named(&bed, 1);
    payload.size--;
    assert_int_equal(bed_try(&bed, buffer_bytes(&payload)), ERR_OK);
    expect_named(&bed, 2);
    buffer_release(&payload);
    bed_release(&bed);
}

TEST(state_members, a_read_names_nobody)
{
    struct bed bed;
    bed_init(&bed, 1);
    struct buffer payload;
    buffer_init(&payload);
    put_named(&payload, 1);
    struct outcome outcome = {.reply = reply_nobody()};
    struct query query = {.payload = buffer_bytes(&payload), .final_expiry = true};
    assert_int_equal(bed.machine->ops->query(bed.machine, &query, &outcome), ERR_PROTOCOL);
    expect_named(&bed, 0);
    buffer_release(&payload);
    bed_release(&bed);
}

/* --- Images --- */

/* The bed goes on over a store that was made of an image of its newest flush. */
static void move_house(struct bed *bed, struct history history)
{
    struct memory_store made;
    memory_store_init(&made, 1);
    struct shipped shipped;
    shipped_open(&shipped, bed);
    struct why why;
    struct machine_fill fill = {.history = history, .window_bytes = 500};
    assert_int_equal(shipped_fill(&shipped, &made.base, &fill, &why), ERR_OK);
    shipped_close(&shipped);
    bed->machine->ops->close(bed->machine);
    memory_store_release(&bed->store);
    bed->store = made;
    struct state_options options = {.history = history, .cache_bytes = 1 << 20};
    assert_int_equal(state_open(&bed->machine, &bed->store.base, NULL, &options, NULL, &why),
                     ERR_OK);
}

TEST(state_members, an_image_that_is_installed_names_the_same_copies_and_epochs)
{
    struct bed bed;
    bed_init(&bed, 1);
    open_epoch(&bed);
    (void)bed_write(&bed, "RPUSH l 1 2 3");
    name_copies(&bed, 7);
    open_epoch(&bed);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    name_copies(&bed, 8); /* beyond the image */
    open_epoch(&bed);
    move_house(&bed, bed.machine->ops->applied(bed.machine).history);
    assert_int_equal(bed_applied(&bed), 4);
    expect_named(&bed, 7);
    expect_epochs(&bed, 2, 4);
    bed_reopen(&bed);
    expect_named(&bed, 8);
    expect_epochs(&bed, 3, 6);
    bed_release(&bed);
}

TEST(state_members, the_copies_of_a_history_are_none_of_another_that_is_made_of_it)
{
    struct bed bed;
    bed_init(&bed, 1);
    open_epoch(&bed);
    name_copies(&bed, 7);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    struct history other = bed.machine->ops->applied(bed.machine).history;
    other.id[15] ^= 1; /* in one bit */
    move_house(&bed, other);
    expect_named(&bed, 0);
    expect_epochs(&bed, 1, 1);
    bed_release(&bed);
}
