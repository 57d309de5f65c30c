/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mark.h"

#include "base/number.h"

enum { LINEAGE_TEXT_BYTES = 16 };

_Static_assert(sizeof(struct history) == 16, "a mark begins with the history as it is");
_Static_assert(MARK_ENCODED_BYTES == 16 + 8 + 8 + 8 + 8, "history, epoch, lsn, lineage");
_Static_assert(MARK_TEXT_BYTES == HISTORY_TEXT_BYTES + 3 * 20 + LINEAGE_TEXT_BYTES + 4,
               "with its zero; three decimals, four separators");

int epoch_compare(struct epoch a, struct epoch b)
{
    if (a.number != b.number) return a.number < b.number ? -1 : 1;
    return (a.copy > b.copy) - (a.copy < b.copy);
}

bool mark_equal(const struct mark *a, const struct mark *b)
{
    return memcmp(a->history.id, b->history.id, sizeof(a->history.id)) == 0 &&
           epoch_compare(a->epoch, b->epoch) == 0 && a->lsn.at == b->lsn.at &&
           a->lineage.hash == b->lineage.hash;
}

void mark_encode(const struct mark *mark, uint8_t out[MARK_ENCODED_BYTES])
{
    memcpy(out, mark->history.id, sizeof(mark->history.id));
    store_le64(out + 16, mark->epoch.number);
    store_le64(out + 24, mark->epoch.copy);
    store_le64(out + 32, mark->lsn.at);
    store_le64(out + 40, mark->lineage.hash);
}

void mark_decode(const uint8_t in[MARK_ENCODED_BYTES], struct mark *mark)
{
    memcpy(mark->history.id, in, sizeof(mark->history.id));
    mark->epoch.number = load_le64(in + 16);
    mark->epoch.copy = load_le64(in + 24);
    mark->lsn.at = load_le64(in + 32);
    mark->lineage.hash = load_le64(in + 40);
}

static char *put_hex(char *out, const uint8_t *from, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        *out++ = digits[from[i] >> 4];
        *out++ = digits[from[i] & 15];
    }
    return out;
}

static char *put_number(char *out, uint64_t value)
{
    char text[NUMBER_TEXT_BYTES];
    size_t size = number_format_uint64(value, text);
    memcpy(out, text, size);
    return out + size;
}

void mark_format(const struct mark *mark, char out[MARK_TEXT_BYTES])
{
    uint8_t lineage[8];
    store_be64(lineage, mark->lineage.hash);
    char *at = put_hex(out, mark->history.id, sizeof(mark->history.id));
    *at++ = ':';
    at = put_number(at, mark->epoch.number);
    *at++ = '.';
    at = put_number(at, mark->epoch.copy);
    *at++ = ':';
    at = put_number(at, mark->lsn.at);
    *at++ = ':';
    at = put_hex(at, lineage, sizeof(lineage));
    *at = '\0';
    MUST(at < out + MARK_TEXT_BYTES); /* the zero is inside too */
}

/* Upper case is refused: a mark has one text, so that texts can be compared. */
static bool nibble_of(uint8_t digit, uint8_t *out)
{
    if (digit >= '0' && digit <= '9') *out = (uint8_t)(digit - '0');
    else if (digit >= 'a' && digit <= 'f') *out = (uint8_t)(digit - 'a' + 10);
    else return false;
    return true;
}

static bool take_hex(struct bytes *text, uint8_t *out, size_t size)
{
    if (text->size < size * 2) return false;
    for (size_t i = 0; i < size; i++) {
        uint8_t high, low;
        if (!nibble_of(text->data[i * 2], &high)) return false;
        if (!nibble_of(text->data[i * 2 + 1], &low)) return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    *text = bytes_of(text->data + size * 2, text->size - size * 2);
    return true;
}

static bool take_byte(struct bytes *text, char byte)
{
    if (text->size == 0 || text->data[0] != (uint8_t)byte) return false;
    *text = bytes_of(text->data + 1, text->size - 1);
    return true;
}

static bool take_number(struct bytes *text, uint64_t *out)
{
    size_t size = 0;
    while (size < text->size && text->data[size] >= '0' && text->data[size] <= '9') size++;
    if (!number_parse_uint64(bytes_of(text->data, size), out)) return false;
    *text = bytes_of(text->data + size, text->size - size);
    return true;
}

enum err mark_parse(struct bytes text, struct mark *mark)
{
    struct mark read;
    uint8_t lineage[8];
    bool whole = take_hex(&text, read.history.id, sizeof(read.history.id)) &&
                 take_byte(&text, ':') && take_number(&text, &read.epoch.number) &&
                 take_byte(&text, '.') && take_number(&text, &read.epoch.copy) &&
                 take_byte(&text, ':') && take_number(&text, &read.lsn.at) &&
                 take_byte(&text, ':') && take_hex(&text, lineage, sizeof(lineage)) &&
                 text.size == 0;
    if (!whole) return ERR_PROTOCOL;
    read.lineage.hash = load_be64(lineage);
    *mark = read;
    return ERR_OK;
}

void history_format(const struct history *history, char out[HISTORY_TEXT_BYTES])
{
    *put_hex(out, history->id, sizeof history->id) = '\0';
}

bool history_parse(struct bytes text, struct history *history)
{
    struct history read;
    if (!take_hex(&text, read.id, sizeof read.id) || text.size != 0) return false;
    *history = read;
    return true;
}
