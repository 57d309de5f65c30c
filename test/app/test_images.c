/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * What the commands on images say of one whose checksums are good and whose content is not.
 */
#include "app/images.h"

#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "snapshot/image.h"
#include "state/meta.h"
#include "state/tx.h"
#include "test/real/help.h"
#include "test/state/bed.h"

/* What is said that is not so. */
enum lie {
    LIE_NONE,
    LIE_VALUE,  /* a string's text, in the records */
    LIE_SUM,    /* of a database, in the record that says what they are */
    LIE_FOOTER, /* the digest of the footer */
    LIE_MARK,   /* header and footer name another mark */
    LIE_KEYS,   /* the footer has another number of keys */
    LIE_STAMP,  /* the header has another stamp */
    LIE_EPOCH,  /* the header has another epoch */
    LIE_STREAM, /* the header has another end of the stream of effects */
    LIE_BEFORE, /* the header has another one before an epoch */
    LIE_META,   /* no record says what they are */
};

static void add_record(struct buffer *chunk, const struct memory_item *item, enum lie lie)
{
    struct buffer value;
    buffer_init(&value);
    buffer_append(&value, buffer_bytes(&item->value));
    char kind = (char)item->key.data[0];
    bool is_text = kind == 'K' && value.data[0] == KEY_STRING;
    if (is_text && lie == LIE_VALUE) value.data[value.size - 1] ^= 1;
    if (kind == 'M' && lie == LIE_SUM) {
        struct meta meta;
        assert_int_equal(meta_decode(buffer_bytes(&value), &meta, NULL), ERR_OK);
        meta.databases[0].sum.low ^= 1;
        meta_encode(&meta, &value);
        memory_free(meta.epochs);
    }
    image_chunk_add(chunk, buffer_bytes(&item->key), buffer_bytes(&value));
    buffer_release(&value);
}

/* An image of what the bed has flushed. */
static void make_image(struct bed *bed, enum lie lie, struct buffer *out)
{
    struct epoch_start epoch = {{1, 1}, {1}, 0};
    struct image_facts facts = {.mark = bed->machine->ops->applied(bed->machine),
                                .stamp = bed->machine->ops->stamp(bed->machine),
                                .digest = bed_digest(bed),
                                .epochs = &epoch,
                                .epoch_count = 1,
                                .keys = 2};
    epoch.epoch = facts.mark.epoch;
    if (lie == LIE_FOOTER) facts.digest.low ^= 1;
    if (lie == LIE_MARK) facts.mark.lsn.at++;
    if (lie == LIE_KEYS) facts.keys++;
    if (lie == LIE_STAMP) facts.stamp.bits++;
    if (lie == LIE_EPOCH) epoch.first.at++;
    if (lie == LIE_STREAM) facts.stream_offset++;
    if (lie == LIE_BEFORE) epoch.stream_offset++;
    struct image_chain chain;
    struct buffer chunk;
    buffer_init(&chunk);
    image_begin(out, &facts, &chain);
    image_chunk_begin(&chunk);
    uint32_t records = 0;
    for (size_t i = 0; i < bed->store.count; i++) {
        if (lie == LIE_META && bed->store.items[i].key.data[0] == 'M') continue;
        add_record(&chunk, &bed->store.items[i], lie);
        records++;
    }
    image_chunk_seal(&chunk, records, &chain);
    buffer_append(out, buffer_bytes(&chunk));
    image_end(out, &facts, &chain);
    buffer_release(&chunk);
}

static void write_image(const char *path, enum lie lie)
{
    struct bed bed;
    struct buffer image, payload;
    bed_init(&bed, 1);
    buffer_init(&image);
    buffer_init(&payload);
    payload_put_epoch(&payload);
    (void)bed_apply(&bed, buffer_bytes(&payload));
    (void)bed_write(&bed, "SET s text");
    (void)bed_write(&bed, "RPUSH l a b");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    make_image(&bed, lie, &image);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(image.data, 1, image.size, file), image.size);
    assert_int_equal(fclose(file), 0);
    buffer_release(&payload);
    buffer_release(&image);
    bed_release(&bed);
}

static void says(enum lie lie, enum exit_status verify, enum exit_status export)
{
    struct place_for_test place;
    place_make(&place, "/tmp");
    char image[256], dump[256];
    (void)snprintf(image, sizeof image, "%s", place_path(&place, "image"));
    (void)snprintf(dump, sizeof dump, "%s", place_path(&place, "dump"));
    write_image(image, lie);
    assert_int_equal(tool_image_verify(image), verify);
    assert_int_equal(tool_image_export(image, dump), export);
    assert_int_equal(access(dump, F_OK) == 0, export == EXIT_STATUS_CLEAN);
    place_remove(&place);
}

TEST(app_images, a_good_one_is_good)
{
    says(LIE_NONE, EXIT_STATUS_CLEAN, EXIT_STATUS_CLEAN);
}

TEST(app_images, another_digest_has_a_status_of_its_own)
{
    says(LIE_FOOTER, EXIT_STATUS_DIGEST, EXIT_STATUS_DIGEST);
    says(LIE_SUM, EXIT_STATUS_DIGEST, EXIT_STATUS_DIGEST);
    /* Only who has been over all of it can tell: the export does so on its way. */
    says(LIE_VALUE, EXIT_STATUS_DIGEST, EXIT_STATUS_CORRUPT);
}

TEST(app_images, header_and_footer_must_say_what_the_records_say)
{
    static const enum lie lies[] = {LIE_MARK,   LIE_KEYS,   LIE_STAMP, LIE_EPOCH,
                                    LIE_STREAM, LIE_BEFORE, LIE_META};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        says(lies[i], EXIT_STATUS_CORRUPT, EXIT_STATUS_CORRUPT);
}
