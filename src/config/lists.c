/* SPDX-License-Identifier: Apache-2.0 */
/* Directives of several words, and the letters of notify-keyspace-events. What is kept is the text
 * that CONFIG GET shows. The texts of the errors are those of Redis 7.0. */
#include "base/number.h"
#include "config/value.h"

enum { CLIENTS = CONFIG_CLIENT_PUBSUB + 1, SCORES = 3, SCORE_MAX = 2000 };

static const struct {
    char letter;
    enum config_event bit;
} event_letters[] = {
    {'g', CONFIG_EVENT_GENERIC},  {'$', CONFIG_EVENT_STRING},  {'l', CONFIG_EVENT_LIST},
    {'s', CONFIG_EVENT_SET},      {'h', CONFIG_EVENT_HASH},    {'z', CONFIG_EVENT_ZSET},
    {'x', CONFIG_EVENT_EXPIRED},  {'e', CONFIG_EVENT_EVICTED}, {'t', CONFIG_EVENT_STREAM},
    {'d', CONFIG_EVENT_MODULE},   {'n', CONFIG_EVENT_NEW},     {'K', CONFIG_EVENT_KEYSPACE},
    {'E', CONFIG_EVENT_KEYEVENT}, {'m', CONFIG_EVENT_MISS},
};

enum {
    EVENT_LETTERS = sizeof(event_letters) / sizeof(event_letters[0]),
    EVENTS_ALL = CONFIG_EVENT_GENERIC | CONFIG_EVENT_STRING | CONFIG_EVENT_LIST | CONFIG_EVENT_SET |
                 CONFIG_EVENT_HASH | CONFIG_EVENT_ZSET | CONFIG_EVENT_EXPIRED |
                 CONFIG_EVENT_EVICTED | CONFIG_EVENT_STREAM | CONFIG_EVENT_MODULE,
};

static int64_t event_bits(uint8_t letter)
{
    if (letter == 'A') return EVENTS_ALL;
    for (size_t i = 0; i < EVENT_LETTERS; i++) {
        if (event_letters[i].letter == letter) return event_letters[i].bit;
    }
    return 0;
}

