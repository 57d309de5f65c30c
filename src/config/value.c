/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of the errors are those of Redis 7.0: clients and test suites compare them. */
#include "config/value.h"

#include "base/host.h"
#include "base/number.h"

void value_init(struct value *value)
{
    value->number = 0;
    buffer_init(&value->text);
}

void value_release(struct value *value)
{
    buffer_release(&value->text);
}

/* Readers may take the text for a C string: a zero follows it, outside of its size. */
static void end_text(struct value *value)
{
    *buffer_reserve(&value->text, 1) = 0;
}

void value_copy(struct value *value, const struct value *from)
{
    value->number = from->number;
    buffer_clear(&value->text);
    buffer_append(&value->text, buffer_bytes(&from->text));
    end_text(value);
}

bool value_equal(const struct value *a, const struct value *b)
{
    return a->number == b->number && bytes_equal(buffer_bytes(&a->text), buffer_bytes(&b->text));
}

static enum err check_bounds(const struct directive *directive, int64_t number, struct why *why)
{
    long long least = directive->least, most = directive->most;
    if (number >= least && number <= most) return ERR_OK;
    if (directive->kind == KIND_OCTAL)
        return why_fail(why, ERR_CONFIG, "argument must be between %llo and %llo inclusive",
                        (unsigned long long)least, (unsigned long long)most);
    return why_fail(why, ERR_CONFIG, "argument must be between %lld and %lld inclusive", least,
                    most);
}

static enum err take_int(struct value *value, const struct directive *directive, struct bytes word,
                         struct why *why)
{
    if (!number_parse_int64(word, &value->number))
        return why_fail(why, ERR_CONFIG, "argument couldn't be parsed into an integer");
    return check_bounds(directive, value->number, why);
}

static enum err take_octal(struct value *value, const struct directive *directive,
                           struct bytes word, struct why *why)
{
    int64_t number = 0;
    bool good = word.size > 0;
    for (size_t i = 0; i < word.size && good; i++) {
        good = word.data[i] >= '0' && word.data[i] <= '7' && number <= INT64_MAX >> 3;
        number = good ? number * 8 + (word.data[i] - '0') : 0;
    }
    if (!good) return why_fail(why, ERR_CONFIG, "argument couldn't be parsed as an octal number");
    value->number = number;
    return check_bounds(directive, number, why);
}

static enum err take_size(struct value *value, const struct directive *directive, struct bytes word,
                          struct why *why)
{
    uint64_t size;
    bool or_percent = directive->kind == KIND_SIZE_OR_PERCENT;
    if (number_parse_size(word, &size)) {
        value->number = size > INT64_MAX ? INT64_MAX : (int64_t)size;
        if (directive->kind == KIND_SIZE_4K && size % 4096 != 0)
            return why_fail(why, ERR_CONFIG, "argument must be a multiple of 4096");
        return check_bounds(directive, value->number, why);
    }
    int64_t percent;
    if (or_percent && word.size > 1 && word.data[word.size - 1] == '%' &&
        number_parse_int64(bytes_of(word.data, word.size - 1), &percent) && percent >= 0) {
        if (percent > -directive->least)
            return why_fail(why, ERR_CONFIG, "percentage argument must be less or equal to %lld",
                            (long long)-directive->least);
        value->number = -percent;
        return ERR_OK;
    }
    return why_fail(why, ERR_CONFIG, "argument must be a memory %svalue",
                    or_percent ? "or percent " : "");
}

static enum err take_bool(struct value *value, struct bytes word, struct why *why)
{
    value->number = bytes_is_word(word, "yes") ? 1 : 0;
    if (value->number == 1 || bytes_is_word(word, "no")) return ERR_OK;
    return why_fail(why, ERR_CONFIG, "argument must be 'yes' or 'no'");
}

static void split_known(struct words *known, const char *words)
{
    words_init(known);
    MUST(words_split_plain(known, bytes_text(words)) == WORDS_GOOD);
}

