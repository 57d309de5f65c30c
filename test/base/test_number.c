/* SPDX-License-Identifier: Apache-2.0 */
#include "base/number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/dice.h"
#include "test/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_int64(const char *text, bool good, int64_t value)
{
    int64_t read = 99;
    assert_int_equal(number_parse_int64(bytes_text(text), &read), good);
    assert_int_equal(read, good ? value : 99);
    if (!good) return;
    char out[NUMBER_TEXT_BYTES];
    size_t size = number_format_int64(value, out);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(out, text, size);
}

static void assert_uint64(const char *text, bool good, uint64_t value)
{
    uint64_t read = 99;
    assert_int_equal(number_parse_uint64(bytes_text(text), &read), good);
    assert_int_equal(read, good ? value : 99);
    if (!good) return;
    char out[NUMBER_TEXT_BYTES];
    size_t size = number_format_uint64(value, out);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(out, text, size);
}

TEST(number, integers_in_range_are_read_and_written)
{
    assert_int64("0", true, 0);
    assert_int64("-1", true, -1);
    assert_int64("10", true, 10);
    assert_int64("9223372036854775807", true, INT64_MAX);
    assert_int64("-9223372036854775808", true, INT64_MIN);
    assert_uint64("0", true, 0);
    assert_uint64("18446744073709551615", true, UINT64_MAX);
    assert_uint64("18446744073709551609", true, UINT64_MAX - 6);
}

TEST(number, integers_out_of_range_are_refused)
{
    assert_int64("9223372036854775808", false, 0);
    assert_int64("-9223372036854775809", false, 0);
    assert_int64("18446744073709551616", false, 0);
    assert_int64("99999999999999999999999", false, 0);
    assert_uint64("18446744073709551616", false, 0);
    assert_uint64("18446744073709551620", false, 0);
    assert_uint64("99999999999999999999", false, 0);
    assert_uint64("100000000000000000000", false, 0);
}

TEST(number, integers_have_one_spelling)
{
    static const char *const bad[] = {"",   "-",   "+",    "+1",  "01",  "-01", "-0", "00",
                                      " 1", "1 ",  "1\n",  "1.0", "1e3", "0x1", "a",  "--1",
                                      "-a", "1-1", "1\t2", "/",   ":",   "1/",  "1:"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int64(bad[i], false, 0);
        assert_uint64(bad[i], false, 0);
    }
    assert_uint64("-1", false, 0);
    int64_t value;
    assert_false(number_parse_int64(bytes_of("1\0", 2), &value));
    assert_false(number_parse_int64((struct bytes){NULL, 0}, &value));
}

TEST(number, integers_around_every_power_come_back)
{
    for (unsigned base = 2; base <= 10; base += 8) {
        for (uint64_t power = 1; power != 0;) {
            for (uint64_t value = power - 2; value != power + 3; value++) {
                char text[NUMBER_TEXT_BYTES];
                (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
                assert_uint64(text, true, value);
                (void)snprintf(text, sizeof(text), "%lld", (long long)value);
                assert_int64(text, true, (int64_t)value);
            }
            power = power > UINT64_MAX / base ? 0 : power * base;
        }
    }
}

TEST(number, random_integers_are_written_as_the_c_library_does)
{
    struct dice dice;
    dice_init(&dice, 8);
    for (int i = 0; i < 100000; i++) {
        uint64_t value = dice_roll(&dice) >> dice_below(&dice, 64);
        char text[NUMBER_TEXT_BYTES];
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
        assert_uint64(text, true, value);
    }
}

static void assert_double_text(double value, const char *text)
{
    char out[NUMBER_TEXT_BYTES + 1];
    size_t size = number_format_double(value, out);
    out[size] = '\0';
    assert_string_equal(out, text);
}

TEST(number, doubles_are_written_as_redis_writes_scores)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.0, "0"},
        {-0.0, "-0"},
        {1.0, "1"},
        {-1.0, "-1"},
        {3.0, "3"},
        {1e15, "1000000000000000"},
        {4503599627370495.0, "4503599627370495"},
        {4503599627370496.0, "4503599627370496"},
        {9007199254740993.0, "9007199254740992"},
        {1e16, "10000000000000000"},
        {123456789012345678.0, "1.2345678901234568e+17"},
        {1e17, "1e+17"},
        {-1e17, "-1e+17"},
        {0.1, "0.10000000000000001"},
        {-0.1, "-0.10000000000000001"},
        {0.5, "0.5"},
        {1.5, "1.5"},
        {-2.25, "-2.25"},
        {3.14, "3.1400000000000001"},
        {0.3, "0.29999999999999999"},
        {17.7, "17.699999999999999"},
        {1.0 / 3.0, "0.33333333333333331"},
        {2.0 / 3.0, "0.66666666666666663"},
        {0.01, "0.01"},
        {0.001, "0.001"},
        {0.0001, "0.0001"},
        {0.00001, "1.0000000000000001e-05"},
        {0.000099999999999999991, "9.9999999999999991e-05"},
        {0.99999999999999989, "0.99999999999999989"},
        {9.9999999999999982, "9.9999999999999982"},
        {0.099999999999999992, "0.099999999999999992"},
        {4503599627370495.5, "4503599627370495.5"},
        {2251799813685247.75, "2251799813685247.8"},
        {1e300, "1.0000000000000001e+300"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {DBL_MIN, "2.2250738585072014e-308"},
        {5e-324, "4.9406564584124654e-324"},
        {HUGE_VAL, "inf"},
        {-HUGE_VAL, "-inf"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) assert_double_text(cases[i].value, cases[i].text);
    assert_double_text((double)NAN, "nan");
}

