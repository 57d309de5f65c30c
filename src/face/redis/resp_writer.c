/* SPDX-License-Identifier: Apache-2.0 */
/* Replies as RESP2 or RESP3 bytes. */
#include "base/must.h"
#include "base/number.h"
#include "face/redis/resp.h"

static struct resp_writer *writer_of(struct reply *reply)
{
    return CONTAINER_OF(reply, struct resp_writer, reply);
}

/* "<prefix><number>\r\n" */
static size_t header_format(uint8_t prefix, int64_t value, uint8_t out[NUMBER_TEXT_BYTES + 3])
{
    char text[NUMBER_TEXT_BYTES];
    size_t size = number_format_int64(value, text);
    out[0] = prefix;
    memcpy(out + 1, text, size);
    out[size + 1] = '\r';
    out[size + 2] = '\n';
    return size + 3;
}

static void put_header(struct reply *reply, uint8_t prefix, int64_t value)
{
    struct buffer *out = writer_of(reply)->out;
    uint8_t *at = buffer_reserve(out, NUMBER_TEXT_BYTES + 3);
    out->size += header_format(prefix, value, at);
}

static void put_line(struct reply *reply, char prefix, const char *text)
{
    struct buffer *out = writer_of(reply)->out;
    buffer_append_byte(out, (uint8_t)prefix);
    size_t begins = out->size;
    buffer_append_text(out, text);
    for (size_t i = begins; i < out->size; i++) { /* it may quote what a client sent */
        if (out->data[i] == '\r' || out->data[i] == '\n') out->data[i] = ' ';
    }
    buffer_append_text(out, "\r\n");
}

static void write_simple(struct reply *reply, const char *text)
{
    put_line(reply, '+', text);
}

static void write_error(struct reply *reply, const char *text)
{
    writer_of(reply)->errors++;
    put_line(reply, '-', text);
}

static void write_integer(struct reply *reply, int64_t value)
{
    put_header(reply, ':', value);
}

static void write_bulk(struct reply *reply, struct bytes bytes)
{
    put_header(reply, '$', (int64_t)bytes.size);
    struct buffer *out = writer_of(reply)->out;
    uint8_t *at = buffer_reserve(out, bytes.size + 2);
    if (bytes.size > 0) memcpy(at, bytes.data, bytes.size);
    at[bytes.size] = '\r';
    at[bytes.size + 1] = '\n';
    out->size += bytes.size + 2;
}

static void write_number(struct reply *reply, double value)
{
    char text[NUMBER_TEXT_BYTES];
    size_t size = number_format_double(value, text);
    if (!writer_of(reply)->resp3) {
        write_bulk(reply, bytes_of(text, size));
        return;
    }
    struct buffer *out = writer_of(reply)->out;
    buffer_append_byte(out, ',');
    buffer_append(out, bytes_of(text, size));
    buffer_append_text(out, "\r\n");
}

static void write_boolean(struct reply *reply, bool value)
{
    if (writer_of(reply)->resp3) {
        put_line(reply, '#', value ? "t" : "f");
    } else {
        write_integer(reply, value ? 1 : 0);
    }
}

static void write_verbatim(struct reply *reply, struct bytes text)
{
    if (!writer_of(reply)->resp3) {
        write_bulk(reply, text);
        return;
    }
    struct buffer *out = writer_of(reply)->out;
    put_header(reply, '=', (int64_t)text.size + 4);
    buffer_append_text(out, "txt:");
    buffer_append(out, text);
    buffer_append_text(out, "\r\n");
}

static void write_null(struct reply *reply)
{
    buffer_append_text(writer_of(reply)->out, writer_of(reply)->resp3 ? "_\r\n" : "$-1\r\n");
}

static void write_null_array(struct reply *reply)
{
    buffer_append_text(writer_of(reply)->out, writer_of(reply)->resp3 ? "_\r\n" : "*-1\r\n");
}

static void write_array(struct reply *reply, size_t count)
{
    put_header(reply, '*', (int64_t)count);
}

static void write_set(struct reply *reply, size_t count)
{
    put_header(reply, writer_of(reply)->resp3 ? '~' : '*', (int64_t)count);
}

static void write_map(struct reply *reply, size_t pairs)
{
    if (writer_of(reply)->resp3) {
        put_header(reply, '%', (int64_t)pairs);
    } else {
        put_header(reply, '*', (int64_t)pairs * 2);
    }
}

static void write_push(struct reply *reply, size_t count)
{
    put_header(reply, writer_of(reply)->resp3 ? '>' : '*', (int64_t)count);
}

static size_t place(struct reply *reply)
{
    return writer_of(reply)->out->size;
}

/* The header is put in front of what has been written since. */
static void close_with(struct reply *reply, size_t opened, uint8_t prefix, size_t count)
{
    struct buffer *out = writer_of(reply)->out;
    MUST(opened <= out->size);
    uint8_t header[NUMBER_TEXT_BYTES + 3];
    size_t size = header_format(prefix, (int64_t)count, header);
    (void)buffer_reserve(out, size);
    memmove(out->data + opened + size, out->data + opened, out->size - opened);
    memcpy(out->data + opened, header, size);
    out->size += size;
}

static void close_array(struct reply *reply, size_t opened, size_t count)
{
    close_with(reply, opened, '*', count);
}

static void close_set(struct reply *reply, size_t opened, size_t count)
{
    close_with(reply, opened, writer_of(reply)->resp3 ? '~' : '*', count);
}

static void close_map(struct reply *reply, size_t opened, size_t pairs)
{
    bool resp3 = writer_of(reply)->resp3;
    close_with(reply, opened, resp3 ? '%' : '*', resp3 ? pairs : pairs * 2);
}

static void rewind_to(struct reply *reply, size_t mark)
{
    MUST(mark <= writer_of(reply)->out->size);
    writer_of(reply)->out->size = mark;
}

static bool is_resp3(const struct reply *reply)
{
    return ((const struct resp_writer *)(const void *)reply)->resp3;
}

static const struct reply_ops writer_ops = {
    .simple = write_simple,
    .error = write_error,
    .integer = write_integer,
    .bulk = write_bulk,
    .number = write_number,
    .boolean = write_boolean,
    .verbatim = write_verbatim,
    .null = write_null,
    .null_array = write_null_array,
    .array = write_array,
    .set = write_set,
    .map = write_map,
    .push = write_push,
    .array_open = place,
    .array_close = close_array,
    .set_close = close_set,
    .map_close = close_map,
    .mark = place,
    .rewind = rewind_to,
    .is_resp3 = is_resp3,
};

_Static_assert(offsetof(struct resp_writer, reply) == 0, "is_resp3 relies on it");

void resp_writer_init(struct resp_writer *writer, struct buffer *out)
{
    *writer = (struct resp_writer){.reply.ops = &writer_ops, .out = out};
}
