/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/plan.h"

#include <inttypes.h>

#include "archive/span.h"
#include "base/memory.h"

static enum err choose_history(struct plan *plan, const struct archive_catalog *catalog,
                               const struct archive_restore_options *options, struct why *why)
{
    struct buffer list;
    buffer_init(&list);
    size_t found = 0;
    for (size_t i = 0; i < catalog->count; i++) {
        const struct archive_history *history = &catalog->histories[i];
        char id[HISTORY_TEXT_BYTES];
        history_format(&history->id, id);
        buffer_append_format(&list, " %s", id);
        if (options->history != NULL && strcmp(options->history, id) != 0) continue;
        plan->history = history;
        found++;
    }
    enum err err = ERR_OK;
    int size = (int)list.size;
    const char *ids = size == 0 ? "" : (const char *)list.data;
    if (catalog->count == 0)
        err = why_fail(why, ERR_REFUSED, "%s is no archive: it holds no history", options->from);
    else if (found == 0)
        err = why_fail(why, ERR_REFUSED, "there is no history %s, there are:%.*s", options->history,
                       size, ids);
    else if (found > 1)
        err = why_fail(why, ERR_REFUSED,
                       "there are several histories, say with --history which one:%.*s", size, ids);
    buffer_release(&list);
    return err;
}

static struct lsn last_of(const struct archive_history *history)
{
    struct lsn last = {0};
    for (size_t i = 0; i < history->span_count; i++) last = lsn_max(last, history->spans[i].last);
    if (history->image_count > 0) last = lsn_max(last, history->images[history->image_count - 1]);
    return last;
}

static enum err beyond_time(const struct plan *plan, struct stamp last, struct why *why)
{
    return why_fail(why, ERR_REFUSED,
                    "the archive ends before that time: its last entry, LSN %" PRIu64
                    ", is of %" PRIu64 " ms since 1970; what came then is not known. Use --latest",
                    last_of(plan->history).at, stamp_ms(last));
}

/* The first entry of the span that is of a later time. */
static enum err find_later(const struct plan *plan, size_t span, uint64_t time_ms,
                           struct lsn *later, struct why *why)
{
    char *path = archive_span_path(plan->history, span);
    struct image_file file;
    struct span_reader *reader = NULL;
    enum err err = image_file_open(&file, plan->history->disk, path, why);
    if (err == ERR_OK) {
        err = span_open(&reader, &file.source, why);
        struct entry entry = {.lsn = {0}};
        while (err == ERR_OK) {
            err = span_next(reader, &entry, why);
            if (err != ERR_OK || stamp_ms(entry.stamp) > time_ms) break;
        }
        *later = entry.lsn;
        span_close(reader);
        image_file_close(&file);
        if (err != ERR_OK) why_prefix(why, path);
    }
    memory_free(path);
    return err == ERR_NOT_FOUND ? why_fail(why, ERR_CORRUPT, "the footer promised more") : err;
}

/* The last entry that is of this time or before: the one before the first that is of a later one.
 * Of neither of the two is guessed. */
static enum err resolve_time(struct plan *plan, uint64_t time_ms, struct why *why)
{
    const struct archive_history *history = plan->history;
    struct archive_brief brief = {.last = {0}};
    for (size_t i = 0; i < history->span_count; i++) {
        enum err err = archive_look_at_span(history, i, false, &brief, why);
        if (err != ERR_OK) return err;
        if (stamp_ms(brief.last) <= time_ms) continue;
        struct lsn later = {0};
        err = find_later(plan, i, time_ms, &later, why);
        if (err != ERR_OK) return err;
        plan->target = (struct lsn){later.at - 1};
        bool first = later.at == history->spans[i].first.at;
        if (first && stamp_ms(brief.before_stamp) > time_ms)
            return why_fail(why, ERR_REFUSED,
                            "at that time the archive has a hole: it ends at LSN %" PRIu64
                            ", which is later",
                            brief.before.lsn.at);
        return ERR_OK;
    }
    return beyond_time(plan, brief.last, why);
}

static enum err resolve(struct plan *plan, const struct archive_restore_options *options,
                        struct why *why)
{
    struct lsn last = last_of(plan->history);
    enum err err = ERR_OK;
    plan->target = last;
    if (options->target == ARCHIVE_TO_LSN) plan->target = options->lsn;
    if (options->target == ARCHIVE_TO_TIME) err = resolve_time(plan, options->time_ms, why);
    if (err != ERR_OK) return err;
    if (lsn_before(last, plan->target))
        return why_fail(why, ERR_REFUSED,
                        "LSN %" PRIu64 " is not archived: the archive ends at LSN %" PRIu64,
                        plan->target.at, last.at);
    if (plan->target.at > 0) return ERR_OK;
    return why_fail(why, ERR_REFUSED, "that is before the first entry");
}

/* Whether spans lead from one place to the other without a hole. */
static enum err check_way(const struct plan *plan, struct lsn from, struct why *why)
{
    const struct archive_history *history = plan->history;
    uint64_t next = from.at + 1, to = plan->target.at;
    for (size_t i = 0; i < history->span_count && next <= to; i++) {
        const struct archive_span *span = &history->spans[i];
        if (span->last.at < next) continue;
        if (span->first.at > next) {
            to = span->first.at - 1 < to ? span->first.at - 1 : to;
            break;
        }
        next = span->last.at + 1;
    }
    if (next > plan->target.at) return ERR_OK;
    if (from.at == 0)
        return why_fail(why, ERR_REFUSED,
                        "no image is at or before LSN %" PRIu64
                        ", and the entries from LSN %" PRIu64 " to %" PRIu64 " are missing",
                        plan->target.at, next, to);
    return why_fail(why, ERR_REFUSED,
                    "there is a hole: behind the image of LSN %" PRIu64
                    " the entries from LSN %" PRIu64 " to %" PRIu64 " are missing",
                    from.at, next, to);
}

enum err plan_make(struct plan *plan, const struct archive_catalog *catalog,
                   const struct archive_restore_options *options, struct why *why)
{
    *plan = (struct plan){0};
    enum err err = choose_history(plan, catalog, options, why);
    if (err == ERR_OK) err = resolve(plan, options, why);
    if (err != ERR_OK) return err;
    const struct archive_history *history = plan->history;
    size_t image = history->image_count;
    while (image > 0 && lsn_before(plan->target, history->images[image - 1])) image--;
    plan->imaged = image > 0;
    struct lsn from = plan->imaged ? history->images[image - 1] : (struct lsn){0};
    err = check_way(plan, from, why);
    if (err != ERR_OK || !plan->imaged) return err;
    return archive_look_at_image(history, image - 1, false, &plan->image, why);
}
