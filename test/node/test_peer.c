/* SPDX-License-Identifier: Apache-2.0 */
/* A peer over a stream whose other end is the test, with a session that writes down what it is told
 * in one letter each: O opened, L log, T tick, E ended, S stop, R result, and a byte as it came.
 * Bytes that mean something: 'x' says goodbye, 'w' has a result waiting, 's' sends an 'S'. */
#include "node/peer.h"

#include "node/limits.h"
#include "test/face/redis/fake_net.h"
#include "test/test.h"

enum { TOLD_BYTES = 4096 };

struct seat {
    struct entropy entropy;
    struct fake_clock clock;
    struct fake_net net;
    struct world world;
    struct listener listener;
    struct peer peer;
    struct stream *stream;
    char told[TOLD_BYTES];
    unsigned size, drained, ended, results, endless;
    bool inside, full;
    size_t out_at_effect;
    uint8_t nonce[MESSAGE_NONCE_BYTES];
};

static void seat_fill(struct entropy *entropy, void *out, size_t size)
{
    (void)entropy;
    memset(out, 0x5a, size);
}

static struct seat *seat_of(struct peer *peer)
{
    return CONTAINER_OF(peer, struct seat, peer);
}

static void seat_note(struct seat *seat, char letter)
{
    if (seat->size + 1 < TOLD_BYTES) seat->told[seat->size++] = letter;
    seat->told[seat->size] = 0;
}

static void seat_take(struct seat *seat, struct bytes *bytes, struct session_effects *out)
{
    char byte = (char)bytes->data[0];
    *bytes = bytes_of(bytes->data + 1, bytes->size - 1);
    seat_note(seat, byte);
    if (byte == 's') buffer_append_text(&out->send, "S");
    if (byte == 's' || byte == 'w') out->at[out->count++].kind = EFFECT_STATE;
    if (byte == 'w') seat->results++;
    if (byte == 'x') out->at[out->count++].kind = EFFECT_CLOSE;
}

static void seat_step(struct peer *peer, const struct session_event *event,
                      struct session_effects *out)
{
    struct seat *seat = seat_of(peer);
    assert_false(seat->inside);
    assert_int_equal(event->now_us, seat->clock.us);
    buffer_clear(&out->send);
    out->count = 0;
    if (event->kind == EVENT_OPENED) {
        memcpy(seat->nonce, event->nonce, sizeof seat->nonce);
        seat_note(seat, 'O');
    }
    if (event->kind == EVENT_RECEIVED) seat_take(seat, event->bytes, out);
    if (event->kind == EVENT_LOG) seat_note(seat, 'L');
    if (event->kind == EVENT_TICK) seat_note(seat, 'T');
    if (event->kind == EVENT_FACTS) seat_note(seat, 'R');
    if (event->kind == EVENT_STOP || event->kind == EVENT_ENDED) {
        seat_note(seat, event->kind == EVENT_STOP ? 'S' : 'E');
        out->at[out->count++].kind = EFFECT_CLOSE;
    }
}

static void seat_effect(struct peer *peer, const struct session_effect *effect)
{
    struct seat *seat = seat_of(peer);
    assert_int_equal(effect->kind, EFFECT_STATE);
    seat->out_at_effect = seat->stream->out.size;
    seat->inside = true; /* an effect that answers at once does not step */
    peer_wake(peer);
    seat->inside = false;
}

static bool seat_result(struct peer *peer, struct session_event *event)
{
    struct seat *seat = seat_of(peer);
    if (seat->endless > 0) seat->results = seat->endless--;
    if (seat->results == 0) return false;
    seat->results--;
    event->kind = EVENT_FACTS;
    return true;
}

static void seat_log(struct peer *peer, struct session_event *event)
{
    (void)peer;
    event->appended = (struct lsn){1};
}

static void seat_drained(struct peer *peer)
{
    seat_of(peer)->drained++;
}

static void seat_ended(struct peer *peer)
{
    struct seat *seat = seat_of(peer);
    assert_null(peer->stream);
    seat->ended++;
    memset(peer, 0xee, sizeof *peer); /* the owner may free it */
}

static bool seat_full(struct peer *peer)
{
    return seat_of(peer)->full;
}

static const struct peer_ops seat_ops = {seat_step,    seat_effect, seat_result, seat_log,
                                         seat_drained, seat_ended,  seat_full};

