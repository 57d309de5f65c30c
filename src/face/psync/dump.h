/* SPDX-License-Identifier: Apache-2.0 */
/* dump: all keys at one mark as a dump of Redis, version 10, in bounded pieces.
 *
 * A stock replica that is given a dump it cannot load ends itself. So each piece is read back here
 * before it is given out, and the last one, with which the dump becomes whole, is given out only
 * when everything was read and was as many keys as the view says. What goes wrong on the way leaves
 * a dump that is cut short, which a replica throws away. */
#ifndef FACE_PSYNC_DUMP_H
#define FACE_PSYNC_DUMP_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/must.h"
#include "face/psync/psync.h"
#include "seam/export.h"

struct dump; /* fields: face/psync/dump.c */

struct dump_options {
    struct record_source *source; /* at its first key; borrowed until dump_close. NULL: no keys */
    const struct export_facts *facts;
    const char *replid;
    uint64_t made_s; /* since 1970 */
};

struct dump *dump_open(const struct dump_options *options);
void dump_close(struct dump *dump); /* NULL is fine */
/* Appends the next piece, at most `room` bytes. ERR_PENDING: as the source tells. Any other error:
 * nothing was appended, and the dump is not to be used. */
MUST_USE enum err dump_fill(struct dump *dump, struct buffer *out, size_t room, struct why *why);
bool dump_is_done(const struct dump *dump);   /* whole, read back, and good */
uint64_t dump_bytes(const struct dump *dump); /* given out so far */

#endif
