/* SPDX-License-Identifier: Apache-2.0 */
/* The page, byte by byte, and that docs/metrics.md speaks of the same metrics. */
#include "face/http/internal.h"

#include "test/face/http/bed.h"

static void read_file(const char *path, struct buffer *out)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t got;
    while ((got = fread(buffer_reserve(out, 4096), 1, 4096, file)) > 0) out->size += got;
    (void)fclose(file);
    buffer_append_byte(out, 0);
}

static void write_page(struct buffer *out)
{
    struct http_bed bed;
    http_bed_open(&bed);
    struct http_view view = {.status = bed.status,
                             .copies = bed.copies,
                             .figures = bed.figures,
                             .databases = bytes_text(bed.databases),
                             .version = "1.2.3",
                             .commit = "c0ffee",
                             .uptime_us = 27500000,
                             .wall_ms = bed.wall_ms};
    http_write_metrics(&view, out);
    buffer_append_byte(out, 0);
    http_bed_close(&bed);
}

TEST(http_metrics, the_page_is_what_the_vector_says)
{
    struct buffer page, wanted;
    buffer_init(&page);
    buffer_init(&wanted);
    write_page(&page);
    read_file("test/face/http/metrics-page.txt", &wanted);
    assert_string_equal((const char *)page.data, (const char *)wanted.data);
    buffer_release(&page);
    buffer_release(&wanted);
}

TEST(http_metrics, without_an_image_it_has_no_age_and_without_keys_there_is_no_database)
{
    struct http_bed bed;
    http_bed_open(&bed);
    struct http_view view = {.status = bed.status, .version = "", .commit = "", .not_ready = "x"};
    view.status.images = (struct service_images){0};
    struct buffer page;
    buffer_init(&page);
    http_write_metrics(&view, &page);
    buffer_append_byte(&page, 0);
    const char *text = (const char *)page.data;
    assert_non_null(strstr(text, "# TYPE tidemark_image_age_seconds gauge\n# HELP "));
    assert_non_null(strstr(text, "# TYPE tidemark_keys gauge\n# HELP "));
    assert_non_null(strstr(text, "\ntidemark_ready 0\n"));
    buffer_release(&page);
    http_bed_close(&bed);
}

TEST(http_metrics, a_replica_tells_of_its_link_and_how_far_it_is_behind)
{
    struct http_bed bed;
    http_bed_open(&bed);
    struct http_view view = {.status = bed.status, .version = "", .commit = ""};
    view.copies = (struct copies_status){.role = COPIES_FOLLOWS,
                                         .link_state = "catching_up",
                                         .primary_durable = {123},
                                         .heard_us = 1500000};
    struct buffer page;
    buffer_init(&page);
    http_write_metrics(&view, &page);
    buffer_append_byte(&page, 0);
    const char *text = (const char *)page.data;
    assert_non_null(strstr(text, "\ntidemark_role{shard=\"keys\",role=\"replica\"} 1\n"));
    assert_non_null(
        strstr(text, "\ntidemark_link_state{shard=\"keys\",state=\"catching_up\"} 1\n"));
    assert_non_null(strstr(text, "\ntidemark_link_lag_entries{shard=\"keys\"} 100\n"));
    assert_non_null(strstr(text, "\ntidemark_link_heard_seconds{shard=\"keys\"} 1.5\n"));
    assert_null(strstr(text, "copy=\""));
    buffer_release(&page);
    http_bed_close(&bed);
}

/* An image that was saved in what the clock now takes for the future has the age 0. */
TEST(http_metrics, no_age_is_negative)
{
    struct http_bed bed;
    http_bed_open(&bed);
    struct http_view view = {.status = bed.status, .version = "", .commit = "", .wall_ms = 5000};
    struct buffer page;
    buffer_init(&page);
    http_write_metrics(&view, &page);
    buffer_append_byte(&page, 0);
    assert_non_null(
        strstr((const char *)page.data, "\ntidemark_image_age_seconds{shard=\"keys\"} 0\n"));
    buffer_release(&page);
    http_bed_close(&bed);
}

/* Takes a word of these letters off *at. */
static bool take_word(const char **at, const char *letters, char *out, size_t room)
{
    size_t size = strspn(*at, letters);
    if (size == 0 || size >= room) return false;
    memcpy(out, *at, size);
    out[size] = 0;
    *at += size;
    return true;
}

static bool take_text(const char **at, const char *text)
{
    if (strncmp(*at, text, strlen(text)) != 0) return false;
    *at += strlen(text);
    return true;
}

struct form {
    const char *begin, *between;
};

/* The next line from *at on of the form: name and type. */
static bool next_pair(const char **at, const struct form *form, char name[64], char type[16])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    for (const char *line = *at; *line != 0; line += strcspn(line, "\n"), line += *line != 0) {
        const char *in = line;
        if (!take_text(&in, form->begin) || !take_word(&in, letters, name, 64)) continue;
        if (!take_text(&in, form->between) || !take_word(&in, letters, type, 16)) continue;
        *at = in;
        return true;
    }
    return false;
}

/* Every metric of `a` is one of `b`, with the same type. Returns how many there are. */
static unsigned compare(const char *a, const struct form *of_a, const char *b,
                        const struct form *of_b)
{
    unsigned count = 0;
    char name[64], type[16], other[64], other_type[16];
    for (const char *at = a; next_pair(&at, of_a, name, type); count++) {
        bool found = false;
        for (const char *in = b; !found && next_pair(&in, of_b, other, other_type);)
            found = strcmp(name, other) == 0 && strcmp(type, other_type) == 0;
        if (!found) fail_msg("%s (%s) is in one of page and docs/metrics.md only", name, type);
    }
    return count;
}

TEST(http_metrics, the_document_lists_every_metric_and_no_other)
{
    static const struct form page_form = {"# TYPE tidemark_", " "};
    static const struct form document_form = {"| `tidemark_", "` | "};
    struct buffer page, document;
    buffer_init(&page);
    buffer_init(&document);
    write_page(&page);
    read_file("docs/metrics.md", &document);
    const char *a = (const char *)page.data, *b = (const char *)document.data;
    unsigned of_page = compare(a, &page_form, b, &document_form);
    unsigned of_document = compare(b, &document_form, a, &page_form);
    assert_int_equal(of_page, of_document); /* no line twice */
    assert_true(of_page > 50);
    buffer_release(&page);
    buffer_release(&document);
}
