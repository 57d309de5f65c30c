/* SPDX-License-Identifier: Apache-2.0 */
#include "base/trace.h"

#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "test/test.h"

struct sink {
    struct trace base;
    int lines;
    char text[2048];
};

static void sink_line(struct trace *trace, enum trace_level level, const char *room,
                      const char *event, const char *fields)
{
    struct sink *sink = CONTAINER_OF(trace, struct sink, base);
    sink->lines++;
    (void)snprintf(sink->text, sizeof(sink->text), "%d %s %s %s", (int)level, room, event, fields);
}

TEST(trace, an_event_reaches_the_sink_with_its_fields)
{
    struct sink sink = {.base = {sink_line, TRACE_DEBUG}};
    trace_event(&sink.base, TRACE_NOTICE, "log", "roll", "segment=%d lsn=%d", 3, 412);
    assert_int_equal(sink.lines, 1);
    assert_string_equal(sink.text, "2 log roll segment=3 lsn=412");
}

TEST(trace, levels_below_the_least_are_dropped)
{
    struct sink sink = {.base = {sink_line, TRACE_NOTICE}};
    trace_event(&sink.base, TRACE_VERBOSE, "log", "roll", "n=%d", 1);
    assert_int_equal(sink.lines, 0);
    trace_event(&sink.base, TRACE_NOTICE, "log", "roll", "n=%d", 2);
    trace_event(&sink.base, TRACE_WARNING, "log", "roll", "n=%d", 3);
    assert_int_equal(sink.lines, 2);
}

TEST(trace, without_a_sink_the_line_is_dropped)
{
    trace_event(NULL, TRACE_WARNING, "log", "roll", "n=%d", 1);
}

TEST(trace, fields_that_are_too_long_are_cut)
{
    struct sink sink = {.base = {sink_line, TRACE_DEBUG}};
    char text[4096];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    trace_event(&sink.base, TRACE_NOTICE, "log", "roll", "text=%s", text);
    assert_int_equal(sink.lines, 1);
    assert_in_range(strlen(sink.text), 1000, 1100);
}
