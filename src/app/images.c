/* SPDX-License-Identifier: Apache-2.0 */
#include "app/images.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "app/progress.h"
#include "app/server.h"
#include "app/time_text.h"
#include "base/memory.h"
#include "base/path.h"
#include "rdb/rdb.h"
#include "real/real.h"
#include "snapshot/snapshot.h"
#include "state/state.h"

enum { PIECE_BYTES = 1 << 20 };

/* A command under way. */
struct image_job {
    struct real_world *real;
    struct world world;
    struct image_file file;
    bool opened; /* the file */
    struct store *store;
    struct image_watch watch;
    struct progress progress;
    bool differs; /* digests do */
    struct why why;
};

static enum exit_status fail(enum err err, const struct why *why)
{
    fprintf(stderr, "tidemark: %s\n", why->text);
    return exit_status_of(err);
}

static void moved(struct image_watch *watch, uint64_t done, uint64_t all)
{
    progress_show(&CONTAINER_OF(watch, struct image_job, watch)->progress, done, all);
}

static enum err job_open(struct image_job *job, const char *path)
{
    *job = (struct image_job){.watch.moved = moved};
    struct real_options options = {.log_sync = REAL_LOG_SYNC_FDATASYNC};
    enum err err = real_world_open(&job->real, &options, &job->world, &job->why);
    if (err != ERR_OK) return err;
    err = image_file_open(&job->file, job->world.disk, path, &job->why);
    job->opened = err == ERR_OK;
    return err == ERR_NOT_FOUND ? ERR_CONFIG : err;
}

/* Goes through all of the image. */
static enum err job_read(struct image_job *job)
{
    progress_begin(&job->progress, job->world.clock, "reading", PROGRESS_BYTES);
    enum err err = image_store_open(&job->store, &job->file.source, &job->watch, &job->why);
    progress_end(&job->progress);
    return err;
}

static enum exit_status job_close(struct image_job *job, enum err err)
{
    if (job->store != NULL) job->store->ops->close(job->store);
    if (job->opened) image_file_close(&job->file);
    real_world_close(job->real);
    enum exit_status status = err == ERR_OK ? EXIT_STATUS_CLEAN : fail(err, &job->why);
    return job->differs ? EXIT_STATUS_DIGEST : status;
}

/* --- Inspect --- */

static void print_facts(const struct image_facts *facts)
{
    char mark[MARK_TEXT_BYTES], digest[DIGEST_TEXT_BYTES], taken[TIME_TEXT_BYTES];
    mark_format(&facts->mark, mark);
    digest_format(facts->digest, digest);
    time_text_format(facts->taken_ms, taken);
    printf("mark=%s\ndigest=%s\ntaken=%s\n", mark, digest, taken);
    printf("stamp=%" PRIu64 ".%u\n", stamp_ms(facts->stamp),
           (unsigned)(facts->stamp.bits & 0xffff));
    printf("cluster=%016" PRIx64 "\nshard=%u\nlevel=%u\n", facts->cluster, facts->shard,
           facts->level);
    printf("stream_offset=%" PRIu64 "\n", facts->stream_offset);
    printf("keys=%" PRIu64 "\nrecords=%" PRIu64 "\nchunks=%" PRIu64 "\nbytes=%" PRIu64 "\n",
           facts->keys, facts->records, facts->chunks, facts->bytes);
    printf("epochs=%zu\n", facts->epoch_count);
    for (size_t i = 0; i < facts->epoch_count; i++) {
        const struct epoch_start *start = &facts->epochs[i];
        printf("epoch=%" PRIu64 ".%" PRIu64 " first_lsn=%" PRIu64 "\n", start->epoch.number,
               start->epoch.copy, start->first.at);
    }
}

enum exit_status tool_image_inspect(const char *path)
{
    struct image_job job;
    enum err err = job_open(&job, path);
    struct image_reader *reader = NULL;
    if (err == ERR_OK) err = image_open(&reader, &job.file.source, &job.why);
    if (err == ERR_OK) print_facts(image_facts(reader));
    image_close(reader);
    return job_close(&job, err);
}

/* --- Verify --- */

static bool same_epochs(const struct image_facts *told, const struct state_facts *held)
{
    if (told->epoch_count != held->epoch_count) return false;
    for (size_t i = 0; i < held->epoch_count; i++) {
        const struct epoch_start *a = &told->epochs[i], *b = &held->epochs[i];
        if (epoch_compare(a->epoch, b->epoch) != 0 || a->first.at != b->first.at ||
            a->stream_offset != b->stream_offset)
            return false;
    }
    return true;
}

