/* SPDX-License-Identifier: Apache-2.0 */
/* The http seam with its thread, over real sockets. */
#include "real/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include "test/real/help.h"

enum { CLIENT_MS_MAX = 30000, CROWD = HTTP_CONNECTIONS_MAX + 8 };

struct seam_bed {
    struct real_world *real;
    struct world world;
    struct http_listener listener;
    struct http_request *kept; /* the last one, not answered */
    bool keep;
    unsigned asked, asked_this_turn, most_a_turn, stop_after;
    struct task turn_ends;
    struct timer give_up;
};

static void write_answer(struct http_request *request, const char *text)
{
    request->answer.status = 200;
    request->answer.type = "text/plain";
    buffer_append_text(&request->answer.body, text);
}

static void on_asked(struct http_listener *listener, struct http_request *request)
{
    struct seam_bed *bed = CONTAINER_OF(listener, struct seam_bed, listener);
    bed->asked++;
    bed->asked_this_turn++;
    clock_defer(bed->world.clock, &bed->turn_ends);
    if (bed->asked == bed->stop_after) real_world_stop(bed->real);
    if (bed->keep) {
        bed->kept = request;
        return;
    }
    write_answer(request, "asked");
    bed->world.http->ops->answer(bed->world.http, request);
}

static void on_early(struct http_request *request)
{
    write_answer(request, "early");
}

static void on_turn_ends(struct task *task)
{
    struct seam_bed *bed = CONTAINER_OF(task, struct seam_bed, turn_ends);
    if (bed->asked_this_turn > bed->most_a_turn) bed->most_a_turn = bed->asked_this_turn;
    bed->asked_this_turn = 0;
}

static void on_give_up(struct timer *timer)
{
    real_world_stop(CONTAINER_OF(timer, struct seam_bed, give_up)->real);
}

static void bed_open(struct seam_bed *bed)
{
    *bed = (struct seam_bed){.listener = {.asked = on_asked, .early = on_early},
                             .turn_ends.run = on_turn_ends,
                             .give_up.fired = on_give_up};
    struct real_options options = {0};
    struct why why;
    assert_int_equal(real_world_open(&bed->real, &options, &bed->world, &why), ERR_OK);
}

static enum err bed_listen(struct seam_bed *bed, const char *address, bool optional,
                           struct why *why)
{
    struct http_address addresses[] = {{address, optional}, {"127.0.0.1:0", false}};
    return bed->world.http->ops->listen(bed->world.http, &bed->listener, addresses, 2, why);
}

static void bed_close(struct seam_bed *bed)
{
    bed->world.http->ops->unlisten(bed->world.http, &bed->listener);
    real_world_close(bed->real);
}

