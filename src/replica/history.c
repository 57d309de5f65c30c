/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/history.h"

#include <inttypes.h>

#include "base/memory.h"

void epochs_init(struct epochs *epochs)
{
    *epochs = (struct epochs){NULL, 0};
}

void epochs_release(struct epochs *epochs)
{
    memory_free(epochs->at);
    epochs_init(epochs);
}

struct epochs_view epochs_view(const struct epochs *epochs)
{
    return (struct epochs_view){epochs->at, epochs->count};
}

/* Each epoch has at least the entry that opens it. */
static bool follows(const struct epoch_start *before, const struct epoch_start *after)
{
    return epoch_compare(before->epoch, after->epoch) < 0 &&
           lsn_before(before->first, after->first) && before->stream_offset <= after->stream_offset;
}

enum err epochs_append(struct epochs *epochs, const struct epoch_start *start, struct why *why)
{
    if (start->first.at == 0)
        return why_fail(why, ERR_REFUSED, "an epoch begins before the first entry");
    if (epochs->count > 0 && !follows(&epochs->at[epochs->count - 1], start))
        return why_fail(why, ERR_REFUSED,
                        "epoch %" PRIu64 " at LSN %" PRIu64 " does not follow the one before",
                        start->epoch.number, start->first.at);
    if (epochs->count == HISTORY_EPOCHS_MAX) {
        epochs->count--;
        memmove(epochs->at, epochs->at + 1, epochs->count * sizeof *epochs->at);
    } else {
        epochs->at = memory_resize(epochs->at, (epochs->count + 1) * sizeof *epochs->at);
    }
    epochs->at[epochs->count++] = *start;
    return ERR_OK;
}

void epochs_cut(struct epochs *epochs, struct lsn last)
{
    while (epochs->count > 0 && lsn_before(last, epochs->at[epochs->count - 1].first))
        epochs->count--;
}

bool epochs_are_sound(struct epochs_view epochs, const struct mark *last)
{
    if (epochs.count == 0) return last->lsn.at == 0;
    if (epochs.count > HISTORY_EPOCHS_MAX || epochs.at[0].first.at == 0) return false;
    for (size_t i = 1; i < epochs.count; i++) {
        if (!follows(&epochs.at[i - 1], &epochs.at[i])) return false;
    }
    const struct epoch_start *newest = &epochs.at[epochs.count - 1];
    return !lsn_before(last->lsn, newest->first) && epoch_compare(newest->epoch, last->epoch) == 0;
}

bool epochs_find(struct epochs_view epochs, struct lsn lsn, struct epoch *out)
{
    for (size_t i = epochs.count; i > 0; i--) {
        if (lsn_before(lsn, epochs.at[i - 1].first)) continue;
        *out = epochs.at[i - 1].epoch;
        return true;
    }
    return false;
}

/* The last entry of the i-th epoch. */
static struct lsn epoch_end(struct epochs_view epochs, size_t i, struct lsn last)
{
    return i + 1 < epochs.count ? (struct lsn){epochs.at[i + 1].first.at - 1} : last;
}

/* Whether the oldest that is remembered is the first of all. */
static bool is_whole(struct epochs_view epochs)
{
    return epochs.count == 0 || epochs.at[0].first.at == 1;
}

struct common epochs_common(struct epochs_view a, struct lsn a_last, struct epochs_view b,
                            struct lsn b_last)
{
    size_t i = a.count, j = b.count;
    while (i > 0 && j > 0) {
        int order = epoch_compare(a.at[i - 1].epoch, b.at[j - 1].epoch);
        if (order == 0) break;
        if (order > 0) i--;
        else j--;
    }
    if (i == 0 || j == 0) {
        bool certain = is_whole(a) && is_whole(b);
        return (struct common){.kind = certain ? COMMON_NOTHING : COMMON_FORGOTTEN};
    }
    i--;
    j--;
    if (a.at[i].first.at != b.at[j].first.at) return (struct common){.kind = COMMON_FORK};
    struct lsn end = lsn_min(epoch_end(a, i, a_last), epoch_end(b, j, b_last));
    return (struct common){COMMON_FOUND, end, a.at[i].epoch};
}

void epochs_encode(struct epochs_view epochs, struct buffer *out)
{
    for (size_t i = 0; i < epochs.count; i++) {
        buffer_append_le64(out, epochs.at[i].epoch.number);
        buffer_append_le64(out, epochs.at[i].epoch.copy);
        buffer_append_le64(out, epochs.at[i].first.at);
        buffer_append_le64(out, epochs.at[i].stream_offset);
    }
}

static struct epoch_start decode_one(const uint8_t *at)
{
    return (struct epoch_start){.epoch = {load_le64(at), load_le64(at + 8)},
                                .first = {load_le64(at + 16)},
                                .stream_offset = load_le64(at + 24)};
}

enum err epochs_decode(struct bytes *in, size_t count, struct epochs *out)
{
    if (count > HISTORY_EPOCHS_MAX || count > in->size / HISTORY_EPOCH_BYTES) return ERR_PROTOCOL;
    struct epochs read = {NULL, count};
    if (count > 0) read.at = memory_alloc(count * sizeof *read.at);
    bool sound = true;
    for (size_t i = 0; i < count; i++) {
        read.at[i] = decode_one(in->data + i * HISTORY_EPOCH_BYTES);
        sound &= i == 0 ? read.at[i].first.at > 0 : follows(&read.at[i - 1], &read.at[i]);
    }
    if (!sound) {
        epochs_release(&read);
        return ERR_PROTOCOL;
    }
    *in = bytes_of(in->data + count * HISTORY_EPOCH_BYTES, in->size - count * HISTORY_EPOCH_BYTES);
    *out = read;
    return ERR_OK;
}
