/* SPDX-License-Identifier: Apache-2.0 */
/* The follow file is four lines of text:
 *
 *   tidemark-follow 1
 *   follow <host:port>
 *   wipe <yes, no or redis>
 *   check <16 hex: XXH3-64 of the lines above>
 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "site/site.h"
#include "site/text_file.h"

static const char follow_name[] = "follow";

static const char *wipe_word(const struct site_follow *follow)
{
    if (follow->redis) return "redis";
    return follow->wipe ? "yes" : "no";
}

static void follow_format(const struct site_follow *follow, struct text_file *file)
{
    int size = snprintf(file->text, sizeof file->text, "tidemark-follow 1\nfollow %s\nwipe %s\n",
                        follow->address, wipe_word(follow));
    MUST(size > 0);
    file->size = (size_t)size;
    text_file_seal(file);
}

static enum err follow_parse(const struct text_file *file, struct site_follow *follow,
                             struct why *why)
{
    unsigned version = 0;
    char wipe[6] = "";
    struct site_follow read = {.wipe = false};
    _Static_assert(sizeof read.address == 256, "the width below");
    int fields = sscanf(file->text, "tidemark-follow %u\nfollow %255s\nwipe %5s\n", &version,
                        read.address, wipe);
    if (fields >= 1 && version != 1)
        return why_fail(why, ERR_REFUSED, "it has format %u; this program reads 1", version);
    read.redis = strcmp(wipe, "redis") == 0;
    read.wipe = read.redis || strcmp(wipe, "yes") == 0;
    struct text_file again;
    follow_format(&read, &again);
    bool fits = fields == 3 && again.size == file->size &&
                memcmp(again.text, file->text, file->size) == 0;
    if (!fits)
        return why_fail(why, ERR_CORRUPT,
                        "it does not read: remove it, and say again whom to follow");
    *follow = read;
    return ERR_OK;
}

enum err site_follow_read(const struct site *site, struct site_follow *follow, struct why *why)
{
    char *path = path_join(site->directory, follow_name);
    struct text_file file;
    enum err err = text_file_read(site->disk, path, &file, why);
    if (err == ERR_OK) {
        err = follow_parse(&file, follow, why);
        if (err != ERR_OK) why_prefix(why, path);
    }
    memory_free(path);
    return err;
}

/* What would not be read again is not written: the address comes from a client. */
static bool is_address(const char *text)
{
    if (memchr(text, '\0', COPY_ADDRESS_BYTES) == NULL) return false;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || colon[1] == '\0') return false;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~') return false;
    }
    return strspn(colon + 1, "0123456789") == strlen(colon + 1);
}

enum err site_follow_write(const struct site *site, const struct site_follow *follow,
                           struct why *why)
{
    if (!is_address(follow->address))
        return why_fail(why, ERR_CONFIG, "this is not an address of the form host:port");
    struct text_file file;
    follow_format(follow, &file);
    return text_file_write(site->disk, site->directory, follow_name, &file, why);
}

enum err site_remove_file(const struct site *site, const char *name, struct why *why)
{
    char *path = path_join(site->directory, name);
    struct disk_request remove = {.op = DISK_REMOVE, .path = path};
    enum err err = disk_run(site->disk, &remove);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        (void)why_fail(why, err, "%s: %s", path, remove.why.text);
    } else { /* also one that is gone already: the process that removed it may not have lived on */
        struct disk_request sync = {.op = DISK_SYNC_DIR, .path = site->directory};
        err = disk_run(site->disk, &sync);
        if (err != ERR_OK) (void)why_fail(why, err, "%s: %s", site->directory, sync.why.text);
    }
    memory_free(path);
    return err;
}

enum err site_follow_remove(const struct site *site, struct why *why)
{
    return site_remove_file(site, follow_name, why);
}
