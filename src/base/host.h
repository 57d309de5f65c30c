/* SPDX-License-Identifier: Apache-2.0 */
/* host: what stands before the port of an address. */
#ifndef BASE_HOST_H
#define BASE_HOST_H

#include <stdbool.h>

#include "base/bytes.h"

/* It stands for every address of a machine, in whatever spelling: one may listen there, and nobody
 * is to be reached by it. Nothing at all is one too. */
bool host_is_wildcard(struct bytes host);

#endif
