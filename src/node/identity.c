/* SPDX-License-Identifier: Apache-2.0 */
/* The identity file is five lines of text, so that an operator can read it:
 *
 *   tidemark 1
 *   cluster <16 hex>
 *   copy <decimal>
 *   history <32 hex>
 *   check <16 hex: XXH3-64 of the lines above>
 *
 * It is written to a temporary name, synced, renamed and its directory synced before anything else
 * is made in the directory. So a directory with other files of ours and no identity has lost it,
 * and is refused. An identity that is still alone there is written again at the next start: the
 * sync of its name may have failed, and then it is only seen, until the power goes. */
#include "node/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/checksum.h"

enum { IDENTITY_BYTES_MAX = 512, IDENTITY_PATH_BYTES_MAX = 4096 };

static const char identity_name[] = "identity";
static const char identity_temporary[] = "identity.tmp";

static enum err path_of(char *out, const char *directory, const char *name, struct why *why)
{
    int length = snprintf(out, IDENTITY_PATH_BYTES_MAX, "%s/%s", directory, name);
    if (length < 0 || length >= IDENTITY_PATH_BYTES_MAX) {
        return why_fail(why, ERR_CONFIG, "the path of the data directory is too long");
    }
    return ERR_OK;
}

static size_t identity_format(const struct identity *identity, char out[IDENTITY_BYTES_MAX])
{
    char history[33];
    for (size_t i = 0; i < sizeof identity->history.id; i++) {
        snprintf(history + 2 * i, 3, "%02x", identity->history.id[i]);
    }
    int body = snprintf(out, IDENTITY_BYTES_MAX,
                        "tidemark 1\ncluster %016" PRIx64 "\ncopy %" PRIu64 "\nhistory %s\n",
                        identity->cluster, identity->copy, history);
    MUST(body > 0 && body < IDENTITY_BYTES_MAX - 32);
    uint64_t check = checksum64(bytes_of(out, (size_t)body), 0);
    int tail = snprintf(out + body, IDENTITY_BYTES_MAX - (size_t)body, "check %016" PRIx64 "\n",
                        check);
    MUST(tail > 0);
    return (size_t)body + (size_t)tail;
}

/* `text` has a zero behind its `size` bytes. */
static enum err identity_parse(const char *text, size_t size, struct identity *identity,
                               struct why *why)
{
    unsigned version = 0;
    char history[33] = "";
    struct identity read = {0};
    int fields = sscanf(text,
                        "tidemark %u\ncluster %16" SCNx64 "\ncopy %20" SCNu64 "\nhistory %32s\n",
                        &version, &read.cluster, &read.copy, history);
    if (fields >= 1 && version != 1) {
        return why_fail(why, ERR_REFUSED, "the identity file has format %u; this program reads 1",
                        version);
    }
    bool fits = fields == 4 && strlen(history) == 32;
    for (size_t i = 0; fits && i < sizeof read.history.id; i++) {
        unsigned byte = 0;
        fits = sscanf(history + 2 * i, "%2x", &byte) == 1;
        read.history.id[i] = (uint8_t)byte;
    }
    char again[IDENTITY_BYTES_MAX];
    if (fits) {
        fits = identity_format(&read, again) == size && memcmp(again, text, size) == 0;
    }
    if (!fits) return why_fail(why, ERR_CORRUPT, "the identity file does not read");
    *identity = read;
    return ERR_OK;
}

enum err identity_read(struct disk *disk, const char *directory, struct identity *identity,
                       struct why *why)
{
    char path[IDENTITY_PATH_BYTES_MAX];
    enum err err = path_of(path, directory, identity_name, why);
    if (err != ERR_OK) return err;
    struct disk_request open = {.op = DISK_OPEN, .path = path, .read_only = true};
    err = disk_run(disk, &open);
    if (err != ERR_OK) return why_fail(why, err, "%s: %s", path, open.why.text);
    char text[IDENTITY_BYTES_MAX] = "";
    struct disk_request read = {
        .op = DISK_READ, .file = open.file, .data = text, .size = sizeof text - 1};
    err = disk_run(disk, &read);
    struct disk_request close = {.op = DISK_CLOSE, .file = open.file};
    (void)disk_run(disk, &close);
    if (err != ERR_OK) return why_fail(why, err, "%s: %s", path, read.why.text);
    text[read.moved] = 0;
    err = identity_parse(text, read.moved, identity, why);
    if (err != ERR_OK) why_prefix(why, path);
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
        bool known = strcmp(name, identity_temporary) == 0 || strcmp(name, "lock") == 0;
        if (!known && (beside == NULL || strcmp(name, beside) != 0)) *empty = false;
        at += strlen(name) + 1;
    }
    buffer_release(&names);
    return err;
}

static enum err identity_write(struct disk *disk, const char *directory,
                               const struct identity *identity, struct why *why)
{
    char path[IDENTITY_PATH_BYTES_MAX], temporary[IDENTITY_PATH_BYTES_MAX];
    enum err err = path_of(path, directory, identity_name, why);
    if (err == ERR_OK) err = path_of(temporary, directory, identity_temporary, why);
    if (err != ERR_OK) return err;
    struct disk_request remove = {.op = DISK_REMOVE, .path = temporary};
    (void)disk_run(disk, &remove);
    char text[IDENTITY_BYTES_MAX];
    size_t size = identity_format(identity, text);
    struct disk_request create = {.op = DISK_CREATE, .path = temporary};
    err = disk_run(disk, &create);
    if (err != ERR_OK) return why_fail(why, err, "%s: %s", temporary, create.why.text);
    struct disk_request write = {
        .op = DISK_WRITE_SYNC, .file = create.file, .data = text, .size = size};
    err = disk_run(disk, &write);
    struct disk_request close = {.op = DISK_CLOSE, .file = create.file};
    (void)disk_run(disk, &close);
    if (err != ERR_OK) return why_fail(why, err, "%s: %s", temporary, write.why.text);
    struct disk_request rename = {.op = DISK_RENAME, .path = temporary, .path_to = path};
    err = disk_run(disk, &rename);
    if (err != ERR_OK) return why_fail(why, err, "%s: %s", path, rename.why.text);
    struct disk_request sync = {.op = DISK_SYNC_DIR, .path = directory};
    err = disk_run(disk, &sync);
    if (err != ERR_OK) return why_fail(why, err, "%s: %s", directory, sync.why.text);
    return ERR_OK;
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
    struct identity fresh;
    entropy_fill(entropy, &fresh, sizeof fresh);
    fresh.copy >>= 32; /* short enough to be typed */
    if (fresh.copy == 0) fresh.copy = 1;
    err = identity_write(disk, directory, &fresh, why);
    if (err != ERR_OK) return err;
    *identity = fresh;
    *made = true;
    return ERR_OK;
}
