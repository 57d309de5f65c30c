/* SPDX-License-Identifier: Apache-2.0 */
/* start: from a directory to the entry of a new epoch, in the order that makes it safe (start.c).
 */
#ifndef NODE_START_H
#define NODE_START_H

#include "base/err.h"
#include "base/hlc.h"
#include "base/mark.h"
#include "base/must.h"
#include "snapshot/start/start.h"

struct log_found;
struct log_options;
struct log_reader;
struct node;

/* What the start found, and what it left to be done. */
struct start {
    enum start_outcome outcome; /* the gate's, and why */
    enum start_reason reason;
    struct mark store, image;      /* that were found, and that was installed; LSN 0: none */
    uint64_t began_us, decided_us; /* when it began; after how long the gate had its outcome */
    uint64_t replayed, took_us;
    struct lsn last;           /* of the log that it found */
    struct lsn epoch_lsn;      /* of this start's epoch entry */
    struct stamp stamp;        /* of that entry */
    struct log_reader *reader; /* at reader_at, from the store's mark to the replay; or NULL */
    struct lsn reader_at;
};

/* Blocks. On failure the node is to be closed. */
MUST_USE enum err node_start(struct node *node, struct why *why);
/* Log, store and images of the site: recovered and opened, as no primary yet. Blocks. */
MUST_USE enum err node_open_shard(struct node *node, struct why *why);
struct log_options node_log_options(const struct node *node);
/* Opens the site's log; what is behind *cut (NULL: nothing) is cut off. ERR_NOT_FOUND: there is
 * none. Blocks. */
MUST_USE enum err node_open_log(struct node *node, const struct lsn *cut, struct log_found *found,
                                struct why *why);
/* What the entries through `last`, the end of the log, say of epochs and members. Blocks. */
MUST_USE enum err node_read_history(struct node *node, struct lsn last, struct why *why);
/* It serves: one line that says how it came to that. */
void node_start_report(const struct node *node);
/* How far the store's mark stood from the end of the log, whichever was ahead. */
uint64_t node_start_gap(const struct node *node);

#endif
