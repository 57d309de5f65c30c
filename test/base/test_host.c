/* SPDX-License-Identifier: Apache-2.0 */
#include "base/host.h"

#include "test/test.h"

TEST(host, a_wildcard_is_known_in_every_spelling_and_nothing_else_is_one)
{
    static const char *const wildcards[] = {"",   "*",    "0.0.0.0",         "0",
                                            "::", "[::]", "0:0:0:0:0:0:0:0", "::0.0.0.0"};
    static const char *const hosts[] = {"10.0.0.0", "::1",       "[::1]",
                                        "fd00::",   "127.0.0.1", "a",
                                        "replica",  "0.a.b.c",   "fe80::2%eth0"};
    for (size_t i = 0; i < sizeof wildcards / sizeof wildcards[0]; i++)
        assert_true(host_is_wildcard(bytes_text(wildcards[i])));
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        assert_false(host_is_wildcard(bytes_text(hosts[i])));
    assert_false(host_is_wildcard(bytes_of("0\0", 2)));
}

TEST(host, an_address_has_brackets_where_the_host_has_colons)
{
    static const struct {
        const char *host, *text;
    } rows[] = {{"10.0.0.1", "10.0.0.1:7"},
                {"::1", "[::1]:7"},
                {"[::1]", "[::1]:7"},
                {"a.example", "a.example:7"},
                {"", ":7"}};
    char out[16];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(host_format(rows[i].host, 7, out, sizeof out));
        assert_string_equal(out, rows[i].text);
    }
    assert_true(host_format("a.example.or", 65, out, sizeof out)); /* to the last byte */
    assert_false(host_format("a.example.org", 65, out, sizeof out));
    assert_string_equal(out, "");
}
