/* SPDX-License-Identifier: Apache-2.0 */
/* value: what a directive holds; reading it from words with its checks, and showing it. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "config/table.h"
#include "config/words.h"

enum { VALUE_WORD_BYTES_MAX = 63 };

struct value {
    int64_t number;     /* numbers, sizes, yes as 1, the place of an enum's word, bits of events */
    struct buffer text; /* texts and lists, in the form that CONFIG GET shows */
};

void value_init(struct value *value);
void value_release(struct value *value);
void value_copy(struct value *value, const struct value *from); /* over what it held */
bool value_equal(const struct value *a, const struct value *b);

/* Reads the words given under `name`. The old value is there (client-output-buffer-limit names the
 * classes that change); on error the value is not to be used. `why` gets Redis's text. */
MUST_USE enum err value_take(struct value *value, const struct config_name *name,
                             const struct words *words, struct why *why);
/* The default, over what it held. */
void value_take_default(struct value *value, enum config_id id);
bool value_is_default(const struct value *value, enum config_id id);
/* config.c: what the directive has now; borrowed until the next change. */
const struct value *config_value(const struct config *config, enum config_id id);
/* As CONFIG GET shows it under `name`. */
void value_show(const struct value *value, const struct config_name *name, struct buffer *out);
/* As a line of a file, behind the name and a space. */
void value_write(const struct value *value, const struct config_name *name, struct buffer *out);

/* The place of `word` among the known words, without case. */
MUST_USE enum err value_take_word(const char *words, struct bytes word, size_t *at,
                                  struct why *why);

/* A name or an address, without brackets. */
bool value_is_host(struct bytes word);

/* lists.c: value_take for lists and for events. */
MUST_USE enum err value_take_list(struct value *value, const struct config_name *name,
                                  const struct words *words, struct why *why);
/* lists.c: one class of a client-output-buffer-limit. */
struct config_output_limit value_output_limit(const struct value *value, enum config_client client);

#endif
