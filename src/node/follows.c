/* SPDX-License-Identifier: Apache-2.0 */
/* Looking for the copy to follow, again and again: its place, its Redis port, its peer port. */
#include "node/follows.h"

#include <stdio.h>

#include "base/memory.h"
#include "base/number.h"
#include "node/follows_parts.h"
#include "node/internal.h"

static const char *text_of(const char *text)
{
    return text == NULL ? "" : text;
}

static void keep(char out[COPY_ADDRESS_BYTES], const char *text)
{
    (void)snprintf(out, COPY_ADDRESS_BYTES, "%s", text_of(text));
}

static struct clock *clock_of(const struct follows *follows)
{
    return follows->node->world.clock;
}

/* A Redis port is for clients; sessions are between copies. */
static struct net *net_of(const struct follows *follows, enum follows_phase phase)
{
    const struct world *world = &follows->node->world;
    return phase == FOLLOWS_ASKING ? world->net : world->peers;
}

static const struct net_ops *asking_ops(const struct follows *follows)
{
    return net_of(follows, FOLLOWS_ASKING)->ops;
}

/* --- Places --- */

/* The place of that number in a round: what was named, first; and unless it was named by its Redis
 * port, which says exactly who is meant, the copies that the log names: one of them may lead now.
 * False: the round is over. */
static bool place_at(const struct follows *follows, unsigned number, struct follows_place *place)
{
    const struct follows_place *named = &follows->named;
    const struct members *members = &follows->node->membership.now;
    bool by_peer = named->peer[0] != '\0', by_redis = named->redis[0] != '\0';
    *place = *named;
    if (by_peer && number-- == 0) return true;
    place->peer[0] = '\0';
    if (by_redis && number-- == 0) return true;
    if (by_redis && !by_peer) return false;
    for (unsigned i = 0; i < members->count; i++) {
        const struct member *member = &members->at[i];
        bool own = member->id == follows->node->site.identity.copy;
        bool known = member->peer[0] != '\0' || member->redis[0] != '\0';
        if (own || !known || number-- > 0) continue;
        keep(place->redis, member->redis);
        keep(place->peer, member->peer);
        return true;
    }
    return false;
}

static unsigned count_places(const struct follows *follows)
{
    struct follows_place place;
    unsigned count = 0;
    while (place_at(follows, count, &place)) count++;
    return count;
}

/* --- The pauses --- */

static uint64_t pause_us(const struct follows *follows, bool lasting)
{
    unsigned places = count_places(follows);
    unsigned rounds = follows->failures / (places > 0 ? places : 1);
    uint64_t most = NODE_FOLLOWS_PAUSE_US_MIN;
    while (rounds-- > 0 && most < NODE_FOLLOWS_PAUSE_US_MAX) most *= 2;
    if (most > NODE_FOLLOWS_PAUSE_US_MAX) most = NODE_FOLLOWS_PAUSE_US_MAX;
    if (lasting && places < 2) most = NODE_FOLLOWS_PAUSE_US_REFUSED;
    uint64_t drawn;
    entropy_fill(follows->node->world.entropy, &drawn, sizeof drawn);
    return most / 2 + drawn % (most / 2 + 1);
}

/* The connection of an attempt, but not a session, goes. */
static void let_go(struct follows *follows)
{
    clock_timer_stop(clock_of(follows), &follows->timer);
    struct net *net = net_of(follows, follows->phase);
    net->ops->cancel(net, &follows->dial);
    if (follows->asked != NULL) asking_ops(follows)->close(follows->asked, false);
    follows->asked = NULL;
    finder_release(&follows->finder);
}

static const char *address_of(const struct follows_place *place)
{
    return place->redis[0] != '\0' ? place->redis : place->peer;
}

