/* SPDX-License-Identifier: Apache-2.0 */
/* bytes: a borrowed run of bytes, and fixed-width integers inside one. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed: whoever hands one over says for how long it stays valid. `data` may be NULL if size
 * is 0. */
struct bytes {
    const uint8_t *data;
    size_t size;
};

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){(const uint8_t *)data, size};
}

static inline struct bytes bytes_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Lexicographic by unsigned byte, a prefix before what it begins: <0, 0, >0. */
int bytes_compare(struct bytes a, struct bytes b);
/* Whether `a` equals the ASCII word without regard to case. */
bool bytes_is_word(struct bytes a, const char *word);
bool bytes_starts_with(struct bytes a, struct bytes prefix);

/* On disk integers are little-endian unless ordered keys need big-endian. */
static inline uint16_t load_le16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t load_le32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline uint64_t load_le64(const uint8_t *at)
{
    return (uint64_t)load_le32(at) | (uint64_t)load_le32(at + 4) << 32;
}

static inline void store_le16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static inline void store_le32(uint8_t *at, uint32_t value)
{
    store_le16(at, (uint16_t)value);
    store_le16(at + 2, (uint16_t)(value >> 16));
}

static inline void store_le64(uint8_t *at, uint64_t value)
{
    store_le32(at, (uint32_t)value);
    store_le32(at + 4, (uint32_t)(value >> 32));
}

static inline uint32_t load_be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | (uint32_t)at[3];
}

static inline uint64_t load_be64(const uint8_t *at)
{
    return (uint64_t)load_be32(at) << 32 | load_be32(at + 4);
}

static inline void store_be32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static inline void store_be64(uint8_t *at, uint64_t value)
{
    store_be32(at, (uint32_t)(value >> 32));
    store_be32(at + 4, (uint32_t)value);
}

#endif