TEST(number, random_doubles_are_written_as_the_c_library_does)
{
    struct dice dice;
    dice_init(&dice, 9);
    for (int i = 0; i < 300000; i++) {
        double value;
        uint64_t bits = dice_roll(&dice);
        switch (dice_below(&dice, 4)) {
        case 0: /* any double at all */
            memcpy(&value, &bits, sizeof(value));
            if (!isfinite(value)) continue;
            break;
        case 1: /* decimals with few digits */
            value = (double)(int64_t)(bits >> 40) / pow(10, (double)dice_below(&dice, 9));
            break;
        case 2: /* around the powers of ten, where a rounding carries */
            value = pow(10, (double)dice_below(&dice, 20) - 4);
            value = nextafter(value, dice_chance(&dice, 1, 2) ? 0 : HUGE_VAL);
            break;
        default: /* any mantissa, in the range of the own conversion */
            value = ldexp((double)(bits >> 11), -(int)dice_below(&dice, 68));
            break;
        }
        char text[64];
        (void)snprintf(text, sizeof(text), "%.17g", value);
        assert_double_text(value, text);
    }
}

TEST(number, a_tie_is_rounded_to_the_even_digit)
{
    /* Eighteen significant digits that end in 5, exactly. */
    for (uint64_t i = 0; i < 1000; i++) {
        double value = 1125899906842624.0 + 0.125 * (double)i;
        char text[64];
        (void)snprintf(text, sizeof(text), "%.17g", value);
        assert_double_text(value, text);
    }
}

static void assert_double(const char *text, bool good)
{
    double read = 99;
    assert_int_equal(number_parse_double(bytes_text(text), &read), good);
    double expected = good ? strtod(text, NULL) : 99;
    assert_memory_equal(&read, &expected, sizeof(read)); /* also the sign of zero */
    long double wide = 99;
    assert_int_equal(number_parse_long_double(bytes_text(text), &wide), good);
    assert_true(wide == (good ? strtold(text, NULL) : 99));
}

TEST(number, doubles_are_read_by_the_grammar_of_strtod)
{
    static const char *const good[] = {
        "0",
        "-0",
        "+0",
        "1",
        "+1",
        "-1.5",
        ".5",
        "5.",
        "1e3",
        "1E-3",
        "0x10",
        "0x1.8p1",
        "inf",
        "+inf",
        "-inf",
        "INF",
        "Infinity",
        "-infinity",
        "0e999",
        "0.000",
        "0x0p5",
        "-0.0e-999",
        "1e-300",
        "00012",
        "3.14",
        "0.1",
        "123456789012345678901234567890",
        "9007199254740993",
        "9007199254740992",
        "0.00000000000000000001",
        "1.00000000000000000000000000000000000000000000000000000000000000000000001",
        "9007199254740993.0",
        "999999999999999999",
        "17.7",
        "0.30000000000000004",
    };
    for (size_t i = 0; i < COUNT(good); i++) assert_double(good[i], true);
}

TEST(number, what_is_no_double_is_refused)
{
    static const char *const bad[] = {
        "",    " 1",  "1 ",   "\t1",  "\n1", "1\n", "nan", "-nan", "NaN(1)", "abc", "1x",
        "1e",  "1e+", "..",   ".",    "+",   "-",   "+-1", "1..2", "1.2.3",  "--1", "e5",
        "1,5", "in",  "infi", "0x1g", "\v1", "\f1", "\r1", "1_0",  "$1",
    };
    for (size_t i = 0; i < COUNT(bad); i++) assert_double(bad[i], false);
    double value;
    long double wide;
    assert_false(number_parse_double(bytes_of("1\0", 2), &value));
    assert_false(number_parse_double(bytes_of("1\0002", 3), &value));
    assert_false(number_parse_double((struct bytes){NULL, 0}, &value));
    assert_false(number_parse_long_double(bytes_of("1\0002", 3), &wide));
    assert_false(number_parse_long_double((struct bytes){NULL, 0}, &wide));
}

TEST(number, overflow_and_underflow_to_zero_are_refused_and_denormals_are_read)
{
    double value;
    assert_false(number_parse_double(bytes_text("1e309"), &value));
    assert_false(number_parse_double(bytes_text("-1e309"), &value));
    assert_false(number_parse_double(bytes_text("1e-400"), &value));
    assert_false(number_parse_double(bytes_text("-0.001e-400"), &value));
    assert_false(number_parse_double(bytes_text("0x1p-2000"), &value));
    assert_false(number_parse_double(bytes_text("0xap2000"), &value));
    assert_true(number_parse_double(bytes_text("5e-324"), &value));
    assert_true(value > 0);
    assert_true(number_parse_double(bytes_text("1e-310"), &value));
    long double wide;
    assert_false(number_parse_long_double(bytes_text("1e5000"), &wide));
    assert_false(number_parse_long_double(bytes_text("1e-5000"), &wide));
    assert_true(number_parse_long_double(bytes_text("1e4900"), &wide));
    assert_true(number_parse_long_double(bytes_text("1e-4900"), &wide));
}

