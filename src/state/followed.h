/* SPDX-License-Identifier: Apache-2.0 */
/* followed: answers of commands that a primary of another make has carried out already: only that
 * one of them is an error is worth to be known. */
#ifndef STATE_FOLLOWED_H
#define STATE_FOLLOWED_H

#include "seam/reply.h"

struct followed_reply {
    struct reply base;
    struct reply_ops ops;
    char text[160];  /* of the first error; "": none */
    char error[256]; /* the same, with the name of its command */
};
void followed_reply_init(struct followed_reply *reply);
/* The command under way was that one: an error that has come by now is its. */
void followed_reply_name(struct followed_reply *reply, struct bytes command);

#endif
