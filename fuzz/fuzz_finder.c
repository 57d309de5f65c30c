/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_finder: what answers at a Redis port when a copy asks for the peer port. The first byte
 * chooses whether a password was sent, and the pieces. In one piece and in many the outcome is the
 * same, and memory is bounded. */
#include <stddef.h>
#include <stdint.h>

#include "base/must.h"
#include "replica/finder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(struct finder *finder, bool password)
{
    struct buffer send;
    buffer_init(&send);
    finder_init(finder, bytes_text("user"), bytes_text(password ? "secret" : ""), &send);
    buffer_release(&send);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct finder whole, pieces;
    struct bytes rest = bytes_of(data + 1, size - 1);
    size_t piece = (data[0] >> 1) + 1u;
    ask(&whole, data[0] & 1);
    ask(&pieces, data[0] & 1);
    (void)finder_take(&whole, rest);
    while (rest.size > 0) {
        size_t taken = rest.size < piece ? rest.size : piece;
        (void)finder_take(&pieces, bytes_of(rest.data, taken));
        rest = bytes_of(rest.data + taken, rest.size - taken);
        MUST(pieces.held.size <= FINDER_LINE_BYTES_MAX + FINDER_BULK_BYTES_MAX + piece);
    }
    MUST(whole.outcome == pieces.outcome && whole.port == pieces.port);
    MUST(strcmp(whole.why.text, pieces.why.text) == 0);
    MUST((whole.outcome == FINDER_FOUND) == (whole.port != 0 && whole.why.text[0] == 0));
    finder_release(&whole);
    finder_release(&pieces);
    return 0;
}
