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
    /* After an image that could not be saved the schedule waits so long. */
    NODE_IMAGE_RETRY_US = 5 * 1000 * 1000,
    /* The bytes of images are read again at this rate, those of each image once in so long. */
    NODE_SCRUB_BYTES_PER_SECOND = 16 << 20,
    NODE_SCRUB_PERIOD_S = 24 * 60 * 60,
    /* A flush begins when a crash would leave so much to replay. Past the second figure entries
       wait for the flush that is under way: this bounds every start. */
    NODE_REPLAY_US = 250 * 1000,
    NODE_REPLAY_US_MAX = 500 * 1000,
    /* What a replay takes to apply an entry, and for the record that it has to read first, as
       assumed until it is measured (two cores, 10 million keys); and bounds of the second. */
    NODE_REPLAY_ENTRY_NS = 1500,
    NODE_REPLAY_RECORD_NS = 5000,
    NODE_REPLAY_RECORD_NS_MIN = 3000,
    NODE_REPLAY_RECORD_NS_MAX = 10000,
    NODE_REPLAY_SAMPLE_RECORDS = 4096,
    /* Entries that a replay shows the machine at once. */
    NODE_REPLAY_WINDOW_ENTRIES = 16384,
    NODE_REPLAY_WINDOW_BYTES = 4 << 20,
};

#endif
