/* SPDX-License-Identifier: Apache-2.0 */
/* Bucket i holds the values in (edge(i - 1), edge(i)]: an edge belongs to the bucket below it, as
 * in "at most 8 us". The first four edges are 1, 2, 3, 4; then come four to each power of two: 5,
 * 6, 7, 8, 10, 12, 14, 16 ... */
#include "base/histogram.h"

#include "base/must.h"

enum { PARTS_BITS = 2, LAST = HISTOGRAM_BUCKETS - 1 };

_Static_assert(1 << PARTS_BITS == HISTOGRAM_PARTS, "the parts of a power are bits of the value");
_Static_assert(LAST == HISTOGRAM_PARTS * (HISTOGRAM_POWERS - PARTS_BITS), "the last edge's bucket");

/* By the bits of us - 1: the highest names the power, the two below it the part. */
static unsigned bucket_of(uint64_t us)
{
    uint64_t below = us == 0 ? 0 : us - 1;
    if (below < HISTOGRAM_PARTS) return (unsigned)below;
    unsigned power = 63 - (unsigned)__builtin_clzll(below);
    unsigned part = (unsigned)(below >> (power - PARTS_BITS)) & (HISTOGRAM_PARTS - 1);
    unsigned bucket = HISTOGRAM_PARTS * (power - PARTS_BITS + 1) + part;
    return bucket < LAST ? bucket : LAST;
}

static uint64_t edge_of(unsigned bucket)
{
    if (bucket >= LAST) return UINT64_MAX;
    if (bucket < HISTOGRAM_PARTS) return bucket + 1;
    unsigned power = bucket / HISTOGRAM_PARTS + PARTS_BITS - 1;
    uint64_t part = UINT64_C(1) << (power - PARTS_BITS);
    return (UINT64_C(1) << power) + part * (bucket % HISTOGRAM_PARTS + 1);
}

void histogram_add(struct histogram *histogram, uint64_t us, uint64_t count)
{
    histogram->counts[bucket_of(us)] += count;
    histogram->total_us += us * count;
}

uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) count += histogram->counts[i];
    return count;
}

uint64_t histogram_at_most(const struct histogram *histogram, unsigned power)
{
    MUST(power < HISTOGRAM_POWERS);
    unsigned through = bucket_of(UINT64_C(1) << power);
    uint64_t count = 0;
    for (unsigned i = 0; i <= through; i++) count += histogram->counts[i];
    return count;
}

uint64_t histogram_quantile(const struct histogram *histogram, unsigned parts, unsigned whole)
{
    MUST(whole > 0 && parts <= whole);
    uint64_t count = histogram_count(histogram);
    if (count == 0) return 0;
    /* Of whole quarters and their rest apart, so that no count is too large for the product. */
    uint64_t wanted = count / whole * parts + (count % whole * parts + whole - 1) / whole;
    uint64_t seen = 0;
    for (unsigned i = 0; i < LAST; i++) {
        seen += histogram->counts[i];
        if (seen > 0 && seen >= wanted) return edge_of(i);
    }
    return UINT64_MAX;
}
