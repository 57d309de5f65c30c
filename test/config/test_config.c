/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include "config/value.h"
#include "test/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct config *opened(void)
{
    return config_open();
}

static void assert_read(struct config *config, const char *text)
{
    struct why why = {""};
    if (config_read_text(config, bytes_text(text), &why) != ERR_OK) fail_msg("%s", why.text);
}

static void assert_not_read(const char *text, const char *message)
{
    struct config *config = opened();
    struct why why = {""};
    assert_int_equal(config_read_text(config, bytes_text(text), &why), ERR_CONFIG);
    assert_string_equal(why.text, message);
    config_close(config);
}

/* Sets one directive; returns the error's text, or "" when it was taken. */
static const char *set(struct config *config, const char *name, const char *value, struct why *why)
{
    struct bytes words[] = {bytes_text(name), bytes_text(value)};
    why->text[0] = '\0';
    enum err err = config_set(config, words, 2, why);
    assert_int_equal(err == ERR_OK, why->text[0] == '\0');
    return why->text;
}

static void assert_set(struct config *config, const char *name, const char *value)
{
    struct why why;
    assert_string_equal(set(config, name, value, &why), "");
}

static void assert_refused(struct config *config, const char *name, const char *value,
                           const char *reason)
{
    struct why why;
    struct buffer expected;
    buffer_init(&expected);
    buffer_append_format(&expected, "CONFIG SET failed (possibly related to argument '%s') - %s%c",
                         name, reason, 0);
    assert_string_equal(set(config, name, value, &why), (const char *)expected.data);
    buffer_release(&expected);
}

/* Collects what config_get finds as `name=value;`. */
struct collector {
    struct config_reader base;
    size_t promised, seen;
    struct buffer text;
};

static void collect_begin(struct config_reader *reader, size_t pairs)
{
    CONTAINER_OF(reader, struct collector, base)->promised = pairs;
}

static void collect_pair(struct config_reader *reader, struct bytes name, struct bytes value)
{
    struct collector *collector = CONTAINER_OF(reader, struct collector, base);
    collector->seen++;
    buffer_append(&collector->text, name);
    buffer_append_byte(&collector->text, '=');
    buffer_append(&collector->text, value);
    buffer_append_byte(&collector->text, ';');
}

static void assert_got(const struct config *config, const char *const *patterns, size_t count,
                       const char *expected)
{
    struct collector collector = {.base = {collect_begin, collect_pair}};
    buffer_init(&collector.text);
    struct bytes words[8];
    for (size_t i = 0; i < count; i++) words[i] = bytes_text(patterns[i]);
    config_get(config, words, count, &collector.base);
    assert_int_equal(collector.promised, collector.seen);
    buffer_append_byte(&collector.text, 0);
    assert_string_equal((const char *)collector.text.data, expected);
    buffer_release(&collector.text);
}

static void assert_shown(const struct config *config, const char *name, const char *value)
{
    struct buffer expected;
    buffer_init(&expected);
    buffer_append_format(&expected, "%s=%s;%c", name, value, 0);
    assert_got(config, &name, 1, (const char *)expected.data);
    buffer_release(&expected);
}

