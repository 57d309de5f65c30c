/* SPDX-License-Identifier: Apache-2.0 */
/* Publish and subscribe: channels, patterns, shard channels; and keyspace notifications, which are
 * messages too.
 *
 * A message goes to its subscribers at once, except while some client's reply is half written
 * (inside EXEC, or while an entry is being applied), or when a client hears itself: then it waits
 * for the next command or the end of the turn, so that no message stands inside a reply, or before
 * that of its PUBLISH. */
#include "face/redis/internal.h"

#include <stdio.h>
#include <string.h>

#include "base/glob.h"
#include "base/memory.h"
#include "base/table.h"
#include "seam/notify.h"

enum channel_kind { CHANNEL_PLAIN, CHANNEL_PATTERN, CHANNEL_SHARD, CHANNEL_KINDS };

struct channel {
    enum channel_kind kind;
    uint64_t hash;           /* of its name */
    struct list pattern;     /* in pubsub->patterns */
    struct list subscribers; /* struct subscription by its channel link */
    uint64_t count;
    struct bytes name; /* owned */
};

/* Its name in the table is {client, channel}. */
struct subscription {
    struct pair {
        struct client *client;
        struct channel *channel;
    } of;
    struct list by_client, by_channel;
};

struct pubsub {
    struct table channels[CHANNEL_KINDS]; /* struct channel */
    struct table subscriptions;           /* struct subscription */
    struct list patterns;                 /* as they came */
    struct buffer waiting; /* messages: le32 kind, channel size, message size; channel; message */
    struct task announce;
    struct redis_face *face;
    struct config_watch watch;
};

static const struct kind_words {
    const char *subscribe, *unsubscribe, *message;
} kind_words[CHANNEL_KINDS] = {
    [CHANNEL_PLAIN] = {"subscribe", "unsubscribe", "message"},
    [CHANNEL_PATTERN] = {"psubscribe", "punsubscribe", "pmessage"},
    [CHANNEL_SHARD] = {"ssubscribe", "sunsubscribe", "smessage"},
};

bool pubsub_active(const struct client *client)
{
    return client->channels + client->patterns + client->shard_channels > 0;
}

static unsigned *count_of(struct client *client, enum channel_kind kind)
{
    if (kind == CHANNEL_PLAIN) return &client->channels;
    return kind == CHANNEL_PATTERN ? &client->patterns : &client->shard_channels;
}

/* --- The tables --- */

static int channel_compare(const void *object, struct bytes name)
{
    return bytes_compare(((const struct channel *)object)->name, name);
}

static struct bytes pair_bytes(const struct pair *pair)
{
    return bytes_of(pair, sizeof *pair);
}

static int subscription_compare(const void *object, struct bytes pair)
{
    return bytes_compare(pair_bytes(&((const struct subscription *)object)->of), pair);
}

/* Of ids, not of places in memory, so that every run is the same. */
static uint64_t pair_hash(const struct pair *pair)
{
    uint64_t ids[] = {pair->client->id, pair->channel->hash, pair->channel->kind};
    return table_hash(bytes_of(ids, sizeof ids), 0);
}

static struct channel *channel_find(struct pubsub *pubsub, enum channel_kind kind,
                                    struct bytes name)
{
    return table_find(&pubsub->channels[kind], table_hash(name, 0), name);
}

static struct channel *channel_make(struct pubsub *pubsub, enum channel_kind kind,
                                    struct bytes name)
{
    struct channel *channel = memory_zeroed(1, sizeof *channel);
    uint8_t *copy = memory_alloc(name.size + 1);
    if (name.size > 0) memcpy(copy, name.data, name.size);
    channel->kind = kind;
    channel->hash = table_hash(name, 0);
    channel->name = bytes_of(copy, name.size);
    list_init(&channel->subscribers);
    list_init(&channel->pattern);
    if (kind == CHANNEL_PATTERN) list_append(&pubsub->patterns, &channel->pattern);
    table_insert(&pubsub->channels[kind], channel->hash, channel->name, channel);
    return channel;
}

