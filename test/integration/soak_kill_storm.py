#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""test_kill_storm.py with many more kills."""
import os

os.environ.setdefault("TIDEMARK_KILLS", "200")

# The import reads it.
import test_kill_storm as t  # noqa: E402  pylint: disable=wrong-import-position
from lib import run  # noqa: E402  pylint: disable=wrong-import-position

if __name__ == "__main__":
    run(t.every_acked_write_is_there_once_after_kill_9,
        t.the_same_with_fdatasync,
        t.what_write_returned_for_survives_kill_9_with_everysec_and_none)
