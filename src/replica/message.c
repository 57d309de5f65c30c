/* SPDX-License-Identifier: Apache-2.0 */
/* Each message is read by the same steps in which it was written. A field that could have two
 * spellings has only one that is accepted, so that what was read is written again as the same
 * bytes. */
#include "replica/message.h"

#include "log/log.h"

/* --- Reading --- */

struct cursor {
    struct bytes rest;
    bool bad;
};

static const uint8_t *take(struct cursor *cursor, size_t size)
{
    static const uint8_t zeros[MARK_ENCODED_BYTES] = {0};
    if (cursor->bad || cursor->rest.size < size) {
        cursor->bad = true;
        return zeros; /* for the fixed fields, which are never longer */
    }
    const uint8_t *at = cursor->rest.data;
    cursor->rest = bytes_of(at + size, cursor->rest.size - size);
    return at;
}

static uint64_t take_u64(struct cursor *cursor)
{
    return load_le64(take(cursor, 8));
}

static uint32_t take_u32(struct cursor *cursor)
{
    return load_le32(take(cursor, 4));
}

static struct lsn take_lsn(struct cursor *cursor)
{
    struct lsn lsn = {take_u64(cursor)};
    if (lsn.at > UINT64_MAX >> 1) cursor->bad = true; /* sums with it must not wrap */
    return lsn;
}

static struct epoch take_epoch(struct cursor *cursor)
{
    uint64_t number = take_u64(cursor);
    return (struct epoch){number, take_u64(cursor)};
}

static struct mark take_mark(struct cursor *cursor)
{
    struct mark mark;
    mark_decode(take(cursor, MARK_ENCODED_BYTES), &mark);
    if (mark.lsn.at > UINT64_MAX >> 1) cursor->bad = true;
    return mark;
}

static bool take_bool(struct cursor *cursor)
{
    uint8_t byte = *take(cursor, 1);
    if (byte > 1) cursor->bad = true;
    return byte == 1;
}

/* A number from `least` to below `end`. */
static unsigned take_choice(struct cursor *cursor, unsigned least, unsigned end)
{
    unsigned choice = *take(cursor, 1);
    if (choice >= least && choice < end) return choice;
    cursor->bad = true;
    return least;
}

static struct bytes take_text(struct cursor *cursor)
{
    size_t size = *take(cursor, 1);
    if (cursor->bad || size > cursor->rest.size) {
        cursor->bad = true;
        return bytes_of(NULL, 0);
    }
    return bytes_of(take(cursor, size), size);
}

static enum err take_end(const struct cursor *cursor)
{
    return cursor->bad || cursor->rest.size > 0 ? ERR_PROTOCOL : ERR_OK;
}

/* --- Writing --- */

static void put_epoch(struct buffer *out, struct epoch epoch)
{
    buffer_append_le64(out, epoch.number);
    buffer_append_le64(out, epoch.copy);
}

static void put_mark(struct buffer *out, const struct mark *mark)
{
    uint8_t bytes[MARK_ENCODED_BYTES];
    mark_encode(mark, bytes);
    buffer_append(out, bytes_of(bytes, sizeof bytes));
}

static void put_digest(struct buffer *out, struct digest digest)
{
    buffer_append_le64(out, digest.low);
    buffer_append_le64(out, digest.high);
}

static void put_text(struct buffer *out, struct bytes text)
{
    size_t size = text.size < 255 ? text.size : 255;
    buffer_append_byte(out, (uint8_t)size);
    buffer_append(out, bytes_of(text.data, size));
}

/* --- The messages --- */

void challenge_put(struct buffer *out, const struct message_challenge *message)
{
    buffer_append_byte(out, (uint8_t)message->role);
    buffer_append_le32(out, message->level);
    buffer_append_le64(out, message->copy);
    buffer_append(out, bytes_of(message->nonce, sizeof message->nonce));
}

enum err challenge_take(struct bytes payload, struct message_challenge *message)
{
    struct cursor cursor = {payload, false};
    message->role = (enum message_role)take_choice(&cursor, ROLE_REPLICA, ROLE_VOTER + 1);
    message->level = take_u32(&cursor);
    message->copy = take_u64(&cursor);
    memcpy(message->nonce, take(&cursor, MESSAGE_NONCE_BYTES), MESSAGE_NONCE_BYTES);
    return take_end(&cursor);
}

