/* SPDX-License-Identifier: Apache-2.0 */
/* restorer: a restore out of an archive, as what runs on a simulated node instead of its server. */
#ifndef SIM_RESTORER_H
#define SIM_RESTORER_H

#include "app/keys.h"
#include "archive/archive.h"
#include "sim/node.h"

struct restorer {
    struct sim_node *node;
    struct archive_restore_options options;
    struct world seams;
    struct keys keys;
    struct archive_restore *restore;
    struct archive_restore_listener listener;
    struct task close;
    /* Out. */
    bool ended; /* else it was crashed */
    enum err err;
    struct why why;
    struct archive_restored result;
};

/* Inside the node, which exits by itself when all is done. */
void restorer_start(struct restorer *restorer, struct world *world);

#endif
