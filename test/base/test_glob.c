/* SPDX-License-Identifier: Apache-2.0 */
#include "base/glob.h"

#include <ctype.h>

#include "base/dice.h"
#include "base/memory.h"
#include "test/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct glob_case {
    const char *pattern, *text;
    bool match;
};

static void check_cases(const struct glob_case *cases, size_t count, bool ignore_case)
{
    for (size_t i = 0; i < count; i++) {
        bool match = glob_match(bytes_text(cases[i].pattern), bytes_text(cases[i].text),
                                ignore_case);
        if (match != cases[i].match)
            fail_msg("%s against %s: %d", cases[i].pattern, cases[i].text, (int)match);
    }
}

TEST(glob, stars_and_question_marks)
{
    static const struct glob_case cases[] = {
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"*", "", false}, /* as Redis */
        {"**", "", false},
        {"*", "a", true},
        {"***", "abc", true},
        {"?", "a", true},
        {"?", "ab", false},
        {"??", "ab", true},
        {"a*", "a", true},
        {"a**", "a", true},
        {"*a", "a", true},
        {"*a*", "bab", true},
        {"a*b", "ab", true},
        {"a*b", "axxb", true},
        {"a*b", "axxbx", false},
        {"*.c", "main.c", true},
        {"*.c", "main.cc", false},
        {"a?c*e", "abcdde", true},
        {"*ab", "aab", true},
        {"*aab", "aaab", true},
        {"a*b*c", "a1b2b3c", true},
        {"a*b*c", "a1b2b3", false},
        {"h?llo", "hello", true},
        {"*?", "a", true},
        {"*??", "a", false},
        {"abc", "abd", false},
        {"abc", "ab", false},
        {"ab", "abc", false},
        {"*x?", "aaxxb", true},
    };
    check_cases(cases, COUNT(cases), false);
}

TEST(glob, classes)
{
    static const struct glob_case cases[] = {
        {"h[ae]llo", "hello", true},  {"h[ae]llo", "hillo", false},
        {"h[^e]llo", "hallo", true},  {"h[^e]llo", "hello", false},
        {"h[a-b]llo", "hbllo", true}, {"h[a-b]llo", "hcllo", false},
        {"[z-a]", "m", true},         {"[z-a]", "A", false},
        {"[^a-c]", "b", false},       {"[^a-c]", "d", true},
        {"[a-c0-9]", "5", true},      {"[-a]", "-", true},
        {"[a\\-c]", "-", true},       {"[a\\-c]", "b", false},
        {"[\\]]", "]", true},         {"[\\\\]", "\\", true},
        {"[*]", "*", true},           {"[*]", "a", false},
        {"[?]", "a", false},          {"[[]", "[", true},
        {"x[0-9]*", "x1yz", true},    {"[]", "a", false},
        {"[]", "]", false},           {"[]a]", "]", false},
        {"[^]", "a", true},           {"[^]a", "xa", true},
        {"[a-]", "]", true},          {"[a-]", "-", false},
        {"[a-]", "^", true},          {"[!a]", "!", true},
        {"[!a]", "b", false},         {"[\x80-\xff]", "\xc3", true},
        {"[a-\xff]", "\x90", true},   {"[a-\xff]", "0", false},
    };
    check_cases(cases, COUNT(cases), false);
}

TEST(glob, classes_without_an_end)
{
    static const struct glob_case cases[] = {
        {"[", "[", false},   {"[", "a", false},   {"[^", "a", true},    {"[^", "ab", false},
        {"[a", "a", true},   {"[a", "b", false},  {"[ab", "b", true},   {"[a-", "a", true},
        {"[a-", "-", true},  {"[a-", "b", false}, {"[a-c", "b", true},  {"[^a", "b", true},
        {"[^a", "a", false}, {"[\\", "\\", true}, {"[\\", "a", false},  {"[\\a", "a", true},
        {"[a-]", "a", true}, {"*[", "a", false},  {"*[a", "bba", true}, {"[a", "", false},
    };
    check_cases(cases, COUNT(cases), false);
}

TEST(glob, escapes)
{
    static const struct glob_case cases[] = {
        {"\\*", "*", true},     {"\\*", "a", false},   {"\\?", "?", true},   {"\\?", "a", false},
        {"\\[", "[", true},     {"\\a", "a", true},    {"\\\\", "\\", true}, {"\\", "\\", true},
        {"a\\", "a\\", true},   {"a\\", "a", false},   {"*\\", "x\\", true}, {"\\*\\*", "**", true},
        {"\\[a]", "[a]", true}, {"\\[a]", "a", false},
    };
    check_cases(cases, COUNT(cases), false);
}

TEST(glob, case_is_ignored_on_request_only)
{
    static const struct glob_case ignored[] = {
        {"HeLLo", "hEllO", true}, {"h[A-C]*", "HBX", true}, {"[^A]", "a", false},
        {"[ABC]", "b", true},     {"\\A", "a", true},       {"[a-c]", "B", true},
        {"[\\A]", "a", false}, /* as Redis: escaped in a class, compared with its case */
        {"[\\A]", "A", true},     {"[Z-a]", "m", false}, /* as Redis: swapped before lowered */
        {"[", "[", false},        {"@", "`", false},
    };
    check_cases(ignored, COUNT(ignored), true);
    static const struct glob_case kept[] = {
        {"HELLO", "hello", false},
        {"[A-C]", "b", false},
        {"\\A", "a", false},
        {"[Z-a]", "[", true},
    };
    check_cases(kept, COUNT(kept), false);
}

