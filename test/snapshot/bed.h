/* SPDX-License-Identifier: Apache-2.0 */
/* bed: a snapshot room on a simulated node, with a capture that gives the records it is told to.
 *
 *     struct bed bed;
 *     bed_open(&bed);
 *     bed_save(&bed, 7);                    an image at LSN 7, with what bed.capture says
 *     expect_names(&bed, "0000000000000007.image");
 *     bed_close(&bed);                      nothing leaked */
#ifndef TEST_SNAPSHOT_BED_H
#define TEST_SNAPSHOT_BED_H

#include <stdio.h>

#include "base/memory.h"
#include "sim/disk.h"
#include "sim/node.h"
#include "snapshot/image.h"
#include "test/test.h"

#define BED_DIRECTORY "images"
enum { BED_KEEP = 2, BED_CLUSTER = 9, BED_RATE = 16 << 20, BED_STAMP = 77 };

struct bed_capture {
    struct capture base;
    /* What the test sets. */
    unsigned records; /* "K00000000" and so on; each with a value of */
    size_t value_bytes;
    unsigned pending_of; /* one call in so many says ERR_PENDING first */
    unsigned fails_at;   /* the record of this number cannot be read; 0: all can */
    enum err warm_err;
    uint64_t lsn;
    struct history history;
    /* What the test may look at. */
    unsigned warms, opens, closes;
    struct timer timer; /* a warm under way */
    struct capture_warm *warm;
    struct clock *clock;
    unsigned next, calls;
    char key[16];
    uint8_t *value;
};

struct bed {
    struct sim_program program;
    struct sim_world *world;
    struct sim_node *node;
    struct sim_disk *disk;
    struct sim_reader reader;
    struct snapshot_listener listener;
    struct bed_capture capture;
    struct snapshot *snapshot;
    unsigned keep;
    uint64_t cluster, rate;
    struct history history;
    enum err open_err, refuses; /* of the start; what begun() says */
    struct why why;
    unsigned begun, ended, scrubbed, removed;
    enum err err;      /* of the last ended() */
    char warning[512]; /* the last line of one in the trace */
};

/* --- The capture --- */

static inline struct bed_capture *bed_capture_of(struct capture *base)
{
    return CONTAINER_OF(base, struct bed_capture, base);
}

static inline bool bed_says_pending(struct bed_capture *capture)
{
    MUST(capture->warm == NULL);
    return capture->pending_of > 0 && capture->calls++ % capture->pending_of == 0;
}

static inline enum err bed_facts(struct capture *base, struct capture_facts *facts, struct why *why)
{
    static const struct epoch_start epochs[] = {{{1, 7}, {1}, 0}, {{2, 7}, {3}, 0}};
    struct bed_capture *capture = bed_capture_of(base);
    if (bed_says_pending(capture)) return ERR_PENDING;
    if (capture->lsn == 0) return why_fail(why, ERR_NOT_FOUND, "nothing was flushed yet");
    *facts = (struct capture_facts){.mark = {capture->history, {2, 7}, {capture->lsn}, {5}},
                                    .stamp = {BED_STAMP},
                                    .digest = {3, 4},
                                    .keys = capture->records,
                                    .epochs = epochs,
                                    .epoch_count = 2,
                                    .bytes_expected = capture->records * capture->value_bytes};
    return ERR_OK;
}

static inline enum err bed_next(struct capture *base, struct bytes *key, struct bytes *value)
{
    struct bed_capture *capture = bed_capture_of(base);
    if (bed_says_pending(capture)) return ERR_PENDING;
    if (capture->next == capture->records) return ERR_NOT_FOUND;
    if (++capture->next == capture->fails_at) return ERR_IO;
    snprintf(capture->key, sizeof capture->key, "K%08u", capture->next);
    memset(capture->value, (int)(capture->next & 0xff), capture->value_bytes);
    *key = bytes_text(capture->key);
    *value = bytes_of(capture->value, capture->value_bytes);
    return ERR_OK;
}

static inline void bed_warmed(struct timer *timer)
{
    struct bed_capture *capture = CONTAINER_OF(timer, struct bed_capture, timer);
    struct capture_warm *warm = capture->warm;
    capture->warm = NULL;
    warm->err = capture->warm_err;
    if (warm->err != ERR_OK) (void)why_fail(&warm->why, warm->err, "no warmth");
    warm->done(warm);
}

static inline void bed_warm(struct capture *base, struct capture_warm *warm)
{
    struct bed_capture *capture = bed_capture_of(base);
    MUST(capture->warm == NULL);
    capture->warms++;
    capture->warm = warm;
    capture->timer.fired = bed_warmed;
    clock_timer_start(capture->clock, &capture->timer, 200);
}

