# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""Collections so large that the store has to be read, and a model that knows every reply.

A Keeper is one connection with keys of its own: a set, a hash, a sorted set, a list, and a key in
which the union and range commands leave their result. It goes through a shuffled deck of steps:
members go in, some or all go out again, a collection becomes another, is popped empty, is deleted,
is read whole. Every reply is compared with a model, member by member and not only in number, and so
is what a command has stored. Between the steps it pauses now and then, so that flushes and
compactions fall between them; with a small cache and flush budget, most of what it reads is then in
tables only, under the remains of what it has removed.

One command is under way at a time. When the server is killed, that one took effect wholly or not at
all: `settle` finds out which, and compares everything, as `check` does.
"""
import random
import threading
import time

from lib import Failure, expect, expect_true
from resp import Client, ConnectionClosed, ReplyError

NAMES = ("set", "hash", "zset", "list", "sum")
PAUSE = 0.3  # seconds, at most


class Scores(dict):
    """A sorted set: member -> score, a whole number."""

    def ranked(self):
        return sorted(self.items(), key=lambda pair: (pair[1], pair[0]))


EMPTY = {"set": frozenset(), "hash": {}, "zset": Scores(), "list": [], "sum": frozenset()}
COUNT = {frozenset: "SCARD", dict: "HLEN", Scores: "ZCARD", list: "LLEN"}


def flat(pairs):
    return [part for pair in pairs for part in pair]


def with_scores(ranked):
    return [part for member, score in ranked for part in (member, b"%d" % score)]


def difference(got, wanted):
    """What is wrong with a list of strings, in few words."""
    if len(got) != len(wanted):
        few = set(wanted) - set(got)
        return (f"{len(got)} strings instead of {len(wanted)}; {len(few)} are missing, such as "
                f"{sorted(few)[:3]!r}")
    at = next(i for i, pair in enumerate(zip(got, wanted)) if pair[0] != pair[1])
    return f"string {at} of {len(wanted)} is {got[at]!r} instead of {wanted[at]!r}"


def expect_strings(got, wanted, what):
    """A list is wanted in this order, a set in any order, a dict as pairs in any order."""
    if isinstance(wanted, dict):
        got = flat(sorted(zip(got[::2], got[1::2])))
        wanted = flat(sorted(wanted.items()))
    elif isinstance(wanted, frozenset):
        if len(got) == len(wanted) and wanted == set(got):
            return
        got, wanted = sorted(got), sorted(wanted)
    if got != wanted:
        raise Failure(f"{what}: {difference(got, wanted)}")


class Keeper:
    """One connection that changes and reads its collections until it is told to stop."""

    def __init__(self, number, seed, size):
        self.name = f"k{number}"
        self.dice = random.Random(seed * 1000 + number)
        self.members = [b"%06d-%s" % (i, b"m" * self.dice.randrange(30)) for i in range(size)]
        self.held = dict(EMPTY)
        self.flight = {}  # what the command that is under way would make of which collections
        self.fills = 0
        self.steps = 0
        self.compared = 0  # strings
        self.last = ""
        self.failure = None
        self.stopping = False
        self.may_die = False
        self.thread = None

    # ---- Running ----

    def begin(self, port, job, may_die=False):
        """Runs job(client), one of the methods below, in a thread; the server may die meanwhile."""
        self.stopping = False
        self.may_die = may_die
        self.thread = threading.Thread(target=self._run, args=(port, job), daemon=True)
        self.thread.start()

    def stop(self):
        """It ends after its step."""
        self.stopping = True

    def end(self, timeout):
        """Waits for the thread, after stop() or when the server was killed."""
        self.thread.join(timeout)
        expect_true(not self.thread.is_alive(), f"{self.name} ends")
        if self.failure is not None:
            raise self.failure

    def _run(self, port, job):
        try:
            with Client(port=port, timeout=60) as client:
                job(client)
        except (ConnectionClosed, ConnectionError) as failure:
            if not self.may_die:
                self.failure = failure
        except TimeoutError:
            self.failure = Failure(f"{self.last}: no whole reply in time")
        except Exception as failure:  # pylint: disable=broad-exception-caught
            self.failure = failure

    def work(self, client):
        while not self.stopping:
            self.work_once(client)

    def work_once(self, client):
        """Every step once, in any order. The stores come again at the end: then most collections
        have been removed before, and what is left of them is in their way."""
        stores = [self.store_set, self.store_range, self.store_union]
        deck = [self.thin_set, self.thin_hash, self.thin_zset, self.thin_list, self.pop_set,
                self.pop_zset, self.pop_list, self.delete, self.read, *stores]
        self.dice.shuffle(deck)
        self.dice.shuffle(stores)
        deck += stores
        for step in deck:
            if self.stopping:
                break
            step(client)
            self.steps += 1
            if self.dice.random() < 0.3:
                time.sleep(self.dice.random() * PAUSE)

    # ---- One command ----

    def key(self, name):
        return f"{self.name}:{name}"

    def _ask(self, client, command, wanted):
        """`wanted` is a number, or strings as expect_strings takes them."""
        self.last = " ".join(str(part) for part in command[:4])[:60]
        client.send(*command)
        if isinstance(wanted, int):
            expect(client.receive(), wanted, self.last)
        else:
            expect_strings(client.receive_strings(), wanted, self.last)
            self.compared += len(wanted)

    def _change(self, client, command, wanted, **after):
        """A command that makes `after` of the collections of these names."""
        self.flight = after
        self._ask(client, command, wanted)
        self.held.update(after)
        self.flight = {}

    def _pieces(self, members):
        """All at once, or in some pieces: one command each."""
        size = max(1, len(members) // self.dice.choice((1, 1, 3, 20)))
        return [members[i:i + size] for i in range(0, len(members), size)]

    # ---- Members go in ----

    def _add(self, client, name, members):
        """New members and old ones; of a hash and a sorted set, these are changed."""
        self.fills += 1
        value = b"%d-%s" % (self.fills, b"v" * self.dice.randrange(30))
        before = self.held[name]
        if name == "set":
            verb, arguments, after = "SADD", members, before.union(members)
        elif name == "hash":
            verb, arguments = "HSET", flat((member, value) for member in members)
            after = {**before, **dict.fromkeys(members, value)}
        elif name == "zset":
            scores = {member: int(member[:6]) * 7 % 1000 + self.fills for member in members}
            verb, arguments = "ZADD", flat((scores[member], member) for member in members)
            after = Scores({**before, **scores})
        else:
            verb, arguments, after = "RPUSH", members, before + members
        wanted = len(after) if name == "list" else len(after) - len(before)
        self._change(client, [verb, self.key(name), *arguments], wanted, **{name: after})

    def _full(self, client, name):
        """The collection, with most of its members."""
        if len(self.held[name]) < len(self.members) // 2:
            there = set(self.held[name])
            self._add(client, name, [member for member in self.members if member not in there])
        return self.held[name]

    # ---- Members go out ----

    def _thin(self, client, name, verb):
        """Neighbours, or a few from everywhere; now and then all, which takes seconds, because each
        is looked up by itself. Sometimes they come back."""
        self._full(client, name)
        first, share = self.dice.randrange(len(self.members)), len(self.members) // 50
        kind = self.dice.randrange(20)
        if kind == 0:
            members = self.members
        elif kind < 10:
            members = self.members[first % 25::25]
        else:
            members = self.members[first:first + share]
        for piece in self._pieces(members):
            before = self.held[name]
            gone = [member for member in piece if member in before]
            if name == "set":
                after = before.difference(piece)
            else:
                after = type(before)(before)
                for member in gone:
                    del after[member]
            self._change(client, [verb, self.key(name), *piece], len(gone), **{name: after})
        if self.dice.random() < 0.5:
            self._add(client, name, members)

    def thin_set(self, client):
        self._thin(client, "set", "SREM")

    def thin_hash(self, client):
        self._thin(client, "hash", "HDEL")

    def thin_zset(self, client):
        self._thin(client, "zset", "ZREM")

    def thin_list(self, client):
        items = self._full(client, "list")
        count = len(items) // self.dice.choice((2, 3))
        if self.dice.random() < 0.5:
            self._change(client, ["LPOP", self.key("list"), count], items[:count],
                         list=items[count:])
        else:
            self._change(client, ["RPOP", self.key("list"), count], items[:-count - 1:-1],
                         list=items[:-count])

    def pop_set(self, client):
        everything = self._full(client, "set")
        self._change(client, ["SPOP", self.key("set"), len(everything)], everything,
                     set=frozenset())

    def pop_zset(self, client):
        ranked = self._full(client, "zset").ranked()
        if self.dice.random() < 0.5:
            self._change(client, ["ZPOPMIN", self.key("zset"), len(ranked)],
                         with_scores(ranked), zset=Scores())
        else:
            self._change(client, ["ZPOPMAX", self.key("zset"), len(ranked)],
                         with_scores(ranked[::-1]), zset=Scores())

    def pop_list(self, client):
        items = self._full(client, "list")
        self._change(client, ["LPOP", self.key("list"), len(items)], items, list=[])

    def delete(self, client):
        names = self.dice.sample(NAMES, 2)
        there = sum(1 for name in names if self.held[name])
        self._change(client, ["DEL", *map(self.key, names)], there,
                     **{name: EMPTY[name] for name in names})

    # ---- Collections become another ----

    def _store(self, client, command, after):
        self._change(client, command, len(after), sum=after)
        if self.dice.random() < 0.5:
            self._compare(client, "sum")

    def store_set(self, client):
        members = self._full(client, "set")
        self._store(client, ["SUNIONSTORE", self.key("sum"), self.key("set")], members)

    def store_range(self, client):
        ranked = self._full(client, "zset").ranked()
        first = self.dice.choice((0, 0, len(ranked) // 3))
        self._store(client, ["ZRANGESTORE", self.key("sum"), self.key("zset"), first, -1],
                    Scores(ranked[first:]))

    def store_union(self, client):
        """Of the sorted set alone, or with the set, whose members count as 1."""
        scores = Scores(self._full(client, "zset"))
        keys = [self.key("zset")]
        if self.dice.random() < 0.5:
            keys.append(self.key("set"))
            for member in self.held["set"]:
                scores[member] = scores.get(member, 0) + 1
        self._store(client, ["ZUNIONSTORE", self.key("sum"), len(keys), *keys], scores)

    # ---- Reading ----

    def _compare(self, client, name):
        """The number of members, and all of them."""
        held, key = self.held[name], self.key(name)
        if not held:
            self._ask(client, ["EXISTS", key], 0)
            return
        self._ask(client, [COUNT[type(held)], key], len(held))
        if isinstance(held, frozenset):
            self._ask(client, ["SMEMBERS", key], held)
        elif isinstance(held, list):
            self._ask(client, ["LRANGE", key, 0, -1], held)
        elif not isinstance(held, Scores):
            self._ask(client, ["HGETALL", key], held)
        elif self.dice.random() < 0.5:
            self._ask(client, ["ZRANGE", key, 0, -1, "WITHSCORES"], with_scores(held.ranked()))
        else:
            self._ask(client, ["ZREVRANGE", key, 0, -1, "WITHSCORES"],
                      with_scores(held.ranked()[::-1]))

    def read(self, client):
        self._compare(client, self.dice.choice(NAMES))

    def check(self, client):
        """Compares everything with the server."""
        for name in NAMES:
            self._compare(client, name)

    def settle(self, client):
        """After a kill: the command that was under way took effect wholly or not at all."""
        before = dict(self.held)
        self.held.update(self.flight)
        try:
            for name in self.flight:
                self._compare(client, name)
        except (Failure, ReplyError):
            self.held = before
        self.flight = {}
        self.check(client)
