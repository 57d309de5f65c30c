/* SPDX-License-Identifier: Apache-2.0 */
#include "app/asker.h"

#include "base/memory.h"
#include "base/number.h"
#include "real/real.h"

enum { ASKER_BULK_BYTES_MAX = 512 << 20, ASKER_ITEMS_MAX = 1 << 20 };

enum err asker_open(struct asker *asker, const char *address, uint64_t timeout_us, struct why *why)
{
    *asker = (struct asker){.address = address};
    buffer_init(&asker->out);
    buffer_init(&asker->in);
    return real_line_open(&asker->line, address, timeout_us, why);
}

void asker_close(struct asker *asker)
{
    real_line_close(asker->line);
    buffer_release(&asker->out);
    buffer_release(&asker->in);
    memory_free(asker->items);
    *asker = (struct asker){0};
}

/* --- An answer. Texts are offsets into the buffer until it is whole. --- */

static enum err read_line(struct asker *asker, struct bytes *line, struct why *why)
{
    size_t seen = asker->at;
    for (;;) {
        for (; seen + 1 < asker->in.size; seen++) {
            if (asker->in.data[seen] != '\r' || asker->in.data[seen + 1] != '\n') continue;
            *line = bytes_of(asker->in.data + asker->at, seen - asker->at);
            asker->at = seen + 2;
            return ERR_OK;
        }
        enum err err = real_line_receive(asker->line, &asker->in, why);
        if (err != ERR_OK) return err;
    }
}

static enum err garbled(struct why *why)
{
    return why_fail(why, ERR_PROTOCOL, "what it answers is not Redis's protocol");
}

static struct asker_item *add_item(struct asker *asker)
{
    if (asker->count == asker->capacity) {
        asker->capacity = asker->capacity == 0 ? 16 : asker->capacity * 2;
        asker->items = memory_resize(asker->items, asker->capacity * sizeof *asker->items);
    }
    asker->items[asker->count] = (struct asker_item){.kind = '$'};
    return &asker->items[asker->count++];
}

/* Behind its header. */
static enum err read_bulk(struct asker *asker, int64_t size, struct why *why)
{
    if (size > ASKER_BULK_BYTES_MAX) return garbled(why);
    size_t end = size < 0 ? asker->at : asker->at + (size_t)size + 2;
    while (asker->in.size < end) {
        enum err err = real_line_receive(asker->line, &asker->in, why);
        if (err != ERR_OK) return err;
    }
    struct asker_item *item = add_item(asker);
    item->number = (int64_t)asker->at;
    item->text.size = size < 0 ? 0 : (size_t)size;
    asker->at = end;
    return ERR_OK;
}

/* `elements`: so many more of an array follow. */
static enum err read_item(struct asker *asker, int64_t *elements, struct why *why)
{
    struct bytes line;
    int64_t number = 0;
    enum err err = read_line(asker, &line, why);
    if (err != ERR_OK) return err;
    if (line.size == 0) return garbled(why);
    char kind = (char)line.data[0];
    struct bytes rest = bytes_of(line.data + 1, line.size - 1);
    if (kind == '+' || kind == '-') {
        struct asker_item *item = add_item(asker);
        item->kind = kind;
        item->number = rest.data - asker->in.data;
        item->text.size = rest.size;
        return ERR_OK;
    }
    if (!number_parse_int64(rest, &number)) return garbled(why);
    if (kind == '$') return read_bulk(asker, number, why);
    if (kind == ':') {
        struct asker_item *item = add_item(asker);
        item->kind = kind;
        item->number = number;
        return ERR_OK;
    }
    if (kind != '*' || *elements != 0 || number > ASKER_ITEMS_MAX) return garbled(why);
    *elements = number < 0 ? 0 : number;
    return ERR_OK;
}

static enum err read_answer(struct asker *asker, struct why *why)
{
    int64_t elements = 0;
    enum err err = read_item(asker, &elements, why);
    for (int64_t left = elements; left > 0 && err == ERR_OK; left--)
        err = read_item(asker, &(int64_t){left}, why);
    if (err != ERR_OK) return err;
    for (size_t i = 0; i < asker->count; i++) {
        struct asker_item *item = &asker->items[i];
        if (item->kind != ':') item->text.data = asker->in.data + item->number;
    }
    return ERR_OK;
}

enum err asker_ask(struct asker *asker, const struct bytes *words, size_t count, struct why *why)
{
    buffer_clear(&asker->out);
    buffer_clear(&asker->in);
    asker->at = asker->count = 0;
    buffer_append_format(&asker->out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        buffer_append_format(&asker->out, "$%zu\r\n", words[i].size);
        buffer_append(&asker->out, words[i]);
        buffer_append_text(&asker->out, "\r\n");
    }
    enum err err = real_line_send(asker->line, buffer_bytes(&asker->out), why);
    if (err == ERR_OK) err = read_answer(asker, why);
    if (err != ERR_OK || asker->count != 1 || asker->items[0].kind != '-') return err;
    struct bytes text = asker->items[0].text;
    return why_fail(why, ERR_REFUSED, "%.*s", (int)text.size, (const char *)text.data);
}
