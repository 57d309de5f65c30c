/* SPDX-License-Identifier: Apache-2.0 */
/* table: what is known about each directive, from directives.def. */
#ifndef CONFIG_TABLE_H
#define CONFIG_TABLE_H

#include "config/config.h"

enum config_kind {
    KIND_INT,
    KIND_OCTAL,
    KIND_SIZE,
    KIND_SIZE_4K,         /* a multiple of 4096 */
    KIND_SIZE_OR_PERCENT, /* a percentage is kept as a negative number */
    KIND_BOOL,
    KIND_ENUM,
    KIND_PLAIN,    /* any text without a zero byte */
    KIND_FILE,     /* a path; set once more, what is there is to be read again */
    KIND_FILENAME, /* a text without a slash */
    KIND_HOSTNAME,
    KIND_HOST,   /* a name or an address */
    KIND_SECRET, /* any bytes */
    /* Lists. */
    KIND_PRIMARY, /* host and port */
    KIND_ADDRESSES,
    KIND_SAVE,
    KIND_LIMITS,
    KIND_EVENTS, /* one word of letters */
    KIND_PERCENTILES,
    KIND_SCORES,
    KIND_STOPS,
};

/* Explained in directives.def. */
enum config_standing {
    STANDING_LIVE,
    STANDING_FIXED,
    STANDING_KEPT,
    STANDING_KEPT_FIXED,
    STANDING_KEPT_HIDDEN,
    STANDING_LOCKED,
    STANDING_REFUSED,
};

struct directive {
    const char *name;
    enum config_kind kind;
    enum config_standing standing;
    const char *fallback;
    int64_t least, most;
    const char *text;
};

/* A name that users give: a directive's own, or an alias. */
struct config_name {
    const char *name;
    enum config_id id;
    const char *words; /* of an enum under this name, separated by spaces */
    bool alias;
};

const struct directive *directive_of(enum config_id id);
bool directive_is_fixed(const struct directive *directive); /* not to be set while running */
bool directive_has_effect(const struct directive *directive);
bool directive_is_list(const struct directive *directive); /* takes any number of words */

size_t config_names(void);
const struct config_name *config_name_at(size_t i);            /* in the order of the file */
const struct config_name *config_name_find(struct bytes name); /* without case; NULL: unknown */
const struct config_name *config_name_of(enum config_id id);   /* the directive's own */

#endif
