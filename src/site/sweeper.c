/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that are out of use go, one request at a time.
 *
 *   TRY     remove the path                    else LOOK
 *   LOOK    list it: what is in it is tried    empty, or no directory: it cannot be removed
 *   LEAVE   remove it once all in it is gone
 *
 * Nothing of it is synced: what comes back with a power cut is found by the next start. */
#include "base/memory.h"
#include "base/path.h"
#include "site/pointer.h"

enum { SWEEP_DEPTH_MAX = 4 };

enum sweep_step { SWEEP_IDLE, SWEEP_TRY, SWEEP_LOOK, SWEEP_LEAVE };

struct sweep_branch {
    char *path;
    struct buffer names;
    size_t at;
};

struct site_sweeper {
    struct disk *disk;
    struct trace *trace;
    struct buffer
        roots; /* paths, each with its zero; the first is under way if depth > 0 or path */
    struct sweep_branch branches[SWEEP_DEPTH_MAX];
    size_t depth;
    enum sweep_step step;
    struct disk_request request;
    char *path; /* of the request, unless it leaves a branch */
    struct buffer names;
    bool stopped, gone;
};

struct site_sweeper *site_sweeper_open(const struct site *site)
{
    struct site_sweeper *sweeper = memory_zeroed(1, sizeof *sweeper);
    sweeper->disk = site->disk;
    sweeper->trace = site->trace;
    buffer_init(&sweeper->roots);
    buffer_init(&sweeper->names);
    return sweeper;
}

/* --- What is to go --- */

static bool is_noted(const struct site_sweeper *sweeper, const char *path)
{
    const char *roots = (const char *)sweeper->roots.data;
    for (size_t at = 0; at < sweeper->roots.size; at += strlen(roots + at) + 1) {
        if (strcmp(roots + at, path) == 0) return true;
    }
    return false;
}

static void note(struct site_sweeper *sweeper, const char *path)
{
    if (!is_noted(sweeper, path)) buffer_append(&sweeper->roots, bytes_of(path, strlen(path) + 1));
}

void site_sweeper_find(struct site_sweeper *sweeper, const struct site *site, bool all)
{
    struct buffer names;
    buffer_init(&names);
    struct disk_request list = {.op = DISK_LIST, .path = site->keys, .names = &names};
    if (disk_run(site->disk, &list) != ERR_OK) names.size = 0; /* the next start looks again */
    for (size_t at = 0; at < names.size;) {
        const char *name = (const char *)names.data + at;
        at += strlen(name) + 1;
        enum site_kind kind;
        uint64_t number;
        if (!site_name_parse(name, &kind, &number)) continue;
        uint64_t counts = kind == SITE_LOG ? site->pointer.log : site->pointer.store;
        if (number == counts || (number > counts && !all)) continue;
        char *path = path_join(site->keys, name);
        note(sweeper, path);
        memory_free(path);
    }
    buffer_release(&names);
}

/* A name that nothing bears may be another one's soon: it is not noted. */
static void take_path(struct site_sweeper *sweeper, const char *path)
{
    struct buffer names;
    buffer_init(&names);
    struct disk_request list = {.op = DISK_LIST, .path = path, .names = &names};
    if (disk_run(sweeper->disk, &list) == ERR_OK) note(sweeper, path);
    buffer_release(&names);
}

void site_sweeper_take(struct site_sweeper *sweeper, struct site_next *next)
{
    if (next->log != NULL) take_path(sweeper, next->log);
    if (next->store != NULL) take_path(sweeper, next->store);
    memory_free(next->log);
    memory_free(next->store);
    *next = (struct site_next){.log = NULL};
}

/* --- How it goes --- */

static void step(struct site_sweeper *sweeper);

static void drop_branch(struct site_sweeper *sweeper)
{
    struct sweep_branch *branch = &sweeper->branches[--sweeper->depth];
    memory_free(branch->path);
    buffer_release(&branch->names);
}

/* The first root is done with. */
static void root_ends(struct site_sweeper *sweeper, const struct why *why)
{
    const char *path = (const char *)sweeper->roots.data;
    if (why == NULL)
        trace_event(sweeper->trace, TRACE_NOTICE, "site", "leftover_removed", "path=%s", path);
    else
        trace_event(sweeper->trace, TRACE_WARNING, "site", "leftover_not_removed",
                    "path=%s why=\"%s\"", path, why->text);
    while (sweeper->depth > 0) drop_branch(sweeper);
    size_t size = strlen(path) + 1;
    memmove(sweeper->roots.data, sweeper->roots.data + size, sweeper->roots.size - size);
    sweeper->roots.size -= size;
}

