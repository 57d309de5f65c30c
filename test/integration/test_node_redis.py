#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 400
"""The npm package `redis` (node-redis) against the server: test/integration/node/node_redis.mjs."""
from npm import run_program

if __name__ == "__main__":
    run_program("node_redis.mjs")
