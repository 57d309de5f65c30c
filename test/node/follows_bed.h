/* SPDX-License-Identifier: Apache-2.0 */
/* follows_bed: a replica's side of sessions over a real log on a disk in memory. The shard around
 * it is faked here, the network's other end is the test: a Redis port that says what the test
 * says, or a primary of test/replica/pair.h. */
#ifndef TEST_NODE_FOLLOWS_BED_H
#define TEST_NODE_FOLLOWS_BED_H

#include <stdio.h>

#include "node/follows_parts.h"
#include "node/internal.h"
#include "test/face/redis/fake_net.h"
#include "test/log/memory_world.h"
#include "test/replica/pair.h"

enum { BED_TURNS = 8 };

struct bed {
    struct node node;
    struct fake_clock clock;
    struct memory_disk disk;
    struct fake_net net;
    struct net_ops net_ops;
    struct trace trace;
    struct machine machine;
    struct log_listener listener;
    uint64_t applied;
    bool stalls;       /* nothing is applied */
    bool behind, full; /* part of the log is in no memory; no more of it may be */
    /* What the shard was asked for. */
    unsigned facts, begins, ends, promotes, appends;
    uint64_t committed;
    struct turn turns[BED_TURNS];
    unsigned turn_count;
    struct image_offer staged; /* by the staging under way; size 0: none */
    uint64_t arrived;
    unsigned stagings;
    bool stages_slowly; /* no staging comes to its end */
    enum err append_err;
    /* The world outside. */
    struct dial *dial; /* under way */
    char dialled[COPY_ADDRESS_BYTES];
    unsigned dials;
    struct stream *stream; /* the newest */
    bool breaks_dials;     /* what is no address */
    bool disk_waits;       /* requests are not answered */
    unsigned warnings;
    struct pair pair;
};

static inline struct bed *bed_of(const struct node *node)
{
    return CONTAINER_OF((struct node *)(uintptr_t)node, struct bed, node);
}

/* --- The shard --- */

void node_facts(const struct node *node, struct recover_facts *facts)
{
    struct bed *bed = bed_of(node);
    bed->facts++;
    *facts = (struct recover_facts){
        .cluster = site_cluster(&node->site),
        .level = NODE_SESSION_LEVEL,
        .copy = 2,
        .incarnation = 1,
        .promised = log_promised(node->log),
        .last = log_last(node->log),
        .floor = log_floor(node->log),
        .durable = log_durable(node->log),
        .committed = {bed->applied},
        .applied = {bed->applied},
        .applied_lineage = bed->pair.copies[0].log[bed->applied].lineage,
        .flushed = {bed->applied},
        .epochs = epochs_view(&node->epochs)};
}

void node_turn(struct node *node, const struct turn *turn)
{
    struct bed *bed = bed_of(node);
    MUST(node->turn.kind == TURN_NONE && bed->turn_count < BED_TURNS);
    node->turn = bed->turns[bed->turn_count++] = *turn;
}

void staging_begin(struct staging *staging, const struct image_offer *offer)
{
    struct bed *bed = bed_of(staging->node);
    MUST(bed->staged.size == 0 && offer->size > 0);
    bed->staged = *offer;
    bed->arrived = 0;
    bed->stagings++;
}

void staging_arrived(struct staging *staging, uint64_t bytes)
{
    struct bed *bed = bed_of(staging->node);
    MUST(bed->staged.size > 0 && bytes >= bed->arrived && bytes <= bed->staged.size);
    bed->arrived = bytes;
}

void staging_finish(struct staging *staging)
{
    struct bed *bed = bed_of(staging->node);
    MUST(bed->arrived == bed->staged.size);
    if (bed->staged.size == 0 || !bed->stages_slowly) staging->told(staging);
}

void staging_give(struct staging *staging, struct turn *turn)
{
    struct bed *bed = bed_of(staging->node);
    turn->taken = bed->staged.size > 0;
    bed->staged.size = 0;
}

void staging_drop(struct staging *staging)
{
    bed_of(staging->node)->staged.size = bed_of(staging->node)->arrived = 0;
}

