/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison of running copies: a point is put into the log, each copy counts its keys in a
 * view at that point, and the sums of ranges are compared; where they differ, key by key. */
#include "app/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/asker.h"
#include "app/progress.h"
#include "app/tools.h"
#include "base/checksum.h"
#include "base/memory.h"
#include "base/number.h"
#include "real/real.h"

enum {
    SIDES_MAX = 16,
    POLL_US = 100 * 1000,
    ANSWER_US = 30 * 1000 * 1000,
    KEYS_US = 2000 * 1000 * 1000, /* it reads every key */
    RANGES_USUAL = 4096,
    RANGES_ASKED_MAX = 64,
    KEYS_ASKED_MAX = 65536,
    KEYS_SHOWN_MAX = 100,
};

static const char usage[] =
    "Usage: tidemark verify [--user NAME] [--password WORD] [--timeout SECONDS]\n"
    "                       HOST:PORT HOST:PORT ...\n"
    "\n"
    "Compares running copies, of which one is the primary, by their Redis ports: their marks, and\n"
    "what each really stores at one and the same place of the log. They go on serving.\n"
    "\n"
    "  --password WORD      for all of them; else the environment's TIDEMARK_PASSWORD\n"
    "  --timeout SECONDS    a copy may be behind the primary for so long (60)\n"
    "\n"
    "Exit status: 0 they are equal; 5 they differ, and the keys are named; 1 usage; 2 it cannot\n"
    "be told: one is not reached, of another history, or too far behind.\n";

struct side {
    struct asker asker;
    bool leads, counted, seen;
    char history[64], copy[32], mark[160], digest[DIGEST_TEXT_BYTES];
    int64_t keys, misfits, bytes, bytes_all;
    struct digest *sums;
};

struct verify {
    struct side sides[SIDES_MAX];
    size_t count, primary;
    const char *user, *password;
    uint64_t timeout_us, ranges;
    char id[32];
    struct real_world *real;
    struct world world;
    struct why why;
};

/* The reason, with who it is about. */
static enum err blame(struct verify *verify, const struct side *side, enum err err)
{
    why_prefix(&verify->why, side->asker.address);
    return err;
}

static enum err ask(struct verify *verify, struct side *side, const char *const *words,
                    size_t count)
{
    struct bytes at[8 + RANGES_ASKED_MAX];
    MUST(count <= sizeof at / sizeof at[0]);
    for (size_t i = 0; i < count; i++) at[i] = bytes_text(words[i]);
    return asker_ask(&side->asker, at, count, &verify->why);
}

/* --- Who they are --- */

static void take_field(struct bytes info, const char *name, char *out, size_t size)
{
    size_t length = strlen(name);
    out[0] = '\0';
    for (size_t i = 0; i + length < info.size; i++) {
        bool begins = i == 0 || info.data[i - 1] == '\n';
        if (!begins || memcmp(info.data + i, name, length) != 0) continue;
        size_t at = 0;
        for (i += length; i < info.size && info.data[i] > ' ' && at + 1 < size; i++)
            out[at++] = (char)info.data[i];
        out[at] = '\0';
        return;
    }
}

static enum err meet(struct verify *verify, struct side *side)
{
    enum err err = ERR_OK;
    if (verify->password != NULL) {
        const char *words[] = {"AUTH", verify->user, verify->password};
        if (verify->user != NULL) err = ask(verify, side, words, 3);
        else err = ask(verify, side, (const char *[]){"AUTH", verify->password}, 2);
    }
    if (err == ERR_OK) err = ask(verify, side, (const char *[]){"INFO", "everything"}, 2);
    if (err != ERR_OK) return blame(verify, side, err);
    char role[16];
    struct bytes info = side->asker.items[0].text;
    take_field(info, "role:", role, sizeof role);
    take_field(info, "history:", side->history, sizeof side->history);
    take_field(info, "copy:", side->copy, sizeof side->copy);
    side->leads = strcmp(role, "master") == 0;
    if (side->history[0] != '\0') return ERR_OK;
    return blame(verify, side, why_fail(&verify->why, ERR_REFUSED, "it is no tidemark server"));
}

