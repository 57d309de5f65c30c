/* SPDX-License-Identifier: Apache-2.0 */
/* gate: what a start finds of log, store and images, looked at from outside, and what it is to make
 * of that (the outcomes as they are documented, told without the product's start gate). */
#ifndef SIM_GATE_H
#define SIM_GATE_H

#include "sim/canon.h"

struct sim_node;

enum { GATE_IMAGES_MAX = 64, GATE_WORD_BYTES = 32, GATE_PATH_BYTES = 80 };

enum gate_store {
    GATE_MARKED,  /* of the history */
    GATE_STRANGE, /* its mark is not the history's */
    GATE_EMPTY,
    GATE_ABSENT,
    GATE_NO_MARK,
    GATE_BAD_MARK,
    GATE_LATER, /* its mark is of a later format */
};

/* Before the start. */
struct gate_look {
    bool pointed;
    char path[GATE_PATH_BYTES]; /* of the store */
    enum gate_store store;
    uint64_t mark;
    uint64_t images[GATE_IMAGES_MAX]; /* LSNs of those that are whole and of the history, the
                                         newest first */
    unsigned image_count;
};

/* What the start itself said. */
struct gate_told {
    uint64_t first, last; /* of its log */
    bool opened;          /* it had one */
    char outcome[GATE_WORD_BYTES], reason[GATE_WORD_BYTES];
    uint64_t image; /* that was installed; 0: none */
};

void gate_look(struct sim_node *node, const struct canon *canon, struct gate_look *out);
/* Takes a line of the node's trace; the first of a start clears what the one before had said. */
void gate_line(struct gate_told *told, const char *line);
/* NULL, or what is wrong. `ready`: the start serves; else it was refused with `why`. */
const char *gate_judge(const struct gate_look *look, const struct gate_told *told, bool ready,
                       const char *why);

/* Makes the image of this path into one of another lineage, whole in itself. */
bool gate_forge(struct sim_node *node, const char *path);

#endif
