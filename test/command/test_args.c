/* SPDX-License-Identifier: Apache-2.0 */
#include "test/command/facts.h"

TEST(command_args, words_keep_their_order_while_the_storage_grows)
{
    struct args args;
    args_init(&args);
    char texts[500][8];
    for (size_t i = 0; i < 500; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%zu", i);
        args_push(&args, bytes_text(texts[i]));
        assert_int_equal(args.count, i + 1);
        assert_true(args.capacity >= args.count);
    }
    for (size_t i = 0; i < 500; i++) assert_true(bytes_equal(args.at[i], bytes_text(texts[i])));
    args_release(&args);
    assert_null(args.at);
    assert_int_equal(args.count, 0);
}

TEST(command_args, clear_keeps_small_storage_and_gives_large_storage_back)
{
    struct args args;
    args_init(&args);
    for (size_t i = 0; i < 20; i++) args_push(&args, bytes_text("x"));
    const struct bytes *at = args.at;
    args_clear(&args);
    assert_int_equal(args.count, 0);
    assert_ptr_equal(args.at, at);
    for (size_t i = 0; i < 100000; i++) args_push(&args, bytes_text("x"));
    args_clear(&args);
    assert_int_equal(args.count, 0);
    assert_int_equal(args.capacity, 0);
    args_push(&args, bytes_text("again"));
    assert_int_equal(args.count, 1);
    args_release(&args);
    args_release(&args);
}
