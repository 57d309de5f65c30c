#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""What programs built with sanitizers need: options, more time, and somebody who reads the reports.

    scripts/sanitizers.py --self-test      each sanitizer must find the mistake planted for it

The Makefile says in TIDEMARK_SANITIZE what the programs under test are built with (`asan`, `ubsan`,
`tsan`; when it is empty nothing here does anything) and in TIDEMARK_SANITIZE_FLAGS how.

Reports go to files, one for each process that has something to say, and never to the output of the
process: a server that was killed, whose output nobody reads, or whose status nobody asks for, still
makes its test fail. Who starts programs gives them `environment(folder)` and calls
`Reports(folder).new()` afterwards.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT_WITH = re.findall(r"\w+", os.environ.get("TIDEMARK_SANITIZE", ""))
STATUS = 66  # of a process that has written a report and then ends by itself
# The one place that says how much slower a sanitized program may be. Most take 3 times as long with
# asan and 5 to 10 with tsan. test/log/test_crash, which fills much memory, takes 4 minutes of
# processor time instead of 3 seconds with tsan.
SLOWNESS = 20 if "tsan" in BUILT_WITH else 8 if BUILT_WITH else 1
LINES_MAX = 400

OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": f'suppressions="{HERE}/tsan-suppressions.txt":second_deadlock_stack=1',
}


def patience(seconds):
    """How long to wait for what takes `seconds` at most in a plain build."""
    return seconds * SLOWNESS


def environment(folder):
    """The variables for programs whose reports go to `folder`; the user's own options win."""
    if not BUILT_WITH:
        return {}
    common = f'log_path="{folder}/report":exitcode={STATUS}:print_suppressions=0'
    return {"TIDEMARK_REPORTS": folder, "LSAN_OPTIONS": "print_suppressions=0",
            **{name: ":".join(filter(None, [common, options, os.environ.get(name)]))
               for name, options in OPTIONS.items()}}


def without_leak_check():
    """The variables for a process that is traced: it cannot look through itself for leaks."""
    return {name: os.environ[name] + ":detect_leaks=0"
            for name in ("ASAN_OPTIONS",) if BUILT_WITH and name in os.environ}


class Reports:
    """What sanitizers have written to a folder; nothing when it is None."""

    def __init__(self, folder):
        self.folder = folder
        self.read = {}

    def new(self):
        """The text that was added since the last call, "" when all is well."""
        if not BUILT_WITH or self.folder is None:
            return ""
        text = ""
        for name in sorted(os.listdir(self.folder)):
            with open(os.path.join(self.folder, name), encoding="utf-8", errors="replace") as file:
                file.seek(self.read.get(name, 0))
                text += file.read()
                self.read[name] = file.tell()
        lines = text.splitlines(keepends=True)
        if len(lines) > LINES_MAX:
            text = "".join(lines[:LINES_MAX]) + f"... and {len(lines) - LINES_MAX} lines more\n"
        return text


# ---- Self-test -----------------------------------------------------------------------------------

HEAD = """
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static int shared;
static void *other(void *argument) { shared++; return argument; }
int main(int count, char **words)
{
    (void)words;
    char *volatile memory = malloc(16);
    pthread_t thread;
    if (memory == NULL || pthread_create(&thread, NULL, other, NULL) != 0) return 1;
"""
TAIL = """
    return 0;
}
"""
JOIN = "pthread_join(thread, NULL);"
MISTAKES = {  # what is planted: (sanitizer, what its report says, the code)
    "use after free": ("asan", "heap-use-after-free",
                       JOIN + "free(memory); return memory[count];"),
    "leak": ("asan", "detected memory leaks", JOIN + "memory = NULL;"),
    "overflow of an int": ("ubsan", "signed integer overflow",
                           JOIN + "free(memory); shared += 0x7fffffff;"),
    "data race": ("tsan", "data race", "shared++;" + JOIN + "free(memory);"),
    "data race, then killed": ("tsan", "data race",
                               "shared++;" + JOIN + "free(memory); for (;;) pause();"),
    "nothing": ("", "", JOIN + "free(memory);"),
}


def find_mistake(folder, sanitizer, said, code):
    """None, or what is wrong with how the mistake was (not) found."""
    source, program = os.path.join(folder, "plant.c"), os.path.join(folder, "plant")
    reports = tempfile.mkdtemp(dir=folder)
    with open(source, "w", encoding="ascii") as file:
        file.write(HEAD + code + TAIL)
    flags = os.environ["TIDEMARK_SANITIZE_FLAGS"].split()
    subprocess.run([os.environ["CC"], "-g", *flags, source, "-o", program], check=True)
    with subprocess.Popen([program], env={**os.environ, **environment(reports)},
                          stdin=subprocess.DEVNULL) as process:
        try:
            status = process.wait(2 if "pause" in code else patience(10))
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
    text = Reports(reports).new()
    wanted = -signal.SIGKILL if "pause" in code else STATUS if sanitizer else 0
    if said not in text or bool(said) != bool(text) or status != wanted:
        return f"status {status}, expected {wanted} and a report `{said}`, not:\n{text}"
    return None


def self_test():
    passed = failed = 0
    for name, (sanitizer, said, code) in MISTAKES.items():
        if sanitizer and sanitizer not in BUILT_WITH:
            continue
        with tempfile.TemporaryDirectory(prefix="tidemark-plant-") as folder:
            wrong = find_mistake(folder, sanitizer, said, code)
        passed, failed = passed + (wrong is None), failed + (wrong is not None)
        if wrong is not None:
            print(f"FAILED {name}: {wrong}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    if sys.argv[1:] != ["--self-test"] or not BUILT_WITH:
        sys.exit(__doc__)
    sys.exit(self_test())
