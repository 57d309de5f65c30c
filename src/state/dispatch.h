/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch: from a command's id to the function that answers it. */
#ifndef STATE_DISPATCH_H
#define STATE_DISPATCH_H

#include "state/tx.h"

/* Never NULL for a row that says PLACE_STATE, which is all that a payload can carry. */
eval_fn *dispatch_find(enum command_id id);

#endif
