/* SPDX-License-Identifier: Apache-2.0 */
/* exit_status: what the process tells whoever started it. Documented in README; scripts rely on it.
 */
#ifndef APP_EXIT_STATUS_H
#define APP_EXIT_STATUS_H

enum exit_status {
    EXIT_STATUS_CLEAN = 0,
    EXIT_STATUS_USAGE = 1,    /* usage or configuration */
    EXIT_STATUS_REFUSED = 2,  /* the start was refused */
    EXIT_STATUS_CORRUPT = 3,  /* bytes on disk are not what was written */
    EXIT_STATUS_LOG_SYNC = 4, /* a sync of the log failed */
    EXIT_STATUS_DIGEST = 5,   /* digests differ */
    EXIT_STATUS_STORE = 6,    /* the store failed */
    EXIT_STATUS_HURRY = 7,    /* asked twice to stop: without the last sync */
};

#endif
