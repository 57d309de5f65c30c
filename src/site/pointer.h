/* SPDX-License-Identifier: Apache-2.0 */
/* pointer: the file that says what counts, and the names of what it points to. */
#ifndef SITE_POINTER_H
#define SITE_POINTER_H

#include "site/site.h"

enum { SITE_NAME_BYTES = 32 };

enum site_kind { SITE_LOG, SITE_STORE };

/* In `keys`; pointer->cluster is taken as it is where the file does not say it. ERR_NOT_FOUND:
 * there is none; ERR_CORRUPT, ERR_REFUSED (a later format), ERR_IO. On failure *pointer is
 * untouched. */
MUST_USE enum err pointer_read(struct disk *disk, const char *keys, struct site_pointer *pointer,
                               struct why *why);
MUST_USE enum err pointer_write(struct disk *disk, const char *keys,
                                const struct site_pointer *pointer, struct why *why);

void site_name_format(enum site_kind kind, uint64_t number, char out[SITE_NAME_BYTES]);
/* Strict: only what site_name_format writes, with a number from 1. */
bool site_name_parse(const char *name, enum site_kind *kind, uint64_t *number);

/* tree.c: removes a directory with everything in it, or a file; what is not there is fine. */
MUST_USE enum err tree_remove(struct disk *disk, const char *path, struct why *why);

#endif
