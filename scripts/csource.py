# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""Just enough understanding of C for the checkers: comments, and functions with their sizes.

No parser: it relies on code that clang-format has laid out and a compiler has accepted. Macros are
not expanded; directives are blanked with their continuation lines.
"""
import re

_TOKENS = re.compile(r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""",
                     re.DOTALL | re.VERBOSE)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_]\w*(?=\s*\()")
_NO_FUNCTION = ("__attribute__", "_Static_assert", "_Alignas", "__extension__")


class Function:
    """A definition (body is its text between the braces) or a prototype (body is None)."""

    def __init__(self, name, line, lines, parameters, body):
        self.name, self.line, self.lines = name, line, lines
        self.parameters, self.body = parameters, body


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def strip_comments(text):
    """Blanks comments; strings, columns and line numbers stay."""
    return _TOKENS.sub(lambda m: _blank(m[0]) if m[0].startswith("/") else m[0], text)


def strip_all(text):
    """Blanks comments, directives and what is inside of quotes."""
    def blank(match):
        found = match[0]
        if found.startswith("/"):
            return _blank(found)
        return found[0] + _blank(found[1:-1]) + found[-1]

    return _DIRECTIVE.sub(lambda m: _blank(m[0]), _TOKENS.sub(blank, text))


def _closing(text, at):
    """The index of the bracket that closes the one at `at`; the end of the text when none does."""
    depth = 0
    for i in range(at, len(text)):
        if text[i] in "({[":
            depth += 1
        elif text[i] in ")}]":
            depth -= 1
            if depth == 0:
                return i
    return len(text)


def _parameters(text):
    """How many parameters a list declares; the three dots are none."""
    depth, commas = 0, 0
    text = re.sub(r",\s*\.\.\.\s*$", "", text)
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        commas += c == "," and depth == 0
    return 0 if text.strip() in ("", "void") else commas + 1


def _head(text, start, end):
    """(name, text of the parameters) of the function declared in text[start:end], or None."""
    at = start
    while True:
        match = _NAME.search(text, at, end)
        if not match:
            return None
        opening = text.index("(", match.end())
        closing = _closing(text, opening)
        if match[0] not in _NO_FUNCTION:
            return match[0], text[opening + 1:closing]
        at = closing


def functions(text):
    """All functions that a file defines or declares at its outermost level, in order."""
    plain = strip_all(text)
    found, start, at = [], 0, 0

    def add(body_end, body):
        first = start + len(plain[start:]) - len(plain[start:].lstrip())
        head = _head(plain, start, at)
        statement = plain[start:at].lstrip()
        if head is None or "=" in statement.split("(")[0] or statement.startswith("typedef"):
            return
        name, parameters = head
        if name == "TEST":  # its arguments are a room and a sentence
            name, parameters = "TEST " + parameters.split(",")[-1].strip(), ""
        line = plain.count("\n", 0, first) + 1
        lines = plain.count("\n", first, body_end) + 1
        found.append(Function(name, line, lines, _parameters(parameters), body))

    while at < len(plain):
        c = plain[at]
        if c in "([":
            at = _closing(plain, at)
        elif c == "{":
            end = _closing(plain, at)
            before = plain[start:at].rstrip()
            if before.endswith(")"):
                add(end, plain[at + 1:end])
                start = end + 1
            at = end
        elif c == ";":
            add(at, None)
            start = at + 1
        at += 1
    return found
