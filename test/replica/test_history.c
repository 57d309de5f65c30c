/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/history.h"

#include "test/test.h"

static struct epochs_view view_of(const struct epoch_start *at, size_t count)
{
    return (struct epochs_view){at, count};
}

TEST(replica_history, epochs_follow_each_other_and_the_oldest_are_forgotten)
{
    struct epochs epochs;
    struct why why;
    epochs_init(&epochs);
    for (uint64_t i = 1; i <= HISTORY_EPOCHS_MAX + 3; i++) {
        struct epoch_start start = {{i, 1}, {i * 2}, i};
        assert_int_equal(epochs_append(&epochs, &start, &why), ERR_OK);
    }
    assert_int_equal(epochs.count, HISTORY_EPOCHS_MAX);
    assert_int_equal(epochs.at[0].epoch.number, 4);
    struct epoch_start newest = epochs.at[epochs.count - 1], bad = newest;
    assert_int_equal(epochs_append(&epochs, &bad, &why), ERR_REFUSED);
    bad.epoch.number++;
    assert_int_equal(epochs_append(&epochs, &bad, &why), ERR_REFUSED); /* no entry of its own */
    bad.first.at++;
    bad.stream_offset--;
    assert_int_equal(epochs_append(&epochs, &bad, &why), ERR_REFUSED);
    bad.stream_offset++;
    assert_int_equal(epochs_append(&epochs, &bad, &why), ERR_OK);
    epochs_cut(&epochs, newest.first);
    assert_int_equal(epochs.at[epochs.count - 1].epoch.number, newest.epoch.number);
    epochs_cut(&epochs, (struct lsn){newest.first.at - 1});
    assert_int_equal(epochs.at[epochs.count - 1].epoch.number, newest.epoch.number - 1);
    epochs_release(&epochs);
}

TEST(replica_history, soundness_is_what_a_log_can_have)
{
    static const struct epoch_start at[] = {{{1, 1}, {1}, 0}, {{2, 2}, {5}, 7}};
    struct mark last = {.epoch = {2, 2}, .lsn = {5}};
    assert_true(epochs_are_sound(view_of(at, 2), &last));
    last.lsn.at = 4;
    assert_false(epochs_are_sound(view_of(at, 2), &last)); /* its epoch's entry is not there */
    last.lsn.at = 9;
    last.epoch.copy = 1;
    assert_false(epochs_are_sound(view_of(at, 2), &last));
    assert_false(epochs_are_sound(view_of(at, 0), &last));
    assert_true(epochs_are_sound(view_of(at, 0), &(struct mark){.lsn = {0}}));
    static const struct epoch_start back[] = {{{2, 1}, {1}, 0}, {{1, 2}, {5}, 0}};
    assert_false(epochs_are_sound(view_of(back, 2), &(struct mark){.epoch = {1, 2}, .lsn = {6}}));
}

TEST(replica_history, epoch_of_an_entry_is_found_unless_it_is_forgotten)
{
    static const struct epoch_start at[] = {{{3, 1}, {10}, 0}, {{4, 2}, {15}, 0}};
    struct epoch epoch;
    assert_false(epochs_find(view_of(at, 2), (struct lsn){9}, &epoch));
    assert_true(epochs_find(view_of(at, 2), (struct lsn){14}, &epoch));
    assert_int_equal(epoch.number, 3);
    assert_true(epochs_find(view_of(at, 2), (struct lsn){15}, &epoch));
    assert_int_equal(epoch.number, 4);
}

TEST(replica_history, common_point_is_the_end_of_the_last_epoch_that_both_have)
{
    static const struct epoch_start a[] = {{{1, 1}, {1}, 0}, {{2, 2}, {5}, 0}, {{4, 1}, {9}, 0}};
    static const struct epoch_start b[] = {{{1, 1}, {1}, 0}, {{2, 2}, {5}, 0}, {{3, 2}, {7}, 0}};
    struct common common = epochs_common(view_of(a, 3), (struct lsn){12}, view_of(b, 3),
                                         (struct lsn){20});
    assert_int_equal(common.kind, COMMON_FOUND);
    assert_int_equal(common.lsn.at, 6);
    assert_int_equal(common.epoch.number, 2);
    common = epochs_common(view_of(a, 2), (struct lsn){8}, view_of(b, 2), (struct lsn){6});
    assert_int_equal(common.lsn.at, 6);
    common = epochs_common(view_of(a, 3), (struct lsn){12}, view_of(b + 2, 1), (struct lsn){20});
    assert_int_equal(common.kind, COMMON_FORGOTTEN);
    common = epochs_common(view_of(a, 0), (struct lsn){0}, view_of(b, 2), (struct lsn){6});
    assert_int_equal(common.kind, COMMON_NOTHING);
    static const struct epoch_start moved[] = {{{1, 1}, {1}, 0}, {{2, 2}, {4}, 0}};
    common = epochs_common(view_of(a, 3), (struct lsn){12}, view_of(moved, 2), (struct lsn){6});
    assert_int_equal(common.kind, COMMON_FORK);
}

TEST(replica_history, what_is_written_is_read_and_nothing_else)
{
    static const struct epoch_start at[] = {{{1, 1}, {1}, 0}, {{2, 2}, {5}, 7}};
    struct buffer out;
    struct epochs read;
    buffer_init(&out);
    epochs_encode(view_of(at, 2), &out);
    struct bytes in = buffer_bytes(&out);
    assert_int_equal(epochs_decode(&in, 2, &read), ERR_OK);
    assert_int_equal(in.size, 0);
    assert_memory_equal(read.at, at, sizeof at);
    epochs_release(&read);
    in = buffer_bytes(&out);
    assert_int_equal(epochs_decode(&in, 3, &read), ERR_PROTOCOL);
    assert_int_equal(epochs_decode(&in, SIZE_MAX / 16, &read), ERR_PROTOCOL);
    store_le64(out.data + 48, 1); /* the second begins where the first does */
    assert_int_equal(epochs_decode(&in, 2, &read), ERR_PROTOCOL);
    buffer_release(&out);
}
