/* SPDX-License-Identifier: Apache-2.0 */
#include "face/psync/follow.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/number.h"

void follow_over(struct follow *follow, enum follow_end end, const char *format, ...)
{
    va_list list;
    if (follow->phase == FOLLOW_OVER) return;
    va_start(list, format);
    (void)vsnprintf(follow->why.text, sizeof follow->why.text, format, list);
    va_end(list);
    follow->phase = FOLLOW_OVER;
    follow->end = end;
    follow_dump_close(follow);
}

const char *follow_show(struct bytes line, char out[128])
{
    size_t size = line.size < 127 ? line.size : 127;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = line.data[i];
        out[i] = byte < ' ' || byte > '~' || byte == '"' ? '?' : (char)byte;
    }
    out[size] = '\0';
    return out;
}

bool follow_line(struct follow *follow, struct bytes *line)
{
    size_t size = follow->held.size - follow->at;
    if (size == 0) return false;
    const uint8_t *from = follow->held.data + follow->at;
    size_t looked = size < FOLLOW_LINE_BYTES_MAX ? size : FOLLOW_LINE_BYTES_MAX;
    const uint8_t *end = memchr(from, '\n', looked);
    if (end == NULL) {
        if (size >= FOLLOW_LINE_BYTES_MAX) follow_over(follow, FOLLOW_LATER, "a line is too long");
        return false;
    }
    *line = bytes_of(from, (size_t)(end - from));
    follow->at += line->size + 1;
    if (line->size > 0 && from[line->size - 1] == '\r') line->size--;
    return true;
}

/* --- What is said --- */

