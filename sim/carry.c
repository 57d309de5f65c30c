/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/carry.h"

#include <string.h>

#include "base/checksum.h"
#include "base/memory.h"
#include "base/must.h"
#include "sim/cut.h"
#include "sim/heap.h"
#include "sim/inside.h"

enum { DISK_NOTE = 16 };

static const char *const op_names[] = {
    [DISK_OPEN] = "open",
    [DISK_CREATE] = "create",
    [DISK_CLOSE] = "close",
    [DISK_READ] = "read",
    [DISK_WRITE] = "write",
    [DISK_SYNC] = "sync",
    [DISK_WRITE_SYNC] = "write",
    [DISK_FILL] = "fill",
    [DISK_TRUNCATE] = "truncate",
    [DISK_RENAME] = "rename",
    [DISK_REMOVE] = "remove",
    [DISK_MAKE_DIR] = "make directory",
    [DISK_SYNC_DIR] = "sync directory",
    [DISK_LIST] = "list",
    [DISK_FREE_SPACE] = "measure",
    [DISK_LOCK] = "lock",
};

bool sim_op_has_file(enum disk_op op)
{
    switch (op) {
    case DISK_CLOSE:
    case DISK_READ:
    case DISK_WRITE:
    case DISK_SYNC:
    case DISK_WRITE_SYNC:
    case DISK_FILL:
    case DISK_TRUNCATE: return true;
    case DISK_OPEN:
    case DISK_CREATE:
    case DISK_RENAME:
    case DISK_REMOVE:
    case DISK_MAKE_DIR:
    case DISK_SYNC_DIR:
    case DISK_LIST:
    case DISK_FREE_SPACE:
    case DISK_LOCK: return false;
    }
    MUST(false);
    return false;
}

bool sim_op_writes(enum disk_op op)
{
    return op == DISK_WRITE || op == DISK_WRITE_SYNC || op == DISK_FILL;
}

const char *sim_request_path(const struct disk_request *request)
{
    return sim_op_has_file(request->op) ? request->file->path : request->path;
}

static enum err request_fail(struct disk_request *request, enum err err, const char *text)
{
    return why_fail(&request->why, err, "cannot %s %s: %s", op_names[request->op],
                    sim_request_path(request), text);
}

static enum err file_open(struct sim_disk *disk, struct disk_request *request,
                          struct sim_inode *inode)
{
    size_t size = strlen(request->path) + 1;
    struct disk_file *file = memory_zeroed(1, sizeof(*file) + size);
    file->inode = inode;
    file->direct = request->direct;
    file->read_only = request->read_only && request->op == DISK_OPEN;
    memcpy(file->path, request->path, size);
    list_append(&disk->handles, &file->node);
    inode->opens++;
    request->file = file;
    request->size = inode->seen.size;
    return ERR_OK;
}

static enum err run_open(struct sim_disk *disk, struct disk_request *request)
{
    struct sim_inode *inode = sim_files_find(disk, request->path);
    if (inode == NULL) return request_fail(request, ERR_NOT_FOUND, "no such file");
    if (inode->is_directory) return request_fail(request, ERR_REFUSED, "is a directory");
    return file_open(disk, request, inode);
}

/* Makes a file or directory at the request's path; *inode is it, or the one that is there
 * (ERR_EXISTS). */
static enum err run_make(struct sim_disk *disk, struct disk_request *request, bool is_directory,
                         struct sim_inode **inode)
{
    const char *last;
    struct sim_inode *parent = sim_files_parent(disk, request->path, &last);
    if (parent == NULL) return request_fail(request, ERR_NOT_FOUND, "no such directory");
    *inode = sim_files_find(disk, request->path);
    if (*inode != NULL) return request_fail(request, ERR_EXISTS, "there is one already");
    if (!sim_disk_has_room(disk, 1)) return request_fail(request, ERR_SPACE, "no space left");
    *inode = sim_inode_make(disk, is_directory);
    sim_files_link(disk, parent, last, *inode);
    return ERR_OK;
}

static enum err run_create(struct sim_disk *disk, struct disk_request *request)
{
    struct sim_inode *inode;
    enum err err = run_make(disk, request, false, &inode);
    return err == ERR_OK ? file_open(disk, request, inode) : err;
}

static enum err run_close(struct sim_disk *disk, struct disk_request *request)
{
    struct disk_file *file = request->file;
    MUST(file->in_flight == 0);
    file->inode->opens--;
    list_remove(&file->node);
    memory_free(file);
    request->file = NULL;
    sim_files_sweep(disk);
    return ERR_OK;
}

