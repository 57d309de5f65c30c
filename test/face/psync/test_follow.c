/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "face/psync/follow.h"
#include "test/face/psync/fake_intake.h"
#include "test/test.h"

#define NAME "0123456789abcdef0123456789abcdef01234567"
#define OTHER "76543210fedcba9876543210fedcba9876543210"
#define MARK "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm"

/* Key k with value v in database 0; the stream goes on in database 5. */
#define DUMP \
    "REDIS0010\xfa\x0erepl-stream-db\x01" \
    "5\xfe\0\0\x01k\x01v\xff\0\0\0\0\0\0\0\0"
enum { DUMP_BYTES = sizeof DUMP - 1, SECOND = 1000 * 1000 };

#define LITERAL(text) \
    { \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }

struct scene {
    struct fake_intake intake;
    struct follow follow;
    struct buffer said; /* everything that was sent */
    struct buffer published;
    unsigned wakes;
    uint64_t now_us;
};

static void publish(struct follow *follow, bool sharded, const struct published *published)
{
    struct scene *scene = CONTAINER_OF(follow, struct scene, follow);
    buffer_append_format(&scene->published, "%s%u:%.*s:%.*s ", sharded ? "s" : "",
                         published->database, (int)published->channel.size,
                         (const char *)published->channel.data, (int)published->message.size,
                         (const char *)published->message.data);
}

static void woken(struct follow *follow)
{
    CONTAINER_OF(follow, struct scene, follow)->wakes++;
}

static void link_open(struct scene *scene)
{
    struct follow_options options = {.intake = &scene->intake.base,
                                     .timeout_us = 60 * SECOND,
                                     .publish = publish,
                                     .woken = woken};
    follow_open(&scene->follow, &options, scene->now_us);
}

static void scene_open(struct scene *scene)
{
    *scene = (struct scene){.now_us = SECOND};
    fake_intake_open(&scene->intake);
    buffer_init(&scene->said);
    buffer_init(&scene->published);
    link_open(scene);
}

static void scene_close(struct scene *scene)
{
    follow_close(&scene->follow);
    fake_intake_close(&scene->intake);
    buffer_release(&scene->said);
    buffer_release(&scene->published);
}

static void collect(struct scene *scene)
{
    buffer_append(&scene->said, buffer_bytes(&scene->follow.out));
    buffer_clear(&scene->follow.out);
}

/* What comes of it, until it waits for the other end. */
static void settle(struct scene *scene)
{
    collect(scene);
    while (scene->follow.phase != FOLLOW_OVER) {
        bool woke = fake_intake_wake(&scene->intake);
        bool asks = woke || scene->follow.again;
        if (asks) follow_go_on(&scene->follow, scene->now_us);
        bool installs = scene->intake.installs && scene->follow.phase == FOLLOW_INSTALL;
        if (installs) {
            fake_intake_finish(&scene->intake);
            follow_installed(&scene->follow, ERR_OK, NULL, scene->now_us);
        }
        collect(scene);
        if (!asks && !installs) return;
    }
}

static void hear(struct scene *scene, struct bytes bytes)
{
    follow_take(&scene->follow, bytes, scene->now_us);
    settle(scene);
}

static void hear_text(struct scene *scene, const char *text)
{
    hear(scene, bytes_text(text));
}

static void expect_text(const struct buffer *buffer, const char *text)
{
    struct buffer copy;
    buffer_init(&copy);
    buffer_append(&copy, buffer_bytes(buffer));
    buffer_append_byte(&copy, 0);
    assert_string_equal((const char *)copy.data, text);
    buffer_release(&copy);
}

static void expect_over(const struct scene *scene, enum follow_end end, const char *why)
{
    assert_int_equal(scene->follow.phase, FOLLOW_OVER);
    assert_int_equal(scene->follow.end, end);
    if (strstr(scene->follow.why.text, why) == NULL)
        assert_string_equal(scene->follow.why.text, why);
}

