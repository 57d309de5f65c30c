/* SPDX-License-Identifier: Apache-2.0 */
/* The directives about other copies. */
#include "config/config.h"

#include <stdio.h>

#include "test/test.h"

static void expect_read(const char *text, const char *primary, unsigned peer_port)
{
    struct config *config = config_open();
    struct why why = {""};
    char address[CONFIG_PRIMARY_BYTES];
    if (config_read_text(config, bytes_text(text), &why) != ERR_OK) fail_msg("%s", why.text);
    config_primary(config, address);
    assert_string_equal(address, primary);
    assert_int_equal(config_peer_port(config), peer_port);
    config_close(config);
}

static void expect_not_read(const char *text, const char *message)
{
    struct config *config = config_open();
    struct why why = {""};
    assert_int_equal(config_read_text(config, bytes_text(text), &why), ERR_CONFIG);
    assert_string_equal(why.text, message);
    config_close(config);
}

TEST(config_copies, a_primary_is_a_host_and_a_port)
{
    expect_read("", "", 17379);
    expect_read("replicaof db.example.org 7001", "db.example.org:7001", 17379);
    expect_read("slaveof ::1 65535", "[::1]:65535", 17379);
    expect_read("replicaof \"h 1\"", "h:1", 17379); /* as one word, from a command line */
    expect_read("replicaof h 1\nreplicaof no one", "", 17379);
    expect_read("replicaof h 1\nreplicaof \"\"", "", 17379);
    expect_not_read("replicaof h", "line 1: replicaof: wrong number of arguments");
    expect_not_read("replicaof h 1 2", "line 1: replicaof: wrong number of arguments");
    expect_not_read("replicaof h 0", "line 1: replicaof: Invalid master port");
    expect_not_read("replicaof h 65536", "line 1: replicaof: Invalid master port");
    expect_not_read("slaveof h x", "line 1: slaveof: Invalid master port");
    expect_not_read("replicaof [::1] 1", "line 1: replicaof: Invalid master host");
    expect_not_read("replicaof \"a\\nb 1\"", "line 1: replicaof: wrong number of arguments");
}

/* The file that a path leads to may be another one by now; a text is what it was. */
struct rereader {
    struct config_watch base;
    int files, others;
    bool refuses;
};

static enum err rereader_changed(struct config_watch *watch, const struct config *config,
                                 enum config_id id, struct why *why)
{
    struct rereader *rereader = CONTAINER_OF(watch, struct rereader, base);
    (void)config;
    if (id == CONFIG_TLS_CERT_FILE || id == CONFIG_TLS_KEY_FILE) rereader->files++;
    else rereader->others++;
    return rereader->refuses ? why_fail(why, ERR_CONFIG, "no") : ERR_OK;
}

static void set_one(struct config *config, const char *name, const char *value, enum err wanted)
{
    struct bytes words[] = {bytes_text(name), bytes_text(value)};
    assert_int_equal(config_set(config, words, 2, NULL), wanted);
}

TEST(config_copies, a_file_that_is_set_again_is_told_though_its_path_is_the_same)
{
    struct config *config = config_open();
    struct rereader rereader = {.base.changed = rereader_changed};
    assert_int_equal(
        config_read_text(config, bytes_text("tls-cert-file /a\ntls-key-file /b"), NULL), ERR_OK);
    config_watch(config, &rereader.base);
    set_one(config, "tls-cert-file", "/a", ERR_OK);
    set_one(config, "tls-cert-file", "/a", ERR_OK);
    set_one(config, "tls-key-file", "/b", ERR_OK);
    assert_int_equal(rereader.files, 3);
    set_one(config, "timeout", "7", ERR_OK); /* and not with every other one */
    set_one(config, "timeout", "7", ERR_OK);
    set_one(config, "tls-key-file-pass", "x", ERR_OK);
    set_one(config, "tls-key-file-pass", "x", ERR_OK);
    assert_int_equal(rereader.files, 3);
    assert_int_equal(rereader.others, 2);
    set_one(config, "tls-cert-file", "/etc/passwd", ERR_CONFIG); /* no other path */
    set_one(config, "tls-ca-cert-dir", "/", ERR_CONFIG);
    assert_int_equal(rereader.files, 3);
    rereader.refuses = true;
    set_one(config, "tls-cert-file", "/a", ERR_CONFIG); /* told, and told that it is as it was */
    assert_int_equal(rereader.files, 5);
    rereader.refuses = false;
    set_one(config, "timeout", "8", ERR_OK);
    assert_int_equal(rereader.files, 5);
    config_unwatch(&rereader.base);
    config_close(config);
}

