/* SPDX-License-Identifier: Apache-2.0 */
#include "state/dispatch.h"

#include "base/must.h"
#include "state/evals.h"

#define EVAL_ROW_PLACE_STATE(id, number) [number] = eval_##id,
#define EVAL_ROW_PLACE_FACE(id, number)
#define COMMAND(id, number, parent, name, arity, place, ...) EVAL_ROW_##place(id, number)
static eval_fn *const evals[] = {
#include "command/commands.def"
};
#undef COMMAND
#undef EVAL_ROW_PLACE_STATE
#undef EVAL_ROW_PLACE_FACE

eval_fn *dispatch_find(enum command_id id)
{
    MUST((unsigned)id < sizeof evals / sizeof evals[0] && evals[id] != NULL);
    return evals[id];
}
