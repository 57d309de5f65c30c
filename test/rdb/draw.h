/* SPDX-License-Identifier: Apache-2.0 */
/* draw: a book of records drawn from dice. */
#ifndef TEST_RDB_DRAW_H
#define TEST_RDB_DRAW_H

#include "test/rdb/book.h"

/* Mostly short; numbers of all sizes, texts that look like numbers, and lengths at the borders. */
static inline struct bytes draw_string(struct dice *dice, struct buffer *out)
{
    static const char *const odd[] = {"", "-0", "007", "+1", "1 ", "-", "inf", "2147483648"};
    static const size_t sizes[] = {1, 62, 63, 64, 65, 253, 254, 4095, 4096, 16383, 16384, 16385};
    buffer_clear(out);
    uint64_t kind = dice_below(dice, 10);
    if (kind < 3) {
        int64_t number = (int64_t)dice_roll(dice) >> dice_below(dice, 64);
        buffer_append_format(out, "%" PRId64, number);
    } else if (kind == 3) {
        buffer_append_text(out, odd[dice_below(dice, sizeof(odd) / sizeof(*odd))]);
    } else {
        size_t size = kind == 4 ? sizes[dice_below(dice, sizeof(sizes) / sizeof(*sizes))]
                                : (size_t)dice_below(dice, 30);
        for (size_t i = 0; i < size; i++) buffer_append_byte(out, (uint8_t)dice_roll(dice));
    }
    return buffer_bytes(out);
}

static inline double draw_score(struct dice *dice)
{
    static const double odd[] = {INFINITY, -INFINITY, 0.0, -0.0, 1e-310, 9007199254740993.0};
    if (dice_chance(dice, 1, 4)) return odd[dice_below(dice, sizeof(odd) / sizeof(*odd))];
    for (;;) {
        uint64_t bits = dice_roll(dice);
        double score;
        memcpy(&score, &bits, sizeof(score));
        if (!isnan(score)) return score;
    }
}

static inline void draw_key(struct book *book, struct dice *dice, uint8_t database)
{
    struct buffer first, second;
    buffer_init(&first);
    buffer_init(&second);
    struct record_key key = {.database = database,
                             .type = (enum record_type)dice_below(dice, RECORD_HASH + 1),
                             .name = draw_string(dice, &first)};
    if (dice_chance(dice, 1, 3))
        key.expires_ms = 1 + (dice_roll(dice) >> (1 + dice_below(dice, 63)));
    book_begin(book, &key);
    uint64_t count = 1;
    if (key.type != RECORD_STRING)
        count = dice_chance(dice, 1, 20) ? 60 + dice_below(dice, 10) : 1 + dice_below(dice, 6);
    for (; count > 0; count--) {
        struct record_element element = {.first = draw_string(dice, &first)};
        if (key.type == RECORD_HASH) element.second = draw_string(dice, &second);
        if (key.type == RECORD_ZSET) element.score = draw_score(dice);
        book_add(book, &element);
    }
    buffer_release(&first);
    buffer_release(&second);
}

/* Up to 30 keys of any type in databases that ascend. */
static inline void book_draw(struct book *book, struct dice *dice)
{
    uint64_t keys = dice_below(dice, 30);
    for (unsigned database = (unsigned)dice_below(dice, 3); keys > 0; keys--) {
        if (database < 250 && dice_chance(dice, 1, 5))
            database += 1 + (unsigned)dice_below(dice, 5);
        draw_key(book, dice, (uint8_t)database);
    }
}

#endif
