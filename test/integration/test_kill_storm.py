#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 600
"""kill -9, again and again, under pipelined writes of all types: nothing acked is lost or doubled.

After each restart: every acked write is there once, an unknown one once or not at all, the mark has
not gone back, its history is the same, the epoch has grown. At the end the digest equals a recount.
TIDEMARK_KILLS is the number of kills (soak_kill_storm.py: more), TIDEMARK_SEED the dice.
"""
import os
import random
import time

from lib import Server, expect, expect_true, patience, run, tidemark
from storm import Mark, Writer

KILLS = int(os.environ.get("TIDEMARK_KILLS", "25"))
SEED = int(os.environ.get("TIDEMARK_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
WRITERS = 4
SMALL = {"log_segment_size": "1m", "log_reserve_size": "8m", "flush_budget_min": "1m",
         "flush_budget_max": "2m", "cache_size": "8m"}


def mark_of(server):
    with server.client() as client:
        return Mark(client.call("DIGEST")[0])


def start_again(server, dice):
    """Now and then it is killed while it starts, also more than once."""
    while dice.random() < 0.3:
        server.start(wait=False)
        time.sleep(dice.random() * patience(0.06))
        server.kill()
    server.start()


def check_after_restart(server, writers, before, dice):
    """Everything that holds after a restart; returns the mark of now."""
    with server.client(timeout=30) as client:
        for writer in writers:
            writer.settle(client)
            writer.check(client, [dice.choice(writer.rounds)])
        marks = [writer.mark for writer in writers if writer.mark is not None]
        for mark in marks if client.call("COMMAND", "INFO", "pos.wait") != [None] else ():
            expect(client.ask("POS.WAIT", mark.text, 0), "OK", f"POS.WAIT of the acked {mark.text}")
        now = Mark(client.call("DIGEST")[0])
        acked = max([mark.lsn for mark in marks] + [before.lsn])
        expect_true(now.lsn >= acked, f"the mark {now.text} is not before the acked LSN {acked}")
        expect(now.history, before.history, "history")
        expect_true(now.epoch > before.epoch, f"epoch {now.epoch} is above {before.epoch}")
        said = client.call("POS.GET")
        expect_true(Mark(said).lsn >= acked, f"POS.GET {said!r} is not before LSN {acked}")
    return now


def check_digest(server):
    with server.client() as client:
        mark, digest = client.call("DIGEST")
    expect(server.stop(), 0, "exit status")
    line = tidemark("store", "digest", server.data)
    parts = dict(part.split("=", 1) for part in line.split())
    expect((parts["digest"], parts["recount"]), (digest.decode(), digest.decode()), "digests")
    expect(parts["mark"], mark.decode(), "the mark of the store after a clean stop")


def storm(kills, **options):
    print(f"    TIDEMARK_SEED={SEED}")
    dice = random.Random(SEED)
    writers = [Writer(number, SEED) for number in range(WRITERS)]
    with Server(**SMALL, **options) as server:
        before = mark_of(server)
        for _ in range(kills):
            for writer in writers:
                writer.begin(server.port)
            time.sleep(0.02 + dice.random() * 0.3)
            server.kill()
            for writer in writers:
                writer.end()
            start_again(server, dice)
            before = check_after_restart(server, writers, before, dice)
        with server.client(timeout=60) as client:
            for writer in writers:
                writer.check(client)
        check_digest(server)
    acked = sum(writer.acked_count() for writer in writers)
    print(f"    {kills} kills, {acked} acked writes, {sum(w.written for w in writers)} sent")
    expect_true(acked > 10 * kills, "the storm had something to lose")


def every_acked_write_is_there_once_after_kill_9():
    storm(KILLS)


def the_same_with_fdatasync():
    storm(max(KILLS // 4, 3), log_sync="fdatasync")


def what_write_returned_for_survives_kill_9_with_everysec_and_none():
    storm(max(KILLS // 8, 2), durability="everysec")
    storm(max(KILLS // 8, 2), durability="none")


if __name__ == "__main__":
    run(every_acked_write_is_there_once_after_kill_9,
        the_same_with_fdatasync,
        what_write_returned_for_survives_kill_9_with_everysec_and_none)
