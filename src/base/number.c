/* SPDX-License-Identifier: Apache-2.0 */
/* Replies and scores go through here once or more per request, so that the usual cases (integers,
 * short decimals) never reach the C library's conversions. Those need the "C" locale, which a
 * program has until it asks for another; ours never does. */
#include "base/number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/must.h"

_Static_assert(DBL_MANT_DIG == 53, "doubles are IEEE 754 binary64");
_Static_assert(FLT_EVAL_METHOD == 0, "double arithmetic has no hidden precision");

enum {
    DIGITS_UINT64_MAX = 20,
    SCALE_EXACT_MAX = 22,        /* 10^22 is the last power of ten that a double holds exactly */
    SIGNIFICANT_DIGITS = 17,     /* what %.17g prints */
    PARSE_STACK_BYTES = 512,     /* longer texts of doubles are copied to the heap */
    PARSE_LONG_BYTES = 5 * 1024, /* Redis's MAX_LONG_DOUBLE_CHARS */
};

__extension__ typedef unsigned __int128 wide;

static const char digit_pairs[201] = "00010203040506070809"
                                     "10111213141516171819"
                                     "20212223242526272829"
                                     "30313233343536373839"
                                     "40414243444546474849"
                                     "50515253545556575859"
                                     "60616263646566676869"
                                     "70717273747576777879"
                                     "80818283848586878889"
                                     "90919293949596979899";

static const uint64_t powers_of_ten[DIGITS_UINT64_MAX] = {
    1u,
    10u,
    100u,
    1000u,
    10000u,
    100000u,
    1000000u,
    10000000u,
    100000000u,
    1000000000u,
    10000000000u,
    100000000000u,
    1000000000000u,
    10000000000000u,
    100000000000000u,
    1000000000000000u,
    10000000000000000u,
    100000000000000000u,
    1000000000000000000u,
    10000000000000000000u,
};

static unsigned digits_of(uint64_t value)
{
    /* log10(2) is about 1233 / 4096; the table corrects the estimate. */
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    unsigned estimate = bits * 1233 >> 12;
    return estimate + (estimate < DIGITS_UINT64_MAX && value >= powers_of_ten[estimate] ? 1 : 0) +
           (value == 0 ? 1 : 0);
}

