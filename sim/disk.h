/* SPDX-License-Identifier: Apache-2.0 */
/* disk: the simulated disk of a node, on the seam of seam/disk.h.
 *
 * Every file has two images: *seen* is what reads give (page cache over platter), *kept* is what is
 * on the platter, and between them the operations that no sync has carried over yet. Directories
 * likewise: names seen, names kept, and creates, renames and removes that no directory sync has
 * carried over. A crash decides about each of those (sim/cut.h); what is kept is never touched by
 * it.
 *
 * - A sync carries what was pending on the file when it is carried out. A sync that fails drops it:
 * reads still see it, a later sync does not bring it back, the next power cut takes it.
 * - Each request is one I/O operation (sim_node_io). A submitted one is carried out when its
 * latency has passed, then answered in the same turn; those in flight at a crash are carried out,
 * or not, by the cut.
 * - Programmer errors are a MUST: unaligned direct requests, a file closed or its bytes changed
 * with requests in flight, writes in flight that overlap, requests on a file that was never opened.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "seam/disk.h"
#include "sim/faults.h"

struct sim_node;
struct sim_inode;
struct sim_disk; /* fields: sim/files.h */

/* Latencies of submitted requests: uniform in [min, max], and `tail` times as long once in 64. */
struct sim_disk_profile {
    uint64_t read_us_min, read_us_max;
    uint64_t write_us_min, write_us_max; /* into the page cache; names too */
    uint64_t sync_us_min, sync_us_max;
    uint64_t tail;
};

/* `capacity` 0: 1 TiB. Owned by the caller (the node). */
struct sim_disk *sim_disk_open(struct sim_node *node, uint64_t capacity);
void sim_disk_close(struct sim_disk *disk);
struct disk *sim_disk_seam(struct sim_disk *disk);
struct sim_disk_profile *sim_disk_profile(struct sim_disk *disk); /* to be set by the harness */
struct sim_disk_profile sim_disk_like(bool fast, uint64_t tail);  /* a good drive, or a slow one */

/* A rule for operations 1 << enum disk_op. The id is for sim_disk_unfault. */
uint64_t sim_disk_fault(struct sim_disk *disk, const struct sim_fault *fault);
void sim_disk_unfault(struct sim_disk *disk, uint64_t id);           /* 0: all rules */
bool sim_disk_fault_waits(const struct sim_disk *disk, uint64_t id); /* it has hits left */
uint64_t sim_disk_fault_hits(const struct sim_disk *disk);
void sim_disk_set_capacity(struct sim_disk *disk, uint64_t bytes); /* below what is used: full */
uint64_t sim_disk_used(const struct sim_disk *disk);               /* in whole 4 KiB blocks */

/* The harness looks at and damages files behind the node's back. False: no such file. */
bool sim_disk_seen(struct sim_disk *disk, const char *path, struct buffer *out); /* appended */
bool sim_disk_kept(struct sim_disk *disk, const char *path,
                   struct buffer *out); /* if the power went now */
enum sim_damage { SIM_DAMAGE_FLIP, SIM_DAMAGE_ZERO, SIM_DAMAGE_GARBAGE };
/* One bit somewhere in the range; or all of its bytes. The part of the range beyond the end is left
 * out. */
bool sim_disk_damage(struct sim_disk *disk, const char *path, uint64_t offset, uint64_t size,
                     enum sim_damage damage);
/* Puts a file there, durably, as an operator would (a restore, a swap); replaces an existing one.
 */
void sim_disk_put(struct sim_disk *disk, const char *path, struct bytes content);
bool sim_disk_unlink(struct sim_disk *disk, const char *path); /* durably */
/* Every path of a file, a line each, sorted; directories end in a slash. */
void sim_disk_paths(struct sim_disk *disk, struct buffer *out);
/* Another process takes or lets go of a lock file. */
void sim_disk_hold(struct sim_disk *disk, const char *path, bool held);
void sim_disk_wipe(struct sim_disk *disk); /* a new, empty disk; the node is down */

/* For sim/store.c: what belongs to a directory beside its names. */
struct sim_attached {
    void (*drop)(struct sim_attached *attached); /* the directory is gone for ever */
    bool is_open;                                /* in use: the directory cannot be removed */
    uint64_t bytes;                              /* counts against the capacity */
};
/* The place of the directory's attachment (NULL inside: nothing attached), or NULL if there is no
 * such directory and `make` is false or its parent is missing. What is made is durable within its
 * parent. */
struct sim_attached **sim_disk_attached(struct sim_disk *disk, const char *path, bool make);
bool sim_disk_has_room(const struct sim_disk *disk, uint64_t more);

#endif
