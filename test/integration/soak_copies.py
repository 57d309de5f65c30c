#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""test_soak_copies.py for half an hour."""
import os

os.environ.setdefault("TIDEMARK_SOAK_SECONDS", "1800")

# The import reads it.
import test_soak_copies as t  # noqa: E402  pylint: disable=wrong-import-position
from lib import run  # noqa: E402  pylint: disable=wrong-import-position

if __name__ == "__main__":
    run(t.copies_are_equal_after_every_heal)
