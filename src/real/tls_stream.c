/* SPDX-License-Identifier: Apache-2.0 */
/* A stream's life:
 *
 *   SHAKING --both certificates are good--> OPEN --close()--> CLOSED
 *      `-- refused, cut or too slow: failed() ------------------^
 *
 * What the net below receives goes into `in`, memory of OpenSSL's; what it makes of it is read and
 * told at once, unless the owner has paused: then it stands there, at most what one event of the
 * net below brought, since that is paused too. What is sent is encrypted at once and given to the
 * net below, which keeps what the peer does not take; nothing waits here.
 *
 * The peer says that it has sent all (close_notify) before it ends its side. An end without that
 * may be somebody's on the way who cuts off what he does not like: the owner hears ended() as after
 * a reset, and it is counted and logged. In TLS 1.3 a client's handshake is over before the server
 * has seen its certificate; so a refusal may be the first thing that an open stream receives. */
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "real/tls.h"
#include "real/tls_context.h"

enum tls_phase { TLS_SHAKING, TLS_OPEN, TLS_CLOSED };

struct stream {
    struct stream_owner ear; /* the owner of `below` */
    struct stream *below;    /* the stream of the net below, whose struct only that net knows */
    struct real_tls *tls;
    struct tls_waiter *waiter; /* SHAKING */
    struct stream_owner *owner;
    enum tls_phase phase;
    SSL *ssl;
    BIO *in, *out; /* the SSL's */
    bool inside;   /* the owner is being told something: the struct stays until it returns */
    bool paused;
    bool heard;       /* bytes of the peer's have been told */
    bool all;         /* the peer has said that this is all */
    bool broken;      /* what was received, or to be sent, makes no sense: nothing more goes */
    bool below_ended; /* nothing more arrives */
    bool told;        /* ended() was called */
    char shown[160];  /* the name on a certificate that is not accepted */
    char peer[NET_ADDRESS_TEXT_BYTES]; /* also when the connection is broken */
    struct task go_on;
    struct timer deadline;
    struct list node; /* in tls->streams */
};

/* ---- Ending ---- */

static void stream_free(struct stream *stream)
{
    SSL_free(stream->ssl);
    memory_free(stream);
}

/* Lets go of the stream below; the struct goes too, unless the owner is inside. */
static void finish(struct stream *stream, bool flush)
{
    struct real_tls *tls = stream->tls;
    if (stream->phase == TLS_SHAKING && stream->waiter->accepts) tls->shaking--;
    stream->phase = TLS_CLOSED;
    stream->owner = NULL;
    list_remove(&stream->node);
    clock_cancel(tls->clock, &stream->go_on);
    clock_timer_stop(tls->clock, &stream->deadline);
    tls->below->ops->close(stream->below, flush);
    if (!stream->inside) stream_free(stream);
}

void tls_stream_drop(struct stream *stream)
{
    finish(stream, false);
}

void tls_streams_drop(struct real_tls *tls, const struct tls_waiter *waiter)
{
    struct list *next;
    for (struct list *node = tls->streams.next; node != &tls->streams; node = next) {
        struct stream *stream = CONTAINER_OF(node, struct stream, node);
        next = node->next;
        if (waiter == NULL || (stream->phase == TLS_SHAKING && stream->waiter == waiter))
            tls_stream_drop(stream);
    }
}

/* ---- Words ---- */

void tls_refuse(struct real_tls *tls, const char *peer, const struct why *why)
{
    uint64_t now_us = clock_now_us(tls->clock);
    tls->guard.refused++;
    if (now_us - tls->refused_us >= TLS_REFUSED_US) {
        tls->refused_us = now_us;
        tls->refused_lines = 0;
    }
    if (tls->refused_lines == TLS_REFUSED_LINES) return;
    tls->refused_lines++;
    trace_event(tls->trace, TRACE_WARNING, "tls", "refused", "peer=%s why=\"%s\" refused=%llu",
                peer, why->text, (unsigned long long)tls->guard.refused);
}

