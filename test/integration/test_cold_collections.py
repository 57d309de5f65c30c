#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 600
"""Large collections that are mostly in tables: no command and no kill -9 leaves a member out.

Several clients change and read collections of TIDEMARK_MEMBERS members (cold.py), with a cache and
a flush budget that hold a part of them. A kill comes when all have ended: then the digest before
and after is the same; or while they are at it. After each, what the store holds equals its digest
by a recount, and all collections are compared member by member. TIDEMARK_COLD_KILLS is the number
of kills, TIDEMARK_COLD_SECONDS bounds the load before one that comes in the middle
(soak_cold_collections.py: more of each), TIDEMARK_SEED the dice.
"""
import os
import random
import re
import time

from cold import Keeper
from lib import Server, expect, expect_true, patience, run, tidemark

MEMBERS = int(os.environ.get("TIDEMARK_MEMBERS", "60000"))
KILLS = int(os.environ.get("TIDEMARK_COLD_KILLS", "2"))
SECONDS = float(os.environ.get("TIDEMARK_COLD_SECONDS", "3"))
SEED = int(os.environ.get("TIDEMARK_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
KEEPERS = 2
SMALL = {"log_segment_size": "4m", "log_reserve_size": "16m", "flush_budget_min": "1m",
         "flush_budget_max": "2m", "cache_size": "8m"}


def all_do(server, keepers, job):
    """Each keeper does this, at the same time, to its end."""
    for keeper in keepers:
        keeper.begin(server.port, getattr(keeper, job))
    for keeper in keepers:
        keeper.end(patience(120))


def kill_in_the_middle(server, keepers, seconds):
    for keeper in keepers:
        keeper.begin(server.port, keeper.work, may_die=True)
    time.sleep(patience(seconds))
    server.kill()
    for keeper in keepers:
        keeper.stop()
        keeper.end(patience(120))


def digest_of(server):
    with server.client(timeout=60) as client:
        return client.call("DIGEST")[1].decode()


def check_store(server):
    """Of a server that does not run: what was kept running equals what a recount gives."""
    line = tidemark("store", "digest", server.data)
    found = re.fullmatch(r"mark=(\S+) digest=([0-9a-f]{32}) recount=([0-9a-f]{32})\n", line)
    expect_true(found is not None, f"a line of mark, digest and recount, not {line!r}")
    expect(found[2], found[3], "digest and recount")
    return found[2]


def bytes_read(server):
    """By the whole process, from files as from sockets."""
    with open(f"/proc/{server.pid}/io", encoding="ascii") as file:
        return int(re.search(r"^rchar: (\d+)$", file.read(), re.M)[1])


def every_member_is_there_after_every_command_and_kill_9():
    print(f"    TIDEMARK_SEED={SEED}")
    dice = random.Random(SEED)
    keepers = [Keeper(number, SEED, MEMBERS) for number in range(KEEPERS)]
    read = 0
    with Server(**SMALL) as server:
        for number in range(KILLS):
            digest = None
            if number % 2 == 0:
                all_do(server, keepers, "work_once")
                digest = digest_of(server)
                server.kill()
            else:
                kill_in_the_middle(server, keepers, SECONDS * dice.random())
            check_store(server)
            server.start()
            if digest is not None:
                expect(digest_of(server), digest, "the digest after a replay")
            start = bytes_read(server)
            all_do(server, keepers, "settle")
            read += bytes_read(server) - start
        digest = digest_of(server)
        expect(server.stop(60), 0, "exit status")
        expect(check_store(server), digest, "the digest after a clean stop")
    compared = sum(keeper.compared for keeper in keepers)
    print(f"    {KILLS} kills, {sum(k.steps for k in keepers)} steps, {compared} strings compared, "
          f"{read >> 20} MiB read to compare after a kill")
    expect_true(compared > 10 * KILLS * MEMBERS, "the collections were large")
    expect_true(read > KILLS << 23, "the collections were not in memory")


if __name__ == "__main__":
    run(every_member_is_there_after_every_command_and_kill_9)
