/* SPDX-License-Identifier: Apache-2.0 */
/* notify: the classes of keyspace events, as notify-keyspace-events names them. */
#ifndef SEAM_NOTIFY_H
#define SEAM_NOTIFY_H

enum notify_class {
    NOTIFY_GENERIC = 1 << 0, /* g */
    NOTIFY_STRING = 1 << 1,  /* $ */
    NOTIFY_LIST = 1 << 2,    /* l */
    NOTIFY_SET = 1 << 3,     /* s */
    NOTIFY_HASH = 1 << 4,    /* h */
    NOTIFY_ZSET = 1 << 5,    /* z */
    NOTIFY_EXPIRED = 1 << 6, /* x */
    NOTIFY_NEW = 1 << 7,     /* n: sent by the store of a new key itself */
};

#endif
