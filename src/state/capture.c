/* SPDX-License-Identifier: Apache-2.0 */
/* The capture: a view of the store that the newest flush left, and what its own meta record says of
 * it (I4). Nothing here looks at what is applied.
 *
 * The store reads window after window off the loop and gives the records to the capture itself, not
 * to its cache: what a cache is too small to keep, such as a value that is larger than it, would
 * have to be read again for every record that is asked for before it.
 *
 * The stream of effects is passed over: how much of it a copy keeps is its own business, so that
 * what is captured says that none of it is kept. It goes on at the same offset there. */
#include "base/memory.h"
#include "base/plant.h"
#include "state/core.h"
#include "state/views.h"

enum { CAPTURE_WINDOW_BYTES = 1 << 20, CAPTURE_HEAD_BYTES = 8 };

enum capture_meta { META_UNKNOWN, META_WANTED, META_ABSENT, META_THERE };

struct state_capture {
    struct capture base;
    struct list node; /* in state->captures */
    struct state *state;
    struct store_view *view;
    enum capture_meta found; /* what is known of the meta record */
    struct buffer record;    /* it, as it was read */
    struct meta meta;        /* no epochs: not decoded yet */
    struct buffer window;    /* records: {le32 key size, le32 value size, key, value} */
    size_t at, last;         /* in it: the next record, the newest one */
    struct buffer from;      /* where the next window begins */
    struct buffer told;      /* the meta record as it is given */
    bool passes;             /* there were pieces of the stream in it */
    bool ended;              /* there is none */
    bool closed;             /* while the warm was under way */
    struct store_range range;
    struct store_warm warm;
    struct capture_warm *asked; /* under way: `record` and `window` are the store's */
};

static struct state_capture *capture_of(struct capture *base)
{
    return CONTAINER_OF(base, struct state_capture, base);
}