enum err node_follow_append(struct node *node, struct message_entries entries,
                            struct lineage before, struct why *why)
{
    struct bed *bed = bed_of(node);
    struct entry entry;
    enum err err = bed->append_err;
    if (err != ERR_OK) return why_fail(why, err, "the test says so");
    while (err == ERR_OK && entries_next(&entries, before, &entry)) {
        struct epoch_start start = {.epoch = entry.epoch, .first = entry.lsn};
        size_t count = node->epochs.count;
        bool other = count == 0 || epoch_compare(node->epochs.at[count - 1].epoch, entry.epoch);
        if (other) MUST(epochs_append(&node->epochs, &start, why) == ERR_OK);
        before = entry.lineage;
        err = log_append_entry(node->log, &entry, why);
        bed->appends++;
    }
    log_push(node->log);
    return err;
}

void node_follow_commit(struct node *node, struct lsn lsn)
{
    struct bed *bed = bed_of(node);
    bed->committed = lsn.at;
    node->committed = lsn;
    if (!bed->stalls) bed->applied = lsn.at;
    node_follows_advanced(node);
}

bool node_is_behind(const struct node *node)
{
    return bed_of(node)->behind;
}

bool node_behind_has_room(const struct node *node)
{
    return !bed_of(node)->full;
}

void node_serves_begin(struct node *node)
{
    bed_of(node)->begins++;
    node->serves = (struct serves *)(uintptr_t)1;
}

void node_serves_end(struct node *node, enum bye_reason reason)
{
    (void)reason;
    if (node->serves != NULL) bed_of(node)->ends++;
    node->serves = NULL;
}

void node_stamps_answered(struct node *node, const struct message_stamp *stamp)
{
    (void)node;
    (void)stamp;
}

void node_stamps_session_over(struct node *node)
{
    (void)node;
}

void node_intake_end(struct node *node)
{
    (void)node;
}

void node_intake_step(struct node *node)
{
    (void)node;
}

enum err node_intake_found(struct node *node, const char *address, bool wipe, struct why *why)
{
    (void)node;
    return why_fail(why, ERR_REFUSED, "a Redis server at %s, wipe=%s", address,
                    wipe ? "yes" : "no");
}

void node_votes_promote(struct node *node, struct steer *steer)
{
    MUST(steer == NULL);
    bed_of(node)->promotes++;
}

struct image_place node_image_place(const struct node *node)
{
    return (struct image_place){.directory = node->site.images, .disk = node->world.disk};
}

static inline struct mark bed_applied(const struct machine *machine)
{
    struct machine *own = (struct machine *)(uintptr_t)machine;
    return (struct mark){.lsn = {CONTAINER_OF(own, struct bed, machine)->applied}};
}

static inline struct digest bed_digest(const struct machine *machine)
{
    (void)machine;
    return (struct digest){0};
}

static inline void bed_advanced(struct log_listener *listener)
{
    node_follows_advanced(&CONTAINER_OF(listener, struct bed, listener)->node);
}

static inline void bed_failed(struct log_listener *listener, const struct why *why)
{
    (void)listener;
    (void)why;
    MUST(false);
}

/* --- The world --- */

static inline enum err bed_dial(struct net *net, struct dial *dial, const char *address,
                                uint64_t timeout_us, struct why *why)
{
    struct bed *bed = CONTAINER_OF(CONTAINER_OF(net, struct fake_net, base), struct bed, net);
    MUST(bed->dial == NULL && timeout_us > 0);
    bed->dials++;
    (void)snprintf(bed->dialled, sizeof bed->dialled, "%s", address);
    if (bed->breaks_dials) return why_fail(why, ERR_CONFIG, "no address: \"%s\"", address);
    bed->dial = dial;
    return ERR_OK;
}

static inline void bed_cancel(struct net *net, struct dial *dial)
{
    struct bed *bed = CONTAINER_OF(CONTAINER_OF(net, struct fake_net, base), struct bed, net);
    if (bed->dial == dial) bed->dial = NULL;
}

