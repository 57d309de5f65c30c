/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include "test/test.h"

TEST(config, addresses_are_the_words_of_bind_with_a_port)
{
    struct config *config = config_open();
    const char *words[] = {"--bind", "127.0.0.1", "-::1", "*", "-host.example"};
    struct why why;
    assert_int_equal(config_read_arguments(config, words, 5, &why), ERR_OK);
    struct config_address addresses[CONFIG_ADDRESSES_MAX];
    assert_int_equal(config_addresses(config, 7380, addresses), 4);
    static const char *const wanted[] = {"127.0.0.1:7380", "[::1]:7380", "0.0.0.0:7380",
                                         "host.example:7380"};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(addresses[i].text, wanted[i]);
        assert_int_equal(addresses[i].optional, i % 2);
    }
    config_close(config);
}