/* In the stream, at offset 100 of NAME, database 2. */
static void scene_stream(struct scene *scene)
{
    scene_open(scene);
    scene->intake.appended = (struct followed){.known = true, .offset = 100, .database = 2};
    memcpy(scene->intake.appended.name, NAME, 40);
    scene->intake.applied = scene->intake.appended;
    hear_text(scene, "+PONG\r\n+OK\r\n+OK\r\n+CONTINUE\r\n");
    assert_int_equal(scene->follow.phase, FOLLOW_STREAM);
    buffer_clear(&scene->said);
}

/* --- The handshake --- */

TEST(follow, says_who_it_is_in_the_order_of_a_redis_replica)
{
    struct scene scene;
    scene_open(&scene);
    collect(&scene);
    hear_text(&scene, "+PONG\r\n");
    hear_text(&scene, "+OK\r\n");
    hear_text(&scene, "-ERR unknown\r\n"); /* of what it does not know it is not told again */
    expect_text(&scene.said, "*1\r\n$4\r\nPING\r\n"
                             "*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$4\r\n7379\r\n"
                             "*5\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n$3\r\neof\r\n$4\r\ncapa\r\n"
                             "$6\r\npsync2\r\n"
                             "*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n");
    scene_close(&scene);
}

TEST(follow, gives_its_password_and_its_place)
{
    struct scene scene;
    scene_open(&scene);
    scene.intake.order.user = "bob";
    scene.intake.order.password = "pw";
    scene.intake.order.host = "h";
    scene.intake.appended = (struct followed){.known = true, .offset = 41, .database = 2};
    memcpy(scene.intake.appended.name, NAME, 40);
    hear_text(&scene, "-NOAUTH Authentication required.\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
    expect_text(&scene.said, "*1\r\n$4\r\nPING\r\n"
                             "*3\r\n$4\r\nAUTH\r\n$3\r\nbob\r\n$2\r\npw\r\n"
                             "*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$4\r\n7379\r\n"
                             "*3\r\n$8\r\nREPLCONF\r\n$10\r\nip-address\r\n$1\r\nh\r\n"
                             "*5\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n$3\r\neof\r\n$4\r\ncapa\r\n"
                             "$6\r\npsync2\r\n"
                             "*3\r\n$5\r\nPSYNC\r\n$40\r\n" NAME "\r\n$2\r\n42\r\n");
    scene_close(&scene);
}

TEST(follow, what_ends_a_handshake_is_tried_again_soon_or_late)
{
    static const struct {
        const char *heard;
        enum follow_end end;
        const char *why;
    } cases[] = {
        {"-LOADING it\r\n", FOLLOW_SOON, "LOADING"},
        {"+PONG\r\n+OK\r\n+OK\r\n-NOMASTERLINK no\r\n", FOLLOW_SOON, "NOMASTERLINK"},
        {"+PONG\r\n+OK\r\n+OK\r\n\n\n-LOADING x\r\n", FOLLOW_SOON, "LOADING"},
        {"+PONG\r\n+OK\r\n+OK\r\n-ERR unknown command\r\n", FOLLOW_LATER, "unknown command"},
        {"+PONG\r\n+OK\r\n+OK\r\n+CONTINUE\r\n", FOLLOW_LATER, "CONTINUE"}, /* not asked for */
        {"+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC short 1\r\n", FOLLOW_LATER, "FULLRESYNC"},
        {"+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC " NAME " x\r\n", FOLLOW_LATER, "FULLRESYNC"},
        {"+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC " NAME " 9223372036854775808\r\n", FOLLOW_LATER, ""},
        {"+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC " NAME " 1\r\n-ERR fork\r\n", FOLLOW_SOON, "fork"},
        {"+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC " NAME " 1\r\n$EOF:short\r\n", FOLLOW_LATER, "EOF"},
        {"+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC " NAME " 1\r\n$0\r\n", FOLLOW_LATER, "$0"},
        {"hello\r\n", FOLLOW_SOON, "hello"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene scene;
        scene_open(&scene);
        hear_text(&scene, cases[i].heard);
        expect_over(&scene, cases[i].end, cases[i].why);
        assert_false(scene.intake.staged);
        scene_close(&scene);
    }
}

TEST(follow, a_wrong_password_is_told_as_such)
{
    struct scene scene;
    scene_open(&scene);
    scene.intake.order.password = "pw";
    hear_text(&scene, "+PONG\r\n-WRONGPASS \"no\x01\r\n");
    expect_over(&scene, FOLLOW_LATER, "masterauth: -WRONGPASS ?no?");
    scene_close(&scene);
}

TEST(follow, a_line_without_end_is_not_kept)
{
    struct scene scene;
    scene_open(&scene);
    char text[FOLLOW_LINE_BYTES_MAX];
    memset(text, 'x', sizeof text);
    hear(&scene, bytes_of(text, sizeof text - 1));
    assert_int_equal(scene.follow.phase, FOLLOW_PING);
    hear(&scene, bytes_of(text, 1));
    expect_over(&scene, FOLLOW_LATER, "too long");
    scene_close(&scene);
}

/* --- Everything --- */

static const char greeting[] = "+PONG\r\n+OK\r\n+OK\r\n\n+FULLRESYNC " NAME " 700\r\n";

static void expect_taken(struct scene *scene)
{
    assert_int_equal(scene->follow.phase, FOLLOW_STREAM);
    expect_text(&scene->intake.keys, "0:k=v ");
    expect_text(&scene->intake.told, "full install(700.5) ");
    /* A word at once: a primary may wait for it. The next command is of database 5. */
    hear_text(scene, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n");
    expect_text(&scene->intake.entries, "@727.5 5:set <a> <b>\n");
}

TEST(follow, takes_a_dump_of_a_length_in_any_pieces)
{
    char head[32];
    (void)snprintf(head, sizeof head, "\n$%d\r\n", DUMP_BYTES);
    for (size_t piece = 1; piece <= DUMP_BYTES; piece++) {
        struct scene scene;
        scene_open(&scene);
        scene.intake.sink_waits = piece % 2 == 0;
        hear_text(&scene, greeting);
        hear_text(&scene, head);
        for (size_t at = 0; at < DUMP_BYTES; at += piece) {
            size_t size = DUMP_BYTES - at < piece ? DUMP_BYTES - at : piece;
            hear(&scene, bytes_of(&DUMP[at], size));
        }
        expect_taken(&scene);
        scene_close(&scene);
    }
}

TEST(follow, takes_a_dump_with_a_mark_and_the_stream_behind_it_in_any_pieces)
{
    static const char text[] = "$EOF:" MARK "\r\n" DUMP MARK;
    for (size_t first = 1; first < sizeof text - 1; first++) {
        struct scene scene;
        scene_open(&scene);
        hear_text(&scene, greeting);
        hear(&scene, bytes_of(text, first));
        hear(&scene, bytes_of(text + first, sizeof text - 1 - first));
        expect_taken(&scene);
        scene_close(&scene);
    }
}

TEST(follow, what_is_not_a_whole_dump_is_let_go_of)
{
    static const struct {
        struct bytes text;
        enum follow_end end;
        const char *why;
    } cases[] = {
        {LITERAL("$EOF:" MARK "\r\n" DUMP "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"), FOLLOW_LATER,
         "mark"},
        {LITERAL("$20\r\n" DUMP), FOLLOW_LATER, "not good"},
        {LITERAL("$999\r\n" DUMP), FOLLOW_LATER, "of 999 bytes"},
        {LITERAL("$40\r\nREDIS0010\xfe\0\0\x01k\x01v\xff\1\1\1\1\1\1\1\1nnnnnnnnnn"), FOLLOW_LATER,
         "checksum"},
        {LITERAL("$EOF:" MARK "\r\nREDIS0010\xfe\0\x13\x06stream\x01"), FOLLOW_STOPS, "stream"},
        {LITERAL("$EOF:" MARK "\r\nREDIS0099"), FOLLOW_STOPS, "99"},
        {LITERAL("$EOF:" MARK "\r\nno dump at all"), FOLLOW_LATER, "cannot be taken"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene scene;
        scene_open(&scene);
        hear_text(&scene, greeting);
        hear(&scene, cases[i].text);
        expect_over(&scene, cases[i].end, cases[i].why);
        expect_text(&scene.intake.told, "full unstaged ");
        assert_false(scene.intake.installs);
        scene_close(&scene);
    }
}

TEST(follow, a_link_that_breaks_within_a_dump_lets_go_of_it)
{
    static const char text[] = "$EOF:" MARK "\r\n" DUMP MARK;
    for (size_t size = 0; size < sizeof text - 1; size++) {
        struct scene scene;
        scene_open(&scene);
        scene.intake.sink_waits = size % 2 == 0;
        hear_text(&scene, greeting);
        hear(&scene, bytes_of(text, size));
        scene_close(&scene);
        link_open(&scene);
        follow_close(&scene.follow);
    }
}

TEST(follow, a_state_that_may_not_be_replaced_is_not)
{
    struct scene scene;
    scene_open(&scene);
    scene.intake.stage_err = ERR_REFUSED;
    hear_text(&scene, greeting);
    expect_over(&scene, FOLLOW_STOPS, "nothing is taken");
    scene_close(&scene);
    scene_open(&scene);
    scene.intake.stage_err = ERR_SPACE;
    hear_text(&scene, greeting);
    expect_over(&scene, FOLLOW_LATER, "nothing is taken");
    scene_close(&scene);
}

TEST(follow, while_the_sink_waits_nothing_more_is_read)
{
    struct scene scene;
    scene_open(&scene);
    hear_text(&scene, greeting);
    scene.intake.sink_waits = true;
    follow_take(&scene.follow, (struct bytes)LITERAL("$EOF:" MARK "\r\n" DUMP MARK), scene.now_us);
    assert_false(follow_reads(&scene.follow));
    follow_tick(&scene.follow, scene.now_us += 100 * SECOND); /* it is this side that is slow */
    assert_int_equal(scene.follow.phase, FOLLOW_DUMP);
    settle(&scene);
    assert_true(scene.wakes > 0);
    expect_taken(&scene);
    scene_close(&scene);
}

/* --- The stream --- */

static const char stream[] =
    "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"                   /* 100 + 23 */
    "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na\r\n\r\n"       /* 123 + 29 */
    "*1\r\n$4\r\nPING\r\n"                                /* 152 + 14 */
    "*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n" /* 166 + 15 + 20 */
    "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"                   /* 201 + 23 */
    "*2\r\n$4\r\nincr\r\n$1\r\nn\r\n*1\r\n$4\r\nEXEC\r\n" /* 224 + 21 + 14 */
    "\n"                                                  /* 259 + 1 */
    "*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$1\r\nm\r\n"       /* 260 + 31 */
    "*1\r\n$5\r\nMULTI\r\n*1\r\n$4\r\nEXEC\r\n"           /* 291 + 29 */
    "*2\r\n$3\r\nGET\r\n$1\r\nn\r\n"                      /* 320 + 20: it changes nothing */
    "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n" /* 340 + 37 */
    "*2\r\n$6\r\nunlink\r\n$1\r\nn\r\n";                  /* 377 + 23 */

static const char entries[] = "@152.3 3:set <k> <a\r\n>\n"
                              "@259.0 3:del <k> 0:incr <n>\n"
                              "@340.0\n"
                              "@400.0 0:unlink <n>\n";

TEST(follow, a_command_or_a_transaction_is_an_entry_with_the_place_behind_it)
{
    for (size_t first = 0; first < sizeof stream; first++) {
        struct scene scene;
        scene_stream(&scene);
        hear(&scene, bytes_of(stream, first));
        hear(&scene, bytes_of(stream + first, sizeof stream - 1 - first));
        expect_text(&scene.intake.entries, entries);
        expect_text(&scene.published, "0:c:m ");
        bool more = first < 277 ||
                    first == sizeof stream - 1; /* it is told what is there by then */
        expect_text(&scene.said, more ? "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n400\r\n"
                                      : "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n340\r\n");
        assert_int_equal(scene.follow.place.offset, 400);
        scene_close(&scene);
    }
}

TEST(follow, one_byte_at_a_time_is_the_same)
{
    struct scene scene;
    scene_stream(&scene);
    for (size_t at = 0; at < sizeof stream - 1; at++) hear(&scene, bytes_of(stream + at, 1));
    expect_text(&scene.intake.entries, entries);
    scene_close(&scene);
}

TEST(follow, a_link_that_breaks_anywhere_goes_on_where_the_entries_end)
{
    for (size_t size = 0; size < sizeof stream - 1; size++) {
        struct scene scene;
        scene_stream(&scene);
        hear(&scene, bytes_of(stream, size));
        follow_close(&scene.follow);
        link_open(&scene);
        uint64_t from = scene.intake.appended.offset;
        hear_text(&scene, "+PONG\r\n+OK\r\n+OK\r\n+CONTINUE " NAME "\r\n");
        hear(&scene, bytes_of(stream + (from - 100), sizeof stream - 1 - (from - 100)));
        struct buffer text; /* but for places without commands */
        buffer_init(&text);
        buffer_append(&text, buffer_bytes(&scene.intake.entries));
        buffer_append_byte(&text, 0);
        assert_non_null(strstr((const char *)text.data, "@152.3 3:set <k> <a\r\n>\n@259.0 3:del "));
        assert_non_null(strstr((const char *)text.data, "@400.0 0:unlink <n>\n"));
        size_t sets = 0;
        for (const char *at = (const char *)text.data; (at = strstr(at, "3:set")) != NULL; at++)
            sets++;
        assert_int_equal(sets, 1);
        buffer_release(&text);
        scene_close(&scene);
    }
}

TEST(follow, without_room_it_waits_and_loses_nothing)
{
    struct scene scene;
    scene_stream(&scene);
    scene.intake.full = true;
    hear(&scene, bytes_of(stream, sizeof stream - 1));
    expect_text(&scene.intake.entries, "");
    assert_false(follow_reads(&scene.follow));
    follow_go_on(&scene.follow, scene.now_us);
    assert_false(follow_reads(&scene.follow));
    scene.intake.full = false;
    follow_go_on(&scene.follow, scene.now_us);
    settle(&scene);
    assert_true(follow_reads(&scene.follow));
    expect_text(&scene.intake.entries, entries);
    scene_close(&scene);
}

TEST(follow, when_nothing_is_taken_any_more_the_link_is_over)
{
    struct scene scene;
    scene_stream(&scene);
    scene.intake.shut = true;
    hear(&scene, bytes_of(stream, sizeof stream - 1));
    expect_over(&scene, FOLLOW_SOON, "takes nothing");
    scene_close(&scene);
}

/* --- How far it is --- */

TEST(follow, says_only_what_is_applied)
{
    struct scene scene;
    scene_stream(&scene);
    scene.intake.follows_at_once = false;
    hear_text(&scene, "*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n"
                      "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n");
    expect_text(&scene.said, ""); /* it was asked for offset 120 */
    follow_tick(&scene.follow, scene.now_us += SECOND);
    settle(&scene);
    expect_text(&scene.said, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n100\r\n");
    buffer_clear(&scene.said);
    hear_text(&scene, "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n");
    expect_text(&scene.said, "");
    fake_intake_apply(&scene.intake);
    follow_go_on(&scene.follow, scene.now_us);
    settle(&scene);
    /* The first question's bytes are before the second, so they are noted, and told. */
    expect_text(&scene.said, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n157\r\n");
    scene_close(&scene);
}

TEST(follow, a_ping_is_noted_when_nothing_else_comes)
{
    struct scene scene;
    scene_stream(&scene);
    hear_text(&scene, "*1\r\n$4\r\nPING\r\n");
    expect_text(&scene.intake.entries, "");
    follow_tick(&scene.follow, scene.now_us += SECOND);
    follow_tick(&scene.follow, scene.now_us += SECOND);
    expect_text(&scene.intake.entries, "@114.2\n");
    hear_text(&scene, "*1\r\n$5\r\nMULTI\r\n"); /* within a transaction there is no place */
    follow_tick(&scene.follow, scene.now_us += SECOND);
    expect_text(&scene.intake.entries, "@114.2\n");
    scene_close(&scene);
}

TEST(follow, another_name_of_the_history_is_noted_at_once)
{
    struct scene scene;
    scene_open(&scene);
    scene.intake.appended = (struct followed){.known = true, .offset = 100, .database = 2};
    memcpy(scene.intake.appended.name, NAME, 40);
    scene.intake.applied = scene.intake.appended;
    hear_text(&scene, "+PONG\r\n+OK\r\n+OK\r\n+CONTINUE " OTHER "\r\n");
    expect_text(&scene.intake.entries, "@100.2\n");
    assert_memory_equal(scene.intake.appended.name, OTHER, 40);
    expect_text(&scene.intake.told, "continues ");
    scene_close(&scene);
}

TEST(follow, a_silent_primary_is_given_up)
{
    struct scene scene;
    scene_stream(&scene);
    follow_tick(&scene.follow, scene.now_us += 59 * SECOND);
    assert_int_equal(scene.follow.phase, FOLLOW_STREAM);
    follow_tick(&scene.follow, scene.now_us += 2 * SECOND);
    expect_over(&scene, FOLLOW_SOON, "nothing was heard for 61 seconds");
    scene_close(&scene);
}

/* --- What cannot be carried out --- */

TEST(follow, what_cannot_be_carried_out_stops_the_link_with_its_name)
{
    static const struct {
        const char *heard, *why;
    } cases[] = {
        {"*2\r\n$4\r\nXADD\r\n$1\r\ns\r\n", "behind offset 120 XADD cannot be carried out"},
        {"*2\r\n$8\r\nFUNCTION\r\n$1\r\ns\r\n", "FUNCTION"},
        {"*2\r\n$6\r\nSELECT\r\n$2\r\n16\r\n", "SELECT"},
        {"*1\r\n$3\r\nSET\r\n", "SET cannot be carried out here: it has other words"},
        {"*2\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n", "PUBLISH"},
        {"*1\r\n$4\r\nEXEC\r\n", "EXEC"},
        {"*1\r\n$5\r\nMULTI\r\n*1\r\n$5\r\nMULTI\r\n", "MULTI"},
        {"*2\r\n$4\r\nINFO\r\n$1\r\nx\r\n", "INFO"},
        {"*1\r\n$2\r\n\"\x01\r\n", "?? cannot"},
        {"*2\r\n$3\r\nSET\r\n$1073741824\r\n", "larger than one entry"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene scene;
        scene_stream(&scene);
        hear_text(&scene, "*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n");
        hear_text(&scene, cases[i].heard);
        expect_over(&scene, FOLLOW_STOPS, cases[i].why);
        expect_text(&scene.intake.entries, "@120.2 2:del <k>\n");
        scene_close(&scene);
    }
}

TEST(follow, what_is_no_command_ends_the_link)
{
    static const char *const cases[] = {
        "+OK\r\n",
        "*x\r\n",
        "*1\n",
        "*2000000\r\n",
        "*1\r\n*1\r\n",
        "*1\r\n$x\r\n",
        "*1\r\n$4\r\nPINGxx",
        "*111111111111111111111111111111111\r\n",
        "*-1\r\n",
        "PING\r\n",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene scene;
        scene_stream(&scene);
        hear_text(&scene, cases[i]);
        expect_over(&scene, FOLLOW_LATER, "no command");
        expect_text(&scene.intake.entries, "");
        scene_close(&scene);
    }
}

TEST(follow, a_state_that_differs_stops_the_link)
{
    struct scene scene;
    scene_stream(&scene);
    follow_differs(&scene.follow, "lpush: WRONGTYPE no");
    expect_over(&scene, FOLLOW_STOPS, "lpush: WRONGTYPE no");
    scene_close(&scene);
}