static struct subscription *subscription_find(struct client *client, struct channel *channel)
{
    struct pair pair = {client, channel};
    struct pubsub *pubsub = client->face->pubsub;
    return table_find(&pubsub->subscriptions, pair_hash(&pair), pair_bytes(&pair));
}

static void subscription_make(struct client *client, struct channel *channel)
{
    struct subscription *one = memory_zeroed(1, sizeof *one);
    one->of = (struct pair){client, channel};
    channel->count++;
    ++*count_of(client, channel->kind);
    list_append(&channel->subscribers, &one->by_channel);
    list_append(&client->subscriptions, &one->by_client);
    table_insert(&client->face->pubsub->subscriptions, pair_hash(&one->of), pair_bytes(&one->of),
                 one);
}

static void subscription_end(struct subscription *one)
{
    struct channel *channel = one->of.channel;
    struct pubsub *pubsub = one->of.client->face->pubsub;
    --*count_of(one->of.client, channel->kind);
    table_remove(&pubsub->subscriptions, pair_hash(&one->of), one);
    list_remove(&one->by_client);
    list_remove(&one->by_channel);
    memory_free(one);
    if (--channel->count > 0) return;
    table_remove(&pubsub->channels[channel->kind], channel->hash, channel);
    list_remove(&channel->pattern);
    memory_free((void *)(uintptr_t)channel->name.data);
    memory_free(channel);
}

/* --- Subscribing --- */

static void tell_change(struct client *client, const char *word, const struct bytes *name,
                        enum channel_kind kind)
{
    struct reply *reply = client_push(client); /* CLIENT REPLY does not mute it */
    reply->ops->push(reply, 3);
    reply->ops->bulk(reply, bytes_text(word));
    if (name == NULL) {
        reply->ops->null(reply);
    } else {
        reply->ops->bulk(reply, *name);
    }
    bool shard = kind == CHANNEL_SHARD;
    reply->ops->integer(reply,
                        shard ? client->shard_channels : client->channels + client->patterns);
}

static void subscribe(struct client *client, const struct args *args, enum channel_kind kind)
{
    struct pubsub *pubsub = client->face->pubsub;
    for (size_t i = 1; i < args->count; i++) {
        struct bytes name = args->at[i];
        struct channel *channel = channel_find(pubsub, kind, name);
        if (channel == NULL) channel = channel_make(pubsub, kind, name);
        if (subscription_find(client, channel) == NULL) subscription_make(client, channel);
        tell_change(client, kind_words[kind].subscribe, &name, kind);
    }
}

static void unsubscribe_all(struct client *client, enum channel_kind kind)
{
    if (*count_of(client, kind) == 0) tell_change(client, kind_words[kind].unsubscribe, NULL, kind);
    struct list *at = client->subscriptions.next;
    while (*count_of(client, kind) > 0 && at != &client->subscriptions) {
        struct subscription *one = CONTAINER_OF(at, struct subscription, by_client);
        at = at->next;
        const struct channel *channel = one->of.channel;
        if (channel->kind != kind) continue;
        uint8_t *copy = memory_alloc(channel->name.size + 1);
        struct bytes name = bytes_of(copy, channel->name.size);
        if (name.size > 0) memcpy(copy, channel->name.data, name.size);
        subscription_end(one);
        tell_change(client, kind_words[kind].unsubscribe, &name, kind);
        memory_free(copy);
    }
}

static void unsubscribe(struct client *client, const struct args *args, enum channel_kind kind)
{
    if (args->count == 1) {
        unsubscribe_all(client, kind);
        return;
    }
    for (size_t i = 1; i < args->count; i++) {
        struct channel *channel = channel_find(client->face->pubsub, kind, args->at[i]);
        struct subscription *one = channel == NULL ? NULL : subscription_find(client, channel);
        if (one != NULL) subscription_end(one);
        tell_change(client, kind_words[kind].unsubscribe, &args->at[i], kind);
    }
}

