/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * fake_feed: a stream that a test writes, and keys "k0", "k1" ... whose exports wait for the test.
 */
#ifndef TEST_FACE_PSYNC_FAKE_FEED_H
#define TEST_FACE_PSYNC_FAKE_FEED_H

#include <stdio.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/must.h"
#include "seam/feed.h"

enum { FAKE_EPOCHS = 4, FAKE_BORDERS = 256 };

struct fake_feed {
    struct feed base;
    bool unopened;
    struct effects_place place;
    struct mark mark;
    struct epoch_start epochs[FAKE_EPOCHS];
    size_t epoch_count;
    struct buffer bytes; /* the stream; its byte 0 has the offset 1 */
    uint64_t borders[FAKE_BORDERS];
    size_t border_count; /* where a replica may join, beside the end */
    struct effects_keep keep;
    unsigned keeps;
    struct feed_listener *listener;

    struct list waiting;     /* exports asked for */
    bool exports_wait;       /* until fake_feed_flushed() */
    unsigned opened, closed; /* exports */
    struct list exports;     /* that are open */
    unsigned keys;           /* of each */
    size_t key_bytes;        /* of each value */
    int lie;                 /* they say that there are so many more keys */
    unsigned pending_of;     /* one call in so many says ERR_PENDING first; 0: none */
    unsigned calls;
    enum err source_err; /* the last key's call says; ERR_OK: it is given */

    bool reads_wait;        /* until fake_feed_fetched() */
    struct feed_read *read; /* that waits */
    enum err read_err;      /* what the next reads say; ERR_OK: what they would */
};

struct fake_export {
    struct export base;
    struct record_source source;
    struct fake_feed *feed;
    struct list node; /* in feed->exports */
    struct export_facts facts;
    unsigned keys, given;
    size_t key_bytes;
    bool element_due, asked;
    struct record_wait *wait;
    char name[16];
    uint8_t *value;
};

static inline struct fake_feed *fake_feed_of(struct feed *feed)
{
    return CONTAINER_OF(feed, struct fake_feed, base);
}

/* --- Exports --- */

static inline bool fake_says_pending(struct fake_export *export)
{
    struct fake_feed *feed = export->feed;
    if (feed->pending_of == 0 || export->asked) {
        export->asked = false;
        return false;
    }
    export->asked = ++feed->calls % feed->pending_of == 0;
    return export->asked;
}

static inline enum err fake_source_key(struct record_source *source, struct record_key *key)
{
    struct fake_export *export = CONTAINER_OF(source, struct fake_export, source);
    struct fake_feed *feed = export->feed;
    if (fake_says_pending(export)) return ERR_PENDING;
    if (export->given + 1 == export->keys && feed->source_err != ERR_OK) {
        return why_fail(&source->why, feed->source_err, "told so");
    }
    if (export->given == export->keys) return ERR_NOT_FOUND;
    snprintf(export->name, sizeof export->name, "k%u", export->given++);
    export->element_due = true;
    *key = (struct record_key){.type = RECORD_STRING, .name = bytes_text(export->name), .count = 1};
    return ERR_OK;
}

static inline enum err fake_source_element(struct record_source *source,
                                           struct record_element *element)
{
    struct fake_export *export = CONTAINER_OF(source, struct fake_export, source);
    if (fake_says_pending(export)) return ERR_PENDING;
    if (!export->element_due) return ERR_NOT_FOUND;
    export->element_due = false;
    *element = (struct record_element){.first = bytes_of(export->value, export->key_bytes)};
    return ERR_OK;
}

/* A wait with a listener ends when the test says so: fake_feed_fetched(). */
static inline bool fake_source_wait(struct record_source *source, struct record_wait *wait)
{
    struct fake_export *export = CONTAINER_OF(source, struct fake_export, source);
    MUST(export->wait == NULL);
    if (!export->feed->reads_wait) return false;
    export->wait = wait;
    return true;
}

static inline enum err fake_export_facts(struct export *base, struct export_facts *facts)
{
    struct fake_export *export = CONTAINER_OF(base, struct fake_export, base);
    if (fake_says_pending(export)) return ERR_PENDING;
    *facts = export->facts;
    return ERR_OK;
}

