/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * test: the harness of all unit tests. A test is a sentence and its proof:
 *
 *     TEST(log_recover, torn_tail_is_cut_at_the_last_whole_record)
 *     {
 *         ...
 *         assert_int_equal(err, ERR_OK);
 *     }
 *
 * The test registers itself; test/main.c runs all tests of the program, or those whose name
 * contains the text given with --filter. Programs are run from the root of the repository.
 */
#ifndef TEST_TEST_H
#define TEST_TEST_H

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Called before main by each TEST; `room` and `sentence` are string literals. */
void test_register(const char *room, const char *sentence, void (*run)(void **state));

#define TEST(room, sentence) \
    static void test_##room##_##sentence(void **state); \
    __attribute__((constructor)) static void test_##room##_##sentence##_register(void) \
    { \
        test_register(#room, #sentence, test_##room##_##sentence); \
    } \
    static void test_##room##_##sentence(__attribute__((unused)) void **state)

#endif
