/* SPDX-License-Identifier: Apache-2.0 */
#include "site/site.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "base/plant.h"
#include "site/identity.h"
#include "site/pointer.h"

static enum err sync_directory(struct disk *disk, const char *path, struct why *why)
{
    struct disk_request sync = {.op = DISK_SYNC_DIR, .path = path};
    enum err err = disk_run(disk, &sync);
    return err == ERR_OK ? err : why_fail(why, err, "%s: %s", path, sync.why.text);
}

static enum err sync_parent(struct disk *disk, const char *path, struct why *why)
{
    char *parent = path_parent(path);
    enum err err = sync_directory(disk, parent, why);
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

static enum err take_lock(const struct site *site, struct why *why)
{
    char *path = path_join(site->directory, "lock");
    struct disk_request lock = {.op = DISK_LOCK, .path = path};
    enum err err = disk_run(site->disk, &lock);
    memory_free(path);
    if (err == ERR_REFUSED) {
        return why_fail(why, ERR_REFUSED, "the data directory %s is in use by another process",
                        site->directory);
    }
    return err == ERR_OK ? err : why_fail(why, err, "%s: %s", site->directory, lock.why.text);
}

static char *path_of(const struct site *site, enum site_kind kind, uint64_t number)
{
    char name[SITE_NAME_BYTES];
    site_name_format(kind, number, name);
    return path_join(site->keys, name);
}

static void point(struct site *site, const struct site_pointer *pointer)
{
    memory_free(site->log);
    memory_free(site->store);
    site->pointed = true;
    site->pointer = *pointer;
    site->log = path_of(site, SITE_LOG, pointer->log);
    site->store = path_of(site, SITE_STORE, pointer->store);
}

/* Before anything is made: where a pointer is missing, so is all that it led to. */
static enum err read_pointer(struct site *site, struct why *why)
{
    struct site_pointer pointer = {.cluster = site->identity.cluster};
    enum err err = pointer_read(site->disk, site->keys, &pointer, why);
    if (err == ERR_OK) point(site, &pointer);
    if (err != ERR_NOT_FOUND) return err;
    if (!site->identity.started) return ERR_OK;
    return why_fail(why, ERR_REFUSED,
                    "%s/current is gone, and with it what says which log and store are the data: "
                    "is %s a mount that is not there? Otherwise restore it from a copy",
                    site->keys, site->keys);
}

static void init(struct site *site, struct disk *disk, const char *directory)
{
    *site = (struct site){.disk = disk};
    site->directory = path_join(directory, "");
    site->keys = path_join(directory, "keys");
    site->images = path_join(site->keys, "images");
}

static enum err open_all(struct site *site, struct entropy *entropy, struct why *why)
{
    struct disk *disk = site->disk;
    enum err err = make_outer(disk, site->directory, why);
    if (err != ERR_OK) return err;
    /* Before the lock file: a directory that is not ours is left as it is. */
    err = identity_probe(disk, site->directory, &site->identity, why);
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    err = take_lock(site, why);
    if (err != ERR_OK) return err;
    bool made = false;
    err = identity_open(disk, entropy, site->directory, &site->identity, &made, why);
    if (err == ERR_OK) err = read_pointer(site, why);
    if (err == ERR_OK) err = make_inner(disk, site->keys, why);
    if (err == ERR_OK) err = make_inner(disk, site->images, why);
    if (err != ERR_OK || !site->pointed || site->identity.started) return err;
    /* The start that wrote the pointer has ended before it could say so. Its name may not be
     * durable. */
    err = sync_directory(disk, site->keys, why);
    site->identity.started = true;
    return err == ERR_OK ? identity_write(disk, site->directory, &site->identity, why) : err;
}

enum err site_open(struct site *site, struct disk *disk, struct entropy *entropy,
                   const char *directory, struct why *why)
{
    init(site, disk, directory);
    enum err err = open_all(site, entropy, why);
    if (err != ERR_OK) site_release(site);
    return err;
}

static enum err look_at_all(struct site *site, struct why *why)
{
    enum err err = identity_read(site->disk, site->directory, &site->identity, why);
    if (err == ERR_NOT_FOUND)
        return why_fail(why, ERR_CONFIG, "%s is not a data directory of tidemark", site->directory);
    if (err == ERR_OK) err = take_lock(site, why);
    return err == ERR_OK ? read_pointer(site, why) : err;
}

enum err site_look(struct site *site, struct disk *disk, const char *directory, struct why *why)
{
    init(site, disk, directory);
    enum err err = look_at_all(site, why);
    if (err != ERR_OK) site_release(site);
    return err;
}

void site_release(struct site *site)
{
    memory_free(site->directory);
    memory_free(site->keys);
    memory_free(site->images);
    memory_free(site->log);
    memory_free(site->store);
    *site = (struct site){0};
}

uint64_t site_cluster(const struct site *site)
{
    return site->pointed ? site->pointer.cluster : site->identity.cluster;
}

/* --- Another one --- */

static enum err list_keys(const struct site *site, struct buffer *names, struct why *why)
{
    struct disk_request list = {.op = DISK_LIST, .path = site->keys, .names = names};
    enum err err = disk_run(site->disk, &list);
    return err == ERR_OK ? err : why_fail(why, err, "%s: %s", site->keys, list.why.text);
}

static void next_release(struct site_next *next)
{
    memory_free(next->log);
    memory_free(next->store);
    *next = (struct site_next){0};
}

enum err site_prepare(struct site *site, bool new_log, struct history history,
                      struct site_next *next, struct why *why)
{
    MUST(new_log || site->pointed);
    *next = (struct site_next){0};
    uint64_t most[] = {[SITE_LOG] = site->pointer.log, [SITE_STORE] = site->pointer.store};
    struct buffer names;
    buffer_init(&names);
    enum err err = list_keys(site, &names, why);
    for (size_t at = 0; at < names.size;) {
        const char *name = (const char *)names.data + at;
        at += strlen(name) + 1;
        enum site_kind kind;
        uint64_t number;
        if (site_name_parse(name, &kind, &number) && number > most[kind]) most[kind] = number;
    }
    buffer_release(&names);
    if (err != ERR_OK) return err;
    next->pointer = (struct site_pointer){site->pointer.log, most[SITE_STORE] + 1,
                                          site_cluster(site), history};
    if (new_log) next->pointer.log = most[SITE_LOG] + 1;
    next->store = path_of(site, SITE_STORE, next->pointer.store);
    if (new_log) next->log = path_of(site, SITE_LOG, next->pointer.log);
    return ERR_OK;
}

enum err site_switch(struct site *site, struct site_next *next, struct why *why)
{
    /* The names in there are durable; theirs stand in `keys`. */
    enum err err = sync_directory(site->disk, site->keys, why);
    if (err == ERR_OK) err = pointer_write(site->disk, site->keys, &next->pointer, why);
    if (err == ERR_OK && !site->identity.started) {
        struct identity identity = site->identity;
        identity.started = true;
        err = identity_write(site->disk, site->directory, &identity, why);
    }
    if (err == ERR_OK) {
        site->identity.started = true;
        point(site, &next->pointer);
        trace_event(site->trace, TRACE_NOTICE, "site", "switched", "log=%s store=%s", site->log,
                    site->store);
    }
    next_release(next);
    return err;
}

static void discard(struct site *site, const char *path)
{
    struct why why;
    if (tree_remove(site->disk, path, &why) == ERR_OK) {
        trace_event(site->trace, TRACE_NOTICE, "site", "leftover_removed", "path=%s", path);
    } else {
        trace_event(site->trace, TRACE_WARNING, "site", "leftover_not_removed", "why=\"%s\"",
                    why.text);
    }
}

void site_abandon(struct site *site, struct site_next *next)
{
    if (next->log != NULL) discard(site, next->log);
    if (next->store != NULL) discard(site, next->store);
    next_release(next);
}

void site_sweep(struct site *site)
{
    struct buffer names;
    buffer_init(&names);
    struct why why;
    if (list_keys(site, &names, &why) != ERR_OK) names.size = 0;
    for (size_t at = 0; at < names.size;) {
        const char *name = (const char *)names.data + at;
        at += strlen(name) + 1;
        enum site_kind kind;
        uint64_t number;
        if (!site_name_parse(name, &kind, &number)) continue;
        uint64_t counts = kind == SITE_LOG ? site->pointer.log : site->pointer.store;
        if (site->pointed && number == counts) continue;
        char *path = path_join(site->keys, name);
        discard(site, path);
        memory_free(path);
    }
    buffer_release(&names);
}