static enum err run_remove(struct sim_disk *disk, struct disk_request *request)
{
    const char *last;
    struct sim_inode *inode = sim_files_find(disk, request->path);
    if (inode == NULL) return request_fail(request, ERR_NOT_FOUND, "no such file");
    /* A store in it goes with it: its files are not modelled one by one. */
    bool is_open = inode->attached != NULL && inode->attached->is_open;
    if (inode->seen_names.count > 0 || is_open) {
        return request_fail(request, ERR_REFUSED, "the directory is not empty");
    }
    struct sim_inode *parent = sim_files_parent(disk, request->path, &last);
    (void)sim_files_rename(disk, parent, last, NULL, NULL);
    return ERR_OK;
}

static enum err run_rename(struct sim_disk *disk, struct disk_request *request)
{
    const char *last, *last_to;
    struct sim_inode *inode = sim_files_find(disk, request->path);
    struct sim_inode *parent_to = sim_files_parent(disk, request->path_to, &last_to);
    if (inode == NULL || parent_to == NULL) {
        return request_fail(request, ERR_NOT_FOUND, "no such file or directory");
    }
    struct sim_inode *target = sim_files_find(disk, request->path_to);
    if (target == inode) return ERR_OK;
    if (inode->is_directory && sim_inode_holds(inode, parent_to)) {
        return request_fail(request, ERR_IO, "would be inside itself");
    }
    if (target != NULL && target->is_directory != inode->is_directory) {
        return request_fail(request, inode->is_directory ? ERR_NOT_FOUND : ERR_REFUSED,
                            "one is a file, the other a directory");
    }
    if (target != NULL && (target->seen_names.count > 0 || target->attached != NULL)) {
        return request_fail(request, ERR_REFUSED, "the directory is not empty");
    }
    struct sim_inode *parent = sim_files_parent(disk, request->path, &last);
    (void)sim_files_rename(disk, parent, last, parent_to, last_to);
    return ERR_OK;
}

/* The directory that the request's path names, or NULL with its error set. */
static struct sim_inode *request_directory(struct sim_disk *disk, struct disk_request *request)
{
    struct sim_inode *inode = sim_files_find(disk, request->path);
    if (inode != NULL && inode->is_directory) return inode;
    request->err = request_fail(request, ERR_NOT_FOUND, "no such directory");
    return NULL;
}

static enum err run_list(struct sim_disk *disk, struct disk_request *request)
{
    struct sim_inode *inode = request_directory(disk, request);
    if (inode == NULL) return request->err;
    bool inside = sim_node_is_inside(disk->node);
    struct sim_heap *before = sim_heap_enter(inside ? sim_node_heap(disk->node) : NULL);
    for (size_t i = 0; i < inode->seen_names.count; i++) {
        const char *name = inode->seen_names.list[i].name;
        buffer_append(request->names, bytes_of(name, strlen(name) + 1));
    }
    (void)sim_heap_enter(before);
    return ERR_OK;
}

static enum err run_lock(struct sim_disk *disk, struct disk_request *request)
{
    struct sim_inode *inode;
    enum err err = run_make(disk, request, false, &inode);
    if (err == ERR_NOT_FOUND) return ERR_IO;
    if (err != ERR_OK && err != ERR_EXISTS) return err;
    if (inode->is_locked || inode->is_held) {
        return request_fail(request, ERR_REFUSED, "another process has it");
    }
    inode->is_locked = true;
    return ERR_OK;
}

static bool file_has_room(const struct sim_disk *disk, const struct sim_inode *inode, uint64_t size)
{
    return size <= inode->seen.size || sim_disk_has_room(disk, size - inode->seen.size);
}

static enum err run_read(struct disk_request *request)
{
    const struct buffer *seen = &request->file->inode->seen;
    request->moved = 0;
    if (request->offset >= seen->size) return ERR_OK;
    uint64_t left = seen->size - request->offset;
    request->moved = request->size < left ? request->size : left;
    if (request->moved > 0) {
        memcpy(request->data, seen->data + request->offset, (size_t)request->moved);
    }
    return ERR_OK;
}

static enum err run_write(struct sim_disk *disk, struct disk_request *request)
{
    struct sim_inode *inode = request->file->inode;
    if (!file_has_room(disk, inode, request->offset + request->size)) {
        return request_fail(request, ERR_SPACE, "no space left");
    }
    sim_file_write(disk, inode, request->offset, request->data, request->size);
    request->moved = request->size;
    return ERR_OK;
}

