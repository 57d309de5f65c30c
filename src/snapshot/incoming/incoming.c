/* SPDX-License-Identifier: Apache-2.0 */
/* Two files: what has come of the image, and what it is to be. The second one says how much of the
 * first is believed: nothing without it, so
 *
 *   another image begins:  both names gone, durably --> both made, durably --> bytes
 *   one is let go of:      what is synced is noted
 *   one is adopted:        renamed, durably --> the second file goes
 *
 * and at no point do the bytes of one image stand beside the other file of another one. */
#include "snapshot/incoming/incoming.h"

#include <inttypes.h>

#include "base/checksum.h"
#include "base/memory.h"
#include "base/path.h"

enum { OFFER_HASHED_BYTES = 80, OFFER_BYTES = 88 };

static const char offer_magic[8] = {'t', 'i', 'd', 'g', 'I', 'n', 'c', '1'};
static const char image_name[] = "incoming.tmp", offer_name[] = "incoming.offer";

/* --- The other file --- */

struct note {
    struct image_offer offer;
    uint64_t stored; /* at least so much is synced */
};

static void note_encode(const struct note *note, uint8_t out[OFFER_BYTES])
{
    memcpy(out, offer_magic, sizeof offer_magic);
    mark_encode(&note->offer.mark, out + 8);
    store_le64(out + 56, note->offer.size);
    store_le64(out + 64, note->offer.checksum);
    store_le64(out + 72, note->stored);
    store_le64(out + OFFER_HASHED_BYTES, checksum64(bytes_of(out, OFFER_HASHED_BYTES), 0));
}

static bool note_decode(const uint8_t in[OFFER_BYTES], struct note *note)
{
    mark_decode(in + 8, &note->offer.mark);
    note->offer.size = load_le64(in + 56);
    note->offer.checksum = load_le64(in + 64);
    note->stored = load_le64(in + 72);
    return memcmp(in, offer_magic, sizeof offer_magic) == 0 &&
           load_le64(in + OFFER_HASHED_BYTES) == checksum64(bytes_of(in, OFFER_HASHED_BYTES), 0);
}

static bool offer_equal(const struct image_offer *a, const struct image_offer *b)
{
    return mark_equal(&a->mark, &b->mark) && a->size == b->size && a->checksum == b->checksum;
}

/* --- The disk --- */

static enum err run(const struct image_place *place, struct disk_request *request, const char *name,
                    struct why *why)
{
    char *path = path_join(place->directory, name);
    request->path = path;
    enum err err = disk_run(place->disk, request);
    if (err != ERR_OK) (void)why_fail(why, err, "%s: %s", path, request->why.text);
    request->path = NULL;
    memory_free(path);
    return err;
}

static void close_file(const struct image_place *place, struct disk_file *file)
{
    struct disk_request close = {.op = DISK_CLOSE, .file = file};
    (void)disk_run(place->disk, &close);
}

