/* SPDX-License-Identifier: Apache-2.0 */
#include "base/host.h"

#include <stdio.h>
#include <string.h>

bool host_is_wildcard(struct bytes host)
{
    for (size_t i = 0; i < host.size; i++) {
        if (host.data[i] == '\0' || strchr("*0.:[]", host.data[i]) == NULL) return false;
    }
    return true;
}

bool host_format(const char *host, unsigned port, char *out, size_t room)
{
    bool bare = strchr(host, ':') != NULL && host[0] != '[';
    int size = snprintf(out, room, bare ? "[%s]:%u" : "%s:%u", host, port);
    if (size >= 0 && (size_t)size < room) return true;
    out[0] = '\0';
    return false;
}