void hello_put(struct buffer *out, const struct message_hello *message)
{
    const struct recover_facts *facts = &message->facts;
    MUST(facts->epochs.count <= HISTORY_EPOCHS_MAX);
    buffer_append_le32(out, facts->level);
    buffer_append_byte(out, facts->wipe ? 1 : 0);
    buffer_append_le64(out, facts->copy);
    buffer_append_le64(out, facts->incarnation);
    put_epoch(out, facts->promised);
    put_mark(out, &facts->last);
    buffer_append_le64(out, facts->floor.at);
    buffer_append_le64(out, facts->durable.at);
    buffer_append_le64(out, facts->committed.at);
    buffer_append_le64(out, facts->applied.at);
    buffer_append_le64(out, facts->applied_lineage.hash);
    buffer_append_le64(out, facts->flushed.at);
    put_digest(out, message->digest);
    put_text(out, message->peer);
    put_text(out, message->redis);
    buffer_append_le32(out, (uint32_t)facts->epochs.count);
    epochs_encode(facts->epochs, out);
}

enum err hello_take(struct bytes payload, struct message_hello *message)
{
    struct cursor cursor = {payload, false};
    struct recover_facts *facts = &message->facts;
    *message = (struct message_hello){.peer = {NULL, 0}};
    facts->level = take_u32(&cursor);
    facts->wipe = take_bool(&cursor);
    facts->copy = take_u64(&cursor);
    facts->incarnation = take_u64(&cursor);
    facts->promised = take_epoch(&cursor);
    facts->last = take_mark(&cursor);
    facts->floor = take_lsn(&cursor);
    facts->durable = take_lsn(&cursor);
    facts->committed = take_lsn(&cursor);
    facts->applied = take_lsn(&cursor);
    facts->applied_lineage.hash = take_u64(&cursor);
    facts->flushed = take_lsn(&cursor);
    message->digest = digest_decode(take(&cursor, DIGEST_ENCODED_BYTES));
    message->peer = take_text(&cursor);
    message->redis = take_text(&cursor);
    size_t count = take_u32(&cursor);
    if (cursor.bad || cursor.rest.size != count * HISTORY_EPOCH_BYTES) return ERR_PROTOCOL;
    enum err err = epochs_decode(&cursor.rest, count, &message->epochs);
    if (err == ERR_OK) facts->epochs = epochs_view(&message->epochs);
    return err;
}

void verdict_put(struct buffer *out, const struct message_verdict *message)
{
    const struct recover_plan *plan = &message->plan;
    buffer_append_byte(out, (uint8_t)plan->kind);
    buffer_append_byte(out, (uint8_t)plan->rule);
    buffer_append_byte(out, (uint8_t)plan->refusal);
    put_mark(out, &plan->common);
    buffer_append_le64(out, plan->from.at);
    buffer_append_le64(out, plan->target.at);
    put_mark(out, &plan->image);
    buffer_append_le64(out, plan->pin.at);
    buffer_append_le64(out, plan->head.at);
    buffer_append_le64(out, plan->floor.at);
    buffer_append_le64(out, plan->replica_last.at);
    buffer_append_le64(out, plan->replica_committed.at);
}

enum err verdict_take(struct bytes payload, struct message_verdict *message)
{
    struct cursor cursor = {payload, false};
    struct recover_plan *plan = &message->plan;
    plan->kind = (enum recover_kind)take_choice(&cursor, 0, RECOVER_KINDS);
    plan->rule = (enum recover_rule)take_choice(&cursor, 0, RECOVER_RULES);
    plan->refusal = (enum recover_refusal)take_choice(&cursor, 0, REFUSALS);
    plan->common = take_mark(&cursor);
    plan->from = take_lsn(&cursor);
    plan->target = take_lsn(&cursor);
    plan->image = take_mark(&cursor);
    plan->pin = take_lsn(&cursor);
    plan->head = take_lsn(&cursor);
    plan->floor = take_lsn(&cursor);
    plan->replica_last = take_lsn(&cursor);
    plan->replica_committed = take_lsn(&cursor);
    if ((plan->kind == RECOVER_REFUSE) != (plan->refusal != REFUSAL_NONE)) return ERR_PROTOCOL;
    return take_end(&cursor);
}

void entries_put(struct buffer *out, const struct entry *entries, size_t count,
                 struct lineage before)
{
    MUST(count > 0 && count <= UINT32_MAX);
    buffer_append_le64(out, entries[0].lsn.at);
    buffer_append_le64(out, before.hash);
    put_epoch(out, entries[0].epoch);
    buffer_append_le64(out, entries[count - 1].lineage.hash);
    buffer_append_le32(out, (uint32_t)count);
    buffer_append_le32(out, 0);
    for (size_t i = 0; i < count; i++) {
        MUST(entries[i].lsn.at == entries[0].lsn.at + i);
        MUST(epoch_compare(entries[i].epoch, entries[0].epoch) == 0);
        buffer_append_le32(out, (uint32_t)entries[i].payload.size);
        buffer_append_le64(out, entries[i].stamp.bits);
        buffer_append(out, entries[i].payload);
    }
}

