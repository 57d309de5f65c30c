/* SPDX-License-Identifier: Apache-2.0 */
/* cohort: several nodes with keys machines in one simulated world, each with a Redis port that says
 * where its copies' port is, and candidates of the test's own who ask a node for its promise.
 *
 *     struct cohort *cohort = cohort_open(3, (struct cohort_rule){.all = true, .min_in_sync = 2});
 *     cohort_join(cohort, 1);                           it follows the first, and counts
 *     copy_steer(&cohort->copies[1], STEER_PROMOTE);
 *     UNTIL(cohort, copy_leads(&cohort->copies[1]));
 *     cohort_close(cohort);
 */
#ifndef TEST_NODE_COHORT_H
#define TEST_NODE_COHORT_H

#include "app/keys.h"
#include "base/memory.h"
#include "node/internal.h"
#include "sim/net.h"
#include "sim/paths.h"
#include "test/node/bed.h"

enum {
    COHORT_COPIES = 4,
    COHORT_DOORS = 16,
    COHORT_PEER_PORT = 17379,
    COHORT_REDIS_PORT = 6379,
    COHORT_PATIENCE_US = 60 * 1000 * 1000,
};

struct cohort_rule {
    bool all;
    unsigned min_in_sync;
    uint64_t drop_after_us;
};

/* A connection to the Redis port. */
struct copy_door {
    struct stream_owner owner;
    struct stream *stream; /* NULL: free */
    struct copy *copy;
};

struct copy {
    struct bed bed;
    struct keys keys;
    struct cohort *cohort;
    struct listener redis;
    struct copy_door doors[COHORT_DOORS];
    char host[16], follow[32];
    bool is_redis;                      /* its Redis port does not say that it is a copy */
    void (*started)(struct copy *copy); /* in each start; NULL: nothing */
    struct steer steer;
    bool steered; /* `steer` has ended */
    struct copies_status status;
    char text[512]; /* for the test */
};

struct cohort {
    struct sim_world *world;
    unsigned count;
    struct copy copies[COHORT_COPIES];
};

/* --- The Redis port --- */

static inline void door_close(struct copy_door *door)
{
    if (door->stream == NULL) return;
    struct node *node = door->copy->bed.node;
    node->world.net->ops->close(door->stream, true);
    door->stream = NULL;
}

static inline void door_received(struct stream_owner *owner, struct bytes bytes)
{
    struct copy_door *door = CONTAINER_OF(owner, struct copy_door, owner);
    const struct node *node = door->copy->bed.node;
    char info[128], text[192];
    (void)bytes;
    int size = snprintf(info, sizeof info,
                        "role:%s\r\ntidemark_peer_port:%d\r\ntidemark_copy:%llu\r\n",
                        node->leads ? "master" : "slave", COHORT_PEER_PORT,
                        (unsigned long long)node->site.identity.copy);
    if (door->copy->is_redis) size = snprintf(info, sizeof info, "role:master\r\n");
    size = snprintf(text, sizeof text, "$%d\r\n%s\r\n", size, info);
    node->world.net->ops->send(door->stream, bytes_of(text, (size_t)size));
}

static inline void door_drained(struct stream_owner *owner)
{
    (void)owner;
}

static inline void door_ended(struct stream_owner *owner)
{
    door_close(CONTAINER_OF(owner, struct copy_door, owner));
}

static inline struct stream_owner *copy_accepted(struct listener *listener, struct stream *stream)
{
    static const struct stream_events events = {door_received, door_drained, door_ended};
    struct copy *copy = CONTAINER_OF(listener, struct copy, redis);
    for (unsigned i = 0; i < COHORT_DOORS; i++) {
        struct copy_door *door = &copy->doors[i];
        if (door->stream != NULL) continue;
        *door = (struct copy_door){{&events}, stream, copy};
        return &door->owner;
    }
    return NULL;
}

/* --- A copy --- */

static inline bool copy_start(struct sim_program *program, struct world *world)
{
    struct copy *copy = CONTAINER_OF(program, struct copy, bed.program);
    struct bed *bed = &copy->bed;
    bed->readies = bed->stops = bed->failures = bed->count = 0;
    memset(bed->calls, 0, sizeof bed->calls);
    keys_init(&copy->keys, world, 8 << 20, 1 << 20);
    bed->start_err = node_open(&bed->node, world, &copy->keys.maker, &bed->options, &bed->listener,
                               &bed->why);
    if (bed->start_err != ERR_OK) return false;
    bed->service = node_service(bed->node);
    char address[32];
    (void)snprintf(address, sizeof address, "%s:%d", copy->host, COHORT_REDIS_PORT);
    copy->redis = (struct listener){.accepted = copy_accepted};
    enum err err = world->net->ops->listen(world->net, &copy->redis, address, 0, &bed->why);
    MUST(err == ERR_OK);
    if (copy->started != NULL) copy->started(copy);
    return true;
}

