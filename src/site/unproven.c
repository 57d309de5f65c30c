/* SPDX-License-Identifier: Apache-2.0 */
/* The file DIR/unproven says that this copy was rebuilt and has not shown yet that it holds again
 * all that it ever acked:
 *
 *   tidemark-unproven 1
 *   check <16 hex: XXH3-64 of the line above>
 *
 * It is there, durably, before the pointer names what was installed, and goes once the copy is in
 * sync. One with other bytes says the same, and so does one that could not be written for sure: any
 * doubt is a doubt. */
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "site/site.h"
#include "site/text_file.h"

static const char unproven_name[] = "unproven";

enum err site_unproven_read(struct site *site, struct why *why)
{
    char *path = path_join(site->directory, unproven_name);
    struct text_file file;
    enum err err = text_file_read(site->disk, path, &file, why);
    memory_free(path);
    site->unproven = err != ERR_NOT_FOUND;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err site_set_unproven(struct site *site, struct why *why)
{
    static const char line[] = "tidemark-unproven 1\n";
    struct text_file file = {.size = sizeof line - 1};
    memcpy(file.text, line, sizeof line);
    text_file_seal(&file);
    site->unproven = true;
    return text_file_write(site->disk, site->directory, unproven_name, &file, why);
}

enum err site_set_proven(struct site *site, struct why *why)
{
    if (!site->unproven) return ERR_OK;
    enum err err = site_remove_file(site, unproven_name, why);
    if (err == ERR_OK) site->unproven = false;
    return err;
}
