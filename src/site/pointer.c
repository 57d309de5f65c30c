/* SPDX-License-Identifier: Apache-2.0 */
/* The pointer is six lines of text:
 *
 *   tidemark-keys 2
 *   log <decimal>
 *   store <decimal>
 *   cluster <16 hex>
 *   history <32 hex>
 *   check <16 hex: XXH3-64 of the lines above>
 *
 * Format 1 has no cluster: it is the identity's. */
#include "site/pointer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "site/text_file.h"

static const char pointer_name[] = "current";
static const char *const kinds[] = {[SITE_LOG] = "log-", [SITE_STORE] = "store-"};
/* Beyond this no number is believed, so that one more never wraps. */
#define SITE_NUMBER_MAX (UINT64_MAX >> 1)

enum { FORMAT_WITHOUT_CLUSTER = 1, FORMAT = 2 };

static void pointer_format(const struct site_pointer *pointer, unsigned format,
                           struct text_file *file)
{
    char cluster[32] = "", history[HISTORY_TEXT_BYTES];
    history_format(&pointer->history, history);
    if (format == FORMAT)
        (void)snprintf(cluster, sizeof cluster, "cluster %016" PRIx64 "\n", pointer->cluster);
    int size = snprintf(file->text, sizeof file->text,
                        "tidemark-keys %u\nlog %" PRIu64 "\nstore %" PRIu64 "\n%shistory %s\n",
                        format, pointer->log, pointer->store, cluster, history);
    MUST(size > 0);
    file->size = (size_t)size;
    text_file_seal(file);
}

/* False: it has not all lines of this format. */
static bool pointer_scan(const char *text, unsigned format, struct site_pointer *pointer)
{
    char history[HISTORY_TEXT_BYTES] = "";
    int fields = 0;
    if (format == FORMAT) {
        fields = sscanf(text,
                        "tidemark-keys 2\nlog %20" SCNu64 "\nstore %20" SCNu64
                        "\ncluster %16" SCNx64 "\nhistory %32s\n",
                        &pointer->log, &pointer->store, &pointer->cluster, history);
    } else {
        fields = sscanf(text,
                        "tidemark-keys 1\nlog %20" SCNu64 "\nstore %20" SCNu64 "\nhistory %32s\n",
                        &pointer->log, &pointer->store, history);
    }
    return fields == (format == FORMAT ? 4 : 3) &&
           history_parse(bytes_text(history), &pointer->history);
}

static enum err pointer_parse(const struct text_file *file, struct site_pointer *pointer,
                              struct why *why)
{
    unsigned format = FORMAT;
    struct site_pointer read = {.cluster = pointer->cluster};
    int fields = sscanf(file->text, "tidemark-keys %u\n", &format);
    if (fields == 1 && format != FORMAT_WITHOUT_CLUSTER && format != FORMAT)
        return why_fail(why, ERR_REFUSED, "it has format %u; this program reads 1 and 2", format);
    bool fits = fields == 1 && pointer_scan(file->text, format, &read) && read.log > 0 &&
                read.store > 0 && read.log < SITE_NUMBER_MAX && read.store < SITE_NUMBER_MAX;
    struct text_file again;
    pointer_format(&read, format, &again);
    fits = fits && again.size == file->size && memcmp(again.text, file->text, file->size) == 0;
    if (!fits) {
        return why_fail(why, ERR_CORRUPT,
                        "it does not read: put back a copy of it, or restore the whole directory");
    }
    *pointer = read;
    return ERR_OK;
}

enum err pointer_read(struct disk *disk, const char *keys, struct site_pointer *pointer,
                      struct why *why)
{
    char *path = path_join(keys, pointer_name);
    struct text_file file;
    enum err err = text_file_read(disk, path, &file, why);
    if (err == ERR_OK) {
        err = pointer_parse(&file, pointer, why);
        if (err != ERR_OK) why_prefix(why, path);
    }
    memory_free(path);
    return err;
}

enum err pointer_write(struct disk *disk, const char *keys, const struct site_pointer *pointer,
                       struct why *why)
{
    struct text_file file;
    pointer_format(pointer, FORMAT, &file);
    return text_file_write(disk, keys, pointer_name, &file, why);
}

void site_name_format(enum site_kind kind, uint64_t number, char out[SITE_NAME_BYTES])
{
    (void)snprintf(out, SITE_NAME_BYTES, "%s%" PRIu64, kinds[kind], number);
}

bool site_name_parse(const char *name, enum site_kind *kind, uint64_t *number)
{
    for (unsigned i = SITE_LOG; i <= SITE_STORE; i++) {
        size_t prefix = strlen(kinds[i]);
        if (strncmp(name, kinds[i], prefix) != 0) continue;
        char again[SITE_NAME_BYTES];
        *kind = (enum site_kind)i;
        *number = 0;
        if (sscanf(name + prefix, "%19" SCNu64, number) != 1 || *number == 0) return false;
        site_name_format(*kind, *number, again);
        return *number < SITE_NUMBER_MAX && strcmp(name, again) == 0;
    }
    return false;
}
