/* SPDX-License-Identifier: Apache-2.0 */
/* probe: what the files of a log on a simulated disk say, read from outside. To damage the right
 * bytes, and to check what no client can see. */
#ifndef SIM_PROBE_H
#define SIM_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "log/format.h"

struct sim_disk;

enum { PROBE_PATH_BYTES = 80, PROBE_BATCHES_MAX = 512 };

struct probe_batch {
    uint64_t offset, size; /* padded */
    uint64_t first, last;  /* LSNs; last = first - 1 when it is empty */
};

struct probe {
    bool kept;
    char directory[PROBE_PATH_BYTES];
    char segment[PROBE_PATH_BYTES];                /* the newest; "": none */
    uint64_t sequence;                             /* of it */
    uint64_t size, end;                            /* of its file; behind its last good batch */
    struct probe_batch batches[PROBE_BATCHES_MAX]; /* its first ones */
    unsigned batch_count;
    uint64_t last;    /* the last LSN in the segment, or before it */
    uint64_t durable; /* the greatest that a slot or a batch of the segment records */
    bool slot_good[LOG_SUPERBLOCK_SLOTS];
    struct log_superblock slot[LOG_SUPERBLOCK_SLOTS];
};

/* Of the first log that a directory has. */
const char *probe_slot_path(unsigned slot);
/* Whether the identity on the platter says that a first start was finished: before, no log counts.
 */
bool probe_started(struct sim_disk *disk);
/* The directory of the store that the pointer names; false: there is no pointer that reads. */
bool probe_store_path(struct sim_disk *disk, char out[PROBE_PATH_BYTES]);
/* `kept`: as they would be if the power went now; else as the node would read them. */
void probe_log(struct sim_disk *disk, bool kept, struct probe *probe);

#endif