void face_SUBSCRIBE(struct client *client, const struct args *args)
{
    subscribe(client, args, CHANNEL_PLAIN);
}

void face_UNSUBSCRIBE(struct client *client, const struct args *args)
{
    unsubscribe(client, args, CHANNEL_PLAIN);
}

void face_PSUBSCRIBE(struct client *client, const struct args *args)
{
    subscribe(client, args, CHANNEL_PATTERN);
}

void face_PUNSUBSCRIBE(struct client *client, const struct args *args)
{
    unsubscribe(client, args, CHANNEL_PATTERN);
}

void face_SSUBSCRIBE(struct client *client, const struct args *args)
{
    subscribe(client, args, CHANNEL_SHARD);
}

void face_SUNSUBSCRIBE(struct client *client, const struct args *args)
{
    unsubscribe(client, args, CHANNEL_SHARD);
}

void pubsub_forget(struct client *client)
{
    struct list *first;
    while ((first = list_first(&client->subscriptions)) != NULL) {
        subscription_end(CONTAINER_OF(first, struct subscription, by_client));
    }
}

/* --- Messages --- */

static void send_message(struct client *client, const struct channel *channel, struct bytes name,
                         struct bytes message)
{
    if (client->dead || client->closing) return;
    struct reply *reply = client_push(client);
    bool pattern = channel->kind == CHANNEL_PATTERN;
    reply->ops->push(reply, pattern ? 4 : 3);
    reply->ops->bulk(reply, bytes_text(kind_words[channel->kind].message));
    if (pattern) reply->ops->bulk(reply, channel->name);
    reply->ops->bulk(reply, name);
    reply->ops->bulk(reply, message);
    client_touch(client);
}

static void send_to_channel(const struct channel *channel, struct bytes name, struct bytes message)
{
    const struct list *end = &channel->subscribers;
    for (struct list *at = end->next; at != end; at = at->next) {
        struct subscription *one = CONTAINER_OF(at, struct subscription, by_channel);
        send_message(one->of.client, channel, name, message);
    }
}

/* How many clients receive it; they do when `deliver`. */
static uint64_t publish(struct pubsub *pubsub, enum channel_kind kind, struct bytes name,
                        struct bytes message, bool deliver)
{
    uint64_t receivers = 0;
    struct channel *channel = channel_find(pubsub, kind, name);
    if (channel != NULL) {
        receivers += channel->count;
        if (deliver) send_to_channel(channel, name, message);
    }
    if (kind == CHANNEL_SHARD) return receivers;
    for (struct list *at = pubsub->patterns.next; at != &pubsub->patterns; at = at->next) {
        channel = CONTAINER_OF(at, struct channel, pattern);
        if (!glob_match(channel->name, name, false)) continue;
        receivers += channel->count;
        if (deliver) send_to_channel(channel, name, message);
    }
    return receivers;
}

static void publish_later(struct pubsub *pubsub, enum channel_kind kind, struct bytes name,
                          struct bytes message)
{
    buffer_append_le32(&pubsub->waiting, (uint32_t)kind);
    buffer_append_le32(&pubsub->waiting, (uint32_t)name.size);
    buffer_append_le32(&pubsub->waiting, (uint32_t)message.size);
    buffer_append(&pubsub->waiting, name);
    buffer_append(&pubsub->waiting, message);
    clock_defer(pubsub->face->options.clock, &pubsub->announce);
}

