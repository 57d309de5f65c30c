/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever changes values works on a copy of all of them, and takes its place when every check has
 * passed: a file, a command line or a CONFIG SET is taken whole or not at all. */
#include "config/config.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/glob.h"
#include "base/memory.h"
#include "base/number.h"
#include "base/trace.h"
#include "config/value.h"

_Static_assert((int)CONFIG_LOG_LEVEL_DEBUG == (int)TRACE_DEBUG, "levels are passed on as they are");
_Static_assert((int)CONFIG_LOG_LEVEL_WARNING == (int)TRACE_WARNING, "the same");

enum { CONFIG_NAME_SHOWN_BYTES_MAX = 128 };

enum { CLIENTS = CONFIG_CLIENT_PUBSUB + 1 };

struct values {
    struct value of[CONFIG_IDS];
    struct config_output_limit limits[CLIENTS]; /* read with every reply, so parsed beforehand */
    bool given[CONFIG_IDS];                     /* by the command under way */
};

struct config {
    struct values *values;
    struct list watches;
};

static struct values *values_new(void)
{
    struct values *values = memory_alloc(sizeof(*values));
    for (int id = 0; id < CONFIG_IDS; id++) value_init(&values->of[id]);
    memset(values->given, 0, sizeof values->given);
    return values;
}

static struct values *values_clone(const struct values *from)
{
    struct values *values = values_new();
    for (int id = 0; id < CONFIG_IDS; id++) value_copy(&values->of[id], &from->of[id]);
    return values;
}

/* Before the values become those of the config. */
static void values_settle(struct values *values)
{
    for (int i = 0; i < CLIENTS; i++)
        values->limits[i] = value_output_limit(&values->of[CONFIG_CLIENT_OUTPUT_BUFFER_LIMIT],
                                               (enum config_client)i);
}

static void values_free(struct values *values)
{
    for (int id = 0; id < CONFIG_IDS; id++) value_release(&values->of[id]);
    memory_free(values);
}

struct config *config_open(void)
{
    struct config *config = memory_alloc(sizeof(*config));
    config->values = values_new();
    list_init(&config->watches);
    for (int id = 0; id < CONFIG_IDS; id++)
        value_take_default(&config->values->of[id], (enum config_id)id);
    values_settle(config->values);
    return config;
}

void config_close(struct config *config)
{
    if (config == NULL) return;
    MUST(list_empty(&config->watches));
    values_free(config->values);
    memory_free(config);
}

/* Takes the words into `values`, as far as the directive's standing lets it. */
static enum err take(struct values *values, const struct config_name *name, struct words *words,
                     struct why *why)
{
    const struct directive *directive = directive_of(name->id);
    struct value *value = &values->of[name->id];
    /* A list of one empty word is an empty list. */
    if (directive_is_list(directive) && words->count == 1 && words->word[0].size == 0)
        words->count = 0;
    if (directive->standing == STANDING_LOCKED) {
        struct value dropped;
        value_init(&dropped);
        enum err err = value_take(&dropped, name, words, why);
        value_release(&dropped);
        return err;
    }
    enum err err = value_take(value, name, words, why);
    if (err != ERR_OK) return err;
    if (directive->standing == STANDING_REFUSED && !value_is_default(value, name->id))
        return why_fail(why, ERR_CONFIG, "not supported by this server");
    return ERR_OK;
}

/* Words of a file's line or of the command line. A list may also come as one word with spaces. */
static enum err take_start(struct values *values, const struct config_name *name,
                           struct words *words, struct why *why)
{
    if (words->count == 0) return why_fail(why, ERR_CONFIG, "wrong number of arguments");
    if (!directive_is_list(directive_of(name->id)) || words->count > 1 || words->word[0].size == 0)
        return take(values, name, words, why);
    struct words inner;
    words_init(&inner);
    enum err err = ERR_OK;
    if (words_split(&inner, words->word[0]) != WORDS_GOOD)
        err = why_fail(why, ERR_CONFIG, "wrong number of arguments");
    if (err == ERR_OK) err = take(values, name, &inner, why);
    words_release(&inner);
    return err;
}

/* How much of a name from outside an error shows. */
static int shown(struct bytes name)
{
    return name.size < CONFIG_NAME_SHOWN_BYTES_MAX ? (int)name.size : CONFIG_NAME_SHOWN_BYTES_MAX;
}

