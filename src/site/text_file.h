/* SPDX-License-Identifier: Apache-2.0 */
/* text_file: small files of text that an operator can read, replaced in one step. */
#ifndef SITE_TEXT_FILE_H
#define SITE_TEXT_FILE_H

#include "base/err.h"
#include "base/mark.h"
#include "base/must.h"
#include "seam/disk.h"

enum { TEXT_FILE_BYTES_MAX = 512 };

struct text_file {
    char text[TEXT_FILE_BYTES_MAX]; /* with a zero behind it */
    size_t size;
};

/* Adds `check <XXH3-64 of the lines before>`. */
void text_file_seal(struct text_file *file);
/* ERR_NOT_FOUND: no such file. One that is too long is cut, and so fits nothing. */
MUST_USE enum err text_file_read(struct disk *disk, const char *path, struct text_file *file,
                                 struct why *why);
/* Writes `name`.tmp in `directory`, syncs it, renames it and syncs the directory. */
MUST_USE enum err text_file_write(struct disk *disk, const char *directory, const char *name,
                                  const struct text_file *file, struct why *why);

struct site;
/* Of the site's directory; gone durably when it returns. None there is fine. */
MUST_USE enum err site_remove_file(const struct site *site, const char *name, struct why *why);

#endif