/* Writes the last `count` decimal digits of `value`, zeros in front where it has fewer. */
static void put_digits(char *out, uint64_t value, unsigned count)
{
    char *at = out + count;
    while (at - out >= 2) {
        at -= 2;
        memcpy(at, digit_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (at > out) *out = (char)('0' + value % 10);
}

static size_t put_uint64(char *out, uint64_t value)
{
    unsigned count = digits_of(value);
    put_digits(out, value, count);
    return count;
}

size_t number_format_uint64(uint64_t value, char out[NUMBER_TEXT_BYTES])
{
    return put_uint64(out, value);
}

size_t number_format_int64(int64_t value, char out[NUMBER_TEXT_BYTES])
{
    if (value >= 0) return put_uint64(out, (uint64_t)value);
    *out = '-';
    return 1 + put_uint64(out + 1, 0 - (uint64_t)value);
}

bool number_parse_uint64(struct bytes text, uint64_t *out)
{
    if (text.size == 0 || text.size > DIGITS_UINT64_MAX) return false;
    if (text.data[0] == '0' && text.size > 1) return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';
        if (digit > 9) return false;
        if (i == DIGITS_UINT64_MAX - 1) { /* only here can it pass the range */
            if (value > UINT64_MAX / 10) return false;
            if (value == UINT64_MAX / 10 && digit > UINT64_MAX % 10) return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

bool number_parse_int64(struct bytes text, int64_t *out)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    if (negative) text = bytes_of(text.data + 1, text.size - 1);
    uint64_t value;
    if (!number_parse_uint64(text, &value)) return false;
    if (!negative) {
        if (value > INT64_MAX) return false;
        *out = (int64_t)value;
        return true;
    }
    /* "-0" is not how zero is written. */
    if (value == 0 || value > (uint64_t)INT64_MAX + 1) return false;
    *out = (int64_t)(0 - value);
    return true;
}

/* Digits with at most one point, when both the digits and the power of ten are exact doubles: one
 * division then rounds correctly (Clinger, "How to read floating point numbers accurately", 1990).
 * False says only that the long way is needed. */
static bool parse_short_decimal(struct bytes text, double *out)
{
    static const double exact[SCALE_EXACT_MAX + 1] = {
        1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    };
    const uint8_t *at = text.data, *end = text.data + text.size;
    bool negative = *at == '-';
    if (negative || *at == '+') at++;
    uint64_t value = 0;
    unsigned digits = 0, scale = 0;
    const uint8_t *point = NULL;
    for (; at < end; at++) {
        unsigned digit = (unsigned)*at - '0';
        if (digit <= 9) {
            value = value * 10 + digit;
            digits++;
        } else if (*at == '.' && point == NULL) {
            point = at;
        } else {
            return false;
        }
    }
    if (point != NULL) scale = (unsigned)(end - point) - 1;
    if (digits == 0 || digits >= DIGITS_UINT64_MAX) return false;
    if (value > (uint64_t)1 << DBL_MANT_DIG) return false;
    double magnitude = (double)value / exact[scale]; /* scale <= digits < 20 */
    *out = negative ? -magnitude : magnitude;
    return true;
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* strtod turns what is too large into an infinity and what is too small into zero. Neither is what
 * the text says unless it says so in words or has no digit but zero. */
static bool text_means(const char *text, double value)
{
    if (isnan(value)) return false;
    if (*text == '-' || *text == '+') text++;
    if (isinf(value)) return *text == 'i' || *text == 'I';
    if (value != 0) return true;
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    size_t mantissa = strcspn(text, hexadecimal ? "pP" : "eE");
    size_t first = strcspn(text, hexadecimal ? "123456789abcdefABCDEF" : "123456789");
    return first >= mantissa;
}

/* `text` is followed by a zero. */
static bool parse_terminated(const char *text, size_t size, double *out)
{
    char *end;
    double value = strtod(text, &end);
    if ((size_t)(end - text) != size || !text_means(text, value)) return false;
    *out = value;
    return true;
}

bool number_parse_double(struct bytes text, double *out)
{
    if (text.size == 0 || is_space(text.data[0])) return false;
    if (text.size < PARSE_STACK_BYTES) {
        if (parse_short_decimal(text, out)) return true;
        char copy[PARSE_STACK_BYTES];
        memcpy(copy, text.data, text.size);
        copy[text.size] = '\0';
        return parse_terminated(copy, text.size, out);
    }
    char *copy = memory_alloc(text.size + 1);
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    bool good = parse_terminated(copy, text.size, out);
    memory_free(copy);
    return good;
}

bool number_parse_long_double(struct bytes text, long double *out)
{
    if (text.size == 0 || text.size >= PARSE_LONG_BYTES || is_space(text.data[0])) return false;
    char copy[PARSE_LONG_BYTES];
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    char *end;
    long double value = strtold(copy, &end);
    if ((size_t)(end - copy) != text.size) return false;
    /* What is left of the value in a double would lose the small and the large. */
    double kind = isnan(value) ? NAN : isinf(value) ? INFINITY : value == 0 ? 0.0 : 1.0;
    if (!text_means(copy, kind)) return false;
    *out = value;
    return true;
}

/* How many zeros follow the point before the first digit of a fraction of at least 1e-4. The
 * doubles nearest to these powers lie above them, so that the comparison is exact. */
static unsigned zeros_after_point(double magnitude)
{
    if (magnitude >= 0.1) return 0;
    if (magnitude >= 0.01) return 1;
    if (magnitude >= 0.001) return 2;
    return 3;
}

/* %.17g of a magnitude in [1e-4, 2^53) that is not whole. The value is m / 2^k with m < 2^53 and
 * k <= 66, so that its fraction times the power of ten for the digits asked for fits into 128 bits:
 * exact, then rounded half to even, as the C library does. */
static size_t format_decimal(double magnitude, char *out)
{
    uint64_t bits;
    memcpy(&bits, &magnitude, sizeof(bits));
    unsigned k = 1075 - (unsigned)(bits >> 52);
    uint64_t m = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1 << 52;
    uint64_t whole = k < 64 ? m >> k : 0;
    wide below = ((wide)1 << k) - 1;
    unsigned zeros = whole > 0 ? 0 : zeros_after_point(magnitude);
    unsigned decimals = SIGNIFICANT_DIGITS - (whole > 0 ? digits_of(whole) : 0);
    wide scaled = (m & below) * powers_of_ten[decimals] * powers_of_ten[zeros];
    uint64_t digits = (uint64_t)(scaled >> k);
    wide rest = scaled & below, half = (wide)1 << (k - 1);
    if (rest > half || (rest == half && (digits & 1) == 1)) digits++;
    /* Seventeen digits are finer than doubles are: rounding up never reaches the next power. */
    MUST(digits < powers_of_ten[decimals]);
    size_t size = put_uint64(out, whole);
    if (digits == 0) return size;
    out[size++] = '.';
    memset(out + size, '0', zeros);
    size += zeros;
    put_digits(out + size, digits, decimals);
    size += decimals;
    while (out[size - 1] == '0') size--;
    return size;
}

size_t number_format_double(double value, char out[NUMBER_TEXT_BYTES])
{
    const double integers = 4503599627370496; /* 2^52: every integer within it is exact */
    if (isnan(value)) {
        memcpy(out, "nan", 3);
        return 3;
    }
    size_t sign = signbit(value) ? 1 : 0;
    *out = '-';
    double magnitude = sign ? -value : value;
    if (isinf(magnitude)) {
        memcpy(out + sign, "inf", 3);
        return sign + 3;
    }
    if (magnitude < integers && (double)(uint64_t)magnitude == magnitude)
        return sign + put_uint64(out + sign, (uint64_t)magnitude);
    if (magnitude >= 1e-4 && magnitude < integers)
        return sign + format_decimal(magnitude, out + sign);
    int size = snprintf(out, NUMBER_TEXT_BYTES, "%.17g", value);
    MUST(size > 0 && size < NUMBER_TEXT_BYTES);
    return (size_t)size;
}

size_t number_format_long_double(long double value, char out[NUMBER_LONG_TEXT_BYTES])
{
    if (isinf(value)) {
        memcpy(out, value > 0 ? "inf" : "-inf", 4);
        return value > 0 ? 3 : 4;
    }
    int written = snprintf(out, NUMBER_LONG_TEXT_BYTES, "%.17Lf", value);
    MUST(written > 0 && written < NUMBER_LONG_TEXT_BYTES);
    size_t size = (size_t)written;
    if (memchr(out, '.', size) != NULL) {
        while (out[size - 1] == '0') size--;
        if (out[size - 1] == '.') size--;
    }
    if (size == 2 && out[0] == '-' && out[1] == '0') {
        out[0] = '0';
        size = 1;
    }
    return size;
}

bool number_parse_size(struct bytes text, uint64_t *out)
{
    static const struct {
        const char *word;
        unsigned shift;
    } units[] = {{"", 0},   {"b", 0},   {"k", 10}, {"kb", 10},
                 {"m", 20}, {"mb", 20}, {"g", 30}, {"gb", 30}};
    size_t digits = 0;
    while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9') digits++;
    size_t zeros = 0;
    while (zeros + 1 < digits && text.data[zeros] == '0') zeros++;
    uint64_t value;
    if (!number_parse_uint64(bytes_of(text.data + zeros, digits - zeros), &value)) return false;
    struct bytes unit = bytes_of(text.data + digits, text.size - digits);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!bytes_is_word(unit, units[i].word)) continue;
        if (value > UINT64_MAX >> units[i].shift) return false;
        *out = value << units[i].shift;
        return true;
    }
    return false;
}

bool number_add_int64(int64_t a, int64_t b, int64_t *out)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return false;
    *out = sum;
    return true;
}