TEST(config, defaults_are_as_documented)
{
    struct config *config = opened();
    assert_int_equal(config_int(config, CONFIG_PORT), 7379);
    assert_int_equal(config_enum(config, CONFIG_DURABILITY), CONFIG_DURABILITY_ALWAYS);
    assert_int_equal(config_enum(config, CONFIG_LOG_SYNC), CONFIG_LOG_SYNC_AUTO);
    assert_int_equal(config_enum(config, CONFIG_LOGLEVEL), CONFIG_LOG_LEVEL_NOTICE);
    assert_int_equal(config_enum(config, CONFIG_ENABLE_DEBUG_COMMAND), CONFIG_PERMIT_LOCAL);
    assert_int_equal(config_size(config, CONFIG_CACHE_SIZE), 512 << 20);
    assert_int_equal(config_int(config, CONFIG_UNIXSOCKETPERM), 0);
    assert_true(config_bool(config, CONFIG_PROTECTED_MODE));
    assert_string_equal((const char *)config_text(config, CONFIG_DIR).data, "./data");
    assert_int_equal(config_text(config, CONFIG_REQUIREPASS).size, 0);
    assert_string_equal((const char *)config_text(config, CONFIG_REQUIREPASS).data, "");
    struct bytes words[4];
    assert_int_equal(config_words(config, CONFIG_BIND, words, 4), 1);
    assert_true(bytes_equal(words[0], bytes_text("127.0.0.1")));
    struct config_output_limit limit = config_output_limit(config, CONFIG_CLIENT_NORMAL);
    assert_int_equal(limit.hard_bytes, 1 << 30);
    limit = config_output_limit(config, CONFIG_CLIENT_PUBSUB);
    assert_int_equal(limit.soft_bytes, 8 << 20);
    assert_int_equal(limit.soft_seconds, 60);
    assert_int_equal(config_events(config), 0);
    config_close(config);
    config_close(NULL);
}

TEST(config, words_of_enums_have_the_places_that_the_header_names)
{
    static const struct {
        const char *name, *word;
        enum config_id id;
        int place;
    } cases[] = {
        {"durability", "everysec", CONFIG_DURABILITY, CONFIG_DURABILITY_EVERYSEC},
        {"durability", "none", CONFIG_DURABILITY, CONFIG_DURABILITY_NONE},
        {"appendfsync", "no", CONFIG_DURABILITY, CONFIG_DURABILITY_NONE},
        {"durability", "ALWAYS", CONFIG_DURABILITY, CONFIG_DURABILITY_ALWAYS},
        {"log-sync", "direct", CONFIG_LOG_SYNC, CONFIG_LOG_SYNC_DIRECT},
        {"log-sync", "fdatasync", CONFIG_LOG_SYNC, CONFIG_LOG_SYNC_FDATASYNC},
        {"loglevel", "debug", CONFIG_LOGLEVEL, CONFIG_LOG_LEVEL_DEBUG},
        {"loglevel", "warning", CONFIG_LOGLEVEL, CONFIG_LOG_LEVEL_WARNING},
        {"enable-debug-command", "no", CONFIG_ENABLE_DEBUG_COMMAND, CONFIG_PERMIT_NOBODY},
        {"enable-debug-command", "yes", CONFIG_ENABLE_DEBUG_COMMAND, CONFIG_PERMIT_ALL},
    };
    struct config *config = opened();
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer line;
        buffer_init(&line);
        buffer_append_format(&line, "%s %s%c", cases[i].name, cases[i].word, 0);
        assert_read(config, (const char *)line.data);
        assert_int_equal(config_enum(config, cases[i].id), cases[i].place);
        buffer_release(&line);
    }
    config_close(config);
}

TEST(config, a_file_is_read_line_by_line)
{
    struct config *config = opened();
    assert_read(config, "# comment\n"
                        "\n"
                        "  port 7000\r\n"
                        "BIND 10.0.0.1 ::1\n"
                        "dir \"/srv/with space\"\n"
                        "requirepass 'it\\'s \"secret\"'\n"
                        "appendfsync everysec\n"
                        "save 900 1\n"
                        "cache-size 1gb\n"
                        "unixsocketperm 700\n"
                        "client-output-buffer-limit replica 1k 2k 3\n"
                        "port 7001");
    assert_int_equal(config_int(config, CONFIG_PORT), 7001);
    struct bytes words[1];
    assert_int_equal(config_words(config, CONFIG_BIND, words, 1), 2);
    assert_true(bytes_equal(words[0], bytes_text("10.0.0.1")));
    assert_string_equal((const char *)config_text(config, CONFIG_DIR).data, "/srv/with space");
    assert_true(
        bytes_equal(config_text(config, CONFIG_REQUIREPASS), bytes_text("it's \"secret\"")));
    assert_int_equal(config_enum(config, CONFIG_DURABILITY), CONFIG_DURABILITY_EVERYSEC);
    assert_int_equal(config_size(config, CONFIG_CACHE_SIZE), 1 << 30);
    assert_int_equal(config_int(config, CONFIG_UNIXSOCKETPERM), 0700);
    assert_int_equal(config_output_limit(config, CONFIG_CLIENT_REPLICA).soft_bytes, 2048);
    assert_int_equal(config_output_limit(config, CONFIG_CLIENT_NORMAL).hard_bytes, 1 << 30);
    config_close(config);
}

