/* SPDX-License-Identifier: Apache-2.0 */
/* A moment of an archive, made again:
 *
 *   plan --> new directory, its identity --> store: the image's, or an empty one --> [entries of
 *   the spans, a window at a time, each checked <--> flush] --> last flush --> log that opens
 *   behind the mark --> pointer: from here on it counts
 *
 * Before the pointer nothing counts: what fails takes away all that was made. The history is a new
 * one: what is written from here on is not what the archived one went on with. */
#include <inttypes.h>

#include "archive/plan.h"
#include "archive/span.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/plant.h"
#include "site/site.h"

enum {
    WINDOW_ENTRIES = 4096,
    WINDOW_BYTES = 4 << 20,
    SEGMENT_BYTES = 16 << 20,
};

enum restore_step { RESTORE_BEGIN, RESTORE_APPLY, RESTORE_FLUSH, RESTORE_ENDED };

struct archive_restore {
    struct world world;
    struct machine_maker *maker;
    struct archive_restore_options options;
    struct archive_restore_listener *listener;
    enum restore_step step;
    bool cancelled, planned, opened_site, was_absent, last_flush;
    struct timer timer;
    struct why why;

    struct archive_catalog catalog;
    struct plan plan;
    struct site site;
    struct site_next next;
    struct history history; /* the new one */
    struct machine *machine;
    struct machine_flush flush;
    struct image_watch watch;

    struct span_edge at; /* what is applied, in the archived history */
    size_t span;         /* the next one to be opened */
    char *path;          /* of the one that is open */
    struct image_file file;
    struct span_reader *reader;
    struct entry *entries; /* a window; their payloads are in `bytes` */
    size_t count;
    struct buffer bytes;
    struct archive_restored result;
};

static void again(struct archive_restore *restore)
{
    clock_timer_start(restore->world.clock, &restore->timer, 0);
}

/* --- Entries --- */

static void close_span(struct archive_restore *restore)
{
    if (restore->path == NULL) return;
    span_close(restore->reader);
    image_file_close(&restore->file);
    memory_free(restore->path);
    restore->path = NULL;
    restore->reader = NULL;
}

/* The span that holds what comes next; the plan has seen to it that there is one. */
static enum err open_span(struct archive_restore *restore)
{
    const struct archive_history *history = restore->plan.history;
    struct why *why = &restore->why;
    close_span(restore);
    while (restore->span < history->span_count &&
           !lsn_before(restore->at.lsn, history->spans[restore->span].last))
        restore->span++;
    if (restore->span == history->span_count)
        return why_fail(why, ERR_REFUSED, "LSN %" PRIu64 " is not archived",
                        restore->at.lsn.at + 1);
    char *path = archive_span_path(history, restore->span);
    enum err err = image_file_open(&restore->file, restore->world.disk, path, why);
    if (err != ERR_OK) {
        memory_free(path);
        return err;
    }
    restore->path = path;
    err = span_open(&restore->reader, &restore->file.source, why);
    if (err != ERR_OK) return err;
    const struct span_facts *facts = span_facts(restore->reader);
    const struct archive_span *named = &history->spans[restore->span];
    if (memcmp(facts->history.id, history->id.id, sizeof history->id.id) != 0 ||
        facts->before.lsn.at + 1 != named->first.at || facts->end.lsn.at != named->last.at)
        return why_fail(why, ERR_CORRUPT, "its name is of another history or of other entries");
    if (facts->before.lsn.at == restore->at.lsn.at &&
        facts->before.lineage.hash != restore->at.lineage.hash)
        return why_fail(why, ERR_CORRUPT, "it does not follow LSN %" PRIu64 " of what is before it",
                        restore->at.lsn.at);
    return ERR_OK;
}

/* The next entry that is not in the state; one that is must be the same. */
static enum err next_entry(struct archive_restore *restore, struct entry *entry)
{
    for (;;) {
        enum err err = restore->reader == NULL ? ERR_NOT_FOUND
                                               : span_next(restore->reader, entry, &restore->why);
        if (err == ERR_NOT_FOUND) {
            err = open_span(restore);
            if (err != ERR_OK) return err;
            continue;
        }
        if (err != ERR_OK) return err;
        if (entry->lsn.at == restore->at.lsn.at && entry->lineage.hash != restore->at.lineage.hash)
            return why_fail(&restore->why, ERR_CORRUPT,
                            "LSN %" PRIu64 " is another entry than in what is before it",
                            entry->lsn.at);
        if (lsn_before(restore->at.lsn, entry->lsn)) return ERR_OK;
    }
}

static struct lsn target_of(const struct archive_restore *restore)
{
    struct lsn target = restore->plan.target;
    bool more = PLANTED(RESTORE_ONE_MORE) && restore->options.target == ARCHIVE_TO_LSN;
    return more ? lsn_next(target) : target;
}