/* Whether the entries fill the rest exactly. */
static bool entries_fit(const struct message_entries *message)
{
    struct bytes rest = message->rest;
    for (uint32_t i = 0; i < message->count; i++) {
        if (rest.size < MESSAGE_ENTRY_HEAD_BYTES) return false;
        size_t size = load_le32(rest.data);
        if (size == 0 || size > rest.size - MESSAGE_ENTRY_HEAD_BYTES) return false;
        size += MESSAGE_ENTRY_HEAD_BYTES;
        rest = bytes_of(rest.data + size, rest.size - size);
    }
    return rest.size == 0;
}

enum err entries_take(struct bytes payload, struct message_entries *message)
{
    struct cursor cursor = {payload, false};
    message->first = take_lsn(&cursor);
    message->before.hash = take_u64(&cursor);
    message->epoch = take_epoch(&cursor);
    message->last.hash = take_u64(&cursor);
    message->count = take_u32(&cursor);
    uint32_t zero = take_u32(&cursor);
    message->rest = cursor.rest;
    if (cursor.bad || zero != 0 || message->count == 0 || message->first.at == 0)
        return ERR_PROTOCOL;
    return entries_fit(message) ? ERR_OK : ERR_PROTOCOL;
}

bool entries_next(struct message_entries *message, struct lineage previous, struct entry *entry)
{
    if (message->count == 0) return false;
    const uint8_t *at = message->rest.data;
    size_t size = load_le32(at);
    *entry = (struct entry){.lsn = message->first,
                            .epoch = message->epoch,
                            .stamp = {load_le64(at + 4)},
                            .payload = bytes_of(at + MESSAGE_ENTRY_HEAD_BYTES, size)};
    entry->lineage = log_lineage(previous, entry);
    size += MESSAGE_ENTRY_HEAD_BYTES;
    message->rest = bytes_of(at + size, message->rest.size - size);
    message->first = lsn_next(message->first);
    message->count--;
    return true;
}

void ack_put(struct buffer *out, const struct message_ack *message)
{
    buffer_append_le64(out, message->incarnation);
    buffer_append_le64(out, message->durable.at);
    buffer_append_le64(out, message->applied.at);
    buffer_append_le64(out, message->flushed.at);
}

enum err ack_take(struct bytes payload, struct message_ack *message)
{
    struct cursor cursor = {payload, false};
    message->incarnation = take_u64(&cursor);
    message->durable = take_lsn(&cursor);
    message->applied = take_lsn(&cursor);
    message->flushed = take_lsn(&cursor);
    return take_end(&cursor);
}

void watermarks_put(struct buffer *out, const struct message_watermarks *message)
{
    MUST(message->copy_count <= PROGRESS_COPIES_MAX);
    buffer_append_le64(out, message->durable.at);
    buffer_append_le64(out, message->committed.at);
    buffer_append_le64(out, message->floor.at);
    buffer_append_byte(out, (uint8_t)message->mode);
    buffer_append_byte(out, (uint8_t)message->min_in_sync);
    buffer_append_byte(out, (uint8_t)message->copy_count);
    for (unsigned i = 0; i < message->copy_count; i++) {
        buffer_append_le64(out, message->copies[i].id);
        buffer_append_byte(out, message->copies[i].counts ? 1 : 0);
    }
}

bool watermarks_are_news(const struct message_watermarks *a, const struct message_watermarks *b)
{
    if (a->committed.at != b->committed.at || a->floor.at != b->floor.at) return true;
    if (a->mode != b->mode || a->min_in_sync != b->min_in_sync) return true;
    if (a->copy_count != b->copy_count) return true;
    for (unsigned i = 0; i < a->copy_count; i++) {
        if (a->copies[i].id != b->copies[i].id || a->copies[i].counts != b->copies[i].counts)
            return true;
    }
    return false;
}

enum err watermarks_take(struct bytes payload, struct message_watermarks *message)
{
    struct cursor cursor = {payload, false};
    *message = (struct message_watermarks){.copy_count = 0};
    message->durable = take_lsn(&cursor);
    message->committed = take_lsn(&cursor);
    message->floor = take_lsn(&cursor);
    message->mode = (enum commit_mode)take_choice(&cursor, COMMIT_LOCAL, COMMIT_ALL + 1);
    message->min_in_sync = take_choice(&cursor, 1, PROGRESS_COPIES_MAX + 1);
    message->copy_count = take_choice(&cursor, 0, PROGRESS_COPIES_MAX + 1);
    for (unsigned i = 0; i < message->copy_count; i++) {
        message->copies[i].id = take_u64(&cursor);
        message->copies[i].counts = take_bool(&cursor);
    }
    return take_end(&cursor);
}

