/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/disk.h"

#include <string.h>

#include "base/memory.h"
#include "base/must.h"
#include "sim/carry.h"
#include "sim/cut.h"
#include "sim/heap.h"
#include "sim/inside.h"

/* A submitted request on its way. What the node lent us is copied, to see that it is left alone. */
struct flight {
    struct sim_event event;
    struct list node; /* in disk->flights, in the order of submission */
    struct sim_disk *disk;
    struct disk_request *request; /* the node's */
    struct disk_request copy;     /* with paths, and bytes to write, of our own */
};

static void request_check(const struct sim_disk *disk, const struct disk_request *request)
{
    MUST((unsigned)request->op <= DISK_LOCK);
    if (!sim_op_has_file(request->op)) {
        MUST(request->path != NULL);
        MUST(request->op != DISK_RENAME || request->path_to != NULL);
        MUST(request->op != DISK_LIST || request->names != NULL);
        return;
    }
    const struct disk_file *file = request->file;
    bool is_open = false;
    for (struct list *at = disk->handles.next; at != &disk->handles; at = at->next) {
        if (CONTAINER_OF(at, struct disk_file, node) == file) is_open = true;
    }
    MUST(is_open);
    bool moves = sim_op_writes(request->op) || request->op == DISK_READ;
    if (moves && request->op != DISK_FILL) MUST(request->data != NULL || request->size == 0);
    if (file->read_only) MUST(!sim_op_writes(request->op) && request->op != DISK_TRUNCATE);
    if (!file->direct || !moves) return;
    MUST(request->offset % DISK_SECTOR_BYTES == 0);
    MUST(request->size % DISK_SECTOR_BYTES == 0);
    MUST((uintptr_t)request->data % DISK_SECTOR_BYTES == 0);
}

/* No two writes in flight may meet, and nothing may be in flight when a file is closed. */
static void flights_check(const struct sim_disk *disk, const struct disk_request *request)
{
    if (!sim_op_has_file(request->op)) return;
    if (request->op == DISK_CLOSE) MUST(request->file->in_flight == 0);
    if (!sim_op_writes(request->op)) return;
    for (struct list *at = disk->flights.next; at != &disk->flights; at = at->next) {
        const struct disk_request *other = &CONTAINER_OF(at, struct flight, node)->copy;
        if (!sim_op_has_file(other->op) || other->file->inode != request->file->inode) continue;
        if (!sim_op_writes(other->op)) continue;
        MUST(other->offset + other->size <= request->offset ||
             request->offset + request->size <= other->offset);
    }
}

/* Carries the request out as one I/O operation, unless the node crashes at it. */
static void perform(struct sim_disk *disk, struct disk_request *request)
{
    enum sim_moment moment = sim_node_count_io(disk->node);
    if (moment == SIM_BEFORE) sim_node_die(disk->node);
    if (moment == SIM_DURING) {
        sim_carry_out_partly(disk, request);
        sim_node_die(disk->node);
    }
    sim_carry_out(disk, request);
    if (moment == SIM_AFTER) sim_node_die(disk->node);
}

static enum err disk_run_of_sim(struct disk *base, struct disk_request *request)
{
    struct sim_disk *disk = CONTAINER_OF(base, struct sim_disk, base);
    struct sim_heap *before = sim_heap_enter(NULL);
    request_check(disk, request);
    flights_check(disk, request);
    perform(disk, request);
    (void)sim_heap_enter(before);
    return request->err;
}

static char *text_copy(const char *text)
{
    if (text == NULL) return NULL;
    size_t size = strlen(text) + 1;
    char *copy = memory_alloc(size);
    memcpy(copy, text, size);
    return copy;
}

static bool flight_has_bytes(const struct flight *flight)
{
    return sim_op_writes(flight->copy.op) && flight->copy.op != DISK_FILL && flight->copy.size > 0;
}

static void flight_drop(struct flight *flight)
{
    sim_world_cancel(flight->disk->node->world, &flight->event);
    list_remove(&flight->node);
    memory_free((void *)(uintptr_t)flight->copy.path);
    memory_free((void *)(uintptr_t)flight->copy.path_to);
    if (flight_has_bytes(flight)) memory_free(flight->copy.data);
    memory_free(flight);
}

static void flight_arrived(struct sim_event *event)
{
    struct flight *flight = CONTAINER_OF(event, struct flight, event);
    struct sim_disk *disk = flight->disk;
    struct disk_request *request = flight->request;
    if (flight_has_bytes(flight)) { /* the node must have left what it lent alone */
        MUST(memcmp(flight->copy.data, request->data, (size_t)flight->copy.size) == 0);
    }
    list_remove(&flight->node); /* a crash at this operation is not to find it in flight */
    if (sim_op_has_file(flight->copy.op)) flight->copy.file->in_flight--;
    disk->performing = flight;
    perform(disk, &flight->copy);
    disk->performing = NULL;
    request->file = flight->copy.file;
    request->size = flight->copy.size;
    request->moved = flight->copy.moved;
    request->err = flight->copy.err;
    request->why = flight->copy.why;
    flight_drop(flight);
    SIM_CALL_NODE(disk->node, request->done(request));
}

static uint64_t latency_us(struct sim_disk *disk, const struct disk_request *request)
{
    const struct sim_disk_profile *profile = &disk->profile;
    uint64_t low = profile->write_us_min, high = profile->write_us_max;
    if (request->op == DISK_READ || request->op == DISK_OPEN || request->op == DISK_LIST) {
        low = profile->read_us_min;
        high = profile->read_us_max;
    } else if (request->op == DISK_SYNC || request->op == DISK_WRITE_SYNC ||
               request->op == DISK_FILL || request->op == DISK_SYNC_DIR) {
        low = profile->sync_us_min;
        high = profile->sync_us_max;
    }
    struct dice *dice = sim_world_dice(disk->node->world, SIM_DICE_DISK);
    uint64_t latency = low + (high > low ? dice_below(dice, high - low + 1) : 0);
    if (profile->tail > 1 && dice_chance(dice, 1, 64)) latency *= profile->tail;
    return latency + sim_faults_stall_us(&disk->faults, request->op, sim_request_path(request));
}

