/* SPDX-License-Identifier: Apache-2.0 */
/* Each kind of reply in both protocols, byte for byte. */
#include "test/test.h"

#include <math.h>

#include "face/redis/resp.h"

struct written {
    struct resp_writer writer;
    struct buffer out;
};

static struct reply *written_open(struct written *written, bool resp3)
{
    buffer_init(&written->out);
    resp_writer_init(&written->writer, &written->out);
    written->writer.resp3 = resp3;
    return &written->writer.reply;
}

static void expect_written(struct written *written, const char *wanted)
{
    buffer_append_byte(&written->out, 0);
    assert_string_equal((const char *)written->out.data, wanted);
    buffer_release(&written->out);
}

static void write_scalars(struct reply *reply)
{
    reply->ops->simple(reply, "OK");
    reply->ops->error(reply, "ERR a");
    reply->ops->integer(reply, INT64_MIN);
    reply->ops->bulk(reply, bytes_of("a\r\nb", 4));
    reply->ops->bulk(reply, bytes_of(NULL, 0));
    reply->ops->null(reply);
    reply->ops->null_array(reply);
    reply->ops->boolean(reply, true);
    reply->ops->boolean(reply, false);
    reply->ops->verbatim(reply, bytes_text("hi"));
}

TEST(face_redis_resp_writer, scalars_in_both_protocols)
{
    struct written written;
    write_scalars(written_open(&written, false));
    expect_written(&written, "+OK\r\n-ERR a\r\n:-9223372036854775808\r\n$4\r\na\r\nb\r\n$0\r\n\r\n"
                             "$-1\r\n*-1\r\n:1\r\n:0\r\n$2\r\nhi\r\n");
    write_scalars(written_open(&written, true));
    expect_written(&written, "+OK\r\n-ERR a\r\n:-9223372036854775808\r\n$4\r\na\r\nb\r\n$0\r\n\r\n"
                             "_\r\n_\r\n#t\r\n#f\r\n=6\r\ntxt:hi\r\n");
}

static void write_numbers(struct reply *reply)
{
    reply->ops->number(reply, 1);
    reply->ops->number(reply, 2.5);
    reply->ops->number(reply, (double)INFINITY);
    reply->ops->number(reply, (double)-INFINITY);
}

TEST(face_redis_resp_writer, numbers_in_both_protocols)
{
    struct written written;
    write_numbers(written_open(&written, false));
    expect_written(&written, "$1\r\n1\r\n$3\r\n2.5\r\n$3\r\ninf\r\n$4\r\n-inf\r\n");
    write_numbers(written_open(&written, true));
    expect_written(&written, ",1\r\n,2.5\r\n,inf\r\n,-inf\r\n");
}

static void write_containers(struct reply *reply)
{
    reply->ops->array(reply, 2);
    reply->ops->set(reply, 3);
    reply->ops->map(reply, 2);
    reply->ops->push(reply, 4);
}

TEST(face_redis_resp_writer, containers_in_both_protocols)
{
    struct written written;
    write_containers(written_open(&written, false));
    expect_written(&written, "*2\r\n*3\r\n*4\r\n*4\r\n");
    write_containers(written_open(&written, true));
    expect_written(&written, "*2\r\n~3\r\n%2\r\n>4\r\n");
}

static void write_open_containers(struct reply *reply)
{
    size_t outer = reply->ops->array_open(reply);
    reply->ops->integer(reply, 1);
    size_t inner = reply->ops->array_open(reply);
    for (int i = 0; i < 12; i++) reply->ops->integer(reply, i);
    reply->ops->map_close(reply, inner, 6);
    size_t empty = reply->ops->array_open(reply);
    reply->ops->set_close(reply, empty, 0);
    reply->ops->array_close(reply, outer, 3);
}

TEST(face_redis_resp_writer, counts_that_are_known_afterwards_stand_in_front)
{
    struct written written;
    write_open_containers(written_open(&written, false));
    expect_written(&written,
                   "*3\r\n:1\r\n*12\r\n:0\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n"
                   ":10\r\n:11\r\n*0\r\n");
    write_open_containers(written_open(&written, true));
    expect_written(&written,
                   "*3\r\n:1\r\n%6\r\n:0\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n"
                   ":10\r\n:11\r\n~0\r\n");
}

TEST(face_redis_resp_writer, a_rewind_takes_back_what_was_written_since_the_mark)
{
    struct written written;
    struct reply *reply = written_open(&written, false);
    reply->ops->integer(reply, 1);
    size_t mark = reply->ops->mark(reply);
    reply->ops->array(reply, 2);
    reply->ops->bulk(reply, bytes_text("gone"));
    reply->ops->rewind(reply, mark);
    reply->ops->integer(reply, 2);
    expect_written(&written, ":1\r\n:2\r\n");
}

TEST(face_redis_resp_writer, a_line_end_in_a_text_cannot_begin_another_reply)
{
    struct written written;
    struct reply *reply = written_open(&written, false);
    reply->ops->error(reply, "ERR 'a\r\n+OK\r\n'");
    reply->ops->simple(reply, "a\nb");
    assert_int_equal(written.writer.errors, 1);
    expect_written(&written, "-ERR 'a  +OK  '\r\n+a b\r\n");
}

TEST(face_redis_resp_writer, nothing_is_kept_beyond_the_bound)
{
    struct written written;
    struct reply *reply = written_open(&written, true);
    written.writer.bytes_max = 1000;
    uint8_t big[600] = {0};
    reply->ops->array(reply, 3);
    size_t opened = reply->ops->array_open(reply);
    reply->ops->bulk(reply, bytes_of(big, sizeof big));
    assert_false(written.writer.over);
    size_t size = written.out.size;
    size_t mark = reply->ops->mark(reply);
    reply->ops->bulk(reply, bytes_of(big, sizeof big));
    assert_true(written.writer.over);
    reply->ops->array_close(reply, opened, 2); /* nor what would fit again */
    write_scalars(reply);
    write_numbers(reply);
    reply->ops->array(reply, 1);
    resp_writer_put(&written.writer, bytes_text("+OK\r\n"));
    assert_int_equal(written.out.size, size + 6); /* the second value's header */
    reply->ops->rewind(reply, mark);
    assert_true(written.writer.over); /* what was lost may stand before the mark */
    buffer_release(&written.out);
}
