/* SPDX-License-Identifier: Apache-2.0 */
/* A restore:
 *
 *   leftovers removed -> new store beside the old one, its mark last -> pointer: the new one
 * counts -> opened, its mark compared -> (at the end of the start) the old one removed
 *
 * A crash before the pointer leaves the old store counting, and the next start decides again; one
 * behind it leaves the new one. */
#include "node/restore.h"

#include <inttypes.h>

#include "base/plant.h"
#include "node/internal.h"

static void close_machine(struct node *node)
{
    if (node->machine != NULL) node->maker->close(node->maker, node->machine);
    node->machine = NULL;
}

static enum err make_empty(struct node *node, const char *store, struct why *why)
{
    struct machine_maker *maker = node->maker;
    struct history history = node->site.pointer.history;
    enum err err = maker->open(maker, store, true, history, &node->machine, why);
    close_machine(node);
    return err;
}

static enum err make_store(struct node *node, const char *store, const struct mark *image,
                           struct why *why)
{
    if (image == NULL) return make_empty(node, store, why);
    struct image_install install = {.place = node_image_place(node),
                                    .clock = node->world.clock,
                                    .maker = node->maker,
                                    .store = store,
                                    .mark = *image,
                                    .history = node->site.pointer.history};
    return image_install(&install, why);
}

static enum err open_store(struct node *node, const struct mark *image, struct why *why)
{
    enum err err = node->maker->open(node->maker, node->site.store, false,
                                     node->site.pointer.history, &node->machine, why);
    if (err != ERR_OK) return err == ERR_CORRUPT ? ERR_IO : err; /* not the image's fault */
    struct lsn lsn = node->machine->ops->flushed(node->machine).lsn;
    uint64_t wanted = image == NULL ? 0 : image->lsn.at;
    if (lsn.at == wanted) return ERR_OK;
    return why_fail(why, ERR_IO,
                    "the store in %s was made for LSN %" PRIu64 " and holds LSN %" PRIu64,
                    node->site.store, wanted, lsn.at);
}

/* The plant POINTER_BEFORE_STORE: the other way round. */
static enum err switch_and_make(struct node *node, struct site_next *next, const struct mark *image,
                                struct why *why)
{
    enum err err = site_switch(&node->site, next, why);
    return err == ERR_OK ? make_store(node, node->site.store, image, why) : err;
}

static enum err make_and_switch(struct node *node, struct site_next *next, const struct mark *image,
                                struct why *why)
{
    enum err err = make_store(node, next->store, image, why);
    if (err == ERR_OK) return site_switch(&node->site, next, why);
    site_abandon(&node->site, next);
    return err;
}

enum err node_restore(struct node *node, const struct mark *image, struct why *why)
{
    struct site *site = &node->site;
    struct site_next next;
    close_machine(node);
    /* Later the sweeper may know of them, and a name that is free again could be given out. */
    if (node->phase == NODE_OPENING) site_sweep(site);
    enum err err = site_prepare(site, false, site->pointer.history, &next, why);
    if (err != ERR_OK) return err;
    bool early = PLANTED(POINTER_BEFORE_STORE);
    err = early ? switch_and_make(node, &next, image, why)
                : make_and_switch(node, &next, image, why);
    if (err == ERR_OK) err = open_store(node, image, why);
    if (err == ERR_OK && image != NULL) node->start.image = *image;
    return err;
}