static void note_why(struct follows *follows, const char *reason)
{
    (void)why_fail(&follows->why, ERR_REFUSED, "%s", reason);
    for (char *at = follows->why.text; *at != '\0'; at++) {
        if (*at == '"') *at = '\'';
    }
    if (strcmp(follows->why.text, follows->why_traced.text) == 0) return;
    follows->why_traced = follows->why;
    trace_event(follows->node->world.trace, TRACE_WARNING, "node", "follow_failed",
                "shard=%s address=%s why=\"%s\"", follows->node->options.shard.name,
                address_of(&follows->place), follows->why.text);
}

void follows_retry(struct follows *follows, bool lasting, const char *reason)
{
    let_go(follows);
    note_why(follows, reason);
    /* Who has lost the primary is none for others: or two could follow each other. */
    if (!follows->node->leads) node_serves_end(follows->node, BYE_STOP);
    follows->phase = FOLLOWS_WAITING;
    if (follows->streamed) follows->failures = 0;
    clock_timer_start(clock_of(follows), &follows->timer, pause_us(follows, lasting));
    follows->failures++;
    if (!follows->streamed) follows->attempt++;
    follows->streamed = false;
}

/* --- An attempt --- */

static bool dial(struct follows *follows, enum follows_phase phase, const char *address)
{
    struct why why;
    struct net *net = net_of(follows, phase);
    follows->phase = phase;
    enum err err = net->ops->dial(net, &follows->dial, address, NODE_FOLLOWS_DIAL_US, &why);
    if (err != ERR_OK) follows_retry(follows, true, why.text);
    return err == ERR_OK;
}

/* The one that is said to lead, once. */
static bool place_of_leader(struct follows *follows, struct follows_place *place)
{
    const struct member *leader = members_find(&follows->node->membership.now, follows->leader);
    follows->leader = 0;
    if (leader == NULL) return false;
    keep(place->redis, leader->redis);
    keep(place->peer, leader->peer);
    return true;
}

static void attempt(struct follows *follows)
{
    struct follows_place *place = &follows->place;
    if (!place_of_leader(follows, place) && !place_at(follows, follows->attempt, place)) {
        follows->attempt = 0;
        if (!place_at(follows, 0, place)) {
            follows_retry(follows, false, "no copy is known that could be followed");
            follows->attempt = 0;
            return;
        }
    }
    if (place->peer[0] != '\0') (void)dial(follows, FOLLOWS_DIALLING, place->peer);
    else (void)dial(follows, FOLLOWS_ASKING, place->redis);
}

static void time_over(struct timer *timer)
{
    struct follows *follows = CONTAINER_OF(timer, struct follows, timer);
    if (follows->phase == FOLLOWS_WAITING) attempt(follows);
    else follows_retry(follows, false, "its Redis port does not answer");
}

/* --- The Redis port --- */

/* What is found is at the very machine that was asked. */
static void dial_found(struct follows *follows, const char *asked, unsigned port)
{
    const char *colon = strrchr(asked, ':');
    size_t host = colon == NULL ? strlen(asked) : (size_t)(colon - asked);
    (void)snprintf(follows->place.peer, COPY_ADDRESS_BYTES, "%.*s:%u", (int)host, asked, port);
    (void)dial(follows, FOLLOWS_DIALLING, follows->place.peer);
}

static void take_found(struct follows *follows)
{
    char asked[NET_ADDRESS_TEXT_BYTES];
    unsigned port = follows->finder.port;
    uint64_t copy = follows->finder.copy;
    asking_ops(follows)->peer(follows->asked, asked);
    let_go(follows);
    if (copy == follows->node->site.identity.copy) {
        follows_retry(follows, true, "this server is told to follow itself");
        return;
    }
    if (copy != 0) follows->copy = copy;
    dial_found(follows, asked, port);
}

