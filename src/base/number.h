/* SPDX-License-Identifier: Apache-2.0 */
/* number: text to numbers and back, exactly as Redis 7.0 reads and writes them. */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include "base/bytes.h"

enum { NUMBER_TEXT_BYTES = 40, NUMBER_LONG_TEXT_BYTES = 5200 };

/* A canonical signed decimal: no plus, no leading zero, no space, in range. False otherwise. */
bool number_parse_int64(struct bytes text, int64_t *out);
bool number_parse_uint64(struct bytes text, uint64_t *out);
/* A double as Redis's scores: strtod's grammar with inf/-inf/+inf, no leading space, the whole
 * text, no NaN, no overflow. */
bool number_parse_double(struct bytes text, double *out);
/* The same for INCRBYFLOAT's arithmetic. */
bool number_parse_long_double(struct bytes text, long double *out);
/* Writes the text without a terminating zero and returns its length. */
size_t number_format_int64(int64_t value, char out[NUMBER_TEXT_BYTES]);
size_t number_format_uint64(uint64_t value, char out[NUMBER_TEXT_BYTES]);
/* A score in a reply: inf, -inf, integers plainly, else the shortest of %.17g. */
size_t number_format_double(double value, char out[NUMBER_TEXT_BYTES]);
/* INCRBYFLOAT's "human friendly" form: %.17Lf with trailing zeros cut. */
size_t number_format_long_double(long double value, char out[NUMBER_LONG_TEXT_BYTES]);
/* A size with an optional k, m, g (1024) or kb, mb, gb suffix, or plain bytes. */
bool number_parse_size(struct bytes text, uint64_t *out);

/* Wrapping is never wanted: false when the result does not fit. */
bool number_add_int64(int64_t a, int64_t b, int64_t *out);

#endif