enum err value_take_word(const char *words, struct bytes word, size_t *at, struct why *why)
{
    struct words known; /* never allocates: the words are borrowed */
    split_known(&known, words);
    for (size_t i = 0; i < known.count; i++) {
        char text[VALUE_WORD_BYTES_MAX + 1];
        size_t size = known.word[i].size;
        MUST(size <= VALUE_WORD_BYTES_MAX);
        memcpy(text, known.word[i].data, size);
        text[size] = '\0';
        if (!bytes_is_word(word, text)) continue;
        *at = i;
        return ERR_OK;
    }
    struct buffer list;
    buffer_init(&list);
    for (size_t i = 0; i < known.count; i++) {
        if (i > 0) buffer_append_text(&list, ", ");
        buffer_append(&list, known.word[i]);
    }
    enum err err = why_fail(why, ERR_CONFIG, "argument(s) must be one of the following: %.*s",
                            (int)list.size, (const char *)list.data);
    buffer_release(&list);
    return err;
}

static enum err take_enum(struct value *value, const char *words, struct bytes word,
                          struct why *why)
{
    size_t at;
    enum err err = value_take_word(words, word, &at, why);
    if (err == ERR_OK) value->number = (int64_t)at;
    return err;
}

bool value_is_host(struct bytes word)
{
    if (word.size == 0 || word.size > CONFIG_HOST_BYTES_MAX) return false;
    for (size_t i = 0; i < word.size; i++) {
        uint8_t byte = word.data[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '[' || byte == ']') return false;
    }
    return true;
}

