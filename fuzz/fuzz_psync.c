/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_psync: what replicas can say, and when. The input is a script: who connects, says which
 * words, takes how much, goes; what the stream, the flushes and the disk do meanwhile. Whatever the
 * script: nothing breaks or is left behind; each replica gets either lines, or one dump and then
 * the bytes of the stream from where it was told that it stands, each once and none left out;
 * nothing is counted as received that was not given; and what a replica still needs is kept. */
#include <stddef.h>
#include <stdint.h>

#include "test/face/psync/bed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 300, WORDS_MAX = 8 };

struct script {
    const uint8_t *data;
    size_t size, at;
};

static uint8_t next(struct script *script)
{
    return script->at < script->size ? script->data[script->at++] : 0;
}

/* --- What a peer has got --- */

struct got {
    struct bytes bytes;
    size_t at;
};

/* A line without its end; false: there is no whole one. */
static bool take_line(struct got *got, struct bytes *line)
{
    for (size_t i = got->at; i + 1 < got->bytes.size; i++) {
        if (got->bytes.data[i] != '\r' || got->bytes.data[i + 1] != '\n') continue;
        *line = bytes_of(got->bytes.data + got->at, i - got->at);
        got->at = i + 2;
        return true;
    }
    return false;
}

static bool begins(struct bytes line, const char *text)
{
    return bytes_starts_with(line, bytes_text(text));
}

/* What comes behind the dump's head; the bytes of the dump are not looked at here: they are read
 * back before they are sent. False: not all of it has come. */
static bool pass_dump(struct got *got, struct bytes head)
{
    if (begins(head, "$EOF:")) {
        struct bytes mark = bytes_of(head.data + 5, head.size - 5);
        MUST(mark.size == PSYNC_MARK_BYTES);
        for (; got->at + mark.size <= got->bytes.size; got->at++) {
            if (memcmp(got->bytes.data + got->at, mark.data, mark.size) != 0) continue;
            got->at += mark.size;
            return true;
        }
        return false;
    }
    uint64_t size = strtoull((const char *)head.data + 1, NULL, 10);
    if (size > got->bytes.size - got->at) return false;
    got->at += (size_t)size;
    return true;
}

/* The stream of this feed from `offset` on is what follows. */
static void check_stream(const struct bed *bed, const struct got *got, uint64_t offset)
{
    struct bytes rest = bytes_of(got->bytes.data + got->at, got->bytes.size - got->at);
    MUST(offset >= 1 && offset - 1 + rest.size <= bed->feed.bytes.size);
    MUST(rest.size == 0 || memcmp(rest.data, bed->feed.bytes.data + offset - 1, rest.size) == 0);
}

static void check_got(const struct bed *bed, const struct bed_link *link, uint64_t wanted)
{
    struct got got = {.bytes = buffer_bytes(&link->out)};
    struct bytes line;
    while (got.at < got.bytes.size && got.bytes.data[got.at] == '\n') got.at++;
    if (!take_line(&got, &line) || begins(line, "-")) {
        MUST(got.at == got.bytes.size);
        return;
    }
    if (begins(line, "+CONTINUE")) {
        check_stream(bed, &got, wanted);
        return;
    }
    uint64_t offset = 0;
    bool old = !begins(line, "+FULLRESYNC ");
    if (!old) {
        MUST(line.size > 53);
        offset = strtoull((const char *)line.data + 53, NULL, 10) + 1;
        MUST(take_line(&got, &line));
    }
    MUST(begins(line, "$"));
    if (pass_dump(&got, line) && !old) check_stream(bed, &got, offset);
}

/* --- Steps --- */

struct play {
    struct bed bed;
    struct script script;
    uint64_t wanted[BED_LINKS]; /* that a PSYNC has asked for */
};

static const char *const names[] = {"listening-port", "ip-address",      "capa",   "ack",
                                    "rdb-only",       "rdb-filter-only", "getack", "version",
                                    "unknown",        "FAILOVER"};
static const char *const values[] = {"eof",  "psync2", "functions", "0",  "1",
                                     "7000", "-1",     "127.0.0.1", "99", "9223372036854775807"};

