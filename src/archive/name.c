/* SPDX-License-Identifier: Apache-2.0 */
/* Names in the directory of a history. */
#include <stdio.h>

#include "archive/span.h"

static const char *const endings[] = {
    [SPAN_NAME_SPAN] = ".entries",
    [SPAN_NAME_SPAN_LEFTOVER] = ".entries.tmp",
    [SPAN_NAME_IMAGE] = ".image",
    [SPAN_NAME_IMAGE_LEFTOVER] = ".image.tmp",
};

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Sixteen digits, and goes behind them. */
static bool take_number(const char **text, struct lsn *lsn)
{
    lsn->at = 0;
    for (unsigned i = 0; i < 16; i++, (*text)++) {
        int digit = digit_of(**text);
        if (digit < 0) return false;
        lsn->at = lsn->at << 4 | (uint64_t)digit;
    }
    return true;
}

struct span_name span_name_parse(const char *text)
{
    const struct span_name foreign = {.kind = SPAN_NAME_FOREIGN};
    struct span_name name = foreign;
    if (!take_number(&text, &name.first)) return foreign;
    bool two = *text == '-';
    if (two) {
        text++;
        if (!take_number(&text, &name.last)) return foreign;
    }
    for (enum span_name_kind kind = SPAN_NAME_SPAN; kind <= SPAN_NAME_IMAGE_LEFTOVER; kind++) {
        if (strcmp(text, endings[kind]) == 0) name.kind = kind;
    }
    if (two != (name.kind == SPAN_NAME_SPAN)) return foreign;
    if (two && (name.first.at == 0 || name.last.at < name.first.at)) return foreign;
    if (name.kind == SPAN_NAME_IMAGE || name.kind == SPAN_NAME_IMAGE_LEFTOVER) {
        name.last = name.first;
        name.first = (struct lsn){0};
    }
    return name;
}

void span_name_format(const struct span_name *name, char out[SPAN_NAME_BYTES])
{
    unsigned long long first = name->first.at, last = name->last.at;
    MUST(name->kind != SPAN_NAME_FOREIGN);
    const char *ending = endings[name->kind];
    if (name->kind == SPAN_NAME_SPAN) {
        (void)snprintf(out, SPAN_NAME_BYTES, "%016llx-%016llx%s", first, last, ending);
    } else {
        bool image = name->kind != SPAN_NAME_SPAN_LEFTOVER;
        (void)snprintf(out, SPAN_NAME_BYTES, "%016llx%s", image ? last : first, ending);
    }
}
