/* SPDX-License-Identifier: Apache-2.0 */
/* scan_options: the words after SCAN, SSCAN, HSCAN and ZSCAN, and the walk that the last three
 * share.
 *
 * A cursor is 0 at the start and at the end, else h + 1 where h is the hash from which the walk
 * goes on. Nothing is remembered between calls: each call gives `count` elements and all others
 * that share the hash of the last, so that an element which is there throughout is given at least
 * once. */
#ifndef STATE_SCAN_OPTIONS_H
#define STATE_SCAN_OPTIONS_H

#include "state/tx.h"

/* Collections up to this size are given whole by any call, whatever its cursor. */
enum { SCAN_WHOLE_ELEMENTS_MAX = 128, SCAN_COUNT_DEFAULT = 10 };

struct scan_options {
    uint64_t cursor;
    uint64_t count;       /* at least 1 */
    struct bytes pattern; /* MATCH; data NULL: everything matches. Borrowed from the words */
    struct bytes type;    /* TYPE of SCAN; data NULL: any. Borrowed from the words */
};

/* Sets the defaults and reads the cursor. False: the error has been written. Redis looks at the key
 * between this and the options. */
MUST_USE bool scan_options_cursor(struct tx *tx, struct bytes word, struct scan_options *out);
/* Reads the options from args->at[from] to the end; TYPE only if `typed`. False: the error has been
 * written. */
MUST_USE bool scan_options_parse(struct tx *tx, const struct args *args, size_t from, bool typed,
                                 struct scan_options *out);
bool scan_options_match(const struct scan_options *options, struct bytes name);
/* The hash at which the walk begins: `from` of tx_scan and tx_keys. */
uint64_t scan_options_from(const struct scan_options *options);
/* Writes a cursor's word: 0, or the one of a walk that goes on at `hash`. */
void scan_options_put_end(struct reply *reply);
void scan_options_put_next(struct reply *reply, uint64_t hash);

/* The whole of SSCAN, HSCAN and ZSCAN: `give` writes an element and says how many replies it wrote.
 */
typedef size_t scan_give(struct reply *reply, struct bytes name, struct bytes value);
void scan_elements(struct tx *tx, const struct args *args, enum key_type type, scan_give *give);

#endif
