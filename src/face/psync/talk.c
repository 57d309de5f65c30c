/* SPDX-License-Identifier: Apache-2.0 */
/* What a replica says: REPLCONF, PSYNC and SYNC, and what is answered in words. */
#include <stdio.h>

#include "base/number.h"
#include "face/psync/internal.h"

/* How much of a word an error shows. */
static int shown(struct bytes word)
{
    return (int)(word.size < 64 ? word.size : 64);
}

/* Returns NULL, or the error. */
static const char *take_port(struct psync_replica *replica, struct bytes value)
{
    int64_t port = 0;
    if (!number_parse_int64(value, &port)) return "ERR value is not an integer or out of range";
    replica->port = port > 0 && port <= UINT16_MAX ? (unsigned)port : 0;
    return NULL;
}

static const char *take_host(struct psync_replica *replica, struct bytes value)
{
    if (value.size >= sizeof replica->host)
        return "ERR REPLCONF ip-address provided by replica instance is too long";
    for (size_t i = 0; i < value.size; i++) { /* INFO shows it */
        if (value.data[i] <= ' ' || value.data[i] > '~' || value.data[i] == ',')
            return "ERR REPLCONF ip-address provided by replica instance is no address";
    }
    memcpy(replica->host, value.data, value.size);
    replica->host[value.size] = 0;
    return NULL;
}

static const char *take_dump_only(struct psync_replica *replica, struct bytes value)
{
    int64_t only = 0;
    if (!number_parse_int64(value, &only) || only < 0 || only > 1)
        return "ERR value is out of range, must be between 0 and 1";
    replica->dump_only = only == 1;
    return NULL;
}

/* Words apart by spaces: what is to be in the dump. There are no functions here. */
static const char *take_filter(struct psync_replica *replica, struct bytes value)
{
    size_t at = 0;
    replica->without_keys = true;
    while (at < value.size) {
        size_t end = at;
        while (end < value.size && value.data[end] != ' ') end++;
        struct bytes word = bytes_of(value.data + at, end - at);
        if (word.size > 0 && !bytes_is_word(word, "functions"))
            return "ERR Unsupported rdb-filter-only option";
        at = end + 1;
    }
    return NULL;
}

static void take_capability(struct psync_replica *replica, struct bytes value)
{
    if (bytes_is_word(value, "eof")) replica->knows_mark = true;
    if (bytes_is_word(value, "psync2")) replica->knows_psync2 = true;
}

static void take_ack(struct psync_replica *replica, struct bytes value, bool durable)
{
    int64_t offset = 0;
    if (!number_parse_int64(value, &offset) || offset < 0) return;
    if (durable) replica_acked_durable(replica, (uint64_t)offset);
    else replica_acked(replica, (uint64_t)offset);
}

enum { NOT_KNOWN, TAKEN, TAKEN_WITHOUT_ANSWER };

/* One name and its value. */
static int take_pair(struct psync_replica *replica, struct bytes name, struct bytes value,
                     const char **error)
{
    if (bytes_is_word(name, "listening-port")) *error = take_port(replica, value);
    else if (bytes_is_word(name, "ip-address")) *error = take_host(replica, value);
    else if (bytes_is_word(name, "rdb-only")) *error = take_dump_only(replica, value);
    else if (bytes_is_word(name, "rdb-filter-only")) *error = take_filter(replica, value);
    else if (bytes_is_word(name, "capa")) take_capability(replica, value);
    else if (bytes_is_word(name, "ack")) take_ack(replica, value, false);
    else if (bytes_is_word(name, "fack")) take_ack(replica, value, true);
    else if (!bytes_is_word(name, "version") && !bytes_is_word(name, "getack")) return NOT_KNOWN;
    bool quiet = bytes_is_word(name, "ack") || bytes_is_word(name, "getack");
    return quiet ? TAKEN_WITHOUT_ANSWER : TAKEN;
}

void psync_replconf(struct psync_replica *replica, const struct args *args, struct reply *reply)
{
    if (args->count % 2 == 0) {
        reply->ops->error(reply, "ERR syntax error");
        return;
    }
    bool quiet = false;
    for (size_t i = 1; i < args->count; i += 2) {
        const char *error = NULL;
        int taken = take_pair(replica, args->at[i], args->at[i + 1], &error);
        if (taken == NOT_KNOWN) {
            reply_errorf(reply, "ERR Unrecognized REPLCONF option: %.*s", shown(args->at[i]),
                         (const char *)args->at[i].data);
            return;
        }
        if (error != NULL) {
            reply->ops->error(reply, error);
            return;
        }
        quiet = quiet || taken == TAKEN_WITHOUT_ANSWER;
    }
    if (!quiet) reply->ops->simple(reply, "OK");
}

/* Why nobody can be fed now; NULL: it can be done. */
static const char *obstacle(const struct psync *psync)
{
    if (psync->feed == NULL) return "this server feeds no replicas";
    struct service_status status;
    psync->options.service->ops->status(psync->options.service, &status);
    if (status.phase == SERVICE_OPENING) return "the end of the log is being applied";
    if (status.phase == SERVICE_STOPPING) return "the server is being stopped";
    if (psync->options.service->read_only)
        return "this copy follows another one, or does not lead yet: only who leads feeds replicas";
    if (!psync->feed->ops->is_open(psync->feed))
        return "the copies that count have not confirmed this primary yet";
    return NULL;
}

static void decide(struct psync_replica *replica, struct bytes replid, int64_t offset)
{
    struct psync *psync = replica->psync;
    struct place_facts facts;
    psync_facts(psync, &facts);
    enum place_rule rule = place_decide(&facts, replid, offset);
    trace_event(psync->options.trace, TRACE_NOTICE, "psync", "replica_asks",
                "peer=%s offset=%lld first=%llu end=%llu rule=%s", replica->peer, (long long)offset,
                (unsigned long long)facts.place.first, (unsigned long long)facts.place.end,
                place_rule_name(rule));
    if (rule == PLACE_CONTINUE) {
        replica_join(replica, (uint64_t)offset);
        return;
    }
    if (rule != PLACE_FIRST) psync->partial_refused++;
    replica_begin(replica);
}

/* PSYNC replid offset [FAILOVER], SYNC. */
void psync_sync(struct psync_replica *replica, const struct args *args, struct reply *reply)
{
    int64_t offset = -1;
    bool is_old = bytes_is_word(args->at[0], "sync");
    if (replica->phase != REPLICA_NEW) return;
    if (!is_old && args->count > 3 && bytes_is_word(args->at[3], "failover")) {
        reply->ops->error(reply, "ERR PSYNC FAILOVER can't be sent to a master.");
        return;
    }
    if (!is_old && (args->count < 3 || !number_parse_int64(args->at[2], &offset))) {
        reply->ops->error(reply, "ERR value is not an integer or out of range");
        return;
    }
    const char *why_not = obstacle(replica->psync);
    if (why_not != NULL) {
        reply_errorf(reply, "NOMASTERLINK %s", why_not);
        return;
    }
    replica->is_old = is_old;
    psync_heard(replica);
    decide(replica, is_old ? bytes_text("?") : args->at[1], offset);
}
