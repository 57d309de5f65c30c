/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_face: the Redis face as a state machine. The input is a script: who connects, sends which
 * commands, reads or does not, hangs up; which calls end how, and in which moments of a turn.
 * Whatever the script, nothing breaks, what a client gets is a row of whole replies (but for those
 * that become replicas: fuzz_psync), and closing leaves nothing behind. */
#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/must.h"
#include "base/number.h"
#include "face/redis/redis.h"
#include "test/face/redis/fake_clock.h"
#include "test/face/redis/fake_disk.h"
#include "test/face/redis/fake_net.h"
#include "test/face/redis/fake_service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STREAMS_MAX = 4, STEPS_MAX = 256 };

struct world {
    struct fake_clock clock;
    struct fake_net net;
    struct fake_service service;
    struct fake_disk disk;
    struct config *config;
    struct redis_host host;
    struct redis_face *face;
    struct entropy entropy;
    struct stream *streams[STREAMS_MAX];
    bool fed[STEPS_MAX + 1]; /* by the number of the stream: it may be a replica */
};

static const char *const commands[] = {
    "GET a\r\n",
    "SET a 1\r\n",
    "BLPOP a 0\r\n",
    "MULTI\r\n",
    "EXEC\r\n",
    "DISCARD\r\n",
    "WATCH a b\r\n",
    "UNWATCH\r\n",
    "PING\r\n",
    "SELECT 1\r\n",
    "SUBSCRIBE c\r\n",
    "PSUBSCRIBE *\r\n",
    "UNSUBSCRIBE\r\n",
    "PUBLISH c hello\r\n",
    "CLIENT REPLY OFF\r\n",
    "CLIENT REPLY ON\r\n",
    "CLIENT REPLY SKIP\r\n",
    "CLIENT KILL ID 1\r\n",
    "CLIENT KILL TYPE normal SKIPME no\r\n",
    "CLIENT UNBLOCK 1\r\n",
    "CLIENT UNBLOCK 2 ERROR\r\n",
    "CLIENT PAUSE 300 WRITE\r\n",
    "CLIENT PAUSE 200\r\n",
    "CLIENT UNPAUSE\r\n",
    "CLIENT LIST\r\n",
    "HELLO 3\r\n",
    "RESET\r\n",
    "QUIT\r\n",
    "MONITOR\r\n",
    "DEBUG SLEEP 0.2\r\n",
    "DEBUG OBJECT a\r\n",
    "WAITAOF 1 0 300\r\n",
    "CONFIG REWRITE\r\n",
    "CONFIG SET requirepass x\r\n",
    "CONFIG SET requirepass \"\"\r\n",
    "CONFIG SET notify-keyspace-events KEA\r\n",
    "CONFIG SET slowlog-log-slower-than 0\r\n",
    "CONFIG RESETSTAT\r\n",
    "AUTH x\r\n",
    "SLOWLOG GET\r\n",
    "INFO all\r\n",
    "COMMAND INFO get\r\n",
    "SHUTDOWN NOSAVE\r\n",
    "nosuch\r\n",
    "REPLCONF listening-port 1 capa eof\r\n",
    "REPLCONF ACK 30\r\n",
    "PSYNC ? -1\r\n",
    "SYNC\r\n",
    "ROLE\r\n",
    "WAIT 1 300\r\n",
    "CLIENT KILL TYPE replica\r\n",
    "*1\r\n$x\r\n",
    "*2\r\n$4\r\nECHO\r\n$3\r\nab",
};

static void no_shutdown(struct redis_host *host)
{
    (void)host;
}

static void no_entropy(struct entropy *entropy, void *out, size_t size)
{
    (void)entropy;
    memset(out, 0, size);
}

static void world_open(struct world *world)
{
    static const struct entropy_ops entropy = {.fill = no_entropy};
    *world = (struct world){.entropy.ops = &entropy,
                            .host = {.shutdown = no_shutdown, .version = "0", .config_file = "c"}};
    fake_clock_init(&world->clock);
    fake_net_init(&world->net);
    fake_service_init(&world->service);
    fake_disk_init(&world->disk);
    world->config = config_open();
    MUST(config_read_text(world->config, bytes_text("client-output-buffer-limit normal 4k 2k 1"),
                          NULL) == ERR_OK);
    struct redis_options options = {.clock = &world->clock.base,
                                    .net = &world->net.base,
                                    .disk = &world->disk.base,
                                    .entropy = &world->entropy,
                                    .config = world->config,
                                    .service = &world->service.base,
                                    .host = &world->host};
    redis_open(&world->face, &options);
    MUST(redis_listen(world->face, NULL) == ERR_OK);
}

/* The size of the line at the front with its end, 0: there is none. */
static size_t line_size(struct bytes bytes)
{
    const uint8_t *end = bytes.size == 0 ? NULL : memchr(bytes.data, '\n', bytes.size);
    return end == NULL ? 0 : (size_t)(end - bytes.data) + 1;
}

