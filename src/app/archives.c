/* SPDX-License-Identifier: Apache-2.0 */
#include "app/archives.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "app/keys.h"
#include "app/progress.h"
#include "app/server.h"
#include "app/time_text.h"
#include "archive/archive.h"
#include "base/number.h"
#include "real/real.h"

enum { CACHE_BYTES = 256 << 20, FLUSH_BYTES = 128 << 20 };

static enum exit_status fail(enum err err, const struct why *why)
{
    fprintf(stderr, "tidemark: %s\n", why->text);
    return exit_status_of(err);
}

/* --- List and verify --- */

struct audit {
    struct world world;
    struct archive_catalog catalog;
    struct progress progress;
    bool whole;
    uint64_t files, done, bad, holes;
    enum err err; /* of the first file that is bad */
};

static void print_line(const char *what, uint64_t first, const struct archive_brief *brief)
{
    char from[TIME_TEXT_BYTES], to[TIME_TEXT_BYTES];
    time_text_format(stamp_ms(brief->first), from);
    time_text_format(stamp_ms(brief->last), to);
    if (first == brief->mark.lsn.at)
        printf("%s lsn=%" PRIu64 " time=%s bytes=%" PRIu64 "\n", what, first, to, brief->bytes);
    else
        printf("%s first=%" PRIu64 " last=%" PRIu64 " from=%s to=%s bytes=%" PRIu64 "\n", what,
               first, brief->mark.lsn.at, from, to, brief->bytes);
}

static void bad_file(struct audit *audit, enum err err, const struct why *why)
{
    progress_end(&audit->progress);
    fprintf(stderr, "tidemark: %s\n", why->text);
    if (audit->err == ERR_OK) audit->err = err;
    audit->bad++;
}

static void moved(struct audit *audit)
{
    progress_show(&audit->progress, ++audit->done, audit->files);
}

/* What is behind the span before, and what the next one says that it follows, is the same. */
static void check_joint(struct audit *audit, const struct archive_history *history, size_t span,
                        const struct archive_brief *before, const struct archive_brief *brief)
{
    if (span == 0 || before->mark.lsn.at == 0) return;
    uint64_t end = before->mark.lsn.at, first = history->spans[span].first.at;
    if (first > end + 1) {
        audit->holes++;
        printf("hole first=%" PRIu64 " last=%" PRIu64 "\n", end + 1, first - 1);
    }
    if (first != end + 1 || before->mark.lineage.hash == brief->before.lineage.hash) return;
    struct why why;
    (void)why_fail(&why, ERR_CORRUPT,
                   "%s: the entries from LSN %" PRIu64 " on do not follow those before them",
                   history->directory, first);
    bad_file(audit, ERR_CORRUPT, &why);
}

static void audit_history(struct audit *audit, const struct archive_history *history)
{
    char id[HISTORY_TEXT_BYTES];
    struct why why;
    struct archive_brief brief, before = {.mark = {.lsn = {0}}};
    history_format(&history->id, id);
    printf("history=%s images=%zu spans=%zu\n", id, history->image_count, history->span_count);
    for (size_t i = 0; i < history->image_count; i++, moved(audit)) {
        enum err err = archive_look_at_image(history, i, audit->whole, &brief, &why);
        if (err == ERR_OK) print_line("image", brief.mark.lsn.at, &brief);
        else bad_file(audit, err, &why);
    }
    for (size_t i = 0; i < history->span_count; i++, moved(audit)) {
        enum err err = archive_look_at_span(history, i, audit->whole, &brief, &why);
        if (err != ERR_OK) {
            bad_file(audit, err, &why);
            before = (struct archive_brief){.mark = {.lsn = {0}}}; /* nothing is known of it */
            continue;
        }
        check_joint(audit, history, i, &before, &brief);
        print_line("span", history->spans[i].first.at, &brief);
        before = brief;
    }
}

static enum exit_status run_audit(const char *directory, bool whole)
{
    struct audit audit = {.whole = whole};
    struct real_world *real = NULL;
    struct real_options options = {.log_sync = REAL_LOG_SYNC_FDATASYNC};
    struct why why;
    enum err err = real_world_open(&real, &options, &audit.world, &why);
    if (err == ERR_OK)
        err = archive_catalog_open(&audit.catalog, audit.world.disk, directory, &why);
    if (err != ERR_OK) {
        real_world_close(real);
        return fail(err == ERR_NOT_FOUND ? ERR_CONFIG : err, &why);
    }
    for (size_t i = 0; i < audit.catalog.count; i++)
        audit.files += audit.catalog.histories[i].image_count +
                       audit.catalog.histories[i].span_count;
    progress_begin(&audit.progress, audit.world.clock, whole ? "verifying" : "reading",
                   PROGRESS_FILES);
    for (size_t i = 0; i < audit.catalog.count; i++)
        audit_history(&audit, &audit.catalog.histories[i]);
    progress_end(&audit.progress);
    printf("histories=%zu files=%" PRIu64 " bad=%" PRIu64 " holes=%" PRIu64 "\n",
           audit.catalog.count, audit.files, audit.bad, audit.holes);
    archive_catalog_release(&audit.catalog);
    real_world_close(real);
    return exit_status_of(audit.err);
}

