/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * following: a replica in the stream, and what was said to the stream.
 */
#ifndef TEST_FACE_PSYNC_FOLLOWING_H
#define TEST_FACE_PSYNC_FOLLOWING_H

#include "test/face/psync/bed.h"
#include "test/test.h"

static inline void expect_said(struct bed *bed, const char *words)
{
    buffer_append_byte(&bed->said, 0);
    assert_string_equal((const char *)bed->said.data, words);
    buffer_clear(&bed->said);
}

/* A replica in the stream, with everything read. */
static inline struct bed_link *follow(struct bed *bed, unsigned i)
{
    struct bed_link *link = bed_connect(bed, i);
    (void)bed_say(link, "REPLCONF capa psync2");
    (void)bed_say(link, "PSYNC ? -1");
    bed_pass(bed, 1000);
    assert_int_equal(link->replica->phase, REPLICA_STREAM);
    (void)bed_got(link);
    return link;
}

static inline void add(struct bed *bed, const char *text)
{
    fake_feed_add(&bed->feed, bytes_text(text));
}

#endif
