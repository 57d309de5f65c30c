/* SPDX-License-Identifier: Apache-2.0 */
/* The semantics are those of Redis's stringmatchlen, odd corners included:
 *
 *   - an empty text is matched by the empty pattern only, not by `*`;
 *   - `[` without `]` ends with the pattern; `[]` matches nothing, `[^]` any byte;
 *   - `[z-a]` is `[a-z]`; a range needs three bytes, and the third may be `]`;
 *   - a backslash that ends the pattern stands for itself;
 *   - more than GLOB_STARS_MAX parts that begin with `*` match nothing;
 *   - inside a class an escaped byte is compared with its case even when the rest ignores case.
 *
 * Bytes are unsigned here (Redis compares ranges by the platform's char).
 *
 * Every element but `*` takes exactly one byte, so that the leftmost place where the elements after
 * a `*` fit is as good as any: going back to the last `*` is enough, without recursion. */
#include "base/glob.h"

/* What is left of the pattern, and of the steps. */
struct glob {
    const uint8_t *at, *end;
    size_t steps;
};

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

static bool in_range(uint8_t first, uint8_t last, uint8_t byte, bool ignore_case)
{
    if (first > last) {
        uint8_t swap = first;
        first = last;
        last = swap;
    }
    if (ignore_case) {
        first = lower(first);
        last = lower(last);
        byte = lower(byte);
    }
    return byte >= first && byte <= last;
}

/* Whether `byte` is in the class that begins, after its `[`, at glob->at; moves past the class. */
static bool match_class(struct glob *glob, uint8_t byte, bool ignore_case)
{
    const uint8_t *at = glob->at, *end = glob->end;
    bool negated = at < end && *at == '^';
    if (negated) at++;
    bool match = false;
    while (at < end && *at != ']') {
        if (*at == '\\' && end - at >= 2) {
            match |= at[1] == byte;
            at += 2;
        } else if (end - at >= 3 && at[1] == '-') {
            match |= in_range(at[0], at[2], byte, ignore_case);
            at += 3;
        } else {
            match |= ignore_case ? lower(*at) == lower(byte) : *at == byte;
            at++;
        }
    }
    glob->steps += (size_t)(at - glob->at);
    glob->at = at < end ? at + 1 : at;
    return match != negated;
}

/* Whether the next element, which is not `*`, matches `byte`; moves past the element if so. */
static bool match_one(struct glob *glob, uint8_t byte, bool ignore_case)
{
    uint8_t wanted = *glob->at++;
    if (wanted == '?') return true;
    if (wanted == '[') return match_class(glob, byte, ignore_case);
    if (wanted == '\\' && glob->at < glob->end) wanted = *glob->at++;
    return wanted == byte || (ignore_case && lower(wanted) == lower(byte));
}

bool glob_match(struct bytes pattern, struct bytes text, bool ignore_case)
{
    if (pattern.size == 0 || text.size == 0) return pattern.size == text.size;
    struct glob glob = {pattern.data, pattern.data + pattern.size, 0};
    const uint8_t *at = text.data, *end = text.data + text.size;
    const uint8_t *star = NULL; /* the pattern after the last `*`, and where it was tried last */
    const uint8_t *tried = NULL;
    size_t stars = 0;
    while (at < end) {
        if (glob.steps++ >= GLOB_STEPS_MAX) return false;
        if (glob.at < glob.end && *glob.at == '*') {
            star = ++glob.at;
            tried = at;
            if (glob.at == glob.end) return true;
            if (*glob.at != '*' && ++stars > GLOB_STARS_MAX) return false;
            continue;
        }
        if (glob.at < glob.end && match_one(&glob, *at, ignore_case)) {
            at++;
            continue;
        }
        if (star == NULL) return false;
        glob.at = star;
        at = ++tried;
    }
    while (glob.at < glob.end && *glob.at == '*') glob.at++;
    return glob.at == glob.end;
}
