/* SPDX-License-Identifier: Apache-2.0 */
/* swap: what an operator may do while the server is down: put older files of the log in the place
 * of the present ones. */
#ifndef SIM_SWAP_H
#define SIM_SWAP_H

#include "base/buffer.h"

struct sim_disk;

/* Every file of the data directory with its content, as a run of {le32 path size, le32 size, path,
 * content}. */
void swap_save(struct sim_disk *disk, struct buffer *out);
/* Whether the saved file of that path is as the present one. */
bool swap_agrees(struct sim_disk *disk, const struct buffer *saved, const char *path);
/* Removes those files and puts the saved ones there, durably. */
void swap_put(struct sim_disk *disk, const struct buffer *saved);
/* The same for the files of the log only. */
void swap_put_log(struct sim_disk *disk, const struct buffer *saved);

#endif