static inline void bed_line(struct trace *trace, enum trace_level level, const char *room,
                            const char *event, const char *fields)
{
    (void)room;
    (void)event;
    (void)fields;
    if (level == TRACE_WARNING) CONTAINER_OF(trace, struct bed, trace)->warnings++;
}

static inline void bed_open_log(struct bed *bed)
{
    struct log_options options = {
        .segment_bytes = 1 << 20, .durability = LOG_ALWAYS, .cluster = 3, .copy = 2};
    struct log_site site = {"log", &bed->disk.base, &bed->disk.entropy, &bed->clock.base,
                            NULL,  &bed->listener};
    struct log_found found;
    struct why why;
    assert_int_equal(log_create(&site, &options, (struct history){{7}}, &why), ERR_OK);
    assert_int_equal(log_open(&bed->node.log, &site, &options, &found, &why), ERR_OK);
}

static inline struct bed *bed_open(void)
{
    static const struct machine_ops machine = {
        .applied = bed_applied, .flushed = bed_applied, .digest = bed_digest};
    static char directory[] = "d", images[] = "d/images";
    struct bed *bed = memory_zeroed(1, sizeof *bed);
    fake_clock_init(&bed->clock);
    fake_net_init(&bed->net);
    bed->net_ops = *bed->net.base.ops;
    bed->net_ops.dial = bed_dial;
    bed->net_ops.cancel = bed_cancel;
    bed->net.base.ops = &bed->net_ops;
    memory_disk_init(&bed->disk, SIZE_MAX);
    bed->trace.line = bed_line;
    bed->machine.ops = &machine;
    bed->listener = (struct log_listener){bed_advanced, bed_failed};
    struct node *node = &bed->node;
    node->world = (struct world){.clock = &bed->clock.base,
                                 .disk = &bed->disk.base,
                                 .entropy = &bed->disk.entropy,
                                 .net = &bed->net.base,
                                 .peers = &bed->net.base,
                                 .trace = &bed->trace};
    node->phase = NODE_SERVING;
    node->machine = &bed->machine;
    node->copies = (struct node_copies){.secret = "sesame", .peer_port = 17379, .redis_port = 7379};
    node->site = (struct site){.disk = &bed->disk.base,
                               .directory = directory,
                               .images = images,
                               .identity = {.cluster = 3, .copy = 2}};
    epochs_init(&node->epochs);
    bed_open_log(bed);
    pair_open(&bed->pair, 1, (struct commit_rule){COMMIT_LOCAL, 1});
    bed->pair.options[0].silent_us = bed->pair.options[0].hello_us = 60 * 1000 * 1000;
    bed->pair.options[0].stall_us = bed->pair.options[0].keepalive_us = 60 * 1000 * 1000;
    bed->pair.copies[1].durable = UINT64_MAX; /* the pair's own replica is not there */
    bed->pair.copies[0].durable = bed->pair.copies[0].size;
    pair_commit(&bed->pair);
    return bed;
}

/* --- The other end --- */

static inline void bed_turn(struct bed *bed)
{
    fake_clock_turn(&bed->clock);
    if (!bed->disk_waits) (void)memory_turn(&bed->disk);
    fake_clock_turn(&bed->clock);
}

/* The dial under way succeeds. */
static inline void bed_connect(struct bed *bed)
{
    struct dial *dial = bed->dial;
    struct stream *stream = memory_zeroed(1, sizeof *stream);
    assert_non_null(dial);
    bed->dial = NULL;
    stream->window = SIZE_MAX;
    stream->number = ++bed->net.count;
    list_append(&bed->net.streams, &stream->link);
    bed->stream = stream;
    stream->owner = dial->connected(dial, stream);
    assert_non_null(stream->owner);
    bed_turn(bed);
}

static inline void bed_refuse_dial(struct bed *bed)
{
    struct dial *dial = bed->dial;
    assert_non_null(dial);
    bed->dial = NULL;
    dial->failed(dial, DIAL_REFUSED, &(struct why){"Connection refused"});
    bed_turn(bed);
}

