/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_resp: the reader of the Redis protocol. The first two bytes choose limits and pieces; the
 * rest is what a client sends. In one piece and in many the result is the same, and memory is
 * bounded by what was sent. */
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/dice.h"
#include "base/must.h"
#include "face/redis/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct feed {
    struct resp_reader reader;
    struct args args;
    struct buffer in, out;
    size_t sent;
    bool over;
};

static void feed_open(struct feed *feed, uint8_t limits)
{
    *feed = (struct feed){.over = false};
    resp_reader_init(&feed->reader);
    feed->reader.authenticated = (limits & 1) != 0;
    if ((limits & 2) != 0) feed->reader.bulk_bytes_max = 16;
    args_init(&feed->args);
    buffer_init(&feed->in);
    buffer_init(&feed->out);
}

static void feed_close(struct feed *feed)
{
    resp_reader_release(&feed->reader);
    args_release(&feed->args);
    buffer_release(&feed->in);
    buffer_release(&feed->out);
}

static void check_memory(const struct feed *feed)
{
    /* Arrays double and begin with 16; a word takes a byte at least, and two on the wire. */
    MUST(feed->reader.found_capacity <= 32 + feed->sent);
    MUST(feed->args.capacity <= 32 + feed->sent);
    MUST(feed->reader.unquoted.capacity <= 256 + 2 * feed->sent);
    MUST(feed->reader.scanned <= feed->in.size);
}

static void put_command(struct feed *feed)
{
    MUST(feed->args.count > 0);
    buffer_append_le32(&feed->out, (uint32_t)feed->args.count);
    for (size_t i = 0; i < feed->args.count; i++) {
        buffer_append_le32(&feed->out, (uint32_t)feed->args.at[i].size);
        buffer_append(&feed->out, feed->args.at[i]);
    }
}

static void feed_bytes(struct feed *feed, struct bytes bytes)
{
    struct buffer moved; /* exactly as large as it must be, so that a read beyond it is seen */
    buffer_init(&moved);
    if (feed->in.size + bytes.size > 0) (void)buffer_reserve(&moved, feed->in.size + bytes.size);
    buffer_append(&moved, buffer_bytes(&feed->in));
    buffer_append(&moved, bytes);
    buffer_release(&feed->in);
    feed->in = moved;
    feed->sent += bytes.size;
    while (!feed->over) {
        size_t consumed = 0;
        enum resp_result result = resp_read(&feed->reader, buffer_bytes(&feed->in), &feed->args,
                                            &consumed);
        check_memory(feed);
        MUST(consumed <= feed->in.size);
        if (result == RESP_MORE) {
            MUST(consumed == 0);
            return;
        }
        buffer_append_byte(&feed->out, (uint8_t)result);
        if (result == RESP_BAD) buffer_append_text(&feed->out, feed->reader.error);
        if (result == RESP_COMMAND) put_command(feed);
        feed->over = result == RESP_BAD || result == RESP_FOREIGN;
        MUST(feed->over || consumed > 0);
        buffer_consume(&feed->in, consumed);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct bytes rest = bytes_of(data + 2, size - 2);
    struct feed whole, pieces;
    feed_open(&whole, data[0]);
    feed_bytes(&whole, rest);
    feed_open(&pieces, data[0]);
    struct dice dice;
    dice_init(&dice, data[1]);
    for (size_t at = 0; at < rest.size;) {
        size_t piece = 1 + (size_t)dice_below(&dice, 1 + (data[1] & 63));
        if (piece > rest.size - at) piece = rest.size - at;
        feed_bytes(&pieces, bytes_of(rest.data + at, piece));
        at += piece;
    }
    MUST(bytes_equal(buffer_bytes(&whole.out), buffer_bytes(&pieces.out)));
    MUST(whole.over || whole.in.size == pieces.in.size);
    feed_close(&whole);
    feed_close(&pieces);
    return 0;
}