TEST(config, an_error_in_a_file_names_line_and_directive_and_changes_nothing)
{
    assert_not_read("port 1\n\nport x\n",
                    "line 3: port: argument couldn't be parsed into an integer");
    assert_not_read("# a\nfoo 1", "line 2: foo: unknown directive");
    assert_not_read("port", "line 1: port: wrong number of arguments");
    assert_not_read("port 1 2", "line 1: port: wrong number of arguments");
    assert_not_read("bind", "line 1: bind: wrong number of arguments");
    assert_not_read("requirepass \"x", "line 1: unbalanced quotes");
    assert_not_read("port 65536", "line 1: port: argument must be between 0 and 65535 inclusive");
    assert_not_read("unixsocketperm 1000",
                    "line 1: unixsocketperm: argument must be between 0 and 777 inclusive");
    assert_not_read("cluster-enabled yes", "line 1: cluster-enabled: not supported by this server");
    assert_not_read("nbd-port 1", "line 1: nbd-port: unknown directive");
    struct config *config = opened();
    struct why why;
    assert_int_equal(config_read_text(config, bytes_text("port 1\nhz 2\nfoo"), &why), ERR_CONFIG);
    assert_int_equal(config_int(config, CONFIG_PORT), 7379);
    assert_int_equal(config_int(config, CONFIG_HZ), 10);
    assert_int_equal(config_read_text(config, bytes_text("foo"), NULL), ERR_CONFIG);
    config_close(config);
}

TEST(config, an_option_has_all_words_up_to_the_next)
{
    static const char *const arguments[] = {
        "--port",
        "7000",
        "--bind",
        "127.0.0.1",
        "::1",
        "--save",
        "",
        "--requirepass",
        "-x",
        "--notify-keyspace-events",
        "KEA",
        "--client-output-buffer-limit",
        "normal 1 2 3",
    };
    struct config *config = opened();
    struct why why = {""};
    assert_int_equal(config_read_arguments(config, arguments, COUNT(arguments), &why), ERR_OK);
    assert_int_equal(config_int(config, CONFIG_PORT), 7000);
    assert_shown(config, "bind", "127.0.0.1 ::1");
    assert_shown(config, "requirepass", "-x");
    assert_shown(config, "notify-keyspace-events", "AKE");
    assert_int_equal(config_output_limit(config, CONFIG_CLIENT_NORMAL).soft_seconds, 3);
    config_close(config);
}

TEST(config, a_bad_command_line_is_refused_whole)
{
    static const struct {
        const char *arguments[5], *message;
    } cases[] = {
        {{"7000"}, "7000: unknown option"},
        {{"--port", "1", "--nothing", "2"}, "--nothing: unknown option"},
        {{"--port"}, "--port: wrong number of arguments"},
        {{"--port", "1", "2"}, "--port: wrong number of arguments"},
        {{"--log-segment-size", "100000"},
         "--log-segment-size: argument must be a multiple of 4096"},
        {{"--hz", "5", "--port", "--bind", "x"}, "--port: wrong number of arguments"},
        {{"--hz", "5", "--port", "x"}, "--port: argument couldn't be parsed into an integer"},
        {{"--", "1"}, "--: unknown option"},
    };
    struct config *config = opened();
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t count = 0;
        while (count < 5 && cases[i].arguments[count] != NULL) count++;
        struct why why = {""};
        assert_int_equal(config_read_arguments(config, cases[i].arguments, count, &why),
                         ERR_CONFIG);
        assert_string_equal(why.text, cases[i].message);
        assert_int_equal(config_int(config, CONFIG_HZ), 10);
    }
    config_close(config);
}

