/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    /* memcmp of NULL is undefined even for no bytes. */
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    if (order != 0) return order;
    return (a.size > b.size) - (a.size < b.size);
}

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

bool bytes_is_word(struct bytes a, const char *word)
{
    for (size_t i = 0; i < a.size; i++) {
        uint8_t expected = (uint8_t)word[i];
        if (expected == 0 || lower(a.data[i]) != lower(expected)) return false;
    }
    return word[a.size] == '\0';
}

bool bytes_starts_with(struct bytes a, struct bytes prefix)
{
    if (a.size < prefix.size) return false;
    return prefix.size == 0 || memcmp(a.data, prefix.data, prefix.size) == 0;
}
