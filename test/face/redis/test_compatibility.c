/* SPDX-License-Identifier: Apache-2.0 */
/* docs/compatibility.md names every command that a client can call. */
#include "test/test.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "command/command.h"

static void read_page(struct buffer *out)
{
    FILE *file = fopen("docs/compatibility.md", "rb");
    assert_non_null(file);
    char block[4096];
    size_t size;
    while ((size = fread(block, 1, sizeof block, file)) > 0) {
        buffer_append(out, bytes_of(block, size));
    }
    fclose(file);
    buffer_append_byte(out, 0);
}

TEST(face_redis_compatibility, the_page_names_every_command)
{
    struct buffer page;
    buffer_init(&page);
    read_page(&page);
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        if ((command->flags & FLAG_INTERNAL) != 0) continue;
        const char *bar = strchr(command->name, '|');
        char name[64];
        snprintf(name, sizeof name, "`%s`", bar == NULL ? command->name : bar + 1);
        for (char *at = name; *at != 0; at++) {
            if (*at >= 'a' && *at <= 'z') *at = (char)(*at - 32);
        }
        if (strstr((const char *)page.data, name) == NULL) fail_msg("%s is missing", name);
    }
    buffer_release(&page);
}
