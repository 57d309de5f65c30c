/* SPDX-License-Identifier: Apache-2.0 */
#include "node/points.h"

#include <inttypes.h>

#include "base/memory.h"
#include "node/internal.h"

static struct point *find(struct node *node, uint64_t id)
{
    for (unsigned i = 0; i < POINTS_MAX; i++) {
        struct point *point = &node->points.at[i];
        if (point->phase != POINT_FREE && point->asked.id == id) return point;
    }
    return NULL;
}

static struct point *in_phase(const struct node *node, enum point_phase phase)
{
    for (unsigned i = 0; i < POINTS_MAX; i++) {
        const struct point *point = &node->points.at[i];
        if (point->phase == phase) return (struct point *)(uintptr_t)point;
    }
    return NULL;
}

static void let_go(struct point *point)
{
    if (point->survey != NULL) point->survey->ops->close(point->survey);
    memory_free(point->sums);
    buffer_release(&point->found);
    *point = (struct point){.phase = POINT_FREE};
}

/* The oldest whose answers were there to be had gives its place. NULL: none has any yet. */
static struct point *make_room(struct node *node)
{
    struct point *oldest = in_phase(node, POINT_FREE);
    if (oldest != NULL) return oldest;
    for (unsigned i = 0; i < POINTS_MAX; i++) {
        struct point *point = &node->points.at[i];
        if (point->phase != POINT_COUNTED) continue;
        if (oldest == NULL || point->until_us < oldest->until_us) oldest = point;
    }
    if (oldest != NULL) let_go(oldest);
    return oldest;
}

static void fail(struct point *point, const char *why)
{
    trace_event(point->node->world.trace, TRACE_WARNING, "node", "verification_failed",
                "shard=%s id=%016" PRIx64 " why=\"%s\"", point->node->options.shard.name,
                point->asked.id, why);
    clock_defer(point->node->world.clock, &point->node->apply); /* it may have held what follows */
    let_go(point);
}

/* --- The view --- */

void node_points_applied(struct node *node, const struct entry *entry)
{
    struct verify_point asked;
    if (entry->payload.data[0] != ENTRY_VERIFY) return;
    if (entry_take_verify(entry->payload, &asked) != ERR_OK || find(node, asked.id) != NULL) return;
    struct point *point = make_room(node);
    if (point == NULL || node->phase != NODE_SERVING) return;
    *point = (struct point){.node = node,
                            .phase = POINT_WANTED,
                            .asked = asked,
                            .mark = node->machine->ops->applied(node->machine)};
    buffer_init(&point->found);
    point->sums = memory_zeroed(asked.ranges, sizeof *point->sums);
}

bool node_points_hold(const struct node *node)
{
    return in_phase(node, POINT_WANTED) != NULL;
}

void node_points_step(struct node *node)
{
    struct point *point = in_phase(node, POINT_WANTED);
    if (point == NULL || node->upkeep.flushing || node->upkeep.flush_wanted) return;
    if (node->phase != NODE_SERVING || node->upkeep.store_low) fail(point, "no flush can be made");
    else node_flush_now(node);
}

void node_points_freezing(struct node *node)
{
    struct point *point = in_phase(node, POINT_WANTED);
    if (point == NULL) return;
    point->phase = POINT_FLUSHING;
    clock_defer(node->world.clock, &node->apply);
}

static void counted(struct survey_ask *ask)
{
    struct point *point = CONTAINER_OF(ask, struct point, ask);
    if (ask->err != ERR_OK || !mark_equal(&ask->mark, &point->mark)) {
        fail(point, ask->err != ERR_OK ? ask->why.text : "the view is of another mark");
        return;
    }
    point->phase = POINT_COUNTED;
    point->digest = ask->recounted;
    point->keys = ask->keys;
    point->misfits = ask->misfits;
    point->until_us = clock_now_us(point->node->world.clock) +
                      (uint64_t)NODE_VERIFY_KEEP_S * 1000000;
}

/* Nothing else has been flushed since: the view is of that mark. */
void node_points_flushed(struct node *node, enum err err)
{
    struct point *point = in_phase(node, POINT_FLUSHING);
    if (point == NULL) return;
    if (err != ERR_OK) {
        fail(point, "its flush failed");
        return;
    }
    point->phase = POINT_COUNTING;
    point->survey = node->machine->ops->survey(node->machine);
    point->ask = (struct survey_ask){.kind = SURVEY_RANGES,
                                     .salt = point->asked.salt,
                                     .ranges = point->asked.ranges,
                                     .sums = point->sums,
                                     .done = counted};
    point->survey->ops->ask(point->survey, &point->ask);
}

/* A view keeps what was deleted since: it goes as soon as space is short. */
void node_points_tick(struct node *node)
{
    uint64_t now_us = clock_now_us(node->world.clock);
    for (unsigned i = 0; i < POINTS_MAX; i++) {
        struct point *point = &node->points.at[i];
        if (point->phase != POINT_COUNTED) continue;
        if (now_us >= point->until_us || node_is_low(node)) let_go(point);
    }
    if (node->turn.kind == TURN_NONE) node_points_step(node);
}

/* --- Answers --- */

static void answer(struct verification *verification, enum err err, const char *why)
{
    verification->err = err;
    verification->why = (struct why){""};
    if (why != NULL) (void)why_fail(&verification->why, err, "%s", why);
    verification->done(verification);
}