/* What the peer says of us: its alert. */
static const char *alert_text(int alert)
{
    switch (alert) {
    case SSL_AD_UNKNOWN_CA: return "no authority that it knows has signed it";
    case SSL_AD_CERTIFICATE_EXPIRED: return "it has expired";
    case SSL_AD_CERTIFICATE_REVOKED: return "it is revoked";
    case SSL_AD_CERTIFICATE_REQUIRED: return "it was not shown";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN: return "it is not good";
    }
    return NULL;
}

/* Notes whose certificate it is that is not accepted; afterwards nobody knows it. */
static int note_shown(int good, X509_STORE_CTX *check)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(check, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct stream *stream = SSL_get_app_data(ssl);
    if (good != 1)
        tls_subject(X509_STORE_CTX_get0_cert(check), stream->shown, sizeof stream->shown);
    return good;
}

static void explain_failure(const struct stream *stream, struct why *why)
{
    struct tls_reason reason;
    tls_reason_take(&reason);
    long verdict = SSL_get_verify_result(stream->ssl);
    const char *alert = reason.code > SSL_AD_REASON_OFFSET
                            ? alert_text(reason.code - SSL_AD_REASON_OFFSET)
                            : NULL;
    if (alert != NULL) {
        (void)why_fail(why, ERR_REFUSED, "it refuses the certificate of this copy: %s (%s)", alert,
                       reason.text);
    } else if (reason.code == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK) {
        (void)why_fail(why, ERR_REFUSED, "its certificate is not accepted: %s (%s)",
                       X509_verify_cert_error_string(verdict), stream->shown);
    } else if (reason.code == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        (void)why_fail(why, ERR_REFUSED, "it shows no certificate");
    } else if (reason.code == SSL_R_WRONG_VERSION_NUMBER || reason.code == SSL_R_HTTP_REQUEST) {
        (void)why_fail(why, ERR_REFUSED, "what it sends is not TLS");
    } else {
        (void)why_fail(why, ERR_REFUSED, "TLS: %s", reason.text);
    }
}

static void note_refused(const struct stream *stream, const struct why *why)
{
    tls_refuse(stream->tls, stream->peer, why);
}

static void note_cut(struct stream *stream, const char *reason)
{
    stream->tls->guard.cut++;
    trace_event(stream->tls->trace, TRACE_NOTICE, "tls", "cut", "peer=%s why=\"%s\"", stream->peer,
                reason);
}

/* ---- Sending ---- */

/* What OpenSSL wants the peer to have. */
static void flush_out(struct stream *stream)
{
    struct real_tls *tls = stream->tls;
    size_t size = 0;
    while (BIO_read_ex(stream->out, tls->wire, TLS_WIRE_BYTES, &size) == 1 && size > 0)
        tls->below->ops->send(stream->below, bytes_of(tls->wire, size));
}

void tls_stream_send(struct stream *stream, struct bytes bytes)
{
    MUST(stream->phase == TLS_OPEN);
    while (bytes.size > 0 && !stream->broken) {
        size_t size = bytes.size < TLS_SEND_BYTES ? bytes.size : TLS_SEND_BYTES, taken = 0;
        ERR_clear_error();
        if (SSL_write_ex(stream->ssl, bytes.data, size, &taken) != 1) {
            /* Whoever called must not hear of it before its call returns. */
            ERR_clear_error();
            stream->broken = true;
            clock_defer(stream->tls->clock, &stream->go_on);
            return;
        }
        flush_out(stream);
        bytes = bytes_of(bytes.data + taken, bytes.size - taken);
    }
}

size_t tls_stream_unsent(const struct stream *stream)
{
    return stream->tls->below->ops->unsent(stream->below);
}

/* ---- The handshake ---- */

static void shake_failed(struct stream *stream, enum dial_failure failure, const struct why *why)
{
    struct tls_waiter *waiter = stream->waiter;
    struct why told;
    (void)why_fail(&told, ERR_REFUSED, "%s: %s", stream->peer, why->text);
    note_refused(stream, why);
    finish(stream, true); /* the alert still goes out */
    waiter->failed(waiter, failure, &told);
}

