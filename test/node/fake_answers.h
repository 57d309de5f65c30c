/* SPDX-License-Identifier: Apache-2.0 */
/* What a fake machine was asked for and answers later: when the test says so. */
#ifndef TEST_NODE_FAKE_ANSWERS_H
#define TEST_NODE_FAKE_ANSWERS_H

#include "test/node/fake.h"

/* The oldest fetch that was asked for returns. False: there is none. */
static inline bool fake_answer_warm(struct fake *fake, enum err err)
{
    if (fake->warm_count == 0) return false;
    struct machine_warm *warm = fake->warms[0];
    fake->warm_count--;
    memmove(&fake->warms[0], &fake->warms[1], fake->warm_count * sizeof fake->warms[0]);
    warm->err = err;
    if (err != ERR_OK) why_fail(&warm->why, err, "told so");
    warm->done(warm);
    return true;
}

static inline bool fake_answer_ahead(struct fake *fake, enum err err)
{
    struct machine_warm *warm = fake->ahead;
    if (warm == NULL) return false;
    fake->ahead = NULL;
    warm->err = err;
    warm->done(warm);
    return true;
}

/* The oldest question of that kind ends: the view has one digest running, and another recounted.
 * False: there is none. */
static inline bool fake_answer_survey(struct fake *fake, enum survey_kind kind, enum err err,
                                      struct digest recounted)
{
    for (unsigned i = 0; i < FAKE_SURVEYS; i++) {
        struct survey_ask *ask = fake->surveys[i].ask;
        if (ask == NULL || ask->kind != kind) continue;
        fake->surveys[i].ask = NULL;
        ask->err = err;
        if (err != ERR_OK) why_fail(&ask->why, err, "told so");
        ask->mark = fake->surveys[i].mark;
        ask->running = fake->digest;
        ask->recounted = recounted;
        ask->done(ask);
        return true;
    }
    return false;
}

/* What a filler waits for has ended. False: nobody waits. */
static inline bool fake_answer_fill(struct fake *fake)
{
    struct record_wait *wait = fake->fill_wait;
    if (wait == NULL) return false;
    fake->fill_wait = NULL;
    wait->err = ERR_OK;
    wait->done(wait);
    return true;
}

/* The flush that is under way ends. False: there is none. */
static inline bool fake_answer_flush(struct fake *fake, enum err err)
{
    struct machine_flush *flush = fake->flush;
    if (flush == NULL) return false;
    fake->flush = NULL;
    flush->err = err;
    if (err == ERR_OK) {
        fake->flushed = fake->flush_mark;
        fake->flushed_told = fake->frozen_told;
        memcpy(fake->flushed_keys, fake->frozen_keys, sizeof fake->keys);
        fake->unflushed = 0;
    } else {
        why_fail(&flush->why, err, "told so");
    }
    flush->flushed = fake->flushed.lsn;
    flush->done(flush);
    return true;
}

#endif