void image_put(struct buffer *out, const struct message_image *message)
{
    put_mark(out, &message->mark);
    buffer_append_le64(out, message->size);
    buffer_append_le64(out, message->checksum);
}

enum err image_take(struct bytes payload, struct message_image *message)
{
    struct cursor cursor = {payload, false};
    message->mark = take_mark(&cursor);
    message->size = take_u64(&cursor);
    message->checksum = take_u64(&cursor);
    if (message->size > UINT64_MAX >> 1) return ERR_PROTOCOL;
    return take_end(&cursor);
}

void chunk_put(struct buffer *out, const struct message_chunk *message)
{
    buffer_append_le64(out, message->offset);
    buffer_append(out, message->bytes);
}

enum err chunk_take(struct bytes payload, struct message_chunk *message)
{
    struct cursor cursor = {payload, false};
    message->offset = take_u64(&cursor);
    message->bytes = cursor.rest;
    bool good = !cursor.bad && message->offset <= UINT64_MAX >> 1 && message->bytes.size > 0;
    return good ? ERR_OK : ERR_PROTOCOL;
}

void image_ack_put(struct buffer *out, const struct message_image_ack *message)
{
    buffer_append_le64(out, message->lsn.at);
    buffer_append_le64(out, message->offset);
}

enum err image_ack_take(struct bytes payload, struct message_image_ack *message)
{
    struct cursor cursor = {payload, false};
    message->lsn = take_lsn(&cursor);
    message->offset = take_u64(&cursor);
    return take_end(&cursor);
}

void promise_request_put(struct buffer *out, const struct promise_request *message)
{
    put_epoch(out, message->epoch);
    buffer_append_le64(out, message->candidate);
    buffer_append_byte(out, message->only_asks ? 1 : 0);
}

enum err promise_request_take(struct bytes payload, struct promise_request *message)
{
    struct cursor cursor = {payload, false};
    message->epoch = take_epoch(&cursor);
    message->candidate = take_u64(&cursor);
    message->only_asks = take_bool(&cursor);
    return take_end(&cursor);
}

void promise_answer_put(struct buffer *out, const struct promise_answer *message)
{
    buffer_append_le64(out, message->copy);
    buffer_append_le64(out, message->incarnation);
    buffer_append_byte(out, message->granted ? 1 : 0);
    buffer_append_byte(out, message->vouches ? 1 : 0);
    buffer_append_byte(out, message->leads ? 1 : 0);
    put_epoch(out, message->promised);
    put_mark(out, &message->last);
    buffer_append_le64(out, message->durable.at);
    buffer_append_le64(out, message->committed.at);
}

enum err promise_answer_take(struct bytes payload, struct promise_answer *message)
{
    struct cursor cursor = {payload, false};
    message->copy = take_u64(&cursor);
    message->incarnation = take_u64(&cursor);
    message->granted = take_bool(&cursor);
    message->vouches = take_bool(&cursor);
    message->leads = take_bool(&cursor);
    message->promised = take_epoch(&cursor);
    message->last = take_mark(&cursor);
    message->durable = take_lsn(&cursor);
    message->committed = take_lsn(&cursor);
    return take_end(&cursor);
}

void stamp_put(struct buffer *out, const struct message_stamp *message)
{
    put_mark(out, &message->mark);
    put_digest(out, message->digest);
}

enum err stamp_take(struct bytes payload, struct message_stamp *message)
{
    struct cursor cursor = {payload, false};
    message->mark = take_mark(&cursor);
    message->digest = digest_decode(take(&cursor, DIGEST_ENCODED_BYTES));
    return take_end(&cursor);
}

void bye_put(struct buffer *out, const struct message_bye *message)
{
    buffer_append_byte(out, (uint8_t)message->reason);
    put_text(out, message->text);
}

enum err bye_take(struct bytes payload, struct message_bye *message)
{
    struct cursor cursor = {payload, false};
    message->reason = (enum bye_reason)take_choice(&cursor, BYE_STOP, BYE_REASONS);
    message->text = take_text(&cursor);
    return take_end(&cursor);
}

const char *bye_reason_name(enum bye_reason reason)
{
    static const char *const names[BYE_REASONS] = {
        [BYE_STOP] = "stop",     [BYE_REFUSED] = "refused",
        [BYE_FENCED] = "fenced", [BYE_PROTOCOL] = "protocol",
        [BYE_PROOF] = "proof",   [BYE_FORK] = "fork",
        [BYE_SILENT] = "silent", [BYE_STALLED] = "stalled",
        [BYE_LOCAL] = "local",   [BYE_SUPERSEDED] = "superseded",
        [BYE_LEAD] = "lead",     [BYE_DAMAGED] = "damaged",
    };
    return reason > 0 && reason < BYE_REASONS ? names[reason] : "unknown";
}