static inline void bed_capture_close(struct capture *base)
{
    struct bed_capture *capture = bed_capture_of(base);
    capture->closes++;
    clock_timer_stop(capture->clock, &capture->timer);
    capture->warm = NULL;
    memory_free(capture->value);
    capture->value = NULL;
}

/* --- The listener --- */

static inline enum err bed_begun(struct snapshot_listener *listener,
                                 const struct capture_facts *facts, struct why *why)
{
    struct bed *bed = CONTAINER_OF(listener, struct bed, listener);
    bed->begun++;
    assert_int_equal(facts->mark.lsn.at, bed->capture.lsn);
    if (bed->refuses != ERR_OK) return why_fail(why, bed->refuses, "not this one");
    return ERR_OK;
}

static inline void bed_ended(struct snapshot_listener *listener, enum err err,
                             const struct why *why)
{
    struct bed *bed = CONTAINER_OF(listener, struct bed, listener);
    bed->ended++;
    bed->err = err;
    bed->why = *why;
    assert_true(snapshot_is_idle(bed->snapshot)); /* the next may begin here */
}

static inline void bed_scrubbed(struct snapshot_listener *listener)
{
    CONTAINER_OF(listener, struct bed, listener)->scrubbed++;
}

static inline void bed_line(struct sim_reader *reader, const char *line)
{
    struct bed *bed = CONTAINER_OF(reader, struct bed, reader);
    if (strstr(line, "leftover_removed") != NULL) bed->removed++;
    if (strstr(line, "why=") == NULL) return;
    snprintf(bed->warning, sizeof bed->warning, "%s", line);
}

/* --- Its life --- */

static inline bool bed_start(struct sim_program *program, struct world *world)
{
    struct bed *bed = CONTAINER_OF(program, struct bed, program);
    struct disk_request make = {.op = DISK_MAKE_DIR, .path = BED_DIRECTORY};
    (void)disk_run(world->disk, &make);
    struct disk_request sync = {.op = DISK_SYNC_DIR, .path = "."};
    (void)disk_run(world->disk, &sync);
    bed->capture.clock = world->clock;
    struct image_place place = {.directory = BED_DIRECTORY,
                                .disk = world->disk,
                                .trace = world->trace,
                                .cluster = bed->cluster,
                                .history = bed->history};
    bed->open_err = snapshot_open(&bed->snapshot, &place, world->clock, &bed->listener, &bed->why);
    return bed->open_err == ERR_OK;
}

static inline void bed_stop(struct sim_program *program)
{
    snapshot_close(CONTAINER_OF(program, struct bed, program)->snapshot);
}

static inline void bed_make(struct bed *bed, uint64_t seed)
{
    memset(bed, 0, sizeof *bed);
    bed->world = sim_world_open(seed);
    bed->program = (struct sim_program){bed_start, bed_stop, NULL};
    bed->node = sim_node_open(bed->world, &bed->program, NULL);
    bed->disk = sim_node_disk(bed->node);
    bed->reader.line = bed_line;
    sim_world_read(bed->world, &bed->reader);
    bed->listener = (struct snapshot_listener){bed_begun, bed_ended, bed_scrubbed};
    bed->keep = BED_KEEP;
    bed->cluster = BED_CLUSTER;
    bed->rate = BED_RATE;
    bed->capture.records = 100;
    bed->capture.value_bytes = 10;
}

static inline void bed_open(struct bed *bed)
{
    bed_make(bed, 1);
    assert_true(sim_node_start(bed->node));
}

static inline void bed_restart(struct bed *bed)
{
    assert_true(sim_node_stop(bed->node));
    assert_true(sim_node_start(bed->node));
}

static inline void bed_check(const struct bed *bed)
{
    if (sim_world_failure(bed->world) != NULL) fail_msg("%s", sim_world_failure(bed->world));
}

static inline void bed_close(struct bed *bed)
{
    assert_true(sim_node_stop(bed->node));
    bed_check(bed);
    assert_int_equal(bed->capture.opens, bed->capture.closes);
    sim_world_close(bed->world);
}

/* --- Inside the node --- */

enum bed_deed {
    DEED_TAKE,
    DEED_ABORT,
    DEED_SCRUB,
    DEED_SCRUB_STOP,
    DEED_HOLD,
    DEED_UNHOLD,
    DEED_CHECK,
    DEED_CLOSE
};

struct bed_visit {
    struct sim_visit base;
    struct bed *bed;
    enum bed_deed deed;
    struct image_hold *hold;
    const struct mark *mark;
    enum err err; /* of DEED_HOLD */
};

static inline void bed_take(struct bed *bed)
{
    static const struct capture_ops ops = {bed_facts, bed_next, bed_warm, bed_capture_close};
    bed->capture.base.ops = &ops;
    bed->capture.next = bed->capture.calls = 0;
    bed->capture.opens++;
    bed->capture.value = memory_alloc(bed->capture.value_bytes + 1);
    snapshot_take(bed->snapshot, &bed->capture.base, bed->keep);
}

