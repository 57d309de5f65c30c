/* SPDX-License-Identifier: Apache-2.0 */
/* keys: where a command's keys stand, as ranges of words. Private to the room. */
#ifndef COMMAND_KEYS_H
#define COMMAND_KEYS_H

#include "command/command.h"

/* Words first, first + step ... up to and including last. */
struct key_range {
    size_t first, last, step;
};

/* No command needs more than a range of sources and one place for the result. In the order of
 * Redis's COMMAND GETKEYS. */
struct key_ranges {
    struct key_range at[2];
    size_t count;
};

/* ERR_PROTOCOL: the words make no sense, and *out is empty. Every position in *out is below
 * args->count. */
MUST_USE enum err keys_find(const struct command *command, const struct args *args,
                            struct key_ranges *out);

/* Grows the storage for `count` words; the words there stay. */
void args_reserve(struct args *args, size_t count);

#endif
