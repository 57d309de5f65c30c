/* SPDX-License-Identifier: Apache-2.0 */
#include "face/http/http.h"

#include <jansson.h>

#include "test/face/http/bed.h"

static void open_and_serve(struct http_bed *bed)
{
    http_bed_open(bed);
    struct http_address address = {"127.0.0.1:1", false};
    struct why why;
    assert_int_equal(http_listen(bed->face, &address, 1, &why), ERR_OK);
    http_serve(bed->face, &bed->service);
}

static void expect(struct http_bed *bed, const char *method, const char *path, unsigned status,
                   const char *body)
{
    struct http_answer answer = http_bed_ask(bed, false, method, path);
    assert_int_equal(answer.status, status);
    assert_string_equal((const char *)answer.body.data, body);
    assert_string_equal(answer.type, "text/plain; charset=utf-8");
    buffer_release(&answer.body);
}

static void expect_early(struct http_bed *bed, const char *path, unsigned status, const char *body)
{
    struct http_answer answer = http_bed_ask(bed, true, "GET", path);
    assert_int_equal(answer.status, status);
    assert_string_equal((const char *)answer.body.data, body);
    buffer_release(&answer.body);
}

TEST(http_face, every_address_is_listened_at_and_a_failure_is_passed_on)
{
    struct http_bed bed;
    http_bed_open(&bed);
    struct http_address addresses[] = {{"127.0.0.1:1", false}, {"[::1]:1", true}};
    struct why why;
    bed.listen_err = ERR_EXISTS;
    assert_int_equal(http_listen(bed.face, addresses, 2, &why), ERR_EXISTS);
    assert_string_equal(why.text, "no");
    assert_string_equal(bed.listened, "127.0.0.1:1 [::1]:1? ");
    bed.listen_err = ERR_OK;
    assert_int_equal(http_listen(bed.face, addresses, 1, &why), ERR_OK);
    assert_non_null(bed.listener);
    http_bed_close(&bed);
    http_close(NULL);
}

TEST(http_face, it_is_ready_when_commands_are_served_and_says_why_when_not)
{
    struct http_bed bed;
    open_and_serve(&bed);
    expect(&bed, "GET", "/readyz", 200, "ready\n");
    bed.status.low_space = true;
    expect(&bed, "GET", "/readyz", 503, "not ready: writes are refused: the disk is nearly full\n");
    bed.status.phase = SERVICE_STOPPING;
    expect(&bed, "GET", "/readyz", 503, "not ready: stopping\n");
    bed.status.phase = SERVICE_OPENING;
    bed.status.low_space = false;
    expect(&bed, "GET", "/readyz", 503, "not ready: starting\n");
    http_bed_close(&bed);
}

TEST(http_face, a_replica_is_ready_in_sync_and_a_primary_with_enough_copies)
{
    static const char behind[] = "not ready: not in sync with its primary\n";
    struct http_bed bed;
    open_and_serve(&bed);
    bed.copies.may_write = false;
    expect(&bed, "GET", "/readyz", 503,
           "not ready: writes are refused: too few copies count and are in reach\n");
    bed.copies.role = COPIES_FOLLOWS;
    expect(&bed, "GET", "/readyz", 503, behind); /* nothing is known of the link yet */
    bed.copies.link_state = "catching_up";
    expect(&bed, "GET", "/readyz", 503, behind);
    bed.copies.link_state = "in_sync";
    bed.status.low_space = true; /* it takes no writes of clients */
    expect(&bed, "GET", "/readyz", 200, "ready\n");
    bed.copies.role = COPIES_ASKS;
    expect(&bed, "GET", "/readyz", 503, "not ready: the other copies are asked who leads\n");
    bed.status.phase = SERVICE_OPENING;
    expect(&bed, "GET", "/readyz", 503, "not ready: starting\n");
    http_bed_close(&bed);
}

