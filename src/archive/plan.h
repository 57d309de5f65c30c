/* SPDX-License-Identifier: Apache-2.0 */
/* plan: which files of an archive make which moment, for restore.c. */
#ifndef ARCHIVE_PLAN_H
#define ARCHIVE_PLAN_H

#include "archive/archive.h"

struct plan {
    const struct archive_history *history;
    struct lsn target;
    bool imaged; /* it begins with an image: `image`; else with nothing */
    struct archive_brief image;
};

/* ERR_REFUSED with the reason: another history is wanted, there is a hole, the target is before the
 * first or beyond the last. ERR_CORRUPT, ERR_IO: a file does not read. */
MUST_USE enum err plan_make(struct plan *plan, const struct archive_catalog *catalog,
                            const struct archive_restore_options *options, struct why *why);

/* catalog.c. Owned by the caller. */
char *archive_span_path(const struct archive_history *history, size_t span);

#endif
