/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/derive.h"

#include "base/number.h"
#include "face/redis/resp.h"
#include "seam/machine.h"
#include "sim/node.h"
#include "sim/world.h"
#include "state/state.h"

enum { READ_BYTES = 64 << 10, WORDS_BEFORE = 3, OUT_BYTES_MAX = 64 << 20 };

struct derive {
    struct sim_program program;
    struct store *store;
    struct machine *machine;
    uint64_t lsn, stamp;
    struct payload_transaction transaction;
    struct buffer queued, payload, proposals, reply, grown; /* the node's */

    struct sim_visit visit; /* one request */
    const struct args *words;
    bool understood;
};

static bool program_start(struct sim_program *program, struct world *world)
{
    struct derive *derive = CONTAINER_OF(program, struct derive, program);
    struct state_options options = {
        .history = {{7}}, .cache_bytes = 1 << 20, .effects_bytes = UINT64_MAX};
    struct why why;
    buffer_init(&derive->queued);
    buffer_init(&derive->payload);
    buffer_init(&derive->proposals);
    buffer_init(&derive->reply);
    buffer_init(&derive->grown);
    payload_begin_transaction(&derive->transaction, &derive->queued);
    return world->stores->ops->open(world->stores, "keys", true, 1 << 20, &derive->store, &why) ==
               ERR_OK &&
           state_open(&derive->machine, derive->store, NULL, &options, NULL, &why) == ERR_OK;
}

static void program_stop(struct sim_program *program)
{
    struct derive *derive = CONTAINER_OF(program, struct derive, program);
    derive->store->ops->close(derive->store);
    derive->machine->ops->close(derive->machine);
    buffer_release(&derive->queued);
    buffer_release(&derive->payload);
    buffer_release(&derive->proposals);
    buffer_release(&derive->reply);
    buffer_release(&derive->grown);
}

/* --- Evaluating: nothing is ever flushed, so nothing is missing in memory --- */

static bool apply(struct derive *derive, struct bytes payload, struct outcome *outcome)
{
    struct entry entry = {.lsn = {derive->lsn + 1},
                          .epoch = {1, 1},
                          .stamp = {derive->stamp},
                          .lineage = {derive->lsn + 1},
                          .payload = payload};
    if (derive->machine->ops->apply(derive->machine, &entry, 0, outcome) != ERR_OK) return false;
    derive->lsn++;
    return true;
}

static bool apply_proposals(struct derive *derive)
{
    struct outcome nobody = {.reply = reply_nobody()};
    const struct buffer *proposals = &derive->proposals;
    bool applied = true;
    for (size_t at = 0; applied && at < proposals->size;) {
        uint32_t size = load_le32(proposals->data + at);
        applied = apply(derive, bytes_of(proposals->data + at + 4, size), &nobody);
        at += 4 + (size_t)size;
    }
    return applied;
}

static bool query(struct derive *derive, struct bytes payload, struct outcome *outcome)
{
    struct query query = {.payload = payload, .now = {derive->stamp}};
    outcome->proposals = &derive->proposals;
    for (;;) {
        buffer_clear(&derive->proposals);
        enum err err = derive->machine->ops->query(derive->machine, &query, outcome);
        if (err != ERR_PENDING) return err == ERR_OK;
        if (derive->proposals.size == 0 || !apply_proposals(derive)) return false;
        query.attempt++;
    }
}

static bool evaluate(struct derive *derive, bool reads)
{
    struct resp_writer writer;
    resp_writer_init(&writer, &derive->reply);
    writer.bytes_max = OUT_BYTES_MAX;
    struct outcome outcome = {.reply = &writer.reply};
    struct bytes payload = buffer_bytes(&derive->payload);
    return reads ? query(derive, payload, &outcome) : apply(derive, payload, &outcome);
}

/* --- Requests --- */

static bool run_command(struct derive *derive, uint8_t database, const struct args *words,
                        uint8_t kind)
{
    const struct command *command = command_find(words->at[0]);
    if (command != NULL && words->count > 1 && command_find_sub(command, words->at[1]) != NULL) {
        command = command_find_sub(command, words->at[1]);
    }
    if (command == NULL || command->place != PLACE_STATE) return false;
    if (!command_arity_fits(command, words->count)) { /* no entry is made of it */
        buffer_append_text(&derive->reply, "-ERR wrong number of words\r\n");
        return true;
    }
    if (kind == ENTRY_TRANSACTION) {
        payload_add_command(&derive->transaction, database, command, words);
        return true;
    }
    payload_put_command(&derive->payload, database, command, words);
    derive->payload.data[0] = kind;
    return evaluate(derive, (command->flags & FLAG_WRITE) == 0);
}

