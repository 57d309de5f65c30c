/* SPDX-License-Identifier: Apache-2.0 */
/* The names of a log's files. Parsing is strict: what log_name_format would not write is not ours,
 * and is never opened, renamed or removed.
 *
 *     00000007-00000000000003e8.log     segment of shard 7 whose first LSN is 1000
 *     00000007-01.spare                 a file kept for the next segment; its content means nothing
 *     00000007-a.superblock             slot 0; b is slot 1
 *     00000007-a.tmp                    not yet under its own name; removed at the next start */
#include "log/format.h"

enum { SHARD_DIGITS = 8, LSN_DIGITS = 16, SPARE_DIGITS = 2 };

static char *put_hex(char *at, uint64_t value, unsigned digits)
{
    static const char alphabet[] = "0123456789abcdef";
    for (unsigned i = 0; i < digits; i++) at[i] = alphabet[value >> (4 * (digits - 1 - i)) & 15];
    return at + digits;
}

static bool take_hex(const char **at, uint64_t *value, unsigned digits)
{
    *value = 0;
    for (unsigned i = 0; i < digits; i++) {
        char c = **at;
        if (c >= '0' && c <= '9') *value = *value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f') *value = *value << 4 | (uint64_t)(c - 'a' + 10);
        else return false;
        (*at)++;
    }
    return true;
}

static void put_text(char *at, const char *text)
{
    memcpy(at, text, strlen(text) + 1);
}

void log_name_format(struct log_name name, char out[LOG_NAME_BYTES])
{
    char *at = put_hex(out, name.shard, SHARD_DIGITS);
    *at++ = '-';
    switch (name.kind) {
    case LOG_NAME_SEGMENT: put_text(put_hex(at, name.number, LSN_DIGITS), ".log"); return;
    case LOG_NAME_SPARE: put_text(put_hex(at, name.number, SPARE_DIGITS), ".spare"); return;
    case LOG_NAME_SUPERBLOCK:
        *at++ = (char)('a' + name.number);
        put_text(at, ".superblock");
        return;
    case LOG_NAME_TEMPORARY:
        *at++ = (char)('a' + name.number);
        put_text(at, ".tmp");
        return;
    case LOG_NAME_FOREIGN: break;
    }
    MUST(false);
}

static struct log_name parse_kind(const char *at, uint32_t shard)
{
    struct log_name name = {.kind = LOG_NAME_FOREIGN, .shard = shard};
    const char *digits = at;
    if (take_hex(&digits, &name.number, LSN_DIGITS) && strcmp(digits, ".log") == 0 &&
        name.number > 0) {
        name.kind = LOG_NAME_SEGMENT;
        return name;
    }
    digits = at;
    if (take_hex(&digits, &name.number, SPARE_DIGITS) && strcmp(digits, ".spare") == 0) {
        name.kind = LOG_NAME_SPARE;
        return name;
    }
    if (at[0] < 'a' || at[0] > 'b') return (struct log_name){.kind = LOG_NAME_FOREIGN};
    name.number = (uint64_t)(at[0] - 'a');
    if (strcmp(at + 1, ".superblock") == 0) name.kind = LOG_NAME_SUPERBLOCK;
    if (strcmp(at + 1, ".tmp") == 0) name.kind = LOG_NAME_TEMPORARY;
    return name;
}

struct log_name log_name_parse(const char *text)
{
    uint64_t shard;
    const char *at = text;
    if (!take_hex(&at, &shard, SHARD_DIGITS) || *at++ != '-')
        return (struct log_name){.kind = LOG_NAME_FOREIGN};
    return parse_kind(at, (uint32_t)shard);
}
