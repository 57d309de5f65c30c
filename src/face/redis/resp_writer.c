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

/* Where `size` more bytes begin; NULL: they would pass the bound, and nothing more is kept. */
static uint8_t *room_for(struct resp_writer *writer, size_t size)
{
    struct buffer *out = writer->out;
    if (out->size > writer->bytes_max || size > writer->bytes_max - out->size) writer->over = true;
    return writer->over ? NULL : buffer_reserve(out, size);
}

void resp_writer_put(struct resp_writer *writer, struct bytes bytes)
{
    uint8_t *at = room_for(writer, bytes.size);
    if (at == NULL || bytes.size == 0) return;
    memcpy(at, bytes.data, bytes.size);
    writer->out->size += bytes.size;
}

static void put_text(struct reply *reply, const char *text)
{
    resp_writer_put(writer_of(reply), bytes_text(text));
}

static void put_header(struct reply *reply, uint8_t prefix, int64_t value)
{
    struct resp_writer *writer = writer_of(reply);
    uint8_t *at = room_for(writer, NUMBER_TEXT_BYTES + 3);
    if (at != NULL) writer->out->size += header_format(prefix, value, at);
}

static void put_line(struct reply *reply, char prefix, const char *text)
{
    struct bytes line = bytes_text(text);
    uint8_t *at = room_for(writer_of(reply), line.size + 3);
    if (at == NULL) return;
    *at++ = (uint8_t)prefix;
    for (size_t i = 0; i < line.size; i++) { /* it may quote what a client sent */
        uint8_t byte = line.data[i];
        *at++ = byte == '\r' || byte == '\n' ? ' ' : byte;
    }
    memcpy(at, "\r\n", 2);
    writer_of(reply)->out->size += line.size + 3;
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
    uint8_t *at = room_for(writer_of(reply), bytes.size + 2);
    if (at == NULL) return;
    if (bytes.size > 0) memcpy(at, bytes.data, bytes.size);
    at[bytes.size] = '\r';
    at[bytes.size + 1] = '\n';
    writer_of(reply)->out->size += bytes.size + 2;
}

static void write_number(struct reply *reply, double value)
{
    char text[NUMBER_TEXT_BYTES];
    size_t size = number_format_double(value, text);
    if (!writer_of(reply)->resp3) {
        write_bulk(reply, bytes_of(text, size));
        return;
    }
    put_text(reply, ",");
    resp_writer_put(writer_of(reply), bytes_of(text, size));
    put_text(reply, "\r\n");
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
    put_header(reply, '=', (int64_t)text.size + 4);
    put_text(reply, "txt:");
    resp_writer_put(writer_of(reply), text);
    put_text(reply, "\r\n");
}

static void write_null(struct reply *reply)
{
    put_text(reply, writer_of(reply)->resp3 ? "_\r\n" : "$-1\r\n");
}

static void write_null_array(struct reply *reply)
{
    put_text(reply, writer_of(reply)->resp3 ? "_\r\n" : "*-1\r\n");
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
    if (room_for(writer_of(reply), size) == NULL) return;
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
    writer_of(reply)->out->size = mark; /* `over` stays: what was lost may stand before the mark */
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
    *writer = (struct resp_writer){.reply.ops = &writer_ops, .out = out, .bytes_max = SIZE_MAX};
}
