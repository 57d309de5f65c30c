#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""The memory of the server stays within its bounds while 2 GiB of values go through it."""
import os
import subprocess
import sys

from lib import ROOT, Failure, require_command, run, temp_folder


def memory_is_bounded_under_two_gibibytes_of_values():
    require_command("redis-benchmark")
    folder = temp_folder("memory")
    done = subprocess.run([sys.executable, "bench/memory", "--dir", folder, "--out",
                           os.path.join(folder, "figures")], cwd=ROOT, stdin=subprocess.DEVNULL,
                          timeout=3600, check=False)
    if done.returncode != 0:
        raise Failure(f"bench/memory: status {done.returncode}")


if __name__ == "__main__":
    run(memory_is_bounded_under_two_gibibytes_of_values)
