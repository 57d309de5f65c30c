/* SPDX-License-Identifier: Apache-2.0 */
/* reach: how long a primary in mode all may take itself for the only one.
 *
 * Another copy leads in its stead once n - min_in_sync + 1 copies have promised it, and goes on
 * without it once min_in_sync others confirm that it counts no more. Copies that have promised say
 * nothing to it any more, and nobody confirms anything before NODE_UNOPENED_DROP_US are over. So
 * when it has not heard so many for NODE_REACH_US, which is less, what it shows may be old: it
 * answers no reads, then gives up its role and asks the others who leads. It could not have
 * committed anything meanwhile.
 *
 * When it has not heard so many that it cannot commit, it admits no writes: a client is told so at
 * once instead of waiting for a copy that may be gone for good. */
#ifndef NODE_REACH_H
#define NODE_REACH_H

#include <stdbool.h>
#include <stdint.h>

struct node;

void node_reach_begin(struct node *node); /* it leads from now on */
/* Now and then. False: it has lost them for too long. */
bool node_reach_look(struct node *node);
bool node_reach_is_sure(const struct node *node, uint64_t now_us); /* of what was seen last */

#endif
