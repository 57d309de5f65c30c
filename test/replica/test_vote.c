/* SPDX-License-Identifier: Apache-2.0 */
/* The two ends of a connection by which a promise is asked for. */
#include "replica/vote.h"

#include "base/dice.h"
#include "test/test.h"

enum { ASKER = 2, ASKED = 5, CLUSTER = 3 };

struct talk {
    struct session_options options[2];
    struct candidate candidate;
    struct voter voter;
    struct session_effects effects;
    struct buffer pipes[2]; /* to the candidate, to the voter */
    unsigned votes, closes[2];
    uint64_t now_us;
};

static void carry_out(struct talk *talk, unsigned end)
{
    buffer_append(&talk->pipes[1 - end], buffer_bytes(&talk->effects.send));
    for (unsigned i = 0; i < talk->effects.count; i++) {
        enum session_effect_kind kind = talk->effects.at[i].kind;
        talk->votes += kind == EFFECT_VOTE;
        talk->closes[end] += kind == EFFECT_CLOSE;
    }
}

/* End 0 is the candidate. */
static void step(struct talk *talk, unsigned end, struct session_event *event)
{
    event->now_us = talk->now_us;
    if (end == 0) candidate_step(&talk->candidate, event, &talk->effects);
    else voter_step(&talk->voter, event, &talk->effects);
    carry_out(talk, end);
}

static void talk_init(struct talk *talk)
{
    *talk = (struct talk){.now_us = 1};
    for (unsigned i = 0; i < 2; i++) {
        talk->options[i] = (struct session_options){.cluster = CLUSTER,
                                                    .copy = i == 0 ? ASKER : ASKED,
                                                    .secret = bytes_text("sesame"),
                                                    .keepalive_us = 1000,
                                                    .silent_us = 10000,
                                                    .hello_us = 5000};
        buffer_init(&talk->pipes[i]);
    }
    session_effects_init(&talk->effects);
}

static void talk_begin(struct talk *talk)
{
    struct promise_request request = {.epoch = {7, ASKER}, .candidate = ASKER, .only_asks = true};
    candidate_init(&talk->candidate, &talk->options[0], &request);
    voter_init(&talk->voter, &talk->options[1]);
    for (unsigned end = 0; end < 2; end++) {
        uint8_t nonce[MESSAGE_NONCE_BYTES] = {(uint8_t)end};
        struct session_event event = {.kind = EVENT_OPENED, .nonce = nonce};
        step(talk, end, &event);
    }
}

static void talk_open(struct talk *talk)
{
    talk_init(talk);
    talk_begin(talk);
}

/* Through that one end, in pieces of at most so many bytes. */
static void deliver(struct talk *talk, unsigned end, size_t piece)
{
    struct buffer said = talk->pipes[end];
    buffer_init(&talk->pipes[end]);
    for (size_t at = 0; at < said.size;) {
        size_t size = said.size - at < piece ? said.size - at : piece;
        struct bytes bytes = bytes_of(said.data + at, size);
        while (bytes.size > 0) {
            size_t before = bytes.size;
            bool over = end == 0 ? talk->candidate.link.over : talk->voter.link.over;
            struct session_event event = {.kind = EVENT_RECEIVED, .bytes = &bytes};
            if (over) break;
            step(talk, end, &event);
            if (bytes.size == before) break;
        }
        at += size;
    }
    buffer_release(&said);
}

static void exchange(struct talk *talk, size_t piece)
{
    for (unsigned i = 0; i < 4; i++) {
        deliver(talk, 1, piece);
        deliver(talk, 0, piece);
    }
}

static void answer(struct talk *talk, uint64_t copy)
{
    struct promise_answer answer = {.copy = copy,
                                    .incarnation = 4,
                                    .granted = true,
                                    .vouches = true,
                                    .promised = {7, ASKER},
                                    .last = {{{9}}, {6, 1}, {40}, {77}},
                                    .durable = {40},
                                    .committed = {39}};
    voter_answer(&talk->voter, &answer, &talk->effects);
    carry_out(talk, 1);
}

static void talk_close(struct talk *talk)
{
    candidate_release(&talk->candidate);
    voter_release(&talk->voter);
    session_effects_release(&talk->effects);
    buffer_release(&talk->pipes[0]);
    buffer_release(&talk->pipes[1]);
}

