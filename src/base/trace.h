/* SPDX-License-Identifier: Apache-2.0 */
/* trace: structured events, one a line: what happened, where, and the numbers.
 *
 * The sink is given by the outermost layer: the server writes lines to standard error, the
 * simulator hashes and keeps them. Same seed, same trace. Never called per request. */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

enum trace_level { TRACE_DEBUG, TRACE_VERBOSE, TRACE_NOTICE, TRACE_WARNING };

struct trace {
    void (*line)(struct trace *trace, enum trace_level level, const char *room, const char *event,
                 const char *fields);
    enum trace_level least; /* lower levels are dropped before formatting */
};

/* `event` is a fixed lower_case word; `format` gives `key=value` fields separated by one space
 * (values with spaces in double quotes). A NULL trace drops the line. */
__attribute__((format(printf, 5, 6))) void trace_event(struct trace *trace, enum trace_level level,
                                                       const char *room, const char *event,
                                                       const char *format, ...);

#endif
