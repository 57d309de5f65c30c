/* SPDX-License-Identifier: Apache-2.0 */
/* carry: carries a request of the simulated disk out, well, badly (an injected fault) or in part (a
 * crash in the middle). For sim/disk.c. */
#ifndef SIM_CARRY_H
#define SIM_CARRY_H

#include "sim/files.h"

bool sim_op_has_file(enum disk_op op);
bool sim_op_writes(enum disk_op op);
/* For faults and messages: what was asked for, or what the file was opened as. */
const char *sim_request_path(const struct disk_request *request);

/* Sets the request's results; draws faults; goes into the world's hash. */
void sim_carry_out(struct sim_disk *disk, struct disk_request *request);
/* Without faults and hash. Returns the error, which request->err does not have yet. */
enum err sim_carry_out_well(struct sim_disk *disk, struct disk_request *request);
/* Some of the bytes, some of the unsynced operations; by the dice of the node's armed crash. */
void sim_carry_out_partly(struct sim_disk *disk, struct disk_request *request);
/* Writes the first `size` bytes of a write or fill, unsynced, if there is room. */
void sim_write_part(struct sim_disk *disk, struct disk_request *request, uint64_t size);

#endif