static enum err read_line(struct values *values, struct words *words, struct bytes line,
                          struct why *why)
{
    switch (words_split(words, line)) {
    case WORDS_GOOD: break;
    case WORDS_UNBALANCED: return why_fail(why, ERR_CONFIG, "unbalanced quotes");
    case WORDS_TOO_MANY: return why_fail(why, ERR_CONFIG, "too many words");
    }
    struct bytes given = words->word[0];
    const struct config_name *name = config_name_find(given);
    if (name == NULL)
        return why_fail(why, ERR_CONFIG, "%.*s: unknown directive", shown(given),
                        (const char *)given.data);
    words->count--;
    memmove(words->word, words->word + 1, words->count * sizeof(words->word[0]));
    enum err err = take_start(values, name, words, why);
    if (err != ERR_OK) why_prefix(why, name->name);
    return err;
}

static void replace_values(struct config *config, struct values *values)
{
    values_settle(values);
    values_free(config->values);
    config->values = values;
}

enum err config_read_text(struct config *config, struct bytes text, struct why *why)
{
    struct values *staged = values_clone(config->values);
    struct words words;
    words_init(&words);
    struct bytes line;
    unsigned number = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && words_next_line(&text, &line)) {
        number++;
        line = words_trim(line);
        if (line.size == 0 || line.data[0] == '#') continue;
        err = read_line(staged, &words, line, why);
    }
    words_release(&words);
    if (err == ERR_OK) {
        replace_values(config, staged);
        return ERR_OK;
    }
    values_free(staged);
    struct why place;
    (void)why_fail(&place, err, "line %u", number);
    why_prefix(why, place.text);
    return err;
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] == '-' && word[2] != '\0';
}

enum err config_read_arguments(struct config *config, const char *const *arguments, size_t count,
                               struct why *why)
{
    struct values *staged = values_clone(config->values);
    enum err err = ERR_OK;
    size_t i = 0;
    while (i < count && err == ERR_OK) {
        const char *option = arguments[i++];
        const struct config_name *name = is_option(option)
                                             ? config_name_find(bytes_text(option + 2))
                                             : NULL;
        struct words words;
        words_init(&words);
        while (i < count && !is_option(arguments[i]) && words.count < WORDS_MAX)
            words.word[words.count++] = bytes_text(arguments[i++]);
        if (name == NULL) {
            err = why_fail(why, ERR_CONFIG, "%.128s: unknown option", option);
        } else {
            err = take_start(staged, name, &words, why);
            if (err != ERR_OK) why_prefix(why, option);
        }
    }
    if (err == ERR_OK) replace_values(config, staged);
    else values_free(staged);
    return err;
}

static enum err set_failed(struct why *why, struct bytes name)
{
    struct why inner = {""};
    if (why != NULL) inner = *why;
    return why_fail(why, ERR_CONFIG,
                    "CONFIG SET failed (possibly related to argument '%.*s') - %.256s", shown(name),
                    (const char *)name.data, inner.text);
}

/* The path of a file stays what it was; to set it once more asks for the file to be read again. */
static bool may_be_set(const struct config *config, enum config_id id, struct bytes text)
{
    const struct directive *directive = directive_of(id);
    if (!directive_is_fixed(directive)) return true;
    return directive->kind == KIND_FILE && bytes_equal(config_text(config, id), text);
}

/* Whether each name of the command may be set now, before any value is looked at. */
static enum err check_names(const struct config *config, const struct bytes *words, size_t count,
                            struct why *why)
{
    for (size_t i = 0; i < count; i += 2) {
        const struct config_name *name = config_name_find(words[i]);
        if (name == NULL)
            return why_fail(why, ERR_CONFIG,
                            "Unknown option or number of arguments for CONFIG SET - '%.*s'",
                            shown(words[i]), (const char *)words[i].data);
        if (!may_be_set(config, name->id, words[i + 1])) {
            (void)why_fail(why, ERR_CONFIG, "can't set immutable config");
            return set_failed(why, words[i]);
        }
        for (size_t k = 0; k < i; k += 2) {
            if (config_name_find(words[k]) != name) continue;
            (void)why_fail(why, ERR_CONFIG, "duplicate parameter");
            return set_failed(why, words[i]);
        }
    }
    return ERR_OK;
}

static enum err take_set(struct values *values, const struct config_name *name, struct bytes given,
                         struct why *why)
{
    struct words words;
    words_init(&words);
    enum err err = ERR_OK;
    if (!directive_is_list(directive_of(name->id))) words_take_one(&words, given);
    else if (words_split_plain(&words, given) != WORDS_GOOD)
        err = why_fail(why, ERR_CONFIG, "wrong number of arguments");
    return err == ERR_OK ? take(values, name, &words, why) : err;
}

