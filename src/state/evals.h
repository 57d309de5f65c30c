/* SPDX-License-Identifier: Apache-2.0 */
/* evals: the functions that answer the commands, declared from the table of commands: eval_GET,
 * eval_OBJECT_ENCODING, ... one for each row that says PLACE_STATE. */
#ifndef STATE_EVALS_H
#define STATE_EVALS_H

#include "state/tx.h"

#define EVAL_DECLARE_PLACE_STATE(id) eval_fn eval_##id;
#define EVAL_DECLARE_PLACE_FACE(id)
#define COMMAND(id, number, parent, name, arity, place, ...) EVAL_DECLARE_##place(id)
#include "command/commands.def"
#undef COMMAND
#undef EVAL_DECLARE_PLACE_STATE
#undef EVAL_DECLARE_PLACE_FACE

#endif
