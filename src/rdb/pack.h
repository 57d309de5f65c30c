/* SPDX-License-Identifier: Apache-2.0 */
/* pack: the four forms in which a small collection is one string of a dump. It is checked whole
 * when it is opened, so that nothing of a bad one is ever given out. */
#ifndef RDB_PACK_H
#define RDB_PACK_H

#include "base/bytes.h"
#include "base/must.h"
#include "base/number.h"

enum pack_form { PACK_ZIPLIST, PACK_LISTPACK, PACK_INTSET, PACK_ZIPMAP };

struct pack {
    enum pack_form form;
    struct bytes bytes; /* borrowed */
    size_t at;          /* of the next item */
    uint64_t left;      /* items */
};

/* An item: bytes that are borrowed, or a number. */
struct pack_item {
    struct bytes bytes;
    int64_t number;
    bool is_number;
};

/* What is wrong with `bytes`, or NULL: then *pack stands before the first of its pack->left items;
 * a zipmap's are field, value, field ... */
MUST_USE const char *pack_open(struct pack *pack, enum pack_form form, struct bytes bytes);
/* The next of the items that are left. */
void pack_next(struct pack *pack, struct pack_item *out);
/* The item as text; borrowed from the pack or from `number`. */
struct bytes pack_text(const struct pack_item *item, char number[NUMBER_TEXT_BYTES]);

#endif
