/* SPDX-License-Identifier: Apache-2.0 */
/* tls_bed: two nets with TLS over one real net, with certificates made on the spot; and a peer that
 * is neither, but OpenSSL over a socket, or no TLS at all. */
#ifndef TEST_REAL_TLS_BED_H
#define TEST_REAL_TLS_BED_H

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "real/tls.h"
#include "test/real/net_server.h"

enum { DAY = 86400 };

/* ---- Certificates ---- */

/* Whoever signs, or the one who is signed. */
struct signer {
    EVP_PKEY *key;
    X509 *certificate;
};

static inline void signer_release(struct signer *signer)
{
    EVP_PKEY_free(signer->key);
    X509_free(signer->certificate);
}

/* Signed by `by`, or by itself as an authority; good from `from` to `until` seconds from now. */
static inline void signer_make(struct signer *out, const char *name, const struct signer *by,
                               long from, long until)
{
    static long serial;
    out->key = EVP_EC_gen("P-256");
    out->certificate = X509_new();
    assert_non_null(out->key);
    X509 *x = out->certificate;
    assert_int_equal(X509_set_version(x, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), from));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), until));
    assert_int_equal(X509_set_pubkey(x, out->key), 1);
    X509_NAME *subject = X509_get_subject_name(x);
    assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                                (const unsigned char *)name, -1, -1, 0),
                     1);
    assert_int_equal(
        X509_set_issuer_name(x, by == NULL ? subject : X509_get_subject_name(by->certificate)), 1);
    if (by == NULL) {
        X509_EXTENSION *authority = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
                                                        "critical,CA:TRUE");
        assert_non_null(authority);
        assert_int_equal(X509_add_ext(x, authority, -1), 1);
        X509_EXTENSION_free(authority);
    }
    assert_true(X509_sign(x, by == NULL ? out->key : by->key, EVP_sha256()) > 0);
}

static inline void signer_write(const struct signer *signer, const char *certificate_path,
                                const char *key_path, const char *password)
{
    FILE *file = fopen(certificate_path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, signer->certificate), 1);
    assert_int_equal(fclose(file), 0);
    if (key_path == NULL) return;
    file = fopen(key_path, "w");
    assert_non_null(file);
    const EVP_CIPHER *cipher = password == NULL ? NULL : EVP_aes_128_cbc();
    char own[32] = "";
    if (password != NULL) (void)snprintf(own, sizeof own, "%s", password);
    assert_int_equal(PEM_write_PKCS8PrivateKey(file, signer->key, cipher, NULL, 0, NULL,
                                               password == NULL ? NULL : own),
                     1);
    assert_int_equal(fclose(file), 0);
}

/* ---- The bed ---- */

struct tls_bed;

/* One end of a stream. */
struct tls_end {
    struct stream_owner owner;
    struct tls_bed *bed;
    struct net *net;
    struct stream *stream; /* NULL: none, or closed */
    struct buffer got;
    int received, ended, drained;
    bool pauses, closes, echoes; /* when it receives */
    bool inside;                 /* a call into the net */
};

struct tls_bed {
    struct real_world *real;
    struct world world;
    struct place_for_test place;
    struct trace trace;
    struct buffer log; /* of the nets with TLS */
    struct signer ours, foreign;
    struct real_tls *server, *client;
    struct net *server_net, *client_net;
    struct listener listener;
    char address[NET_ADDRESS_TEXT_BYTES];
    struct tls_end accepted, called;
    int accepts;
    bool refuses, shuts, holds; /* when a stream is accepted: by NULL, by close(), by a pause */
    size_t says;                /* so many bytes are sent as soon as the dial is connected */
    struct dial dial;
    int failed;
    enum dial_failure failure;
    struct why why;
    struct timer turn;
};

static inline void tls_end_close(struct tls_end *end, bool flush)
{
    struct stream *stream = end->stream;
    end->stream = NULL;
    if (stream != NULL) end->net->ops->close(stream, flush);
}

static inline void tls_end_send(struct tls_end *end, struct bytes bytes)
{
    end->inside = true;
    end->net->ops->send(end->stream, bytes);
    end->inside = false;
}

