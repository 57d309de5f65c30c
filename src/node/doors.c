/* SPDX-License-Identifier: Apache-2.0 */
/* The first frame of a connection says in which role the other copy comes: one that follows is
 * handed on to serves, one that would lead to the voters. Nothing is answered here; whoever gets
 * the stream gets these bytes too. */
#include "node/doors.h"

#include <string.h>

#include "base/memory.h"
#include "node/internal.h"

enum { DOORS_MAX = 64, DOOR_US = 10 * 1000 * 1000 };

/* A connection whose first frame is not here yet. */
struct door {
    struct stream_owner owner;
    struct doors *doors;
    struct stream *stream;
    struct buffer first;
    uint64_t since_us;
    struct list node; /* in doors->all */
};

struct door_listener {
    struct listener listener;
    struct doors *doors;
};

struct doors {
    struct node *node;
    struct door_listener listeners[NODE_PEER_ADDRESSES_MAX];
    unsigned count; /* that listen */
    struct list all;
    unsigned open;
};

static void door_free(struct door *door)
{
    list_remove(&door->node);
    door->doors->open--;
    buffer_release(&door->first);
    memory_free(door);
}

static void door_shut(struct door *door)
{
    door->doors->node->world.peers->ops->close(door->stream, false);
    door_free(door);
}

/* ERR_PENDING: it is not whole yet; any other error: this is no copy. */
static enum err first_role(struct bytes first, enum message_role *role)
{
    struct frame_reader reader;
    struct frame frame;
    struct message_challenge challenge;
    struct why why;
    frame_reader_init(&reader);
    enum err err = frame_take(&reader, &first, &frame, &why);
    if (err == ERR_OK && frame.head.type != FRAME_CHALLENGE) err = ERR_PROTOCOL;
    if (err == ERR_OK) err = challenge_take(frame.payload, &challenge);
    if (err == ERR_OK) *role = challenge.role;
    frame_reader_release(&reader);
    return err;
}

/* Where others have reached this copy, for a copy that is not told its name; another machine's word
 * counts more than this one's. */
static void note_host(struct node *node, const struct stream *stream)
{
    char local[NET_ADDRESS_TEXT_BYTES];
    if (node->seen_host[0] != '\0' && node->world.peers->ops->is_loopback(stream)) return;
    node->world.peers->ops->local(stream, local);
    char *colon = strrchr(local, ':');
    if (colon == NULL) return;
    *colon = '\0';
    size_t size = strlen(local);
    bool six = local[0] == '[' && local[size - 1] == ']';
    if (six) local[size - 1] = '\0';
    memcpy(node->seen_host, local + (six ? 1 : 0), size + (six ? 0 : 1));
}

/* Whoever takes it owns the stream now; nobody: it is shut. */
static void hand_on(struct door *door, enum message_role role)
{
    struct node *node = door->doors->node;
    struct bytes first = buffer_bytes(&door->first);
    struct stream_owner *owner = NULL;
    note_host(node, door->stream);
    if (role == ROLE_REPLICA) owner = node_serves_accept(node, door->stream, first);
    if (role == ROLE_CANDIDATE) owner = node_voters_accept(node, door->stream, first);
    if (owner == NULL) {
        door_shut(door);
        return;
    }
    node->world.peers->ops->hand_on(door->stream, owner);
    door_free(door);
}

static void door_received(struct stream_owner *owner, struct bytes bytes)
{
    struct door *door = CONTAINER_OF(owner, struct door, owner);
    enum message_role role;
    buffer_append(&door->first, bytes);
    enum err err = first_role(buffer_bytes(&door->first), &role);
    if (err == ERR_PENDING) return;
    if (err == ERR_OK) hand_on(door, role);
    else door_shut(door);
}

static void door_drained(struct stream_owner *owner)
{
    (void)owner;
}

static void door_ended(struct stream_owner *owner)
{
    door_shut(CONTAINER_OF(owner, struct door, owner));
}

static struct stream_owner *accepted_by(struct doors *doors, struct stream *stream)
{
    static const struct stream_events events = {door_received, door_drained, door_ended};
    if (doors->open == DOORS_MAX) return NULL;
    struct door *door = memory_zeroed(1, sizeof *door);
    door->owner.events = &events;
    door->doors = doors;
    door->stream = stream;
    door->since_us = clock_now_us(doors->node->world.clock);
    buffer_init(&door->first);
    list_append(&doors->all, &door->node);
    doors->open++;
    return &door->owner;
}

static struct stream_owner *door_accepted(struct listener *listener, struct stream *stream)
{
    return accepted_by(CONTAINER_OF(listener, struct door_listener, listener)->doors, stream);
}

const char *node_doors_guard(const struct node *node)
{
    bool secret = node->copies.secret != NULL && node->copies.secret[0] != '\0';
    if (node->world.peers->guard != NULL) return secret ? "tls, secret" : "tls";
    return secret ? "secret" : "this machine";
}

enum err node_doors_open(struct node *node, struct why *why)
{
    struct doors *doors = memory_zeroed(1, sizeof *doors);
    node->doors = doors;
    doors->node = node;
    list_init(&doors->all);
    for (size_t i = 0; i < NODE_PEER_ADDRESSES_MAX; i++) {
        const char *address = node->copies.peer_addresses[i];
        if (address == NULL) break;
        bool optional = address[0] == '-';
        struct door_listener *listener = &doors->listeners[doors->count];
        *listener = (struct door_listener){.listener.accepted = door_accepted, .doors = doors};
        struct net *net = node->world.peers;
        enum err err = net->ops->listen(net, &listener->listener, address + (optional ? 1 : 0), 0,
                                        why);
        if (err != ERR_OK && !optional) return err;
        if (err == ERR_OK) doors->count++;
    }
    trace_event(node->world.trace, TRACE_NOTICE, "node", "peers", "listen_at=%u guard=\"%s\"",
                doors->count, node_doors_guard(node));
    return ERR_OK;
}

void node_doors_tick(struct node *node)
{
    struct doors *doors = node->doors;
    if (doors == NULL) return;
    uint64_t now_us = clock_now_us(node->world.clock);
    struct list *first;
    while ((first = list_first(&doors->all)) != NULL) { /* the oldest first */
        struct door *door = CONTAINER_OF(first, struct door, node);
        if (now_us - door->since_us < DOOR_US) return;
        door_shut(door);
    }
}

void node_doors_close(struct node *node)
{
    struct doors *doors = node->doors;
    if (doors == NULL) return;
    struct net *net = node->world.peers;
    for (unsigned i = 0; i < doors->count; i++)
        net->ops->unlisten(net, &doors->listeners[i].listener);
    struct list *first;
    while ((first = list_first(&doors->all)) != NULL)
        door_shut(CONTAINER_OF(first, struct door, node));
    memory_free(doors);
    node->doors = NULL;
}