static void say(struct follow *follow, const char *const *words, size_t count)
{
    buffer_append_format(&follow->out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++)
        buffer_append_format(&follow->out, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
}

static void say_psync(struct follow *follow, bool anew)
{
    struct followed place = follow->options.intake->ops->place(follow->options.intake);
    char name[FOLLOWED_NAME_BYTES + 1] = "?", offset[NUMBER_TEXT_BYTES + 1] = "-1";
    if (place.known && !anew) {
        memcpy(name, place.name, FOLLOWED_NAME_BYTES);
        offset[number_format_uint64(place.offset + 1, offset)] = '\0';
        follow->place = place;
    }
    say(follow, (const char *const[]){"PSYNC", name, offset}, 3);
}

/* The next step of the handshake; those that there is nothing to say in are passed over. */
static void say_next(struct follow *follow)
{
    struct intake_order order;
    follow->options.intake->ops->order(follow->options.intake, &order);
    char port[NUMBER_TEXT_BYTES + 1];
    switch (++follow->phase) {
    case FOLLOW_AUTH:
        if (order.password[0] == '\0') say_next(follow);
        else if (order.user[0] == '\0')
            say(follow, (const char *const[]){"AUTH", order.password}, 2);
        else say(follow, (const char *const[]){"AUTH", order.user, order.password}, 3);
        return;
    case FOLLOW_PORT:
        port[number_format_uint64(order.port, port)] = '\0';
        say(follow, (const char *const[]){"REPLCONF", "listening-port", port}, 3);
        return;
    case FOLLOW_HOST:
        if (order.host[0] == '\0') say_next(follow);
        else say(follow, (const char *const[]){"REPLCONF", "ip-address", order.host}, 3);
        return;
    case FOLLOW_CAPA:
        say(follow, (const char *const[]){"REPLCONF", "capa", "eof", "capa", "psync2"}, 5);
        return;
    case FOLLOW_PSYNC: say_psync(follow, order.anew); return;
    case FOLLOW_PING:
    case FOLLOW_HEAD:
    case FOLLOW_DUMP:
    case FOLLOW_MARK:
    case FOLLOW_INSTALL:
    case FOLLOW_STREAM:
    case FOLLOW_OVER: break;
    }
}

/* --- What is answered --- */

static bool begins(struct bytes line, const char *text)
{
    return bytes_starts_with(line, bytes_text(text));
}

static bool take_name(struct bytes word, char name[FOLLOWED_NAME_BYTES])
{
    if (word.size != FOLLOWED_NAME_BYTES) return false;
    for (size_t i = 0; i < word.size; i++) {
        if (word.data[i] <= ' ' || word.data[i] >= 0x7f) return false;
    }
    memcpy(name, word.data, FOLLOWED_NAME_BYTES);
    return true;
}

/* +FULLRESYNC name offset */
static bool take_full(struct follow *follow, struct bytes rest)
{
    uint64_t offset;
    struct followed *place = &follow->place;
    *place = (struct followed){.known = true};
    if (rest.size < FOLLOWED_NAME_BYTES + 2 || rest.data[FOLLOWED_NAME_BYTES] != ' ') return false;
    struct bytes text = bytes_of(rest.data + FOLLOWED_NAME_BYTES + 1,
                                 rest.size - FOLLOWED_NAME_BYTES - 1);
    if (!take_name(bytes_of(rest.data, FOLLOWED_NAME_BYTES), place->name)) return false;
    if (!number_parse_uint64(text, &offset) || offset > INT64_MAX) return false;
    place->offset = offset;
    return true;
}

/* +CONTINUE [name]: the same history, or one that goes on from it under another name. */
static bool take_continue(struct follow *follow, struct bytes rest)
{
    if (!follow->place.known) return false; /* it was asked for everything */
    while (rest.size > 0 && rest.data[0] == ' ') rest = bytes_of(rest.data + 1, rest.size - 1);
    return rest.size == 0 || take_name(rest, follow->place.name);
}

static void take_psync(struct follow *follow, struct bytes line)
{
    static const char full[] = "+FULLRESYNC ", goes_on[] = "+CONTINUE";
    struct bytes rest = line;
    char shown[128];
    if (line.size == 0) return; /* it is getting ready */
    if (begins(line, full)) {
        rest = bytes_of(line.data + sizeof full - 1, line.size - sizeof full + 1);
        if (take_full(follow, rest)) {
            follow_dump_begin(follow);
            return;
        }
    } else if (begins(line, goes_on)) {
        rest = bytes_of(line.data + sizeof goes_on - 1, line.size - sizeof goes_on + 1);
        if (take_continue(follow, rest)) {
            trace_event(follow->options.trace, TRACE_NOTICE, "psync", "follow_continues",
                        "name=%.*s offset=%" PRIu64, FOLLOWED_NAME_BYTES, follow->place.name,
                        follow->place.offset);
            follow->options.intake->ops->tell(follow->options.intake, INTAKE_CONTINUES);
            follow_stream_begin(follow);
            return;
        }
    }
    bool soon = begins(line, "-NOMASTERLINK") || begins(line, "-LOADING") ||
                begins(line, "-MASTERDOWN") || begins(line, "-TRYAGAIN");
    follow_over(follow, soon ? FOLLOW_SOON : FOLLOW_LATER, "it answers PSYNC with: %s",
                follow_show(line, shown));
}

static void take_ping(struct follow *follow, struct bytes line)
{
    char shown[128];
    bool wants_password = begins(line, "-NOAUTH") || begins(line, "-NOPERM") ||
                          begins(line, "-ERR operation not permitted");
    if (begins(line, "+") || wants_password) say_next(follow);
    else follow_over(follow, FOLLOW_SOON, "it answers PING with: %s", follow_show(line, shown));
}

/* A line of the handshake. */
static bool take_answer(struct follow *follow)
{
    struct bytes line;
    char shown[128];
    if (!follow_line(follow, &line)) return false;
    switch (follow->phase) {
    case FOLLOW_PING: take_ping(follow, line); break;
    case FOLLOW_AUTH:
        if (begins(line, "+")) say_next(follow);
        else
            follow_over(follow, FOLLOW_LATER, "it refuses masteruser or masterauth: %s",
                        follow_show(line, shown));
        break;
    case FOLLOW_PORT: /* what it does not understand of these it goes without */
    case FOLLOW_HOST:
    case FOLLOW_CAPA: say_next(follow); break;
    case FOLLOW_PSYNC: take_psync(follow, line); break;
    case FOLLOW_HEAD:
    case FOLLOW_DUMP:
    case FOLLOW_MARK:
    case FOLLOW_INSTALL:
    case FOLLOW_STREAM:
    case FOLLOW_OVER: break;
    }
    return true;
}

/* --- In and out --- */

static bool step(struct follow *follow)
{
    switch (follow->phase) {
    case FOLLOW_PING:
    case FOLLOW_AUTH:
    case FOLLOW_PORT:
    case FOLLOW_HOST:
    case FOLLOW_CAPA:
    case FOLLOW_PSYNC: return take_answer(follow);
    case FOLLOW_HEAD: return follow_head(follow);
    case FOLLOW_DUMP: return follow_dump(follow);
    case FOLLOW_MARK: return follow_mark(follow);
    case FOLLOW_STREAM: return follow_command(follow);
    case FOLLOW_INSTALL:
    case FOLLOW_OVER: break;
    }
    return false;
}

static void step_all(struct follow *follow)
{
    follow->again = false;
    while (!follow->sleeps && step(follow)) continue;
    buffer_consume(&follow->held, follow->at);
    follow->at = 0;
    if (follow->held.size == 0) buffer_shrink(&follow->held, FOLLOW_HELD_BYTES_KEPT);
    if (follow->phase == FOLLOW_STREAM && follow->asked) follow_ack(follow);
}

void follow_take(struct follow *follow, struct bytes bytes, uint64_t now_us)
{
    if (follow->phase == FOLLOW_OVER) return;
    follow->now_us = follow->heard_us = now_us;
    buffer_append(&follow->held, bytes);
    step_all(follow);
}

void follow_go_on(struct follow *follow, uint64_t now_us)
{
    follow->now_us = now_us;
    step_all(follow);
}

void follow_installed(struct follow *follow, enum err err, const struct why *why, uint64_t now_us)
{
    if (follow->phase != FOLLOW_INSTALL) return;
    follow->now_us = follow->heard_us = now_us;
    if (err != ERR_OK) {
        follow_over(follow, FOLLOW_LATER, "its keys could not be taken: %s", why->text);
        return;
    }
    trace_event(follow->options.trace, TRACE_NOTICE, "psync", "follow_installed",
                "name=%.*s offset=%" PRIu64 " bytes=%" PRIu64 " seconds=%.3f", FOLLOWED_NAME_BYTES,
                follow->place.name, follow->place.offset, follow->taken,
                (double)(now_us - follow->began_us) / 1e6);
    follow_stream_begin(follow);
    follow->asked = true; /* a primary may wait for a word before it goes on behind a dump */
    follow->asked_at = 0;
    step_all(follow);
}

void follow_differs(struct follow *follow, const char *error)
{
    char shown[128];
    follow_over(follow, FOLLOW_STOPS,
                "before offset %" PRIu64 " its commands cannot be carried out as there: %s",
                follow->place.offset, follow_show(bytes_text(error), shown));
}

bool follow_reads(const struct follow *follow)
{
    return follow->phase != FOLLOW_INSTALL && !follow->waits && !follow->sleeps && !follow->again;
}

bool follow_syncs(const struct follow *follow)
{
    return follow->phase >= FOLLOW_HEAD && follow->phase <= FOLLOW_INSTALL;
}

void follow_tick(struct follow *follow, uint64_t now_us)
{
    follow->now_us = now_us;
    if (!follow_reads(follow)) follow->heard_us = now_us; /* it is this side that is slow */
    if (now_us - follow->heard_us > follow->options.timeout_us)
        follow_over(follow, FOLLOW_SOON, "nothing was heard for %" PRIu64 " seconds",
                    (now_us - follow->heard_us) / 1000000);
    if (follow->phase != FOLLOW_STREAM) return;
    follow_note_place(follow);
    follow->asked = true;
    follow->asked_at = 0;
    step_all(follow);
}

/* --- Life --- */

void follow_open(struct follow *follow, const struct follow_options *options, uint64_t now_us)
{
    *follow = (struct follow){.options = *options, .now_us = now_us, .heard_us = now_us};
    buffer_init(&follow->out);
    buffer_init(&follow->held);
    buffer_init(&follow->entry);
    args_init(&follow->args);
    say(follow, (const char *const[]){"PING"}, 1);
}

void follow_close(struct follow *follow)
{
    follow_dump_close(follow);
    buffer_release(&follow->out);
    buffer_release(&follow->held);
    buffer_release(&follow->entry);
    args_release(&follow->args);
    memory_free(follow->words);
    *follow = (struct follow){.phase = FOLLOW_OVER};
}