static enum err read_meta(struct state_capture *capture, struct why *why)
{
    switch (capture->found) {
    case META_UNKNOWN:
    case META_WANTED: capture->found = META_WANTED; return ERR_PENDING;
    case META_ABSENT: return why_fail(why, ERR_NOT_FOUND, "nothing was flushed yet");
    case META_THERE: break;
    }
    return meta_decode(buffer_bytes(&capture->record), &capture->meta, why);
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
                                    .stream_offset = meta->effects.end,
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

static void window_record(const struct state_capture *capture, size_t at, struct bytes *key,
                          struct bytes *value)
{
    const uint8_t *head = capture->window.data + at;
    *key = bytes_of(head + CAPTURE_HEAD_BYTES, load_le32(head));
    *value = bytes_of(key->data + key->size, load_le32(head + 4));
}

static enum err tell_meta(struct state_capture *capture, struct bytes *value)
{
    struct meta meta;
    enum err err = meta_decode(*value, &meta, NULL);
    if (err != ERR_OK) return err;
    meta.effects.first = meta.effects.end;
    buffer_clear(&capture->told);
    meta_encode(&meta, &capture->told);
    *value = buffer_bytes(&capture->told);
    memory_free(meta.epochs);
    return ERR_OK;
}

static enum err capture_next(struct capture *base, struct bytes *key, struct bytes *value)
{
    struct state_capture *capture = capture_of(base);
    if (capture->at == capture->window.size) return capture->ended ? ERR_NOT_FOUND : ERR_PENDING;
    window_record(capture, capture->at, key, value);
    capture->at += CAPTURE_HEAD_BYTES + key->size + value->size;
    return key->data[0] == LAYOUT_META ? tell_meta(capture, value) : ERR_OK;
}

static void capture_free(struct state_capture *capture)
{
    list_remove(&capture->node);
    memory_free(capture->meta.epochs);
    buffer_release(&capture->record);
    buffer_release(&capture->window);
    buffer_release(&capture->from);
    buffer_release(&capture->told);
    memory_free(capture);
}

static void view_close(struct state_capture *capture)
{
    struct store *store = capture->state->store;
    store->ops->view_close(store, capture->view);
}

/* --- Reading: the functions that take are called on the store's thread --- */

static void take_meta(struct store_warm *warm, struct bytes key, struct bytes value)
{
    struct state_capture *capture = CONTAINER_OF(warm, struct state_capture, warm);
    (void)key;
    buffer_append(&capture->record, value);
    capture->found = META_THERE;
}

static void take_record(struct store_warm *warm, struct bytes key, struct bytes value)
{
    struct state_capture *capture = CONTAINER_OF(warm, struct state_capture, warm);
    if (key.data[0] == LAYOUT_STREAM) {
        capture->passes = true;
        return;
    }
    capture->last = capture->window.size;
    buffer_append_le32(&capture->window, (uint32_t)key.size);
    buffer_append_le32(&capture->window, (uint32_t)value.size);
    buffer_append(&capture->window, key);
    buffer_append(&capture->window, value);
}

static void warm_ended(struct state_capture *capture)
{
    struct capture_warm *asked = capture->asked;
    capture->asked = NULL;
    if (capture->closed) {
        view_close(capture);
        capture_free(capture);
        return;
    }
    asked->err = capture->warm.err;
    asked->why = capture->warm.why;
    asked->done(asked);
}

static void meta_warmed(struct store_warm *warm)
{
    struct state_capture *capture = CONTAINER_OF(warm, struct state_capture, warm);
    if (warm->err == ERR_OK && capture->found == META_WANTED) capture->found = META_ABSENT;
    warm_ended(capture);
}

/* Behind the last piece of the stream that there can be. */
static void pass_stream(struct state_capture *capture)
{
    struct buffer end;
    struct prefix prefix = layout_strand(LAYOUT_STREAM, 0, (struct version){0});
    buffer_init(&end);
    layout_put_strand(&end, &prefix, UINT64_MAX, (struct bytes){0});
    buffer_append_byte(&end, 0);
    if (bytes_compare(buffer_bytes(&capture->from), buffer_bytes(&end)) < 0) {
        buffer_clear(&capture->from);
        buffer_append(&capture->from, buffer_bytes(&end));
    }
    buffer_release(&end);
    capture->passes = false;
}

static void window_warmed(struct store_warm *warm)
{
    struct state_capture *capture = CONTAINER_OF(warm, struct state_capture, warm);
    if (capture->window.size == 0) {
        capture->ended = warm->err == ERR_OK && !capture->passes;
    } else {
        struct bytes key, value;
        window_record(capture, capture->last, &key, &value);
        buffer_clear(&capture->from);
        buffer_append(&capture->from, key);
        buffer_append_byte(&capture->from, 0);
    }
    if (capture->passes) pass_stream(capture);
    warm_ended(capture);
}

static void warm_meta(struct state_capture *capture)
{
    capture->range = (struct store_range){
        .from = bytes_text("M"), .to = bytes_of("M", 2), .bytes_max = 1};
    capture->warm.found = take_meta;
    capture->warm.done = meta_warmed;
}

/* The window before was given, all of it. */
static void warm_window(struct state_capture *capture)
{
    MUST(capture->at == capture->window.size);
    if (capture->window.capacity > 4 * CAPTURE_WINDOW_BYTES) buffer_release(&capture->window);
    buffer_clear(&capture->window);
    capture->at = 0;
    capture->range = (struct store_range){.from = buffer_bytes(&capture->from),
                                          .to = bytes_text("\xff"),
                                          .bytes_max = CAPTURE_WINDOW_BYTES};
    capture->warm.found = take_record;
    capture->warm.done = window_warmed;
}

static void capture_warm(struct capture *base, struct capture_warm *asked)
{
    struct state_capture *capture = capture_of(base);
    struct store *store = capture->state->store;
    MUST(capture->asked == NULL);
    capture->asked = asked;
    capture->warm = (struct store_warm){
        .ranges = &capture->range, .count = 1, .view = capture->view};
    if (capture->found == META_WANTED) warm_meta(capture);
    else warm_window(capture);
    store->ops->warm(store, &capture->warm);
}

static void capture_close(struct capture *base)
{
    struct state_capture *capture = capture_of(base);
    if (capture->asked != NULL) {
        capture->closed = true; /* its view is being read: warm_ended(), or the close of all */
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
    buffer_init(&capture->record);
    buffer_init(&capture->window);
    buffer_init(&capture->from);
    buffer_init(&capture->told);
    buffer_append_byte(&capture->from, 0); /* no key is shorter than one byte */
    capture->view = store->ops->view_open(store);
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
