/* SPDX-License-Identifier: Apache-2.0 */
/* search: a second opinion that knows nothing of the log: whether what clients were told of one
 * register can be put into one order that respects real time (Wing and Gong 1993; Lowe 2017, with
 * operations linearized just in time and configurations remembered).
 *
 * Values are unique. A write whose outcome is unknown may have happened at any time after it was
 * sent; one whose value nobody read is as if it had not. */
#ifndef SIM_SEARCH_H
#define SIM_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/ops.h"

struct search_op {
    bool writes;
    uint64_t value;             /* 0: there is none */
    uint64_t invoked, returned; /* no two moments are the same; UINT64_MAX: not known to return */
};

enum { SEARCH_PENDING_MAX = 32 };
enum search_answer { SEARCH_FITS, SEARCH_BROKEN, SEARCH_TOO_WIDE };

/* `ops` in any order. BROKEN: *bad is the op at whose return no order is left. */
enum search_answer search_register(const struct search_op *ops, size_t count, size_t *bad);

struct search_result {
    uint64_t registers, ops, too_wide;
    char failure[200]; /* "": every register fits */
};
/* Every key of which the ops know only SET (without options) and GET. */
void search_ops(const struct ops *ops, struct search_result *result);

#endif
