/* SPDX-License-Identifier: Apache-2.0 */
/* config: every directive of the server, its type and bounds, and the value that it has now.
 *
 * Values come from a file, the command line and CONFIG SET, and are checked on the way in; what
 * they do is the business of the rooms that read them. Nothing here touches a file or the network.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/list.h"
#include "base/must.h"

/* One id a directive, in the order of directives.def: CONFIG_PORT, CONFIG_DURABILITY ... */
#define DIRECTIVE(id, name, kind, fallback, least, most, standing, words, text) CONFIG_##id,
#define ALIAS(name, id, words)
enum config_id {
#include "config/directives.def"
    CONFIG_IDS
};
#undef DIRECTIVE
#undef ALIAS

/* What config_enum returns: the place of the word in the table. */
enum config_durability {
    CONFIG_DURABILITY_ALWAYS,
    CONFIG_DURABILITY_EVERYSEC,
    CONFIG_DURABILITY_NONE,
};
enum config_log_sync { CONFIG_LOG_SYNC_AUTO, CONFIG_LOG_SYNC_DIRECT, CONFIG_LOG_SYNC_FDATASYNC };
enum config_log_level {
    CONFIG_LOG_LEVEL_DEBUG, /* the same numbers as enum trace_level */
    CONFIG_LOG_LEVEL_VERBOSE,
    CONFIG_LOG_LEVEL_NOTICE,
    CONFIG_LOG_LEVEL_WARNING,
};
enum config_mode { CONFIG_MODE_LOCAL, CONFIG_MODE_ALL };
enum config_permission { CONFIG_PERMIT_NOBODY, CONFIG_PERMIT_ALL, CONFIG_PERMIT_LOCAL };

/* Bits of config_events, by the letters of notify-keyspace-events. */
enum config_event {
    CONFIG_EVENT_KEYSPACE = 1 << 0, /* K: publish on the channels of keys */
    CONFIG_EVENT_KEYEVENT = 1 << 1, /* E: publish on the channels of events */
    CONFIG_EVENT_GENERIC = 1 << 2,  /* g */
    CONFIG_EVENT_STRING = 1 << 3,   /* $ */
    CONFIG_EVENT_LIST = 1 << 4,     /* l */
    CONFIG_EVENT_SET = 1 << 5,      /* s */
    CONFIG_EVENT_HASH = 1 << 6,     /* h */
    CONFIG_EVENT_ZSET = 1 << 7,     /* z */
    CONFIG_EVENT_EXPIRED = 1 << 8,  /* x */
    CONFIG_EVENT_EVICTED = 1 << 9,  /* e */
    CONFIG_EVENT_STREAM = 1 << 10,  /* t */
    CONFIG_EVENT_MISS = 1 << 11,    /* m, not in A */
    CONFIG_EVENT_MODULE = 1 << 13,  /* d */
    CONFIG_EVENT_NEW = 1 << 14,     /* n, not in A */
};

/* Classes of client-output-buffer-limit. */
enum config_client { CONFIG_CLIENT_NORMAL, CONFIG_CLIENT_REPLICA, CONFIG_CLIENT_PUBSUB };

struct config_output_limit {
    uint64_t hard_bytes; /* 0: none */
    uint64_t soft_bytes; /* 0: none */
    uint64_t soft_seconds;
};

enum {
    CONFIG_ADDRESSES_MAX = 16,
    CONFIG_ADDRESS_BYTES = 128,
    CONFIG_HOST_BYTES_MAX = 240,
    CONFIG_PRIMARY_BYTES = 256, /* of "host:port", "[v6]:port", with its zero */
};

struct config; /* fields: config/config.c */

/* Every directive at its default. Owned by the caller until config_close. */
struct config *config_open(void);
void config_close(struct config *config); /* NULL is fine; watches must be gone */

/* Takes the directives of a configuration file's text: `name value ...` a line, `#` begins a
 * comment line, values may be "quoted \x0a" or 'quoted'. On error nothing is changed, and `why`
 * names line and directive. Watches are not told: this is for the start. */
