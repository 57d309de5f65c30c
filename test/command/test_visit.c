/* SPDX-License-Identifier: Apache-2.0 */
#include "base/must.h"
#include "seam/entry.h"
#include "test/command/facts.h"

/* Collects what is visited as "database:key ", with a + behind what may be filled. */
struct collector {
    struct payload_visit visit;
    char text[FACT_BYTES_MAX];
};

static void collect(struct payload_visit *visit, uint8_t database, struct bytes key)
{
    struct collector *collector = CONTAINER_OF(visit, struct collector, visit);
    size_t size = strlen(collector->text);
    (void)snprintf(collector->text + size, sizeof(collector->text) - size, "%u:%.*s%s ", database,
                   (int)key.size, (const char *)key.data, visit->fills ? "+" : "");
}

static struct collector visited(struct bytes payload)
{
    struct collector collector = {.visit = {.key = collect}, .text = ""};
    collector.visit.everything = collector.visit.fills = true; /* must be set anew */
    struct args scratch;
    args_init(&scratch);
    payload_visit_keys(payload, &scratch, &collector.visit);
    args_release(&scratch);
    return collector;
}

static const struct command *parse(const char *request, char text[FACT_BYTES_MAX],
                                   struct args *args)
{
    char *words[FACT_WORDS_MAX];
    (void)snprintf(text, FACT_BYTES_MAX, "%s", request);
    size_t count = facts_split(text, ' ', words);
    args_clear(args);
    for (size_t i = 0; i < count; i++) args_push(args, bytes_text(words[i]));
    return command_find(args->at[0]);
}

static struct collector visited_command(uint8_t database, const char *request)
{
    struct args args;
    struct buffer out;
    char text[FACT_BYTES_MAX];
    args_init(&args);
    buffer_init(&out);
    payload_put_command(&out, database, parse(request, text, &args), &args);
    struct collector collector = visited(buffer_bytes(&out));
    buffer_release(&out);
    args_release(&args);
    return collector;
}

static void check_visit(const char *request, const char *keys)
{
    struct collector collector = visited_command(2, request);
    assert_string_equal(collector.text, keys);
    assert_false(collector.visit.everything);
}

TEST(command_visit, writes_visit_each_key_that_they_name)
{
    check_visit("set a 1", "2:a ");
    check_visit("mset a 1 b 2 a 3", "2:a 2:b 2:a ");
    check_visit("sunionstore d a b", "2:d 2:a 2:b ");
    check_visit("zunionstore d 2 a b", "2:d+ 2:a 2:b ");
    check_visit("lpush l x y", "2:l+ ");
    check_visit("lmove a b left left", "2:a 2:b+ ");
    check_visit("blpop a b 0", "2:a 2:b ");
    check_visit("rename a b", "2:a 2:b+ ");
    check_visit("sort a by x store d", "2:a 2:d+ ");
    check_visit("zadd z 1 m", "2:z+ ");
}

TEST(command_visit, keys_in_another_database_are_visited_there_too)
{
    check_visit("move k 15", "2:k+ 15:k+ ");
    check_visit("move k 16", "2:k+ ");
    check_visit("move k x", "2:k+ ");
    check_visit("copy a b", "2:a 2:b+ ");
    check_visit("copy a b DB 7 replace", "2:a 2:b+ 7:b+ ");
    check_visit("copy a b replace db 0", "2:a 2:b+ 0:b+ ");
    check_visit("copy a b db", "2:a 2:b+ ");
    check_visit("copy a b db -1", "2:a 2:b+ ");
}

TEST(command_visit, reads_flushes_and_senseless_words_visit_nothing)
{
    check_visit("get a", "");
    check_visit("flushdb", "");
    check_visit("flushall async", "");
    check_visit("lmpop 9 a left", "");
}

TEST(command_visit, exchanged_databases_report_everything)
{
    struct collector collector = visited_command(0, "swapdb 0 1");
    assert_true(collector.visit.everything);
    assert_string_equal(collector.text, "");
}

/* MULTI, WATCH w, SET a 1 in database 4, GET b, and LPUSH l x. */
static void put_transaction(struct buffer *out)
{
    static const char *const requests[] = {"set a 1", "get b", "lpush l x"};
    struct payload_transaction transaction;
    struct args args;
    args_init(&args);
    payload_begin_transaction(&transaction, out);
    struct watched watched = {.database = 1, .key = bytes_text("w")};
    payload_add_watch(&transaction, &watched);
    for (size_t i = 0; i < 3; i++) {
        char text[FACT_BYTES_MAX];
        const struct command *command = parse(requests[i], text, &args);
        payload_add_command(&transaction, (uint8_t)(4 + i), command, &args);
    }
    args_release(&args);
}

TEST(command_visit, a_transaction_visits_what_its_writes_name_and_not_what_it_watches)
{
    struct buffer out;
    buffer_init(&out);
    put_transaction(&out);
    struct collector collector = visited(buffer_bytes(&out));
    assert_string_equal(collector.text, "4:a 6:l+ ");
    assert_false(collector.visit.everything);
    buffer_release(&out);
}

TEST(command_visit, a_malformed_payload_visits_nothing)
{
    struct buffer out;
    buffer_init(&out);
    put_transaction(&out);
    for (size_t size = 0; size < out.size; size++) {
        struct collector collector = visited(bytes_of(out.data, size));
        assert_string_equal(collector.text, "");
        assert_false(collector.visit.everything);
    }
    buffer_release(&out);
}

TEST(command_visit, entries_that_only_take_away_or_do_nothing_visit_nothing)
{
    struct buffer out;
    buffer_init(&out);
    payload_put_expire(&out, 0, bytes_text("k"));
    assert_string_equal(visited(buffer_bytes(&out)).text, "");
    buffer_clear(&out);
    payload_put_epoch(&out);
    assert_string_equal(visited(buffer_bytes(&out)).text, "");
    buffer_clear(&out);
    payload_put_noop(&out);
    assert_false(visited(buffer_bytes(&out)).visit.everything);
    buffer_release(&out);
}
