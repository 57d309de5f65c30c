/* SPDX-License-Identifier: Apache-2.0 */
/* Each form has one function that reads the item at a place and refuses what does not fit in; the
 * check walks over all items with it, and pack_next uses it again. docs/formats/rdb.md has the
 * layouts. */
#include "rdb/pack.h"

enum {
    PACK_END = 255, /* the last byte of all but intsets */
    ZIPLIST_HEAD_BYTES = 10,
    ZIPLIST_BEFORE_LONG = 254, /* the size of the item before has four more bytes */
    LISTPACK_HEAD_BYTES = 6,
    COUNT_UNKNOWN = 65535, /* in the head of a ziplist or listpack: count them */
    INTSET_HEAD_BYTES = 8,
    ZIPMAP_HEAD_BYTES = 1,
    ZIPMAP_LONG = 254, /* a length of four more bytes; as the head: count them */
};

/* The bytes of an item that are not read yet. */
struct rest {
    const uint8_t *at;
    size_t size;
};

static bool rest_take(struct rest *rest, size_t count, const uint8_t **out)
{
    if (rest->size < count) return false;
    *out = rest->at;
    rest->at += count;
    rest->size -= count;
    return true;
}

/* A signed little-endian number of 1 to 8 bytes. */
static int64_t load_number(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = bytes; i-- > 0;) value = value << 8 | at[i];
    unsigned unused = 64 - 8 * bytes;
    value <<= unused;
    return (int64_t)value >> unused;
}

static bool take_number(struct rest *rest, unsigned bytes, struct pack_item *out)
{
    const uint8_t *at;
    if (!rest_take(rest, bytes, &at)) return false;
    out->is_number = true;
    out->number = load_number(at, bytes);
    return true;
}

static bool take_bytes(struct rest *rest, size_t size, struct pack_item *out)
{
    const uint8_t *at;
    if (!rest_take(rest, size, &at)) return false;
    out->bytes = bytes_of(at, size);
    return true;
}

/* ---- Ziplist: 4 size, 4 place of the last item, 2 count, items, 255 ----------------------------
 */

/* `before` is the size of the item before this one, which the item repeats. */
static bool ziplist_item(struct rest *rest, size_t before, struct pack_item *out)
{
    const uint8_t *at;
    if (!rest_take(rest, 1, &at)) return false;
    size_t told = *at;
    if (told == ZIPLIST_BEFORE_LONG) {
        if (!rest_take(rest, 4, &at)) return false;
        told = load_le32(at);
    }
    if (told != before || !rest_take(rest, 1, &at)) return false;
    uint8_t form = *at;
    switch (form >> 6) {
    case 0: return take_bytes(rest, form, out);
    case 1:
        if (!rest_take(rest, 1, &at)) return false;
        return take_bytes(rest, (size_t)(form & 63) << 8 | *at, out);
    case 2: return rest_take(rest, 4, &at) && take_bytes(rest, load_be32(at), out);
    }
    switch (form) {
    case 0xc0: return take_number(rest, 2, out);
    case 0xd0: return take_number(rest, 4, out);
    case 0xe0: return take_number(rest, 8, out);
    case 0xf0: return take_number(rest, 3, out);
    case 0xfe: return take_number(rest, 1, out);
    }
    out->is_number = true;
    out->number = form - 0xf1;
    return form >= 0xf1 && form <= 0xfd;
}

static const char *ziplist_check(struct pack *pack)
{
    struct bytes in = pack->bytes;
    if (in.size < ZIPLIST_HEAD_BYTES + 1 || in.data[in.size - 1] != PACK_END ||
        load_le32(in.data) != in.size)
        return "a ziplist of another size than it says";
    struct rest rest = {in.data + ZIPLIST_HEAD_BYTES, in.size - ZIPLIST_HEAD_BYTES - 1};
    size_t before = 0, last = ZIPLIST_HEAD_BYTES;
    for (pack->left = 0; rest.size > 0; pack->left++) {
        struct pack_item item = {0};
        const uint8_t *from = rest.at;
        if (!ziplist_item(&rest, before, &item)) return "a bad item in a ziplist";
        last = (size_t)(from - in.data);
        before = (size_t)(rest.at - from);
    }
    uint16_t count = load_le16(in.data + 8);
    if (load_le32(in.data + 4) != last || (count != COUNT_UNKNOWN && count != pack->left))
        return "a ziplist whose head does not fit its items";
    pack->at = ZIPLIST_HEAD_BYTES;
    return NULL;
}

