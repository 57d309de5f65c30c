/* SPDX-License-Identifier: Apache-2.0 */
/* The small commands of the server: what they answer, in the words of redis-server 7.0 where it has
 * them. */
#include "test/face/redis/harness.h"

/* Sends lines and compares what comes back. */
static void ask(struct harness *h, struct stream *a, const char *lines, const char *wanted)
{
    harness_send(h, a, lines);
    expect_got(a, wanted);
}

/* What came back begins so. */
static void expect_start(struct stream *a, const char *wanted)
{
    buffer_append_byte(&a->out, 0);
    if (strncmp((const char *)a->out.data, wanted, strlen(wanted)) != 0) {
        fail_msg("got %s, wanted %s", (const char *)a->out.data, wanted);
    }
    buffer_clear(&a->out);
}

TEST(face_redis_server, hello_and_ping_answer_as_redis_does)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "PING a b\r\n", "-ERR wrong number of arguments for 'ping' command\r\n");
    ask(h, a, "HELLO 9\r\nHELLO x\r\nHELLO 3 x\r\nHELLO 2 AUTH a\r\n",
        "-NOPROTO unsupported protocol version\r\n"
        "-ERR Protocol version is not an integer or out of range\r\n"
        "-ERR Syntax error in HELLO option 'x'\r\n-ERR Syntax error in HELLO option 'AUTH'\r\n");
    ask(h, a, "HELLO 3 SETNAME me\r\n",
        "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n"
        "$5\r\nproto\r\n:3\r\n"
        "$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
        "$7\r\nmodules\r\n*0\r\n");
    ask(h, a, "CLIENT GETNAME\r\nRESET\r\nCLIENT GETNAME\r\n", "$2\r\nme\r\n+RESET\r\n$-1\r\n");
    ask(h, a, "AUTH x\r\n",
        "-ERR AUTH <password> called without any password configured for the default user. Are you "
        "sure your configuration is correct?\r\n");
    ask(h, a, "SELECT a\r\nSELECT 16\r\nSELECT -1\r\n",
        "-ERR value is not an integer or out of range\r\n-ERR DB index is out of range\r\n"
        "-ERR DB index is out of range\r\n");
    ask(h, a, "SELECT 2147483647\r\nSELECT 2147483648\r\nSELECT -2147483649\r\n",
        "-ERR DB index is out of range\r\n"
        "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"
        "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n");
    ask(h, a, "SELECT 99999999999999999999\r\n",
        "-ERR value is not an integer or out of range\r\n");
    harness_close(h);
}

TEST(face_redis_server, an_image_is_saved_once_at_a_time)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "LASTSAVE\r\n", ":0\r\n");
    ask(h, a, "BGSAVE now\r\n", "-ERR syntax error\r\n");
    ask(h, a, "BGSAVE\r\n", "+Background saving started\r\n");
    ask(h, a, "BGSAVE SCHEDULE\r\nSAVE\r\n",
        "-ERR Background save already in progress\r\n"
        "-ERR Background save already in progress\r\n");
    harness_close(h);
}

TEST(face_redis_server, save_answers_when_the_image_is_durable_or_with_the_reason)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    struct service_images *images = &h->service.status.images;
    for (unsigned way = 0; way < 2; way++) {
        ask(h, a, "SAVE\r\nPING\r\n", "");
        ask(h, b, "PING\r\n", "+PONG\r\n"); /* nobody else waits */
        fake_clock_pass(&h->clock, 500000);
        expect_got(a, "");
        images->saving = false;
        images->ended++;
        images->failed = way == 1;
        (void)why_fail(&images->why, ERR_SPACE, "no room");
        fake_clock_pass(&h->clock, 20000);
        expect_got(a, way == 0 ? "+OK\r\n+PONG\r\n"
                               : "-ERR the image was not saved: no room\r\n+PONG\r\n");
    }
    images->saved_s = 1700000000;
    ask(h, a, "LASTSAVE\r\n", ":1700000000\r\n");
    ask(h, a, "MULTI\r\nSAVE\r\n", "+OK\r\n-ERR Command not allowed inside a transaction\r\n");
    harness_close(h);
}

