/* SPDX-License-Identifier: Apache-2.0 */
/* A fake machine's store as it is made of an image. */
#ifndef TEST_NODE_FAKE_FILLER_H
#define TEST_NODE_FAKE_FILLER_H

#include "test/node/fake.h"

static inline bool fake_fill_pends(struct fake *fake)
{
    if (fake->fill.waits || fake->fill_pending == 0) return false;
    fake->fill_pending--;
    return true;
}

/* Its records mean nothing here; that they read to their end does. */
static inline enum err fake_filler_add(struct machine_filler *filler, struct bytes key,
                                       struct bytes value, struct why *why)
{
    struct fake *fake = CONTAINER_OF(filler, struct fake, filler);
    (void)key;
    (void)value;
    (void)why;
    if (fake_fill_pends(fake)) return ERR_PENDING;
    fake->filled++;
    return ERR_OK;
}

static inline enum err fake_filler_end(struct machine_filler *filler, struct digest digest,
                                       uint64_t keys, struct why *why)
{
    struct fake *fake = CONTAINER_OF(filler, struct fake, filler);
    (void)digest;
    (void)keys;
    if (fake_fill_pends(fake)) return ERR_PENDING;
    if (fake->fill_err != ERR_OK) return why_fail(why, fake->fill_err, "told so");
    if (!fake->fill.waits) return ERR_OK; /* beside the one that is open */
    fake_make(fake, fake->fill_directory, fake->fill.history);
    fake->flushed = fake->fill.mark;
    return ERR_OK;
}

static inline bool fake_filler_wait(struct machine_filler *filler, struct record_wait *wait)
{
    struct fake *fake = CONTAINER_OF(filler, struct fake, filler);
    MUST(fake->fill_wait == NULL);
    fake->fill_wait = wait;
    return true;
}

static inline enum err fake_fill(struct machine_maker *maker, const char *directory,
                                 const struct machine_fill *fill, struct machine_filler **filler,
                                 struct why *why)
{
    static const struct machine_filler_ops ops = {fake_filler_add, fake_filler_end,
                                                  fake_filler_wait};
    struct fake *fake = CONTAINER_OF(maker, struct fake, maker);
    (void)why;
    MUST(strlen(directory) < sizeof fake->fill_directory);
    strcpy(fake->fill_directory, directory);
    fake->fill = *fill;
    fake->fills++;
    fake->filled = 0;
    fake->filler.ops = &ops;
    *filler = &fake->filler;
    return ERR_OK;
}

static inline void fake_fill_close(struct machine_maker *maker)
{
    struct fake *fake = CONTAINER_OF(maker, struct fake, maker);
    fake->fill_closes++;
    fake->fill_wait = NULL;
}

#endif
