/* SPDX-License-Identifier: Apache-2.0 */
/* One write() a line, so that lines of several threads and processes do not mix. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "real/real.h"

enum { TRACE_LINE_BYTES = 1400 };

struct trace_real {
    struct trace trace;
    int descriptor;
    bool owned;
};

static const char *trace_level_name(enum trace_level level)
{
    switch (level) {
    case TRACE_DEBUG: return "debug";
    case TRACE_VERBOSE: return "verbose";
    case TRACE_NOTICE: return "notice";
    case TRACE_WARNING: return "warning";
    }
    return "unknown";
}

/* A value may hold bytes of a peer: nothing in a line ends it early or steers a terminal. */
static void trace_tame(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte < 0x20 || byte == 0x7f) text[i] = '?';
    }
}

static void trace_real_line(struct trace *trace, enum trace_level level, const char *room,
                            const char *event, const char *fields)
{
    struct trace_real *real = CONTAINER_OF(trace, struct trace_real, trace);
    struct timespec now;
    struct tm utc;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || gmtime_r(&now.tv_sec, &utc) == NULL) return;
    char line[TRACE_LINE_BYTES];
    int length = snprintf(line, sizeof(line) - 1,
                          "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s %s %s%s%s", utc.tm_year + 1900,
                          utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                          now.tv_nsec / 1000000, trace_level_name(level), room, event,
                          fields[0] != '\0' ? " " : "", fields);
    if (length < 0) return;
    size_t size = (size_t)length < sizeof(line) - 1 ? (size_t)length : sizeof(line) - 2;
    trace_tame(line, size);
    line[size] = '\n';
    ssize_t written;
    do {
        written = write(real->descriptor, line, size + 1);
    } while (written < 0 && errno == EINTR);
}

enum err real_trace_open(struct trace **trace, const char *path, enum trace_level least,
                         struct why *why)
{
    *trace = NULL;
    int descriptor = STDERR_FILENO;
    if (path != NULL) {
        descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
        if (descriptor < 0) return why_fail(why, ERR_IO, "log file %s: %s", path, strerror(errno));
    }
    struct trace_real *real = memory_zeroed(1, sizeof(*real));
    real->trace = (struct trace){.line = trace_real_line, .least = least};
    real->descriptor = descriptor;
    real->owned = path != NULL;
    *trace = &real->trace;
    return ERR_OK;
}

void real_trace_close(struct trace *trace)
{
    if (trace == NULL) return;
    struct trace_real *real = CONTAINER_OF(trace, struct trace_real, trace);
    if (real->owned) (void)close(real->descriptor);
    memory_free(real);
}
