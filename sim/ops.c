/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/ops.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/must.h"

void ops_init(struct ops *ops)
{
    *ops = (struct ops){.count = 0};
}

void ops_release(struct ops *ops)
{
    for (size_t i = 0; i < ops->count; i++) {
        buffer_release(&ops->list[i]->payload);
        buffer_release(&ops->list[i]->reply);
        memory_free(ops->list[i]);
    }
    memory_free(ops->list);
}

struct op *ops_add(struct ops *ops, enum op_kind kind)
{
    if (ops->count == ops->capacity) {
        ops->capacity = ops->capacity == 0 ? 256 : ops->capacity * 2;
        ops->list = memory_resize(ops->list, ops->capacity * sizeof *ops->list);
    }
    struct op *op = memory_zeroed(1, sizeof *op);
    op->kind = kind;
    buffer_init(&op->payload);
    buffer_init(&op->reply);
    ops->list[ops->count++] = op;
    return op;
}

/* --- Words --- */

void drawn_init(struct drawn_words *words)
{
    words->count = 0;
    buffer_init(&words->text);
}

void drawn_release(struct drawn_words *words)
{
    buffer_release(&words->text);
}

void drawn_clear(struct drawn_words *words)
{
    words->count = 0;
    buffer_clear(&words->text);
}

void drawn_add(struct drawn_words *words, struct bytes word)
{
    MUST(words->count < WORDS_MAX);
    buffer_append(&words->text, word);
    words->ends[words->count++] = words->text.size;
}

void drawn_format(struct drawn_words *words, const char *format, ...)
{
    char text[256];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    MUST(size >= 0 && (size_t)size < sizeof text);
    drawn_add(words, bytes_of(text, (size_t)size));
}

static struct bytes word_at(const struct drawn_words *words, size_t i)
{
    size_t from = i == 0 ? 0 : words->ends[i - 1];
    return bytes_of(words->text.data + from, words->ends[i] - from);
}

void drawn_args(const struct drawn_words *words, struct args *args)
{
    args_clear(args);
    for (size_t i = 0; i < words->count; i++) args_push(args, word_at(words, i));
}

void drawn_wire(const struct drawn_words *words, struct buffer *out)
{
    buffer_append_format(out, "*%zu\r\n", words->count);
    for (size_t i = 0; i < words->count; i++) {
        struct bytes word = word_at(words, i);
        buffer_append_format(out, "$%zu\r\n", word.size);
        buffer_append(out, word);
        buffer_append_text(out, "\r\n");
    }
}

/* --- Replies --- */

/* The header line at the front: its size and its number. 0: not whole yet. */
static size_t resp_line(struct bytes bytes, long *number)
{
    const uint8_t *end = bytes.size == 0 ? NULL : memchr(bytes.data, '\n', bytes.size);
    if (end == NULL) return 0;
    size_t size = (size_t)(end - bytes.data) + 1;
    char digits[24] = "";
    if (size >= 3 && size - 3 < sizeof digits) memcpy(digits, bytes.data + 1, size - 3);
    *number = strtol(digits, NULL, 10);
    return size;
}

size_t resp_whole(struct bytes bytes)
{
    size_t at = 0;
    for (long left = 1; left > 0; left--) {
        long number = 0;
        size_t line = resp_line(bytes_of(bytes.data + at, bytes.size - at), &number);
        if (line == 0) return 0;
        uint8_t kind = bytes.data[at];
        at += line;
        if (kind == '$' && number >= 0) at += (size_t)number + 2;
        if (at > bytes.size) return 0;
        if (kind == '*' && number > 0) left += number;
    }
    return at;
}

static int compare_elements(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

void resp_sort(struct buffer *reply, bool pairs)
{
    if (reply->size == 0 || reply->data[0] != '*') return;
    long number = 0;
    size_t at = resp_line(buffer_bytes(reply), &number);
    size_t count = number <= 0 ? 0 : (size_t)number / (pairs ? 2 : 1);
    if (count < 2) return;
    struct bytes *elements = memory_zeroed(count, sizeof *elements);
    for (size_t i = 0; i < count; i++) {
        size_t from = at;
        for (unsigned half = 0; half < (pairs ? 2U : 1U); half++) {
            at += resp_whole(bytes_of(reply->data + at, reply->size - at));
        }
        elements[i] = bytes_of(reply->data + from, at - from);
    }
    qsort(elements, count, sizeof *elements, compare_elements);
    struct buffer sorted;
    buffer_init(&sorted);
    long again = 0;
    buffer_append(&sorted, bytes_of(reply->data, resp_line(buffer_bytes(reply), &again)));
    for (size_t i = 0; i < count; i++) buffer_append(&sorted, elements[i]);
    memory_free(elements);
    buffer_release(reply);
    *reply = sorted;
}
