/* SPDX-License-Identifier: Apache-2.0 */
/* Who is not let in, and who does not let us in: each of it is counted, and said in the log. */
#include "test/real/tls_bed.h"

/* The server does not take the client's certificate. With TLS 1.3 the client hears of it after its
 * own handshake, and though much of what it has said already is never read. */
static void check_client(const char *client, const char *reason, const char *said)
{
    struct tls_bed bed;
    tls_bed_open_as(&bed, "a", client);
    bed.says = 4 << 20;
    tls_bed_dial(&bed);
    TLS_BED_UNTIL(&bed, bed.called.ended + bed.failed == 1);
    assert_int_equal(bed.accepts, 0);
    assert_int_equal(bed.called.received, 0);
    assert_int_equal(bed.server->guard.refused, 1);
    assert_int_equal(bed.client->guard.refused, 1);
    assert_int_equal(bed.client->guard.cut, 0);
    if (!tls_bed_said(&bed, reason) || !tls_bed_said(&bed, said))
        fail_msg("%s", (const char *)bed.log.data);
    tls_bed_close(&bed);
}

TEST(real_tls, a_client_of_another_authority_is_refused)
{
    check_client("foreign",
                 "why=\"its certificate is not accepted: unable to get local issuer certificate "
                 "(/CN=foreign)\" refused=1",
                 "why=\"it refuses the certificate of this copy: no authority that it knows has "
                 "signed it (");
}

TEST(real_tls, a_client_whose_certificate_has_expired_is_refused)
{
    check_client("expired",
                 "why=\"its certificate is not accepted: certificate has expired (/CN=expired)\"",
                 "why=\"it refuses the certificate of this copy: it has expired (");
}

TEST(real_tls, a_client_whose_certificate_is_not_good_yet_is_refused)
{
    check_client(
        "early",
        "why=\"its certificate is not accepted: certificate is not yet valid (/CN=early)\"",
        "why=\"it refuses the certificate of this copy: it is not good (");
}

/* The client does not take the server's, and never tells it anything. */
static void check_server(const char *server, const char *reason)
{
    struct tls_bed bed;
    tls_bed_open_as(&bed, server, "b");
    tls_bed_dial(&bed);
    TLS_BED_UNTIL(&bed, bed.failed == 1 && bed.server->guard.refused == 1);
    assert_int_equal(bed.failure, DIAL_REFUSED);
    assert_null(bed.called.stream);
    assert_int_equal(bed.accepts, 0);
    assert_int_equal(bed.client->guard.refused, 1);
    char wanted[256];
    (void)snprintf(wanted, sizeof wanted, "%s: its certificate is not accepted: %s (/CN=%s)",
                   bed.address, reason, server);
    assert_string_equal(bed.why.text, wanted);
    assert_true(tls_bed_said(&bed, "it refuses the certificate of this copy: "));
    tls_bed_close(&bed);
}

TEST(real_tls, a_server_without_a_good_certificate_is_left)
{
    check_server("foreign", "unable to get local issuer certificate");
    check_server("expired", "certificate has expired");
    check_server("early", "certificate is not yet valid");
}

TEST(real_tls, a_client_without_a_certificate_is_refused)
{
    struct tls_bed bed;
    struct tls_raw raw;
    char byte;
    tls_bed_open(&bed);
    tls_raw_begin(&raw, &bed, NULL);
    (void)tls_raw_shake(&raw);
    int read = tls_raw_read(&raw, &byte, 1);
    assert_int_equal(SSL_get_error(raw.ssl, read), SSL_ERROR_SSL); /* an alert, and no end */
    assert_int_equal(bed.accepts, 0);
    assert_int_equal(bed.server->guard.refused, 1);
    assert_true(tls_bed_said(&bed, "why=\"it shows no certificate\""));
    tls_raw_end(&raw);
    tls_bed_close(&bed);
}

TEST(real_tls, who_does_not_speak_tls_is_refused)
{
    static const char *const words[] = {"tdS1\1\1\0\0", "GET / HTTP/1.1\r\n\r\n",
                                        "*1\r\n$4\r\nPING\r\n"};
    struct tls_bed bed;
    tls_bed_open(&bed);
    for (unsigned i = 0; i < 3; i++) {
        struct tls_raw raw;
        tls_raw_connect(&raw, &bed);
        assert_true(send(raw.fd, words[i], 8, 0) == 8);
        TLS_BED_UNTIL(&bed, bed.server->guard.refused == i + 1);
        tls_raw_end(&raw);
    }
    assert_int_equal(bed.accepts, 0);
    assert_true(tls_bed_said(&bed, "why=\"what it sends is not TLS\" refused=3"));
    tls_bed_close(&bed);
}

static struct stream_owner *plain_accepted(struct listener *listener, struct stream *stream)
{
    (void)listener;
    (void)stream;
    return NULL; /* as a door does that is told something else than it expects */
}

