/* SPDX-License-Identifier: Apache-2.0 */
/* limits: every bound and pace of the pipeline, in one place. */
#ifndef NODE_LIMITS_H
#define NODE_LIMITS_H

enum {
    /* Applies in one go before other events of the loop get their turn. */
    NODE_APPLY_STEP_ENTRIES = 4096,
    /* The pace of housekeeping: flush, trim, idle note, space. */
    NODE_TICK_US = 100 * 1000,
    /* Expired keys proposed for removal in one step, and how soon the next step follows a full one.
     */
    NODE_EXPIRE_STEP_KEYS = 256,
    NODE_EXPIRE_AGAIN_US = 5 * 1000,
    /* Clean-up: how long one step may take, and the pause between two. */
    NODE_TIDY_STEP_US = 1000,
    NODE_TIDY_PAUSE_US = 4 * 1000,
    /* Without an append for so long, the log writes its watermarks in an empty batch. */
    NODE_IDLE_US = 1000 * 1000,
    /* A flush that found the disk full is tried again after this. */
    NODE_FLUSH_RETRY_US = 1000 * 1000,
    /* What a crash may leave to replay, as time: the flush budget in bytes follows from the
       measured rate. */
    NODE_REPLAY_US = 500 * 1000,
    /* Buckets of the tables of waiters and watches. */
    NODE_KEY_TABLE_BUCKETS = 1024,
};

#endif
