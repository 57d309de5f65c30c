/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/link.h"

#include "base/secret.h"

void session_effects_init(struct session_effects *effects)
{
    effects->count = 0;
    buffer_init(&effects->send);
}

void session_effects_release(struct session_effects *effects)
{
    buffer_release(&effects->send);
}

const char *session_state_name(enum session_state state)
{
    static const char *const names[SESSION_STATES] = {
        [STATE_DISCONNECTED] = "disconnected", [STATE_CONNECTING] = "connecting",
        [STATE_CATCHING_UP] = "catching_up",   [STATE_IN_SYNC] = "in_sync",
        [STATE_DEGRADED] = "degraded",         [STATE_NEEDS_REBUILD] = "needs_rebuild",
    };
    return state < SESSION_STATES ? names[state] : "unknown";
}

void link_init(struct link *link, const struct session_options *options, enum message_role role,
               enum message_role peer_role)
{
    *link = (struct link){
        .options = options, .role = role, .peer_role = peer_role, .cluster = options->cluster};
    frame_reader_init(&link->reader);
}

void link_release(struct link *link)
{
    frame_reader_release(&link->reader);
}

struct session_effect *link_effect(struct link *link, enum session_effect_kind kind)
{
    MUST(link->out->count < SESSION_EFFECTS_MAX);
    struct session_effect *effect = &link->out->at[link->out->count++];
    *effect = (struct session_effect){.kind = kind, .key = link->key, .state = link->state};
    return effect;
}

void link_state(struct link *link, enum session_state state)
{
    if (link->state == state) return;
    link->state = state;
    struct session_effect *effect = link_effect(link, EFFECT_STATE);
    effect->reason = link->reason;
}

size_t link_begin(struct link *link)
{
    return frame_begin(&link->out->send);
}

void link_send(struct link *link, size_t begin, enum frame_type type)
{
    struct frame_head head = {.type = type,
                              .shard = link->options->shard,
                              .cluster = link->cluster,
                              .epoch = link->key.epoch,
                              .session = link->key.session};
    frame_seal(&link->out->send, begin, &head);
    link->sent_us = link->now_us;
}

void link_bye(struct link *link, enum bye_reason reason, const char *text)
{
    if (link->over) return;
    size_t begin = link_begin(link);
    bye_put(&link->out->send, &(struct message_bye){reason, bytes_text(text)});
    link_send(link, begin, FRAME_BYE);
    link->over = true;
    link->reason = reason;
}

/* --- The proof --- */

static void prove(const struct link *link, enum message_role role, uint8_t out[SECRET_PROOF_BYTES])
{
    bool own = role == link->role;
    const struct message_challenge *prover = own ? &link->own : &link->peer;
    const struct message_challenge *asker = own ? &link->peer : &link->own;
    struct buffer said[2];
    buffer_init(&said[0]);
    buffer_init(&said[1]);
    challenge_put(&said[0], prover);
    challenge_put(&said[1], asker);
    struct bytes parts[3] = {bytes_text("tidemark session 1"), buffer_bytes(&said[0]),
                             buffer_bytes(&said[1])};
    secret_proof(link->options->secret, parts, 3, out);
    buffer_release(&said[0]);
    buffer_release(&said[1]);
}

static void take_challenge(struct link *link, const struct frame *frame)
{
    if (frame->head.type != FRAME_CHALLENGE ||
        challenge_take(frame->payload, &link->peer) != ERR_OK ||
        link->peer.role != link->peer_role) {
        link_bye(link, BYE_PROTOCOL, "a challenge was expected");
        return;
    }
    uint8_t proof[SECRET_PROOF_BYTES];
    prove(link, link->role, proof);
    size_t begin = link_begin(link);
    buffer_append(&link->out->send, bytes_of(proof, sizeof proof));
    link_send(link, begin, FRAME_PROOF);
    link->phase = LINK_PROOF;
}

static void take_proof(struct link *link, const struct frame *frame)
{
    if (frame->head.type != FRAME_PROOF || frame->payload.size != SECRET_PROOF_BYTES) {
        link_bye(link, BYE_PROTOCOL, "a proof was expected");
        return;
    }
    uint8_t proof[SECRET_PROOF_BYTES];
    prove(link, link->peer_role, proof);
    /* Without a secret the proof still shows that both mean the same roles and nonces. */
    if (!secret_equal(proof, frame->payload.data)) {
        link_bye(link, BYE_PROOF, "the secrets differ");
        return;
    }
    link->phase = LINK_PROVEN;
    link->reader.payload_max = FRAME_PAYLOAD_BYTES_MAX;
}

