#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 150
"""Lists and sorted sets against Debian's redis-server: the same random commands go to both, and
every reply must be the same, down to which kind of null it is. Left out is only what Redis itself
leaves open: the order in which ZSCAN and ZRANDMEMBER give members, ranges by member where scores
differ, and the sign of a score of zero. Keyspace events are compared as a subscriber gets them, and
so is which blocked clients are served by which write.

TIDEMARK_SEED=n chooses another sequence, TIDEMARK_SECONDS=n how long the random part goes on. With
TIDEMARK_COMPARE=port,port two servers that run already are compared (both are flushed).
"""
import os
import select
import time

from commands_lists_zsets import KEYS, Commands, Scenes
from lib import (Failure, ReplyError, Server, StockRedis, patience, require_command, run,
                 wait_until)
from resp import Client

SEED = int(os.environ.get("TIDEMARK_SEED", "1"))
SECONDS_MAX = float(os.environ.get("TIDEMARK_SECONDS", patience(8)))  # for each protocol
BATCHES_MAX = 150 if "TIDEMARK_SECONDS" not in os.environ else 10 ** 9
BATCH = 100
NULL_ARRAY = "(null array)"


class Exact(Client):
    """Tells the two nulls of RESP2 apart."""

    def _items(self, line):
        return NULL_ARRAY if line == b"-1" else super()._items(line)


# ---- Comparing -----------------------------------------------------------------------------------

def plain(reply):
    """Without the sign of zero."""
    if isinstance(reply, list):
        return [plain(item) for item in reply]
    return b"0" if reply == b"-0" else reply


def equal(ours, theirs):
    """Types count, at every depth."""
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(equal, ours, theirs))
    return ours == theirs


def is_nothing(reply):
    return reply is None or isinstance(reply, (ReplyError, str)) or reply == []


class Pair:
    """The product and Redis, and a connection to each."""

    def __init__(self, ports, protocol):
        self.ports, self.protocol, self.asked = ports, protocol, 0
        self.clients = [self.connect(port) for port in ports]
        for client in self.clients:
            client.call("FLUSHALL")

    def connect(self, port):
        client = Exact(port=port, timeout=30)
        if self.protocol == 3:
            client.hello(3)
        return client

    def close(self):
        for client in self.clients:
            client.close()

    def check(self, good, what, ours, theirs):
        if not good:
            raise Failure(f"seed {SEED}, RESP{self.protocol}, after {self.asked} commands: "
                          f"{what!r}\n"
                          f"  ours   {ours!r}\n  theirs {theirs!r}")

    def ask(self, *command):
        ours, theirs = (plain(client.ask(*command)) for client in self.clients)
        self.check(equal(ours, theirs), command, ours, theirs)
        return ours

    def ask_all(self, commands):
        replies = [client.pipeline(*commands) for client in self.clients]
        for command, ours, theirs in zip(commands, *map(plain, replies)):
            self.check(equal(ours, theirs), command, ours, theirs)
            self.asked += 1

    def members(self, key):
        """Of a sorted set, with their scores as Redis writes them in RESP2."""
        pairs = self.clients[1].ask("ZRANGE", key, 0, -1, "WITHSCORES")
        if pairs and isinstance(pairs[0], list):
            return {name: score for name, score in pairs}
        return dict(zip(pairs[::2], map(float, pairs[1::2])))

    def zscan(self, command):
        """A whole walk, which here is one call of Redis and several of ours."""
        found = []
        for client in self.clients:
            pairs, words = {}, list(command)
            while True:
                reply = client.ask(*words)
                if isinstance(reply, ReplyError):
                    found.append(reply)
                    break
                pairs.update(zip(reply[1][::2], map(float, reply[1][1::2])))
                if reply[0] == b"0":
                    found.append(pairs)
                    break
                words[2] = reply[0]
        self.check(found[0] == found[1], command, *found)
        self.asked += 1

    def zrandmember(self, command):
        ours, theirs = (client.ask(*command) for client in self.clients)
        self.asked += 1
        if is_nothing(ours) or is_nothing(theirs):
            self.check(equal(ours, theirs), command, ours, theirs)
            return
        self.check(type(ours) is type(theirs), command, ours, theirs)
        members = self.members(command[1])
        if isinstance(ours, bytes):
            self.check(ours in members, command, ours, members)
            return
        self.check(len(ours) == len(theirs), command, ours, theirs)
        names = ours
        if len(command) == 4:
            pairs = ours if self.protocol == 3 else list(zip(ours[::2], map(float, ours[1::2])))
            good = all(members.get(name) == score for name, score in pairs)
            self.check(good, command, ours, members)
            names = [name for name, _ in pairs]
        self.check(all(name in members for name in names), command, ours, members)
        if int(command[2]) > 0:
            self.check(len(set(names)) == len(names), command, ours, members)

    def compare_all(self):
        commands = [["EXISTS", *KEYS]]
        for key in KEYS:
            kind = self.clients[1].call("TYPE", key)
            if kind == "list":
                commands.append(["LRANGE", key, 0, -1])
            elif kind == "zset":
                commands += [["ZRANGE", key, 0, -1, "WITHSCORES"], ["ZCARD", key]]
        self.ask_all(commands)


