/* SPDX-License-Identifier: Apache-2.0 */
#include "real/entropy.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

#include "base/must.h"

/* getrandom() gives up to 256 bytes whole; more may be cut short by a signal. */
static void entropy_real_fill(struct entropy *entropy, void *out, size_t size)
{
    (void)entropy;
    unsigned char *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        MUST(got > 0 || (got < 0 && errno == EINTR));
        if (got < 0) continue;
        at += got;
        size -= (size_t)got;
    }
}

const struct entropy_ops entropy_real_ops = {.fill = entropy_real_fill};
