/* SPDX-License-Identifier: Apache-2.0 */
/* entropy: the kernel's random bytes. */
#ifndef REAL_ENTROPY_H
#define REAL_ENTROPY_H

#include "seam/entropy.h"

extern const struct entropy_ops entropy_real_ops;

#endif