static enum err check_text(const struct directive *directive, struct bytes word, struct why *why)
{
    if (directive->kind == KIND_SECRET || word.size == 0) return ERR_OK;
    if (memchr(word.data, '\0', word.size) != NULL)
        return why_fail(why, ERR_CONFIG, "argument may not contain a zero byte");
    if (directive->kind == KIND_FILENAME && memchr(word.data, '/', word.size) != NULL)
        return why_fail(why, ERR_CONFIG, "%s can't be a path, just a filename", directive->name);
    if (directive->kind == KIND_HOST && !value_is_host(word))
        return why_fail(why, ERR_CONFIG, "argument must be a name or an address of a host");
    if (directive->kind == KIND_HOST && host_is_wildcard(word))
        return why_fail(why, ERR_CONFIG,
                        "argument must be where others reach this copy: nobody is "
                        "at a wildcard");
    if (directive->kind != KIND_HOSTNAME) return ERR_OK;
    if (word.size >= 256)
        return why_fail(why, ERR_CONFIG, "Hostnames must be less than 256 characters");
    for (size_t i = 0; i < word.size; i++) {
        uint8_t byte = word.data[i], low = byte | 0x20;
        bool good = (low >= 'a' && low <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
                    byte == '.';
        if (!good)
            return why_fail(why, ERR_CONFIG,
                            "Hostnames may only contain alphanumeric characters, hyphens or dots");
    }
    return ERR_OK;
}

static enum err take_any(struct value *value, const struct config_name *name,
                         const struct words *words, struct why *why)
{
    const struct directive *directive = directive_of(name->id);
    if (directive->kind >= KIND_PRIMARY) return value_take_list(value, name, words, why);
    if (words->count != 1) return why_fail(why, ERR_CONFIG, "wrong number of arguments");
    struct bytes word = words->word[0];
    switch (directive->kind) {
    case KIND_INT: return take_int(value, directive, word, why);
    case KIND_OCTAL: return take_octal(value, directive, word, why);
    case KIND_SIZE:
    case KIND_SIZE_4K:
    case KIND_SIZE_OR_PERCENT: return take_size(value, directive, word, why);
    case KIND_BOOL: return take_bool(value, word, why);
    case KIND_ENUM: return take_enum(value, name->words, word, why);
    case KIND_PLAIN:
    case KIND_FILE:
    case KIND_FILENAME:
    case KIND_HOSTNAME:
    case KIND_HOST:
    case KIND_SECRET:
        buffer_clear(&value->text);
        buffer_append(&value->text, word);
        return check_text(directive, word, why);
    case KIND_PRIMARY:
    case KIND_ADDRESSES:
    case KIND_SAVE:
    case KIND_LIMITS:
    case KIND_EVENTS:
    case KIND_PERCENTILES:
    case KIND_SCORES:
    case KIND_STOPS: break;
    }
    MUST(false); /* lists were handed on */
    return ERR_CONFIG;
}

enum err value_take(struct value *value, const struct config_name *name, const struct words *words,
                    struct why *why)
{
    enum err err = take_any(value, name, words, why);
    end_text(value);
    return err;
}

void value_take_default(struct value *value, enum config_id id)
{
    const struct directive *directive = directive_of(id);
    struct bytes fallback = bytes_text(directive->fallback);
    struct words words;
    words_init(&words);
    if (!directive_is_list(directive)) words_take_one(&words, fallback);
    else MUST(words_split_plain(&words, fallback) == WORDS_GOOD);
    struct why why;
    MUST(value_take(value, config_name_of(id), &words, &why) == ERR_OK);
    words_release(&words);
}

bool value_is_default(const struct value *value, enum config_id id)
{
    struct value fallback;
    value_init(&fallback);
    value_take_default(&fallback, id);
    bool same = value_equal(value, &fallback);
    value_release(&fallback);
    return same;
}

static void show_enum(const struct value *value, const char *words, struct buffer *out)
{
    struct words known;
    split_known(&known, words);
    MUST(value->number >= 0 && (size_t)value->number < known.count);
    buffer_append(out, known.word[value->number]);
}

void value_show(const struct value *value, const struct config_name *name, struct buffer *out)
{
    long long number = value->number;
    switch (directive_of(name->id)->kind) {
    case KIND_SIZE_OR_PERCENT:
        if (number < 0) {
            buffer_append_format(out, "%lld%%", -number);
            return;
        }
        buffer_append_format(out, "%lld", number);
        return;
    case KIND_INT:
    case KIND_SIZE:
    case KIND_SIZE_4K: buffer_append_format(out, "%lld", number); return;
    case KIND_OCTAL: buffer_append_format(out, "%llo", (unsigned long long)number); return;
    case KIND_BOOL: buffer_append_text(out, number != 0 ? "yes" : "no"); return;
    case KIND_ENUM: show_enum(value, name->words, out); return;
    case KIND_PLAIN:
    case KIND_FILE:
    case KIND_FILENAME:
    case KIND_HOSTNAME:
    case KIND_HOST:
    case KIND_SECRET:
    case KIND_PRIMARY:
    case KIND_ADDRESSES:
    case KIND_SAVE:
    case KIND_LIMITS:
    case KIND_EVENTS:
    case KIND_PERCENTILES:
    case KIND_SCORES:
    case KIND_STOPS: buffer_append(out, buffer_bytes(&value->text)); return;
    }
}

static void write_size(int64_t size, struct buffer *out)
{
    static const char *const units[] = {"", "kb", "mb", "gb"};
    size_t unit = 0;
    while (size != 0 && size % 1024 == 0 && unit < 3) {
        size /= 1024;
        unit++;
    }
    buffer_append_format(out, "%lld%s", (long long)size, units[unit]);
}

void value_write(const struct value *value, const struct config_name *name, struct buffer *out)
{
    const struct directive *directive = directive_of(name->id);
    struct bytes text = buffer_bytes(&value->text);
    bool is_size = directive->kind == KIND_SIZE || directive->kind == KIND_SIZE_4K ||
                   directive->kind == KIND_SIZE_OR_PERCENT;
    bool is_text = directive->kind >= KIND_PLAIN && directive->kind <= KIND_SECRET;
    if (is_size && value->number >= 0) {
        write_size(value->number, out);
    } else if (is_text || directive->kind == KIND_EVENTS) {
        words_quote(out, text, true);
    } else if (directive_is_list(directive)) {
        if (text.size == 0) buffer_append_text(out, "\"\"");
        struct words words;
        words_init(&words);
        MUST(words_split_plain(&words, text) == WORDS_GOOD);
        for (size_t i = 0; i < words.count; i++) {
            if (i > 0) buffer_append_byte(out, ' ');
            words_quote(out, words.word[i], false);
        }
    } else {
        value_show(value, name, out);
    }
}