static inline void tls_end_received(struct stream_owner *owner, struct bytes bytes)
{
    struct tls_end *end = CONTAINER_OF(owner, struct tls_end, owner);
    assert_false(end->inside);
    assert_int_equal(end->ended, 0);
    assert_true(bytes.size > 0);
    end->received++;
    buffer_append(&end->got, bytes);
    if (end->echoes) tls_end_send(end, bytes);
    if (end->pauses) end->net->ops->pause(end->stream, true);
    if (end->closes) tls_end_close(end, false);
}

static inline void tls_end_drained(struct stream_owner *owner)
{
    struct tls_end *end = CONTAINER_OF(owner, struct tls_end, owner);
    assert_false(end->inside);
    end->drained++;
}

static inline void tls_end_ended(struct stream_owner *owner)
{
    struct tls_end *end = CONTAINER_OF(owner, struct tls_end, owner);
    assert_false(end->inside);
    end->ended++;
}

static const struct stream_events tls_end_events = {tls_end_received, tls_end_drained,
                                                    tls_end_ended};

static inline struct stream_owner *tls_end_take(struct tls_end *end, struct net *net,
                                                struct stream *stream)
{
    end->owner.events = &tls_end_events;
    end->net = net;
    end->stream = stream;
    return &end->owner;
}

static inline struct stream_owner *tls_bed_accepted(struct listener *listener,
                                                    struct stream *stream)
{
    struct tls_bed *bed = CONTAINER_OF(listener, struct tls_bed, listener);
    bed->accepts++;
    if (bed->refuses) return NULL;
    struct stream_owner *owner = tls_end_take(&bed->accepted, bed->server_net, stream);
    if (bed->holds) bed->server_net->ops->pause(stream, true);
    if (bed->shuts) tls_end_close(&bed->accepted, false);
    return owner;
}

static inline struct stream_owner *tls_bed_connected(struct dial *dial, struct stream *stream)
{
    struct tls_bed *bed = CONTAINER_OF(dial, struct tls_bed, dial);
    assert_null(dial->world);
    struct stream_owner *owner = tls_end_take(&bed->called, bed->client_net, stream);
    if (bed->says > 0) {
        uint8_t *said = memory_zeroed(bed->says, 1);
        tls_end_send(&bed->called, bytes_of(said, bed->says));
        memory_free(said);
    }
    return owner;
}

static inline void tls_bed_failed(struct dial *dial, enum dial_failure failure,
                                  const struct why *why)
{
    struct tls_bed *bed = CONTAINER_OF(dial, struct tls_bed, dial);
    assert_null(dial->world);
    bed->failed++;
    bed->failure = failure;
    bed->why = *why;
}

static inline void tls_bed_line(struct trace *trace, enum trace_level level, const char *room,
                                const char *event, const char *fields)
{
    struct tls_bed *bed = CONTAINER_OF(trace, struct tls_bed, trace);
    buffer_append_format(&bed->log, "%d %s %s %s\n", (int)level, room, event, fields);
}

static inline bool tls_bed_said(struct tls_bed *bed, const char *text)
{
    buffer_append_byte(&bed->log, 0);
    bed->log.size--;
    return strstr((const char *)bed->log.data, text) != NULL;
}

static inline void tls_bed_turn_over(struct timer *timer)
{
    real_world_stop(CONTAINER_OF(timer, struct tls_bed, turn)->real);
}

static inline void tls_bed_turn(struct tls_bed *bed)
{
    clock_timer_start(bed->world.clock, &bed->turn, 1000);
    real_world_run(bed->real);
}

