/* SPDX-License-Identifier: Apache-2.0 */
/* observe: MONITOR and the slow log: who sees which commands of others, and what of them. Private
 * to the room. */
#ifndef FACE_REDIS_OBSERVE_H
#define FACE_REDIS_OBSERVE_H

#include "face/redis/client.h"

/* A word as others may see it: secrets are replaced. Borrowed from `args`, or constant. */
struct bytes command_word_shown(const struct command *command, const struct args *args, size_t i);

/* Shows the command to every client in MONITOR. */
void monitor_feed(struct client *client, const struct command *command, const struct args *args);
void monitor_end(struct client *client); /* not monitoring is fine */
bool monitor_active(const struct client *client);

void slowlog_open(struct redis_face *face);
void slowlog_close(struct redis_face *face);
bool slowlog_is_on(const struct redis_face *face);
/* Notes a command that took `us`, if that is long. */
void slowlog_note(struct client *client, const struct command *command, const struct args *args,
                  uint64_t us);
/* The same for a call that is over; its text holds the start of its payload. */
void slowlog_note_call(const struct client_call *call, uint64_t us);

#endif