/* Only who was named, by its Redis port, is meant to be followed whatever it is. */
static void take_redis(struct follows *follows)
{
    struct why why;
    char address[COPY_ADDRESS_BYTES];
    struct node *node = follows->node;
    keep(address, follows->place.redis);
    bool named = follows->named.peer[0] == '\0' && strcmp(address, follows->named.redis) == 0;
    enum err err = ERR_REFUSED;
    if (named) err = node_intake_found(node, address, follows->wipe, &why);
    else (void)why_fail(&why, err, "it is a Redis server, where a copy was");
    if (err == ERR_OK) node_intake_step(node);
    else follows_retry(follows, true, why.text);
}

static void asker_received(struct stream_owner *owner, struct bytes bytes)
{
    struct follows *follows = CONTAINER_OF(owner, struct follows, asker);
    struct why why;
    enum finder_outcome outcome = finder_take(&follows->finder, bytes);
    switch (outcome) {
    case FINDER_MORE: return;
    case FINDER_FOUND: take_found(follows); return;
    case FINDER_REDIS: take_redis(follows); return;
    case FINDER_LOADING:
    case FINDER_CLOSED:
    case FINDER_REFUSED:
    case FINDER_FOREIGN: break;
    }
    why = follows->finder.why;
    follows_retry(follows, outcome != FINDER_LOADING, why.text);
}

static void asker_drained(struct stream_owner *owner)
{
    (void)owner;
}

static void asker_ended(struct stream_owner *owner)
{
    struct follows *follows = CONTAINER_OF(owner, struct follows, asker);
    follows_retry(follows, false, "its Redis port closes the connection");
}

static struct stream_owner *ask(struct follows *follows, struct stream *stream)
{
    static const struct stream_events events = {
        .received = asker_received, .drained = asker_drained, .ended = asker_ended};
    const struct node_copies *copies = &follows->node->copies;
    struct buffer send;
    buffer_init(&send);
    finder_init(&follows->finder, bytes_text(text_of(copies->user)),
                bytes_text(text_of(copies->password)), &send);
    follows->asked = stream;
    follows->asker.events = &events;
    asking_ops(follows)->send(stream, buffer_bytes(&send));
    buffer_release(&send);
    clock_timer_start(clock_of(follows), &follows->timer, NODE_FOLLOWS_ASK_US);
    return &follows->asker;
}

static struct stream_owner *connected(struct dial *dial, struct stream *stream)
{
    struct follows *follows = CONTAINER_OF(dial, struct follows, dial);
    if (follows->phase == FOLLOWS_ASKING) return ask(follows, stream);
    return follows_session_open(follows, stream);
}

static void dial_failed(struct dial *dial, enum dial_failure failure, const struct why *why)
{
    struct follows *follows = CONTAINER_OF(dial, struct follows, dial);
    (void)failure; /* none of them lasts for certain: a name may come to be known */
    follows_retry(follows, false, why->text);
}

/* --- Begin and end --- */

static struct follows *make(struct node *node)
{
    struct follows *follows = memory_zeroed(1, sizeof *follows);
    follows->node = node;
    follows->timer.fired = time_over;
    follows->dial.connected = connected;
    follows->dial.failed = dial_failed;
    follows_session_init(follows);
    return follows;
}

void node_follows_begin(struct node *node, const char *redis, const char *peer, bool wipe)
{
    node_intake_end(node);
    node_follows_end(node, BYE_STOP);
    if (node->follows_kept == NULL) node->follows_kept = make(node);
    struct follows *follows = node->follows = node->follows_kept;
    keep(follows->named.redis, redis);
    keep(follows->named.peer, peer);
    follows->wipe = wipe;
    follows->begun++;
    follows->place = follows->named;
    follows->attempt = follows->failures = 0;
    follows->has_watermarks = false;
    follows->epoch = (struct epoch){0};
    follows->copy = 0;
    follows->why = follows->why_traced = (struct why){""};
    follows->heard_us = follows->down_us = clock_now_us(node->world.clock);
    follows->phase = FOLLOWS_WAITING;
    clock_timer_start(node->world.clock, &follows->timer, 0);
}

