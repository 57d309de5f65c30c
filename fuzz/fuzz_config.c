/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a configuration file. Checked: it is refused, or what CONFIG REWRITE makes of it is
 * read again and rewritten into itself. */
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);
    struct config *config = config_open(), *again = config_open();
    struct buffer once, twice;
    buffer_init(&once);
    buffer_init(&twice);
    struct why why;
    if (config_read_text(config, text, &why) == ERR_OK) {
        config_rewrite(config, text, &once);
        MUST(config_read_text(again, buffer_bytes(&once), &why) == ERR_OK);
        config_rewrite(again, buffer_bytes(&once), &twice);
        MUST(bytes_equal(buffer_bytes(&once), buffer_bytes(&twice)));
    } else {
        MUST(memchr(why.text, '\0', sizeof(why.text)) != NULL);
        config_rewrite(config, text, &once); /* of a text with bad lines: must only end */
    }
    buffer_release(&once);
    buffer_release(&twice);
    config_close(config);
    config_close(again);
    return 0;
}
