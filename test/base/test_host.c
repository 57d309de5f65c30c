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
