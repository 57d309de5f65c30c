/* SPDX-License-Identifier: Apache-2.0 */
/* Facts for the decision of what a copy needs, and whether it is served at all:
 *
 *   refused by the table --> it is told so; it takes nobody's place and ends no session
 *   a copy that the log names, or a visitor for whom there is room --> its session begins, and ends
 *     the one that it had
 *   it needs a rebuild, and others are at it --> it is sent away, and comes again
 *   it was given up --> it is told that it needs a rebuild; an operator allows it */
#include <inttypes.h>

#include "base/host.h"
#include "node/serving.h"

static bool is_text(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~') return false;
    }
    return text.size > 0 && memchr(text.data, ':', text.size) != NULL;
}

/* What a copy calls its address goes into the log and to people: nothing else than one passes. One
 * that names no host, or a wildcard, is reached where its connection comes from. */
static void keep_address(const char *from, struct bytes text, char out[COPY_ADDRESS_BYTES])
{
    memset(out, 0, COPY_ADDRESS_BYTES);
    size_t host = 0;
    if (!is_text(text)) return;
    const char *colon = strrchr(from, ':');
    size_t said = text.size - 1; /* of the host */
    while (text.data[said] != ':') said--;
    if (host_is_wildcard(bytes_of(text.data, said))) {
        if (colon == NULL) return;
        host = (size_t)(colon - from);
        text = bytes_of(text.data + said, text.size - said);
    }
    if (host + text.size >= COPY_ADDRESS_BYTES) return;
    memcpy(out, from, host);
    memcpy(out + host, text.data, text.size);
}

static uint64_t draw_session(const struct serves *serves)
{
    uint64_t session = 0;
    while (session == 0) entropy_fill(serves->node->world.entropy, &session, sizeof session);
    return session;
}

static void gather(struct serve *serve, const struct message_hello *hello)
{
    struct serves *serves = serve->serves;
    struct recover_source *source = &serve->source;
    const struct sender *sender = orchestrator_sender(&serves->senders->orchestrator,
                                                      hello->facts.copy);
    *source = (struct recover_source){.level_least = NODE_SESSION_LEVEL,
                                      .image = serve_newest_image(serves->node)};
    node_facts(serves->node, &source->own);
    source->own.promised = serves->epoch;
    source->own.committed = lsn_max(source->own.committed, source->own.applied);
    /* Whoever follows itself may lack what another has committed: that is no loss. */
    source->strict = !serves->leads || serves->watermarks.mode == COMMIT_ALL;
    if (sender == NULL) return;
    source->given_up = sender->needs_rebuild;
    source->incarnation_seen = sender->incarnation_seen;
    source->acked = sender->acked;
}

static void note_plan(const struct serve *serve, const struct recover_plan *plan)
{
    char text[RECOVER_TEXT_BYTES];
    recover_format(plan, text);
    trace_event(serve->serves->node->world.trace, TRACE_NOTICE, "node", "serve_plan",
                "copy=%" PRIu64 " from=%s %s", serve->copy, serve->from, text);
}

static void send_away(struct serve *serve)
{
    serve->asked.waits = false;
    peer_stop(&serve->peer, BYE_REFUSED);
}

/* False: it is sent away. */
static bool begin(struct serve *serve, const struct message_hello *hello, bool rebuild)
{
    struct serves *serves = serve->serves;
    struct orchestrator *orchestrator = &serves->senders->orchestrator;
    char peer[COPY_ADDRESS_BYTES];
    keep_address(serve->from, hello->peer, peer);
    struct orchestrator_ends ends;
    uint64_t session = draw_session(serves);
    serves_assign(serves, serve->copy, peer); /* without room for it, it is a stranger: */
    const struct sender *sender = orchestrator_begin(orchestrator, serve->copy, session,
                                                     serve->peer.now_us, &ends);
    struct served *served = served_of(serves->senders, serve->copy);
    if (sender == NULL || served == NULL) return false;
    serves_end_sessions(serves, &ends);
    serve->session = session;
    memcpy(served->peer, peer, sizeof peer);
    keep_address(serve->from, hello->redis, served->redis);
    served->heard_us = serve->peer.now_us;
    serve->options.may_rebuild = rebuild && orchestrator_take_rebuild(orchestrator, serve->copy);
    if (rebuild && !serve->options.may_rebuild && !sender->needs_rebuild) return false;
    if (!rebuild || serve->options.may_rebuild)
        node_attached(serves->node, serve->copy, hello->facts.incarnation, session);
    return true;
}

static bool is_named(const struct serve *serve)
{
    const struct members *members = &serve->serves->node->membership.now;
    for (unsigned i = 0; i < members->count; i++) {
        if (members->at[i].id == serve->copy) return true;
    }
    return false;
}

/* The session that it has, if it has one, goes on. */
static void refused(struct serve *serve, const struct recover_plan *plan, uint64_t session)
{
    /* It is not for any stranger to make this copy open another epoch. */
    bool heeded = is_named(serve) || serve->primary.hello.facts.wipe;
    if (plan->refusal == REFUSAL_FENCED && heeded) serve->serves->fenced = true;
    struct orchestrator *orchestrator = &serve->serves->senders->orchestrator;
    const struct sender *sender = orchestrator_sender(orchestrator, serve->copy);
    struct orchestrator_ends ends;
    uint64_t now_us = serve->peer.now_us;
    if (sender != NULL && sender->session != 0) return;
    if (orchestrator_begin(orchestrator, serve->copy, session, now_us, &ends) == NULL) return;
    serve->session = session;
    (void)orchestrator_planned(orchestrator, session, plan, serve->primary.hello.facts.incarnation,
                               now_us);
}

bool serve_facts(struct serve *serve, struct session_event *event)
{
    const struct message_hello *hello = &serve->primary.hello;
    struct recover_source *source = &serve->source;
    struct recover_plan plan;
    serve->copy = hello->facts.copy;
    gather(serve, hello);
    struct lsn common = recover_common(&source->own, &hello->facts);
    if (!serve_lineage(serve, common, source, &event->err)) return false;
    event->kind = EVENT_FACTS;
    event->source = source;
    event->session = draw_session(serve->serves);
    if (event->err != ERR_OK) return true;
    recover_decide(source, &hello->facts, &plan);
    note_plan(serve, &plan);
    if (plan.kind == RECOVER_REFUSE) {
        refused(serve, &plan, event->session);
        return true;
    }
    bool rebuild = plan.kind == RECOVER_REBUILD || plan.kind == RECOVER_REBUILD_BASE;
    if (begin(serve, hello, rebuild)) {
        event->session = serve->session;
        return true;
    }
    send_away(serve);
    return false;
}
