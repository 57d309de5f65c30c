/* SPDX-License-Identifier: Apache-2.0 */
#include "state/followed.h"

#include <stdio.h>

#include "base/must.h"

static void note_error(struct reply *base, const char *text)
{
    struct followed_reply *reply = CONTAINER_OF(base, struct followed_reply, base);
    if (reply->text[0] == '\0') (void)snprintf(reply->text, sizeof reply->text, "%s", text);
}

void followed_reply_name(struct followed_reply *reply, struct bytes command)
{
    enum { NAME_SHOWN = 64 };
    if (reply->text[0] == '\0' || reply->error[0] != '\0') return;
    int shown = command.size < NAME_SHOWN ? (int)command.size : NAME_SHOWN;
    (void)snprintf(reply->error, sizeof reply->error, "%.*s: %s", shown, (const char *)command.data,
                   reply->text);
}

void followed_reply_init(struct followed_reply *reply)
{
    *reply = (struct followed_reply){.ops = *reply_nobody()->ops};
    reply->ops.error = note_error;
    reply->base.ops = &reply->ops;
}
