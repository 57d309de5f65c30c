/* SPDX-License-Identifier: Apache-2.0 */
/* run: `tidemark server`, in the foreground, over the real world. */
#ifndef APP_RUN_H
#define APP_RUN_H

#include <stddef.h>

#include "app/exit_status.h"

/* `words` are those after `server`: an optional configuration file, then options. */
enum exit_status run_server(const char *version, const char *commit, size_t count,
                            const char *const *words);

#endif