TEST(config_set, errors_are_worded_as_redis_words_them)
{
    static const struct {
        const char *name, *value, *reason;
    } cases[] = {
        {"port", "1", "can't set immutable config"},
        {"timeout", "abc", "argument couldn't be parsed into an integer"},
        {"timeout", "-1", "argument must be between 0 and 2147483647 inclusive"},
        {"maxclients", "0", "argument must be between 1 and 4294967295 inclusive"},
        {"rdbcompression", "maybe", "argument must be 'yes' or 'no'"},
        {"maxmemory", "abc", "argument must be a memory value"},
        {"maxmemory", "-1", "argument must be a memory value"},
        {"maxmemory-clients", "x", "argument must be a memory or percent value"},
        {"maxmemory-clients", "101%", "percentage argument must be less or equal to 100"},
        {"durability", "x", "argument(s) must be one of the following: always, everysec, none"},
        {"appendfsync", "none", "argument(s) must be one of the following: always, everysec, no"},
        {"notify-keyspace-events", "Q", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."},
        {"save", "900", "Invalid save parameters"},
        {"save", "0 1", "Invalid save parameters"},
        {"save", "900 -1", "Invalid save parameters"},
        {"save", "900  1", "Invalid save parameters"},
        {"shutdown-on-sigint", "save nosave",
         "shutdown options SAVE and NOSAVE can't be used simultaneously"},
        {"client-output-buffer-limit", "normal 1mb 2mb",
         "Wrong number of arguments in buffer limit configuration."},
        {"client-output-buffer-limit", "foo 1mb 2mb 60",
         "Invalid client class specified in buffer limit configuration."},
        {"client-output-buffer-limit", "normal a 2mb 60",
         "Error in hard, soft or soft_seconds setting in buffer limit configuration."},
        {"latency-tracking-info-percentiles", "101",
         "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"},
        {"latency-tracking-info-percentiles", "x",
         "Invalid latency-tracking-info-percentiles parameters"},
        {"oom-score-adj-values", "1 2", "wrong number of arguments"},
        {"oom-score-adj-values", "1 2 3000",
         "Invalid oom-score-adj-values, elements must be between -2000 and 2000."},
        {"dbfilename", "../x", "dbfilename can't be a path, just a filename"},
        {"cluster-announce-hostname", "a_b",
         "Hostnames may only contain alphanumeric characters, hyphens or dots"},
        {"proto-max-bulk-len", "1",
         "argument must be between 1048576 and 9223372036854775807 inclusive"},
        {"replicaof", "h 1", "can't set immutable config"},
        {"activedefrag", "yes", "not supported by this server"},
        {"appendonly", "maybe", "argument must be 'yes' or 'no'"},
    };
    struct config *config = opened();
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_refused(config, cases[i].name, cases[i].value, cases[i].reason);
    struct why why;
    assert_string_equal(set(config, "foo", "1", &why),
                        "Unknown option or number of arguments for CONFIG SET - 'foo'");
    assert_refused(config, "PORT", "1", "can't set immutable config"); /* as it was spelled */
    assert_string_equal(set(config, "TIMEOUT", "x", &why),
                        "CONFIG SET failed (possibly related to argument 'timeout') - argument "
                        "couldn't be parsed into an integer");
    config_close(config);
}

TEST(config_set, several_pairs_are_taken_all_or_none)
{
    struct config *config = opened();
    struct why why;
    struct bytes good[] = {bytes_text("timeout"), bytes_text("5"), bytes_text("hz"),
                           bytes_text("20")};
    assert_int_equal(config_set(config, good, 4, &why), ERR_OK);
    assert_int_equal(config_int(config, CONFIG_TIMEOUT), 5);
    assert_int_equal(config_int(config, CONFIG_HZ), 20);
    struct bytes late[] = {bytes_text("timeout"), bytes_text("6"), bytes_text("hz"),
                           bytes_text("x")};
    assert_int_equal(config_set(config, late, 4, &why), ERR_CONFIG);
    assert_int_equal(config_int(config, CONFIG_TIMEOUT), 5);
    struct bytes twice[] = {bytes_text("timeout"), bytes_text("6"), bytes_text("TIMEOUT"),
                            bytes_text("7")};
    assert_int_equal(config_set(config, twice, 4, &why), ERR_CONFIG);
    assert_string_equal(why.text, "CONFIG SET failed (possibly related to argument 'TIMEOUT') - "
                                  "duplicate parameter");
    assert_int_equal(config_int(config, CONFIG_TIMEOUT), 5);
    assert_int_equal(config_set(config, good, 3, &why), ERR_CONFIG);
    assert_string_equal(why.text, "syntax error");
    assert_int_equal(config_set(config, good, 0, &why), ERR_CONFIG);
    config_close(config);
}

TEST(config_set, a_list_may_be_emptied_and_is_shown_in_one_form)
{
    struct config *config = opened();
    assert_set(config, "save", "900 1 300 10");
    assert_shown(config, "save", "900 1 300 10");
    assert_set(config, "save", "");
    assert_shown(config, "save", "");
    assert_set(config, "shutdown-on-sigint", "FORCE now");
    assert_shown(config, "shutdown-on-sigint", "now force");
    assert_set(config, "latency-tracking-info-percentiles", "50 99.5 100.0 0");
    assert_shown(config, "latency-tracking-info-percentiles", "50 99.5 100 0");
    assert_set(config, "client-output-buffer-limit", "normal 1mb 2mb 60 replica 1gb 0 0");
    assert_shown(config, "client-output-buffer-limit",
                 "normal 1048576 2097152 60 slave 1073741824 0 0 pubsub 33554432 8388608 60");
    assert_int_equal(config_output_limit(config, CONFIG_CLIENT_NORMAL).soft_seconds, 60);
    config_close(config);
}

TEST(config_set, letters_of_events_are_put_in_the_order_of_redis)
{
    static const char *const cases[][2] = {
        {"A", "A"},          {"KEA", "AKE"}, {"Kgn", "gnK"},     {"KEAm", "AKEm"},
        {"gnm", "gnm"},      {"Ex", "xE"},   {"xeKEd", "xedKE"}, {"", ""},
        {"g$lshzxetd", "A"}, {"An", "An"}, /* Redis 7.0 forgets to show the n behind an A */
    };
    struct config *config = opened();
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_set(config, "notify-keyspace-events", cases[i][0]);
        assert_shown(config, "notify-keyspace-events", cases[i][1]);
    }
    assert_set(config, "notify-keyspace-events", "K$");
    assert_int_equal(config_events(config), CONFIG_EVENT_KEYSPACE | CONFIG_EVENT_STRING);
    config_close(config);
}

