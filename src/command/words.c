/* SPDX-License-Identifier: Apache-2.0 */
/* words: what COMMAND INFO and ACL CAT say about a row, in Redis's words and order. */
#include "command/command.h"

static const struct flag_word {
    uint32_t flag;
    const char *word;
} flag_words[] = {
    {FLAG_WRITE, "write"},
    {FLAG_READONLY, "readonly"},
    {FLAG_DENYOOM, "denyoom"},
    {FLAG_ADMIN, "admin"},
    {FLAG_PUBSUB, "pubsub"},
    {FLAG_NOSCRIPT, "noscript"},
    {FLAG_BLOCKING, "blocking"},
    {FLAG_LOADING, "loading"},
    {FLAG_STALE, "stale"},
    {FLAG_SKIP_MONITOR, "skip_monitor"},
    {FLAG_SKIP_SLOWLOG, "skip_slowlog"},
    {FLAG_FAST, "fast"},
    {FLAG_NO_AUTH, "no_auth"},
    {FLAG_NO_ASYNC_LOADING, "no_async_loading"},
    {FLAG_NO_MULTI, "no_multi"},
    {FLAG_MOVABLEKEYS, "movablekeys"},
    {FLAG_ALLOW_BUSY, "allow_busy"},
};

/* In the order of ACL CAT. A row belongs to those that its flags imply and those that it names. */
static const struct category {
    const char *word;
    uint32_t implied_by;
} categories[] = {
    {"@keyspace", 0},
    {"@read", FLAG_READONLY},
    {"@write", FLAG_WRITE},
    {"@set", 0},
    {"@sortedset", 0},
    {"@list", 0},
    {"@hash", 0},
    {"@string", 0},
    {"@bitmap", 0},
    {"@hyperloglog", 0},
    {"@geo", 0},
    {"@stream", 0},
    {"@pubsub", FLAG_PUBSUB},
    {"@admin", FLAG_ADMIN},
    {"@fast", FLAG_FAST},
    {"@slow", 0}, /* implied by the lack of FLAG_FAST */
    {"@blocking", FLAG_BLOCKING},
    {"@dangerous", FLAG_ADMIN},
    {"@connection", 0},
    {"@transaction", 0},
    {"@scripting", 0},
};

enum {
    FLAG_WORDS = sizeof(flag_words) / sizeof(flag_words[0]),
    CATEGORIES = sizeof(categories) / sizeof(categories[0]),
};
_Static_assert((int)FLAG_WORDS <= (int)COMMAND_WORDS_MAX, "room for all flags");
_Static_assert((int)CATEGORIES <= (int)COMMAND_WORDS_MAX, "room for all categories");

size_t command_flag_words(const struct command *command, const char *out[COMMAND_WORDS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < FLAG_WORDS; i++) {
        if ((command->flags & flag_words[i].flag) != 0) out[count++] = flag_words[i].word;
    }
    return count;
}

/* Whether `word` is one of the words of `list`, which one space separates. */
static bool list_has(const char *list, const char *word)
{
    size_t size = strlen(word);
    const char *at = list;
    while (*at != '\0') {
        size_t length = strcspn(at, " ");
        if (length == size && memcmp(at, word, size) == 0) return true;
        at += length;
        if (*at == ' ') at++;
    }
    return false;
}

static bool is_in(const struct command *command, const struct category *category)
{
    if ((command->flags & category->implied_by) != 0) return true;
    if (strcmp(category->word, "@slow") == 0) return (command->flags & FLAG_FAST) == 0;
    return list_has(command->categories, category->word);
}

size_t command_category_words(const struct command *command, const char *out[COMMAND_WORDS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < CATEGORIES; i++) {
        if (is_in(command, &categories[i])) out[count++] = categories[i].word;
    }
    return count;
}

const char *command_category_at(size_t i)
{
    return i < CATEGORIES ? categories[i].word : NULL;
}

bool command_is_in_category(const struct command *command, const char *category)
{
    for (size_t i = 0; i < CATEGORIES; i++) {
        if (strcmp(categories[i].word, category) == 0) return is_in(command, &categories[i]);
    }
    return false;
}
