/* SPDX-License-Identifier: Apache-2.0 */
/* told: a model that knows the history only by the stream of effects, as a replica without a log
 * does: no clock, no dice, nothing expires by itself. What it holds must be what the model holds
 * that was given the entries. */
#ifndef SIM_TOLD_H
#define SIM_TOLD_H

#include "sim/model.h"

struct told {
    struct model model;
    bool following;
    struct buffer reply;
};

void told_init(struct told *told);
void told_release(struct told *told);
/* The stream is switched on, and so begins with what is there. */
void told_begin(struct told *told, const struct model *from);
void told_end(struct told *told); /* it is off */
/* What an entry has put into it. NULL, or what is wrong with it. */
const char *told_take(struct told *told, struct bytes bytes);
/* NULL, or the name of a key that is not the same in both. Keys whose time has come are not
 * looked at: whether they are removed yet is each one's own business. */
const struct model_key *told_differs(const struct told *told, const struct model *model,
                                     uint64_t now_ms);

#endif