TEST(replica_vote, one_question_one_answer_over)
{
    for (size_t piece = 1; piece < 400; piece += 57) {
        struct talk talk;
        talk_open(&talk);
        exchange(&talk, piece);
        assert_int_equal(talk.votes, 1);
        assert_int_equal(talk.voter.request.epoch.number, 7);
        assert_int_equal(talk.voter.request.candidate, ASKER);
        assert_true(talk.voter.request.only_asks);
        assert_false(talk.candidate.answered); /* before it was given */
        assert_int_equal(talk.closes[0] + talk.closes[1], 0);
        answer(&talk, ASKED);
        exchange(&talk, piece);
        assert_true(talk.candidate.answered);
        assert_int_equal(talk.candidate.answer.last.lsn.at, 40);
        assert_int_equal(talk.candidate.answer.promised.number, 7);
        assert_true(talk.candidate.answer.granted && talk.candidate.answer.vouches);
        assert_false(talk.candidate.answer.leads);
        assert_int_equal(talk.candidate.link.reason, BYE_STOP);
        assert_int_equal(talk.voter.link.reason, BYE_STOP);
        assert_int_equal(talk.closes[0], 1); /* each once */
        assert_int_equal(talk.closes[1], 1);
        talk_close(&talk);
    }
}

/* The exchange ends, nothing was voted or answered, with that reason at the end that finds it. */
static void expect_nothing(struct talk *talk, unsigned finder, enum bye_reason reason)
{
    const struct link *link = finder == 0 ? &talk->candidate.link : &talk->voter.link;
    exchange(talk, SIZE_MAX);
    assert_int_equal(talk->votes, 0);
    assert_false(talk->candidate.answered);
    assert_int_equal(link->reason, reason);
    assert_int_equal(talk->closes[finder], 1);
    talk_close(talk);
}

TEST(replica_vote, who_does_not_know_the_secret_is_asked_nothing_and_told_nothing)
{
    struct talk talk;
    talk_init(&talk);
    talk.options[0].secret = bytes_text("guess");
    talk_begin(&talk);
    expect_nothing(&talk, 1, BYE_PROOF);
}

TEST(replica_vote, a_request_of_another_cluster_is_none)
{
    struct talk talk;
    talk_init(&talk);
    talk.options[0].cluster = CLUSTER + 1;
    talk_begin(&talk);
    expect_nothing(&talk, 1, BYE_PROTOCOL);
}

TEST(replica_vote, a_request_for_another_copy_is_none)
{
    struct talk talk;
    talk_open(&talk);
    talk.candidate.request.candidate = ASKER + 1; /* not who has proved itself */
    expect_nothing(&talk, 1, BYE_PROTOCOL);
}

TEST(replica_vote, a_replica_s_challenge_is_no_candidate_s)
{
    struct talk talk;
    talk_init(&talk);
    struct promise_request request = {.epoch = {7, ASKER}, .candidate = ASKER};
    candidate_init(&talk.candidate, &talk.options[0], &request);
    voter_init(&talk.voter, &talk.options[1]);
    talk.candidate.link.role = ROLE_REPLICA;
    for (unsigned end = 0; end < 2; end++) {
        uint8_t nonce[MESSAGE_NONCE_BYTES] = {(uint8_t)end};
        struct session_event event = {.kind = EVENT_OPENED, .nonce = nonce};
        step(&talk, end, &event);
    }
    expect_nothing(&talk, 1, BYE_PROTOCOL);
}

/* As the candidate would send it, once both are proven. */
static void inject(struct talk *talk, unsigned end, enum frame_type type, struct bytes payload)
{
    struct frame_head head = {.type = type, .cluster = CLUSTER};
    struct buffer *pipe = &talk->pipes[end];
    size_t begin = frame_begin(pipe);
    buffer_append(pipe, payload);
    frame_seal(pipe, begin, &head);
}

static void inject_request(struct talk *talk)
{
    struct buffer out;
    buffer_init(&out);
    struct promise_request request = {.epoch = {8, ASKER}, .candidate = ASKER};
    promise_request_put(&out, &request);
    inject(talk, 1, FRAME_PROMISE_REQUEST, buffer_bytes(&out));
    buffer_release(&out);
}

TEST(replica_vote, a_second_request_on_one_connection_is_the_end_and_is_not_voted_on)
{
    struct talk talk;
    talk_open(&talk);
    exchange(&talk, SIZE_MAX);
    inject_request(&talk);
    exchange(&talk, SIZE_MAX);
    assert_int_equal(talk.votes, 1);
    assert_int_equal(talk.voter.request.epoch.number, 7);
    assert_int_equal(talk.voter.link.reason, BYE_PROTOCOL);
    assert_int_equal(talk.closes[1], 1);
    size_t said = talk.pipes[0].size;
    answer(&talk, ASKED); /* whose connection is over: nothing is sent */
    assert_int_equal(talk.pipes[0].size, said);
    assert_false(talk.candidate.answered);
    talk_close(&talk);
}

/* What the end would take, were it in the right frame. */
static void put_expected(struct buffer *out, unsigned end)
{
    struct promise_request request = {.epoch = {8, ASKER}, .candidate = ASKER};
    struct promise_answer said = {.copy = ASKED, .promised = {8, ASKER}};
    if (end == 0) promise_answer_put(out, &said);
    else promise_request_put(out, &request);
}

