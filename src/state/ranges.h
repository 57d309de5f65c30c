/* SPDX-License-Identifier: Apache-2.0 */
/* ranges: what two copies compare of their views: a sum for each range of keys, and the keys of
 * some ranges. A salted hash of database and name puts a key into its range.
 *
 * A key adds one digest, of its name, its record and of the elements that are really there. Records
 * that do not fit one another are no error here: they make the key another one, which is what is
 * looked for. */
#ifndef STATE_RANGES_H
#define STATE_RANGES_H

#include "seam/store.h"
#include "seam/survey.h"
#include "state/state.h"

/* SURVEY_RANGES and SURVEY_KEYS: fills *ask, all of it on the survey's thread. */
void ranges_survey(struct store *store, struct store_view *view, struct store_warm *warm,
                   struct survey_ask *ask);

/* recount.c: state_recount() that holds to the pace of a survey; `warm` NULL: it is none. ERR_SHUT:
 * it had to end. */
MUST_USE enum err recount_survey(struct store *store, struct store_view *view,
                                 struct store_warm *warm, struct state_recount *recount,
                                 struct why *why);

/* survey.c: machine_ops.survey */
struct survey *state_survey(struct machine *machine);
struct state;
void state_survey_forget(struct state *state); /* at close */

#endif