TEST(http_face, it_is_healthy_as_long_as_it_answers)
{
    struct http_bed bed;
    open_and_serve(&bed);
    bed.status.phase = SERVICE_STOPPING;
    expect(&bed, "GET", "/healthz", 200, "ok\n");
    assert_int_equal(bed.asked_service, 0);
    http_bed_close(&bed);
}

TEST(http_face, before_the_loop_turns_it_knows_only_that_it_starts)
{
    struct http_bed bed;
    http_bed_open(&bed);
    struct http_address address = {"127.0.0.1:1", false};
    struct why why;
    assert_int_equal(http_listen(bed.face, &address, 1, &why), ERR_OK);
    expect_early(&bed, "/healthz", 200, "ok\n");
    expect_early(&bed, "/readyz", 503, "not ready: starting\n");
    expect_early(&bed, "/metrics", 503, "not ready: starting\n");
    expect_early(&bed, "/status", 503, "not ready: starting\n");
    expect_early(&bed, "/", 404, "there are /metrics, /healthz, /readyz and /status\n");
    http_bed_close(&bed);
}

TEST(http_face, what_is_not_there_is_404_whatever_the_method)
{
    static const char *const paths[] = {"",           "/",         "*",          "/metrics/",
                                        "/Metrics",   "//metrics", "/metricsx",  "/metric",
                                        "/%6detrics", "/healthz ", "/../metrics"};
    struct http_bed bed;
    open_and_serve(&bed);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        expect(&bed, "GET", paths[i], 404, "there are /metrics, /healthz, /readyz and /status\n");
        expect(&bed, "DELETE", paths[i], 404,
               "there are /metrics, /healthz, /readyz and /status\n");
    }
    assert_int_equal(bed.asked_service, 0);
    http_bed_close(&bed);
}

TEST(http_face, other_methods_than_get_and_head_are_405_with_the_list)
{
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "get", "GETX", ""};
    struct http_bed bed;
    open_and_serve(&bed);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        struct http_answer answer = http_bed_ask(&bed, false, methods[i], "/metrics");
        assert_int_equal(answer.status, 405);
        assert_string_equal(answer.allow, "GET, HEAD");
        buffer_release(&answer.body);
    }
    struct http_answer head = http_bed_ask(&bed, false, "HEAD", "/readyz");
    assert_int_equal(head.status, 200);
    assert_null(head.allow);
    assert_string_equal((const char *)head.body.data, "ready\n"); /* the world leaves it out */
    buffer_release(&head.body);
    http_bed_close(&bed);
}

TEST(http_face, metrics_are_of_the_version_that_their_type_says)
{
    struct http_bed bed;
    open_and_serve(&bed);
    struct http_answer answer = http_bed_ask(&bed, false, "GET", "/metrics");
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.type, "text/plain; version=0.0.4; charset=utf-8");
    assert_non_null(strstr((const char *)answer.body.data, "tidemark_uptime_seconds 5\n"));
    buffer_release(&answer.body);
    http_bed_close(&bed);
}

static json_t *ask_status(struct http_bed *bed)
{
    struct http_answer answer = http_bed_ask(bed, false, "GET", "/status");
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.type, "application/json");
    json_error_t error;
    json_t *page = json_loads((const char *)answer.body.data, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(page);
    buffer_release(&answer.body);
    return page;
}

static long long number(json_t *page, const char *a, const char *b, const char *c)
{
    json_t *at = json_object_get(json_object_get(page, "shards"), "keys");
    if (a != NULL) at = json_object_get(at, a);
    if (b != NULL) at = json_object_get(at, b);
    at = json_object_get(at, c);
    assert_true(json_is_integer(at));
    return json_integer_value(at);
}

