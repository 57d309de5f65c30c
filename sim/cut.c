/* SPDX-License-Identifier: Apache-2.0 */
/* What is pending when the power goes is decided piece by piece:
 *
 * - A file's operations are in the order of their making. Its length is what it was after the first
 * so many of them (truncations among those have cut it); what a kept length finds unwritten is
 * zero.
 * - Contents arrive by sectors of 512 bytes, in any order among sectors and files. Of the
 * operations that touch one sector a first few have arrived: page caches write the newest, never
 * the third without the second. The last to arrive may be torn: its first bytes are there, behind
 * them the old ones, or garbage. Bytes that no pending operation covers are never touched: what is
 * synced is never lost.
 * - Each create, rename and remove has happened or not, on its own, whatever became of the others.
 * A rename is one step. A name that is lost takes the file with it, however well that was synced.
 *
 * SIM_KEEP_* narrow these choices down; SIM_KEEP_GARBAGE makes all of them. */
#include "sim/cut.h"

#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/memory.h"
#include "base/must.h"
#include "sim/files.h"
#include "sim/inside.h"

struct cutter {
    enum sim_keep keep;
    uint64_t orders;       /* SIM_KEEP_PREFIX: operations before this one survive */
    uint64_t sector, lost; /* SIM_KEEP_ALL_BUT_ONE: sectors seen so far; the one to lose */
    struct dice *dice;
};

void sim_cut_dice(const struct sim_node *node, const struct sim_cut *cut, struct dice *dice)
{
    uint64_t facts[4] = {node->world->seed, node->index, node->io, cut->number};
    dice_init(dice, checksum64(bytes_of(facts, sizeof(facts)), 0));
}

static int compare_orders(const void *a, const void *b)
{
    uint64_t one, other;
    memcpy(&one, a, sizeof(one));
    memcpy(&other, b, sizeof(other));
    return (one > other) - (one < other);
}

static uint64_t sectors_of(const struct sim_write *write)
{
    if (write->is_resize || write->size == 0) return 0;
    uint64_t first = write->offset / DISK_TORN_BYTES;
    return (write->offset + write->size - 1) / DISK_TORN_BYTES - first + 1;
}

/* Gathers the orders of all pending operations, and counts their sectors. */
static void disk_count(const struct sim_disk *disk, struct buffer *orders, uint64_t *sectors)
{
    *sectors = 0;
    for (struct list *at = disk->inodes.next; at != &disk->inodes; at = at->next) {
        const struct sim_inode *inode = CONTAINER_OF(at, struct sim_inode, node);
        for (struct list *in = inode->pending.next; in != &inode->pending; in = in->next) {
            const struct sim_write *write = CONTAINER_OF(in, struct sim_write, node);
            *sectors += sectors_of(write);
            buffer_append(orders, bytes_of(&write->order, sizeof(write->order)));
        }
    }
    for (struct list *at = disk->renames.next; at != &disk->renames; at = at->next) {
        const struct sim_rename *rename = CONTAINER_OF(at, struct sim_rename, node);
        buffer_append(orders, bytes_of(&rename->order, sizeof(rename->order)));
    }
}

static void cutter_init(struct cutter *cutter, const struct sim_disk *disk,
                        const struct sim_cut *cut, struct dice *dice)
{
    *cutter = (struct cutter){.keep = cut->keep, .dice = dice};
    struct buffer orders;
    buffer_init(&orders);
    uint64_t sectors;
    disk_count(disk, &orders, &sectors);
    size_t count = orders.size / sizeof(uint64_t);
    if (count > 0) qsort(orders.data, count, sizeof(uint64_t), compare_orders);
    uint64_t survive = cut->number % (count + 1);
    cutter->orders = survive < count ? load_le64(orders.data + survive * sizeof(uint64_t))
                                     : UINT64_MAX;
    cutter->lost = sectors > 0 ? cut->number % sectors : 0;
    buffer_release(&orders);
}

enum piece { PIECE_WHOLE, PIECE_NONE, PIECE_TORN, PIECE_GARBAGE };

