/* SPDX-License-Identifier: Apache-2.0 */
/* Looking for the copy to follow. */
#include "test/node/follows_bed.h"

#define FOUND "role:master\r\ntidemark_peer_port:17379\r\ntidemark_copy:1\r\n"

static void expect_why(struct bed *bed, const char *text)
{
    struct copies_status status = bed_status(bed);
    assert_non_null(strstr(status.why.text, text));
}

/* Begins, and the Redis port is connected to. */
static void ask(struct bed *bed)
{
    node_follows_begin(&bed->node, "primary:7379", "", false);
    assert_int_equal(bed->dials, 0); /* not from inside */
    bed_pass(bed, 0);
    assert_string_equal(bed->dialled, "primary:7379");
    bed_connect(bed);
}

TEST(node_follows, the_peer_port_is_asked_for_at_the_redis_port_of_the_same_machine)
{
    struct bed *bed = bed_open();
    ask(bed);
    assert_true(bytes_equal(buffer_bytes(&bed->stream->out),
                            bytes_text("*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n")));
    struct stream *asked = bed->stream;
    bed_say_info(bed, FOUND);
    assert_true(asked->closed);
    assert_string_equal(bed->dialled, "127.0.0.1:17379"); /* whom it was connected to */
    struct copies_status status = bed_status(bed);
    assert_string_equal(status.primary_host, "primary");
    assert_int_equal(status.primary_port, 7379);
    assert_int_equal(status.primary_copy, 1);
    assert_string_equal(status.link, "connecting");
    bed_close(bed);
}

TEST(node_follows, user_and_password_are_for_the_redis_port)
{
    struct bed *bed = bed_open();
    bed->node.copies.user = "copy";
    bed->node.copies.password = "secret";
    ask(bed);
    const char *wanted = "*3\r\n$4\r\nAUTH\r\n$4\r\ncopy\r\n$6\r\nsecret\r\n";
    assert_true(bytes_starts_with(buffer_bytes(&bed->stream->out), bytes_text(wanted)));
    bed_say(bed, bytes_text("-WRONGPASS invalid \"pair\"\r\n"));
    expect_why(bed, "it answers: WRONGPASS invalid ?pair?");
    bed_close(bed);
}

TEST(node_follows, pauses_grow_up_to_a_bound_and_it_never_gives_up)
{
    struct bed *bed = bed_open();
    node_follows_begin(&bed->node, "primary:7379", "", false);
    bed_pass(bed, 0);
    uint64_t most = NODE_FOLLOWS_PAUSE_US_MIN;
    for (unsigned i = 1; i < 40; i++) {
        assert_int_equal(bed->dials, i);
        bed_refuse_dial(bed);
        assert_string_equal(bed_status(bed).link, "connect");
        bed_pass(bed, most / 2 - 1);
        assert_int_equal(bed->dials, i);
        bed_pass(bed, most - most / 2 + 1);
        most = 2 * most > NODE_FOLLOWS_PAUSE_US_MAX ? NODE_FOLLOWS_PAUSE_US_MAX : 2 * most;
    }
    assert_int_equal(bed->warnings, 1); /* the same reason is told once */
    expect_why(bed, "Connection refused");
    bed_close(bed);
}

TEST(node_follows, what_time_does_not_mend_is_tried_again_slowly)
{
    static const char *const answers[] = {"-NOAUTH no\r\n", "$13\r\nrole:master\r\n\r\n",
                                          "HTTP/1.1 400 Bad\r\n",
                                          "$35\r\nrole:master\r\ntidemark_peer_port:0\r\n\r\n"};
    for (unsigned i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct bed *bed = bed_open();
        ask(bed);
        bed_say(bed, bytes_text(answers[i]));
        assert_true(bed->stream->closed);
        assert_int_equal(bed->warnings, 1);
        bed_pass(bed, NODE_FOLLOWS_PAUSE_US_REFUSED / 2 - 1);
        assert_int_equal(bed->dials, 1);
        bed_pass(bed, NODE_FOLLOWS_PAUSE_US_REFUSED);
        assert_int_equal(bed->dials, 2);
        bed_close(bed);
    }
}

TEST(node_follows, a_port_that_loads_is_asked_again_soon)
{
    struct bed *bed = bed_open();
    ask(bed);
    bed_say(bed, bytes_text("-LOADING soon\r\n"));
    bed_pass(bed, NODE_FOLLOWS_PAUSE_US_MIN);
    assert_int_equal(bed->dials, 2);
    bed_close(bed);
}

