/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that answer later: DEBUG SLEEP, SAVE, WAIT, REPLICAOF ... Their client is held, so
 * nothing that it sent behind them runs before; everyone else is served. */
#include "face/redis/internal.h"

static void later_fired(struct timer *timer)
{
    struct client *client = CONTAINER_OF(CONTAINER_OF(timer, struct later, timer), struct client,
                                         later);
    struct clock *clock = client->face->options.clock;
    struct later *later = &client->later;
    if (client->dead || later->step(client)) return;
    clock_timer_start(clock, &later->timer, later->pause_us);
}

void later_begin(struct client *client, bool (*step)(struct client *client), uint64_t pause_us,
                 uint64_t until_us)
{
    MUST(!client->face->in_exec && (client->holds & HOLD_LATER) == 0);
    struct later *later = &client->later;
    later->timer.fired = later_fired;
    later->step = step;
    later->pause_us = pause_us;
    later->until_us = until_us;
    later->muted = client_is_muted(client);
    client_hold(client, HOLD_LATER);
    if (step != NULL) clock_timer_start(client->face->options.clock, &later->timer, pause_us);
}

struct reply *later_reply(struct client *client)
{
    MUST((client->holds & HOLD_LATER) != 0);
    return client->later.muted ? reply_nobody() : client_push(client);
}

void later_done(struct client *client)
{
    client_touch(client);
    client_unhold(client, HOLD_LATER);
}

static bool is_held(const struct client *client)
{
    return (client->holds & HOLD_LATER) != 0;
}

struct reply *later_or_now(struct client *client)
{
    return is_held(client) ? later_reply(client) : client_reply(client);
}

void later_or_now_done(struct client *client)
{
    if (is_held(client)) later_done(client);
}

void later_end(struct client *client)
{
    clock_timer_stop(client->face->options.clock, &client->later.timer);
}