def compare_random(pair):
    commands = Commands(SEED * 10 + pair.protocol)
    alone = {b"ZSCAN": pair.zscan, b"ZRANDMEMBER": pair.zrandmember}
    end = time.monotonic() + SECONDS_MAX
    batches = 0
    while time.monotonic() < end and batches < BATCHES_MAX:
        together = []
        for _ in range(BATCH):
            command = commands.draw()
            if command[0] in alone:
                pair.ask_all(together)
                together = []
                alone[command[0]](command)
            else:
                together.append(command)
        pair.ask_all(together)
        batches += 1
        if batches % 5 == 0:
            pair.compare_all()
    pair.compare_all()
    print(f"    {pair.asked} commands, seed {SEED}, RESP{pair.protocol}")
    if pair.asked < 1000:
        raise Failure(f"only {pair.asked} commands in {SECONDS_MAX} s")


def compare_transactions(pair):
    """What blocks answers at once in a transaction; the rest is as it is."""
    commands = Commands(SEED * 10 + 5)
    apart = (b"ZSCAN", b"ZRANDMEMBER")
    for _ in range(150):
        drawn = [commands.draw() for _ in range(6)]
        drawn = [command for command in drawn if command[0] not in apart]
        pair.ask_all([[b"MULTI"], *drawn, [b"EXEC"]])
    pair.compare_all()


def events_until(client, end):
    """(channel, event) of what the subscriber gets before the message `end`."""
    events = []
    while True:
        message = client.receive()
        if message[0] == b"message" and message[2] == end:
            return events
        if message[0] == b"pmessage":
            events.append((message[2], message[3]))


def compare_events(pair):
    subscribers = [Exact(port=port, timeout=30) for port in pair.ports]
    for client, subscriber in zip(pair.clients, subscribers):
        client.call("CONFIG", "SET", "notify-keyspace-events", "KEA")
        subscriber.ask("PSUBSCRIBE", "__key*")
        subscriber.ask("SUBSCRIBE", "end")
    commands = Commands(SEED * 10 + 7)
    for turn in range(3000):
        command = commands.draw()
        if command[0] in (b"ZSCAN", b"ZRANDMEMBER"):
            continue
        end = str(turn).encode()
        events = []
        for client, subscriber in zip(pair.clients, subscribers):
            client.pipeline(command, ["PUBLISH", "end", end])
            events.append(events_until(subscriber, end))
        pair.check(events[0] == events[1], command, *events)
    for client, subscriber in zip(pair.clients, subscribers):
        client.call("CONFIG", "SET", "notify-keyspace-events", "")
        subscriber.close()


