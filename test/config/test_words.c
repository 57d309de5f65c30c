/* SPDX-License-Identifier: Apache-2.0 */
#include "config/words.h"

#include "base/dice.h"
#include "test/test.h"

/* The words joined by `|`, or what was wrong. */
static void assert_words(const char *line, const char *expected)
{
    struct words words;
    words_init(&words);
    struct buffer text;
    buffer_init(&text);
    bool good = false;
    switch (words_split(&words, bytes_text(line))) {
    case WORDS_GOOD: good = true; break;
    case WORDS_UNBALANCED: buffer_append_text(&text, "unbalanced"); break;
    case WORDS_TOO_MANY: buffer_append_text(&text, "too many"); break;
    }
    for (size_t i = 0; good && i < words.count; i++) {
        if (i > 0) buffer_append_byte(&text, '|');
        buffer_append(&text, words.word[i]);
        if (words.word[i].size == 0) buffer_append_text(&text, "()");
    }
    buffer_append_byte(&text, 0);
    assert_string_equal((const char *)text.data, expected);
    buffer_release(&text);
    words_release(&words);
}

static void join(struct words *words, struct buffer *text)
{
    for (size_t i = 0; i < words->count; i++) {
        buffer_append(text, words->word[i]);
        buffer_append_byte(text, '|');
    }
}

TEST(config_words, white_space_of_any_kind_separates)
{
    assert_words("a b\tc  d\r\n", "a|b|c|d");
    assert_words("  \v\f ", "");
}

TEST(config_words, quotes_keep_white_space_and_escapes_stand_for_bytes)
{
    assert_words("save \"\"", "save|()");
    assert_words("a 'b c' \"d e\"", "a|b c|d e");
    assert_words("\"\\x41\\n\\t\\r\\a\\b\\\\\\\"\\q\"", "A\n\t\r\a\b\\\"q");
    assert_words("\"\\x4\"", "x4");
    assert_words("'\\n\\'x'", "\\n'x");
    assert_words("pre\"fix\" b", "prefix|b");
}

TEST(config_words, a_quote_left_open_or_followed_by_more_is_refused)
{
    assert_words("a \"b", "unbalanced");
    assert_words("a 'b", "unbalanced");
    assert_words("a \"b\\\"", "unbalanced");
    assert_words("a \"b\"c", "unbalanced");
    assert_words("a 'b'c", "unbalanced");
    assert_words("\"", "unbalanced");
}

TEST(config_words, the_number_of_words_is_bounded)
{
    char line[2 * WORDS_MAX + 3];
    for (size_t i = 0; i < sizeof(line); i++) line[i] = i % 2 == 0 ? 'x' : ' ';
    struct words words;
    words_init(&words);
    assert_int_equal(words_split(&words, bytes_of(line, 2 * WORDS_MAX)), WORDS_GOOD);
    assert_int_equal(words.count, WORDS_MAX);
    assert_int_equal(words_split(&words, bytes_of(line, 2 * WORDS_MAX + 1)), WORDS_TOO_MANY);
    assert_int_equal(words_split_plain(&words, bytes_of(line, 2 * WORDS_MAX)), WORDS_TOO_MANY);
    words_release(&words);
}

TEST(config_words, a_plain_split_knows_single_spaces_only)
{
    struct words words;
    words_init(&words);
    assert_int_equal(words_split_plain(&words, bytes_text("")), WORDS_GOOD);
    assert_int_equal(words.count, 0);
    assert_int_equal(words_split_plain(&words, bytes_text("a  'b\tc'")), WORDS_GOOD);
    assert_int_equal(words.count, 3);
    assert_int_equal(words.word[1].size, 0);
    assert_true(bytes_equal(words.word[2], bytes_text("'b\tc'")));
    words_release(&words);
}

TEST(config_words, what_is_quoted_is_split_into_itself)
{
    struct dice dice;
    dice_init(&dice, 21);
    for (int round = 0; round < 5000; round++) {
        uint8_t room[4][12];
        struct bytes given[4];
        struct buffer line;
        buffer_init(&line);
        for (int i = 0; i < 4; i++) {
            size_t size = (size_t)dice_below(&dice, 12);
            for (size_t k = 0; k < size; k++) {
                static const char common[] = " \"'\\x41#an\n";
                room[i][k] = dice_chance(&dice, 1, 3)
                                 ? (uint8_t)dice_roll(&dice)
                                 : (uint8_t)common[dice_below(&dice, sizeof(common) - 1)];
            }
            given[i] = bytes_of(room[i], size);
            buffer_append_byte(&line, ' ');
            words_quote(&line, given[i], dice_chance(&dice, 1, 2));
        }
        struct words words;
        words_init(&words);
        assert_int_equal(words_split(&words, buffer_bytes(&line)), WORDS_GOOD);
        assert_int_equal(words.count, 4);
        for (int i = 0; i < 4; i++) assert_true(bytes_equal(words.word[i], given[i]));
        assert_null(line.size == 0 ? NULL : memchr(line.data, '\n', line.size));
        words_release(&words);
        buffer_release(&line);
    }
}

TEST(config_words, lines_end_at_line_feeds_and_the_last_needs_none)
{
    struct bytes text = bytes_text("one\n\nthree\r\nlast"), line;
    struct buffer seen;
    buffer_init(&seen);
    while (words_next_line(&text, &line)) {
        struct words words;
        words_init(&words);
        words_take_one(&words, words_trim(line));
        join(&words, &seen);
        words_release(&words);
    }
    assert_true(bytes_equal(buffer_bytes(&seen), bytes_text("one||three|last|")));
    buffer_release(&seen);
    text = bytes_text("");
    assert_false(words_next_line(&text, &line));
}
