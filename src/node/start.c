/* SPDX-License-Identifier: Apache-2.0 */
/* The start, in the order that makes it safe:
 *
 *   directory and lock -> identity -> log recovered -> store opened, its mark read -> gate ->
 * replay of (flushed, recorded committed] -> promise of a new epoch, durable -> its epoch entry
 * appended -> the loop runs -> that entry is durable, so everything before it is committed: the
 * rest of the old log is applied, then it -> ready
 *
 * The gate compares the store's mark with the log and refuses what cannot be: a store ahead of its
 * log, a hole between them, another lineage at the mark. What was found beyond the recorded commit
 * stays in the log, unapplied, until our own epoch entry has committed (with one copy: at once). */
#include "node/start.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "base/plant.h"
#include "node/internal.h"
#include "node/replay.h"

enum { SHARD_KEYS = 0 };

static enum err sync_parent(struct disk *disk, const char *path, struct why *why)
{
    char *parent = path_parent(path);
    struct disk_request sync = {.op = DISK_SYNC_DIR, .path = parent};
    enum err err = disk_run(disk, &sync);
    if (err != ERR_OK) why_fail(why, err, "%s: %s", parent, sync.why.text);
    memory_free(parent);
    return err;
}

static enum err make_directory(struct disk *disk, const char *path, bool *made, struct why *why)
{
    struct disk_request make = {.op = DISK_MAKE_DIR, .path = path};
    enum err err = disk_run(disk, &make);
    *made = err == ERR_OK;
    if (err == ERR_OK || err == ERR_EXISTS) return ERR_OK;
    return why_fail(why, err, "%s: %s", path, make.why.text);
}

/* Also one that is there already is made durable in its parent: a start before this one may have
 * been killed between the two. */
static enum err make_inner(struct disk *disk, const char *path, struct why *why)
{
    bool made;
    enum err err = make_directory(disk, path, &made, why);
    return err == ERR_OK ? sync_parent(disk, path, why) : err;
}

/* The parent of the data directory belongs to others: where we have not made the directory, we need
 * not be able to read what it stands in. */
static enum err make_outer(struct disk *disk, const char *path, struct why *why)
{
    bool made;
    enum err err = make_directory(disk, path, &made, why);
    if (err != ERR_OK) return err;
    err = sync_parent(disk, path, why);
    return made ? err : ERR_OK;
}

static enum err open_directories(struct node *node, struct why *why)
{
    struct disk *disk = node->world.disk;
    enum err err = make_outer(disk, node->directory, why);
    if (err != ERR_OK) return err;
    /* Before the lock file: a directory that is not ours is left as it is. */
    err = identity_probe(disk, node->directory, &node->identity, why);
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    char *lock_path = path_join(node->directory, "lock");
    struct disk_request lock = {.op = DISK_LOCK, .path = lock_path};
    err = disk_run(disk, &lock);
    memory_free(lock_path);
    if (err == ERR_REFUSED) {
        return why_fail(why, ERR_REFUSED, "the data directory %s is in use by another process",
                        node->directory);
    }
    if (err != ERR_OK) return why_fail(why, err, "%s: %s", node->directory, lock.why.text);
    bool made = false;
    err = identity_open(disk, node->world.entropy, node->directory, &node->identity, &made, why);
    if (err != ERR_OK) return err;
    char *keys = path_join(node->directory, "keys");
    err = make_inner(disk, keys, why);
    if (err == ERR_OK) err = make_inner(disk, node->log_directory, why);
    memory_free(keys);
    return err;
}

static struct log_options log_options_of(const struct node *node,
                                         const struct node_options *options)
{
    return (struct log_options){.segment_bytes = options->segment_bytes,
                                .reserve_bytes = options->reserve_bytes,
                                .durability = options->durability,
                                .direct = options->log_direct,
                                .cluster = node->identity.cluster,
                                .copy = node->identity.copy,
                                .shard = SHARD_KEYS};
}

/* Opens the log, or makes it where nothing is yet. A store without a log has lost it. */
static enum err open_log(struct node *node, const struct node_options *options,
                         struct machine_maker *maker, struct log_found *found, struct why *why)
{
    const struct world *world = &node->world;
    struct log_site site = {node->log_directory, world->disk,  world->entropy,
                            world->clock,        world->trace, &node->log_listener};
    struct log_options log_options = log_options_of(node, options);
    enum err err = log_open(&node->log, &site, &log_options, found, why);
    if (err != ERR_NOT_FOUND) return err;
    err = maker->open(maker, node->store_directory, false, node->identity.history, &node->machine,
                      why);
    if (err == ERR_OK) {
        return why_fail(why, ERR_REFUSED, "there is a store in %s, but its log in %s is gone",
                        node->store_directory, node->log_directory);
    }
    if (err != ERR_NOT_FOUND) return err;
    err = log_create(&site, &log_options, node->identity.history, why);
    if (err != ERR_OK) return err;
    return log_open(&node->log, &site, &log_options, found, why);
}