static void disk_submit_of_sim(struct disk *base, struct disk_request *request)
{
    struct sim_disk *disk = CONTAINER_OF(base, struct sim_disk, base);
    struct sim_heap *before = sim_heap_enter(NULL);
    MUST(sim_node_is_inside(disk->node));
    MUST(request->done != NULL);
    request_check(disk, request);
    flights_check(disk, request);
    struct flight *flight = memory_zeroed(1, sizeof(*flight));
    flight->event = (struct sim_event){
        .fired = flight_arrived, .node = disk->node, .kind = SIM_EVENT_DISK};
    flight->disk = disk;
    flight->request = request;
    flight->copy = *request;
    flight->copy.path = sim_op_has_file(request->op) ? NULL : text_copy(request->path);
    flight->copy.path_to = request->op == DISK_RENAME ? text_copy(request->path_to) : NULL;
    if (flight_has_bytes(flight)) {
        /* As aligned as what it is a copy of: it goes through the same checks. */
        flight->copy.data = memory_aligned(DISK_SECTOR_BYTES, (size_t)request->size);
        memcpy(flight->copy.data, request->data, (size_t)request->size);
    }
    list_append(&disk->flights, &flight->node);
    if (sim_op_has_file(request->op)) request->file->in_flight++;
    sim_world_plan(disk->node->world, &flight->event, latency_us(disk, request));
    (void)sim_heap_enter(before);
}

static const struct disk_ops disk_ops_of_sim = {
    .submit = disk_submit_of_sim,
    .run = disk_run_of_sim,
};

static bool flight_is_carried_out(enum sim_keep keep, struct dice *dice)
{
    if (keep == SIM_KEEP_NOTHING) return false;
    bool by_lot = keep == SIM_KEEP_CACHE || keep == SIM_KEEP_SECTORS || keep == SIM_KEEP_TORN ||
                  keep == SIM_KEEP_GARBAGE;
    return !by_lot || dice_chance(dice, 1, 2);
}

/* Into the page cache; whether it was synced too is the cut's to say. */
static void flight_carry_out(struct sim_disk *disk, struct flight *flight)
{
    struct disk_request *request = &flight->copy;
    if (sim_op_writes(request->op)) {
        sim_write_part(disk, request, request->size);
    } else if (request->op == DISK_CREATE || request->op == DISK_TRUNCATE ||
               request->op == DISK_RENAME || request->op == DISK_REMOVE ||
               request->op == DISK_MAKE_DIR) {
        (void)sim_carry_out_well(disk, request);
    }
}

void sim_disk_cut(struct sim_disk *disk, const struct sim_cut *cut)
{
    struct dice dice;
    sim_cut_dice(disk->node, cut, &dice);
    struct list *node;
    if (disk->performing != NULL) flight_drop(disk->performing);
    disk->performing = NULL;
    while ((node = list_first(&disk->flights)) != NULL) {
        struct flight *flight = CONTAINER_OF(node, struct flight, node);
        if (flight_is_carried_out(cut->keep, &dice)) flight_carry_out(disk, flight);
        flight_drop(flight);
    }
    while ((node = list_first(&disk->handles)) != NULL) {
        struct disk_file *file = CONTAINER_OF(node, struct disk_file, node);
        file->inode->opens--;
        list_remove(&file->node);
        memory_free(file);
    }
    for (node = disk->inodes.next; node != &disk->inodes; node = node->next) {
        CONTAINER_OF(node, struct sim_inode, node)->is_locked = false;
    }
    if (cut->keep == SIM_KEEP_CACHE) {
        sim_files_sweep(disk);
    } else {
        sim_cut_disk(disk, cut, &dice);
    }
}

void sim_disk_leftovers(const struct sim_disk *disk, struct buffer *out)
{
    size_t files = 0, flights = 0;
    for (struct list *at = disk->handles.next; at != &disk->handles; at = at->next) files++;
    for (struct list *at = disk->flights.next; at != &disk->flights; at = at->next) flights++;
    if (files > 0) buffer_append_format(out, "%zu open files; ", files);
    if (flights > 0) buffer_append_format(out, "%zu requests in flight; ", flights);
}

struct sim_disk *sim_disk_open(struct sim_node *node, uint64_t capacity)
{
    struct sim_disk *disk = memory_zeroed(1, sizeof(*disk));
    disk->base.ops = &disk_ops_of_sim;
    disk->node = node;
    disk->profile = (struct sim_disk_profile){.read_us_min = 20,
                                              .read_us_max = 150,
                                              .write_us_min = 5,
                                              .write_us_max = 60,
                                              .sync_us_min = 60,
                                              .sync_us_max = 400,
                                              .tail = 20};
    disk->capacity = capacity > 0 ? capacity : (uint64_t)1 << 40;
    sim_faults_init(&disk->faults, sim_world_dice(node->world, SIM_DICE_FAULTS));
    list_init(&disk->inodes);
    list_init(&disk->renames);
    list_init(&disk->handles);
    list_init(&disk->flights);
    disk->root = sim_inode_make(disk, true);
    return disk;
}

void sim_disk_close(struct sim_disk *disk)
{
    MUST(list_empty(&disk->flights));
    MUST(list_empty(&disk->handles));
    sim_files_release(disk);
    sim_faults_release(&disk->faults);
    memory_free(disk);
}
