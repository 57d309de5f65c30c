/* SPDX-License-Identifier: Apache-2.0 */
/* Promises: an epoch that is in both slots, each synced, before anybody is told (I9). At a start
 * the caller waits; while the log runs
 *
 *   asked --the slots are free--> being written --both are--> done()
 *
 * one after the other, in the order in which they were asked for. A write of the slots that is
 * under way when one is asked for may have encoded one of them already: the promise waits for a
 * write of its own. */
#include "log/parts.h"

#include "base/plant.h"

static bool is_higher(const struct log *log, struct epoch epoch)
{
    return epoch_compare(epoch, log->superblock.promised) > 0 &&
           epoch_compare(epoch, log->chain.epoch) > 0;
}

static void promised(struct log *log, struct epoch epoch)
{
    log->promised = log->epoch = epoch;
    log->started = true;
    log_trim_kick(log);
    log_check(log);
}

enum err log_promise(struct log *log, struct epoch epoch, struct why *why)
{
    if (log->poison != ERR_OK || log->closing) return why_fail(why, ERR_SHUT, "the log is shut");
    if (log->slots_left > 0)
        return why_fail(why, ERR_PENDING, "the superblock is being written: promise again later");
    if (!is_higher(log, epoch))
        return why_fail(why, ERR_REFUSED, "an epoch must be above every earlier one");
    log_seal(log);
    struct epoch before = log->superblock.promised;
    log->superblock.promised = epoch;
    unsigned slots = PLANTED(PROMISE_IN_ONE_SLOT) ? 1 : LOG_SUPERBLOCK_SLOTS;
    enum err err = log_slots_write_some(log, LOG_OPEN, slots, why);
    if (err != ERR_OK) {
        /* Either slot may hold it or not: only a restart can tell. */
        log->superblock.promised = before;
        log_fail(log, &log->slot, "promise");
        return err;
    }
    promised(log, epoch);
    return ERR_OK;
}

static struct log_promising *take_first(struct log *log)
{
    struct list *node = list_first(&log->promises);
    if (node == NULL) return NULL;
    list_remove(node);
    return CONTAINER_OF(node, struct log_promising, node);
}

/* Those that cannot be given are told so; the first that can be is written. */
static void promise_run(struct task *task)
{
    struct log *log = CONTAINER_OF(task, struct log, promise_task);
    while (log->promising == NULL && log->slots_left == 0) {
        struct log_promising *promising = take_first(log);
        if (promising == NULL) return;
        promising->err = ERR_OK;
        if (log->poison != ERR_OK || log->closing) promising->err = ERR_SHUT;
        else if (!is_higher(log, promising->epoch)) promising->err = ERR_REFUSED;
        if (promising->err != ERR_OK) {
            promising->done(promising); /* which may ask for another one, or let go of the log */
            if (log->gone) return;
            continue;
        }
        log->promising = promising;
        log->superblock.promised = promising->epoch;
        log_slots_write(log);
    }
}

void log_promise_written(struct log *log)
{
    struct log_promising *promising = log->promising;
    if (!list_empty(&log->promises)) clock_defer(log->clock, &log->promise_task);
    if (promising == NULL) return;
    log->promising = NULL;
    promised(log, promising->epoch);
    promising->done(promising);
}

void log_promise_soon(struct log *log, struct log_promising *promising)
{
    list_append(&log->promises, &promising->node);
    clock_defer(log->clock, &log->promise_task);
}

void log_promise_init(struct log *log)
{
    log->promise_task = (struct task){.run = promise_run};
    list_init(&log->promises);
}

struct epoch log_promised(const struct log *log)
{
    return log->promised;
}

bool log_is_promising(const struct log *log)
{
    return log->promising != NULL || !list_empty(&log->promises);
}
