/* SPDX-License-Identifier: Apache-2.0 */
/* fair: whether random picks of things named 0, 1, 2, ... come equally often. */
#ifndef TEST_STATE_FAIR_H
#define TEST_STATE_FAIR_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/test.h"

enum { FAIR_KINDS_MAX = 4096 };

struct fair {
    unsigned kinds, total;
    unsigned counts[FAIR_KINDS_MAX];
};

/* Counts the bulk strings of a reply ("*2 $1 7 $1 3", or "$1 7"). `distinct` picks are expected to
 * differ; 0: they need not. */
static inline void fair_add(struct fair *fair, const char *reply, unsigned distinct)
{
    unsigned before[FAIR_KINDS_MAX];
    unsigned seen = 0;
    memcpy(before, fair->counts, fair->kinds * sizeof before[0]);
    for (const char *at = strchr(reply, '$'); at != NULL; at = strchr(at + 1, '$')) {
        const char *text = strchr(at, ' ');
        assert_non_null(text);
        unsigned long kind = strtoul(text, NULL, 10);
        assert_true(kind < fair->kinds);
        fair->counts[kind]++;
        if (distinct > 0) assert_int_equal(fair->counts[kind], before[kind] + 1);
        seen++;
    }
    if (distinct > 0) assert_int_equal(seen, distinct);
    fair->total += seen;
}

/* Pearson's test: with k kinds the sum has mean k - 1 and variance 2 (k - 1); six deviations above
 * is beyond chance, and the dice here are always the same. */
static inline void fair_check(const struct fair *fair, unsigned total)
{
    assert_int_equal(fair->total, total);
    double wanted = (double)total / fair->kinds, sum = 0, freedom = fair->kinds - 1;
    for (unsigned i = 0; i < fair->kinds; i++) {
        double off = fair->counts[i] - wanted;
        sum += off * off / wanted;
    }
    /* Compared squared: (sum - freedom) <= 6 sqrt(2 freedom). */
    double above = sum - freedom;
    if (above > 0 && above * above > 36 * 2 * freedom)
        fail_msg("chi-square %g for %u kinds", sum, fair->kinds);
}

#endif
