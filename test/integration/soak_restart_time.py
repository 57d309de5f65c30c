#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""test_restart_time.py with ten million keys and a bound of one second."""
import os

os.environ.setdefault("TIDEMARK_KEYS", "10000000")
os.environ.setdefault("TIDEMARK_RESTART_SECONDS", "1")

# The import reads both.
import test_restart_time as t  # noqa: E402  pylint: disable=wrong-import-position
from lib import run  # noqa: E402  pylint: disable=wrong-import-position

if __name__ == "__main__":
    run(t.the_first_reply_after_kill_9_comes_within_the_bound)
