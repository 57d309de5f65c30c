# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""Writers whose every write can be recognised, for tests that kill or damage a server under load.

A Writer is one connection with a pipeline of unique writes of all types. Between two kills it
fills keys of its own, a *round*: a list, a set, a sorted set, a hash, a string that grows, single
keys, a counter, a key that moves, collections whose one element is exchanged, and a transaction
that changes three keys. When the connection ends, each write of the round is acked or unknown.
`settle` then compares the round with the server:

  - what was acked is there, in order, once: a double shows as a value twice or a counter too high;
  - what is unknown is there once or not at all, and the unknown writes that are there form a prefix
    of what was sent, because a connection's writes take effect in order;
  - a transaction is there whole or not at all.

From then on the round is settled: `check` compares it again, exactly, as often as one likes.
"""
import random
import threading

from lib import Failure, expect, expect_true
from resp import Client, ConnectionClosed, ReplyError, encode_command

KINDS = ("rpush", "sadd", "zadd", "hset", "append", "set", "incr", "over", "multi", "move",
         "churn")
COUNTED = ("incr", "over", "move", "churn")  # only how many took effect is seen, not which


class Mark:
    """A mark as text: <history>:<epoch>.<copy>:<lsn>:<lineage>."""

    def __init__(self, text):
        self.text = text.decode() if isinstance(text, bytes) else text
        history, epoch, lsn, self.lineage = self.text.split(":")
        self.history = history
        self.epoch = int(epoch.split(".")[0])
        self.lsn = int(lsn)


class Write:
    """One write: `number` is its order on the connection, `value` what tells it from all others."""

    __slots__ = ("kind", "number", "value", "acked")

    def __init__(self, kind, number, value):
        self.kind = kind
        self.number = number
        self.value = value
        self.acked = False


class Round:
    """The writes of one writer between two kills, and the names of their keys."""

    def __init__(self, name):
        self.name = name
        self.writes = []
        self.settled = None  # kind -> writes that took effect

    def key(self, kind, number=None):
        return f"{self.name}:{kind}" + ("" if number is None else f":{number}")

    def of(self, kind):
        return [w for w in self.writes if w.kind == kind]

    def keys(self):
        """The names of all keys that its writes may have made."""
        single = [self.key(w.kind, w.number) for w in self.writes if w.kind in ("set", "move")]
        parts = [("multi", ("-count", "-hash")), ("churn", ("-hash", "-zset", "-list"))]
        return (single + [self.key(kind) for kind in KINDS if kind not in ("set", "move")] +
                [self.key(kind) + part for kind, more in parts for part in more])

    def commands(self, write):
        """The commands of a write, without POS.GET."""
        kind, value = write.kind, write.value
        key = self.key(kind)
        if kind == "set":
            return [["SET", self.key("set", write.number), value]]
        if kind == "move":
            return self._move(write)
        if kind == "churn":
            return self._churn(write)
        if kind == "multi":
            return [["MULTI"], ["INCR", key + "-count"], ["RPUSH", key, value],
                    ["HSET", key + "-hash", write.number, value], ["EXEC"]]
        return [{"rpush": ["RPUSH", key, value], "sadd": ["SADD", key, value],
                 "zadd": ["ZADD", key, write.number, value],
                 "hset": ["HSET", key, write.number, value], "append": ["APPEND", key, value],
                 "incr": ["INCR", key], "over": ["SET", key, write.number]}[kind]]

    def _move(self, write):
        """One key wanders from name to name: by RENAME, or by DEL and SET in one transaction."""
        key = self.key("move", write.number)
        if write.value is None:
            return [["SET", key, 0]]
        before = self.key("move", write.value)
        if write.number % 2:
            return [["RENAME", before, key]]
        return [["MULTI"], ["DEL", before], ["SET", key, write.number], ["EXEC"]]

    def _churn(self, write):
        """A set, a hash, a sorted set and a list of one element each, which is exchanged."""
        key, new, old = self.key("churn"), write.number, write.value
        away = [] if old is None else [["SREM", key, old], ["HDEL", key + "-hash", old],
                                       ["ZREM", key + "-zset", old], ["LPOP", key + "-list"]]
        return [["MULTI"], ["SADD", key, new], ["HSET", key + "-hash", new, "v"],
                ["ZADD", key + "-zset", new, new], ["RPUSH", key + "-list", new], *away, ["EXEC"]]


class Writer:
    """One connection that writes until it is told to stop or loses its server."""

    def __init__(self, number, seed, window=32, most_bytes=2000):
        self.number = number
        self.dice = random.Random(seed * 1000 + number)
        self.window = window
        self.most_bytes = most_bytes
        self.rounds = []
        self.begun = self.retired = 0  # rounds; acked writes of those that are no more
        self.written = 0
        self.mark = None  # of the last acked window
        self.failure = None
        self.stopping = False
        self.thread = None

    @property
    def round(self):
        return self.rounds[-1]

    # ---- Writing ----

    def begin(self, port, limit=None):
        """Begins a round in a thread; `limit` bounds its writes."""
        self.rounds.append(Round(f"w{self.number}:r{self.begun}"))
        self.begun += 1
        self.stopping = False
        self.thread = threading.Thread(target=self._run, args=(port, limit), daemon=True)
        self.thread.start()

    def end(self, timeout=60.0):
        """Waits for the thread, after the server was killed or with stop()."""
        self.thread.join(timeout)
        expect_true(not self.thread.is_alive(), "the writer ends")
        if self.failure is not None:
            raise self.failure

    def stop(self):
        self.stopping = True

    def _run(self, port, limit):
        try:
            with Client(port=port, timeout=30) as client:
                while not self.stopping and (limit is None or len(self.round.writes) < limit):
                    self._window(client)
        except (ConnectionClosed, ConnectionError):
            pass  # what was not acked is unknown
        except Exception as failure:  # pylint: disable=broad-exception-caught
            self.failure = failure

    def _value(self, number):
        """Unique, self-describing, of any length; its own end tells where it ends."""
        size = self.dice.choice((0, 10, 100, self.dice.randrange(self.most_bytes)))
        return b"<%d.%d.%s>" % (self.number, number, b"x" * size)

    def _new_write(self):
        self.written += 1
        kind = self.dice.choice(KINDS)
        value = self._value(self.written)
        if kind in ("move", "churn"):  # the number of the one before
            value = next((w.number for w in reversed(self.round.writes) if w.kind == kind), None)
        write = Write(kind, self.written, value)
        self.round.writes.append(write)
        return write

    def _window(self, client):
        writes, sent, answers = [], [], []
        for _ in range(self.dice.randrange(1, self.window + 1)):
            write = self._new_write()
            commands = self.round.commands(write)
            writes.append(write)
            answers.append(len(commands))
            sent += commands
        sent.append(["POS.GET"])
        client.send_bytes(b"".join(encode_command(*c) for c in sent))
        for write, count in zip(writes, answers):
            for _ in range(count):
                reply = client.receive()
                if isinstance(reply, ReplyError):
                    self.failure = Failure(f"{write.kind} {write.number}: {reply}")
                    raise ConnectionClosed("stop here")
            write.acked = True
        self.mark = Mark(client.receive())

    # ---- Checking ----

    def settle(self, client):
        """Compares what is not settled with the server; afterwards it is known what took effect."""
        for one in self.rounds:
            if one.settled is None:
                self._settle(client, one)

    @staticmethod
    def _settle(client, finished):
        present = {}  # number of an unknown write -> bool, where it can be told
        settled = {}
        for kind in KINDS:
            writes = finished.of(kind)
            there = CHECKS[kind](client, finished, writes)
            expect_prefix(finished, kind, writes, there)
            settled[kind] = there
            if kind not in COUNTED:
                numbers = {w.number for w in there}
                present.update((w.number, w.number in numbers) for w in writes if not w.acked)
        in_order = [present[number] for number in sorted(present)]
        expect_true(in_order == sorted(in_order, reverse=True),
                    f"{finished.name}: the unknown writes that are there form a prefix")
        finished.settled = settled

    def check(self, client, rounds=None):
        """Compares settled rounds with the server again."""
        for one in self.rounds if rounds is None else rounds:
            if one.settled is None:
                continue
            for kind in KINDS:
                there = CHECKS[kind](client, one, one.of(kind))
                expect([w.number for w in there], [w.number for w in one.settled[kind]],
                       f"{one.name}: {kind}, later")

    def retire(self, client, keep):
        """Removes the keys of all rounds but the newest `keep`, which must be settled."""
        old, self.rounds = self.rounds[:-keep], self.rounds[-keep:]
        for one in old:
            self.retired += sum(1 for w in one.writes if w.acked)
            client.call("UNLINK", *one.keys())

    def acked_count(self):
        return self.retired + sum(1 for one in self.rounds for w in one.writes if w.acked)


def expect_prefix(finished, kind, writes, there):
    """All that is acked, and of the unknown a beginning."""
    acked = [w.number for w in writes if w.acked]
    unknown = [w.number for w in writes if not w.acked]
    found = [w.number for w in there]
    wanted = acked + unknown[:max(0, len(found) - len(acked))]
    if found != wanted:
        missing = sorted(set(acked) - set(found))
        raise Failure(f"{finished.name}: {kind}: {len(missing)} acked writes are missing "
                      f"{missing[:10]}, or the order is wrong (found {found[-5:]}, acked to "
                      f"{acked[-5:]}, unknown {unknown[:5]})")


# Each returns the writes that took effect, in order of number, and raises on what cannot be.

def _by_value(finished, kind, writes, values):
    known = {w.value: w for w in writes}
    strangers = [v for v in values if v not in known]
    expect_true(not strangers, f"{finished.name}: {kind}: only what was written, not "
                               f"{strangers[:2]!r}")
    expect_true(len(set(values)) == len(values), f"{finished.name}: {kind}: nothing twice")
    return [known[v] for v in values]


def _rpush(client, finished, writes):
    return _by_value(finished, "rpush", writes, client.call("LRANGE", finished.key("rpush"), 0, -1))


def _sadd(client, finished, writes):
    there = _by_value(finished, "sadd", writes, client.call("SMEMBERS", finished.key("sadd")))
    return sorted(there, key=lambda w: w.number)


def _zadd(client, finished, writes):
    reply = client.call("ZRANGE", finished.key("zadd"), 0, -1, "WITHSCORES")
    there = _by_value(finished, "zadd", writes, reply[::2])
    expect([float(w.number) for w in there], [float(s) for s in reply[1::2]],
           f"{finished.name}: scores")
    return there


def _hash(client, finished, kind, key, writes):
    reply = client.call("HGETALL", key)
    there = sorted(_by_value(finished, kind, writes, reply[1::2]), key=lambda w: w.number)
    expect([w.number for w in there], sorted(int(f) for f in reply[::2]),
           f"{finished.name}: fields")
    return there


def _hset(client, finished, writes):
    return _hash(client, finished, "hset", finished.key("hset"), writes)


def _append(client, finished, writes):
    text = client.call("GET", finished.key("append")) or b""
    values = [part + b">" for part in text.split(b">")[:-1]]
    expect(b"".join(values), text, f"{finished.name}: the string is made of whole values")
    return _by_value(finished, "append", writes, values)


def _set(client, finished, writes):
    if not writes:
        return []
    replies = client.pipeline(*(["GET", finished.key("set", w.number)] for w in writes))
    for write, reply in zip(writes, replies):
        expect_true(reply in (None, write.value), f"{finished.name}: set {write.number}: its value")
    return [w for w, reply in zip(writes, replies) if reply is not None]


def _move(client, finished, writes):
    """Exactly one of its names exists: that of the last move that took effect."""
    if not writes:
        return []
    replies = client.pipeline(*(["EXISTS", finished.key("move", w.number)] for w in writes))
    names = [w.number for w, reply in zip(writes, replies) if reply != 0]
    expect_true(len(names) == 1 or not (names or any(w.acked for w in writes)),
                f"{finished.name}: what is moved is in one place, not {names}")
    return [w for w in writes if names and w.number <= names[0]]


def _churn(client, finished, writes):
    """Every collection holds one element, the same: that of the last one that took effect."""
    key = finished.key("churn")
    held = client.pipeline(["SMEMBERS", key], ["HKEYS", key + "-hash"],
                           ["ZRANGE", key + "-zset", 0, -1], ["LRANGE", key + "-list", 0, -1],
                           ["SCARD", key], ["HLEN", key + "-hash"], ["ZCARD", key + "-zset"],
                           ["LLEN", key + "-list"])
    expect_true(len(held[0]) <= 1 and held[:4] == [held[0]] * 4 and
                held[4:] == [len(held[0])] * 4, f"{finished.name}: one element in each, not {held}")
    last = int(held[0][0]) if held[0] else 0
    expect_true(last in [0] + [w.number for w in writes], f"{finished.name}: churn: a number sent")
    return [w for w in writes if w.number <= last]


def _incr(client, finished, writes):
    count = int(client.call("GET", finished.key("incr")) or 0)
    acked = sum(1 for w in writes if w.acked)
    expect_true(acked <= count <= len(writes),
                f"{finished.name}: the counter is {acked} to {len(writes)}, not {count}")
    return writes[:count]


def _over(client, finished, writes):
    """One key written over and over: it holds the last acked number or a later, unknown one."""
    value = int(client.call("GET", finished.key("over")) or 0)
    there = [w for w in writes if w.number <= value]
    expect_true(value in [0] + [w.number for w in writes], f"{finished.name}: over: a number sent")
    return there


def _multi(client, finished, writes):
    key = finished.key("multi")
    there = _by_value(finished, "multi", writes, client.call("LRANGE", key, 0, -1))
    count = int(client.call("GET", key + "-count") or 0)
    fields = _hash(client, finished, "multi", key + "-hash", writes)
    expect((count, [w.number for w in fields]), (len(there), [w.number for w in there]),
           f"{finished.name}: a transaction is whole")
    return there


CHECKS = {"rpush": _rpush, "sadd": _sadd, "zadd": _zadd, "hset": _hset, "append": _append,
          "set": _set, "incr": _incr, "over": _over, "multi": _multi, "move": _move,
          "churn": _churn}