/* Whether anybody is to hear of it: a file may be another one now, though its path is the same. */
static bool is_new(const struct values *now, const struct values *old, int id)
{
    bool file = directive_of((enum config_id)id)->kind == KIND_FILE;
    return (file && (now->given[id] || old->given[id])) || !value_equal(&now->of[id], &old->of[id]);
}

/* Tells every watch of what is new since `old`, up to and including *last; *last is where it ended.
 */
static enum err tell(struct config *config, const struct values *old, int *last, struct why *why)
{
    for (int id = 0; id <= *last; id++) {
        if (!is_new(config->values, old, id)) continue;
        for (struct list *node = config->watches.next; node != &config->watches;) {
            struct config_watch *watch = CONTAINER_OF(node, struct config_watch, node);
            node = node->next;
            enum err err = watch->changed(watch, config, (enum config_id)id, why);
            if (err == ERR_OK || why == NULL) continue;
            *last = id;
            return err;
        }
    }
    return ERR_OK;
}

enum err config_set(struct config *config, const struct bytes *words, size_t count, struct why *why)
{
    struct why own;
    if (why == NULL) why = &own;
    if (count == 0 || count % 2 != 0) return why_fail(why, ERR_CONFIG, "syntax error");
    enum err err = check_names(config, words, count, why);
    if (err != ERR_OK) return err;
    struct values *staged = values_clone(config->values);
    for (size_t i = 0; i < count; i += 2) {
        const struct config_name *name = config_name_find(words[i]);
        err = take_set(staged, name, words[i + 1], why);
        staged->given[name->id] = true;
        if (err == ERR_OK) continue;
        values_free(staged);
        return set_failed(why, bytes_text(name->name));
    }
    struct values *old = config->values;
    values_settle(staged);
    config->values = staged;
    int last = CONFIG_IDS - 1;
    err = tell(config, old, &last, why);
    if (err == ERR_OK) {
        memset(staged->given, 0, sizeof staged->given);
        values_free(old);
        return ERR_OK;
    }
    config->values = old;
    (void)tell(config, staged, &last, NULL);
    values_free(staged);
    return set_failed(why, bytes_text(directive_of((enum config_id)last)->name));
}

void config_note(struct config *config, enum config_id id, struct bytes text)
{
    if (bytes_equal(config_text(config, id), text)) return;
    struct values *staged = values_clone(config->values);
    if (take_set(staged, config_name_of(id), text, NULL) == ERR_OK) replace_values(config, staged);
    else values_free(staged);
}

static bool is_pattern(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '*' || text.data[i] == '?' || text.data[i] == '[') return true;
    }
    return false;
}

/* What config_get has found: names in order, each with the spelling to answer with. */
struct found {
    size_t count;
    struct bytes *spelling;
    const struct config_name **name;
};

static void found_add(struct found *found, const struct config_name *name, struct bytes spelling)
{
    for (size_t i = 0; i < found->count; i++) {
        if (found->name[i] == name) return;
    }
    found->name[found->count] = name;
    found->spelling[found->count++] = spelling;
}

void config_get(const struct config *config, const struct bytes *patterns, size_t count,
                struct config_reader *reader)
{
    struct found found = {0, memory_zeroed(config_names(), sizeof(struct bytes)),
                          memory_zeroed(config_names(), sizeof(struct config_name *))};
    for (size_t p = 0; p < count; p++) {
        if (!is_pattern(patterns[p])) {
            const struct config_name *name = config_name_find(patterns[p]);
            if (name != NULL) found_add(&found, name, patterns[p]); /* in the client's case */
            continue;
        }
        for (size_t i = 0; i < config_names(); i++) {
            const struct config_name *name = config_name_at(i);
            struct bytes text = bytes_text(name->name);
            if (directive_of(name->id)->standing == STANDING_KEPT_HIDDEN) continue;
            if (glob_match(patterns[p], text, true)) found_add(&found, name, text);
        }
    }
    struct buffer value;
    buffer_init(&value);
    reader->begin(reader, found.count);
    for (size_t i = 0; i < found.count; i++) {
        buffer_clear(&value);
        value_show(&config->values->of[found.name[i]->id], found.name[i], &value);
        reader->pair(reader, found.spelling[i], buffer_bytes(&value));
    }
    buffer_release(&value);
    memory_free(found.spelling);
    memory_free(found.name);
}

const struct value *config_value(const struct config *config, enum config_id id)
{
    MUST(id < CONFIG_IDS);
    return &config->values->of[id];
}

int64_t config_int(const struct config *config, enum config_id id)
{
    enum config_kind kind = directive_of(id)->kind;
    MUST(kind == KIND_INT || kind == KIND_OCTAL);
    return config_value(config, id)->number;
}

