#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 2400
"""Copies under load and under faults, strictly: after each heal every copy is equal.

Three copies in mode all (two must count), a stock redis-server that follows whoever leads, and
copies that count nothing and are made of an empty directory. Writers of storm.py write all types,
every value unique; one of stock.py changes few keys in every way there is, also their times.

Each round has a full sync under write load (cluster.py `sync`: a copy is new, emptied, or given up
and rebuilt; the stock one has lost its place), often with its link cut or one end killed, and up to
three events (`happen`: kills, freezes, links cut, promotions, the lead handed over). Then the
writers end, everything heals, and

  - what was acked is there, in order, once; what is unknown once or not at all, in order; nothing
    else is there;
  - the lag of each copy is 0 entries, its mark and its digest are those of the primary, and it
    holds every value itself;
  - the stock replica has all that was sent, is equal key by key, and has had no full sync but those
    that it needed because it had lost its place.

TIDEMARK_SOAK_SECONDS is how long, TIDEMARK_SEED the dice.
"""
import os
import random
import threading
import time

import stock
from cluster import ROLE_ERRORS, Cluster
from lib import expect, expect_true, patience, run, tidemark, wait_until
from resp import ConnectionClosed
from storm import Mark, Writer

SECONDS = int(os.environ.get("TIDEMARK_SOAK_SECONDS", "180"))
SEED = int(os.environ.get("TIDEMARK_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
WRITERS = 3
KEPT = 3  # rounds of each writer whose keys stay
FULL_SYNCS_AN_HOUR = 200  # at least


class RoleWriter(Writer):
    """Its server may lose its role: then it ends, as if its connection had."""

    def _window(self, client):
        try:
            super()._window(client)
        except ConnectionClosed:
            if self.failure is not None and any(word in str(self.failure) for word in ROLE_ERRORS):
                self.failure = None
            raise


class Churner(stock.Writer):
    """Changes few keys in every way, and counts: also one whose server lost its role meanwhile."""

    def __init__(self, server, number, seed):
        super().__init__(server, number, seed, pause=0.01)
        self.databases = (1, 2, 3)

    def end(self):
        self.stopping.set()
        self.join(patience(60))
        expect_true(not self.is_alive(), "a churner ends")
        if self.failure and not any(word in str(self.failure) for word in ROLE_ERRORS):
            raise self.failure

    def check(self, client):
        """What was acked is counted once, the last one that was not once or not at all."""
        count = int(client.call("GET", f"count{self.number}") or 0)
        expect_true(count in (self.counted, self.counted + 1),
                    f"count{self.number} is {self.counted} or one more, not {count}")
        row = [int(value) for value in client.call("LRANGE", f"row{self.number}", 0, -1)]
        expect(row, list(range(len(row))), f"row{self.number}: each once, in order")
        expect_true(self.counted <= len(row) <= count,
                    f"row{self.number} has {self.counted} to {count}, not {len(row)}")


class Load:
    """All that write. Who loses the server goes on at the one that leads then."""

    def __init__(self):
        self.writers = [RoleWriter(number, SEED) for number in range(WRITERS)]
        self.churners = []
        self.churned = 0

    def go_on(self, primary):
        for writer in self.writers:
            if writer.thread is None or not writer.thread.is_alive():
                if writer.thread is not None:
                    writer.end()
                writer.begin(primary.port)
        if not self.churners or not self.churners[-1].is_alive():
            self.churners.append(Churner(primary, self.churned, SEED))
            self.churners[-1].start()
            self.churned += 1

    def stop(self):
        for writer in self.writers:
            writer.stop()
        for churner in self.churners:
            churner.stopping.set()

    def end(self):
        for writer in self.writers:
            writer.end(patience(60.0))
        for churner in self.churners:
            churner.end()

    def settle(self, client):
        for writer in self.writers:
            writer.settle(client)
        for churner in self.churners:
            churner.check(client)

    def check(self, client):
        for writer in self.writers:
            writer.check(client)
        for churner in self.churners:
            churner.check(client)

    def expect_nothing_else(self, client):
        sent = {key for writer in self.writers for one in writer.rounds for key in one.keys()}
        sent |= {f"{name}{one.number}" for one in self.churners for name in ("count", "row")}
        found = {key.decode() for key in client.call("KEYS", "*")}
        expect(sorted(found - sent)[:5], [], "keys that nobody has sent")

    def retire(self, client):
        for writer in self.writers:
            writer.retire(client, KEPT)
        for churner in self.churners:
            client.call("UNLINK", f"count{churner.number}", f"row{churner.number}")
        self.churners = []

    def acked(self):
        return sum(writer.acked_count() for writer in self.writers)


def check_equal(cluster, load):
    with cluster.primary.client(timeout=60.0) as client:
        load.settle(client)
        load.expect_nothing_else(client)
    for copy in (*cluster.others(), *cluster.visitors):
        def met(copy=copy):
            with copy.client() as one, cluster.primary.client() as other:
                there, here = one.call("DIGEST"), other.call("DIGEST")
            return (there, here) if there[0] == here[0] else None
        there, here = wait_until(met, 60, f"the marks of {copy.name} and the primary meet")
        expect(there, here, f"{copy.name}: the digest at an equal mark")
        with copy.client(timeout=60.0) as client:
            load.check(client)
    wait_until(lambda: not any(copy["lag-entries"] for copy in cluster.connected()), 10,
               "the lag is 0")
    stock.settle(cluster.primary, cluster.stock)
    stock.expect_equal(cluster.primary, cluster.stock)
    with cluster.stock.client(timeout=60.0) as client:
        load.check(client)
    cluster.expect_only_needed()


def one_round(cluster, load):
    load.go_on(cluster.primary)
    time.sleep(patience(0.2))
    cluster.sync()
    for _ in range(cluster.dice.choice((1, 1, 2, 3))):
        load.go_on(cluster.primary)
        cluster.happen()
    load.go_on(cluster.primary)
    time.sleep(patience(0.2) + cluster.dice.random() * 0.5)
    load.stop()
    cluster.heal()
    load.end()
    check_equal(cluster, load)
    cluster.part()
    with cluster.primary.client(timeout=60.0) as client:
        load.retire(client)


def verify(cluster):
    """What is on the disks of all copies, read again."""
    tidemark("verify", *(f"127.0.0.1:{copy.port}" for copy in cluster.copies), timeout=120)


def soak(cluster, load):
    end = time.monotonic() + SECONDS
    cluster.start()
    rounds = 0
    while time.monotonic() < end:
        one_round(cluster, load)
        rounds += 1
    verify(cluster)
    with cluster.primary.client(timeout=60.0) as client:
        mark = Mark(client.call("DIGEST")[0])
    full_syncs = {**cluster.full_syncs, "stock": cluster.stock.finished()}
    kinds = {name: cluster.done.count(name) for name in sorted(set(cluster.done))}
    print(f"    {rounds} rounds, {load.acked()} writes, epoch {mark.epoch}\n    {kinds}\n"
          f"    {sum(full_syncs.values())} full syncs: {full_syncs}")
    expect_true(load.acked() > 0, "something was written")
    wanted = int(FULL_SYNCS_AN_HOUR * SECONDS / 3600 / patience(1))
    expect_true(sum(full_syncs.values()) >= wanted, f"at least {wanted} full syncs")


def copies_are_equal_after_every_heal():
    print(f"    TIDEMARK_SEED={SEED}", flush=True)
    cluster, load = Cluster(random.Random(SEED)), Load()
    try:
        soak(cluster, load)
    except BaseException:
        print(f"    {len(cluster.done)} events, the last: {cluster.done[-4:]}")
        for process in (*cluster.copies, *cluster.visitors, cluster.stock):
            print(f"---- the end of the log of {process.name} (port {process.port})\n"
                  f"{process.log_tail()}")
        raise
    finally:
        load.stop()
        cluster.kill()
    expect_true(threading.active_count() < 20, "threads end")


if __name__ == "__main__":
    run(copies_are_equal_after_every_heal)