static inline struct record_source *fake_export_records(struct export *base)
{
    static const struct record_source_ops ops = {
        .key = fake_source_key, .element = fake_source_element, .wait = fake_source_wait};
    struct fake_export *export = CONTAINER_OF(base, struct fake_export, base);
    MUST(export->wait == NULL);
    export->source.ops = &ops;
    export->given = 0;
    export->element_due = false;
    return &export->source;
}

static inline void fake_export_close(struct export *base)
{
    struct fake_export *export = CONTAINER_OF(base, struct fake_export, base);
    export->feed->closed++;
    list_remove(&export->node);
    memory_free(export->value);
    memory_free(export);
}

static inline void fake_open_export(struct fake_feed *feed, struct feed_export *request)
{
    static const struct export_ops ops = {
        .facts = fake_export_facts, .records = fake_export_records, .close = fake_export_close};
    struct fake_export *export = memory_zeroed(1, sizeof *export);
    export->base.ops = &ops;
    export->feed = feed;
    export->facts = (struct export_facts){.mark = feed->mark,
                                          .effects = feed->place,
                                          .keys = feed->keys + (uint64_t)(int64_t)feed->lie};
    export->keys = feed->keys;
    export->key_bytes = feed->key_bytes;
    export->value = memory_alloc(feed->key_bytes + 1);
    memset(export->value, 'v', feed->key_bytes);
    list_append(&feed->exports, &export->node);
    feed->opened++;
    request->export = &export->base;
    request->err = ERR_OK;
    request->done(request);
}

/* Those that wait are opened, or end with this error. */
static inline void fake_feed_flushed(struct fake_feed *feed, enum err err)
{
    struct list *first;
    while ((first = list_first(&feed->waiting)) != NULL) {
        struct feed_export *request = CONTAINER_OF(first, struct feed_export, node);
        list_remove(first);
        if (err == ERR_OK) {
            fake_open_export(feed, request);
        } else {
            request->err = why_fail(&request->why, err, "told so");
            request->done(request);
        }
    }
}

static inline void fake_feed_open_export(struct feed *base, struct feed_export *request)
{
    struct fake_feed *feed = fake_feed_of(base);
    list_append(&feed->waiting, &request->node);
    if (!feed->exports_wait) fake_feed_flushed(feed, ERR_OK);
}

static inline void fake_feed_forget(struct feed *base, struct feed_export *request)
{
    (void)base;
    list_remove(&request->node);
}

/* --- The stream --- */

static inline bool fake_may_join(const struct fake_feed *feed, uint64_t offset)
{
    for (size_t i = 0; i < feed->border_count; i++) {
        if (feed->borders[i] == offset) return true;
    }
    return offset == feed->place.end;
}

static inline enum err fake_read(struct fake_feed *feed, const struct effects_read *read)
{
    if (feed->read_err != ERR_OK) return feed->read_err;
    bool there = feed->place.on && read->offset >= feed->place.first &&
                 read->offset <= feed->place.end;
    if (!there || (read->joins && !fake_may_join(feed, read->offset))) return ERR_NOT_FOUND;
    uint64_t size = feed->place.end - read->offset;
    if (size > read->bytes_max) size = read->bytes_max;
    if (size == 0) return ERR_OK;
    buffer_append(read->out, bytes_of(feed->bytes.data + read->offset - 1, (size_t)size));
    return ERR_OK;
}

static inline void fake_feed_read(struct feed *base, struct feed_read *request)
{
    struct fake_feed *feed = fake_feed_of(base);
    MUST(feed->read != request); /* one at a time */
    if (feed->reads_wait) {
        feed->read = request;
        return;
    }
    request->err = fake_read(feed, &request->read);
    request->done(request);
}

static inline void fake_feed_drop(struct feed *base, struct feed_read *request)
{
    struct fake_feed *feed = fake_feed_of(base);
    if (feed->read == request) feed->read = NULL;
}

