/* SPDX-License-Identifier: Apache-2.0 */
/* A dump of all keys, as it comes: framing, the codec, and what takes the keys. Nothing of it
 * counts before its end was seen: the codec's own, with its checksum, and the framing's, at the
 * same byte. */
#include <inttypes.h>

#include "base/number.h"
#include "face/psync/follow.h"

/* The database that is selected in the stream: a replica that is asked for its keys goes on in the
 * middle of its own primary's stream. */
static enum err take_field(struct rdb_listener *listener, const struct rdb_field *field)
{
    struct follow *follow = CONTAINER_OF(listener, struct follow, fields);
    uint64_t database;
    if (!bytes_equal(field->name, bytes_text("repl-stream-db"))) return ERR_OK;
    if (number_parse_uint64(field->value, &database) && database < PAYLOAD_DATABASES_MAX)
        follow->place.database = (uint8_t)database;
    return ERR_OK;
}

void follow_dump_begin(struct follow *follow)
{
    static const struct rdb_listener_ops ops = {.field = take_field};
    struct intake *intake = follow->options.intake;
    struct why why;
    trace_event(follow->options.trace, TRACE_NOTICE, "psync", "follow_full_sync",
                "name=%.*s offset=%" PRIu64, FOLLOWED_NAME_BYTES, follow->place.name,
                follow->place.offset);
    intake->ops->tell(intake, INTAKE_FULL_SYNC);
    enum err err = intake->ops->stage(intake, &follow->sink, &why);
    if (err != ERR_OK) {
        follow_over(follow, err == ERR_REFUSED ? FOLLOW_STOPS : FOLLOW_LATER,
                    "its keys cannot be taken: %s", why.text);
        return;
    }
    follow->fields.ops = &ops;
    struct rdb_reader_options options = {.sink = follow->sink,
                                         .listener = &follow->fields,
                                         .string_bytes_max = FOLLOW_STRING_BYTES_MAX};
    follow->reader = rdb_reader_open(&options);
    follow->length = follow->taken = 0;
    follow->began_us = follow->now_us;
    follow->phase = FOLLOW_HEAD;
}

/* The state that was being made is given up; one that is being installed is the intake's. */
void follow_dump_close(struct follow *follow)
{
    follow->sleeps = follow->again = false;
    rdb_reader_close(follow->reader);
    follow->reader = NULL;
    if (follow->sink != NULL) follow->options.intake->ops->unstage(follow->options.intake);
    follow->sink = NULL;
}

bool follow_head(struct follow *follow)
{
    static const char mark[] = "$EOF:";
    struct bytes line;
    char shown[128];
    if (!follow_line(follow, &line)) return false;
    if (line.size == 0) return true; /* it is writing the dump */
    struct bytes rest = bytes_of(line.data + 1, line.size - 1);
    if (bytes_starts_with(line, bytes_text(mark)) &&
        line.size == sizeof mark - 1 + FOLLOW_MARK_BYTES) {
        memcpy(follow->mark, line.data + sizeof mark - 1, FOLLOW_MARK_BYTES);
        follow->phase = FOLLOW_DUMP;
    } else if (line.data[0] == '$' && number_parse_uint64(rest, &follow->length) &&
               follow->length > 0) {
        follow->phase = FOLLOW_DUMP;
    } else {
        follow_over(follow, line.data[0] == '-' ? FOLLOW_SOON : FOLLOW_LATER,
                    "it sends no dump: %s", follow_show(line, shown));
    }
    return true;
}

/* --- Its bytes --- */

static void woken(struct record_wait *wait)
{
    struct follow *follow = CONTAINER_OF(wait, struct follow, wait);
    if (!follow->sleeps) return;
    follow->sleeps = false;
    follow->options.woken(follow);
}

static void wait_for_sink(struct follow *follow)
{
    follow->wait = (struct record_wait){.done = woken};
    follow->sleeps = true;
    if (follow->sink->ops->wait(follow->sink, &follow->wait)) return;
    follow->sleeps = false;
    follow->again = true;
}

static bool end_dump(struct follow *follow)
{
    struct why why;
    if (follow->length != 0 && follow->taken != follow->length) {
        follow_over(follow, FOLLOW_LATER, "its dump ends after %" PRIu64 " of %" PRIu64 " bytes",
                    follow->taken, follow->length);
    } else if (rdb_reader_end(follow->reader, &why) != ERR_OK) {
        follow_over(follow, FOLLOW_LATER, "its dump is not good: %s", why.text);
    } else if (follow->length == 0) {
        follow->phase = FOLLOW_MARK;
    } else {
        return true;
    }
    return false;
}

static void install(struct follow *follow)
{
    struct intake *intake = follow->options.intake;
    rdb_reader_close(follow->reader);
    follow->reader = NULL;
    follow->sink = NULL;
    follow->phase = FOLLOW_INSTALL;
    intake->ops->install(intake, &follow->place);
}

/* Lasting: what this server has not. */
static void refuse(struct follow *follow, enum err err, const struct why *why)
{
    bool stops = err == ERR_REFUSED || err == ERR_LIMIT;
    follow_over(follow, stops ? FOLLOW_STOPS : FOLLOW_LATER, "its dump cannot be taken: %s",
                why->text);
}

bool follow_dump(struct follow *follow)
{
    size_t there = follow->held.size - follow->at;
    if (there == 0) return false;
    struct bytes bytes = bytes_of(follow->held.data + follow->at, there);
    uint64_t left = follow->length - follow->taken;
    if (follow->length != 0 && bytes.size > left) bytes.size = (size_t)left;
    struct why why;
    size_t taken = 0;
    enum err err = rdb_reader_feed(follow->reader, bytes, &taken, &why);
    follow->at += taken;
    follow->taken += taken;
    if (err == ERR_PENDING) {
        wait_for_sink(follow);
        return false;
    }
    if (err != ERR_OK) {
        refuse(follow, err, &why);
        return false;
    }
    bool all = follow->length != 0 && follow->taken == follow->length;
    if (!all && !rdb_reader_is_done(follow->reader)) return true;
    if (end_dump(follow)) install(follow);
    return true;
}

bool follow_mark(struct follow *follow)
{
    if (follow->held.size - follow->at < FOLLOW_MARK_BYTES) return false;
    if (memcmp(follow->held.data + follow->at, follow->mark, FOLLOW_MARK_BYTES) != 0) {
        follow_over(follow, FOLLOW_LATER, "its dump does not end with its mark");
        return false;
    }
    follow->at += FOLLOW_MARK_BYTES;
    install(follow);
    return true;
}
