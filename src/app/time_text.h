/* SPDX-License-Identifier: Apache-2.0 */
/* time_text: moments as RFC 3339 writes them in UTC, to the millisecond. */
#ifndef APP_TIME_TEXT_H
#define APP_TIME_TEXT_H

#include "base/bytes.h"

enum { TIME_TEXT_BYTES = 64 };

void time_text_format(uint64_t ms, char out[TIME_TEXT_BYTES]); /* since 1970 */
/* `2026-01-31T23:59:59Z`, with up to three digits of a fraction of a second or none; from 1970 on.
 * False: anything else. */
bool time_text_parse(const char *text, uint64_t *ms);

#endif
