/* SPDX-License-Identifier: Apache-2.0 */
/* views: what one flush left, given out beside a machine that goes on: as records, for an image
 * (capture.c), and by type, for a copy of another make (export.c). */
#ifndef STATE_VIEWS_H
#define STATE_VIEWS_H

#include "seam/capture.h"
#include "seam/export.h"
#include "seam/machine.h"

struct state;

struct capture *state_capture(struct machine *machine);
void state_capture_forget(struct state *state); /* at close */
struct export *state_export(struct machine *machine);
void state_export_forget(struct state *state); /* at close */

#endif
