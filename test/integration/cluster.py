# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""Three copies of tidemark that count, a stock redis-server that follows whoever leads, and all
that may happen to them. Each copy is reached through a relay, so that links can be cut."""
import os
import shutil
import time

from lib import Failure, Server, expect, expect_true, patience, wait_until
from relay import Relay
from resp import ConnectionClosed, ReplyError
from stock import Replica, info_of

SMALL = {"log_segment_size": "1m", "log_reserve_size": "8m", "flush_budget_min": "1m",
         "flush_budget_max": "4m", "cache_size": "32m", "image_keep": 1,
         "repl_mode": "all", "min_in_sync": 2, "replica_drop_after": 2}
# A copy that does not lead (any more), or one that may not write alone.
ROLE_ERRORS = ("READONLY", "NOREPLICAS", "LOADING", "MISCONF")
SILENT_SECONDS = 86400  # the default of replica-silent-budget


def status_of(server):
    """REPL.STATUS as a dict; its copies as a list of dicts."""
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


def id_of(server):
    return status_of(server)["copy"]


def is_in_sync(copy):
    if not copy.answers():
        return False
    status = status_of(copy)
    return status["role"] == b"replica" and status["link-state"] == b"in_sync"


def wait_in_sync(copy, timeout=60.0):
    wait_until(lambda: is_in_sync(copy), timeout, f"{copy.name} is in sync")


class Stock(Replica):
    """Counts its full syncs against those that it must need: one when it has lost its place."""

    def __init__(self, primary):
        super().__init__(primary, name="stock")
        self.dump = os.path.join(self.folder, "dump.rdb")
        self.needed = 0

    def start(self, wait=True, timeout=30.0):
        """It goes on where it was saved, if it was: so it must know from its start whom it
        follows."""
        self.needed += not os.path.exists(self.dump)
        return super(Replica, self).start(wait, timeout)

    def follow(self, host, port):
        self.options["replicaof"] = f"{host} {port}"
        if self.is_running():
            with self.client(timeout=60.0) as client:
                client.call("REPLICAOF", host, port)

    def lose_place(self):
        """It does not run. The dump of its last full sync is a place too."""
        if os.path.exists(self.dump):
            os.remove(self.dump)

    def save(self):
        with self.client(timeout=60.0) as client:
            client.call("SAVE")

    def finished(self):
        return self.log_text().count("sync: Finished with success")


class Cluster:  # pylint: disable=too-many-public-methods
    """What happens to it is drawn from `dice`. `done` and `full_syncs` say what was."""

    def __init__(self, dice):
        self.dice = dice
        self.copies = [Server(f"copy{i}", **SMALL) for i in range(3)]
        self.relays = {copy.name: Relay(copy) for copy in self.copies}
        for copy in self.copies:
            copy.options["announce-host"] = self.relays[copy.name].host
        self.primary = self.copies[0]
        self.stock = Stock(self.primary)
        self.visitors = []  # that are being made
        self.done = []
        self.full_syncs = {"visitor": 0, "emptied": 0, "given up": 0}
        self.bags = {}

    def others(self):
        return [copy for copy in self.copies if copy is not self.primary]

    def an_other(self):
        return self.dice.choice(self.others())

    def place(self, copy):
        return self.relays[copy.name].host, copy.port

    def start(self):
        self.primary.start()
        for copy in self.others():
            self.attach(copy, self.primary)
            wait_in_sync(copy)
            self.steer("REPL.ADD", id_of(copy))
        self.stock.follow(*self.place(self.primary))
        self.stock.start()
        self.wait_all_count(30)

    def attach(self, copy, primary):
        copy.options["replicaof"] = "{} {}".format(*self.place(primary))
        copy.start()

    def kill(self):
        for process in (*self.copies, *self.visitors, self.stock):
            process.kill()
        for relay in self.relays.values():
            relay.close()

    def steer(self, *command):
        with self.primary.client(timeout=60.0) as client:
            expect(client.call(*command), "OK", " ".join(map(str, command)))

    def wait_all_count(self, timeout=60.0):
        wait_until(lambda: status_of(self.primary)["counting"] == 3, timeout, "all three count")

    def full_sync_count(self):
        return sum(self.full_syncs.values()) + self.stock.finished()

    # ---- Drawing ----

    def draw(self, name, all_of):
        """Each once before any comes again."""
        if not self.bags.get(name):
            self.bags[name] = self.dice.sample(all_of, len(all_of))
        return self.bags[name].pop()

    def happen(self):
        event = self.draw("events", (
            self.replica_killed, self.replica_frozen, self.links_of_primary_cut, self.link_held,
            self.primary_killed_and_started, self.primary_frozen, self.other_promoted,
            self.other_promoted_while_behind, self.role_handed_over, self.everybody_killed,
            self.stock_cut, self.stock_frozen, self.stock_ended_and_started, self.stock_goes_back,
            self.nothing))
        self.done.append(event.__name__)
        event()

    def sync(self):
        """A full sync, of one or the other, while others write."""
        kind = self.draw("syncs", (self.visitor_made, self.visitor_left_alone, self.copy_emptied,
                                   self.copy_given_up, self.stock_killed, self.nothing))
        self.done.append(kind.__name__)
        kind()

    # ---- What happens to copies ----

    def nothing(self):
        time.sleep(0.2)

    def replica_killed(self):
        copy = self.an_other()
        copy.kill()
        time.sleep(self.dice.random() * 2)
        copy.start()

    def replica_frozen(self):
        self.freeze(self.an_other(), 4)

    def freeze(self, process, seconds):
        process.pause()
        time.sleep(self.dice.random() * seconds)
        process.resume()

    def links_of_primary_cut(self):
        for _ in range(self.dice.randrange(1, 4)):
            self.relays[self.primary.name].cut()
            time.sleep(self.dice.random() * 0.5)

    def link_held(self):
        """Nobody reaches a copy that may be the primary, until it has given up its role."""
        relay = self.relays[self.dice.choice(self.copies).name]
        relay.hold()
        time.sleep(self.dice.random() * 4)
        relay.release()
        self.find_primary(60)

    def primary_killed_and_started(self):
        self.primary.kill()
        time.sleep(self.dice.random())
        self.primary.start()
        self.find_primary()

    def primary_frozen(self):
        self.freeze(self.primary, 3)
        self.find_primary(60)

    def other_promoted(self):
        """The primary is gone, and comes back as a replica by itself."""
        old = self.primary
        old.kill()
        self.promote(self.an_other())
        old.start()

    def other_promoted_while_behind(self):
        """No other copy has what the primary did last: it has answered nothing of that."""
        old = self.primary
        self.relays[old.name].hold()
        time.sleep(patience(0.1) + self.dice.random() * 0.5)
        old.kill()
        self.relays[old.name].release()
        self.promote(self.an_other())
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
        self.lead(copy)

    def role_handed_over(self):
        copy = self.an_other()
        wait_in_sync(copy)
        with self.primary.client(timeout=60.0) as client:
            reply = client.ask("FAILOVER", "TO", *self.place(copy), "TIMEOUT", 20000)
        expect_true(not isinstance(reply, ReplyError), f"FAILOVER: {reply}")
        wait_until(lambda: role_of(copy) == b"primary", 30, f"{copy.name} leads")
        self.lead(copy)

    def everybody_killed(self):
        for copy in self.copies:
            copy.kill()
        for copy in self.dice.sample(self.copies, 3):
            copy.start(wait=False)
        for copy in self.copies:
            copy.wait_ready()
        self.find_primary()

    def find_primary(self, timeout=30):
        def found():
            return [copy for copy in self.copies if role_of(copy) == b"primary"]
        self.lead(wait_until(found, timeout, "a copy leads")[0])

    def lead(self, copy):
        """It leads: nobody tells that to the stock replica but us."""
        self.primary = copy
        self.stock.follow(*self.place(copy))

    # ---- What happens to the stock replica ----

    def stock_cut(self):
        for _ in range(self.dice.randrange(1, 4)):
            self.relays[self.primary.name].cut(self.primary.port)
            time.sleep(self.dice.random())

    def stock_frozen(self):
        self.freeze(self.stock, 4)

    def stock_ended_and_started(self):
        """Told to save at its end it goes on from there."""
        self.wait_stock()
        with self.stock.client() as client:
            client.send("SHUTDOWN", "SAVE")
            self.stock.wait_exit()
        time.sleep(self.dice.random())
        self.stock.start()

    def stock_goes_back(self):
        """It saves, goes on, is killed: and is again what it was when it saved."""
        self.wait_stock()
        self.stock.save()
        time.sleep(self.dice.random() * 2)
        self.stock.kill()
        self.stock.start()

    def stock_killed(self):
        """It has lost its place: a full sync, whose link may break meanwhile."""
        self.stock.kill()
        self.stock.lose_place()
        self.stock.start()
        if self.dice.random() < 0.5:
            time.sleep(self.dice.random() * 1.5)
            self.relays[self.primary.name].cut(self.primary.port)
        if self.dice.random() < 0.5:
            self.wait_stock()

    def wait_stock(self):
        """It has what there is now."""
        there = int(info_of(self.primary, "replication")["master_repl_offset"])
        wait_until(lambda: self.stock.is_linked() and
                   int(self.stock.info("slave_repl_offset")) >= there, 60,
                   "the stock replica is linked and has what there was")

    def expect_only_needed(self):
        """At rest. One that asks anew goes on where it was, whoever led meanwhile."""
        if self.stock.finished() != self.stock.needed:
            asked = [line for copy in self.copies for line in copy.log_text().splitlines()
                     if " psync " in line]
            raise Failure(f"full syncs of the stock replica: {self.stock.needed} were needed, "
                          f"{self.stock.finished()} were made\n" + "\n".join(sorted(asked)[-20:]))

    # ---- Full syncs of copies ----

    def visitor_made(self):
        """A copy of nothing that counts nothing becomes one of everything."""
        visitor = self.visitor_begun()
        wait_in_sync(visitor)

    def visitor_left_alone(self):
        """The same, in the middle of whatever comes next."""
        self.visitor_begun()

    def visitor_begun(self):
        visitor = Server("visitor", **SMALL)
        self.visitors.append(visitor)
        self.attach(visitor, self.primary)
        self.disturb(visitor)
        return visitor

    def disturb(self, copy):
        if self.dice.random() < 0.5:
            time.sleep(self.dice.random() * 0.3)
            self.relays[self.primary.name].cut(self.primary.port + 10000)
        if self.dice.random() < 0.4:
            time.sleep(self.dice.random() * 0.5)
            copy.kill()
            copy.start()

    def copy_emptied(self):
        """A disk is replaced: what counted is named no more, and what it was made anew counts."""
        copy = self.an_other()
        gone = id_of(copy)
        copy.kill()
        shutil.rmtree(copy.data)
        self.steer("REPL.REMOVE", gone)
        self.attach(copy, self.primary)
        self.disturb(copy)
        wait_in_sync(copy)
        self.steer("REPL.ADD", id_of(copy))
        self.rebuilt("emptied")

    def rebuilt(self, how):
        """It has the stream of effects from its image on: by now that is what the stock replica
        may lack."""
        self.wait_all_count()
        self.wait_stock()
        self.full_syncs[how] += 1

    def copy_given_up(self):
        """It is away for longer than the log is held for it; then an operator has it rebuilt."""
        copy = self.an_other()
        ident = id_of(copy)
        copy.kill()
        self.steer("CONFIG", "SET", "replica-silent-budget", int(patience(2)))
        wait_until(lambda: self.seen(ident)["needs-rebuild"] == 1, 30, "it is given up")
        self.steer("CONFIG", "SET", "replica-silent-budget", SILENT_SECONDS)
        copy.start()
        self.steer("REPL.REBUILD", ident)
        self.disturb(copy)
        wait_in_sync(copy)
        self.rebuilt("given up")

    def seen(self, ident):
        """How the primary sees a copy."""
        return next(copy for copy in status_of(self.primary)["copies"] if copy["id"] == ident)

    # ---- Healing ----

    def heal(self):
        """Everything is there, whatever has happened; the visitors follow whoever leads now."""
        for copy in self.others():
            wait_in_sync(copy)
        self.wait_all_count()
        for visitor in self.visitors:
            if not is_in_sync(visitor):
                visitor.kill()
                self.attach(visitor, self.primary)
            wait_in_sync(visitor)
            expect_true("follow_plan" in visitor.log_text() and "plan=rebuild" in
                        visitor.log_text(), "a visitor was made of an image")
            self.full_syncs["visitor"] += 1
        self.wait_stock()

    def part(self):
        for visitor in self.visitors:
            visitor.kill()
            shutil.rmtree(visitor.folder)
        self.visitors = []

    def connected(self):
        return [copy for copy in status_of(self.primary)["copies"] if copy["connected"]]
