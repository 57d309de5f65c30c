/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"

#include "base/memory.h"
#include "test/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

TEST(path, a_name_is_joined_to_its_directory_by_one_slash)
{
    static const char *const cases[][3] = {
        {"data", "lock", "data/lock"},
        {"data/", "lock", "data/lock"},
        {"/", "lock", "/lock"},
        {".", "lock", "./lock"},
        {"/data", "keys/log", "/data/keys/log"},
        {"", "lock", "lock"},
        {"data", "", "data"},
        {"data/", "", "data/"},
        {"", "", ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *path = path_join(cases[i][0], cases[i][1]);
        assert_string_equal(path, cases[i][2]);
        memory_free(path);
    }
}

TEST(path, the_parent_holds_the_last_name)
{
    static const char *const cases[][2] = {
        {"/srv/data", "/srv"},
        {"/srv/data/", "/srv"},
        {"/srv//data//", "/srv"},
        {"/data", "/"},
        {"//data", "/"},
        {"/", "/"},
        {"///", "/"},
        {"data", "."},
        {"data/", "."},
        {"./data", "."},
        {"../data", ".."},
        {".", "."},
        {"a/b/c", "a/b"},
        {"", "."},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *parent = path_parent(cases[i][0]);
        assert_string_equal(parent, cases[i][1]);
        memory_free(parent);
    }
}
