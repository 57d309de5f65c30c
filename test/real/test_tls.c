/* SPDX-License-Identifier: Apache-2.0 */
/* Streams with TLS: both ends share the loop; what they say goes over real sockets. */
#define _GNU_SOURCE /* memmem */
#include "test/real/tls_bed.h"

static struct bytes flood_make(size_t size)
{
    uint8_t *flood = memory_alloc(size);
    for (size_t i = 0; i < size; i++) flood[i] = (uint8_t)((i * 2654435761u) >> 13);
    return bytes_of(flood, size);
}

static void flood_free(struct bytes flood)
{
    memory_free((void *)(uintptr_t)flood.data);
}

static bool got_is(const struct tls_end *end, struct bytes wanted)
{
    return bytes_equal(buffer_bytes(&end->got), wanted);
}

TEST(real_tls, what_either_end_sends_arrives_at_the_other)
{
    struct tls_bed bed;
    tls_bed_open(&bed);
    tls_bed_meet(&bed);
    tls_end_send(&bed.called, bytes_text("a"));
    tls_end_send(&bed.called, bytes_text("b"));
    tls_end_send(&bed.accepted, bytes_text("from the other end"));
    TLS_BED_UNTIL(&bed, bed.accepted.got.size == 2 && bed.called.got.size == 18);
    assert_true(got_is(&bed.accepted, bytes_text("ab")));
    assert_true(got_is(&bed.called, bytes_text("from the other end")));
    char peer[NET_ADDRESS_TEXT_BYTES], local[NET_ADDRESS_TEXT_BYTES];
    bed.client_net->ops->peer(bed.called.stream, peer);
    bed.server_net->ops->local(bed.accepted.stream, local);
    assert_string_equal(peer, bed.address);
    assert_string_equal(local, bed.address);
    assert_true(bed.client_net->ops->is_loopback(bed.called.stream));
    assert_string_equal(bed.server_net->guard->name, "tls");
    assert_null(bed.world.net->guard);
    assert_int_equal(bed.server->guard.refused + bed.client->guard.refused, 0);
    tls_bed_close(&bed);
}

/* What goes over the wire is not what is said. */
TEST(real_tls, nothing_of_it_can_be_read_on_the_way)
{
    struct tls_bed bed;
    struct tls_raw raw;
    char seen[4096];
    tls_bed_open(&bed);
    tls_raw_begin(&raw, &bed, "b");
    assert_true(tls_raw_shake(&raw));
    TLS_BED_UNTIL(&bed, bed.accepted.stream != NULL);
    tls_end_send(&bed.accepted, bytes_text("in the clear"));
    ssize_t got = -1;
    TLS_BED_UNTIL(&bed, (got = recv(raw.fd, seen, sizeof seen, 0)) > 0);
    assert_true(got > 12);
    assert_null(memmem(seen, (size_t)got, "clear", 5));
    tls_raw_end(&raw);
    tls_bed_close(&bed);
}

TEST(real_tls, records_that_arrive_byte_by_byte_are_put_together)
{
    struct tls_bed bed;
    struct tls_raw raw;
    tls_bed_open(&bed);
    tls_raw_begin(&raw, &bed, "b");
    assert_true(tls_raw_shake(&raw));
    TLS_BED_UNTIL(&bed, bed.accepted.stream != NULL);
    BIO *wire = BIO_new(BIO_s_mem()); /* instead of the socket */
    assert_non_null(wire);
    SSL_set0_wbio(raw.ssl, wire);
    struct bytes said = flood_make(40000); /* three records */
    assert_int_equal(SSL_write(raw.ssl, said.data, (int)said.size), (int)said.size);
    char *record = NULL;
    long size = BIO_get_mem_data(wire, &record);
    for (long i = 0; i < size; i++) {
        while (send(raw.fd, record + i, 1, 0) != 1) tls_bed_turn(&bed);
        if (i < 20 || i % 4096 == 0) tls_bed_turn(&bed);
        /* A record that is whole is given before the next is. */
        if (i == 17000) TLS_BED_UNTIL(&bed, bed.accepted.received >= 1);
        if (i == 33000) TLS_BED_UNTIL(&bed, bed.accepted.received >= 2);
    }
    TLS_BED_UNTIL(&bed, bed.accepted.got.size == said.size);
    assert_true(got_is(&bed.accepted, said));
    assert_true(bed.accepted.received >= 3);
    flood_free(said);
    tls_raw_end(&raw);
    tls_bed_close(&bed);
}