TEST(number, a_double_may_be_long_and_a_long_double_may_not)
{
    static char text[6000];
    memset(text, '0', sizeof(text));
    text[0] = '1';
    text[1] = '.';
    double value;
    long double wide;
    static const size_t sizes[] = {510, 511, 512, 513, 5119, 5120, 6000};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        assert_true(number_parse_double(bytes_of(text, sizes[i]), &value));
        assert_true(value == 1);
        bool fits = sizes[i] < 5120;
        assert_int_equal(number_parse_long_double(bytes_of(text, sizes[i]), &wide), fits);
    }
}

TEST(number, random_decimals_are_read_as_the_c_library_does)
{
    struct dice dice;
    dice_init(&dice, 10);
    for (int i = 0; i < 200000; i++) {
        char text[64];
        uint64_t value = dice_roll(&dice) >> dice_below(&dice, 64);
        int size = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
        size_t point = (size_t)dice_below(&dice, (uint64_t)size + 1);
        memmove(text + point + 1, text + point, (size_t)size - point + 1);
        text[point] = '.';
        double read, expected = strtod(text, NULL);
        assert_true(number_parse_double(bytes_text(text), &read));
        assert_memory_equal(&read, &expected, sizeof(read));
    }
}

TEST(number, doubles_come_back_from_their_text)
{
    struct dice dice;
    dice_init(&dice, 11);
    for (int i = 0; i < 100000; i++) {
        double value, back;
        uint64_t bits = dice_roll(&dice);
        memcpy(&value, &bits, sizeof(value));
        if (isnan(value)) continue;
        char out[NUMBER_TEXT_BYTES];
        size_t size = number_format_double(value, out);
        assert_true(number_parse_double(bytes_of(out, size), &back));
        assert_memory_equal(&back, &value, sizeof(value));
    }
}

TEST(number, long_doubles_are_written_for_people)
{
    static const struct {
        long double value;
        const char *text;
    } cases[] = {
        {0.0L, "0"},        {-0.0L, "0"},
        {10.5L, "10.5"},    {10.0L, "10"},
        {100.0L, "100"},    {-3.0L, "-3"},
        {0.1L, "0.1"},      {3.14L, "3.14"},
        {5.0e3L, "5000"},   {1e-17L, "0.00000000000000001"},
        {1e-18L, "0"},      {-1e-18L, "0"},
        {-0.5L, "-0.5"},    {1e20L, "100000000000000000000"},
        {HUGE_VALL, "inf"}, {-HUGE_VALL, "-inf"},
    };
    static char out[NUMBER_LONG_TEXT_BYTES + 1];
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t size = number_format_long_double(cases[i].value, out);
        out[size] = '\0';
        assert_string_equal(out, cases[i].text);
    }
    assert_true(number_format_long_double(-LDBL_MAX, out) < NUMBER_LONG_TEXT_BYTES);
}

TEST(number, sizes_are_read_in_units_of_1024)
{
    static const struct {
        const char *text;
        uint64_t size;
    } good[] = {
        {"0", 0},
        {"007", 7},
        {"1024", 1024},
        {"5b", 5},
        {"1k", 1024},
        {"1K", 1024},
        {"1kb", 1024},
        {"3m", 3u << 20},
        {"3MB", 3u << 20},
        {"2g", (uint64_t)2 << 30},
        {"2Gb", (uint64_t)2 << 30},
        {"18446744073709551615", UINT64_MAX},
        {"17179869183g", (uint64_t)17179869183u << 30},
    };
    uint64_t size;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(number_parse_size(bytes_text(good[i].text), &size));
        assert_int_equal(size, good[i].size);
    }
    static const char *const bad[] = {"",
                                      "k",
                                      "-1",
                                      "1.5g",
                                      "1 k",
                                      "1kk",
                                      "1t",
                                      "1kbb",
                                      " 1",
                                      "+1",
                                      "1k ",
                                      "0x10",
                                      "18446744073709551616",
                                      "17179869184g"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(number_parse_size(bytes_text(bad[i]), &size));
}

TEST(number, a_sum_that_does_not_fit_is_refused)
{
    int64_t sum = 0;
    assert_true(number_add_int64(INT64_MAX, INT64_MIN, &sum));
    assert_int_equal(sum, -1);
    assert_true(number_add_int64(INT64_MAX - 1, 1, &sum));
    assert_int_equal(sum, INT64_MAX);
    assert_false(number_add_int64(INT64_MAX, 1, &sum));
    assert_false(number_add_int64(INT64_MIN, -1, &sum));
    assert_int_equal(sum, INT64_MAX);
}
