/* SPDX-License-Identifier: Apache-2.0 */
#include "real/http_daemon.h"

#include "test/real/http_bed.h"

static const char request[] = "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n";

TEST(http_daemon, a_request_is_asked_once_and_its_answer_ends_the_connection)
{
    struct daemon_bed bed;
    daemon_bed_open(&bed);
    int client = daemon_bed_connect(&bed);
    for (size_t i = 0; i < sizeof request - 1; i++) { /* a byte at a time */
        assert_int_equal(bed.asked, 0);
        assert_int_equal(send(client, &request[i], 1, 0), 1);
        (void)daemon_bed_run(&bed);
    }
    assert_int_equal(bed.asked, 1);
    daemon_bed_answer(&bed);
    (void)daemon_bed_run(&bed);
    daemon_bed_expect(client, 200, "<GET /a>");
    (void)daemon_bed_run(&bed);
    assert_int_equal(bed.daemon.count, 0);
    daemon_bed_close(&bed);
}

TEST(http_daemon, the_headers_of_an_answer_are_those_that_it_has)
{
    struct daemon_bed bed;
    daemon_bed_open(&bed);
    int client = daemon_bed_connect(&bed);
    daemon_bed_send(&bed, client, request);
    struct http_exchange *exchange = CONTAINER_OF(list_first(&bed.taken), struct http_exchange,
                                                  node);
    exchange->request.answer.allow = "GET, HEAD";
    daemon_bed_answer(&bed);
    (void)daemon_bed_run(&bed);
    char text[4096];
    assert_true(daemon_bed_receive(client, text, sizeof text));
    assert_non_null(strstr(text, "\r\nContent-Type: text/plain\r\n"));
    assert_non_null(strstr(text, "\r\nAllow: GET, HEAD\r\n"));
    assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(text, "\r\nCache-Control: no-store\r\n"));
    assert_non_null(strstr(text, "\r\nContent-Length: 8\r\n"));
    (void)close(client);
    daemon_bed_close(&bed);
}

TEST(http_daemon, an_answer_at_once_needs_no_second_look)
{
    struct daemon_bed bed;
    daemon_bed_open(&bed);
    bed.at_once = true;
    int client = daemon_bed_connect(&bed);
    daemon_bed_send(&bed, client, "BREW /%41%00/..//a HTTP/1.0\r\n\r\n");
    char text[4096];
    assert_true(daemon_bed_receive(client, text, sizeof text));
    assert_non_null(strstr(text, "\r\n\r\n<BREW /%41%00/..//a>")); /* nothing decoded */
    (void)close(client);
    daemon_bed_close(&bed);
}

TEST(http_daemon, head_gets_the_length_without_the_body)
{
    struct daemon_bed bed;
    daemon_bed_open(&bed);
    bed.at_once = true;
    int client = daemon_bed_connect(&bed);
    daemon_bed_send(&bed, client, "HEAD /abc HTTP/1.1\r\nHost: x\r\n\r\n");
    char text[4096];
    assert_true(daemon_bed_receive(client, text, sizeof text));
    assert_non_null(strstr(text, "\r\nContent-Length: 11\r\n"));
    assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
    (void)close(client);
    daemon_bed_close(&bed);
}

