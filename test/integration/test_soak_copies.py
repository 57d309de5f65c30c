#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 2400
"""Copies under load and under faults, strictly: after each heal every copy is equal.

Three copies in mode all (two must count) and a fourth that counts nothing and is again and again
made from an empty directory under write load: a full sync. Writers of storm.py write all types,
every value unique. Each round one thing happens to them: a copy is killed, frozen, its link cut;
the primary is killed and another promoted, the role handed over, or the primary killed and started
again. Then the writers end, everything heals, and

  - what was acked is there, in order, once; what is unknown once or not at all, in order;
  - the lag of each copy is 0 entries, its mark and its digest are those of the primary, and it
    holds every value itself.

TIDEMARK_SOAK_SECONDS is how long, TIDEMARK_SEED the dice.
"""
import os
import random
import threading
import time

from lib import Server, expect, expect_true, patience, run, wait_until
from relay import Relay
from resp import ConnectionClosed, ReplyError
from storm import Mark, Writer

SECONDS = int(os.environ.get("TIDEMARK_SOAK_SECONDS", "150"))
SEED = int(os.environ.get("TIDEMARK_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
WRITERS = 3
SMALL = {"log_segment_size": "1m", "log_reserve_size": "8m", "flush_budget_min": "1m",
         "flush_budget_max": "4m", "cache_size": "32m", "image_keep": 1,
         "repl_mode": "all", "min_in_sync": 2, "replica_drop_after": 2}
# A copy that does not lead (any more), or one that may not write alone.
ROLE_ERRORS = ("READONLY", "NOREPLICAS", "LOADING", "MISCONF")


class RoleWriter(Writer):
    """Its server may lose its role: then it ends, as if its connection had."""

    def _window(self, client):
        try:
            super()._window(client)
        except ConnectionClosed:
            if self.failure is not None and any(word in str(self.failure) for word in ROLE_ERRORS):
                self.failure = None
            raise


def status_of(server):
    def pairs(reply):
        return {name.decode(): value for name, value in zip(reply[::2], reply[1::2])}
    with server.client(timeout=20.0) as client:
        status = pairs(client.call("REPL.STATUS"))
    status["copies"] = [pairs(copy) for copy in status["copies"]]
    return status


def role_of(server):
    try:
        return status_of(server)["role"]
    except (OSError, ConnectionClosed):
        return b"gone"


class Cluster:
    """Three copies that are named by the log, and one that is not."""

    def __init__(self, dice):
        self.dice = dice
        self.copies = [Server(f"copy{i}", **SMALL) for i in range(3)]
        self.primary = self.copies[0]
        self.full_syncs = 0
        self.done = []

    def others(self):
        return [copy for copy in self.copies if copy is not self.primary]

    def start(self):
        self.primary.start()
        for copy in self.others():
            self.attach(copy)
        for copy in self.others():
            self.wait_in_sync(copy)
            ident = status_of(copy)["copy"]
            with self.primary.client(timeout=60.0) as client:
                expect(client.call("REPL.ADD", ident), "OK")
        wait_until(lambda: status_of(self.primary)["counting"] == 3, 30, "all three count")

    def attach(self, copy):
        copy.options["replicaof"] = f"127.0.0.1 {self.primary.port}"
        copy.start()

    def kill(self):
        for copy in self.copies:
            copy.kill()

    def wait_in_sync(self, copy, timeout=60.0):
        def is_in_sync():
            if not copy.answers():
                return False
            status = status_of(copy)
            return status["role"] == b"replica" and status["link-state"] == b"in_sync"
        wait_until(is_in_sync, timeout, f"{copy.name} is in sync")

    # ---- What happens ----

    def replica_killed(self):
        copy = self.dice.choice(self.others())
        copy.kill()
        time.sleep(self.dice.random() * 2)
        copy.start()

    def replica_frozen(self):
        copy = self.dice.choice(self.others())
        copy.pause()
        time.sleep(self.dice.random() * 4)
        copy.resume()

    def primary_killed_and_started(self):
        self.primary.kill()
        time.sleep(self.dice.random())
        self.primary.start()
        self.find_primary()

    def primary_frozen(self):
        self.primary.pause()
        time.sleep(self.dice.random() * 3)
        self.primary.resume()

    def other_promoted(self):
        """The primary is gone, and comes back as a replica by itself."""
        old = self.primary
        old.kill()
        self.promote(self.dice.choice(self.others()))
        old.start()

    def promote(self, copy):
        """That one, or the one that has more, as the refusal says."""
        def is_promoted():
            nonlocal copy
            for one in (copy, *[other for other in self.copies if other is not copy]):
                if not one.is_running():
                    continue
                with one.client(timeout=20.0) as client:
                    if client.ask("PROMOTE") == "OK":
                        copy = one
                        return True
            return False
        wait_until(is_promoted, 30, "a copy is promoted")
        self.primary = copy

    def role_handed_over(self):
        copy = self.dice.choice(self.others())
        self.wait_in_sync(copy)
        with self.primary.client() as client:
            reply = client.ask("FAILOVER", "TO", "127.0.0.1", copy.port, "TIMEOUT", 20000)
        expect_true(not isinstance(reply, ReplyError), f"FAILOVER: {reply}")
        wait_until(lambda: role_of(copy) == b"primary", 30, f"{copy.name} leads")
        self.primary = copy

    def everybody_killed(self):
        for copy in self.copies:
            copy.kill()
        for copy in self.dice.sample(self.copies, 3):
            copy.start(wait=False)
        for copy in self.copies:
            copy.wait_ready()
        self.find_primary()

    def nothing(self):
        time.sleep(0.5)

    def find_primary(self, timeout=30):
        def found():
            return [copy for copy in self.copies if role_of(copy) == b"primary"]
        self.primary = wait_until(found, timeout, "a copy leads")[0]

    def happen(self):
        event = self.dice.choice((self.replica_killed, self.replica_frozen, self.other_promoted,
                                  self.primary_killed_and_started, self.primary_frozen,
                                  self.role_handed_over, self.everybody_killed, self.nothing))
        self.done.append(event.__name__)
        event()

    # ---- A full sync under load ----

    def full_sync(self):
        """A copy of nothing becomes one of everything, while others write."""
        with Relay(self.primary) as relay:
            visitor = Server("visitor", replicaof=f"{relay.host} {self.primary.port}", **SMALL)
            try:
                visitor.start()
                if self.dice.random() < 0.5:
                    time.sleep(self.dice.random() * 0.3)
                    relay.cut()
                if self.dice.random() < 0.3:
                    time.sleep(self.dice.random() * 0.5)
                    visitor.kill()
                    visitor.start()
                self.wait_in_sync(visitor)
                self.full_syncs += 1
            except BaseException:
                visitor.__exit__(Exception)
                raise
        return visitor

    # ---- What holds then ----

    def heal(self):
        for copy in self.others():
            self.wait_in_sync(copy)
        wait_until(lambda: status_of(self.primary)["counting"] == 3, 60, "all three count again")

    def check_equal(self, copies, writers):
        for copy in copies:
            def met(copy=copy):
                with copy.client() as one, self.primary.client() as other:
                    there, here = one.call("DIGEST"), other.call("DIGEST")
                return (there, here) if there[0] == here[0] else None
            there, here = wait_until(met, 60, f"the marks of {copy.name} and the primary meet")
            expect(there, here, f"{copy.name}: the digest at an equal mark")
            with copy.client(timeout=60.0) as client:
                for writer in writers:
                    writer.check(client, writer.rounds[-1:])
        wait_until(lambda: not any(copy["lag-entries"] for copy in status_of(self.primary)["copies"]
                                   if copy["connected"]), 10, "the lag is 0")


def one_round(cluster, writers):
    for writer in writers:
        writer.begin(cluster.primary.port)
    time.sleep(patience(0.2))
    visitor = cluster.full_sync() if cluster.dice.random() < 0.5 else None
    try:
        cluster.happen()
        time.sleep(cluster.dice.random() * 0.5)
        for writer in writers:
            writer.stop()
        cluster.heal()
        for writer in writers:
            writer.end()
        with cluster.primary.client(timeout=60.0) as client:
            for writer in writers:
                writer.settle(client)
        cluster.check_equal(cluster.others(), writers)
        if visitor is not None:
            visitor.kill()
            visitor.options["replicaof"] = f"127.0.0.1 {cluster.primary.port}"
            visitor.start()
            cluster.wait_in_sync(visitor)
            cluster.check_equal([visitor], writers)
    finally:
        if visitor is not None:
            visitor.kill()


def copies_are_equal_after_every_heal():
    print(f"    TIDEMARK_SEED={SEED}")
    cluster = Cluster(random.Random(SEED))
    writers = [RoleWriter(number, SEED) for number in range(WRITERS)]
    end = time.monotonic() + SECONDS
    try:
        cluster.start()
        rounds = 0
        while time.monotonic() < end:
            one_round(cluster, writers)
            rounds += 1
        with cluster.primary.client(timeout=60.0) as client:
            for writer in writers:
                writer.check(client)
            mark = Mark(client.call("DIGEST")[0])
    except BaseException:
        print(f"    round {len(cluster.done)}: {cluster.done[-1:]}")
        for copy in cluster.copies:
            print(f"---- the end of the log of {copy.name} (port {copy.port})\n{copy.log_tail()}")
        raise
    finally:
        cluster.kill()
    acked = sum(writer.acked_count() for writer in writers)
    kinds = {name: cluster.done.count(name) for name in sorted(set(cluster.done))}
    print(f"    {rounds} rounds, {acked} writes, {cluster.full_syncs} full syncs, "
          f"epoch {mark.epoch}")
    print(f"    {kinds}")
    expect_true(rounds > 0 and acked > 0, "something was done")
    expect(threading.active_count() < 50, True, "threads end")


if __name__ == "__main__":
    run(copies_are_equal_after_every_heal)
