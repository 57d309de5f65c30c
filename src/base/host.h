/* SPDX-License-Identifier: Apache-2.0 */
/* host: what stands before the port of an address. */
#ifndef BASE_HOST_H
#define BASE_HOST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

/* It stands for every address of a machine, in whatever spelling: one may listen there, and nobody
 * is to be reached by it. Nothing at all is one too. */
bool host_is_wildcard(struct bytes host);
/* "host:port", or "[host]:port" where the host has colons and no brackets yet. False: there is no
 * room, and `out` is "". */
bool host_format(const char *host, unsigned port, char *out, size_t room);

#endif