static enum err meet_all(struct verify *verify)
{
    uint64_t answer_us = verify->timeout_us < ANSWER_US ? verify->timeout_us + 1000000 : ANSWER_US;
    for (size_t i = 0; i < verify->count; i++) {
        struct side *side = &verify->sides[i];
        const char *address = side->asker.address;
        enum err err = asker_open(&side->asker, address, answer_us, &verify->why);
        if (err == ERR_OK) err = meet(verify, side);
        if (err != ERR_OK) return err;
        if (side->leads && !verify->sides[verify->primary].leads) verify->primary = i;
    }
    const struct side *primary = &verify->sides[verify->primary];
    for (size_t i = 0; i < verify->count; i++) {
        struct side *side = &verify->sides[i];
        if (strcmp(side->history, primary->history) != 0) {
            return why_fail(&verify->why, ERR_REFUSED, "%s and %s are not of one history (%s, %s)",
                            side->asker.address, primary->asker.address, side->history,
                            primary->history);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(side->copy, verify->sides[j].copy) == 0)
                return why_fail(&verify->why, ERR_REFUSED, "%s and %s are the same copy",
                                side->asker.address, verify->sides[j].asker.address);
        }
    }
    if (primary->leads) return ERR_OK;
    return why_fail(&verify->why, ERR_REFUSED,
                    "none of them is the primary: it must be among them");
}

/* --- The count --- */

static enum err begin(struct verify *verify)
{
    struct side *primary = &verify->sides[verify->primary];
    char ranges[24];
    (void)snprintf(ranges, sizeof ranges, "%" PRIu64, verify->ranges);
    enum err err = ask(verify, primary, (const char *[]){"VERIFY", "BEGIN", ranges}, 3);
    if (err != ERR_OK) return blame(verify, primary, err);
    struct bytes id = primary->asker.items[0].text;
    (void)snprintf(verify->id, sizeof verify->id, "%.*s", (int)id.size, (const char *)id.data);
    return ERR_OK;
}

static void copy_text(char *out, size_t size, struct bytes text)
{
    (void)snprintf(out, size, "%.*s", (int)text.size, (const char *)text.data);
}

/* Whether the error is that word. */
static bool says(const struct side *side, const char *word)
{
    if (side->asker.count != 1 || side->asker.items[0].kind != '-') return false;
    struct bytes text = side->asker.items[0].text;
    return text.size >= strlen(word) && memcmp(text.data, word, strlen(word)) == 0;
}

static enum err look(struct verify *verify, struct side *side, bool late)
{
    const char *const words[] = {"VERIFY", "STATUS", verify->id};
    const struct asker_item *items;
    enum err err = ask(verify, side, words, 3);
    if (err == ERR_REFUSED && says(side, "NOTFOUND") && !side->seen && !late) return ERR_OK;
    if (err == ERR_REFUSED && says(side, "NOTFOUND")) {
        (void)why_fail(&verify->why, err, "%s",
                       side->seen
                           ? "it has lost its view: it was stopped, rebuilt, or had no space"
                           : "it has not come to the place of the comparison in time: it is too "
                             "far behind, was stopped, or had no space");
    }
    if (err != ERR_OK) return blame(verify, side, err);
    items = side->asker.items;
    if (side->asker.count != 8)
        return blame(verify, side, why_fail(&verify->why, ERR_PROTOCOL, "its answer is malformed"));
    side->seen = true;
    side->counted = bytes_equal(items[0].text, bytes_text("counted"));
    copy_text(side->mark, sizeof side->mark, items[2].text);
    copy_text(side->digest, sizeof side->digest, items[3].text);
    side->keys = items[4].number;
    side->misfits = items[5].number;
    side->bytes_all = items[7].number;
    side->bytes = side->counted ? side->bytes_all : items[6].number;
    return ERR_OK;
}

static enum err wait_for_all(struct verify *verify)
{
    struct progress progress;
    uint64_t began_us = clock_now_us(verify->world.clock);
    enum err err = ERR_OK;
    bool all = false;
    progress_begin(&progress, verify->world.clock, "counting", PROGRESS_BYTES);
    while (err == ERR_OK && !all) {
        bool late = clock_now_us(verify->world.clock) - began_us > verify->timeout_us;
        uint64_t done = 0, of = 0;
        all = true;
        for (size_t i = 0; i < verify->count && err == ERR_OK; i++) {
            struct side *side = &verify->sides[i];
            if (!side->counted) err = look(verify, side, late);
            if (!side->counted) all = false;
            done += (uint64_t)side->bytes;
            of += (uint64_t)side->bytes_all;
        }
        progress_show(&progress, done, of);
        if (err == ERR_OK && !all) real_nap(POLL_US);
    }
    progress_end(&progress);
    return err;
}

/* --- The ranges --- */

static bool read_digest(struct bytes text, struct digest *digest)
{
    uint64_t half[2] = {0, 0};
    if (text.size != DIGEST_TEXT_BYTES - 1) return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i], low = byte | 0x20;
        bool is_letter = low >= 'a' && low <= 'f';
        if (!is_letter && (byte < '0' || byte > '9')) return false;
        half[i / 16] = half[i / 16] << 4 | (uint64_t)(is_letter ? low - 'a' + 10 : byte - '0');
    }
    *digest = (struct digest){.high = half[0], .low = half[1]};
    return true;
}