static enum piece cutter_draw(struct cutter *cutter, const struct sim_write *write)
{
    switch (cutter->keep) {
    case SIM_KEEP_NOTHING:
    case SIM_KEEP_ZEROS: return PIECE_NONE;
    case SIM_KEEP_ALL: return PIECE_WHOLE;
    case SIM_KEEP_PREFIX: return write->order < cutter->orders ? PIECE_WHOLE : PIECE_NONE;
    case SIM_KEEP_ALL_BUT_ONE: return cutter->sector++ == cutter->lost ? PIECE_NONE : PIECE_WHOLE;
    case SIM_KEEP_SECTORS: return dice_chance(cutter->dice, 1, 2) ? PIECE_WHOLE : PIECE_NONE;
    case SIM_KEEP_TORN: return (enum piece)dice_below(cutter->dice, 3);
    case SIM_KEEP_GARBAGE: return (enum piece)dice_below(cutter->dice, 4);
    case SIM_KEEP_CACHE:
    case SIM_KEEPS: break;
    }
    MUST(false);
    return PIECE_NONE;
}

/* Carries one sector's part [begin, end) of the operation over, as drawn. False: no later one
 * arrives here. */
static bool sector_cut(struct cutter *cutter, const struct sim_write *write, struct buffer *kept,
                       uint64_t begin, uint64_t end)
{
    enum piece piece = cutter_draw(cutter, write);
    if (end > kept->size) end = kept->size;
    if (begin >= end || piece == PIECE_NONE) return piece == PIECE_WHOLE;
    uint64_t whole = piece == PIECE_WHOLE ? end : begin + dice_below(cutter->dice, end - begin);
    if (write->data != NULL) {
        memcpy(kept->data + begin, write->data + (begin - write->offset), (size_t)(whole - begin));
    } else {
        memset(kept->data + begin, 0, (size_t)(whole - begin));
    }
    for (uint64_t i = whole; piece == PIECE_GARBAGE && i < end; i++) {
        kept->data[i] = (uint8_t)dice_roll(cutter->dice);
    }
    return piece == PIECE_WHOLE;
}

static void write_cut(struct cutter *cutter, const struct sim_write *write, struct buffer *kept,
                      uint8_t *stopped)
{
    uint64_t end = write->offset + write->size;
    uint64_t next;
    for (uint64_t at = write->offset; at < end; at = next) {
        uint64_t sector = at / DISK_TORN_BYTES;
        next = (sector + 1) * DISK_TORN_BYTES;
        if (next > end) next = end;
        if (stopped[sector] != 0) continue;
        if (!sector_cut(cutter, write, kept, at, next)) stopped[sector] = 1;
    }
}

/* How many of the file's operations, from the first, have their part in its length. */
static uint64_t lengths_kept(struct cutter *cutter, const struct sim_inode *inode)
{
    uint64_t count = 0;
    switch (cutter->keep) {
    case SIM_KEEP_NOTHING: return 0;
    case SIM_KEEP_ALL:
    case SIM_KEEP_ALL_BUT_ONE:
    case SIM_KEEP_ZEROS: return inode->pending_count;
    case SIM_KEEP_PREFIX:
        for (struct list *at = inode->pending.next; at != &inode->pending; at = at->next) {
            if (CONTAINER_OF(at, struct sim_write, node)->order < cutter->orders) count++;
        }
        return count;
    case SIM_KEEP_SECTORS:
    case SIM_KEEP_TORN:
    case SIM_KEEP_GARBAGE: return dice_below(cutter->dice, inode->pending_count + 1);
    case SIM_KEEP_CACHE:
    case SIM_KEEPS: break;
    }
    MUST(false);
    return 0;
}

static void file_cut(struct cutter *cutter, struct sim_inode *inode)
{
    uint64_t lengths = lengths_kept(cutter, inode);
    uint64_t size_max = inode->kept.size;
    for (struct list *at = inode->pending.next; at != &inode->pending; at = at->next) {
        const struct sim_write *write = CONTAINER_OF(at, struct sim_write, node);
        if (write->offset + write->size > size_max) size_max = write->offset + write->size;
    }
    uint8_t *stopped = memory_zeroed((size_t)(size_max / DISK_TORN_BYTES) + 1, 1);
    struct sim_write *write;
    for (uint64_t i = 0; (write = sim_write_first(inode)) != NULL; i++) {
        uint64_t end = write->offset + write->size;
        if (write->is_resize) {
            if (i < lengths) sim_image_resize(&inode->kept, write->offset);
        } else {
            if (i < lengths && end > inode->kept.size) sim_image_resize(&inode->kept, end);
            write_cut(cutter, write, &inode->kept, stopped);
        }
        sim_write_drop(inode, write);
    }
    memory_free(stopped);
}

