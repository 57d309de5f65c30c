# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""The self test of scripts/check-style: small trees with one mistake each must be refused."""
import os
import subprocess
import tempfile

SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
GOOD = {
    "README.md": "See [the log](src/log/log.h#anchor), [elsewhere](https://example.org/x) and\n"
                 "`[code](nowhere)`.\n```\n[more](nowhere.md)\n```\n",
    "src/log/log.h": SPDX + "struct log;\n"
                     "void log_sync(struct log *log, int a, int b, int c, int d);\n",
    "src/log/log.c": SPDX + '#include "log/log.h"\n\nstatic const int table[2] = {1, 2};\n'
                     'static const char *const names[2] = {"a", "{"};\n\n'
                     "static void log_check(int a)\n{\n"
                     "    if (a == table[0] + names[0][0]) return;\n}\n\n"
                     "void log_sync(struct log *log, int a, int b, int c, int d)\n{\n"
                     "    (void)log;\n    log_check(a + b + c + d);\n}\n",
}
LOG_C = GOOD["src/log/log.c"]
LOG_H = GOOD["src/log/log.h"]
EXCEPTIONS = "scripts/style-exceptions.txt"


def long_function(lines):
    return "void f(int *a);\nvoid f(int *a)\n{\n" + "    *a = 1;\n" * (lines - 3) + "}\n"


MARK = "FIX" "ME"
BAD = [  # (what, part of the one finding, changed files)
    ("a long file", "file: 601 lines", {"src/log/b.c": SPDX + "int a(void);\n" * 600}),
    ("a long header", "header: 151 lines",
     {"src/log/b.h": SPDX + "\n" * 150, "src/log/b.c": SPDX + '#include "log/b.h"\n'}),
    ("a long public header", "public-header: 201 lines", {"src/log/log.h": LOG_H + "\n" * 198}),
    ("a long function", "log.c:f: function: 71 lines",
     {"src/log/log.c": LOG_C + long_function(71)}),
    ("too many parameters", "parameters: 6",
     {"src/log/log.c": LOG_C + "void f(int a, int b, int (*c)(int, int), int d, int e, int g);\n"}),
    ("a long line", "columns: 1", {"src/log/log.c": LOG_C + "/* " + "x" * 96 + " */\n"}),
    ("a tab", "tab: 1", {"src/log/log.c": LOG_C + "\tint f(void);\n"}),
    ("white space at the end", "trailing-space: 1", {"src/log/log.c": LOG_C + "int f(void); \n"}),
    ("unfinished work", "unfinished: 1", {"src/log/log.c": LOG_C + f"/* {MARK}: later */\n"}),
    ("no licence line", "spdx: 1", {"src/log/log.c": LOG_C.replace(SPDX, "")}),
    ("no licence line in a script", "spdx: 1", {"scripts/x": "#!/bin/bash\ntrue\n"}),
    ("another header first", "own-header: 1",
     {"src/log/log.c": LOG_C.replace('#include "log', '#include <stdint.h>\n#include "log')}),
    ("an empty check", "empty-check: 1",
     {"src/log/log.c": LOG_C +
      "void a_check(int a);\nvoid a_check(int a)\n{\n    (void)a; /* ! */\n}\n"}),
    ("a header without users", "unused-header: 1", {"src/log/b.h": SPDX}),
    ("a dead link", "link: 1", {"docs/a.md": "[a](b.md)\n"}),
    ("a large file", "blob: 513 KiB", {"docs/a.bin": "x" * (512 * 1024 + 1)}),
    ("a variable at file level", "global: 1", {"src/log/log.c": LOG_C + "static int a;\n"
     "int *f(void);\nint *f(void)\n{\n    return &a;\n}\n"}),
    ("an initialised variable", "global: 1", {"src/log/log.c": LOG_C + "int a = 3;\n"}),
    ("a static variable", "global: 1", {"src/log/log.c": LOG_C +
     "int f(void);\nint f(void)\n{\n    static int a;\n    return a++;\n}\n"}),
    ("a variable of a thread", "global: 1", {"src/log/log.c": LOG_C + "_Thread_local int a;\n"}),
    ("a banned function", "banned: 1", {"src/log/log.c": LOG_C +
     "char *strtok(char *, const char *);\nchar *f(char *a);\n"
     'char *f(char *a)\n{\n    return strtok(a, " ");\n}\n'}),
    ("the heap by pointer", "banned: 1", {"src/log/log.c": LOG_C +
     "void *malloc(unsigned long);\nvoid *(*f(void))(unsigned long);\n"
     "void *(*f(void))(unsigned long)\n{\n    return malloc;\n}\n"}),
    ("exit below app", "banned: 1", {"src/log/log.c": LOG_C +
     "_Noreturn void exit(int);\nvoid f(void);\nvoid f(void)\n{\n    exit(1);\n}\n"}),
    ("an exception that is exceeded", "function: 81 lines of a function; at most 80",
     {"src/log/log.c": LOG_C + long_function(81), EXCEPTIONS: "src/log/log.c:f function 80 old\n"}),
    ("an exception larger than needed", "is 79 now",
     {"src/log/log.c": LOG_C + long_function(79), EXCEPTIONS: "src/log/log.c:f function 80 old\n"}),
    ("an exception that nothing needs", "remove the line",
     {EXCEPTIONS: "src/log/log.c:f function 80 old\n"}),
    ("an exception without a reason", "not of the form", {EXCEPTIONS: "src/log/log.c file 601\n"}),
    ("an exception of no rule", "not of the form", {EXCEPTIONS: "src/log/log.c nose 1 why\n"}),
]
FINE = [
    ("the good tree", {}),
    ("an exception that fits",
     {"src/log/log.c": LOG_C + long_function(80),
      EXCEPTIONS: "# why\nsrc/log/log.c:f function 80 old\n"}),
    ("a function of 70 lines", {"src/log/log.c": LOG_C + long_function(70)}),
    ("the heap in base/memory.c", {"src/base/memory.c": SPDX +
     "void free(void *);\nvoid f(void *a);\nvoid f(void *a)\n{\n    free(a);\n}\n"}),
]


def _findings(files, check_tree):
    with tempfile.TemporaryDirectory(prefix="tidemark-style-") as root:
        objects = os.path.join(root, "build", "obj", "src")
        for path, text in {**GOOD, **files}.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
            if path.startswith("src/") and path.endswith(".c"):
                made = os.path.join(objects, path[len("src/"):-2] + ".o")
                os.makedirs(os.path.dirname(made), exist_ok=True)
                subprocess.run(["gcc", "-w", "-fPIE", "-O1", f"-I{root}/src", "-c", "-o", made,
                                full], check=True)
        return check_tree(root, objects)[1]


def run(check_tree):
    """Returns (passed, failures)."""
    passed, failures = 0, []
    for what, files in FINE:
        findings = _findings(files, check_tree)
        if findings:
            failures.append(f"{what}: refused: {'; '.join(findings)}")
        passed += not findings
    for what, expected, files in BAD:
        findings = _findings(files, check_tree)
        good = len(findings) == 1 and expected in findings[0]
        if not good:
            failures.append(f"{what}: expected `{expected}`, got {findings or 'no finding'}")
        passed += good
    return passed, failures
