/* SPDX-License-Identifier: Apache-2.0 */
/* The door for other copies: who says nothing, or what no copy would say, is sent away. */
#include "test/node/cohort.h"

static const struct cohort_rule local = {.min_in_sync = 1};

struct stranger {
    struct stream_owner owner;
    struct stream *stream;
    size_t heard;
    bool ended;
};

static void heard(struct stream_owner *owner, struct bytes bytes)
{
    CONTAINER_OF(owner, struct stranger, owner)->heard += bytes.size;
}

static void drained(struct stream_owner *owner)
{
    (void)owner;
}

static void ended(struct stream_owner *owner)
{
    struct stranger *stranger = CONTAINER_OF(owner, struct stranger, owner);
    stranger->ended = true;
    sim_hang_up(stranger->stream, false);
    stranger->stream = NULL;
}

static void knock(struct cohort *cohort, struct stranger *stranger)
{
    static const struct stream_events events = {heard, drained, ended};
    *stranger = (struct stranger){.owner = {&events}};
    stranger->stream = sim_connect_from(cohort->world, cohort->copies[0].bed.sim, COHORT_PEER_PORT,
                                        "192.0.2.7", &stranger->owner);
}

static void leave(struct stranger *stranger)
{
    if (stranger->stream != NULL) sim_hang_up(stranger->stream, false);
}

static void challenge(struct buffer *out, unsigned role)
{
    struct message_challenge message = {.role = (enum message_role)role, .copy = 77};
    struct frame_head head = {.type = FRAME_CHALLENGE, .cluster = 1};
    size_t begin = frame_begin(out);
    challenge_put(out, &message);
    frame_seal(out, begin, &head);
}

TEST(node_doors, who_says_nothing_is_sent_away_and_told_nothing)
{
    struct cohort *cohort = cohort_open(1, local);
    struct stranger stranger;
    knock(cohort, &stranger);
    cohort_run(cohort, 9 * SIM_SECOND);
    assert_false(stranger.ended);
    cohort_run(cohort, 3 * SIM_SECOND);
    assert_true(stranger.ended);
    assert_int_equal(stranger.heard, 0);
    cohort_close(cohort);
}

TEST(node_doors, who_says_half_a_frame_is_sent_away_too)
{
    struct cohort *cohort = cohort_open(1, local);
    struct stranger stranger;
    struct buffer out;
    buffer_init(&out);
    challenge(&out, ROLE_CANDIDATE);
    knock(cohort, &stranger);
    for (unsigned i = 0; i + 1 < out.size; i++) { /* now and then a byte */
        if (stranger.stream != NULL) sim_send(stranger.stream, bytes_of(out.data + i, 1));
        cohort_run(cohort, 200 * SIM_MILLISECOND);
    }
    assert_true(stranger.ended);
    assert_int_equal(stranger.heard, 0);
    buffer_release(&out);
    cohort_close(cohort);
}

TEST(node_doors, garbage_is_shut_out_at_once)
{
    struct cohort *cohort = cohort_open(1, local);
    struct dice dice;
    dice_init(&dice, 1);
    for (unsigned round = 0; round < 50; round++) {
        struct stranger stranger;
        uint8_t garbage[FRAME_HEADER_BYTES * 2];
        for (size_t i = 0; i < sizeof garbage; i++) garbage[i] = (uint8_t)dice_below(&dice, 256);
        if (round == 0) memcpy(garbage, "*1\r\n$4\r\nPING\r\n", 14);
        knock(cohort, &stranger);
        sim_send(stranger.stream, bytes_of(garbage, sizeof garbage));
        cohort_run(cohort, SIM_SECOND);
        assert_true(stranger.ended);
        assert_int_equal(stranger.heard, 0);
    }
    cohort_close(cohort);
}

TEST(node_doors, only_who_follows_and_who_would_lead_is_let_in)
{
    struct cohort *cohort = cohort_open(1, local);
    for (unsigned role = 0; role < 6; role++) {
        struct stranger stranger;
        struct buffer out;
        buffer_init(&out);
        challenge(&out, role);
        knock(cohort, &stranger);
        sim_send(stranger.stream, buffer_bytes(&out));
        cohort_run(cohort, SIM_SECOND);
        bool in = role == ROLE_REPLICA || role == ROLE_CANDIDATE;
        assert_int_equal(stranger.ended, !in);
        assert_true(in ? stranger.heard > 0 : stranger.heard == 0);
        leave(&stranger);
        buffer_release(&out);
    }
    cohort_close(cohort);
}