static size_t ziplist_next(const struct pack *pack, struct pack_item *out)
{
    struct rest rest = {pack->bytes.data + pack->at, pack->bytes.size - pack->at};
    size_t before = *rest.at == ZIPLIST_BEFORE_LONG ? load_le32(rest.at + 1) : *rest.at;
    MUST(ziplist_item(&rest, before, out));
    return (size_t)(rest.at - pack->bytes.data);
}

/* ---- Listpack: 4 size, 2 count, items, 255 -----------------------------------------------------
 */

/* An item ends with its own size: seven bits a byte, the upper ones first, all but the first byte
 * with the top bit, so that it can be read from behind. */
static bool listpack_size(struct rest *rest, size_t size)
{
    unsigned bytes = size <= 127 ? 1 : size < 16383 ? 2 : size < 2097151 ? 3 : 4;
    if (size >= 268435455) bytes = 5;
    const uint8_t *at;
    if (!rest_take(rest, bytes, &at)) return false;
    uint64_t told = 0;
    for (unsigned i = 0; i < bytes; i++) {
        if (at[i] >> 7 != (i > 0)) return false;
        told = told << 7 | (at[i] & 127);
    }
    return told == size;
}

static bool listpack_content(struct rest *rest, struct pack_item *out)
{
    const uint8_t *at;
    if (!rest_take(rest, 1, &at)) return false;
    uint8_t form = *at;
    if (form < 0x80) {
        out->is_number = true;
        out->number = form;
        return true;
    }
    if (form < 0xc0) return take_bytes(rest, form & 63, out);
    if (form < 0xe0) {
        if (!rest_take(rest, 1, &at)) return false;
        int value = (form & 31) << 8 | *at;
        out->is_number = true;
        out->number = value < 4096 ? value : value - 8192;
        return true;
    }
    if (form < 0xf0) {
        if (!rest_take(rest, 1, &at)) return false;
        return take_bytes(rest, (size_t)(form & 15) << 8 | *at, out);
    }
    switch (form) {
    case 0xf0: return rest_take(rest, 4, &at) && take_bytes(rest, load_le32(at), out);
    case 0xf1: return take_number(rest, 2, out);
    case 0xf2: return take_number(rest, 3, out);
    case 0xf3: return take_number(rest, 4, out);
    case 0xf4: return take_number(rest, 8, out);
    }
    return false;
}

static bool listpack_item(struct rest *rest, struct pack_item *out)
{
    const uint8_t *from = rest->at;
    return listpack_content(rest, out) && listpack_size(rest, (size_t)(rest->at - from));
}

static const char *listpack_check(struct pack *pack)
{
    struct bytes in = pack->bytes;
    if (in.size < LISTPACK_HEAD_BYTES + 1 || in.data[in.size - 1] != PACK_END ||
        load_le32(in.data) != in.size)
        return "a listpack of another size than it says";
    struct rest rest = {in.data + LISTPACK_HEAD_BYTES, in.size - LISTPACK_HEAD_BYTES - 1};
    for (pack->left = 0; rest.size > 0; pack->left++) {
        struct pack_item item = {0};
        if (!listpack_item(&rest, &item)) return "a bad item in a listpack";
    }
    uint16_t count = load_le16(in.data + 4);
    if (count != COUNT_UNKNOWN && count != pack->left)
        return "a listpack with more or fewer items than it says";
    pack->at = LISTPACK_HEAD_BYTES;
    return NULL;
}

static size_t listpack_next(const struct pack *pack, struct pack_item *out)
{
    struct rest rest = {pack->bytes.data + pack->at, pack->bytes.size - pack->at};
    MUST(listpack_item(&rest, out));
    return (size_t)(rest.at - pack->bytes.data);
}

/* ---- Intset: 4 bytes a number, 4 count, numbers ascending --------------------------------------
 */

