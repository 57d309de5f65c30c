/* SPDX-License-Identifier: Apache-2.0 */
/* args: a command's words, in storage that is used again for the next command. */
#include "command/command.h"

#include "base/memory.h"
#include "base/must.h"
#include "command/keys.h"

/* What a long command leaves behind is given back: 16 KiB stay. */
enum { ARGS_FIRST = 16, ARGS_KEPT_MAX = 1024 };

void args_init(struct args *args)
{
    *args = (struct args){NULL, 0, 0};
}

void args_release(struct args *args)
{
    memory_free(args->at);
    args_init(args);
}

void args_clear(struct args *args)
{
    if (args->capacity > ARGS_KEPT_MAX) args_release(args);
    args->count = 0;
}

void args_reserve(struct args *args, size_t count)
{
    if (count <= args->capacity) return;
    MUST(count <= SIZE_MAX / 2 / sizeof(struct bytes));
    size_t capacity = args->capacity > 0 ? args->capacity * 2 : ARGS_FIRST;
    if (capacity < count) capacity = count;
    args->at = memory_resize(args->at, capacity * sizeof(struct bytes));
    args->capacity = capacity;
}

void args_push(struct args *args, struct bytes word)
{
    if (args->count == args->capacity) args_reserve(args, args->count + 1);
    args->at[args->count++] = word;
}
