/* SPDX-License-Identifier: Apache-2.0 */
#include "test/command/facts.h"

static bool is_one_of(const char *word, const char *const *list)
{
    for (size_t i = 0; list[i] != NULL; i++) {
        if (strcmp(word, list[i]) == 0) return true;
    }
    return false;
}

static bool has(const struct command *command, uint32_t flags)
{
    return (command->flags & flags) != 0;
}

TEST(command_table, numbers_are_dense_and_each_row_is_found_by_its_own)
{
    size_t i = 0;
    for (const struct command *command; (command = command_at(i)) != NULL; i++) {
        assert_int_equal(command->id, i + 1);
        assert_ptr_equal(command_by_id((unsigned)i + 1), command);
    }
    assert_true(i > 200);
    assert_null(command_at(i + 1));
    assert_null(command_by_id(0));
    assert_null(command_by_id((unsigned)i + 1));
    assert_null(command_by_id(UINT16_MAX));
    assert_null(command_by_id(UINT32_MAX));
    assert_null(command_at(SIZE_MAX));
}

TEST(command_table, numbers_are_those_that_were_given)
{
    FILE *file = facts_open("docs/formats/vectors/command-ids.txt");
    char line[FACT_BYTES_MAX];
    size_t given = 0;
    while (facts_line(file, line)) {
        char name[64];
        unsigned number;
        assert_int_equal(sscanf(line, "%u %63s", &number, name), 2);
        assert_int_equal(number, ++given);
        const struct command *command = command_by_id(number);
        assert_non_null(command);
        assert_string_equal(command->name, name);
    }
    (void)fclose(file);
    assert_null(command_at(given)); /* a new command is also a new line of the file */
}

TEST(command_table, names_are_unique_and_lower_case)
{
    const struct command *command, *other;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        for (const char *c = command->name; *c != '\0'; c++) {
            assert_non_null(strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.|", *c));
        }
        for (size_t j = 0; j < i; j++) {
            other = command_at(j);
            assert_string_not_equal(command->name, other->name);
        }
    }
}

TEST(command_table, each_row_that_clients_name_is_found_in_any_case)
{
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        char upper[64];
        size_t size = strlen(command->name);
        assert_true(size < sizeof(upper));
        for (size_t at = 0; at <= size; at++) {
            char c = command->name[at];
            upper[at] = c >= 'a' && c <= 'z' && at % 3 != 1 ? (char)(c - 'a' + 'A') : c;
        }
        const struct command *expected = has(command, FLAG_INTERNAL) ? NULL : command;
        assert_ptr_equal(command_find_path(bytes_text(upper)), expected);
        if (command->parent == COMMAND_NONE) {
            assert_ptr_equal(command_find(bytes_text(command->name)), expected);
            continue;
        }
        assert_null(command_find(bytes_text(command->name)));
        const struct command *parent = command_by_id(command->parent);
        const char *sub = upper + strlen(parent->name) + 1;
        assert_ptr_equal(command_find_sub(parent, bytes_text(sub)), command);
    }
}

TEST(command_table, words_that_are_no_names_are_not_found)
{
    static const char *const words[] = {
        "",
        "g",
        "ge",
        "gett",
        "set ",
        " set",
        "zrevrangebyscores",
        "pos\x0eget",
        "client|list",
        "client|",
        "debug|object",
        "none",
        "a name that is longer than any command has",
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        assert_null(command_find(bytes_text(words[i])));
    }
    assert_null(command_find(bytes_of(NULL, 0)));
    assert_null(command_find(bytes_of("get\0", 4)));
    assert_null(command_find(bytes_of("SE\x13", 3)));
    assert_null(command_find_path(bytes_of(NULL, 0)));
    assert_null(command_find_path(bytes_text("client|")));
    assert_null(command_find_path(bytes_text("|list")));
    assert_null(command_find_path(bytes_text("clients|list")));
    assert_null(command_find_path(bytes_text("client|list|x")));
    assert_null(command_find_path(bytes_text("watch|observe")));
    assert_null(command_find_sub(command_find(bytes_text("client")), bytes_text("lis")));
    assert_null(command_find_sub(command_find(bytes_text("client")), bytes_text("encoding")));
    assert_null(command_find_sub(command_find(bytes_text("get")), bytes_text("get")));
}

TEST(command_table, subcommands_carry_the_name_of_their_container)
{
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        if (command->parent == COMMAND_NONE) {
            assert_true(strchr(command->name, '|') == NULL || has(command, FLAG_INTERNAL));
            continue;
        }
        const struct command *parent = command_by_id(command->parent);
        assert_non_null(parent);
        assert_int_equal(parent->parent, COMMAND_NONE);
        size_t size = strlen(parent->name);
        assert_memory_equal(command->name, parent->name, size);
        assert_int_equal(command->name[size], '|');
        assert_true(strlen(command->name) > size + 1);
        assert_int_equal(parent->place, PLACE_FACE);
        assert_true(command->arity >= 2 || command->arity <= -2);
    }
}