static enum err run_sync(struct disk_request *request)
{
    struct sim_inode *inode = request->file->inode;
    if (inode->late_err != ERR_OK) {
        enum err err = inode->late_err;
        inode->late_err = ERR_OK;
        return request_fail(request, err, "an earlier write failed");
    }
    sim_file_sync(inode);
    return ERR_OK;
}

static enum err run_fill(struct sim_disk *disk, struct disk_request *request)
{
    struct sim_inode *inode = request->file->inode;
    uint64_t size = request->size;
    while (size > 0 && !file_has_room(disk, inode, request->offset + size)) size /= 2;
    sim_file_write(disk, inode, request->offset, NULL, size);
    sim_file_sync(inode);
    if (size < request->size) return request_fail(request, ERR_SPACE, "no space left");
    return ERR_OK;
}

static enum err run_truncate(struct sim_disk *disk, struct disk_request *request)
{
    struct sim_inode *inode = request->file->inode;
    if (!file_has_room(disk, inode, request->offset)) {
        return request_fail(request, ERR_SPACE, "no space left");
    }
    sim_file_resize(disk, inode, request->offset);
    return ERR_OK;
}

enum err sim_carry_out_well(struct sim_disk *disk, struct disk_request *request)
{
    struct sim_inode *inode;
    enum err err;
    switch (request->op) {
    case DISK_OPEN: return run_open(disk, request);
    case DISK_CREATE: return run_create(disk, request);
    case DISK_CLOSE: return run_close(disk, request);
    case DISK_READ: return run_read(request);
    case DISK_WRITE: return run_write(disk, request);
    case DISK_SYNC: return run_sync(request);
    case DISK_WRITE_SYNC:
        err = run_write(disk, request);
        return err == ERR_OK ? run_sync(request) : err;
    case DISK_FILL: return run_fill(disk, request);
    case DISK_TRUNCATE: return run_truncate(disk, request);
    case DISK_RENAME: return run_rename(disk, request);
    case DISK_REMOVE: return run_remove(disk, request);
    case DISK_MAKE_DIR: return run_make(disk, request, true, &inode);
    case DISK_SYNC_DIR:
        inode = request_directory(disk, request);
        if (inode == NULL) return request->err;
        sim_files_sync_directory(disk, inode);
        return ERR_OK;
    case DISK_LIST: return run_list(disk, request);
    case DISK_FREE_SPACE:
        if (request_directory(disk, request) == NULL) return request->err;
        request->size = sim_files_used(disk) < disk->capacity
                            ? disk->capacity - sim_files_used(disk)
                            : 0;
        return ERR_OK;
    case DISK_LOCK: return run_lock(disk, request);
    }
    MUST(false);
    return ERR_IO;
}

/* Writes the first `size` bytes of the request, unsynced. */
void sim_write_part(struct sim_disk *disk, struct disk_request *request, uint64_t size)
{
    if (!file_has_room(disk, request->file->inode, request->offset + size)) return;
    const uint8_t *data = request->op == DISK_FILL ? NULL : request->data;
    sim_file_write(disk, request->file->inode, request->offset, data, size);
}

static enum err fault_error(struct sim_disk *disk, struct disk_request *request,
                            const struct sim_fault *fault, struct dice *dice)
{
    bool syncs = request->op == DISK_SYNC || request->op == DISK_WRITE_SYNC;
    /* Of a synced write that fails, all or nothing is seen afterwards. */
    if (request->op == DISK_WRITE_SYNC && dice_chance(dice, 1, 2)) {
        sim_write_part(disk, request, request->size);
    }
    if (syncs) sim_file_sync_failed(request->file->inode, (uint32_t)fault->amount, dice);
    /* A close answers its error and the handle is gone all the same. */
    if (request->op == DISK_CLOSE) (void)run_close(disk, request);
    if (request->op == DISK_CLOSE)
        return why_fail(&request->why, fault->err, "cannot close: fault");
    return request_fail(request, fault->err, "injected fault");
}

/* One bit of what was read; or of what is written, in a copy. */
static enum err fault_flip(struct sim_disk *disk, struct disk_request *request, struct dice *dice)
{
    if (request->op == DISK_READ) {
        enum err err = run_read(request);
        if (err != ERR_OK || request->moved == 0) return err;
        uint64_t bit = dice_below(dice, request->moved * 8);
        ((uint8_t *)request->data)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        return ERR_OK;
    }
    if (request->op == DISK_FILL || !sim_op_writes(request->op) || request->size == 0) {
        return sim_carry_out_well(disk, request);
    }
    struct disk_request flipped = *request;
    uint8_t *copy = memory_alloc((size_t)request->size);
    memcpy(copy, request->data, (size_t)request->size);
    uint64_t bit = dice_below(dice, request->size * 8);
    copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    flipped.data = copy;
    enum err err = sim_carry_out_well(disk, &flipped);
    memory_free(copy);
    request->moved = flipped.moved;
    request->why = flipped.why;
    return err;
}

