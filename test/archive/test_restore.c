/* SPDX-License-Identifier: Apache-2.0 */
/* What a restore makes of entries that only mean something where they were archived. */
#include <stdio.h>

#include "app/keys.h"
#include "archive/archive.h"
#include "archive/span.h"
#include "base/memory.h"
#include "command/command.h"
#include "log/log.h"
#include "seam/copies.h"
#include "sim/node.h"
#include "sim/world.h"
#include "test/test.h"

enum { ENTRIES = 4 };

/* Writes an archive of one span, restores it, and looks at the machine before it is closed. */
struct restoring {
    struct sim_program program;
    struct sim_node *node;
    struct keys keys;
    void (*close_keys)(struct machine_maker *maker, struct machine *machine);
    struct archive_restore_options options;
    struct archive_restore *restore;
    struct archive_restore_listener listener;
    struct task close;
    /* Out, of the machine as it was closed: */
    enum err err;
    bool ended;
    uint64_t applied, flushed, names; /* bytes of what it says of copies */
    size_t epochs;
    char keys_line[64];
};

static void put_set(struct buffer *out, const char *key)
{
    struct args args;
    args_init(&args);
    args_push(&args, bytes_text("set"));
    args_push(&args, bytes_text(key));
    args_push(&args, bytes_text("1"));
    payload_put_command(out, 0, command_by_id(COMMAND_SET), &args);
    args_release(&args);
}

static void put_payload(struct buffer *out, uint64_t lsn)
{
    struct members members = {.all = true, .min_in_sync = 2, .count = 1, .at = {{.id = 7}}};
    buffer_clear(out);
    if (lsn == 1) payload_put_epoch(out);
    if (lsn == 2) put_set(out, "a");
    if (lsn == 3) payload_put_members(out, &members);
    if (lsn == 4) put_set(out, "b");
}

static void put_span(struct buffer *out, const struct history *history)
{
    struct span_facts facts = {.cluster = 9, .history = *history};
    struct span_writer writer;
    struct buffer payload;
    struct lineage lineage = {0};
    buffer_init(&payload);
    span_begin(&writer, &facts, out);
    for (uint64_t lsn = 1; lsn <= ENTRIES; lsn++) {
        put_payload(&payload, lsn);
        struct entry entry = {.lsn = {lsn},
                              .epoch = {1, 7},
                              .stamp = stamp_of_ms(1000 + lsn),
                              .payload = buffer_bytes(&payload)};
        lineage = entry.lineage = log_lineage(lineage, &entry);
        span_add(&writer, &entry, out);
    }
    span_end(&writer, out);
    buffer_release(&payload);
}

static void run(struct disk *disk, struct disk_request *request)
{
    MUST(disk_run(disk, request) == ERR_OK);
}

static void write_archive(struct disk *disk)
{
    const struct history history = {{1, 2, 3}};
    char id[HISTORY_TEXT_BYTES], name[SPAN_NAME_BYTES], folder[128], path[256];
    history_format(&history, id);
    span_name_format(&(struct span_name){SPAN_NAME_SPAN, {1}, {ENTRIES}}, name);
    (void)snprintf(folder, sizeof folder, "archive/%s", id);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    struct buffer span;
    buffer_init(&span);
    put_span(&span, &history);
    run(disk, &(struct disk_request){.op = DISK_MAKE_DIR, .path = "archive"});
    run(disk, &(struct disk_request){.op = DISK_MAKE_DIR, .path = folder});
    struct disk_request file = {.op = DISK_CREATE, .path = path};
    run(disk, &file);
    run(disk, &(struct disk_request){
                  .op = DISK_WRITE, .file = file.file, .data = span.data, .size = span.size});
    run(disk, &(struct disk_request){.op = DISK_CLOSE, .file = file.file});
    buffer_release(&span);
}

static void keys_close(struct machine_maker *maker, struct machine *machine)
{
    struct restoring *restoring = CONTAINER_OF(maker, struct restoring, keys.maker);
    struct buffer line;
    buffer_init(&line);
    machine->ops->describe(machine, &line);
    (void)snprintf(restoring->keys_line, sizeof restoring->keys_line, "%.*s", (int)line.size,
                   (const char *)line.data);
    buffer_release(&line);
    restoring->applied = machine->ops->applied(machine).lsn.at;
    restoring->flushed = machine->ops->flushed(machine).lsn.at;
    restoring->names = machine->ops->members(machine).size;
    (void)machine->ops->epochs(machine, &restoring->epochs);
    restoring->close_keys(maker, machine);
}

static void close_task(struct task *task)
{
    struct restoring *restoring = CONTAINER_OF(task, struct restoring, close);
    archive_restore_close(restoring->restore);
    restoring->ended = true;
    sim_node_exit(restoring->node, 0);
}

static void ended(struct archive_restore_listener *listener, enum err err, const struct why *why)
{
    struct restoring *restoring = CONTAINER_OF(listener, struct restoring, listener);
    restoring->err = err;
    if (err != ERR_OK) fprintf(stderr, "restore: %s\n", why->text);
    clock_defer(restoring->keys.world.clock, &restoring->close);
}

static void moved(struct archive_restore_listener *listener, bool image, uint64_t done,
                  uint64_t all)
{
    (void)listener, (void)image, (void)done, (void)all;
}

static bool start(struct sim_program *program, struct world *world)
{
    struct restoring *restoring = CONTAINER_OF(program, struct restoring, program);
    write_archive(world->disk);
    keys_init(&restoring->keys, world, 1 << 20, 0);
    restoring->close_keys = restoring->keys.maker.close;
    restoring->keys.maker.close = keys_close;
    restoring->close = (struct task){.run = close_task};
    restoring->listener = (struct archive_restore_listener){ended, moved};
    restoring->options = (struct archive_restore_options){
        .from = "archive", .to = "restored", .target = ARCHIVE_LATEST, .flush_bytes = 1 << 20};
    archive_restore_open(&restoring->restore, world, &restoring->keys.maker, &restoring->options,
                         &restoring->listener);
    return true;
}

TEST(archive_restore, entries_that_name_copies_of_the_source_are_passed_over)
{
    struct restoring restoring = {.program.start = start};
    struct sim_world *world = sim_world_open(1);
    restoring.node = sim_node_open(world, &restoring.program, NULL);
    assert_true(sim_node_start(restoring.node));
    assert_true(sim_world_run_for(world, 60 * SIM_SECOND));
    assert_true(restoring.ended);
    assert_int_equal(restoring.err, ERR_OK);
    assert_int_equal(restoring.applied, ENTRIES);
    assert_int_equal(restoring.flushed, ENTRIES);
    assert_string_equal(restoring.keys_line, "db0:keys=2,expires=0,avg_ttl=0\r\n");
    assert_int_equal(restoring.epochs, 1);
    assert_int_equal(restoring.names, 0);
    assert_null(sim_world_failure(world));
    sim_world_close(world);
}
