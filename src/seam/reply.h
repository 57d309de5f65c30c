/* SPDX-License-Identifier: Apache-2.0 */
/* reply: where an answer is written, element by element, in no particular protocol.
 *
 * A face writes it as RESP2 or RESP3, the simulator's checkers as a value to compare, and nobody's
 * sink drops it. Containers are announced with their count and then filled by exactly that many
 * replies. */
#ifndef SEAM_REPLY_H
#define SEAM_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct reply {
    const struct reply_ops *ops;
};

struct reply_ops {
    void (*simple)(struct reply *reply, const char *text); /* a status: "OK" */
    void (*error)(struct reply *reply,
                  const char *text); /* with its code: "WRONGTYPE Operation ..." */
    void (*integer)(struct reply *reply, int64_t value);
    void (*bulk)(struct reply *reply, struct bytes bytes);
    void (*number)(struct reply *reply, double value);        /* RESP3 double; RESP2 bulk */
    void (*boolean)(struct reply *reply, bool value);         /* RESP3 boolean; RESP2 integer */
    void (*verbatim)(struct reply *reply, struct bytes text); /* RESP3 "txt" verbatim; RESP2 bulk */
    void (*null)(struct reply *reply);                        /* no such value: RESP2 $-1 */
    void (*null_array)(struct reply *reply);                  /* no such list: RESP2 *-1 */
    void (*array)(struct reply *reply, size_t count);
    void (*set)(struct reply *reply, size_t count);  /* RESP2: array */
    void (*map)(struct reply *reply, size_t pairs);  /* RESP2: array of 2 x pairs */
    void (*push)(struct reply *reply, size_t count); /* out of band; RESP2: array */
    /* An array whose count is known only afterwards: open, the elements, close with what open
     * returned. */
    size_t (*array_open)(struct reply *reply);
    void (*array_close)(struct reply *reply, size_t opened, size_t count);
    void (*set_close)(struct reply *reply, size_t opened,
                      size_t count); /* the same, announced as a set */
    void (*map_close)(struct reply *reply, size_t opened, size_t pairs); /* the same, as a map */
    /* A place to come back to: an evaluation that must be run again takes back what it has written.
     */
    size_t (*mark)(struct reply *reply);
    void (*rewind)(struct reply *reply, size_t mark);
    bool (*is_resp3)(
        const struct reply *reply); /* for the few replies that differ in shape, not only in form */
};

/* A sink that keeps nothing. */
struct reply *reply_nobody(void);

/* "ERR ..." with a format; cut at 512 bytes, line ends become spaces. */
__attribute__((format(printf, 2, 3))) void reply_errorf(struct reply *reply, const char *format,
                                                        ...);

#endif
