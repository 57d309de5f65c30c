/* SPDX-License-Identifier: Apache-2.0 */
/* What an entry did, as the commands that a stock Redis would send to its replicas: gathered while
 * it is evaluated, and put into the stream when that is final. */
#include "state/effects.h"

#include "base/memory.h"
#include "base/number.h"
#include "base/plant.h"
#include "state/inside.h"
#include "state/tx_effects.h"

enum { EFFECTS_KEPT_BYTES = 256 << 10, EFFECTS_KEPT = 4096 }; /* of scratch, between evaluations */

void effects_init(struct effects *effects, const struct effects_place *place, uint64_t bytes_max)
{
    *effects = (struct effects){.place = *place,
                                .first_frozen = place->first,
                                .keep = {.bytes = bytes_max, .from = UINT64_MAX}};
    buffer_init(&effects->bytes);
    buffer_init(&effects->run);
    buffer_init(&effects->record);
}

void effects_release(struct effects *effects)
{
    memory_free(effects->at);
    buffer_release(&effects->bytes);
    buffer_release(&effects->run);
    buffer_release(&effects->record);
}

void effects_clear(struct effects *effects)
{
    effects->count = 0;
    effects->switches = false;
    buffer_clear(&effects->bytes);
}

/* --- Commands as bytes --- */

static void put_count(struct buffer *out, char kind, size_t count)
{
    char text[NUMBER_TEXT_BYTES];
    buffer_append_byte(out, (uint8_t)kind);
    buffer_append(out, bytes_of(text, number_format_uint64(count, text)));
    buffer_append_text(out, "\r\n");
}

static void put_words(struct buffer *out, const struct bytes *words, size_t count)
{
    put_count(out, '*', count);
    for (size_t i = 0; i < count; i++) {
        put_count(out, '$', words[i].size);
        buffer_append(out, words[i]);
        buffer_append_text(out, "\r\n");
    }
}

void effects_add(struct effects *effects, uint8_t database, const struct bytes *words, size_t count)
{
    if (effects->count == effects->capacity) {
        effects->capacity = effects->capacity == 0 ? 16 : effects->capacity * 2;
        effects->at = memory_resize(effects->at, effects->capacity * sizeof *effects->at);
    }
    put_words(&effects->bytes, words, count);
    effects->at[effects->count++] = (struct effect){database, effects->bytes.size};
}

void effects_say(struct effects *effects, enum stream_word word, const struct published *published)
{
    struct bytes words[3] = {bytes_text("PING")};
    size_t count = 1;
    uint8_t database = EFFECTS_DATABASE_NONE;
    switch (word) {
    case STREAM_OFF:
    case STREAM_ON:
        effects->switches = true;
        effects->on = word == STREAM_ON;
        return;
    case STREAM_PING: break;
    case STREAM_GETACK:
        words[0] = bytes_text("REPLCONF");
        words[1] = bytes_text("GETACK");
        words[2] = bytes_text("*");
        count = 3;
        break;
    case STREAM_PUBLISH:
    case STREAM_SPUBLISH:
        words[0] = bytes_text(word == STREAM_PUBLISH ? "PUBLISH" : "SPUBLISH");
        words[1] = published->channel;
        words[2] = published->message;
        count = 3;
        database = published->database;
        break;
    }
    if (effects->place.on) effects_add(effects, database, words, count);
}

/* --- What evaluations tell --- */

void tx_effect(struct tx *tx, const struct bytes *words, size_t count)
{
    tx->inside->told = true;
    if (tx->streams) effects_add(&tx_state(tx)->effects, tx->database, words, count);
}

void tx_effect_none(struct tx *tx)
{
    tx->inside->told = true;
}

void tx_effect_same(struct tx *tx, const struct args *args)
{
    enum { NAME_BYTES_MAX = 32 };
    tx->inside->told = true;
    if (!tx->streams) return;
    /* Clients name commands as they like, the table in lower case, and Redis says SET. */
    struct bytes lower = args->at[0];
    uint8_t name[NAME_BYTES_MAX];
    MUST(lower.size <= sizeof name);
    for (size_t i = 0; i < lower.size; i++) {
        uint8_t byte = lower.data[i];
        name[i] = byte >= 'a' && byte <= 'z' ? (uint8_t)(byte - 'a' + 'A') : byte;
    }
    struct bytes *words = tx_scratch(tx, args->count * sizeof *words);
    memcpy(words, args->at, args->count * sizeof *words);
    words[0] = bytes_of(name, lower.size);
    effects_add(&tx_state(tx)->effects, tx->database, words, args->count);
}