/* What the image says of itself is what the record in it says (I4). */
static enum err compare_facts(struct image_job *job, struct record_source *source)
{
    const struct image_facts *told = image_store_facts(job->store);
    const struct state_facts *held = NULL;
    enum err err = state_source_facts(source, &held);
    if (err == ERR_NOT_FOUND) {
        return why_fail(&job->why, ERR_CORRUPT, "no record of it says what it is");
    }
    if (err != ERR_OK) return why_fail(&job->why, err, "%s", source->why.text);
    if (mark_equal(&told->mark, &held->mark) && told->stamp.bits == held->stamp.bits &&
        told->keys == held->keys && told->stream_offset == held->effects.end &&
        same_epochs(told, held))
        return ERR_OK;
    return why_fail(&job->why, ERR_CORRUPT,
                    "mark, stamp, epochs, keys or stream are not those of the records");
}

static enum err check_facts(struct image_job *job)
{
    struct record_source *source = state_source_open(job->store, NULL, STORE_WAIT);
    enum err err = compare_facts(job, source);
    state_source_close(source);
    return err;
}

static bool is_equal(const struct image_facts *facts, const struct state_recount *recount)
{
    return digest_equal(facts->digest, recount->running) &&
           digest_equal(facts->digest, recount->recounted);
}

static void print_verdict(const struct image_facts *facts, const struct state_recount *recount)
{
    char mark[MARK_TEXT_BYTES], digest[DIGEST_TEXT_BYTES], recounted[DIGEST_TEXT_BYTES];
    mark_format(&facts->mark, mark);
    digest_format(facts->digest, digest);
    digest_format(recount->recounted, recounted);
    printf("mark=%s digest=%s recount=%s keys=%" PRIu64 " records=%" PRIu64 " bytes=%" PRIu64 "\n",
           mark, digest, recounted, recount->keys, facts->records, facts->bytes);
}

enum exit_status tool_image_verify(const char *path)
{
    struct image_job job;
    struct state_recount recount = {0};
    enum err err = job_open(&job, path);
    if (err == ERR_OK) err = job_read(&job);
    if (err == ERR_OK) err = check_facts(&job);
    if (err == ERR_OK) {
        progress_begin(&job.progress, job.world.clock, "counting", PROGRESS_RECORDS);
        image_store_watch(job.store, &job.watch);
        err = state_recount(job.store, NULL, &recount, &job.why);
        progress_end(&job.progress);
    }
    if (err == ERR_OK) {
        const struct image_facts *facts = image_store_facts(job.store);
        print_verdict(facts, &recount);
        job.differs = !is_equal(facts, &recount);
    }
    return job_close(&job, err);
}

/* --- Export --- */

struct export_job {
    struct image_job *image;
    struct record_source *source;
    struct rdb_writer *writer;
    struct buffer temporary; /* its path, with a zero */
    struct disk_file *file;
    bool made; /* the temporary is there */
    struct buffer piece;
    uint64_t written;
};

static const char *temporary_of(const struct export_job *job)
{
    return (const char *)job->temporary.data;
}

static enum err run(struct export_job *job, struct disk_request *request, const char *path)
{
    enum err err = disk_run(job->image->world.disk, request);
    return err == ERR_OK ? err : why_fail(&job->image->why, err, "%s: %s", path, request->why.text);
}

static enum err write_pieces(struct export_job *job)
{
    struct why *why = &job->image->why;
    enum err err = ERR_OK;
    while (err == ERR_OK && !rdb_writer_is_done(job->writer)) {
        buffer_clear(&job->piece);
        err = rdb_writer_fill(job->writer, &job->piece, PIECE_BYTES, why);
        if (err != ERR_OK) break;
        struct disk_request write = {.op = DISK_WRITE,
                                     .file = job->file,
                                     .offset = job->written,
                                     .data = job->piece.data,
                                     .size = job->piece.size};
        err = run(job, &write, temporary_of(job));
        job->written += job->piece.size;
    }
    return err;
}