TEST(real_tls, an_end_that_does_not_read_keeps_the_other_waiting)
{
    struct tls_bed bed;
    tls_bed_open(&bed);
    tls_bed_meet(&bed);
    struct bytes flood = flood_make(24 << 20);
    bed.client_net->ops->pause(bed.called.stream, true);
    tls_end_send(&bed.accepted, flood);
    for (int i = 0; i < 200; i++) tls_bed_turn(&bed);
    assert_int_equal(bed.called.received, 0);
    assert_int_equal(bed.accepted.drained, 0);
    assert_true(bed.server_net->ops->unsent(bed.accepted.stream) > 8 << 20);
    const struct stream *paused = bed.called.stream;
    assert_false(bed.client_net->ops->has_ended(paused));
    bed.client_net->ops->pause(bed.called.stream, false);
    TLS_BED_UNTIL(&bed, bed.called.got.size >= flood.size);
    assert_true(got_is(&bed.called, flood));
    TLS_BED_UNTIL(&bed, bed.accepted.drained == 1);
    assert_int_equal(bed.server_net->ops->unsent(bed.accepted.stream), 0);
    flood_free(flood);
    tls_bed_close(&bed);
}

/* The end of the client's handshake and what it says first, in one packet. */
static void shake_and_say(struct tls_raw *raw, const char *text)
{
    BIO *wire = BIO_new(BIO_s_mem()); /* instead of the socket */
    char packet[4096];
    tls_raw_start(raw);
    SSL_set0_wbio(raw->ssl, wire);
    uint64_t until_ms = monotonic_ms() + 30000;
    for (bool shaken = false; !shaken;) {
        assert_true(monotonic_ms() < until_ms);
        ERR_clear_error();
        shaken = SSL_do_handshake(raw->ssl) == 1;
        int size = (int)strlen(text);
        if (shaken) assert_int_equal(SSL_write(raw->ssl, text, size), size);
        size = BIO_read(wire, packet, sizeof packet);
        if (size > 0) assert_int_equal(send(raw->fd, packet, (size_t)size, 0), size);
        if (!shaken) tls_bed_turn(raw->bed);
    }
}

TEST(real_tls, what_comes_with_the_end_of_the_handshake_is_told_unless_the_owner_pauses)
{
    for (int holds = 0; holds < 2; holds++) {
        struct tls_bed bed;
        struct tls_raw raw;
        tls_bed_open(&bed);
        bed.holds = holds == 1;
        tls_raw_begin(&raw, &bed, "b");
        shake_and_say(&raw, "early");
        TLS_BED_UNTIL(&bed, bed.accepted.stream != NULL);
        for (int i = 0; i < 20 && holds == 1; i++) tls_bed_turn(&bed);
        if (holds == 1) {
            assert_int_equal(bed.accepted.received, 0);
            bed.server_net->ops->pause(bed.accepted.stream, false);
            assert_int_equal(bed.accepted.received, 0);
        }
        TLS_BED_UNTIL(&bed, bed.accepted.received == 1);
        assert_true(got_is(&bed.accepted, bytes_text("early")));
        tls_raw_end(&raw);
        tls_bed_close(&bed);
    }
}

/* What was decrypted from behind a pause is told when reading goes on, and the end behind it. */
TEST(real_tls, a_pause_within_received_holds_up_the_rest_and_the_end)
{
    struct tls_bed bed;
    tls_bed_open(&bed);
    tls_bed_meet(&bed);
    struct bytes flood = flood_make(1 << 20);
    bed.called.pauses = true;
    tls_end_send(&bed.accepted, flood);
    tls_end_close(&bed.accepted, true);
    TLS_BED_UNTIL(&bed, bed.called.received == 1);
    for (int rounds = 1; bed.called.ended == 0; rounds++) {
        assert_true(rounds < 1000);
        for (int i = 0; i < 5; i++) tls_bed_turn(&bed);
        assert_int_equal(bed.called.received, rounds);
        if (bed.called.got.size == flood.size) bed.called.pauses = false;
        bed.client_net->ops->pause(bed.called.stream, false);
        if (bed.called.got.size == flood.size) break;
        TLS_BED_UNTIL(&bed, bed.called.received > rounds || bed.called.ended > 0);
    }
    TLS_BED_UNTIL(&bed, bed.called.ended == 1);
    assert_true(got_is(&bed.called, flood));
    assert_int_equal(bed.client->guard.cut, 0);
    flood_free(flood);
    tls_bed_close(&bed);
}

