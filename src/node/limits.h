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
    /* A stop waits so long for other copies to confirm what is in flight. */
    NODE_DRAIN_US = 5 * 1000 * 1000,
    /* Without an append for so long, the log writes its watermarks in an empty batch. */
    NODE_IDLE_US = 1000 * 1000,
    /* A flush that found the disk full is tried again after this. */
    NODE_FLUSH_RETRY_US = 1000 * 1000,
    /* After an image that could not be saved the schedule waits so long. */
    NODE_IMAGE_RETRY_US = 5 * 1000 * 1000,
    /* The bytes of images are read again at this rate, those of each image once in so long. */
    NODE_SCRUB_BYTES_PER_SECOND = 16 << 20,
    NODE_SCRUB_PERIOD_S = 24 * 60 * 60,
    /* A digest is put into the log at most so often. Every record is counted again, at the rate of
       the images' bytes, once in a period; the first time so long after a start. */
    NODE_STAMP_US = 1000 * 1000,
    NODE_RECOUNT_PERIOD_S = 24 * 60 * 60,
    NODE_RECOUNT_FIRST_S = 60 * 60,
    /* The view of a verification is kept for so long. */
    NODE_VERIFY_KEEP_S = 10 * 60,
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
    /* What a start applies before anything is answered; the rest follows while it serves. */
    NODE_REPLAY_BYTES = 32 << 20,
    /* Entries, and bytes of them, whose records are read ahead at once, and how far ahead. */
    NODE_AHEAD_ENTRIES = 512,
    NODE_AHEAD_BYTES = 2 << 20,
    NODE_AHEAD_MOST = 4096,

    /* Sessions. Steps of one in a turn; what may wait of its bytes before its stream is paused; and
       above so much unsent it is told no more of the log. */
    NODE_PEER_STEPS = 256,
    NODE_PEER_RECEIVED_BYTES = 4 << 20,
    NODE_PEER_UNSENT_BYTES = 16 << 20,
    /* The times and windows of struct session_options. */
    NODE_SESSION_KEEPALIVE_US = 1000 * 1000,
    /* reach.h: silence of others that ends a primary's role, which takes a few keep-alives; and
       what an epoch that is not open waits before it goes on without a copy. */
    NODE_REACH_US = 3 * 1000 * 1000,
    NODE_UNOPENED_DROP_US = 6 * 1000 * 1000,
    /* A role that was handed over is to be taken: a promotion, tried a few times. */
    NODE_FAILOVER_TAKEN_US = 10 * 1000 * 1000,
    NODE_SESSION_SILENT_US = 10 * 1000 * 1000,
    NODE_SESSION_HELLO_US = 10 * 1000 * 1000,
    NODE_SESSION_DEGRADE_US = 5 * 1000 * 1000,
    NODE_SESSION_STALL_US = 60 * 1000 * 1000,
    NODE_SESSION_WINDOW_BYTES = 8 << 20,
    NODE_SESSION_WINDOW_ENTRIES = 65536,
    NODE_SESSION_IMAGE_WINDOW_BYTES = 32 << 20, /* the far end syncs an image in large pieces */
    NODE_SESSION_BATCH_BYTES = 256 << 10,
    /* So much of the log may wait in memory to be applied before a replica takes no more, or leaves
       it in the log's files: at most, and this part of what may wait there. */
    NODE_FOLLOW_MEMORY_BYTES = 32 << 20,
    NODE_FOLLOW_MEMORY_SHARE = 16,
    /* What is read of it again at a time. While the session still catches up, and until this part
       of what may wait is waiting, so many entries are applied in one go, and then none for so
       long. */
    NODE_BEHIND_ENTRIES = 4096,
    NODE_BEHIND_BYTES = 16 << 20,
    NODE_BEHIND_STEP_ENTRIES = 64,
    NODE_BEHIND_PAUSE_US = 20 * 1000,
    NODE_BEHIND_WAY_SHARE = 2,
    /* Feature level that is spoken. */
    NODE_SESSION_LEVEL = 1,
    /* Connections of copies at a time, and entries in a batch that is read for one. */
    NODE_SERVES_MAX = 64,
    NODE_SERVES_BATCH_ENTRIES = 2048,
    /* An image that is sent is checked meanwhile, at most at this rate. */
    NODE_SERVES_CHECK_BYTES_PER_SECOND = 1 << 30,
    /* Following: a connection, and the answer of a Redis port, may take so long; the pause after a
       failure doubles from the first to the second figure; after a refusal, which time alone does
       not mend, it is the third. */
    NODE_FOLLOWS_DIAL_US = 3 * 1000 * 1000,
    NODE_FOLLOWS_ASK_US = 3 * 1000 * 1000,
    NODE_FOLLOWS_PAUSE_US_MIN = 100 * 1000,
    NODE_FOLLOWS_PAUSE_US_MAX = 2 * 1000 * 1000,
    NODE_FOLLOWS_PAUSE_US_REFUSED = 5 * 1000 * 1000,
    /* Following a primary of another make: what of its stream may wait to be applied, as which an
       entry counts beside its payload, and what is held in memory of its keys at a time. */
    NODE_INTAKE_WAITING_BYTES = 16 << 20,
    NODE_INTAKE_ENTRY_BYTES = 256,
    NODE_INTAKE_WINDOW_BYTES = 32 << 20,
    /* An incoming image is synced after so many bytes, and so soon; it is no more than this behind
       in memory, which is several windows of an honest primary. */
    NODE_FOLLOWS_SYNC_BYTES = 4 << 20,
    NODE_FOLLOWS_SYNC_US = 200 * 1000,
    NODE_FOLLOWS_WAITING_BYTES = 64 << 20,
    /* Of an image that is made a store while it comes: so much is taken in one step, and held in
       memory, and once more while that is flushed. */
    NODE_STAGING_STEP_BYTES = 1 << 20,
    NODE_STAGING_WINDOW_BYTES = 32 << 20,
    /* A copy whose sessions end so often in a row before it is in sync needs a rebuild. */
    NODE_SERVES_FAILURES = 5,
};

#endif