static void shaken(struct stream *stream)
{
    struct tls_waiter *waiter = stream->waiter;
    clock_timer_stop(stream->tls->clock, &stream->deadline);
    if (waiter->accepts) stream->tls->shaking--;
    stream->phase = TLS_OPEN;
    stream->waiter = NULL;
    stream->inside = true;
    struct stream_owner *owner = waiter->shaken(waiter, stream);
    stream->inside = false;
    if (stream->phase == TLS_CLOSED) stream_free(stream); /* by who was offered it */
    else if (owner == NULL) tls_stream_close(stream, true);
    else {
        stream->owner = owner;
        clock_defer(stream->tls->clock, &stream->go_on);
    }
}

static void shake(struct stream *stream)
{
    ERR_clear_error();
    int result = SSL_do_handshake(stream->ssl);
    int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(stream->ssl, result);
    struct why why;
    flush_out(stream);
    if (result == 1) {
        shaken(stream);
    } else if (error != SSL_ERROR_WANT_READ) {
        explain_failure(stream, &why);
        shake_failed(stream, DIAL_REFUSED, &why);
    } else if (stream->below_ended) {
        (void)why_fail(&why, ERR_REFUSED, "it ended the connection in the middle of the handshake");
        shake_failed(stream, DIAL_REFUSED, &why);
    }
}

static void too_slow(struct timer *timer)
{
    struct stream *stream = CONTAINER_OF(timer, struct stream, deadline);
    struct why why;
    (void)why_fail(&why, ERR_REFUSED, "the handshake takes too long");
    shake_failed(stream, DIAL_TIMED_OUT, &why);
}

/* ---- Receiving ---- */

/* Nothing more makes sense. */
static void break_up(struct stream *stream)
{
    struct why why;
    explain_failure(stream, &why);
    stream->broken = true;
    if (stream->heard) note_cut(stream, why.text);
    else note_refused(stream, &why);
}

/* Decrypts as much as is there and fits; 0: nothing more is there. */
static size_t take_plain(struct stream *stream)
{
    size_t size = 0;
    while (size < TLS_PLAIN_BYTES && !stream->all && !stream->broken) {
        size_t got = 0;
        ERR_clear_error();
        int result = SSL_read_ex(stream->ssl, stream->tls->plain + size, TLS_PLAIN_BYTES - size,
                                 &got);
        size += got;
        if (result == 1) continue;
        int error = SSL_get_error(stream->ssl, result);
        if (error == SSL_ERROR_WANT_READ) break;
        if (error == SSL_ERROR_ZERO_RETURN) stream->all = true;
        else break_up(stream);
    }
    return size;
}

static void tell_ended(struct stream *stream)
{
    if (stream->told) return;
    stream->told = true;
    if (!stream->all && !stream->broken) note_cut(stream, "the end came without a word");
    stream->owner->events->ended(stream->owner);
}

/* Tells what is there, and the end behind it. A broken stream below does not wait for an owner that
 * has paused, and may wait in turn for what it sent to go out. */
static void deliver(struct stream *stream)
{
    stream->inside = true;
    while (stream->phase == TLS_OPEN && !stream->paused) {
        size_t size = take_plain(stream);
        if (size == 0) break;
        stream->heard = true;
        stream->owner->events->received(stream->owner, bytes_of(stream->tls->plain, size));
    }
    if (stream->phase == TLS_OPEN) flush_out(stream); /* an alert, an answer to a new key */
    if (stream->phase == TLS_OPEN && (stream->all || stream->broken || stream->below_ended))
        tell_ended(stream);
    stream->inside = false;
    if (stream->phase == TLS_CLOSED) stream_free(stream);
}

static void go_on(struct task *task)
{
    struct stream *stream = CONTAINER_OF(task, struct stream, go_on);
    if (stream->phase == TLS_SHAKING) shake(stream);
    else deliver(stream);
}