static enum err remove_name(const struct image_place *place, const char *name, struct why *why)
{
    struct disk_request remove = {.op = DISK_REMOVE};
    enum err err = run(place, &remove, name, why);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err sync_names(const struct image_place *place, struct why *why)
{
    struct disk_request sync = {.op = DISK_SYNC_DIR};
    return run(place, &sync, "", why);
}

/* ERR_NOT_FOUND: there is none that reads. */
static enum err note_read(const struct image_place *place, struct note *note, struct why *why)
{
    struct disk_request open = {.op = DISK_OPEN, .read_only = true};
    enum err err = run(place, &open, offer_name, why);
    if (err != ERR_OK) return err;
    uint8_t bytes[OFFER_BYTES];
    struct disk_request read = {
        .op = DISK_READ, .file = open.file, .data = bytes, .size = sizeof bytes};
    err = run(place, &read, offer_name, why);
    close_file(place, open.file);
    if (err != ERR_OK) return err;
    if (read.moved == sizeof bytes && note_decode(bytes, note)) return ERR_OK;
    return why_fail(why, ERR_NOT_FOUND, "%s does not read", offer_name);
}

/* In one sector: a crash leaves the old one, the new one, or one that does not read. */
static enum err note_write(const struct image_place *place, const struct note *note,
                           enum disk_op op, struct why *why)
{
    struct disk_request open = {.op = op};
    enum err err = run(place, &open, offer_name, why);
    if (err != ERR_OK) return err;
    uint8_t bytes[OFFER_BYTES];
    note_encode(note, bytes);
    struct disk_request write = {
        .op = DISK_WRITE_SYNC, .file = open.file, .data = bytes, .size = sizeof bytes};
    err = run(place, &write, offer_name, why);
    close_file(place, open.file);
    return err;
}

/* --- The doors --- */

/* ERR_NOT_FOUND: it is not this image, or nothing is there. */
static enum err go_on(struct incoming *incoming, struct why *why)
{
    const struct image_place *place = &incoming->place;
    struct note note;
    enum err err = note_read(place, &note, why);
    if (err != ERR_OK) return err;
    if (!offer_equal(&note.offer, &incoming->offer))
        return why_fail(why, ERR_NOT_FOUND, "another image is there");
    struct disk_request open = {.op = DISK_OPEN};
    err = run(place, &open, image_name, why);
    if (err != ERR_OK) return err;
    uint64_t there = open.size, behind = INCOMING_UNSYNCED_BYTES_MAX;
    uint64_t stored = there > behind ? there - behind : 0;
    if (note.stored > stored) stored = note.stored;
    err = sync_names(place, why);
    if (err == ERR_OK && (stored > there || there > incoming->offer.size))
        err = why_fail(why, ERR_NOT_FOUND, "%s has another size", image_name);
    if (err != ERR_OK) {
        close_file(place, open.file);
        return err;
    }
    incoming->file = open.file;
    incoming->stored = stored;
    return ERR_OK;
}

static enum err begin(struct incoming *incoming, struct why *why)
{
    const struct image_place *place = &incoming->place;
    const struct note note = {incoming->offer, 0};
    struct disk_request create = {.op = DISK_CREATE};
    enum err err = remove_name(place, offer_name, why);
    if (err == ERR_OK) err = remove_name(place, image_name, why);
    if (err == ERR_OK) err = sync_names(place, why);
    if (err == ERR_OK) err = run(place, &create, image_name, why);
    if (err != ERR_OK) return err;
    err = note_write(place, &note, DISK_CREATE, why);
    if (err == ERR_OK) err = sync_names(place, why);
    if (err == ERR_OK) incoming->file = create.file;
    else close_file(place, create.file);
    return err;
}

enum err incoming_open(struct incoming *incoming, const struct image_place *place,
                       const struct image_offer *offer, struct why *why)
{
    *incoming = (struct incoming){.place = *place, .offer = *offer};
    if (offer->size == 0 || offer->size > INT64_MAX)
        return why_fail(why, ERR_LIMIT, "no image has %" PRIu64 " bytes", offer->size);
    enum err err = go_on(incoming, why);
    if (err == ERR_NOT_FOUND) err = begin(incoming, why);
    if (err == ERR_OK)
        trace_event(place->trace, TRACE_NOTICE, "snapshot", "incoming",
                    "lsn=%" PRIu64 " bytes=%" PRIu64 " stored=%" PRIu64, offer->mark.lsn.at,
                    offer->size, incoming->stored);
    return err;
}

void incoming_close(struct incoming *incoming, uint64_t stored)
{
    if (incoming->file == NULL) return;
    MUST(stored <= incoming->offer.size);
    const struct note note = {incoming->offer, stored};
    struct why why;
    close_file(&incoming->place, incoming->file);
    incoming->file = NULL;
    /* Else the next one believes less. */
    if (note_write(&incoming->place, &note, DISK_OPEN, &why) != ERR_OK)
        trace_event(incoming->place.trace, TRACE_WARNING, "snapshot", "incoming_not_noted",
                    "why=\"%s\"", why.text);
}

char *incoming_path(const struct image_place *place)
{
    return path_join(place->directory, image_name);
}

void incoming_discard(const struct image_place *place)
{
    struct why why;
    enum err err = remove_name(place, offer_name, &why);
    if (err == ERR_OK) err = remove_name(place, image_name, &why);
    if (err != ERR_OK)
        trace_event(place->trace, TRACE_WARNING, "snapshot", "incoming_not_removed", "why=\"%s\"",
                    why.text);
}

static enum err must_be_whole(const struct image_place *place, const struct mark *mark,
                              struct why *why)
{
    struct note note;
    enum err err = note_read(place, &note, why);
    if (err != ERR_OK) return err;
    if (!mark_equal(&note.offer.mark, mark))
        return why_fail(why, ERR_NOT_FOUND, "another image is there");
    struct disk_request open = {.op = DISK_OPEN, .read_only = true};
    err = run(place, &open, image_name, why);
    if (err != ERR_OK) return err;
    close_file(place, open.file);
    if (open.size == note.offer.size) return ERR_OK;
    return why_fail(why, ERR_NOT_FOUND, "%" PRIu64 " of %" PRIu64 " bytes are there", open.size,
                    note.offer.size);
}

enum err incoming_adopt(const struct image_place *place, const struct mark *mark, struct why *why)
{
    enum err err = must_be_whole(place, mark, why);
    if (err != ERR_OK) return err;
    char *path = image_path(place, mark->lsn);
    struct disk_request rename = {.op = DISK_RENAME, .path_to = path};
    err = run(place, &rename, image_name, why);
    memory_free(path);
    if (err == ERR_OK) err = sync_names(place, why);
    if (err != ERR_OK) return err;
    struct why ignored; /* without the image it says nothing */
    (void)remove_name(place, offer_name, &ignored);
    return ERR_OK;
}
