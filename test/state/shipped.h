/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * shipped: the records of a capture, as an image gives them back to a fill.
 */
#ifndef TEST_STATE_SHIPPED_H
#define TEST_STATE_SHIPPED_H

#include "test/state/bed.h"

struct shipped {
    struct bed *bed;
    struct capture *capture;
    struct capture_warm warm;
    bool warmed;
};

static inline void shipped_warmed(struct capture_warm *warm)
{
    CONTAINER_OF(warm, struct shipped, warm)->warmed = true;
}

static inline void shipped_wait(struct shipped *shipped)
{
    shipped->warmed = false;
    shipped->warm = (struct capture_warm){.done = shipped_warmed};
    shipped->capture->ops->warm(shipped->capture, &shipped->warm);
    while (!shipped->warmed) MUST(memory_store_step(&shipped->bed->store));
    MUST(shipped->warm.err == ERR_OK);
}

static inline enum err shipped_next(struct shipped *shipped, struct bytes *key, struct bytes *value)
{
    enum err err;
    while ((err = shipped->capture->ops->next(shipped->capture, key, value)) == ERR_PENDING)
        shipped_wait(shipped);
    return err;
}

/* Of what the bed's newest flush left; closed by the caller. */
static inline void shipped_open(struct shipped *shipped, struct bed *bed)
{
    *shipped = (struct shipped){.bed = bed};
    shipped->capture = bed->machine->ops->capture(bed->machine);
}

static inline enum err shipped_facts(struct shipped *shipped, struct capture_facts *facts,
                                     struct why *why)
{
    enum err err;
    while ((err = shipped->capture->ops->facts(shipped->capture, facts, why)) == ERR_PENDING)
        shipped_wait(shipped);
    return err;
}

/* All of it into the store; `fill` is but for what the capture says. */
static inline enum err shipped_fill(struct shipped *shipped, struct store *store,
                                    struct machine_fill *fill, struct why *why)
{
    struct capture_facts facts;
    struct machine_filler *filler;
    struct bytes key, value;
    MUST(shipped_facts(shipped, &facts, why) == ERR_OK);
    fill->mark = facts.mark;
    fill->waits = true;
    enum err err = state_filler_open(&filler, store, fill, why), next = ERR_OK;
    while (err == ERR_OK && (next = shipped_next(shipped, &key, &value)) == ERR_OK)
        err = filler->ops->add(filler, key, value, why);
    if (err == ERR_OK && next == ERR_NOT_FOUND)
        err = filler->ops->end(filler, facts.digest, facts.keys, why);
    state_filler_close(filler);
    return err;
}

static inline void shipped_close(struct shipped *shipped)
{
    shipped->capture->ops->close(shipped->capture);
}

#endif