TEST(config_set, a_locked_directive_takes_good_values_and_keeps_its_own)
{
    struct config *config = opened();
    assert_set(config, "appendonly", "no");
    assert_shown(config, "appendonly", "yes");
    assert_read(config, "appendonly no");
    assert_shown(config, "appendonly", "yes");
    config_close(config);
}

TEST(config_set, what_is_refused_may_be_set_to_its_default)
{
    struct config *config = opened();
    assert_set(config, "activedefrag", "no");
    assert_read(config, "cluster-enabled no\naclfile \"\"");
    config_close(config);
}

TEST(config_set, a_secret_may_hold_any_byte_and_a_text_no_zero)
{
    struct config *config = opened();
    struct why why;
    struct bytes secret[] = {bytes_text("requirepass"), bytes_of("a\0b\xff", 4)};
    assert_int_equal(config_set(config, secret, 2, &why), ERR_OK);
    assert_true(bytes_equal(config_text(config, CONFIG_REQUIREPASS), secret[1]));
    struct bytes text[] = {bytes_text("bind-source-addr"), bytes_of("a\0b", 3)};
    assert_int_equal(config_set(config, text, 2, &why), ERR_CONFIG);
    assert_true(config_is_secret(bytes_text("RequirePass")));
    assert_true(config_is_secret(bytes_text("masterauth")));
    assert_false(config_is_secret(bytes_text("port")));
    assert_false(config_is_secret(bytes_text("nothing")));
    config_close(config);
}