static enum err fill_window(struct archive_restore *restore)
{
    restore->count = 0;
    buffer_clear(&restore->bytes);
    while (restore->count < WINDOW_ENTRIES && restore->bytes.size < WINDOW_BYTES &&
           lsn_before(restore->at.lsn, target_of(restore))) {
        struct entry *entry = &restore->entries[restore->count];
        enum err err = next_entry(restore, entry);
        if (err != ERR_OK) {
            if (restore->path != NULL) why_prefix(&restore->why, restore->path);
            return err;
        }
        restore->at = (struct span_edge){entry->lsn, entry->lineage, entry->epoch, entry->stamp};
        buffer_append(&restore->bytes, entry->payload);
        restore->count++;
    }
    const uint8_t *at = restore->bytes.data;
    for (size_t i = 0; i < restore->count; i++) {
        restore->entries[i].payload.data = at;
        at += restore->entries[i].payload.size;
    }
    return ERR_OK;
}

/* What is made is of one copy, and the copies of its source are strangers to it: nothing comes of
 * the entries that name them but the mark. */
static struct entry made_of(const struct entry *entry)
{
    static const uint8_t noop[] = {ENTRY_NOOP};
    struct entry made = *entry;
    if (made.payload.data[0] == ENTRY_MEMBERS) made.payload = bytes_of(noop, sizeof noop);
    return made;
}

static enum err apply_window(struct archive_restore *restore)
{
    struct machine *machine = restore->machine;
    machine->ops->foresee(machine, restore->entries, restore->count);
    for (size_t i = 0; i < restore->count; i++) {
        const struct entry entry = made_of(&restore->entries[i]);
        struct outcome outcome = {.reply = reply_nobody()};
        enum err err = machine->ops->apply(machine, &entry, MACHINE_ATTEMPTS_MAX, &outcome);
        if (err != ERR_OK)
            return why_fail(&restore->why, err, "entry %" PRIu64 " could not be applied",
                            entry.lsn.at);
    }
    return ERR_OK;
}

/* --- Before and after --- */

static enum err open_site(struct archive_restore *restore)
{
    struct disk *disk = restore->world.disk;
    const char *to = restore->options.to;
    struct buffer names;
    buffer_init(&names);
    struct disk_request list = {.op = DISK_LIST, .path = to, .names = &names};
    restore->was_absent = disk_run(disk, &list) == ERR_NOT_FOUND;
    buffer_release(&names);
    enum err err = site_open(&restore->site, disk, restore->world.entropy, to, &restore->why);
    if (err != ERR_OK) return err;
    if (restore->site.pointed) {
        site_release(&restore->site);
        return why_fail(&restore->why, ERR_REFUSED,
                        "%s holds data already: a restore makes a new directory", to);
    }
    restore->opened_site = true;
    site_sweep(&restore->site);
    entropy_fill(restore->world.entropy, &restore->history, sizeof restore->history);
    return site_prepare(&restore->site, true, restore->history, &restore->next, &restore->why);
}

static void image_moved(struct image_watch *watch, uint64_t done, uint64_t all)
{
    struct archive_restore *restore = CONTAINER_OF(watch, struct archive_restore, watch);
    restore->listener->moved(restore->listener, true, done, all);
}

static enum err make_store(struct archive_restore *restore)
{
    struct machine_maker *maker = restore->maker;
    const struct plan *plan = &restore->plan;
    if (plan->imaged) {
        struct image_install install = {.place = {.directory = plan->history->directory,
                                                  .disk = restore->world.disk,
                                                  .trace = restore->world.trace,
                                                  .cluster = plan->image.cluster,
                                                  .shard = plan->image.shard},
                                        .clock = restore->world.clock,
                                        .maker = maker,
                                        .store = restore->next.store,
                                        .mark = plan->image.mark,
                                        .history = restore->history,
                                        .watch = &restore->watch};
        enum err err = image_install(&install, &restore->why);
        if (err != ERR_OK) return err;
        const struct mark *mark = &plan->image.mark;
        restore->at = (struct span_edge){mark->lsn, mark->lineage, mark->epoch, plan->image.last};
    }
    enum err err = maker->open(maker, restore->next.store, !plan->imaged, restore->history,
                               &restore->machine, &restore->why);
    if (err != ERR_OK) return err;
    struct lsn held = restore->machine->ops->flushed(restore->machine).lsn;
    if (held.at == restore->at.lsn.at) return ERR_OK;
    return why_fail(&restore->why, ERR_CORRUPT,
                    "the store holds LSN %" PRIu64 " instead of LSN %" PRIu64, held.at,
                    restore->at.lsn.at);
}

static void close_machine(struct archive_restore *restore)
{
    if (restore->machine != NULL) restore->maker->close(restore->maker, restore->machine);
    restore->machine = NULL;
}

static enum err begin(struct archive_restore *restore)
{
    const struct archive_restore_options *options = &restore->options;
    enum err err = archive_catalog_open(&restore->catalog, restore->world.disk, options->from,
                                        &restore->why);
    if (err != ERR_OK) return err == ERR_NOT_FOUND ? ERR_CONFIG : err;
    restore->planned = true;
    err = plan_make(&restore->plan, &restore->catalog, options, &restore->why);
    if (err == ERR_OK) err = open_site(restore);
    if (err == ERR_OK) err = make_store(restore);
    restore->entries = memory_zeroed(WINDOW_ENTRIES, sizeof *restore->entries);
    return err;
}