TEST(glob, zero_bytes_are_bytes_like_others)
{
    assert_true(glob_match(bytes_of("a\0*", 3), bytes_of("a\0b", 3), false));
    assert_false(glob_match(bytes_of("a\0", 2), bytes_of("a", 1), false));
    assert_true(glob_match(bytes_of("[\0]", 3), bytes_of("\0", 1), false));
    assert_false(glob_match((struct bytes){NULL, 0}, bytes_text("a"), false));
    assert_true(glob_match((struct bytes){NULL, 0}, (struct bytes){NULL, 0}, false));
}

/* The plain definition, by recursion: what the class at p matches, and where it ends. */
static size_t reference_class(struct bytes p, size_t at, uint8_t c, bool nocase, bool *match)
{
    bool negated = at < p.size && p.data[at] == '^';
    if (negated) at++;
    *match = false;
    for (; at < p.size && p.data[at] != ']'; at++) {
        int first = p.data[at], last = first, byte = c;
        bool fold = nocase;
        if (first == '\\' && p.size - at >= 2) {
            first = last = p.data[++at];
            fold = false;
        } else if (p.size - at >= 3 && p.data[at + 1] == '-') {
            last = p.data[at += 2];
        }
        if (first > last) {
            int swap = first;
            first = last;
            last = swap;
        }
        if (fold) {
            first = tolower(first);
            last = tolower(last);
            byte = tolower(byte);
        }
        if (byte >= first && byte <= last) *match = true;
    }
    if (negated) *match = !*match;
    return at < p.size ? at + 1 : at;
}

static bool reference_rest(struct bytes p, size_t at, struct bytes text, size_t from, bool nocase)
{
    if (at == p.size) return from == text.size;
    if (p.data[at] == '*') {
        for (size_t skip = from; skip <= text.size; skip++) {
            if (reference_rest(p, at + 1, text, skip, nocase)) return true;
        }
        return false;
    }
    if (from == text.size) return false;
    uint8_t c = text.data[from];
    bool match = true;
    if (p.data[at] == '[') {
        at = reference_class(p, at + 1, c, nocase, &match);
    } else if (p.data[at] == '?') {
        at++;
    } else {
        if (p.data[at] == '\\' && p.size - at >= 2) at++;
        match = nocase ? tolower(p.data[at]) == tolower(c) : p.data[at] == c;
        at++;
    }
    return match && reference_rest(p, at, text, from + 1, nocase);
}

static bool reference_match(struct bytes pattern, struct bytes text, bool nocase)
{
    if (text.size == 0) return pattern.size == 0;
    return reference_rest(pattern, 0, text, 0, nocase);
}

static size_t draw(struct dice *dice, const char *letters, uint8_t *out, size_t size_max)
{
    size_t size = (size_t)dice_below(dice, size_max + 1);
    for (size_t i = 0; i < size; i++) out[i] = (uint8_t)letters[dice_below(dice, strlen(letters))];
    return size;
}

TEST(glob, random_patterns_match_as_the_plain_definition_says)
{
    struct dice dice;
    dice_init(&dice, 12);
    unsigned matches = 0;
    for (int i = 0; i < 400000; i++) {
        uint8_t pattern_room[10], text_room[8];
        bool simple = dice_chance(&dice, 1, 3);
        const char *letters = simple ? "ab***??" : "abBc**?[[]]^-\\z";
        size_t pattern_size = draw(&dice, letters, pattern_room, sizeof(pattern_room));
        size_t text_size = draw(&dice, simple ? "ab" : "abBcz]^-\\[", text_room, sizeof(text_room));
        struct bytes pattern = bytes_of(pattern_room, pattern_size);
        struct bytes text = bytes_of(text_room, text_size);
        bool nocase = dice_chance(&dice, 1, 2);
        bool expected = reference_match(pattern, text, nocase);
        if (glob_match(pattern, text, nocase) != expected)
            fail_msg("'%.*s' against '%.*s' (nocase %d) must be %d", (int)pattern_size,
                     (const char *)pattern_room, (int)text_size, (const char *)text_room,
                     (int)nocase, (int)expected);
        matches += expected ? 1 : 0;
    }
    assert_true(matches > 20000);
}

TEST(glob, a_pattern_of_many_stars_ends_soon)
{
    char text[20000];
    memset(text, 'a', sizeof(text));
    assert_false(glob_match(bytes_text("a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"),
                            bytes_of(text, sizeof(text)), false));
}

TEST(glob, more_steps_than_allowed_are_no_match)
{
    enum { SIZE = 1 << 14 };
    uint8_t *text = memory_alloc(SIZE);
    memset(text, 'a', SIZE);
    /* `*[aaaa...` reads the whole class for each byte of the text. */
    uint8_t *pattern = memory_alloc(SIZE);
    memset(pattern, 'x', SIZE);
    pattern[0] = '*';
    pattern[1] = '[';
    pattern[SIZE - 1] = ']';
    text[SIZE - 1] = 'x';
    assert_true(glob_match(bytes_of(pattern, SIZE), bytes_of(text + SIZE - 10, 10), false));
    assert_false(glob_match(bytes_of(pattern, SIZE), bytes_of(text, SIZE), false));
    memory_free(pattern);
    memory_free(text);
}

TEST(glob, more_than_a_thousand_starred_parts_are_no_match)
{
    enum { PARTS = GLOB_STARS_MAX + 1 };
    uint8_t text[PARTS], pattern[2 * PARTS];
    for (size_t i = 0; i < PARTS; i++) {
        text[i] = 'a';
        pattern[2 * i] = '*';
        pattern[2 * i + 1] = '?';
    }
    assert_true(glob_match(bytes_of(pattern, 2 * GLOB_STARS_MAX), bytes_of(text, PARTS), false));
    assert_false(glob_match(bytes_of(pattern, 2 * PARTS), bytes_of(text, PARTS), false));
}
