/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/files.h"

#include <string.h>

#include "base/memory.h"
#include "base/must.h"

enum {
    FILES_BLOCK_BYTES = 4096,
    /* Beyond this many the oldest is carried over unasked, as a kernel's write-back does sooner or
       later. */
    FILES_PENDING_MAX = 2048,
};

static char *text_copy(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memory_alloc(size);
    memcpy(copy, text, size);
    return copy;
}

/* Where the name is, or where it would be put in. */
static size_t names_place(const struct sim_names *names, const char *name, bool *found)
{
    size_t low = 0, high = names->count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(names->list[middle].name, name);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct sim_inode *sim_names_find(const struct sim_names *names, const char *name)
{
    bool found;
    size_t place = names_place(names, name, &found);
    return found ? names->list[place].inode : NULL;
}

void sim_names_set(struct sim_names *names, const char *name, struct sim_inode *inode)
{
    bool found;
    size_t place = names_place(names, name, &found);
    if (found) {
        names->list[place].inode = inode;
        return;
    }
    if (names->count == names->capacity) {
        names->capacity = names->capacity > 0 ? names->capacity * 2 : 8;
        names->list = memory_resize(names->list, names->capacity * sizeof(names->list[0]));
    }
    memmove(names->list + place + 1, names->list + place,
            (names->count - place) * sizeof(names->list[0]));
    names->list[place] = (struct sim_name){text_copy(name), inode};
    names->count++;
}

void sim_names_remove(struct sim_names *names, const char *name)
{
    bool found;
    size_t place = names_place(names, name, &found);
    if (!found) return;
    memory_free(names->list[place].name);
    names->count--;
    memmove(names->list + place, names->list + place + 1,
            (names->count - place) * sizeof(names->list[0]));
}

void sim_names_clear(struct sim_names *names)
{
    for (size_t i = 0; i < names->count; i++) memory_free(names->list[i].name);
    memory_free(names->list);
    *names = (struct sim_names){.list = NULL};
}

void sim_names_copy(struct sim_names *to, const struct sim_names *from)
{
    sim_names_clear(to);
    for (size_t i = 0; i < from->count; i++) {
        sim_names_set(to, from->list[i].name, from->list[i].inode);
    }
}

struct sim_inode *sim_inode_make(struct sim_disk *disk, bool is_directory)
{
    struct sim_inode *inode = memory_zeroed(1, sizeof(*inode));
    inode->is_directory = is_directory;
    buffer_init(&inode->seen);
    buffer_init(&inode->kept);
    list_init(&inode->pending);
    list_append(&disk->inodes, &inode->node);
    return inode;
}

struct sim_write *sim_write_first(const struct sim_inode *inode)
{
    struct list *node = list_first(&inode->pending);
    return node != NULL ? CONTAINER_OF(node, struct sim_write, node) : NULL;
}

void sim_write_drop(struct sim_inode *inode, struct sim_write *write)
{
    list_remove(&write->node);
    inode->pending_count--;
    memory_free(write->data);
    memory_free(write);
}

static void inode_drop(struct sim_inode *inode)
{
    list_remove(&inode->node);
    struct sim_write *write;
    while ((write = sim_write_first(inode)) != NULL) sim_write_drop(inode, write);
    buffer_release(&inode->seen);
    buffer_release(&inode->kept);
    sim_names_clear(&inode->seen_names);
    sim_names_clear(&inode->kept_names);
    if (inode->attached != NULL) inode->attached->drop(inode->attached);
    memory_free(inode);
}

bool sim_inode_holds(const struct sim_inode *directory, const struct sim_inode *inode)
{
    if (directory == inode) return true;
    for (size_t i = 0; i < directory->seen_names.count; i++) {
        if (sim_inode_holds(directory->seen_names.list[i].inode, inode)) return true;
    }
    return false;
}

static void inode_mark(struct sim_inode *inode)
{
    if (inode == NULL || inode->is_marked) return;
    inode->is_marked = true;
    for (size_t i = 0; i < inode->seen_names.count; i++)
        inode_mark(inode->seen_names.list[i].inode);
    for (size_t i = 0; i < inode->kept_names.count; i++)
        inode_mark(inode->kept_names.list[i].inode);
}

void sim_files_sweep(struct sim_disk *disk)
{
    inode_mark(disk->root);
    for (struct list *at = disk->renames.next; at != &disk->renames; at = at->next) {
        const struct sim_rename *rename = CONTAINER_OF(at, struct sim_rename, node);
        inode_mark(rename->inode);
        inode_mark(rename->from);
        inode_mark(rename->to);
    }
    for (struct list *at = disk->handles.next; at != &disk->handles; at = at->next) {
        inode_mark(CONTAINER_OF(at, struct disk_file, node)->inode);
    }
    struct list *next;
    for (struct list *at = disk->inodes.next; at != &disk->inodes; at = next) {
        next = at->next;
        struct sim_inode *inode = CONTAINER_OF(at, struct sim_inode, node);
        if (inode->is_marked) {
            inode->is_marked = false;
        } else {
            inode_drop(inode);
        }
    }
}

void sim_files_release(struct sim_disk *disk)
{
    struct list *node;
    while ((node = list_first(&disk->renames)) != NULL) {
        sim_rename_drop(CONTAINER_OF(node, struct sim_rename, node));
    }
    while ((node = list_first(&disk->inodes)) != NULL) {
        inode_drop(CONTAINER_OF(node, struct sim_inode, node));
    }
    disk->root = NULL;
}

enum { PATH_PART_BYTES = 256 };

/* Copies the next part of the path; NULL: there is none. Slashes and "." are skipped. */
static const char *path_part(const char *path, char part[PATH_PART_BYTES])
{
    for (;;) {
        while (*path == '/') path++;
        size_t size = strcspn(path, "/");
        if (size == 0) return NULL;
        MUST(size < PATH_PART_BYTES);
        memcpy(part, path, size);
        part[size] = '\0';
        path += size;
        MUST(strcmp(part, "..") != 0);
        if (strcmp(part, ".") != 0) return path;
    }
}

struct sim_inode *sim_files_find(struct sim_disk *disk, const char *path)
{
    struct sim_inode *inode = disk->root;
    char part[PATH_PART_BYTES];
    while (inode != NULL && (path = path_part(path, part)) != NULL) {
        inode = inode->is_directory ? sim_names_find(&inode->seen_names, part) : NULL;
    }
    return inode;
}

struct sim_inode *sim_files_parent(struct sim_disk *disk, const char *path, const char **last)
{
    struct sim_inode *inode = disk->root;
    char part[PATH_PART_BYTES];
    for (;;) {
        const char *rest = path_part(path, part);
        MUST(rest != NULL); /* "" and "/" have no last part */
        char after[PATH_PART_BYTES];
        if (path_part(rest, after) == NULL) {
            *last = rest - strlen(part);
            return inode;
        }
        inode = sim_names_find(&inode->seen_names, part);
        if (inode == NULL || !inode->is_directory) return NULL;
        path = rest;
    }
}

/* A last part as it stands in a path may have a slash behind it. */
static char *last_copy(const char *name)
{
    char *copy = text_copy(name);
    copy[strcspn(copy, "/")] = '\0';
    return copy;
}

static struct sim_rename *rename_make(struct sim_disk *disk, struct sim_inode *inode)
{
    struct sim_rename *rename = memory_zeroed(1, sizeof(*rename));
    rename->order = disk->order++;
    rename->inode = inode;
    list_append(&disk->renames, &rename->node);
    return rename;
}

struct sim_rename *sim_files_rename(struct sim_disk *disk, struct sim_inode *from, const char *name,
                                    struct sim_inode *to, const char *name_to)
{
    struct sim_rename *rename = rename_make(disk, NULL);
    rename->from = from;
    rename->name = last_copy(name);
    rename->inode = sim_names_find(&from->seen_names, rename->name);
    MUST(rename->inode != NULL);
    sim_names_remove(&from->seen_names, rename->name);
    if (to == NULL) return rename;
    rename->to = to;
    rename->name_to = last_copy(name_to);
    sim_names_set(&to->seen_names, rename->name_to, rename->inode);
    return rename;
}

void sim_files_link(struct sim_disk *disk, struct sim_inode *to, const char *name,
                    struct sim_inode *inode)
{
    struct sim_rename *rename = rename_make(disk, inode);
    rename->to = to;
    rename->name_to = last_copy(name);
    sim_names_set(&to->seen_names, rename->name_to, inode);
}

void sim_rename_apply(const struct sim_rename *rename)
{
    if (rename->from != NULL &&
        sim_names_find(&rename->from->kept_names, rename->name) == rename->inode) {
        sim_names_remove(&rename->from->kept_names, rename->name);
    }
    if (rename->to != NULL) sim_names_set(&rename->to->kept_names, rename->name_to, rename->inode);
}

void sim_rename_drop(struct sim_rename *rename)
{
    list_remove(&rename->node);
    memory_free(rename->name);
    memory_free(rename->name_to);
    memory_free(rename);
}

void sim_files_sync_directory(struct sim_disk *disk, struct sim_inode *directory)
{
    struct list *next;
    for (struct list *at = disk->renames.next; at != &disk->renames; at = next) {
        next = at->next;
        struct sim_rename *rename = CONTAINER_OF(at, struct sim_rename, node);
        if (rename->from != directory && rename->to != directory) continue;
        sim_rename_apply(rename);
        sim_rename_drop(rename);
    }
    sim_files_sweep(disk);
}

void sim_image_resize(struct buffer *image, uint64_t size)
{
    if (size > image->size) {
        size_t more = (size_t)size - image->size;
        memset(buffer_reserve(image, more), 0, more);
    }
    image->size = (size_t)size;
}

void sim_write_apply(const struct sim_write *write, struct buffer *image)
{
    if (write->is_resize) {
        sim_image_resize(image, write->offset);
        return;
    }
    if (write->offset + write->size > image->size) {
        sim_image_resize(image, write->offset + write->size);
    }
    if (write->size == 0) return;
    if (write->data != NULL) {
        memcpy(image->data + write->offset, write->data, (size_t)write->size);
    } else {
        memset(image->data + write->offset, 0, (size_t)write->size);
    }
}

static void write_add(struct sim_disk *disk, struct sim_inode *inode, const struct sim_write *model)
{
    struct sim_write *write = memory_alloc(sizeof(*write));
    *write = *model;
    write->order = disk->order++;
    if (model->data != NULL) {
        write->data = memory_alloc((size_t)model->size);
        memcpy(write->data, model->data, (size_t)model->size);
    }
    list_append(&inode->pending, &write->node);
    sim_write_apply(write, &inode->seen);
    if (++inode->pending_count <= FILES_PENDING_MAX) return;
    struct sim_write *oldest = sim_write_first(inode);
    sim_write_apply(oldest, &inode->kept);
    sim_write_drop(inode, oldest);
}

void sim_file_write(struct sim_disk *disk, struct sim_inode *inode, uint64_t offset,
                    const uint8_t *data, uint64_t size)
{
    if (size == 0) return;
    struct sim_write write = {.offset = offset, .size = size};
    write.data = (uint8_t *)(uintptr_t)data; /* only read: write_add copies it */
    write_add(disk, inode, &write);
}

void sim_file_resize(struct sim_disk *disk, struct sim_inode *inode, uint64_t size)
{
    struct sim_write write = {.is_resize = true, .offset = size};
    write_add(disk, inode, &write);
}

void sim_file_sync(struct sim_inode *inode)
{
    struct sim_write *write;
    while ((write = sim_write_first(inode)) != NULL) {
        sim_write_apply(write, &inode->kept);
        sim_write_drop(inode, write);
    }
}

void sim_file_sync_failed(struct sim_inode *inode, uint64_t per_million, struct dice *dice)
{
    struct sim_write *write;
    while ((write = sim_write_first(inode)) != NULL) {
        bool got_through = per_million > 0 && dice_chance(dice, per_million, 1000000);
        if (got_through) sim_write_apply(write, &inode->kept);
        sim_write_drop(inode, write);
    }
}

uint64_t sim_files_used(const struct sim_disk *disk)
{
    uint64_t used = 0;
    for (struct list *at = disk->inodes.next; at != &disk->inodes; at = at->next) {
        const struct sim_inode *inode = CONTAINER_OF(at, struct sim_inode, node);
        if (inode->attached != NULL) used += inode->attached->bytes;
        for (size_t i = 0; i < inode->seen_names.count; i++) {
            uint64_t size = inode->seen_names.list[i].inode->seen.size;
            used += (size + FILES_BLOCK_BYTES - 1) / FILES_BLOCK_BYTES * FILES_BLOCK_BYTES;
        }
    }
    return used;
}
