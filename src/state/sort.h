/* SPDX-License-Identifier: Apache-2.0 */
/* sort: frozen records into the order of the store's keys. Runs on the store's thread; allocates
 * nothing. */
#ifndef STATE_SORT_H
#define STATE_SORT_H

#include "state/generation.h"

/* By (hash, name): radix on the hash, in place. */
void sort_changes(struct change *changes, size_t count);
/* By prefix. */
void sort_strands(struct strand **strands, size_t count);

#endif