/* Turns until it holds, or fails after a while. */
#define TLS_BED_UNTIL(bed, condition) \
    do { \
        uint64_t tls_bed_until_ms = monotonic_ms() + 30000; \
        while (!(condition)) { \
            if (monotonic_ms() > tls_bed_until_ms) fail_msg("never: %s", #condition); \
            tls_bed_turn(bed); \
        } \
    } while (0)

/* Certificate and key of that name, as options; the paths are good until the fourth call of
 * place_path(). */
static inline struct real_tls_options tls_bed_options(struct tls_bed *bed, const char *name)
{
    char certificate[64], key[64];
    (void)snprintf(certificate, sizeof certificate, "%s.crt", name);
    (void)snprintf(key, sizeof key, "%s.key", name);
    return (struct real_tls_options){.cert_file = place_path(&bed->place, certificate),
                                     .key_file = place_path(&bed->place, key),
                                     .key_pass = "",
                                     .ca_file = place_path(&bed->place, "ours.crt"),
                                     .ca_dir = "",
                                     .protocols = ""};
}

/* Writes the files of a certificate. */
static inline void tls_bed_make(struct tls_bed *bed, const char *name, const struct signer *by,
                                long from, long until)
{
    struct signer made;
    signer_make(&made, name, by, from, until);
    struct real_tls_options paths = tls_bed_options(bed, name);
    signer_write(&made, paths.cert_file, paths.key_file, NULL);
    signer_release(&made);
}

static inline void tls_bed_tls(struct tls_bed *bed, const char *name, struct real_tls **tls,
                               struct net **net)
{
    struct why why;
    struct real_tls_options options = tls_bed_options(bed, name);
    if (real_tls_open(tls, &bed->world, &options, net, &why) != ERR_OK) fail_msg("%s", why.text);
}

/* With the certificates of these names: "a" and "b" are good, "foreign" is of another authority,
 * "expired" was good, "early" will be. */
static inline void tls_bed_open_as(struct tls_bed *bed, const char *server, const char *client)
{
    memset(bed, 0, sizeof *bed);
    struct real_options options = {.keepalive_seconds = 300};
    assert_int_equal(real_world_open(&bed->real, &options, &bed->world, &bed->why), ERR_OK);
    place_make(&bed->place, "/tmp");
    bed->trace.line = tls_bed_line;
    bed->world.trace = &bed->trace;
    buffer_init(&bed->log);
    buffer_init(&bed->accepted.got);
    buffer_init(&bed->called.got);
    bed->turn.fired = tls_bed_turn_over;
    signer_make(&bed->ours, "ours", NULL, -DAY, DAY);
    signer_make(&bed->foreign, "theirs", NULL, -DAY, DAY);
    signer_write(&bed->ours, place_path(&bed->place, "ours.crt"), NULL, NULL);
    signer_write(&bed->foreign, place_path(&bed->place, "theirs.crt"), NULL, NULL);
    tls_bed_make(bed, "a", &bed->ours, -DAY, DAY);
    tls_bed_make(bed, "b", &bed->ours, -DAY, DAY);
    tls_bed_make(bed, "foreign", &bed->foreign, -DAY, DAY);
    tls_bed_make(bed, "expired", &bed->ours, -DAY, -60);
    tls_bed_make(bed, "early", &bed->ours, 3600, DAY);
    tls_bed_tls(bed, server, &bed->server, &bed->server_net);
    tls_bed_tls(bed, client, &bed->client, &bed->client_net);
    bed->listener.accepted = tls_bed_accepted;
    if (bed->server_net->ops->listen(bed->server_net, &bed->listener, "127.0.0.1:0", 0,
                                     &bed->why) != ERR_OK)
        fail_msg("%s", bed->why.text);
    const struct tls_listener *listener = bed->listener.world;
    listener_real_address(&listener->below, bed->address);
    bed->dial.connected = tls_bed_connected;
    bed->dial.failed = tls_bed_failed;
}

static inline void tls_bed_open(struct tls_bed *bed)
{
    tls_bed_open_as(bed, "a", "b");
}

static inline void tls_bed_dial(struct tls_bed *bed)
{
    struct net *net = bed->client_net;
    if (net->ops->dial(net, &bed->dial, bed->address, 20000000, &bed->why) != ERR_OK)
        fail_msg("%s", bed->why.text);
    assert_non_null(bed->dial.world);
}

/* Both ends are there. */
static inline void tls_bed_meet(struct tls_bed *bed)
{
    tls_bed_dial(bed);
    TLS_BED_UNTIL(bed, bed->called.stream != NULL && bed->accepted.stream != NULL);
    assert_int_equal(bed->failed, 0);
}

static inline size_t tls_bed_handles(struct tls_bed *bed)
{
    return CONTAINER_OF(bed->world.net, struct net_real, net)->handles;
}

/* Nothing is left behind, and the net below is let go of. */
static inline void tls_bed_close(struct tls_bed *bed)
{
    tls_end_close(&bed->accepted, false);
    tls_end_close(&bed->called, false);
    assert_int_equal(bed->server->shaking, 0);
    if (bed->listener.world != NULL)
        bed->server_net->ops->unlisten(bed->server_net, &bed->listener);
    TLS_BED_UNTIL(bed, tls_bed_handles(bed) == 0);
    assert_true(list_empty(&bed->server->streams) && list_empty(&bed->client->streams));
    assert_true(list_empty(&bed->client->dials));
    real_tls_close(bed->server);
    real_tls_close(bed->client);
    real_world_close(bed->real);
    signer_release(&bed->ours);
    signer_release(&bed->foreign);
    buffer_release(&bed->log);
    buffer_release(&bed->accepted.got);
    buffer_release(&bed->called.got);
    place_remove(&bed->place);
}

/* ---- A peer of another make ---- */

struct tls_raw {
    struct tls_bed *bed;
    int fd;
    SSL_CTX *context;
    SSL *ssl;
};

/* A connection without TLS so far. */
static inline void tls_raw_connect(struct tls_raw *raw, struct tls_bed *bed)
{
    *raw = (struct tls_raw){.bed = bed, .fd = connect_to(bed->address)};
    assert_true(raw->fd >= 0);
    assert_int_equal(fcntl(raw->fd, F_SETFL, O_NONBLOCK), 0);
}

/* A client that takes every server; with the certificate of this name, or NULL: none. */
static inline void tls_raw_begin(struct tls_raw *raw, struct tls_bed *bed, const char *name)
{
    tls_raw_connect(raw, bed);
    raw->context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(raw->context, 0); /* so that it may offer what is not taken */
    if (name != NULL) {
        struct real_tls_options paths = tls_bed_options(bed, name);
        assert_int_equal(SSL_CTX_use_certificate_chain_file(raw->context, paths.cert_file), 1);
        assert_int_equal(
            SSL_CTX_use_PrivateKey_file(raw->context, paths.key_file, SSL_FILETYPE_PEM), 1);
    }
}

static inline void tls_raw_start(struct tls_raw *raw)
{
    raw->ssl = SSL_new(raw->context);
    assert_int_equal(SSL_set_fd(raw->ssl, raw->fd), 1);
    SSL_set_connect_state(raw->ssl);
}

/* True: it wants to be called again. */
static inline bool tls_raw_waits(struct tls_raw *raw, int result)
{
    if (result > 0) return false;
    int error = SSL_get_error(raw->ssl, result);
    bool waits = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
    if (waits) tls_bed_turn(raw->bed);
    return waits;
}

/* True: it was let in, as far as it can tell. */
static inline bool tls_raw_shake(struct tls_raw *raw)
{
    int result;
    if (raw->ssl == NULL) tls_raw_start(raw);
    uint64_t until_ms = monotonic_ms() + 30000;
    do {
        assert_true(monotonic_ms() < until_ms);
        ERR_clear_error();
        result = SSL_do_handshake(raw->ssl);
    } while (tls_raw_waits(raw, result));
    return result == 1;
}

/* What the server says next; 0 or below: SSL_get_error() says what happened. */
static inline int tls_raw_read(struct tls_raw *raw, void *out, int size)
{
    int result;
    uint64_t until_ms = monotonic_ms() + 30000;
    do {
        assert_true(monotonic_ms() < until_ms);
        ERR_clear_error();
        result = SSL_read(raw->ssl, out, size);
    } while (tls_raw_waits(raw, result));
    return result;
}

static inline void tls_raw_end(struct tls_raw *raw)
{
    SSL_free(raw->ssl);
    SSL_CTX_free(raw->context);
    ERR_clear_error();
    if (raw->fd >= 0) (void)close(raw->fd);
}

/* The server has ended the connection. */
static inline bool tls_raw_is_over(struct tls_raw *raw)
{
    char byte;
    ssize_t got = recv(raw->fd, &byte, 1, 0);
    return got == 0 || (got < 0 && errno == ECONNRESET);
}

#endif