MUST_USE enum err config_read_text(struct config *config, struct bytes text, struct why *why);
/* Takes `--name word ...`: an option has all words up to the next that begins with `--`. On error
 * nothing is changed. Watches are not told. */
MUST_USE enum err config_read_arguments(struct config *config, const char *const *arguments,
                                        size_t count, struct why *why);
/* CONFIG SET: `words` are pairs of name and value. All are taken or none; on error `why` holds the
 * reply's text as Redis words it, without the code in front. Ends with every watch told. */
MUST_USE enum err config_set(struct config *config, const struct bytes *words, size_t count,
                             struct why *why);

/* The value that a directive has come to have without CONFIG SET, as CONFIG GET would show it: for
 * GET and REWRITE. Watches are not told. What does not fit changes nothing. */
void config_note(struct config *config, enum config_id id, struct bytes text);

/* Receives what config_get finds; what it is given is borrowed for the call. */
struct config_reader {
    void (*begin)(struct config_reader *reader, size_t pairs);
    void (*pair)(struct config_reader *reader, struct bytes name, struct bytes value);
};

/* CONFIG GET: each directive that one of the glob patterns matches, once, aliases too. */
void config_get(const struct config *config, const struct bytes *patterns, size_t count,
                struct config_reader *reader);

/* Typed getters; asking for another type than the directive's is a programmer error. */
int64_t config_int(const struct config *config, enum config_id id);
uint64_t config_size(const struct config *config, enum config_id id);
bool config_bool(const struct config *config, enum config_id id);
int config_enum(const struct config *config, enum config_id id);
/* Borrowed until the next change; followed by a zero, which is not counted. */
struct bytes config_text(const struct config *config, enum config_id id);
/* The words of a directive that is a list (bind): fills up to `most`, borrowed until the next
 * change, and returns how many there are. */
size_t config_words(const struct config *config, enum config_id id, struct bytes *words,
                    size_t most);
/* The words of `bind` with this port, as a net or http listens at them; returns how many. */
struct config_address {
    char text[CONFIG_ADDRESS_BYTES];
    bool optional; /* written with a leading - */
};
size_t config_addresses(const struct config *config, int64_t port,
                        struct config_address addresses[CONFIG_ADDRESSES_MAX]);
/* `replicaof` as an address; empty: nobody is followed. */
void config_primary(const struct config *config, char out[CONFIG_PRIMARY_BYTES]);
/* The port for other copies; 0: none. */
unsigned config_peer_port(const struct config *config);
/* The pairs of `save`: fills up to `most` and returns how many there are. */
struct config_save_point {
    uint64_t seconds, changes;
};
size_t config_save_points(const struct config *config, struct config_save_point *points,
                          size_t most);
uint32_t config_events(const struct config *config); /* bits of enum config_event */
struct config_output_limit config_output_limit(const struct config *config,
                                               enum config_client client);

/* Hears of changes by CONFIG SET. Owned by the caller, who embeds it. */
struct config_watch {
    struct list node;
    /* `id` has a new value, which the config holds already: make it so; or it is the path of a file
     * that is to be read again. After an error all values of the command go back, and whoever was
     * told is told again, its answer then being ignored. Must not change the config. */
    enum err (*changed)(struct config_watch *watch, const struct config *config, enum config_id id,
                        struct why *why);
};

void config_watch(struct config *config, struct config_watch *watch);
void config_unwatch(struct config_watch *watch); /* twice is harmless */

/* Whether the value of the directive of this name must not appear in logs. */
bool config_is_secret(struct bytes name);

/* Help, a paragraph a directive: those that have an effect, or those kept for compatibility. */
void config_describe(bool with_effect, struct buffer *out);
/* The names, separated by spaces, of directives that were given another value than the default and
 * have no effect here, for a warning at the start. */
void config_without_effect(const struct config *config, struct buffer *out);

/* CONFIG REWRITE: the new text of a file whose text is `old`. Comments and order stay, directives
 * get their present values in the place of their first line, those not in the file and not at their
 * default are added at the end. */
void config_rewrite(const struct config *config, struct bytes old, struct buffer *out);

#endif
