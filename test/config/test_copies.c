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