TEST(face_redis_server, what_this_version_does_not_offer_is_refused_by_name)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "BGREWRITEAOF\r\n",
        "-ERR BGREWRITEAOF is not offered by this version: the log trims itself\r\n");
    ask(h, a, "CLUSTER INFO\r\nREADONLY\r\nREADWRITE\r\nASKING\r\n",
        "-ERR This instance has cluster support disabled\r\n"
        "-ERR This instance has cluster support disabled\r\n"
        "-ERR This instance has cluster support disabled\r\n"
        "-ERR This instance has cluster support disabled\r\n");
    ask(h, a, "FUNCTION FLUSH\r\nFUNCTION FLUSH ASYNC\r\nFUNCTION FLUSH x\r\n",
        "+OK\r\n+OK\r\n-ERR FUNCTION FLUSH only supports SYNC|ASYNC option\r\n");
    ask(h, a, "DEBUG RELOAD\r\n", "-ERR DEBUG RELOAD is not offered by this server\r\n");
    harness_close(h);
}

TEST(face_redis_server, marks_are_told_as_text)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "POS.GET\r\n", "$-1\r\n");
    h->service.status.mark = (struct mark){.epoch = {3, 1}, .lsn = {77}, .lineage = {0xabc}};
    h->service.status.digest = (struct digest){.low = 0x11, .high = 0x22};
    ask(h, a, "DIGEST\r\n",
        "*2\r\n$56\r\n00000000000000000000000000000000:3.1:77:0000000000000abc\r\n"
        "$32\r\n00000000000000220000000000000011\r\n");
    harness_send(h, a, "SET a 1\r\nPOS.GET\r\n");
    harness_answer(h, "OK");
    expect_got(a, "+OK\r\n$55\r\n00000000000000000000000000000000:0.0:1:0000000000000000\r\n");
    ask(h, a, "DEBUG DIGEST\r\n", "+00000000000000220000000000000011\r\n");
    harness_close(h);
}

TEST(face_redis_server, shutdown_stops_the_server_unless_the_words_are_wrong)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "SHUTDOWN ABORT\r\nSHUTDOWN x\r\nSHUTDOWN SAVE NOSAVE\r\nSHUTDOWN NOW ABORT\r\n",
        "-ERR No shutdown in progress.\r\n-ERR syntax error\r\n-ERR syntax error\r\n"
        "-ERR syntax error\r\n");
    assert_int_equal(h->shutdowns, 0);
    ask(h, a, "SHUTDOWN NOSAVE NOW FORCE\r\nPING\r\n", "");
    assert_int_equal(h->shutdowns, 1);
    assert_true(a->closed);
    harness_close(h);
}

TEST(face_redis_server, debug_sleep_holds_its_client_and_nobody_else)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    ask(h, a, "DEBUG SLEEP 0.5\r\nPING\r\n", "");
    ask(h, b, "PING\r\n", "+PONG\r\n");
    fake_clock_pass(&h->clock, 499000);
    expect_got(a, "");
    fake_clock_pass(&h->clock, 1000);
    expect_got(a, "+OK\r\n+PONG\r\n");
    ask(h, a, "CLIENT REPLY SKIP\r\nDEBUG SLEEP 0.1\r\nPING\r\n", "");
    fake_clock_pass(&h->clock, 100000);
    expect_got(a, "+PONG\r\n");
    ask(h, a, "DEBUG SLEEP 0\r\nDEBUG SLEEP x\r\n", "+OK\r\n+OK\r\n");
    harness_send(h, a, "DEBUG SLEEP 100\r\n");
    harness_send(h, b, "CLIENT KILL ID 1\r\n");
    assert_true(a->closed);
    harness_close(h);
}

TEST(face_redis_server, debug_protocol_answers_with_each_type)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "DEBUG PROTOCOL double\r\nDEBUG PROTOCOL bignum\r\nDEBUG PROTOCOL attrib\r\n",
        "$5\r\n3.141\r\n$37\r\n1234567999999999999999999999999999999\r\n"
        "$39\r\nSome real reply following the attribute\r\n");
    ask(h, a, "DEBUG PROTOCOL push\r\n", "-ERR RESP2 is not supported by this command\r\n");
    harness_send(h, a, "HELLO 3\r\n");
    buffer_clear(&a->out);
    ask(h, a, "DEBUG PROTOCOL map\r\nDEBUG PROTOCOL bignum\r\n",
        "%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n(1234567999999999999999999999999999999\r\n");
    ask(h, a, "DEBUG PROTOCOL attrib\r\n",
        "|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n"
        "$39\r\nSome real reply following the attribute\r\n");
    ask(h, a, "DEBUG PROTOCOL push\r\n",
        ">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n"
        "$40\r\nSome real reply following the push reply\r\n");
    ask(h, a, "DEBUG nosuch\r\nDEBUG LOG a b\r\n",
        "-ERR unknown subcommand or wrong number of arguments for 'nosuch'. Try DEBUG HELP.\r\n"
        "-ERR unknown subcommand or wrong number of arguments for 'LOG'. Try DEBUG HELP.\r\n");
    harness_close(h);
}