TEST(command_table, key_positions_fit_the_arity)
{
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        assert_int_not_equal(command->arity, 0);
        int least = command->arity < 0 ? -command->arity : command->arity;
        if (command->first_key == 0) {
            assert_int_equal(command->last_key, 0);
            assert_int_equal(command->key_step, 0);
            continue;
        }
        assert_true(command->key_step > 0);
        assert_true(command->first_key > 0);
        if (command->id == COMMAND_SUNSUBSCRIBE) continue; /* without channels: from all */
        assert_true(command->first_key < least);
        int last = command->last_key > 0 ? command->last_key : least + command->last_key;
        assert_true(last >= command->first_key && last < least);
    }
}

TEST(command_table, flags_agree_with_each_other_and_with_the_place)
{
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        bool write = has(command, FLAG_WRITE), readonly = has(command, FLAG_READONLY);
        assert_false(write && readonly);
        if (command->place == PLACE_STATE) assert_true(write || readonly);
        if (has(command, FLAG_MAY_FILL)) assert_true(write && command->place == PLACE_STATE);
        if (has(command, FLAG_DENYOOM)) assert_true(write);
        if (has(command, FLAG_MOVABLEKEYS)) assert_int_equal(command->place, PLACE_STATE);
        if (has(command, FLAG_BLOCKING)) assert_true(write && command_has_keys(command));
        if (has(command, FLAG_INTERNAL)) assert_true(readonly && command->place == PLACE_STATE);
        if (command_has_keys(command) && command->id != COMMAND_WATCH)
            assert_int_equal(command->place, PLACE_STATE);
    }
}

TEST(command_table, every_row_is_documented)
{
    static const char *const groups[] = {
        "generic", "string", "bitmap",       "hash",    "list",       "set",       "sorted-set",
        "pubsub",  "server", "transactions", "cluster", "connection", "scripting", NULL,
    };
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        unsigned parts[3];
        assert_true(is_one_of(command->group, groups));
        assert_int_equal(sscanf(command->since, "%u.%u.%u", &parts[0], &parts[1], &parts[2]), 3);
        assert_true(strlen(command->summary) > 5);
        assert_true(command->summary[strlen(command->summary) - 1] != '.');
    }
}

TEST(command_table, arity_counts_the_name_and_negative_is_a_minimum)
{
    const struct command *get = command_find(bytes_text("get"));
    const struct command *set = command_find(bytes_text("set"));
    const struct command *ping = command_find(bytes_text("ping"));
    assert_false(command_arity_fits(get, 0));
    assert_false(command_arity_fits(get, 1));
    assert_true(command_arity_fits(get, 2));
    assert_false(command_arity_fits(get, 3));
    assert_false(command_arity_fits(set, 2));
    assert_true(command_arity_fits(set, 3));
    assert_true(command_arity_fits(set, SIZE_MAX));
    assert_true(command_arity_fits(ping, 1));
    assert_false(command_arity_fits(ping, 0));
}

/* The rows that 7.0.15 does not have. */
static bool is_ours(const struct command *command)
{
    static const char *const names[] = {"client|setinfo", "client|no-touch", "waitaof", "digest",
                                        "pos.get",        "pos.wait",        "promote", NULL};
    return has(command, FLAG_INTERNAL) || is_one_of(command->name, names) ||
           bytes_starts_with(bytes_text(command->name), bytes_text("repl.")) ||
           bytes_starts_with(bytes_text(command->name), bytes_text("verify"));
}

TEST(command_table, arity_keys_group_and_version_are_those_of_redis)
{
    FILE *file = facts_open("test/command/redis-rows.txt");
    char line[FACT_BYTES_MAX];
    size_t found = 0, rows = 0, ours = 0;
    while (facts_line(file, line)) {
        char name[64], group[64], since[32];
        int arity, first, last, step;
        assert_int_equal(sscanf(line, "%63s %d %d %d %d %*s %*s %63s %31s", name, &arity, &first,
                                &last, &step, group, since),
                         7);
        const struct command *command = command_find_path(bytes_text(name));
        assert_non_null(command);
        assert_int_equal(command->arity, arity);
        assert_int_equal(command->first_key, first);
        assert_int_equal(command->last_key, last);
        assert_int_equal(command->key_step, step);
        assert_string_equal(command->group, group);
        assert_string_equal(command->since, since);
        found++;
    }
    (void)fclose(file);
    for (const struct command *command; (command = command_at(rows)) != NULL; rows++) {
        if (is_ours(command)) ours++;
    }
    assert_int_equal(found + ours, rows);
}
