/* SPDX-License-Identifier: Apache-2.0 */
/* Removes a directory with what is in it. The disk tells no file from a directory: what cannot be
 * removed but can be listed is one that is not empty. */
#include "base/memory.h"
#include "base/path.h"
#include "site/pointer.h"

enum { TREE_DEPTH_MAX = 4 };

/* A place in the tree: the names of a directory, and the next of them. */
struct branch {
    char *path;
    struct buffer names;
    size_t at;
};

static enum err remove_one(struct disk *disk, const char *path, struct why *why)
{
    struct disk_request remove = {.op = DISK_REMOVE, .path = path};
    enum err err = disk_run(disk, &remove);
    if (err == ERR_OK || err == ERR_NOT_FOUND) return ERR_OK;
    return why_fail(why, err, "%s: %s", path, remove.why.text);
}

/* Removes `path`, or opens it as a branch if it holds something. */
static enum err enter(struct disk *disk, char *path, struct branch *branch, bool *entered,
                      struct why *why)
{
    *entered = false;
    enum err err = remove_one(disk, path, why);
    *branch = (struct branch){.path = path};
    buffer_init(&branch->names);
    if (err == ERR_OK) return err;
    struct disk_request list = {.op = DISK_LIST, .path = path, .names = &branch->names};
    *entered = disk_run(disk, &list) == ERR_OK && branch->names.size > 0;
    return *entered ? ERR_OK : err;
}

static void leave(struct branch *branch)
{
    buffer_release(&branch->names);
    memory_free(branch->path);
}

enum err tree_remove(struct disk *disk, const char *path, struct why *why)
{
    struct branch branches[TREE_DEPTH_MAX];
    bool entered;
    enum err err = enter(disk, path_join(path, ""), &branches[0], &entered, why);
    size_t depth = 1;
    if (!entered) leave(&branches[--depth]);
    while (depth > 0) {
        struct branch *branch = &branches[depth - 1];
        if (err != ERR_OK || branch->at == branch->names.size) {
            if (err == ERR_OK) err = remove_one(disk, branch->path, why);
            leave(branch);
            depth--;
            continue;
        }
        const char *name = (const char *)branch->names.data + branch->at;
        branch->at += strlen(name) + 1;
        char *inner = path_join(branch->path, name);
        if (depth == TREE_DEPTH_MAX) {
            err = remove_one(disk, inner, why);
            memory_free(inner);
            continue;
        }
        err = enter(disk, inner, &branches[depth], &entered, why);
        if (entered) depth++;
        else leave(&branches[depth]);
    }
    return err;
}
