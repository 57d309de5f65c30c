/* SPDX-License-Identifier: Apache-2.0 */
/* Entries that a primary of another make has caused, and the place of it that the state holds. */
#include "seam/followed.h"
#include "test/test.h"

#include "state/core.h"
#include "test/state/bed.h"

#define ASSERT_WRITE(bed, line, reply) assert_string_equal(bed_write(bed, line), reply)
#define ASSERT_READ(bed, line, reply) assert_string_equal(bed_read(bed, line), reply)

/* The line, or lines separated by " ; ", or none (""), as said before `offset`. */
static const char *followed(struct bed *bed, uint64_t offset, const char *line)
{
    struct followed place = {.known = true, .offset = offset, .database = 3};
    memset(place.name, 'n', sizeof place.name);
    struct buffer payload, one;
    struct payload_transaction transaction;
    buffer_init(&payload);
    buffer_init(&one);
    if (strstr(line, " ; ") != NULL) {
        bed_payload(&payload, 0, line);
    } else {
        payload_begin_transaction(&transaction, &payload);
        if (line[0] != '\0') {
            struct payload_reader reader;
            const struct command *command;
            struct args args;
            uint8_t database;
            args_init(&args);
            put_line(&one, 0, line);
            MUST(payload_read(&reader, buffer_bytes(&one)) == ERR_OK);
            MUST(payload_next_command(&reader, &database, &command, &args) == ERR_OK);
            payload_add_command(&transaction, database, command, &args);
            args_release(&args);
        }
    }
    entry_make_followed(&payload, &place);
    const char *text = bed_apply(bed, buffer_bytes(&payload));
    buffer_release(&payload);
    buffer_release(&one);
    return text;
}

/* As a sink leaves it. */
static void open_at(struct bed *bed, uint64_t offset)
{
    bed_init(bed, 1);
    struct state *state = state_of(bed->machine);
    state->followed = (struct followed){.known = true, .offset = offset, .database = 3};
    memset(state->followed.name, 'n', sizeof state->followed.name);
}

static uint64_t place_of(const struct bed *bed)
{
    struct followed place = bed->machine->ops->followed(bed->machine);
    if (place.known) assert_true(place.name[39] == 'n' && place.database == 3);
    else assert_true(place.offset == 0 && place.name[0] == 0);
    return place.offset;
}

TEST(state_followed, the_place_is_of_the_same_step_as_the_keys)
{
    struct bed bed;
    open_at(&bed, 90);
    assert_int_equal(place_of(&bed), 90);
    assert_string_equal(followed(&bed, 100, "SET k a ; RPUSH l x"), ""); /* nobody is answered */
    assert_int_equal(place_of(&bed), 100);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    (void)followed(&bed, 110, "SET k b");
    (void)followed(&bed, 120, ""); /* only the place */
    assert_int_equal(place_of(&bed), 120);
    size_t count = bed.count;
    bed.count -= 2; /* they are lost */
    bed_reopen(&bed);
    assert_int_equal(place_of(&bed), 100);
    ASSERT_READ(&bed, "GET k", "\"a\"");
    bed.count = count;
    bed_reopen(&bed);
    assert_int_equal(place_of(&bed), 120);
    ASSERT_READ(&bed, "GET k", "\"b\"");
    bed_release(&bed);
}

TEST(state_followed, whatever_changes_a_key_otherwise_takes_the_place_away)
{
    struct bed bed;
    open_at(&bed, 90);
    (void)followed(&bed, 100, "SET k a PX 50");
    ASSERT_WRITE(&bed, "DEL nothing", "0");
    ASSERT_WRITE(&bed, "LPUSH k x",
                 "(error) WRONGTYPE Operation against a key holding the wrong kind of value");
    struct buffer noop;
    buffer_init(&noop);
    payload_put_noop(&noop);
    (void)bed_apply(&bed, buffer_bytes(&noop));
    buffer_release(&noop);
    assert_int_equal(place_of(&bed), 100);
    ASSERT_WRITE(&bed, "SET k b KEEPTTL", "OK");
    assert_int_equal(place_of(&bed), 0);
    (void)followed(&bed, 110, "SET k a"); /* what was under way does not bring it back */
    assert_int_equal(place_of(&bed), 0);
    bed_release(&bed);
    open_at(&bed, 90);
    (void)followed(&bed, 100, "SET k a PX 50");
    bed.now_ms += 100;
    (void)bed_expire(&bed); /* as one that leads by itself does */
    assert_int_equal(place_of(&bed), 0);
    bed_release(&bed);
}

TEST(state_followed, keys_end_when_the_primary_says_so_and_not_by_time)
{
    struct bed bed;
    open_at(&bed, 90);
    (void)followed(&bed, 100, "SET k a PX 50 ; SET m a PX 50 ; SET d a PX 50");
    bed.now_ms += 100;
    (void)followed(&bed, 110, "APPEND k b ; PERSIST k ; RENAME m n ; PERSIST n ; DEL d");
    ASSERT_READ(&bed, "MGET k n", "[\"ab\" \"a\"]");
    (void)followed(&bed, 120, "PEXPIREAT k 1000 ; GETEX n PXAT 1000"); /* long ago */
    (void)followed(&bed, 130, "PERSIST k ; PERSIST n");
    ASSERT_READ(&bed, "MGET k n", "[\"ab\" \"a\"]");
    assert_int_equal(place_of(&bed), 130);
    (void)followed(&bed, 140, "PEXPIREAT k -5"); /* no time at all */
    ASSERT_READ(&bed, "EXISTS k", "0");
    bed_release(&bed);
}

TEST(state_followed, a_command_that_fails_is_named_and_takes_the_place_away)
{
    struct bed bed;
    open_at(&bed, 90);
    (void)followed(&bed, 100, "SET k a");
    assert_string_equal(followed(&bed, 110, "SET j 1 ; LPUSH k x ; INCR k ; SET l 1"),
                        "(error) lpush: WRONGTYPE Operation against a key holding the wrong kind "
                        "of value");
    assert_int_equal(place_of(&bed), 0);
    (void)followed(&bed, 120, "SET m 1"); /* it was under way */
    assert_int_equal(place_of(&bed), 0);
    ASSERT_READ(&bed, "MGET j k l", "[\"1\" \"a\" \"1\"]");
    bed_release(&bed);
}

TEST(state_followed, a_reader_may_not_follow)
{
    struct bed bed;
    open_at(&bed, 90);
    struct followed place = {.known = true, .offset = 1};
    memset(place.name, 'n', sizeof place.name);
    struct buffer payload;
    struct payload_transaction transaction;
    buffer_init(&payload);
    payload_begin_transaction(&transaction, &payload);
    entry_make_followed(&payload, &place);
    struct query query = {.payload = buffer_bytes(&payload), .now = stamp_of_ms(bed.now_ms)};
    struct outcome outcome = {.reply = reply_nobody()};
    assert_int_equal(bed.machine->ops->query(bed.machine, &query, &outcome), ERR_PROTOCOL);
    buffer_release(&payload);
    bed_release(&bed);
}
