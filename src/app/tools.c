/* SPDX-License-Identifier: Apache-2.0 */
/* The tools read a data directory under its lock, so that no server can be writing to it. */
#include "app/tools.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "app/server.h"
#include "base/memory.h"
#include "command/command.h"
#include "log/log.h"
#include "real/real.h"
#include "seam/copies.h"
#include "site/site.h"
#include "state/state.h"

static enum exit_status fail(enum err err, const struct why *why)
{
    fprintf(stderr, "tidemark: %s\n", why->text);
    return exit_status_of(err);
}

/* Takes the directory's lock and reads what counts in it. */
static enum err enter(struct site *site, struct disk *disk, const char *directory, struct why *why)
{
    enum err err = site_look(site, disk, directory, why);
    if (err != ERR_OK || site->pointed) return err;
    site_release(site);
    return why_fail(why, ERR_REFUSED, "%s holds no data: its first start was never finished",
                    directory);
}

void tool_print_word(struct bytes word)
{
    enum { SHOWN_MAX = 64 };
    putchar('"');
    for (size_t i = 0; i < word.size && i < SHOWN_MAX; i++) {
        uint8_t c = word.data[i];
        if (c == '"' || c == '\\') {
            printf("\\%c", c);
        } else if (c >= 32 && c < 127) {
            putchar(c);
        } else {
            printf("\\x%02x", c);
        }
    }
    putchar('"');
    if (word.size > SHOWN_MAX) printf("...(%zu bytes)", word.size);
}

static enum err print_commands(struct payload_reader *reader, struct args *args)
{
    struct watched watched;
    while (reader->watches > 0) {
        enum err err = payload_next_watch(reader, &watched);
        if (err != ERR_OK) return err;
        printf(" watch db%u ", watched.database);
        tool_print_word(watched.key);
    }
    while (reader->commands > 0) {
        uint8_t database;
        const struct command *command;
        enum err err = payload_next_command(reader, &database, &command, args);
        if (err != ERR_OK) return err;
        printf(" db%u %s", database, command->name);
        for (size_t i = 1; i < args->count; i++) {
            putchar(' ');
            tool_print_word(args->at[i]);
        }
        if (reader->commands > 0) fputs(" ;", stdout);
    }
    return ERR_OK;
}

static enum err print_stream(struct payload_reader *reader)
{
    static const char *const words[] = {
        [STREAM_OFF] = "off",       [STREAM_ON] = "on",           [STREAM_PING] = "ping",
        [STREAM_GETACK] = "getack", [STREAM_PUBLISH] = "publish", [STREAM_SPUBLISH] = "spublish"};
    enum stream_word word;
    struct published published;
    enum err err = payload_stream(reader, &word, &published);
    if (err != ERR_OK) return err;
    printf(" %s", words[word]);
    if (word < STREAM_PUBLISH) return ERR_OK;
    printf(" db%u ", published.database);
    tool_print_word(published.channel);
    putchar(' ');
    tool_print_word(published.message);
    return ERR_OK;
}

static void print_address(const char *name, const char *at)
{
    if (at[0] != '\0') printf(" %s=%s", name, at);
}

static enum err print_members(struct bytes payload)
{
    struct members members;
    enum err err = payload_members(payload, &members);
    if (err != ERR_OK) return err;
    printf(" mode=%s min_in_sync=%u", members.all ? "all" : "local", members.min_in_sync);
    for (size_t i = 0; i < members.count; i++) {
        const struct member *member = &members.at[i];
        printf(" ; copy=%" PRIu64 " counts=%s", member->id, member->counts ? "yes" : "no");
        print_address("peer", member->peer);
        print_address("redis", member->redis);
    }
    return ERR_OK;
}

static enum err print_stamp(struct bytes payload)
{
    struct stamped stamped;
    enum err err = entry_take_stamp(payload, &stamped);
    if (err != ERR_OK) return err;
    char mark[MARK_TEXT_BYTES], digest[DIGEST_TEXT_BYTES];
    mark_format(&stamped.mark, mark);
    digest_format(stamped.digest, digest);
    printf(" mark=%s digest=%s", mark, digest);
    return ERR_OK;
}

static enum err print_verify(struct bytes payload)
{
    struct verify_point point;
    enum err err = entry_take_verify(payload, &point);
    if (err != ERR_OK) return err;
    printf(" id=%016" PRIx64 " ranges=%" PRIu32, point.id, point.ranges);
    return ERR_OK;
}

static void print_followed(struct bytes payload)
{
    struct followed place;
    if (entry_take_followed(payload, &place) != ERR_OK) return; /* it was read, so it is there */
    printf(" primary=%.*s offset=%" PRIu64 " database=%u", (int)sizeof place.name, place.name,
           place.offset, (unsigned)place.database);
}

