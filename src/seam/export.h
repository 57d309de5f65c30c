/* SPDX-License-Identifier: Apache-2.0 */
/* export: the keys of a machine by type, as one flush left them, for a copy that is of another
 * make. The machine applies and flushes on meanwhile. Any number at a time.
 *
 * What is said of the keys is read out of the same view as they are (I4). */
#ifndef SEAM_EXPORT_H
#define SEAM_EXPORT_H

#include "base/checksum.h"
#include "base/mark.h"
#include "seam/effects.h"
#include "seam/records.h"

struct export_facts {
    struct mark mark;
    struct digest digest;
    struct effects_place effects; /* the stream of effects goes on at its end */
    uint64_t keys;
};

struct export
{
    const struct export_ops *ops;
};

struct export_ops {
    /* ERR_PENDING: as of a call of the source, which tells when to ask again. ERR_CORRUPT, ERR_IO:
     * the source's `why` has the reason. */
    enum err (*facts)(struct export *export, struct export_facts *facts);
    /* The keys, from the first one on; the export's. Whoever takes all of them has checked them
     * against what the view says of itself. What was given before is not to be used any more, and
     * no wait of it is under way. Never NULL. */
    struct record_source *(*records)(struct export *export);
    /* done() of a wait under way is not called any more. */
    void (*close)(struct export *export);
};

#endif
