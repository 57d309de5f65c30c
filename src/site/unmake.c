/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "base/path.h"
#include "site/pointer.h"

static void remove_name(struct site *site, const char *name)
{
    char *path = path_join(site->directory, name);
    struct disk_request remove = {.op = DISK_REMOVE, .path = path};
    (void)disk_run(site->disk, &remove);
    memory_free(path);
}

/* The identity stays as long as anything else does: without it what is left would be refused. */
void site_unmake(struct site *site, bool directory_too)
{
    MUST(!site->pointed && !site->identity.started);
    struct why why;
    if (tree_remove(site->disk, site->keys, &why) == ERR_OK) {
        remove_name(site, "identity");
        remove_name(site, "lock");
        if (directory_too) remove_name(site, "");
    } else {
        trace_event(site->trace, TRACE_WARNING, "site", "not_unmade", "why=\"%s\"", why.text);
    }
    site_release(site);
}
