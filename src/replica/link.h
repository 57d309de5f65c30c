/* SPDX-License-Identifier: Apache-2.0 */
/* link: what both ends of a session do alike: frames, the proof of the secret, keep-alive, the
 * check of who speaks. */
#ifndef REPLICA_LINK_H
#define REPLICA_LINK_H

#include "replica/session.h"

/* The proof comes before everything else:
 *
 *   CLOSED_YET --opened--> CHALLENGE --challenge--> PROOF --proof--> PROVEN
 *
 * Each end proves with both nonces and both roles, so that a proof can be neither replayed nor
 * sent back to where it came from. Before PROVEN no frame is longer than FRAME_STRANGER_BYTES_MAX.
 */
enum link_phase { LINK_NEW, LINK_CHALLENGE, LINK_PROOF, LINK_PROVEN };

struct link {
    const struct session_options *options;
    enum message_role role, peer_role;
    enum link_phase phase;
    enum session_state state;
    struct session_key key;
    uint64_t cluster; /* of the primary, once the verdict has come; before, the own */
    struct frame_reader reader;
    struct message_challenge own, peer;
    uint64_t now_us, opened_us, received_us, sent_us;
    uint64_t stale; /* frames and results that were dropped */
    bool damaged;   /* a frame came that had been changed on the way: the last one of the link */
    bool over;
    enum bye_reason reason;      /* why it is over */
    struct session_effects *out; /* of the step under way */
};

void link_init(struct link *link, const struct session_options *options, enum message_role role,
               enum message_role peer_role);
void link_release(struct link *link);

struct session_effect *link_effect(struct link *link, enum session_effect_kind kind);
void link_state(struct link *link, enum session_state state);
/* Where the payload of a frame is appended, then sent. */
size_t link_begin(struct link *link);
void link_send(struct link *link, size_t begin, enum frame_type type);
void link_bye(struct link *link, enum bye_reason reason, const char *text);

/* What both ends do with an event before their own part. */
void link_step(struct link *link, const struct session_event *event, struct session_effects *out);
/* The next frame for the end's own part. False: there is none; the link has seen to it, or is over
 * and has said why in link->reason. */
bool link_take(struct link *link, const struct session_event *event, struct frame *frame);
/* Too long without a word, or a ping is due. False: it is over. */
bool link_tick(struct link *link, bool planned);
/* A result is of this session, and of nobody before. */
bool link_is_ours(struct link *link, const struct session_key *key);

#endif
