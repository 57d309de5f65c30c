/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/lag.h"

#include <string.h>

#include "base/must.h"

/* Two samples become one, with the LSN of the later and the time of the earlier: so a figure may
 * grow by it, and never shrinks while a copy is stuck. */
static void thin_out(struct lag *lag)
{
    unsigned kept = 0;
    for (unsigned i = 0; i + 1 < lag->count; i += 2) {
        struct lag_sample merged = lag->samples[i + 1];
        merged.at_us = lag->samples[i].at_us;
        lag->samples[kept++] = merged;
    }
    lag->count = kept;
}

void lag_note(struct lag *lag, struct lsn durable, uint64_t bytes, uint64_t now_us)
{
    if (lag->count > 0) {
        struct lag_sample *newest = &lag->samples[lag->count - 1];
        MUST(!lsn_before(durable, newest->durable) && bytes >= newest->bytes);
        if (durable.at == newest->durable.at) return;
    }
    if (lag->count == LAG_SAMPLES_MAX) thin_out(lag);
    lag->samples[lag->count++] = (struct lag_sample){durable, bytes, now_us};
}

/* The first sample that the copy has not reached. */
static unsigned first_beyond(const struct lag *lag, struct lsn applied)
{
    unsigned i = 0;
    while (i < lag->count && !lsn_before(applied, lag->samples[i].durable)) i++;
    return i;
}

void lag_forget(struct lag *lag, struct lsn applied)
{
    unsigned beyond = first_beyond(lag, applied);
    if (beyond <= 1) return; /* the one before it is where its bytes begin */
    lag->count -= beyond - 1;
    memmove(lag->samples, lag->samples + beyond - 1, lag->count * sizeof lag->samples[0]);
}

struct lag_figures lag_of(const struct lag *lag, struct lsn applied, uint64_t now_us)
{
    unsigned beyond = first_beyond(lag, applied);
    if (beyond == lag->count) return (struct lag_figures){0, 0, 0};
    const struct lag_sample *newest = &lag->samples[lag->count - 1];
    const struct lag_sample *missed = &lag->samples[beyond];
    uint64_t from = beyond > 0 ? lag->samples[beyond - 1].bytes : 0;
    return (struct lag_figures){.entries = newest->durable.at - applied.at,
                                .bytes = newest->bytes - from,
                                .ms = now_us > missed->at_us ? (now_us - missed->at_us) / 1000 : 0};
}
