/* SPDX-License-Identifier: Apache-2.0 */
/* The identity file is five lines of text, so that an operator can read it:
 *
 *   tidemark 1
 *   cluster <16 hex>
 *   copy <decimal>
 *   started <yes or no>
 *   check <16 hex: XXH3-64 of the lines above>
 *
 * It is durable before anything else is made in the directory. So a directory with other files of
 * ours and no identity has lost it, and is refused. An identity that is still alone there is
 * written again at the next start: the sync of its name may have failed, and then it is only seen,
 * until the power goes.
 *
 * It is written once more, with `started yes`, when the first pointer is durable and before a
 * client is let in. So where it says `no` and there is no pointer, nobody was promised anything. */
#include "site/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "site/text_file.h"

static const char identity_name[] = "identity";

static void identity_format(const struct identity *identity, struct text_file *file)
{
    int size = snprintf(file->text, sizeof file->text,
                        "tidemark 1\ncluster %016" PRIx64 "\ncopy %" PRIu64 "\nstarted %s\n",
                        identity->cluster, identity->copy, identity->started ? "yes" : "no");
    MUST(size > 0);
    file->size = (size_t)size;
    text_file_seal(file);
}

static enum err identity_parse(const struct text_file *file, struct identity *identity,
                               struct why *why)
{
    unsigned version = 0;
    char started[4] = "";
    struct identity read = {0};
    int fields = sscanf(file->text,
                        "tidemark %u\ncluster %16" SCNx64 "\ncopy %20" SCNu64 "\nstarted %3s\n",
                        &version, &read.cluster, &read.copy, started);
    if (fields >= 1 && version != 1) {
        return why_fail(why, ERR_REFUSED, "the identity file has format %u; this program reads 1",
                        version);
    }
    read.started = strcmp(started, "yes") == 0;
    struct text_file again;
    identity_format(&read, &again);
    bool fits = fields == 4 && again.size == file->size &&
                memcmp(again.text, file->text, file->size) == 0;
    if (!fits) return why_fail(why, ERR_CORRUPT, "the identity file does not read");
    *identity = read;
    return ERR_OK;
}

enum err identity_read(struct disk *disk, const char *directory, struct identity *identity,
                       struct why *why)
{
    char *path = path_join(directory, identity_name);
    struct text_file file;
    enum err err = text_file_read(disk, path, &file, why);
    if (err == ERR_OK) {
        err = identity_parse(&file, identity, why);
        if (err != ERR_OK) why_prefix(why, path);
    }
    memory_free(path);
    return err;
}

/* Whether the directory holds nothing but what is left over from making an identity, and `beside`
 * (NULL: nothing). */
static enum err directory_is_empty(struct disk *disk, const char *directory, const char *beside,
                                   bool *empty, struct why *why)
{
    struct buffer names;
    buffer_init(&names);
    struct disk_request list = {.op = DISK_LIST, .path = directory, .names = &names};
    enum err err = disk_run(disk, &list);
    if (err != ERR_OK) {
        why_fail(why, err, "%s: %s", directory, list.why.text);
    }
    *empty = true;
    for (size_t at = 0; err == ERR_OK && at < names.size;) {
        const char *name = (const char *)names.data + at;
        bool known = strcmp(name, "identity.tmp") == 0 || strcmp(name, "lock") == 0;
        if (!known && (beside == NULL || strcmp(name, beside) != 0)) *empty = false;
        at += strlen(name) + 1;
    }
    buffer_release(&names);
    return err;
}

enum err identity_write(struct disk *disk, const char *directory, const struct identity *identity,
                        struct why *why)
{
    struct text_file file;
    identity_format(identity, &file);
    return text_file_write(disk, directory, identity_name, &file, why);
}

/* Writes one that is alone in its directory again. */
static enum err identity_confirm(struct disk *disk, const char *directory,
                                 const struct identity *identity, struct why *why)
{
    bool alone = false;
    enum err err = directory_is_empty(disk, directory, identity_name, &alone, why);
    if (err != ERR_OK || !alone) return err;
    return identity_write(disk, directory, identity, why);
}

enum err identity_probe(struct disk *disk, const char *directory, struct identity *identity,
                        struct why *why)
{
    enum err err = identity_read(disk, directory, identity, why);
    if (err != ERR_NOT_FOUND) return err;
    bool empty = false;
    err = directory_is_empty(disk, directory, NULL, &empty, why);
    if (err != ERR_OK) return err;
    if (empty) return why_fail(why, ERR_NOT_FOUND, "%s is empty", directory);
    return why_fail(why, ERR_REFUSED,
                    "%s is not empty and has no identity file: it is not a data directory of "
                    "tidemark, or it has lost that file",
                    directory);
}

enum err identity_open(struct disk *disk, struct entropy *entropy, const char *directory,
                       struct identity *identity, bool *made, struct why *why)
{
    *made = false;
    enum err err = identity_probe(disk, directory, identity, why);
    if (err == ERR_OK) return identity_confirm(disk, directory, identity, why);
    if (err != ERR_NOT_FOUND) return err;
    struct identity fresh = {0};
    entropy_fill(entropy, &fresh.cluster, sizeof fresh.cluster);
    entropy_fill(entropy, &fresh.copy, sizeof fresh.copy);
    fresh.copy >>= 32; /* short enough to be typed */
    if (fresh.copy == 0) fresh.copy = 1;
    err = identity_write(disk, directory, &fresh, why);
    if (err != ERR_OK) return err;
    *identity = fresh;
    *made = true;
    return ERR_OK;
}