static const char *intset_check(struct pack *pack)
{
    struct bytes in = pack->bytes;
    if (in.size < INTSET_HEAD_BYTES) return "an intset without its head";
    uint32_t width = load_le32(in.data), count = load_le32(in.data + 4);
    if (width != 2 && width != 4 && width != 8) return "an intset of numbers of no known size";
    if (in.size - INTSET_HEAD_BYTES != (uint64_t)width * count)
        return "an intset of another size than it says";
    for (size_t i = 1; i < count; i++) {
        const uint8_t *at = in.data + INTSET_HEAD_BYTES + width * i;
        if (load_number(at - width, width) >= load_number(at, width))
            return "an intset that does not ascend";
    }
    pack->left = count;
    pack->at = INTSET_HEAD_BYTES;
    return NULL;
}

static size_t intset_next(const struct pack *pack, struct pack_item *out)
{
    uint32_t width = load_le32(pack->bytes.data);
    out->is_number = true;
    out->number = load_number(pack->bytes.data + pack->at, width);
    return pack->at + width;
}

/* ---- Zipmap: 1 count of pairs, then length, field, length, free bytes, value, free; 255 --------
 */

static bool zipmap_item(struct rest *rest, bool is_value, struct pack_item *out)
{
    const uint8_t *at;
    if (!rest_take(rest, 1, &at)) return false;
    size_t size = *at, unused = 0;
    if (size > ZIPMAP_LONG) return false;
    if (size == ZIPMAP_LONG) {
        if (!rest_take(rest, 4, &at)) return false;
        size = load_le32(at);
    }
    if (is_value) {
        if (!rest_take(rest, 1, &at)) return false;
        unused = *at;
    }
    return take_bytes(rest, size, out) && rest_take(rest, unused, &at);
}

static const char *zipmap_check(struct pack *pack)
{
    struct bytes in = pack->bytes;
    if (in.size < ZIPMAP_HEAD_BYTES + 1 || in.data[in.size - 1] != PACK_END)
        return "a zipmap without its end";
    struct rest rest = {in.data + ZIPMAP_HEAD_BYTES, in.size - ZIPMAP_HEAD_BYTES - 1};
    for (pack->left = 0; rest.size > 0; pack->left++) {
        struct pack_item item = {0};
        if (!zipmap_item(&rest, pack->left % 2 == 1, &item)) return "a bad item in a zipmap";
    }
    if (pack->left % 2 == 1) return "a zipmap with a field that has no value";
    if (in.data[0] < ZIPMAP_LONG && in.data[0] != pack->left / 2)
        return "a zipmap with more or fewer fields than it says";
    pack->at = ZIPMAP_HEAD_BYTES;
    return NULL;
}

static size_t zipmap_next(const struct pack *pack, struct pack_item *out)
{
    struct rest rest = {pack->bytes.data + pack->at, pack->bytes.size - pack->at};
    MUST(zipmap_item(&rest, pack->left % 2 == 1, out));
    return (size_t)(rest.at - pack->bytes.data);
}

/* ---- All ------------------------------------------------------------------------------------- */

const char *pack_open(struct pack *pack, enum pack_form form, struct bytes bytes)
{
    *pack = (struct pack){.form = form, .bytes = bytes};
    switch (form) {
    case PACK_ZIPLIST: return ziplist_check(pack);
    case PACK_LISTPACK: return listpack_check(pack);
    case PACK_INTSET: return intset_check(pack);
    case PACK_ZIPMAP: return zipmap_check(pack);
    }
    MUST(false);
}

void pack_next(struct pack *pack, struct pack_item *out)
{
    MUST(pack->left > 0);
    *out = (struct pack_item){0};
    switch (pack->form) {
    case PACK_ZIPLIST: pack->at = ziplist_next(pack, out); break;
    case PACK_LISTPACK: pack->at = listpack_next(pack, out); break;
    case PACK_INTSET: pack->at = intset_next(pack, out); break;
    case PACK_ZIPMAP: pack->at = zipmap_next(pack, out); break;
    }
    pack->left--;
}

struct bytes pack_text(const struct pack_item *item, char number[NUMBER_TEXT_BYTES])
{
    if (!item->is_number) return item->bytes;
    return bytes_of(number, number_format_int64(item->number, number));
}