void tx_effect_removed(struct tx *tx, struct bytes name)
{
    tx_effect(tx, (const struct bytes[]){bytes_text("DEL"), name}, 2);
}

struct bytes tx_effect_number(struct tx *tx, int64_t number)
{
    char text[NUMBER_TEXT_BYTES];
    return tx_scratch_copy(tx, bytes_of(text, number_format_int64(number, text)));
}

/* --- Into the stream --- */

static void put_select(struct effects *effects, uint8_t database)
{
    if (database == EFFECTS_DATABASE_NONE || database == effects->place.database) return;
    char number[NUMBER_TEXT_BYTES];
    struct bytes words[2] = {bytes_text("SELECT")};
    words[1] = bytes_of(number, number_format_uint64(database, number));
    effects->place.database = database;
    if (!PLANTED(SELECT_NOT_SAID)) put_words(&effects->run, words, 2);
}

/* The entry's bytes into effects->run. Several commands are one transaction; the database of the
 * first of them is selected before it. */
static void assemble(struct effects *effects)
{
    struct bytes multi = bytes_text("MULTI"), exec = bytes_text("EXEC");
    bool several = effects->count > 1 && !PLANTED(EFFECTS_APART);
    buffer_clear(&effects->run);
    put_select(effects, effects->at[0].database);
    if (several) put_words(&effects->run, &multi, 1);
    size_t at = 0;
    for (size_t i = 0; i < effects->count; i++) {
        const struct effect *effect = &effects->at[i];
        put_select(effects, effect->database);
        buffer_append(&effects->run, bytes_of(effects->bytes.data + at, effect->end - at));
        at = effect->end;
    }
    if (several) put_words(&effects->run, &exec, 1);
}

static void put_record(struct state *state, struct lsn lsn, bool begins, struct bytes bytes)
{
    struct effects *effects = &state->effects;
    struct strand *strand = generation_get(&state->active, LAYOUT_STREAM, 0, (struct version){0});
    buffer_clear(&effects->record);
    buffer_append_le64(&effects->record, lsn.at);
    buffer_append_byte(&effects->record, begins ? 1 : 0);
    buffer_append(&effects->record, bytes);
    struct cell *cell = cell_new(effects->place.end, (struct bytes){0},
                                 buffer_bytes(&effects->record));
    cell->fresh = true; /* an offset is given once */
    struct cell *was = generation_put(&state->active, strand, cell);
    MUST(was == NULL);
    effects->active_records++;
    effects->place.end += bytes.size;
}

static void put_records(struct state *state, struct lsn lsn)
{
    const struct buffer *run = &state->effects.run;
    for (size_t at = 0; at < run->size;) {
        size_t size = run->size - at;
        if (size > EFFECTS_RECORD_BYTES_MAX) size = EFFECTS_RECORD_BYTES_MAX;
        put_record(state, lsn, at == 0, bytes_of(run->data + at, size));
        at += size;
    }
}

/* What went by while the stream was off is missing in it: nobody may go on over the gap. So it
 * takes one byte that is never given to anyone, and what stood before it is not kept. */
static void switch_stream(struct effects_place *place, bool on)
{
    if (place->on == on) return;
    place->on = on;
    if (on) place->end++;
    place->first = place->end;
    place->database = EFFECTS_DATABASE_NONE;
}

static void trim_scratch(struct buffer *buffer)
{
    if (buffer->capacity <= EFFECTS_KEPT_BYTES) return;
    buffer_release(buffer);
    buffer_init(buffer);
}

void effects_keep(struct state *state, struct lsn lsn)
{
    struct effects *effects = &state->effects;
    if (effects->switches) switch_stream(&effects->place, effects->on);
    if (effects->count == 0) return;
    assemble(effects);
    put_records(state, lsn);
    if (PLANTED(EFFECT_TWICE) && lsn.at % 16 == 0) put_records(state, lsn);
    trim_scratch(&effects->bytes);
    trim_scratch(&effects->run);
    if (effects->capacity <= EFFECTS_KEPT) return;
    memory_free(effects->at);
    effects->at = NULL;
    effects->count = effects->capacity = 0;
}