static void say(struct play *play, unsigned i)
{
    struct bed_link *link = &play->bed.links[i];
    struct script *script = &play->script;
    char line[512];
    unsigned kind = next(script);
    size_t size = 0;
    if (kind % 4 == 0) {
        snprintf(line, sizeof line, "SYNC");
        if (link->replica->phase == REPLICA_NEW) play->wanted[i] = 0;
    } else if (kind % 4 == 1) {
        bool known = (kind & 4) != 0;
        uint64_t offset = (uint64_t)next(script) | (uint64_t)next(script) << 8;
        if ((kind & 8) != 0) offset = play->bed.feed.place.end;
        if (link->replica->phase == REPLICA_NEW) play->wanted[i] = offset;
        snprintf(line, sizeof line, "PSYNC %s %llu", known ? bed_replid(&play->bed) : "?",
                 (unsigned long long)offset);
    } else {
        size = (size_t)snprintf(line, sizeof line, "REPLCONF");
        for (unsigned n = 1 + kind / 4 % WORDS_MAX; n > 0; n--) {
            uint8_t word = next(script);
            const char *text = n % 2 == 0 ? names[word % 10] : values[word % 10];
            size += (size_t)snprintf(line + size, sizeof line - size, " %s", text);
        }
    }
    (void)bed_say(link, line);
}

static void change(struct play *play)
{
    struct bed *bed = &play->bed;
    static const uint64_t times[] = {1000, 1000000, 11000000, 61000000};
    uint8_t what = next(&play->script), how = next(&play->script);
    switch (what % 12) {
    case 0: bed_pass(bed, times[how % 4]); break;
    case 1: bed->feed.exports_wait = how % 2 == 0; break;
    case 2: fake_feed_flushed(&bed->feed, how % 4 == 0 ? ERR_SPACE : ERR_OK); break;
    case 3: bed->feed.reads_wait = how % 2 == 0; break;
    case 4: (void)fake_feed_fetched(&bed->feed, how % 8 == 0 ? ERR_IO : ERR_OK); break;
    case 5: bed->words_wait = how % 2 == 0; break;
    case 6:
        if (bed->word != NULL) bed_word_done(bed);
        break;
    case 7: bed->words_refused = how % 4 == 0; break;
    case 8:
        bed->feed.keys = how % 32;
        bed->feed.key_bytes = how * 20u;
        bed->feed.pending_of = how % 5;
        bed->feed.source_err = how % 16 == 15 ? ERR_CORRUPT : ERR_OK;
        break;
    case 9:
        if (bed->feed.epoch_count < FAKE_EPOCHS) fake_feed_begin_epoch(&bed->feed);
        break;
    case 10: bed->status.low_space = how % 4 == 0; break;
    case 11: /* what nobody keeps goes */
        if (bed->feed.keep.from > bed->feed.place.first && bed->feed.place.on) {
            uint64_t to = bed->feed.keep.from < bed->feed.place.end ? bed->feed.keep.from
                                                                    : bed->feed.place.end;
            bed->feed.place.first = to;
        }
        break;
    default: break;
    }
}

static void grow(struct play *play)
{
    static uint8_t text[3000];
    uint8_t how = next(&play->script);
    for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)('a' + (i + how) % 26);
    fake_feed_add(&play->bed.feed, bytes_of(text, 1 + how * 11u));
}

static void check_all(const struct play *play)
{
    for (unsigned i = 0; i < BED_LINKS; i++) {
        const struct bed_link *link = &play->bed.links[i];
        if (link->replica == NULL) continue;
        check_got(&play->bed, link, play->wanted[i]);
        MUST(!link->closed || !psync_is_attached(link->replica));
        MUST(link->replica->phase != REPLICA_STREAM || link->replica->acked < link->replica->next);
    }
}

static void step(struct play *play)
{
    struct bed *bed = &play->bed;
    uint8_t what = next(&play->script);
    unsigned i = what / 16 % BED_LINKS;
    struct bed_link *link = &bed->links[i];
    if (link->replica != NULL && link->closed) bed_hang_up(link);
    if (link->replica == NULL) {
        (void)bed_connect(bed, i);
        play->wanted[i] = 0;
    }
    switch (what % 8) {
    case 0:
    case 1: say(play, i); break;
    case 2: change(play); break;
    case 3: grow(play); break;
    case 4: link->window = next(&play->script) * 1000u; break;
    case 5:
        link->unsent = 0;
        link->window = SIZE_MAX;
        psync_drained(link->replica);
        break;
    case 6: bed_hang_up(link); break;
    case 7: bed_pass(bed, 1000); break;
    default: break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct play play;
    memset(&play, 0, sizeof play);
    play.script = (struct script){data, size, 0};
    bed_init(&play.bed);
    for (unsigned i = 0; i < STEPS_MAX && play.script.at < size; i++) {
        step(&play);
        if (i % 16 == 15) check_all(&play);
    }
    check_all(&play);
    if (play.bed.word != NULL) bed_word_done(&play.bed);
    bed_release(&play.bed);
    return 0;
}