static inline void copy_let_go(struct sim_program *program)
{
    struct copy *copy = CONTAINER_OF(program, struct copy, bed.program);
    struct net *net = copy->bed.node->world.net;
    for (unsigned i = 0; i < COHORT_DOORS; i++) door_close(&copy->doors[i]);
    net->ops->unlisten(net, &copy->redis);
    node_close(copy->bed.node);
}

static inline void copy_ended(struct sim_program *program, enum sim_end end, int status)
{
    struct copy *copy = CONTAINER_OF(program, struct copy, bed.program);
    (void)end;
    (void)status;
    memset(copy->doors, 0, sizeof copy->doors);
    copy->bed.node = NULL;
    copy->bed.service = NULL;
    copy->steered = true;
}

static inline uint64_t copy_id(const struct copy *copy)
{
    return copy->bed.node->site.identity.copy;
}

struct copy_visit {
    struct sim_visit base;
    struct copy *copy;
    void (*run)(struct copy *copy);
};

static inline void copy_visited(struct sim_visit *base, struct world *world)
{
    (void)world;
    struct copy_visit *visit = CONTAINER_OF(base, struct copy_visit, base);
    visit->run(visit->copy);
}

/* Inside the node. */
static inline void copy_do(struct copy *copy, void (*run)(struct copy *copy))
{
    struct copy_visit visit = {{copy_visited}, copy, run};
    (void)sim_node_visit(copy->bed.sim, &visit.base);
}

static inline void copy_looks(struct copy *copy)
{
    copy->bed.service->ops->copies(copy->bed.service, &copy->status);
}

static inline const struct copies_status *copy_status(struct copy *copy)
{
    copy->status = (struct copies_status){0};
    if (sim_node_is_up(copy->bed.sim)) copy_do(copy, copy_looks);
    return &copy->status;
}

/* As this copy says it of another one that it serves; NULL: it does not. */
static inline const struct copy_status *copy_says(struct copy *copy, const struct copy *of)
{
    const struct copies_status *status = copy_status(copy);
    for (unsigned i = 0; i < status->count; i++) {
        if (of->bed.node != NULL && status->at[i].id == copy_id(of)) return &status->at[i];
    }
    return NULL;
}

static inline bool copy_leads(const struct copy *copy)
{
    return copy->bed.node != NULL && copy->bed.node->leads;
}

/* Its epoch is open: what it shows is what is committed. */
static inline bool copy_is_open(const struct copy *copy)
{
    const struct node *node = copy->bed.node;
    return copy_leads(copy) && !lsn_before(node->committed, node->start.epoch_lsn) &&
           !lsn_before(node->machine->ops->applied(node->machine).lsn, node->start.epoch_lsn);
}

static inline bool copy_counts(const struct copy *leader, const struct copy *copy)
{
    if (!copy_leads(leader)) return false;
    const struct progress *progress = &leader->bed.node->progress;
    for (unsigned i = 0; i < progress->count; i++) {
        if (progress->copies[i].id == copy_id(copy))
            return progress->copies[i].counting == COUNTING_IN;
    }
    return false;
}

static inline bool copy_follows(struct copy *copy, const struct copy *leader)
{
    const struct copies_status *status = copy_status(copy);
    return status->role == COPIES_FOLLOWS && status->primary_copy == copy_id(leader) &&
           strcmp(status->link_state, "in_sync") == 0;
}

static inline uint64_t copy_last(const struct copy *copy)
{
    return log_appended(copy->bed.node->log).at;
}

/* --- Steers --- */

static inline void copy_steered(struct steer *steer)
{
    CONTAINER_OF(steer, struct copy, steer)->steered = true;
}

static inline void copy_steers(struct copy *copy)
{
    copy->bed.service->ops->steer(copy->bed.service, &copy->steer);
}

/* It may end later: copy->steered. */
static inline void copy_steer_so(struct copy *copy, struct steer steer)
{
    copy->steer = steer;
    copy->steer.done = copy_steered;
    copy->steered = false;
    copy_do(copy, copy_steers);
}

static inline void copy_steer(struct copy *copy, enum steer_kind kind)
{
    copy_steer_so(copy, (struct steer){.kind = kind});
}

static inline void copy_steer_at(struct copy *copy, enum steer_kind kind, const struct copy *at)
{
    struct steer steer = {.kind = kind, .copy = copy_id(at), .port = COHORT_REDIS_PORT};
    memcpy(steer.host, at->host, sizeof at->host);
    copy_steer_so(copy, steer);
}

/* --- All of them --- */

static inline void cohort_run(struct cohort *cohort, uint64_t us)
{
    (void)sim_world_run_for(cohort->world, us);
    if (sim_world_failure(cohort->world) != NULL) fail_msg("%s", sim_world_failure(cohort->world));
}

