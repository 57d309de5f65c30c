/* SPDX-License-Identifier: Apache-2.0 */
/* What the harness does to a disk behind the node's back: faults, capacity, damage, an operator's
 * hands. */
#include <string.h>

#include "base/must.h"
#include "sim/disk.h"
#include "sim/files.h"
#include "sim/inside.h"

struct disk *sim_disk_seam(struct sim_disk *disk)
{
    return &disk->base;
}

struct sim_disk_profile sim_disk_like(bool fast, uint64_t tail)
{
    return (struct sim_disk_profile){
        .read_us_min = 20,
        .read_us_max = 200,
        .write_us_min = fast ? 5 : 20,
        .write_us_max = fast ? 20 : 200,
        .sync_us_min = fast ? 20 : 200,
        .sync_us_max = fast ? 200 : 3000,
        .tail = tail,
    };
}

struct sim_disk_profile *sim_disk_profile(struct sim_disk *disk)
{
    return &disk->profile;
}

uint64_t sim_disk_fault(struct sim_disk *disk, const struct sim_fault *fault)
{
    return sim_faults_add(&disk->faults, fault);
}

void sim_disk_unfault(struct sim_disk *disk, uint64_t id)
{
    if (id == 0) {
        sim_faults_clear(&disk->faults);
    } else {
        sim_faults_remove(&disk->faults, id);
    }
}

bool sim_disk_fault_waits(const struct sim_disk *disk, uint64_t id)
{
    return sim_faults_waits(&disk->faults, id);
}

uint64_t sim_disk_fault_hits(const struct sim_disk *disk)
{
    return disk->faults.hits;
}

void sim_disk_set_capacity(struct sim_disk *disk, uint64_t bytes)
{
    disk->capacity = bytes;
}

uint64_t sim_disk_used(const struct sim_disk *disk)
{
    return sim_files_used(disk);
}

bool sim_disk_has_room(const struct sim_disk *disk, uint64_t more)
{
    uint64_t used = sim_files_used(disk);
    return used <= disk->capacity && more <= disk->capacity - used;
}

bool sim_disk_seen(struct sim_disk *disk, const char *path, struct buffer *out)
{
    const struct sim_inode *inode = sim_files_find(disk, path);
    if (inode == NULL || inode->is_directory) return false;
    buffer_append(out, buffer_bytes(&inode->seen));
    return true;
}

bool sim_disk_kept(struct sim_disk *disk, const char *path, struct buffer *out)
{
    struct sim_inode *inode = disk->root;
    char part[256];
    for (path += strspn(path, "/"); *path != '\0'; path += strspn(path, "/")) {
        size_t size = strcspn(path, "/");
        MUST(size < sizeof(part));
        memcpy(part, path, size);
        part[size] = '\0';
        path += size;
        inode = sim_names_find(&inode->kept_names, part);
        if (inode == NULL) return false;
    }
    if (inode->is_directory) return false;
    buffer_append(out, buffer_bytes(&inode->kept));
    return true;
}

bool sim_disk_damage(struct sim_disk *disk, const char *path, uint64_t offset, uint64_t size,
                     enum sim_damage damage)
{
    struct sim_inode *inode = sim_files_find(disk, path);
    if (inode == NULL || inode->is_directory) return false;
    struct dice *dice = sim_world_dice(disk->node->world, SIM_DICE_FAULTS);
    uint64_t flip = size > 0 ? dice_below(dice, size * 8) : 0;
    struct buffer *images[2] = {&inode->seen, &inode->kept};
    for (uint64_t i = 0; i < size; i++) {
        uint8_t garbage = (uint8_t)dice_roll(dice);
        for (size_t at = 0; at < 2; at++) {
            if (offset + i >= images[at]->size) continue;
            uint8_t *byte = images[at]->data + offset + i;
            if (damage == SIM_DAMAGE_ZERO) *byte = 0;
            if (damage == SIM_DAMAGE_GARBAGE) *byte = garbage;
            if (damage == SIM_DAMAGE_FLIP && i == flip / 8) *byte ^= (uint8_t)(1u << flip % 8);
        }
    }
    return true;
}

void sim_disk_put(struct sim_disk *disk, const char *path, struct bytes content)
{
    const char *last;
    struct sim_inode *parent = sim_files_parent(disk, path, &last);
    MUST(parent != NULL);
    struct sim_inode *inode = sim_inode_make(disk, false);
    buffer_append(&inode->seen, content);
    buffer_append(&inode->kept, content);
    sim_files_link(disk, parent, last, inode);
    sim_files_sync_directory(disk, parent);
}

bool sim_disk_unlink(struct sim_disk *disk, const char *path)
{
    const char *last;
    if (sim_files_find(disk, path) == NULL) return false;
    struct sim_inode *parent = sim_files_parent(disk, path, &last);
    (void)sim_files_rename(disk, parent, last, NULL, NULL);
    sim_files_sync_directory(disk, parent);
    return true;
}

static void paths_append(const struct sim_inode *inode, struct buffer *prefix, struct buffer *out)
{
    for (size_t i = 0; i < inode->seen_names.count; i++) {
        const struct sim_name *name = &inode->seen_names.list[i];
        size_t size = prefix->size;
        buffer_append_text(prefix, name->name);
        if (name->inode->is_directory) buffer_append_byte(prefix, '/');
        buffer_append(out, buffer_bytes(prefix));
        buffer_append_byte(out, '\n');
        if (name->inode->is_directory) paths_append(name->inode, prefix, out);
        prefix->size = size;
    }
}

void sim_disk_paths(struct sim_disk *disk, struct buffer *out)
{
    struct buffer prefix;
    buffer_init(&prefix);
    paths_append(disk->root, &prefix, out);
    buffer_release(&prefix);
}

void sim_disk_hold(struct sim_disk *disk, const char *path, bool held)
{
    struct sim_inode *inode = sim_files_find(disk, path);
    MUST(inode != NULL);
    inode->is_held = held;
}

void sim_disk_wipe(struct sim_disk *disk)
{
    MUST(!sim_node_is_up(disk->node));
    sim_files_release(disk);
    disk->root = sim_inode_make(disk, true);
}

struct sim_attached **sim_disk_attached(struct sim_disk *disk, const char *path, bool make)
{
    struct sim_inode *inode = sim_files_find(disk, path);
    if (inode == NULL) {
        const char *last;
        struct sim_inode *parent = make ? sim_files_parent(disk, path, &last) : NULL;
        if (parent == NULL) return NULL;
        inode = sim_inode_make(disk, true);
        sim_files_link(disk, parent, last, inode);
        /* Only this name: the rest of the parent is still for the node to sync. */
        struct sim_rename *rename = CONTAINER_OF(disk->renames.previous, struct sim_rename, node);
        sim_rename_apply(rename);
        sim_rename_drop(rename);
    }
    return inode->is_directory ? &inode->attached : NULL;
}
