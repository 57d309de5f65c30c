/* SPDX-License-Identifier: Apache-2.0 */
#include "base/must.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/test.h"

struct outer {
    int before;
    struct {
        int x;
    } inner;
};

TEST(must, a_condition_that_holds_is_evaluated_once)
{
    int count = 0;
    MUST(++count == 1);
    assert_int_equal(count, 1);
}

TEST(must, a_condition_that_fails_names_itself_and_aborts)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(ends[1], STDERR_FILENO);
        MUST(ends[0] == -1);
        _exit(0);
    }
    (void)close(ends[1]);
    char text[512] = "";
    ssize_t size = read(ends[0], text, sizeof(text) - 1);
    (void)close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_true(size > 0);
    assert_non_null(strstr(text, "must hold: ends[0] == -1"));
    assert_non_null(strstr(text, "test_must.c:"));
}

TEST(must, container_of_finds_the_embedding_struct)
{
    struct outer outer = {1, {2}};
    assert_ptr_equal(CONTAINER_OF(&outer.inner, struct outer, inner), &outer);
}
