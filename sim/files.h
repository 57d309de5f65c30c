/* SPDX-License-Identifier: Apache-2.0 */
/* files: the inodes and names behind the simulated disk. For sim/disk.c and sim/cut.c. */
#ifndef SIM_FILES_H
#define SIM_FILES_H

#include "base/buffer.h"
#include "base/list.h"
#include "sim/disk.h"

/* One operation on a file that no sync has carried over. */
struct sim_write {
    struct list node; /* in inode->pending, oldest first */
    uint64_t order;   /* over the whole disk, shared with names */
    bool is_resize;   /* the file's length becomes `offset` */
    uint64_t offset, size;
    uint8_t *data; /* NULL: zeros */
};

struct sim_name {
    char *name;
    struct sim_inode *inode;
};
struct sim_names { /* sorted by name */
    struct sim_name *list;
    size_t count, capacity;
};

struct sim_inode {
    struct list node; /* in disk->inodes */
    bool is_directory, is_marked;
    unsigned opens;          /* handles of the node */
    bool is_locked, is_held; /* by the node; by another process */
    enum err late_err;       /* what the next sync answers */
    struct buffer seen, kept;
    struct list pending; /* struct sim_write */
    size_t pending_count;
    struct sim_names seen_names, kept_names;
    struct sim_attached *attached;
};

/* A create, remove or rename that no directory sync has carried over. */
struct sim_rename {
    struct list node; /* in disk->renames, oldest first */
    uint64_t order;
    struct sim_inode *from, *to; /* directories; NULL: none (create has no from, remove no to) */
    char *name, *name_to;
    struct sim_inode *inode;
};

/* A handle. */
struct disk_file {
    struct list node; /* in disk->handles */
    struct sim_inode *inode;
    bool direct, read_only;
    unsigned in_flight;
    char path[]; /* as it was opened; for faults */
};

struct flight; /* sim/disk.c */

struct sim_disk {
    struct disk base;
    struct sim_node *node;
    struct sim_disk_profile profile;
    struct sim_faults faults;
    uint64_t capacity, order;
    struct sim_inode *root;
    struct list inodes, renames, handles, flights;
    struct flight *performing; /* no longer in flight, for a crash in the middle of it */
};

struct sim_inode *sim_inode_make(struct sim_disk *disk, bool is_directory);
/* Whether `inode` is `directory` or lies somewhere in it. */
bool sim_inode_holds(const struct sim_inode *directory, const struct sim_inode *inode);
/* Frees what no name, kept or seen, no pending rename and no handle leads to. */
void sim_files_sweep(struct sim_disk *disk);
void sim_files_release(struct sim_disk *disk);

/* Walks the names seen. NULL: no such thing. */
struct sim_inode *sim_files_find(struct sim_disk *disk, const char *path);
/* The directory of `path`'s last part, and where that part begins. NULL: there is no such
 * directory. */
struct sim_inode *sim_files_parent(struct sim_disk *disk, const char *path, const char **last);

struct sim_inode *sim_names_find(const struct sim_names *names, const char *name);
void sim_names_set(struct sim_names *names, const char *name, struct sim_inode *inode);
void sim_names_remove(struct sim_names *names, const char *name); /* absent is fine */
void sim_names_copy(struct sim_names *to, const struct sim_names *from);
void sim_names_clear(struct sim_names *names);

/* Makes a change of names seen and remembers it as pending. `from` or `to` may be NULL (create,
 * remove). */
struct sim_rename *sim_files_rename(struct sim_disk *disk, struct sim_inode *from, const char *name,
                                    struct sim_inode *to, const char *name_to);
/* The same for an inode that has no name yet. */
void sim_files_link(struct sim_disk *disk, struct sim_inode *to, const char *name,
                    struct sim_inode *inode);
void sim_rename_apply(const struct sim_rename *rename); /* to the names kept */
void sim_rename_drop(struct sim_rename *rename);
void sim_files_sync_directory(struct sim_disk *disk, struct sim_inode *directory);

/* Changes what is seen and remembers the operation as pending; `data` NULL: zeros. */
void sim_file_write(struct sim_disk *disk, struct sim_inode *inode, uint64_t offset,
                    const uint8_t *data, uint64_t size);
void sim_file_resize(struct sim_disk *disk, struct sim_inode *inode, uint64_t size);
void sim_file_sync(struct sim_inode *inode);
/* A sync that failed: each pending operation reaches the platter with that chance, and is
 * forgotten. */
void sim_file_sync_failed(struct sim_inode *inode, uint64_t per_million, struct dice *dice);
void sim_write_apply(const struct sim_write *write, struct buffer *image);
struct sim_write *sim_write_first(
    const struct sim_inode *inode); /* the oldest pending; NULL: none */
void sim_write_drop(struct sim_inode *inode, struct sim_write *write);
void sim_image_resize(struct buffer *image, uint64_t size); /* new bytes are zero */
uint64_t sim_files_used(const struct sim_disk *disk);

#endif