TEST(node_follows, a_port_that_says_nothing_or_closes_is_given_up)
{
    struct bed *bed = bed_open();
    ask(bed);
    bed_pass(bed, NODE_FOLLOWS_ASK_US);
    assert_true(bed->stream->closed);
    expect_why(bed, "does not answer");
    bed_pass(bed, NODE_FOLLOWS_PAUSE_US_MIN);
    bed_connect(bed);
    bed_break(bed);
    assert_true(bed->stream->closed);
    expect_why(bed, "closes the connection");
    bed_close(bed);
}

TEST(node_follows, a_copy_does_not_follow_itself)
{
    struct bed *bed = bed_open();
    ask(bed);
    bed_say_info(bed, "role:master\r\ntidemark_peer_port:17379\r\n"
                      "tidemark_copy:2\r\n");
    assert_int_equal(bed->dials, 1);
    expect_why(bed, "follow itself");
    bed_close(bed);
}

TEST(node_follows, what_is_no_address_is_told_and_tried_again)
{
    struct bed *bed = bed_open();
    bed->breaks_dials = true;
    node_follows_begin(&bed->node, "nonsense", "", false);
    bed_pass(bed, 0);
    expect_why(bed, "no address: 'nonsense'"); /* quotes are the trace's */
    bed_pass(bed, NODE_FOLLOWS_PAUSE_US_REFUSED);
    assert_int_equal(bed->dials, 2);
    bed_close(bed);
}

static void name_members(struct bed *bed)
{
    struct members *members = &bed->node.membership.now;
    *members = (struct members){.count = 4,
                                .at = {{.id = 1, .peer = "one:1", .redis = "one:2"},
                                       {.id = 2, .peer = "own:1", .redis = "own:2"},
                                       {.id = 3, .redis = "three:2"},
                                       {.id = 4}}};
}

static void expect_round(struct bed *bed, const char *const *addresses, unsigned count)
{
    bed_pass(bed, 0);
    for (unsigned i = 0; i < 2 * count; i++) {
        assert_string_equal(bed->dialled, addresses[i % count]);
        bed_refuse_dial(bed);
        bed_pass(bed, NODE_FOLLOWS_PAUSE_US_MAX);
    }
}

TEST(node_follows, copies_that_the_log_names_are_tried_in_turn)
{
    static const char *const addresses[] = {"first:1", "first:2", "one:1", "three:2"};
    struct bed *bed = bed_open();
    name_members(bed);
    node_follows_begin(&bed->node, "first:2", "first:1", false);
    expect_round(bed, addresses, 4);
    node_follows_begin(&bed->node, "", "", false); /* nobody was named */
    assert_string_equal(bed_status(bed).why.text, "");
    expect_round(bed, &addresses[2], 2);
    bed_close(bed);
}

TEST(node_follows, a_redis_port_that_was_named_is_the_only_one)
{
    static const char *const addresses[] = {"first:2"};
    struct bed *bed = bed_open();
    name_members(bed);
    node_follows_begin(&bed->node, "first:2", "", false);
    expect_round(bed, addresses, 1);
    bed_close(bed);
}

TEST(node_follows, nobody_to_follow_is_waited_for)
{
    struct bed *bed = bed_open();
    node_follows_begin(&bed->node, "", "", false);
    bed_pass(bed, 0);
    expect_why(bed, "no copy is known");
    name_members(bed);
    bed_pass(bed, NODE_FOLLOWS_PAUSE_US_MIN);
    assert_string_equal(bed->dialled, "one:1");
    bed_close(bed);
}

TEST(node_follows, an_end_stops_it_wherever_it_is)
{
    for (unsigned at = 0; at < 5; at++) {
        struct bed *bed = bed_open();
        node_follows_begin(&bed->node, "primary:7379", "", false);
        if (at > 0) bed_pass(bed, 0);
        if (at > 1) bed_connect(bed);
        if (at > 2) bed_say_info(bed, FOUND);
        if (at > 3) bed_connect(bed);
        node_follows_end(&bed->node, BYE_STOP);
        assert_null(bed->node.follows);
        assert_null(bed->dial);
        assert_true(bed->stream == NULL || bed->stream->closed);
        unsigned dials = bed->dials;
        bed_pass(bed, 60 * 1000 * 1000);
        assert_int_equal(bed->dials, dials);
        bed_close(bed);
    }
}