static bool run_stream(struct derive *derive, uint8_t database, const struct args *words,
                       struct bytes kind)
{
    static const char *const names[] = {
        [STREAM_OFF] = "off",       [STREAM_ON] = "on",           [STREAM_PING] = "ping",
        [STREAM_GETACK] = "getack", [STREAM_PUBLISH] = "publish", [STREAM_SPUBLISH] = "spublish"};
    unsigned word = 0;
    while (word <= STREAM_SPUBLISH && !bytes_is_word(kind, names[word])) word++;
    if (word > STREAM_SPUBLISH) return false;
    bool publishes = word >= STREAM_PUBLISH;
    if (words->count != (publishes ? 2 : 0)) return false;
    struct published published = {.database = database};
    if (publishes) {
        published.channel = words->at[0];
        published.message = words->at[1];
    }
    payload_put_stream(&derive->payload, (enum stream_word)word, publishes ? &published : NULL);
    return evaluate(derive, false);
}

static bool run_request(struct derive *derive)
{
    const struct args *all = derive->words;
    int64_t ms, database;
    if (all->count < WORDS_BEFORE || !number_parse_int64(all->at[0], &ms) ||
        !number_parse_int64(all->at[1], &database) || database < 0 ||
        database >= PAYLOAD_DATABASES_MAX) {
        return false;
    }
    uint64_t now = stamp_of_ms((uint64_t)ms).bits;
    derive->stamp = now > derive->stamp ? now : derive->stamp + 1;
    struct bytes kind = all->at[2];
    struct args words = {.at = all->at + WORDS_BEFORE, .count = all->count - WORDS_BEFORE};
    uint8_t number = (uint8_t)database;
    if (words.count > 0) {
        if (bytes_is_word(kind, "command")) {
            return run_command(derive, number, &words, ENTRY_COMMAND);
        }
        if (bytes_is_word(kind, "serve")) return run_command(derive, number, &words, ENTRY_SERVE);
        if (bytes_is_word(kind, "queue")) {
            return run_command(derive, number, &words, ENTRY_TRANSACTION);
        }
    }
    if (bytes_is_word(kind, "exec")) {
        buffer_append(&derive->payload, buffer_bytes(&derive->queued));
        buffer_clear(&derive->queued);
        payload_begin_transaction(&derive->transaction, &derive->queued);
        return evaluate(derive, false);
    }
    if (bytes_is_word(kind, "expire") && words.count == 1) {
        payload_put_expire(&derive->payload, number, words.at[0]);
        return evaluate(derive, false);
    }
    return run_stream(derive, number, &words, kind);
}

static void visit_request(struct sim_visit *visit, struct world *world)
{
    struct derive *derive = CONTAINER_OF(visit, struct derive, visit);
    const struct machine_ops *ops = derive->machine->ops;
    (void)world;
    buffer_clear(&derive->payload);
    buffer_clear(&derive->reply);
    buffer_clear(&derive->grown);
    uint64_t end = ops->effects(derive->machine).end;
    derive->understood = run_request(derive);
    struct effects_place place = ops->effects(derive->machine);
    if (end < place.first) end = place.first; /* it was switched on */
    while (derive->understood && place.on && end + derive->grown.size < place.end) {
        struct effects_read read = {
            .offset = end + derive->grown.size, .bytes_max = UINT64_MAX, .out = &derive->grown};
        derive->understood = ops->effects_read(derive->machine, &read) == ERR_OK;
    }
}

/* --- In and out --- */

static void put_bulk(FILE *out, const struct buffer *bytes)
{
    fprintf(out, "$%zu\r\n", bytes->size);
    (void)fwrite(bytes->data, 1, bytes->size, out);
    fprintf(out, "\r\n");
}

static int serve(struct derive *derive, struct sim_node *node, FILE *in, FILE *out)
{
    struct resp_reader reader;
    struct buffer input;
    struct args args;
    resp_reader_init(&reader);
    reader.authenticated = true;
    reader.bulk_bytes_max = OUT_BYTES_MAX;
    buffer_init(&input);
    args_init(&args);
    int status = 0;
    while (status == 0) {
        size_t consumed = 0;
        enum resp_result result = resp_read(&reader, buffer_bytes(&input), &args, &consumed);
        if (result == RESP_MORE) {
            int byte = fgetc(in);
            if (byte == EOF) break;
            buffer_append_byte(&input, (uint8_t)byte);
            continue;
        }
        derive->words = &args;
        bool whole = result == RESP_COMMAND && sim_node_visit(node, &derive->visit);
        if (whole && derive->understood) {
            put_bulk(out, &derive->reply);
            put_bulk(out, &derive->grown);
            (void)fflush(out);
        } else {
            fprintf(stderr, "a request is not understood\n");
            status = 1;
        }
        buffer_consume(&input, consumed);
    }
    resp_reader_release(&reader);
    buffer_release(&input);
    args_release(&args);
    return status;
}

int derive_run(FILE *in, FILE *out)
{
    struct derive derive = {.program = {.start = program_start, .stop = program_stop},
                            .visit.run = visit_request};
    struct sim_world *world = sim_world_open(1);
    struct sim_node *node = sim_node_open(world, &derive.program, NULL);
    int status = sim_node_start(node) ? serve(&derive, node, in, out) : 1;
    if (!sim_node_stop(node) || sim_world_failure(world) != NULL) {
        fprintf(stderr, "%s\n", sim_world_failure(world));
        status = 1;
    }
    sim_world_close(world);
    return status;
}
