/* SPDX-License-Identifier: Apache-2.0 */
#include "state/sort.h"

enum { FEW = 24, DIGITS = 256, DIGIT_BITS = 8 };

static int change_compare(const struct change *a, const struct change *b)
{
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    return bytes_compare(record_name(a->record), record_name(b->record));
}

static void sort_few(struct change *changes, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct change moved = changes[i];
        size_t j = i;
        for (; j > 0 && change_compare(&moved, &changes[j - 1]) < 0; j--)
            changes[j] = changes[j - 1];
        changes[j] = moved;
    }
}

static unsigned digit(const struct change *change, unsigned shift)
{
    return (unsigned)(change->hash >> shift) & (DIGITS - 1);
}

/* American flag sort (McIlroy, Bostic, McIlroy 1993) on one digit: each element goes straight to
 * its bucket. end[] becomes where each bucket ends. */
static void flag_pass(struct change *changes, size_t count, unsigned shift, size_t end[DIGITS])
{
    size_t next[DIGITS];
    memset(end, 0, DIGITS * sizeof end[0]);
    for (size_t i = 0; i < count; i++) end[digit(&changes[i], shift)]++;
    for (size_t d = 0, sum = 0; d < DIGITS; d++) {
        next[d] = sum;
        sum += end[d];
        end[d] = sum;
    }
    for (unsigned d = 0; d < DIGITS; d++) {
        while (next[d] < end[d]) {
            unsigned to = digit(&changes[next[d]], shift);
            if (to == d) {
                next[d]++;
                continue;
            }
            struct change swapped = changes[next[to]];
            changes[next[to]++] = changes[next[d]];
            changes[next[d]] = swapped;
        }
    }
}

static void sort_from(struct change *changes, size_t count, unsigned shift);

/* Six digits at most: the recursion is that deep. */
static void sort_buckets(struct change *changes, unsigned shift, const size_t end[DIGITS])
{
    size_t begin = 0;
    for (unsigned d = 0; d < DIGITS; d++) {
        sort_from(changes + begin, end[d] - begin, shift);
        begin = end[d];
    }
}

/* Equal hashes: only names are left to compare. They are few unless someone made them so; then a
 * heap keeps the time in bounds. */
static void sift(struct change *changes, size_t count, size_t root)
{
    for (;;) {
        size_t child = 2 * root + 1;
        if (child >= count) return;
        if (child + 1 < count && change_compare(&changes[child], &changes[child + 1]) < 0) child++;
        if (change_compare(&changes[root], &changes[child]) >= 0) return;
        struct change swapped = changes[root];
        changes[root] = changes[child];
        changes[child] = swapped;
        root = child;
    }
}

static void sort_heap(struct change *changes, size_t count)
{
    for (size_t i = count / 2; i-- > 0;) sift(changes, count, i);
    while (count > 1) {
        count--;
        struct change swapped = changes[0];
        changes[0] = changes[count];
        changes[count] = swapped;
        sift(changes, count, 0);
    }
}

static void sort_from(struct change *changes, size_t count, unsigned shift)
{
    if (count <= FEW) {
        sort_few(changes, count);
    } else if (shift == 0) {
        sort_heap(changes, count);
    } else {
        size_t end[DIGITS];
        shift -= DIGIT_BITS;
        flag_pass(changes, count, shift, end);
        sort_buckets(changes, shift, end);
    }
}

void sort_changes(struct change *changes, size_t count)
{
    sort_from(changes, count, TABLE_HASH_BITS);
}

static int strand_order(const struct strand *a, const struct strand *b)
{
    return bytes_compare(prefix_bytes(&a->prefix), prefix_bytes(&b->prefix));
}

static void sift_strand(struct strand **strands, size_t count, size_t root)
{
    for (;;) {
        size_t child = 2 * root + 1;
        if (child >= count) return;
        if (child + 1 < count && strand_order(strands[child], strands[child + 1]) < 0) child++;
        if (strand_order(strands[root], strands[child]) >= 0) return;
        struct strand *swapped = strands[root];
        strands[root] = strands[child];
        strands[child] = swapped;
        root = child;
    }
}

void sort_strands(struct strand **strands, size_t count)
{
    for (size_t i = count / 2; i-- > 0;) sift_strand(strands, count, i);
    while (count > 1) {
        count--;
        struct strand *swapped = strands[0];
        strands[0] = strands[count];
        strands[count] = swapped;
        sift_strand(strands, count, 0);
    }
}
