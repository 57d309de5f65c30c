/* SPDX-License-Identifier: Apache-2.0 */
/* The feed: an export is opened as soon as what was applied when it was asked for is flushed; all
 * that wait for the same flush get a view of their own. A read of the stream that misses memory is
 * asked again when the store has fetched what was missing; it holds up nobody. */
#include "node/feed.h"

#include "base/memory.h"
#include "node/internal.h"

/* A read of the stream whose records are being fetched. */
struct fetching {
    struct machine_warm warm;
    struct node *node;
    struct feed_read *request; /* NULL: it was dropped */
    struct list link;          /* in node->feed.fetching */
};

static struct node *node_of_feed(struct feed *feed)
{
    return CONTAINER_OF(feed, struct node, feed.base);
}

/* A turn failed, and left no machine; the process is about to end. */
static bool is_gone(const struct node *node)
{
    return node->machine == NULL;
}

static struct lsn flushed_lsn(const struct node *node)
{
    return node->machine->ops->flushed(node->machine).lsn;
}

/* --- What is told --- */

static struct effects_place feed_place(struct feed *feed)
{
    const struct node *node = node_of_feed(feed);
    if (is_gone(node)) return (struct effects_place){.database = EFFECTS_DATABASE_NONE};
    return node->machine->ops->effects(node->machine);
}

/* What the entry of its epoch is behind was committed by the primaries before. */
static bool feed_is_open(struct feed *feed)
{
    const struct node *node = node_of_feed(feed);
    return !is_gone(node) && node->leads &&
           !lsn_before(node_applied_lsn(node), node->start.epoch_lsn);
}

static struct mark feed_mark(struct feed *feed)
{
    const struct node *node = node_of_feed(feed);
    if (is_gone(node)) return (struct mark){0};
    return node->machine->ops->applied(node->machine);
}

static const struct epoch_start *feed_epochs(struct feed *feed, size_t *count)
{
    const struct node *node = node_of_feed(feed);
    *count = 0;
    return is_gone(node) ? NULL : node->machine->ops->epochs(node->machine, count);
}

static void feed_keep(struct feed *feed, const struct effects_keep *keep)
{
    struct node *node = node_of_feed(feed);
    node->feed.keep = *keep;
    node->feed.keeps = true;
    if (!is_gone(node)) node->machine->ops->effects_keep(node->machine, keep);
}

static void feed_listen(struct feed *feed, struct feed_listener *listener)
{
    struct node *node = node_of_feed(feed);
    node->feed.listener = listener;
    struct effects_place place = feed_place(feed);
    node->feed.on = place.on;
    node->feed.end = place.end;
}

void node_feed_moved(struct node *node)
{
    struct node_feed *feed = &node->feed;
    if (feed->listener == NULL || is_gone(node)) return;
    struct effects_place place = node->machine->ops->effects(node->machine);
    if (place.end == feed->end && place.on == feed->on) return;
    feed->on = place.on;
    feed->end = place.end;
    feed->listener->moved(feed->listener);
}

/* --- Exports --- */

static void export_end(struct feed_export *request, enum err err, const char *text)
{
    request->export = NULL;
    request->err = why_fail(&request->why, err, "%s", text);
    request->done(request);
}

/* Takes those away whose wait is over: done() may ask for more. */
static void open_flushed(struct node *node)
{
    struct list *waiting = &node->feed.waiting;
    struct list *first;
    while ((first = list_first(waiting)) != NULL) {
        struct feed_export *request = CONTAINER_OF(first, struct feed_export, node);
        if (lsn_before(flushed_lsn(node), request->through)) break; /* and so all behind it */
        list_remove(first);
        request->export = node->machine->ops->export(node->machine);
        request->err = ERR_OK;
        request->done(request);
    }
    if (!list_empty(waiting)) node_flush_now(node);
}

static void end_all(struct node *node, enum err err, const char *text)
{
    struct list *first;
    while ((first = list_first(&node->feed.waiting)) != NULL) {
        list_remove(first);
        export_end(CONTAINER_OF(first, struct feed_export, node), err, text);
    }
}

