#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""test_cold_collections.py with larger collections, more kills and longer loads."""
import os

os.environ.setdefault("TIDEMARK_MEMBERS", "100000")
os.environ.setdefault("TIDEMARK_COLD_KILLS", "6")
os.environ.setdefault("TIDEMARK_COLD_SECONDS", "10")

# The import reads them.
import test_cold_collections as t  # noqa: E402  pylint: disable=wrong-import-position
from lib import run  # noqa: E402  pylint: disable=wrong-import-position

if __name__ == "__main__":
    run(t.every_member_is_there_after_every_command_and_kill_9)