/* Compares the lineage of the log at the store's mark. The entry is there: trimming keeps it. */
static enum err check_lineage(struct node *node, const struct mark *mark, struct why *why)
{
    struct log_reader *reader = NULL;
    enum err err = log_reader_open(&reader, node->world.disk, node->log_directory, mark->lsn, why);
    if (err != ERR_OK) return err;
    struct entry entry;
    err = log_reader_next(reader, &entry, why);
    bool same = err == ERR_OK && entry.lsn.at == mark->lsn.at &&
                entry.lineage.hash == mark->lineage.hash &&
                epoch_compare(entry.epoch, mark->epoch) == 0;
    log_reader_close(reader);
    if (err != ERR_OK) return err;
    if (same) return ERR_OK;
    return why_fail(why, ERR_REFUSED,
                    "the log and the store disagree at LSN %" PRIu64
                    ": they are not of one history",
                    mark->lsn.at);
}

static enum err gate(struct node *node, const struct log_found *found, struct why *why)
{
    struct mark mark = node->machine->ops->flushed(node->machine);
    if (PLANTED(GATE_OPEN)) return ERR_OK;
    if (memcmp(&found->last.history, &node->identity.history, sizeof found->last.history) != 0) {
        return why_fail(why, ERR_REFUSED,
                        "the log in %s is of another history than the identity file",
                        node->log_directory);
    }
    if (lsn_before(found->last.lsn, mark.lsn)) {
        return why_fail(why, ERR_REFUSED,
                        "the store holds LSN %" PRIu64 ", but its log ends at %" PRIu64
                        ": the end of the log was lost or swapped",
                        mark.lsn.at, found->last.lsn.at);
    }
    /* Trimming keeps the entry of the store's mark: it ties the two together. */
    if (lsn_before(mark.lsn.at == 0 ? lsn_next(mark.lsn) : mark.lsn, found->first)) {
        return why_fail(why, ERR_REFUSED,
                        "the store holds LSN %" PRIu64 ", but its log begins at %" PRIu64
                        ": what ties them together is gone",
                        mark.lsn.at, found->first.at);
    }
    if (mark.lsn.at != 0) {
        enum err err = check_lineage(node, &mark, why);
        if (err != ERR_OK) return err;
    }
    node->start.outcome = found->fresh ? "fresh" : "skip";
    return ERR_OK;
}

enum err node_apply_tail(struct node *node, struct why *why)
{
    struct lsn from = node->start.tail_from;
    node->start.tail_from = lsn_next(node->start.tail_to); /* once */
    enum err err = node_replay(node, from, node->start.tail_to, why);
    if (err != ERR_OK) {
        node_fail(node, err == ERR_CORRUPT ? NODE_FAILED_CORRUPT : NODE_FAILED_STORE, why);
    }
    return err;
}

static enum err open_epoch(struct node *node, const struct log_found *found, struct why *why)
{
    struct epoch above = found->last.epoch;
    if (epoch_compare(above, found->promised) < 0) above = found->promised;
    struct epoch epoch = {above.number + 1, node->identity.copy};
    if (PLANTED(SAME_EPOCH_AFTER_RESTART) && above.number > 0) epoch = above;
    enum err err = log_promise(node->log, epoch, why);
    if (err != ERR_OK) return err;
    struct buffer payload;
    buffer_init(&payload);
    payload_put_epoch(&payload);
    struct ghost *ghost = node_ghost();
    bool appended = node_append(node, &ghost->call, buffer_bytes(&payload));
    buffer_release(&payload);
    if (!appended) {
        memory_free(ghost);
        return why_fail(why, ERR_SPACE, "there is no space for the first entry of this start");
    }
    node->start.epoch_lsn = ghost->call.lsn;
    node->start.stamp = node->hlc.last;
    return ERR_OK;
}

enum err node_start(struct node *node, struct machine_maker *maker,
                    const struct node_options *options, struct why *why)
{
    enum err err = open_directories(node, why);
    if (err != ERR_OK) return err;
    struct log_found found;
    err = open_log(node, options, maker, &found, why);
    if (err != ERR_OK) return err;
    err = maker->open(maker, node->store_directory, found.first.at <= 1, node->identity.history,
                      &node->machine, why);
    if (err == ERR_NOT_FOUND) {
        return why_fail(why, ERR_REFUSED,
                        "the store in %s is gone and the log no longer begins at 1: restore a copy",
                        node->store_directory);
    }
    if (err == ERR_OK) err = sync_parent(node->world.disk, node->store_directory, why);
    if (err != ERR_OK) return err;
    err = gate(node, &found, why);
    if (err != ERR_OK) return err;
    hlc_init(&node->hlc, found.stamp, clock_wall_ms(node->world.clock),
             clock_now_us(node->world.clock) / 1000);
    struct lsn from = lsn_next(node->machine->ops->flushed(node->machine).lsn);
    if (PLANTED(REPLAY_ONE_TWICE) && from.at > 1) from.at--;
    struct lsn to = lsn_max(found.committed, (struct lsn){from.at - 1});
    if (PLANTED(FORGET_RECORDED_COMMIT)) to = found.last.lsn;
    err = node_replay(node, from, to, why);
    if (err != ERR_OK) return err;
    node->committed = to;
    node->start.tail_from = lsn_next(to);
    node->start.tail_to = found.last.lsn;
    return open_epoch(node, &found, why);
}
