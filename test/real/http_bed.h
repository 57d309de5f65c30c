/* SPDX-License-Identifier: Apache-2.0 */
/* http_bed: a daemon without a thread, clients at the other ends of socket pairs, and an owner that
 * answers when it is told to. Time is the test's. */
#ifndef TEST_REAL_HTTP_BED_H
#define TEST_REAL_HTTP_BED_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "real/http_daemon.h"
#include "test/test.h"

struct daemon_bed {
    struct http_daemon daemon;
    struct http_daemon_owner owner;
    struct list taken; /* exchanges that the owner has */
    unsigned asked;
    bool at_once; /* the owner answers inside asked() */
    uint64_t now_us;
};

static inline void daemon_bed_write(struct http_exchange *exchange)
{
    struct http_answer *answer = &exchange->request.answer;
    answer->status = 200;
    answer->type = "text/plain";
    buffer_append_format(&answer->body, "<%s %s>", exchange->request.method,
                         exchange->request.path);
}

static inline bool daemon_bed_asked(struct http_daemon_owner *owner, struct http_exchange *exchange)
{
    struct daemon_bed *bed = CONTAINER_OF(owner, struct daemon_bed, owner);
    bed->asked++;
    if (bed->at_once) {
        daemon_bed_write(exchange);
        return false;
    }
    list_append(&bed->taken, &exchange->node);
    return true;
}

static inline void daemon_bed_open(struct daemon_bed *bed)
{
    *bed = (struct daemon_bed){.owner = {daemon_bed_asked}, .now_us = 1000000};
    list_init(&bed->taken);
    struct why why;
    assert_int_equal(http_daemon_open(&bed->daemon, &bed->owner, &why), ERR_OK);
}

/* Until it has nothing left to do now. */
static inline uint64_t daemon_bed_run(struct daemon_bed *bed)
{
    uint64_t wait = 0;
    for (int i = 0; i < 8; i++) wait = http_daemon_run(&bed->daemon, bed->now_us);
    return wait;
}

static inline void daemon_bed_answer(struct daemon_bed *bed)
{
    struct list *node = list_first(&bed->taken);
    assert_non_null(node);
    list_remove(node);
    struct http_exchange *exchange = CONTAINER_OF(node, struct http_exchange, node);
    daemon_bed_write(exchange);
    http_daemon_answer(&bed->daemon, exchange);
}

/* What the owner still has is freed, as its contract says. */
static inline void daemon_bed_close(struct daemon_bed *bed)
{
    http_daemon_close(&bed->daemon);
    for (struct list *node; (node = list_first(&bed->taken)) != NULL;) {
        list_remove(node);
        http_exchange_free(CONTAINER_OF(node, struct http_exchange, node));
    }
}

/* A new connection; returns the client's end. */
static inline int daemon_bed_connect(struct daemon_bed *bed)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    struct sockaddr_storage peer = {.ss_family = AF_UNIX};
    http_daemon_add(&bed->daemon, ends[1], (struct sockaddr *)&peer, sizeof(sa_family_t),
                    bed->now_us);
    return ends[0];
}

static inline void daemon_bed_send(struct daemon_bed *bed, int client, const char *text)
{
    assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    (void)daemon_bed_run(bed);
}

/* What has come, zero-terminated, in `out`; returns true when the connection is closed. */
static inline bool daemon_bed_receive(int client, char *out, size_t room)
{
    size_t size = 0;
    ssize_t got = -1;
    while (size + 1 < room && (got = recv(client, out + size, room - 1 - size, 0)) > 0)
        size += (size_t)got;
    out[size] = 0;
    return got == 0 || errno == ECONNRESET;
}

/* The connection has been closed after exactly one answer with this status and, unless NULL, this
 * body. */
static inline void daemon_bed_expect(int client, unsigned status, const char *body)
{
    char text[4096], begin[32];
    assert_true(daemon_bed_receive(client, text, sizeof text));
    (void)close(client);
    (void)snprintf(begin, sizeof begin, "HTTP/1.1 %u ", status);
    if (strncmp(text, begin, strlen(begin)) != 0) fail_msg("not %u: %s", status, text);
    assert_null(strstr(text + 1, "HTTP/1.1 "));
    const char *end = strstr(text, "\r\n\r\n");
    assert_non_null(end);
    if (body != NULL) assert_string_equal(end + 4, body);
    const char *length = strstr(text, "Content-Length: ");
    assert_non_null(length);
    if (body == NULL || body[0] != 0)
        assert_int_equal(strtoul(length + 16, NULL, 10), strlen(end + 4));
}

#endif