void node_follows_end(struct node *node, enum bye_reason reason)
{
    struct follows *follows = node->follows;
    if (follows == NULL) return;
    let_go(follows);
    follows_session_end(follows, reason);
    follows->phase = FOLLOWS_IDLE;
    node->follows = NULL;
}

static void free_late(struct follows_image *image)
{
    struct follows *follows = CONTAINER_OF(image, struct follows, image);
    follows_image_release(image);
    memory_free(follows);
}

void node_follows_close(struct node *node)
{
    struct follows *follows = node->follows_kept;
    if (follows == NULL) return;
    node_follows_end(node, BYE_STOP);
    node->follows_kept = NULL;
    follows_image_let_go(&follows->image);
    if (follows_image_is_busy(&follows->image)) follows->image.returned = free_late;
    else free_late(&follows->image);
}

/* --- What is told of it --- */

/* As Redis words it. */
static const char *link_word(const struct follows *follows)
{
    switch (follows->phase) {
    case FOLLOWS_IDLE:
    case FOLLOWS_WAITING: return "connect";
    case FOLLOWS_ASKING:
    case FOLLOWS_DIALLING: return "connecting";
    case FOLLOWS_SESSION: break;
    }
    if (follows->follower.phase == FOLLOWER_STREAM) return "connected";
    return follows->follower.phase < FOLLOWER_PROMISING ? "connecting" : "sync";
}

/* host and port of "host:port"; brackets of a v6 address go. */
void node_address_split(const char *address, char host[COPY_ADDRESS_BYTES], unsigned *port)
{
    const char *colon = strrchr(address, ':');
    size_t size = colon == NULL ? strlen(address) : (size_t)(colon - address);
    uint64_t number = 0;
    if (colon != NULL && !number_parse_uint64(bytes_text(colon + 1), &number)) number = 0;
    bool six = size >= 2 && address[0] == '[' && address[size - 1] == ']';
    (void)snprintf(host, COPY_ADDRESS_BYTES, "%.*s", (int)(six ? size - 2 : size),
                   six ? address + 1 : address);
    *port = number > UINT16_MAX ? 0 : (unsigned)number;
}

void node_follows_status(const struct node *node, struct copies_status *out)
{
    const struct follows *follows = node->follows;
    if (follows == NULL) return;
    uint64_t now_us = clock_now_us(node->world.clock);
    bool session = follows->phase == FOLLOWS_SESSION;
    const struct follower *follower = &follows->follower;
    node_address_split(address_of(&follows->place), out->primary_host, &out->primary_port);
    if (follows->place.redis[0] == '\0') out->primary_port = 0;
    out->primary_copy = follows->copy;
    out->link = link_word(follows);
    out->link_state = session_state_name(session ? follower->link.state : STATE_DISCONNECTED);
    out->link_down_us = node_follows_streams(node) ? 0 : now_us - follows->down_us;
    uint64_t heard_us = session ? follower->link.received_us : 0;
    if (heard_us < follows->heard_us) heard_us = follows->heard_us;
    out->heard_us = now_us - heard_us;
    if (follows->has_watermarks) {
        out->primary_durable = follows->watermarks.durable;
        out->primary_committed = follows->watermarks.committed;
    }
    if (session && follower->phase == FOLLOWER_TRANSFER) {
        out->sync_done = follower->image_stored;
        out->sync_bytes = follower->image.size;
    }
    out->why = follows->why;
}

struct epoch node_follows_epoch(const struct node *node)
{
    return node->follows == NULL ? (struct epoch){0} : node->follows->epoch;
}

bool node_follows_watermarks(const struct node *node, struct message_watermarks *out)
{
    const struct follows *follows = node->follows;
    if (follows == NULL || !follows->has_watermarks) return false;
    *out = follows->watermarks;
    return true;
}

bool node_follows_streams(const struct node *node)
{
    const struct follows *follows = node->follows;
    return follows != NULL && follows->phase == FOLLOWS_SESSION &&
           follows->follower.phase == FOLLOWER_STREAM;
}