void pubsub_deliver(struct redis_face *face)
{
    struct pubsub *pubsub = face->pubsub;
    if (pubsub->waiting.size == 0) return;
    const uint8_t *at = pubsub->waiting.data, *end = at + pubsub->waiting.size;
    while (at < end) {
        enum channel_kind kind = (enum channel_kind)load_le32(at);
        struct bytes name = bytes_of(at + 12, load_le32(at + 4));
        struct bytes message = bytes_of(at + 12 + name.size, load_le32(at + 8));
        (void)publish(pubsub, kind, name, message, true);
        at += 12 + name.size + message.size;
    }
    buffer_clear(&pubsub->waiting);
    buffer_shrink(&pubsub->waiting, REDIS_BUFFER_KEPT_BYTES);
}

void pubsub_tell(struct redis_face *face, bool sharded, const struct published *published)
{
    enum channel_kind kind = sharded ? CHANNEL_SHARD : CHANNEL_PLAIN;
    pubsub_deliver(face);
    (void)publish(face->pubsub, kind, published->channel, published->message, true);
}

static void face_publish(struct client *client, const struct args *args, enum channel_kind kind)
{
    struct pubsub *pubsub = client->face->pubsub;
    /* A client that listens to itself gets the answer first, then the message. */
    bool later = client->face->in_exec || pubsub->waiting.size > 0 || pubsub_active(client);
    uint64_t receivers = publish(pubsub, kind, args->at[1], args->at[2], !later);
    if (later && receivers > 0) publish_later(pubsub, kind, args->at[1], args->at[2]);
    struct published published = {client->database, args->at[1], args->at[2]};
    psync_publish(client->face->psync, kind == CHANNEL_SHARD, &published);
    client_reply(client)->ops->integer(client_reply(client), (int64_t)receivers);
}

static void announce(struct task *task)
{
    pubsub_deliver(CONTAINER_OF(task, struct pubsub, announce)->face);
}

void face_PUBLISH(struct client *client, const struct args *args)
{
    face_publish(client, args, CHANNEL_PLAIN);
}

void face_SPUBLISH(struct client *client, const struct args *args)
{
    face_publish(client, args, CHANNEL_SHARD);
}

/* --- PUBSUB --- */

static void list_channels(struct client *client, const struct args *args, enum channel_kind kind)
{
    struct pubsub *pubsub = client->face->pubsub;
    struct reply *reply = client_reply(client);
    size_t opened = reply->ops->array_open(reply), count = 0;
    struct table_cursor cursor;
    const struct channel *channel = table_seek(&pubsub->channels[kind], &cursor, 0);
    for (; channel != NULL; channel = table_next(&cursor, channel->name)) {
        if (args->count > 2 && !glob_match(args->at[2], channel->name, false)) continue;
        reply->ops->bulk(reply, channel->name);
        count++;
    }
    reply->ops->array_close(reply, opened, count);
}

static void count_subscribers(struct client *client, const struct args *args,
                              enum channel_kind kind)
{
    struct reply *reply = client_reply(client);
    reply->ops->array(reply, (args->count - 2) * 2);
    for (size_t i = 2; i < args->count; i++) {
        const struct channel *channel = channel_find(client->face->pubsub, kind, args->at[i]);
        reply->ops->bulk(reply, args->at[i]);
        reply->ops->integer(reply, channel == NULL ? 0 : (int64_t)channel->count);
    }
}

void face_PUBSUB_CHANNELS(struct client *client, const struct args *args)
{
    list_channels(client, args, CHANNEL_PLAIN);
}

void face_PUBSUB_SHARDCHANNELS(struct client *client, const struct args *args)
{
    list_channels(client, args, CHANNEL_SHARD);
}

void face_PUBSUB_NUMSUB(struct client *client, const struct args *args)
{
    count_subscribers(client, args, CHANNEL_PLAIN);
}

void face_PUBSUB_SHARDNUMSUB(struct client *client, const struct args *args)
{
    count_subscribers(client, args, CHANNEL_SHARD);
}

void face_PUBSUB_NUMPAT(struct client *client, const struct args *args)
{
    (void)args;
    struct reply *reply = client_reply(client);
    reply->ops->integer(reply, (int64_t)client->face->pubsub->channels[CHANNEL_PATTERN].count);
}