TEST(config_get, names_and_patterns_are_found_once_and_in_order)
{
    struct config *config = opened();
    static const char *const exact[] = {"PORT", "nothing", "port"};
    assert_got(config, exact, 3, "PORT=7379;");
    static const char *const aliases[] = {"hash-max-*-entries", "hash-max-ziplist-entries"};
    assert_got(config, aliases, 2, "hash-max-listpack-entries=512;hash-max-ziplist-entries=512;");
    static const char *const none[] = {"nothing*"};
    assert_got(config, none, 1, "");
    static const char *const fsync[] = {"durab?lity", "append[f]sync"};
    assert_set(config, "durability", "none");
    assert_got(config, fsync, 2, "durability=none;appendfsync=no;");
    config_close(config);
}

TEST(config_get, hidden_names_are_shown_by_their_exact_name_only)
{
    struct config *config = opened();
    static const char *const pattern[] = {"key-load*"}, *const exact[] = {"key-load-delay"};
    assert_got(config, pattern, 1, "");
    assert_got(config, exact, 1, "key-load-delay=0;");
    config_close(config);
}

TEST(config_get, a_star_shows_everything)
{
    struct config *config = opened();
    struct collector collector = {.base = {collect_begin, collect_pair}};
    buffer_init(&collector.text);
    struct bytes star = bytes_text("*");
    config_get(config, &star, 1, &collector.base);
    assert_int_equal(collector.promised, collector.seen);
    assert_true(collector.seen > 150);
    buffer_release(&collector.text);
    config_close(config);
}

struct watcher {
    struct config_watch base;
    struct buffer seen; /* `id:value;` of each change */
    int refuse;         /* the id to refuse, or -1 */
};

static enum err watcher_changed(struct config_watch *watch, const struct config *config,
                                enum config_id id, struct why *why)
{
    struct watcher *watcher = CONTAINER_OF(watch, struct watcher, base);
    buffer_append_format(&watcher->seen, "%s:%lld;",
                         id == CONFIG_HZ        ? "hz"
                         : id == CONFIG_TIMEOUT ? "timeout"
                                                : "other",
                         (long long)config_int(config, id));
    if ((int)id == watcher->refuse) return why_fail(why, ERR_REFUSED, "not now");
    return ERR_OK;
}

static void assert_seen(struct watcher *watcher, const char *expected)
{
    buffer_append_byte(&watcher->seen, 0);
    assert_string_equal((const char *)watcher->seen.data, expected);
    buffer_clear(&watcher->seen);
}

TEST(config_watch, hears_of_changes_and_only_of_changes)
{
    struct config *config = opened();
    struct watcher watcher = {.base = {.changed = watcher_changed}, .refuse = -1};
    buffer_init(&watcher.seen);
    config_watch(config, &watcher.base);
    assert_set(config, "hz", "20");
    assert_seen(&watcher, "hz:20;");
    assert_set(config, "hz", "20");
    assert_seen(&watcher, "");
    struct why why;
    struct bytes both[] = {bytes_text("hz"), bytes_text("30"), bytes_text("timeout"),
                           bytes_text("7")};
    assert_int_equal(config_set(config, both, 4, &why), ERR_OK);
    assert_seen(&watcher, "timeout:7;hz:30;");
    (void)set(config, "hz", "x", &why);
    assert_read(config, "hz 40");
    assert_seen(&watcher, "");
    config_unwatch(&watcher.base);
    config_unwatch(&watcher.base);
    assert_set(config, "hz", "50");
    assert_seen(&watcher, "");
    buffer_release(&watcher.seen);
    config_close(config);
}