static inline void bed_say(struct bed *bed, struct bytes bytes)
{
    if (bed->stream->owner != NULL) bed->stream->owner->events->received(bed->stream->owner, bytes);
    bed_turn(bed);
}

static inline void bed_break(struct bed *bed)
{
    bed->stream->owner->events->ended(bed->stream->owner);
    bed_turn(bed);
}

/* The Redis port's answer. */
static inline void bed_say_info(struct bed *bed, const char *info)
{
    char text[512];
    int size = snprintf(text, sizeof text, "$%zu\r\n%s\r\n", strlen(info), info);
    bed_say(bed, bytes_of(text, (size_t)size));
}

/* Time passes, and only what it brings comes. */
static inline void bed_pass(struct bed *bed, uint64_t us)
{
    fake_clock_pass(&bed->clock, us);
    bed_turn(bed);
}

/* A primary is at the other end of the newest stream. */
static inline void bed_serve(struct bed *bed)
{
    struct pair *pair = &bed->pair;
    uint8_t nonce[MESSAGE_NONCE_BYTES] = {(uint8_t)++pair->endpoint};
    pair->primary = memory_alloc(sizeof *pair->primary);
    primary_init(pair->primary, &pair->options[0], pair->endpoint);
    struct session_event event = {.kind = EVENT_OPENED, .nonce = nonce};
    pair_step(pair, true, &event);
    pair_log_event(pair, true);
}

static inline void bed_unserve(struct bed *bed)
{
    struct pair *pair = &bed->pair;
    if (pair->primary == NULL) return;
    pair->result_count = pair->pins = 0;
    primary_release(pair->primary);
    memory_free(pair->primary);
    pair->primary = NULL;
    buffer_clear(&pair->pipes[0]);
    buffer_clear(&pair->pipes[1]);
}

/* Bytes go both ways, and results come, until nothing moves any more. */
static inline void bed_exchange(struct bed *bed)
{
    struct pair *pair = &bed->pair;
    for (unsigned quiet = 0; quiet < 3; quiet++) {
        bed_turn(bed);
        struct stream *stream = bed->stream;
        if (stream->out.size > 0 || pair->result_count > 0 || pair->pipes[1].size > 0) quiet = 0;
        buffer_append(&pair->pipes[0], buffer_bytes(&stream->out));
        buffer_clear(&stream->out);
        pair_deliver(pair, true, SIZE_MAX);
        while (pair->result_count > 0) pair_answer(pair, 0);
        struct buffer said = pair->pipes[1];
        buffer_init(&pair->pipes[1]);
        if (said.size > 0) bed_say(bed, buffer_bytes(&said));
        buffer_release(&said);
    }
}

/* Entries of the present epoch, committed at once. */
static inline void bed_write(struct bed *bed, unsigned count)
{
    struct pair_copy *copy = &bed->pair.copies[0];
    while (count-- > 0)
        pair_append(copy, copy->promised, copy->log[copy->size].stamp, ++bed->pair.value);
    copy->durable = copy->size;
    pair_commit(&bed->pair);
}

/* Follows a primary at its peer port, and is connected to it. */
static inline void bed_follow(struct bed *bed, bool wipe)
{
    node_follows_begin(&bed->node, "", "10.0.0.1:17379", wipe);
    bed_pass(bed, 0);
    bed_connect(bed);
    bed_serve(bed);
}

static inline struct copies_status bed_status(struct bed *bed)
{
    struct copies_status status = {0};
    node_follows_status(&bed->node, &status);
    return status;
}

static inline void bed_close(struct bed *bed)
{
    node_follows_end(&bed->node, BYE_STOP);
    bed_turn(bed);
    log_abandon(bed->node.log);
    node_follows_close(&bed->node);
    while (memory_turn(&bed->disk)) fake_clock_turn(&bed->clock);
    bed_unserve(bed);
    pair_close(&bed->pair);
    epochs_release(&bed->node.epochs);
    fake_net_release(&bed->net);
    memory_disk_release(&bed->disk);
    memory_free(bed);
}

#endif
