/* SPDX-License-Identifier: Apache-2.0 */
#include "face/http/text.h"

#include <inttypes.h>

#include "base/must.h"

/* Within a help text, and within a label's value, where a quote ends it too. */
static void write_escaped(struct buffer *out, const char *text, bool quoted)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '\\') buffer_append_text(out, "\\\\");
        else if (*at == '\n') buffer_append_text(out, "\\n");
        else if (*at == '"' && quoted) buffer_append_text(out, "\\\"");
        else buffer_append_byte(out, (uint8_t)*at);
    }
}

/* Exact: no value goes through a float. `parts` of a second are 10^digits. */
static void write_seconds(struct buffer *out, uint64_t value, uint64_t parts, int digits)
{
    buffer_append_format(out, "%" PRIu64, value / parts);
    uint64_t rest = value % parts;
    if (rest == 0) return;
    for (; rest % 10 == 0; rest /= 10) digits--;
    buffer_append_format(out, ".%0*" PRIu64, digits, rest);
}

static void write_us(struct buffer *out, uint64_t us)
{
    write_seconds(out, us, 1000000, 6);
}

void text_family(struct text *text, enum text_kind kind, const char *name, const char *help)
{
    static const char *const kinds[] = {
        [TEXT_COUNTER] = "counter", [TEXT_GAUGE] = "gauge", [TEXT_HISTOGRAM] = "histogram"};
    text->name = name;
    buffer_append_format(text->out, "# HELP tidemark_%s ", name);
    write_escaped(text->out, help, false);
    buffer_append_format(text->out, "\n# TYPE tidemark_%s %s\n", name, kinds[kind]);
}

void text_begin(struct text *text, const char *suffix)
{
    buffer_append_format(text->out, "tidemark_%s%s", text->name, suffix);
    text->labelled = false;
}

void text_label(struct text *text, const char *name, const char *value)
{
    buffer_append_format(text->out, "%c%s=\"", text->labelled ? ',' : '{', name);
    write_escaped(text->out, value, true);
    buffer_append_byte(text->out, '"');
    text->labelled = true;
}

static void end_labels(struct text *text)
{
    buffer_append_text(text->out, text->labelled ? "} " : " ");
}

void text_end_number(struct text *text, uint64_t value)
{
    end_labels(text);
    buffer_append_format(text->out, "%" PRIu64 "\n", value);
}

void text_end_us(struct text *text, uint64_t us)
{
    end_labels(text);
    write_us(text->out, us);
    buffer_append_byte(text->out, '\n');
}

void text_end_signed_ms(struct text *text, int64_t ms)
{
    end_labels(text);
    if (ms < 0) buffer_append_byte(text->out, '-');
    write_seconds(text->out, ms < 0 ? -(uint64_t)ms : (uint64_t)ms, 1000, 3);
    buffer_append_byte(text->out, '\n');
}

void text_histogram(struct text *text, const char *label, const char *value,
                    const struct histogram *histogram)
{
    for (unsigned power = 0; power < HISTOGRAM_POWERS; power++) {
        text_begin(text, "_bucket");
        text_label(text, label, value);
        buffer_append_text(text->out, ",le=\"");
        write_us(text->out, UINT64_C(1) << power);
        buffer_append_byte(text->out, '"');
        text_end_number(text, histogram_at_most(histogram, power));
    }
    uint64_t count = histogram_count(histogram);
    text_begin(text, "_bucket");
    text_label(text, label, value);
    text_label(text, "le", "+Inf");
    text_end_number(text, count);
    text_begin(text, "_sum");
    text_label(text, label, value);
    text_end_us(text, histogram->total_us);
    text_begin(text, "_count");
    text_label(text, label, value);
    text_end_number(text, count);
}
