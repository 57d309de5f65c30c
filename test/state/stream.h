/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * stream: a bed whose machine derives the stream of effects, and what stands in that.
 */
#ifndef TEST_STATE_STREAM_H
#define TEST_STATE_STREAM_H

#include <stdlib.h>

#include "test/state/bed.h"
#include "test/test.h"

static inline void stream_say(struct bed *bed, enum stream_word word)
{
    struct buffer payload;
    buffer_init(&payload);
    payload_put_stream(&payload, word, NULL);
    assert_string_equal(bed_apply(bed, buffer_bytes(&payload)), "");
    buffer_release(&payload);
}

static inline struct effects_place stream_place(const struct bed *bed)
{
    return bed->machine->ops->effects(bed->machine);
}

/* One read to its end, with what it asks for brought into memory. */
static inline enum err stream_read(struct bed *bed, uint64_t offset, uint64_t bytes_max,
                                   struct buffer *out)
{
    struct effects_read read = {.offset = offset, .bytes_max = bytes_max, .out = out};
    for (;;) {
        size_t before = out->size;
        enum err err = bed->machine->ops->effects_read(bed->machine, &read);
        if (err != ERR_OK) assert_int_equal(out->size, before);
        if (err != ERR_PENDING) return err;
        assert_true(read.attempt++ < MACHINE_ATTEMPTS_MAX);
        bed_warm_now(bed);
    }
}

/* Everything from `offset` to the end, in pieces of at most `piece`. */
static inline void stream_read_all(struct bed *bed, uint64_t offset, uint64_t piece,
                                   struct buffer *out)
{
    uint64_t end = stream_place(bed).end;
    buffer_clear(out);
    while (offset + out->size < end) {
        size_t before = out->size;
        assert_int_equal(stream_read(bed, offset + before, piece, out), ERR_OK);
        assert_true(out->size > before && out->size - before <= piece);
    }
    assert_int_equal(offset + out->size, end);
}

/* The same as text: words apart by a space, commands by " | ". Borrowed until the next call. */
static inline const char *stream_text(struct bed *bed, uint64_t offset)
{
    static char text[4096];
    struct buffer bytes;
    buffer_init(&bytes);
    stream_read_all(bed, offset, 7, &bytes);
    size_t size = 0;
    buffer_append_byte(&bytes, 0);
    const char *at = (const char *)bytes.data;
    text[0] = '\0';
    while (*at != '\0') {
        unsigned long words = strtoul(at + 1, NULL, 10);
        if (*at != '*') fail_msg("no command at %.20s", at);
        at = strstr(at, "\r\n") + 2;
        for (unsigned long i = 0; i < words; i++) {
            size_t length = strtoul(at + 1, NULL, 10);
            at = strstr(at, "\r\n") + 2;
            size += (size_t)snprintf(text + size, sizeof text - size, "%s%.*s",
                                     size == 0 ? ""
                                     : i == 0  ? " | "
                                               : " ",
                                     (int)length, at);
            at += length + 2;
        }
    }
    buffer_release(&bytes);
    return text;
}

/* What the line has put into the stream. */
static inline const char *stream_of(struct bed *bed, const char *line)
{
    uint64_t end = stream_place(bed).end;
    (void)bed_write(bed, line);
    return stream_text(bed, end);
}

static inline void stream_bed_init(struct bed *bed)
{
    bed_init(bed, 1);
    stream_say(bed, STREAM_ON);
}

#endif
