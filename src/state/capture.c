/* SPDX-License-Identifier: Apache-2.0 */
/* The capture: a view of the store that the newest flush left, and what its own meta record says of
 * it (I4). Nothing here looks at what is applied.
 *
 * A small cache may have lost the begin of what was warmed when the end of it is there: so less is
 * warmed when a place is missing again, and at last it is waited for. */
#include "base/memory.h"
#include "base/plant.h"
#include "state/core.h"

enum { CAPTURE_WARM_BYTES = 1 << 20, CAPTURE_WARM_BYTES_MIN = 4 << 10 };

struct state_capture {
    struct capture base;
    struct list node; /* in state->captures */
    struct state *state;
    struct store_view *view;
    struct store_cursor *cursor;
    enum store_patience patience; /* the cursor's */
    unsigned attempts;            /* at what comes next, in vain */
    uint64_t warm_bytes;
    struct buffer place; /* the key given last */
    bool begun, placed;  /* a key was given; the cursor stands on it */
    bool want_meta;      /* what was missing is the meta record */
    bool closed;         /* while the warm was under way */
    struct meta meta;    /* of the view; mark 0: not read yet */
    struct buffer from;
    struct store_range range;
    struct store_warm warm;
    struct capture_warm *asked; /* under way */
};

static struct state_capture *capture_of(struct capture *base)
{
    return CONTAINER_OF(base, struct state_capture, base);
}

static void cursor_open(struct state_capture *capture, enum store_patience patience)
{
    struct store *store = capture->state->store;
    if (capture->cursor != NULL) capture->cursor->ops->close(capture->cursor);
    capture->cursor = store->ops->cursor(store, capture->view, patience);
    capture->patience = patience;
    capture->placed = false;
}

/* The cursor for what comes next. */
static struct store_cursor *cursor_of(struct state_capture *capture)
{
    bool waits = capture->attempts >= MACHINE_ATTEMPTS_MAX;
    enum store_patience patience = waits ? STORE_WAIT : STORE_NO_WAIT;
    if (patience != capture->patience) cursor_open(capture, patience);
    return capture->cursor;
}

static enum err read_meta(struct state_capture *capture, struct why *why)
{
    struct store_cursor *cursor = cursor_of(capture);
    capture->placed = false;
    enum err err = cursor->ops->seek(cursor, bytes_text("M"));
    capture->want_meta = err == ERR_PENDING;
    if (err == ERR_OK && !bytes_equal(cursor->ops->key(cursor), bytes_text("M")))
        err = ERR_NOT_FOUND;
    if (err == ERR_PENDING) return err;
    capture->attempts = 0;
    if (err == ERR_NOT_FOUND) return why_fail(why, err, "nothing was flushed yet");
    if (err != ERR_OK) return why_fail(why, err, "the meta record cannot be read");
    return meta_decode(cursor->ops->value(cursor), &capture->meta, why);
}

static enum err capture_facts(struct capture *base, struct capture_facts *facts, struct why *why)
{
    struct state_capture *capture = capture_of(base);
    if (capture->meta.epochs == NULL) {
        enum err err = read_meta(capture, why);
        if (err != ERR_OK) return err;
    }
    const struct meta *meta = &capture->meta;
    struct store *store = capture->state->store;
    *facts = (struct capture_facts){.mark = meta->mark,
                                    .stamp = meta->stamp,
                                    .digest = meta_digest(meta->databases),
                                    .epochs = meta->epochs,
                                    .epoch_count = meta->epoch_count,
                                    .bytes_expected = store->ops->approximate_bytes(store)};
    for (unsigned i = 0; i < DATABASES; i++) facts->keys += meta->databases[i].keys;
    if (PLANTED(IMAGE_MARK_BESIDE)) {
        const struct machine *machine = &capture->state->base;
        facts->mark = machine->ops->applied(machine);
        facts->stamp = machine->ops->stamp(machine);
        facts->digest = machine->ops->digest(machine);
    }
    return ERR_OK;
}

