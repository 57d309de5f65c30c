/* SPDX-License-Identifier: Apache-2.0 */
/* What the keys machine costs by itself: nanoseconds of processor time an entry applied or a read
 * answered, over many keys, without network, log or disk.
 *
 *     bench_state [KEYS [VALUE_BYTES [OPERATIONS [stream]]]]      default: 1000000 keys of 100
 * bytes, 2000000; with `stream` the stream of effects is on
 *
 * One line a figure: what, nanoseconds, and the memory held. Built like a test, against the
 * archive: cc -std=c17 -O2 -Isrc -I. bench/bench_state.c build/release/libtidemark.a -lxxhash
 * -lsodium -lm
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/dice.h"
#include "command/command.h"
#include "state/state.h"
#include "test/state/memory_store.h"

struct bench {
    struct memory_store store;
    struct machine *machine;
    struct buffer payload;
    struct dice dice;
    uint64_t keys, lsn, operations;
    uint8_t *value;
    size_t value_bytes;
};

/* Of this thread, so that a busy machine does not count. */
static double now(void)
{
    struct timespec time;
    MUST(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The payload of `name key:<number> words...` as a face would write it. */
static void put(struct bench *bench, enum command_id id, uint64_t number, const struct bytes *more,
                size_t count)
{
    char key[32];
    int size = snprintf(key, sizeof key, "key:%012llu", (unsigned long long)number);
    struct bytes words[8] = {bytes_text(command_by_id(id)->name), bytes_of(key, (size_t)size)};
    for (size_t i = 0; i < count; i++) words[2 + i] = more[i];
    struct args args = {.at = words, .count = 2 + count, .capacity = 8};
    buffer_clear(&bench->payload);
    payload_put_command(&bench->payload, 0, command_by_id(id), &args);
}

static void apply(struct bench *bench)
{
    uint64_t lsn = ++bench->lsn;
    struct entry entry = {.lsn = {lsn},
                          .epoch = {1, 1},
                          .stamp = {((UINT64_C(1700000000000) + lsn / 100) << 16) + lsn % 100},
                          .lineage = {lsn},
                          .payload = buffer_bytes(&bench->payload)};
    struct outcome outcome = {.reply = reply_nobody()};
    MUST(bench->machine->ops->apply(bench->machine, &entry, 0, &outcome) == ERR_OK);
}

static void ask(struct bench *bench)
{
    struct query query = {.payload = buffer_bytes(&bench->payload),
                          .now = bench->machine->ops->stamp(bench->machine)};
    struct outcome outcome = {.reply = reply_nobody()};
    MUST(bench->machine->ops->query(bench->machine, &query, &outcome) == ERR_OK);
}

enum deed {
    DEED_PAYLOAD,
    DEED_FILL,
    DEED_SET,
    DEED_SET_EX,
    DEED_GET,
    DEED_HSET,
    DEED_LPUSH,
    DEED_ZADD
};

static void step(struct bench *bench, enum deed deed, uint64_t i)
{
    struct bytes value = bytes_of(bench->value, bench->value_bytes);
    uint64_t number = dice_below(&bench->dice, bench->keys);
    char text[32];
    int size = snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    struct bytes word = bytes_of(text, (size_t)size);
    switch (deed) {
    case DEED_PAYLOAD: put(bench, COMMAND_SET, number, &value, 1); return;
    case DEED_FILL: put(bench, COMMAND_SET, i, &value, 1); break;
    case DEED_SET: put(bench, COMMAND_SET, number, &value, 1); break;
    case DEED_SET_EX:
        put(bench, COMMAND_SETEX, number, (struct bytes[]){bytes_text("1000"), value}, 2);
        break;
    case DEED_GET:
        put(bench, COMMAND_GET, number, NULL, 0);
        ask(bench);
        return;
    case DEED_HSET:
        put(bench, COMMAND_HSET, bench->keys + 1, (struct bytes[]){word, value}, 2);
        break;
    case DEED_LPUSH: put(bench, COMMAND_LPUSH, bench->keys + 2, &value, 1); break;
    case DEED_ZADD:
        put(bench, COMMAND_ZADD, bench->keys + 3, (struct bytes[]){word, word}, 2);
        break;
    }
    apply(bench);
}

static void measure(struct bench *bench, const char *what, enum deed deed, uint64_t count)
{
    double begin = now();
    for (uint64_t i = 0; i < count; i++) step(bench, deed, i);
    double taken = now() - begin;
    printf("%-10s %8.1f ns   memory %llu MiB\n", what, taken * 1e9 / (double)count,
           (unsigned long long)(bench->machine->ops->memory_bytes(bench->machine) >> 20));
}

static void flushed(struct machine_flush *flush)
{
    MUST(flush->err == ERR_OK);
}

static double freeze(struct bench *bench)
{
    struct machine_flush flush = {.done = flushed};
    double begin = now();
    bench->machine->ops->flush(bench->machine, &flush);
    double frozen = now() - begin;
    while (memory_store_step(&bench->store)) continue;
    return frozen;
}

/* With the clean-up after it. */
static void flush(struct bench *bench)
{
    double frozen = freeze(bench);
    double begin;
    double longest = 0, steps = 0;
    for (bool more = true; more; steps++) {
        begin = now();
        more = bench->machine->ops->tidy(bench->machine);
        if (now() - begin > longest) longest = now() - begin;
    }
    printf("freeze     %8.1f us   longest of %.0f tidy steps %.1f us\n", frozen * 1e6, steps,
           longest * 1e6);
}

int main(int argc, char **argv)
{
    struct bench bench = {.keys = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000,
                          .value_bytes = argc > 2 ? strtoull(argv[2], NULL, 10) : 100,
                          .operations = argc > 3 ? strtoull(argv[3], NULL, 10) : 2000000};
    memory_store_init(&bench.store, 1);
    dice_init(&bench.dice, 1);
    buffer_init(&bench.payload);
    bench.value = memory_zeroed(1, bench.value_bytes);
    memset(bench.value, 'x', bench.value_bytes);
    struct state_options options = {.history = {.id = {1}}, .cache_bytes = UINT64_C(4) << 30};
    MUST(state_open(&bench.machine, &bench.store.base, NULL, &options, NULL, NULL) == ERR_OK);
    if (argc > 4 && strcmp(argv[4], "stream") == 0) {
        payload_put_stream(&bench.payload, STREAM_ON, NULL);
        apply(&bench);
    }
    measure(&bench, "(payload)", DEED_PAYLOAD, bench.operations);
    measure(&bench, "SET new", DEED_FILL, bench.keys);
    measure(&bench, "SET", DEED_SET, bench.operations);
    measure(&bench, "GET", DEED_GET, bench.operations);
    flush(&bench);
    measure(&bench, "SET clean", DEED_SET, bench.keys);
    (void)freeze(&bench);
    measure(&bench, "SET thaw", DEED_SET, bench.keys / 8);
    measure(&bench, "GET", DEED_GET, bench.operations);
    measure(&bench, "SETEX", DEED_SET_EX, bench.operations);
    measure(&bench, "HSET", DEED_HSET, bench.operations);
    measure(&bench, "LPUSH", DEED_LPUSH, bench.operations);
    measure(&bench, "ZADD", DEED_ZADD, bench.operations);
    flush(&bench);
    bench.machine->ops->close(bench.machine);
    memory_store_release(&bench.store);
    buffer_release(&bench.payload);
    memory_free(bench.value);
    return 0;
}
