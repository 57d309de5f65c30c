/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_rdb: dumps of Redis.
 *
 * Any bytes: read whole and in random pieces by a sink that is often not ready, with the same
 * answer and the same records. What is read can be written and read back the same. The packs of
 * small collections also directly, with a head that fits, for lengths inside lengths are hard to
 * hit. Eight zeros follow the input, so that one that ends with the end of a dump needs no
 * checksum. */
#include <stddef.h>
#include <stdint.h>

#include "base/must.h"
#include "rdb/pack.h"
#include "test/rdb/book.h"

enum { ELEMENTS_MAX = 20000, CHECKSUM_BYTES = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err read_as(struct book *book, struct bytes dump, size_t piece, struct buffer *text)
{
    struct why why = {""};
    buffer_init(text);
    enum err err = book_read(book, dump, piece, &why);
    MUST(err == ERR_OK || strlen(why.text) > 0);
    MUST(err == ERR_OK || err == ERR_CORRUPT || err == ERR_REFUSED || err == ERR_LIMIT);
    if (err == ERR_OK) {
        MUST(book->facts.keys == book->count && book->facts.bytes + book->rest.size == dump.size);
        book_describe(book, text);
    } else {
        buffer_append_text(text, why.text);
    }
    return err;
}

static void write_back(struct book *book, const struct buffer *text)
{
    static const struct rdb_writer_options plain = {.fields_count = 0};
    struct book back;
    struct buffer dump, again;
    struct why why;
    book_init(&back);
    buffer_init(&dump);
    MUST(book_write(book, &plain, 100, &dump, &why) == ERR_OK);
    buffer_append(&back.fields, buffer_bytes(&book->fields)); /* which are not written */
    MUST(read_as(&back, buffer_bytes(&dump), 100, &again) == ERR_OK);
    MUST(bytes_equal(buffer_bytes(&again), buffer_bytes(text)));
    buffer_release(&again);
    buffer_release(&dump);
    book_release(&back);
}

static void read_dump(const uint8_t *data, size_t size)
{
    struct book whole, pieces;
    struct buffer dump, texts[2];
    buffer_init(&dump);
    buffer_append(&dump, bytes_of(data, size));
    for (unsigned i = 0; i < CHECKSUM_BYTES; i++) buffer_append_byte(&dump, 0);
    book_init(&whole);
    book_init(&pieces);
    whole.elements_max = pieces.elements_max = ELEMENTS_MAX;
    dice_init(&pieces.dice, size);
    pieces.pending = 4;
    enum err err = read_as(&whole, buffer_bytes(&dump), 0, &texts[0]);
    MUST(read_as(&pieces, buffer_bytes(&dump), 1 + size / 4, &texts[1]) == err);
    MUST(bytes_equal(buffer_bytes(&texts[0]), buffer_bytes(&texts[1])));
    if (err == ERR_OK) write_back(&whole, &texts[0]);
    buffer_release(&texts[0]);
    buffer_release(&texts[1]);
    book_release(&pieces);
    book_release(&whole);
    buffer_release(&dump);
}

static void read_pack(const uint8_t *data, size_t size)
{
    if (size < 2) return;
    enum pack_form form = (enum pack_form)(data[0] % (PACK_ZIPMAP + 1));
    struct buffer bytes;
    copy_bytes(&bytes, bytes_of(data + 1, size - 1));
    bool is_sized = form == PACK_ZIPLIST || form == PACK_LISTPACK;
    if (is_sized && bytes.size >= 4) store_le32(bytes.data, (uint32_t)bytes.size);
    if (form != PACK_INTSET) bytes.data[bytes.size - 1] = 0xff;
    struct pack pack;
    if (pack_open(&pack, form, buffer_bytes(&bytes)) == NULL) {
        size_t sum = 0;
        MUST(pack.left <= bytes.size);
        while (pack.left > 0) {
            struct pack_item item;
            char number[NUMBER_TEXT_BYTES];
            pack_next(&pack, &item);
            MUST(pack_text(&item, number).size <= (item.is_number ? 20 : bytes.size));
            sum += item.is_number ? 1 : item.bytes.size + 1;
        }
        MUST(pack.at <= bytes.size && sum <= bytes.size);
    }
    buffer_release(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_dump(data, size);
    read_pack(data, size);
    return 0;
}