static enum err take_ranges(struct verify *verify)
{
    for (size_t i = 0; i < verify->count; i++) {
        struct side *side = &verify->sides[i];
        enum err err = ask(verify, side, (const char *[]){"VERIFY", "RANGES", verify->id}, 3);
        if (err != ERR_OK) return blame(verify, side, err);
        bool good = side->asker.count == verify->ranges;
        side->sums = memory_zeroed(verify->ranges, sizeof *side->sums);
        for (size_t j = 0; j < verify->ranges && good; j++)
            good = read_digest(side->asker.items[j].text, &side->sums[j]);
        if (!good)
            return blame(verify, side,
                         why_fail(&verify->why, ERR_PROTOCOL, "its sums are malformed"));
    }
    return ERR_OK;
}

/* --- The keys of ranges that differ --- */

struct listed {
    int64_t database;
    struct bytes name, digest; /* in the side's items */
};

static int compare_listed(const void *a, const void *b)
{
    const struct listed *one = a, *other = b;
    if (one->database != other->database) return one->database < other->database ? -1 : 1;
    return bytes_compare(one->name, other->name);
}

static enum err list_keys(struct verify *verify, struct side *side, const char *const *ranges,
                          size_t count)
{
    const char *words[4 + RANGES_ASKED_MAX] = {"VERIFY", "KEYS", verify->id, "65536"};
    for (size_t i = 0; i < count; i++) words[4 + i] = ranges[i];
    real_line_set_timeout(side->asker.line, KEYS_US);
    enum err err = ask(verify, side, words, 4 + count);
    if (err != ERR_OK) return blame(verify, side, err);
    if (side->asker.count % 4 == 1) return ERR_OK;
    return blame(verify, side, why_fail(&verify->why, ERR_PROTOCOL, "its keys are malformed"));
}

/* Sorted; the caller frees it. */
static struct listed *sorted_keys(const struct side *side, size_t *count)
{
    *count = side->asker.count / 4;
    struct listed *keys = memory_alloc((*count + 1) * sizeof *keys);
    for (size_t i = 0; i < *count; i++) {
        const struct asker_item *items = side->asker.items + 1 + 4 * i;
        keys[i] = (struct listed){items[1].number, items[3].text, items[2].text};
    }
    qsort(keys, *count, sizeof *keys, compare_listed);
    return keys;
}

struct found {
    uint64_t shown, all;
};

static void show(struct found *found, const char *what, const struct side *side,
                 const struct listed *key)
{
    found->all++;
    if (found->shown == KEYS_SHOWN_MAX) return;
    found->shown++;
    printf("%s at=%s db%" PRId64 " ", what, side->asker.address, key->database);
    tool_print_word(key->name);
    putchar('\n');
}

static void compare_keys(const struct side *primary, const struct side *side, struct found *found)
{
    size_t count, other_count, i = 0, j = 0;
    struct listed *keys = sorted_keys(primary, &count), *others = sorted_keys(side, &other_count);
    while (i < count || j < other_count) {
        int order = i == count ? 1 : -1;
        if (i < count && j < other_count) order = compare_listed(&keys[i], &others[j]);
        if (order < 0) {
            show(found, "missing", side, &keys[i++]);
        } else if (order > 0) {
            show(found, "extra", side, &others[j++]);
        } else {
            if (!bytes_equal(keys[i].digest, others[j].digest))
                show(found, "differs", side, &others[j]);
            i++;
            j++;
        }
    }
    memory_free(keys);
    memory_free(others);
}

/* So many at a time that no list is cut. */
static size_t ranges_at_once(const struct verify *verify)
{
    uint64_t keys = (uint64_t)verify->sides[verify->primary].keys;
    uint64_t each = keys / verify->ranges * 2 + 16, fit = KEYS_ASKED_MAX / each;
    if (fit == 0) return 1;
    return fit < RANGES_ASKED_MAX ? (size_t)fit : RANGES_ASKED_MAX;
}

/* Its answers stay in the two sides' askers until they are compared. */
static enum err compare_side(struct verify *verify, struct side *side, struct found *found,
                             uint64_t *differing)
{
    struct side *primary = &verify->sides[verify->primary];
    char texts[RANGES_ASKED_MAX][24];
    const char *words[RANGES_ASKED_MAX];
    size_t count = 0, most = ranges_at_once(verify);
    *differing = 0;
    for (uint64_t i = 0; i < verify->ranges; i++) {
        if (digest_equal(primary->sums[i], side->sums[i])) continue;
        (*differing)++;
        if (count == most) continue;
        (void)snprintf(texts[count], sizeof texts[count], "%" PRIu64, i);
        words[count] = texts[count];
        count++;
    }
    if (count == 0) return ERR_OK;
    enum err err = list_keys(verify, primary, words, count);
    if (err == ERR_OK) err = list_keys(verify, side, words, count);
    if (err != ERR_OK) return err;
    compare_keys(primary, side, found);
    if (found->all > found->shown)
        printf("and %" PRIu64 " more keys at %s\n", found->all - found->shown, side->asker.address);
    if (*differing > count)
        printf("and keys in %" PRIu64 " more of %" PRIu64 " ranges at %s\n", *differing - count,
               verify->ranges, side->asker.address);
    return ERR_OK;
}

