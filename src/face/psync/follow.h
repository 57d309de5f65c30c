/* SPDX-License-Identifier: Apache-2.0 */
/* follow: what is said to a primary of another make, and what becomes of what it says. No I/O and
 * no clock: bytes in; bytes to be sent, and calls into the intake (seam/intake.h), out.
 *
 *   PING -> (AUTH) -> PORT -> (HOST) -> CAPA -> PSYNC --it goes on--> STREAM
 *     PSYNC --everything--> HEAD --length, or mark of the end--> DUMP -> (MARK) --whole and good-->
 *     INSTALL --it is the state now--> STREAM         any --lost, refused, failed--> OVER
 *
 * A command, or a transaction as a whole, becomes one entry with the place behind it. What changes
 * nothing (PING, SELECT, GETACK) only moves the place, and the next entry has it; when nothing else
 * is under way, an entry without commands. So what is durable is always a place between commands,
 * and the next link goes on from exactly there. */
#ifndef FACE_PSYNC_FOLLOW_H
#define FACE_PSYNC_FOLLOW_H

#include "base/buffer.h"
#include "base/trace.h"
#include "command/command.h"
#include "rdb/rdb.h"
#include "seam/intake.h"

enum {
    FOLLOW_LINE_BYTES_MAX = 4096,
    FOLLOW_WORDS_MAX = 1 << 20,        /* of a command, as in Redis */
    FOLLOW_STRING_BYTES_MAX = 1 << 30, /* of a dump: a small collection is one, too */
    FOLLOW_HELD_BYTES_KEPT = 64 << 10,
    FOLLOW_MARK_BYTES = 40,
};

enum follow_phase {
    FOLLOW_PING,
    FOLLOW_AUTH,
    FOLLOW_PORT,
    FOLLOW_HOST,
    FOLLOW_CAPA,
    FOLLOW_PSYNC,
    FOLLOW_HEAD,
    FOLLOW_DUMP,
    FOLLOW_MARK,
    FOLLOW_INSTALL,
    FOLLOW_STREAM,
    FOLLOW_OVER,
};

/* How to go on when it is OVER. */
enum follow_end {
    FOLLOW_SOON,  /* the same again, soon */
    FOLLOW_LATER, /* what it says, time alone hardly mends */
    FOLLOW_STOPS, /* it would end at the same place again: not before someone says so */
};

struct follow;
struct follow_options {
    struct intake *intake;
    struct trace *trace; /* NULL is fine */
    uint64_t timeout_us; /* of silence */
    void (*publish)(struct follow *follow, bool sharded, const struct published *published);
    void (*woken)(struct follow *follow); /* what it has waited for is there: follow_go_on() */
};

struct follow_word {
    size_t at, size; /* behind the command's first byte */
};

/* One link. Caller-owned; zeroed is fine for follow_close(). */
struct follow {
    struct follow_options options;
    enum follow_phase phase;
    enum follow_end end; /* OVER */
    struct why why;      /* likewise */
    struct buffer out;   /* to be sent: the caller's to clear */
    struct buffer held;  /* what came and is not taken yet: */
    size_t at;           /* from here on */
    uint64_t now_us, heard_us;

    /* The stream. */
    bool streamed;         /* it came to STREAM */
    struct followed place; /* behind all that was taken */
    uint64_t before;       /* the offset that the command at hand begins behind */
    bool multi;            /* between MULTI and EXEC */
    struct buffer entry;
    struct payload_transaction transaction;
    struct followed entry_place;
    bool waits;        /* the entry is whole, and there was no room for it */
    bool asked;        /* to say how far it is, */
    uint64_t asked_at; /* as soon as that is so far */
    struct args args;
    bool headed; /* of the command at hand: its first line was read */
    struct follow_word *words;
    size_t word_count, word_capacity, word_claim, scanned;

    /* A dump. */
    struct record_sink *sink;
    struct rdb_reader *reader;
    struct rdb_listener fields;
    char mark[FOLLOW_MARK_BYTES]; /* behind a dump of no announced length */
    uint64_t length, taken;       /* length 0: not announced */
    uint64_t began_us;
    struct record_wait wait;
    bool sleeps; /* until the sink is ready; */
    bool again;  /* or: it is to be asked again in the next turn */
};

/* A connection is there; `follow` is zeroed or closed. Everything in options is borrowed. */
void follow_open(struct follow *follow, const struct follow_options *options, uint64_t now_us);
void follow_close(struct follow *follow); /* lets go of a state that was being made */
void follow_take(struct follow *follow, struct bytes bytes, uint64_t now_us);
void follow_go_on(struct follow *follow, uint64_t now_us); /* woken, or moved on, or `again` */
void follow_installed(struct follow *follow, enum err err, const struct why *why, uint64_t now_us);
void follow_differs(struct follow *follow, const char *error);
void follow_tick(struct follow *follow, uint64_t now_us); /* each second */
bool follow_reads(const struct follow *follow); /* else what comes is better left unread */
bool follow_syncs(const struct follow *follow); /* all keys are being taken */

/* --- Between the files of follow --- */

void follow_over(struct follow *follow, enum follow_end end, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The next line without its end; false: not all of it is there, or it is OVER. */
bool follow_line(struct follow *follow, struct bytes *line);
/* `line` as it may be shown. */
const char *follow_show(struct bytes line, char out[128]);

/* Each takes what it can; true: there may be more to take. follow_dump.c, follow_stream.c */
bool follow_head(struct follow *follow);
bool follow_dump(struct follow *follow);
bool follow_mark(struct follow *follow);
void follow_dump_begin(struct follow *follow); /* +FULLRESYNC came, and the place with it */
void follow_dump_close(struct follow *follow);
bool follow_command(struct follow *follow);
void follow_stream_begin(struct follow *follow); /* at follow->place */
void follow_note_place(struct follow *follow);   /* an entry without commands, if it is worth one */
void follow_ack(struct follow *follow);

#endif
