#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""test_dataset.py with more than half a million keys and more kills."""
import os

os.environ.setdefault("TIDEMARK_RECORDS", "520000")
os.environ.setdefault("TIDEMARK_DATASET_KILLS", "20")

# The import reads both.
import test_dataset as t  # noqa: E402  pylint: disable=wrong-import-position
from lib import run  # noqa: E402  pylint: disable=wrong-import-position

if __name__ == "__main__":
    run(t.the_data_set_is_the_same_each_time_and_has_every_type,
        t.redis_cli_pipe_loads_it_and_a_restart_replays_nothing,
        t.kill_9_during_the_load_loses_and_doubles_nothing,
        t.what_was_in_flight_at_kill_9_is_there_once_or_not_at_all)