static enum err take_events(struct value *value, const struct words *words, struct why *why)
{
    if (words->count != 1) return why_fail(why, ERR_CONFIG, "wrong number of arguments");
    struct bytes letters = words->word[0];
    value->number = 0;
    for (size_t i = 0; i < letters.size; i++) {
        int64_t bits = event_bits(letters.data[i]);
        if (bits == 0)
            return why_fail(why, ERR_CONFIG,
                            "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
        value->number |= bits;
    }
    buffer_clear(&value->text);
    int64_t left = value->number;
    if ((left & EVENTS_ALL) == EVENTS_ALL) {
        buffer_append_byte(&value->text, 'A');
        left &= ~(int64_t)EVENTS_ALL;
    }
    for (size_t i = 0; i < EVENT_LETTERS; i++) {
        if ((left & event_letters[i].bit) != 0)
            buffer_append_byte(&value->text, (uint8_t)event_letters[i].letter);
    }
    return ERR_OK;
}

static void append_word(struct buffer *text, struct bytes word)
{
    if (text->size > 0) buffer_append_byte(text, ' ');
    buffer_append(text, word);
}

static enum err take_addresses(struct value *value, const struct words *words, struct why *why)
{
    if (words->count > CONFIG_ADDRESSES_MAX)
        return why_fail(why, ERR_CONFIG, "Too many bind addresses specified.");
    buffer_clear(&value->text);
    for (size_t i = 0; i < words->count; i++) {
        struct bytes word = words->word[i];
        for (size_t k = 0; k < word.size; k++) {
            if (word.data[k] <= ' ' || word.data[k] >= 0x7f) word.size = 0; /* ends the loop */
        }
        if (word.size == 0) return why_fail(why, ERR_CONFIG, "Invalid bind address");
        append_word(&value->text, word);
    }
    return ERR_OK;
}

static enum err take_save(struct value *value, const struct words *words, struct why *why)
{
    enum { POINTS_MAX = 16 };
    bool good = words->count % 2 == 0 && words->count <= 2 * POINTS_MAX;
    buffer_clear(&value->text);
    for (size_t i = 0; i < words->count && good; i++) {
        int64_t number, least = i % 2 == 0 ? 1 : 0; /* seconds, changes */
        good = number_parse_int64(words->word[i], &number) && number >= least;
        append_word(&value->text, words->word[i]);
    }
    if (good) return ERR_OK;
    return why_fail(why, ERR_CONFIG, "Invalid save parameters");
}

static const char *const client_names[CLIENTS] = {"normal", "slave", "pubsub"};

/* The text is ours, written by take_limits: it has four words a class. */
struct config_output_limit value_output_limit(const struct value *value, enum config_client client)
{
    struct words words;
    words_init(&words);
    MUST(words_split_plain(&words, buffer_bytes(&value->text)) == WORDS_GOOD);
    struct config_output_limit limit;
    size_t at = (size_t)client * 4;
    MUST(at + 3 < words.count);
    MUST(number_parse_uint64(words.word[at + 1], &limit.hard_bytes));
    MUST(number_parse_uint64(words.word[at + 2], &limit.soft_bytes));
    MUST(number_parse_uint64(words.word[at + 3], &limit.soft_seconds));
    return limit;
}

static bool client_of(struct bytes name, size_t *client)
{
    for (*client = 0; *client < CLIENTS; ++*client) {
        if (bytes_is_word(name, client_names[*client])) return true;
    }
    *client = CONFIG_CLIENT_REPLICA;
    return bytes_is_word(name, "replica");
}

static enum err take_limits(struct value *value, const struct words *words, struct why *why)
{
    struct config_output_limit limits[CLIENTS] = {{0, 0, 0}};
    for (size_t i = 0; i < CLIENTS && value->text.size > 0; i++)
        limits[i] = value_output_limit(value, (enum config_client)i);
    if (words->count % 4 != 0)
        return why_fail(why, ERR_CONFIG,
                        "Wrong number of arguments in buffer limit configuration.");
    for (size_t i = 0; i < words->count; i += 4) {
        const struct bytes *word = &words->word[i];
        struct config_output_limit limit;
        size_t client;
        if (!client_of(word[0], &client))
            return why_fail(why, ERR_CONFIG,
                            "Invalid client class specified in buffer limit configuration.");
        if (!number_parse_size(word[1], &limit.hard_bytes) ||
            !number_parse_size(word[2], &limit.soft_bytes) ||
            !number_parse_uint64(word[3], &limit.soft_seconds))
            return why_fail(why, ERR_CONFIG,
                            "Error in hard, soft or soft_seconds setting in buffer limit "
                            "configuration.");
        limits[client] = limit;
    }
    buffer_clear(&value->text);
    for (size_t i = 0; i < CLIENTS; i++)
        buffer_append_format(&value->text, "%s%s %llu %llu %llu", i > 0 ? " " : "", client_names[i],
                             (unsigned long long)limits[i].hard_bytes,
                             (unsigned long long)limits[i].soft_bytes,
                             (unsigned long long)limits[i].soft_seconds);
    return ERR_OK;
}

static enum err take_percentiles(struct value *value, const struct words *words, struct why *why)
{
    buffer_clear(&value->text);
    for (size_t i = 0; i < words->count; i++) {
        double percentile;
        if (!number_parse_double(words->word[i], &percentile))
            return why_fail(why, ERR_CONFIG,
                            "Invalid latency-tracking-info-percentiles parameters");
        if (percentile < 0 || percentile > 100)
            return why_fail(why, ERR_CONFIG,
                            "latency-tracking-info-percentiles parameters should sit between "
                            "[0.0,100.0]");
        buffer_append_format(&value->text, "%s%f", i > 0 ? " " : "", percentile);
        while (value->text.data[value->text.size - 1] == '0') value->text.size--;
        if (value->text.data[value->text.size - 1] == '.') value->text.size--;
    }
    return ERR_OK;
}

static enum err take_scores(struct value *value, const struct words *words, struct why *why)
{
    if (words->count != SCORES) return why_fail(why, ERR_CONFIG, "wrong number of arguments");
    buffer_clear(&value->text);
    for (size_t i = 0; i < SCORES; i++) {
        int64_t score;
        if (!number_parse_int64(words->word[i], &score) || score < -SCORE_MAX || score > SCORE_MAX)
            return why_fail(why, ERR_CONFIG,
                            "Invalid oom-score-adj-values, elements must be between -2000 and "
                            "2000.");
        append_word(&value->text, words->word[i]);
    }
    return ERR_OK;
}

/* What to do at a signal: any of the words but `default`, which is the lack of others. */
static enum err take_stops(struct value *value, const struct words *words, struct why *why)
{
    static const char *const known[] = {"save", "nosave", "now", "force"};
    bool given[4] = {false, false, false, false};
    size_t at = 0;
    enum err err = ERR_OK;
    if (words->count == 0)
        err = value_take_word("default save nosave now force", bytes_text(""), &at, why);
    for (size_t i = 0; i < words->count && err == ERR_OK; i++) {
        err = value_take_word("default save nosave now force", words->word[i], &at, why);
        if (err == ERR_OK && at > 0) given[at - 1] = true;
    }
    if (err != ERR_OK) return err;
    if (given[0] && given[1])
        return why_fail(why, ERR_CONFIG,
                        "shutdown options SAVE and NOSAVE can't be used simultaneously");
    buffer_clear(&value->text);
    for (size_t i = 0; i < 4; i++) {
        if (given[i]) append_word(&value->text, bytes_text(known[i]));
    }
    if (value->text.size == 0) buffer_append_text(&value->text, "default");
    return ERR_OK;
}

/* "no one" is what REPLICAOF calls nobody. */
static enum err take_primary(struct value *value, const struct words *words, struct why *why)
{
    buffer_clear(&value->text);
    if (words->count == 0) return ERR_OK;
    if (words->count != 2) return why_fail(why, ERR_CONFIG, "wrong number of arguments");
    if (bytes_is_word(words->word[0], "no") && bytes_is_word(words->word[1], "one")) return ERR_OK;
    int64_t port;
    if (!number_parse_int64(words->word[1], &port) || port < 1 || port > UINT16_MAX)
        return why_fail(why, ERR_CONFIG, "Invalid master port");
    if (!value_is_host(words->word[0])) return why_fail(why, ERR_CONFIG, "Invalid master host");
    append_word(&value->text, words->word[0]);
    append_word(&value->text, words->word[1]);
    return ERR_OK;
}

enum err value_take_list(struct value *value, const struct config_name *name,
                         const struct words *words, struct why *why)
{
    switch (directive_of(name->id)->kind) {
    case KIND_PRIMARY: return take_primary(value, words, why);
    case KIND_ADDRESSES: return take_addresses(value, words, why);
    case KIND_SAVE: return take_save(value, words, why);
    case KIND_LIMITS: return take_limits(value, words, why);
    case KIND_EVENTS: return take_events(value, words, why);
    case KIND_PERCENTILES: return take_percentiles(value, words, why);
    case KIND_SCORES: return take_scores(value, words, why);
    case KIND_STOPS: return take_stops(value, words, why);
    case KIND_INT:
    case KIND_OCTAL:
    case KIND_SIZE:
    case KIND_SIZE_4K:
    case KIND_SIZE_OR_PERCENT:
    case KIND_BOOL:
    case KIND_ENUM:
    case KIND_PLAIN:
    case KIND_FILE:
    case KIND_FILENAME:
    case KIND_HOSTNAME:
    case KIND_HOST:
    case KIND_SECRET: break;
    }
    MUST(false); /* not a list */
    return ERR_CONFIG;
}
