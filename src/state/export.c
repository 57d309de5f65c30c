/* SPDX-License-Identifier: Apache-2.0 */
/* The export: a source over a view of its own, which is closed in whatever is under way. */
#include "base/memory.h"
#include "state/core.h"
#include "state/views.h"

struct state_export {
    struct export base;
    struct list node; /* in state->exports */
    struct state *state;
    struct store_view *view;
    struct record_source *source;
    struct record_source given;      /* stands before it: it sees the waits */
    struct record_wait wait, *asked; /* asked: one is under way */
    bool closed;                     /* while it is */
};

static struct state_export *export_of(struct export *base)
{
    return CONTAINER_OF(base, struct state_export, base);
}

static struct state_export *export_of_given(struct record_source *given)
{
    return CONTAINER_OF(given, struct state_export, given);
}

static enum err tell(struct state_export *export, enum err err)
{
    if (err != ERR_OK && err != ERR_PENDING) export->given.why = export->source->why;
    return err;
}

static enum err given_key(struct record_source *given, struct record_key *key)
{
    struct state_export *export = export_of_given(given);
    return tell(export, export->source->ops->key(export->source, key));
}

static enum err given_element(struct record_source *given, struct record_element *element)
{
    struct state_export *export = export_of_given(given);
    return tell(export, export->source->ops->element(export->source, element));
}

static void export_free(struct state_export *export)
{
    struct store *store = export->state->store;
    state_source_close(export->source);
    store->ops->view_close(store, export->view);
    list_remove(&export->node);
    memory_free(export);
}

static void waited(struct record_wait *wait)
{
    struct state_export *export = CONTAINER_OF(wait, struct state_export, wait);
    struct record_wait *asked = export->asked;
    export->asked = NULL;
    if (export->closed) {
        export_free(export);
        return;
    }
    asked->err = wait->err;
    asked->done(asked);
}

static bool given_wait(struct record_source *given, struct record_wait *asked)
{
    struct state_export *export = export_of_given(given);
    export->wait = (struct record_wait){.done = waited};
    if (!export->source->ops->wait(export->source, &export->wait)) return false;
    export->asked = asked;
    return true;
}

static const struct record_source_ops given_ops = {
    .key = given_key, .element = given_element, .wait = given_wait};

static struct record_source *export_records(struct export *base)
{
    struct state_export *export = export_of(base);
    MUST(export->asked == NULL);
    state_source_close(export->source);
    export->source = state_source_open(export->state->store, export->view, STORE_NO_WAIT);
    export->given = (struct record_source){.ops = &given_ops};
    return &export->given;
}

static enum err export_facts(struct export *base, struct export_facts *facts)
{
    struct state_export *export = export_of(base);
    const struct state_facts *held = NULL;
    enum err err = tell(export, state_source_facts(export->source, &held));
    if (err != ERR_OK) return err;
    *facts = (struct export_facts){
        .mark = held->mark, .digest = held->digest, .effects = held->effects, .keys = held->keys};
    return ERR_OK;
}

static void export_close(struct export *base)
{
    struct state_export *export = export_of(base);
    if (export->asked != NULL) {
        export->closed = true; /* its view is being read: waited(), or the close of all */
        state_source_leave(export->source);
        return;
    }
    export_free(export);
}

struct export *state_export(struct machine *machine)
{
    static const struct export_ops ops = {
        .facts = export_facts, .records = export_records, .close = export_close};
    struct state *state = state_of(machine);
    struct state_export *export = memory_zeroed(1, sizeof *export);
    export->base.ops = &ops;
    export->state = state;
    export->view = state->store->ops->view_open(state->store);
    list_append(&state->exports, &export->node);
    (void)export_records(&export->base);
    return &export->base;
}

void state_export_forget(struct state *state)
{
    struct list *first;
    while ((first = list_first(&state->exports)) != NULL) {
        struct state_export *export = CONTAINER_OF(first, struct state_export, node);
        MUST(export->closed);
        list_remove(&export->node);
        state_source_close(export->source);
        memory_free(export);
    }
}
