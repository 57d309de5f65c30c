/* SPDX-License-Identifier: Apache-2.0 */
/* path: names of files, put together and taken apart as text. `.` and `..` are names like others,
 * and nothing is looked up. */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include "base/must.h"

/* `name` in `directory`, with one slash between them; an empty one of the two adds nothing. Owned
 * by the caller until memory_free. */
MUST_USE char *path_join(const char *directory, const char *name);
/* The directory that holds the last name of `path`, slashes behind which do not count: `.` if there
 * is none before it, `/` for the root itself. Owned by the caller until memory_free. */
MUST_USE char *path_parent(const char *path);

#endif