/* Time passes until it is so. */
#define UNTIL(cohort, condition) \
    do { \
        uint64_t until_us = sim_world_now_us((cohort)->world) + COHORT_PATIENCE_US; \
        while (!(condition) && sim_world_now_us((cohort)->world) < until_us) \
            cohort_run((cohort), 20 * SIM_MILLISECOND); \
        assert_true(condition); \
    } while (0)

static inline void cohort_make(struct cohort *cohort, unsigned index, struct cohort_rule rule)
{
    struct copy *copy = &cohort->copies[index];
    struct bed *bed = &copy->bed;
    copy->cohort = cohort;
    bed->world = cohort->world;
    bed->program = (struct sim_program){copy_start, copy_let_go, copy_ended};
    bed->sim = sim_node_open(cohort->world, &bed->program, NULL);
    bed->listener = (struct node_listener){bed_ready, bed_failed, bed_stopped};
    (void)snprintf(copy->host, sizeof copy->host, "%s", sim_node_address(bed->sim));
    if (index > 0)
        (void)snprintf(copy->follow, sizeof copy->follow, "%s:%d", cohort->copies[0].host,
                       COHORT_REDIS_PORT);
    bed->options = (struct node_options){
        .shard = {0, "keys"},
        .directory = "data",
        .durability = LOG_ALWAYS,
        .segment_bytes = 1 << 16,
        .reserve_bytes = 1 << 16,
        .flush_bytes_min = 1 << 20,
        .flush_bytes_max = 1 << 20,
        .images.keep = 1,
        .copies = {.follow = copy->follow,
                   .peer_addresses = {"0.0.0.0:17379"},
                   .announced_host = copy->host,
                   .peer_port = COHORT_PEER_PORT,
                   .redis_port = COHORT_REDIS_PORT,
                   .secret = "sesame",
                   .all = rule.all,
                   .min_in_sync = rule.min_in_sync,
                   .drop_after_us = rule.drop_after_us,
                   .rebuilds_max = 1},
    };
}

/* The first leads; the others follow it, once they are started. */
static inline struct cohort *cohort_open(unsigned count, struct cohort_rule rule)
{
    struct cohort *cohort = memory_zeroed(1, sizeof *cohort);
    cohort->world = sim_world_open(1);
    cohort->count = count;
    for (unsigned i = 0; i < count; i++) cohort_make(cohort, i, rule);
    assert_true(sim_node_start(cohort->copies[0].bed.sim));
    UNTIL(cohort, copy_is_open(&cohort->copies[0]));
    return cohort;
}

static inline void cohort_start(struct cohort *cohort, unsigned index)
{
    assert_true(sim_node_start(cohort->copies[index].bed.sim));
}

static inline void cohort_kill(struct cohort *cohort, unsigned index)
{
    sim_node_crash(cohort->copies[index].bed.sim, (struct sim_cut){SIM_KEEP_NOTHING, 0});
}

/* Started, in sync, not asked to count. */
static inline void cohort_visit(struct cohort *cohort, unsigned index)
{
    struct copy *copy = &cohort->copies[index], *leader = &cohort->copies[0];
    cohort_start(cohort, index);
    UNTIL(cohort, copy_follows(copy, leader));
    UNTIL(cohort, copy_says(leader, copy) != NULL);
}

static inline void cohort_join(struct cohort *cohort, unsigned index)
{
    struct copy *copy = &cohort->copies[index], *leader = &cohort->copies[0];
    cohort_visit(cohort, index);
    copy_steer_at(leader, STEER_ADD, copy);
    UNTIL(cohort, leader->steered);
    assert_int_equal(leader->steer.err, ERR_OK);
    UNTIL(cohort, copy->bed.node->membership.now.count == leader->bed.node->membership.now.count);
}

/* With `count` copies of which all count, and the configured rule in force. */
static inline struct cohort *cohort_whole(unsigned count, struct cohort_rule rule)
{
    struct cohort *cohort = cohort_open(count, rule);
    const struct node *leader = cohort->copies[0].bed.node;
    for (unsigned i = 1; i < count; i++) cohort_join(cohort, i);
    UNTIL(cohort, leader->membership.stage == CHANGE_NONE && !leader->membership.proposes);
    for (unsigned i = 1; i < count; i++) {
        const struct node *node = cohort->copies[i].bed.node;
        UNTIL(cohort, log_appended(node->log).at == log_appended(leader->log).at);
        UNTIL(cohort, node->committed.at == leader->committed.at && !node->site.unproven);
    }
    return cohort;
}