# ---- Clients that wait ---------------------------------------------------------------------------

class Waiters:
    """Clients of one server, each in a blocking command."""

    def __init__(self, pair, side):
        self.pair, self.side, self.waiting = pair, side, {}

    def blocked(self):
        return int(self.pair.clients[self.side].info("clients")["blocked_clients"])

    def is_answered(self, client):
        return bool(select.select([client.socket], [], [], 0)[0])

    def send(self, name, command):
        """Blocks a new client; returns its reply when it did not."""
        client = self.pair.connect(self.pair.ports[self.side])
        before = self.blocked()
        client.send(*command)
        wait_until(lambda: self.is_answered(client) or self.blocked() > before,
                   what=f"{command!r} waits or is answered", pause=0.001)
        self.pair.clients[self.side].call("SET", "behind", "it")  # its first attempt is over
        if self.is_answered(client) or self.blocked() == before:
            reply = client.receive()
            client.close()
            return plain(reply)
        self.waiting[name] = client
        return "(waits)"

    def served(self, wanted):
        """The replies since the last call, by client; gives them time until `wanted` are served."""
        replies, end = {}, time.monotonic() + patience(5)
        while time.monotonic() < end:
            for name, client in list(self.waiting.items()):
                if self.is_answered(client):
                    replies[name] = plain(client.receive())
                    self.waiting.pop(name).close()
            if len(self.waiting) == self.blocked() and len(replies) >= wanted:
                break
        return replies

    def close(self):
        for client in self.waiting.values():
            client.close()
        wait_until(lambda: self.blocked() == 0, what="nobody waits")


def compare_waiting(pair):
    scenes = Scenes(SEED * 10 + 9)
    for turn in range(60):
        for client in pair.clients:
            client.call("FLUSHALL")
        sides = [Waiters(pair, 0), Waiters(pair, 1)]
        story = []
        for name in range(scenes.dice.randint(1, 4)):
            story.append(command := scenes.wait())
            ours, theirs = (side.send(name, command) for side in sides)
            pair.check(equal(ours, theirs), (turn, story), ours, theirs)
        for _ in range(scenes.dice.randint(1, 4)):
            story.append(commands := scenes.serve())
            for command in commands:
                replies = [plain(client.ask(*command)) for client in pair.clients]
                pair.check(equal(*replies), (turn, story), *replies)
            theirs = sides[1].served(0)
            ours = sides[0].served(len(theirs))
            good = all(equal(ours.get(name), theirs.get(name)) for name in {**ours, **theirs})
            pair.check(good, (turn, story), ours, theirs)
        pair.compare_all()
        for side in sides:
            side.close()


# ---- The tests -----------------------------------------------------------------------------------

def compare(protocol, *parts):
    given = os.environ.get("TIDEMARK_COMPARE")
    if given:
        compare_parts([int(port) for port in given.split(",")], protocol, parts)
        return
    with StockRedis() as redis, Server() as server:
        compare_parts([server.port, redis.port], protocol, parts)


def compare_parts(ports, protocol, parts):
    pair = Pair(ports, protocol)
    for part in parts:
        part(pair)
    pair.close()


def every_reply_is_that_of_redis_in_resp2():
    compare(2, compare_random)


def every_reply_is_that_of_redis_in_resp3():
    compare(3, compare_random)


def transactions_answer_as_redis_does():
    compare(2, compare_transactions)
    compare(3, compare_transactions)


def keyspace_events_are_those_of_redis():
    compare(2, compare_events)


def clients_that_wait_are_served_as_by_redis():
    compare(2, compare_waiting)


if __name__ == "__main__":
    require_command("redis-server")
    run(every_reply_is_that_of_redis_in_resp2, every_reply_is_that_of_redis_in_resp3,
        transactions_answer_as_redis_does, keyspace_events_are_those_of_redis,
        clients_that_wait_are_served_as_by_redis)