static unsigned bed_port(const struct seam_bed *bed, size_t index)
{
    const struct http_real *real = CONTAINER_OF(bed->world.http, struct http_real, http);
    assert_true(index < real->listening_count);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    assert_int_equal(getsockname(real->listening[index], (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

/* Turns the loop until so many requests were asked since the beginning, or for 20 ms if 0. */
static void bed_run(struct seam_bed *bed, unsigned asked)
{
    bed->stop_after = asked;
    clock_timer_start(bed->world.clock, &bed->give_up,
                      asked == 0 ? 20000 : (uint64_t)CLIENT_MS_MAX * 1000);
    if (asked == 0 || bed->asked < asked) real_world_run(bed->real);
    clock_timer_stop(bed->world.clock, &bed->give_up);
    assert_true(bed->asked >= asked);
}

static int ask(unsigned port)
{
    static const char request[] = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(client, request, sizeof request - 1, 0), sizeof request - 1);
    return client;
}

static void expect(int client, const char *status, const char *body)
{
    char text[1024];
    size_t size = 0;
    ssize_t got = 1;
    while (got > 0 && size + 1 < sizeof text) {
        struct pollfd file = {.fd = client, .events = POLLIN};
        assert_int_equal(poll(&file, 1, CLIENT_MS_MAX), 1);
        got = recv(client, text + size, sizeof text - 1 - size, 0);
        if (got > 0) size += (size_t)got;
    }
    text[size] = 0;
    (void)close(client);
    assert_int_equal(strncmp(text, "HTTP/1.1 ", 9), 0);
    assert_int_equal(strncmp(text + 9, status, 3), 0);
    const char *end = strstr(text, "\r\n\r\n");
    assert_non_null(end);
    assert_string_equal(end + 4, body);
}

TEST(http, a_request_is_asked_on_the_loop_and_answered_off_it)
{
    struct seam_bed bed;
    struct why why;
    bed_open(&bed);
    assert_int_equal(bed_listen(&bed, "127.0.0.1:0", false, &why), ERR_OK);
    bed_run(&bed, 0);
    int first = ask(bed_port(&bed, 0)), second = ask(bed_port(&bed, 1));
    bed_run(&bed, 2);
    expect(first, "200", "asked"); /* the loop does not turn any more */
    expect(second, "200", "asked");
    bed.keep = true;
    first = ask(bed_port(&bed, 0));
    bed_run(&bed, 3);
    write_answer(bed.kept, "later");
    bed.world.http->ops->answer(bed.world.http, bed.kept);
    expect(first, "200", "later");
    bed_close(&bed);
}

/* What a start waits for, here a disk, is no turn of the loop. */
TEST(http, until_the_loop_turns_requests_are_answered_in_its_place)
{
    struct seam_bed bed;
    struct why why;
    bed_open(&bed);
    assert_int_equal(bed_listen(&bed, "127.0.0.1:0", false, &why), ERR_OK);
    expect(ask(bed_port(&bed, 0)), "200", "early");
    struct http_real *real = CONTAINER_OF(bed.world.http, struct http_real, http);
    loop_deliver(&real->loop->mail);
    expect(ask(bed_port(&bed, 0)), "200", "early");
    assert_int_equal(bed.asked, 0);
    bed_run(&bed, 0);
    int client = ask(bed_port(&bed, 0));
    bed_run(&bed, 1);
    expect(client, "200", "asked");
    bed_close(&bed);
}

TEST(http, a_loop_that_does_not_answer_is_told_of_and_comes_back)
{
    struct seam_bed bed;
    struct why why;
    bed_open(&bed);
    assert_int_equal(bed_listen(&bed, "127.0.0.1:0", false, &why), ERR_OK);
    bed_run(&bed, 0);
    uint64_t began_us = clock_now_us(bed.world.clock);
    expect(ask(bed_port(&bed, 0)), "503", "the server does not answer\n");
    assert_true(clock_now_us(bed.world.clock) - began_us >= HTTP_OWNER_US_MAX);
    began_us = clock_now_us(bed.world.clock);
    expect(ask(bed_port(&bed, 0)), "503", "the server does not answer\n"); /* at once */
    assert_true(clock_now_us(bed.world.clock) - began_us < HTTP_OWNER_US_MAX);
    bed_run(&bed, 1);                    /* the first one's, whose client has gone */
    for (unsigned tries = 0;; tries++) { /* the thread hears of it by and by */
        unsigned asked = bed.asked;
        int client = ask(bed_port(&bed, 0));
        bed_run(&bed, 0);
        bool heard = bed.asked > asked;
        expect(client, heard ? "200" : "503", heard ? "asked" : "the server does not answer\n");
        if (heard) break;
        assert_true(tries < 1000);
    }
    bed_close(&bed);
}

TEST(http, a_crowd_costs_each_turn_of_the_loop_one_page)
{
    struct seam_bed bed;
    struct why why;
    int clients[CROWD];
    bed_open(&bed);
    assert_int_equal(bed_listen(&bed, "127.0.0.1:0", false, &why), ERR_OK);
    bed_run(&bed, 0);
    for (unsigned i = 0; i < CROWD; i++) clients[i] = ask(bed_port(&bed, 0));
    (void)poll(NULL, 0, 200); /* time for the thread to hand them all over */
    bed_run(&bed, CROWD);
    for (unsigned i = 0; i < CROWD; i++) expect(clients[i], "200", "asked");
    assert_int_equal(bed.most_a_turn, 1);
    bed_close(&bed);
}

TEST(http, unlisten_takes_back_what_is_not_answered_and_tells_the_client)
{
    struct seam_bed bed;
    struct why why;
    bed_open(&bed);
    for (unsigned round = 1; round <= 3; round++) {
        bed.keep = true;
        bed.asked = 0;
        assert_int_equal(bed_listen(&bed, "127.0.0.1:0", false, &why), ERR_OK);
        bed_run(&bed, 0);
        int handed = ask(bed_port(&bed, 0));
        bed_run(&bed, 1);
        int waiting = ask(bed_port(&bed, 0)); /* the loop never hears of it */
        (void)poll(NULL, 0, 50);
        bed.world.http->ops->unlisten(bed.world.http, &bed.listener);
        expect(handed, "503", "the server is stopping\n");
        expect(waiting, "503", "the server is stopping\n");
    }
    bed_close(&bed);
}

TEST(http, an_address_that_is_taken_is_refused_by_name_unless_it_is_optional)
{
    struct seam_bed bed, other;
    struct why why;
    char taken[64];
    bed_open(&bed);
    bed_open(&other);
    assert_int_equal(bed_listen(&bed, "127.0.0.1:0", false, &why), ERR_OK);
    (void)snprintf(taken, sizeof taken, "127.0.0.1:%u", bed_port(&bed, 0));
    assert_int_equal(bed_listen(&other, taken, false, &why), ERR_EXISTS);
    assert_non_null(strstr(why.text, taken));
    assert_non_null(strstr(why.text, "in use"));
    assert_int_equal(bed_listen(&other, "unix:/tmp/x", false, &why), ERR_CONFIG);
    assert_int_equal(bed_listen(&other, taken, true, &why), ERR_OK);
    expect(ask(bed_port(&other, 0)), "200", "early"); /* the second address */
    bed_close(&other);
    bed_close(&bed);
}

/* As a start that fails behind it does; and the world closes what was left open. */
TEST(http, it_can_be_closed_before_the_loop_has_turned)
{
    struct seam_bed bed;
    struct why why;
    bed_open(&bed);
    bed.world.http->ops->unlisten(bed.world.http, &bed.listener); /* not listening: nothing */
    assert_int_equal(bed_listen(&bed, "127.0.0.1:0", false, &why), ERR_OK);
    bed_close(&bed);
    bed_open(&bed);
    assert_int_equal(bed_listen(&bed, "127.0.0.1:0", false, &why), ERR_OK);
    real_world_close(bed.real);
}
