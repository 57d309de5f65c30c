/* SPDX-License-Identifier: Apache-2.0 */
/* limits: every bound of the Redis face that no directive sets, in one place. */
#ifndef FACE_REDIS_LIMITS_H
#define FACE_REDIS_LIMITS_H

enum {
    REDIS_LISTENERS_MAX = 17,
    /* A client's calls in flight; beyond, its further commands stay unread. */
    REDIS_CALLS_MAX = 1024,
    /* Bytes of the payloads in flight of all clients; beyond, who sends one more command stays
       unread until it is answered. */
    REDIS_FLIGHT_BYTES_MAX = 64 << 20,
    /* Unread bytes of a client that may not go on, before the kernel holds the rest. */
    REDIS_HELD_BYTES_MAX = 256 << 10,
    /* Replies above this are sent before the client's next command is read. */
    REDIS_OUTPUT_STEP_BYTES = 256 << 10,
    /* Buffers above this are given back when they are empty. */
    REDIS_BUFFER_KEPT_BYTES = 32 << 10,
    REDIS_SPARE_CALLS_KEPT = 1024,
    /* A peer that has ended its side has so long to read what it asked for. */
    REDIS_ENDED_US_MAX = 60 * 1000 * 1000,
    REDIS_NAME_BYTES_MAX = 256,
    REDIS_COMMANDS_MAX = 512, /* above every number of the table */
    /* No word is longer, whatever proto-max-bulk-len says: lengths in entries have 32 bits. */
    REDIS_WORD_BYTES_MAX = 1 << 30,

    /* Where a password is asked for, a client that has not given it by then is closed ... */
    REDIS_AUTH_US_MAX = 10 * 1000 * 1000,
    /* ... and this is what it may send ahead (the reader has limits for each command). */
    REDIS_UNAUTHENTICATED_BYTES_MAX = 1 << 20,

    REDIS_WATCHES_MAX = 1 << 16, /* keys that a client may watch */

    /* The slow log: words of a command, bytes of a word; and what a call in flight keeps of its
     * payload. */
    SLOWLOG_WORDS_MAX = 32,
    SLOWLOG_WORD_BYTES_MAX = 128,
    SLOWLOG_PAYLOAD_BYTES_KEPT = 1024,
    /* MONITOR: bytes of a word. */
    MONITOR_WORD_BYTES_MAX = 64 << 10,

    CONFIG_FILE_BYTES_MAX = 1 << 20, /* the same bound as at the start */
};

/* The version of Redis whose commands, replies and errors are spoken here, as clients ask for it.
 */
#define REDIS_VERSION_SPOKEN "7.0.15"

#endif
