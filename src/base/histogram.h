/* SPDX-License-Identifier: Apache-2.0 */
/* histogram: how long something took, counted by size: cheap to note, coarse to read.
 *
 * A value is a number of microseconds. Up to 4 us each has a bucket of its own; above, every power
 * of two is cut into four, so a bucket is at most a quarter of its value wide. Memory is fixed, and
 * noting is one increment. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_POWERS = 27,                        /* the last edge is 2^26 us, 67 s */
    HISTOGRAM_PARTS = 4,                          /* buckets between two powers */
    HISTOGRAM_BUCKETS = HISTOGRAM_PARTS * 25 + 1, /* the last one: above every edge */
};

/* All zeros is an empty one. */
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total_us; /* the sum of all values */
};

/* Notes `count` values of `us`. */
void histogram_add(struct histogram *histogram, uint64_t us, uint64_t count);
uint64_t histogram_count(const struct histogram *histogram);
/* How many values were at most 2^power us; `power` is below HISTOGRAM_POWERS. */
uint64_t histogram_at_most(const struct histogram *histogram, unsigned power);
/* A bound that `parts` of `whole` values do not pass, at most a quarter above the value that stands
 * there; 0 when it is empty, UINT64_MAX when only the last edge is known not to be enough. */
uint64_t histogram_quantile(const struct histogram *histogram, unsigned parts, unsigned whole);

#endif
