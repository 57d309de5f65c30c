/* SPDX-License-Identifier: Apache-2.0 */
#include "test/command/facts.h"

/* Pushes the words of `text`, which is cut in place, and finds their row. */
static const struct command *parse_request(char *text, struct args *args)
{
    char *words[FACT_WORDS_MAX];
    size_t count = facts_split(text, ' ', words);
    args_clear(args);
    for (size_t i = 0; i < count; i++) args_push(args, bytes_text(words[i]));
    const struct command *command = command_find(args->at[0]);
    assert_non_null(command);
    const struct command *sub = count > 1 ? command_find_sub(command, args->at[1]) : NULL;
    return sub != NULL ? sub : command;
}

/* The answer in the words of the file of facts. */
static void describe_keys(const struct command *command, const struct args *args,
                          char out[FACT_BYTES_MAX])
{
    size_t at[FACT_WORDS_MAX], count = 99, size = 0;
    enum err err = command_keys(command, args, at, &count);
    out[0] = '\0';
    if (err != ERR_OK) {
        assert_int_equal(err, ERR_PROTOCOL);
        assert_int_equal(count, 0);
        (void)snprintf(out, FACT_BYTES_MAX, "refused");
        return;
    }
    if (!command_has_keys(command)) {
        assert_int_equal(count, 0);
        (void)snprintf(out, FACT_BYTES_MAX, "none");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const char *words[COMMAND_WORDS_MAX];
        char use[FACT_BYTES_MAX];
        facts_join(words, command_use_words(command, args, i == 0, words), ',', use);
        struct bytes key = args->at[at[i]];
        int more = snprintf(out + size, FACT_BYTES_MAX - size, "%s%.*s:%s", i == 0 ? "" : " ",
                            (int)key.size, (const char *)key.data, use);
        assert_true(more > 0 && size + (size_t)more < FACT_BYTES_MAX);
        size += (size_t)more;
    }
}

TEST(command_keys, positions_and_uses_are_those_of_redis)
{
    FILE *file = facts_open("test/command/redis-keys.txt");
    char line[FACT_BYTES_MAX], request[FACT_BYTES_MAX], own[FACT_BYTES_MAX];
    bool seen[UINT16_MAX + 1] = {false};
    struct args args;
    args_init(&args);
    while (facts_line(file, line)) {
        char *answer = strstr(line, " = ");
        assert_non_null(answer);
        *answer = '\0';
        (void)snprintf(request, sizeof(request), "%s", line);
        const struct command *command = parse_request(line, &args);
        describe_keys(command, &args, own);
        if (strcmp(own, answer + 3) != 0) fail_msg("%s: %s, not %s", request, own, answer + 3);
        if (strcmp(own, "refused") != 0) seen[command->id] = true;
    }
    (void)fclose(file);
    args_release(&args);
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        if (!command_has_keys(command) || (command->flags & FLAG_INTERNAL) != 0) continue;
        if (!seen[command->id]) fail_msg("no fact about the keys of %s", command->name);
    }
}

TEST(command_keys, words_that_do_not_fit_the_arity_name_no_keys)
{
    const struct command *command;
    struct args args;
    args_init(&args);
    for (size_t words = 0; words < 12; words++) {
        for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
            size_t at[16], count = 99;
            enum err err = command_keys(command, &args, at, &count);
            if (!command_arity_fits(command, words)) assert_int_equal(err, ERR_PROTOCOL);
            assert_true(count <= words);
            if (err != ERR_OK) assert_int_equal(count, 0);
            for (size_t k = 0; k < count; k++) assert_true(at[k] > 0 && at[k] < words);
        }
        args_push(&args, bytes_text("1"));
    }
    args_release(&args);
}

TEST(command_keys, options_of_sort_are_read_in_any_case)
{
    struct args args;
    args_init(&args);
    char text[] = "SORT k GET store LiMiT 0 1 sToRe d ALPHA";
    const struct command *command = parse_request(text, &args);
    size_t at[16], count;
    assert_int_equal(command_keys(command, &args, at, &count), ERR_OK);
    assert_int_equal(count, 2);
    assert_int_equal(at[0], 1);
    assert_int_equal(at[1], 8);
    args_release(&args);
}

TEST(command_keys, internal_rows_name_theirs)
{
    struct args args;
    args_init(&args);
    char text[] = "observe a b c";
    char *words[FACT_WORDS_MAX];
    size_t count = facts_split(text, ' ', words), at[16];
    for (size_t i = 0; i < count; i++) args_push(&args, bytes_text(words[i]));
    assert_int_equal(command_keys(command_by_id(COMMAND_WATCH_OBSERVE), &args, at, &count), ERR_OK);
    assert_int_equal(count, 3);
    assert_int_equal(command_keys(command_by_id(COMMAND_DEBUG_OBJECT), &args, at, &count), ERR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(at[0], 2);
    args_release(&args);
}