/* All is applied and flushed. */
static enum err finish(struct archive_restore *restore)
{
    const struct machine_ops *ops = restore->machine->ops;
    struct archive_restored *result = &restore->result;
    result->mark = ops->applied(restore->machine);
    result->stamp = ops->stamp(restore->machine);
    result->digest = ops->digest(restore->machine);
    result->source = (struct mark){restore->plan.history->id, restore->at.epoch, restore->at.lsn,
                                   restore->at.lineage};
    close_machine(restore);
    struct log_site site = {.directory = restore->next.log,
                            .disk = restore->world.disk,
                            .entropy = restore->world.entropy};
    struct log_options options = {.segment_bytes = SEGMENT_BYTES,
                                  .durability = LOG_ALWAYS,
                                  .cluster = site_cluster(&restore->site),
                                  .copy = restore->site.identity.copy};
    struct log_beginning beginning = {.after = result->mark, .stamp = result->stamp};
    enum err err = log_create_after(&site, &options, &beginning, &restore->why);
    if (err == ERR_OK) err = site_switch(&restore->site, &restore->next, &restore->why);
    if (err == ERR_OK) site_sweep(&restore->site);
    return err;
}

/* --- Steps --- */

static void end(struct archive_restore *restore, enum err err)
{
    restore->step = RESTORE_ENDED;
    close_span(restore);
    close_machine(restore);
    if (err != ERR_OK && restore->opened_site) {
        site_abandon(&restore->site, &restore->next);
        site_unmake(&restore->site, restore->was_absent);
        restore->opened_site = false;
    }
    restore->listener->ended(restore->listener, err, &restore->why);
}

static void flush_done(struct machine_flush *flush)
{
    struct archive_restore *restore = CONTAINER_OF(flush, struct archive_restore, flush);
    enum err err = flush->err;
    if (err != ERR_OK) restore->why = flush->why;
    restore->step = RESTORE_APPLY;
    if (err == ERR_OK && restore->last_flush) {
        end(restore, finish(restore));
    } else if (err != ERR_OK) {
        end(restore, err);
    } else {
        again(restore);
    }
}

static void flush(struct archive_restore *restore)
{
    restore->step = RESTORE_FLUSH;
    restore->flush = (struct machine_flush){.done = flush_done};
    restore->machine->ops->flush(restore->machine, &restore->flush);
}

static enum err go_on(struct archive_restore *restore)
{
    if (restore->cancelled)
        return why_fail(&restore->why, ERR_REFUSED, "stopped, nothing was restored");
    if (restore->step == RESTORE_BEGIN) {
        enum err err = begin(restore);
        restore->step = RESTORE_APPLY;
        return err;
    }
    uint64_t from = restore->plan.imaged ? restore->plan.image.mark.lsn.at : 0;
    enum err err = fill_window(restore);
    if (err == ERR_OK) err = apply_window(restore);
    if (err != ERR_OK) return err;
    restore->listener->moved(restore->listener, false, restore->at.lsn.at - from,
                             restore->plan.target.at - from);
    return lsn_before(restore->at.lsn, target_of(restore)) ? ERR_OK : ERR_NOT_FOUND;
}

static void step(struct timer *timer)
{
    struct archive_restore *restore = CONTAINER_OF(timer, struct archive_restore, timer);
    enum err err = go_on(restore);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        end(restore, err);
        return;
    }
    const struct machine *machine = restore->machine;
    restore->last_flush = err == ERR_NOT_FOUND;
    bool behind = lsn_before(machine->ops->flushed(machine).lsn, restore->at.lsn);
    if (restore->last_flush && !behind) end(restore, finish(restore));
    else if (restore->last_flush) flush(restore);
    else if (machine->ops->unflushed_bytes(machine) >= restore->options.flush_bytes) flush(restore);
    else again(restore);
}

/* --- The doors --- */

void archive_restore_open(struct archive_restore **out, const struct world *world,
                          struct machine_maker *maker,
                          const struct archive_restore_options *options,
                          struct archive_restore_listener *listener)
{
    struct archive_restore *restore = memory_zeroed(1, sizeof *restore);
    restore->world = *world;
    restore->maker = maker;
    restore->options = *options;
    restore->listener = listener;
    restore->timer.fired = step;
    restore->watch.moved = image_moved;
    buffer_init(&restore->bytes);
    again(restore);
    *out = restore;
}

void archive_restore_cancel(struct archive_restore *restore)
{
    restore->cancelled = true;
}

const struct archive_restored *archive_restored(const struct archive_restore *restore)
{
    return &restore->result;
}

void archive_restore_close(struct archive_restore *restore)
{
    if (restore == NULL) return;
    MUST(restore->step == RESTORE_ENDED);
    if (restore->planned) archive_catalog_release(&restore->catalog);
    if (restore->opened_site) site_release(&restore->site);
    memory_free(restore->entries);
    buffer_release(&restore->bytes);
    memory_free(restore);
}