static struct stream_owner *seat_accepted(struct listener *listener, struct stream *stream)
{
    struct seat *seat = CONTAINER_OF(listener, struct seat, listener);
    peer_open(&seat->peer, &seat_ops, &seat->world, stream);
    return &seat->peer.owner;
}

static void seat_open(struct seat *seat)
{
    static const struct entropy_ops entropy = {seat_fill};
    memset(seat, 0, sizeof *seat);
    seat->entropy.ops = &entropy;
    fake_clock_init(&seat->clock);
    fake_net_init(&seat->net);
    seat->world = (struct world){.clock = &seat->clock.base,
                                 .entropy = &seat->entropy,
                                 .net = &seat->net.base,
                                 .peers = &seat->net.base};
    seat->listener.accepted = seat_accepted;
    struct why why;
    (void)seat->net.base.ops->listen(&seat->net.base, &seat->listener, "127.0.0.1:1", 0, &why);
    seat->stream = fake_connect(&seat->net, false);
}

static void seat_get(struct seat *seat, const char *text)
{
    seat->stream->owner->events->received(seat->stream->owner, bytes_text(text));
}

static void seat_turn(struct seat *seat)
{
    fake_clock_turn(&seat->clock);
}

static void seat_close(struct seat *seat)
{
    if (seat->ended == 0) {
        peer_drop(&seat->peer);
        peer_drop(&seat->peer);
    }
    assert_true(seat->stream->closed);
    seat_turn(seat);
    fake_net_release(&seat->net);
}

TEST(node_peer, opens_with_a_drawn_nonce_before_bytes_that_were_there_first)
{
    struct seat seat;
    seat_open(&seat);
    seat_get(&seat, "ab");
    assert_int_equal(seat.size, 0); /* nothing is stepped from inside an event */
    seat_turn(&seat);
    assert_string_equal(seat.told, "Oab");
    assert_int_equal(seat.nonce[MESSAGE_NONCE_BYTES - 1], 0x5a);
    seat_close(&seat);
}

TEST(node_peer, tells_results_first_then_the_log_then_bytes_then_the_tick_then_the_end)
{
    struct seat seat;
    seat_open(&seat);
    seat_turn(&seat);
    seat.stream->owner->events->ended(seat.stream->owner);
    peer_tick(&seat.peer);
    seat_get(&seat, "ab");
    peer_log(&seat.peer);
    seat.results = 2;
    peer_wake(&seat.peer);
    seat_turn(&seat);
    assert_string_equal(seat.told, "ORRLabTE");
    assert_int_equal(seat.ended, 1);
    assert_true(seat.stream->flushed);
    seat_close(&seat);
}

TEST(node_peer, a_stop_comes_before_everything_else)
{
    struct seat seat;
    seat_open(&seat);
    seat_turn(&seat);
    seat_get(&seat, "ab");
    seat.results = 1;
    peer_stop(&seat.peer, BYE_STOP);
    seat_turn(&seat);
    assert_string_equal(seat.told, "OS");
    assert_int_equal(seat.ended, 1);
    seat_close(&seat);
}

TEST(node_peer, what_comes_while_it_is_full_is_left_until_it_is_not)
{
    struct seat seat;
    seat_open(&seat);
    seat_turn(&seat);
    seat.full = true;
    seat_get(&seat, "ab");
    peer_tick(&seat.peer);
    seat_turn(&seat);
    assert_string_equal(seat.told, "OT");
    peer_log(&seat.peer);
    seat_turn(&seat);
    assert_string_equal(seat.told, "OTL");
    seat.full = false;
    peer_log(&seat.peer);
    seat_turn(&seat);
    assert_string_equal(seat.told, "OTLLab");
    seat_close(&seat);
}

TEST(node_peer, what_the_steps_of_a_turn_send_goes_in_one_piece_at_its_end)
{
    struct seat seat;
    seat_open(&seat);
    seat_get(&seat, "sss");
    seat_turn(&seat);
    assert_int_equal(seat.out_at_effect, 0);
    assert_int_equal(seat.stream->out.size, 3);
    assert_int_equal(seat.stream->sends, 1);
    seat_close(&seat);
}

TEST(node_peer, what_an_effect_answers_at_once_is_told_before_the_next_frame)
{
    struct seat seat;
    seat_open(&seat);
    seat_get(&seat, "awb");
    seat_turn(&seat);
    assert_string_equal(seat.told, "OawRb");
    seat_close(&seat);
}