enum exit_status tool_archive_list(const char *directory)
{
    return run_audit(directory, false);
}

enum exit_status tool_archive_verify(const char *directory)
{
    return run_audit(directory, true);
}

/* --- Restore --- */

struct restoring {
    struct real_world *real;
    struct world world;
    struct real_signals signals;
    struct keys keys;
    struct archive_restore *restore;
    struct archive_restore_listener listener;
    struct progress progress;
    bool image; /* what the progress is of */
    enum err err;
    struct why why;
};

static void restore_moved(struct archive_restore_listener *listener, bool image, uint64_t done,
                          uint64_t all)
{
    struct restoring *restoring = CONTAINER_OF(listener, struct restoring, listener);
    if (restoring->image && !image) {
        progress_end(&restoring->progress);
        progress_begin(&restoring->progress, restoring->world.clock, "applying", PROGRESS_RECORDS);
    }
    restoring->image = image;
    progress_show(&restoring->progress, done, all);
}

static void restore_ended(struct archive_restore_listener *listener, enum err err,
                          const struct why *why)
{
    struct restoring *restoring = CONTAINER_OF(listener, struct restoring, listener);
    restoring->err = err;
    if (err != ERR_OK) restoring->why = *why;
    real_world_stop(restoring->real);
}

static void asked_to_stop(struct real_signals *signals, int number)
{
    (void)number;
    archive_restore_cancel(CONTAINER_OF(signals, struct restoring, signals)->restore);
}

static void print_result(const struct archive_restored *result)
{
    char mark[MARK_TEXT_BYTES], source[MARK_TEXT_BYTES], digest[DIGEST_TEXT_BYTES];
    char time[TIME_TEXT_BYTES];
    mark_format(&result->mark, mark);
    mark_format(&result->source, source);
    digest_format(result->digest, digest);
    time_text_format(stamp_ms(result->stamp), time);
    printf("mark=%s digest=%s time=%s parent=%s\n", mark, digest, time, source);
}

static enum exit_status run_restore(const struct archive_restore_options *options)
{
    struct restoring restoring = {
        .signals.asked = asked_to_stop, .listener = {restore_ended, restore_moved}, .image = true};
    struct real_options real = {.log_sync = REAL_LOG_SYNC_FDATASYNC, .signals = &restoring.signals};
    enum err err = real_world_open(&restoring.real, &real, &restoring.world, &restoring.why);
    if (err == ERR_OK) {
        keys_init(&restoring.keys, &restoring.world, CACHE_BYTES, 0);
        progress_begin(&restoring.progress, restoring.world.clock, "installing the image",
                       PROGRESS_BYTES);
        archive_restore_open(&restoring.restore, &restoring.world, &restoring.keys.maker, options,
                             &restoring.listener);
        real_world_run(restoring.real);
        progress_end(&restoring.progress);
        err = restoring.err;
        if (err == ERR_OK) print_result(archive_restored(restoring.restore));
        archive_restore_close(restoring.restore);
    }
    real_world_close(restoring.real);
    return err == ERR_OK ? EXIT_STATUS_CLEAN : fail(err, &restoring.why);
}

/* An option with a value; false: it is unknown or its value is no such thing. */
static bool take_option(struct archive_restore_options *options, const char *name,
                        const char *value, unsigned *targets)
{
    if (strcmp(name, "--from") == 0) {
        options->from = value;
    } else if (strcmp(name, "--dir") == 0) {
        options->to = value;
    } else if (strcmp(name, "--history") == 0) {
        options->history = value;
    } else if (strcmp(name, "--to-lsn") == 0) {
        options->target = ARCHIVE_TO_LSN;
        (*targets)++;
        return number_parse_uint64(bytes_text(value), &options->lsn.at);
    } else if (strcmp(name, "--to-time") == 0) {
        options->target = ARCHIVE_TO_TIME;
        (*targets)++;
        return time_text_parse(value, &options->time_ms);
    } else {
        return false;
    }
    return true;
}

enum exit_status tool_restore(size_t count, const char *const *words, const char **what)
{
    struct archive_restore_options options = {.flush_bytes = FLUSH_BYTES};
    unsigned targets = 0;
    for (size_t i = 0; i < count; i++) {
        *what = words[i];
        if (strcmp(words[i], "--latest") == 0) {
            options.target = ARCHIVE_LATEST;
            targets++;
        } else if (i + 1 < count && take_option(&options, words[i], words[i + 1], &targets)) {
            i++;
        } else {
            return EXIT_STATUS_USAGE;
        }
    }
    *what = "--from ARCHIVE --dir DIR and one of --to-lsn N, --to-time T, --latest are wanted";
    if (options.from == NULL || options.to == NULL || targets != 1) return EXIT_STATUS_USAGE;
    *what = NULL;
    return run_restore(&options);
}