TEST(face_redis_server, there_is_one_user)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "ACL WHOAMI\r\nACL USERS\r\n", "$7\r\ndefault\r\n*1\r\n$7\r\ndefault\r\n");
    ask(h, a, "ACL LIST\r\n", "*1\r\n$34\r\nuser default on nopass ~* &* +@all\r\n");
    ask(h, a, "ACL GETUSER x\r\nACL CAT nosuch\r\n", "$-1\r\n-ERR Unknown category 'nosuch'\r\n");
    harness_send(h, a, "ACL CAT\r\n");
    expect_start(a, "*21\r\n$8\r\nkeyspace\r\n$4\r\nread\r\n");
    harness_send(h, a, "CONFIG SET requirepass secret\r\nACL LIST\r\nACL GETUSER default\r\n");
    buffer_append_byte(&a->out, 0);
    assert_null(strstr((const char *)a->out.data, "secret"));
    harness_close(h);
}

/* --- COMMAND --- */

TEST(face_redis_server, command_info_shows_a_row_as_redis_does)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "COMMAND INFO nosuch get watch|observe\r\n",
        "*3\r\n$-1\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n"
        "*3\r\n"
        "+@read\r\n+@string\r\n+@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n+access\r\n"
        "$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex"
        "\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n"
        "$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n$-1\r\n");
    harness_send(h, a, "COMMAND COUNT\r\nCOMMAND\r\n");
    char *end = NULL;
    buffer_append_byte(&a->out, 0);
    long count = strtol((const char *)a->out.data + 1, &end, 10);
    assert_true(count > 200);
    assert_int_equal(strtol(end + 3, NULL, 10), count);
    harness_close(h);
}

TEST(face_redis_server, command_getkeys_finds_keys_and_what_is_done_to_them)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "COMMAND GETKEYS sort abc store def\r\nCOMMAND GETKEYSANDFLAGS set a b\r\n",
        "*2\r\n$3\r\nabc\r\n$3\r\ndef\r\n*1\r\n*2\r\n$1\r\na\r\n*2\r\n+OW\r\n+update\r\n");
    ask(h, a, "COMMAND GETKEYS object encoding k\r\n", "*1\r\n$1\r\nk\r\n");
    ask(h, a, "COMMAND GETKEYS nosuch a\r\nCOMMAND GETKEYS get a b\r\nCOMMAND GETKEYS ping x\r\n",
        "-ERR Invalid command specified\r\n"
        "-ERR Invalid number of arguments specified for command\r\n"
        "-ERR The command has no key arguments\r\n");
    ask(h, a, "COMMAND GETKEYS zunionstore d 9 a\r\n",
        "-ERR Invalid arguments specified for command\r\n");
    harness_close(h);
}

TEST(face_redis_server, command_list_can_be_filtered)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "COMMAND LIST FILTERBY PATTERN blp*\r\nCOMMAND LIST FILTERBY ACLCAT nosuch\r\n",
        "*1\r\n$5\r\nblpop\r\n*0\r\n");
    ask(h, a, "COMMAND LIST FILTERBY MODULE x\r\nCOMMAND LIST x\r\n",
        "*0\r\n-ERR syntax error\r\n");
    harness_send(h, a, "COMMAND LIST FILTERBY ACLCAT SCRIPTING\r\n");
    expect_start(a, "*1\r\n$14\r\nfunction|flush\r\n");
    ask(h, a, "COMMAND DOCS nosuch\r\n", "*0\r\n");
    harness_send(h, a, "COMMAND DOCS get config|get\r\n");
    expect_start(a, "*4\r\n$3\r\nget\r\n*6\r\n$7\r\nsummary\r\n");
    harness_close(h);
}

TEST(face_redis_server, every_container_has_help)
{
    static const char *const names[] = {"OBJECT", "MEMORY", "PUBSUB",  "CLIENT", "COMMAND",
                                        "CONFIG", "DEBUG",  "SLOWLOG", "LATENCY"};
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char line[64];
        snprintf(line, sizeof line, "%s HELP\r\n", names[i]);
        harness_send(h, a, line);
        buffer_append_byte(&a->out, 0);
        char *end = NULL;
        long lines = strtol((const char *)a->out.data + 1, &end, 10);
        size_t found = 0;
        for (const char *at = end; (at = strstr(at, "\r\n+")) != NULL; at += 2) found++;
        assert_int_equal(found, lines);
        assert_non_null(strstr(end, "\r\n+HELP\r\n+    Prints this help.\r\n"));
        snprintf(line, sizeof line, "+%s <subcommand> [<arg> [value] [opt] ...].", names[i]);
        assert_non_null(strstr(end, line));
        buffer_clear(&a->out);
    }
    harness_close(h);
}