/* Behind the key that was given last. */
static struct bytes next_place(struct state_capture *capture)
{
    buffer_clear(&capture->from);
    buffer_append(&capture->from, buffer_bytes(&capture->place));
    buffer_append_byte(&capture->from, 0);
    return capture->begun ? buffer_bytes(&capture->from) : bytes_of("", 0);
}

static enum err capture_next(struct capture *base, struct bytes *key, struct bytes *value)
{
    struct state_capture *capture = capture_of(base);
    struct store_cursor *cursor = cursor_of(capture);
    enum err err = capture->placed ? cursor->ops->next(cursor)
                                   : cursor->ops->seek(cursor, next_place(capture));
    capture->placed = err == ERR_OK;
    if (err != ERR_OK) return err;
    capture->attempts = 0;
    *key = cursor->ops->key(cursor);
    *value = cursor->ops->value(cursor);
    buffer_clear(&capture->place);
    buffer_append(&capture->place, *key);
    capture->begun = true;
    return ERR_OK;
}

static void capture_free(struct state_capture *capture)
{
    list_remove(&capture->node);
    memory_free(capture->meta.epochs);
    buffer_release(&capture->place);
    buffer_release(&capture->from);
    memory_free(capture);
}

static void view_close(struct state_capture *capture)
{
    struct store *store = capture->state->store;
    store->ops->view_close(store, capture->view);
}

static void capture_warmed(struct store_warm *warm)
{
    struct state_capture *capture = CONTAINER_OF(warm, struct state_capture, warm);
    struct capture_warm *asked = capture->asked;
    capture->asked = NULL;
    if (capture->closed) {
        view_close(capture);
        capture_free(capture);
        return;
    }
    asked->err = warm->err;
    asked->why = warm->why;
    asked->done(asked);
}

static void capture_warm(struct capture *base, struct capture_warm *asked)
{
    struct state_capture *capture = capture_of(base);
    struct store *store = capture->state->store;
    MUST(capture->asked == NULL);
    capture->asked = asked;
    struct bytes from = capture->want_meta ? bytes_text("M") : next_place(capture);
    if (from.size == 0) from = bytes_of("", 1); /* the first key is not shorter than one byte */
    capture->want_meta = false;
    if (capture->attempts++ > 0 && capture->warm_bytes > CAPTURE_WARM_BYTES_MIN)
        capture->warm_bytes /= 4;
    capture->range = (struct store_range){
        .from = from, .to = bytes_text("\xff"), .bytes_max = capture->warm_bytes};
    capture->warm = (struct store_warm){
        .ranges = &capture->range, .count = 1, .view = capture->view, .done = capture_warmed};
    store->ops->warm(store, &capture->warm);
}

static void capture_close(struct capture *base)
{
    struct state_capture *capture = capture_of(base);
    capture->cursor->ops->close(capture->cursor);
    if (capture->asked != NULL) {
        capture->closed = true; /* its view is being read: capture_warmed(), or the close of all */
        return;
    }
    view_close(capture);
    capture_free(capture);
}

struct capture *state_capture(struct machine *machine)
{
    static const struct capture_ops ops = {
        .facts = capture_facts, .next = capture_next, .warm = capture_warm, .close = capture_close};
    struct state *state = state_of(machine);
    struct store *store = state->store;
    struct state_capture *capture = memory_zeroed(1, sizeof *capture);
    capture->base.ops = &ops;
    capture->state = state;
    buffer_init(&capture->place);
    buffer_init(&capture->from);
    capture->view = store->ops->view_open(store);
    capture->warm_bytes = CAPTURE_WARM_BYTES;
    cursor_open(capture, STORE_NO_WAIT);
    list_append(&state->captures, &capture->node);
    return &capture->base;
}

void state_capture_forget(struct state *state)
{
    struct list *first;
    while ((first = list_first(&state->captures)) != NULL) {
        struct state_capture *capture = CONTAINER_OF(first, struct state_capture, node);
        MUST(capture->closed);
        capture_free(capture);
    }
}
