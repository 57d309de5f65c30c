/* SPDX-License-Identifier: Apache-2.0 */
#include "base/host.h"

#include <string.h>

bool host_is_wildcard(struct bytes host)
{
    for (size_t i = 0; i < host.size; i++) {
        if (host.data[i] == '\0' || strchr("*0.:[]", host.data[i]) == NULL) return false;
    }
    return true;
}