/* --- CONFIG, INFO --- */

TEST(face_redis_server, config_is_read_and_set)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "CONFIG GET maxclients\r\nCONFIG GET nosuch\r\nCONFIG SET maxclients 5 timeout 7\r\n",
        "*2\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n*0\r\n+OK\r\n");
    ask(h, a, "CONFIG SET maxclients 0\r\n",
        "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument must be "
        "between 1 and 4294967295 inclusive\r\n");
    ask(h, a, "CONFIG SET nosuch 1\r\nCONFIG SET timeout 1 maxclients\r\n",
        "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'\r\n"
        "-ERR syntax error\r\n");
    static const char *const paths[] = {"dir", "logfile", "unixsocket", "aclfile"};
    for (size_t i = 0; i < 4; i++) { /* no client can make the server write anywhere else */
        char line[64];
        snprintf(line, sizeof line, "CONFIG SET %s /tmp/x\r\n", paths[i]);
        harness_send(h, a, line);
        expect_start(a, "-ERR ");
    }
    ask(h, a, "CONFIG REWRITE\r\n", "-ERR The server is running without a config file\r\n");
    harness_close(h);
}

static size_t count_of(struct stream *a, const char *text)
{
    size_t count = 0;
    buffer_append_byte(&a->out, 0);
    for (const char *at = (const char *)a->out.data; (at = strstr(at, text)) != NULL; at++) count++;
    buffer_clear(&a->out);
    return count;
}

TEST(face_redis_server, statistics_count_commands_and_begin_anew)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "BLPOP k 0\r\n");
    fake_clock_pass(&h->clock, 250);
    harness_answer(h, "x");
    harness_send(h, a, "GET\r\nnosuch\r\n");
    buffer_clear(&a->out);
    harness_send(h, a, "INFO commandstats\r\n");
    assert_int_equal(count_of(a, "\r\ncmdstat_blpop:calls=1,usec=250,usec_per_call=250.00,"
                                 "rejected_calls=0,failed_calls=0\r\n"),
                     1);
    harness_send(h, a, "INFO commandstats\r\n");
    assert_int_equal(count_of(a, "\r\ncmdstat_get:calls=0,usec=0,usec_per_call=0.00,"
                                 "rejected_calls=1,failed_calls=0\r\n"),
                     1);
    harness_send(h, a, "INFO stats\r\n");
    assert_int_equal(count_of(a, "\r\ntotal_error_replies:2\r\n"), 1);
    h->service.status.expired_keys = 9;
    harness_send(h, a, "CONFIG RESETSTAT\r\nINFO commandstats stats\r\n");
    assert_int_equal(count_of(a, "cmdstat_blpop"), 0);
    h->service.status.expired_keys = 11;
    harness_send(h, a, "INFO stats\r\n");
    assert_int_equal(count_of(a, "\r\nexpired_keys:2\r\n"), 1);
    harness_close(h);
}

TEST(face_redis_server, info_tells_what_a_sync_of_the_log_took)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    h->service.status.syncs = 4;
    h->service.status.sync_us_total = 4000;
    h->service.status.sync_us_last = 700;
    h->service.status.sync_us_worst = 2500;
    histogram_add(&h->service.sync_us, 400, 3);
    histogram_add(&h->service.sync_us, 2500, 1);
    harness_send(h, a, "INFO tidemark\r\n");
    assert_int_equal(count_of(a, "\r\nlog_syncs:4\r\nlog_sync_us_mean:1000\r\n"
                                 "log_sync_us_last:700\r\nlog_sync_us_worst:2500\r\n"
                                 "log_sync_us_p50:448\r\nlog_sync_us_p99:2560\r\n"),
                     1);
    harness_close(h);
}

