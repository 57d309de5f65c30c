/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/restorer.h"

static void close_task(struct task *task)
{
    struct restorer *restorer = CONTAINER_OF(task, struct restorer, close);
    if (restorer->err == ERR_OK) restorer->result = *archive_restored(restorer->restore);
    archive_restore_close(restorer->restore);
    restorer->restore = NULL;
    restorer->ended = true;
    sim_node_exit(restorer->node, 0);
}

static void ended(struct archive_restore_listener *listener, enum err err, const struct why *why)
{
    struct restorer *restorer = CONTAINER_OF(listener, struct restorer, listener);
    restorer->err = err;
    if (err != ERR_OK) restorer->why = *why;
    clock_defer(restorer->seams.clock, &restorer->close);
}

static void moved(struct archive_restore_listener *listener, bool image, uint64_t done,
                  uint64_t all)
{
    (void)listener, (void)image, (void)done, (void)all;
}

void restorer_start(struct restorer *restorer, struct world *world)
{
    enum { CACHE_BYTES = 8 << 20 };
    restorer->seams = *world;
    restorer->ended = false;
    restorer->close = (struct task){.run = close_task};
    restorer->listener = (struct archive_restore_listener){ended, moved};
    keys_init(&restorer->keys, world, CACHE_BYTES, 0);
    archive_restore_open(&restorer->restore, world, &restorer->keys.maker, &restorer->options,
                         &restorer->listener);
}