static void tell(const struct point *point, struct verification *out)
{
    static const char *const states[] = {[POINT_FREE] = "",
                                         [POINT_WANTED] = "flushing",
                                         [POINT_FLUSHING] = "flushing",
                                         [POINT_COUNTING] = "counting",
                                         [POINT_COUNTED] = "counted",
                                         [POINT_LISTING] = "counted"};
    out->state = states[point->phase];
    out->ranges = point->asked.ranges;
    out->mark = point->mark;
    out->digest = point->digest;
    out->keys = point->keys;
    out->misfits = point->misfits;
    out->sums = point->sums;
    out->percent = point->phase >= POINT_COUNTED ? 100 : 0;
    if (point->phase != POINT_COUNTING) return;
    point->survey->ops->progress(point->survey, &out->bytes, &out->bytes_all);
    uint64_t percent = out->bytes_all == 0 ? 0 : out->bytes * 100 / out->bytes_all;
    out->percent = percent > 99 ? 99 : (unsigned)percent;
}

static void begin_point(struct node *node, struct verification *verification)
{
    struct verify_point point = {.ranges = verification->ranges};
    const char *error = "";
    if (!node->leads) {
        answer(verification, ERR_NOT_LEADER, "a verification begins at the primary");
        return;
    }
    if (point.ranges < 1 || point.ranges > VERIFY_RANGES_MAX) {
        answer(verification, ERR_REFUSED, "there are 1 to 65536 ranges");
        return;
    }
    if (!node_members_may_write(node, &error) || node_is_low(node)) {
        answer(verification, ERR_REFUSED, "no entries can be made now");
        return;
    }
    uint8_t dice[16];
    entropy_fill(node->world.entropy, dice, sizeof dice);
    point.id = load_le64(dice);
    point.salt = load_le64(dice + 8);
    struct buffer payload;
    buffer_init(&payload);
    entry_put_verify(&payload, &point);
    bool made = node_append_own(node, buffer_bytes(&payload)).at != 0;
    buffer_release(&payload);
    verification->id = point.id;
    answer(verification, made ? ERR_OK : ERR_REFUSED, made ? NULL : "the log has no room");
}

static void listed(struct survey_ask *ask)
{
    struct point *point = CONTAINER_OF(ask, struct point, ask);
    struct verification *caller = point->caller;
    point->caller = NULL;
    point->phase = POINT_COUNTED;
    if (caller != NULL) {
        tell(point, caller);
        caller->keys = ask->keys;
        caller->found = buffer_bytes(&point->found);
        answer(caller, ask->err, ask->err == ERR_OK ? NULL : ask->why.text);
    }
    buffer_release(&point->found);
    buffer_init(&point->found);
}

static void list_keys(struct point *point, struct verification *verification)
{
    point->phase = POINT_LISTING;
    point->caller = verification;
    memcpy(point->wanted, verification->wanted, sizeof point->wanted);
    point->ask = (struct survey_ask){.kind = SURVEY_KEYS,
                                     .salt = point->asked.salt,
                                     .ranges = point->asked.ranges,
                                     .wanted = point->wanted,
                                     .wanted_count = verification->wanted_count,
                                     .keys_max = verification->keys_max,
                                     .found = &point->found,
                                     .done = listed};
    point->survey->ops->ask(point->survey, &point->ask);
}

void node_verify(struct service *service, struct verification *verification)
{
    struct node *node = node_of(service);
    if (node->phase != NODE_SERVING || node->machine == NULL) {
        answer(verification, ERR_SHUT, "the server is being started or stopped");
        return;
    }
    if (verification->kind == VERIFICATION_BEGIN) {
        begin_point(node, verification);
        return;
    }
    struct point *point = find(node, verification->id);
    if (point == NULL) {
        answer(verification, ERR_NOT_FOUND, "this copy has no such verification, or not yet");
        return;
    }
    tell(point, verification);
    if (verification->kind == VERIFICATION_STATUS) answer(verification, ERR_OK, NULL);
    else if (point->phase < POINT_COUNTED)
        answer(verification, ERR_PENDING, "it is not counted yet");
    else if (verification->kind == VERIFICATION_RANGES) answer(verification, ERR_OK, NULL);
    else if (point->phase == POINT_LISTING)
        answer(verification, ERR_EXISTS, "another list of its keys is being made");
    else list_keys(point, verification);
}

void node_unverify(struct service *service, struct verification *verification)
{
    struct node *node = node_of(service);
    for (unsigned i = 0; i < POINTS_MAX; i++) {
        struct point *point = &node->points.at[i];
        if (point->caller == verification) point->caller = NULL;
    }
}

/* --- The end of the machine --- */

void node_points_close(struct node *node)
{
    for (unsigned i = 0; i < POINTS_MAX; i++) {
        struct point *point = &node->points.at[i];
        struct verification *caller = point->caller;
        if (point->survey != NULL) point->survey->ops->close(point->survey);
        point->survey = NULL;
        point->caller = NULL;
        if (caller != NULL) answer(caller, ERR_SHUT, "the state of this copy is replaced");
    }
}

void node_points_reset(struct node *node)
{
    for (unsigned i = 0; i < POINTS_MAX; i++) let_go(&node->points.at[i]);
}
