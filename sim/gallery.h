/* SPDX-License-Identifier: Apache-2.0 */
/* gallery: the images of a node, looked at from outside: its files, and what the server says of
 * them.
 *
 * - What has an image's name is whole, at each start: every record, every checksum. Its mark, stamp
 *   and epochs are the history's at its LSN; its digest is the one that the machine had there, and
 *   the one of its records, counted again.
 * - No image is above the LSN that the store comes back with.
 * - What is told as saved is on the platter then, with its name, and stays until a newer one is.
 *   None is passed over as bad but for a fault of the disk.
 * - A start leaves no temporary. Each image that is saved takes the place of those that are too
 * many; once all is quiet there are no more than are to be kept. Unless a disk's error was in the
 * way. */
#ifndef SIM_GALLERY_H
#define SIM_GALLERY_H

#include "sim/canon.h"
#include "snapshot/snapshot.h"

struct sim_node;

#define GALLERY_DIRECTORY "data/keys/images/"
enum { GALLERY_PATH_BYTES = 80 };

/* One that was seen whole, on the platter. */
struct gallery_image {
    uint64_t lsn, taken_ms, bytes;
    uint64_t checksum; /* of the file */
};

struct gallery {
    struct sim_world *world;
    struct sim_node *node;
    const struct canon *canon;
    struct gallery_image *list;
    size_t count, capacity;
    uint64_t durable; /* LSN of the newest of them */
    uint64_t saved;   /* so many were told as saved, over all lives */
    /* Of this life. */
    uint64_t least; /* LSN of the newest that the server must know of */
    unsigned keep;  /* the most that were to be kept */
    unsigned most;  /* there may be, before one is saved */
    uint64_t hits;  /* of faults of the disk, before */
    bool blind;     /* an image that could not be read was passed over */
};

/* The bytes of an image's file, for image_open(). */
struct gallery_file {
    struct image_source source;
    const struct buffer *bytes;
};
void gallery_file_init(struct gallery_file *file, const struct buffer *bytes); /* borrowed */

void gallery_init(struct gallery *gallery, const struct canon *canon, struct sim_node *node);
void gallery_release(struct gallery *gallery);
/* A life begins that keeps so many. */
void gallery_starts(struct gallery *gallery, unsigned keep);
void gallery_keeps(struct gallery *gallery, unsigned keep); /* from now on */
/* The node serves. */
void gallery_ready(struct gallery *gallery);
/* No more are there than are to be kept. One that is held, while it is archived, goes behind that.
 */
bool gallery_is_tidy(struct gallery *gallery);
/* Nothing is under way, and an image was saved in this life. */
void gallery_rests(struct gallery *gallery);
/* Of the image of this LSN. */
void gallery_path(struct lsn lsn, char out[GALLERY_PATH_BYTES]);
/* A line of the node's trace: one of them tells of an image. */
void gallery_line(struct gallery *gallery, const char *line);
/* The server says that this is its newest image; LSN 0: that there is none. `least`: of the moment
 * when it was asked. */
void gallery_told(struct gallery *gallery, const struct gallery_image *image, uint64_t least);
/* And that it was taken at this second; 0: that there is none. */
void gallery_told_time(struct gallery *gallery, uint64_t seconds, uint64_t least);

#endif
