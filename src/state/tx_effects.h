/* SPDX-License-Identifier: Apache-2.0 */
/* tx_effects: what a replica that knows no log is told of a command (docs/formats/effects.md).
 *
 * Of a command that has changed something it is told the command itself, as it stands; of one that
 * has not, nothing. That is right where the words do the same to every copy of the same state,
 * without a clock and without dice. Where they do not, or where a stock Redis tells its replicas
 * something else, the command says in its evaluation what is to be told instead. Several calls are
 * told as one transaction. The removal of an expired key that a command meets is told by itself. */
#ifndef STATE_TX_EFFECTS_H
#define STATE_TX_EFFECTS_H

#include "state/tx.h"

/* All of these cost next to nothing while the stream is off; tx->streams says whether it is on,
 * where to make the words is work. */
void tx_effect(struct tx *tx, const struct bytes *words, size_t count); /* copied */
void tx_effect_removed(struct tx *tx, struct bytes name);               /* DEL name */
void tx_effect_none(struct tx *tx);
/* These words, which are the command's own or some of them, whatever was changed. */
void tx_effect_same(struct tx *tx, const struct args *args);
struct bytes tx_effect_number(struct tx *tx, int64_t number); /* as a word, in scratch memory */

#endif