TEST(replica_vote, any_other_frame_is_no_request_and_no_answer)
{
    for (unsigned type = FRAME_HELLO; type < FRAME_TYPES; type++) {
        if (type == FRAME_PING || type == FRAME_BYE) continue;
        for (unsigned end = 0; end < 2; end++) {
            if (type == (end == 0 ? FRAME_PROMISE_ANSWER : FRAME_PROMISE_REQUEST)) continue;
            struct talk talk;
            talk_open(&talk);
            exchange(&talk, SIZE_MAX); /* proven, and the request is there */
            talk.voter.asked = false;
            struct buffer out;
            buffer_init(&out);
            put_expected(&out, end);
            inject(&talk, end, (enum frame_type)type, buffer_bytes(&out));
            buffer_release(&out);
            exchange(&talk, SIZE_MAX);
            assert_int_equal(talk.votes, 1);
            assert_false(talk.candidate.answered);
            const struct link *link = end == 0 ? &talk.candidate.link : &talk.voter.link;
            assert_int_equal(link->reason, BYE_PROTOCOL);
            talk_close(&talk);
        }
    }
}

TEST(replica_vote, a_request_or_an_answer_that_is_cut_short_or_too_long_is_none)
{
    struct buffer out;
    buffer_init(&out);
    struct promise_request request = {.epoch = {7, ASKER}, .candidate = ASKER};
    promise_request_put(&out, &request);
    size_t whole = out.size;
    buffer_append_byte(&out, 0);
    for (size_t size = 0; size <= whole + 1; size++) {
        struct talk talk;
        talk_open(&talk);
        exchange(&talk, SIZE_MAX);
        talk.voter.asked = false;
        inject(&talk, 1, FRAME_PROMISE_REQUEST, bytes_of(out.data, size));
        exchange(&talk, SIZE_MAX);
        assert_int_equal(talk.votes, size == whole ? 2 : 1);
        assert_int_equal(talk.closes[1], size == whole ? 0 : 1);
        talk_close(&talk);
    }
    buffer_release(&out);
}

TEST(replica_vote, an_answer_of_somebody_else_is_none)
{
    struct talk talk;
    talk_open(&talk);
    exchange(&talk, SIZE_MAX);
    answer(&talk, ASKED + 1); /* it speaks for another copy */
    deliver(&talk, 0, SIZE_MAX);
    assert_false(talk.candidate.answered);
    assert_int_equal(talk.candidate.link.reason, BYE_PROTOCOL);
    talk_close(&talk);
}

TEST(replica_vote, garbage_ends_it_and_nothing_behind_it_is_read)
{
    struct dice dice;
    dice_init(&dice, 1);
    for (unsigned round = 0; round < 300; round++) {
        struct talk talk;
        talk_open(&talk);
        unsigned end = (unsigned)dice_below(&dice, 2);
        if (dice_chance(&dice, 1, 2)) deliver(&talk, 1 - end, SIZE_MAX);
        struct buffer *pipe = &talk.pipes[end];
        if (dice_chance(&dice, 1, 2) && pipe->size > 0)
            pipe->data[dice_below(&dice, pipe->size)] ^= (uint8_t)(1 + dice_below(&dice, 255));
        else
            for (unsigned i = 0; i < 200; i++)
                buffer_append_byte(pipe, (uint8_t)dice_below(&dice, 256));
        exchange(&talk, 1 + (size_t)dice_below(&dice, 100));
        assert_false(talk.candidate.answered);
        assert_true(talk.closes[0] <= 1 && talk.closes[1] <= 1);
        talk_close(&talk);
    }
}

TEST(replica_vote, silence_is_the_end_of_either)
{
    struct talk talk;
    talk_open(&talk);
    talk.now_us = 5000;
    for (unsigned end = 0; end < 2; end++) {
        struct session_event event = {.kind = EVENT_TICK};
        step(&talk, end, &event);
        assert_int_equal(talk.closes[end], 0);
    }
    talk.now_us = 5002; /* the handshake's time */
    for (unsigned end = 0; end < 2; end++) {
        struct session_event event = {.kind = EVENT_TICK};
        step(&talk, end, &event);
        assert_int_equal(talk.closes[end], 1);
    }
    talk_close(&talk);
}

TEST(replica_vote, a_stream_that_ends_is_told_once)
{
    struct talk talk;
    talk_open(&talk);
    exchange(&talk, SIZE_MAX);
    for (unsigned end = 0; end < 2; end++) {
        struct session_event event = {.kind = EVENT_ENDED};
        step(&talk, end, &event);
        struct session_event again = {.kind = EVENT_ENDED};
        step(&talk, end, &again);
        assert_int_equal(talk.closes[end], 1);
    }
    answer(&talk, ASKED); /* too late is fine */
    assert_false(talk.candidate.answered);
    talk_close(&talk);
}
