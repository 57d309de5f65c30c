/* SPDX-License-Identifier: Apache-2.0 */
/* entropy: unpredictable bytes for ids, salts and seeds. */
#ifndef SEAM_ENTROPY_H
#define SEAM_ENTROPY_H

#include <stddef.h>

struct entropy {
    const struct entropy_ops *ops;
};

struct entropy_ops {
    void (*fill)(struct entropy *entropy, void *out, size_t size); /* cannot fail */
};

static inline void entropy_fill(struct entropy *entropy, void *out, size_t size)
{
    entropy->ops->fill(entropy, out, size);
}

#endif
