/* SPDX-License-Identifier: Apache-2.0 */
/* text: writes Prometheus's text format, version 0.0.4: for each family a HELP and a TYPE line,
 * then its samples. Times are in seconds, as that format wants them; they come in microseconds. */
#ifndef FACE_HTTP_TEXT_H
#define FACE_HTTP_TEXT_H

#include "base/buffer.h"
#include "base/histogram.h"

enum text_kind { TEXT_COUNTER, TEXT_GAUGE, TEXT_HISTOGRAM };

struct text {
    struct buffer *out;
    const char *shard; /* that samples are of, for their writers */
    const char *name; /* of the family, without "tidemark_" */
    bool labelled;    /* the sample being written has a label */
};

/* `name` and `help` are borrowed: the name until the next family. A counter's ends in `_total`. */
void text_family(struct text *text, enum text_kind kind, const char *name, const char *help);
/* A sample of the family: text_begin, any number of text_label, and one text_end_*. */
void text_begin(struct text *text, const char *suffix);
void text_label(struct text *text, const char *name, const char *value);
void text_end_number(struct text *text, uint64_t value);
void text_end_signed_ms(struct text *text, int64_t ms); /* in seconds */
void text_end_us(struct text *text, uint64_t us);       /* in seconds */
/* All samples of a histogram with one label. */
void text_histogram(struct text *text, const char *label, const char *value,
                    const struct histogram *histogram);

#endif