/* What waits for the disk has it. False: nothing does. */
static inline bool fake_feed_fetched(struct fake_feed *feed, enum err err)
{
    bool any = false;
    struct feed_read *read = feed->read;
    feed->read = NULL;
    if (read != NULL) {
        any = true;
        read->err = err == ERR_OK ? fake_read(feed, &read->read) : err;
        read->done(read);
    }
    struct list *next;
    for (struct list *at = feed->exports.next; at != &feed->exports; at = next) {
        struct fake_export *export = CONTAINER_OF(at, struct fake_export, node);
        struct record_wait *wait = export->wait;
        next = at->next;
        if (wait == NULL) continue;
        any = true;
        export->wait = NULL;
        wait->err = err;
        wait->done(wait);
    }
    return any;
}

static inline bool fake_feed_is_open(struct feed *feed)
{
    return !CONTAINER_OF(feed, struct fake_feed, base)->unopened;
}

static inline struct effects_place fake_feed_place(struct feed *feed)
{
    return fake_feed_of(feed)->place;
}

static inline struct mark fake_feed_mark(struct feed *feed)
{
    return fake_feed_of(feed)->mark;
}

static inline const struct epoch_start *fake_feed_epochs(struct feed *feed, size_t *count)
{
    *count = fake_feed_of(feed)->epoch_count;
    return fake_feed_of(feed)->epochs;
}

static inline void fake_feed_keep(struct feed *feed, const struct effects_keep *keep)
{
    fake_feed_of(feed)->keep = *keep;
    fake_feed_of(feed)->keeps++;
}

static inline void fake_feed_listen(struct feed *feed, struct feed_listener *listener)
{
    fake_feed_of(feed)->listener = listener;
}

/* --- For tests --- */

/* An entry tells so: a place to join, and then the bytes. */
static inline void fake_feed_add(struct fake_feed *feed, struct bytes bytes)
{
    if (!feed->place.on) return;
    if (feed->border_count < FAKE_BORDERS) feed->borders[feed->border_count++] = feed->place.end;
    buffer_append(&feed->bytes, bytes);
    feed->place.end += bytes.size;
    if (feed->listener != NULL) feed->listener->moved(feed->listener);
}

static inline void fake_feed_switch(struct fake_feed *feed, bool on)
{
    if (feed->place.on == on) return;
    feed->place.on = on;
    if (on) {
        if (feed->place.end > 0) buffer_append_byte(&feed->bytes, '?');
        feed->place.end++;
    }
    feed->place.first = feed->place.end;
    feed->place.database = EFFECTS_DATABASE_NONE;
}

/* Another epoch begins. */
static inline void fake_feed_begin_epoch(struct fake_feed *feed)
{
    MUST(feed->epoch_count < FAKE_EPOCHS);
    feed->mark.epoch.number++;
    feed->epochs[feed->epoch_count++] = (struct epoch_start){
        feed->mark.epoch, {feed->mark.epoch.number}, feed->place.end};
}

static inline void fake_feed_init(struct fake_feed *feed)
{
    static const struct feed_ops ops = {.is_open = fake_feed_is_open,
                                        .place = fake_feed_place,
                                        .mark = fake_feed_mark,
                                        .epochs = fake_feed_epochs,
                                        .open = fake_feed_open_export,
                                        .forget = fake_feed_forget,
                                        .read = fake_feed_read,
                                        .drop = fake_feed_drop,
                                        .keep = fake_feed_keep,
                                        .listen = fake_feed_listen};
    *feed = (struct fake_feed){.base.ops = &ops};
    list_init(&feed->waiting);
    list_init(&feed->exports);
    buffer_init(&feed->bytes);
    memset(feed->mark.history.id, 7, sizeof feed->mark.history.id);
    feed->mark.epoch.copy = 5;
    feed->place.database = EFFECTS_DATABASE_NONE;
    fake_feed_begin_epoch(feed);
}

static inline void fake_feed_release(struct fake_feed *feed)
{
    MUST(list_empty(&feed->waiting) && list_empty(&feed->exports) && feed->read == NULL);
    MUST(feed->opened == feed->closed);
    buffer_release(&feed->bytes);
}

#endif
