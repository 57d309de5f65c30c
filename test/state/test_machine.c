/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 */
#include "test/test.h"

#include "base/plant.h"
#include "test/state/bed.h"

#define ASSERT_WRITE(bed, line, reply) assert_string_equal(bed_write(bed, line), reply)
#define ASSERT_READ(bed, line, reply) assert_string_equal(bed_read(bed, line), reply)

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
