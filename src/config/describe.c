/* SPDX-License-Identifier: Apache-2.0 */
/* The table, for people. */
#include "config/value.h"

static void describe_type(const struct directive *directive, struct buffer *out)
{
    long long least = directive->least, most = directive->most;
    switch (directive->kind) {
    case KIND_INT:
        if (most == INT64_MAX) buffer_append_format(out, " (from %lld)", least);
        else buffer_append_format(out, " (%lld to %lld)", least, most);
        return;
    case KIND_SIZE_4K:
        buffer_append_text(out, " (bytes, or with k, m, g; a multiple of 4096)");
        return;
    case KIND_SIZE:
    case KIND_SIZE_OR_PERCENT: buffer_append_text(out, " (bytes, or with k, m, g)"); return;
    case KIND_BOOL: buffer_append_text(out, " (yes, no)"); return;
    case KIND_OCTAL:
    case KIND_ENUM:
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
    case KIND_STOPS: return;
    }
}

static void describe_words(const struct config_name *name, struct buffer *out)
{
    if (name->words[0] == '\0') return;
    struct words words;
    words_init(&words);
    MUST(words_split_plain(&words, bytes_text(name->words)) == WORDS_GOOD);
    for (size_t i = 0; i < words.count; i++) {
        buffer_append_text(out, i == 0 ? " (" : ", ");
        buffer_append(out, words.word[i]);
    }
    buffer_append_byte(out, ')');
}

void config_describe(bool with_effect, struct buffer *out)
{
    for (size_t i = 0; i < config_names(); i++) {
        const struct config_name *name = config_name_at(i);
        const struct directive *directive = directive_of(name->id);
        if (directive_has_effect(directive) != with_effect) continue;
        if (directive->standing == STANDING_KEPT_HIDDEN) continue;
        buffer_append_format(out, "  --%s", name->name);
        if (name->alias) {
            buffer_append_format(out, "\n        another name of --%s", directive->name);
            describe_words(name, out);
            buffer_append_byte(out, '\n');
            continue;
        }
        buffer_append_format(out, " %s\n        %s",
                             directive->fallback[0] != '\0' ? directive->fallback : "\"\"",
                             directive->text);
        describe_type(directive, out);
        describe_words(name, out);
        if (with_effect && directive_is_fixed(directive))
            buffer_append_text(out, "; fixed while running");
        buffer_append_byte(out, '\n');
    }
}

void config_without_effect(const struct config *config, struct buffer *out)
{
    for (int id = 0; id < CONFIG_IDS; id++) {
        const struct directive *directive = directive_of((enum config_id)id);
        if (directive_has_effect(directive)) continue;
        if (value_is_default(config_value(config, (enum config_id)id), (enum config_id)id))
            continue;
        if (out->size > 0) buffer_append_byte(out, ' ');
        buffer_append_text(out, directive->name);
    }
}