TEST(real_tls, a_dial_to_a_port_that_does_not_speak_tls_fails)
{
    struct tls_bed bed;
    tls_bed_open(&bed);
    struct listener plain = {.accepted = plain_accepted};
    struct net *below = bed.world.net;
    assert_int_equal(below->ops->listen(below, &plain, "127.0.0.1:0", 0, NULL), ERR_OK);
    listener_real_address(&plain, bed.address);
    tls_bed_dial(&bed);
    TLS_BED_UNTIL(&bed, bed.failed == 1);
    assert_int_equal(bed.failure, DIAL_REFUSED);
    assert_non_null(strstr(bed.why.text, "ended the connection in the middle of the handshake"));
    below->ops->unlisten(below, &plain);
    tls_bed_close(&bed);
}

TEST(real_tls, a_dial_that_nobody_answers_fails_as_one_without_tls_does)
{
    struct tls_bed bed;
    tls_bed_open(&bed);
    bed.server_net->ops->unlisten(bed.server_net, &bed.listener);
    tls_bed_dial(&bed);
    TLS_BED_UNTIL(&bed, bed.failed == 1);
    assert_int_equal(bed.failure, DIAL_REFUSED);
    assert_non_null(strstr(bed.why.text, "Connection refused"));
    assert_int_equal(bed.client->guard.refused, 0);
    assert_int_equal(bed.client_net->ops->dial(bed.client_net, &bed.dial, "nowhere", 1, NULL),
                     ERR_CONFIG);
    assert_null(bed.dial.world);
    tls_bed_close(&bed);
}

/* ---- Time ---- */

TEST(real_tls, a_handshake_that_takes_too_long_is_ended)
{
    struct tls_bed bed;
    struct tls_raw raw;
    tls_bed_open(&bed);
    bed.server->handshake_us = 30000;
    tls_raw_connect(&raw, &bed);
    assert_true(send(raw.fd, "\x16\x03\x01", 3, 0) == 3); /* a record begins */
    TLS_BED_UNTIL(&bed, bed.server->shaking == 1);
    uint64_t begun_ms = monotonic_ms();
    TLS_BED_UNTIL(&bed, bed.server->guard.refused == 1);
    assert_true(monotonic_ms() - begun_ms < 5000);
    assert_true(tls_bed_said(&bed, "why=\"the handshake takes too long\""));
    TLS_BED_UNTIL(&bed, tls_raw_is_over(&raw));
    assert_int_equal(bed.server->shaking, 0);
    tls_raw_end(&raw);
    /* It is none of a stream that is open. */
    tls_bed_meet(&bed);
    for (int i = 0; i < 60; i++) tls_bed_turn(&bed);
    assert_int_equal(bed.accepted.ended + bed.called.ended, 0);
    tls_bed_close(&bed);
}