static bool rename_is_kept(struct cutter *cutter, const struct sim_rename *rename)
{
    switch (cutter->keep) {
    case SIM_KEEP_NOTHING: return false;
    case SIM_KEEP_ALL:
    case SIM_KEEP_ALL_BUT_ONE:
    case SIM_KEEP_ZEROS: return true;
    case SIM_KEEP_PREFIX: return rename->order < cutter->orders;
    case SIM_KEEP_SECTORS:
    case SIM_KEEP_TORN:
    case SIM_KEEP_GARBAGE: return dice_chance(cutter->dice, 1, 2);
    case SIM_KEEP_CACHE:
    case SIM_KEEPS: break;
    }
    MUST(false);
    return false;
}

void sim_cut_disk(struct sim_disk *disk, const struct sim_cut *cut, struct dice *dice)
{
    MUST(cut->keep != SIM_KEEP_CACHE);
    struct cutter cutter;
    cutter_init(&cutter, disk, cut, dice);
    struct list *node;
    while ((node = list_first(&disk->renames)) != NULL) {
        struct sim_rename *rename = CONTAINER_OF(node, struct sim_rename, node);
        if (rename_is_kept(&cutter, rename)) sim_rename_apply(rename);
        sim_rename_drop(rename);
    }
    for (struct list *at = disk->inodes.next; at != &disk->inodes; at = at->next) {
        struct sim_inode *inode = CONTAINER_OF(at, struct sim_inode, node);
        file_cut(&cutter, inode);
        buffer_clear(&inode->seen);
        buffer_append(&inode->seen, buffer_bytes(&inode->kept));
        sim_names_copy(&inode->seen_names, &inode->kept_names);
        inode->late_err = ERR_OK;
    }
    sim_files_sweep(disk);
}

bool sim_crash_variant(unsigned variant, struct sim_crash *crash)
{
    enum {
        SOME = 15485863,
        MORE = 32452843
    }; /* primes: taken modulo the number of what is pending */
    static const struct {
        enum sim_moment moment;
        struct sim_cut cut;
    } variants[] = {
        {SIM_BEFORE, {SIM_KEEP_CACHE, 1}},
        {SIM_AFTER, {SIM_KEEP_CACHE, 1}},
        {SIM_BEFORE, {SIM_KEEP_NOTHING, 1}},
        {SIM_AFTER, {SIM_KEEP_NOTHING, 1}},
        {SIM_DURING, {SIM_KEEP_ALL, 1}},
        {SIM_AFTER, {SIM_KEEP_ALL, 1}},
        {SIM_DURING, {SIM_KEEP_ZEROS, 1}},
        {SIM_AFTER, {SIM_KEEP_ZEROS, 1}},
        {SIM_DURING, {SIM_KEEP_PREFIX, SOME}},
        {SIM_AFTER, {SIM_KEEP_PREFIX, MORE}},
        {SIM_DURING, {SIM_KEEP_SECTORS, 1}},
        {SIM_AFTER, {SIM_KEEP_SECTORS, 2}},
        {SIM_DURING, {SIM_KEEP_TORN, 1}},
        {SIM_AFTER, {SIM_KEEP_TORN, 2}},
        {SIM_DURING, {SIM_KEEP_GARBAGE, 1}},
        {SIM_AFTER, {SIM_KEEP_GARBAGE, 2}},
        {SIM_DURING, {SIM_KEEP_GARBAGE, 3}},
        {SIM_DURING, {SIM_KEEP_ALL_BUT_ONE, 0}},
        {SIM_DURING, {SIM_KEEP_ALL_BUT_ONE, SOME}},
        {SIM_DURING, {SIM_KEEP_ALL_BUT_ONE, MORE}},
    };
    if (variant >= sizeof(variants) / sizeof(variants[0])) return false;
    crash->moment = variants[variant].moment;
    crash->cut = variants[variant].cut;
    return true;
}