TEST(config_watch, a_refusal_puts_all_values_back_and_tells_those_who_were_told)
{
    struct config *config = opened();
    struct watcher first = {.base = {.changed = watcher_changed}, .refuse = -1};
    struct watcher second = {.base = {.changed = watcher_changed}, .refuse = CONFIG_HZ};
    buffer_init(&first.seen);
    buffer_init(&second.seen);
    config_watch(config, &first.base);
    config_watch(config, &second.base);
    struct bytes words[] = {bytes_text("hz"), bytes_text("30"), bytes_text("timeout"),
                            bytes_text("7")};
    struct why why;
    assert_int_equal(config_set(config, words, 4, &why), ERR_CONFIG);
    assert_string_equal(why.text,
                        "CONFIG SET failed (possibly related to argument 'hz') - not now");
    assert_seen(&first, "timeout:7;hz:30;timeout:0;hz:10;");
    assert_seen(&second, "timeout:7;hz:30;timeout:0;hz:10;");
    assert_int_equal(config_int(config, CONFIG_HZ), 10);
    assert_int_equal(config_int(config, CONFIG_TIMEOUT), 0);
    assert_int_equal(config_set(config, words, 4, NULL), ERR_CONFIG); /* also without a reason */
    assert_int_equal(config_int(config, CONFIG_TIMEOUT), 0);
    config_unwatch(&first.base);
    config_unwatch(&second.base);
    buffer_release(&first.seen);
    buffer_release(&second.seen);
    config_close(config);
}

TEST(config_describe, says_everything_once)
{
    struct buffer with, without;
    buffer_init(&with);
    buffer_init(&without);
    config_describe(true, &with);
    config_describe(false, &without);
    buffer_append_byte(&with, 0);
    buffer_append_byte(&without, 0);
    const char *effect = (const char *)with.data, *kept = (const char *)without.data;
    assert_non_null(strstr(effect, "  --port 7379\n"));
    assert_non_null(strstr(effect, "(always, everysec, none)"));
    assert_non_null(strstr(effect, "  --appendfsync\n        another name of --durability"));
    assert_null(strstr(effect, "--maxmemory "));
    assert_non_null(strstr(kept, "  --maxmemory 0\n"));
    assert_null(strstr(kept, "--port "));
    buffer_release(&with);
    buffer_release(&without);
}

TEST(config_describe, what_was_set_in_vain_is_named)
{
    struct config *config = opened();
    struct buffer names;
    buffer_init(&names);
    config_without_effect(config, &names);
    assert_int_equal(names.size, 0);
    assert_read(config, "port 1\nmaxmemory 1gb\nmaxmemory-samples 5\nslave-read-only no\n");
    config_without_effect(config, &names);
    assert_true(bytes_equal(buffer_bytes(&names), bytes_text("maxmemory replica-read-only")));
    buffer_release(&names);
    config_close(config);
}

TEST(config_table, every_name_is_unique_lower_case_and_found)
{
    for (size_t i = 0; i < config_names(); i++) {
        const struct config_name *name = config_name_at(i);
        assert_ptr_equal(config_name_find(bytes_text(name->name)), name);
        for (const char *at = name->name; *at != '\0'; at++)
            assert_true((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '-' ||
                        *at == '_');
        const struct directive *directive = directive_of(name->id);
        assert_true(directive->text[0] != '\0');
        assert_true(directive->kind == KIND_ENUM || name->words[0] == '\0');
        if (!name->alias) assert_string_equal(name->name, directive->name);
    }
}
