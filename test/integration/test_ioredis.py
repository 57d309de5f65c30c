#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 400
"""The npm package `ioredis` against the server: test/integration/node/ioredis.mjs."""
from npm import run_program

if __name__ == "__main__":
    run_program("ioredis.mjs")
