/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * The main function of every unit test program: runs the registered tests with cmocka.
 *
 *     test_recover [--list] [--filter TEXT]
 *
 * The last line is `N passed, N failed`; the status is 0 only when nothing failed and nothing that
 * the tests allocated is left. A filter that matches nothing runs nothing and is no error:
 * scripts/run-unit gives one filter to all programs.
 */
#include "test/test.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "sim/heap.h"

enum {
    TEST_CASES_MAX = 1024,
    TEST_NAME_BYTES_MAX = 256,
    LEAKS_SHOWN_MAX = 10,
    LEAKS_TEXT_BYTES = 8192
};

struct test_case {
    char name[TEST_NAME_BYTES_MAX]; /* "room: sentence", with spaces in the sentence */
    void (*run)(void **state);
};

static struct test_case cases[TEST_CASES_MAX];
static size_t case_count;

void test_register(const char *room, const char *sentence, void (*run)(void **state))
{
    if (case_count == TEST_CASES_MAX) {
        fprintf(stderr, "more than %d tests in one program\n", TEST_CASES_MAX);
        abort();
    }
    struct test_case *added = &cases[case_count++];
    int length = snprintf(added->name, sizeof added->name, "%s: %s", room, sentence);
    if (length < 0 || (size_t)length >= sizeof added->name) {
        fprintf(stderr, "the name of test %s is too long\n", sentence);
        abort();
    }
    for (char *c = added->name + strlen(room); *c != '\0'; c++) {
        if (*c == '_') *c = ' ';
    }
    added->run = run;
}

/* Underscores and spaces are the same in a filter: a name can be pasted from source or output. */
static bool name_contains(const char *name, const char *filter)
{
    char plain_name[TEST_NAME_BYTES_MAX];
    char plain_filter[TEST_NAME_BYTES_MAX];
    snprintf(plain_name, sizeof plain_name, "%s", name);
    snprintf(plain_filter, sizeof plain_filter, "%s", filter);
    for (char *c = plain_name; *c != '\0'; c++) {
        if (*c == '_') *c = ' ';
    }
    for (char *c = plain_filter; *c != '\0'; c++) {
        if (*c == '_') *c = ' ';
    }
    return strstr(plain_name, plain_filter) != NULL;
}

static size_t keep_matching(const char *filter)
{
    size_t kept = 0;
    for (size_t i = 0; i < case_count; i++) {
        if (!name_contains(cases[i].name, filter)) continue;
        if (kept != i) cases[kept] = cases[i];
        kept++;
    }
    return kept;
}

/* No leak is found by the address sanitizer here: the heap that all tests are linked with keeps a
 * list of its blocks. */
static bool nothing_is_left(void)
{
    size_t left = sim_heap_blocks(NULL);
    if (left == 0) return true;
    struct buffer text;
    buffer_init(&text);
    (void)buffer_reserve(&text, LEAKS_TEXT_BYTES); /* it must not grow: its block is in the list */
    sim_heap_describe(NULL, left < LEAKS_SHOWN_MAX ? left : LEAKS_SHOWN_MAX, &text);
    printf("%zu blocks were never freed:\n%.*s", left, (int)text.size, (const char *)text.data);
    buffer_release(&text);
    return false;
}

static int run_all(void)
{
    static struct CMUnitTest tests[TEST_CASES_MAX];
    for (size_t i = 0; i < case_count; i++) {
        tests[i] = (struct CMUnitTest){.name = cases[i].name, .test_func = cases[i].run};
    }
    int failed = 0;
    if (case_count > 0) failed = _cmocka_run_group_tests("tests", tests, case_count, NULL, NULL);
    if (failed == 0 && !nothing_is_left()) failed = 1;
    fflush(stderr);
    if (failed < 0) failed = (int)case_count;
    printf("%d passed, %d failed\n", (int)case_count - failed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc) {
            case_count = keep_matching(argv[++i]);
        } else if (strcmp(argv[i], "--list") == 0) {
            for (size_t n = 0; n < case_count; n++) puts(cases[n].name);
            return EXIT_SUCCESS;
        } else {
            fprintf(stderr, "usage: %s [--list] [--filter TEXT]\n", argv[0]);
            return EXIT_FAILURE;
        }
    }
    return run_all();
}