/* --- Events --- */

static void opened(struct link *link, const struct session_event *event)
{
    MUST(link->phase == LINK_NEW);
    link->opened_us = link->received_us = link->now_us;
    if (link->options->secret.size == 0 && !link->options->plain) {
        link_bye(link, BYE_PROOF, "beyond this machine TLS or a secret is needed");
        return;
    }
    link->own = (struct message_challenge){
        .role = link->role, .level = link->options->level, .copy = link->options->copy};
    memcpy(link->own.nonce, event->nonce, sizeof link->own.nonce);
    size_t begin = link_begin(link);
    challenge_put(&link->out->send, &link->own);
    link_send(link, begin, FRAME_CHALLENGE);
    link->phase = LINK_CHALLENGE;
    link_state(link, STATE_CONNECTING);
}

void link_step(struct link *link, const struct session_event *event, struct session_effects *out)
{
    buffer_clear(&out->send);
    out->count = 0;
    link->out = out;
    if (event->now_us > link->now_us) link->now_us = event->now_us;
    if (link->over) return;
    if (event->kind == EVENT_OPENED) opened(link, event);
    if (event->kind == EVENT_STOP) link_bye(link, event->reason, "");
    if (event->kind == EVENT_ENDED) {
        link->over = true;
        link->reason = BYE_SILENT;
    }
}

/* Of this session. The sender of a frame from before the verdict cannot know it. */
static bool is_current(const struct link *link, const struct frame *frame)
{
    return frame->head.session == link->key.session && frame->head.cluster == link->cluster &&
           epoch_compare(frame->head.epoch, link->key.epoch) == 0;
}

static void take_bye(struct link *link, const struct frame *frame)
{
    struct message_bye bye;
    link->over = true;
    link->reason = bye_take(frame->payload, &bye) == ERR_OK ? bye.reason : BYE_PROTOCOL;
}

bool link_take(struct link *link, const struct session_event *event, struct frame *frame)
{
    struct why why;
    MUST(link->phase != LINK_NEW); /* bytes without a stream */
    if (event->bytes->size > 0) link->received_us = link->now_us;
    enum err err = frame_take(&link->reader, event->bytes, frame, &why);
    if (err == ERR_PENDING) return false;
    if (err != ERR_OK) {
        *event->bytes = bytes_of(NULL, 0); /* where the next frame begins is not known any more */
        link->damaged = err == ERR_CORRUPT;
        link_bye(link, link->damaged ? BYE_DAMAGED : BYE_PROTOCOL, why.text);
        return false;
    }
    if (frame->head.shard != link->options->shard) {
        link_bye(link, BYE_PROTOCOL, "another shard");
        return false;
    }
    if (frame->head.type == FRAME_BYE) {
        take_bye(link, frame);
        return false;
    }
    if (frame->head.type == FRAME_PING) return false; /* that it came is all it says */
    if (link->phase == LINK_PROVEN) {
        bool current = link->key.session == 0 || is_current(link, frame);
        link->stale += !current;
        return current;
    }
    if (link->phase == LINK_CHALLENGE) take_challenge(link, frame);
    else take_proof(link, frame);
    return false;
}

bool link_tick(struct link *link, bool planned)
{
    if (link->phase == LINK_NEW) return true;
    const struct session_options *options = link->options;
    if (link->now_us - link->received_us >= options->silent_us)
        link_bye(link, BYE_SILENT, "nothing was heard");
    else if (!planned && link->now_us - link->opened_us >= options->hello_us)
        link_bye(link, BYE_SILENT, "the handshake takes too long");
    if (link->over) return false;
    if (link->now_us - link->sent_us < options->keepalive_us) return true;
    size_t begin = link_begin(link);
    link_send(link, begin, FRAME_PING);
    return true;
}

bool link_is_ours(struct link *link, const struct session_key *key)
{
    bool ours = epoch_compare(key->epoch, link->key.epoch) == 0 &&
                key->session == link->key.session && key->endpoint == link->key.endpoint &&
                key->incarnation == link->key.incarnation;
    if (!ours) link->stale++;
    return ours;
}
