/* SPDX-License-Identifier: Apache-2.0 */
/* Entries for those who follow: out of memory while they are there, which costs nothing; else out
 * of the log's files, a window at a time. */
#include "base/memory.h"
#include "node/serving.h"

static void follow_ready(struct log_follow_listener *listener)
{
    peer_wake(&CONTAINER_OF(listener, struct serve, listener)->peer);
}

static enum err follow_from(struct serve *serve, struct lsn from)
{
    if (serve->follow != NULL && log_follow_at(serve->follow).at == from.at) return ERR_OK;
    struct why why;
    log_follow_close(serve->follow);
    serve->listener.ready = follow_ready;
    enum err err = log_follow_open(&serve->follow, serve->serves->node->log, from, &serve->listener,
                                   &why);
    if (err != ERR_OK)
        trace_event(serve->serves->node->world.trace, TRACE_WARNING, "node", "serve_read_failed",
                    "copy=%016llx why=\"%s\"", (unsigned long long)serve->copy, why.text);
    return err;
}

static enum err follow_next(struct serve *serve, struct lsn through, struct entry *entry)
{
    struct why why;
    enum err err = log_follow_next(serve->follow, through, entry, &why);
    if (err == ERR_CORRUPT || err == ERR_IO)
        trace_event(serve->serves->node->world.trace, TRACE_WARNING, "node", "serve_read_failed",
                    "copy=%016llx why=\"%s\"", (unsigned long long)serve->copy, why.text);
    return err;
}

/* The lineage of the own entry there. False: it is being read. */
bool serve_lineage(struct serve *serve, struct lsn lsn, struct recover_source *source,
                   enum err *err)
{
    const struct log *log = serve->serves->node->log;
    struct mark before = log_before(log), last = log_last(log);
    struct entry entry;
    *err = ERR_OK;
    source->has_lineage = lsn.at == 0;
    source->lineage = (struct lineage){0};
    if (lsn.at == 0 || lsn_before(lsn, before.lsn)) return true;
    source->has_lineage = true;
    if (lsn.at == before.lsn.at) source->lineage = before.lineage;
    else if (lsn.at == last.lsn.at) source->lineage = last.lineage;
    else if (log_entry(log, lsn, &entry)) source->lineage = entry.lineage;
    else {
        *err = follow_from(serve, lsn);
        if (*err == ERR_OK) *err = follow_next(serve, lsn, &entry);
        if (*err == ERR_PENDING) return false;
        if (*err == ERR_OK) source->lineage = entry.lineage;
    }
    return true;
}

/* Whether the batch has room for one more. */
static bool has_room(size_t count, uint64_t size, uint64_t most)
{
    return count < NODE_SERVES_BATCH_ENTRIES && size < most;
}

static size_t read_memory(struct serve *serve)
{
    const struct serve_asked *asked = &serve->asked;
    size_t count = 0;
    uint64_t size = 0;
    while (has_room(count, size, asked->size) && asked->lsn.at + count <= asked->through.at) {
        struct entry *entry = &serve->entries[count];
        if (!log_entry(serve->serves->node->log, (struct lsn){asked->lsn.at + count}, entry)) break;
        size += MESSAGE_ENTRY_HEAD_BYTES + entry->payload.size;
        count++;
    }
    return count;
}

/* What the window holds is gone with the next entry, so payloads are copied. */
static size_t read_files(struct serve *serve, enum err *err)
{
    const struct serve_asked *asked = &serve->asked;
    size_t count = 0;
    buffer_clear(&serve->copied);
    *err = follow_from(serve, asked->lsn);
    while (*err == ERR_OK && has_room(count, serve->copied.size, asked->size)) {
        struct entry *entry = &serve->entries[count];
        *err = follow_next(serve, asked->through, entry);
        if (*err != ERR_OK) break;
        buffer_append(&serve->copied, entry->payload);
        count++;
    }
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        serve->entries[i].payload.data = serve->copied.data + at;
        at += serve->entries[i].payload.size;
    }
    return count;
}

bool serve_read(struct serve *serve, struct session_event *event)
{
    if (serve->entries == NULL)
        serve->entries = memory_zeroed(NODE_SERVES_BATCH_ENTRIES, sizeof *serve->entries);
    enum err err = ERR_OK;
    size_t count = read_memory(serve);
    if (count > 0) { /* its pin would stay behind */
        log_follow_close(serve->follow);
        serve->follow = NULL;
    } else {
        count = read_files(serve, &err);
    }
    if (count == 0 && err == ERR_PENDING) return false;
    event->kind = EVENT_ENTRIES;
    event->err = count > 0 ? ERR_OK : err;
    event->entries = serve->entries;
    event->entry_count = count;
    return true;
}
