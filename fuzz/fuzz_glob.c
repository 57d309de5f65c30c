/* SPDX-License-Identifier: Apache-2.0 */
/* Input: one byte of choices (bit 0: ignore case), one byte with the size of the pattern, the
 * pattern, and the rest is the text. Checked: no bad read, an end, and what holds for every
 * pattern. */
#include <stddef.h>
#include <stdint.h>

#include "base/glob.h"
#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    bool ignore_case = (data[0] & 1) != 0;
    size_t pattern_size = data[1] < size - 2 ? data[1] : size - 2;
    struct bytes pattern = bytes_of(data + 2, pattern_size);
    struct bytes text = bytes_of(data + 2 + pattern_size, size - 2 - pattern_size);
    bool match = glob_match(pattern, text, ignore_case);
    if (text.size > 0) MUST(glob_match(bytes_text("*"), text, ignore_case));
    if (text.size == 0) MUST(match == (pattern.size == 0));
    /* Escaped, every text is a pattern that matches itself. */
    uint8_t escaped[2 * 256];
    if (text.size > 0 && text.size <= 256) {
        for (size_t i = 0; i < text.size; i++) {
            escaped[2 * i] = '\\';
            escaped[2 * i + 1] = text.data[i];
        }
        MUST(glob_match(bytes_of(escaped, 2 * text.size), text, ignore_case));
    }
    return 0;
}
