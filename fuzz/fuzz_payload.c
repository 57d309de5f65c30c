/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_payload: the codec of an entry's payload, both ways.
 *
 * Any bytes: refused, or written again as the same bytes; with memory bounded by their size.
 * Any command made of them: read as it was written. */
#include <stddef.h>
#include <stdint.h>

#include "base/must.h"
#include "test/command/rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct visitor {
    struct payload_visit visit;
    struct bytes payload;
};

static void check_key(struct payload_visit *visit, uint8_t database, struct bytes key)
{
    struct visitor *visitor = CONTAINER_OF(visit, struct visitor, visit);
    MUST(database < PAYLOAD_DATABASES_MAX);
    MUST(key.data >= visitor->payload.data);
    MUST(key.data + key.size <= visitor->payload.data + visitor->payload.size);
}

static void read_bytes(struct bytes payload)
{
    struct args args;
    struct buffer out;
    args_init(&args);
    buffer_init(&out);
    enum err err = rewrite_payload(payload, &args, &out);
    MUST(err == ERR_OK || err == ERR_CORRUPT);
    if (err == ERR_OK) MUST(bytes_equal(buffer_bytes(&out), payload));
    struct visitor visitor = {.visit = {.key = check_key}, .payload = payload};
    payload_visit_keys(payload, &args, &visitor.visit);
    /* The storage doubles, and begins with 16 words; each word was at least its length. */
    MUST(args.capacity <= 32 + payload.size / 2);
    buffer_release(&out);
    args_release(&args);
}

/* The first bytes choose the row and the database; each 0xff ends a word. */
static const struct command *make_command(const uint8_t *data, size_t size, struct args *args)
{
    const struct command *command = command_by_id(load_le16(data));
    if (command == NULL || command->place != PLACE_STATE) return NULL;
    args_push(args, bytes_text(command->name));
    for (size_t at = 3; at < size;) {
        size_t end = at;
        while (end < size && data[end] != 0xff) end++;
        args_push(args, bytes_of(data + at, end - at));
        at = end + 1;
    }
    return command_arity_fits(command, args->count) ? command : NULL;
}

static void check_same(struct bytes payload, uint8_t database, const struct command *command,
                       const struct args *args)
{
    struct payload_reader reader;
    struct args back;
    uint8_t database_back;
    const struct command *command_back;
    args_init(&back);
    MUST(payload_read(&reader, payload) == ERR_OK);
    MUST(payload_next_command(&reader, &database_back, &command_back, &back) == ERR_OK);
    MUST(reader.commands == 0 && reader.rest.size == 0);
    MUST(database_back == database && command_back == command && back.count == args->count);
    for (size_t i = 0; i < back.count; i++) MUST(bytes_equal(back.at[i], args->at[i]));
    args_release(&back);
}

static void write_command(const uint8_t *data, size_t size)
{
    struct args args;
    struct buffer out;
    args_init(&args);
    buffer_init(&out);
    const struct command *command = size < 3 ? NULL : make_command(data, size, &args);
    if (command != NULL) {
        uint8_t database = data[2] % PAYLOAD_DATABASES_MAX;
        payload_put_command(&out, database, command, &args);
        check_same(buffer_bytes(&out), database, command, &args);
        read_bytes(buffer_bytes(&out));
    }
    buffer_release(&out);
    args_release(&args);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_bytes(bytes_of(data, size));
    write_command(data, size);
    return 0;
}
