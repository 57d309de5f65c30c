/* SPDX-License-Identifier: Apache-2.0 */
#include "base/histogram.h"

#include "test/test.h"

static void add(struct histogram *histogram, uint64_t us)
{
    histogram_add(histogram, us, 1);
}

TEST(histogram, an_edge_belongs_to_the_values_that_are_at_most_it)
{
    for (unsigned power = 0; power < HISTOGRAM_POWERS; power++) {
        uint64_t edge = UINT64_C(1) << power;
        struct histogram histogram = {0};
        add(&histogram, edge);
        assert_int_equal(histogram_at_most(&histogram, power), 1);
        if (power > 0) assert_int_equal(histogram_at_most(&histogram, power - 1), 0);
        add(&histogram, edge + 1);
        assert_int_equal(histogram_at_most(&histogram, power), 1);
        if (power + 1 < HISTOGRAM_POWERS)
            assert_int_equal(histogram_at_most(&histogram, power + 1), 2);
    }
}

TEST(histogram, every_value_up_to_a_million_is_within_a_quarter_of_its_bound)
{
    for (uint64_t us = 1; us < 1000000; us += us < 5000 ? 1 : 97) {
        struct histogram histogram = {0};
        add(&histogram, us);
        uint64_t bound = histogram_quantile(&histogram, 1, 2);
        assert_true(bound >= us);
        assert_true(bound <= us + us / 4);
    }
}

TEST(histogram, nothing_is_lost_above_the_last_edge)
{
    struct histogram histogram = {0};
    uint64_t last = UINT64_C(1) << (HISTOGRAM_POWERS - 1);
    add(&histogram, last);
    add(&histogram, last + 1);
    add(&histogram, UINT64_C(1) << 63);
    assert_int_equal(histogram_at_most(&histogram, HISTOGRAM_POWERS - 1), 1);
    assert_int_equal(histogram_count(&histogram), 3);
    assert_int_equal(histogram_quantile(&histogram, 1, 3), last);
    assert_true(histogram_quantile(&histogram, 1, 1) == UINT64_MAX);
}

TEST(histogram, counts_and_sums_go_together)
{
    struct histogram histogram = {0};
    histogram_add(&histogram, 0, 2);
    histogram_add(&histogram, 7, 3);
    histogram_add(&histogram, 1000, 1);
    assert_int_equal(histogram.total_us, 1021);
    assert_int_equal(histogram_count(&histogram), 6);
    assert_int_equal(histogram_at_most(&histogram, 0), 2);
    assert_int_equal(histogram_at_most(&histogram, 2), 2);
    assert_int_equal(histogram_at_most(&histogram, 3), 5);
    assert_int_equal(histogram_at_most(&histogram, 9), 5);
    assert_int_equal(histogram_at_most(&histogram, 10), 6);
}

TEST(histogram, a_quantile_is_the_value_that_so_many_do_not_pass)
{
    struct histogram histogram = {0};
    assert_int_equal(histogram_quantile(&histogram, 99, 100), 0);
    histogram_add(&histogram, 4, 99);
    histogram_add(&histogram, 512, 1);
    assert_int_equal(histogram_quantile(&histogram, 0, 100), 4);
    assert_int_equal(histogram_quantile(&histogram, 50, 100), 4);
    assert_int_equal(histogram_quantile(&histogram, 99, 100), 4);
    assert_int_equal(histogram_quantile(&histogram, 995, 1000), 512);
    assert_int_equal(histogram_quantile(&histogram, 100, 100), 512);
    struct histogram huge = {0}; /* a product of counts would not fit */
    histogram_add(&huge, 3, UINT64_C(1) << 60);
    histogram_add(&huge, 512, UINT64_C(1) << 62);
    assert_int_equal(histogram_quantile(&huge, 99, 100), 512);
    assert_int_equal(histogram_quantile(&huge, 20, 100), 3);
}