TEST(node_doors, what_a_challenge_says_counts_in_a_challenge_only)
{
    struct cohort *cohort = cohort_open(1, local);
    struct message_challenge message = {.role = ROLE_CANDIDATE, .copy = 77};
    for (unsigned type = FRAME_PROOF; type < FRAME_TYPES; type++) {
        struct frame_head head = {.type = (enum frame_type)type, .cluster = 1};
        struct stranger stranger;
        struct buffer out;
        buffer_init(&out);
        size_t begin = frame_begin(&out);
        challenge_put(&out, &message);
        frame_seal(&out, begin, &head);
        knock(cohort, &stranger);
        sim_send(stranger.stream, buffer_bytes(&out));
        cohort_run(cohort, SIM_SECOND);
        assert_true(stranger.ended);
        assert_int_equal(stranger.heard, 0);
        buffer_release(&out);
    }
    cohort_close(cohort);
}

TEST(node_doors, a_flood_of_silent_ones_leaves_room_again_and_breaks_nothing)
{
    enum { FLOOD = 100 };
    struct cohort *cohort = cohort_open(2, local);
    struct stranger *strangers = memory_zeroed(FLOOD, sizeof *strangers);
    unsigned shut = 0;
    for (unsigned i = 0; i < FLOOD; i++) knock(cohort, &strangers[i]);
    cohort_run(cohort, SIM_SECOND);
    for (unsigned i = 0; i < FLOOD; i++) shut += strangers[i].ended;
    assert_int_equal(shut, FLOOD - 64);
    copy_write(&cohort->copies[0], "SET k v");
    cohort_visit(cohort, 1); /* within a minute, which the flood does not last */
    for (unsigned i = 0; i < FLOOD; i++) assert_true(strangers[i].ended);
    memory_free(strangers);
    cohort_close(cohort);
}

TEST(node_doors, a_stop_shuts_them_all)
{
    struct cohort *cohort = cohort_open(1, local);
    struct stranger strangers[3];
    for (unsigned i = 0; i < 3; i++) knock(cohort, &strangers[i]);
    struct buffer out;
    buffer_init(&out);
    challenge(&out, ROLE_CANDIDATE);
    sim_send(strangers[0].stream, buffer_bytes(&out));
    challenge(&out, ROLE_REPLICA);
    sim_send(strangers[1].stream, buffer_bytes(&out));
    cohort_run(cohort, SIM_SECOND);
    buffer_release(&out);
    cohort_run(cohort, SIM_SECOND);
    for (unsigned i = 0; i < 3; i++) leave(&strangers[i]);
    cohort_close(cohort); /* nothing is leaked */
}

TEST(node_doors, what_keeps_others_out_is_told_and_who_was)
{
    struct cohort *cohort = cohort_open(1, local);
    struct node *node = cohort->copies[0].bed.node;
    struct net *peers = node->world.peers;
    const struct net_guard guard = {.name = "tls", .refused = 3, .cut = 2};
    struct net guarded = {.ops = peers->ops, .guard = &guard};
    const char *secret = node->copies.secret;
    struct service *service = node_service(node);
    struct copies_status copies;
    assert_string_equal(node_doors_guard(node), "secret");
    node->copies.secret = "";
    assert_string_equal(node_doors_guard(node), "this machine");
    node->world.peers = &guarded;
    service->ops->copies(service, &copies);
    assert_string_equal(copies.peer_guard, "tls");
    assert_int_equal(copies.tls_refused, 3);
    assert_int_equal(copies.tls_cut, 2);
    node->copies.secret = secret;
    assert_string_equal(node_doors_guard(node), "tls, secret");
    node->world.peers = peers;
    service->ops->copies(service, &copies);
    assert_string_equal(copies.peer_guard, "secret");
    assert_int_equal(copies.tls_refused + copies.tls_cut, 0);
    cohort_close(cohort);
}