/* --- Keyspace notifications --- */

static uint32_t wanted_bit(unsigned class)
{
    _Static_assert(NOTIFY_GENERIC << 2 == (int)CONFIG_EVENT_GENERIC, "classes stand in one order");
    _Static_assert(NOTIFY_EXPIRED << 2 == (int)CONFIG_EVENT_EXPIRED, "classes stand in one order");
    return class == NOTIFY_NEW ? CONFIG_EVENT_NEW : class << 2;
}

static void keyspace(struct service_listener *listener, unsigned class, const char *name,
                     uint8_t database, struct bytes key)
{
    struct redis_face *face = CONTAINER_OF(listener, struct redis_face, keyspace);
    uint32_t events = config_events(face->options.config);
    if ((events & wanted_bit(class)) == 0) return;
    struct buffer channel;
    buffer_init(&channel);
    if ((events & CONFIG_EVENT_KEYSPACE) != 0) {
        buffer_append_format(&channel, "__keyspace@%u__:", database);
        buffer_append(&channel, key);
        publish_later(face->pubsub, CHANNEL_PLAIN, buffer_bytes(&channel), bytes_text(name));
    }
    if ((events & CONFIG_EVENT_KEYEVENT) != 0) {
        buffer_clear(&channel);
        buffer_append_format(&channel, "__keyevent@%u__:%s", database, name);
        publish_later(face->pubsub, CHANNEL_PLAIN, buffer_bytes(&channel), key);
    }
    buffer_release(&channel);
}

static enum err events_changed(struct config_watch *watch, const struct config *config,
                               enum config_id id, struct why *why)
{
    (void)why;
    if (id != CONFIG_NOTIFY_KEYSPACE_EVENTS) return ERR_OK;
    struct redis_face *face = CONTAINER_OF(watch, struct pubsub, watch)->face;
    struct service *service = face->options.service;
    service->ops->listen(service, config_events(config) == 0 ? NULL : &face->keyspace);
    return ERR_OK;
}

void pubsub_describe(const struct redis_face *face, struct buffer *out)
{
    const struct pubsub *pubsub = face->pubsub;
    buffer_append_format(out,
                         "pubsub_channels:%zu\r\npubsub_patterns:%zu\r\n"
                         "pubsubshard_channels:%zu\r\n",
                         pubsub->channels[CHANNEL_PLAIN].count,
                         pubsub->channels[CHANNEL_PATTERN].count,
                         pubsub->channels[CHANNEL_SHARD].count);
}

void pubsub_open(struct redis_face *face)
{
    struct pubsub *pubsub = memory_zeroed(1, sizeof *pubsub);
    for (size_t i = 0; i < CHANNEL_KINDS; i++) table_init(&pubsub->channels[i], channel_compare);
    table_init(&pubsub->subscriptions, subscription_compare);
    list_init(&pubsub->patterns);
    buffer_init(&pubsub->waiting);
    pubsub->announce.run = announce;
    pubsub->face = face;
    face->pubsub = pubsub;
    face->keyspace.keyspace = keyspace;
    pubsub->watch.changed = events_changed;
    config_watch(face->options.config, &pubsub->watch);
    (void)events_changed(&pubsub->watch, face->options.config, CONFIG_NOTIFY_KEYSPACE_EVENTS, NULL);
}

void pubsub_close(struct redis_face *face)
{
    struct pubsub *pubsub = face->pubsub;
    config_unwatch(&pubsub->watch);
    face->options.service->ops->listen(face->options.service, NULL);
    clock_cancel(face->options.clock, &pubsub->announce);
    buffer_release(&pubsub->waiting);
    for (size_t i = 0; i < CHANNEL_KINDS; i++) table_release(&pubsub->channels[i]);
    table_release(&pubsub->subscriptions);
    memory_free(pubsub);
    face->pubsub = NULL;
}
