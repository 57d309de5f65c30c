/* SPDX-License-Identifier: Apache-2.0 */
#include "base/trace.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

enum { TRACE_FIELDS_BYTES_MAX = 1024 };

void trace_event(struct trace *trace, enum trace_level level, const char *room, const char *event,
                 const char *format, ...)
{
    if (trace == NULL || level < trace->least) return;
    char fields[TRACE_FIELDS_BYTES_MAX];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(fields, sizeof(fields), format, list);
    va_end(list);
    if (length < 0) fields[0] = '\0';
    trace->line(trace, level, room, event, fields);
}