static enum err print_payload(struct bytes payload, struct args *args)
{
    static const char *const kinds[] = {
        [ENTRY_EPOCH] = "epoch",
        [ENTRY_COMMAND] = "command",
        [ENTRY_TRANSACTION] = "transaction",
        [ENTRY_EXPIRE] = "expire",
        [ENTRY_NOOP] = "noop",
        [ENTRY_SERVE] = "serve",
        [ENTRY_STREAM] = "stream",
        [ENTRY_MEMBERS] = "members",
        [ENTRY_STAMP] = "stamp",
        [ENTRY_VERIFY] = "verify",
        [ENTRY_FOLLOWED] = "followed",
    };
    struct payload_reader reader;
    enum err err = payload_read(&reader, payload);
    if (err != ERR_OK) return err;
    printf(" %s", kinds[reader.kind]);
    if (reader.kind == ENTRY_STREAM) return print_stream(&reader);
    if (reader.kind == ENTRY_MEMBERS) return print_members(payload);
    if (reader.kind == ENTRY_STAMP) return print_stamp(payload);
    if (reader.kind == ENTRY_VERIFY) return print_verify(payload);
    if (reader.kind == ENTRY_FOLLOWED) print_followed(payload);
    if (reader.kind != ENTRY_EXPIRE) return print_commands(&reader, args);
    uint8_t database;
    struct bytes key;
    err = payload_expire(&reader, &database, &key);
    if (err != ERR_OK) return err;
    printf(" db%u ", database);
    tool_print_word(key);
    return ERR_OK;
}

static enum err dump(struct disk *disk, const char *path, struct why *why)
{
    struct log_found found;
    enum err err = log_verify(disk, path, &found, why);
    if (err != ERR_OK) return err;
    struct log_reader *reader = NULL;
    err = log_reader_open(&reader, disk, path, found.first, why);
    struct args args;
    args_init(&args);
    while (err == ERR_OK) {
        struct entry entry;
        err = log_reader_next(reader, &entry, why);
        if (err != ERR_OK) break;
        const char *file;
        uint64_t offset;
        log_reader_place(reader, &file, &offset);
        printf("lsn=%" PRIu64 " epoch=%" PRIu64 ".%" PRIu64 " stamp=%" PRIu64
               ".%u lineage=%016" PRIx64 " at=%s:%" PRIu64,
               entry.lsn.at, entry.epoch.number, entry.epoch.copy, stamp_ms(entry.stamp),
               (unsigned)(entry.stamp.bits & 0xffff), entry.lineage.hash, file, offset);
        err = print_payload(entry.payload, &args);
        putchar('\n');
        if (err != ERR_OK)
            why_fail(why, err, "the payload of LSN %" PRIu64 " does not read", entry.lsn.at);
    }
    args_release(&args);
    log_reader_close(reader);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum exit_status with_log(const char *directory,
                                 enum err (*work)(struct disk *disk, const char *path,
                                                  struct why *why))
{
    struct disk *disk = NULL;
    real_disk_open(&disk, REAL_LOG_SYNC_FDATASYNC);
    struct site site = {0};
    struct why why;
    enum err err = enter(&site, disk, directory, &why);
    if (err == ERR_OK) err = work(disk, site.log, &why);
    site_release(&site);
    real_disk_close(disk);
    return err == ERR_OK ? EXIT_STATUS_CLEAN : fail(err, &why);
}

enum exit_status tool_log_dump(const char *directory)
{
    return with_log(directory, dump);
}

static enum err verify(struct disk *disk, const char *path, struct why *why)
{
    struct log_found found;
    enum err err = log_verify(disk, path, &found, why);
    if (err != ERR_OK) return err;
    char mark[MARK_TEXT_BYTES];
    mark_format(&found.last, mark);
    printf("last=%s first_lsn=%" PRIu64 " committed_lsn=%" PRIu64 " durable_lsn=%" PRIu64
           " torn_bytes=%" PRIu64 " clean=%s\n",
           mark, found.first.at, found.committed.at, found.durable.at, found.torn_bytes,
           found.clean ? "yes" : "no");
    return ERR_OK;
}

enum exit_status tool_log_verify(const char *directory)
{
    return with_log(directory, verify);
}

static enum exit_status print_digest(struct store *store)
{
    struct state_recount recount;
    struct why why;
    enum err err = state_recount(store, NULL, &recount, &why);
    if (err != ERR_OK) return fail(err, &why);
    char mark[MARK_TEXT_BYTES], running[DIGEST_TEXT_BYTES], recounted[DIGEST_TEXT_BYTES];
    mark_format(&recount.mark, mark);
    digest_format(recount.running, running);
    digest_format(recount.recounted, recounted);
    printf("mark=%s digest=%s recount=%s\n", mark, running, recounted);
    return digest_equal(recount.running, recount.recounted) ? EXIT_STATUS_CLEAN
                                                            : EXIT_STATUS_DIGEST;
}

enum exit_status tool_store_digest(const char *directory)
{
    struct disk *disk = NULL;
    real_disk_open(&disk, REAL_LOG_SYNC_FDATASYNC);
    struct site site = {0};
    struct why why;
    enum err err = enter(&site, disk, directory, &why);
    enum exit_status status = EXIT_STATUS_CLEAN;
    struct stores *stores = NULL;
    struct store *store = NULL;
    if (err == ERR_OK) {
        real_stores_open(&stores, NULL);
        err = stores->ops->open(stores, site.store, false, 64U << 20, &store, &why);
    }
    if (err == ERR_OK) {
        status = print_digest(store);
        store->ops->close(store);
    } else {
        status = fail(err, &why);
    }
    real_stores_close(stores);
    site_release(&site);
    real_disk_close(disk);
    return status;
}