TEST(real_tls, many_small_and_large_sends_keep_their_order)
{
    struct tls_bed bed;
    tls_bed_open(&bed);
    tls_bed_meet(&bed);
    struct bytes flood = flood_make(3 << 20);
    bed.accepted.echoes = true;
    size_t at = 0;
    for (unsigned i = 0; at < flood.size; i++) {
        size_t size = i % 7 == 0 ? 200000 + i : i % 5 + 1;
        if (size > flood.size - at) size = flood.size - at;
        tls_end_send(&bed.called, bytes_of(flood.data + at, size));
        at += size;
        if (i % 10 == 0) tls_bed_turn(&bed);
    }
    TLS_BED_UNTIL(&bed, bed.called.got.size >= flood.size);
    assert_true(got_is(&bed.accepted, flood));
    assert_true(got_is(&bed.called, flood));
    flood_free(flood);
    tls_bed_close(&bed);
}

TEST(real_tls, a_peer_may_ask_for_new_keys)
{
    struct tls_bed bed;
    struct tls_raw raw;
    char got[16] = "";
    tls_bed_open(&bed);
    tls_raw_begin(&raw, &bed, "b");
    assert_true(tls_raw_shake(&raw));
    bed.accepted.echoes = true;
    TLS_BED_UNTIL(&bed, bed.accepted.stream != NULL);
    for (size_t i = 1; i <= 3; i++) {
        assert_int_equal(SSL_key_update(raw.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_write(raw.ssl, "new keys", 8), 8);
        TLS_BED_UNTIL(&bed, bed.accepted.got.size == 8 * i);
        assert_int_equal(tls_raw_read(&raw, got, sizeof got), 8);
        assert_string_equal(got, "new keys");
    }
    tls_raw_end(&raw);
    tls_bed_close(&bed);
}

/* ---- Ends ---- */

TEST(real_tls, a_close_with_flush_sends_all_and_says_that_it_is_all)
{
    struct tls_bed bed;
    tls_bed_open(&bed);
    tls_bed_meet(&bed);
    struct bytes flood = flood_make(8 << 20);
    tls_end_send(&bed.accepted, flood);
    tls_end_close(&bed.accepted, true);
    TLS_BED_UNTIL(&bed, bed.called.ended == 1);
    assert_true(got_is(&bed.called, flood));
    assert_true(bed.client_net->ops->has_ended(bed.called.stream));
    assert_int_equal(bed.client->guard.cut, 0);
    assert_false(tls_bed_said(&bed, "tls cut"));
    flood_free(flood);
    tls_bed_close(&bed);
}

TEST(real_tls, an_end_with_the_peers_word_is_an_end)
{
    struct tls_bed bed;
    struct tls_raw raw;
    tls_bed_open(&bed);
    tls_raw_begin(&raw, &bed, "b");
    assert_true(tls_raw_shake(&raw));
    assert_int_equal(SSL_write(raw.ssl, "all", 3), 3);
    assert_int_equal(SSL_shutdown(raw.ssl), 0);
    tls_raw_end(&raw);
    TLS_BED_UNTIL(&bed, bed.accepted.ended == 1);
    assert_true(got_is(&bed.accepted, bytes_text("all")));
    assert_int_equal(bed.server->guard.cut, 0);
    tls_bed_close(&bed);
}

TEST(real_tls, an_end_without_the_peers_word_is_noticed)
{
    struct tls_bed bed;
    struct tls_raw raw;
    tls_bed_open(&bed);
    tls_raw_begin(&raw, &bed, "b");
    assert_true(tls_raw_shake(&raw));
    assert_int_equal(SSL_write(raw.ssl, "part", 4), 4);
    TLS_BED_UNTIL(&bed, bed.accepted.received == 1);
    tls_raw_end(&raw);
    TLS_BED_UNTIL(&bed, bed.accepted.ended == 1);
    assert_true(got_is(&bed.accepted, bytes_text("part")));
    assert_int_equal(bed.server->guard.cut, 1);
    assert_true(tls_bed_said(&bed, "tls cut peer=127.0.0.1:"));
    tls_bed_close(&bed);
}

TEST(real_tls, bytes_that_were_changed_on_the_way_are_never_told)
{
    struct tls_bed bed;
    struct tls_raw raw;
    tls_bed_open(&bed);
    tls_raw_begin(&raw, &bed, "b");
    assert_true(tls_raw_shake(&raw));
    assert_int_equal(SSL_write(raw.ssl, "good", 4), 4);
    TLS_BED_UNTIL(&bed, bed.accepted.received == 1);
    BIO *wire = BIO_new(BIO_s_mem());
    assert_non_null(wire);
    SSL_set0_wbio(raw.ssl, wire);
    assert_int_equal(SSL_write(raw.ssl, "changed", 7), 7);
    char *record = NULL;
    long size = BIO_get_mem_data(wire, &record);
    record[size - 1] ^= 1;
    assert_int_equal(send(raw.fd, record, (size_t)size, 0), size);
    TLS_BED_UNTIL(&bed, bed.accepted.ended == 1);
    assert_true(got_is(&bed.accepted, bytes_text("good")));
    assert_true(bed.server_net->ops->has_ended(bed.accepted.stream));
    tls_end_send(&bed.accepted, bytes_text("to nobody")); /* harmless */
    assert_int_equal(bed.server->guard.cut, 1);
    char byte;
    int read = tls_raw_read(&raw, &byte, 1); /* it is told why: an alert, and no end */
    assert_int_equal(SSL_get_error(raw.ssl, read), SSL_ERROR_SSL);
    tls_raw_end(&raw);
    tls_bed_close(&bed);
}

TEST(real_tls, an_owner_may_close_within_received_and_within_accepted)
{
    struct tls_bed bed;
    tls_bed_open(&bed);
    bed.accepted.closes = true;
    tls_bed_meet(&bed);
    tls_end_send(&bed.called, bytes_text("bye"));
    TLS_BED_UNTIL(&bed, bed.called.ended == 1);
    assert_null(bed.accepted.stream);
    assert_int_equal(bed.client->guard.cut, 0);
    tls_end_close(&bed.called, false);
    bed.called.ended = 0;
    bed.shuts = true;
    tls_bed_dial(&bed);
    TLS_BED_UNTIL(&bed, bed.called.ended == 1);
    assert_int_equal(bed.accepts, 2);
    tls_bed_close(&bed);
}

TEST(real_tls, a_stream_that_nobody_takes_is_closed)
{
    struct tls_bed bed;
    tls_bed_open(&bed);
    bed.refuses = true;
    tls_bed_dial(&bed);
    TLS_BED_UNTIL(&bed, bed.called.ended == 1);
    assert_int_equal(bed.accepts, 1);
    assert_int_equal(bed.client->guard.cut, 0);
    tls_bed_close(&bed);
}

static void hand_on_received(struct stream_owner *owner, struct bytes bytes)
{
    struct tls_end *end = CONTAINER_OF(owner, struct tls_end, owner);
    tls_end_received(owner, bytes);
    end->net->ops->hand_on(end->stream, &end->bed->called.owner);
}

TEST(real_tls, a_stream_is_handed_on_within_received)
{
    static const struct stream_events events = {hand_on_received, tls_end_drained, tls_end_ended};
    struct tls_bed bed;
    struct tls_raw raw;
    tls_bed_open(&bed);
    tls_raw_begin(&raw, &bed, "b");
    assert_true(tls_raw_shake(&raw));
    TLS_BED_UNTIL(&bed, bed.accepted.stream != NULL);
    bed.accepted.owner.events = &events;
    bed.accepted.bed = &bed;
    (void)tls_end_take(&bed.called, bed.server_net, bed.accepted.stream);
    assert_int_equal(SSL_write(raw.ssl, "first", 5), 5);
    TLS_BED_UNTIL(&bed, bed.accepted.received == 1);
    assert_int_equal(SSL_write(raw.ssl, "second", 6), 6);
    TLS_BED_UNTIL(&bed, bed.called.received == 1);
    assert_true(got_is(&bed.accepted, bytes_text("first")));
    assert_true(got_is(&bed.called, bytes_text("second")));
    bed.accepted.stream = NULL; /* the other owner closes it */
    tls_raw_end(&raw);
    tls_bed_close(&bed);
}

TEST(real_tls, a_world_that_ends_takes_streams_listeners_and_dials_with_it)
{
    struct tls_bed bed;
    struct tls_raw raw;
    tls_bed_open(&bed);
    tls_bed_meet(&bed);
    tls_raw_connect(&raw, &bed); /* in its handshake for ever */
    TLS_BED_UNTIL(&bed, bed.server->shaking == 1);
    struct dial other = {.connected = tls_bed_connected, .failed = tls_bed_failed};
    struct net *net = bed.client_net;
    assert_int_equal(net->ops->dial(net, &other, bed.address, 1000000, NULL), ERR_OK);
    real_tls_close(bed.client);
    real_tls_close(bed.server);
    bed.accepted.stream = bed.called.stream = NULL;
    bed.listener.world = NULL;
    TLS_BED_UNTIL(&bed, tls_bed_handles(&bed) == 0);
    assert_int_equal(bed.accepted.ended + bed.called.ended + bed.failed, 0);
    tls_bed_tls(&bed, "a", &bed.server, &bed.server_net);
    tls_bed_tls(&bed, "b", &bed.client, &bed.client_net);
    tls_raw_end(&raw);
    tls_bed_close(&bed);
}