TEST(http_face, the_status_is_json_with_every_part_in_its_place)
{
    struct http_bed bed;
    open_and_serve(&bed);
    json_t *page = ask_status(&bed);
    assert_string_equal(json_string_value(json_object_get(page, "version")), "1.2.3");
    assert_string_equal(json_string_value(json_object_get(page, "commit")), "c0ffee");
    assert_true(json_is_true(json_object_get(page, "ready")));
    assert_null(json_object_get(page, "reason"));
    json_t *shard = json_object_get(json_object_get(page, "shards"), "keys");
    assert_string_equal(json_string_value(json_object_get(shard, "mark")),
                        "01000000000000000000000000000000:12.13:23:000000000000000e");
    assert_string_equal(json_string_value(json_object_get(shard, "digest")),
                        "0000000000000010000000000000000f");
    assert_int_equal(number(page, NULL, "lsn", "floor"), 21);
    assert_int_equal(number(page, NULL, "lsn", "flushed"), 22);
    assert_int_equal(number(page, NULL, "start", "gap_entries"), 35);
    assert_int_equal(number(page, NULL, "commit", "p99_us"), 768);
    assert_int_equal(number(page, "log", "sync", "p50_us"), INT64_MAX);
    assert_int_equal(number(page, "databases", "15", "with_expiry"), 34);
    assert_int_equal(number(page, NULL, "images", "saved_at"), 1700000043);
    assert_int_equal(number(page, NULL, NULL, "clock_jump_ms"), -1500);
    json_decref(page);
    http_bed_close(&bed);
}

TEST(http_face, the_status_has_each_copy_and_the_link_but_no_address)
{
    struct http_bed bed;
    open_and_serve(&bed);
    json_t *page = ask_status(&bed);
    json_t *copies = json_object_get(json_object_get(json_object_get(page, "shards"), "keys"),
                                     "copies");
    assert_string_equal(json_string_value(json_object_get(copies, "role")), "primary");
    assert_string_equal(json_string_value(json_object_get(copies, "copy")), "80");
    assert_int_equal(number(page, NULL, "copies", "min_in_sync"), 81);
    assert_int_equal(number(page, NULL, "copies", "counting"), 82);
    assert_null(json_object_get(copies, "link"));
    json_t *copy = json_array_get(json_object_get(copies, "others"), 0);
    assert_string_equal(json_string_value(json_object_get(copy, "id")), "2748");
    assert_string_equal(json_string_value(json_object_get(copy, "state")), "catching_up");
    assert_int_equal(json_integer_value(json_object_get(copy, "lag_entries")), 87);
    assert_int_equal(json_integer_value(json_object_get(copy, "durable")), 84);
    assert_null(json_object_get(copy, "peer"));
    assert_null(json_object_get(copy, "redis"));
    json_decref(page);
    bed.copies = (struct copies_status){.role = COPIES_FOLLOWS,
                                        .primary_host = "secret.example.org",
                                        .primary_copy = 5,
                                        .link_state = "in_sync",
                                        .primary_durable = {31}};
    page = ask_status(&bed);
    assert_int_equal(number(page, "copies", "link", "lag_entries"), 31 - 23);
    assert_int_equal(number(page, "copies", "link", "durable"), 31);
    char *text = json_dumps(page, 0);
    assert_null(strstr(text, "example.org"));
    free(text);
    json_decref(page);
    http_bed_close(&bed);
}

TEST(http_face, the_status_says_why_it_is_not_ready_and_why_an_image_failed)
{
    struct http_bed bed;
    open_and_serve(&bed);
    bed.status.phase = SERVICE_STOPPING;
    bed.status.images.failed = true;
    bed.databases = "";
    json_t *page = ask_status(&bed);
    assert_true(json_is_false(json_object_get(page, "ready")));
    assert_string_equal(json_string_value(json_object_get(page, "reason")), "stopping");
    json_t *shard = json_object_get(json_object_get(page, "shards"), "keys");
    json_t *images = json_object_get(shard, "images");
    assert_string_equal(json_string_value(json_object_get(images, "why")), "no space");
    assert_int_equal(json_object_size(json_object_get(shard, "databases")), 0);
    json_decref(page);
    http_bed_close(&bed);
}