/* Takes one reply from the front. False: it is not complete. */
static bool take_reply(struct bytes *rest)
{
    uint64_t left = 1;
    while (left > 0) {
        size_t line = line_size(*rest);
        if (line == 0) return false;
        MUST(line >= 3 && rest->data[line - 2] == '\r');
        uint8_t kind = rest->data[0];
        int64_t number = 0;
        MUST(strchr("+-:$*%~>_#,=(|", kind) != NULL);
        bool counted = strchr("$*%~>=|", kind) != NULL;
        if (counted) MUST(number_parse_int64(bytes_of(rest->data + 1, line - 3), &number));
        bool text = kind == '$' || kind == '=';
        size_t more = text && number >= 0 ? (size_t)number + 2 : 0;
        if (rest->size - line < more) return false;
        *rest = bytes_of(rest->data + line + more, rest->size - line - more);
        left--;
        if (counted && !text && number > 0) left += (uint64_t)number;
        if (kind == '%' || kind == '|') left += number > 0 ? (uint64_t)number : 0;
        if (kind == '|') left++;
    }
    return true;
}

/* What was sent is a row of whole replies; the last may be cut where the client was killed. */
static void check_replies(struct stream *stream)
{
    if (!stream->closed) buffer_append(&stream->out, buffer_bytes(&stream->waiting));
    struct bytes rest = buffer_bytes(&stream->out);
    while (rest.size > 0) {
        bool whole = take_reply(&rest);
        MUST(whole || (stream->closed && !stream->flushed));
        if (!whole) return;
    }
}

static void world_close(struct world *world)
{
    for (struct list *at = world->net.streams.next; at != &world->net.streams; at = at->next) {
        struct stream *stream = CONTAINER_OF(at, struct stream, link);
        if (!world->fed[stream->number]) check_replies(stream);
    }
    redis_close(world->face);
    fake_clock_turn(&world->clock);
    MUST(list_empty(&world->clock.timers));
    MUST(list_empty(&world->service.calls));
    MUST(world->service.watches == 0);
    if (world->disk.request != NULL) world->disk.request->done(world->disk.request);
    config_close(world->config);
    fake_net_release(&world->net);
    fake_disk_release(&world->disk);
    buffer_release(&world->service.log);
    fake_feed_release(&world->service.feed);
}

static void answer(struct call *call, uint8_t how)
{
    struct reply *reply = call->reply;
    if (call->kind == CALL_LOCAL) return;
    if ((how & 8) != 0) { /* as WATCH and EXEC want it: at least one for each key and command */
        reply->ops->array(reply, STEPS_MAX);
        for (int i = 0; i < STEPS_MAX; i++) reply->ops->integer(reply, i % 9);
    } else {
        reply->ops->null_array(reply);
    }
}

/* Ends the oldest call, or another one of a client without order between its calls. */
static void end_call(struct world *world, uint8_t how)
{
    struct list *first = list_first(&world->service.calls);
    if (first == NULL) return;
    struct call *call = CONTAINER_OF(first, struct call, node);
    list_remove(first);
    enum call_end end = CALL_ANSWERED;
    if ((how & 7) == 6 && call->kind == CALL_WAIT) end = CALL_TIMED_OUT;
    if ((how & 7) == 5) end = CALL_REFUSED;
    if ((how & 7) == 4) end = CALL_UNKNOWN;
    if (end == CALL_ANSWERED) answer(call, how);
    if (end == CALL_REFUSED) call->reply->ops->error(call->reply, "ERR no");
    call->mark.lsn.at++;
    call->done(call, end);
}

static void receive(struct world *world, struct stream *stream, uint8_t which)
{
    if (stream->owner == NULL || stream->paused) return;
    const char *text = commands[which % (sizeof commands / sizeof commands[0])];
    if (strstr(text, "SYNC") != NULL) world->fed[stream->number] = true;
    stream->owner->events->received(stream->owner, bytes_text(text));
    if (world->service.log.size > 4096) buffer_clear(&world->service.log);
}

static void step(struct world *world, uint8_t op, uint8_t argument)
{
    struct stream **slot = &world->streams[op % STREAMS_MAX];
    struct stream *stream = *slot;
    switch (op / STREAMS_MAX % 9) {
    case 0:
        if (stream == NULL || stream->owner == NULL) *slot = fake_connect(&world->net, false);
        break;
    case 1:
    case 2:
        if (stream != NULL) receive(world, stream, argument);
        break;
    case 3: end_call(world, argument); break;
    case 4: fake_clock_turn(&world->clock); break;
    case 5: fake_clock_pass(&world->clock, (uint64_t)argument * 5000); break;
    case 6:
        if (stream != NULL && stream->owner != NULL) stream->owner->events->ended(stream->owner);
        break;
    case 7: /* the peer reads so much, or all of it */
        if (stream == NULL || stream->owner == NULL) break;
        stream->window = argument < 128 ? argument : SIZE_MAX;
        if (stream->waiting.size == 0) break;
        fake_stream_move(stream);
        if (stream->waiting.size == 0) stream->owner->events->drained(stream->owner);
        break;
    case 8:
        world->service.at_once = (argument & 1) != 0;
        (void)fake_disk_step(&world->disk);
        if ((argument & 8) != 0) fake_feed_switch(&world->service.feed, true);
        if ((argument & 16) != 0) fake_feed_add(&world->service.feed, bytes_text("stream"));
        if (world->service.watch != NULL && (argument & 2) != 0) {
            world->service.watch->touched = (argument & 4) != 0;
        }
        break;
    default: break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > (size_t)STEPS_MAX * 2) return 0;
    struct world world;
    world_open(&world);
    for (size_t i = 0; i + 1 < size; i += 2) step(&world, data[i], data[i + 1]);
    fake_clock_turn(&world.clock);
    world_close(&world);
    return 0;
}
