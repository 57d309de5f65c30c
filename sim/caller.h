/* SPDX-License-Identifier: Apache-2.0 */
/* caller: an operator at a copy: one command, one answer, on a connection of its own. */
#ifndef SIM_CALLER_H
#define SIM_CALLER_H

#include "base/buffer.h"
#include "sim/node.h"

/* Words of `line` are separated by single spaces. Turns until the answer is there (into `reply`,
 * cleared before). False: there is none within `limit_us`, or nobody to give it. */
bool caller_ask(struct sim_node *node, unsigned port, const char *line, uint64_t limit_us,
                struct buffer *reply);

#endif