TEST(http_daemon, what_follows_a_request_on_its_connection_is_not_read)
{
    struct daemon_bed bed;
    daemon_bed_open(&bed);
    bed.at_once = true;
    int client = daemon_bed_connect(&bed);
    daemon_bed_send(&bed, client,
                    "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    daemon_bed_expect(client, 200, "<GET /a>");
    assert_int_equal(bed.asked, 1);
    daemon_bed_close(&bed);
}

static void send_long(struct daemon_bed *bed, int client, size_t count)
{
    char piece[257];
    memset(piece, 'p', sizeof piece - 1);
    piece[sizeof piece - 1] = 0;
    for (; count > 0; count -= strlen(piece)) {
        if (count < sizeof piece) piece[count] = 0;
        if (send(client, piece, strlen(piece), MSG_NOSIGNAL) < 0) break;
        (void)daemon_bed_run(bed);
    }
}

TEST(http_daemon, a_body_is_dropped_and_bounded)
{
    struct daemon_bed bed;
    daemon_bed_open(&bed);
    bed.at_once = true;
    int client = daemon_bed_connect(&bed);
    daemon_bed_send(&bed, client, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
    assert_int_equal(bed.asked, 0);
    daemon_bed_send(&bed, client, "cde");
    daemon_bed_expect(client, 200, "<POST /a>");
    client = daemon_bed_connect(&bed);
    daemon_bed_send(
        &bed, client,
        "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    daemon_bed_send(&bed, client, "0\r\n\r\n");
    daemon_bed_expect(client, 200, "<POST /a>");
    for (unsigned more = 0; more < 2; more++) { /* exactly the bound, and one byte more */
        char head[128], text[4096];
        size_t size = HTTP_BODY_BYTES_MAX + more;
        (void)snprintf(head, sizeof head,
                       "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", size);
        client = daemon_bed_connect(&bed);
        daemon_bed_send(&bed, client, head);
        send_long(&bed, client, size);
        if (more == 0) {
            daemon_bed_expect(client, 200, "<PUT /a>");
        } else {
            (void)daemon_bed_receive(client, text, sizeof text);
            assert_string_equal(text, ""); /* closed without a word */
            (void)close(client);
        }
    }
    assert_int_equal(bed.asked, 3);
    assert_int_equal(bed.daemon.count, 0);
    daemon_bed_close(&bed);
}

TEST(http_daemon, paths_and_heads_have_a_bound)
{
    struct daemon_bed bed;
    daemon_bed_open(&bed);
    bed.at_once = true;
    static const struct {
        size_t path;
        unsigned status, asked;
    } cases[] = {{HTTP_PATH_BYTES_MAX, 200, 1}, {HTTP_PATH_BYTES_MAX + 1, 414, 1}};
    for (unsigned i = 0; i < 2; i++) {
        int client = daemon_bed_connect(&bed);
        daemon_bed_send(&bed, client, "GET /");
        send_long(&bed, client, cases[i].path - 1);
        daemon_bed_send(&bed, client, " HTTP/1.1\r\nHost: x\r\n\r\n");
        daemon_bed_expect(client, cases[i].status, NULL);
        assert_int_equal(bed.asked, cases[i].asked);
    }
    int client = daemon_bed_connect(&bed);
    daemon_bed_send(&bed, client,
                    "GETGETGETGETGETGETGETGETGETGETGE /a HTTP/1.1\r\nHost: x\r\n\r\n");
    daemon_bed_expect(client, 414, NULL);
    client = daemon_bed_connect(&bed);
    daemon_bed_send(&bed, client, "GET /a HTTP/1.1\r\nHost: x\r\nA: ");
    send_long(&bed, client, 2 * HTTP_CONNECTION_BYTES_MAX);
    daemon_bed_expect(client, 431, NULL);
    assert_int_equal(bed.asked, 1);
    assert_int_equal(bed.daemon.count, 0);
    daemon_bed_close(&bed);
}

TEST(http_daemon, what_is_no_request_is_400)
{
    static const char *const inputs[] = {
        "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        "*1\r\n$4\r\nPING\r\n\r\n",
    };
    struct daemon_bed bed;
    daemon_bed_open(&bed);
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        int client = daemon_bed_connect(&bed);
        daemon_bed_send(&bed, client, inputs[i]);
        char text[4096];
        assert_true(daemon_bed_receive(client, text, sizeof text));
        if (text[0] != 0) assert_int_equal(strncmp(text, "HTTP/1.1 4", 10), 0);
        (void)close(client);
    }
    int client = daemon_bed_connect(&bed);
    daemon_bed_send(&bed, client, "GET /a HTTP/1.1\r\n\r\n");
    daemon_bed_expect(client, 400, "there is no Host\n");
    assert_int_equal(bed.asked, 0);
    assert_int_equal(bed.daemon.count, 0);
    daemon_bed_close(&bed);
}

TEST(http_daemon, who_waits_too_long_is_told_and_until_the_owner_is_back_so_is_everyone)
{
    struct daemon_bed bed;
    daemon_bed_open(&bed);
    int first = daemon_bed_connect(&bed);
    daemon_bed_send(&bed, first, request);
    bed.now_us += HTTP_OWNER_US_MAX - 1;
    int second = daemon_bed_connect(&bed);
    daemon_bed_send(&bed, second, request);
    assert_int_equal(bed.asked, 2);
    char text[4096];
    assert_false(daemon_bed_receive(first, text, sizeof text));
    assert_int_equal(daemon_bed_run(&bed), 1);
    bed.now_us += 1;
    (void)daemon_bed_run(&bed);
    daemon_bed_expect(first, 503, "the server does not answer\n");
    int third = daemon_bed_connect(&bed);
    daemon_bed_send(&bed, third, request); /* nobody is asked any more */
    daemon_bed_expect(third, 503, "the server does not answer\n");
    assert_int_equal(bed.asked, 2);
    daemon_bed_answer(&bed); /* the first one's, too late */
    daemon_bed_answer(&bed);
    (void)daemon_bed_run(&bed);
    daemon_bed_expect(second, 200, "<GET /a>");
    int fourth = daemon_bed_connect(&bed);
    daemon_bed_send(&bed, fourth, request);
    assert_int_equal(bed.asked, 3);
    daemon_bed_answer(&bed);
    (void)daemon_bed_run(&bed);
    daemon_bed_expect(fourth, 200, "<GET /a>");
    daemon_bed_close(&bed);
}

TEST(http_daemon, an_answer_that_comes_with_the_bound_is_given_back_once)
{
    struct daemon_bed bed;
    daemon_bed_open(&bed);
    int client = daemon_bed_connect(&bed);
    daemon_bed_send(&bed, client, request);
    bed.now_us += HTTP_OWNER_US_MAX;
    /* Given up and answered before the library has looked at the connection again. */
    struct http_exchange *exchange = CONTAINER_OF(list_first(&bed.taken), struct http_exchange,
                                                  node);
    (void)http_daemon_run(&bed.daemon, bed.now_us);
    assert_non_null(exchange->instead);
    daemon_bed_answer(&bed);
    (void)daemon_bed_run(&bed);
    daemon_bed_expect(client, 503, "the server does not answer\n");
    daemon_bed_close(&bed);
}

TEST(http_daemon, a_connection_lasts_no_longer_than_its_bound)
{
    struct daemon_bed bed;
    daemon_bed_open(&bed);
    int slow = daemon_bed_connect(&bed);
    int silent = daemon_bed_connect(&bed);
    uint64_t end_us = bed.now_us + HTTP_CONNECTION_US_MAX;
    for (size_t i = 0; i < 14; i++) {
        bed.now_us += 1000000;
        assert_int_equal(send(slow, &request[i], 1, 0), 1);
        (void)daemon_bed_run(&bed);
    }
    bed.now_us = end_us - 1;
    assert_int_equal(daemon_bed_run(&bed), 1);
    assert_int_equal(bed.daemon.count, 2);
    bed.now_us = end_us;
    (void)daemon_bed_run(&bed);
    assert_int_equal(bed.daemon.count, 0);
    char text[64];
    assert_true(daemon_bed_receive(slow, text, sizeof text));
    assert_true(daemon_bed_receive(silent, text, sizeof text));
    (void)close(slow);
    (void)close(silent);
    assert_true(daemon_bed_run(&bed) == UINT64_MAX); /* nothing is waited for */
    daemon_bed_close(&bed);
}

/* Its answer is larger than what the socket takes, and nobody reads it. */
TEST(http_daemon, a_client_that_does_not_read_is_cut_too)
{
    struct daemon_bed bed;
    daemon_bed_open(&bed);
    int client = daemon_bed_connect(&bed);
    daemon_bed_send(&bed, client, request);
    struct http_exchange *exchange = CONTAINER_OF(list_first(&bed.taken), struct http_exchange,
                                                  node);
    memset(buffer_reserve(&exchange->request.answer.body, 8 << 20), 'x', 8 << 20);
    exchange->request.answer.body.size = 8 << 20;
    daemon_bed_answer(&bed);
    (void)daemon_bed_run(&bed);
    assert_int_equal(bed.daemon.count, 1);
    bed.now_us += HTTP_CONNECTION_US_MAX;
    (void)daemon_bed_run(&bed);
    assert_int_equal(bed.daemon.count, 0);
    (void)close(client);
    daemon_bed_close(&bed);
}

TEST(http_daemon, there_are_so_many_connections_and_no_more)
{
    struct daemon_bed bed;
    daemon_bed_open(&bed);
    int clients[HTTP_CONNECTIONS_MAX];
    for (unsigned i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        assert_false(http_daemon_is_full(&bed.daemon));
        clients[i] = daemon_bed_connect(&bed);
        daemon_bed_send(&bed, clients[i], request);
    }
    assert_true(http_daemon_is_full(&bed.daemon));
    assert_int_equal(bed.asked, HTTP_CONNECTIONS_MAX);
    (void)close(clients[0]); /* noticed when it is answered */
    daemon_bed_answer(&bed);
    (void)daemon_bed_run(&bed);
    assert_false(http_daemon_is_full(&bed.daemon));
    for (unsigned i = 1; i < HTTP_CONNECTIONS_MAX; i++) {
        daemon_bed_answer(&bed);
        (void)daemon_bed_run(&bed);
        daemon_bed_expect(clients[i], 200, "<GET /a>");
    }
    daemon_bed_close(&bed);
}

/* Its request stands in the socket, unread: the owner is past being asked. */
TEST(http_daemon, at_the_close_nobody_is_asked_any_more)
{
    struct daemon_bed bed;
    daemon_bed_open(&bed);
    int client = daemon_bed_connect(&bed);
    (void)daemon_bed_run(&bed);
    assert_int_equal(send(client, request, sizeof request - 1, 0), sizeof request - 1);
    daemon_bed_close(&bed);
    assert_int_equal(bed.asked, 0);
    daemon_bed_expect(client, 503, "the server is stopping\n");
}

TEST(http_daemon, at_the_close_everyone_who_waits_is_told)
{
    struct daemon_bed bed;
    daemon_bed_open(&bed);
    int waiting = daemon_bed_connect(&bed), reading = daemon_bed_connect(&bed);
    daemon_bed_send(&bed, waiting, request);
    daemon_bed_send(&bed, reading, "GET /");
    daemon_bed_close(&bed);
    daemon_bed_expect(waiting, 503, "the server is stopping\n");
    char text[64];
    assert_true(daemon_bed_receive(reading, text, sizeof text));
    assert_string_equal(text, "");
    (void)close(reading);
}