TEST(face_redis_server, info_tells_of_images_as_clients_of_redis_expect)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    fake_clock_pass(&h->clock, 5000000);
    h->service.status.images = (struct service_images){.saving = true,
                                                       .failed = true,
                                                       .images = 2,
                                                       .bad = 1,
                                                       .checked_s = 1700000001,
                                                       .changes = 12,
                                                       .lsn = {77},
                                                       .saved_s = 1700000000,
                                                       .bytes = 4096,
                                                       .took_us = 3500000,
                                                       .bytes_done = 300,
                                                       .bytes_expected = 1200};
    h->service.status.images.began_us = clock_now_us(&h->clock.base) - 2000000;
    harness_send(h, a, "INFO persistence\r\n");
    assert_int_equal(count_of(a,
                              "\r\nrdb_changes_since_last_save:12\r\nrdb_bgsave_in_progress:1\r\n"
                              "rdb_last_save_time:1700000000\r\nrdb_last_bgsave_status:err\r\n"
                              "rdb_last_bgsave_time_sec:3\r\nrdb_current_bgsave_time_sec:2\r\n"),
                     1);
    harness_send(h, a, "INFO persistence\r\n");
    assert_int_equal(count_of(a, "\r\nimage_lsn:77\r\nimage_bytes:4096\r\nimages:2\r\n"
                                 "images_bad:1\r\nimage_last_scrub_time:1700000001\r\n"
                                 "image_progress_percent:25\r\nimage_bytes_per_second:150\r\n"
                                 "image_seconds_left:6\r\n"),
                     1);
    h->service.status.images = (struct service_images){.lsn = {0}};
    harness_send(h, a, "INFO persistence\r\n");
    assert_int_equal(count_of(a, "\r\nrdb_last_bgsave_status:ok\r\n"
                                 "rdb_last_bgsave_time_sec:-1\r\n"
                                 "rdb_current_bgsave_time_sec:-1\r\n"),
                     1);
    harness_close(h);
}

TEST(face_redis_server, sections_of_info_are_chosen_by_name_and_come_once)
{
    static const struct {
        const char *words;
        size_t memory, cpu, rejected, tidemark;
    } rows[] = {
        {"INFO\r\n", 1, 1, 0, 1},
        {"INFO default\r\n", 1, 1, 0, 1},
        {"INFO cpu\r\n", 0, 1, 0, 0},
        {"INFO sentinel\r\n", 0, 0, 0, 0},
        {"INFO commandSTATS\r\n", 0, 0, 1, 0},
        {"INFO cpu default\r\n", 1, 1, 0, 1},
        {"INFO ALL cpu\r\n", 1, 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct harness *h = harness_open("");
        struct stream *a = harness_connect(h);
        harness_send(h, a, "PING\r\n");
        static const char *const fields[] = {"\r\nused_memory:", "\r\nused_cpu_user_children:",
                                             "\r\ncmdstat_ping:", "\r\napplied_lsn:"};
        size_t wanted[] = {rows[i].memory, rows[i].cpu, rows[i].rejected, rows[i].tidemark};
        for (size_t k = 0; k < 4; k++) {
            buffer_clear(&a->out);
            harness_send(h, a, rows[i].words);
            assert_int_equal(count_of(a, fields[k]), wanted[k]);
        }
        harness_close(h);
    }
}

TEST(face_redis_server, reports_answer_in_their_forms)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "LATENCY LATEST\r\nLATENCY HISTORY x\r\nLATENCY RESET x\r\n", "*0\r\n*0\r\n:0\r\n");
    static const char *const texts[] = {"LATENCY DOCTOR\r\n", "MEMORY DOCTOR\r\n", "LOLWUT\r\n"};
    for (size_t i = 0; i < 3; i++) {
        harness_send(h, a, texts[i]);
        expect_start(a, "$");
    }
    harness_send(h, a, "MEMORY STATS\r\n");
    expect_start(a, "*10\r\n$15\r\ntotal.allocated\r\n:");
    ask(h, a, "CLIENT LIST TYPE x\r\nCLIENT LIST ID x\r\nCLIENT LIST ID 5\r\n",
        "-ERR Unknown client type 'x'\r\n-ERR Invalid client ID\r\n$0\r\n\r\n");
    ask(h, a, "CLIENT LIST ID 0\r\nCLIENT LIST ID 0 x\r\nCLIENT LIST ID -1\r\n",
        "$0\r\n\r\n-ERR Invalid client ID\r\n$0\r\n\r\n");
    ask(h, a, "CLIENT TRACKING off\r\nCLIENT TRACKING off x\r\nCLIENT TRACKING foo\r\n",
        "+OK\r\n-ERR syntax error\r\n-ERR syntax error\r\n");
    ask(h, a, "LOLWUT VERSION x\r\n", "-ERR value is not an integer or out of range\r\n");
    harness_send(h, a, "CLIENT LIST\r\n");
    expect_start(a, "$");
    ask(h, a, "CLIENT PAUSE x\r\nCLIENT PAUSE 1 x\r\nCLIENT PAUSE -1\r\n",
        "-ERR timeout is not an integer or out of range\r\n"
        "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n-ERR timeout is negative\r\n");
    harness_close(h);
}
