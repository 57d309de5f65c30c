/* SPDX-License-Identifier: Apache-2.0 */
/* identity: the small text file that says whose data a directory holds. */
#ifndef SITE_IDENTITY_H
#define SITE_IDENTITY_H

#include "site/site.h"

/* Reads `directory`/identity, or makes it in a directory that is absent or empty (*made is set).
 * ERR_REFUSED: files of ours without their identity, or files that are not ours; ERR_CORRUPT: it
 * does not read. */
MUST_USE enum err identity_open(struct disk *disk, struct entropy *entropy, const char *directory,
                                struct identity *identity, bool *made, struct why *why);
/* Only reads. ERR_NOT_FOUND: the directory is empty, one may be made there; else as identity_open.
 */
MUST_USE enum err identity_probe(struct disk *disk, const char *directory,
                                 struct identity *identity, struct why *why);
/* Only reads. ERR_NOT_FOUND: no such file. */
MUST_USE enum err identity_read(struct disk *disk, const char *directory, struct identity *identity,
                                struct why *why);
/* Replaces it. */
MUST_USE enum err identity_write(struct disk *disk, const char *directory,
                                 const struct identity *identity, struct why *why);

#endif
