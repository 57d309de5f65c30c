/* SPDX-License-Identifier: Apache-2.0 */
/* ops: what simulated clients asked for and what they were told; the other half of what the oracle
 * compares. And the few words of RESP2 that this takes. */
#ifndef SIM_OPS_H
#define SIM_OPS_H

#include "base/buffer.h"
#include "base/mark.h"
#include "command/command.h"

enum op_kind {
    OP_READ,
    OP_WRITE,
    OP_WAIT, /* a blocking pop */
};

/*   SENT --reply--> ANSWERED, REFUSED, EMPTY    SENT --connection lost--> UNKNOWN
 *   ANSWERED --power lost it, which the mode allows--> LOST */
enum op_state {
    OP_SENT,
    OP_ANSWERED,
    OP_REFUSED, /* it must not be in the history */
    OP_EMPTY,   /* a wait that timed out, a watched transaction that was aborted */
    OP_UNKNOWN, /* in the history or not */
    OP_LOST,
};

struct op {
    enum op_kind kind;
    enum op_state state;
    bool unique;    /* no other op has this payload */
    bool unordered; /* the reply's elements have no order; pairs of them with `pairs` */
    bool pairs;
    bool old;                /* a read that may be of any state, but for its place */
    bool relaxed;            /* sent while space was low: expired keys may be gone already */
    struct op *before;       /* sent before it on the same connection, in the same go; NULL: none */
    uint64_t sent, returned; /* moments of the harness's own count */
    uint64_t floor;          /* the newest LSN that anyone had been told of when it was sent */
    uint64_t lsn;            /* of its mark; 0: not known, then */
    uint64_t below;          /* it is at or below this; 0: not known */
    struct lineage lineage;
    struct buffer payload, reply;
};

struct ops {
    struct op **list;
    size_t count, capacity;
};

void ops_init(struct ops *ops);
void ops_release(struct ops *ops);
struct op *ops_add(struct ops *ops, enum op_kind kind); /* the ops' own */

/* Words of a command under construction. */
enum { WORDS_MAX = 40 };
struct drawn_words {
    struct buffer text;
    size_t count, ends[WORDS_MAX];
};
void drawn_init(struct drawn_words *words);
void drawn_release(struct drawn_words *words);
void drawn_clear(struct drawn_words *words);
void drawn_add(struct drawn_words *words, struct bytes word);
__attribute__((format(printf, 2, 3))) void drawn_format(struct drawn_words *words,
                                                        const char *format, ...);
/* Borrowed from the words. */
void drawn_args(const struct drawn_words *words, struct args *args);
/* As a client sends it. */
void drawn_wire(const struct drawn_words *words, struct buffer *out);

/* The size of the whole reply at the front of `bytes`; 0: more is to come. */
size_t resp_whole(struct bytes bytes);
/* Sorts the elements of a flat array reply, so that two of them can be compared. */
void resp_sort(struct buffer *reply, bool pairs);

#endif
