/* SPDX-License-Identifier: Apache-2.0 */
/* The sink that keeps nothing, and formatted errors. */
#include "seam/reply.h"

#include <stdarg.h>
#include <stdio.h>

static void drop_text(struct reply *reply, const char *text)
{
    (void)reply;
    (void)text;
}

static void drop_integer(struct reply *reply, int64_t value)
{
    (void)reply;
    (void)value;
}

static void drop_bytes(struct reply *reply, struct bytes bytes)
{
    (void)reply;
    (void)bytes;
}

static void drop_number(struct reply *reply, double value)
{
    (void)reply;
    (void)value;
}

static void drop_boolean(struct reply *reply, bool value)
{
    (void)reply;
    (void)value;
}

static void drop(struct reply *reply)
{
    (void)reply;
}

static void drop_count(struct reply *reply, size_t count)
{
    (void)reply;
    (void)count;
}

static size_t drop_place(struct reply *reply)
{
    (void)reply;
    return 0;
}

static void drop_close(struct reply *reply, size_t opened, size_t count)
{
    (void)reply;
    (void)opened;
    (void)count;
}

static bool drop_is_resp3(const struct reply *reply)
{
    (void)reply;
    return false;
}

struct reply *reply_nobody(void)
{
    static const struct reply_ops ops = {
        .simple = drop_text,
        .error = drop_text,
        .integer = drop_integer,
        .bulk = drop_bytes,
        .number = drop_number,
        .boolean = drop_boolean,
        .verbatim = drop_bytes,
        .null = drop,
        .null_array = drop,
        .array = drop_count,
        .set = drop_count,
        .map = drop_count,
        .push = drop_count,
        .array_open = drop_place,
        .array_close = drop_close,
        .set_close = drop_close,
        .map_close = drop_close,
        .mark = drop_place,
        .rewind = drop_count,
        .is_resp3 = drop_is_resp3,
    };
    static const struct reply nobody = {&ops};
    /* It has no state of its own, so that everyone may share it; the cast only drops a promise
     * nobody tests. */
    union {
        const struct reply *constant;
        struct reply *shared;
    } face = {.constant = &nobody};
    return face.shared;
}

void reply_errorf(struct reply *reply, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *at = text; *at != 0; at++) {
        if (*at == '\r' || *at == '\n') *at = ' ';
    }
    reply->ops->error(reply, text);
}
