/* SPDX-License-Identifier: Apache-2.0 */
/* A dial's life:
 *
 *   LOOKUP --found--> TRYING --connected------------------> over: connected()
 *      |               ^  |`--no address is left----------> over: failed()
 *      |               `--'   one failed, the next
 *      `--no such name, no time left----------------------> over: failed()
 *   either --cancel()-------------------------------------> over, nobody is told
 *
 * A numeric address is not looked up, and its first try is a deferred task, so that nobody hears of
 * a failure before dial() has returned. A name goes to the system's resolver on a thread of
 * libuv's. Once it runs there it cannot be called back: a dial that is over leaves it alone, and
 * what it found is dropped.
 *
 * Each address gets an equal share of the time that is left, so that one that swallows everything
 * does not take it from the next. */
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "real/net.h"

/* One address being tried. */
struct attempt {
    uv_poll_t poll;
    struct net_real *net;
    struct dial_real *dial;
    int descriptor;
};

struct dial_real {
    struct net_real *net;
    struct dial *dial;    /* NULL: over, and only the lookup keeps it */
    struct list node;     /* in net->dials until it is over */
    struct addrinfo *all; /* what was found */
    const struct addrinfo *next;
    struct attempt *attempt;
    struct timer timer;
    struct task begin;
    uint64_t deadline_us;
    enum dial_failure failure; /* of the last address that was tried */
    struct why why;
    bool is_looking; /* libuv has `lookup` */
    uv_getaddrinfo_t lookup;
    struct address_name name;
};

/* ---- Ending ---- */

static void attempt_on_closed(uv_handle_t *handle)
{
    struct attempt *attempt = CONTAINER_OF((uv_poll_t *)handle, struct attempt, poll);
    attempt->net->handles -= 1;
    memory_free(attempt);
}

/* Returns the descriptor, which nobody watches any more; -1: nothing was being tried. */
static int dial_take_descriptor(struct dial_real *real)
{
    struct attempt *attempt = real->attempt;
    if (attempt == NULL) return -1;
    real->attempt = NULL;
    uv_close((uv_handle_t *)&attempt->poll, attempt_on_closed);
    return attempt->descriptor;
}

static void dial_free(struct dial_real *real)
{
    if (real->all != NULL) uv_freeaddrinfo(real->all);
    real->net->handles -= 1;
    memory_free(real);
}

/* The caller's struct is free from here on; returned, to be told. */
static struct dial *dial_over(struct dial_real *real)
{
    struct dial *dial = real->dial;
    int descriptor = dial_take_descriptor(real);
    if (descriptor >= 0) (void)close(descriptor);
    clock_timer_stop(&real->net->loop->clock, &real->timer);
    clock_cancel(&real->net->loop->clock, &real->begin);
    list_remove(&real->node);
    real->dial = NULL;
    dial->world = NULL;
    if (real->is_looking) (void)uv_cancel((uv_req_t *)&real->lookup);
    else dial_free(real);
    return dial;
}

void dial_drop_node(struct list *node)
{
    (void)dial_over(CONTAINER_OF(node, struct dial_real, node));
}

static void dial_fail(struct dial_real *real)
{
    enum dial_failure failure = real->failure;
    struct why why = real->why;
    struct dial *dial = dial_over(real);
    dial->failed(dial, failure, &why);
}

static void dial_note(struct dial_real *real, enum dial_failure failure, const char *text)
{
    const struct address_name *name = &real->name;
    real->failure = failure;
    (void)why_fail(&real->why, ERR_IO, name->is_six ? "[%s]:%s: %s" : "%s:%s: %s", name->host,
                   name->port, text);
}

static void dial_note_errno(struct dial_real *real, int number)
{
    enum dial_failure failure = DIAL_HERE;
    if (number == ECONNREFUSED || number == ECONNRESET) failure = DIAL_REFUSED;
    if (number == ETIMEDOUT) failure = DIAL_TIMED_OUT;
    if (number == ENETUNREACH || number == EHOSTUNREACH || number == ENETDOWN ||
        number == EHOSTDOWN || number == EADDRNOTAVAIL || number == EACCES || number == EPERM ||
        number == EAFNOSUPPORT || number == EINVAL)
        failure = DIAL_UNREACHABLE;
    dial_note(real, failure, strerror(number));
}

/* ---- Trying ---- */

/* A port of this machine that nobody listens on may be chosen for our own end as well: then TCP
 * connects the socket to itself. */
static bool is_own_end(int descriptor, const struct address *local)
{
    struct address peer = {.size = sizeof(peer.socket)};
    return getpeername(descriptor, (struct sockaddr *)&peer.socket, &peer.size) == 0 &&
           peer.size == local->size && memcmp(&peer.socket, &local->socket, peer.size) == 0;
}

static void dial_try(struct dial_real *real);

static void dial_connected(struct dial_real *real)
{
    struct net_real *net = real->net;
    int descriptor = dial_take_descriptor(real);
    struct address local = {.size = sizeof(local.socket)};
    (void)getsockname(descriptor, (struct sockaddr *)&local.socket, &local.size);
    if (is_own_end(descriptor, &local)) {
        (void)close(descriptor);
        dial_note_errno(real, ECONNREFUSED);
        dial_try(real);
        return;
    }
    struct stream *stream = stream_begin(net, descriptor, &local);
    if (stream == NULL) {
        dial_note_errno(real, ENOMEM);
        dial_fail(real);
        return;
    }
    struct dial *dial = dial_over(real);
    stream_owned(stream, dial->connected(dial, stream));
}

