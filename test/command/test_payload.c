/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/dice.h"
#include "test/command/facts.h"
#include "test/command/rewrite.h"

/* --- The vectors of docs/formats/payload.md --- */

static void read_hex(const char *hex, struct buffer *out)
{
    buffer_clear(out);
    if (strcmp(hex, "-") == 0) return;
    assert_int_equal(strlen(hex) % 2, 0);
    for (; *hex != '\0'; hex += 2) {
        unsigned byte;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        buffer_append_byte(out, (uint8_t)byte);
    }
}

static void describe_word(struct buffer *out, struct bytes word)
{
    buffer_append_text(out, " <");
    for (size_t i = 0; i < word.size; i++) {
        uint8_t c = word.data[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (plain) {
            buffer_append_byte(out, c);
        } else {
            buffer_append_format(out, "%%%02x", c);
        }
    }
    buffer_append_text(out, ">");
}

static void describe_watch(struct payload_reader *reader, struct buffer *out)
{
    struct watched watched;
    assert_int_equal(payload_next_watch(reader, &watched), ERR_OK);
    buffer_append_format(out, " watch %u", watched.database);
    describe_word(out, watched.key);
    if (watched.present) {
        buffer_append_format(out, " %llu.%u@%llu", (unsigned long long)watched.version_lsn,
                             watched.version_ordinal, (unsigned long long)watched.changed_lsn);
    } else {
        buffer_append_text(out, " absent");
    }
}

static void describe_command(struct payload_reader *reader, struct buffer *out)
{
    uint8_t database;
    const struct command *command;
    struct args args;
    args_init(&args);
    assert_int_equal(payload_next_command(reader, &database, &command, &args), ERR_OK);
    assert_true(bytes_equal(args.at[0], bytes_text(command->name)));
    buffer_append_format(out, " %s %u %s", reader->kind == ENTRY_SERVE ? "serve" : "command",
                         database, command->name);
    for (size_t i = 1; i < args.count; i++) describe_word(out, args.at[i]);
    args_release(&args);
}

static void describe_stream(struct payload_reader *reader, struct buffer *out)
{
    static const char *const words[] = {"off", "on", "ping", "getack", "publish", "spublish"};
    enum stream_word word;
    struct published published;
    assert_int_equal(payload_stream(reader, &word, &published), ERR_OK);
    buffer_append_format(out, " stream %s", words[word]);
    if (word < STREAM_PUBLISH) return;
    buffer_append_format(out, " %u", published.database);
    describe_word(out, published.channel);
    describe_word(out, published.message);
}

static void describe_members(struct bytes payload, struct buffer *out)
{
    struct members members;
    assert_int_equal(payload_members(payload, &members), ERR_OK);
    buffer_append_format(out, " members %s %u", members.all ? "all" : "local", members.min_in_sync);
    for (size_t i = 0; i < members.count; i++) {
        const struct member *member = &members.at[i];
        buffer_append_format(out, " copy %llu %s", (unsigned long long)member->id,
                             member->counts ? "counts" : "follows");
        describe_word(out, bytes_text(member->peer));
        describe_word(out, bytes_text(member->redis));
    }
}

static void describe_stamp(struct bytes payload, struct buffer *out)
{
    struct stamped stamped;
    char mark[MARK_TEXT_BYTES], digest[DIGEST_TEXT_BYTES];
    assert_int_equal(entry_take_stamp(payload, &stamped), ERR_OK);
    mark_format(&stamped.mark, mark);
    digest_format(stamped.digest, digest);
    buffer_append_format(out, " stamp %s %s", mark, digest);
}

static void describe_verify(struct bytes payload, struct buffer *out)
{
    struct verify_point point;
    assert_int_equal(entry_take_verify(payload, &point), ERR_OK);
    buffer_append_format(out, " verify %016llx %016llx %u", (unsigned long long)point.id,
                         (unsigned long long)point.salt, (unsigned)point.ranges);
}

static void describe_followed(struct bytes payload, struct buffer *out)
{
    struct followed place;
    assert_int_equal(entry_take_followed(payload, &place), ERR_OK);
    assert_true(place.known);
    buffer_append_format(out, " followed %.*s %llu %u", FOLLOWED_NAME_BYTES, place.name,
                         (unsigned long long)place.offset, (unsigned)place.database);
}

/* What the payload means, in the words of the file of vectors, after a space. */
static void describe(struct bytes payload, struct buffer *out)
{
    struct payload_reader reader;
    assert_int_equal(payload_read(&reader, payload), ERR_OK);
    uint8_t database;
    struct bytes key;
    switch (reader.kind) {
    case ENTRY_EPOCH: buffer_append_text(out, " epoch"); break;
    case ENTRY_NOOP: buffer_append_text(out, " noop"); break;
    case ENTRY_EXPIRE:
        assert_int_equal(payload_expire(&reader, &database, &key), ERR_OK);
        buffer_append_format(out, " expire %u", database);
        describe_word(out, key);
        break;
    case ENTRY_STREAM: describe_stream(&reader, out); break;
    case ENTRY_MEMBERS: describe_members(payload, out); return;
    case ENTRY_STAMP: describe_stamp(payload, out); return;
    case ENTRY_VERIFY: describe_verify(payload, out); return;
    case ENTRY_FOLLOWED: describe_followed(payload, out); break;
    case ENTRY_TRANSACTION: buffer_append_text(out, " transaction"); break;
    default: assert_true(reader.kind == ENTRY_COMMAND || reader.kind == ENTRY_SERVE);
    }
    while (reader.watches > 0) describe_watch(&reader, out);
    while (reader.commands > 0) describe_command(&reader, out);
    assert_int_equal(reader.rest.size, 0);
}

/* Calls `check` with the bytes of each vector, and its meaning, or NULL when it is refused. */
static size_t each_vector(void (*check)(struct bytes payload, const char *meaning))
{
    FILE *file = facts_open("docs/formats/vectors/payload.txt");
    struct buffer payload;
    buffer_init(&payload);
    char line[FACT_BYTES_MAX];
    size_t vectors = 0;
    while (facts_line(file, line)) {
        char *hex = strchr(line, ' '), *rest;
        assert_non_null(hex);
        *hex++ = '\0';
        rest = strchr(hex, ' ');
        assert_non_null(rest);
        *rest++ = '\0';
        read_hex(hex, &payload);
        buffer_shrink(&payload, payload.size);
        bool ok = strcmp(line, "ok") == 0;
        if (!ok) assert_string_equal(line, "bad");
        check(buffer_bytes(&payload), ok ? rest + 1 : NULL);
        vectors++;
    }
    buffer_release(&payload);
    (void)fclose(file);
    return vectors;
}

/* Whether a reader refuses it, somewhere. */
static bool is_refused(struct bytes payload)
{
    struct args args;
    struct buffer out;
    args_init(&args);
    buffer_init(&out);
    enum err err = rewrite_payload(payload, &args, &out);
    if (err != ERR_OK) assert_int_equal(err, ERR_CORRUPT);
    if (err == ERR_OK) assert_true(bytes_equal(buffer_bytes(&out), payload));
    buffer_release(&out);
    args_release(&args);
    return err != ERR_OK;
}

static void check_vector(struct bytes payload, const char *meaning)
{
    assert_int_equal(is_refused(payload), meaning == NULL);
    if (meaning == NULL) return;
    struct buffer text;
    buffer_init(&text);
    describe(payload, &text);
    buffer_append_byte(&text, '\0');
    assert_string_equal((const char *)text.data, meaning);
    buffer_release(&text);
}

TEST(payload, equals_the_documented_vectors_and_refuses_the_bad_ones)
{
    assert_true(each_vector(check_vector) > 40);
}

/* A copy of its own for each length, so that a sanitizer sees a read beyond the end. */
static bool is_refused_when_cut(struct bytes payload, size_t size)
{
    struct buffer cut;
    buffer_init(&cut);
    buffer_append(&cut, bytes_of(payload.data, size));
    buffer_shrink(&cut, size);
    bool refused = is_refused(buffer_bytes(&cut));
    buffer_release(&cut);
    return refused;
}

static void check_cuts(struct bytes payload, const char *meaning)
{
    if (meaning == NULL) return;
    bool expire = payload.data[0] == ENTRY_EXPIRE; /* its key ends where the payload ends */
    for (size_t size = 0; size < payload.size; size++) {
        assert_int_equal(is_refused_when_cut(payload, size), !(expire && size >= 2));
    }
    struct buffer longer;
    buffer_init(&longer);
    buffer_append(&longer, payload);
    buffer_append_byte(&longer, 0);
    buffer_shrink(&longer, longer.size);
    assert_int_equal(is_refused(buffer_bytes(&longer)), !expire);
    buffer_release(&longer);
}

TEST(payload, is_refused_when_cut_anywhere_and_when_a_byte_follows)
{
    (void)each_vector(check_cuts);
}

/* is_refused asserts that what is accepted is written again as the same bytes. */
static void check_flips(struct bytes payload, const char *meaning)
{
    (void)meaning;
    struct buffer flipped;
    buffer_init(&flipped);
    buffer_append(&flipped, payload);
    buffer_shrink(&flipped, payload.size);
    for (size_t bit = 0; bit < payload.size * 8; bit++) {
        flipped.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        (void)is_refused(buffer_bytes(&flipped));
        flipped.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    buffer_release(&flipped);
}

TEST(payload, with_a_flipped_bit_is_refused_or_means_other_bytes)
{
    (void)each_vector(check_flips);
}

/* --- Round trips --- */

enum { WORD_BYTES_MAX = 300 };
static const char zeros[WORD_BYTES_MAX];

static const struct command *draw_command(struct dice *dice, struct args *args)
{
    const struct command *command;
    do {
        command = command_by_id(1 + (unsigned)dice_below(dice, 280));
    } while (command == NULL || command->place != PLACE_STATE);
    size_t words = (size_t)(command->arity < 0 ? -command->arity : command->arity);
    if (command->arity < 0) words += dice_below(dice, 40);
    args_clear(args);
    args_push(args, bytes_text(command->name));
    while (args->count < words) {
        size_t size = dice_below(dice, dice_chance(dice, 1, 4) ? WORD_BYTES_MAX : 9);
        args_push(args, bytes_of(size > 0 ? zeros : NULL, size));
    }
    return command;
}

static void check_same_words(const struct args *a, const struct args *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) assert_true(bytes_equal(a->at[i], b->at[i]));
}

TEST(payload, commands_come_back_as_they_went)
{
    struct dice dice;
    dice_init(&dice, 7);
    struct args args, back;
    struct buffer out;
    args_init(&args);
    args_init(&back);
    buffer_init(&out);
    for (int i = 0; i < 5000; i++) {
        const struct command *command = draw_command(&dice, &args), *found;
        uint8_t database = (uint8_t)dice_below(&dice, PAYLOAD_DATABASES_MAX), at;
        buffer_clear(&out);
        buffer_append_text(&out, "before");
        payload_put_command(&out, database, command, &args);
        struct payload_reader reader;
        struct bytes payload = bytes_of(out.data + 6, out.size - 6);
        assert_int_equal(payload_read(&reader, payload), ERR_OK);
        assert_int_equal(reader.kind, ENTRY_COMMAND);
        assert_int_equal(reader.commands, 1);
        assert_int_equal(reader.watches, 0);
        assert_int_equal(payload_next_command(&reader, &at, &found, &back), ERR_OK);
        assert_int_equal(reader.commands, 0);
        assert_int_equal(at, database);
        assert_ptr_equal(found, command);
        check_same_words(&args, &back);
        assert_memory_equal(out.data, "before", 6);
    }
    buffer_release(&out);
    args_release(&args);
    args_release(&back);
}

TEST(payload, transactions_are_whole_after_each_step_and_come_back)
{
    struct dice dice;
    dice_init(&dice, 8);
    struct args args;
    struct buffer out;
    args_init(&args);
    buffer_init(&out);
    for (int i = 0; i < 300; i++) {
        struct payload_transaction transaction;
        buffer_clear(&out);
        payload_begin_transaction(&transaction, &out);
        assert_false(is_refused(buffer_bytes(&out)));
        for (uint64_t n = dice_below(&dice, 4); n > 0; n--) {
            struct watched watched = {.database = 3, .key = bytes_of(zeros, dice_below(&dice, 20))};
            watched.present = dice_chance(&dice, 1, 2);
            watched.version_lsn = dice_roll(&dice); /* dropped when absent */
            watched.changed_lsn = dice_roll(&dice);
            watched.version_ordinal = (uint32_t)dice_roll(&dice);
            payload_add_watch(&transaction, &watched);
            assert_false(is_refused(buffer_bytes(&out)));
        }
        for (uint64_t n = dice_below(&dice, 5); n > 0; n--) {
            const struct command *command = draw_command(&dice, &args);
            payload_add_command(&transaction, (uint8_t)dice_below(&dice, 16), command, &args);
            assert_false(is_refused(buffer_bytes(&out)));
        }
        struct payload_reader reader;
        assert_int_equal(payload_read(&reader, buffer_bytes(&out)), ERR_OK);
        assert_int_equal(reader.watches, transaction.watches);
        assert_int_equal(reader.commands, transaction.commands);
    }
    buffer_release(&out);
    args_release(&args);
}

TEST(payload, a_watch_comes_back_as_it_went)
{
    struct buffer out;
    buffer_init(&out);
    struct payload_transaction transaction;
    payload_begin_transaction(&transaction, &out);
    struct watched watched = {.database = 15,
                              .present = true,
                              .version_lsn = 0x1122334455667788,
                              .version_ordinal = 0x99aabbcc,
                              .changed_lsn = 0xddeeff0011223344,
                              .key = bytes_text("key")};
    payload_add_watch(&transaction, &watched);
    struct payload_reader reader;
    struct watched back;
    assert_int_equal(payload_read(&reader, buffer_bytes(&out)), ERR_OK);
    assert_int_equal(payload_next_watch(&reader, &back), ERR_OK);
    assert_int_equal(back.database, watched.database);
    assert_true(back.present);
    assert_true(back.version_lsn == watched.version_lsn);
    assert_true(back.version_ordinal == watched.version_ordinal);
    assert_true(back.changed_lsn == watched.changed_lsn);
    assert_true(bytes_equal(back.key, watched.key));
    buffer_release(&out);
}

static void put_then_read(const struct members *members, struct members *back)
{
    struct buffer out;
    buffer_init(&out);
    buffer_append_text(&out, "before");
    payload_put_members(&out, members);
    assert_memory_equal(out.data, "before", 6);
    assert_int_equal(payload_members(bytes_of(out.data + 6, out.size - 6), back), ERR_OK);
    buffer_release(&out);
}

TEST(payload, an_address_that_would_be_refused_is_written_as_not_known)
{
    static const struct {
        const char *said, *kept;
    } cases[] = {{"", ""},          {"h:1", "h:1"}, {"~!", "~!"},
                 {"h 1", ""},       {"h\n:1", ""},  {"h\x7f", ""},
                 {"h\xc3\xa9", ""}, {"\x1f", ""},   {"[fd00::1]:65535", "[fd00::1]:65535"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct members members = {.min_in_sync = 1, .count = 1, .at[0].id = 3}, back;
        (void)snprintf(members.at[0].peer, COPY_ADDRESS_BYTES, "%s", cases[i].said);
        (void)snprintf(members.at[0].redis, COPY_ADDRESS_BYTES, "r%s", cases[i].said);
        put_then_read(&members, &back);
        assert_string_equal(back.at[0].peer, cases[i].kept);
        assert_int_equal(back.at[0].redis[0] == 'r',
                         cases[i].kept == cases[i].said || cases[i].kept[0] != '\0');
    }
    struct members members = {.min_in_sync = 1, .count = 1, .at[0].id = 3}, back;
    memset(members.at[0].peer, 'p', COPY_ADDRESS_BYTES);      /* without its end */
    memset(members.at[0].redis, 'r', COPY_ADDRESS_BYTES - 1); /* the longest */
    put_then_read(&members, &back);
    assert_string_equal(back.at[0].peer, "");
    assert_string_equal(back.at[0].redis, members.at[0].redis);
}

TEST(payload, copies_that_are_refused_leave_nothing)
{
    struct members back;
    memset(&back, 0xff, sizeof back);
    /* The second copy has the id of the first. */
    static const uint8_t bad[] = {
        ENTRY_MEMBERS, 1, 1, 2, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0};
    assert_int_equal(payload_members(bytes_of(bad, sizeof bad), &back), ERR_CORRUPT);
    assert_true(!back.all && back.min_in_sync == 0 && back.count == 0 && back.at[0].id == 0);
    static const uint8_t noop[] = {ENTRY_NOOP, 0, 1, 0}; /* of another kind */
    assert_int_equal(payload_members(bytes_of(noop, sizeof noop), &back), ERR_CORRUPT);
}

/* What is written for an attempt of `request` at `key`. */
static void check_serve(const char *request, const char *key, const char *wanted)
{
    char text[FACT_BYTES_MAX], *words[FACT_WORDS_MAX];
    struct buffer payload, out;
    struct args args;
    buffer_init(&payload);
    buffer_init(&out);
    args_init(&args);
    (void)snprintf(text, sizeof text, "%s", request);
    size_t count = facts_split(text, ' ', words);
    for (size_t i = 0; i < count; i++) args_push(&args, bytes_text(words[i]));
    payload_put_command(&payload, 7, command_find(args.at[0]), &args);
    payload_put_serve(&out, buffer_bytes(&payload), bytes_text(key), &args);
    struct payload_reader reader;
    assert_int_equal(payload_read(&reader, buffer_bytes(&out)), ERR_OK);
    buffer_clear(&payload);
    describe_command(&reader, &payload);
    buffer_append_byte(&payload, 0);
    assert_string_equal((const char *)payload.data, wanted);
    args_release(&args);
    buffer_release(&out);
    buffer_release(&payload);
}

TEST(payload, a_further_attempt_names_the_one_key_that_was_filled)
{
    check_serve("blpop a b c 0.5", "b", " serve 7 blpop <b> <0%2e5>");
    check_serve("blpop a 0", "a", " serve 7 blpop <a> <0>");
    check_serve("bzpopmax a b 0", "a", " serve 7 bzpopmax <a> <0>");
    check_serve("blmpop 0 3 a b c left count 2", "c",
                " serve 7 blmpop <0> <1> <c> <left> <count> <2>");
    check_serve("bzmpop 0 1 a min", "a", " serve 7 bzmpop <0> <1> <a> <min>");
    check_serve("blmove a b left right 0", "a", " serve 7 blmove <a> <b> <left> <right> <0>");
    check_serve("brpoplpush a b 0", "a", " serve 7 brpoplpush <a> <b> <0>");
}

/* --- Bounds --- */

TEST(payload, a_count_that_the_bytes_cannot_hold_makes_no_room)
{
    struct buffer out;
    struct args args;
    buffer_init(&out);
    args_init(&args);
    buffer_append_byte(&out, ENTRY_COMMAND);
    buffer_append_byte(&out, 0);
    buffer_append_le16(&out, COMMAND_DEL);
    buffer_append_le32(&out, UINT32_MAX);
    for (int i = 0; i < 100; i++) buffer_append_le32(&out, 0);
    struct payload_reader reader;
    uint8_t database;
    const struct command *command;
    assert_int_equal(payload_read(&reader, buffer_bytes(&out)), ERR_OK);
    assert_int_equal(payload_next_command(&reader, &database, &command, &args), ERR_CORRUPT);
    assert_int_equal(args.capacity, 0);
    args_release(&args);
    buffer_release(&out);
}

TEST(payload, what_is_too_short_is_refused_before_its_parts_are_read)
{
    static const uint8_t command[] = {ENTRY_COMMAND, 0, 0, 0, 0, 0, 0};
    static const uint8_t counts[] = {ENTRY_TRANSACTION, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0};
    struct payload_reader reader;
    assert_int_equal(payload_read(&reader, bytes_of(command, sizeof(command))), ERR_CORRUPT);
    assert_int_equal(payload_read(&reader, bytes_of(counts, sizeof(counts))), ERR_CORRUPT);
}

TEST(payload, words_are_borrowed_and_not_copied)
{
    struct buffer out;
    struct args args;
    buffer_init(&out);
    args_init(&args);
    args_push(&args, bytes_text("get"));
    args_push(&args, bytes_text("key"));
    payload_put_command(&out, 0, command_by_id(COMMAND_GET), &args);
    struct payload_reader reader;
    uint8_t database;
    const struct command *command;
    assert_int_equal(payload_read(&reader, buffer_bytes(&out)), ERR_OK);
    assert_int_equal(payload_next_command(&reader, &database, &command, &args), ERR_OK);
    assert_ptr_equal(args.at[1].data, out.data + out.size - 3);
    args_release(&args);
    buffer_release(&out);
}

/* Whether the work ends the process, as a programmer's error must. */
static bool ends_process(void (*work)(const void *what), const void *what)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)close(STDERR_FILENO);
        work(what);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

struct said {
    uint8_t database;
    enum command_id id;
    size_t words;
};

static void write_said(const void *what)
{
    const struct said *said = what;
    struct buffer out;
    struct args args;
    buffer_init(&out);
    args_init(&args);
    while (args.count < said->words) args_push(&args, bytes_text("x"));
    payload_put_command(&out, said->database, command_by_id(said->id), &args);
}

static bool aborts(uint8_t database, enum command_id id, size_t words)
{
    return ends_process(write_said, &(struct said){database, id, words});
}

TEST(payload, what_a_reader_would_refuse_is_never_written)
{
    assert_false(aborts(15, COMMAND_GET, 2));
    assert_true(aborts(16, COMMAND_GET, 2));
    assert_true(aborts(0, COMMAND_GET, 1));
    assert_true(aborts(0, COMMAND_GET, 3));
    assert_true(aborts(0, COMMAND_PING, 1));
}

static void write_members(const void *what)
{
    struct buffer out;
    buffer_init(&out);
    payload_put_members(&out, what);
}

TEST(payload, copies_that_a_reader_would_refuse_are_never_written)
{
    const struct members good = {.min_in_sync = 16, .count = 2, .at = {{.id = 1}, {.id = 2}}};
    struct members bad[5];
    for (size_t i = 0; i < 5; i++) bad[i] = good;
    bad[0].min_in_sync = 0;
    bad[1].min_in_sync = 17;
    bad[2].count = COPIES_MAX + 1;
    bad[3].at[1].id = 0;
    bad[4].at[1].id = 1;
    assert_false(ends_process(write_members, &good));
    for (size_t i = 0; i < 5; i++) assert_true(ends_process(write_members, &bad[i]));
}
