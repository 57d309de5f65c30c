/* SPDX-License-Identifier: Apache-2.0 */
/* archives: the commands on an archive: list, verify, restore. */
#ifndef APP_ARCHIVES_H
#define APP_ARCHIVES_H

#include <stddef.h>

#include "app/exit_status.h"

/* Prints histories, images, spans and holes. */
enum exit_status tool_archive_list(const char *directory);
/* Reads every byte of every file, and whether the spans follow each other. */
enum exit_status tool_archive_verify(const char *directory);
/* The words behind `restore`. Where they cannot be understood it is EXIT_STATUS_USAGE, `*what` says
 * which or what is missing, and nothing was printed; else `*what` is NULL. */
enum exit_status tool_restore(size_t count, const char *const *words, const char **what);

#endif