static void dial_on_writable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct dial_real *real = CONTAINER_OF(poll, struct attempt, poll)->dial;
    int number = 0;
    socklen_t size = sizeof(number);
    if (getsockopt(real->attempt->descriptor, SOL_SOCKET, SO_ERROR, &number, &size) != 0)
        number = errno;
    if (number == 0) {
        dial_connected(real);
        return;
    }
    (void)close(dial_take_descriptor(real));
    dial_note_errno(real, number);
    dial_try(real);
}

/* Begins to connect to one address; false: that has failed already. */
static bool dial_begin_one(struct dial_real *real, const struct addrinfo *to)
{
    int descriptor = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) {
        dial_note_errno(real, errno);
        return false;
    }
    int number = connect(descriptor, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
    struct attempt *attempt = memory_zeroed(1, sizeof(*attempt));
    *attempt = (struct attempt){.net = real->net, .dial = real, .descriptor = descriptor};
    if (number == EINPROGRESS || number == 0)
        number = -uv_poll_init(&real->net->loop->uv, &attempt->poll, descriptor);
    if (number != 0) {
        (void)close(descriptor);
        memory_free(attempt);
        dial_note_errno(real, number);
        return false;
    }
    real->net->handles += 1;
    real->attempt = attempt;
    MUST(uv_poll_start(&attempt->poll, UV_WRITABLE, dial_on_writable) == 0);
    return true;
}

/* The next address, or the end. */
static void dial_try(struct dial_real *real)
{
    struct clock *clock = &real->net->loop->clock;
    clock_timer_stop(clock, &real->timer);
    while (real->next != NULL) {
        uint64_t left = 0, now = clock_now_us(clock);
        for (const struct addrinfo *at = real->next; at != NULL; at = at->ai_next) left++;
        const struct addrinfo *to = real->next;
        real->next = to->ai_next;
        if (!dial_begin_one(real, to)) continue;
        uint64_t time = real->deadline_us > now ? real->deadline_us - now : 0;
        clock_timer_start(clock, &real->timer, time / left);
        return;
    }
    dial_fail(real);
}

static void dial_time_is_up(struct timer *timer)
{
    struct dial_real *real = CONTAINER_OF(timer, struct dial_real, timer);
    dial_note(real, DIAL_TIMED_OUT, strerror(ETIMEDOUT));
    int descriptor = dial_take_descriptor(real);
    if (descriptor >= 0) (void)close(descriptor);
    dial_try(real); /* a lookup has found nothing yet: there is no next */
}

static void dial_begin(struct task *task)
{
    dial_try(CONTAINER_OF(task, struct dial_real, begin));
}

/* ---- Looking up ---- */

static void dial_on_found(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found)
{
    struct dial_real *real = CONTAINER_OF(lookup, struct dial_real, lookup);
    real->is_looking = false;
    real->all = found;
    real->next = found;
    if (real->dial == NULL) {
        dial_free(real);
        return;
    }
    if (status != 0) dial_note(real, DIAL_NO_NAME, uv_strerror(status));
    dial_try(real);
}

/* ERR_CONFIG: brackets with something else within. */
static enum err dial_look_up(struct dial_real *real, struct why *why)
{
    const struct address_name *name = &real->name;
    struct addrinfo want = {.ai_family = name->is_six ? AF_INET6 : AF_UNSPEC,
                            .ai_socktype = SOCK_STREAM,
                            .ai_flags = AI_NUMERICSERV | AI_NUMERICHOST};
    if (getaddrinfo(name->host, name->port, &want, &real->all) == 0) {
        real->next = real->all;
        clock_defer(&real->net->loop->clock, &real->begin);
        return ERR_OK;
    }
    real->all = NULL;
    if (name->is_six) return why_fail(why, ERR_CONFIG, "not an IPv6 address: [%s]", name->host);
    want.ai_flags = AI_NUMERICSERV;
    int result = uv_getaddrinfo(&real->net->loop->uv, &real->lookup, dial_on_found, name->host,
                                name->port, &want);
    real->is_looking = result == 0;
    if (result == 0) return ERR_OK;
    /* Too long for a name, or such. */
    dial_note(real, DIAL_NO_NAME, uv_strerror(result));
    clock_defer(&real->net->loop->clock, &real->begin);
    return ERR_OK;
}

enum err net_real_dial(struct net *base, struct dial *dial, const char *address,
                       uint64_t timeout_us, struct why *why)
{
    struct net_real *net = CONTAINER_OF(base, struct net_real, net);
    struct dial_real *real = memory_zeroed(1, sizeof(*real));
    dial->world = NULL;
    real->net = net;
    real->timer.fired = dial_time_is_up;
    real->begin.run = dial_begin;
    enum err err = address_name_parse(&real->name, address, why);
    if (err == ERR_OK) err = dial_look_up(real, why);
    if (err != ERR_OK) {
        memory_free(real);
        return err;
    }
    uint64_t now = clock_now_us(&net->loop->clock);
    real->deadline_us = timeout_us > UINT64_MAX / 2 - now ? UINT64_MAX / 2 : now + timeout_us;
    real->dial = dial;
    dial->world = real;
    net->handles += 1;
    list_append(&net->dials, &real->node);
    clock_timer_start(&net->loop->clock, &real->timer, timeout_us);
    return ERR_OK;
}

void net_real_cancel(struct net *base, struct dial *dial)
{
    (void)base;
    if (dial->world != NULL) (void)dial_over(dial->world);
}