static void release(struct site_sweeper *sweeper)
{
    while (sweeper->depth > 0) drop_branch(sweeper);
    memory_free(sweeper->path);
    buffer_release(&sweeper->roots);
    buffer_release(&sweeper->names);
    memory_free(sweeper);
}

static void forget_path(struct site_sweeper *sweeper)
{
    memory_free(sweeper->path);
    sweeper->path = NULL;
}

/* What cannot be removed but holds something is gone into. */
static void looked(struct site_sweeper *sweeper, const struct disk_request *request)
{
    bool holds = request->err == ERR_OK && sweeper->names.size > 0;
    if (holds && sweeper->depth < SWEEP_DEPTH_MAX) {
        sweeper->branches[sweeper->depth++] = (struct sweep_branch){.path = sweeper->path,
                                                                    .names = sweeper->names};
        sweeper->path = NULL;
        buffer_init(&sweeper->names);
        return;
    }
    root_ends(sweeper, &(struct why){"a file or directory in it cannot be removed"});
    forget_path(sweeper);
}

static void ask(struct site_sweeper *sweeper, enum sweep_step step, enum disk_op op,
                const char *path);

static void done(struct disk_request *request)
{
    struct site_sweeper *sweeper = CONTAINER_OF(request, struct site_sweeper, request);
    enum sweep_step was = sweeper->step;
    bool removed = request->err == ERR_OK || request->err == ERR_NOT_FOUND;
    sweeper->step = SWEEP_IDLE;
    if (sweeper->gone) {
        release(sweeper);
        return;
    }
    if (was == SWEEP_LOOK) {
        looked(sweeper, request);
    } else if (was == SWEEP_LEAVE) {
        if (!removed) root_ends(sweeper, &request->why);
        else if (sweeper->depth > 1) drop_branch(sweeper);
        else root_ends(sweeper, NULL);
    } else if (removed) {
        forget_path(sweeper);
        if (sweeper->depth == 0) root_ends(sweeper, NULL);
    } else {
        buffer_clear(&sweeper->names);
        ask(sweeper, SWEEP_LOOK, DISK_LIST, sweeper->path);
        return;
    }
    step(sweeper);
}

static void ask(struct site_sweeper *sweeper, enum sweep_step step, enum disk_op op,
                const char *path)
{
    sweeper->step = step;
    sweeper->request = (struct disk_request){
        .op = op, .path = path, .names = &sweeper->names, .done = done};
    disk_submit(sweeper->disk, &sweeper->request);
}

static void step(struct site_sweeper *sweeper)
{
    if (sweeper->stopped || sweeper->roots.size == 0) return;
    if (sweeper->depth == 0) {
        sweeper->path = path_join((const char *)sweeper->roots.data, "");
        ask(sweeper, SWEEP_TRY, DISK_REMOVE, sweeper->path);
        return;
    }
    struct sweep_branch *branch = &sweeper->branches[sweeper->depth - 1];
    if (branch->at == branch->names.size) {
        ask(sweeper, SWEEP_LEAVE, DISK_REMOVE, branch->path);
        return;
    }
    const char *name = (const char *)branch->names.data + branch->at;
    branch->at += strlen(name) + 1;
    sweeper->path = path_join(branch->path, name);
    ask(sweeper, SWEEP_TRY, DISK_REMOVE, sweeper->path);
}

void site_sweeper_go(struct site_sweeper *sweeper)
{
    if (sweeper->step == SWEEP_IDLE) step(sweeper);
}

void site_sweeper_stop(struct site_sweeper *sweeper)
{
    sweeper->stopped = true;
}

bool site_sweeper_is_quiet(const struct site_sweeper *sweeper)
{
    return sweeper->step == SWEEP_IDLE;
}

void site_sweeper_close(struct site_sweeper *sweeper)
{
    if (sweeper == NULL) return;
    sweeper->gone = true;
    if (sweeper->step == SWEEP_IDLE) release(sweeper);
}
