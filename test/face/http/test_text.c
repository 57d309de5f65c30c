/* SPDX-License-Identifier: Apache-2.0 */
#include "face/http/text.h"

#include <string.h>

#include "test/test.h"

static void expect(struct buffer *out, const char *wanted)
{
    buffer_append_byte(out, 0);
    assert_string_equal((const char *)out->data, wanted);
    buffer_release(out);
    buffer_init(out);
}

TEST(http_text, a_family_begins_with_its_help_and_its_type)
{
    struct buffer out;
    buffer_init(&out);
    struct text text = {.out = &out};
    text_family(&text, TEXT_COUNTER, "a_total", "What a \\ is,\nand \"why\".");
    text_begin(&text, "");
    text_end_number(&text, UINT64_MAX);
    text_family(&text, TEXT_GAUGE, "b", "B.");
    text_begin(&text, "");
    text_end_number(&text, 0);
    expect(&out, "# HELP tidemark_a_total What a \\\\ is,\\nand \"why\".\n"
                 "# TYPE tidemark_a_total counter\n"
                 "tidemark_a_total 18446744073709551615\n"
                 "# HELP tidemark_b B.\n"
                 "# TYPE tidemark_b gauge\n"
                 "tidemark_b 0\n");
}

TEST(http_text, the_value_of_a_label_is_escaped)
{
    struct buffer out;
    buffer_init(&out);
    struct text text = {.out = &out, .name = "a"};
    text_begin(&text, "_x");
    text_label(&text, "one", "a\"b\\c\nd");
    text_label(&text, "two", "");
    text_end_number(&text, 1);
    expect(&out, "tidemark_a_x{one=\"a\\\"b\\\\c\\nd\",two=\"\"} 1\n");
}

TEST(http_text, times_are_exact_seconds)
{
    static const struct {
        uint64_t us;
        const char *wanted;
    } cases[] = {{0, "0"},
                 {1, "0.000001"},
                 {10, "0.00001"},
                 {1000000, "1"},
                 {1000001, "1.000001"},
                 {1500000, "1.5"},
                 {67108864, "67.108864"},
                 {UINT64_MAX, "18446744073709.551615"}};
    struct buffer out;
    buffer_init(&out);
    struct text text = {.out = &out, .name = "a"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        text_begin(&text, "");
        text_end_us(&text, cases[i].us);
        buffer_append_byte(&out, 0);
        assert_int_equal(strncmp((const char *)out.data, "tidemark_a ", 11), 0);
        out.data[out.size - 2] = 0; /* the line's end */
        assert_string_equal((const char *)out.data + 11, cases[i].wanted);
        buffer_clear(&out);
    }
    text_begin(&text, "");
    text_end_signed_ms(&text, -1500);
    text_begin(&text, "");
    text_end_signed_ms(&text, INT64_MIN);
    text_begin(&text, "");
    text_end_signed_ms(&text, 20);
    expect(&out, "tidemark_a -1.5\n"
                 "tidemark_a -9223372036854775.808\n"
                 "tidemark_a 0.02\n");
}

/* Each bucket has what is at most its edge, so all before it too; the last one has everything. */
TEST(http_text, a_histogram_is_cumulative_and_ends_with_all)
{
    struct histogram histogram = {0};
    histogram_add(&histogram, 1, 5);
    histogram_add(&histogram, 3, 1);
    histogram_add(&histogram, 67108865, 2);
    struct buffer out;
    buffer_init(&out);
    struct text text = {.out = &out, .name = "a_seconds"};
    text_histogram(&text, "shard", "x", &histogram);
    buffer_append_byte(&out, 0);
    const char *page = (const char *)out.data;
    static const char begin[] = "tidemark_a_seconds_bucket{shard=\"x\",le=\"0.000001\"} 5\n"
                                "tidemark_a_seconds_bucket{shard=\"x\",le=\"0.000002\"} 5\n"
                                "tidemark_a_seconds_bucket{shard=\"x\",le=\"0.000004\"} 6\n"
                                "tidemark_a_seconds_bucket{shard=\"x\",le=\"0.000008\"} 6\n";
    static const char end[] = "tidemark_a_seconds_bucket{shard=\"x\",le=\"33.554432\"} 6\n"
                              "tidemark_a_seconds_bucket{shard=\"x\",le=\"67.108864\"} 6\n"
                              "tidemark_a_seconds_bucket{shard=\"x\",le=\"+Inf\"} 8\n"
                              "tidemark_a_seconds_sum{shard=\"x\"} 134.217738\n"
                              "tidemark_a_seconds_count{shard=\"x\"} 8\n";
    assert_int_equal(strncmp(page, begin, sizeof begin - 1), 0);
    assert_string_equal(page + strlen(page) - (sizeof end - 1), end);
    buffer_release(&out);
}