/* Nobody has failed; each lets go of all that it holds. */
static inline void cohort_close(struct cohort *cohort)
{
    for (unsigned i = 0; i < cohort->count; i++) {
        struct bed *bed = &cohort->copies[i].bed;
        if (bed->failures > 0) fail_msg("copy %u has failed: %s", i, bed->why.text);
        if (!sim_node_is_up(bed->sim)) continue;
        (void)bed_do(bed, DEED_STOP, NULL, ERR_OK);
        UNTIL(cohort, bed->stops == 1);
        (void)sim_node_stop(bed->sim);
    }
    if (sim_world_failure(cohort->world) != NULL) fail_msg("%s", sim_world_failure(cohort->world));
    sim_world_close(cohort->world);
    memory_free(cohort);
}

/* A write that is answered. */
static inline void copy_write(struct copy *copy, const char *words)
{
    copy->bed.count = 0;
    copy->bed.calls[0] = (struct asked){0};
    struct asked *asked = bed_ask(&copy->bed, CALL_WRITE, words);
    UNTIL(copy->cohort, asked->ended);
    assert_int_equal(asked->end, CALL_ANSWERED);
}

/* A write that nothing is made of. */
static inline struct asked *refused_write(struct copy *copy)
{
    uint64_t before = copy_last(copy);
    copy->bed.count = 0;
    copy->bed.calls[0] = (struct asked){0};
    struct asked *asked = bed_ask(&copy->bed, CALL_WRITE, "SET k v");
    cohort_run(copy->cohort, SIM_SECOND);
    expect_end(asked, CALL_REFUSED);
    assert_int_equal(copy_last(copy), before);
    return asked;
}

/* What it answers to a read, now. */
static inline const char *copy_read(struct copy *copy, const char *words)
{
    copy->bed.count = 0;
    copy->bed.calls[0] = (struct asked){0};
    struct asked *asked = bed_ask(&copy->bed, CALL_READ, words);
    UNTIL(copy->cohort, asked->ended);
    return asked->answer;
}

/* --- A candidate of the test's own --- */

struct asker {
    struct stream_owner owner;
    struct stream *stream; /* NULL: closed */
    struct candidate candidate;
    struct session_options options;
    struct session_effects effects;
    uint8_t nonce[MESSAGE_NONCE_BYTES];
};

static inline void asker_step(struct asker *asker, struct session_event *event)
{
    candidate_step(&asker->candidate, event, &asker->effects);
    if (asker->effects.send.size > 0) sim_send(asker->stream, buffer_bytes(&asker->effects.send));
}

static inline void asker_received(struct stream_owner *owner, struct bytes bytes)
{
    struct asker *asker = CONTAINER_OF(owner, struct asker, owner);
    while (bytes.size > 0) {
        struct session_event event = {.kind = EVENT_RECEIVED, .bytes = &bytes};
        if (asker->candidate.link.over) return;
        asker_step(asker, &event);
    }
}

static inline void asker_drained(struct stream_owner *owner)
{
    (void)owner;
}

static inline void asker_ended(struct stream_owner *owner)
{
    struct asker *asker = CONTAINER_OF(owner, struct asker, owner);
    sim_hang_up(asker->stream, false);
    asker->stream = NULL;
}

static inline void asker_open(struct asker *asker, struct copy *copy,
                              const struct promise_request *request)
{
    static const struct stream_events events = {asker_received, asker_drained, asker_ended};
    *asker = (struct asker){
        .owner = {&events},
        .options = {.cluster = site_cluster(&copy->bed.node->site),
                    .copy = request->candidate,
                    .secret = bytes_text("sesame"),
                    .keepalive_us = UINT64_MAX,
                    .silent_us = UINT64_MAX,
                    .hello_us = UINT64_MAX},
    };
    asker->nonce[0] = (uint8_t)request->epoch.number;
    session_effects_init(&asker->effects);
    candidate_init(&asker->candidate, &asker->options, request);
    asker->stream = sim_connect_from(copy->cohort->world, copy->bed.sim, COHORT_PEER_PORT,
                                     "192.0.2.7", &asker->owner);
    struct session_event event = {.kind = EVENT_OPENED, .nonce = asker->nonce};
    asker_step(asker, &event);
}

static inline void asker_close(struct asker *asker)
{
    if (asker->stream != NULL) sim_hang_up(asker->stream, false);
    candidate_release(&asker->candidate);
    session_effects_release(&asker->effects);
}

/* The whole of it. Nothing granted: also if nothing was answered. */
static inline struct promise_answer copy_asked(struct copy *copy, struct promise_request request)
{
    struct asker *asker = memory_alloc(sizeof *asker);
    asker_open(asker, copy, &request);
    for (unsigned i = 0; i < 100 && !asker->candidate.link.over; i++)
        cohort_run(copy->cohort, 20 * SIM_MILLISECOND);
    struct promise_answer answer = asker->candidate.answer;
    asker_close(asker);
    memory_free(asker);
    return answer;
}

#endif
