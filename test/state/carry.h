/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * carry: from a source to a sink, as a codec between them would do it.
 */
#ifndef TEST_STATE_CARRY_H
#define TEST_STATE_CARRY_H

#include "test/state/bed.h"

struct carry_wait {
    struct record_wait base;
    bool done;
};

static inline void carry_done(struct record_wait *wait)
{
    CONTAINER_OF(wait, struct carry_wait, base)->done = true;
}

static inline void carry_run(struct memory_store *store, const struct carry_wait *wait)
{
    while (!wait->done) MUST(memory_store_step(store));
}

static inline enum err carry_give_key(struct memory_store *from, struct record_source *source,
                                      struct record_key *key)
{
    enum err err;
    while ((err = source->ops->key(source, key)) == ERR_PENDING) {
        struct carry_wait wait = {.base.done = carry_done};
        if (source->ops->wait(source, &wait.base)) carry_run(from, &wait);
    }
    return err;
}

static inline enum err carry_give_element(struct memory_store *from, struct record_source *source,
                                          struct record_element *element)
{
    enum err err;
    while ((err = source->ops->element(source, element)) == ERR_PENDING) {
        struct carry_wait wait = {.base.done = carry_done};
        if (source->ops->wait(source, &wait.base)) carry_run(from, &wait);
    }
    return err;
}

static inline void carry_await(struct memory_store *to, struct record_sink *sink)
{
    struct carry_wait wait = {.base.done = carry_done};
    if (sink->ops->wait(sink, &wait.base)) carry_run(to, &wait);
}

static inline enum err carry_take_key(struct memory_store *to, struct record_sink *sink,
                                      const struct record_key *key)
{
    enum err err;
    while ((err = sink->ops->key(sink, key)) == ERR_PENDING) carry_await(to, sink);
    return err;
}

static inline enum err carry_take_element(struct memory_store *to, struct record_sink *sink,
                                          const struct record_element *element)
{
    enum err err;
    while ((err = sink->ops->element(sink, element)) == ERR_PENDING) carry_await(to, sink);
    return err;
}

static inline enum err carry_take_end(struct memory_store *to, struct record_sink *sink)
{
    enum err err;
    while ((err = sink->ops->end(sink)) == ERR_PENDING) carry_await(to, sink);
    return err;
}

static inline enum err carry_finish(struct memory_store *to, struct record_sink *sink,
                                    const struct digest *digest)
{
    enum err err;
    while ((err = state_sink_finish(sink, digest)) == ERR_PENDING) carry_await(to, sink);
    return err;
}

/* Everything; the first error of either. `origins` false: as a foreign file would give it. */
static inline enum err carry_all(struct memory_store *from, struct record_source *source,
                                 struct memory_store *to, struct record_sink *sink, bool origins)
{
    struct record_key key;
    enum err err;
    while ((err = carry_give_key(from, source, &key)) == ERR_OK) {
        if (!origins) key.origin = (struct record_origin){0};
        err = carry_take_key(to, sink, &key);
        for (uint64_t i = 0; i < key.count && err == ERR_OK; i++) {
            struct record_element element;
            err = carry_give_element(from, source, &element);
            if (err == ERR_OK) err = carry_take_element(to, sink, &element);
        }
        if (err == ERR_OK) err = carry_take_end(to, sink);
        if (err != ERR_OK) return err;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Walks all of a source; the error that ended it, ERR_NOT_FOUND at the end. */
static inline enum err carry_walk(struct memory_store *from, struct record_source *source,
                                  uint64_t *elements)
{
    struct record_key key;
    enum err err;
    *elements = 0;
    while ((err = carry_give_key(from, source, &key)) == ERR_OK) {
        struct record_element element;
        while ((err = carry_give_element(from, source, &element)) == ERR_OK) ++*elements;
        if (err != ERR_NOT_FOUND) break;
    }
    return err;
}

#endif