static enum err compare(struct verify *verify, bool *equal)
{
    const struct side *primary = &verify->sides[verify->primary];
    *equal = true;
    for (size_t i = 0; i < verify->count; i++) {
        struct side *side = &verify->sides[i];
        if (strcmp(side->mark, primary->mark) != 0)
            return why_fail(&verify->why, ERR_REFUSED, "%s is at %s, but %s at %s",
                            side->asker.address, side->mark, primary->asker.address, primary->mark);
        if (side->misfits == 0) continue;
        printf("%s: the records of %" PRId64 " keys do not fit one another\n", side->asker.address,
               side->misfits);
        *equal = false;
    }
    for (size_t i = 0; i < verify->count; i++) {
        struct side *side = &verify->sides[i];
        struct found found = {0};
        uint64_t differing = 0;
        enum err err = i == verify->primary ? ERR_OK
                                            : compare_side(verify, side, &found, &differing);
        if (err != ERR_OK) return err;
        if (differing > 0) *equal = false;
    }
    for (size_t i = 0; i < verify->count && !*equal; i++) {
        const struct side *side = &verify->sides[i];
        printf("%s: mark=%s digest=%s keys=%" PRId64 "%s\n", side->asker.address, side->mark,
               side->digest, side->keys, side->leads ? " primary" : "");
    }
    if (*equal)
        printf("equal: copies=%zu mark=%s digest=%s keys=%" PRId64 "\n", verify->count,
               primary->mark, primary->digest, primary->keys);
    return ERR_OK;
}

/* --- The tool --- */

static enum exit_status run(struct verify *verify)
{
    struct real_options options = {.log_sync = REAL_LOG_SYNC_FDATASYNC};
    bool equal = false;
    enum err err = real_world_open(&verify->real, &options, &verify->world, &verify->why);
    if (err == ERR_OK) err = meet_all(verify);
    if (err == ERR_OK) err = begin(verify);
    if (err == ERR_OK) err = wait_for_all(verify);
    if (err == ERR_OK) err = take_ranges(verify);
    if (err == ERR_OK) err = compare(verify, &equal);
    for (size_t i = 0; i < verify->count; i++) {
        memory_free(verify->sides[i].sums);
        asker_close(&verify->sides[i].asker);
    }
    real_world_close(verify->real);
    if (err == ERR_OK) return equal ? EXIT_STATUS_CLEAN : EXIT_STATUS_DIGEST;
    fprintf(stderr, "tidemark: %s\n", verify->why.text);
    return err == ERR_CONFIG ? EXIT_STATUS_USAGE : EXIT_STATUS_REFUSED;
}

static bool take_option(struct verify *verify, const char *name, const char *value)
{
    uint64_t seconds = 0;
    if (strcmp(name, "--password") == 0) {
        verify->password = value;
    } else if (strcmp(name, "--user") == 0) {
        verify->user = value;
    } else if (strcmp(name, "--timeout") == 0) {
        if (!number_parse_uint64(bytes_text(value), &seconds) || seconds > UINT32_MAX) return false;
        verify->timeout_us = seconds * 1000000;
    } else {
        return false;
    }
    return true;
}

enum exit_status tool_verify(size_t count, const char *const *words, const char **what)
{
    struct verify verify = {.timeout_us = 60 * 1000 * 1000,
                            .ranges = RANGES_USUAL,
                            .password = getenv("TIDEMARK_PASSWORD")};
    for (size_t i = 0; i < count; i++) {
        const char *word = words[i];
        if (strcmp(word, "--help") == 0) {
            fputs(usage, stdout);
            return EXIT_STATUS_CLEAN;
        }
        if (word[0] == '-') {
            if (i + 1 == count || !take_option(&verify, word, words[i + 1])) {
                *what = word;
                return EXIT_STATUS_USAGE;
            }
            i++;
        } else if (verify.count == SIDES_MAX) {
            *what = "at most 16 copies are compared";
            return EXIT_STATUS_USAGE;
        } else {
            verify.sides[verify.count++].asker.address = word;
        }
    }
    if (verify.count < 2) {
        *what = "HOST:PORT of at least two copies is wanted";
        return EXIT_STATUS_USAGE;
    }
    return run(&verify);
}