static struct stream *stream_of(struct stream_owner *ear)
{
    return CONTAINER_OF(ear, struct stream, ear);
}

static void below_received(struct stream_owner *ear, struct bytes bytes)
{
    struct stream *stream = stream_of(ear);
    size_t taken = 0;
    if (BIO_write_ex(stream->in, bytes.data, bytes.size, &taken) != 1 || taken != bytes.size)
        stream->broken = true;
    if (stream->phase == TLS_SHAKING) shake(stream);
    else deliver(stream);
}

static void below_drained(struct stream_owner *ear)
{
    struct stream *stream = stream_of(ear);
    if (stream->owner != NULL) stream->owner->events->drained(stream->owner);
}

static void below_ended(struct stream_owner *ear)
{
    struct stream *stream = stream_of(ear);
    stream->below_ended = true;
    if (stream->phase == TLS_SHAKING) shake(stream);
    else deliver(stream);
}

void tls_stream_pause(struct stream *stream, bool paused)
{
    MUST(stream->phase == TLS_OPEN);
    stream->paused = paused;
    if (!stream->below_ended) stream->tls->below->ops->pause(stream->below, paused);
    if (!paused && stream->owner != NULL) clock_defer(stream->tls->clock, &stream->go_on);
}

void tls_stream_hand_on(struct stream *stream, struct stream_owner *owner)
{
    MUST(stream->owner != NULL);
    stream->owner = owner;
}

bool tls_stream_has_ended(const struct stream *stream)
{
    return stream->all || stream->broken || stream->below_ended ||
           stream->tls->below->ops->has_ended(stream->below);
}

void tls_stream_close(struct stream *stream, bool flush)
{
    MUST(stream->phase == TLS_OPEN);
    if (!stream->broken) {
        ERR_clear_error();
        (void)SSL_shutdown(stream->ssl);
        ERR_clear_error();
        flush_out(stream);
    }
    finish(stream, flush);
}

/* ---- Names ---- */

void tls_stream_peer(const struct stream *stream, char out[NET_ADDRESS_TEXT_BYTES])
{
    memcpy(out, stream->peer, sizeof stream->peer);
}

void tls_stream_local(const struct stream *stream, char out[NET_ADDRESS_TEXT_BYTES])
{
    stream->tls->below->ops->local(stream->below, out);
}

bool tls_stream_is_loopback(const struct stream *stream)
{
    return stream->tls->below->ops->is_loopback(stream->below);
}

/* ---- Beginning ---- */

struct stream *tls_stream_begin(struct real_tls *tls, struct stream *below,
                                struct tls_waiter *waiter, uint64_t timeout_us)
{
    static const struct stream_events events = {below_received, below_drained, below_ended};
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL *ssl = SSL_new(tls->context);
    if (in == NULL || out == NULL || ssl == NULL) {
        BIO_free(in);
        BIO_free(out);
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    (void)BIO_set_mem_eof_return(in, -1); /* no more yet, which is not the end */
    SSL_set_bio(ssl, in, out);
    if (waiter->accepts) SSL_set_accept_state(ssl);
    else SSL_set_connect_state(ssl);
    struct stream *stream = memory_zeroed(1, sizeof *stream);
    *stream = (struct stream){.ear.events = &events,
                              .below = below,
                              .tls = tls,
                              .waiter = waiter,
                              .ssl = ssl,
                              .in = in,
                              .out = out,
                              .go_on.run = go_on,
                              .deadline.fired = too_slow};
    tls->below->ops->peer(below, stream->peer);
    (void)SSL_set_app_data(ssl, stream);
    SSL_set_verify(ssl, SSL_get_verify_mode(ssl), note_shown);
    list_append(&tls->streams, &stream->node);
    if (waiter->accepts) tls->shaking++;
    clock_timer_start(tls->clock, &stream->deadline, timeout_us);
    clock_defer(tls->clock, &stream->go_on); /* not inside the call of whoever begins */
    return stream;
}

struct stream_owner *tls_stream_ear(struct stream *stream)
{
    return &stream->ear;
}