static inline void bed_visited(struct sim_visit *base, struct world *world)
{
    (void)world;
    struct bed_visit *visit = CONTAINER_OF(base, struct bed_visit, base);
    struct bed *bed = visit->bed;
    switch (visit->deed) {
    case DEED_TAKE: bed_take(bed); break;
    case DEED_ABORT: snapshot_abort(bed->snapshot, ERR_SHUT, "enough"); break;
    case DEED_SCRUB: snapshot_scrub(bed->snapshot, bed->rate, (uint64_t)3600 * SIM_SECOND); break;
    case DEED_SCRUB_STOP: snapshot_scrub_stop(bed->snapshot); break;
    case DEED_HOLD:
        visit->err = snapshot_hold(bed->snapshot, visit->hold, visit->mark, &bed->why);
        break;
    case DEED_UNHOLD: snapshot_unhold(bed->snapshot, visit->hold); break;
    case DEED_CHECK: snapshot_hold_check(bed->snapshot, visit->hold, BED_RATE); break;
    case DEED_CLOSE:
        snapshot_close(bed->snapshot);
        bed->snapshot = NULL;
        break;
    }
}

static inline void bed_do(struct bed *bed, enum bed_deed deed)
{
    struct bed_visit visit = {.base.run = bed_visited, .bed = bed, .deed = deed};
    assert_true(sim_node_visit(bed->node, &visit.base));
}

static inline void bed_run(struct bed *bed, uint64_t us)
{
    (void)sim_world_run_for(bed->world, us);
    bed_check(bed);
}

/* Begins one and does not wait. */
static inline void bed_begin(struct bed *bed, uint64_t lsn)
{
    bed->capture.lsn = lsn;
    bed_do(bed, DEED_TAKE);
}

/* To its end; what it said. */
static inline enum err bed_save(struct bed *bed, uint64_t lsn)
{
    unsigned ended = bed->ended;
    bed_begin(bed, lsn);
    for (unsigned i = 0; i < 1000 && bed->ended == ended; i++) bed_run(bed, 10 * SIM_MILLISECOND);
    assert_int_equal(bed->ended, ended + 1);
    return bed->err;
}

/* Until nothing is due any more. */
static inline void bed_scrub(struct bed *bed)
{
    for (unsigned i = 0; i < 10; i++) {
        bed_do(bed, DEED_SCRUB);
        bed_run(bed, SIM_SECOND);
    }
    assert_true(snapshot_is_quiet(bed->snapshot));
}

static inline struct snapshot_status bed_status(const struct bed *bed)
{
    struct snapshot_status status;
    snapshot_status(bed->snapshot, &status);
    return status;
}

static inline void bed_names(struct bed *bed, struct buffer *out)
{
    static const char prefix[] = BED_DIRECTORY "/";
    struct buffer paths;
    buffer_init(&paths);
    sim_disk_paths(bed->disk, &paths);
    buffer_append_byte(&paths, 0);
    for (char *line = (char *)paths.data; *line != '\0';) {
        size_t size = strcspn(line, "\n");
        if (size > sizeof prefix - 1 && strncmp(line, prefix, sizeof prefix - 1) == 0) {
            if (out->size > 0) buffer_append_byte(out, ' ');
            buffer_append(out, bytes_of(line + sizeof prefix - 1, size - (sizeof prefix - 1)));
        }
        line += size + (line[size] == '\n');
    }
    buffer_append_byte(out, 0);
    buffer_release(&paths);
}

/* What is in the directory, with blanks between. */
static inline void expect_names(struct bed *bed, const char *text)
{
    struct buffer names;
    buffer_init(&names);
    bed_names(bed, &names);
    assert_string_equal((const char *)names.data, text);
    buffer_release(&names);
}

/* How reading the file to its end ends; ERR_NOT_FOUND: well. */
static inline enum err bed_read_image(struct bed *bed, const char *path, uint64_t *records)
{
    struct image_file file;
    struct image_reader *reader = NULL;
    struct why why;
    struct bytes key, value;
    *records = 0;
    enum err err = image_file_open(&file, sim_node_world(bed->node)->disk, path, &why);
    if (err != ERR_OK) return err;
    err = image_open(&reader, &file.source, &why);
    while (err == ERR_OK) {
        err = image_next(reader, &key, &value, &why);
        if (err == ERR_OK) ++*records;
    }
    image_close(reader);
    image_file_close(&file);
    return err;
}

#define IMAGE_1 "0000000000000001.image"
#define IMAGE_2 "0000000000000002.image"
#define IMAGE_3 "0000000000000003.image"

#endif