static void feed_open(struct feed *feed, struct feed_export *request)
{
    struct node *node = node_of_feed(feed);
    list_init(&request->node);
    if (!node->leads) {
        export_end(request, ERR_REFUSED, "this copy follows another one");
        return;
    }
    if (node->phase != NODE_SERVING) {
        export_end(request, ERR_REFUSED, "the server is being started or stopped");
        return;
    }
    request->through = node_applied_lsn(node);
    if (lsn_before(flushed_lsn(node), request->through) && node_is_low(node)) {
        export_end(request, ERR_SPACE, "the disk is nearly full");
        return;
    }
    list_append(&node->feed.waiting, &request->node);
    open_flushed(node);
}

static void feed_forget(struct feed *feed, struct feed_export *request)
{
    (void)feed;
    list_remove(&request->node);
}

void node_feed_flushed(struct node *node, enum err err)
{
    if (list_empty(&node->feed.waiting)) return;
    if (err == ERR_OK) open_flushed(node);
    else end_all(node, err, node->upkeep.flush.why.text);
}

void node_feed_stop(struct node *node)
{
    end_all(node, ERR_SHUT, "the server is being stopped");
}

/* --- The stream --- */

static void fetched(struct machine_warm *warm);

static void ask(struct node *node, struct feed_read *request)
{
    request->err = node->machine->ops->effects_read(node->machine, &request->read);
    if (request->err != ERR_PENDING) {
        request->done(request);
        return;
    }
    request->read.attempt++;
    struct fetching *fetching = memory_zeroed(1, sizeof *fetching);
    fetching->warm.done = fetched;
    fetching->node = node;
    fetching->request = request;
    list_append(&node->feed.fetching, &fetching->link);
    request->fetching = fetching;
    node->machine->ops->warm(node->machine, &fetching->warm);
}

static void fetched(struct machine_warm *warm)
{
    struct fetching *fetching = CONTAINER_OF(warm, struct fetching, warm);
    struct node *node = fetching->node;
    struct feed_read *request = fetching->request;
    enum err err = warm->err;
    list_remove(&fetching->link);
    memory_free(fetching);
    if (request == NULL) return;
    request->fetching = NULL;
    if (err == ERR_OK) {
        ask(node, request);
        return;
    }
    request->err = err;
    request->done(request);
}

static void feed_read(struct feed *feed, struct feed_read *request)
{
    request->fetching = NULL;
    request->read.attempt = 0;
    ask(node_of_feed(feed), request);
}

static void feed_drop(struct feed *feed, struct feed_read *request)
{
    (void)feed;
    struct fetching *fetching = request->fetching;
    if (fetching != NULL) fetching->request = NULL;
    request->fetching = NULL;
}

/* --- The table --- */

static const struct feed_ops feed_ops = {
    .is_open = feed_is_open,
    .place = feed_place,
    .mark = feed_mark,
    .epochs = feed_epochs,
    .open = feed_open,
    .forget = feed_forget,
    .read = feed_read,
    .drop = feed_drop,
    .keep = feed_keep,
    .listen = feed_listen,
};

void node_feed_init(struct node_feed *feed)
{
    feed->base.ops = &feed_ops;
    list_init(&feed->waiting);
    list_init(&feed->fetching);
}

struct feed *node_feed_of(struct service *service)
{
    return &node_of(service)->feed.base;
}

/* A turn of who follows may take its state away: nothing of it is held then. Nor may anything be
 * appended for those who are fed. */
void node_feed_cut(struct node *node, const char *why)
{
    end_all(node, ERR_SHUT, why);
    if (node->feed.listener != NULL) node->feed.listener->cut(node->feed.listener, why);
}

void node_feed_opened(struct node *node)
{
    if (node->feed.keeps) node->machine->ops->effects_keep(node->machine, &node->feed.keep);
    node_feed_moved(node);
}

void node_feed_forget(struct node *node)
{
    struct list *first;
    while ((first = list_first(&node->feed.fetching)) != NULL) {
        list_remove(first);
        memory_free(CONTAINER_OF(first, struct fetching, link));
    }
}
