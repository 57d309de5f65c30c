/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

#include "test/test.h"

TEST(err, a_failure_is_written_and_handed_on_in_one_statement)
{
    struct why why;
    assert_int_equal(why_fail(&why, ERR_CORRUPT, "segment %d, offset %d", 7, 512), ERR_CORRUPT);
    assert_string_equal(why.text, "segment 7, offset 512");
}

TEST(err, without_a_why_only_the_code_is_handed_on)
{
    assert_int_equal(why_fail(NULL, ERR_IO, "%s", "nobody reads this"), ERR_IO);
    why_prefix(NULL, "nobody");
}

TEST(err, a_line_that_is_too_long_is_cut_to_fit)
{
    struct why why;
    char text[2 * sizeof(why.text)];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(why_fail(&why, ERR_LIMIT, "%s", text), ERR_LIMIT);
    assert_int_equal(strlen(why.text), sizeof(why.text) - 1);
}

TEST(err, an_outer_layer_puts_its_context_in_front)
{
    struct why why;
    (void)why_fail(&why, ERR_IO, "write failed");
    why_prefix(&why, "segment 3");
    why_prefix(&why, "log");
    assert_string_equal(why.text, "log: segment 3: write failed");
}

TEST(err, a_prefix_cuts_the_end_of_the_line_and_never_the_prefix)
{
    struct why why;
    memset(why.text, 'x', sizeof(why.text) - 1);
    why.text[sizeof(why.text) - 1] = '\0';
    why_prefix(&why, "outer");
    assert_memory_equal(why.text, "outer: xxx", 10);
    assert_int_equal(strlen(why.text), sizeof(why.text) - 1);

    struct why same;
    memset(same.text, 'y', sizeof(same.text) - 1);
    same.text[sizeof(same.text) - 1] = '\0';
    why_prefix(&why, same.text);
    assert_string_equal(why.text, same.text);
}

TEST(err, every_code_has_a_word_of_its_own)
{
    for (int a = ERR_OK; a <= ERR_SHUT; a++) {
        assert_string_not_equal(err_name((enum err)a), "unknown");
        for (int b = ERR_OK; b < a; b++)
            assert_string_not_equal(err_name((enum err)a), err_name((enum err)b));
    }
    assert_string_equal(err_name(ERR_CORRUPT), "corrupt");
    assert_string_equal(err_name((enum err)(ERR_SHUT + 1)), "unknown");
}
