/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum err why_fail(struct why *why, enum err err, const char *format, ...)
{
    if (why == NULL) return err;
    va_list list;
    va_start(list, format);
    (void)vsnprintf(why->text, sizeof(why->text), format, list);
    va_end(list);
    return err;
}

void why_prefix(struct why *why, const char *prefix)
{
    if (why == NULL) return;
    struct why old = *why;
    old.text[sizeof(old.text) - 1] = '\0';
    int length = snprintf(why->text, sizeof(why->text), "%s: ", prefix);
    if (length < 0 || (size_t)length >= sizeof(why->text)) return;
    size_t room = sizeof(why->text) - (size_t)length - 1;
    size_t size = strlen(old.text);
    if (size > room) size = room;
    memcpy(why->text + length, old.text, size);
    why->text[(size_t)length + size] = '\0';
}

const char *err_name(enum err err)
{
    switch (err) {
    case ERR_OK: return "ok";
    case ERR_PENDING: return "pending";
    case ERR_NOT_FOUND: return "not-found";
    case ERR_EXISTS: return "exists";
    case ERR_IO: return "io";
    case ERR_SPACE: return "space";
    case ERR_CORRUPT: return "corrupt";
    case ERR_LIMIT: return "limit";
    case ERR_PROTOCOL: return "protocol";
    case ERR_CONFIG: return "config";
    case ERR_REFUSED: return "refused";
    case ERR_NOT_LEADER: return "not-leader";
    case ERR_SHUT: return "shut";
    }
    return "unknown";
}
