/* SPDX-License-Identifier: Apache-2.0 */
#include "test/command/facts.h"

TEST(command_words, flags_and_categories_are_those_of_redis_in_its_order)
{
    FILE *file = facts_open("test/command/redis-rows.txt");
    char line[FACT_BYTES_MAX];
    size_t found = 0;
    while (facts_line(file, line)) {
        char *fields[FACT_WORDS_MAX], text[FACT_BYTES_MAX];
        const char *words[COMMAND_WORDS_MAX];
        assert_int_equal(facts_split(line, ' ', fields), 9);
        const struct command *command = command_find_path(bytes_text(fields[0]));
        assert_non_null(command);
        size_t count = command_flag_words(command, words);
        facts_join(words, count, ',', text);
        assert_string_equal(count > 0 ? text : "-", fields[5]);
        count = command_category_words(command, words);
        facts_join(words, count, ',', text);
        assert_string_equal(text, fields[6]);
        found++;
    }
    (void)fclose(file);
    assert_true(found > 200);
}

TEST(command_words, flags_of_our_own_are_not_shown)
{
    const struct command hidden = {
        .name = "x", .categories = "", .flags = FLAG_MAY_FILL | FLAG_PROTECTED | FLAG_INTERNAL};
    const char *words[COMMAND_WORDS_MAX];
    assert_int_equal(command_flag_words(&hidden, words), 0);
}

TEST(command_words, categories_are_listed_as_acl_cat_does)
{
    static const char expected[] =
        "@keyspace @read @write @set @sortedset @list @hash @string @bitmap @hyperloglog "
        "@geo @stream @pubsub @admin @fast @slow @blocking @dangerous @connection @transaction "
        "@scripting";
    const char *words[COMMAND_WORDS_MAX];
    char text[FACT_BYTES_MAX];
    size_t count = 0;
    while (count < COMMAND_WORDS_MAX && command_category_at(count) != NULL) {
        words[count] = command_category_at(count);
        count++;
    }
    facts_join(words, count, ' ', text);
    assert_string_equal(text, expected);
    assert_null(command_category_at(SIZE_MAX));
}

TEST(command_words, a_row_is_in_the_categories_that_it_lists_and_in_no_other)
{
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        const char *words[COMMAND_WORDS_MAX];
        size_t listed = command_category_words(command, words), in = 0;
        for (size_t c = 0; command_category_at(c) != NULL; c++) {
            if (command_is_in_category(command, command_category_at(c))) in++;
        }
        assert_int_equal(listed, in);
        for (size_t w = 0; w < listed; w++) {
            assert_true(command_is_in_category(command, words[w]));
        }
        assert_false(command_is_in_category(command, "@nothing"));
        assert_false(command_is_in_category(command, "@set @list"));
        assert_false(command_is_in_category(command, ""));
    }
}

TEST(command_words, every_category_that_a_row_names_is_a_category)
{
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        char text[FACT_BYTES_MAX], *words[FACT_WORDS_MAX];
        (void)snprintf(text, sizeof(text), "%s", command->categories);
        size_t count = facts_split(text, ' ', words);
        for (size_t w = 0; w < count; w++) assert_true(command_is_in_category(command, words[w]));
    }
}