TEST(real_tls, a_dial_whose_handshake_nobody_answers_times_out)
{
    struct tls_bed bed;
    tls_bed_open(&bed);
    int silent = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof at;
    assert_int_equal(bind(silent, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(silent, 1), 0);
    assert_int_equal(getsockname(silent, (struct sockaddr *)&at, &size), 0);
    (void)snprintf(bed.address, sizeof bed.address, "127.0.0.1:%u", ntohs(at.sin_port));
    struct net *net = bed.client_net;
    assert_int_equal(net->ops->dial(net, &bed.dial, bed.address, 50000, NULL), ERR_OK);
    uint64_t begun_ms = monotonic_ms();
    TLS_BED_UNTIL(&bed, bed.failed == 1);
    assert_true(monotonic_ms() - begun_ms < 5000);
    assert_int_equal(bed.failure, DIAL_TIMED_OUT);
    (void)close(silent);
    tls_bed_close(&bed);
}

TEST(real_tls, so_many_handshakes_are_under_way_at_most)
{
    struct tls_bed bed;
    struct tls_raw raws[TLS_SHAKING_MAX + 1];
    tls_bed_open(&bed);
    for (int i = 0; i < TLS_SHAKING_MAX; i++) tls_raw_connect(&raws[i], &bed);
    TLS_BED_UNTIL(&bed, bed.server->shaking == TLS_SHAKING_MAX);
    assert_int_equal(bed.server->guard.refused, 0);
    tls_raw_connect(&raws[TLS_SHAKING_MAX], &bed);
    TLS_BED_UNTIL(&bed, bed.server->guard.refused == 1);
    TLS_BED_UNTIL(&bed, tls_raw_is_over(&raws[TLS_SHAKING_MAX]));
    assert_true(tls_bed_said(&bed, "too many handshakes"));
    for (int i = 0; i <= TLS_SHAKING_MAX; i++) tls_raw_end(&raws[i]);
    TLS_BED_UNTIL(&bed, bed.server->shaking == 0);
    tls_bed_meet(&bed);
    tls_bed_close(&bed);
}

TEST(real_tls, the_log_is_not_flooded_by_who_is_refused)
{
    struct tls_bed bed;
    tls_bed_open(&bed);
    for (unsigned i = 0; i < 2 * TLS_REFUSED_LINES; i++) {
        struct tls_raw raw;
        tls_raw_connect(&raw, &bed);
        assert_true(send(raw.fd, "not TLS\n", 8, 0) == 8);
        TLS_BED_UNTIL(&bed, bed.server->guard.refused == i + 1);
        tls_raw_end(&raw);
    }
    char wanted[32];
    (void)snprintf(wanted, sizeof wanted, "refused=%d\n", TLS_REFUSED_LINES);
    assert_true(tls_bed_said(&bed, wanted));
    (void)snprintf(wanted, sizeof wanted, "refused=%d\n", TLS_REFUSED_LINES + 1);
    assert_false(tls_bed_said(&bed, wanted));
    tls_bed_close(&bed);
}

/* ---- Letting go in the middle ---- */

TEST(real_tls, a_listener_that_goes_ends_handshakes_without_a_word)
{
    struct tls_bed bed;
    struct tls_raw raw;
    tls_bed_open(&bed);
    tls_raw_connect(&raw, &bed);
    TLS_BED_UNTIL(&bed, bed.server->shaking == 1);
    bed.server_net->ops->unlisten(bed.server_net, &bed.listener);
    assert_null(bed.listener.world);
    assert_int_equal(bed.server->shaking, 0);
    TLS_BED_UNTIL(&bed, tls_raw_is_over(&raw));
    assert_int_equal(bed.server->guard.refused, 0);
    tls_raw_end(&raw);
    tls_bed_close(&bed);
}

TEST(real_tls, a_dial_is_cancelled_at_any_turn_and_nobody_is_told)
{
    struct tls_bed bed;
    tls_bed_open(&bed);
    struct net *net = bed.client_net;
    int cancelled = 0;
    for (int turns = 0; turns < 12; turns++) {
        tls_bed_dial(&bed);
        for (int i = 0; i < turns; i++)
            loop_turn(CONTAINER_OF(bed.world.clock, struct loop, clock));
        if (bed.called.stream != NULL) break;
        net->ops->cancel(net, &bed.dial);
        net->ops->cancel(net, &bed.dial);
        assert_null(bed.dial.world);
        cancelled++;
    }
    assert_true(cancelled >= 2);
    for (int i = 0; i < 50; i++) tls_bed_turn(&bed);
    assert_int_equal(bed.failed, 0);
    tls_bed_close(&bed);
}

/* ---- What is spoken ---- */

static void check_version(int least, int most, int spoken)
{
    struct tls_bed bed;
    struct tls_raw raw;
    tls_bed_open(&bed);
    tls_raw_begin(&raw, &bed, "b");
    assert_int_equal(SSL_CTX_set_min_proto_version(raw.context, least), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(raw.context, most), 1);
    assert_int_equal(tls_raw_shake(&raw), spoken != 0);
    if (spoken != 0) assert_int_equal(SSL_version(raw.ssl), spoken);
    else TLS_BED_UNTIL(&bed, bed.server->guard.refused == 1);
    if (spoken != 0) TLS_BED_UNTIL(&bed, bed.accepts == 1);
    tls_raw_end(&raw);
    tls_bed_close(&bed);
}

TEST(real_tls, the_newest_version_is_preferred_and_none_below_1_2_is_spoken)
{
    check_version(TLS1_2_VERSION, TLS1_3_VERSION, TLS1_3_VERSION);
    check_version(TLS1_2_VERSION, TLS1_2_VERSION, TLS1_2_VERSION);
    check_version(TLS1_VERSION, TLS1_1_VERSION, 0);
}

/* Or whoever was let in once could come back after its certificate has expired. */
TEST(real_tls, a_session_cannot_be_resumed)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (int i = 0; i < 2; i++) {
        struct tls_bed bed;
        struct tls_raw raw;
        char byte;
        tls_bed_open(&bed);
        tls_raw_begin(&raw, &bed, "b");
        assert_int_equal(SSL_CTX_set_max_proto_version(raw.context, versions[i]), 1);
        assert_true(tls_raw_shake(&raw));
        TLS_BED_UNTIL(&bed, bed.accepted.stream != NULL);
        tls_end_send(&bed.accepted, bytes_text("x"));
        assert_int_equal(tls_raw_read(&raw, &byte, 1), 1);
        assert_false(SSL_SESSION_is_resumable(SSL_get_session(raw.ssl)));
        assert_false(SSL_SESSION_has_ticket(SSL_get_session(raw.ssl)));
        tls_raw_end(&raw);
        tls_bed_close(&bed);
    }
}

TEST(real_tls, nothing_is_compressed_or_negotiated_again)
{
    struct tls_bed bed;
    struct tls_raw raw;
    tls_bed_open(&bed);
    tls_raw_begin(&raw, &bed, "b");
    (void)SSL_CTX_clear_options(raw.context, SSL_OP_NO_COMPRESSION);
    assert_int_equal(SSL_CTX_set_max_proto_version(raw.context, TLS1_2_VERSION), 1);
    assert_true(tls_raw_shake(&raw));
    TLS_BED_UNTIL(&bed, bed.accepted.stream != NULL);
    assert_null(SSL_get_current_compression(raw.ssl));
    assert_int_equal(SSL_renegotiate(raw.ssl), 1);
    assert_false(tls_raw_shake(&raw));
    tls_raw_end(&raw);
    tls_bed_close(&bed);
}