static enum err fault_misplace(struct sim_disk *disk, struct disk_request *request,
                               struct dice *dice)
{
    uint64_t sectors = sim_op_has_file(request->op)
                           ? request->file->inode->seen.size / DISK_SECTOR_BYTES
                           : 0;
    bool moves = request->op == DISK_READ || sim_op_writes(request->op);
    if (!moves || sectors == 0) return sim_carry_out_well(disk, request);
    uint64_t offset = request->offset;
    request->offset = dice_below(dice, sectors) * DISK_SECTOR_BYTES + offset % DISK_SECTOR_BYTES;
    enum err err = sim_carry_out_well(disk, request);
    request->offset = offset;
    return err;
}

static enum err carry_out_badly(struct sim_disk *disk, struct disk_request *request,
                                const struct sim_fault *fault, struct dice *dice)
{
    bool syncs = request->op == DISK_SYNC || request->op == DISK_WRITE_SYNC;
    enum err err = ERR_OK;
    switch (fault->kind) {
    case SIM_FAULT_ERROR: return fault_error(disk, request, fault, dice);
    case SIM_FAULT_SHORT:
        if (!sim_op_writes(request->op) || request->size == 0)
            return fault_error(disk, request, fault, dice);
        sim_write_part(disk, request, dice_below(dice, request->size));
        return request_fail(request, fault->err, "injected short write");
    case SIM_FAULT_FLIP: return fault_flip(disk, request, dice);
    case SIM_FAULT_LOSE:
        if (!sim_op_writes(request->op)) return sim_carry_out_well(disk, request);
        request->moved = request->size;
        return ERR_OK;
    case SIM_FAULT_MISPLACE: return fault_misplace(disk, request, dice);
    case SIM_FAULT_LIE:
        if (request->op == DISK_WRITE_SYNC) return run_write(disk, request);
        return request->op == DISK_SYNC || request->op == DISK_SYNC_DIR
                   ? ERR_OK
                   : sim_carry_out_well(disk, request);
    case SIM_FAULT_LATE:
        if (!syncs) return sim_carry_out_well(disk, request);
        if (request->op == DISK_WRITE_SYNC) err = run_write(disk, request);
        sim_file_sync_failed(request->file->inode, 0, dice);
        request->file->inode->late_err = fault->err;
        return err;
    case SIM_FAULT_STALL: break;
    }
    MUST(false);
    return ERR_IO;
}

void sim_carry_out(struct sim_disk *disk, struct disk_request *request)
{
    struct sim_world *world = disk->node->world;
    struct dice *dice = sim_world_dice(world, SIM_DICE_FAULTS);
    struct sim_fault fault;
    uint64_t facts[5] = {(uint64_t)request->op, request->offset, request->size};
    bool has_bytes = sim_op_writes(request->op) && request->op != DISK_FILL;
    if (has_bytes) facts[3] = checksum64(bytes_of(request->data, (size_t)request->size), 0);
    request->err = ERR_OK;
    request->why.text[0] = '\0';
    if (sim_faults_roll(&disk->faults, request->op, sim_request_path(request), &fault)) {
        request->err = carry_out_badly(disk, request, &fault, dice);
    } else {
        request->err = sim_carry_out_well(disk, request);
    }
    facts[4] = (uint64_t)request->err;
    sim_world_note_bytes(world, DISK_NOTE, bytes_of(facts, sizeof(facts)));
}

/* A crash in the middle: some of the bytes, some of the unsynced operations. */
void sim_carry_out_partly(struct sim_disk *disk, struct disk_request *request)
{
    struct dice dice;
    sim_cut_dice(disk->node, &disk->node->crash.cut, &dice);
    if (sim_op_writes(request->op)) {
        if (request->size > 0) sim_write_part(disk, request, dice_below(&dice, request->size + 1));
    } else if (request->op == DISK_SYNC) {
        struct sim_inode *inode = request->file->inode;
        uint64_t count = dice_below(&dice, inode->pending_count + 1);
        for (uint64_t i = 0; i < count; i++) {
            struct sim_write *write = sim_write_first(inode);
            sim_write_apply(write, &inode->kept);
            sim_write_drop(inode, write);
        }
    } else if (request->op != DISK_SYNC_DIR && request->op != DISK_CLOSE) {
        request->err = sim_carry_out_well(disk, request);
    }
}