TEST(node_peer, nothing_is_told_after_the_end_and_what_is_unsent_goes_out)
{
    struct seat seat;
    seat_open(&seat);
    seat.stream->window = 0;
    peer_tick(&seat.peer);
    seat_get(&seat, "sxab");
    seat_turn(&seat);
    assert_string_equal(seat.told, "Osx");
    assert_int_equal(seat.ended, 1);
    assert_true(seat.stream->flushed);
    assert_int_equal(seat.stream->out.size, 1);
    seat_close(&seat);
}

TEST(node_peer, takes_a_bounded_number_of_steps_a_turn_and_goes_on_in_the_next)
{
    struct seat seat;
    seat_open(&seat);
    seat.endless = NODE_PEER_STEPS + 50; /* the result of each is there at once */
    seat_turn(&seat);
    assert_int_equal(seat.size, NODE_PEER_STEPS);
    peer_log(&seat.peer); /* brings no step into this turn */
    seat_turn(&seat);
    assert_int_equal(seat.size, NODE_PEER_STEPS);
    fake_clock_pass(&seat.clock, 0);
    assert_true(seat.size > NODE_PEER_STEPS);
    for (unsigned i = 0; i < 50; i++) fake_clock_pass(&seat.clock, 0);
    assert_int_equal(seat.told[seat.size - 1], 'L');
    seat_close(&seat);
}

TEST(node_peer, effects_that_wake_it_bring_no_more_steps_into_the_turn)
{
    struct seat seat;
    seat_open(&seat);
    char many[NODE_PEER_STEPS + 51];
    memset(many, 's', sizeof many - 1);
    many[sizeof many - 1] = 0;
    seat_get(&seat, many);
    seat_turn(&seat);
    assert_int_equal(seat.size, NODE_PEER_STEPS);
    fake_clock_pass(&seat.clock, 0);
    assert_int_equal(seat.size, NODE_PEER_STEPS + 51);
    seat_close(&seat);
}

TEST(node_peer, a_stream_that_brings_too_much_is_paused_until_it_is_taken)
{
    struct seat seat;
    seat_open(&seat);
    struct buffer much;
    buffer_init(&much);
    memset(buffer_reserve(&much, NODE_PEER_RECEIVED_BYTES + 1), 'a', NODE_PEER_RECEIVED_BYTES + 1);
    much.size = NODE_PEER_RECEIVED_BYTES + 1;
    seat.stream->owner->events->received(seat.stream->owner, buffer_bytes(&much));
    assert_true(seat.stream->paused);
    seat_turn(&seat);
    assert_false(seat.stream->paused); /* some of it was taken */
    buffer_release(&much);
    seat_close(&seat);
}

TEST(node_peer, a_peer_that_takes_nothing_is_told_no_more_of_the_log)
{
    struct seat seat;
    seat_open(&seat);
    seat_turn(&seat);
    (void)buffer_reserve(&seat.stream->waiting, NODE_PEER_UNSENT_BYTES + 1);
    seat.stream->waiting.size = NODE_PEER_UNSENT_BYTES + 1;
    peer_log(&seat.peer);
    seat_turn(&seat);
    assert_string_equal(seat.told, "O");
    seat.stream->waiting.size = 0;
    seat.stream->owner->events->drained(seat.stream->owner);
    assert_int_equal(seat.drained, 1);
    seat_turn(&seat);
    assert_string_equal(seat.told, "OL");
    seat_close(&seat);
}

TEST(node_peer, let_go_of_inside_a_turn_is_heard_of_no_more)
{
    struct seat seat;
    seat_open(&seat);
    seat_get(&seat, "ab");
    peer_tick(&seat.peer);
    peer_drop(&seat.peer);
    peer_stop(&seat.peer, BYE_STOP);
    seat_turn(&seat);
    assert_int_equal(seat.size, 0);
    assert_int_equal(seat.ended, 0);
    assert_false(seat.stream->flushed);
    seat_close(&seat);
}

TEST(node_peer, without_a_secret_only_this_machine_and_a_guarded_net_will_do)
{
    const struct net_guard guard = {.name = "tls"};
    struct seat seat;
    seat_open(&seat);
    assert_true(peer_is_private(&seat.world, seat.stream));
    seat.stream->elsewhere = true;
    assert_false(peer_is_private(&seat.world, seat.stream));
    seat.net.base.guard = &guard;
    assert_true(peer_is_private(&seat.world, seat.stream));
    seat_close(&seat);
}
