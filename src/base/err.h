/* SPDX-License-Identifier: Apache-2.0 */
/* err: what a caller can act on, and one line for people beside it. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

/* Operating errors. Programmer errors are MUST (base/must.h). Running out of memory is neither: see
 * base/memory.h. */
enum err {
    ERR_OK = 0,
    ERR_PENDING,    /* the answer needs a disk read: fetch, then ask again */
    ERR_NOT_FOUND,  /* there is no such thing */
    ERR_EXISTS,     /* there is one already */
    ERR_IO,         /* the disk or the network failed */
    ERR_SPACE,      /* the disk is full; nothing was changed */
    ERR_CORRUPT,    /* stored bytes are not what was written */
    ERR_LIMIT,      /* a bound would be passed */
    ERR_PROTOCOL,   /* a peer or client sent what may not be sent */
    ERR_CONFIG,     /* usage or configuration */
    ERR_REFUSED,    /* the state of things forbids it; the reason is in `why` */
    ERR_NOT_LEADER, /* another copy may do this */
    ERR_SHUT,       /* closed or poisoned: nothing more will succeed */
};

/* One line for people, written by the innermost layer that knows, printed by the outermost.
 * Caller-owned, passed by pointer; a NULL `why` is allowed everywhere and drops the text. */
struct why {
    char text[512];
};

/* Writes the line (cut to fit) and returns `err`, so that a failing function is one statement. */
__attribute__((format(printf, 3, 4))) enum err why_fail(struct why *why, enum err err,
                                                        const char *format, ...);

/* Puts `prefix: ` before the line that is there, for an outer layer that knows the context. */
void why_prefix(struct why *why, const char *prefix);

/* A stable lower-case word for logs ("corrupt"). */
const char *err_name(enum err err);

#endif