TEST(config_copies, what_tls_would_be_a_false_promise_is_refused)
{
    expect_not_read("tls-port 6380", "line 1: tls-port: not supported by this server");
    expect_not_read("tls-auth-clients no",
                    "line 1: tls-auth-clients: not supported by this server");
    expect_not_read("tls-cluster yes", "line 1: tls-cluster: not supported by this server");
    expect_read("tls-port 0\ntls-auth-clients yes\ntls-cluster no\ntls-replication yes", "", 17379);
    struct config *config = config_open();
    set_one(config, "tls-replication", "yes", ERR_CONFIG); /* at a start only */
    config_close(config);
    assert_true(config_is_secret(bytes_text("tls-key-file-pass")));
}

TEST(config_copies, a_host_fits_into_an_address)
{
    char text[300], wanted[300];
    memset(text, 'a', sizeof text);
    (void)snprintf(text, sizeof text, "replicaof %0240d 65535", 1);
    (void)snprintf(wanted, sizeof wanted, "%0240d:65535", 1);
    expect_read(text, wanted, 17379);
    (void)snprintf(text, sizeof text, "replicaof %0241d 65535", 1);
    expect_not_read(text, "line 1: replicaof: Invalid master host");
    expect_not_read("announce-host \"a b\"",
                    "line 1: announce-host: argument must be a name or an address of a host");
    expect_read("announce-host fe80::1", "", 17379);
}

TEST(config_copies, nobody_is_announced_at_a_wildcard)
{
    static const char *const hosts[] = {"0.0.0.0", "::", "*", "0:0:0:0:0:0:0:0"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "announce-host %s", hosts[i]);
        expect_not_read(text, "line 1: announce-host: argument must be where others reach this "
                              "copy: nobody is at a wildcard");
    }
    expect_read("announce-host \"\"", "", 17379); /* as connections show it */
}

TEST(config_copies, the_peer_port_lies_above_the_port_unless_it_is_named)
{
    expect_read("port 55535", "", 65535);
    expect_read("port 55536", "", 0);
    expect_read("port 0", "", 0);
    expect_read("port 0\npeer-port 8000", "", 8000);
    expect_read("port 60000\npeer-port 1", "", 1);
    expect_not_read("peer-port 65536",
                    "line 1: peer-port: argument must be between 0 and 65535 inclusive");
}

TEST(config_copies, what_copies_are_told_of_each_other_is_secret)
{
    assert_true(config_is_secret(bytes_text("repl-secret")));
    assert_true(config_is_secret(bytes_text("primaryauth")));
    assert_true(config_is_secret(bytes_text("masteruser")));
    assert_false(config_is_secret(bytes_text("replicaof")));
}

TEST(config_copies, what_may_change_while_running_does)
{
    struct config *config = config_open();
    static const struct {
        const char *name, *value;
        bool live;
    } rows[] = {{"masterauth", "x", true},
                {"masteruser", "x", true},
                {"replica-drop-after", "5", true},
                {"replica-silent-budget", "0", true},
                {"replica-bytes-budget", "1g", true},
                {"rebuilds-max", "3", true},
                {"rebuild-rate", "10m", true},
                {"repl-mode", "all", false},
                {"min-in-sync", "2", false},
                {"peer-port", "1", false},
                {"repl-secret", "x", false},
                {"announce-host", "a", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes words[] = {bytes_text(rows[i].name), bytes_text(rows[i].value)};
        enum err err = config_set(config, words, 2, NULL);
        if ((err == ERR_OK) != rows[i].live) fail_msg("%s", rows[i].name);
    }
    assert_int_equal(config_size(config, CONFIG_REBUILD_RATE), 10 << 20);
    assert_int_equal(config_enum(config, CONFIG_REPL_MODE), CONFIG_MODE_LOCAL);
    config_close(config);
}

TEST(config_copies, a_value_that_came_to_be_is_shown_and_written_and_a_bad_one_is_not)
{
    struct config *config = config_open();
    char address[CONFIG_PRIMARY_BYTES];
    config_note(config, CONFIG_REPLICAOF, bytes_text("h 7"));
    config_primary(config, address);
    assert_string_equal(address, "h:7");
    config_note(config, CONFIG_REPLICAOF, bytes_text("h x"));
    config_primary(config, address);
    assert_string_equal(address, "h:7");
    struct buffer out;
    buffer_init(&out);
    config_rewrite(config, bytes_text("port 1\n"), &out);
    buffer_append_byte(&out, 0);
    assert_non_null(strstr((const char *)out.data, "\nreplicaof h 7\n"));
    buffer_clear(&out);
    config_note(config, CONFIG_REPLICAOF, bytes_text(""));
    config_rewrite(config, bytes_text("port 1\nreplicaof h 7\n"), &out);
    buffer_append_byte(&out, 0);
    assert_null(strstr((const char *)out.data, "replicaof"));
    buffer_release(&out);
    config_close(config);
}