uint64_t config_size(const struct config *config, enum config_id id)
{
    enum config_kind kind = directive_of(id)->kind;
    MUST(kind == KIND_SIZE || kind == KIND_SIZE_4K);
    return (uint64_t)config_value(config, id)->number;
}

bool config_bool(const struct config *config, enum config_id id)
{
    MUST(directive_of(id)->kind == KIND_BOOL);
    return config_value(config, id)->number != 0;
}

int config_enum(const struct config *config, enum config_id id)
{
    MUST(directive_of(id)->kind == KIND_ENUM);
    return (int)config_value(config, id)->number;
}

struct bytes config_text(const struct config *config, enum config_id id)
{
    MUST(directive_of(id)->kind >= KIND_PLAIN);
    return buffer_bytes(&config_value(config, id)->text);
}

size_t config_words(const struct config *config, enum config_id id, struct bytes *words,
                    size_t most)
{
    MUST(directive_is_list(directive_of(id)));
    struct words split;
    words_init(&split);
    MUST(words_split_plain(&split, buffer_bytes(&config_value(config, id)->text)) == WORDS_GOOD);
    for (size_t i = 0; i < split.count && i < most; i++) words[i] = split.word[i];
    return split.count;
}

size_t config_addresses(const struct config *config, int64_t port,
                        struct config_address addresses[CONFIG_ADDRESSES_MAX])
{
    struct bytes words[CONFIG_ADDRESSES_MAX];
    size_t count = config_words(config, CONFIG_BIND, words, CONFIG_ADDRESSES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct bytes word = words[i];
        addresses[i].optional = word.size > 0 && word.data[0] == '-';
        if (addresses[i].optional) word = bytes_of(word.data + 1, word.size - 1);
        if (bytes_is_word(word, "*")) word = bytes_text("0.0.0.0");
        bool v6 = word.size > 0 && memchr(word.data, ':', word.size) != NULL;
        (void)snprintf(addresses[i].text, sizeof addresses[i].text,
                       v6 ? "[%.*s]:%" PRId64 : "%.*s:%" PRId64, (int)word.size,
                       (const char *)word.data, port);
    }
    return count;
}

/* The text is ours, checked by take_primary(). */
void config_primary(const struct config *config, char out[CONFIG_PRIMARY_BYTES])
{
    struct bytes words[2];
    out[0] = '\0';
    if (config_words(config, CONFIG_REPLICAOF, words, 2) != 2) return;
    bool v6 = memchr(words[0].data, ':', words[0].size) != NULL;
    (void)snprintf(out, CONFIG_PRIMARY_BYTES, v6 ? "[%.*s]:%.*s" : "%.*s:%.*s", (int)words[0].size,
                   (const char *)words[0].data, (int)words[1].size, (const char *)words[1].data);
}

unsigned config_peer_port(const struct config *config)
{
    enum { ABOVE = 10000 };
    int64_t own = config_int(config, CONFIG_PEER_PORT), port = config_int(config, CONFIG_PORT);
    if (own == 0 && port != 0 && port + ABOVE <= UINT16_MAX) own = port + ABOVE;
    return (unsigned)own;
}

/* The text is ours, checked by take_save(). */
size_t config_save_points(const struct config *config, struct config_save_point *points,
                          size_t most)
{
    struct words split;
    words_init(&split);
    struct bytes text = buffer_bytes(&config_value(config, CONFIG_SAVE)->text);
    MUST(words_split_plain(&split, text) == WORDS_GOOD && split.count % 2 == 0);
    for (size_t i = 0; i < split.count / 2 && i < most; i++) {
        MUST(number_parse_uint64(split.word[2 * i], &points[i].seconds));
        MUST(number_parse_uint64(split.word[2 * i + 1], &points[i].changes));
    }
    return split.count / 2;
}

uint32_t config_events(const struct config *config)
{
    return (uint32_t)config_value(config, CONFIG_NOTIFY_KEYSPACE_EVENTS)->number;
}

struct config_output_limit config_output_limit(const struct config *config,
                                               enum config_client client)
{
    MUST((int)client < CLIENTS);
    return config->values->limits[client];
}

void config_watch(struct config *config, struct config_watch *watch)
{
    list_append(&config->watches, &watch->node);
}

void config_unwatch(struct config_watch *watch)
{
    list_remove(&watch->node);
}

bool config_is_secret(struct bytes name)
{
    const struct config_name *found = config_name_find(name);
    return found != NULL && directive_of(found->id)->kind == KIND_SECRET;
}