/* What an earlier one left under the temporary name is nobody's. */
static enum err write_file(struct export_job *job)
{
    struct disk *disk = job->image->world.disk;
    struct disk_request remove = {.op = DISK_REMOVE, .path = temporary_of(job)};
    (void)disk_run(disk, &remove);
    struct disk_request create = {.op = DISK_CREATE, .path = temporary_of(job)};
    enum err err = run(job, &create, temporary_of(job));
    if (err != ERR_OK) return err;
    job->made = true;
    job->file = create.file;
    err = write_pieces(job);
    struct disk_request sync = {.op = DISK_SYNC, .file = job->file};
    if (err == ERR_OK) err = run(job, &sync, temporary_of(job));
    struct disk_request close = {.op = DISK_CLOSE, .file = job->file};
    enum err closed = disk_run(disk, &close);
    if (err == ERR_OK && closed != ERR_OK)
        err = why_fail(&job->image->why, closed, "%s: %s", temporary_of(job), close.why.text);
    return err;
}

static enum err name_file(struct export_job *job, const char *path)
{
    struct disk_request rename = {.op = DISK_RENAME, .path = temporary_of(job), .path_to = path};
    enum err err = run(job, &rename, path);
    if (err != ERR_OK) return err;
    job->made = false;
    char *parent = path_parent(path);
    struct disk_request sync = {.op = DISK_SYNC_DIR, .path = parent};
    err = run(job, &sync, parent);
    memory_free(parent);
    return err;
}

static enum err export_to(struct export_job *job, const char *path)
{
    const struct image_facts *facts = image_store_facts(job->image->store);
    char mark[MARK_TEXT_BYTES], digest[DIGEST_TEXT_BYTES], taken[TIME_TEXT_BYTES];
    mark_format(&facts->mark, mark);
    digest_format(facts->digest, digest);
    (void)snprintf(taken, sizeof taken, "%" PRIu64, facts->taken_ms / 1000);
    const struct rdb_field fields[] = {
        {bytes_text("ctime"), bytes_text(taken)},
        {bytes_text("tidemark-mark"), bytes_text(mark)},
        {bytes_text("tidemark-digest"), bytes_text(digest)},
    };
    struct rdb_writer_options options = {
        .source = job->source, .fields = fields, .fields_count = sizeof fields / sizeof fields[0]};
    job->writer = rdb_writer_open(&options);
    enum err err = write_file(job);
    rdb_writer_close(job->writer);
    return err == ERR_OK ? name_file(job, path) : err;
}

/* The source counts the digest again on its way: of each collection before its last element, of
 * each database before the next one. So what differs ends before the dump has its name. */
static enum err export_store(struct image_job *image, const char *path, uint64_t *written)
{
    struct export_job job = {.image = image};
    buffer_init(&job.piece);
    buffer_init(&job.temporary);
    buffer_append_text(&job.temporary, path);
    buffer_append(&job.temporary, bytes_of(".tidemark.tmp", sizeof ".tidemark.tmp"));
    job.source = state_source_open(image->store, NULL, STORE_WAIT);
    enum err err = compare_facts(image, job.source);
    const struct state_facts *held = NULL;
    if (err == ERR_OK) err = state_source_facts(job.source, &held);
    if (err == ERR_OK && !digest_equal(held->digest, image_store_facts(image->store)->digest)) {
        err = why_fail(&image->why, ERR_CORRUPT, "its digest is not that of the records");
        image->differs = true;
    }
    if (err == ERR_OK) err = export_to(&job, path);
    if (job.made) {
        struct disk_request remove = {.op = DISK_REMOVE, .path = temporary_of(&job)};
        (void)disk_run(image->world.disk, &remove);
    }
    *written = job.written;
    state_source_close(job.source);
    buffer_release(&job.piece);
    buffer_release(&job.temporary);
    return err;
}

enum exit_status tool_image_export(const char *path, const char *dump_path)
{
    struct image_job job;
    uint64_t written = 0;
    enum err err = job_open(&job, path);
    if (err == ERR_OK) err = job_read(&job);
    if (err == ERR_OK) {
        progress_begin(&job.progress, job.world.clock, "writing", PROGRESS_RECORDS);
        image_store_watch(job.store, &job.watch);
        err = export_store(&job, dump_path, &written);
        progress_end(&job.progress);
    }
    if (err == ERR_OK)
        printf("keys=%" PRIu64 " bytes=%" PRIu64 "\n", image_store_facts(job.store)->keys, written);
    return job_close(&job, err);
}
