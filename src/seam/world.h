/* SPDX-License-Identifier: Apache-2.0 */
/* world: the seams that a server is built on, in one place for wiring. Rooms take only what they
 * need. */
#ifndef SEAM_WORLD_H
#define SEAM_WORLD_H

#include "base/trace.h"
#include "seam/clock.h"
#include "seam/disk.h"
#include "seam/entropy.h"
#include "seam/http.h"
#include "seam/net.h"
#include "seam/store.h"

struct world {
    struct clock *clock;
    struct disk *disk;
    struct entropy *entropy;
    struct http *http; /* NULL: this world has none */
    struct net *net;   /* to clients */
    struct net *peers; /* between copies: the same, or one that guards what goes over it */
    struct stores *stores;
    struct trace *trace;
};

#endif
